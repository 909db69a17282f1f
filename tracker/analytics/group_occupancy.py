"""Occupancy of a place that several cameras see: as it was counted, its drift, and as it must have been.

Every miscount stays in a balance until the quiet hour, at which the place is known to be empty. What is left then is
the drift of the period before. Afterwards it is known which flow was short, entries or exits, and by how much; the
corrected occupancy gives each of these crossings the same part of it. A period that is not over has no correction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from tracker.analytics.bins import bin_edges
from tracker.analytics.counts import BIN_S
from tracker.analytics.occupancy import last_reset, running_balance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from tracker.analytics.corrections import Corrections
    from tracker.events import Event
    from tracker.groups import SiteGroup

__all__ = [
    "OccupancyBin",
    "Passage",
    "PassageColumns",
    "Period",
    "kept_passages",
    "occupancy_bins",
    "passages",
    "periods",
]


class Passage(NamedTuple):
    """One crossing of a door.

    Attributes:
        at_ms: UTC in milliseconds.
        entry: Into the place.
    """

    at_ms: int
    entry: bool


class PassageColumns(NamedTuple):
    """Many crossings in order of time as columns, see :class:`Passage`."""

    at_ms: NDArray[np.int64]
    entry: NDArray[np.bool_]

    @classmethod
    def of(cls, found: Sequence[Passage] | PassageColumns) -> PassageColumns:
        """Passages as columns."""
        if isinstance(found, PassageColumns):
            return found
        return cls(np.array([one.at_ms for one in found], np.int64), np.array([one.entry for one in found], np.bool_))


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
        start_ms, end_ms: The bin, UTC in milliseconds.
        entries, exits: In it.
        balance: Entries less exits since the quiet hour, never below 0, as a display at the door would have shown.
        lost: Exits since the quiet hour that found the balance at 0.
        corrected: The same with the period's correction; ``None`` while the period lasts.
        peak: Highest ``balance`` in the bin.
        since_ms: The quiet hour before its end, 0 without one.
    """

    start_ms: int
    end_ms: int
    entries: int
    exits: int
    balance: int
    lost: int
    corrected: float | None
    peak: int
    since_ms: int


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


def kept_passages(counts: Iterable[tuple[str, str, str, str, int, int]], group: SiteGroup) -> list[Passage]:
    """Crossings of a group's doors that were deleted, from their counts in quarters of an hour.

    Entries are at the begin of the quarter and exits at its end, so that everybody comes in before going out.

    Args:
        counts: Stream, line, direction, class, begin of the quarter in milliseconds of UTC, count.
        group: With doors.
    """
    found = []
    for stream, line, direction, class_name, begin_ms, count in counts:
        door = group.door(stream, line)
        if door is None or direction not in {door.entry, door.exit}:
            continue
        if not group.classes or class_name in group.classes:
            entry = direction == door.entry
            found += [Passage(begin_ms + (0 if entry else BIN_S * 1000 - 1), entry)] * count
    return found


def periods(found: Sequence[Passage] | PassageColumns, group: SiteGroup, *, now_ms: int) -> list[Period]:
    """Periods between quiet hours that have passages.

    Args:
        found: In order of time.
        group: With its quiet hour.
        now_ms: As of when, UTC in milliseconds: a period whose quiet hour is later lasts.
    """
    return [period for _, _, period in _periods(PassageColumns.of(found), group, now_ms)]


