"""Rows of records read back, frame by frame: JSON Lines, CSV, Parquet and MOTChallenge text."""

from __future__ import annotations

import csv
import itertools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import ConfigError, DetectionsError, SourceError, install_command
from tracker.formats.columns import lines_of, read_text
from tracker.formats.mot import mot_rows
from tracker.formats.notes import CONTACT_STATES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["ROW_SUFFIXES", "FrameRows", "read_rows"]

ROW_SUFFIXES = (".jsonl", ".ndjson", ".parquet", ".csv", ".txt")
BATCH_ROWS = 65_536
CSV_ROWS = 4096
STATES = {name: number for number, name in enumerate(CONTACT_STATES)}
MOT_CLASSES = {1: "person", 2: "bicycle", 3: "car", 4: "motorcycle", 5: "bus", 6: "truck"}
"""Class column of MOTChallenge text as this project writes it for the classes that ship."""
MASK = b',"mask":'
TRACK_AGAIN = "write the records again with masktrail track"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRows:
    """All rows of one frame.

    Attributes:
        place: Where they begin, for errors.
        index: Of the frame, from 0.
        time_s: Media time; ``None`` where the file has frame numbers only.
        ids: ``(N,)`` identities.
        classes: ``N`` names, by vote so far.
        boxes: ``(N, 4)`` xyxy in image pixels.
        ages_s: ``(N,)``; 0 where the file has none.
        coasting: ``(N,)`` predicted and not seen.
        points: ``(N, 2)`` ground contacts in image pixels; ``None`` where a row has none.
        states: ``(N,)`` :class:`tracker.contacts.ContactState`.
        head: Notes of the frame; ``None`` where there are none.
        earlier: Contacts before the confirmation, by identity.
    """

    place: str
    index: int
    time_s: float | None
    ids: NDArray[np.int64]
    classes: Sequence[str]
    boxes: NDArray[np.float64]
    ages_s: NDArray[np.float64]
    coasting: NDArray[np.bool_]
    points: NDArray[np.float64] | None = None
    states: NDArray[np.int8] | None = None
    head: dict[str, Any] | None = None
    earlier: dict[int, Any] = field(default_factory=dict)


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
        yield from readers.get(suffix, _read_lines)(path)
    except OSError as failure:
        problem = f"expected records, found: {failure.strerror or failure}"
        raise SourceError(path, problem, "check the path") from failure


def _read_lines(path: Path) -> Iterator[FrameRows]:
    rows: list[dict[str, Any]] = []
    first = 1
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.isspace():
                continue
            row = _parsed(path, number, line)
            if rows and row.get("frame") != rows[0].get("frame"):
                yield _frame_of_objects(path, first, rows)
                rows, first = [], number
            rows.append(row)
    if rows:
        yield _frame_of_objects(path, first, rows)


def _parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    """A line without its mask, which is the longer part of it and the last."""
    cut = line.find(MASK)
    try:
        row = json.loads(line if cut < 0 else line[:cut] + b"}")
    except ValueError:
        try:
            row = json.loads(line)
        except ValueError:
            row = None
    if not isinstance(row, dict):
        text = line.decode("utf-8", "replace").strip()
        problem = f"expected a JSON object, found {text[:60]!r}"
        raise DetectionsError(f"{path}:{number}", problem, "check the file, or leave the row out")
    return row


def _frame_of_objects(path: Path, first: int, rows: list[dict[str, Any]]) -> FrameRows:
    """The rows of one frame of JSON Lines."""
    try:
        known = all(row.get("contact") is not None for row in rows)
        return FrameRows(
            place=f"{path}:{first}",
            index=int(rows[0]["frame"]),
            time_s=float(rows[0]["time_s"]),
            ids=np.array([row["id"] for row in rows], np.int64),
            classes=[row.get("class_then") or row["class"] for row in rows],
            boxes=np.array([row["box"] for row in rows], np.float64).reshape(-1, 4),
            ages_s=np.array([row.get("age_s") or 0.0 for row in rows], np.float64),
            coasting=np.array([row.get("coasting", False) for row in rows], np.bool_),
            points=np.array([row["contact"] for row in rows], np.float64).reshape(-1, 2) if known else None,
            states=np.array([STATES[row["contact_state"]] for row in rows], np.int8) if known else None,
            head=rows[0].get("notes"),
            earlier={row["id"]: row["notes"]["earlier"] for row in rows if "earlier" in (row.get("notes") or ())},
        )
    except (KeyError, TypeError, ValueError) as failure:
        raise _no_rows(f"{path}:{first}", rows[0], failure) from failure


def _no_rows(place: str, row: dict[str, Any], failure: Exception) -> DetectionsError:
    """What is wrong with the rows of a frame."""
    if "key" in row and "kind" in row:
        return DetectionsError(place, "expected rows of tracks, found a ledger of events", "name the records")
    if "frame" in row and row.get("id", 0) is None:
        problem = "expected rows of identities, found rows without any (segmented, not tracked)"
        return DetectionsError(place, problem, "masktrail track the recording, or name the .instances")
    missing = f"no {failure}" if isinstance(failure, KeyError) else str(failure)
    problem = f"expected rows with frame, time_s, id, class and box, found {missing}"
    return DetectionsError(place, problem, "check the file, or leave the row out")


