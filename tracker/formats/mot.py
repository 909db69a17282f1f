"""MOTChallenge text: detections, truth and results, ``frame,id,x,y,w,h,conf,class,visibility`` a line.

Commas between the fields, or blanks; frames from 1 (Dendorfer et al. 2020). What the columns behind ``conf`` mean hangs
on how many there are:

=======  ===================================================================================================
columns  after ``frame,id,x,y,w,h``
=======  ===================================================================================================
6        nothing (truth and results only)
7        ``conf``
8        ``conf,class``
9        ``conf,class,visibility`` (MOT16, MOT17, MOT20; what this project writes)
10       ``conf,x,y,z``, a place in the world (MOT15, and results in its layout, mostly ``-1,-1,-1``); a class in the
         eighth column counts where the last two are -1 in every row
=======  ===================================================================================================
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from tracker.formats.columns import class_numbers, number_in, quote, reject
from tracker.formats.detections import Detections, pack
from tracker.formats.scores import to_chances

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["is_mot", "mot_classes", "mot_line", "mot_rows", "mot_table", "read_mot"]

NUMBERS = {"person": 1, "pedestrian": 1, "car": 3}
"""Class column by name, as MOTChallenge has it."""
COLUMNS = "frame,id,x,y,w,h,conf[,class[,visibility]]"
NAMES = ("frame", "id", "x", "y", "w", "h", "conf", "class", "visibility", "tenth")
MOST_COLUMNS = 10
WORLD = "the last three of ten columns are places in the world; no classes are read"

BoxRow = tuple[float, float, float, float, float, float, float, float]
"""``frame, id, x1, y1, x2, y2, conf, class``."""


def is_mot(line: str) -> bool:
    """Whether a line looks like MOTChallenge: commas, or nothing but numbers (some writers use blanks).

    >>> is_mot("1,-1,10,20,30,40"), is_mot("1 -1 10 20 30 40 0.5"), is_mot("1 0 2 2 2 1O3")
    (True, True, False)
    """
    if "," in line:
        return True
    try:
        [float(field) for field in line.split()]
    except ValueError:
        return False
    return True


def read_mot(path: Path, lines: Sequence[tuple[int, str]]) -> Detections:
    """The detections of a file whose ``(number, line)`` are given; rows without area are left out and counted.

    Raises:
        DetectionsError: A malformed line, an empty field, boxes that are not in pixels, scores of an unknown scale.
    """
    parsed = [(number, _values(path, number, line, least=7)) for number, line in lines]
    classes, notes = _classes(path, parsed)
    _refuse_fractions(path, parsed)
    kept = [n for n, (_, values) in enumerate(parsed) if values[4] > 0 and values[5] > 0]
    places = [parsed[n][0] for n in kept]
    chances, note = to_chances(path, np.array([parsed[n][1][6] for n in kept], np.float64), places)
    rows = []
    for n, score in zip(kept, chances.tolist(), strict=True):
        values = parsed[n][1]
        frame, _, x, y, width, height = values[:6]
        visibility = values[8] if len(values) == 9 else -1.0
        rows.append((frame, x, y, x + width, y + height, score, classes[n], visibility))
    notes = (*notes, note) if note else notes
    return pack(path, "mot", rows, places=places, skipped=len(parsed) - len(kept), notes=notes)


def mot_rows(path: Path, lines: Sequence[tuple[int, str]]) -> list[BoxRow]:
    """The rows of truth or of a result; ``conf`` is 1 and ``class`` -1 where the file has none.

    Raises:
        DetectionsError: As for :func:`read_mot`.
    """
    parsed = [(number, _values(path, number, line, least=6)) for number, line in lines]
    classes, _ = _classes(path, parsed)
    rows: list[BoxRow] = []
    for (_, values), class_id in zip(parsed, classes, strict=True):
        frame, identity, x, y, width, height = values[:6]
        conf = values[6] if len(values) > 6 else 1.0
        rows.append((frame, identity, x, y, x + width, y + height, conf, class_id))
    return rows


def mot_table(path: Path, lines: Sequence[tuple[int, str]]) -> NDArray[np.float64]:
    """The same as columns ``(R, 9)`` with ``visibility``, -1 where a line has none.

    Files whose lines are alike, as programs write them, are checked column by column, which takes a sixth of the time.

    Raises:
        DetectionsError: As for :func:`read_mot`.
    """
    table = _alike(lines)
    if table is None:
        seen = [_visibility(line) for _, line in lines]
        return np.column_stack([np.array(mot_rows(path, lines), np.float64).reshape(-1, 8), seen])
    found = np.full((len(table), 9), -1.0)
    found[:, 6] = 1.0
    found[:, : table.shape[1]] = table
    found[:, 4:6] += found[:, 2:4]
    return found


def _alike(lines: Sequence[tuple[int, str]]) -> NDArray[np.float64] | None:
    """The numbers of lines of 6 to 9 columns with commas; ``None`` where any of them needs a look by itself."""
    commas = {line.count(",") for _, line in lines}
    text = ",".join([line for _, line in lines])
    if len(commas) != 1 or not 6 <= (columns := commas.pop() + 1) <= 9 or not text.isascii() or "_" in text:
        return None
    try:
        table = np.array(list(map(float, text.split(",")))).reshape(-1, columns)
    except ValueError:
        return None
    numbers = table[:, (0, 1, 7) if columns > 7 else (0, 1)]
    usual = np.isfinite(table).all() and (numbers == np.rint(numbers)).all()
    usual &= (table[:, (0, 4, 5)] >= 0).all() and (np.abs(table[:, 1]) <= 2**53).all()
    return table if usual else None


def _visibility(line: str) -> float:
    """Of a line with nine columns; 0 is predicted and not seen, as this project writes it."""
    fields = line.split(",") if "," in line else line.split()
    return float(fields[8]) if len(fields) == 9 and fields[8].strip() else -1.0


def _values(path: Path, number: int, line: str, *, least: int) -> list[float]:
    """The numbers of one line, checked one by one."""
    if "," in line:
        fields = [field.strip() for field in line.split(",")]
        fields = fields[:-1] if not fields[-1] else fields  # a comma at the end is no further column
    else:
        fields = line.split()
    if not least <= len(fields) <= MOST_COLUMNS:
        _reject(path, number, f"{least} to 10 numbers {COLUMNS}", f"{len(fields)} in {quote(line)}", fields)
    values = _floats(line, fields)
    if not all(map(math.isfinite, values)):
        name, field = next(
            (name, field) for name, field, value in zip(NAMES, fields, values, strict=False) if not math.isfinite(value)
        )
        kind = "finite numbers" if _is_float(field) else "numbers"
        what = f"{field!r}" if field else "nothing"
        _reject(path, number, f"{kind} {COLUMNS}", f"{what} for {name} in {quote(line)}", fields)
    frame, identity, _, _, width, height = values[:6]
    if frame != int(frame) or frame < 0:
        _reject(path, number, "a whole frame number from 0", f"{fields[0]} in {quote(line)}", fields)
    if identity != int(identity) or abs(identity) > 2**53:
        _reject(path, number, "a whole number for id", f"{fields[1]} in {quote(line)}", fields)
    if width < 0 or height < 0:
        _reject(path, number, "a box of positive width and height", f"{width:g} x {height:g}", fields)
    return values


def _floats(line: str, fields: Sequence[str]) -> list[float]:
    """The numbers of the fields, not finite where one is none; most lines need no check of each."""
    if line.isascii() and "_" not in line:
        try:
            return [float(field) for field in fields]
        except ValueError:
            pass
    return [number_in(field) for field in fields]


def _is_float(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _reject(path: Path, number: int, expected: str, found: str, fields: Sequence[str]) -> NoReturn:
    """Refuse a line; one that looks like YOLO's ``class x y w h [score [id]]`` gets the remedy for that."""
    middle = [number_in(field) for field in fields[1:5]]
    if len(fields) in (5, 6, 7) and len(middle) == 4 and all(0 <= value <= 1 for value in middle):
        reject(
            path,
            number,
            expected,
            f"{found}, which looks like YOLO's class x y w h in 0..1",
            remedy=f"write {COLUMNS} in pixels, x,y the top left corner, one file for all frames",
        )
    reject(path, number, expected, found)


