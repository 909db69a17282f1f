"""Outages of a camera: from its events, the times in which nothing that happened could be counted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from tracker.events import OUTAGE_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tracker.events import Event, EventKind

__all__ = ["Outage", "Pause", "outages"]


class Outage(NamedTuple):
    """A time in which a camera was out: no zero, but nothing known.

    Attributes:
        from_s, to_s: Its ends; ``to_s`` is infinite while it lasts.
        kind: Of the events.
    """

    from_s: float
    to_s: float
    kind: EventKind


def outages(events: Iterable[Event], *, utc: bool = False) -> list[Outage]:
    """The outages of one stream, in order; those of one kind that meet are one, of different kinds may overlap.

    Args:
        events: Of one stream, in any order, others than those of the camera among them.
        utc: In seconds since 1970 instead of media seconds, which begin anew with every start; events without a wall
            clock are left out.

    >>> from tracker.events import Event
    >>> outages([Event(kind="dark", stream="a", time_s=4.0), Event(kind="dark", stream="a", time_s=9.0, since_s=4.0)])
    [Outage(from_s=4.0, to_s=9.0, kind='dark')]
    """
    spans: dict[EventKind, list[tuple[float, float]]] = {}
    for event in events:
        if event.kind not in OUTAGE_KINDS or (utc and event.utc_ms is None):
            continue
        shift_s = (event.utc_ms or 0) / 1000 - event.time_s if utc else 0.0
        end_s = event.time_s + shift_s
        span = (end_s, math.inf) if event.since_s is None else (event.since_s + shift_s, end_s)
        spans.setdefault(event.kind, []).append(span)
    found = [Outage(*span, kind) for kind, of_kind in spans.items() for span in _merged(of_kind)]
    return sorted(found)


class Pause:
    """Which outages last now, from a stream's events as they come.

    Attributes:
        kinds: Of the outages that last.
    """

    def __init__(self, kinds: Iterable[EventKind] = ()) -> None:
        self.kinds: set[EventKind] = set(kinds)

    def note(self, events: Iterable[Event]) -> bool:
        """Take the events of a frame; whether the first outage began with it."""
        before = bool(self.kinds)
        for event in events:
            if event.kind in OUTAGE_KINDS and event.since_s is None:
                self.kinds.add(event.kind)
            elif event.kind in OUTAGE_KINDS:
                self.kinds.discard(event.kind)
        return bool(self.kinds) and not before


def _merged(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans of one kind: a begin belongs to the end that names it, or lasts until the next end where none does."""
    ends = sorted({span for span in spans if math.isfinite(span[1])})
    merged: list[tuple[float, float]] = []
    for low, high in sorted([*ends, *(_open(low, ends) for low, high in spans if math.isinf(high))]):
        if merged and low <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], high)
        else:
            merged.append((low, high))
    return merged


def _open(low: float, ends: list[tuple[float, float]]) -> tuple[float, float]:
    """A begin with its end: the first one at or after it."""
    return low, min((high for _, high in ends if high >= low), default=math.inf)
