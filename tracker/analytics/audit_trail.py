"""Evidence of one stream: for each line and zone what was counted and what was not, with paths, in bounded memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from tracker.analytics.near_misses import AROUND_S, NEAR, NearMiss, NearMisses
from tracker.events import OUTAGE_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tracker.analytics.approaches import PathPoint
    from tracker.events import Event
    from tracker.site import Site
    from tracker.types import TrackedFrame

__all__ = ["AuditTrail", "Counted", "PlaceEvidence", "Sample"]

MOST_ROWS = 200
"""Counted events of a place, and near misses of a place and reason, that are kept with their paths."""

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """An event that a line or zone counted.

    Attributes:
        event: ``crossing`` or ``enter``.
        path: Of its identity, around the event.
    """

    event: Event
    path: tuple[PathPoint, ...]


class Sample(Generic[Row]):
    """The first rows of a kind, or a random sample of all once there are more than fit.

    Args:
        most: How many are kept.
        rng: Draws them.

    Attributes:
        total: How many there were.
    """

    def __init__(self, most: int, rng: np.random.Generator) -> None:
        self._most, self._rng = most, rng
        self._rows: list[Row] = []
        self.total = 0

    def add(self, row: Row) -> None:
        """Take the next one (algorithm R of Vitter, 1985)."""
        self.total += 1
        if len(self._rows) < self._most:
            self._rows.append(row)
        elif (place := int(self._rng.integers(self.total))) < self._most:
            self._rows[place] = row

    def rows(self, key: Callable[[Row], float]) -> list[Row]:
        """Those kept, in order of a time."""
        return sorted(self._rows, key=key)


@dataclass(slots=True, kw_only=True)
class PlaceEvidence:
    """What was counted at one line or zone, and what was not.

    Attributes:
        name: Of the line or zone.
        sums: Counted events by direction and class as counted; of zones ``entered`` and ``found inside``.
        counted: Some of them, or all.
        missed: By reason.
    """

    name: str
    sums: Counter[tuple[str, str]] = field(default_factory=Counter)
    counted: Sample[Counted]
    missed: dict[str, Sample[NearMiss]] = field(default_factory=dict)


class AuditTrail:
    """Collects the evidence of a stream beside its measures.

    Args:
        site: What is counted.
        stream: Name of the camera or recording.
        near: What is close, in picture heights.
        start_utc_ms: UTC in milliseconds at media time 0 of a recording.
        gap_s: As for the measures.
        most: Rows that are kept of each kind; sums are of all.
        rng: Chooses among more; by default one with seed 0.
    """

    def __init__(
        self,
        site: Site,
        *,
        stream: str,
        near: float = NEAR,
        start_utc_ms: int | None = None,
        gap_s: float = 2.0,
        most: int = MOST_ROWS,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.site, self.stream = site, stream
        self._near = NearMisses(site, stream=stream, near=near, start_utc_ms=start_utc_ms, gap_s=gap_s)
        self._most, self._rng = most, np.random.default_rng(0) if rng is None else rng
        names = [*(line.name for line in site.lines), *(zone.name for zone in site.zones)]
        self.places = {name: PlaceEvidence(name=name, counted=Sample(most, self._rng)) for name in names}
        self._waiting: list[Event] = []
        self.outages: list[Event] = []
        self.span_s: tuple[float, float] | None = None

    def process(self, tracked: TrackedFrame, events: Iterable[Event]) -> None:
        """Take the next frame.

        Args:
            tracked: With tracks and, where the stream has them, contacts.
            events: Those of the measures and of the camera with this frame.
        """
        events, now_s = tuple(events), tracked.frame.time_s
        self.span_s = (now_s if self.span_s is None else self.span_s[0], now_s)
        ended = set() if tracked.tracks is None else set(tracked.tracks.ended_ids.tolist())
        self._waiting += [event for event in events if event.kind in {"crossing", "enter"}]
        outages = [event for event in events if event.kind in OUTAGE_KINDS]
        self.outages += outages[: self._most - len(self.outages)]
        due = [one for one in self._waiting if one.identity in ended or now_s - one.time_s >= AROUND_S]
        if due:  # before the identity's path is dropped with it
            self._book(due)
        for miss in self._near.process(tracked, events):
            self._miss(miss)

    def close(self, events: Iterable[Event] = ()) -> None:
        """The stream is over; ``events`` are those that its measures gave at their end."""
        events = tuple(events)
        self._waiting += [event for event in events if event.kind in {"crossing", "enter"}]
        self._book(list(self._waiting))
        for miss in self._near.close(events):
            self._miss(miss)

    def _book(self, events: list[Event]) -> None:
        for event in events:
            self._waiting.remove(event)
            place = self.places[event.place]
            place.sums[_way(event), event.class_name] += 1
            path = self._near.path(event.identity, event.time_s - AROUND_S, event.time_s + AROUND_S)
            place.counted.add(Counted(event=event, path=path))

    def _miss(self, miss: NearMiss) -> None:
        missed = self.places[miss.place].missed
        if miss.reason not in missed:
            missed[miss.reason] = Sample(self._most, self._rng)
        missed[miss.reason].add(miss)


def _way(event: Event) -> str:
    """Under what an event is summed."""
    if event.kind == "crossing":
        return event.direction
    return "found inside" if event.stay is not None and event.stay.began == "already_inside" else "entered"
