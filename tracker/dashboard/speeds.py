"""Speeds over lines: percentiles and both means by line, direction and class, and their histogram."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.analytics.speeds import BY, KINDS, LEAST_N, passages, speeds
from tracker.dashboard.filters import Filter
from tracker.dashboard.findings import findings, places_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from tracker.analytics.speeds import Speeds
    from tracker.dashboard.history import History

__all__ = ["STEPS", "UNITS", "speeds_of"]

UNITS = {"km/h": 3.6, "mph": 3600 / 1609.344, "m/s": 1.0}
STEPS = {"km/h": (1, 2, 5, 10, 20, 50), "mph": (1, 2, 5, 10, 20, 50), "m/s": (0.5, 1, 2, 5, 10)}
"""Widths of the columns of a histogram."""
BUCKETS = 24
_FIGURES = ("v15", "v50", "v85", "time_mean", "space_mean")


def speeds_of(
    history: History, asked: Filter, *, unit: str, free_flow: bool, lines: Collection[tuple[str, str]] = ()
) -> dict[str, Any]:
    """Speeds of passages in a time.

    Args:
        history: Of events.
        asked: Streams, lines, directions, classes and time.
        unit: Among :data:`UNITS`.
        free_flow: Only of passages with nothing close ahead.
        lines: Streams and lines that measure speeds by their sites, whether any passage had one or not.
    """
    measuring = places_of(history, Filter(streams=asked.streams, kinds=("speed",))) | set(lines)
    wanted = {(stream, place) for stream, place in measuring if not asked.places or place in asked.places}
    named = tuple(sorted({place for _, place in wanted}))
    found = []
    if named:
        events = findings(history, replace(asked, kinds=tuple(sorted(KINDS)), places=named))
        found = passages(events, lines=wanted)
    if free_flow:
        found = [one for one in found if one.is_free]
    factor = UNITS[unit]
    known = [one.speed_m_s * factor for one in found if one.speed_m_s is not None]
    everything = speeds(found, by=())
    groups = speeds(found, by=BY)
    return {
        "unit": unit,
        "least_n": LEAST_N,
        "all": _row(everything[0], factor) if everything else None,
        "groups": [dict(zip(BY, one.group, strict=True)) | _row(one, factor) for one in groups],
        "histogram": _histogram(known, STEPS[unit]),
        "lines": [{"stream": stream, "place": place} for stream, place in sorted(wanted)],
    }


def _row(one: Speeds, factor: float) -> dict[str, Any]:
    figures = {name: getattr(one, name) for name in _FIGURES}
    rounded = {name: None if value is None else round(value * factor, 2) for name, value in figures.items()}
    return {"n": one.n, "unknown": one.unknown, **rounded}


def _histogram(values: Sequence[float], steps: Sequence[float]) -> list[dict[str, Any]]:
    """Columns of one width from the slowest to the fastest, empty ones between them included."""
    if not values:
        return []
    low, high = min(values), max(values)
    step = next((one for one in steps if high // one - low // one < BUCKETS), (high - low) / (BUCKETS - 1))
    slots = np.floor(np.array(values) / step).astype(np.int64)
    first = int(slots.min())
    return [
        {"from": (first + number) * step, "to": (first + number + 1) * step, "count": count}
        for number, count in enumerate(np.bincount(slots - first).tolist())
    ]
