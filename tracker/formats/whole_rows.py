"""Whole rows of records, masks and notes included: read frame by frame, changed, and written in the same format."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from tracker.errors import ConfigError, DetectionsError, SourceError
from tracker.formats.arrow import pyarrow_for
from tracker.formats.cells import cell, plain
from tracker.formats.frame_rows import no_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["WHOLE_SUFFIXES", "WholeRow", "frames_of", "rewrite"]

WHOLE_SUFFIXES = (".jsonl", ".ndjson", ".csv", ".parquet")
GROUP_ROWS = 16_384
CORE = ("frame", "time_s", "id", "class", "box")
FLAT: dict[str, tuple[str, ...]] = {
    "box": ("x1", "y1", "x2", "y2"),
    "velocity_px_s": ("vx_px_s", "vy_px_s"),
    "contact": ("contact_x", "contact_y"),
}
"""Columns of CSV and Parquet that are lists in JSON Lines."""
BEHIND_NOTES = ("mask", "mask_from")
BEHIND_THEN = ("score",)


class WholeRow(ABC):
    """One row under the names of JSON Lines, whatever its format.

    Args:
        values: As the file has them; changed in place.
    """

    __slots__ = ("values",)

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    @abstractmethod
    def get(self, name: str) -> Any:
        """A value, ``None`` where there is none."""

    @abstractmethod
    def set(self, name: str, value: Any) -> None:
        """Change a value; ``None`` = there is none. What a table has no column for is left out."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether rows like this one have such a value, be it ``None``."""

    def copy(self) -> WholeRow:
        """Another row with the same values."""
        return type(self)(dict(self.values))


class LineRow(WholeRow):
    """A row of JSON Lines; ``class_then``, ``notes`` and ``mask_from`` stand only where there is something to say."""

    __slots__ = ()
    sparse: ClassVar[dict[str, tuple[str, ...]]] = {
        "class_then": BEHIND_THEN,
        "notes": BEHIND_NOTES,
        "mask_from": (),
    }

    def get(self, name: str) -> Any:
        return self.values.get(name)

    def has(self, name: str) -> bool:
        return name in self.values

    def set(self, name: str, value: Any) -> None:
        if name in self.values and (value is not None or name not in self.sparse):
            self.values[name] = value
        elif name in self.values:
            del self.values[name]
        elif value is not None and name in self.sparse:
            behind = [key for key in self.values if key in self.sparse[name]]
            moved = {key: self.values.pop(key) for key in list(self.values)[self._place(behind) :]}
            self.values |= {name: value} | moved

    def _place(self, behind: list[str]) -> int:
        return list(self.values).index(behind[0]) if behind else len(self.values)


class TableRow(WholeRow):
    """A row of Parquet."""

    __slots__ = ()

    def get(self, name: str) -> Any:
        if name in FLAT:
            found = [self.values.get(column) for column in FLAT[name]]
            return None if None in found else found
        value = self.values.get(name)
        return json.loads(value) if name == "notes" and value else value

    def has(self, name: str) -> bool:
        return FLAT.get(name, (name,))[0] in self.values

    def set(self, name: str, value: Any) -> None:
        if name in FLAT:
            self.values |= dict(zip(FLAT[name], value or [None] * len(FLAT[name]), strict=True))
        elif name in self.values:
            self.values[name] = _json(value) if name == "notes" and value is not None else value


class CellRow(WholeRow):
    """A row of CSV: texts, of which only changed ones are written anew."""

    __slots__ = ()
    whole: ClassVar[frozenset[str]] = frozenset({"frame", "id", "area_px", "detection", "coasting"})
    texts: ClassVar[frozenset[str]] = frozenset({"class", "class_then", "contact_state", "image"})

    def get(self, name: str) -> Any:
        if name in FLAT:
            found = [self.values.get(column) for column in FLAT[name]]
            return None if not all(found) else [float(text) for text in found if text]
        text = self.values.get(name)
        if not text:
            return None
        if name in self.whole:
            return int(text)
        if name in self.texts:
            return plain(text)
        return json.loads(text) if name in {"notes", "mask"} else float(text)

    def has(self, name: str) -> bool:
        return FLAT.get(name, (name,))[0] in self.values

    def set(self, name: str, value: Any) -> None:
        if name in FLAT:
            self.values |= dict(zip(FLAT[name], value or [""] * len(FLAT[name]), strict=True))
        elif name in self.values and name in {"notes", "mask"}:
            self.values[name] = "" if value is None else _json(value)
        elif name in self.values:
            self.values[name] = "" if value is None else cell(value)


