"""Turnover of parking bays in a ledger: every time that a bay was taken, and what they say of each bay."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracker.analytics.counts import booked
from tracker.analytics.spans import corrected

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tracker.analytics.spans import Clock, Span
    from tracker.events import Event

__all__ = ["BayFigures", "Parking", "bay_figures", "parkings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parking:
    """One time that a bay was taken.

    Attributes:
        stream, place, identity, class_name: Which camera and bay, and by what, where that is known.
        taken_ms: Since when, UTC in milliseconds, or media time of streams without a wall clock.
        free_ms: Until when; ``None`` while it lasts.
        utc: Which clock.
        seen: The arrival was seen; else it stood there already.
    """

    stream: str
    place: str
    identity: int
    class_name: str
    taken_ms: int
    free_ms: int | None
    utc: bool
    seen: bool

    @property
    def parked_s(self) -> float | None:
        """Seconds, at least so many where the arrival was not seen; ``None`` while it lasts."""
        return None if self.free_ms is None else (self.free_ms - self.taken_ms) / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class BayFigures:
    """One bay; figures that nothing tells are ``None``.

    Attributes:
        stream, place: Which.
        arrivals, departures: Those that were seen in the time.
        taken: It is so at its end.
        mean_s, longest_s: Of those whose arrival was in the time, and whose departure was seen.
        occupied_share: Of the time, as far as the ledger knows of it.
        arrivals_per_h: Over that time.
    """

    stream: str
    place: str
    arrivals: int
    departures: int
    taken: bool
    mean_s: float | None
    longest_s: float | None
    occupied_share: float
    arrivals_per_h: float


def parkings(events: Sequence[Event]) -> list[Parking]:
    """Every time that a bay was taken, in order of its beginning.

    A bay that is said to be taken again, without having been free, is so since the first time: the process began anew.

    Args:
        events: Of a ledger.
    """
    found: list[Parking] = []
    open_now: dict[tuple[str, str], Event] = {}
    for event in corrected([event for event in events if event.kind in _KINDS]):
        key = event.stream, event.place
        if event.kind == "bay_taken":
            open_now.setdefault(key, event)
        elif event.kind == "bay_free":
            at_ms, _ = booked(event)
            since_s = event.time_s if event.since_s is None else event.since_s
            begun = open_now.pop(key, None)
            taken_ms = at_ms - round((event.time_s - since_s) * 1000) if begun is None else booked(begun)[0]
            found.append(_parking(begun or event, taken_ms, at_ms))
    found += [_parking(event, booked(event)[0], None) for event in open_now.values()]
    return sorted(found, key=lambda one: (one.taken_ms, one.stream, one.place))


def bay_figures(
    found: Iterable[Parking], spans: Mapping[Clock, Span], *, bays: Iterable[tuple[str, str]] = ()
) -> list[BayFigures]:
    """What they say of each bay in a time, in the order of names; streams of which nothing is known have none.

    Args:
        found: See :func:`parkings`.
        spans: Of the ledger in that time, see :func:`tracker.analytics.spans.spans_of`.
        bays: Streams and names of bays that have rows though none was ever taken.
    """
    by_bay: dict[tuple[str, str], list[Parking]] = defaultdict(list)
    for one in found:
        by_bay[one.stream, one.place].append(one)
    rows = []
    for key in sorted({*by_bay, *bays}):
        own = by_bay.get(key, [])
        utc = own[0].utc if own else (key[0], True) in spans
        if (span := spans.get((key[0], utc))) is not None:
            rows.append(_figures(key, own, span))
    return rows


_KINDS = frozenset({"bay_taken", "bay_free", "rekeyed", "reclassified"})


def _parking(event: Event, taken_ms: int, free_ms: int | None) -> Parking:
    return Parking(
        stream=event.stream,
        place=event.place,
        identity=event.identity,
        class_name=event.class_name,
        taken_ms=taken_ms,
        free_ms=free_ms,
        utc=event.utc_ms is not None,
        seen=event.stay is None or event.stay.began == "entered",
    )


def _figures(key: tuple[str, str], own: Sequence[Parking], span: Span) -> BayFigures:
    first_ms, last_ms = span
    whole_ms = max(last_ms - first_ms, 1)
    arrived = [one for one in own if one.seen and first_ms <= one.taken_ms <= last_ms]
    closed = [one.parked_s for one in arrived if one.parked_s is not None]
    ends = [(one.taken_ms, last_ms + 1 if one.free_ms is None else one.free_ms) for one in own]
    taken_ms = sum(max(min(free, last_ms) - max(taken, first_ms), 0) for taken, free in ends)
    arrivals = len(arrived)
    return BayFigures(
        stream=key[0],
        place=key[1],
        arrivals=arrivals,
        departures=sum(one.free_ms is not None and first_ms <= one.free_ms <= last_ms for one in own),
        taken=any(taken <= last_ms < free for taken, free in ends),
        mean_s=sum(closed) / len(closed) if closed else None,
        longest_s=max(closed, default=None),
        occupied_share=min(max(taken_ms / whole_ms, 0.0), 1.0),
        arrivals_per_h=arrivals * 3_600_000 / whole_ms,
    )
