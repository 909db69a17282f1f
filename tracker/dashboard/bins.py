"""Bins of time of a question: checked, then as :mod:`tracker.analytics.bins` makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tracker.analytics.bins import bin_edges
from tracker.dashboard.problems import ApiError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MOST_BINS", "edges_of", "zone_of"]

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
    return bin_edges(from_ms, to_ms, bin_s, zone)


def _check(from_ms: int, to_ms: int, bin_s: int) -> None:
    if not EARLIEST_MS <= from_ms <= to_ms <= LATEST_MS:
        raise ApiError(422, "from_ms, to_ms", "a time that begins before it ends", f"{from_ms} to {to_ms}", "change it")
    if (to_ms - from_ms) // (bin_s * 1000) >= MOST_BINS:
        found = f"{(to_ms - from_ms) // (bin_s * 1000):,}"
        raise ApiError(422, "bin_s", f"at most {MOST_BINS:,} bins", found, "take longer bins or a shorter time")
