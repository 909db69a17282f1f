"""Occupancy: identities in a zone, share of its area that is covered, and balance of a set of doors.

Three numbers that are often taken for one another. ``present`` counts identities, hidden ones too; ``area_percent`` is
of the union of their silhouettes, so two people behind one another cover once; ``balance`` is entries less exits and
drifts with every miscount, so it says by how much.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from tracker.analytics.geometry import Edges, polygon_edges
from tracker.masks.instance_masks import PROBABILITY_THRESHOLD

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tracker.analytics.geometry import Flags
    from tracker.events import Event, EventKind
    from tracker.site import Doors, Zone
    from tracker.types import InstanceMasks

__all__ = ["Balance", "Balances", "Coverage", "Occupancy", "last_reset", "running_balance"]

BOX_CELLS = 160
"""Cells along the longer side of the picture on which areas are added up where there are no masks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Entries less exits over a set of doors since the last reset.

    Attributes:
        balance: Never below 0.
        entries, exits: Crossings of the doors' lines.
        drift: Exits of nobody: those at a balance of 0, which was too low by as much.
    """

    balance: int = 0
    entries: int = 0
    exits: int = 0
    drift: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """What is in the zones and behind the doors at one time; all zones and doors have an entry, 0 included.

    Attributes:
        time_s: Media time.
        present: Identities by zone and class, hidden ones included until they are lost.
        area_percent: By zone, of its area in the picture.
        balance: By name of the doors.
        queues: Persons in each queue, as far as it is certain.
        bays: Whether each bay is taken.
        outages: Why the camera does not see the scene now: the numbers are those of before. Empty while it does.
    """

    time_s: float
    present: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    area_percent: Mapping[str, float] = field(default_factory=dict)
    balance: Mapping[str, Balance] = field(default_factory=dict)
    queues: Mapping[str, int] = field(default_factory=dict)
    bays: Mapping[str, bool] = field(default_factory=dict)
    outages: tuple[EventKind, ...] = ()


class Balances:
    """Running balance of each set of doors.

    Args:
        doors: Of the site.
        timezone: IANA name, for the quiet hours at which balances begin anew.
    """

    def __init__(self, doors: Sequence[Doors], *, timezone: str) -> None:
        self._doors = tuple(doors)
        self._zone = ZoneInfo(timezone)
        self._balances = {one.name: Balance() for one in doors}
        self._reset_ms: dict[str, int] = {}

    @property
    def now(self) -> dict[str, Balance]:
        """By name of the doors."""
        return dict(self._balances)

    def note(self, event: Event) -> None:
        """Take a crossing; other events are ignored."""
        if event.kind != "crossing":
            return
        for doors in self._doors:
            if event.place in doors.lines and not self._before_reset(doors, event.utc_ms):
                old = self._balances[doors.name]
                if event.direction == doors.entry:
                    new = Balance(balance=old.balance + 1, entries=old.entries + 1, exits=old.exits, drift=old.drift)
                else:
                    drift = old.drift + (old.balance == 0)
                    new = Balance(
                        balance=max(old.balance - 1, 0), entries=old.entries, exits=old.exits + 1, drift=drift
                    )
                self._balances[doors.name] = new

    def tick(self, utc_ms: int | None) -> None:
        """Begin anew where a quiet hour has passed; without a wall clock none ever does."""
        if utc_ms is None:
            return
        for doors in self._doors:
            if doors.reset_at:
                last_ms = last_reset(doors.reset_at, self._zone, utc_ms)
                if self._reset_ms.setdefault(doors.name, last_ms) < last_ms:
                    self._reset_ms[doors.name] = last_ms
                    self._balances[doors.name] = Balance()

    def _before_reset(self, doors: Doors, utc_ms: int | None) -> bool:
        """Whether a crossing that became certain only now was before the quiet hour."""
        return utc_ms is not None and utc_ms < self._reset_ms.get(doors.name, utc_ms)

    def state(self) -> dict[str, list[Any]]:
        """Plain values to continue from."""
        return {
            name: [one.balance, one.entries, one.exits, one.drift, self._reset_ms.get(name)]
            for name, one in self._balances.items()
        }

    def restore(self, kept: Mapping[str, list[Any]]) -> None:
        """Continue from :meth:`state`; doors that are new begin at 0."""
        for name, (balance, entries, exits, drift, reset_ms) in kept.items():
            if name in self._balances:
                self._balances[name] = Balance(balance=balance, entries=entries, exits=exits, drift=drift)
                if reset_ms is not None:
                    self._reset_ms[name] = reset_ms


class Coverage:
    """Shares of zones that silhouettes cover, on the masks' own grid.

    Args:
        zones: Of the site.
    """

    def __init__(self, zones: Sequence[Zone]) -> None:
        self._zones = tuple(zones)
        self._grid: tuple[tuple[int, int], tuple[float, float], tuple[int, int]] | None = None
        self._cells: list[Flags] = []

    def percent(
        self, masks: InstanceMasks | None, rows: NDArray[np.int64], boxes: NDArray[np.float32], size: tuple[int, int]
    ) -> dict[str, float]:
        """Percent of each zone's area under the union of silhouettes, or of boxes where there are no masks.

        Args:
            masks: Of the frame's instances.
            rows: ``(M,)`` instances that are identities.
            boxes: ``(M, 4)`` of these.
            size: ``(width, height)`` of the picture in pixels.
        """
        if not self._zones:
            return {}
        step = max(size) / BOX_CELLS
        steps = (step, step) if masks is None else masks.grid_step_px
        shape = (math.ceil(size[1] / step), math.ceil(size[0] / step)) if masks is None else masks.grid_shape
        if self._grid != (shape, steps, size):
            self._grid = shape, steps, size
            self._cells = [_raster(zone, shape, steps, size) for zone in self._zones]
        covered = np.zeros(shape, np.bool_)
        cells = boxes / np.array([*steps, *steps])
        corners = np.concatenate([np.floor(cells[:, :2]), np.ceil(cells[:, 2:])], axis=1).astype(np.int64).clip(0)
        for row, (x0, y0, x1, y1) in zip(rows.tolist(), corners.tolist(), strict=True):
            if masks is None:
                covered[y0:y1, x0:x1] = True
            else:
                covered[y0:y1, x0:x1] |= masks.grid(row)[y0:y1, x0:x1] >= PROBABILITY_THRESHOLD
        return {
            zone.name: 100.0 * np.count_nonzero(covered & own) / max(int(np.count_nonzero(own)), 1)
            for zone, own in zip(self._zones, self._cells, strict=True)
        }


def running_balance(entry: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Balance after each of many crossings, and exits of nobody until then, as :class:`Balances` has them one by one.

    Args:
        entry: ``(N,)`` whether each is an entry, else it is an exit.

    >>> running_balance(np.array([False, True, True, False]))
    (array([0, 1, 2, 1]), array([1, 1, 1, 1]))
    """
    counted = np.cumsum(np.where(entry, 1, -1))
    drift = -np.minimum(np.minimum.accumulate(counted), 0)
    return counted + drift, drift


