"""Conflicts between road users: time to collision and post-encroachment time from their footprints on the ground.

Footprints are rectangles of the size of the class, moved along smoothed paths. The time to collision is how long two
would take to touch, were both to keep their velocity; the least one of an encounter counts. The post-encroachment time
is from the moment at which one has left a place to that at which the other arrives there, the least over all places
that both cover. Where ways differ by less than 30 degrees there, one follows the other and has a time gap instead.
Screening, not enforcement (FHWA-HRT-08-051 has the usual limits).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tracker.analytics.footprints import Footprint, meet, settled
from tracker.traffic import RoadUser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tracker.analytics.geometry import Floats
    from tracker.events import EventKind
    from tracker.ground import Ground
    from tracker.traffic import Traffic

__all__ = ["STEP_S", "Conflict", "Conflicts", "Placed"]

STEP_S = 0.1
"""Between two looks at all footprints."""
CELL_M, FINE_CELL_M, FINE_STEP_S = 0.5, 0.1, 0.02
"""Of the ground grid on which ways meet, and of the search around the place and moment where they do."""
CLOSED_S = 3.0
"""An encounter that got no closer for so long is over."""
KEEP_S = 16.0
"""Of footprints: the longest post-encroachment time, the end of an encounter, and some room."""
CROSSING_RAD = math.radians(30)
LEAST_CLOSING_M_S = 0.5
"""Slower ones are noise of two that stand or drive side by side."""
MOST_AREAS = 50_000
"""Cells whose area is remembered."""
FAR_M = 80.0
"""Pairs farther apart are left out."""
AROUND_M, NEAR_S = 1.5, 0.6
"""Half the side of the square in which the exact place is looked for, and how far the exact time may be off."""
ABOUT_S = 3.0
"""Of a path about the moment for which the exact time is looked for."""


class Placed(NamedTuple):
    """A footprint at one time, and how it moves.

    Attributes:
        identity: Of the road user.
        stands: Where.
        x_m_s, y_m_s: Its velocity.
        class_name: So far; two persons have no conflict.
        contact_m: Its ground contact, and
        body: its size as far as it is known: with both its way is looked at again when the encounter is over.
    """

    identity: int
    stands: Footprint
    x_m_s: float
    y_m_s: float
    class_name: str
    contact_m: tuple[float, float] | None = None
    body: RoadUser | None = None

    @property
    def walks(self) -> bool:
        """Whether it is a person."""
        return self.class_name == "person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A finding about a pair.

    Attributes:
        kind: Of the row.
        time_s: When: at the least time to collision, or at the second one's arrival.
        identity, other_identity: The pair; of a post-encroachment time the second to arrive and the first.
        class_name: Of ``identity``, so far.
        value_s: The time.
        x_m, y_m: Where.
        place: Name of the conflict area, or empty.
    """

    kind: EventKind
    time_s: float
    identity: int
    other_identity: int
    class_name: str
    value_s: float
    x_m: float
    y_m: float
    place: str = ""


class _Best(NamedTuple):
    """The least value of a pair so far, and when and where."""

    value_s: float
    time_s: float
    x_m: float
    y_m: float
    place: str
    class_name: str


class _Stand(NamedTuple):
    """Where one stood at a time, and its ground contact, if that is known."""

    time_s: float
    stands: Footprint
    contact_m: tuple[float, float] | None


class _Cover(NamedTuple):
    """An identity on a cell: from when to when."""

    first_s: float
    last_s: float


