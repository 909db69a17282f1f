"""KITTI tracking text: detections, truth and results; the benchmark's types, clock and rules of counting.

The format (KITTI tracking devkit, ``readme.txt``; Geiger et al. 2012), one object a line, 17 or 18 fields between
blanks, frames from 0::

    frame track_id type truncated occluded alpha left top right bottom height width length x y z rotation_y [score]

DontCare regions are no detections and are left out of them.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from tracker.errors import DetectionsError, SourceError
from tracker.formats.columns import lines_of, number_in, read_text, whole_in
from tracker.formats.detections import Detections, pack
from tracker.formats.scores import to_chances

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tracker.formats.mot import BoxRow

__all__ = [
    "DONT_CARE",
    "KITTI_FPS",
    "KITTI_SEEN",
    "KITTI_TYPES",
    "KITTI_UNSEEN",
    "KittiRow",
    "is_kitti",
    "kitti_files",
    "kitti_lengths",
    "kitti_line",
    "kitti_rows",
    "label_files",
    "parse_row",
    "read_kitti",
]

KITTI_FPS = 10.0
"""Frames per second of every KITTI recording."""
DONT_CARE = 13
"""Class id of a region that is not labelled."""
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
COUNTED = (1, 3)
"""Pedestrian and car: what KITTI tracking scores."""
MOST_TRUNCATED, MOST_OCCLUDED = 0, 2
"""Truth beyond either is not counted (KITTI tracking devkit, ``max_truncation`` and ``max_occlusion``)."""
DONT_CARE_IDS = 100_000
"""Regions that are not labelled have no identity; each gets one above this."""
KITTI_NO_3D = "-1 -1 -1 -1000 -1000 -1000 -10"
"""Size, place and rotation where unknown, as KITTI's devkit wants them."""
KITTI_SEEN = ("-1 -1 -10", KITTI_NO_3D)
KITTI_UNSEEN = ("-1 2 -10", KITTI_NO_3D)
"""Predicted, not seen: largely occluded, in KITTI's levels."""


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
    frame, identity = whole_in(fields[0]), whole_in(fields[1])
    values = [number_in(field) for field in fields[3:]]
    if frame is None or identity is None:
        _reject(path, number, "whole frame and track_id, a type, and 14 or 15 numbers", repr(line[:60]))
    if any(map(math.isnan, values)):
        _reject(path, number, "finite numbers for whole frame, track_id, type, and 14 or 15 numbers", repr(line[:60]))
    if frame < 0:
        _reject(path, number, "a frame number from 0", fields[0])
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


def read_kitti(path: Path, lines: Sequence[tuple[int, str]]) -> Detections:
    """The detections of a file whose ``(number, line)`` are given; boxes without area are left out and counted.

    Raises:
        DetectionsError: A malformed line, scores of an unknown scale; names ``file:line``.
    """
    parsed = [(number, parse_row(path, number, line)) for number, line in lines]
    objects = [(number, row) for number, row in parsed if row.class_id != DONT_CARE]
    scores = np.array([math.nan if row.score is None else row.score for _, row in objects], np.float64)
    chances, note = to_chances(path, scores, [number for number, _ in objects])
    rows, extras, places = [], [], []
    for (number, row), score in zip(objects, chances.tolist(), strict=True):
        if row.box[2] > row.box[0] and row.box[3] > row.box[1]:
            rows.append((row.frame, *row.box, score, row.class_id, -1.0))
            extras.append(row.extras)
            places.append(number)
    return pack(
        path,
        "kitti",
        rows,
        places=places,
        extras=extras,
        skipped=len(objects) - len(rows),
        notes=(note,) if note else (),
    )


def kitti_files(folder: Path) -> list[Path]:
    """``0000.txt``, ``0001.txt``, ... of a folder such as KITTI's ``label_02``, by name; empty for any other folder."""
    return sorted(path for path in folder.glob("*.txt") if path.stem.isdecimal() and path.is_file())


def label_files(root: Path) -> list[Path]:
    """KITTI's files below ``label_02`` itself or the folder that holds it; empty for any other folder."""
    return kitti_files(root) or kitti_files(root / "label_02")


