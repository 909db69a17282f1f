"""Ledger of events in SQLite: one store for any number of streams and runs, which only ever grows.

Rows are committed once a second at most, so a killed process loses a second. A key that the store has is passed over:
a recording that is analysed again adds what is missing, and is refused where it would give other events than the store
has of the same time, which would count twice. Stays that a killed process has left open get a ``leave`` with
``end: restart`` at the stream's last row, as soon as the same camera is there again; where the stream's state was
restored and the stay goes on, its own ``leave`` follows later and is the one that counts.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

from tracker.errors import ConfigError, SinkError
from tracker.events import Event, Stay
from tracker.formats.event_rows import plain_text, row_of
from tracker.formats.event_store import check_sqlite, create, insertion, store_kind
from tracker.formats.ledger import read_events
from tracker.sinks.base import Sink
from tracker.sinks.mounts import NETWORK, file_system
from tracker.sinks.part_file import KEPT, REMEDIES, check_place, refusal
from tracker.sinks.replay import DivergedError, Replay, time_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from tracker.sinks.base import SinkContext
    from tracker.types import TrackedFrame

__all__ = ["SqliteSink"]

COMMIT_S = 1.0
BUSY_S = 5.0
"""Wait for other writers in one attempt; each holds the store for a few milliseconds."""
PATIENCE_S = 60.0
"""Rows wait in memory so long for a store that others hold."""

JOINED_ROWS = 10_000

_KEYS = """
    SELECT key, coalesce(utc_ms, CAST(round(time_s * 1000) AS INTEGER)) FROM events
    WHERE stream = ? AND NOT (kind = 'leave' AND stay_end IS 'restart')
"""
_DANGLING = """
    SELECT place, identity, class, time_s, utc_ms, stay_entered_s, stay_began, revision FROM events AS entry
    WHERE stream = ? AND kind = 'enter' AND utc_ms <= ? AND NOT EXISTS (
        SELECT 1 FROM events AS later WHERE later.kind IN ('enter', 'leave') AND later.stream = entry.stream
        AND later.place = entry.place AND later.identity = entry.identity AND later.row <> entry.row
        AND later.utc_ms >= entry.utc_ms)
