"""MOTS text: detections, truth and results as masks, ``frame id class height width rle [score]`` a line.

Masks are compressed COCO run-length codes at image resolution, frames count from 1 (Voigtlaender et al. 2019); a
seventh column with the score makes it a detections file. In KITTI MOTS and MOTS20 class 1 is a car, 2 a pedestrian and
10 a region that is not evaluated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from tracker.formats.columns import class_numbers, number_in, quote, reject, whole_in
from tracker.formats.detections import Detections, pack
from tracker.formats.run_length import GREATEST_PIXELS, coco_code, run_total
from tracker.formats.scores import to_chances

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["COLUMNS", "MOTS_IGNORE", "MaskRow", "is_mots", "mots_classes", "mots_line", "mots_rows", "read_mots"]

NUMBERS = {"car": 1, "person": 2, "pedestrian": 2}
"""Class column by name, as KITTI MOTS and MOTS20 have it."""
MOTS_IGNORE = 10
"""Class of regions that are not evaluated."""
COLUMNS = "frame id class height width rle [score]"

MaskRow = tuple[int, int, int, int, int, str]
"""``frame, id, class, height, width, rle``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    frame: int
    identity: int
    class_id: int
    size: tuple[int, int]  # width, height
    code: str
    score: float  # NaN where there is none


def is_mots(line: str) -> bool:
    """Whether a line looks like MOTS text: five whole numbers and a code.

    A code of nothing but digits must be one of height x width pixels.

    >>> is_mots("1 0 2 2 2 13"), is_mots("1 0 2 2 3 13"), is_mots("1,0,2,2,2,13")
    (True, False, False)
    """
    fields = line.split()
    if not 6 <= len(fields) <= 7:
        return False
    wholes = [whole_in(field) for field in fields[:5]]
    height, width = wholes[3:]
    if None in wholes or height is None or width is None or height <= 0:
        return False
    return math.isnan(number_in(fields[5])) or run_total(fields[5]) == height * width


def read_mots(path: Path, lines: Sequence[tuple[int, str]], *, image_size: tuple[int, int] | None = None) -> Detections:
    """The detections of a file whose ``(number, line)`` are given; empty masks are left out and counted.

    Args:
        path: The file, for messages.
        lines: Its lines and their numbers.
        image_size: ``(width, height)`` of the images where known; masks of height and width exchanged are refused.

    Raises:
        DetectionsError: A malformed line or code, sizes that differ, scores of an unknown scale; names ``file:line``.
    """
    from pycocotools import mask as coco_mask

    parsed = _parse(path, lines, None)
    if not parsed:
        return pack(path, "mots", [], places=[])
    numbers = [number for number, _ in lines]
    size = parsed[0].size
    if image_size == size[::-1] != size:
        reject(
            path,
            numbers[0],
            f"masks of height {size[0]} and width {size[1]} as the images",
            f"{size[1]} and {size[0]}",
            remedy="write height before width",
        )
    chances, note = to_chances(path, np.array([row.score for row in parsed], np.float64), numbers)
    boxes = coco_mask.toBbox([coco_code(row.code, row.size) for row in parsed])
    rows, codes, places = [], [], []
    for number, row, box, score in zip(numbers, parsed, boxes.tolist(), chances.tolist(), strict=True):
        if box[2] > 0 and box[3] > 0:
            rows.append((row.frame, box[0], box[1], box[0] + box[2], box[1] + box[3], score, row.class_id, -1.0))
            codes.append(row.code)
            places.append(number)
    return pack(
        path,
        "mots",
        rows,
        places=places,
        codes=codes,
        skipped=len(parsed) - len(rows),
        size=size,
        notes=(note,) if note else (),
    )


def mots_rows(path: Path, lines: Sequence[tuple[int, str]], *, size: tuple[int, int] | None = None) -> list[MaskRow]:
    """The rows of truth or of a result.

    Args:
        path: The file, for messages.
        lines: Its lines and their numbers.
        size: ``(width, height)`` that all masks must have; ``None`` for that of the first line.

    Raises:
        DetectionsError: As for :func:`read_mots`.
    """
    return [
        (row.frame, row.identity, row.class_id, row.size[1], row.size[0], row.code) for row in _parse(path, lines, size)
    ]


