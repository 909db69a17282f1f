"""Sections: what is measured of each passage over a line, as speed, headway and time gap.

One value per passage, at the instant at which the line was crossed. A passage of which the speed's standard error is
more than a tenth has no speed and no headway: its row of the crossing stands alone. Headways are from front to front of
two that follow each other on one lane, which is the width of a lane about the place where the line was crossed.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tracker.analytics.footprints import footprint

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from tracker.analytics.footprints import Footprint
    from tracker.analytics.geometry import Floats
    from tracker.analytics.ground_paths import GroundPaths, Motion
    from tracker.ground import Ground
    from tracker.site import Line, Site
    from tracker.traffic import RoadUser

__all__ = ["LARGEST_ERROR", "Crossed", "Leader", "Passage", "Sections"]

LARGEST_ERROR = 0.1
"""Standard error of a speed as a share of it, above which it is not told."""
AFTER_S = 0.5
"""Half of the window of a speed: a passage is measured so long after the line was crossed."""
LANE_M = 1.75
"""Half a lane: what follows within it is on the same one."""
LATEST_S = 120.0
"""A longer time since the one before is no headway."""
LEAST_ACROSS = 0.2
"""Sine of the angle between way and line below which something goes along the line."""
MOST_LEADERS = 24
"""Last passages that are kept of a line and direction: so many lanes side by side."""


class Crossed(NamedTuple):
    """What a section takes from the row of a crossing."""

    place: str
    direction: str
    identity: int
    class_name: str
    time_s: float
    bridged: bool


class Leader(NamedTuple):
    """A passage that others may follow: when its front and its rear were on the line, and where, in metres."""

    identity: int
    front_s: float
    rear_s: float
    x_m: float
    y_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A passage with what was measured of it.

    Attributes:
        crossed: The crossing.
        motion: At that time.
        stands: The footprint then.
        ahead_m: From its middle to the line, along its way; ``None`` where it goes along the line.
    """

    crossed: Crossed
    motion: Motion
    stands: Footprint
    ahead_m: float | None

    @property
    def as_leader(self) -> Leader | None:
        """When its ends were on the line, at the speed that it had."""
        if self.ahead_m is None:
            return None
        moment, speed, half = self.crossed.time_s, self.motion.speed_m_s, self.stands.length_m / 2
        return Leader(
            identity=self.crossed.identity,
            front_s=moment + (self.ahead_m - half) / speed,
            rear_s=moment + (self.ahead_m + half) / speed,
            x_m=self.stands.x_m,
            y_m=self.stands.y_m,
        )


class Sections:
    """Passages over the lines of a site that measure something.

    Args:
        site: Its lines.
        ground: Of the site.
        body_of: Size of an identity, which has a class.
        paths: Of identities on the ground.
    """

    def __init__(self, site: Site, ground: Ground, body_of: Callable[[int, str], RoadUser], paths: GroundPaths) -> None:
        self._lines: dict[str, Line] = {line.name: line for line in site.lines if line.measures}
        self._ground, self._body_of, self._paths = ground, body_of, paths
        self._shapes = {name: ground.to_metres(np.array(line.points)) for name, line in self._lines.items()}
        self._waiting: list[Crossed] = []
        self._leaders: dict[tuple[str, str], list[Leader]] = {}

    def note(self, crossed: Crossed) -> None:
        """A line was crossed."""
        if crossed.place in self._lines:
            self._waiting.append(crossed)

    def asks(self, place: str, what: str) -> bool:
        """Whether a line measures something."""
        return what in self._lines[place].measures

    def due(self, time_s: float, size: tuple[int, int], *, gone: Container[int] = ()) -> list[Passage]:
        """Passages that can be measured now and are known well enough, in order of time.

        Args:
            time_s: Now; infinite at the end of the stream.
            size: Of the picture in pixels.
            gone: Identities that ended: nothing more will be seen of them.
        """
        ready = [one for one in self._waiting if time_s >= one.time_s + AFTER_S or one.identity in gone]
        if not ready:
            return []
        self._waiting = [one for one in self._waiting if one not in ready]
        found = (self._measured(one, size) for one in sorted(ready, key=lambda one: (one.time_s, one.identity)))
        return [passage for passage in found if passage is not None]

    def leader(self, passage: Passage) -> Leader | None:
        """The passage before on the same lane; ``passage`` is the one before from now on."""
        now = passage.as_leader
        if now is None:
            return None
        key = passage.crossed.place, passage.crossed.direction
        held = [one for one in self._leaders.get(key, ()) if now.front_s - one.front_s <= LATEST_S]
        near = [one for one in held if math.hypot(one.x_m - now.x_m, one.y_m - now.y_m) <= LANE_M]
        ahead = [one for one in near if one.front_s < now.front_s and one.identity != now.identity]
        self._leaders[key] = [*[one for one in held if one not in near][1 - MOST_LEADERS :], now]
        return max(ahead, key=lambda one: one.front_s, default=None)

    def state(self) -> dict[str, Any]:
        """Plain values to continue from."""
        leaders = [[*key, [list(one) for one in held]] for key, held in self._leaders.items()]
        return {"waiting": [list(one) for one in self._waiting], "leaders": leaders}

    def restore(self, kept: Mapping[str, Any], shift_s: float) -> None:
        """Continue from :meth:`state` with ``shift_s`` added to all times."""
        for entry in kept["waiting"]:
            crossed = Crossed(*entry)
            self.note(crossed._replace(time_s=crossed.time_s + shift_s))
        for place, direction, held in kept["leaders"]:
            if place in self._lines:
                leaders = (Leader(*entry) for entry in held)
                self._leaders[place, direction] = [
                    one._replace(front_s=one.front_s + shift_s, rear_s=one.rear_s + shift_s) for one in leaders
                ]

    def _measured(self, crossed: Crossed, size: tuple[int, int]) -> Passage | None:
        motion = self._paths.motion(crossed.identity, crossed.time_s, size)
        if motion is None or motion.error_m_s > LARGEST_ERROR * motion.speed_m_s:
            return None
        body = self._body_of(crossed.identity, crossed.class_name)
        stands = footprint(self._ground, (motion.x_m, motion.y_m), motion.heading_rad, body)
        ahead_m = _ahead(self._shapes[crossed.place], stands)
        return Passage(crossed=crossed, motion=motion, stands=stands, ahead_m=ahead_m)


def _ahead(line: Floats, stands: Footprint) -> float | None:
    """Metres from a footprint's middle along its way to a polyline ``(P, 2)``; of its pieces the nearest counts."""
    way = np.array([math.cos(stands.heading_rad), math.sin(stands.heading_rad)])
    middle = np.array([stands.x_m, stands.y_m])
    best: tuple[float, float] | None = None
    for start, end in itertools.pairwise(line):
        along = end - start
        length = float(np.hypot(*along))
        across = np.array([-along[1], along[0]]) / max(length, 1e-9)
        if not math.isfinite(length) or abs(float(way @ across)) < LEAST_ACROSS:
            continue
        ahead = float((start - middle) @ across) / float(way @ across)
        share = float((middle + ahead * way - start) @ along) / max(length**2, 1e-9)
        beside = abs(share - min(max(share, 0.0), 1.0)) * length
        if best is None or (beside, abs(ahead)) < (best[0], abs(best[1])):
            best = beside, ahead
    return None if best is None else best[1]
