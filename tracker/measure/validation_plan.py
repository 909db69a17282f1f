"""Plan of a validation: between which times intervals are drawn, from which groups, and what is counted in them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from zoneinfo import ZoneInfo

    from tracker.measure.validation import Clock
    from tracker.site import Site

__all__ = ["Timeline", "asked_of", "strata_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Between which times is drawn.

    Attributes:
        clock: By which.
        from_ms, to_ms: Its ends, the second one exclusive.
        utc_from_ms: UTC at media time 0; ``None`` = not known.
        zone: Of the hours.
    """

    clock: Clock
    from_ms: int
    to_ms: int
    utc_from_ms: int | None
    zone: ZoneInfo

    def hour(self, at_ms: int) -> str:
        """The hour of a time: local where the wall clock is known, else of media time."""
        moment = self.moment(at_ms)
        return f"hour {at_ms // 3_600_000 + 1}" if moment is None else f"{moment:%H}:00"

    def moment(self, at_ms: int) -> datetime | None:
        """A time by the local clock, where the wall clock is known."""
        if self.clock == "utc":
            utc_ms = at_ms
        elif self.utc_from_ms is None:
            return None
        else:
            utc_ms = at_ms + self.utc_from_ms
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=utc_ms)).astimezone(self.zone)


def strata_of(timeline: Timeline, length_ms: int, lights: Mapping[int, str]) -> list[str]:
    """The group of every interval of a length: its hour, and its light where that is known.

    Args:
        timeline: From its begin on; what is left at its end is none.
        length_ms: Of each.
        lights: By the number of the interval, from 0.
    """
    strata = []
    for slot in range((timeline.to_ms - timeline.from_ms) // length_ms):
        hour = timeline.hour(timeline.from_ms + slot * length_ms)
        strata.append(f"{hour}, {lights[slot]}" if slot in lights else hour)
    return strata


def asked_of(
    passed: Iterable[tuple[str, str]], classes: Iterable[str], site: Site | None
) -> list[tuple[str, str, str]]:
    """What is counted, as place, direction and class: every way for every class that occurs.

    Args:
        passed: Places and directions of which there are passages.
        classes: Of the stream's identities.
        site: Adds lines, zones and classes of which there are none.

    Raises:
        ConfigError: There is nothing to count.
    """
    ways: dict[tuple[str, str], None] = {}  # a set in order
    known = set(classes)
    only: dict[str, tuple[str, ...]] = {}
    if site is not None:
        ways |= dict.fromkeys((line.name, direction) for line in site.lines for direction in line.directions)
        ways |= dict.fromkeys((zone.name, "entered") for zone in site.zones)
        only = {line.name: line.classes for line in site.lines} | {zone.name: zone.classes for zone in site.zones}
        known |= {name for names in only.values() for name in names}
    ways |= dict.fromkeys(sorted(set(passed)))
    asked = [
        (place, direction, name)
        for place, direction in ways
        for name in sorted(known)
        if not only.get(place) or name in only[place]
    ]
    if not asked:
        problem = "expected crossings or entries, found none"
        raise ConfigError("the ledger", problem, "name the site with --site if nothing passed")
    return asked
