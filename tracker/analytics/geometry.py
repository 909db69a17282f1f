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
        self._along_x, self._along_y = self.along.T.copy()
        self._offset = self._along_y * self.start[:, 0] - self._along_x * self.start[:, 1]
        self._low, self._high = self.start[:, 1].copy(), self.end[:, 1].copy()
        self._ends = np.stack([self.start, self.end])  # (2, E, 2)

    def __len__(self) -> int:
        return len(self.start)

    def sides(self, points: Floats) -> Floats:
        """Twice the signed area ``(N, E)`` of the triangle of edge and point; positive on the left of the edge.

        >>> Edges(np.array([[0.0, 0.0]]), np.array([[1.0, 0.0]])).sides(np.array([[0.5, -1.0], [0.5, 2.0]])).tolist()
        [[1.0], [-2.0]]
        """
        found: Floats = points[:, :1] * self._along_y
        found -= points[:, 1:] * self._along_x
        found -= self._offset
        return found

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
        begun = before.take(rows, 0)
        step_x, step_y = (after.take(rows, 0) - begun).T
        ends = self._ends.take(edges, 1) - begun
        starts_left, ends_left = step_y * ends[:, :, 0] - step_x * ends[:, :, 1] >= 0
        met = (starts_left != ends_left).nonzero()[0]
        if not len(met):
            return NO_HITS
        rows, edges = rows.take(met), edges.take(met)
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
        met: Flags = (self._low > y) != (self._high > y)
        met &= sides < 0
        return met


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
        self._alike = len(set(counts)) == 1
        """All have the same number of pieces."""
        # Short polylines repeat their last piece.
        self._pieces = np.minimum(first[:, None] + np.arange(max(counts, default=1)), (last - 1)[:, None])
        along, lengths = self.edges.along, self.edges.lengths
        unit = along / (lengths**2)[:, None]
        self._unit_x, self._unit_y = unit.T.copy()
        self._offset = (unit * self.edges.start).sum(axis=1)

    def distances(self, points: Floats, sides: Floats) -> Floats:
        """Signed distances ``(N, L)``, positive on the left.

        Args:
            points: ``(N, 2)``.
            sides: ``(N, E)`` of the pieces, as :meth:`Edges.sides` gives them.
        """
        across = sides / self.edges.lengths
        lines, most = self._pieces.shape
        if most == 1:
            return np.asarray(across)
        share = points[:, :1] * self._unit_x
        share += points[:, 1:] * self._unit_y
        share -= self._offset
        share -= np.minimum(np.maximum(share, self._lowest), self._highest)
        share *= self.edges.lengths  # past the ends
        across_squared = across * across
        squared = across_squared + share * share
        score = squared - TIE * across_squared
        shape = len(points), lines, most  # (N, L, K)
        # The pieces of a polyline follow each other, and so do the polylines.
        if self._alike:
            nearest = score.reshape(shape).argmin(axis=2)  # (N, L)
            nearest += np.arange(0, score.size, most).reshape(shape[:2])
        else:
            nearest = score[:, self._pieces].argmin(axis=2) + self._pieces[:, 0]
            nearest += np.arange(0, score.size, len(self.edges))[:, None]
        return np.asarray(np.copysign(np.sqrt(squared.take(nearest)), across.take(nearest)))
