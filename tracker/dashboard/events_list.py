"""Events one by one: the newest that fit, page by page, and all of them as a stream for exports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.dashboard.filters import chosen
from tracker.dashboard.history import KINDS
from tracker.dashboard.problems import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tracker.dashboard.filters import Filter
    from tracker.dashboard.ledgers import Ledgers

__all__ = ["all_events", "event_json", "newest"]

PAGE = 400


def newest(
    ledgers: Ledgers, asked: Filter, *, limit: int, cursor: str | None = None
) -> tuple[list[dict[str, Any]], str | None]:
    """The newest events that fit, the newest first, and where the next page begins.

    Args:
        ledgers: All of them.
        asked: Filters; its time is that of the events themselves.
        limit: At most so many.
        cursor: Of the page before.

    Raises:
        ApiError: The cursor is none of ours.
    """
    history = ledgers.history
    with history.lock:
        rows = chosen(history, asked, column="at")
        at = history.events["at"][rows]
        if cursor is not None:
            until, number = _cursor(cursor)
            fits = (at < until) | ((at == until) & (rows < number))
            rows, at = rows[fits], at[fits]
        if len(rows) > limit + 1:
            least = np.partition(at, len(at) - limit - 1)[len(at) - limit - 1]
            rows, at = rows[at >= least], at[at >= least]
        order = np.lexsort((rows, at))[::-1]
        page = rows[order[:limit]]
        after = f"{at[order[limit - 1]]}_{page[-1]}" if len(order) > limit else None
        places = _places(ledgers, page)
    return list(_whole(ledgers, places)), after


def all_events(ledgers: Ledgers, asked: Filter) -> Iterator[dict[str, Any]]:
    """Every event that fits by time, some hundred at a time in memory."""
    history = ledgers.history
    with history.lock:
        rows = chosen(history, asked, column="at")
        rows = rows[np.argsort(history.events["at"][rows], kind="stable")]
    for first in range(0, len(rows), PAGE):
        if ledgers.history is not history:
            return  # rows were removed meanwhile: what follows would be others
        with history.lock:
            places = _places(ledgers, rows[first : first + PAGE])
        yield from _whole(ledgers, places)


def _cursor(text: str) -> tuple[int, int]:
    at, _, row = text.partition("_")
    try:
        found = int(at[:20]), int(row[:20])
    except ValueError:
        found = None
    if found is None or max(map(abs, found)) >= 2**62:
        raise ApiError(422, "cursor", "the one of the page before", "another text", "begin without one")
    return found


def _places(ledgers: Ledgers, rows: NDArray[np.int64]) -> list[tuple[int, int, int, int, str, int]]:
    """Ledger, row, time, number, class and kind of events; the caller holds the history's lock."""
    events, texts = ledgers.history.events, ledgers.history.names.texts
    columns = (events[name][rows].tolist() for name in ("source", "row", "at", "identity", "class", "kind"))
    return [
        (source, row, at, identity, texts[name], kind)
        for source, row, at, identity, name, kind in zip(*columns, strict=True)
    ]


def _whole(ledgers: Ledgers, places: list[tuple[int, int, int, int, str, int]]) -> Iterator[dict[str, Any]]:
    """Events with everything that their ledgers say of them; those that are gone are left out."""
    by_source: dict[int, list[int]] = {}
    for source, row, *_ in places:
        by_source.setdefault(source, []).append(row)
    found = {(source, row["row"]): row for source, rows in by_source.items() for row in ledgers.rows(source, rows)}
    for source, row, at, identity, name, kind in places:
        if (values := found.get((source, row))) is not None:
            other = ledgers.history.present(values["stream"], values["other_identity"])
            yield event_json(
                values, at_ms=at, identity=identity, class_name=name, kind=KINDS[kind], other_identity=other
            )


def event_json(
    row: dict[str, Any], *, at_ms: int, identity: int, class_name: str, kind: str, other_identity: int = 0
) -> dict[str, Any]:
    """An event as the API has it, under its present number and final class.

    Args:
        row: Columns of the ledger.
        at_ms: Time, in UTC or media time.
        identity: Present number.
        class_name: Final class.
        kind: What happened.
        other_identity: Present number of the second one of a pair.
    """

    def ms(time_s: float | None) -> int | None:
        return None if time_s is None else at_ms - round((row["time_s"] - time_s) * 1000)

    def sighting(name: str) -> dict[str, Any] | None:
        if row[f"{name}_time_s"] is None:
            return None
        return {"t_ms": ms(row[f"{name}_time_s"]), "x": row[f"{name}_x"], "y": row[f"{name}_y"]}

    stay = None
    if row["stay_entered_s"] is not None:
        left_s = row["stay_left_s"]
        stay = {
            "entered_ms": ms(row["stay_entered_s"]),
            "left_ms": ms(left_s),
            "dwell_s": None if left_s is None else round(left_s - row["stay_entered_s"], 3),
            "hidden_s": row["stay_hidden_s"],
            "began": row["stay_began"],
            "end": row["stay_end"],
        }
    return {
        "key": row["key"],
        "kind": kind,
        "stream": row["stream"],
        "at_ms": at_ms,
        "utc": row["utc_ms"] is not None,
        "place": row["place"],
        "direction": row["direction"],
        "identity": identity,
        "class": class_name,
        "was_class": row["was_class"],
        "since_ms": ms(row["since_s"]),
        "value": row["value"],
        "error": row["error"],
        "other_identity": other_identity,
        "before": sighting("before"),
        "after": sighting("after"),
        "stay": stay,
        "bridged": bool(row["bridged"]),
        "revision": row["revision"],
    }
