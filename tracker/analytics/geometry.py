"""Plane geometry of many points against many edges: sides, distances, crossings, polygons.

The plane has the picture's axes, ``x`` to the right and ``y`` down, in picture heights, so that a distance is the same
in every direction. The left of an edge is the left-hand side of somebody who walks along it, as seen on the screen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]
Point = tuple[float, float]

__all__ = ["Edges", "Hits", "Point", "Polylines", "first_crossing", "polygon_area", "polygon_edges", "polygons_cross"]

TIE = 1e-9
"""Share by which the piece of a polyline that faces a point wins over one that only shares its nearest corner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """Where steps crossed edges, in order of step and edge.

    Attributes:
        rows: ``(H,)`` which step.
        edges: ``(H,)`` which edge.
        shares: ``(H,)`` how far along the step, 0..1.
        signs: ``(H,)`` 1 to the left of the edge, -1 to the right.
    """

    rows: Rows
    edges: Rows
    shares: Floats
    signs: Rows


class Edges:
    """Directed edges ``start -> end`` against which all points of a frame are tested at once.

    Args:
        start: ``(E, 2)`` in picture heights.
        end: ``(E, 2)``.
    """

    def __init__(self, start: Floats, end: Floats) -> None:
        self.start, self.end = start.reshape(-1, 2), end.reshape(-1, 2)
        self.along = self.end - self.start
        self.lengths = np.hypot(self.along[:, 0], self.along[:, 1])
        self._offset = self.along[:, 1] * self.start[:, 0] - self.along[:, 0] * self.start[:, 1]
        self._low, self._high = self.start[:, 1], self.end[:, 1]

    def __len__(self) -> int:
        return len(self.start)

    def sides(self, points: Floats) -> Floats:
        """Twice the signed area ``(N, E)`` of the triangle of edge and point; positive on the left of the edge.

        >>> Edges(np.array([[0.0, 0.0]]), np.array([[1.0, 0.0]])).sides(np.array([[0.5, -1.0], [0.5, 2.0]])).tolist()
        [[1.0], [-2.0]]
        """
        return np.asarray(points[:, :1] * self.along[:, 1] - points[:, 1:] * self.along[:, 0] - self._offset)

    def hits(self, before: Floats, after: Floats, sides_before: Floats, sides_after: Floats) -> Hits:
        """Where the steps ``before -> after`` cross edges.

        A step that ends on an edge ends on its left. A step through a corner that two edges share crosses exactly one
        of them where the corner lies between their other ends, and both, with opposite signs, or none where it does
        not: so counts over a polyline are those over its pieces.

        Args:
            before: ``(N, 2)``.
            after: ``(N, 2)``.
            sides_before: ``(N, E)`` of ``before``, as :meth:`sides` gives them.
            sides_after: ``(N, E)`` of ``after``.
        """
        left_before, left_after = sides_before >= 0, sides_after >= 0
        rows, edges = (left_before != left_after).nonzero()
        if len(rows):
            x, y = before[rows].T
            step_x, step_y = (after[rows] - before[rows]).T
            start, end = self.start[edges], self.end[edges]
            starts_left = step_y * (start[:, 0] - x) - step_x * (start[:, 1] - y) >= 0
            ends_left = step_y * (end[:, 0] - x) - step_x * (end[:, 1] - y) >= 0
            met = starts_left != ends_left
            rows, edges = rows[met], edges[met]
        first, second = sides_before[rows, edges], sides_after[rows, edges]
        return Hits(
            rows=rows, edges=edges, shares=first / (first - second), signs=np.where(second >= 0, 1, -1).astype(np.int64)
        )

    def below(self, points: Floats, sides: Floats) -> Flags:
        """Which edges of polygons, made by :func:`polygon_edges`, a ray to the right of each point meets: ``(N, E)``.

        A point is inside a polygon where the number is odd. Of two polygons with a common edge exactly one holds a
        point on it.
        """
        y = points[:, 1:]
        return np.asarray(((self._low > y) != (self._high > y)) & (sides < 0))


def polygon_edges(corners: Sequence[Point] | Floats) -> tuple[Floats, Floats]:
    """Starts and ends ``(E, 2)`` of a closed polygon's edges, each from its upper to its lower end.

    Neighbours that share an edge get the same numbers for it, whichever way round they are drawn.
    """
    start = np.asarray(corners, np.float64).reshape(-1, 2)
    end = np.roll(start, -1, axis=0)
    swap = (start[:, 1] > end[:, 1]) | ((start[:, 1] == end[:, 1]) & (start[:, 0] > end[:, 0]))
    return np.where(swap[:, None], end, start), np.where(swap[:, None], start, end)


class Polylines:
    """Signed distances of points to polylines whose ends are prolonged to infinity.

    Args:
        polylines: Corners ``(P, 2)`` of each, in picture heights.
    """

    def __init__(self, polylines: Sequence[Floats]) -> None:
        pieces = [(line[:-1], line[1:]) for line in polylines]
        none = np.zeros((0, 2))
        self.edges = Edges(
            np.concatenate([none, *(start for start, _ in pieces)]), np.concatenate([none, *(end for _, end in pieces)])
        )
        counts = [len(start) for start, _ in pieces]
        self.owners: Rows = np.repeat(np.arange(len(pieces)), counts)
        """``(E,)`` which polyline each edge belongs to."""
        last = np.cumsum(counts, dtype=np.int64)
        first = last - np.array(counts, np.int64)
        self._lowest, self._highest = np.zeros(len(self.edges)), np.ones(len(self.edges))
        self._lowest[first], self._highest[last - 1] = -np.inf, np.inf
        self._straight = all(count == 1 for count in counts)
        # Short polylines repeat their last piece.
        self._pieces = np.minimum(first[:, None] + np.arange(max(counts, default=1)), (last - 1)[:, None])
        along, lengths = self.edges.along, self.edges.lengths
        self._unit = along / (lengths**2)[:, None]
        self._offset = (self._unit * self.edges.start).sum(axis=1)

    def distances(self, points: Floats, sides: Floats) -> Floats:
        """Signed distances ``(N, L)``, positive on the left.

        Args:
            points: ``(N, 2)``.
            sides: ``(N, E)`` of the pieces, as :meth:`Edges.sides` gives them.
        """
        across = sides / self.edges.lengths
        if self._straight:
            return np.asarray(across)
        share = points[:, :1] * self._unit[:, 0] + points[:, 1:] * self._unit[:, 1] - self._offset
        past = (share - np.clip(share, self._lowest, self._highest)) * self.edges.lengths
        squared = across**2 + past**2
        score = (squared - TIE * across**2)[:, self._pieces]  # (N, L, K)
        nearest = self._pieces[np.arange(len(self._pieces)), score.argmin(axis=2)]  # (N, L)
        row = np.arange(len(points))[:, None]
        return np.asarray(np.copysign(np.sqrt(squared[row, nearest]), across[row, nearest]))


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
