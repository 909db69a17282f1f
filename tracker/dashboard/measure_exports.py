"""Exports of measures as rows: speeds, conflicts, queues, footfall, groups, heatmaps, alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.analytics.visitors import COUNTS
from tracker.formats.event_rows import iso_utc

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tracker.dashboard.exports import Kinds
    from tracker.heat import Presence

__all__ = [
    "ALERT_COLUMNS",
    "CONFLICT_COLUMNS",
    "FOOTFALL_COLUMNS",
    "GROUP_COLUMNS",
    "HEAT_COLUMNS",
    "QUEUE_COLUMNS",
    "SPEED_COLUMNS",
    "alert_rows",
    "conflict_rows",
    "footfall_rows",
    "group_rows",
    "heat_rows",
    "queue_rows",
    "speed_rows",
]

_WHERE: Kinds = {"stream": "text", "place": "text"}
_BIN: Kinds = {"from_ms": "whole", "from": "text", "utc": "flag"}
_FOOT = ("visitors", *COUNTS)
SPEED_COLUMNS: Kinds = _WHERE | {
    "direction": "text",
    "class": "text",
    "unit": "text",
    **dict.fromkeys(("n", "unknown"), "whole"),
    **dict.fromkeys(("v15", "v50", "v85", "time_mean", "space_mean"), "number"),
}
CONFLICT_COLUMNS: Kinds = {
    "kind": "text",
    **_WHERE,
    "at_ms": "whole",
    "at": "text",
    "utc": "flag",
    "identity": "whole",
    "class": "text",
    "other_identity": "whole",
    "value_s": "number",
    "lasted_s": "number",
}
QUEUE_COLUMNS: Kinds = _BIN | _WHERE | {"mean": "number", "longest": "whole"}
FOOTFALL_COLUMNS: Kinds = _BIN | _WHERE | dict.fromkeys(_FOOT, "whole")
GROUP_COLUMNS: Kinds = {"group": "text"} | _BIN | {"inside": "whole", "corrected": "number", "open": "flag"}
HEAT_COLUMNS: Kinds = {
    "stream": "text",
    "class": "text",
    **dict.fromkeys(("row", "column"), "whole"),
    **dict.fromkeys(("x", "y", "seconds", "still_s", "visits"), "number"),
}
ALERT_COLUMNS: Kinds = {
    "rule": "text",
    "stream": "text",
    "began_ms": "whole",
    "began": "text",
    "ended_ms": "whole",
    "ended": "text",
    "utc": "flag",
    "under_way": "flag",
    "value": "number",
    "acknowledged_by": "text",
    "acknowledged_ms": "whole",
}


def speed_rows(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each line, direction and class."""
    for one in answer["groups"]:
        yield {**one, "unit": answer["unit"]}


def conflict_rows(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each pair and for each that stopped or went the wrong way."""
    nothing = dict.fromkeys(("other_identity", "value_s", "lasted_s"))
    for one in (*answer["pairs"], *answer["lasting"]):
        yield {**nothing, **one, "at": _iso(one["at_ms"], utc=one["utc"])}


def queue_rows(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each bin of each queue; lengths are null where nothing is known."""
    for one in answer["queues"]:
        for begin, mean, longest in zip(answer["starts_ms"], one["mean"], one["most"], strict=True):
            yield _bin(begin, utc=answer["utc"]) | _where(one) | {"mean": mean, "longest": longest}


def footfall_rows(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each bin of each footfall; counts are null where nothing is known."""
    for one in answer["footfall"]:
        series = [one["bins"][name] or [None] * len(answer["starts_ms"]) for name in _FOOT]
        for begin, *values in zip(answer["starts_ms"], *series, strict=True):
            yield _bin(begin, utc=answer["utc"]) | _where(one) | dict(zip(_FOOT, values, strict=True))


def group_rows(groups: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """A row for each bin of each group."""
    for one in groups:
        for begin, inside, corrected, is_open in zip(
            one["starts_ms"], one["inside"], one["corrected"], one["open"], strict=True
        ):
            held = {"inside": inside, "corrected": corrected, "open": is_open}
            yield {"group": one["name"], **_bin(begin, utc=True), **held}


def heat_rows(found: Presence, classes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A row for each class and cell in which anything was; ``x`` and ``y`` are of its middle.

    Args:
        found: Presence of one stream.
        classes: Only these; empty = all.
    """
    rows, columns = found.total.shape or (0, 0)
    for name, values in sorted(found.total.by_class.items()):
        if classes and name not in classes:
            continue
        for cell in np.flatnonzero(values.any(axis=1)).tolist():
            row, column = divmod(cell, columns)
            middle = {"x": round((column + 0.5) / columns, 4), "y": round((row + 0.5) / rows, 4)}
            seconds, still_s, visits = values[cell].round(3).tolist()
            held = {"seconds": seconds, "still_s": still_s, "visits": visits}
            yield {"stream": found.stream, "class": name, "row": row, "column": column, **middle, **held}


def alert_rows(alerts: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """A row for each alert."""
    for one in alerts:
        seen = one["acknowledged"] or {"by": None, "at_ms": None}
        times = {name: _iso(one[f"{name}_ms"], utc=one["utc"]) for name in ("began", "ended")}
        yield {**one, **times, "acknowledged_by": seen["by"], "acknowledged_ms": seen["at_ms"]}


def _iso(at_ms: int | None, *, utc: bool) -> str | None:
    return iso_utc(at_ms) if utc and at_ms is not None else None


def _bin(begin_ms: int, *, utc: bool) -> dict[str, Any]:
    return {"from_ms": begin_ms, "from": _iso(begin_ms, utc=utc), "utc": utc}


def _where(one: Mapping[str, Any]) -> dict[str, Any]:
    return {"stream": one["stream"], "place": one["place"]}
