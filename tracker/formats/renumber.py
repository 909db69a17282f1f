"""Renumbering of records: identities joined and split, as a new file of the same format beside the old one."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from tracker.errors import ConfigError, DetectionsError, install_command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    Numbers = Mapping[int, Sequence[tuple[float, int]]]
    """For each identity ``(from_s, number)`` in order of time."""

__all__ = ["Renumbering", "next_revision", "renumber"]


class Renumbering:
    """New numbers and classes of rows.

    Args:
        numbers: For each identity ``(from_s, number)`` in order of time.
        classes: Final class by new number, where it changes.
        last_s: Last time of each new number.
    """

    def __init__(self, numbers: Numbers, classes: Mapping[int, str], last_s: Mapping[int, float]) -> None:
        self._numbers, self._classes, self._last_s = numbers, classes, last_s

    def number(self, identity: int, time_s: float) -> int:
        """The new number of an identity's row."""
        parts = self._numbers.get(identity, ((0.0, identity),))
        return [number for from_s, number in parts if time_s >= from_s][-1] if len(parts) > 1 else parts[0][1]

    def classes_of(self, number: int, final: str, then: str | None) -> tuple[str, str | None]:
        """Final class of a row, and the vote at its time where that is another."""
        voted = then or final
        chosen = self._classes.get(number, final)
        return chosen, voted if voted != chosen else None

    def notes(self, notes: dict[str, Any] | None, time_s: float) -> dict[str, Any] | None:
        """Notes of a frame: what goes on under its new number has not ended."""
        if not notes or "ended" not in notes:
            return notes
        ended = [self.number(identity, time_s) for identity in notes["ended"]]
        left = sorted({number for number in ended if self._last_s.get(number, time_s) <= time_s})
        return {key: left if key == "ended" else value for key, value in notes.items() if key != "ended" or left}


def next_revision(path: Path) -> Path:
    """The first name beside a file that is free: ``x.r2.jsonl`` of ``x.jsonl``, ``x.r3.jsonl`` after that."""
    stem = path.stem
    head, dot, number = stem.rpartition(".r")
    count = int(number) if dot and number.isdigit() else 1
    base = head if dot and number.isdigit() else stem
    while True:
        count += 1
        found = path.with_name(f"{base}.r{count}{path.suffix}")
        if not found.exists():
            return found


def renumber(path: Path, renumbering: Renumbering) -> bytes:
    """The file's content under the new numbers.

    Raises:
        ConfigError: Files of this suffix cannot be rewritten, or pyarrow is not installed.
        DetectionsError: A row is damaged.
    """
    writers: dict[str, Callable[[Path, Renumbering], bytes]] = {
        ".jsonl": _lines,
        ".ndjson": _lines,
        ".csv": _cells,
        ".parquet": _table,
    }
    if path.suffix.lower() not in writers:
        problem = f"expected records {' '.join(writers)}, found {path.suffix or 'no suffix'}"
        raise ConfigError(path, problem, "join and split records of one of these formats")
    try:
        return writers[path.suffix.lower()](path, renumbering)
    except (ValueError, KeyError, TypeError, IndexError) as failure:
        problem = f"expected rows of identities, found {type(failure).__name__}: {failure}"
        raise DetectionsError(path, problem, "name what masktrail track --records wrote") from failure


def _lines(path: Path, renumbering: Renumbering) -> bytes:
    out = io.StringIO()
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.isspace():
                continue
            row = json.loads(line)
            number = renumbering.number(row["id"], row["time_s"])
            final, then = renumbering.classes_of(number, row["class"], row.get("class_then"))
            changed: dict[str, Any] = {}
            for key, value in row.items():
                if key == "class_then":
                    continue
                changed[key] = {"id": number, "class": final}.get(key, value)
                if key == "class" and then is not None:
                    changed["class_then"] = then
                if key == "notes" and not (notes := renumbering.notes(value, row["time_s"])):
                    del changed[key]
                elif key == "notes":
                    changed[key] = notes
            out.write(json.dumps(changed, separators=(",", ":"), ensure_ascii=False) + "\n")
    return out.getvalue().encode()


def _cells(path: Path, renumbering: Renumbering) -> bytes:
    out = io.StringIO()
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        names = list(table.fieldnames or ())
        writer = csv.DictWriter(out, names, lineterminator="\n")
        writer.writeheader()
        for row in table:
            time_s = float(row["time_s"])
            number = renumbering.number(int(row["id"]), time_s)
            final, then = renumbering.classes_of(number, row["class"], row.get("class_then") or None)
            row["id"], row["class"] = str(number), final
            if "class_then" in row:
                row["class_then"] = then or ""
            if row.get("notes"):
                notes = renumbering.notes(json.loads(row["notes"]), time_s)
                row["notes"] = json.dumps(notes, separators=(",", ":")) if notes else ""
            writer.writerow(row)
    return out.getvalue().encode()


def _table(path: Path, renumbering: Renumbering) -> bytes:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as missing:
        problem = "expected the package pyarrow for Parquet, found none"
        raise ConfigError(path, problem, install_command("parquet")) from missing
    sink = pa.BufferOutputStream()
    source = parquet.ParquetFile(path)
    with parquet.ParquetWriter(sink, source.schema_arrow) as writer:
        for group in range(source.num_row_groups):
            table = source.read_row_group(group)
            columns = {name: table[name].to_pylist() for name in table.column_names if name in CHANGED}
            rows = range(table.num_rows)
            times = columns["time_s"]
            numbers = [renumbering.number(columns["id"][row], times[row]) for row in rows]
            then = columns.get("class_then", [None] * table.num_rows)
            named = [renumbering.classes_of(numbers[row], columns["class"][row], then[row]) for row in rows]
            changed: dict[str, list[Any]] = {"id": numbers, "class": [one for one, _ in named]}
            if "class_then" in columns:
                changed["class_then"] = [one for _, one in named]
            if "notes" in columns:
                found = [
                    renumbering.notes(json.loads(text), times[row]) if text else None
                    for row, text in enumerate(columns["notes"])
                ]
                changed["notes"] = [json.dumps(one, separators=(",", ":")) if one else None for one in found]
            for name, values in changed.items():
                place = table.column_names.index(name)
                field = table.schema.field(place)
                plain = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
                array = pa.array(values, plain)
                table = table.set_column(place, field, array.cast(field.type) if plain is not field.type else array)
            writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


CHANGED = frozenset({"time_s", "id", "class", "class_then", "notes"})