def _refuse_fractions(path: Path, parsed: Sequence[tuple[int, list[float]]]) -> None:
    """Boxes all within 0..1 are fractions of an image whose size the file does not say."""
    if not parsed:
        return
    boxes = np.array([values[2:6] for _, values in parsed])
    if (boxes >= 0).all() and (boxes <= 1).all() and (boxes != np.rint(boxes)).any():
        reject(
            path,
            parsed[0][0],
            "boxes in pixels",
            "all boxes of the file within 0..1",
            remedy="multiply them by the image's width and height",
        )


def _classes(path: Path, parsed: Sequence[tuple[int, list[float]]]) -> tuple[list[float], tuple[str, ...]]:
    """The class of each row, -1 where it has none, and what to say about the columns."""
    notes: tuple[str, ...] = ()
    wide = [(number, values) for number, values in parsed if len(values) == MOST_COLUMNS]
    named = False
    if wide:
        tails = np.array([values[7:] for _, values in wide])
        named = bool((tails[:, 1:] == -1).all() and (tails[:, 0] == np.rint(tails[:, 0])).all())
        if not named and (tails[:, 0] == np.rint(tails[:, 0])).all():
            place = int((tails[:, 1:] != -1).any(axis=1).argmax())
            reject(
                path,
                wide[place][0],
                "ten columns that end in a place in the world or in -1,-1",
                f"{', '.join(f'{value:g}' for value in tails[place])}, which may be a class or a place",
                remedy=f"write nine columns {COLUMNS.replace('[', '').replace(']', '')}",
            )
        notes = () if named else (WORLD,)
    classes = []
    for number, values in parsed:
        has_class = len(values) in (8, 9) or (len(values) == MOST_COLUMNS and named)
        class_id = values[7] if has_class else -1.0
        if class_id != int(class_id):
            reject(path, number, "a whole class number", f"{class_id:g}")
        classes.append(class_id)
    return classes, notes


def mot_classes(names: Sequence[str]) -> list[int]:
    """The class column of each of a model's classes: person or pedestrian 1, car 3, others the free numbers from 2.

    >>> mot_classes(["person", "bicycle", "car", "motorcycle", "bus", "truck"]), mot_classes(["Car", "helmet"])
    ([1, 2, 3, 4, 5, 6], [3, 2])
    """
    return class_numbers(names, NUMBERS)


def mot_line(
    frame: int,
    identity: int,
    box: tuple[float, float, float, float],
    *,
    score: float = 1.0,
    class_id: int = -1,
    visibility: float = -1.0,
) -> str:
    r"""``frame,id,x,y,w,h,conf,class,visibility``, with the line's end.

    Args:
        frame: Frame number, 1 for the first.
        identity: Identity, from 1.
        box: xyxy in image px.
        score: Confidence of the detection.
        class_id: Class column; -1 = none.
        visibility: Visible share; -1 = unknown, 0 = predicted but not seen.

    >>> mot_line(3, 7, (10.0, 20.5, 40.0, 80.0), score=0.75, class_id=1)
    '3,7,10.00,20.50,30.00,59.50,0.75,1,-1\n'
    """
    x1, y1, x2, y2 = box
    return f"{frame},{identity},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},{score:.6g},{class_id},{visibility:g}\n"
