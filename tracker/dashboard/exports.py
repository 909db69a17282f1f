"""Exports as streams: rows of events, counts and stays as CSV that no spreadsheet runs, as JSON, and as Parquet."""

from __future__ import annotations

import csv
import io
import itertools
import json
from typing import TYPE_CHECKING, Any

from tracker.dashboard.problems import ApiError
from tracker.errors import install_command
from tracker.formats.cells import cell
from tracker.formats.event_rows import iso_utc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

__all__ = ["COUNT_COLUMNS", "EVENT_COLUMNS", "FORMATS", "STAY_COLUMNS", "count_rows", "flat_event", "written"]

GROUP_ROWS = 10_000

Kinds = dict[str, str]

EVENT_COLUMNS: Kinds = {
    "key": "text",
    "kind": "text",
    "stream": "text",
    "at_ms": "whole",
    "at": "text",
    "utc": "flag",
    "place": "text",
    "direction": "text",
    "identity": "whole",
    "class": "text",
    "was_class": "text",
    "since_ms": "whole",
    "value": "number",
    "error": "number",
    "other_identity": "whole",
    "before_ms": "whole",
    "before_x": "number",
    "before_y": "number",
    "after_ms": "whole",
    "after_x": "number",
    "after_y": "number",
    "stay_entered_ms": "whole",
    "stay_left_ms": "whole",
    "stay_dwell_s": "number",
    "stay_hidden_s": "number",
    "stay_began": "text",
    "stay_end": "text",
    "bridged": "flag",
    "revision": "whole",
}
STAY_COLUMNS: Kinds = {
    "stream": "text",
    "place": "text",
    "identity": "whole",
    "class": "text",
    "entered_ms": "whole",
    "entered": "text",
    "utc": "flag",
    "dwell_s": "number",
    "hidden_s": "number",
    "began": "text",
    "end": "text",
    "closed": "flag",
}
COUNT_COLUMNS: Kinds = {"from_ms": "whole", "from": "text", "utc": "flag", "count": "whole", "outage": "flag"}


def flat_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event of the API as one row of :data:`EVENT_COLUMNS`."""
    row: dict[str, Any] = {name: event.get(name) for name in EVENT_COLUMNS}
    row["at"] = iso_utc(event["at_ms"]) if event["utc"] else None
    for name in ("before", "after"):
        sighting = event[name] or {}
        row |= {f"{name}_ms": sighting.get("t_ms"), f"{name}_x": sighting.get("x"), f"{name}_y": sighting.get("y")}
    stay = event["stay"] or {}
    return row | {
        f"stay_{name}": stay.get(name) for name in ("entered_ms", "left_ms", "dwell_s", "hidden_s", "began", "end")
    }


def count_rows(answer: Mapping[str, Any], by: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Every bin of every group; the count is null where the camera was out and nothing was counted."""
    for series in answer["series"]:
        for start, count, out in zip(answer["starts_ms"], series["counts"], answer["outage_bins"], strict=True):
            yield {
                "from_ms": start,
                "from": iso_utc(start) if answer["utc"] else None,
                "utc": answer["utc"],
                **{name: series["group"][name] for name in by},
                "count": count,
                "outage": out,
            }


def written(rows: Iterable[Mapping[str, Any]], columns: Kinds, form: str) -> Iterator[bytes]:
    """Rows as a file, a piece at a time.

    Args:
        rows: With the keys of ``columns``.
        columns: Names, and ``text``, ``whole``, ``number`` or ``flag``.
        form: A key of :data:`FORMATS`.

    Raises:
        ApiError: pyarrow is not installed; before the first piece.
    """
    return FORMATS[form][1](iter(rows), columns)


def _csv(rows: Iterator[Mapping[str, Any]], columns: Kinds) -> Iterator[bytes]:
    def lines(values: Iterable[Iterable[Any]]) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(values)
        return text.getvalue().encode("utf-8", "backslashreplace")

    yield lines([columns])
    while page := list(itertools.islice(rows, GROUP_ROWS // 10)):
        yield lines(["" if row[name] is None else cell(row[name]) for name in columns] for row in page)


def _json(rows: Iterator[Mapping[str, Any]], columns: Kinds) -> Iterator[bytes]:
    yield b"["
    between = ""
    while page := list(itertools.islice(rows, GROUP_ROWS // 10)):
        texts = [json.dumps({name: row[name] for name in columns}, ensure_ascii=False) for row in page]
        yield (between + "\n" + ",\n".join(texts)).encode("utf-8", "backslashreplace")
        between = ","
    yield b"\n]\n"


class _Pieces(io.RawIOBase):
    """A file that hands on what was written since it was asked last."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._at = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held += data
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def take(self) -> bytes:
        held, self._held = bytes(self._held), bytearray()
        return held


def _parquet(rows: Iterator[Mapping[str, Any]], columns: Kinds) -> Iterator[bytes]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise ApiError(
            501,
            "Parquet",
            "the package pyarrow on the server",
            "none",
            f"take csv, or there: {install_command('parquet')}",
        ) from None
    kinds = {"text": pa.string(), "number": pa.float64(), "whole": pa.int64(), "flag": pa.bool_()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in columns.items()])

    def pieces() -> Iterator[bytes]:
        file = _Pieces()
        with parquet.ParquetWriter(file, schema) as writer:
            while page := list(itertools.islice(rows, GROUP_ROWS)):
                writer.write_table(pa.Table.from_pylist([dict(row) for row in page], schema))
                yield file.take()
        yield file.take()

    return pieces()


FORMATS: dict[str, tuple[str, Callable[[Iterator[Mapping[str, Any]], Kinds], Iterator[bytes]]]] = {
    "csv": ("text/csv; charset=utf-8", _csv),
    "json": ("application/json", _json),
    "parquet": ("application/vnd.apache.parquet", _parquet),
}
"""Media type and writer by the suffix of an export."""
