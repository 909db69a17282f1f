"""Period of a report and its bins: quarters of an hour, hours or days, shorter ones for short recordings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tracker.analytics.bins import DAY_S, bin_edges, shifted
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MOST_BINS", "WEEK_S", "Period", "bins_of", "period_of"]

SHORT_S = (1, 5, 10, 30, 60, 300)
LONG_S = (900, 3600, DAY_S)
FEW_BINS = 48
"""Of less than a quarter of an hour, for recordings of minutes."""
MANY_BINS = 200
MOST_BINS = 2_000
WEEK_S = 7 * DAY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A time with its bins.

    Attributes:
        from_ms, to_ms: Its ends, ``to_ms`` exclusive.
        utc: Milliseconds since 1970; else media time.
        zone: In which times are shown and days begin.
        bin_s: Length of a bin.
        edges: ``(bins + 1,)`` begins of the bins and the end of the last, in milliseconds.
    """

    from_ms: int
    to_ms: int
    utc: bool
    zone: ZoneInfo
    bin_s: int
    edges: NDArray[np.int64]

    @property
    def bins(self) -> int:
        """How many there are."""
        return len(self.edges) - 1

    @property
    def clock(self) -> ZoneInfo | None:
        """The zone of days; ``None`` of media time."""
        return self.zone if self.utc else None

    def week_before(self) -> Period:
        """The same days and hours of the week before, by the local calendar."""
        import numpy as np

        ends = shifted(np.array([self.from_ms, self.to_ms], np.int64), WEEK_S, self.clock).tolist()
        return replace(self, from_ms=ends[0], to_ms=ends[1], edges=shifted(self.edges, WEEK_S, self.clock))


def bins_of(seconds: float) -> int:
    """Seconds per bin for a period of that length.

    >>> bins_of(20), bins_of(3600), bins_of(86_400), bins_of(7 * 86_400), bins_of(31 * 86_400)
    (1, 300, 900, 3600, 86400)
    """
    for step in SHORT_S:
        if seconds / step <= FEW_BINS:
            return step
    return next((step for step in LONG_S if seconds / step <= MANY_BINS), DAY_S)


def period_of(span: tuple[int, int], *, limited: bool, utc: bool, zone: ZoneInfo, bin_s: int | None = None) -> Period:
    """A period with its bins.

    Args:
        span: Its ends in milliseconds, the second one exclusive.
        limited: Exactly those; else it is widened to whole bins.
        utc: Which clock.
        zone: Of days.
        bin_s: Length of a bin; by default what :func:`bins_of` says.

    Raises:
        ConfigError: It ends before it begins, or has too many bins.
    """
    from_ms, to_ms = span
    if to_ms <= from_ms:
        raise ConfigError("--to", "expected a time after --from, found an earlier one", "change one of them")
    chosen = bins_of((to_ms - from_ms) / 1000) if bin_s is None else bin_s
    count = (to_ms - from_ms) // (chosen * 1000)
    if count >= MOST_BINS:
        raise ConfigError("--bins", f"expected at most {MOST_BINS:,} bins, found {count:,}", "take longer ones")
    edges = bin_edges(from_ms, to_ms, chosen, zone if utc else None)
    if not limited:
        from_ms, to_ms = int(edges[0]), int(edges[-1])
    return Period(from_ms=from_ms, to_ms=to_ms, utc=utc, zone=zone, bin_s=chosen, edges=edges)
