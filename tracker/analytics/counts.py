"""Counts of a ledger in bins of time: zeros filled in where the camera was watching, all other bins marked."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from tracker.analytics.bins import DAY_S, bin_edges
from tracker.analytics.corrections import Corrections
from tracker.analytics.occupancy import Balances
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from zoneinfo import ZoneInfo

    from numpy.typing import NDArray

    from tracker.analytics.occupancy import Balance
    from tracker.events import Event, EventKind
    from tracker.site import Doors, Site

__all__ = [
    "BIN_S",
    "BY",
    "BinCount",
    "Outage",
    "Sums",
    "balances",
    "booked",
    "count_bins",
    "counts",
    "filled",
    "od_matrix",
    "sum_s",
    "sums_of",
]

BIN_S = 900
"""Fifteen minutes, as turning counts are reported."""
BY = ("stream", "place", "direction", "class")
OUTAGES: frozenset[EventKind] = frozenset({"gap", "camera_moved", "frozen", "covered", "dark"})

Group = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A time of which no count is known.

    Attributes:
        stream: Of the camera.
        kind: Why: the camera saw nothing that counts, or what was counted was deleted because of its age.
        from_ms, to_ms: UTC in milliseconds since 1970, or media time.
        utc: Which of both.
    """

    stream: str
    kind: EventKind | Literal["deleted"]
    from_ms: int
    to_ms: int
    utc: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BinCount:
    """One cell of a table of counts; cells without a count are there too.

    Attributes:
        start_ms: Begin of the bin: UTC in milliseconds since 1970, or media time of streams without a wall clock.
        end_ms: Its end, exclusive.
        utc: Which of both.
        group: What is counted, in the order of ``by``.
        count: How many; ``None`` where the camera was out, or nothing is known, and nothing was counted.
        outage: That is so for a part of the bin, so the count is a lower limit.
    """

    start_ms: int
    end_ms: int
    utc: bool
    group: Group
    count: int | None
    outage: bool


@dataclass(slots=True, kw_only=True)
class Sums:
    """Counts by clock (UTC or media time), bin and group, before zeros are filled in.

    Attributes:
        bin_s: Seconds per bin.
        counts: By ``(utc, start_ms // bin_ms, group)``.
        outages: Of all streams.
        streams: First and last millisecond of which the ledger knows, by stream and clock.
        semantics: Versions of the rules that the events follow.
    """

    bin_s: int = BIN_S
    counts: Counter[tuple[bool, int, Group]] = field(default_factory=Counter)
    outages: list[Outage] = field(default_factory=list)
    streams: dict[tuple[str, bool], tuple[int, int]] = field(default_factory=dict)
    semantics: set[int] = field(default_factory=set)

    def extend(self, stream: str, first_ms: int, last_ms: int, *, utc: bool) -> None:
        """Widen what is known of a stream."""
        first, last = self.streams.get((stream, utc), (first_ms, last_ms))
        self.streams[stream, utc] = min(first, first_ms), max(last, last_ms)

    def span(self, *, utc: bool) -> tuple[int, int] | None:
        """First and last millisecond of which the ledger knows by a clock; ``None`` = nothing."""
        found = [span for (_, clock), span in self.streams.items() if clock == utc]
        return (min(first for first, _ in found), max(last for _, last in found)) if found else None


def sum_s(bin_s: int) -> int:
    """Seconds of the bins in which is summed up what :func:`filled` has in bins of ``bin_s``.

    Days are put together from quarters of an hour, at multiples of which they begin in all zones of today.

    >>> sum_s(60), sum_s(86_400)
    (60, 900)
    """
    return bin_s if bin_s % DAY_S else BIN_S


def counts(event: Event) -> bool:
    """Whether an event is one that is counted.

    Entries and exits are those in view: stays that were there already, or ended otherwise, are none. Loitering counts
    once, when it begins.
    """
    if event.kind == "enter":
        return event.stay is not None and event.stay.began == "entered"
    if event.kind == "leave":
        return event.stay is not None and event.stay.end == "left"
    return event.kind in {"crossing", "flow"} or (event.kind == "loitering" and event.since_s is None)


def booked(event: Event) -> tuple[int, bool]:
    """When an event is counted, in milliseconds, and whether that is UTC (else media time). Flows count at their start.

    >>> from tracker.events import Event
    >>> booked(Event(kind="flow", stream="gate", time_s=70.0, utc_ms=1_000_000, since_s=10.0))
    (940000, True)
    """
    at_ms = _rounded(event.time_s * 1000) if event.utc_ms is None else event.utc_ms
    if event.kind == "flow" and event.since_s is not None:
        at_ms -= _rounded((event.time_s - event.since_s) * 1000)
    return at_ms, event.utc_ms is not None