def _parse(path: Path, lines: Sequence[tuple[int, str]], size: tuple[int, int] | None) -> list[_Line]:
    rows = []
    known = "the truth" if size is not None else "the lines before"
    for number, line in lines:
        row = _line(path, number, line)
        size = size or row.size
        if size != row.size:
            reject(
                path,
                number,
                f"masks of height {size[1]} and width {size[0]} as in {known}",
                f"{row.size[1]} and {row.size[0]}",
                remedy="write height before width, at the size of the image",
            )
        if run_total(row.code) != size[0] * size[1]:
            if row.code.startswith(("b'", 'b"')):
                _refuse(path, number, "text without Python's b'...'", line, "decode the code: counts.decode()")
            reject(path, number, f"a run-length code of {size[0] * size[1]} pixels", quote(row.code))
        rows.append(row)
    return rows


def _line(path: Path, number: int, line: str) -> _Line:
    fields = line.split()
    if not 6 <= len(fields) <= 7:
        remedy = "correct or remove the line"
        if len(fields) in (15, 16) and fields[0].isalpha():
            remedy = "KITTI's object labels have no frames: give KITTI's tracking text, frame track_id type ..."
        _refuse(path, number, f"6 or 7 fields {COLUMNS}", line, remedy, count=len(fields))
    wholes = [whole_in(field) for field in fields[:5]]
    score = number_in(fields[6]) if len(fields) == 7 else 0.0
    frame, identity, class_id, height, width = (-1 if value is None else value for value in wholes)
    if score != score:  # noqa: PLR0124 - not a number
        _refuse(path, number, f"a finite score in {COLUMNS}", line)
    if None in wholes:
        _refuse(path, number, f"whole numbers in {COLUMNS}", line)
    if frame < 0 or height <= 0 or width <= 0 or height * width > GREATEST_PIXELS:
        _refuse(path, number, f"a frame from 0 and a positive size in {COLUMNS}", line)
    return _Line(
        frame=frame,
        identity=identity,
        class_id=class_id,
        size=(width, height),
        code=fields[5],
        score=score if len(fields) == 7 else float("nan"),
    )


def _refuse(
    path: Path, number: int, expected: str, line: str, remedy: str = "correct or remove the line", *, count: int = 0
) -> NoReturn:
    found = f"{count} in {quote(line)}" if count else quote(line)
    reject(path, number, expected, found, remedy=remedy)


def mots_classes(names: Sequence[str]) -> list[int]:
    """The class column of each of a model's classes: car 1, person or pedestrian 2, others the free numbers from 3.

    10 is left free: it marks regions that are not evaluated.

    >>> mots_classes(["person", "bicycle", "car", "motorcycle", "bus", "truck"]), mots_classes(["helmet", "person"])
    ([2, 3, 1, 4, 5, 6], [3, 2])
    """
    return class_numbers(names, NUMBERS, reserved=(MOTS_IGNORE,))


def mots_line(
    frame: int, identity: int, code: str, size: tuple[int, int], *, class_id: int, score: float | None = None
) -> str:
    r"""``frame id class height width rle [score]``, with the line's end.

    Args:
        frame: Frame number, 1 for the first.
        identity: Identity, from 1; 0 without.
        code: Compressed COCO run-length code.
        size: ``(width, height)`` of the mask.
        class_id: Class column.
        score: For a detections file.

    >>> mots_line(3, 7, "13", (2, 2), class_id=1), mots_line(3, 0, "13", (2, 2), class_id=2, score=0.5)
    ('3 7 1 2 2 13\n', '3 0 2 2 2 13 0.5000\n')
    """
    tail = "" if score is None else f" {score:.4f}"
    return f"{frame} {identity} {class_id} {size[1]} {size[0]} {code}{tail}\n"
