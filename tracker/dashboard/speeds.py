"""Speeds over lines: percentiles and both means by line, direction and class, and their histogram."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tracker.analytics.speeds import BY, FREE_FLOW_S, LEAST_N, figures
from tracker.dashboard.filters import Filter, chosen
from tracker.dashboard.findings import places_of
from tracker.dashboard.history import kind_number
from tracker.dashboard.queries import grouped

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from tracker.analytics.speeds import Speeds
    from tracker.dashboard.history import History

__all__ = ["STEPS", "UNITS", "speeds_of"]

UNITS = {"km/h": 3.6, "mph": 3600 / 1609.344, "m/s": 1.0}
STEPS = {"km/h": (1, 2, 5, 10, 20, 50), "mph": (1, 2, 5, 10, 20, 50), "m/s": (0.5, 1, 2, 5, 10)}
"""Widths of the columns of a histogram."""
BUCKETS = 24
_FIGURES = ("v15", "v50", "v85", "time_mean", "space_mean")
_KINDS = ("speed", "crossing", "headway")


class _Passed(NamedTuple):
    """Passages: a row of each, and their speeds, NaN where one was not known well enough."""

    rows: NDArray[np.int64]
    speed_m_s: NDArray[np.float64]


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
    found = _passed(history, asked, wanted, free_flow=free_flow)
    factor = UNITS[unit]
    known = (found.speed_m_s[~np.isnan(found.speed_m_s)] * factor).tolist()
    with history.lock:
        keys, codes = grouped(history, found.rows, BY)
        texts = history.names.texts
        groups = [
            _speeds(tuple(texts[part] for part in key), found.speed_m_s[codes == code]) for code, key in enumerate(keys)
        ]
    return {
        "unit": unit,
        "least_n": LEAST_N,
        "all": _row(_speeds((), found.speed_m_s), factor) if len(found.rows) else None,
        "groups": [
            dict(zip(BY, one.group, strict=True)) | _row(one, factor)
            for one in sorted(groups, key=lambda one: one.group)
        ],
        "histogram": _histogram(known, STEPS[unit]),
        "lines": [{"stream": stream, "place": place} for stream, place in sorted(wanted)],
    }


def _passed(history: History, asked: Filter, lines: Collection[tuple[str, str]], *, free_flow: bool) -> _Passed:
    """Passages over lines, as :func:`tracker.analytics.speeds.passages` finds them, by columns: a year has millions."""
    if not lines:
        return _Passed(np.empty(0, np.int64), np.empty(0))
    named = tuple(sorted({place for _, place in lines}))
    with history.lock:
        events = history.events
        rows = chosen(history, replace(asked, kinds=_KINDS, places=named))
        pairs = {(history.names.number(stream), history.names.number(place)) for stream, place in lines}
        fits = np.zeros(len(rows), np.bool_)
        for stream, place in pairs:
            fits |= (events["stream"][rows] == stream) & (events["place"][rows] == place)
        rows = rows[fits]
        keys, codes = grouped(history, rows, ("stream", "place", "direction", "identity", "booked"))
        kind, value = events["kind"][rows], events["value"][rows]
    count = len(keys)
    speed, headway, at = np.full(count, np.nan), np.full(count, np.nan), np.full(count, -1, np.int64)
    for name, into in (("crossing", None), ("headway", headway), ("speed", speed)):
        mine = kind == kind_number(name)
        if into is not None:
            into[codes[mine]] = value[mine]
        if name != "headway":
            at[codes[mine]] = rows[mine]
    kept = at >= 0
    if free_flow:
        kept &= np.isnan(headway) | (headway > FREE_FLOW_S)
    return _Passed(at[kept], speed[kept])


def _speeds(group: tuple[str, ...], speed_m_s: NDArray[np.float64]) -> Speeds:
    unknown = np.isnan(speed_m_s)
    return figures(group, speed_m_s[~unknown], unknown=int(np.count_nonzero(unknown)))


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