def _read_table(path: Path) -> Iterator[FrameRows]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as missing:
        problem = "expected the package pyarrow for Parquet, found none"
        raise ConfigError(path, problem, install_command("parquet")) from missing
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
                rows = _Columns(rest)
                for low, high in itertools.pairwise(cuts):  # the last frame may go on
                    yield rows.frame(f"{path}:{done + low}", low, high)
                done += cuts[-1]
                rest = {name: values[cuts[-1] :] for name, values in rest.items()}
            if rest and len(rest["frame"]):
                yield _Columns(rest).frame(f"{path}:{done}", 0, len(rest["frame"]))
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
        return np.array(column.to_pylist(), object)
    return np.asarray(column.to_numpy(zero_copy_only=False))


class _Columns:
    """Columns of many rows as arrays, of which frames are slices; absent ones are those of files of others.

    Args:
        columns: By name.
    """

    def __init__(self, columns: dict[str, Any]) -> None:
        count = len(columns["frame"])
        self.frames = columns["frame"]
        self.times_s = columns.get("time_s")
        ids = columns["id"]
        self.nameless = np.isnan(ids) if ids.dtype.kind == "f" else np.zeros(count, np.bool_)
        self.ids = np.where(self.nameless, 0, ids).astype(np.int64)
        self.classes = columns["class"]
        if "class_then" in columns:
            then = columns["class_then"]
            self.classes = np.where(then.astype(np.bool_), then, self.classes)
        self.boxes = np.stack([columns[name] for name in ("x1", "y1", "x2", "y2")], axis=1).astype(np.float64)
        self.ages_s = np.nan_to_num(columns["age_s"].astype(np.float64)) if "age_s" in columns else np.zeros(count)
        self.coasting = columns["coasting"].astype(np.bool_) if "coasting" in columns else np.zeros(count, np.bool_)
        self.points = np.full((count, 2), np.nan)
        self.states = np.zeros(count, np.int8)
        if "contact_x" in columns:
            self.points = np.stack([columns["contact_x"], columns["contact_y"]], axis=1).astype(np.float64)
            self.states = np.array([STATES.get(name, 1) for name in columns["contact_state"].tolist()], np.int8)
        self.known = ~np.isnan(self.points).any(axis=1)
        self.notes = columns.get("notes")

    def frame(self, place: str, low: int, high: int) -> FrameRows:
        """The rows of one frame.

        Raises:
            DetectionsError: A row has no identity, or its notes are damaged.
        """
        rows = slice(low, high)
        if np.count_nonzero(self.nameless[rows]):
            raise _no_rows(place, {"frame": 0, "id": None}, ValueError("no id"))
        known = np.count_nonzero(self.known[rows]) == high - low
        try:
            texts = [] if self.notes is None else self.notes[rows].tolist()
            notes = [json.loads(text) if text else None for text in texts]
        except ValueError as failure:
            raise DetectionsError(place, f"expected notes as JSON text, found {failure}", TRACK_AGAIN) from failure
        ids = self.ids[rows]
        return FrameRows(
            place=place,
            index=int(self.frames[low]),
            time_s=None if self.times_s is None else float(self.times_s[low]),
            ids=ids,
            classes=self.classes[rows].tolist(),
            boxes=self.boxes[rows],
            ages_s=self.ages_s[rows],
            coasting=self.coasting[rows],
            points=self.points[rows] if known else None,
            states=self.states[rows] if known else None,
            head=notes[0] if notes else None,
            earlier={int(ids[n]): own["earlier"] for n, own in enumerate(notes) if own and "earlier" in own},
        )


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
    known = _Columns(columns)
    for low, high in itertools.pairwise([0, *(np.flatnonzero(np.diff(known.frames)) + 1).tolist(), len(rows)]):
        yield known.frame(f"{path}:{first + low}", low, high)


def _plain_cell(text: str) -> str:
    """A text without the apostrophe that keeps spreadsheets from taking it for a formula."""
    return text[1:] if text[:1] == "'" and text[1:2] in set("=+-@\t\r") else text


def _read_mot(path: Path) -> Iterator[FrameRows]:
    lines = lines_of(read_text(path))
    found = np.array(mot_rows(path, lines), np.float64).reshape(-1, 8)
    if not len(found):
        return
    if (found[:, 1] < 0).all():
        raise _no_rows(f"{path}:1", {"frame": 0, "id": None}, ValueError("no id"))
    unseen = np.array([_visibility(line) == 0 for _, line in lines], np.bool_)
    order = np.argsort(found[:, 0], kind="stable")
    found, unseen = found[order], unseen[order]
    cuts = [0, *(np.flatnonzero(np.diff(found[:, 0])) + 1).tolist(), len(found)]
    for low, high in itertools.pairwise(cuts):
        rows = found[low:high]
        yield FrameRows(
            place=f"{path}:{lines[int(order[low])][0]}",
            index=int(rows[0, 0]) - 1,
            time_s=None,
            ids=rows[:, 1].astype(np.int64),
            classes=[MOT_CLASSES.get(int(number), "object") for number in rows[:, 7]],
            boxes=rows[:, 2:6],
            ages_s=np.zeros(high - low),
            coasting=unseen[low:high],
        )


def _visibility(line: str) -> float:
    """Of a line with nine columns; 0 is predicted and not seen, as this project writes it."""
    fields = line.split(",") if "," in line else line.split()
    return float(fields[8]) if len(fields) == 9 and fields[8].strip() else -1.0
