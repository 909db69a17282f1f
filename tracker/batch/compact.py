"""Compaction: the tables of all recordings of a batch as one file for each kind, by the manifests."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from tracker.errors import SinkError, SourceError
from tracker.sinks.part_file import PartFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tracker.batch.results import Manifest, Results

__all__ = ["COMPACTED", "check_names", "compact"]

COMPACTED = ("records", "identities", "events")
NAME = "recording"


def compact(
    results: Results, out: Path, *, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> dict[str, int]:
    """Put the tables of all recordings together, in the order of their names, with a column ``recording`` first.

    A row group of a recording is in memory at a time.

    Args:
        results: Of a batch.
        out: Folder for ``records.parquet``, ``identities.parquet`` and ``events.parquet``.
        progress: Called with the tables done and their number.

    Returns:
        Rows by table; a table that no recording has is left out.

    Raises:
        SourceError: There are no results, one cannot be read, or tables do not fit together.
        SinkError: The files cannot be written.
    """
    manifests = sorted(results.manifests(), key=lambda one: (one.recording, one.key))
    if not manifests:
        problem = "expected results of a batch, found no manifest"
        raise SourceError(results.place.shown, problem, "name what --out named")
    check_names(results, manifests)
    check_folder(out)
    kinds = [kind for kind in COMPACTED if any(kind in one.files for one in manifests)]
    rows: dict[str, int] = {}
    for before, kind in enumerate(kinds):
        named = [(one.recording, one.files[kind]) for one in manifests if kind in one.files]
        rows[kind] = _write(results, named, out / f"{kind}.parquet")
        progress(before + 1, len(kinds))
    return rows


def _write(results: Results, named: list[tuple[str, str]], path: Path) -> int:
    """One table of all recordings ``(name, file)``; returns its rows."""
    from pyarrow import ArrowException, parquet

    count, recording = 0, ""
    with PartFile(path) as part, part.open() as file, ExitStack() as closing:
        writer: Any = None
        try:
            for recording, name in named:
                source = results.place.system.open_input_file(results.place.at(name))
                with source, parquet.ParquetFile(source) as table:
                    if writer is None:  # of a table without rows too: the file has its columns then
                        schema = _named(table.schema_arrow.empty_table(), recording).schema
                        writer = closing.enter_context(parquet.ParquetWriter(file, schema, compression="zstd"))
                    for group in range(table.num_row_groups):
                        found = _named(table.read_row_group(group), recording)
                        writer.write_table(found)
                        count += found.num_rows
        except (ArrowException, OSError, ValueError) as failure:
            problem = f"expected tables that fit together, found in {recording}: {failure}"
            raise SourceError(results.place.shown, problem, "compact recordings of one setting") from failure
    return count


def _named(table: Any, recording: str) -> Any:
    """A table with the recording's name as its first column."""
    import pyarrow as pa

    names = pa.DictionaryArray.from_arrays(pa.array([0] * table.num_rows, pa.int32()), pa.array([recording]))
    return table.add_column(0, pa.field(NAME, names.type), names)


def check_names(results: Results, manifests: list[Manifest]) -> None:
    """Refuse a recording that is there under two settings, which would be counted twice, and two with one name.

    Raises:
        SourceError: There is one.
    """
    seen: set[str] = set()
    for one in manifests:
        if one.recording in seen:
            problem = f"expected one result per recording, found several of {one.recording}"
            remedy = "keep runs with other settings, and folders with equal names in them, in places of their own"
            raise SourceError(results.place.shown, problem, remedy)
        seen.add(one.recording)


def check_folder(out: Path) -> None:
    """Make the folder of the tables.

    Raises:
        SinkError: It cannot be made, or has such tables.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise SinkError(out, f"expected a folder, found: {failure.strerror}", "name another one") from failure
    for kind in COMPACTED:
        if (out / f"{kind}.parquet").exists():
            problem = f"expected a folder without {kind}.parquet, found one"
            raise SinkError(out, problem, "name another folder")
