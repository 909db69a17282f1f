"""Groups of cameras: their file, and how many are in each place over all its doors, with drift and correction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.analytics.group_occupancy import PassageColumns, occupancy_bins, periods
from tracker.dashboard.bins import edges_of
from tracker.dashboard.filters import Filter, chosen
from tracker.dashboard.known import known_spans
from tracker.dashboard.problems import of_tracker_error
from tracker.dashboard.queries import outages_in
from tracker.errors import ConfigError
from tracker.settings.groups_file import read_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.analytics.group_occupancy import OccupancyBin, Period
    from tracker.dashboard.history import History
    from tracker.groups import SiteGroup

__all__ = ["Groups", "group_of"]

DAY_MS = 26 * 3_600_000
"""Longer than any day: passages since the quiet hour before a time lie in it."""


class Groups:
    """The file of groups, read again when it changes.

    Args:
        path: Which; ``None`` = there is none.
    """

    def __init__(self, path: str | None) -> None:
        self._path = None if path is None else Path(path)
        self._read: tuple[tuple[int, int], tuple[SiteGroup, ...]] | None = None

    def all(self) -> tuple[SiteGroup, ...]:
        """Every group; none without a file.

        Raises:
            ApiError: The file cannot be read.
        """
        if self._path is None:
            return ()
        try:
            facts = self._path.stat()
            key = facts.st_mtime_ns, facts.st_size
            if self._read is None or self._read[0] != key:
                self._read = key, read_groups(self._path)
        except OSError:
            missing = ConfigError(self._path.name, "expected a file of groups, found none", "write it")
            raise of_tracker_error(missing, 409) from None
        except ConfigError as failure:
            raise of_tracker_error(failure, 409) from None
        return self._read[1]


def group_of(
    history: History, group: SiteGroup, *, from_ms: int | None, to_ms: int | None, bin_s: int
) -> dict[str, Any]:
    """One group in a time.

    Args:
        history: Of events.
        group: Whose cameras may all be seen.
        from_ms: From when; ``None`` = from the begin of what the ledgers know.
        to_ms: Until when, exclusive; ``None`` = to its end.
        bin_s: Length of a bin.

    Raises:
        ApiError: There would be too many bins.
    """
    asked = Filter(streams=group.cameras, kinds=("crossing",), places=tuple({door.line for door in group.doors}))
    spans = [span for (_, utc), span in known_spans(history, asked).items() if utc]
    about = {"name": group.name, "cameras": list(group.cameras), "timezone": group.timezone, "reset_at": group.reset_at}
    if not spans or not group.doors:
        return {**about, "doors": len(group.doors), "known": False, **_bins([], []), "periods": [], "outages": []}
    first, last = min(span[0] for span in spans), max(span[1] for span in spans)
    low = max(first, from_ms) if from_ms is not None else first
    high = max(low, min(last + 1, to_ms) if to_ms is not None else last + 1)
    edges_of(low, high, bin_s, None)
    begun = low - DAY_MS if group.reset_at else None
    found = _passages(history, replace(asked, from_ms=begun, to_ms=high), group)
    rows = occupancy_bins(found, group, bin_s=bin_s, start_ms=low, end_ms=high, now_ms=last) if len(found.at_ms) else []
    shown = [one for one in periods(found, group, now_ms=last) if one.to_ms is None or one.to_ms > low]
    with history.lock:
        out = [one for one in outages_in(history, group.cameras, utc=True) if one[2] < high and one[3] >= low]
    return {
        **about,
        "doors": len(group.doors),
        "known": True,
        **_bins(rows, [group.is_open(row.start_ms) for row in rows]),
        "periods": [_period(one) for one in shown],
        "outages": [{"stream": s, "kind": kind, "from_ms": begin, "to_ms": end} for s, kind, begin, end in out],
    }


def _passages(history: History, asked: Filter, group: SiteGroup) -> PassageColumns:
    """Crossings of a group's doors, as :func:`tracker.analytics.group_occupancy.passages` finds them in events."""
    with history.lock:
        events, number = history.events, history.names.number
        rows = chosen(history, replace(asked, classes=group.classes), utc=True)
        stream, place, direction = (events[name][rows] for name in ("stream", "place", "direction"))
        entry, passed = np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.bool_)
        for door in group.doors:
            of_door = (stream == number(door.camera)) & (place == number(door.line))
            entry |= of_door & (direction == number(door.entry))
            passed |= of_door & np.isin(direction, (number(door.entry), number(door.exit)))
        at, entry = events["at"][rows[passed]], entry[passed]
    order = np.lexsort((entry, at))
    return PassageColumns(at[order], entry[order])


def _bins(rows: Sequence[OccupancyBin], is_open: Sequence[bool]) -> dict[str, Any]:
    last = rows[-1] if rows else None
    return {
        "starts_ms": [row.start_ms for row in rows],
        "inside": [row.balance for row in rows],
        "corrected": [None if row.corrected is None else round(row.corrected, 2) for row in rows],
        "open": list(is_open),
        "entries": sum(row.entries for row in rows),
        "exits": sum(row.exits for row in rows),
        "most": max((row.peak for row in rows), default=0),
        "inside_last": 0 if last is None else last.balance,
        "lost_last": 0 if last is None else last.lost,
    }


def _period(one: Period) -> dict[str, Any]:
    return {
        "from_ms": one.from_ms,
        "to_ms": one.to_ms,
        "entries": one.entries,
        "exits": one.exits,
        "drift": None if one.to_ms is None else one.drift,
        "spread": one.spread,
    }
