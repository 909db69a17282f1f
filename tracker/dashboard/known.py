"""What the ledgers know: times of each stream, and places of which there are events of some kind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tracker.analytics.asked import Asked
from tracker.dashboard.columns import as_one
from tracker.dashboard.filters import chosen

if TYPE_CHECKING:
    from tracker.analytics.spans import Clock, Span
    from tracker.dashboard.filters import Filter
    from tracker.dashboard.history import History

__all__ = ["known_spans", "places_of"]


def known_spans(history: History, asked: Filter) -> dict[Clock, Span]:
    """What the ledgers know of each stream by its events, as far as it lies in the time that is asked for."""
    found: dict[Clock, Span] = {}
    limits = Asked(from_ms=asked.from_ms, to_ms=asked.to_ms, deleted_ms=history.deleted_ms)
    with history.lock:
        for stream in asked.streams:
            number = history.names.number(stream)
            for utc in (True, False):
                span = history.span(number, utc=utc)
                if span is not None:
                    found |= replace(limits, utc=utc).spans({(stream, utc): span})
    return found


def places_of(history: History, asked: Filter) -> set[tuple[str, str]]:
    """Streams and places of which there are such events."""
    with history.lock:
        rows = chosen(history, asked)
        codes = as_one(history.events["stream"][rows], history.events["place"][rows])
        first = rows[np.unique(codes, return_index=True)[1]]
        stream, place = (history.events[name][first].tolist() for name in ("stream", "place"))
        texts = history.names.texts
        return {(texts[one], texts[other]) for one, other in zip(stream, place, strict=True)}
