"""Speeds over lines: percentiles and both means by line, direction and class, and their histogram."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tracker.analytics.speeds import BY, FREE_FLOW_S, LEAST_N, figures
from tracker.dashboard.columns import as_one
from tracker.dashboard.filters import Filter, chosen
from tracker.dashboard.history import kind_number
from tracker.dashboard.known import places_of
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
    known = found.speed_m_s[~np.isnan(found.speed_m_s)] * factor
    with history.lock:
        keys, codes = grouped(history, found.rows, BY)
        texts = history.names.texts
        cuts = np.cumsum(np.bincount(codes, minlength=len(keys)))[:-1]
        parts = np.split(found.speed_m_s[np.argsort(codes, kind="stable")], cuts)
        groups = [
            _speeds(tuple(texts[part] for part in key), own) for key, own in zip(keys, parts[: len(keys)], strict=True)
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
        fits = _among(history, lines, named)[events["stream"][rows], _ranks(history, named)[events["place"][rows]]]
        rows = rows[fits]
        key = as_one(*(events[name][rows] for name in ("booked", "stream", "place", "direction", "identity")))
        order = np.argsort(key, kind="stable")  # by time first, which is nearly the order that they have
        rows, key = rows[order], key[order]
        kind, value = events["kind"][rows], events["value"][rows]
    codes = np.cumsum(np.append(np.True_, key[1:] != key[:-1])) - 1 if len(rows) else np.empty(0, np.int64)
    count = int(codes[-1]) + 1 if len(rows) else 0
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


def _ranks(history: History, places: Sequence[str]) -> NDArray[np.int64]:
    """Rank from 1 among some places, by the number of a text; 0 of other texts."""
    found = np.zeros(len(history.names.texts), np.int64)
    for rank, place in enumerate(places, start=1):
        if (number := history.names.number(place)) >= 0:
            found[number] = rank
    return found


def _among(history: History, lines: Collection[tuple[str, str]], places: Sequence[str]) -> NDArray[np.bool_]:
    """Whether a line is one of some, by the number of its stream and the rank of its place."""
    found = np.zeros((len(history.names.texts), len(places) + 1), np.bool_)
    for stream, place in lines:
        if (number := history.names.number(stream)) >= 0:
            found[number, places.index(place) + 1] = True
    return found


def _speeds(group: tuple[str, ...], speed_m_s: NDArray[np.float64]) -> Speeds:
    unknown = np.isnan(speed_m_s)
    return figures(group, speed_m_s[~unknown], unknown=int(np.count_nonzero(unknown)))


def _row(one: Speeds, factor: float) -> dict[str, Any]:
    figures = {name: getattr(one, name) for name in _FIGURES}
    rounded = {name: None if value is None else round(value * factor, 2) for name, value in figures.items()}
    return {"n": one.n, "unknown": one.unknown, **rounded}


def _histogram(values: NDArray[np.float64], steps: Sequence[float]) -> list[dict[str, Any]]:
    """Columns of one width from the slowest to the fastest, empty ones between them included."""
    if not len(values):
        return []
    low, high = float(values.min()), float(values.max())
    step = next((one for one in steps if high // one - low // one < BUCKETS), (high - low) / (BUCKETS - 1))
    slots = np.floor(values / step).astype(np.int64)
    first = int(slots.min())
    return [
        {"from": (first + number) * step, "to": (first + number + 1) * step, "count": count}
        for number, count in enumerate(np.bincount(slots - first).tolist())
    ]
