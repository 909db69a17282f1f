"""Visitors of a ledger: entries, staff, re-entries, groups and passers-by of each footfall, and what share came in.

Two capture rates are in use, and they are not the same: ``capture_of_passing`` is visitors over passers-by,
``capture_of_all`` visitors over visitors and passers-by together.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tracker.analytics.bins import bin_edges
from tracker.analytics.corrections import Corrections
from tracker.analytics.counts import booked
from tracker.analytics.spans import corrected, spans_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from zoneinfo import ZoneInfo

    from numpy.typing import NDArray

    from tracker.analytics.spans import Clock, Span
    from tracker.events import Event
    from tracker.premises import Footfall
    from tracker.site import Doors, Site

__all__ = ["COUNTS", "KINDS", "PassageColumns", "Visitors", "counted", "same_rows", "visitors"]


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
        passers_by: Identities that passed and did not come in; ``None`` = the footfall has no line that counts them.
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
    passers_by: int | None

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
        """Visitors over visitors and passers-by; ``None`` without any, or where passers-by are not counted."""
        if self.passers_by is None:
            return None
        both = self.visitors + self.passers_by
        return self.visitors / both if both else None


COUNTS = ("entries", "exits", "staff", "re_entries", "groups", "grouped", "passers_by")
"""Counts of :class:`Visitors`."""
KINDS = frozenset({"crossing", "staff", "re_entry", "group", "group_member", "passing", "rekeyed", "reclassified"})
"""Of the rows that are needed."""
_Key = tuple[str, bool, int]


class PassageColumns(NamedTuple):
    """Rows of one stream and one footfall in order of time, as columns of one length.

    Attributes:
        at_ms: When.
        identity: Present numbers.
        first: Of the first one of the group; of others ``identity``.
        place: Any number for each place.
        passing, crossing, staff, re_entry, group: Whether it is of this kind and its place is one of the footfall's.
        inwards: Whether its direction is the doors' entry.
    """

    at_ms: NDArray[np.int64]
    identity: NDArray[np.int64]
    first: NDArray[np.int64]
    place: NDArray[np.int64]
    passing: NDArray[np.bool_]
    crossing: NDArray[np.bool_]
    staff: NDArray[np.bool_]
    re_entry: NDArray[np.bool_]
    group: NDArray[np.bool_]
    inwards: NDArray[np.bool_]


def visitors(
    events: Sequence[Event],
    site: Site,
    *,
    bin_s: int | None = None,
    spans: Mapping[Clock, Span] | None = None,
    zone: ZoneInfo | None = None,
) -> list[Visitors]:
    """Footfall of a site in a ledger, each with a row for every stream, and for every bin if there are bins.

    Args:
        events: Of streams that have this site.
        site: Says which lines are doors, and before which lines people pass.
        bin_s: Seconds per bin, see :func:`tracker.analytics.bins.bin_edges`. ``None`` = one row of all.
        spans: What is known of each stream in the time that is asked for: what is in none of them does not count.
        zone: Of whole days; ``None`` = UTC.
    """
    spans, found = spans_of(events) if spans is None else spans, []
    edges = {clock: _edges(*span, bin_s, zone if clock[1] else None) for clock, span in spans.items()}
    numbers = Corrections.of(events).numbers
    ordered = corrected([event for event in events if event.kind in KINDS])
    by_stream = {stream: [event for event in ordered if event.stream == stream] for stream, _ in spans}
    doors = {one.name: one for one in site.doors}
    for rule in site.footfall:
        counts: dict[_Key, Counter[str]] = {
            (*clock, slot): Counter() for clock, starts in edges.items() for slot in starts[:-1]
        }
        for stream, mine in by_stream.items():
            for name, rows in counted(_columns(mine, rule, doors[rule.doors], numbers)).items():
                for at_ms, utc in (booked(mine[row]) for row in rows.tolist()):
                    clock = stream, utc
                    if clock in spans and spans[clock][0] <= at_ms <= spans[clock][1]:
                        counts[*clock, edges[clock][bisect_right(edges[clock], at_ms) - 1]][name] += 1
        for (stream, utc, slot), values in counts.items():
            start_ms = None if bin_s is None else slot
            named = {name: values[name] for name in COUNTS if name != "passers_by"}
            passers_by = values["passers_by"] if rule.passing else None
            row = Visitors(stream=stream, place=rule.name, start_ms=start_ms, utc=utc, **named, passers_by=passers_by)
            found.append(row)
    return sorted(found, key=lambda row: (not row.utc, row.start_ms or 0, row.stream, row.place))


def _edges(first_ms: int, last_ms: int, bin_s: int | None, zone: ZoneInfo | None) -> list[int]:
    """Begins of the bins of a time, and the end of the last one."""
    if bin_s is None:
        return [first_ms, last_ms + 1]
    found: list[int] = bin_edges(first_ms, last_ms + 1, bin_s, zone).tolist()
    return found


def counted(of: PassageColumns) -> dict[str, NDArray[np.int64]]:
    """Rows that count, once for each of :data:`COUNTS` that they are one of."""
    is_staff = np.isin(of.identity, of.identity[of.staff])
    comes_back = same_rows((of.at_ms, of.identity), of.re_entry)
    entries = of.crossing & of.inwards
    guests = of.group & of.inwards & ~is_staff & ~comes_back
    members = np.flatnonzero(guests)
    _, starts, party, sizes = np.unique(
        np.stack([of.first[members], of.place[members]], axis=1),
        axis=0,
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    found = {
        "entries": entries,
        "exits": of.crossing & ~of.inwards,
        "staff": entries & is_staff,
        "re_entries": entries & ~is_staff & comes_back,
        "passers_by": of.passing & ~is_staff,
    }
    return {name: np.flatnonzero(rows) for name, rows in found.items()} | {
        "groups": members[starts[sizes > 1]],
        "grouped": members[sizes[party.reshape(-1)] > 1],
    }


def same_rows(columns: Sequence[NDArray[np.int64]], wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each row is equal to one of the wanted rows in all columns."""
    fits = np.ones(len(wanted), np.bool_)
    for column in columns:
        fits &= np.isin(column, column[wanted])
    rows = np.flatnonzero(fits)
    found = set(zip(*(column[wanted].tolist() for column in columns), strict=True))
    fits[rows] = [row in found for row in zip(*(column[rows].tolist() for column in columns), strict=True)]
    return fits


def _columns(
    events: Sequence[Event], rule: Footfall, doors: Doors, numbers: Mapping[tuple[str, int], int]
) -> PassageColumns:
    """Corrected events of one stream as columns."""
    places = {name: number for number, name in enumerate(dict.fromkeys(event.place for event in events))}

    def flags(kinds: Sequence[str], among: Sequence[str]) -> NDArray[np.bool_]:
        return np.array([event.kind in kinds and event.place in among for event in events], np.bool_)

    def first(event: Event) -> int:
        number = event.other_identity if event.kind == "group_member" else event.identity
        return numbers.get((event.stream, number), number)

    return PassageColumns(
        at_ms=np.array([booked(event)[0] for event in events], np.int64),
        identity=np.array([event.identity for event in events], np.int64),
        first=np.array([first(event) for event in events], np.int64),
        place=np.array([places[event.place] for event in events], np.int64),
        passing=flags(("passing",), rule.passing),
        crossing=flags(("crossing",), doors.lines),
        staff=flags(("staff",), rule.staff_zones),
        re_entry=flags(("re_entry",), (doors.name,)),
        group=flags(("group", "group_member"), doors.lines),
        inwards=np.array([event.direction == doors.entry for event in events], np.bool_),
    )
