"""Bins of time whose edges follow local days, of 23 or 25 hours too; shorter bins begin at multiples in UTC."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from numpy.typing import NDArray

__all__ = ["DAY_S", "bin_edges", "shifted"]

DAY_S = 86_400


def bin_edges(from_ms: int, to_ms: int, bin_s: int, zone: ZoneInfo | None) -> NDArray[np.int64]:
    """Begins of the bins that touch a time, and the end of the last one, ``(bins + 1,)``, in milliseconds.

    Args:
        from_ms: Begin of the time.
        to_ms: Its end, exclusive.
        bin_s: Length; whole days are local ones where there is a zone.
        zone: Of the days; ``None`` = media time.
    """
    if zone is None or bin_s % DAY_S:
        width = bin_s * 1000
        return np.arange(from_ms // width, -(-to_ms // width) + 1, dtype=np.int64) * width
    step = bin_s // DAY_S
    # Several days: counted from a Monday on (day 1 of the calendar), so that weeks begin on Mondays.
    first = datetime.fromtimestamp(from_ms / 1000, zone).date()
    start = first - timedelta(days=(first.toordinal() - 1) % step)
    found: list[int] = []
    for number in itertools.count():
        day = start + timedelta(days=number * step)
        found.append(round(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000))
        if found[-1] >= to_ms and number:
            return np.array(found, np.int64)
    raise AssertionError  # pragma: no cover


def shifted(edges: NDArray[np.int64], by_s: int, zone: ZoneInfo | None) -> NDArray[np.int64]:
    """The same bins earlier: whole days by the local calendar, so that the clock says the same.

    Args:
        edges: Of :func:`bin_edges`.
        by_s: How much earlier.
        zone: Of the days; ``None`` = media time.
    """
    if zone is None or by_s % DAY_S:
        return edges - by_s * 1000
    days = timedelta(days=by_s // DAY_S)

    def earlier(edge: int) -> int:
        local = datetime.fromtimestamp(edge / 1000, zone)
        return round((local.replace(tzinfo=None) - days).replace(tzinfo=zone, fold=local.fold).timestamp() * 1000)

    if (
        zone.utcoffset(_moment(edges[0]))
        == zone.utcoffset(_moment(edges[-1]))
        == zone.utcoffset(_moment(edges[0] - by_s * 1000))
        == zone.utcoffset(_moment(edges[-1] - by_s * 1000))
        and edges[-1] - edges[0] < 100 * DAY_S * 1000
    ):
        return edges - by_s * 1000
    moved = np.array([earlier(edge) for edge in edges.tolist()], np.int64)
    return np.maximum.accumulate(moved)


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(int(at_ms) / 1000, UTC)
