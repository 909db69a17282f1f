"""Occupancy of a place that several cameras see: as it was counted, its drift, and as it must have been.

Every miscount stays in a balance until the quiet hour, at which the place is known to be empty. What is left then is
the drift of the period before. Afterwards it is known which flow was short, entries or exits, and by how much; the
corrected occupancy gives each of these crossings the same part of it. A period that is not over has no correction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Literal, NamedTuple

from tracker.analytics.occupancy import last_reset

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tracker.analytics.corrections import Corrections
    from tracker.events import Event
    from tracker.groups import SiteGroup

__all__ = ["OccupancyBin", "Passage", "Period", "occupancy_bins", "passages", "periods"]


class Passage(NamedTuple):
    """One crossing of a door.

    Attributes:
        at_ms: UTC in milliseconds.
        entry: Into the place.
    """

    at_ms: int
    entry: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From one quiet hour to the next.

    Attributes:
        from_ms: Quiet hour, or the first passage where there is none.
        to_ms: The next one; ``None`` = it lasts.
        entries, exits: Crossings of all doors.
        drift: Entries less exits that are left when it is over, when nobody is there; 0 while it lasts.
        spread: Over which of the two the correction is spread; empty = nothing to correct, or no crossing to spread
            it over.
    """

    from_ms: int
    to_ms: int | None
    entries: int
    exits: int
    drift: int
    spread: Literal["", "entries", "exits"]

    @property
    def weights(self) -> tuple[float, float]:
        """What one entry and one exit stand for."""
        if self.spread == "exits":
            return 1.0, self.entries / self.exits
        if self.spread == "entries":
            return self.exits / self.entries, 1.0
        return 1.0, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OccupancyBin:
    """Occupancy at the end of a bin.

    Attributes:
        start_ms: Begin of the bin, UTC in milliseconds.
        entries, exits: In it.
        balance: Entries less exits since the quiet hour, never below 0, as a display at the door would have shown.
        lost: Exits since the quiet hour that found the balance at 0.
        corrected: The same with the period's correction; ``None`` while the period lasts.
        peak: Highest ``balance`` in the bin.
    """

    start_ms: int
    entries: int
    exits: int
    balance: int
    lost: int
    corrected: float | None
    peak: int


def passages(events: Iterable[Event], group: SiteGroup, corrections: Corrections) -> list[Passage]:
    """Crossings of a group's doors in order of time; those without a wall clock have no place among other cameras'."""
    found = []
    for event in events:
        if event.kind != "crossing" or event.utc_ms is None:
            continue
        door = group.door(event.stream, event.place)
        if door is None or event.direction not in {door.entry, door.exit}:
            continue
        if group.classes and corrections.apply(event).class_name not in group.classes:
            continue
        found.append(Passage(event.utc_ms, event.direction == door.entry))
    return sorted(found)


def periods(found: Sequence[Passage], group: SiteGroup, *, now_ms: int) -> list[Period]:
    """Periods between quiet hours that have passages.

    Args:
        found: In order of time.
        group: With its quiet hour.
        now_ms: As of when, UTC in milliseconds: a period whose quiet hour is later lasts.
    """
    made = []
    for from_ms, inside in groupby(found, key=lambda one: _begin(one.at_ms, group)):
        ways = [one.entry for one in inside]
        entries, exits = sum(ways), len(ways) - sum(ways)
        over = bool(group.reset_at) and _begin(now_ms, group) > from_ms
        drift = entries - exits if over else 0
        short: Literal["", "entries", "exits"] = ""
        if drift > 0 and exits:
            short = "exits"
        elif drift < 0 and entries:
            short = "entries"
        made.append(
            Period(
                from_ms=from_ms if group.reset_at else found[0].at_ms,
                to_ms=_next(from_ms, group) if over else None,
                entries=entries,
                exits=exits,
                drift=drift,
                spread=short,
            )
        )
    return made


def occupancy_bins(
    found: Sequence[Passage], group: SiteGroup, *, bin_s: int, start_ms: int, end_ms: int, now_ms: int
) -> list[OccupancyBin]:
    """Occupancy of every bin from ``start_ms`` on and before ``end_ms``; bins begin at multiples of their length.

    Args:
        found: Passages in order of time, those from the last quiet hour before ``start_ms`` on among them.
        group: With its quiet hour.
        bin_s: Seconds per bin.
        start_ms: From when; the bin that holds it is the first.
        end_ms: Until when, exclusive.
        now_ms: As for :func:`periods`.
    """
    width_ms = bin_s * 1000
    spans = {_begin(one.from_ms, group): one for one in periods(found, group, now_ms=now_ms)}
    rows, waiting = [], list(reversed(found))
    period, state = 0, _State()
    for slot in range(start_ms // width_ms, -(-end_ms // width_ms)):
        low_ms, high_ms = slot * width_ms, (slot + 1) * width_ms
        entries = exits = peak = 0
        while waiting and waiting[-1].at_ms < high_ms:
            passage = waiting.pop()
            if (begin := _begin(passage.at_ms, group)) != period:
                period, state = begin, _State()
            weights = spans[period].weights
            state.take(weights, entry=passage.entry)
            if passage.at_ms >= low_ms:
                entries, exits = entries + passage.entry, exits + (not passage.entry)
                peak = max(peak, state.balance)
        if (begin := _begin(high_ms - 1, group)) != period:
            period, state = begin, _State()
        span = spans.get(period)
        known = (span.to_ms is not None) if span is not None else _next_is_past(period, group, now_ms)
        rows.append(
            OccupancyBin(
                start_ms=low_ms,
                entries=entries,
                exits=exits,
                balance=state.balance,
                lost=state.lost,
                corrected=max(state.corrected, 0.0) if known else None,
                peak=max(peak, state.balance),
            )
        )
    return rows


@dataclass(slots=True)
class _State:
    """Since the last quiet hour."""

    balance: int = 0
    lost: int = 0
    corrected: float = 0.0

    def take(self, weights: tuple[float, float], *, entry: bool) -> None:
        """A passage, and what an entry and an exit stand for."""
        if entry:
            self.balance += 1
            self.corrected += weights[0]
        else:
            self.lost += self.balance == 0
            self.balance = max(self.balance - 1, 0)
            self.corrected -= weights[1]
            if math.isclose(self.corrected, 0.0, abs_tol=1e-9):
                self.corrected = 0.0


def _begin(at_ms: int, group: SiteGroup) -> int:
    """The quiet hour before a time; 0 without one."""
    return last_reset(group.reset_at, group.zone, at_ms) if group.reset_at else 0


def _next(from_ms: int, group: SiteGroup) -> int:
    """The quiet hour after one, 23 to 25 hours later."""
    day_ms = 86_400_000
    return _begin(from_ms + day_ms + day_ms // 12, group)


def _next_is_past(from_ms: int, group: SiteGroup, now_ms: int) -> bool:
    """Whether a period without passages is over."""
    return bool(group.reset_at) and _begin(now_ms, group) > from_ms