class Conflicts:
    """Encounters of all pairs in view.

    Args:
        traffic: Up to which times conflicts are told.
        area_of: Name of the conflict area in which a point in metres lies, ``None`` = in none; ``None`` for the whole
            argument: everywhere is one without a name.
        ground: Of the site; without it footprints stay as they were found.
    """

    def __init__(
        self,
        traffic: Traffic,
        area_of: Callable[[float, float], str | None] | None = None,
        *,
        ground: Ground | None = None,
    ) -> None:
        self._collision_s, self._encroachment_s = traffic.time_to_collision_s, traffic.post_encroachment_s
        self._area_of, self._ground = area_of, ground
        self._areas: dict[tuple[int, int], str | None] = {}
        self._cells: dict[tuple[int, int], dict[int, _Cover]] = {}
        self._paths: dict[int, deque[_Stand]] = {}
        self._bodies: dict[int, RoadUser] = {}
        self._closest: dict[tuple[int, int], _Best] = {}
        self._encroached: dict[tuple[int, int], _Best] = {}
        self._swept_s = -math.inf

    def step(self, time_s: float, placed: Sequence[Placed]) -> list[Conflict]:
        """Take all footprints of a moment; returns the encounters that are over.

        Args:
            time_s: The moment, :data:`STEP_S` after the one before or later.
            placed: Of the road users in view whose motion is known, in order of their identities.
        """
        if self._collision_s is not None:
            self._approach(time_s, placed, self._collision_s)
        if self._encroachment_s is not None:
            for one in placed:
                self._cover(time_s, one, self._encroachment_s)
        if time_s - self._swept_s >= 1.0:
            self._sweep(time_s)
        return self.over(time_s)

    def over(self, time_s: float) -> list[Conflict]:
        """Encounters that got no closer for a while, in order of time; all of them at an infinite time."""
        found = []
        for pair, best in self._ended(self._closest, time_s):
            found.append(self._found("time_to_collision", pair, best))
        for pair, best in self._ended(self._encroached, time_s):
            exact = self._exact(pair, best)
            if exact is not None and self._encroachment_s is not None and exact.value_s <= self._encroachment_s:
                found.append(self._found("post_encroachment", pair, exact))
        return sorted(found, key=lambda one: (one.time_s, one.identity, one.other_identity))

    def state(self) -> dict[str, Any]:
        """Plain values to continue from."""
        return {
            "paths": [
                [identity, [[one.time_s, list(one.stands), one.contact_m] for one in path]]
                for identity, path in self._paths.items()
            ],
            "bodies": [[one, body.length_m, body.width_m, body.base_m] for one, body in self._bodies.items()],
            "cells": [
                [*cell, [[identity, *cover] for identity, cover in covers.items()]]
                for cell, covers in self._cells.items()
            ],
            "closest": [[*pair, list(best)] for pair, best in self._closest.items()],
            "encroached": [[*pair, list(best)] for pair, best in self._encroached.items()],
        }

    def restore(self, kept: Mapping[str, Any], shift_s: float) -> None:
        """Continue from :meth:`state` with ``shift_s`` added to all times."""
        for identity, path in kept["paths"]:
            self._paths[identity] = deque(
                _Stand(t + shift_s, Footprint(*stands), None if contact is None else (contact[0], contact[1]))
                for t, stands, contact in path
            )
        for identity, length_m, width_m, base_m in kept["bodies"]:
            self._bodies[identity] = RoadUser(length_m=length_m, width_m=width_m, base_m=base_m)
        for column, row, covers in kept["cells"]:
            self._cells[column, row] = {
                identity: _Cover(first_s + shift_s, last_s + shift_s) for identity, first_s, last_s in covers
            }
        for name, held in (("closest", self._closest), ("encroached", self._encroached)):
            for one, other, values in kept[name]:
                best = _Best(*values)
                held[one, other] = best._replace(time_s=best.time_s + shift_s)

    # ---- time to collision ----

    def _approach(self, time_s: float, placed: Sequence[Placed], limit_s: float) -> None:
        if len(placed) < 2:
            return
        places = np.array([(one.stands.x_m, one.stands.y_m, one.x_m_s, one.y_m_s) for one in placed])
        radii = np.array([math.hypot(one.stands.length_m, one.stands.width_m) / 2 for one in placed])
        beside = places[None] - places[:, None]  # (N, N, 4)
        distances = np.hypot(beside[..., 0], beside[..., 1])
        closing = -(beside[..., 0] * beside[..., 2] + beside[..., 1] * beside[..., 3]) / np.maximum(distances, 1e-9)
        squared = np.square(beside[..., 2:]).sum(axis=2)
        nearest_s = np.clip(closing * distances / np.maximum(squared, 1e-9), 0, limit_s)
        miss = np.hypot(*(beside[..., :2] + nearest_s[..., None] * beside[..., 2:]).transpose(2, 0, 1))
        may = (closing > LEAST_CLOSING_M_S) & (distances < FAR_M) & (miss < radii[:, None] + radii)
        for first, second in zip(*np.nonzero(np.triu(may, 1)), strict=True):
            one, other = placed[int(first)], placed[int(second)]
            if one.walks and other.walks:
                continue
            value_s = _collision_s(one, other, limit_s)
            if value_s is None:
                continue
            pair = one.identity, other.identity  # in order: so are those that are placed
            best = self._closest.get(pair)
            if best is None or value_s < best.value_s:
                x_m, y_m = ((places[first, :2] + places[second, :2]) / 2).tolist()
                self._closest[pair] = _Best(value_s, time_s, x_m, y_m, "", one.class_name)

    # ---- post-encroachment time ----

    def _cover(self, time_s: float, one: Placed, limit_s: float) -> None:
        """Note the cells under a footprint, and which of them another one has left."""
        path = self._paths.setdefault(one.identity, deque())
        path.append(_Stand(time_s, one.stands, one.contact_m))
        if one.body is not None:
            self._bodies[one.identity] = one.body
        while path[0].time_s < time_s - KEEP_S:
            path.popleft()
        for cell in _cells_of(one.stands):
            area = self._area(cell)
            if area is None:
                continue
            covers = self._cells.setdefault(cell, {})
            before = covers.get(one.identity)
            if before is not None and time_s - before.last_s <= limit_s:
                covers[one.identity] = before._replace(last_s=time_s)
                continue
            covers[one.identity] = _Cover(time_s, time_s)
            for other, cover in covers.items():
                gap_s = time_s - cover.last_s
                if other == one.identity or gap_s < STEP_S / 2 or gap_s > limit_s + 1.0:
                    continue
                if one.walks and self._is_small(other):
                    continue
                pair = one.identity, other
                best = self._encroached.get(pair)
                if best is None or gap_s < best.value_s:
                    x_m, y_m = ((index + 0.5) * CELL_M for index in cell)
                    self._encroached[pair] = _Best(gap_s, time_s, x_m, y_m, area, one.class_name)

    def _is_small(self, identity: int) -> bool:
        """Whether it is no longer than a person."""
        path = self._paths.get(identity)
        return bool(path) and path is not None and path[-1].stands.length_m <= 0.8

    def _area(self, cell: tuple[int, int]) -> str | None:
        if self._area_of is None:
            return ""
        if cell not in self._areas:
            self._areas[cell] = self._area_of((cell[0] + 0.5) * CELL_M, (cell[1] + 0.5) * CELL_M)
        return self._areas[cell]

    def _sweep(self, time_s: float) -> None:
        """Forget what is too old to matter."""
        self._swept_s = time_s
        if len(self._areas) > MOST_AREAS:
            self._areas.clear()
        for identity in [one for one, path in self._paths.items() if path[-1].time_s < time_s - KEEP_S]:
            del self._paths[identity]
            self._bodies.pop(identity, None)
        oldest = time_s - (self._encroachment_s or 0.0) - 1.0
        for cell in list(self._cells):
            kept = {one: cover for one, cover in self._cells[cell].items() if cover.last_s >= oldest}
            if kept:
                self._cells[cell] = kept
            else:
                del self._cells[cell]

    def _exact(self, pair: tuple[int, int], best: _Best) -> _Best | None:
        """The post-encroachment time around the place where ways met on the coarse grid."""
        second = self._way(pair[0], best.time_s)
        first = self._way(pair[1], best.time_s - best.value_s)
        if not first or not second:
            return None
        offsets = np.arange(-AROUND_M, AROUND_M + 1e-9, FINE_CELL_M)
        points = np.stack(np.meshgrid(best.x_m + offsets, best.y_m + offsets), axis=-1).reshape(-1, 2)
        if self._area_of is not None:
            points = points[[self._area_of(x, y) == best.place for x, y in points.tolist()]]
        _, left_s, left_rad = _spans(first, points, best.time_s - best.value_s)
        came_s, _, came_rad = _spans(second, points, best.time_s)
        gaps = came_s - left_s
        gaps = np.where(np.abs(gaps - best.value_s) <= NEAR_S, gaps, np.nan)
        if not np.isfinite(gaps).any():
            return None
        row = int(np.nanargmin(gaps))
        if abs((came_rad[row] - left_rad[row] + math.pi) % (2 * math.pi) - math.pi) < CROSSING_RAD:
            return None
        x_m, y_m = points[row].tolist()
        return best._replace(value_s=float(gaps[row]), time_s=float(came_s[row]), x_m=x_m, y_m=y_m)

    def _way(self, identity: int, about_s: float) -> list[_Stand]:
        """An identity's path about a moment, with its footprints as they are known now."""
        path = [one for one in self._paths.get(identity, ()) if abs(one.time_s - about_s) <= ABOUT_S]
        body, contacts = self._bodies.get(identity), [one.contact_m for one in path if one.contact_m is not None]
        if self._ground is None or body is None or not path or len(contacts) < len(path):
            return path
        headings = np.array([one.stands.heading_rad for one in path])
        stands = settled(self._ground, [one.time_s for one in path], np.array(contacts), headings, body)
        return [one._replace(stands=found) for one, found in zip(path, stands, strict=True)]

    @staticmethod
    def _ended(held: dict[tuple[int, int], _Best], time_s: float) -> Iterable[tuple[tuple[int, int], _Best]]:
        over = [(pair, best) for pair, best in held.items() if time_s - best.time_s >= CLOSED_S]
        for pair, _ in over:
            del held[pair]
        return over

    @staticmethod
    def _found(kind: EventKind, pair: tuple[int, int], best: _Best) -> Conflict:
        return Conflict(
            kind=kind,
            time_s=best.time_s,
            identity=pair[0],
            other_identity=pair[1],
            class_name=best.class_name,
            value_s=best.value_s,
            x_m=best.x_m,
            y_m=best.y_m,
            place=best.place,
        )


