"""A line of KITTI tracking text enters, its fields as checked numbers leave; the benchmark's types and clock.

The format (KITTI tracking devkit, ``readme.txt``; Geiger et al. 2012), one object a line, 17 or 18 fields between
blanks, frames from 0::

    frame track_id type truncated occluded alpha left top right bottom height width length x y z rotation_y [score]
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from tracker.errors import DetectionsError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["DONT_CARE", "KITTI_FPS", "KITTI_TYPES", "KittiRow", "is_kitti", "kitti_files", "parse_row", "to_chances"]

KITTI_FPS = 10.0
"""Frames per second of every KITTI recording."""
DONT_CARE = 13
"""Class id of a region that nobody labelled."""
KITTI_TYPES = {
    1: "Pedestrian",
    2: "Cyclist",
    3: "Car",
    7: "Person_sitting",
    DONT_CARE: "DontCare",
    21: "Van",
    22: "Truck",
    23: "Tram",
    24: "Misc",
}
"""The type word of each class id; the ids are those of KITTI truth in MOTChallenge text."""
# The tracking labels call a sitting person "Person", the devkit's text "Person_sitting"; some write small letters.
CLASS_IDS = {word.lower(): class_id for class_id, word in KITTI_TYPES.items()} | {"person": 7}
WORD = re.compile(r"[A-Za-z][A-Za-z_]*")
NUMBERS = {"nan", "inf", "infinity"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KittiRow:
    """One line.

    Attributes:
        frame: Frame number, 0 for the first.
        identity: Track id; -1 = none.
        class_id: A key of ``KITTI_TYPES``.
        truncated: 0 not, 1 partly, 2 largely outside the image; -1 = not said.
        occluded: 0 visible, 1 partly, 2 largely hidden, 3 unknown; -1 = not said.
        box: xyxy in image px.
        score: The 18th field, any finite number; ``None`` where there are 17.
        extras: As in the line: ``truncated occluded alpha``, and ``height width length x y z rotation_y``.
    """

    frame: int
    identity: int
    class_id: int
    truncated: float
    occluded: float
    box: tuple[float, float, float, float]
    score: float | None
    extras: tuple[str, str]


def is_kitti(line: str) -> bool:
    """Whether the third field of a line is a word, as in no other format.

    >>> is_kitti("0 -1 Car 0 0 -10 1 2 3 4"), is_kitti("1 0 2 2 2 13"), is_kitti("0,-1,10,20,30,40,0.5")
    (True, False, False)
    """
    fields = line.split()
    return len(fields) > 2 and WORD.fullmatch(fields[2]) is not None and fields[2].lower() not in NUMBERS


def parse_row(path: Path, number: int, line: str) -> KittiRow:
    """One line, checked.

    Args:
        path: The file, for messages.
        number: The line's number, from 1.
        line: Its text.

    Raises:
        DetectionsError: Not of the format, or of an unknown type; names ``file:line``.
    """
    fields = line.split()
    if not 17 <= len(fields) <= 18:
        _reject(
            path,
            number,
            "17 or 18 fields frame track_id type truncated occluded alpha left top right bottom "
            "height width length x y z rotation_y [score]",
            f"{len(fields)} in {line[:60]!r}",
        )
    class_id = CLASS_IDS.get(fields[2].lower())
    if class_id is None:
        _reject(path, number, f"a type out of {', '.join(KITTI_TYPES.values())}", repr(fields[2]))
    try:
        frame, identity = int(fields[0]), int(fields[1])
        values = [float(field) for field in fields[3:]]
    except ValueError:
        _reject(path, number, "whole frame and track_id, a type, and 14 or 15 numbers", repr(line[:60]))
    if frame < 0:
        _reject(path, number, "a frame number from 0", fields[0])
    if not all(map(math.isfinite, values)):
        _reject(path, number, "finite numbers", repr(line[:60]))
    left, top, right, bottom = values[3:7]
    if right < left or bottom < top:
        _reject(path, number, "left <= right and top <= bottom", " ".join(fields[6:10]))
    return KittiRow(
        frame=frame,
        identity=identity,
        class_id=class_id,
        truncated=values[0],
        occluded=values[1],
        box=(left, top, right, bottom),
        score=values[14] if len(values) == 15 else None,
        extras=(" ".join(fields[3:6]), " ".join(fields[10:17])),
    )


def to_chances(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores in 0..1 as they are; logits, known by any value outside 0..1, by the logistic function.

    Args:
        scores: ``(N,)``, all scores of a file, so that its detections are treated alike; NaN where a row has none,
            which becomes 1.

    >>> to_chances(np.array([0.5, 1.0])).tolist(), to_chances(np.array([0.0, 1.5, np.nan])).round(3).tolist()
    ([0.5, 1.0], [0.5, 0.818, 1.0])
    """
    said = ~np.isnan(scores)
    chances = np.where(said, scores, 1.0)
    if (chances < 0).any() or (chances > 1).any():
        # tanh never overflows, whatever the logit.
        chances = np.where(said, 0.5 + 0.5 * np.tanh(0.5 * chances), 1.0)
    return chances


def kitti_files(folder: Path) -> list[Path]:
    """``0000.txt``, ``0001.txt``, ... of a folder such as KITTI's ``label_02``, by name; empty for any other folder."""
    return sorted(path for path in folder.glob("*.txt") if path.stem.isdecimal() and path.is_file())


def _reject(path: Path, number: int, expected: str, found: str) -> NoReturn:
    raise DetectionsError(f"{path}:{number}", f"expected {expected}, found {found}", "correct or remove the line")
