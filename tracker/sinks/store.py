"""Store of events opened for writing: journal mode by file system, transactions, and SQLite's refusals in words."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import warnings
from typing import TYPE_CHECKING

from tracker.errors import SinkError
from tracker.formats.event_store import create, migrate, store_kind
from tracker.sinks.mounts import NETWORK, file_system
from tracker.sinks.part_file import KEPT, REMEDIES, check_place, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["identity_of", "is_busy", "open_for_writing", "store_refusal", "transaction"]

BUSY_S = 5.0
"""Wait for other writers in one attempt; each holds the store for a few milliseconds."""


def open_for_writing(path: Path) -> sqlite3.Connection:
    """A connection to a store that is ours, in the journal mode that its file system allows.

    Raises:
        SinkError: The store cannot be written, or is not ours.
    """
    check_place(path)
    try:
        kind = store_kind(path)
    except OSError as failure:
        raise refusal(path, failure, "read what is there") from failure
    if kind == "foreign":
        problem = "expected a ledger of masktrail or no file, found one of another program"
        raise SinkError(path, problem, "name another file; this one was left alone")
    if kind == "newer":
        problem = "expected a ledger of this version, found one of a newer masktrail"
        raise SinkError(path, problem, "update masktrail, or name another file")
    if kind == "older":
        problem = "expected a ledger of this version, found one of a masktrail in development"
        raise SinkError(path, problem, "name another file, and count the recordings into that")
    if path.exists() and not os.access(path, os.W_OK):
        raise SinkError(path, "expected a file that can be written, found a read-only one", "change its permissions")
    was_there = path.exists()
    try:
        connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as failure:
        raise store_refusal(path, failure, "open it for writing") from failure
    try:
        _prepare(connection, path)
    except BaseException as failure:
        connection.close()
        if not was_there:
            _remove_empty(path)
        if isinstance(failure, sqlite3.Error):
            raise store_refusal(path, failure, "open it for writing") from failure
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables where there are none, and bring older ones to this version."""
    with transaction(connection):  # before the log is switched on, so that the file itself says what it is
        if connection.execute("PRAGMA user_version").fetchone() == (0,):
            create(connection)
        migrated = migrate(connection)
    if migrated:  # into the file itself, whose head says to programs of the version before what it is
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _set_journal(connection, path)


def _remove_empty(path: Path) -> None:
    """Leave nothing where a store could not be made; one that another process has made meanwhile is not empty."""
    with contextlib.suppress(OSError):
        if path.stat().st_size == 0:
            path.unlink()
            for ending in ("-wal", "-shm", "-journal"):
                path.with_name(path.name + ending).unlink(missing_ok=True)


def _set_journal(connection: sqlite3.Connection, path: Path) -> None:
    """Write-ahead log, or on network file systems a rollback journal: the log needs memory that all writers share."""
    kind = file_system(path)
    wanted = "delete" if NETWORK.fullmatch(kind) else "wal"
    (found,) = connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()
    # With the log a commit outlives a killed process, and a power cut costs the last ones but no damage.
    connection.execute(f"PRAGMA synchronous = {'NORMAL' if found == 'wal' else 'FULL'}")
    if wanted == "delete":
        text = (
            f"{path} is on a network file system ({kind}): write it from one machine only, or keep it on a local disk"
        )
        warnings.warn(text, stacklevel=5)
    elif found != wanted:
        text = f"{path}: its file system allows no write-ahead log (SQLite says {found}): readers and writers wait more"
        warnings.warn(text, stacklevel=5)


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Everything in the block, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some failures have rolled it back already
            connection.execute("ROLLBACK")
        raise


def identity_of(path: Path) -> tuple[int, int] | None:
    """Device and inode of the store; ``None`` where there is none."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def is_busy(failure: sqlite3.Error) -> bool:
    """Whether other programs hold the store."""
    return getattr(failure, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def store_refusal(path: Path, failure: sqlite3.Error, doing: str) -> SinkError:
    """SQLite's refusal with the remedy."""
    import errno

    name = getattr(failure, "sqlite_errorname", "")
    remedies = {
        "SQLITE_FULL": REMEDIES[errno.ENOSPC],
        "SQLITE_IOERR": f"check the disk, its room and its limits on file sizes; {KEPT}",
        "SQLITE_READONLY": "make the file and its folder writable, or name another file",
        "SQLITE_CANTOPEN": "make the file and its folder writable, or name another file",
        "SQLITE_BUSY": f"close the program that holds it; {KEPT}",
        "SQLITE_CORRUPT": "name another file, and keep this one for `sqlite3 FILE .recover`",
        "SQLITE_NOTADB": "name another file",
    }
    remedy = next((text for start, text in remedies.items() if name.startswith(start)), "check the file and the disk")
    return SinkError(path, f"expected to {doing}, found: {failure} ({name or type(failure).__name__})", remedy)
