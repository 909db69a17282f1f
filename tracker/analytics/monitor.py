"""Monitor of a stream's events: counters, histograms and states that monitoring asks for, by names of the site only.

Everything is by places, directions, classes and kinds, never by identity, so what it remembers is bounded by the site;
analytics of other packages that name places without end are cut off at :data:`MOST_KEYS`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tracker.events import OUTAGE_KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from tracker.events import Event

__all__ = ["MOST_KEYS", "OTHER", "SECONDS", "SPEEDS", "Histogram", "Monitor"]

Key = tuple[str, ...]

SECONDS = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
SPEEDS = (2.5, 5.0, 7.5, 10.0, 12.5, 15.0, 17.5, 20.0, 25.0, 30.0, 35.0, 40.0)
"""Upper bounds of buckets, the speeds in m/s."""
MOST_KEYS = 500
"""Of one metric; those beyond it are summed as :data:`OTHER`."""
OTHER = "other"


@dataclass(slots=True)
class Histogram:
    """Counts by bucket.

    Attributes:
        bounds: Upper bounds of the buckets but the last, which has none.
        counts: By bucket, not cumulated.
        total: Sum of the values.
    """

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Count a value.

        >>> histogram = Histogram((1.0, 2.0)); histogram.add(1.0); histogram.add(9.0); histogram.counts
        [1, 0, 1]
        """
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@dataclass(slots=True, kw_only=True)
class Monitor:
    """What a stream's events say to monitoring.

    Attributes:
        entries: Entries into zones that were seen, by zone and class at the event.
        flows: By flow and class at the event.
        dwell: Seconds of stays that began and ended in view, by zone.
        speeds: In m/s, by line and direction.
        waits: Seconds in queues, by queue and how the wait ended.
        bays: 1 for bays that are taken, else 0.
        outages: 1 for what the camera suffers now, else 0, by kind.
        alerts: 1 for rules that hold now, else 0.
    """

    entries: Counter[Key] = field(default_factory=Counter)
    flows: Counter[Key] = field(default_factory=Counter)
    dwell: dict[Key, Histogram] = field(default_factory=dict)
    speeds: dict[Key, Histogram] = field(default_factory=dict)
    waits: dict[Key, Histogram] = field(default_factory=dict)
    bays: dict[Key, int] = field(default_factory=dict)
    outages: dict[Key, int] = field(default_factory=lambda: {(kind,): 0 for kind in OUTAGE_KINDS})
    alerts: dict[Key, int] = field(default_factory=dict)

    def add(self, events: Iterable[Event]) -> None:
        """Take the next events."""
        for event in events:
            if event.kind in OUTAGE_KINDS:
                # A gap is told when it is over, the others when they begin too.
                self.outages[event.kind,] = int(event.since_s is None)
            elif event.kind in {"enter", "leave"}:
                self._stay(event)
            elif event.kind == "flow":
                self.flows[_bounded(self.flows, event.place, event.class_name)] += 1
            elif event.kind == "speed" and event.value is not None:
                _observe(self.speeds, SPEEDS, event.value, event.place, event.direction)
            elif event.kind == "queue_leave" and event.value is not None:
                _observe(self.waits, SECONDS, event.value, event.place, event.direction)
            elif event.kind in {"bay_taken", "bay_free"}:
                self.bays[_bounded(self.bays, event.place)] = int(event.kind == "bay_taken")
            elif event.kind == "alert":
                self.alerts[_bounded(self.alerts, event.place)] = int(event.since_s is None)

    def copy(self) -> Monitor:
        """What further events do not change."""
        return Monitor(
            entries=self.entries.copy(),
            flows=self.flows.copy(),
            dwell=_copied(self.dwell),
            speeds=_copied(self.speeds),
            waits=_copied(self.waits),
            bays=dict(self.bays),
            outages=dict(self.outages),
            alerts=dict(self.alerts),
        )

    def _stay(self, event: Event) -> None:
        stay = event.stay
        if stay is None or stay.began != "entered":
            return
        if event.kind == "enter":
            self.entries[_bounded(self.entries, event.place, event.class_name)] += 1
        elif stay.end == "left" and stay.dwell_s is not None:
            _observe(self.dwell, SECONDS, stay.dwell_s, event.place)


def _bounded(known: Collection[Key], *names: str) -> Key:
    """The key, or the one for all others where there are too many."""
    return names if names in known or len(known) < MOST_KEYS else (OTHER,) * len(names)


def _observe(histograms: dict[Key, Histogram], bounds: tuple[float, ...], value: float, *names: str) -> None:
    histograms.setdefault(_bounded(histograms, *names), Histogram(bounds)).add(value)


def _copied(histograms: dict[Key, Histogram]) -> dict[Key, Histogram]:
    return {key: replace(one, counts=list(one.counts)) for key, one in histograms.items()}
