"""Near conflicts on a road: times to collision and post-encroachment times, what stopped, what went the wrong way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.dashboard.findings import findings

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from tracker.dashboard.filters import Filter
    from tracker.dashboard.history import History
    from tracker.events import Event

__all__ = ["LASTING", "PAIRS", "SHOWN", "STEP_S", "conflicts_of"]

PAIRS = ("time_to_collision", "post_encroachment")
LASTING = ("stopped", "wrong_way")
STEP_S = 0.5
"""Width of the columns of a histogram."""
SHOWN = 200
"""Rows of an answer, of each of both lists."""


def conflicts_of(history: History, asked: Filter, *, below_s: float, measured: Collection[str] = ()) -> dict[str, Any]:
    """Conflicts in a time.

    Args:
        history: Of events.
        asked: Streams, places, classes (of the first of a pair, or of what stands or drives) and time.
        below_s: Only pairs with less.
        measured: Streams whose sites measure conflicts, or name what must not stop or in which direction one drives.
    """
    events = findings(history, replace(asked, kinds=PAIRS))
    pairs = [one for one in events if one.value is not None and one.value < below_s]
    lasting = _lasting(findings(history, replace(asked, kinds=LASTING)))
    known = {one.stream for one in events} | {one["stream"] for one in lasting} | set(measured)
    worst = sorted(pairs, key=lambda one: (one.value or 0.0, one.time_s))[:SHOWN]
    return {
        "below_s": below_s,
        "kinds": [_kind(kind, [one for one in pairs if one.kind == kind]) for kind in PAIRS],
        "pairs": [_pair(one) for one in worst],
        "lasting": sorted(lasting, key=lambda one: -one["at_ms"])[:SHOWN],
        "lasting_n": {kind: sum(one["kind"] == kind for one in lasting) for kind in LASTING},
        "streams": sorted(known),
    }


def _kind(kind: str, found: Sequence[Event]) -> dict[str, Any]:
    values = np.array([one.value for one in found], np.float64)
    columns = np.bincount((values / STEP_S).astype(np.int64)).tolist() if len(values) else []
    return {
        "kind": kind,
        "n": len(found),
        "least_s": round(float(values.min()), 3) if len(values) else None,
        "median_s": round(float(np.median(values)), 3) if len(values) else None,
        "histogram": [
            {"from_s": slot * STEP_S, "to_s": (slot + 1) * STEP_S, "count": count} for slot, count in enumerate(columns)
        ],
    }


def _pair(one: Event) -> dict[str, Any]:
    return _where(one) | {"other_identity": one.other_identity, "value_s": round(one.value or 0.0, 3)}


def _where(one: Event) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "stream": one.stream,
        "place": one.place,
        "at_ms": round(one.time_s * 1000),
        "utc": one.utc_ms is not None,
        "identity": one.identity,
        "class": one.class_name,
    }


def _lasting(events: Sequence[Event]) -> list[dict[str, Any]]:
    """One row for each that began, with how long it lasted once that is known."""
    rows: list[dict[str, Any]] = []
    open_: dict[tuple[str, str, str, int], dict[str, Any]] = {}
    for one in events:
        key = one.kind, one.stream, one.place, one.identity
        if one.since_s is None:
            open_[key] = _where(one) | {"lasted_s": None}
            rows.append(open_[key])
            continue
        lasted = round(one.time_s - one.since_s, 3)
        row = open_.pop(key, None)
        if row is None:  # it began before the time that is asked for
            row = _where(one) | {"at_ms": round(one.since_s * 1000)}
            rows.append(row)
        row["lasted_s"] = lasted
    return rows
