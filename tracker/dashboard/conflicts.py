"""Near conflicts on a road: times to collision and post-encroachment times, what stopped, what went the wrong way."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.dashboard.columns import as_one
from tracker.dashboard.filters import chosen
from tracker.dashboard.history import KINDS, kind_number

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from tracker.dashboard.filters import Filter
    from tracker.dashboard.history import History

__all__ = ["LASTING", "PAIRS", "SHOWN", "STEP_S", "conflicts_of"]

PAIRS = ("time_to_collision", "post_encroachment")
LASTING = ("stopped", "wrong_way")
STEP_S = 0.5
"""Width of the columns of a histogram."""
SHOWN = 200
"""Rows of an answer, of each of both lists."""


def conflicts_of(
    history: History, asked: Filter, *, below_s: float, measured: Collection[str] = (), most: int | None = SHOWN
) -> dict[str, Any]:
    """Conflicts in a time.

    Args:
        history: Of events.
        asked: Streams, places, classes (of the first of a pair, or of what stands or drives) and time.
        below_s: Only pairs with less.
        measured: Streams whose sites measure conflicts, or name what must not stop or in which direction one drives.
        most: Rows of each of both lists; ``None`` = all.
    """
    with history.lock:
        events = history.events
        rows = chosen(history, replace(asked, kinds=PAIRS))
        value, lasting, lasted_s, at_ms = events["value"][rows], *_lasting(history, replace(asked, kinds=LASTING))
        known = {history.names.texts[one] for one in np.unique(events["stream"][np.concatenate([rows, lasting])])}
        close = value < below_s
        pairs, value = rows[close], value[close]
        worst = np.lexsort((events["at"][pairs], value))[:most]
        newest = np.argsort(-at_ms, kind="stable")[:most]
        kind, of_lasting = events["kind"][pairs], events["kind"][lasting]
        return {
            "below_s": below_s,
            "kinds": [_kind(name, value[kind == kind_number(name)]) for name in PAIRS],
            "pairs": [
                one | {"value_s": round(seconds, 3)}
                for one, seconds in zip(_pairs(history, pairs[worst]), value[worst].tolist(), strict=True)
            ],
            "lasting": [
                one | {"at_ms": began_ms, "lasted_s": None if math.isnan(seconds) else round(seconds, 3)}
                for one, began_ms, seconds in zip(
                    _where(history, lasting[newest]), at_ms[newest].tolist(), lasted_s[newest].tolist(), strict=True
                )
            ],
            "lasting_n": {name: int(np.count_nonzero(of_lasting == kind_number(name))) for name in LASTING},
            "streams": sorted(known | set(measured)),
        }


def _kind(kind: str, values: NDArray[np.float64]) -> dict[str, Any]:
    columns = np.bincount((values / STEP_S).astype(np.int64)).tolist() if len(values) else []
    return {
        "kind": kind,
        "n": len(values),
        "least_s": round(float(values.min()), 3) if len(values) else None,
        "median_s": round(float(np.median(values)), 3) if len(values) else None,
        "histogram": [
            {"from_s": slot * STEP_S, "to_s": (slot + 1) * STEP_S, "count": count} for slot, count in enumerate(columns)
        ],
    }


def _pairs(history: History, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
    others = history.present_all(history.events["stream"][rows], history.events["other"][rows]).tolist()
    return [one | {"other_identity": other} for one, other in zip(_where(history, rows), others, strict=True)]


def _where(history: History, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
    """What happened, where, when and to which."""
    texts = history.names.texts
    columns = (history.events[name][rows].tolist() for name in _COLUMNS)
    return [
        {
            "kind": KINDS[kind],
            "stream": texts[stream],
            "place": texts[place],
            "at_ms": at,
            "utc": utc,
            "identity": identity,
            "class": texts[class_name],
        }
        for kind, stream, place, at, utc, identity, class_name in zip(*columns, strict=True)
    ]


_COLUMNS = ("kind", "stream", "place", "at", "utc", "identity", "class")


def _lasting(history: History, asked: Filter) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """A row of each that began, how long it lasted (NaN: not known) and when it began, in order of time.

    Of one that began before the time that is asked for it is the row of its end.
    """
    events = history.events
    rows = chosen(history, asked)
    key = as_one(*(events[name][rows] for name in ("kind", "stream", "place", "identity")))
    order = np.lexsort((rows, events["at"][rows], key))
    rows, key = rows[order], key[order]
    lasted_s = events["lasted_s"][rows]
    ends = ~np.isnan(lasted_s)
    of_next = np.append((key[1:] == key[:-1]) & ends[1:] & ~ends[:-1], np.False_)  # a begin whose end comes next
    found = np.where(of_next, np.append(lasted_s[1:], np.nan), lasted_s)
    at_ms = events["at"][rows] - np.round(np.where(ends, lasted_s, 0.0) * 1000).astype(np.int64)
    kept = np.flatnonzero(~np.append(np.False_, of_next[:-1])) if len(rows) else np.empty(0, np.int64)
    kept = kept[np.argsort(events["at"][rows[kept]], kind="stable")]
    return rows[kept], found[kept], at_ms[kept]
