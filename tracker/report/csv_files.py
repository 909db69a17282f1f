"""Figures of a report as CSV files, one for each table, with every row that the page has no room for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.formats.cells import csv_text
from tracker.report.dwell_section import DwellFigures
from tracker.report.spreads import spread_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tracker.report.counted import Counted
    from tracker.report.dwell_section import Stays
    from tracker.report.period import Period
    from tracker.report.quality_section import Quality
    from tracker.report.value_sections import Values

__all__ = ["count_rows", "csv_bytes", "csv_files"]

Rows = tuple[Sequence[str], Iterable[Sequence[Any]]]
"""Names of columns, and rows."""


def csv_files(
    period: Period,
    counted: Counted,
    stays: Mapping[tuple[str, str, str], Stays],
    values: Mapping[str, Mapping[tuple[str, str, str, str], Values]],
    quality: Quality,
) -> dict[str, bytes]:
    """Files by name; what there is nothing of has none.

    Args:
        period: With the bins.
        counted: Counts.
        stays: By stream, zone and class.
        values: Of each kind of rows with a value.
        quality: Of the data.
    """
    tables: dict[str, Rows] = {
        "counts.csv": count_rows(counted, period),
        "dwell.csv": _dwell_rows(stays),
        "values.csv": _value_rows(values),
        "outages.csv": (
            ("stream", "kind", "from", "to", "from_ms", "to_ms"),
            [
                (stream, kind, *(time_cell(at, period) for at in (low, high)), low, high)
                for stream, kind, low, high in quality.outages
            ],
        ),
        "quality.csv": _quality_rows(quality),
    }
    made = {name: csv_bytes(columns, rows) for name, (columns, rows) in tables.items()}
    return {name: data for name, data in made.items() if data.count(b"\n") > 1}


def csv_bytes(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A table as a file, no cell of which a spreadsheet runs."""
    return csv_text(columns, rows).encode()


def count_rows(counted: Counted, period: Period) -> Rows:
    """A row for each bin, place, direction and class with a count or an outage; no count is empty, not 0."""
    columns = ("from", "from_ms", "stream", "kind", "place", "direction", "class", "count", "outage", "week_before")

    def rows() -> Iterable[Sequence[Any]]:
        starts = [time_cell(int(at), period) for at in period.edges[:-1]]
        for place in counted.places:
            head = place.stream, place.kind, place.place
            for way, classes in sorted(place.ways.items()):
                for name, counts in sorted(classes.items()):
                    for slot in np.flatnonzero(counts).tolist():
                        out = bool(place.out[slot])
                        yield (starts[slot], int(period.edges[slot]), *head, way, name, int(counts[slot]), out, "")
                before = place.before.get(way)
                sums, unknown = place.sums(way), place.unknown(way)
                for slot in range(period.bins):
                    earlier = "" if before is None or np.isnan(before[slot]) else int(before[slot])
                    if not sums[slot] and not place.out[slot] and earlier in {"", 0}:
                        continue
                    count = "" if unknown[slot] else int(sums[slot])
                    out = bool(place.out[slot])
                    yield (starts[slot], int(period.edges[slot]), *head, way, "all classes", count, out, earlier)

    return columns, rows()


def _dwell_rows(stays: Mapping[tuple[str, str, str], Stays]) -> Rows:
    columns = ("stream", "zone", "class", "stays", "closed", "censored", "lost")
    rows = []
    for group, found in sorted(stays.items()):
        one = DwellFigures.of(found)
        seconds = (one.median_s, one.mean_s, one.p90_s, one.hidden_share)
        rows.append((*group, one.n, one.closed, one.n - one.closed, found.lost, *map(_rounded, seconds)))
    return (*columns, "median_s", "mean_s", "p90_s", "hidden_share"), rows


def _value_rows(values: Mapping[str, Mapping[tuple[str, str, str, str], Values]]) -> Rows:
    rows = []
    for kind, groups in sorted(values.items()):
        for group, found in sorted(groups.items()):
            one = spread_of("", np.array(found.values), np.array(found.errors))
            rows.append((kind, *group, one.n, *map(_rounded, (one.mean, one.low, one.middle, one.high, one.error))))
    columns = ("kind", "stream", "place", "direction", "class", "n", "mean", "p15", "p50", "p85", "median_error")
    return columns, rows


def _quality_rows(quality: Quality) -> Rows:
    spans = {span.stream: span for span in quality.spans}
    rows = []
    for one in quality.seen:
        span = spans.get(one.stream)
        times = ("", "") if span is None else (span.first_ms, span.last_ms)
        rows.append(
            (one.stream, one.rows, *times, one.identities, one.crossings, one.bridged, *one.revisions, *one.semantics)
        )
    columns = ("stream", "events", "first_ms", "last_ms", "identities", "crossings", "crossings_bridged")
    return (*columns, "first_revision", "last_revision", "first_semantics", "last_semantics"), rows


def time_cell(at_ms: int, period: Period) -> str | float:
    """Local time with its offset, or seconds of media time."""
    if not period.utc:
        return at_ms / 1000
    return _local(at_ms, period).isoformat(timespec="seconds")


def _local(at_ms: int, period: Period) -> datetime:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(period.zone)


def _rounded(value: float | None) -> float | str:
    return "" if value is None else round(value, 4)
