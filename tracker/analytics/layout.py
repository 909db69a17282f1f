"""Layout of a site in the plane: its lines and zones as edges, and where any number of points lie at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tracker.analytics.geometry import Edges
from tracker.analytics.lines import UNKNOWN
from tracker.analytics.steps import Marks, Passed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracker.analytics.geometry import Flags, Floats, Hits
    from tracker.analytics.lines import Lines
    from tracker.analytics.zones import Zones

__all__ = ["Layout"]


class Layout:
    """Lines and zones of a site as edges, against which all points are tested at once.

    Args:
        lines: Of the site.
        zones: The same.
    """

    def __init__(self, lines: Lines, zones: Zones) -> None:
        self._lines, self._zones = lines, zones
        pieces, edges = lines.edges.edges, zones.edges
        self._pieces = len(pieces)
        self._edges = Edges(np.concatenate([pieces.start, edges.start]), np.concatenate([pieces.end, edges.end]))
        self.known: NDArray[np.int8] = np.zeros((0, lines.count + zones.count), np.int8)
        """``(S, L + Z)`` by slot, ``Marks.codes`` of a sight that tells nothing new."""
        self._owners: Sequence[int] = [*lines.edges.owners.tolist(), *zones.owners.tolist()]

    def reserve(self, slots: int) -> None:
        """Make room for identities."""
        count, more = self._lines.count, slots - len(self.known)
        new = np.zeros((more, self.known.shape[1]), np.int8)
        new[:, :count] = UNKNOWN
        self.known = np.concatenate([self.known, new])
        self._lines.reserve(self.known[:, :count])
        self._zones.reserve(self.known[:, count:])

    def marks(self, points: Floats, heights: Floats, middles: Floats) -> tuple[Marks, Floats]:
        """Where sights ``(N, 2)`` lie, and their sides ``(N, E)`` of the edges.

        Args:
            points: In picture heights.
            heights: ``(N,)`` of the objects.
            middles: ``(N,)`` twice the middles of their widths.
        """
        sides = self._edges.sides(points)
        distances = self._lines.edges.distances(points, sides[:, : self._pieces])
        count = distances.shape[1]
        codes = np.empty((len(points), count + self._zones.count), np.int8)
        codes[:, :count] = self._lines.beyond(distances, heights)
        codes[:, count:] = self._zones.holds(points, sides[:, self._pieces :])
        marks = Marks(
            points=points,
            heights=heights,
            middles=middles,
            distances=distances,
            codes=codes,
            beyond=codes[:, :count],
            inside=codes[:, count:],
        )
        return marks, sides

    def compare(self, marks: Marks) -> None:
        """Find out now for all sights what is otherwise found for those that ask."""
        marks.on_both = self._lines.on_both(marks)

    def hits(self, before: Floats, after: Floats, sides: Floats) -> Hits:
        """Where steps cross edges.

        Args:
            before: ``(N, 2)`` in picture heights.
            after: ``(N, 2)``.
            sides: ``(N, E)`` of ``after``.
        """
        return self._edges.hits(before, after, self._edges.sides(before), sides)

    def passed(self, hits: Hits, cuts: Sequence[int], *, first: Flags | None = None) -> dict[int, Passed]:
        """What the steps of frames passed, by frame; those without a crossing are left out.

        Args:
            hits: Of the steps of all frames.
            cuts: Where the steps of each frame begin.
            first: ``(N,)`` which steps are first sights: stays are not continued over an identity switch, a first sight
                is where one begins.
        """
        if not len(hits.rows):
            return {}
        found: dict[int, Passed] = {}
        frames: Sequence[int] = [0] * len(hits.rows)
        if len(cuts) > 2:
            frames = (np.searchsorted(np.asarray(cuts), hits.rows, side="right") - 1).tolist()
        parts = (hits.rows.tolist(), hits.edges.tolist(), hits.shares.tolist(), hits.signs.tolist())
        for frame, row, edge, share, sign in zip(frames, *parts, strict=True):
            passed = found.setdefault(frame, Passed())
            key = row - cuts[frame], self._owners[edge]
            if edge < self._pieces:
                net, latest = passed.lines.get(key, (0, 0.0))
                passed.lines[key] = net + sign, max(latest, share)
            elif first is None or not first[row]:
                passed.zones.setdefault(key, []).append(share)
        return found