def kitti_rows(path: Path, lines: Iterable[tuple[int, str]], *, length: int | None) -> list[BoxRow]:
    """``frame + 1, id, x1, y1, x2, y2, counts, class`` of each line of truth or of a result.

    ``counts`` is 0 where truth is not scored: truncated, more than largely occluded, or neither car nor pedestrian.

    Args:
        path: The file, for messages.
        lines: Its lines and their numbers.
        length: Number of frames of the sequence; ``None`` to take all.

    Raises:
        DetectionsError: A malformed line, or a frame outside ``0..length - 1``.
    """
    rows: list[BoxRow] = []
    for number, line in lines:
        row = parse_row(path, number, line)
        if length is not None and row.frame >= length:
            raise DetectionsError(
                f"{path}:{number}",
                f"expected a frame in 0..{length - 1}, found {row.frame}",
                "KITTI counts from 0; give the length in an evaluate_tracking.seqmap beside label_02",
            )
        counts = row.class_id in COUNTED and row.truncated <= MOST_TRUNCATED and row.occluded <= MOST_OCCLUDED
        identity = DONT_CARE_IDS + 1 + len(rows) if row.class_id == DONT_CARE else row.identity
        rows.append((row.frame + 1, identity, *row.box, float(counts), row.class_id))
    return rows


def kitti_lengths(folder: Path) -> dict[str, int]:
    """Frames of each sequence by its maps, beside or in the label folder; empty without one.

    Lines are ``name empty first end``: in ``evaluate_tracking.seqmap*`` ``end`` is the number of frames (KITTI tracking
    devkit), in ``evaluate_mots.seqmap*`` the last frame's number (TrackEval's ``KittiMOTS``). Maps of the test
    sequences, which have other recordings by the same names, are passed over.

    Raises:
        SourceError: A line of another form, or two maps that differ; names ``file:line``.
    """
    lengths: dict[str, int] = {}
    patterns = {"evaluate_tracking.seqmap*": 0, "evaluate_mots.seqmap*": 1}
    for place, (pattern, more) in itertools.product((folder, folder.parent), patterns.items()):
        for path in sorted(place.glob(pattern)):
            if ".test" in path.name:
                continue
            for number, line in lines_of(read_text(path)):
                fields = line.split()
                if len(fields) != 4 or not fields[3].isdecimal():
                    raise SourceError(
                        f"{path}:{number}", f"expected name empty first end, found {line[:60]!r}", "correct the line"
                    )
                name, length = fields[0], int(fields[3]) + more
                if lengths.setdefault(name, length) != length:
                    raise SourceError(
                        f"{path}:{number}",
                        f"expected {lengths[name]} frames of {name} as another map says, found {length}",
                        "keep one map",
                    )
    return lengths


def kitti_line(
    frame: int,
    identity: int,
    type_word: str,
    box: tuple[float, float, float, float],
    *,
    score: float = 1.0,
    extras: tuple[str, str] = KITTI_SEEN,
) -> str:
    r"""``frame id type truncated occluded alpha left top right bottom h w l x y z rotation score`` and the line's end.

    Left, top, width and height are rounded to 0.01 px as in ``mot_line``, so that both texts score the same.

    Args:
        frame: Frame number, 0 for the first.
        identity: Identity, from 1.
        type_word: ``Car``, ``Pedestrian``, ...
        box: xyxy in image px.
        score: Confidence in 0..1.
        extras: ``truncated occluded alpha``, and ``height width length x y z rotation_y``.

    >>> kitti_line(3, 7, "Car", (10.0, 20.5, 40.0, 80.0), score=0.75)
    '3 7 Car -1 -1 -10 10.00 20.50 40.00 80.00 -1 -1 -1 -1000 -1000 -1000 -10 0.75\n'
    """
    left, top = round(box[0], 2), round(box[1], 2)
    right, bottom = left + round(box[2] - box[0], 2), top + round(box[3] - box[1], 2)
    corners = f"{left:.2f} {top:.2f} {right:.2f} {bottom:.2f}"
    return f"{frame} {identity} {type_word} {extras[0]} {corners} {extras[1]} {score:.6g}\n"


def _reject(path: Path, number: int, expected: str, found: str) -> NoReturn:
    raise DetectionsError(f"{path}:{number}", f"expected {expected}, found {found}", "correct or remove the line")