def occupancy_bins(
    found: Sequence[Passage] | PassageColumns, group: SiteGroup, *, bin_s: int, start_ms: int, end_ms: int, now_ms: int
) -> list[OccupancyBin]:
    """Occupancy of every bin from ``start_ms`` on and before ``end_ms``, days of the group's time zone among them.

    Args:
        found: Passages in order of time, those from the last quiet hour before ``start_ms`` on among them.
        group: With its quiet hour.
        bin_s: Seconds per bin; see :func:`tracker.analytics.bins.bin_edges`.
        start_ms: From when; the bin that holds it is the first.
        end_ms: Until when, exclusive.
        now_ms: As for :func:`periods`.
    """
    edges, passed = bin_edges(start_ms, end_ms, bin_s, group.zone), PassageColumns.of(found)
    if len(edges) < 2:
        return []
    count, high = len(edges) - 1, edges[1:]
    begins = _begins(group, int(edges[0]), int(edges[-1]) - 1)
    of_slot = begins[np.searchsorted(begins, high - 1, side="right") - 1]
    over = (_begin(now_ms, group) > of_slot) & bool(group.reset_at)
    entries, exits, balance, lost, peak = (np.zeros(count, np.int64) for _ in range(5))
    corrected = np.zeros(count)
    ends = np.searchsorted(passed.at_ms, high, side="left")
    for begin_ms, rows, period in _periods(passed, group, now_ms):
        entry = passed.entry[rows]
        here, missed = running_balance(entry)
        weights = np.cumsum(np.where(entry, period.weights[0], -period.weights[1]))
        slot = np.searchsorted(edges, passed.at_ms[rows], side="right") - 1
        inside = (slot >= 0) & (slot < count)
        entries += np.bincount(slot[inside & entry], minlength=count)
        exits += np.bincount(slot[inside & ~entry], minlength=count)
        np.maximum.at(peak, slot[inside], here[inside])
        mine = (of_slot == begin_ms) & (ends > rows.start)
        last = np.minimum(ends[mine], rows.stop) - 1 - rows.start
        balance[mine], lost[mine] = here[last], missed[last]
        corrected[mine] = np.maximum(np.where(np.abs(weights[last]) < NOTHING, 0.0, weights[last]), 0.0)
    columns = (edges[:-1], high, entries, exits, balance, lost, corrected, over, np.maximum(peak, balance), of_slot)
    return [
        OccupancyBin(
            start_ms=low_ms,
            end_ms=high_ms,
            entries=came,
            exits=went,
            balance=there,
            lost=gone,
            corrected=fitted if known else None,
            peak=most,
            since_ms=since_ms,
        )
        for low_ms, high_ms, came, went, there, gone, fitted, known, most, since_ms in zip(
            *(values.tolist() for values in columns), strict=True
        )
    ]


NOTHING = 1e-9
"""Persons; sums of corrections that are smaller are rounding."""


def _periods(passed: PassageColumns, group: SiteGroup, now_ms: int) -> Iterator[tuple[int, slice, Period]]:
    """Begin, passages and figures of every period that has passages."""
    if not len(passed.at_ms):
        return
    first_ms, last_ms = int(passed.at_ms[0]), int(passed.at_ms[-1])
    begins, now_begin_ms = _begins(group, first_ms, last_ms), _begin(now_ms, group)
    cuts = [*np.searchsorted(passed.at_ms, begins[1:]).tolist(), len(passed.at_ms)]
    low = 0
    for begin_ms, high in zip(begins.tolist(), cuts, strict=True):
        rows, low = slice(low, high), high
        if rows.start == rows.stop:
            continue
        entries = int(np.count_nonzero(passed.entry[rows]))
        exits = rows.stop - rows.start - entries
        over = bool(group.reset_at) and now_begin_ms > begin_ms
        drift = entries - exits if over else 0
        short: Literal["", "entries", "exits"] = ""
        if drift > 0 and exits:
            short = "exits"
        elif drift < 0 and entries:
            short = "entries"
        period = Period(
            from_ms=begin_ms if group.reset_at else first_ms,
            to_ms=_next(begin_ms, group) if over else None,
            entries=entries,
            exits=exits,
            drift=drift,
            spread=short,
        )
        yield begin_ms, rows, period


def _begin(at_ms: int, group: SiteGroup) -> int:
    """The quiet hour before a time; 0 without one."""
    return last_reset(group.reset_at, group.zone, at_ms) if group.reset_at else 0


def _begins(group: SiteGroup, first_ms: int, last_ms: int) -> NDArray[np.int64]:
    """The quiet hour before a time, and all until another one."""
    found = [_begin(first_ms, group)]
    while group.reset_at and (after_ms := _next(found[-1], group)) <= last_ms:
        found.append(after_ms)
    return np.array(found, np.int64)


def _next(from_ms: int, group: SiteGroup) -> int:
    """The quiet hour after one, 23 to 25 hours later."""
    day_ms = 86_400_000
    return _begin(from_ms + day_ms + day_ms // 12, group)