def last_reset(reset_at: str, zone: ZoneInfo, utc_ms: int) -> int:
    """The last time that local clocks showed a quiet hour, UTC in milliseconds.

    >>> last_reset("04:00", ZoneInfo("Europe/Berlin"), 1_774_746_000_000) == 1_774_746_000_000 - 22 * 3_600_000
    True
    """
    hour, minute = (int(part) for part in reset_at.split(":"))
    now = datetime.fromtimestamp(utc_ms / 1000, UTC)
    local = now.astimezone(zone)
    for back in range(3):
        day = local.date() - timedelta(days=back)
        reset = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).astimezone(UTC)
        if reset <= now:
            return round(reset.timestamp() * 1000)
    message = f"no {reset_at} in the three days before {now}"  # pragma: no cover - no zone skips three days
    raise AssertionError(message)  # pragma: no cover


def _raster(zone: Zone, shape: tuple[int, int], steps: tuple[float, float], size: tuple[int, int]) -> Flags:
    """Cells ``(h, w)`` whose centre lies in the zone and in the picture."""
    (rows, columns), (width, height) = shape, size
    x = (np.arange(columns) + 0.5) * steps[0] / width
    y = (np.arange(rows) + 0.5) * steps[1] / height
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    inside = np.zeros(len(points), np.bool_)
    for polygon in zone.polygons:
        edges = Edges(*polygon_edges(polygon))
        inside ^= edges.below(points, edges.sides(points)).sum(axis=1) % 2 == 1
    return np.asarray((inside & (points <= 1).all(axis=1)).reshape(shape))
