"""What the parts of a site are checked for: names, points in the picture, outlines, numbers, references to lines."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tracker.errors import ConfigError
from tracker.polygons import Point, first_crossing, polygon_area

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "SMALLEST_AREA",
    "check_direction",
    "check_number",
    "check_points",
    "check_polygon",
    "check_unique",
    "edge_numbers",
    "named",
    "self_crossing",
]

SMALLEST_AREA = 1e-6
"""Of a polygon, as a share of the picture; 2 pixels of 1080p."""


def named(kind: str, name: str) -> str:
    """``kind 'name'`` for errors; refuses names that cannot be told apart or written in one row."""
    if not name or name != name.strip() or not name.isprintable():
        raise ConfigError(kind, f"expected a name of printable characters, found {name!r}", "name it")
    return f"{kind} {name!r}"


def check_unique(kind: str, names: Iterable[str]) -> None:
    """Refuse a name that stands there twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ConfigError(f"{kind} {name!r}", "expected each name once, found it twice", "rename one of the two")
        seen.add(name)


def check_points(offender: str, points: Sequence[Point], *, least: int) -> None:
    """Refuse points outside the picture, two on one place, and too few of them."""
    if len(points) < least:
        raise ConfigError(offender, f"expected {least} points or more, found {len(points)}", "add points")
    for number, (x, y) in enumerate(points, start=1):
        if not (0 <= x <= 1 and 0 <= y <= 1):
            problem = f"expected x and y from 0 to 1, found ({x:g}, {y:g}) as point {number}, outside the picture"
            raise ConfigError(offender, problem, "divide pixels by the picture's width and height")
        if number > 1 and (x, y) == points[number - 2]:
            problem = f"expected points that differ, found points {number - 1} and {number} on one place"
            raise ConfigError(offender, problem, "remove one of them")


def check_polygon(offender: str, points: Sequence[Point]) -> None:
    """Refuse an outline that crosses itself, repeats its first corner or has no area."""
    check_points(offender, points, least=3)
    if points[0] == points[-1]:
        problem = "expected each corner once, found the first one again as the last"
        raise ConfigError(offender, problem, "remove the last point; polygons close by themselves")
    if crossing := first_crossing(points, closed=True):
        raise self_crossing(offender, crossing)
    if polygon_area(points) < SMALLEST_AREA:
        raise ConfigError(offender, "expected a polygon with an area, found a line", "draw it larger")


def self_crossing(offender: str, edges: tuple[int, int]) -> ConfigError:
    """The error of an outline or polyline that crosses itself."""
    problem = f"expected edges that do not cross, found that edges {edge_numbers(edges)} do"
    return ConfigError(offender, problem, "put the corners in order along the outline")


def edge_numbers(edges: tuple[int, int]) -> str:
    """Edges as people count them.

    >>> edge_numbers((0, 2))
    '1 and 3'
    """
    return f"{edges[0] + 1} and {edges[1] + 1}"


def check_number(offender: str, what: str, value: float, *, least: float = 0.0, most: float = math.inf) -> None:
    """Refuse a number beyond its limits, or none at all."""
    if not (math.isfinite(value) and least <= value <= most):
        limits = f"from {least:g}" + (f" to {most:g}" if math.isfinite(most) else "")
        raise ConfigError(offender, f"expected {what} {limits}, found {value:g}", f"change {what}")


def check_direction(offender: str, lines: Mapping[str, tuple[str, str]], name: str, direction: str) -> None:
    """Refuse a line that is not there, or that has no such direction.

    Args:
        offender: What names it.
        lines: Both directions of each line of the site.
        name: Of the line.
        direction: Empty = either.
    """
    if name not in lines:
        known = ", ".join(lines) or "none"
        raise ConfigError(offender, f"expected one of the site's lines ({known}), found {name!r}", "name one of them")
    if direction and direction not in lines[name]:
        known = " and ".join(lines[name])
        raise ConfigError(offender, f"expected a direction of line {name!r}, {known}, found {direction!r}", "rename it")
