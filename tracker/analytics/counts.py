"""Counts of a ledger in bins of time: zeros filled in, and bins in which a camera was out marked."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tracker.analytics.corrections import Corrections
from tracker.analytics.occupancy import Balances
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tracker.analytics.occupancy import Balance
    from tracker.events import Event, EventKind
    from tracker.site import Doors, Site

__all__ = ["BIN_S", "BY", "BinCount", "Outage", "Sums", "balances", "booked", "count_bins", "counts", "od_matrix"]

BIN_S = 900
"""Fifteen minutes, as turning counts are reported."""
BY = ("stream", "place", "direction", "class")
OUTAGES: frozenset[EventKind] = frozenset({"gap", "camera_moved", "frozen", "covered", "dark"})

Group = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A time in which a camera saw nothing that counts.

    Attributes:
        stream: Of the camera.
        kind: Why.
        from_ms, to_ms: UTC in milliseconds since 1970, or media time.
        utc: Which of both.
    """

    stream: str
    kind: EventKind
    from_ms: int
    to_ms: int
    utc: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BinCount:
    """One cell of a table of counts; cells without a count are there too.

    Attributes:
        start_ms: Begin of the bin: UTC in milliseconds since 1970, or media time of streams without a wall clock.
        utc: Which of both.
        group: What is counted, in the order of ``by``.
        count: How many; ``None`` where the camera was out and nothing was counted.
        outage: The camera was out for a part of the bin, so the count is a lower limit.
    """

    start_ms: int
    utc: bool
    group: Group
    count: int | None
    outage: bool


@dataclass(slots=True, kw_only=True)
class Sums:
    """Counts by clock (UTC or media time), bin and group, before zeros are filled in.

    Attributes:
        counts: By ``(utc, start_ms // bin_ms, group)``.
        outages: Of all streams.
        spans: First and last millisecond of each clock of which the ledger knows.
        semantics: Versions of the rules that the events follow.
    """

    counts: Counter[tuple[bool, int, Group]] = field(default_factory=Counter)
    outages: list[Outage] = field(default_factory=list)
    spans: dict[bool, tuple[int, int]] = field(default_factory=dict)
    semantics: set[int] = field(default_factory=set)

    def extend(self, at_ms: int, *, utc: bool) -> None:
        """Widen the span of a clock."""
        first, last = self.spans.get(utc, (at_ms, at_ms))
        self.spans[utc] = min(first, at_ms), max(last, at_ms)


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
    sums, width_ms, wanted = Sums(), bin_s * 1000, frozenset(kinds)
    open_states: dict[tuple[str, EventKind], Event] = {}
    last: dict[tuple[str, bool], int] = {}
    for event in events:
        at_ms, utc = booked(event)
        sums.extend(at_ms, utc=utc)
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
) -> list[BinCount]:
    """Counts per bin, with final classes and numbers; every group has a row in every bin.

    Args:
        events: Of a ledger.
        kinds: What is counted.
        by: What is counted apart: ``stream``, ``kind``, ``place``, ``direction``, ``class``.
        bin_s: Seconds per bin; bins begin at multiples of it since 1970, in UTC.
        start_ms: From when, in UTC; the bin that holds it is the first. ``None`` = from the first event.
        end_ms: Until when, exclusive. ``None`` = until the last event. With limits, media time is left out.
        groups: Those that have rows even if the ledger has nothing of them.

    Raises:
        ConfigError: Events follow rules of two versions.
    """
    corrections = Corrections.of(events)
    sums = sums_of(events, corrections=corrections, kinds=kinds, by=by, bin_s=bin_s, start_ms=start_ms, end_ms=end_ms)
    return list(filled(sums, by=by, bin_s=bin_s, start_ms=start_ms, end_ms=end_ms, groups=groups))


def filled(
    sums: Sums,
    *,
    by: Sequence[str],
    bin_s: int,
    start_ms: int | None = None,
    end_ms: int | None = None,
    groups: Iterable[Group] = (),
) -> Iterator[BinCount]:
    """Rows of all bins and groups, those without a count included; see :func:`count_bins`.

    Raises:
        ConfigError: Events follow rules of two versions.
    """
    if len(sums.semantics) > 1:
        found = " and ".join(map(str, sorted(sums.semantics)))
        problem = f"expected events that follow rules of one version, found semantics {found}"
        raise ConfigError("the ledger", problem, "analyse the older recordings again, or count them apart")
    width_ms = bin_s * 1000
    shown = sorted({group for _, _, group in sums.counts} | set(groups))
    stream_at = by.index("stream") if "stream" in by else None
    clocks = {utc for utc, _, _ in sums.counts} | ({True} & set(sums.spans)) or set(sums.spans)
    for utc in sorted(clocks, reverse=True):
        first_ms, last_ms = sums.spans[utc]
        first = (first_ms if start_ms is None else start_ms) // width_ms
        beyond = last_ms // width_ms + 1 if end_ms is None else -(-end_ms // width_ms)
        out = _slots_out(sums.outages, width_ms, range(first, beyond), utc=utc)
        for slot in range(first, beyond):
            for group in shown:
                stream = None if stream_at is None else group[stream_at]
                outage = slot in out.get(stream, ())
                count = sums.counts[utc, slot, group]
                yield BinCount(
                    start_ms=slot * width_ms,
                    utc=utc,
                    group=group,
                    count=None if outage and not count else count,
                    outage=outage,
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


def _slots_out(outages: Iterable[Outage], width_ms: int, within: range, *, utc: bool) -> dict[str | None, set[int]]:
    """Bins that outages touch, by stream, and under ``None`` of any stream."""
    found: dict[str | None, set[int]] = {}
    for outage in outages:
        if outage.utc == utc:
            touched = range(
                max(outage.from_ms // width_ms, within.start), min(outage.to_ms // width_ms + 1, within.stop)
            )
            for key in (outage.stream, None):
                found.setdefault(key, set()).update(touched)
    return found


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