def frames_of(path: Path) -> Iterator[list[WholeRow]]:
    """The rows of each frame, in the file's order; memory holds one frame, of Parquet one row group.

    Raises:
        ConfigError: Files of this suffix have no whole rows, or pyarrow is not installed.
        DetectionsError: A row is damaged.
        SourceError: The file cannot be read.
    """
    readers: dict[str, Callable[[Path], Iterator[WholeRow]]] = {
        ".jsonl": _lines, ".ndjson": _lines, ".csv": _cells, ".parquet": _groups,
    }  # fmt: skip
    if path.suffix.lower() not in readers:
        problem = f"expected records {' '.join(readers)}, found {path.suffix or 'no suffix'}"
        raise ConfigError(path, problem, "correct records of one of these formats")
    with _damage(path):
        for _, rows in itertools.groupby(readers[path.suffix.lower()](path), lambda row: row.get("frame")):
            frame = list(rows)
            for row in frame:
                if missing := [name for name in CORE if row.get(name) is None]:
                    raise no_rows(str(path), {"frame": 0, "id": row.get("id")} | row.values, KeyError(missing[0]))
            yield frame


def rewrite(path: Path, target: BinaryIO, edit: Callable[[list[WholeRow]], list[WholeRow]]) -> None:
    """Write a file of records anew, in its format.

    Args:
        path: Of the records.
        target: Where the new file goes.
        edit: Is given the rows of each frame, and says which rows are written.

    Raises:
        ConfigError, DetectionsError, SourceError: As for :func:`frames_of`.
        OSError: The system refuses what is written.
    """
    rows = (row for frame in frames_of(path) for row in edit(frame))
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        _write_groups(path, rows, target)
        return
    out = io.TextIOWrapper(io.BufferedWriter(_Kept(target), 1 << 20), encoding="utf-8", newline="\n")
    if suffix == ".csv":
        writer = csv.DictWriter(out, _columns(path), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row.values)
    else:
        for row in rows:
            out.write(_json(row.values) + "\n")
    out.flush()
    out.detach().flush()


class _Kept(io.RawIOBase):
    """A file that is written into and left open."""

    def __init__(self, target: BinaryIO) -> None:
        super().__init__()
        self._target = target

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        return self._target.write(data)


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as failure:
        problem = f"expected records, found: {failure.strerror or failure}"
        raise SourceError(path, problem, "check the path") from failure
    except (ValueError, KeyError, TypeError, IndexError, csv.Error) as failure:
        problem = f"expected rows of identities, found {type(failure).__name__}: {failure}"
        raise DetectionsError(path, problem, "name what masktrail track --records wrote") from failure


def _lines(path: Path) -> Iterator[WholeRow]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            if not line.isspace():
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise TypeError(f"expected a JSON object, found {line.strip()[:60]!r}")
                yield LineRow(row)


def _columns(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(file), [])


def _cells(path: Path) -> Iterator[WholeRow]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file, strict=True):
            if None in row or None in row.values():
                raise ValueError("a row with another number of cells than the header")
            yield CellRow(row)


def _groups(path: Path) -> Iterator[WholeRow]:
    _, parquet = pyarrow_for(path)
    source = parquet.ParquetFile(path)
    for batch in source.iter_batches(GROUP_ROWS):
        yield from map(TableRow, batch.to_pylist())


def _write_groups(path: Path, rows: Iterable[WholeRow], target: BinaryIO) -> None:
    pa, parquet = pyarrow_for(path)
    schema = parquet.read_schema(path)
    values = (row.values for row in rows)
    with parquet.ParquetWriter(target, schema) as writer:
        while group := list(itertools.islice(values, GROUP_ROWS)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
