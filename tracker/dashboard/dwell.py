"""Dwell of stays: mean over closed stays, median and 90th percentile by Kaplan-Meier over censored ones too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.analytics.dwell import quantiles
from tracker.dashboard.filters import stream_numbers
from tracker.dashboard.history import ENDS
from tracker.dashboard.queries import grouped
from tracker.formats.event_rows import iso_utc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tracker.dashboard.filters import Filter
    from tracker.dashboard.history import History

__all__ = ["BUCKETS", "all_stays", "dwell", "stay_rows"]

PAGE = 5000

BUCKETS = 24
"""Columns of the histogram at most."""

_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400)


def stay_rows(history: History, asked: Filter) -> NDArray[np.int64]:
    """Rows of ``history.stay_rows``, one per stay whose entry is in the time; the caller holds the lock."""
    stays, events = history.stay_rows, history.events
    rows = history.stays
    entered = stays["entered_ms"][rows]
    if asked.is_limited:
        low = asked.from_ms if asked.from_ms is not None else -(2**62)
        high = asked.to_ms if asked.to_ms is not None else 2**62
        rows = rows[(entered >= low) & (entered < high)]
    event = stays["event"][rows]
    fits = np.isin(events["stream"][event], stream_numbers(history, asked.streams))
    for name, texts in (("place", asked.places), ("class", asked.classes)):
        if texts:
            fits &= np.isin(events[name][event], history.names.numbers(texts))
    if asked.identity is not None:
        fits &= events["identity"][event] == asked.identity
    return np.asarray(rows[fits])


def dwell(history: History, asked: Filter) -> dict[str, Any]:
    """Figures of stays that began in a time, their histogram, and the same by stream, zone and class.

    Args:
        history: Of events.
        asked: Streams, places, classes and the time of the entry.
    """
    with history.lock:
        rows = stay_rows(history, replace(asked, kinds=()))
        stays, texts = history.stay_rows, history.names.texts
        event = stays["event"][rows]
        length, entered = _lengths(history, rows, event), stays["entered"][rows]
        closed = entered & stays["leave"][rows] & (stays["end"][rows] == ENDS.index("left"))
        groups, codes = grouped(history, event, ("stream", "place", "class"))
    order = np.argsort(codes, kind="stable")
    cuts = np.cumsum(np.bincount(codes, minlength=len(groups)))[:-1]
    by = [
        {"stream": texts[stream], "place": texts[place], "class": texts[name]}
        | _figures(length[mine], closed[mine], entered[mine])
        for (stream, place, name), mine in zip(groups, np.split(order, cuts)[: len(groups)], strict=True)
    ]
    return _figures(length, closed, entered) | {"histogram": _histogram(length[closed]), "by": by}


def _lengths(history: History, rows: NDArray[np.int64], event: NDArray[np.int64]) -> NDArray[np.float64]:
    """Seconds of each stay; of those that last, until the last event of their stream."""
    stays, events = history.stay_rows, history.events
    length = stays["dwell_s"][rows].copy()
    lasting = np.flatnonzero(np.isnan(length))
    stream, utc = events["stream"][event[lasting]], events["utc"][event[lasting]]
    last = np.where(utc, history.last_ms(utc=True)[stream], history.last_ms(utc=False)[stream])
    length[lasting] = np.maximum((last - stays["entered_ms"][rows[lasting]]) / 1000, 0.0)
    return np.asarray(length)


def _figures(length: NDArray[np.float64], closed: NDArray[np.bool_], entered: NDArray[np.bool_]) -> dict[str, Any]:
    n, n_closed = len(length), int(np.count_nonzero(closed))
    middle, late = quantiles(length[entered], closed[entered], (0.5, 0.9))
    return {
        "n": n,
        "closed": n_closed,
        "censored": n - n_closed,
        "mean_s": round(float(length[closed].mean()), 3) if n_closed else None,
        "median_s": middle,
        "p90_s": late,
    }


def _histogram(length: NDArray[np.float64]) -> list[dict[str, Any]]:
    if not len(length):
        return []
    longest = float(length.max())
    step = next((one for one in _STEPS_S if longest / one <= BUCKETS), None) or float(np.ceil(longest / BUCKETS))
    found = np.bincount((length / step).astype(np.int64))
    return [
        {"from_s": number * step, "to_s": (number + 1) * step, "count": count}
        for number, count in enumerate(found.tolist())
    ]


def all_stays(history: History, asked: Filter) -> Iterator[dict[str, Any]]:
    """Every stay that began in a time, by entry, some thousand at a time."""
    with history.lock:
        rows = stay_rows(history, asked)
        rows = rows[np.argsort(history.stay_rows["entered_ms"][rows], kind="stable")]
    for first in range(0, len(rows), PAGE):
        yield from _stays(history, rows[first : first + PAGE])


def _stays(history: History, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
    with history.lock:
        stays, events, texts = history.stay_rows, history.events, history.names.texts
        event = stays["event"][rows]
        of_event = zip(
            *(events[name][event].tolist() for name in ("stream", "place", "identity", "class", "utc")), strict=True
        )
        names = ("entered_ms", "dwell_s", "hidden_s", "entered", "end", "leave")
        of_stay = zip(*(stays[name][rows].tolist() for name in names), strict=True)
    found = []
    for (stream, place, identity, name, utc), (entered_ms, dwell_s, hidden_s, entered, end, leave) in zip(
        of_event, of_stay, strict=True
    ):
        found.append(
            {
                "stream": texts[stream],
                "place": texts[place],
                "identity": identity,
                "class": texts[name],
                "entered_ms": entered_ms,
                "entered": iso_utc(entered_ms) if utc else None,
                "utc": utc,
                "dwell_s": None if dwell_s != dwell_s else round(dwell_s, 3),  # noqa: PLR0124 - NaN is not itself
                "hidden_s": round(hidden_s, 3),
                "began": "entered" if entered else "already_inside",
                "end": ENDS[end] if leave else None,
                "closed": bool(entered and leave and ENDS[end] == "left"),
            }
        )
    return found