"""


class SqliteSink(Sink):
    """Events of a stream, added to a store that other streams and later runs share.

    Args:
        path: The store, made where there is none. One of ours is added to, never replaced; another program's file is
            refused untouched.
        camera: Name of a camera as in its events: stays that an earlier process left are ended at its first frame.
            Without it, streams are known by their first events.

    Attributes:
        path: The store.

    Raises:
        ConfigError: Python's SQLite is too old.
        SinkError: The folder is missing or not writable, or the file is another program's or a newer version's.
    """

    shared: ClassVar[bool] = True

    def __init__(self, path: str | os.PathLike[str], *, camera: str = "") -> None:
        from pathlib import Path

        if problem := check_sqlite():
            raise ConfigError(path, problem, "use a newer Python, or write .events.jsonl")
        self.path = Path(path)
        self.frames = 0
        self._camera = plain_text(camera)
        self._cpu_s = {"records": 0.0}
        self._waiting: list[Event] = []
        self._waiting_since_s = self._committed_s = time.monotonic() - COMMIT_S
        self._known: dict[str, Replay | None] = {}
        self._closed = False
        self._connection = _open(self.path)
        self._identity = _identity(self.path)

    @classmethod
    def open(cls, address: str, context: SinkContext) -> Self:
        """Open the store at a path; see :class:`tracker.sinks.base.Sink`."""
        return cls(address, camera=context.stream if context.live else "")

    @classmethod
    def why_not_joined(cls, address: str) -> str:  # noqa: ARG003 - every store can be
        """Nothing: the rows of chunks are added to the store."""
        return ""

    @classmethod
    def join(cls, path: Path, chunks: Sequence[Path], starts_s: Sequence[float]) -> None:  # noqa: ARG003 - in the rows
        """Add the rows of all chunks, each of which is a small store."""
        with cls(path) as sink:
            for event in read_events(*chunks):
                sink._take([event])
                if len(sink._waiting) >= JOINED_ROWS:
                    sink._commit()

    @property
    def address(self) -> str:
        """The path, as the user wrote it."""
        return str(self.path)

    @property
    def cpu_s(self) -> Mapping[str, float]:
        """CPU seconds spent by stage."""
        return self._cpu_s

    def part_bytes(self) -> int:
        """Bytes of the store on the disk.

        Raises:
            SinkError: It was removed or replaced from outside.
        """
        if _identity(self.path) != self._identity:
            problem = "expected the store that is being written to be there, found it was removed or replaced"
            raise SinkError(self.path, problem, "leave it alone while it is written")
        return self.path.stat().st_size

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Take the frame's events; they are in the store within a second.

        Raises:
            SinkError: The system refuses, or other programs hold the store for a minute; what was committed stays.
        """
        started_s = time.thread_time()
        self.frames += 1
        captured_at = tracked_frame.frame.captured_at
        if self._camera and self._camera not in self._known and captured_at is not None:
            self._go_on(self._camera, round(captured_at.timestamp() * 1000), tracked_frame.events)
        else:
            self._take(tracked_frame.events)
        if self._waiting and time.monotonic() - self._committed_s >= COMMIT_S:
            self._commit()
        self._cpu_s["records"] += time.thread_time() - started_s

    def write_events(self, events: Sequence[Event]) -> None:
        """Take what was found at the end of the stream.

        Raises:
            SinkError: As for :meth:`write`.
        """
        self._take(events)
        self._commit()

    def close(self) -> None:
        """Commit what waits and close the store; safe to call twice.

        Raises:
            SinkError: The system refuses; what was committed before stays.
        """
        if self._closed:
            return
        self._closed = True
        try:
            with contextlib.ExitStack() as closing:  # what is not in doubt is written in any case
                closing.callback(self._commit, last=True)
                for stream, replay in self._known.items():
                    self._wait_for(self._compared(stream, replay.close) if replay is not None else [])
        finally:
            self._connection.close()  # the last one to close writes the log back into the file

    def _take(self, events: Iterable[Event]) -> None:
        for event in events:
            stream = plain_text(event.stream)
            if stream not in self._known:
                self._begin(stream, event)
            replay = self._known[stream]
            self._wait_for([event] if replay is None else self._compared(stream, partial(replay.take, event)))

    def _wait_for(self, events: Sequence[Event]) -> None:
        if events and not self._waiting:
            self._waiting_since_s = time.monotonic()
        self._waiting += events

    def _compared(self, stream: str, compare: Callable[[], list[Event]]) -> list[Event]:
        """What a comparison lets through.

        Raises:
            SinkError: The store has other events of the same time.
        """
        try:
            return compare()
        except DivergedError:
            problem = (
                f"expected the events that it has of {stream}, found others of the same time, which were not added"
            )
            remedy = (
                "another site, model or setting, or a run that was stopped: name another store, or delete the old rows"
            )
            raise SinkError(self.path, problem, remedy) from None

    def _commit(self, *, last: bool = False) -> None:
        """Write what waits in one transaction; where others hold the store, it waits on."""
        if not self._waiting:
            return
        self.part_bytes()  # rows must not go into a file that has lost its name
        rows = [row_of(event) for event in self._waiting]
        try:
            with _transaction(self._connection):
                self._connection.executemany(insertion(), rows)
        except sqlite3.Error as failure:
            self._committed_s = time.monotonic()
            impatient = last or self._committed_s - self._waiting_since_s >= PATIENCE_S
            if _is_busy(failure) and not impatient:
                return
            raise _refusal(self.path, failure, f"add {len(rows)} events") from failure
        self._committed_s = time.monotonic()
        self._waiting = []

    def _begin(self, stream: str, first: Event) -> None:
        """A stream's first event: it goes on after the store's last row, or is a recording that the store has."""
        last_ms = self._last_ms(stream, utc=first.utc_ms is not None)
        if self._last_ms(stream, utc=first.utc_ms is None) is not None:
            clocks = ("a wall clock", "none") if first.utc_ms is None else ("none", "a wall clock")
            problem = f"expected events of {stream} with {clocks[0]} as it has them, found {clocks[1]}"
            raise SinkError(self.path, problem, "declare the same start as before, or name another store")
        if last_ms is not None and time_ms(first) <= last_ms:
            self._known[stream] = Replay(dict(self._asked(_KEYS, (stream,))))
        else:
            self._known[stream] = None
            self._end_stays(stream, last_ms)

    def _go_on(self, camera: str, utc_ms: int, first: Sequence[Event]) -> None:
        """A camera's first frame: end the stays that an earlier process left.

        Args:
            camera: Which.
            utc_ms: When.
            first: Its first events, which may be the last ones of the earlier process, given again.
        """
        self._known[camera] = None
        last_ms = self._last_ms(camera, utc=True)
        self._take(first)
        self._commit()
        self._end_stays(camera, last_ms if last_ms is None or last_ms < utc_ms else None)

    def _last_ms(self, stream: str, *, utc: bool) -> int | None:
        """Time of the last row of a stream by one of the clocks; ``None`` where there is none."""
        column, condition = ("utc_ms", "") if utc else ("round(time_s * 1000)", "AND utc_ms IS NULL")
        query = f"SELECT max({column}) FROM events WHERE stream = ? {condition}"  # noqa: S608 - own names
        ((found,),) = self._asked(query, (stream,))
        return None if found is None else int(found)

    def _asked(self, query: str, values: tuple[Any, ...]) -> list[Any]:
        self.part_bytes()
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as failure:
            raise _refusal(self.path, failure, "read what it has of the stream") from failure

    def _end_stays(self, stream: str, last_ms: int | None) -> None:
        """End what is open up to the store's last row of a stream, at that row."""
        dangling = [] if last_ms is None else self._asked(_DANGLING, (stream, last_ms))
        for place, identity, class_name, time_s, entry_ms, entered_s, began, revision in dangling:
            left_s = time_s + ((last_ms or 0) - entry_ms) / 1000
            stay = Stay(entered_s=time_s if entered_s is None else entered_s, left_s=left_s, began=began, end="restart")
            ended = Event(
                kind="leave",
                stream=stream,
                time_s=left_s,
                utc_ms=last_ms,
                place=place,
                identity=identity,
                class_name=class_name,
                stay=stay,
                revision=revision,
            )
            self._wait_for([ended])


def _open(path: Path) -> sqlite3.Connection:
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
        problem = "expected a ledger of this version or an older one, found one of a newer masktrail"
        raise SinkError(path, problem, "update masktrail, or name another file")
    if path.exists() and not os.access(path, os.W_OK):
        raise SinkError(path, "expected a file that can be written, found a read-only one", "change its permissions")
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        with _transaction(connection):  # before the log is switched on, so that the file itself says what it is
            if connection.execute("PRAGMA user_version").fetchone() == (0,):
                create(connection)
        _set_journal(connection, path)
    except sqlite3.Error as failure:
        connection.close()
        raise _refusal(path, failure, "open it for writing") from failure
    except BaseException:
        connection.close()
        raise
    return connection


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
def _transaction(connection: sqlite3.Connection) -> Any:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some failures have rolled it back already
            connection.execute("ROLLBACK")
        raise


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _is_busy(failure: sqlite3.Error) -> bool:
    return getattr(failure, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _refusal(path: Path, failure: sqlite3.Error, doing: str) -> SinkError:
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
