"""Counts of a site from its events, as they are written beside its lines and zones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tracker.events import Event
    from tracker.render.site_marks import SiteMarks

__all__ = ["LineCounts", "SiteTally", "ZoneCounts"]


@dataclass(slots=True)
class LineCounts:
    """Crossings of one line.

    Attributes:
        by_direction: Crossings by name of the direction.
    """

    by_direction: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class ZoneCounts:
    """Stays in one zone.

    Attributes:
        present: Identities that have entered, have not left and are not gone.
        entered: Stays so far.
        dwells: Stays that both began and ended in view; others last longer than was seen and are left out of the mean.
        dwell_s: Seconds of those stays together.
    """

    present: set[int] = field(default_factory=set)
    entered: int = 0
    dwells: int = 0
    dwell_s: float = 0.0

    @property
    def mean_dwell_s(self) -> float | None:
        """Mean of the stays seen from their beginning to their end; ``None`` before the first one."""
        return self.dwell_s / self.dwells if self.dwells else None


class SiteTally:
    """Counts of every line and zone of a site.

    The events say what counts: those of a line or zone with a list of classes are of these classes only.

    Args:
        marks: Lines and zones; events at other places are left out.

    Attributes:
        lines: By name.
        zones: By name.
    """

    def __init__(self, marks: SiteMarks) -> None:
        self.lines = {
            line.name: LineCounts({name: 0 for name in (line.to_left, line.to_right) if name}) for line in marks.lines
        }
        self.zones = {zone.name: ZoneCounts() for zone in marks.zones}

    def take(self, events: Iterable[Event]) -> None:
        """Count further events, in the order in which they were found."""
        for event in events:
            if event.kind == "crossing" and event.place in self.lines:
                counts = self.lines[event.place].by_direction
                counts[event.direction] = counts.get(event.direction, 0) + 1
            elif event.kind == "enter" and event.place in self.zones:
                zone = self.zones[event.place]
                zone.present.add(event.identity)
                zone.entered += 1
            elif event.kind == "leave" and event.place in self.zones:
                self._leave(self.zones[event.place], event)
            elif event.kind == "rekeyed":
                for zone in self.zones.values():
                    if event.was_identity in zone.present:
                        zone.present.remove(event.was_identity)
                        zone.present.add(event.identity)
            elif event.kind == "identity_end":
                for zone in self.zones.values():
                    zone.present.discard(event.identity)

    @staticmethod
    def _leave(zone: ZoneCounts, event: Event) -> None:
        stay = event.stay
        if stay is not None and stay.end == "open":
            return  # the recording ended first
        zone.present.discard(event.identity)
        if stay is not None and stay.began == "entered" and stay.end == "left" and stay.dwell_s is not None:
            zone.dwells += 1
            zone.dwell_s += stay.dwell_s