def sums_of(
    events: Iterable[Event],
    *,
    corrections: Corrections,
    kinds: Sequence[EventKind] = ("crossing",),
    by: Sequence[str] = BY,
    bin_s: int = BIN_S,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> Sums:
    """Counts of what is in the bins from ``start_ms`` on and before ``end_ms``; see :func:`count_bins`."""
    sums, width_ms, wanted = Sums(bin_s=bin_s), bin_s * 1000, frozenset(kinds)
    open_states: dict[tuple[str, EventKind], Event] = {}
    last: dict[tuple[str, bool], int] = {}
    for event in events:
        at_ms, utc = booked(event)
        sums.extend(event.stream, at_ms, at_ms, utc=utc)
        now_ms = at_ms if event.kind != "flow" else event.utc_ms or _rounded(event.time_s * 1000)
        last[event.stream, utc] = max(last.get((event.stream, utc), now_ms), now_ms)
        if event.kind in OUTAGES:
            began = open_states.pop((event.stream, event.kind), None)
            if event.since_s is None:
                open_states[event.stream, event.kind] = min(began or event, event, key=booked)
            else:
                from_ms = at_ms - _rounded((event.time_s - event.since_s) * 1000)
                sums.outages.append(Outage(stream=event.stream, kind=event.kind, from_ms=from_ms, to_ms=at_ms, utc=utc))
        elif event.kind in wanted and counts(event) and _within(at_ms, start_ms, end_ms, utc=utc):
            sums.semantics.add(event.semantics)
            event = corrections.apply(event)  # noqa: PLW2901 - from here on as it is counted
            sums.counts[utc, at_ms // width_ms, _group(event, by)] += 1
    for (stream, kind), event in open_states.items():
        from_ms, utc = booked(event)
        sums.outages.append(Outage(stream=stream, kind=kind, from_ms=from_ms, to_ms=last[stream, utc], utc=utc))
    return sums


def count_bins(
    events: Sequence[Event],
    *,
    kinds: Sequence[EventKind] = ("crossing",),
    by: Sequence[str] = BY,
    bin_s: int = BIN_S,
    start_ms: int | None = None,
    end_ms: int | None = None,
    groups: Iterable[Group] = (),
    zone: ZoneInfo | None = None,
) -> list[BinCount]:
    """Counts per bin, with final classes and numbers; every group has a row in every bin.

    Args:
        events: Of a ledger.
        kinds: What is counted.
        by: What is counted apart: ``stream``, ``kind``, ``place``, ``direction``, ``class``.
        bin_s: Seconds per bin; bins begin at multiples of it since 1970, in UTC, whole days with the local day.
        start_ms: From when, in UTC; the bin that holds it is the first. ``None`` = from the first event.
        end_ms: Until when, exclusive. ``None`` = until the last event. With limits, media time is left out.
        groups: Those that have rows even if the ledger has nothing of them.
        zone: Of local days; ``None`` = UTC.

    Raises:
        ConfigError: Events follow rules of two versions.
    """
    limits = {"start_ms": start_ms, "end_ms": end_ms}
    corrections = Corrections.of(events)
    sums = sums_of(events, corrections=corrections, kinds=kinds, by=by, bin_s=sum_s(bin_s), **limits)
    return list(filled(sums, by=by, bin_s=bin_s, groups=groups, zone=zone, **limits))


def filled(
    sums: Sums,
    *,
    by: Sequence[str],
    bin_s: int,
    start_ms: int | None = None,
    end_ms: int | None = None,
    groups: Iterable[Group] = (),
    zone: ZoneInfo | None = None,
) -> Iterator[BinCount]:
    """Rows of all bins and groups, those without a count included; see :func:`count_bins`.

    ``sums`` are in bins of :func:`sum_s`. A bin without a count is 0 where the ledger knows of its time, and nothing
    was out: of the stream's time where streams are counted apart, else of the time of any; between two there is none.

    Raises:
        ConfigError: Events follow rules of two versions.
    """
    if len(sums.semantics) > 1:
        found = " and ".join(map(str, sorted(sums.semantics)))
        problem = f"expected events that follow rules of one version, found semantics {found}"
        raise ConfigError("the ledger", problem, "analyse the older recordings again, or count them apart")
    shown = sorted({group for _, _, group in sums.counts} | set(groups))
    stream_at = by.index("stream") if "stream" in by else None
    known = {utc for _, utc in sums.streams}
    for utc in sorted({utc for utc, _, _ in sums.counts} | ({True} & known) or known, reverse=True):
        first_ms, last_ms = sums.span(utc=utc) or (0, 0)
        low, high = first_ms if start_ms is None else start_ms, last_ms + 1 if end_ms is None else end_ms
        edges = bin_edges(low, max(low, high), bin_s, zone if utc else None)
        counts, unknown = _rebinned(sums, edges, utc=utc), _Unknown(sums, edges, utc=utc)
        for number, (begin, end) in enumerate(pairwise(edges.tolist()) if high > low else ()):
            for group in shown:
                out = unknown.touches(number, None if stream_at is None else group[stream_at])
                count = counts[number, group]
                yield BinCount(
                    start_ms=begin,
                    end_ms=end,
                    utc=utc,
                    group=group,
                    count=None if out and not count else count,
                    outage=out,
                )


def od_matrix(site: Site, events: Sequence[Event]) -> dict[tuple[str, str], int]:
    """How many identities took each flow of a site, by its start and end; flows that nothing took are 0."""
    ends = {flow.name: (flow.start, flow.end) for flow in site.flows}
    matrix = dict.fromkeys(ends.values(), 0)
    for event in events:
        if event.kind == "flow" and event.place in ends:
            matrix[ends[event.place]] += 1
    return matrix


def balances(
    events: Iterable[Event], doors: Sequence[Doors], *, timezone: str, now_ms: int | None = None
) -> dict[str, Balance]:
    """Balance and drift of each set of doors of one stream, as its process had them.

    Args:
        events: Of the stream, in the order in which they were written.
        doors: Of its site.
        timezone: Of the site, for quiet hours.
        now_ms: As of when, UTC in milliseconds; ``None`` = the last event.
    """
    running = Balances(doors, timezone=timezone)
    for event in events:
        running.tick(event.utc_ms)
        running.note(event)
    running.tick(now_ms)
    return running.now


def _rebinned(sums: Sums, edges: NDArray[np.int64], *, utc: bool) -> Counter[tuple[int, Group]]:
    """Counts by the number of the bin between ``edges`` and the group."""
    mine = [(slot, group, count) for (clock, slot, group), count in sums.counts.items() if clock == utc]
    starts = np.array([slot for slot, _, _ in mine], np.int64) * (sums.bin_s * 1000)
    found: Counter[tuple[int, Group]] = Counter()
    numbers = (np.searchsorted(edges, starts, side="right") - 1).tolist()
    for number, (_, group, count) in zip(numbers, mine, strict=True):
        found[number, group] += count
    return found


class _Unknown:
    """Bins of which a part is not known: a camera was out, or nothing of that time is in the ledger.

    Args:
        sums: With outages, and what is known of the streams.
        edges: Of the bins.
        utc: Their clock.
    """

    def __init__(self, sums: Sums, edges: NDArray[np.int64], *, utc: bool) -> None:
        self._edges, self._bins = edges, max(len(edges) - 1, 0)
        self._sums, self._utc = sums, utc
        self._found: dict[str | None, NDArray[np.bool_]] = {}

    def touches(self, number: int, stream: str | None) -> bool:
        """Whether a bin is one of those of a stream, or of any."""
        if stream not in self._found:
            self._found[stream] = self._of(stream)
        return bool(self._found[stream][number])

    def _of(self, stream: str | None) -> NDArray[np.bool_]:
        found = np.ones(self._bins, np.bool_)
        for (name, utc), span in self._sums.streams.items():
            if utc == self._utc and stream in {None, name}:
                found[self._bins_of(*span)] = False
        for outage in self._sums.outages:
            if outage.utc == self._utc and stream in {None, outage.stream}:
                found[self._bins_of(outage.from_ms, outage.to_ms)] = True
        return found

    def _bins_of(self, from_ms: int, to_ms: int) -> slice:
        first, last = (np.searchsorted(self._edges, (from_ms, to_ms), side="right") - 1).tolist()
        return slice(max(first, 0), max(last + 1, 0))


def _group(event: Event, by: Sequence[str]) -> Group:
    values = {
        "stream": event.stream,
        "kind": event.kind,
        "place": event.place,
        "direction": event.direction,
        "class": event.class_name,
    }
    return tuple(values[name] for name in by)


def _within(at_ms: int, start_ms: int | None, end_ms: int | None, *, utc: bool) -> bool:
    """Whether a time is between the limits, which are UTC: media time is not if there are any."""
    if not utc:
        return start_ms is None and end_ms is None
    return (start_ms is None or at_ms >= start_ms) and (end_ms is None or at_ms < end_ms)


def _rounded(value: float) -> int:
    """The nearest whole number, halves upwards, as SQL rounds."""
    return math.floor(value + 0.5)
