"""Rows of records read back, frame by frame: JSON Lines, CSV, Parquet and MOTChallenge text."""

from __future__ import annotations

import csv
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import ConfigError, DetectionsError, SourceError
from tracker.formats.arrow import pyarrow_for
from tracker.formats.columns import lines_of, read_text
from tracker.formats.frame_rows import STATES, FrameRows, RowColumns, no_rows
from tracker.formats.json_rows import read_json_rows
from tracker.formats.mot import mot_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["ROW_SUFFIXES", "read_rows"]

ROW_SUFFIXES = (".jsonl", ".ndjson", ".parquet", ".csv", ".txt")
BATCH_ROWS = 65_536
CSV_ROWS = 4096
MOT_CLASSES = {1: "person", 2: "bicycle", 3: "car", 4: "motorcycle", 5: "bus", 6: "truck"}
"""Class column of MOTChallenge text as this project writes it for the classes that ship."""


def read_rows(path: Path) -> Iterator[FrameRows]:
    """The frames of a file that have rows, in its order.

    Raises:
        DetectionsError: A row is damaged, has no identity, or is none of a record.
        SourceError: The file cannot be read.
        ConfigError: The suffix is of no rows, or pyarrow is not installed.
    """
    suffix = path.suffix.lower()
    readers = {".parquet": _read_table, ".csv": _read_csv, ".txt": _read_mot}
    if suffix not in ROW_SUFFIXES:
        problem = f"expected records (.instances {' '.join(ROW_SUFFIXES)}), found the suffix {suffix or 'none'}"
        raise ConfigError(path, problem, "name what masktrail track --records wrote")
    try:
        yield from readers.get(suffix, read_json_rows)(path)
    except OSError as failure:
        problem = f"expected records, found: {failure.strerror or failure}"
        raise SourceError(path, problem, "check the path") from failure


def _read_table(path: Path) -> Iterator[FrameRows]:
    pa, parquet = pyarrow_for(path)
    try:
        with path.open("rb") as file:
            table = parquet.ParquetFile(file)
            columns = _table_columns(path, table.schema_arrow.names)
            rest: dict[str, Any] = {}
            done = 0
            for batch in table.iter_batches(batch_size=BATCH_ROWS, columns=columns):
                arrays = {name: _values(batch.column(name), name) for name in columns}
                rest = {name: np.concatenate([rest[name], arrays[name]]) for name in columns} if rest else arrays
                cuts = [0, *(np.flatnonzero(np.diff(rest["frame"])) + 1).tolist()]
                rows = RowColumns(rest)
                for low, high in itertools.pairwise(cuts):  # the last frame may go on
                    yield rows.frame(f"{path}:{done + low}", low, high)
                done += cuts[-1]
                rest = {name: values[cuts[-1] :] for name, values in rest.items()}
            if rest and len(rest["frame"]):
                yield RowColumns(rest).frame(f"{path}:{done}", 0, len(rest["frame"]))
    except pa.ArrowException as failure:
        raise DetectionsError(path, f"expected a Parquet file, found: {failure}", "check the file") from failure


CORE = ("frame", "time_s", "id", "class", "x1", "y1", "x2", "y2")
MORE = ("class_then", "age_s", "coasting", "contact_x", "contact_y", "contact_state", "notes")


def _table_columns(path: Path, names: Sequence[str]) -> list[str]:
    if {"key", "kind", "semantics"} <= set(names):
        raise DetectionsError(path, "expected rows of tracks, found a ledger of events", "name the records")
    if missing := [name for name in CORE if name not in names]:
        problem = f"expected columns {', '.join(CORE)}, found none of {', '.join(missing)}"
        raise DetectionsError(path, problem, "name records that masktrail track wrote")
    return [*CORE, *(name for name in MORE if name in names)]


