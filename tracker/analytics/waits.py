"""Waits of a ledger, one row each; what they say of each queue, and its length over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from tracker.analytics.bins import bin_edges
from tracker.analytics.counts import BIN_S, booked
from tracker.analytics.dwell import quantiles
from tracker.analytics.spans import corrected, ends_of, spans_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from numpy.typing import NDArray

    from tracker.analytics.asked import Asked
    from tracker.analytics.spans import Clock, Span
    from tracker.events import Event

__all__ = [
    "ABOVE",
    "ENDS",
    "LengthBin",
    "Lengths",
    "QueueFigures",
    "Wait",
    "WaitColumns",
    "WaitEnd",
    "columns_of",
    "length_bins",
    "lengths_in_bins",
    "queue_figures",
    "waits",
]

ABOVE = 7
"""Persons from which on a queue is called too long where nothing else is agreed: more than seven."""
WaitEnd = Literal["served", "abandoned", "lost", "open"]
ENDS: tuple[WaitEnd, ...] = ("served", "abandoned", "lost", "open")
_SERVED, _ABANDONED = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One identity in one queue.

    Attributes:
        stream, place, identity, class_name: Which camera and queue, under the final number and class.
        joined_ms: Since when, UTC in milliseconds, or media time of streams without a wall clock.
        left_ms: Until when; of one without an end the last time that the identity or the ledger is known.
        utc: Which clock.
        end: How it ended; ``None`` = the ledger has no end of it.
        seen: The beginning was seen; else it stood there already.
        reach_m: Metres from the place of service to where it joined; ``None`` on a site without ground.
    """

    stream: str
    place: str
    identity: int
    class_name: str
    joined_ms: int
    left_ms: int
    utc: bool
    end: WaitEnd | None
    seen: bool
    reach_m: float | None = None

    @property
    def wait_s(self) -> float:
        """Seconds in the queue; at least so many where ``seen`` or the end is missing."""
        return (self.left_ms - self.joined_ms) / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitColumns:
    """Many waits as columns of one length.

    Attributes:
        queues: Streams and queues.
        queue: Which of them.
        joined_ms, left_ms, utc, seen: As in :class:`Wait`.
        end: Number among :data:`ENDS`; -1 = the ledger has no end of it.
        reach_m: NaN where it is not known.
    """

    queues: Sequence[tuple[str, str]]
    queue: NDArray[np.int64]
    joined_ms: NDArray[np.int64]
    left_ms: NDArray[np.int64]
    utc: NDArray[np.bool_]
    end: NDArray[np.int8]
    seen: NDArray[np.bool_]
    reach_m: NDArray[np.float64]

    def where(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> WaitColumns:
        """Some of them, chosen as NumPy chooses rows."""
        names = ("queue", "joined_ms", "left_ms", "utc", "end", "seen", "reach_m")
        return WaitColumns(queues=self.queues, **{name: getattr(self, name)[rows] for name in names})

    def by_queue(self) -> list[tuple[tuple[str, str], WaitColumns]]:
        """Those of each queue that has any, in the order of names."""
        order = np.argsort(self.queue, kind="stable")
        parts = np.split(order, np.cumsum(np.bincount(self.queue, minlength=len(self.queues)))[:-1])
        named = sorted(zip(self.queues, parts, strict=True), key=lambda one: one[0]) if self.queues else []
        return [(key, self.where(rows)) for key, rows in named if len(rows)]


class Lengths(NamedTuple):
    """Length of a queue in parts of time, one value of each for every part.

    Attributes:
        mean, longest, share_above: As in :class:`LengthBin`.
    """

    mean: NDArray[np.float64]
    longest: NDArray[np.int64]
    share_above: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFigures:
    """One queue; figures that too few waits tell are ``None``.

    Attributes:
        stream, place: Which.
        served, abandoned, lost, waiting: How many ended in which way, or have not ended.
        found_waiting: Those of all that stood there when they were first seen.
        partly_seen: Those of all whose beginning or end was not seen.
        mean_wait_s, longest_wait_s: Of those that were served, and whose beginning was seen.
        median_wait_s, p90_wait_s: Of all whose beginning was seen, by Kaplan and Meier: one that gave up would have
            waited at least that long.
        mean_length, longest: Persons, over the time of which the ledger knows, and at most.
        reach_m: Metres from the place of service to the farthest that joined.
        above: The limit.
        share_above: Share of that time with more persons than the limit.
    """

    stream: str
    place: str
    served: int
    abandoned: int
    lost: int
    waiting: int
    found_waiting: int
    partly_seen: int
    mean_wait_s: float | None
    median_wait_s: float | None
    p90_wait_s: float | None
    longest_wait_s: float | None
    mean_length: float
    longest: int
    reach_m: float | None
    above: int
    share_above: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthBin:
    """Length of one queue in one bin of time.

    Attributes:
        start_ms: Begin of the bin: UTC in milliseconds, or media time.
        utc: Which of both.
        stream, place: Which queue.
        mean, longest: Persons, over the part of the bin of which the ledger knows, and at most.
        share_above: Share of that part with more persons than the limit.
        served, abandoned: Waits that ended in the bin.
    """

    start_ms: int
    utc: bool
    stream: str
    place: str
    mean: float
    longest: int
    share_above: float
    served: int
    abandoned: int


def waits(events: Sequence[Event], spans: Mapping[Clock, Span] | None = None) -> list[Wait]:
    """Every wait, in the order in which they began.

    Args:
        events: Of a ledger, all kinds: the last of them says how long waits without an end are known.
        spans: Of the whole ledger, where ``events`` are a part of it.
    """
    spans, ends, found = spans_of(events) if spans is None else spans, ends_of(events), []
    standing: dict[tuple[str, str, int], Event] = {}
    for event in corrected([event for event in events if event.kind in _KINDS]):
        key = event.stream, event.place, event.identity
        if event.kind == "queue_join":
            standing[key] = event
        elif event.kind == "queue_leave":
            begun = standing.pop(key if not event.other_identity else (*key[:2], event.other_identity), None)
            at_ms, _ = booked(event)
            since_s = event.time_s if event.since_s is None else event.since_s
            joined_ms = at_ms - round((event.time_s - since_s) * 1000)
            end = event.direction if event.direction in ENDS else None
            found.append(_wait(event, joined_ms, at_ms, end, begun=begun))
    for (stream, _, identity), event in standing.items():
        at_ms, utc = booked(event)
        last_ms = ends.get((stream, identity), spans[stream, utc][1])
        found.append(_wait(event, at_ms, max(last_ms, at_ms), None, begun=event))
    return sorted(found, key=lambda one: (one.joined_ms, one.stream, one.place, one.identity))


def columns_of(found: Iterable[Wait]) -> WaitColumns:
    """Waits as columns, in their order."""
    rows = list(found)
    queues = list(dict.fromkeys((one.stream, one.place) for one in rows))
    numbers = {key: number for number, key in enumerate(queues)}
    return WaitColumns(
        queues=queues,
        queue=np.array([numbers[one.stream, one.place] for one in rows], np.int64),
        joined_ms=np.array([one.joined_ms for one in rows], np.int64),
        left_ms=np.array([one.left_ms for one in rows], np.int64),
        utc=np.array([one.utc for one in rows], np.bool_),
        end=np.array([-1 if one.end is None else ENDS.index(one.end) for one in rows], np.int8),
        seen=np.array([one.seen for one in rows], np.bool_),
        reach_m=np.array([np.nan if one.reach_m is None else one.reach_m for one in rows]),
    )


def queue_figures(
    found: Iterable[Wait] | WaitColumns,
    spans: Mapping[Clock, Span],
    *,
    above: int = ABOVE,
    asked: Asked | None = None,
) -> list[QueueFigures]:
    """What waits say of each queue, in the order of names: waits that began in a time, lengths of all that touch it.

    Args:
        found: See :func:`waits`.
        spans: Of the ledger in that time, see :func:`tracker.analytics.spans.spans_of`.
        above: Persons; more are too many.
        asked: The time; ``None`` = all.
    """
    columns, rows = found if isinstance(found, WaitColumns) else columns_of(found), []
    for key, own in columns.by_queue():
        span = spans.get((key[0], bool(own.utc[0])))
        told = own if asked is None else own.where(_held(own, key[0], asked))
        if span is not None and (len(told.queue) or np.any((own.joined_ms <= span[1]) & (own.left_ms >= span[0]))):
            rows.append(_figures(key, told, own, span, above))
    return rows


def length_bins(
    found: Iterable[Wait],
    spans: Mapping[Clock, Span],
    *,
    bin_s: int = BIN_S,
    above: int = ABOVE,
    zone: ZoneInfo | None = None,
) -> list[LengthBin]:
    """Length of each queue in bins of time over all that the ledger knows, empty ones included.

    Args:
        found: See :func:`waits`.
        spans: Of the ledger; queues of streams without one are left out.
        bin_s: Seconds per bin; see :func:`tracker.analytics.bins.bin_edges`.
        above: Persons; more are too many.
        zone: Of whole days; ``None`` = UTC.
    """
    rows = []
    for (stream, place), own in columns_of(found).by_queue():
        utc = bool(own.utc[0])
        if (stream, utc) not in spans:
            continue
        first_ms, last_ms = spans[stream, utc]
        edges = bin_edges(first_ms, last_ms + 1, bin_s, zone if utc else None)
        lengths = lengths_in_bins(own, (first_ms, last_ms), edges, above=above)
        over = own.where((own.joined_ms <= last_ms) & (own.left_ms >= first_ms) & (own.left_ms < edges[-1]))
        slots = np.searchsorted(edges, over.left_ms, side="right") - 1
        ended = [np.bincount(slots[over.end == end], minlength=len(edges) - 1) for end in (_SERVED, _ABANDONED)]
        rows += [
            LengthBin(
                start_ms=start_ms,
                utc=utc,
                stream=stream,
                place=place,
                mean=mean,
                longest=longest,
                share_above=share,
                served=served,
                abandoned=abandoned,
            )
            for start_ms, mean, longest, share, served, abandoned in zip(
                *(values.tolist() for values in (edges[:-1], *lengths, *ended)), strict=True
            )
        ]
    return sorted(rows, key=lambda row: (not row.utc, row.start_ms, row.stream, row.place))


def lengths_in_bins(own: WaitColumns, span: Span, edges: NDArray[np.int64], *, above: int) -> Lengths:
    """Length of one queue in the part of each bin that lies in a span.

    Args:
        own: Waits of the queue.
        span: What the ledger knows of its stream.
        edges: ``(bins + 1,)`` of the bins that the span touches.
        above: Persons; more are too many.
    """
    return _lengths(own, np.clip(edges, *span), above)


def _held(own: WaitColumns, stream: str, asked: Asked) -> NDArray[np.bool_]:
    """Which waits began in a time."""
    held = np.ones(len(own.queue), np.bool_)
    for utc in (True, False):
        mine, low_ms = own.utc == utc, asked.low_ms(stream, utc=utc)
        if utc != asked.utc and asked.is_limited:
            held &= ~mine
        if low_ms is not None:
            held &= ~mine | (own.joined_ms >= low_ms)
    return held if asked.to_ms is None else held & (own.joined_ms < asked.to_ms)


_KINDS = frozenset({"queue_join", "queue_leave", "rekeyed", "reclassified"})


def _wait(event: Event, joined_ms: int, left_ms: int, end: WaitEnd | None, *, begun: Event | None) -> Wait:
    return Wait(
        stream=event.stream,
        place=event.place,
        identity=event.identity,
        class_name=event.class_name,
        joined_ms=joined_ms,
        left_ms=left_ms,
        utc=event.utc_ms is not None,
        end=end,
        seen=event.stay is None or event.stay.began == "entered",
        reach_m=None if begun is None else begun.value,
    )


def _figures(key: tuple[str, str], own: WaitColumns, there: WaitColumns, span: Span, above: int) -> QueueFigures:
    """Of the waits ``own``, and of the lengths that those in ``there`` made."""
    wait_s = (own.left_ms - own.joined_ms) / 1000
    was_served = own.end == _SERVED
    served = wait_s[own.seen & was_served]
    middle, late = quantiles(wait_s[own.seen], was_served[own.seen], (0.5, 0.9))
    lengths = _lengths(there, np.array(span, np.int64), above)
    of_end = np.bincount(own.end + 1, minlength=len(ENDS) + 1).tolist()
    reach_m = own.reach_m[~np.isnan(own.reach_m)]
    return QueueFigures(
        stream=key[0],
        place=key[1],
        served=of_end[1],
        abandoned=of_end[2],
        lost=of_end[3],
        waiting=of_end[4] + of_end[0],
        found_waiting=int(np.count_nonzero(~own.seen)),
        partly_seen=int(np.count_nonzero(~own.seen | ~np.isin(own.end, (_SERVED, _ABANDONED)))),
        mean_wait_s=float(served.mean()) if len(served) else None,
        median_wait_s=middle,
        p90_wait_s=late,
        longest_wait_s=float(served.max()) if len(served) else None,
        mean_length=float(lengths.mean[0]),
        longest=int(lengths.longest[0]),
        reach_m=float(reach_m.max()) if len(reach_m) else None,
        above=above,
        share_above=float(lengths.share_above[0]),
    )


def _lengths(own: WaitColumns, edges: NDArray[np.int64], above: int) -> Lengths:
    """Length of one queue between each two of some times ``(parts + 1,)``."""
    low_ms, high_ms, parts = edges[0], edges[-1], len(edges) - 1
    there = (own.left_ms > low_ms) & (own.joined_ms < high_ms)
    begins, ends = np.maximum(own.joined_ms[there], low_ms), own.left_ms[there]
    ends = ends[ends < high_ms]
    at = np.concatenate([edges, begins, ends])
    change = np.concatenate(
        [np.zeros(len(edges), np.int64), np.ones(len(begins), np.int64), -np.ones(len(ends), np.int64)]
    )
    order = np.argsort(at, kind="stable")
    at, length = at[order], np.cumsum(change[order])[:-1]
    spent = np.diff(at)
    lasts = spent > 0
    spent, length = spent[lasts], length[lasts]
    part = np.searchsorted(edges, at[:-1][lasts], side="right") - 1
    whole = np.maximum(np.diff(edges), 1)
    longest = np.zeros(parts, np.int64)
    np.maximum.at(longest, part, length)
    return Lengths(
        mean=np.bincount(part, length * spent, parts) / whole,
        longest=longest,
        share_above=np.bincount(part, spent * (length > above), parts) / whole,
    )
