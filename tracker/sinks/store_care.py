"""Care of SQLite files that are in use: backup while others write, check, and compaction."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracker.errors import SinkError, SourceError
from tracker.formats.deleted import BINS, deleted_in
from tracker.formats.event_store import APPLICATION_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["StoreFacts", "back_up", "check", "compact"]

ACCOUNTS_ID = 0x4D544442
"""Of the dashboard's accounts; :mod:`tracker.dashboard.accounts` makes them."""
KINDS = {APPLICATION_ID: "ledger", ACCOUNTS_ID: "accounts"}
PAGES = 2048
BUSY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFacts:
    """What a file holds.

    Attributes:
        kind: ``ledger`` or ``accounts``.
        rows: Events, or accounts.
        size: In bytes, with what is not yet merged into the file.
        streams: Of a ledger: events by stream.
        deleted: Of a ledger: events that were deleted because of their age.
    """

    kind: str
    rows: int
    size: int
    streams: dict[str, int]
    deleted: int = 0


def check(path: Path) -> StoreFacts:
    """Read all of a file and its indexes.

    Raises:
        SourceError: It is missing, another program's, or damaged.
    """
    with _open(path) as (connection, kind):
        try:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
            foreign = connection.execute("PRAGMA foreign_key_check").fetchall()
            streams: dict[str, int] = {}
            deleted = 0
            if kind == "ledger":
                streams = dict(
                    connection.execute("SELECT stream, count(*) FROM events GROUP BY stream ORDER BY stream")
                )
                rows = sum(streams.values())
                if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'tombstones'").fetchone():
                    deleted = sum(one.rows for one in deleted_in(connection) if one.kind != BINS)
            else:
                [rows] = connection.execute("SELECT count(*) FROM users").fetchone()
        except sqlite3.Error as failure:
            raise _damaged(path, str(failure)) from failure
    if found != ["ok"] or foreign:
        raise _damaged(path, "; ".join(map(str, found if found != ["ok"] else foreign)))
    size = sum(one.stat().st_size for one in (path, path.with_name(path.name + "-wal")) if one.exists())
    return StoreFacts(kind=kind, rows=rows, size=size, streams=streams, deleted=deleted)


def back_up(
    path: Path, out: Path, *, replace: bool = False, progress: Callable[[int, int], None] = lambda _, __: None
) -> StoreFacts:
    """Copy a file as it stands at one moment, while others read and write it; the copy is checked before it is named.

    Args:
        path: The file.
        out: Where the copy goes.
        replace: Whether an older copy may be there.
        progress: Told pages that are copied, and pages in all.

    Raises:
        SourceError: The file is missing, another program's, or damaged.
        SinkError: The system refuses, or something stands there already.
    """
    if out.exists() and not replace:
        raise SinkError(out, "expected nothing there, found a file", "name another one, or add --replace")
    part = out.with_name(f".{out.name}.part")
    try:
        part.unlink(missing_ok=True)
        with _open(path) as (source, _):
            # Accounts hold hashes of passwords: only this user may read a copy.
            os.close(os.open(part, os.O_CREAT | os.O_WRONLY, 0o600))
            with closing(sqlite3.connect(part)) as target:
                source.backup(target, pages=PAGES, progress=lambda _, left, every: progress(every - left, every))
                target.execute("PRAGMA journal_mode = DELETE")
        facts = check(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(out)
    except sqlite3.Error as failure:
        raise SinkError(out, f"expected a copy, found: {failure}", "check space and permissions there") from failure
    except OSError as failure:
        raise SinkError(out, f"expected a copy, found: {failure.strerror or failure}", "check the folder") from failure
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return facts


def compact(path: Path) -> tuple[int, int]:
    """Give back the space of removed rows; the order of rows stays. Nothing else may use the file meanwhile.

    Returns:
        Bytes before and after.

    Raises:
        SourceError: The file is missing, another program's, or damaged.
        SinkError: It is in use, or there is no space for its copy.
    """
    before = check(path).size
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.execute("PRAGMA optimize")
    except sqlite3.Error as failure:
        remedy = "stop what uses it, and see that there is space for a second copy"
        raise SinkError(path, f"expected a store that nothing else uses, found: {failure}", remedy) from failure
    return before, check(path).size


@contextlib.contextmanager
def _open(path: Path) -> Iterator[tuple[sqlite3.Connection, str]]:
    """A file of ours for reading, and what it is."""
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except OSError as failure:
        raise SourceError(path, f"expected a store, found: {failure.strerror}", "check the path") from failure
    if not head.startswith(b"SQLite format 3\0"):
        raise _foreign(path)
    with closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as connection:
        try:
            # Not from the file's head: what was written last may still be in the log beside it.
            [number] = connection.execute("PRAGMA application_id").fetchone()
        except sqlite3.Error as failure:
            raise _damaged(path, str(failure)) from failure
        if number not in KINDS:
            raise _foreign(path)
        yield connection, KINDS[number]


def _foreign(path: Path) -> SourceError:
    problem = "expected a ledger or accounts of masktrail, found a file of another program"
    return SourceError(path, problem, "name the file that --events wrote, or dashboard.sqlite")


def _damaged(path: Path, found: str) -> SourceError:
    return SourceError(path, f"expected a store that is whole, found: {found}", "restore the last backup")
