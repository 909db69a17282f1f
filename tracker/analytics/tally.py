"""Tally of events as they come: crossings by line and direction, entries and dwell by zone, flows, by final class."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tracker.events import Event
    from tracker.site import Site

__all__ = ["Tally", "ZoneTally"]


@dataclass(slots=True, kw_only=True)
class ZoneTally:
    """Of one zone.

    Attributes:
        entries: By class; identities that were inside when they were first seen are not among them.
        found_inside: Those, by class.
        closed: Stays that began and ended in view.
        dwell_s: Their seconds, summed.
    """

    entries: Counter[str] = field(default_factory=Counter)
    found_inside: Counter[str] = field(default_factory=Counter)
    closed: int = 0
    dwell_s: float = 0.0

    @property
    def mean_dwell_s(self) -> float | None:
        """Of the closed stays; ``None`` where there are none."""
        return self.dwell_s / self.closed if self.closed else None


@dataclass(slots=True, kw_only=True)
class Tally:
    """Sums over the events that it was shown, so that they need not be kept.

    Classes are those so far, and of identities that are over the final ones, as in counts of the ledger.

    Attributes:
        crossings: By line, direction and class.
        zones: By name.
        flows: By name and class.
        at_crossing: As ``crossings``, by the class at the event: these never become fewer.
    """

    crossings: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    zones: dict[str, ZoneTally] = field(default_factory=dict)
    flows: dict[str, Counter[str]] = field(default_factory=dict)
    at_crossing: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    _open: dict[tuple[str, int], list[tuple[Counter[str], str]]] = field(default_factory=dict, repr=False)
    """Of identities that are not over: under which class each of their events stands, and in which sum."""

    @classmethod
    def of(cls, site: Site | None) -> Tally:
        """With every line, direction, zone and flow of a site at zero."""
        if site is None:
            return cls()
        return cls(
            crossings={(line.name, direction): Counter() for line in site.lines for direction in line.directions},
            zones={zone.name: ZoneTally() for zone in site.zones},
            flows={flow.name: Counter() for flow in site.flows},
        )

    def add(self, events: Iterable[Event]) -> None:
        """Take the next events."""
        for event in events:
            if event.kind == "crossing":
                key = event.place, event.direction
                self.at_crossing.setdefault(key, Counter())[event.class_name] += 1
                self._book(event, self.crossings.setdefault(key, Counter()))
            elif event.kind == "flow":
                self._book(event, self.flows.setdefault(event.place, Counter()))
            elif event.kind in {"enter", "leave"} and event.stay is not None:
                zone = self.zone(event.place)
                if event.kind == "enter":
                    self._book(event, zone.entries if event.stay.began == "entered" else zone.found_inside)
                elif event.stay.began == "entered" and event.stay.end == "left":
                    zone.closed += 1
                    zone.dwell_s += event.stay.dwell_s or 0.0
            elif event.kind == "rekeyed":
                booked = self._open.pop((event.stream, event.was_identity), [])
                self._open.setdefault((event.stream, event.identity), []).extend(booked)
                self._reclassify(event)
            elif event.kind == "reclassified":
                self._reclassify(event)
            elif event.kind == "identity_end":
                self._open.pop((event.stream, event.identity), None)

    def zone(self, name: str) -> ZoneTally:
        """Sums of a zone, which begin at nothing."""
        return self.zones.setdefault(name, ZoneTally())

    def _book(self, event: Event, counts: Counter[str]) -> None:
        counts[event.class_name] += 1
        self._open.setdefault((event.stream, event.identity), []).append((counts, event.class_name))

    def _reclassify(self, event: Event) -> None:
        """Move everything that an identity was counted for to its class of now."""
        key = event.stream, event.identity
        for counts, was in self._open.get(key, ()):
            counts[was] -= 1
            counts[event.class_name] += 1
            if not counts[was]:
                del counts[was]
        if key in self._open:
            self._open[key] = [(counts, event.class_name) for counts, _ in self._open[key]]

    def merge(self, other: Tally) -> None:
        """Add what another one counted; what comes about its identities later is not moved here."""
        for mine, theirs in ((self.crossings, other.crossings), (self.at_crossing, other.at_crossing)):
            for key, counts in theirs.items():
                mine.setdefault(key, Counter()).update(counts)
        for name, counts in other.flows.items():
            self.flows.setdefault(name, Counter()).update(counts)
        for name, more in other.zones.items():
            zone = self.zone(name)
            zone.entries.update(more.entries)
            zone.found_inside.update(more.found_inside)
            zone.closed += more.closed
            zone.dwell_s += more.dwell_s

    def copy(self) -> Tally:
        """What further events do not change."""
        copied = Tally()
        copied.merge(self)
        return copied

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        lines: dict[str, dict[str, dict[str, int]]] = {}
        for (line, direction), counts in self.crossings.items():
            lines.setdefault(line, {})[direction] = dict(counts)
        zones = {
            name: {
                "entries": dict(zone.entries),
                "found_inside": dict(zone.found_inside),
                "closed_stays": zone.closed,
                "mean_dwell_s": None if zone.mean_dwell_s is None else round(zone.mean_dwell_s, 3),
            }
            for name, zone in self.zones.items()
        }
        return {"lines": lines, "zones": zones, "flows": {name: dict(counts) for name, counts in self.flows.items()}}
