"""Spans of a ledger: the first and the last time that it knows of each stream, and when each identity ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.analytics.corrections import Corrections
from tracker.analytics.counts import booked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tracker.events import Event

__all__ = ["Clock", "Span", "corrected", "ends_of", "spans_of"]

Clock = tuple[str, bool]
"""Name of a stream, and whether times are UTC (else media time)."""
Span = tuple[int, int]
"""First and last millisecond."""


def spans_of(events: Iterable[Event]) -> dict[Clock, Span]:
    """What a ledger covers, by stream and clock."""
    found: dict[Clock, Span] = {}
    for event in events:
        at_ms, utc = booked(event)
        first, last = found.get((event.stream, utc), (at_ms, at_ms))
        found[event.stream, utc] = min(first, at_ms), max(last, at_ms)
    return found


def ends_of(events: Iterable[Event]) -> dict[tuple[str, int], int]:
    """When each identity was seen last, by stream and identity."""
    return {(event.stream, event.identity): booked(event)[0] for event in events if event.kind == "identity_end"}


def corrected(events: Sequence[Event]) -> list[Event]:
    """The events under their identities' final numbers and classes, in order of time; corrections themselves go."""
    corrections = Corrections.of(events)
    kept = (event for event in events if event.kind not in {"rekeyed", "reclassified"})
    return sorted(map(corrections.apply, kept), key=lambda event: booked(event)[0])
