"""Waits of a ledger, one row each; what they say of each queue, and its length over time."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from tracker.analytics.counts import BIN_S, booked
from tracker.analytics.dwell import quantiles
from tracker.analytics.spans import corrected, ends_of, spans_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tracker.analytics.spans import Clock, Span
    from tracker.events import Event

__all__ = ["ABOVE", "LengthBin", "QueueFigures", "Wait", "WaitEnd", "length_bins", "queue_figures", "waits"]

ABOVE = 7
"""Persons from which on a queue is called too long where nothing else is agreed: more than seven."""
WaitEnd = Literal["served", "abandoned", "lost", "open"]

Step = tuple[int, int]
"""From when on (ms) a queue has which length."""


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
            end = cast("WaitEnd", event.direction) if event.direction in _ENDS else None
            found.append(_wait(event, joined_ms, at_ms, end, begun=begun))
    for (stream, _, identity), event in standing.items():
        at_ms, utc = booked(event)
        last_ms = ends.get((stream, identity), spans[stream, utc][1])
        found.append(_wait(event, at_ms, max(last_ms, at_ms), None, begun=event))
    return sorted(found, key=lambda one: (one.joined_ms, one.stream, one.place, one.identity))


def queue_figures(found: Iterable[Wait], spans: Mapping[Clock, Span], *, above: int = ABOVE) -> list[QueueFigures]:
    """What waits say of each queue, in the order of names.

    Args:
        found: See :func:`waits`.
        spans: Of the ledger, see :func:`tracker.analytics.spans.spans_of`.
        above: Persons; more are too many.
    """
    return [
        _figures(key, own, spans.get((key[0], own[0].utc), (0, 0)), above)
        for key, own in sorted(_by_queue(found).items())
    ]


def length_bins(
    found: Iterable[Wait], spans: Mapping[Clock, Span], *, bin_s: int = BIN_S, above: int = ABOVE
) -> list[LengthBin]:
    """Length of each queue in bins of time over all that the ledger knows, empty ones included.

    Args:
        found: See :func:`waits`.
        spans: Of the ledger.
        bin_s: Seconds per bin; bins begin at multiples of it since 1970, in UTC.
        above: Persons; more are too many.
    """
    width_ms, rows = bin_s * 1000, []
    for (stream, place), own in sorted(_by_queue(found).items()):
        utc = own[0].utc
        first_ms, last_ms = spans.get((stream, utc), (own[0].joined_ms, own[-1].left_ms))
        touching: dict[int, list[Wait]] = defaultdict(list)
        for one in own:
            for slot in range(max(one.joined_ms, first_ms) // width_ms, min(one.left_ms, last_ms) // width_ms + 1):
                touching[slot].append(one)
        for slot in range(first_ms // width_ms, last_ms // width_ms + 1):
            low, high = max(slot * width_ms, first_ms), min((slot + 1) * width_ms, last_ms)
            mean, longest, share = _over(touching[slot], low, high, above)
            ended = [one.end for one in touching[slot] if slot * width_ms <= one.left_ms < (slot + 1) * width_ms]
            rows.append(
                LengthBin(
                    start_ms=slot * width_ms,
                    utc=utc,
                    stream=stream,
                    place=place,
                    mean=mean,
                    longest=longest,
                    share_above=share,
                    served=ended.count("served"),
                    abandoned=ended.count("abandoned"),
                )
            )
    return sorted(rows, key=lambda row: (not row.utc, row.start_ms, row.stream, row.place))


_ENDS = frozenset({"served", "abandoned", "lost", "open"})
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


def _by_queue(found: Iterable[Wait]) -> dict[tuple[str, str], list[Wait]]:
    queues: dict[tuple[str, str], list[Wait]] = defaultdict(list)
    for one in found:
        queues[one.stream, one.place].append(one)
    return queues


def _figures(key: tuple[str, str], own: Sequence[Wait], span: Span, above: int) -> QueueFigures:
    ends = [one.end for one in own]
    seen = [one for one in own if one.seen]
    served = [one.wait_s for one in seen if one.end == "served"]
    lengths = np.array([one.wait_s for one in seen])
    middle, late = quantiles(lengths, np.array([one.end == "served" for one in seen], np.bool_), (0.5, 0.9))
    mean, longest, share = _over(own, *span, above)
    return QueueFigures(
        stream=key[0],
        place=key[1],
        served=ends.count("served"),
        abandoned=ends.count("abandoned"),
        lost=ends.count("lost"),
        waiting=ends.count("open") + ends.count(None),
        found_waiting=len(own) - len(seen),
        partly_seen=sum(not one.seen or one.end not in {"served", "abandoned"} for one in own),
        mean_wait_s=float(np.mean(served)) if served else None,
        median_wait_s=middle,
        p90_wait_s=late,
        longest_wait_s=max(served, default=None),
        mean_length=mean,
        longest=longest,
        reach_m=max((one.reach_m for one in own if one.reach_m is not None), default=None),
        above=above,
        share_above=share,
    )


def _over(own: Sequence[Wait], low_ms: int, high_ms: int, above: int) -> tuple[float, int, float]:
    """Mean and greatest length between two times, and the share of the time with more than ``above``."""
    spent: dict[int, int] = defaultdict(int)
    for (begin, length), (end, _) in pairwise([*_steps(own, low_ms, high_ms), (high_ms, 0)]):
        spent[length] += end - begin
    whole = max(high_ms - low_ms, 1)
    mean = sum(length * time for length, time in spent.items()) / whole
    longest = max((length for length, time in spent.items() if time), default=0)
    return mean, longest, sum(time for length, time in spent.items() if length > above) / whole


def _steps(own: Sequence[Wait], low_ms: int, high_ms: int) -> Iterator[Step]:
    """The length from ``low_ms`` on, and every change of it until ``high_ms``."""
    changes: dict[int, int] = defaultdict(int)
    changes[low_ms] = 0
    for one in own:
        if one.left_ms > low_ms and one.joined_ms < high_ms:
            changes[max(one.joined_ms, low_ms)] += 1
            if one.left_ms < high_ms:
                changes[one.left_ms] -= 1
    length = 0
    for at_ms in sorted(changes):
        length += changes[at_ms]
        yield at_ms, length
