"""Spool: a first-in-first-out queue of messages on disk, for receivers that are away at times.

What :meth:`Spool.put` has taken survives the end of its process, by a signal or a power cut, until :meth:`Spool.done`
says that the receiver has confirmed it. A key that was queued before is passed over, also after its message is done, so
that rows which a resumed stream gives again are not sent again; the last :data:`KNOWN_KEYS` keys are remembered.

A spool has a limit in bytes. When it is full, the oldest messages make room for the newest, and are counted: a receiver
that was away for too long gets the end of the story and can read the beginning in a ledger. Where the disk itself is
full, what cannot be stored is counted in the same way. Neither ends the stream.

One process owns a spool, by a lock (flock(2)) on a file beside it, which the system releases however the process ends.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tracker.errors import SinkError
from tracker.sinks.mounts import NETWORK, file_system
from tracker.sinks.part_file import refusal
from tracker.sinks.store import is_busy, store_refusal, transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["LIMIT_BYTES", "Message", "Spool", "SpoolFigures", "rename_spool"]

LIMIT_BYTES = 256 * 1024 * 1024
"""About 500 000 events: an hour of 100 a second and more."""

KNOWN_KEYS = 100_000
ROW_BYTES = 64
"""What a message takes beside its text."""
OWNER_PATIENCE_S = 15.0
"""Wait for the owner of before, which may be about to end: a stream that is restarted in the same process. Longer than
a courier takes to close."""
BUSY_S = 5.0
APPLICATION_ID = 0x4D545350
VERSION = 1

_TABLES = """
    CREATE TABLE queue (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, topic TEXT NOT NULL, body BLOB NOT NULL,
        put_ms INTEGER NOT NULL) STRICT;
    CREATE TABLE known (sequence INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE) STRICT;
    CREATE TABLE notes (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE figures (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO figures VALUES ('dropped', 0);
"""
_SIZE = f"length(body) + length(CAST(key AS BLOB)) + length(CAST(topic AS BLOB)) + {ROW_BYTES}"
_DISK_REFUSES = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_BUSY", "SQLITE_LOCKED")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a queue.

    Attributes:
        key: The same for the same message however often it is given; receivers may tell repetitions by it.
        body: What is sent.
        topic: Where to, for receivers that have several places.
        sequence: Its number in the queue, by which :meth:`Spool.done` knows it; 0 before it is queued.
        put_ms: When it was queued, as UTC in milliseconds since 1970; 0 before that.
    """

    key: str
    body: bytes
    topic: str = ""
    sequence: int = 0
    put_ms: int = 0

    @property
    def size(self) -> int:
        """Bytes that count against the limit."""
        return len(self.body) + len(_bytes(self.key)) + len(_bytes(self.topic)) + ROW_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolFigures:
    """How full a spool is.

    Attributes:
        rows: Messages that wait.
        size_bytes: Their bytes.
        dropped: Messages that were given up for want of room, since the spool was made.
        oldest_ms: When the oldest one that waits was queued; ``None`` where none waits.
        problem: Why the disk does not take what comes; empty while it does.
    """

    rows: int
    size_bytes: int
    dropped: int
    oldest_ms: int | None
    problem: str = ""


class Spool:
    """A queue in a file. Its methods may be called from several threads.

    Args:
        path: The file, made where there is none, with its folder. One of ours is gone on with; another program's is
            refused untouched.
        limit_bytes: Most bytes of messages; see the module's text for what happens then.
        patience_s: Seconds to wait for another owner to end.

    Attributes:
        path: The file.
        limit_bytes: Most bytes of messages.

    Raises:
        SinkError: Another process owns it, the folder cannot be written, or the file is not a spool.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        limit_bytes: int = LIMIT_BYTES,
        patience_s: float = OWNER_PATIENCE_S,
    ) -> None:
        self.path = Path(path)
        self.limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._problem = ""
        self._unsaved_drops = 0
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._owner = _own(self.path, patience_s)
        except OSError as failure:
            raise refusal(self.path, failure, "make the spool") from failure
        try:
            self._connection = _open(self.path)
            with self._reading("read the spool"):
                row = self._connection.execute(f"SELECT count(*), coalesce(sum({_SIZE}), 0) FROM queue")  # noqa: S608
                self._rows, self._bytes = row.fetchone()
                (self._dropped,) = self._connection.execute("SELECT value FROM figures").fetchone()
        except BaseException:
            os.close(self._owner)
            raise
        self._closed = False

    def put(self, messages: Iterable[Message], notes: Mapping[str, bytes | None] | None = None) -> int:
        """Queue messages behind the others; they are on the disk when it returns.

        Args:
            messages: What is to be sent.
            notes: What the sender must know in a later process, by name, kept together with them; ``None`` removes one.

        Returns:
            How many are new: keys that it knows are passed over.

        Raises:
            SinkError: The file is damaged. A disk that is full raises nothing: see :attr:`figures`.
        """
        given = list(messages)
        if not given and not notes:
            return 0
        with self._lock:
            try:
                with transaction(self._connection):
                    self._note(notes or {})
                    taken, rows, size = self._insert(given)
                    dropped, rows, size = self._make_room(rows, size)
            except sqlite3.Error as failure:
                if not getattr(failure, "sqlite_errorname", "").startswith(_DISK_REFUSES):
                    raise store_refusal(self.path, failure, f"queue {len(given)} messages") from failure
                self._unsaved_drops += len(given)
                self._problem = store_refusal(self.path, failure, f"queue {len(given)} messages").problem
                return 0
            self._rows, self._bytes = rows, size
            self._dropped += dropped + self._unsaved_drops
            self._unsaved_drops = 0
            self._problem = ""
            return taken

    def notes(self, beginning: str = "") -> dict[str, bytes]:
        """What :meth:`put` has kept under names with this beginning, by name.

        Raises:
            SinkError: The file is damaged.
        """
        query = "SELECT name, value FROM notes WHERE substr(name, 1, length(?)) = ? ORDER BY name"
        with self._lock, self._reading("read its notes"):
            return dict(self._connection.execute(query, (beginning, beginning)).fetchall())

    def peek(self, count: int = 1, *, after: int = 0) -> list[Message]:
        """The oldest messages that wait, in the order in which they were put; they stay.

        Args:
            count: At most so many.
            after: Only those behind this :attr:`Message.sequence`.

        Raises:
            SinkError: The file is damaged.
        """
        query = "SELECT key, body, topic, sequence, put_ms FROM queue WHERE sequence > ? ORDER BY sequence LIMIT ?"
        with self._lock, self._reading("read what waits"):
            found = self._connection.execute(query, (after, count)).fetchall()
        return [
            Message(key=key, body=body, topic=topic, sequence=sequence, put_ms=put_ms)
            for key, body, topic, sequence, put_ms in found
        ]

    def done(self, messages: Sequence[Message]) -> None:
        """Forget messages that the receiver has confirmed; those that are gone already count for nothing.

        Raises:
            SinkError: The file is damaged, or the disk refuses: they will be sent once more.
        """
        if not messages:
            return
        numbers = [(message.sequence,) for message in messages]
        with self._lock, self._reading("take out what was sent"):
            with transaction(self._connection):
                before = self._connection.total_changes
                size = sum(
                    found[0]
                    for number in numbers
                    for found in self._connection.execute(f"SELECT {_SIZE} FROM queue WHERE sequence = ?", number)  # noqa: S608
                )
                self._connection.executemany("DELETE FROM queue WHERE sequence = ?", numbers)
                removed = self._connection.total_changes - before
            self._rows, self._bytes = self._rows - removed, self._bytes - size

    @property
    def figures(self) -> SpoolFigures:
        """How full it is, and what was given up."""
        with self._lock:
            oldest: int | None = None
            if not self._closed:
                with self._reading("read what waits"):
                    found = self._connection.execute("SELECT put_ms FROM queue ORDER BY sequence LIMIT 1").fetchone()
                    oldest = found[0] if found else None
            return SpoolFigures(
                rows=self._rows,
                size_bytes=self._bytes,
                dropped=self._dropped + self._unsaved_drops,
                oldest_ms=oldest,
                problem=self._problem,
            )

    def close(self) -> None:
        """Give it up for another owner; what waits stays. Safe to call twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            os.close(self._owner)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _note(self, notes: Mapping[str, bytes | None]) -> None:
        for name, value in notes.items():
            if value is None:
                self._connection.execute("DELETE FROM notes WHERE name = ?", (name,))
            else:
                self._connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))

    def _insert(self, messages: Sequence[Message]) -> tuple[int, int, int]:
        """Queue what is new; how many that are, and the rows and bytes that wait then."""
        now_ms = time.time_ns() // 1_000_000
        taken, size, last = 0, self._bytes, 0
        for message in messages:
            digest = hashlib.blake2b(_bytes(message.key), digest_size=16).digest()
            if self._connection.execute("SELECT 1 FROM known WHERE digest = ?", (digest,)).fetchone():
                continue
            key, topic = _bytes(message.key).decode(), _bytes(message.topic).decode()
            row = (key, topic, message.body, now_ms)
            query = "INSERT INTO queue (key, topic, body, put_ms) VALUES (?, ?, ?, ?)"
            last = self._connection.execute(query, row).lastrowid or 0
            self._connection.execute("INSERT INTO known VALUES (?, ?)", (last, digest))
            taken, size = taken + 1, size + message.size
        if taken:
            self._connection.execute("DELETE FROM known WHERE sequence <= ?", (last - KNOWN_KEYS,))
        return taken, self._rows + taken, size

    def _make_room(self, rows: int, size: int) -> tuple[int, int, int]:
        """Give up the oldest until the rest fits; how many, and the rows and bytes that wait then."""
        dropped = 0
        if size > self.limit_bytes:
            last = 0
            for sequence, row_size in self._connection.execute(
                f"SELECT sequence, {_SIZE} FROM queue ORDER BY sequence"  # noqa: S608
            ):
                last, size, dropped = sequence, size - row_size, dropped + 1
                if size <= self.limit_bytes:
                    break
            self._connection.execute("DELETE FROM queue WHERE sequence <= ?", (last,))
        if dropped or self._unsaved_drops:
            added = (dropped + self._unsaved_drops,)
            self._connection.execute("UPDATE figures SET value = value + ? WHERE name = 'dropped'", added)
        return dropped, rows - dropped, size

    @contextlib.contextmanager
    def _reading(self, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as failure:
            raise store_refusal(self.path, failure, doing) from failure


def rename_spool(path: Path, new: Path, *, patience_s: float = OWNER_PATIENCE_S) -> bool:
    """Give a spool another name, with what waits in it and the keys that it knows.

    Args:
        path: The spool.
        new: The name.
        patience_s: Seconds to wait for its owner to end.

    Returns:
        Whether it was done: not where another process owns it, it is damaged, or there is a spool of the new name.

    Raises:
        OSError: The system refuses.
    """
    try:
        Spool(path, patience_s=patience_s).close()  # what its log holds is in the file then
        owner = _own(path, 0.0)
    except SinkError:
        return False
    try:
        if new.exists() or path.with_name(f"{path.name}-wal").exists():
            return False
        path.rename(new)
    finally:
        os.close(owner)
    return True


def _bytes(text: str) -> bytes:
    """The text as stored: lone surrogates, of file names that are not UTF-8, are written out."""
    return text.encode("utf-8", "backslashreplace")


def _own(path: Path, patience_s: float) -> int:
    """The descriptor of the lock beside a spool.

    Raises:
        SinkError: Another owner has it.
    """
    lock = path.with_name(f"{path.name}.lock")
    fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    give_up_s = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as failure:
            if failure.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                return fd  # a file system without locks
            if time.monotonic() < give_up_s:
                time.sleep(0.02)
                continue
            os.close(fd)
            problem = f"expected to be the only one that uses this spool, found that {lock.name} is held"
            remedy = "end the other masktrail that writes the same stream there, or choose another folder for spools"
            raise SinkError(path, problem, remedy) from None
        return fd


def _open(path: Path) -> sqlite3.Connection:
    """The database of a spool, made where there is none.

    Raises:
        SinkError: It is not one, or cannot be written.
    """
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))  # for its owner's eyes
    try:
        connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as failure:
        raise store_refusal(path, failure, "open the spool") from failure
    try:
        _prepare(connection, path)
    except sqlite3.Error as failure:
        connection.close()
        if is_busy(failure):
            problem = "expected to be the only one that uses this spool, found that another program reads or writes it"
            raise SinkError(path, problem, "close that program") from failure
        raise store_refusal(path, failure, "open the spool") from failure
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and tables:
        problem = "expected a spool of masktrail or no file, found one of another program"
        raise SinkError(path, problem, "choose another folder for spools; this file was left alone")
    if version > VERSION:
        problem = f"expected a spool of version {VERSION}, found version {version} of a newer masktrail"
        raise SinkError(path, problem, "update masktrail, or choose another folder for spools")
    wanted = "delete" if NETWORK.fullmatch(file_system(path)) else "wal"
    connection.execute(f"PRAGMA journal_mode = {wanted}")
    connection.execute("PRAGMA synchronous = FULL")  # a power cut must not lose what was taken
    connection.execute("PRAGMA journal_size_limit = 4194304")
    if not tables:
        with transaction(connection):
            for statement in _TABLES.split(";")[:-1]:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
