"""Filters of questions about events: streams that may be seen, kinds, places, directions, classes, identity, time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.dashboard.history import ROLLED, kind_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracker.dashboard.history import History

__all__ = ["Filter", "chosen", "member", "stream_numbers", "texts_in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What is asked for; an empty list asks for all.

    Attributes:
        streams: Streams that may be seen and are asked for: never empty by mistake, an empty list means none.
        kinds, places, directions, classes: Values of the columns.
        identity: Number of one identity.
        from_ms, to_ms: Time at which events count, ``to_ms`` exclusive.
    """

    streams: Sequence[str]
    kinds: Sequence[str] = ()
    places: Sequence[str] = ()
    directions: Sequence[str] = ()
    classes: Sequence[str] = ()
    identity: int | None = None
    from_ms: int | None = None
    to_ms: int | None = None

    @property
    def is_limited(self) -> bool:
        """Whether only a part of the time is asked for."""
        return self.from_ms is not None or self.to_ms is not None


def stream_numbers(history: History, streams: Sequence[str]) -> NDArray[np.int32]:
    """Numbers of those streams of which there are events."""
    return np.array(history.names.numbers(streams), np.int32)


def chosen(
    history: History, asked: Filter, *, column: str = "booked", utc: bool | None = None, rolled: bool = False
) -> NDArray[np.int64]:
    """Rows of the events that fit, in the order in which they were read; the caller holds the history's lock.

    Args:
        history: Of events.
        asked: What is asked for.
        column: Time that is compared: ``booked`` or ``at``.
        utc: Only events by this clock.
        rolled: Bins of deleted events too, each as often as its weight says.
    """
    events = history.events
    rows = _in_time(history, asked, column)

    def narrow(name: str, wanted: Sequence[int]) -> None:
        nonlocal rows
        values = events[name] if rows is None else events[name][rows]
        fits = member(values, wanted)
        rows = np.flatnonzero(fits) if rows is None else rows[fits]

    first = {"stream": stream_numbers(history, asked.streams).tolist()}
    if asked.kinds:
        first["kind"] = [kind_number(kind) for kind in asked.kinds]
    for name in sorted(first, key=lambda one: (len(first[one]) != 1, one)):  # what is quick and leaves few rows
        narrow(name, first[name])
    for name, texts in (("place", asked.places), ("direction", asked.directions), ("class", asked.classes)):
        if texts:
            narrow(name, history.names.numbers(texts))
    if asked.identity is not None:
        narrow("identity", [asked.identity])
    if utc is not None:
        narrow("utc", [int(utc)])
    assert rows is not None  # noqa: S101 - the streams have narrowed it
    return rows if rolled else rows[events["row"][rows] != ROLLED]


def _in_time(history: History, asked: Filter, column: str) -> NDArray[np.int64] | None:
    """Rows of the time that is asked for; ``None`` = all."""
    if not asked.is_limited:
        return None
    times = history.events[column]
    fits = np.ones(len(times), np.bool_)
    if asked.from_ms is not None:
        fits &= times >= asked.from_ms
    if asked.to_ms is not None:
        fits &= times < asked.to_ms
    return np.flatnonzero(fits)


def member(values: NDArray[Any], wanted: Sequence[int]) -> NDArray[np.bool_]:
    """Whether each value is among a few; a table is faster than sorting where numbers are small."""
    if len(wanted) == 1:
        return np.asarray(values == wanted[0])
    numbers = np.asarray(wanted, np.int64)
    if not len(numbers) or values.dtype.itemsize > 4:
        return np.isin(values, numbers)
    table = np.zeros(int(max(values.max(initial=0), numbers.max())) + 1, np.bool_)
    table[numbers] = True
    return np.asarray(table[values])


def texts_in(history: History, name: str, rows: NDArray[np.int64]) -> list[str]:
    """Different texts of a column in some rows, sorted."""
    return sorted(history.names.texts[number] for number in np.unique(history.events[name][rows]).tolist())
