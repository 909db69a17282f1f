"""Turning movements of an intersection as TRAFFIX reads them: a node and twelve volumes a line, separated by blanks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MOVEMENTS", "movement_between", "movement_named", "volume_line"]

MOVEMENTS = tuple(f"{heading}b{turn}" for heading in "nsew" for turn in "LTR")
"""Columns behind the node: left, through and right of the northbound, southbound, eastbound and westbound approach."""

_SIDES = {"n": 0, "e": 1, "s": 2, "w": 3} | {"north": 0, "east": 1, "south": 2, "west": 3}
_HEADINGS = "nesw"


def movement_named(name: str) -> str | None:
    """The movement that a name says, as ``nbL``, ``NBL`` or ``nb left``; ``None`` for others.

    >>> movement_named("NBL"), movement_named("wb through"), movement_named("north to south")
    ('nbL', 'wbT', None)
    """
    found = re.fullmatch(r"([nsew])b[ _-]*(l|t|r|left|through|thru|right)", name.strip().lower())
    return None if found is None else f"{found[1]}b{found[2][0].upper()}"


def movement_between(start: str, end: str) -> str | None:
    """The movement from one side of the intersection to another; ``None`` for U-turns and other names.

    What comes from the south is northbound.

    >>> movement_between("south", "west"), movement_between("N", "S"), movement_between("east", "east")
    ('nbL', 'sbT', None)
    """
    sides = [_SIDES.get(name.strip().lower()) for name in (start, end)]
    if sides[0] is None or sides[1] is None or sides[0] == sides[1]:
        return None
    heading = (sides[0] + 2) % 4
    turn = {0: "T", 1: "R", 3: "L"}[(sides[1] - heading) % 4]
    return f"{_HEADINGS[heading]}b{turn}"


def volume_line(node: int, volumes: Mapping[str, int]) -> str:
    """The line of an intersection; movements that are not given were not counted: ``-``, since columns have no names.

    >>> volume_line(7, {"nbL": 12, "nbT": 0, "wbR": 3})
    '7 12 0 - - - - - - - - - 3'
    """
    return " ".join(map(str, (node, *(volumes.get(movement, "-") for movement in MOVEMENTS))))
