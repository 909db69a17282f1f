"""Rows of the history as events again, under present numbers and final classes, for the queries of measures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, cast

import numpy as np

from tracker.dashboard.filters import chosen
from tracker.dashboard.history import KINDS
from tracker.dashboard.problems import ApiError
from tracker.events import Event, Stay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracker.analytics.spans import Clock, Span
    from tracker.dashboard.filters import Filter
    from tracker.dashboard.history import History
    from tracker.events import EventKind

__all__ = ["MOST_FINDINGS", "events_of", "findings", "known_spans", "places_of"]

MOST_FINDINGS = 200_000
"""Events of one answer; they are made of the columns one by one, some 100,000 in half a second."""
_COLUMNS = (
    *("kind", "stream", "at", "utc", "place", "direction", "identity", "class"),
    *("value", "error", "other", "lasted_s", "already"),
)
_STAYING = frozenset({"queue_join", "queue_leave"})


class _Row(NamedTuple):
    """Values of :data:`_COLUMNS`."""

    kind: int
    stream: int
    at_ms: int
    utc: bool
    place: int
    direction: int
    identity: int
    class_name: int
    value: float
    error: float
    other: int
    lasted_s: float
    already: bool


def findings(history: History, asked: Filter) -> list[Event]:
    """Events that fit, in order of time; see :func:`events_of`.

    Raises:
        ApiError: There are too many for one answer.
    """
    with history.lock:
        return events_of(history, chosen(history, asked))


def events_of(history: History, rows: NDArray[np.int64]) -> list[Event]:
    """Some rows as events, in order of time and without their places in the picture.

    Times are those at which they count: media time stands for UTC in ``time_s`` too, so that differences hold.

    Raises:
        ApiError: There are too many for one answer.
    """
    if len(rows) > MOST_FINDINGS:
        remedy = "ask for a shorter time, or for fewer streams or places"
        raise ApiError(422, "from_ms, to_ms", f"at most {MOST_FINDINGS:,} events", f"{len(rows):,}", remedy)
    with history.lock:
        events, texts = history.events, history.names.texts
        rows = rows[np.argsort(events["at"][rows], kind="stable")]
        columns = [events[name][rows].tolist() for name in _COLUMNS]
    return [_event(history, texts, _Row(*values)) for values in zip(*columns, strict=True)]


def _event(history: History, texts: Sequence[str], row: _Row) -> Event:
    name, stream, time_s = cast("EventKind", KINDS[row.kind]), texts[row.stream], row.at_ms / 1000
    began: Literal["entered", "already_inside"] = "already_inside" if row.already else "entered"
    return Event(
        kind=name,
        stream=stream,
        time_s=time_s,
        utc_ms=row.at_ms if row.utc else None,
        place=texts[row.place],
        direction=texts[row.direction],
        identity=row.identity,
        class_name=texts[row.class_name],
        since_s=_known(time_s - row.lasted_s),
        value=_known(row.value),
        error=_known(row.error),
        other_identity=history.present(stream, row.other) if row.other else 0,
        stay=Stay(entered_s=time_s, began=began) if name in _STAYING else None,
    )


def _known(value: float) -> float | None:
    return None if value != value else value  # noqa: PLR0124 - NaN is not itself


def known_spans(history: History, asked: Filter) -> dict[Clock, Span]:
    """What the ledgers know of each stream, as far as it lies in the time that is asked for."""
    found: dict[Clock, Span] = {}
    with history.lock:
        for stream in asked.streams:
            number = history.names.number(stream)
            for utc in (True, False):
                span = history.span(number, utc=utc)
                if span is None:
                    continue
                low = span[0] if asked.from_ms is None else max(span[0], asked.from_ms)
                high = span[1] if asked.to_ms is None else min(span[1], asked.to_ms - 1)
                if low <= high:
                    found[stream, utc] = low, high
    return found


def places_of(history: History, asked: Filter) -> set[tuple[str, str]]:
    """Streams and places of which there are such events."""
    with history.lock:
        rows = chosen(history, asked)
        pairs = np.unique(np.stack([history.events["stream"][rows], history.events["place"][rows]]), axis=1)
        texts = history.names.texts
        return {(texts[stream], texts[place]) for stream, place in pairs.T.tolist()}
