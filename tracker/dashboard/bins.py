"""Bins of time whose edges follow local days, of 23 or 25 hours too; shorter bins begin at multiples in UTC."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from tracker.dashboard.problems import ApiError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DAY_S", "MOST_BINS", "edges_of", "shifted", "zone_of"]

DAY_S = 86_400
MOST_BINS = 20_000
EARLIEST_MS, LATEST_MS = -(10**13), 10**13


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its IANA name.

    Raises:
        ApiError: There is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ApiError(422, "timezone", "an IANA name such as Europe/Berlin", "another one", "change it") from None


def edges_of(from_ms: int, to_ms: int, bin_s: int, zone: ZoneInfo | None) -> NDArray[np.int64]:
    """Begins of the bins that touch a time, and the end of the last one, ``(bins + 1,)``, in milliseconds.

    Args:
        from_ms: Begin of the time.
        to_ms: Its end, exclusive.
        bin_s: Length; whole days are local ones where there is a zone.
        zone: Of the days; ``None`` = media time.

    Raises:
        ApiError: There are too many.
    """
    _check(from_ms, to_ms, bin_s)
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
        edges: Of :func:`edges_of`.
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


def _check(from_ms: int, to_ms: int, bin_s: int) -> None:
    if not EARLIEST_MS <= from_ms <= to_ms <= LATEST_MS:
        raise ApiError(422, "from_ms, to_ms", "a time that begins before it ends", f"{from_ms} to {to_ms}", "change it")
    if (to_ms - from_ms) // (bin_s * 1000) >= MOST_BINS:
        found = f"{(to_ms - from_ms) // (bin_s * 1000):,}"
        raise ApiError(422, "bin_s", f"at most {MOST_BINS:,} bins", found, "take longer bins or a shorter time")