def _collision_s(one: Placed, other: Placed, limit_s: float) -> float | None:
    """When two footprints first touch at constant velocities; ``None`` where they do not, or touch already."""
    velocity = np.array([other.x_m_s - one.x_m_s, other.y_m_s - one.y_m_s])
    moments = np.arange(0.0, limit_s + 0.05, 0.1)
    for _ in range(2):
        touching = meet(one.stands, other.stands, moments[:, None] * velocity)
        if touching[0] or not touching.any():
            return None
        first = int(touching.argmax())
        moments = np.linspace(moments[first - 1], moments[first], 11)
    touching = meet(one.stands, other.stands, moments[:, None] * velocity)
    return float(moments[int(touching.argmax())])


def _cells_of(stands: Footprint) -> list[tuple[int, int]]:
    """Cells whose middle a footprint covers."""
    corners = stands.corners / CELL_M
    low, high = np.floor(corners.min(axis=0)), np.floor(corners.max(axis=0))
    columns, rows = np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1))
    cells = np.stack([columns.ravel(), rows.ravel()], axis=1)
    held = cells[stands.holds((cells + 0.5) * CELL_M)].astype(np.int64)
    return [(column, row) for column, row in held.tolist()]


def _spans(path: Sequence[_Stand], points: Floats, about_s: float) -> tuple[Floats, Floats, Floats]:
    """When a moving footprint first and last covered points ``(N, 2)``, about a moment, and its way meanwhile.

    NaN where it never did.
    """
    times = np.array([one.time_s for one in path])
    values = np.array([one.stands[:3] for one in path])
    values[:, 2] = np.unwrap(values[:, 2])
    fine = np.arange(max(times[0], about_s - ABOUT_S), min(times[-1], about_s + ABOUT_S) + 1e-9, FINE_STEP_S)
    first, last, way = (np.full(len(points), np.nan) for _ in range(3))
    if not len(points):
        return first, last, way
    stands = path[-1].stands
    places = np.column_stack([np.interp(fine, times, column) for column in values.T])  # (T, 3)
    # Moments at which it is near enough to cover any of the points.
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    wide_m, deep_m = np.ptp(points, axis=0).tolist()
    span_m = (math.hypot(stands.length_m, stands.width_m) + math.hypot(wide_m, deep_m)) / 2
    near = np.hypot(*(places[:, :2] - middle).T) <= span_m + 1e-6
    fine, places = fine[near], places[near]
    if not len(fine):
        return first, last, way
    held = stands.holds_along(points, places)
    covered = held.any(axis=0)
    ends = len(fine) - 1 - held[::-1].argmax(axis=0)
    first[covered] = fine[held.argmax(axis=0)[covered]]
    last[covered], way[covered] = fine[ends[covered]], places[ends[covered], 2]
    return first, last, way
