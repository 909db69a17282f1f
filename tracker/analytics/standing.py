"""Standing and wrong way in zones: identities that stop where they should not, and those that go against the arrow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.analytics.geometry import Edges, polygon_edges

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tracker.analytics.geometry import Floats
    from tracker.analytics.ground_paths import Motion
    from tracker.ground import Ground
    from tracker.site import Zone

__all__ = ["Areas", "Spell", "Standing", "WrongWay"]

RADIUS_M = 1.0
"""What stays within it stands: contacts of a standing lorry move when something passes before it."""
LEAST_M_S = 1.0
"""Slower, a direction is not known."""
AGAINST_RAD = math.radians(120)
"""From here on a direction is against the arrow, and not across it."""
WRONG_S = 1.0
"""Seconds against the arrow after which it is the wrong way."""


class Areas:
    """Which zones hold points of the picture.

    Args:
        zones: Of a site.
    """

    def __init__(self, zones: Sequence[Zone]) -> None:
        self._zones = [
            (zone, [Edges(*polygon_edges(np.array(polygon, np.float64))) for polygon in zone.polygons])
            for zone in zones
        ]

    def at(self, x: float, y: float) -> list[Zone]:
        """Zones that hold a point, in shares of the picture."""
        point = np.array([[x, y]])
        return [
            zone
            for zone, polygons in self._zones
            if sum(int(edges.below(point, edges.sides(point)).sum()) for edges in polygons) % 2
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """Something that lasts has begun, or is over.

    Attributes:
        identity: Which.
        zone: Name of the zone.
        time_s: When it began, or ended.
        since_s: When it had begun, of one that is over.
    """

    identity: int
    zone: str
    time_s: float
    since_s: float | None = None


class Standing:
    """Identities that stand still in zones with a limit."""

    def __init__(self, zones: Sequence[Zone]) -> None:
        self._areas = Areas([zone for zone in zones if zone.stopped_s is not None])
        self._anchors: dict[int, tuple[float, float, float]] = {}
        self._told: dict[tuple[int, str], float] = {}
        self._seen_s: dict[int, float] = {}

    def sight(
        self, identity: int, time_s: float, metres: tuple[float, float], share: tuple[float, float], class_name: str
    ) -> list[Spell]:
        """A contact that was seen.

        Args:
            identity: Which.
            time_s: When.
            metres: Where on the ground.
            share: Where in the picture.
            class_name: So far.
        """
        self._seen_s[identity] = time_s
        since_s, x_m, y_m = self._anchors.get(identity, (time_s, *metres))
        found = []
        if math.hypot(metres[0] - x_m, metres[1] - y_m) > RADIUS_M:
            found = self._over(identity, time_s)
            since_s, x_m, y_m = time_s, *metres
        self._anchors[identity] = since_s, x_m, y_m
        for zone in self._areas.at(*share):
            wanted = not zone.classes or class_name in zone.classes
            key = identity, zone.name
            if wanted and zone.stopped_s is not None and time_s - since_s >= zone.stopped_s and key not in self._told:
                self._told[key] = since_s
                found.append(Spell(identity=identity, zone=zone.name, time_s=since_s))
        return found

    def end(self, identity: int) -> list[Spell]:
        """The identity is gone, or the stream is over: what it did lasted until it was last seen."""
        found = self._over(identity, self._seen_s.pop(identity, math.nan))
        self._anchors.pop(identity, None)
        return found

    def identities(self) -> list[int]:
        """All that are known."""
        return list(self._seen_s)

    def state(self) -> dict[str, Any]:
        """Plain values to continue from."""
        return {
            "anchors": [[identity, *anchor, self._seen_s[identity]] for identity, anchor in self._anchors.items()],
            "told": [[*key, since_s] for key, since_s in self._told.items()],
        }

    def restore(self, kept: Mapping[str, Any], shift_s: float) -> None:
        """Continue from :meth:`state` with ``shift_s`` added to all times."""
        for identity, since_s, x_m, y_m, seen_s in kept["anchors"]:
            self._anchors[identity] = since_s + shift_s, x_m, y_m
            self._seen_s[identity] = seen_s + shift_s
        self._told = {(identity, zone): since_s + shift_s for identity, zone, since_s in kept["told"]}

    def _over(self, identity: int, time_s: float) -> list[Spell]:
        keys = [key for key in self._told if key[0] == identity]
        return [Spell(identity=identity, zone=key[1], time_s=time_s, since_s=self._told.pop(key)) for key in keys]


class WrongWay:
    """Identities that go against the arrow of a zone.

    Args:
        zones: Of a site.
        ground: Of the site.
    """

    def __init__(self, zones: Sequence[Zone], ground: Ground) -> None:
        held = [zone for zone in zones if zone.towards]
        self._areas = Areas(held)
        self._ways: dict[str, Floats] = {}
        for zone in held:
            start, end = ground.to_metres(np.array(zone.towards))
            self._ways[zone.name] = (end - start) / float(np.linalg.norm(end - start))
        self._since: dict[tuple[int, str], tuple[float, float, bool]] = {}

    def step(self, identity: int, motion: Motion, share: tuple[float, float], class_name: str) -> list[Spell]:
        """How an identity moves at a moment.

        Args:
            identity: Which.
            motion: On the ground.
            share: Where it is in the picture.
            class_name: So far.
        """
        found, time_s = [], motion.time_s
        against = set()
        if motion.speed_m_s >= LEAST_M_S and motion.error_m_s <= 0.25 * motion.speed_m_s:
            along = np.array([motion.x_m_s, motion.y_m_s]) / motion.speed_m_s
            for zone in self._areas.at(*share):
                wanted = not zone.classes or class_name in zone.classes
                if wanted and float(along @ self._ways[zone.name]) <= math.cos(AGAINST_RAD):
                    against.add(zone.name)
        for name in sorted(against):
            since_s, _, told = self._since.get((identity, name), (time_s, time_s, False))
            if not told and time_s - since_s >= WRONG_S:
                told = True
                found.append(Spell(identity=identity, zone=name, time_s=since_s))
            self._since[identity, name] = since_s, time_s, told
        for key in [key for key in self._since if key[0] == identity and key[1] not in against]:
            if time_s - self._since[key][1] >= WRONG_S or not self._since[key][2]:
                found += self._over(key)
        return found

    def end(self, identity: int) -> list[Spell]:
        """The identity is gone, or the stream is over."""
        return [spell for key in [key for key in self._since if key[0] == identity] for spell in self._over(key)]

    def identities(self) -> list[int]:
        """All that are known."""
        return sorted({identity for identity, _ in self._since})

    def state(self) -> list[list[Any]]:
        """Plain values to continue from."""
        return [[*key, *values] for key, values in self._since.items()]

    def restore(self, kept: Sequence[Sequence[Any]], shift_s: float) -> None:
        """Continue from :meth:`state` with ``shift_s`` added to all times."""
        for identity, name, since_s, last_s, told in kept:
            self._since[identity, name] = since_s + shift_s, last_s + shift_s, told

    def _over(self, key: tuple[int, str]) -> list[Spell]:
        since_s, last_s, told = self._since.pop(key)
        return [Spell(identity=key[0], zone=key[1], time_s=last_s, since_s=since_s)] if told else []
