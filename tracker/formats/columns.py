"""Fields of text records: the text of a file, its lines, and numbers checked before they are used."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tracker.errors import DetectionsError, SourceError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

__all__ = ["class_numbers", "lines_of", "number_in", "quote", "read_text", "reject", "whole_in"]

GREATEST_PX = 1e7
"""Coordinates beyond are no pixels."""
GREATEST_NUMBER = 2**31 - 1
"""Largest frame, class or image number; identities of all known files are smaller too."""


def read_text(path: str | Path) -> str:
    """A file's text: UTF-8, with or without the byte order mark that spreadsheets write.

    Raises:
        SourceError: It cannot be read.
        DetectionsError: It is binary, or in another encoding; the latter names ``file:line``.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(path, f"cannot be read: {error.strerror}", "check the path and its permissions") from error
    if b"\0" in data:
        raise DetectionsError(
            path,
            "expected a text file in UTF-8, found binary data or UTF-16",
            "name a MOT, MOTS, KITTI or COCO file, saved as UTF-8",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DetectionsError(
            f"{path}:{line}",
            f"expected text in UTF-8, found the byte 0x{data[error.start]:02x} (Latin-1 or binary data)",
            "save the file as UTF-8",
        ) from error


def lines_of(text: str) -> list[tuple[int, str]]:
    """The lines that are not blank, with their numbers from 1."""
    return [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def number_in(field: str) -> float:
    """The number that a field says, NaN where it says none; Python's ``1_0`` and other scripts' digits are none.

    >>> number_in("0.5"), number_in("1_0"), number_in("inf")
    (0.5, nan, nan)
    """
    try:
        value = float(field) if field.isascii() and "_" not in field else math.nan
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def whole_in(field: str) -> int | None:
    """The whole number that a field says, within 32 bits; ``None`` where it says none.

    >>> whole_in("12"), whole_in("12.0"), whole_in("12.5"), whole_in("9" * 30)
    (12, 12, None, None)
    """
    value = number_in(field)
    return int(value) if abs(value) <= GREATEST_NUMBER and value == int(value) else None


def class_numbers(names: Sequence[str], known: Mapping[str, int], *, reserved: Collection[int] = ()) -> list[int]:
    """The class column of each of a model's classes: by name where the format has a number, else the next free one.

    Args:
        names: In ``class_ids`` order.
        known: The format's numbers by name, in small letters.
        reserved: Numbers with another meaning in the format; those of ``known`` are reserved in any case.

    >>> class_numbers(["person", "bicycle", "car", "bus"], {"car": 1, "person": 2, "pedestrian": 2}, reserved=[10])
    [2, 3, 1, 4]
    """
    taken = {*known.values(), *reserved}
    free = (number for number in range(1, len(names) + len(taken) + 1) if number not in taken)
    return [known[name.lower()] if name.lower() in known else next(free) for name in names]


def quote(text: str) -> str:
    """A line for a message, cut to 60 characters."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def reject(
    path: Path, place: int, expected: str, found: str, *, unit: str = "", remedy: str = "correct or remove the line"
) -> NoReturn:
    """Refuse a line, or with ``unit`` another part of a file.

    Raises:
        DetectionsError: Always.
    """
    if unit and remedy == "correct or remove the line":
        remedy = f"correct the {unit.strip()}"
    raise DetectionsError(f"{path}:{unit}{place}", f"expected {expected}, found {found}", remedy)
