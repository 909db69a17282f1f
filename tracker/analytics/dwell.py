"""Dwell times: closed stays in figures by zone and class, and what was censored beside them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tracker.analytics.stays import ZoneStay

__all__ = ["BY", "Dwell", "dwell"]

BY = ("stream", "place", "class")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dwell:
    """Dwell of one group of stays. All figures in seconds are over closed stays; ``None`` where there is none.

    Attributes:
        group: What it is of, in the order of ``by``.
        stays: All of them.
        closed: Those that began and ended in view.
        found_inside: Those that had begun before they were seen.
        lost: Those that began in view and whose identity was lost inside.
        lasting: Those that began in view and have no end yet, or none that is known.
        mean_s, median_s, p90_s, longest_s: Arithmetic mean, median, 90th percentile (linear interpolation), maximum.
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


def dwell(found: Iterable[ZoneStay], *, by: Sequence[str] = BY) -> list[Dwell]:
    """Dwell by group, in the order of their names. Censored stays are counted apart and are in no average.

    Args:
        found: Stays, see :func:`tracker.analytics.stays.stays`.
        by: What is taken apart, of ``stream``, ``place`` and ``class``.
    """
    groups: dict[tuple[str, ...], list[ZoneStay]] = defaultdict(list)
    for one in found:
        values = {"stream": one.stream, "place": one.place, "class": one.class_name}
        groups[tuple(values[name] for name in by)].append(one)
    return [_dwell(group, groups[group]) for group in sorted(groups)]


def _dwell(group: tuple[str, ...], found: Sequence[ZoneStay]) -> Dwell:
    seconds = np.array([one.dwell_s for one in found if one.closed and one.dwell_s is not None])  # (closed,)
    inside = sum(one.began == "already_inside" for one in found)
    lost = sum(one.began == "entered" and one.end == "lost" for one in found)
    has = len(seconds) > 0
    return Dwell(
        group=group,
        stays=len(found),
        closed=len(seconds),
        found_inside=inside,
        lost=lost,
        lasting=len(found) - len(seconds) - inside - lost,
        mean_s=float(seconds.mean()) if has else None,
        median_s=float(np.median(seconds)) if has else None,
        p90_s=float(np.percentile(seconds, 90)) if has else None,
        longest_s=float(seconds.max()) if has else None,
    )
