"""What a row of JSON Lines must not hold: values of another kind than the record's, which Python would convert."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracker.errors import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["fault_of"]

LARGEST = 2**63 - 1


def fault_of(row: Mapping[str, Any]) -> str:
    """What is wrong with the kind or range of a row's values, in words; empty where nothing is.

    Whole numbers may be written as ``3.0``, as tables with gaps have them. Keys that are missing are not looked at, nor
    rows without identity and those of ledgers of events.

    Args:
        row: As JSON gives it.

    >>> fault_of({"frame": 3, "id": "7"})
    "expected a whole number from 0 as id, found '7'"
    >>> fault_of({"frame": 3.0, "id": 7, "box": [0, 0, 4.5, 9]})
    ''
    """
    if ("key" in row and "kind" in row) or row.get("id", 0) is None:
        return ""
    for name, (expected, fits) in _KINDS.items():
        if name in row and not fits(row[name]):
            return f"expected {expected} as {name}, found {shown(row[name])}"
    return ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= LARGEST and value == int(value)


def _are(count: int, fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and len(value) == count and all(map(fits, value))


def _or_null(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "frame": ("a whole number from 0", _is_whole),
    "time_s": ("a number", _is_number),
    "id": ("a whole number from 0", _is_whole),
    "class": ("a name", lambda value: isinstance(value, str) and value != ""),
    "class_then": ("a name", _or_null(lambda value: isinstance(value, str))),
    "box": ("four numbers", _are(4, _is_number)),
    "contact": ("two numbers", _or_null(_are(2, _or_null(_is_number)))),
    "coasting": ("true or false", _or_null(lambda value: isinstance(value, int | float) and value in {0, 1})),
    "age_s": ("a number", _or_null(_is_number)),
    "notes": ("an object", _or_null(lambda value: isinstance(value, dict | str))),
}
