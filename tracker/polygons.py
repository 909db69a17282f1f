"""Outlines and polylines as corners: area, and whether edges cross.

The plane has the picture's axes, ``x`` to the right and ``y`` down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Point = tuple[float, float]

__all__ = ["Point", "first_crossing", "polygon_area", "polygons_cross"]


def polygon_area(corners: Sequence[Point]) -> float:
    """Area of a simple polygon (shoelace formula).

    >>> polygon_area([(0, 0), (2, 0), (2, 1), (0, 1)])
    2.0
    """
    x, y = np.asarray(corners, np.float64).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def first_crossing(corners: Sequence[Point], *, closed: bool) -> tuple[int, int] | None:
    """The first two edges of a polyline or polygon that meet though they are no neighbours, or fold back; or ``None``.

    >>> first_crossing([(0, 0), (1, 1), (1, 0), (0, 1)], closed=True)
    (0, 2)
    """
    count = len(corners) if closed else len(corners) - 1
    ends = [(corners[number], corners[(number + 1) % len(corners)]) for number in range(count)]
    for first, second in _pairs(count):
        following = second == first + 1
        closing = closed and first == 0 and second == count - 1
        if following or closing:
            a, b = (ends[first], ends[second]) if following else (ends[second], ends[first])
            if _folds_back(a[0], a[1], b[1]):
                return first, second
        elif _meet(*ends[first], *ends[second]):
            return first, second
    return None


def convex_hull(points: Sequence[Point]) -> list[Point]:
    """Corners of the smallest convex polygon that holds all points, counter-clockwise as ``y`` goes up (Andrew 1979).

    >>> convex_hull([(0, 0), (2, 0), (1, 1), (2, 2), (0, 2)])
    [(0, 0), (2, 0), (2, 2), (0, 2)]
    """
    ordered = sorted(set(points))
    halves: list[list[Point]] = []
    for half in (ordered, ordered[::-1]):
        corners: list[Point] = []
        for point in half:
            while len(corners) > 1 and _turn(corners[-2], corners[-1], point) <= 0:
                corners.pop()
            corners.append(point)
        halves.append(corners[:-1])
    return halves[0] + halves[1]


def is_in_convex(corners: Sequence[Point], point: Point) -> bool:
    """Whether a point lies in a polygon of :func:`convex_hull`, its edges included."""
    return all(_turn(a, b, point) >= 0 for a, b in zip(corners, (*corners[1:], corners[0]), strict=True))


def _pairs(count: int) -> Iterator[tuple[int, int]]:
    return ((first, second) for first in range(count) for second in range(first + 1, count))


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _folds_back(a: Point, b: Point, c: Point) -> bool:
    """Whether ``b -> c`` lies on ``a -> b``."""
    return _turn(a, b, c) == 0 and (b[0] - a[0]) * (c[0] - b[0]) + (b[1] - a[1]) * (c[1] - b[1]) < 0


def _meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether two closed segments share a point."""
    turns = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if turns[0] * turns[1] < 0 and turns[2] * turns[3] < 0:
        return True
    ends: list[tuple[float, tuple[Any, Any], Any]] = [
        (turns[0], (a, b), c),
        (turns[1], (a, b), d),
        (turns[2], (c, d), a),
        (turns[3], (c, d), b),
    ]
    return any(turn == 0 and _between(edge[0], edge[1], point) for turn, edge, point in ends)


def _between(a: Point, b: Point, point: Point) -> bool:
    """Whether a point on the line through two others lies between them."""
    across = min(a[0], b[0]) <= point[0] <= max(a[0], b[0])
    return across and min(a[1], b[1]) <= point[1] <= max(a[1], b[1])


def polygons_cross(first: Sequence[Point], second: Sequence[Point]) -> tuple[int, int] | None:
    """The first two edges of two polygons that meet, or ``None``: one holds the other, or they are apart."""
    for a in range(len(first)):
        for b in range(len(second)):
            edge, other = (first[a - 1], first[a]), (second[b - 1], second[b])
            if _meet(*edge, *other):
                return (a - 1) % len(first), (b - 1) % len(second)
    return None
