"""Visitors of a ledger: entries, staff, re-entries, groups and passers-by of each footfall, and what share came in.

Two capture rates are in use, and they are not the same: ``capture_of_passing`` is visitors over passers-by,
``capture_of_all`` visitors over visitors and passers-by together.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracker.analytics.corrections import Corrections
from tracker.analytics.counts import booked
from tracker.analytics.spans import corrected, spans_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tracker.analytics.spans import Clock, Span
    from tracker.events import Event
    from tracker.premises import Footfall
    from tracker.site import Doors, Site

__all__ = ["Visitors", "visitors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitors:
    """One footfall, of the whole ledger or of one bin of time.

    Attributes:
        stream, place: Which camera and footfall.
        start_ms: Begin of the bin, UTC in milliseconds or media time; ``None`` = the whole ledger.
        utc: Which of both.
        entries, exits: Passages of the doors, by anybody.
        staff: Entries by the staff.
        re_entries: Entries by visitors that were in before.
        groups, grouped: How many came together as how many groups; staff is in none.
        passers_by: Identities that passed and did not come in.
    """

    stream: str
    place: str
    start_ms: int | None
    utc: bool
    entries: int
    exits: int
    staff: int
    re_entries: int
    groups: int
    grouped: int
    passers_by: int

    @property
    def visitors(self) -> int:
        """Entries without staff and re-entries."""
        return self.entries - self.staff - self.re_entries

    @property
    def parties(self) -> int:
        """Groups, and visitors that came alone: those that may buy."""
        return self.visitors - self.grouped + self.groups

    @property
    def capture_of_passing(self) -> float | None:
        """Visitors over passers-by; ``None`` without any."""
        return self.visitors / self.passers_by if self.passers_by else None

    @property
    def capture_of_all(self) -> float | None:
        """Visitors over visitors and passers-by; ``None`` without any."""
        both = self.visitors + self.passers_by
        return self.visitors / both if both else None


_COUNTS = ("entries", "exits", "staff", "re_entries", "groups", "grouped", "passers_by")
_Key = tuple[str, bool, int | None]


def visitors(
    events: Sequence[Event], site: Site, *, bin_s: int | None = None, spans: Mapping[Clock, Span] | None = None
) -> list[Visitors]:
    """Footfall of a site in a ledger, each with a row for every stream, and for every bin if there are bins.

    Args:
        events: Of streams that have this site.
        site: Says which lines are doors, and before which lines people pass.
        bin_s: Seconds per bin; bins begin at multiples of it since 1970, in UTC. ``None`` = one row of all.
        spans: What the ledger covers, where ``events`` are a part of it; every one that counts lies in one.
    """
    spans, found = spans_of(events) if spans is None else spans, []
    numbers = Corrections.of(events).numbers
    ordered = corrected([event for event in events if event.kind in _KINDS])
    doors = {one.name: one for one in site.doors}
    for rule in site.footfall:
        counts: dict[_Key, dict[str, int]] = {}
        for (stream, utc), (first_ms, last_ms) in spans.items():
            for slot in _slots(first_ms, last_ms, bin_s):
                counts[stream, utc, slot] = dict.fromkeys(_COUNTS, 0)
        for event, name in _counted(ordered, rule, doors[rule.doors], numbers):
            at_ms, utc = booked(event)
            counts[event.stream, utc, None if bin_s is None else at_ms // (bin_s * 1000)][name] += 1
        for (stream, utc, slot), values in counts.items():
            start_ms = None if slot is None or bin_s is None else slot * bin_s * 1000
            found.append(Visitors(stream=stream, place=rule.name, start_ms=start_ms, utc=utc, **values))
    return sorted(found, key=lambda row: (not row.utc, row.start_ms or 0, row.stream, row.place))


_KINDS = frozenset({"crossing", "staff", "re_entry", "group", "group_member", "passing", "rekeyed", "reclassified"})


def _slots(first_ms: int, last_ms: int, bin_s: int | None) -> Iterable[int | None]:
    return [None] if bin_s is None else range(first_ms // (bin_s * 1000), last_ms // (bin_s * 1000) + 1)


def _counted(
    events: Sequence[Event], rule: Footfall, doors: Doors, numbers: Mapping[tuple[str, int], int]
) -> Iterator[tuple[Event, str]]:
    """Each event that counts, once for each of the counts that it is one of."""
    staff = {
        (event.stream, event.identity) for event in events if event.kind == "staff" and event.place in rule.staff_zones
    }
    back = {_passage(event) for event in events if event.kind == "re_entry" and event.place == doors.name}
    for event in events:
        who = event.stream, event.identity
        if event.kind == "passing" and event.place in rule.passing and who not in staff:
            yield event, "passers_by"
        elif event.kind == "crossing" and event.place in doors.lines:
            enters = event.direction == doors.entry
            yield event, "entries" if enters else "exits"
            if enters and who in staff:
                yield event, "staff"
            elif enters and _passage(event) in back:
                yield event, "re_entries"
    guests = [event for event in events if (event.stream, event.identity) not in staff and _passage(event) not in back]
    for members in _parties(guests, doors, numbers):
        yield members[0], "groups"
        for event in members:
            yield event, "grouped"


def _parties(events: Iterable[Event], doors: Doors, numbers: Mapping[tuple[str, int], int]) -> Iterator[list[Event]]:
    """The rows of each group of two or more that came in."""
    parties: dict[tuple[str, int, str], list[Event]] = defaultdict(list)
    for event in events:
        if event.kind in {"group", "group_member"} and event.place in doors.lines and event.direction == doors.entry:
            first = event.identity if event.kind == "group" else event.other_identity
            parties[event.stream, numbers.get((event.stream, first), first), event.place].append(event)
    return (members for members in parties.values() if len(members) > 1)


def _passage(event: Event) -> tuple[str, int, int]:
    return event.stream, event.identity, booked(event)[0]