def _values(column: Any, name: str) -> NDArray[Any]:
    """A column as an array; places and ages that are null are NaN."""
    if name in {"class", "class_then", "contact_state", "notes"}:
        words = column.dictionary_encode()
        known = np.array([*words.dictionary.to_pylist(), None], object)
        if name == "contact_state":
            known = np.array([STATES.get(word, 1) for word in known.tolist()], np.int8)
        return np.asarray(known[words.indices.fill_null(len(known) - 1).to_numpy()])
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _read_csv(path: Path) -> Iterator[FrameRows]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.reader(file)
        names = next(table, [])
        sides = ("x1", "y1", "x2", "y2") if "x1" in names else ("x", "y", "w", "h")
        if missing := [name for name in ("frame", "id", *sides) if name not in names]:
            if {"key", "kind"} <= set(names):
                raise DetectionsError(path, "expected rows of tracks, found a ledger of events", "name the records")
            problem = f"expected a header with frame, id and x1, y1, x2, y2 (or x, y, w, h), found no {missing[0]}"
            raise DetectionsError(f"{path}:1", problem, "name the columns in the first line")
        rows: list[list[str]] = []
        first, frame = 2, names.index("frame")
        try:
            for row in table:
                if len(rows) >= CSV_ROWS and row[frame] != rows[-1][frame]:
                    yield from _frames_of_cells(path, first, names, sides, rows)
                    first, rows = first + len(rows), []
                rows.append(row)
            if rows:
                yield from _frames_of_cells(path, first, names, sides, rows)
        except (UnicodeDecodeError, csv.Error, IndexError) as failure:
            place = f"{path}:{table.line_num}"
            raise DetectionsError(
                place, f"expected rows of {len(names)} cells, found {failure}", "check it"
            ) from failure


def _frames_of_cells(
    path: Path, first: int, names: list[str], sides: Sequence[str], rows: list[list[str]]
) -> Iterator[FrameRows]:
    """The frames of some rows of a CSV file, of which the first is on the line ``first``."""
    texts = {"class", "class_then", "contact_state", "notes"}
    wanted = {*CORE, *MORE, *sides}
    columns: dict[str, Any] = {}
    try:
        for number, name in enumerate(names):
            if name in wanted:
                cells = [row[number] for row in rows]
                kept = (
                    [_plain_cell(cell) for cell in cells] if name in texts else [float(cell or "nan") for cell in cells]
                )
                columns[name] = np.array(kept, object if name in texts else np.float64)
    except (ValueError, IndexError) as failure:
        place = f"{path}:{first} to {first + len(rows) - 1}"
        raise DetectionsError(place, f"expected numbers in {name}, found {failure}", "check the rows") from failure
    if "x" in sides:
        x, y, width, height = (columns[name] for name in sides)
        columns |= {"x1": x, "y1": y, "x2": x + width, "y2": y + height}
    columns.setdefault("class", np.full(len(rows), "object", object))
    columns["class"] = np.array([name or "object" for name in columns["class"].tolist()], object)
    known = RowColumns(columns)
    for low, high in itertools.pairwise([0, *(np.flatnonzero(np.diff(known.frames)) + 1).tolist(), len(rows)]):
        yield known.frame(f"{path}:{first + low}", low, high)


def _plain_cell(text: str) -> str:
    """A text without the apostrophe that keeps spreadsheets from taking it for a formula."""
    return text[1:] if text[:1] == "'" and text[1:2] in set("=+-@\t\r") else text


def _read_mot(path: Path) -> Iterator[FrameRows]:
    lines = lines_of(read_text(path))
    found = mot_table(path, lines)
    if not len(found):
        return
    if (found[:, 1] < 0).all():
        raise no_rows(f"{path}:1", {"frame": 0, "id": None}, ValueError("no id"))
    order = np.argsort(found[:, 0], kind="stable")
    found = found[order]
    cuts = [0, *(np.flatnonzero(np.diff(found[:, 0])) + 1).tolist(), len(found)]
    ids, boxes, unseen = found[:, 1].astype(np.int64), found[:, 2:6].astype(np.float32), found[:, 8] == 0
    classes = [MOT_CLASSES.get(int(number), "object") for number in found[:, 7].tolist()]
    ages_s, numbers = np.zeros(len(found), np.float32), order.tolist()
    for low, high in itertools.pairwise(cuts):
        yield FrameRows(
            place=f"{path}:{lines[numbers[low]][0]}",
            index=int(found[low, 0]) - 1,
            time_s=None,
            ids=ids[low:high],
            classes=classes[low:high],
            boxes=boxes[low:high],
            ages_s=ages_s[low:high],
            coasting=unseen[low:high],
        )
