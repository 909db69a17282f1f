"""Dwell times by zone and class: mean of closed stays, quantiles with censored ones for as long as they were seen.

The quantiles are those of the estimate of Kaplan and Meier (1958), product limit: a stay whose end was not seen was at
least that long. Without it long stays, which are cut more often, would be missing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from tracker.analytics.stays import ZoneStay

__all__ = ["BY", "Dwell", "dwell", "quantiles"]

BY = ("stream", "place", "class")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dwell:
    """Dwell of one group of stays; figures that too few stays tell are ``None``.

    Attributes:
        group: What it is of, in the order of ``by``.
        stays: All of them.
        closed: Those that began and ended in view.
        found_inside: Those that had begun before they were seen.
        lost: Those that began in view and whose identity was lost inside.
        lasting: Those that began in view and have no end yet, or none that is known.
        mean_s, longest_s: Arithmetic mean and maximum of closed stays.
        median_s, p90_s: Median and 90th percentile of stays whose entry was seen, see :func:`quantiles`.
    """

    group: tuple[str, ...]
    stays: int
    closed: int
    found_inside: int
    lost: int
    lasting: int
    mean_s: float | None
    median_s: float | None
    p90_s: float | None
    longest_s: float | None


def dwell(
    found: Iterable[ZoneStay], *, by: Sequence[str] = BY, until_ms: Mapping[tuple[str, bool], int] | None = None
) -> list[Dwell]:
    """Dwell by group, in the order of their names.

    Args:
        found: Stays, see :func:`tracker.analytics.stays.stays`.
        by: What is taken apart, of ``stream``, ``place`` and ``class``.
        until_ms: The last time that is known of each stream, by its name and whether it is UTC: stays without an end
            last until then.
    """
    groups: dict[tuple[str, ...], list[ZoneStay]] = defaultdict(list)
    for one in found:
        values = {"stream": one.stream, "place": one.place, "class": one.class_name}
        groups[tuple(values[name] for name in by)].append(one)
    return [_dwell(group, groups[group], until_ms or {}) for group in sorted(groups)]


def quantiles(length: NDArray[np.float64], ended: NDArray[np.bool_], shares: Sequence[float]) -> list[float | None]:
    """Quantiles of lengths by the Kaplan-Meier estimate; ``None`` where too few ends were seen.

    Args:
        length: ``(N,)`` seconds that each was seen.
        ended: ``(N,)`` whether its end was seen; else it was at least that long.
        shares: 0.5 for the median.

    >>> quantiles(np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, True, False, True]), [0.5, 0.9])
    [2.0, 4.0]
    """
    order = np.lexsort((~ended, length))
    survival = np.cumprod(1 - ended[order] / np.arange(len(length), 0, -1))
    found: list[float | None] = []
    for share in shares:
        # Survival falls: the first length at which it is low enough.
        first = int(np.searchsorted(-survival, share - 1 - 1e-12))
        found.append(round(float(length[order[first]]), 3) if first < len(length) else None)
    return found


def _dwell(group: tuple[str, ...], found: Sequence[ZoneStay], until_ms: Mapping[tuple[str, bool], int]) -> Dwell:
    seconds = np.array([one.dwell_s for one in found if one.closed and one.dwell_s is not None])  # (closed,)
    entered = [one for one in found if one.began == "entered"]
    lengths = np.array([_seen_s(one, until_ms) for one in entered])  # (entered,)
    middle, late = quantiles(lengths, np.array([one.closed for one in entered], np.bool_), (0.5, 0.9))
    inside = len(found) - len(entered)
    lost = sum(one.end == "lost" for one in entered)
    has = len(seconds) > 0
    return Dwell(
        group=group,
        stays=len(found),
        closed=len(seconds),
        found_inside=inside,
        lost=lost,
        lasting=len(found) - len(seconds) - inside - lost,
        mean_s=float(seconds.mean()) if has else None,
        median_s=middle,
        p90_s=late,
        longest_s=float(seconds.max()) if has else None,
    )


def _seen_s(stay: ZoneStay, until_ms: Mapping[tuple[str, bool], int]) -> float:
    """Seconds of a stay; of one that lasts, until the last time that is known."""
    if stay.dwell_s is not None:
        return stay.dwell_s
    return max(until_ms.get((stay.stream, stay.utc), stay.entered_ms) - stay.entered_ms, 0) / 1000
