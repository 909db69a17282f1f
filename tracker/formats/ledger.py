"""Reader of ledgers: events from JSON Lines, Parquet, SQLite and PostgreSQL, one after another."""

from __future__ import annotations

import json
import sqlite3
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tracker.errors import ConfigError, SourceError
from tracker.formats.arrow import pyarrow_for
from tracker.formats.event_rows import event_of
from tracker.formats.event_store import COLUMNS, SUFFIXES, open_store
from tracker.formats.postgres import is_postgres

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from tracker.events import Event

__all__ = ["Edition", "read_editions", "read_events"]

BATCH_ROWS = 4096


class Edition(NamedTuple):
    """Events of a stream in a store, as they were counted once.

    Attributes:
        stream: Which.
        edition: 1 for the first, which the stream's own process wrote; the last one holds.
        at_ms: When it was added, UTC in milliseconds; ``None`` for the first.
        rows: How many events it has.
    """

    stream: str
    edition: int
    at_ms: int | None
    rows: int


def read_editions(path: str | os.PathLike[str]) -> list[Edition]:
    """The editions of a store, by stream, the one that holds last.

    Raises:
        SourceError: As for :func:`read_events`.
    """
    query = """SELECT ledger.stream, ledger.edition, editions.at_ms, count(*) FROM ledger
        LEFT JOIN editions ON editions.stream = ledger.stream AND editions.edition = ledger.edition
        WHERE ledger.edition = 1 OR editions.at_ms IS NOT NULL GROUP BY 1, 2
        UNION ALL SELECT stream, edition, at_ms, 0 FROM editions WHERE NOT EXISTS (
            SELECT 1 FROM ledger WHERE ledger.stream = editions.stream AND ledger.edition = editions.edition)
        ORDER BY 1, 2"""
    if is_postgres(path):
        from tracker.formats.postgres_ledger import editions_of, open_postgres

        with open_postgres(str(path)) as database:
            return [Edition(*row) for row in editions_of(database)]
    with open_store(path) as connection:
        try:
            return [Edition(*row) for row in connection.execute(query)]
        except sqlite3.Error as failure:
            raise _damaged(str(path), f"expected a SQLite ledger, found: {failure}") from failure


def read_events(*paths: str | os.PathLike[str], edition: int | None = None) -> Iterator[Event]:
    """Events in the order in which they were written, each once, a batch at a time in memory.

    Args:
        paths: Ledgers by their suffix: ``.jsonl`` and ``.ndjson``, ``.parquet``, or a SQLite store (``.sqlite``,
            ``.sqlite3``, ``.db``); or a ``postgresql://`` address, as a text. An event that is there twice, in parts
            that overlap or in parts that were put together, comes once; but for one store, which holds it once, 64 bits
            of each key are kept in memory.
        edition: Of stores; ``None`` = of each stream the one that holds. Files have one.

    Raises:
        SourceError: A ledger is missing, damaged or from a newer version; a row is named by its line or number.
        ConfigError: The suffix is no ledger's, or pyarrow is not installed.
    """
    one_store = len(paths) == 1 and (is_postgres(paths[0]) or _reader(Path(paths[0])) is _read_store)
    seen: set[int] | None = None if one_store else set()
    for path in paths:
        for event in _opened(path, edition):
            if seen is not None:
                if (key := hash(event.key)) in seen:
                    continue
                seen.add(key)
            yield event


def _opened(path: str | os.PathLike[str], edition: int | None) -> Iterator[Event]:
    if is_postgres(path):
        return _read_database(str(path), edition=edition)
    reader = _reader(Path(path))
    if edition is not None and reader is _read_store:
        reader = partial(_read_store, edition=edition)
    found: Iterator[Event] = reader(Path(path))
    return found


def _reader(path: Path) -> Any:
    suffix = path.suffix.lower()
    if suffix in {".jsonl", ".ndjson"}:
        return _read_lines
    if suffix == ".parquet":
        return _read_table
    if suffix in SUFFIXES:
        return _read_store
    problem = f"expected a ledger *.events.jsonl, *.events.parquet or *.sqlite, found the suffix {suffix or 'none'}"
    raise ConfigError(path, problem, "name the file that --events wrote")


def _read_lines(path: Path) -> Iterator[Event]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError as failure:
                    raise _damaged(f"{path}:{number}", f"expected a JSON object, found {_shown(line)}") from failure
                if not isinstance(row, dict):
                    raise _damaged(f"{path}:{number}", f"expected a JSON object, found {_shown(line)}")
                yield _event(row, f"{path}:{number}")
    except OSError as failure:
        raise _unreadable(path, failure) from failure


def _read_table(path: Path) -> Iterator[Event]:
    pa, parquet = pyarrow_for(path)
    number = 0
    try:
        with path.open("rb") as file:
            for batch in parquet.ParquetFile(file).iter_batches(batch_size=BATCH_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield _event(row, f"{path}:{number}")
    except pa.ArrowException as failure:
        raise _damaged(str(path), f"expected a Parquet file, found: {failure}") from failure
    except OSError as failure:
        raise _unreadable(path, failure) from failure


def _read_store(path: Path, *, edition: int | None = None) -> Iterator[Event]:
    rows = "events WHERE" if edition is None else f"ledger WHERE edition = {edition:d} AND"
    with open_store(path) as connection:
        names = ", ".join(f'"{name}"' for name in COLUMNS)
        last = -1
        while True:  # by pages: a long read would keep the log of the writers growing
            query = f"SELECT row, {names} FROM {rows} row > ? ORDER BY row LIMIT {BATCH_ROWS}"  # noqa: S608
            try:
                page = connection.execute(query, (last,)).fetchall()
            except sqlite3.Error as failure:
                raise _damaged(str(path), f"expected a SQLite ledger, found: {failure}") from failure
            for values in page:
                yield _event(dict(zip(COLUMNS, values[1:], strict=True)), f"{path}:{values[0]}")
            if len(page) < BATCH_ROWS:
                return
            last = page[-1][0]


def _read_database(address: str, *, edition: int | None = None) -> Iterator[Event]:
    from tracker.formats.postgres import PostgresAddress
    from tracker.formats.postgres_ledger import event_rows, open_postgres

    shown = PostgresAddress.parse(address).shown
    with open_postgres(address) as connection:
        for number, row in event_rows(connection, edition=edition):
            yield _event(row, f"{shown}:{number}")


def _event(row: dict[str, Any], place: str) -> Event:
    if "kind" not in row and {"frame", "id"} <= row.keys():
        problem = "expected a ledger of events, found rows of tracks"
        raise SourceError(place, problem, "name the file that --events wrote, or count them with masktrail analyse")
    try:
        return event_of(row)
    except ValueError as failure:
        raise _damaged(place, str(failure)) from failure


def _damaged(place: str, problem: str) -> SourceError:
    remedy = "update masktrail" if "newer masktrail" in problem else "check the file, or leave the row out"
    return SourceError(place, problem, remedy)


def _unreadable(path: Path, failure: OSError) -> SourceError:
    return SourceError(path, f"expected a ledger, found: {failure.strerror or failure}", "check the path")


def _shown(line: bytes) -> str:
    text = line.decode("utf-8", "replace").strip()
    return repr(text if len(text) <= 60 else f"{text[:60]}...")
