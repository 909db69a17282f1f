"""Plane geometry of many points against many edges: sides, distances, crossings, polygons.

The plane has the picture's axes, ``x`` to the right and ``y`` down, in picture heights, so that a distance is the same
in every direction. The left of an edge is the left-hand side of somebody who walks along it, as seen on the screen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.polygons import Point

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

__all__ = ["Edges", "Hits", "Polylines", "polygon_edges"]

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

    def chosen(self, wanted: Flags, *, offset: int = 0) -> Hits:
        """Some of them ``(H,)``, with edges counted from ``offset``."""
        if not len(self.rows):
            return self
        return Hits(
            rows=self.rows[wanted],
            edges=self.edges[wanted] - offset,
            shares=self.shares[wanted],
            signs=self.signs[wanted],
        )


NO_HITS = Hits(rows=np.zeros(0, np.int64), edges=np.zeros(0, np.int64), shares=np.zeros(0), signs=np.zeros(0, np.int64))


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
        if not len(rows):
            return NO_HITS
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
        self._firsts = first = last - np.array(counts, np.int64)
        self._lowest, self._highest = np.zeros(len(self.edges)), np.ones(len(self.edges))
        self._lowest[first], self._highest[last - 1] = -np.inf, np.inf
        self._straight = all(count == 1 for count in counts)
        # Short polylines repeat their last piece.
        self._pieces = np.minimum(first[:, None] + np.arange(max(counts, default=1)), (last - 1)[:, None])
        along, lengths = self.edges.along, self.edges.lengths
        self._unit = along / (lengths**2)[:, None]
        self._offset = (self._unit * self.edges.start).sum(axis=1)

    def beyond(self, points: Floats, sides: Floats, bands: Floats) -> NDArray[np.int8]:
        """On which side of each polyline the points are, beyond its band: 1 left, -1 right, 0 within; ``(N, L)``.

        A point that is beyond the band of all pieces, on one side of them, is so of the polyline; only for others are
        distances taken.

        Args:
            points: ``(N, 2)``.
            sides: ``(N, E)`` of the pieces, as :meth:`Edges.sides` gives them.
            bands: ``(L,)`` half widths.
        """
        if not len(self.edges):
            return np.zeros((len(points), 0), np.int8)
        limits = bands[self.owners] * self.edges.lengths
        left = np.logical_and.reduceat(sides >= limits, self._firsts, axis=1)
        right = np.logical_and.reduceat(sides <= -limits, self._firsts, axis=1)
        found = left.view(np.int8) - right.view(np.int8)
        if self._straight:
            return np.asarray(found)
        rows = np.unique((found == 0).nonzero()[0])
        if len(rows):
            near = self.distances(points[rows], sides[rows])
            found[rows] = (near >= bands).view(np.int8) - (near <= -bands).view(np.int8)
        return np.asarray(found)

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
