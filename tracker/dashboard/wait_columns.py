"""Waits in queues out of the history's columns, as :func:`tracker.analytics.waits.waits` finds them in events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tracker.analytics.waits import ENDS, WaitColumns
from tracker.dashboard.columns import as_one
from tracker.dashboard.filters import Filter, chosen
from tracker.dashboard.history import kind_number
from tracker.dashboard.queries import grouped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracker.dashboard.history import History

__all__ = ["waits_of"]

LONGEST_MS = 12 * 3_600_000
"""Waits that began so long before a time do not last in it."""
_WAITING = ("queue_join", "queue_leave")


def waits_of(history: History, asked: Filter) -> WaitColumns:
    """Waits that touch a time, and others.

    Args:
        history: Of events.
        asked: Streams, queues and time.
    """
    with history.lock:
        events = history.events
        low = None if asked.from_ms is None else asked.from_ms - LONGEST_MS
        rows = chosen(
            history, Filter(streams=asked.streams, kinds=_WAITING, places=asked.places, from_ms=low), column="at"
        )
        if asked.to_ms is not None:
            joined = events["at"][rows] - np.nan_to_num(events["lasted_s"][rows]) * 1000
            rows = rows[joined < asked.to_ms]
        begun, ended = _pairs(history, rows)
        standing = ended < 0
        row = np.where(standing, begun, ended)
        joined_ms = events["at"][row] - np.round(np.nan_to_num(events["lasted_s"][row]) * 1000).astype(np.int64)
        left_ms = events["at"][row].copy()
        left_ms[standing] = _known_until(history, row[standing], low)
        groups, queue = grouped(history, row, ("stream", "place"))
        texts = history.names.texts
        return WaitColumns(
            queues=[(texts[stream], texts[place]) for stream, place in groups],
            queue=queue,
            joined_ms=joined_ms,
            left_ms=left_ms,
            utc=events["utc"][row],
            end=np.where(standing, -1, _ends(history)[events["direction"][row]]).astype(np.int8),
            seen=~events["already"][row],
            reach_m=np.where(begun < 0, np.nan, events["value"][begun]),
        )


def _pairs(history: History, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the begin and of the end of each wait, -1 where there is none."""
    events = history.events
    leaves = events["kind"][rows] == kind_number("queue_leave")
    identity, other = events["identity"][rows].copy(), events["other"][rows]
    elsewhere = leaves & (other > 0)  # it joined under another number
    identity[elsewhere] = history.present_all(events["stream"][rows[elsewhere]], other[elsewhere])
    key = as_one(events["stream"][rows], events["place"][rows], identity)
    order = np.lexsort((rows, events["at"][rows], key))
    rows, leaves, key = rows[order], leaves[order], key[order]
    same = np.append(key[1:] == key[:-1], np.False_)
    stands = np.flatnonzero(~leaves & ~same)
    ends = np.flatnonzero(leaves)
    before = ends - 1
    has_begin = (ends > 0) & same[before] & ~leaves[before]
    begun = np.concatenate([np.where(has_begin, rows[before], -1), rows[stands]])
    return begun, np.concatenate([rows[ends], np.full(len(stands), -1, np.int64)])


def _known_until(history: History, rows: NDArray[np.int64], low_ms: int | None) -> NDArray[np.int64]:
    """Until when waits without an end lasted: to the end of the identity, or of what is known of the stream."""
    events, texts = history.events, history.names.texts
    streams = [texts[one] for one in np.unique(events["stream"][rows]).tolist()]
    ends = chosen(history, Filter(streams=streams, kinds=("identity_end",), from_ms=low_ms), column="at")
    ends = ends[np.isin(events["identity"][ends], events["identity"][rows])]
    over = {}
    for row in ends[np.argsort(events["at"][ends], kind="stable")].tolist():
        over[events["stream"][row], events["identity"][row]] = int(events["at"][row])
    found = []
    for row in rows.tolist():
        at, stream = int(events["at"][row]), int(events["stream"][row])
        span = history.span(stream, utc=bool(events["utc"][row]))
        last = over.get((stream, events["identity"][row]), at if span is None else span[1])
        found.append(max(last, at))
    return np.array(found, np.int64)


def _ends(history: History) -> NDArray[np.int8]:
    """Number among :data:`ENDS` by the number of a text; -1 of other texts."""
    found = np.full(len(history.names.texts), -1, np.int8)
    for number, end in enumerate(ENDS):
        if (text := history.names.number(end)) >= 0:
            found[text] = number
    return found
