"""Approaches: times that an identity spent near a line or zone, with what was counted in them and what would have been.

Distances are in picture heights, to the line itself and not to its prolongation, and 0 inside a zone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tracker.analytics.geometry import Edges, polygon_edges

if TYPE_CHECKING:
    from tracker.analytics.geometry import Floats, Rows
    from tracker.analytics.relaxed import Relaxation
    from tracker.site import Site

__all__ = ["Approach", "Distances", "PathPoint", "Sketch", "Would", "joined"]

MERGE_S = 3.0
"""Two times near a place that are less apart are one approach."""
MOST_APPROACHES = 16
"""Of one identity at one place that are undecided; beyond, the two oldest become one."""
SKETCH_POINTS = 64
SKETCH_STEP = 0.004
"""Shortest step of a sketch at first, in picture heights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathPoint:
    """A point of an identity's path.

    Attributes:
        time_s: Media time.
        x, y: Ground contact as shares of the picture's width and height.
        seen: Whether the contact was; else it was hidden or predicted.
    """

    time_s: float
    x: float
    y: float
    seen: bool = True


@dataclass(slots=True, kw_only=True)
class Would:
    """What a relaxed site counted during an approach.

    Attributes:
        count: How often.
        net: To the left less to the right; for zones the entries.
        at: Of the first one.
        direction: Of the first one.
    """

    count: int
    net: int
    at: PathPoint
    direction: str


@dataclass(slots=True, kw_only=True)
class Approach:
    """A time that one identity spent near one place.

    Attributes:
        from_s, to_s: Its ends.
        distance: The shortest one, of seen contacts if there is any; infinite before any.
        nearest: Where that was.
        counted: How often the place counted it.
        net: To the left less to the right; for zones the entries.
        would: By relaxation.
    """

    from_s: float
    to_s: float
    distance: float = np.inf
    nearest: PathPoint | None = None
    counted: int = 0
    net: int = 0
    would: dict[Relaxation, Would] = field(default_factory=dict)

    def come(self, distance: float, point: PathPoint) -> None:
        """Take a place on the path; one whose contact was seen comes before any other."""
        if self.nearest is None or (point.seen, -distance) > (self.nearest.seen, -self.distance):
            self.distance, self.nearest = distance, point

    def merge(self, other: Approach) -> None:
        """Take a later part, or an earlier one, of the same approach."""
        self.from_s, self.to_s = min(self.from_s, other.from_s), max(self.to_s, other.to_s)
        if other.nearest is not None:
            self.come(other.distance, other.nearest)
        self.counted, self.net = self.counted + other.counted, self.net + other.net
        for relaxation, more in other.would.items():
            own = self.would.get(relaxation)
            if own is None:
                self.would[relaxation] = more
                continue
            first = min(own, more, key=lambda one: one.at.time_s)
            self.would[relaxation] = Would(
                count=own.count + more.count, net=own.net + more.net, at=first.at, direction=first.direction
            )


def joined(approaches: list[Approach], new: Approach) -> None:
    """Add to an identity's approaches to one place, ordered by time: those that meet become one."""
    met = [one for one in approaches if one.from_s - MERGE_S <= new.to_s and new.from_s - MERGE_S <= one.to_s]
    for one in met:
        approaches.remove(one)
    # The oldest takes the others, so that an approach that lasts for hours is one object.
    whole = met[0] if met else new
    for one in [*met[1:], *([new] if met else [])]:
        whole.merge(one)
    approaches.append(whole)
    approaches.sort(key=lambda one: one.from_s)
    while len(approaches) > MOST_APPROACHES:
        approaches[0].merge(approaches.pop(1))


class Sketch:
    """An identity's path with few points: as it grows, every second one goes and steps become longer."""

    __slots__ = ("_last", "_points", "_step")

    def __init__(self) -> None:
        self._points: list[PathPoint] = []
        self._last: PathPoint | None = None
        self._step = SKETCH_STEP

    def add(self, point: PathPoint, aspect: float) -> None:
        """Take the next place; ``aspect`` is the picture's width over its height."""
        self._last = point
        if self._points:
            last = self._points[-1]
            moved = float(np.hypot((point.x - last.x) * aspect, point.y - last.y))
            if moved < self._step and point.seen == last.seen:
                return
        self._points.append(point)
        if len(self._points) > SKETCH_POINTS:
            del self._points[1::2]
            self._step *= 2

    def between(self, from_s: float, to_s: float) -> tuple[PathPoint, ...]:
        """The points of a time, and one on either side of it."""
        points = self._points
        if self._last is not None and self._last is not points[-1]:
            points = [*points, self._last]
        inside = [number for number, point in enumerate(points) if from_s <= point.time_s <= to_s]
        if not inside:
            return ()
        return tuple(points[max(inside[0] - 1, 0) : inside[-1] + 2])


class Distances:
    """Distances of many points to all lines and zones of a site.

    Args:
        site: Its lines come first, then its zones.
        aspect: Width over height of the picture.
    """

    def __init__(self, site: Site, *, aspect: float) -> None:
        starts, ends, owners = [np.zeros((0, 2))], [np.zeros((0, 2))], []
        for number, line in enumerate(site.lines):
            corners = np.array(line.points) * (aspect, 1.0)
            starts.append(corners[:-1])
            ends.append(corners[1:])
            owners += [number] * (len(corners) - 1)
        self._zones_from = len(owners)
        for number, zone in enumerate(site.zones, len(site.lines)):
            for polygon in zone.polygons:
                start, end = polygon_edges(np.array(polygon) * (aspect, 1.0))
                starts.append(start)
                ends.append(end)
                owners += [number] * len(start)
        self._edges = Edges(np.concatenate(starts), np.concatenate(ends))
        self._firsts: Rows = np.flatnonzero(np.diff(np.array(owners, np.int64), prepend=-1))
        self._lines = len(site.lines)
        self.count = len(site.lines) + len(site.zones)

    def of(self, points: Floats) -> Floats:
        """``(N, P)`` of points ``(N, 2)`` in picture heights, to each place."""
        if not self.count:
            return np.zeros((len(points), 0))
        edges = self._edges
        away = points[:, None] - edges.start  # (N, E, 2)
        share = np.clip((away * edges.along).sum(axis=2) / edges.lengths**2, 0.0, 1.0)
        away -= share[:, :, None] * edges.along
        nearest = np.minimum.reduceat(np.hypot(away[:, :, 0], away[:, :, 1]), self._firsts, axis=1)
        if self._lines < self.count:
            met = edges.below(points, edges.sides(points))
            inside = np.add.reduceat(met, self._firsts, axis=1, dtype=np.int64) % 2 == 1
            inside[:, : self._lines] = False
            nearest[inside] = 0.0
        return np.asarray(nearest)
