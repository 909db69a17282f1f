"""Ledgers of a report as one SQLite store: a single store in place, everything else through a temporary one."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.analytics.counts import booked
from tracker.errors import ConfigError
from tracker.formats.event_rows import row_of
from tracker.formats.event_store import SUFFIXES, create, insertion, open_store
from tracker.formats.ledger import read_events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Ledger", "open_ledgers"]

SAME_SHARE = 0.5
"""Two ledgers that share more than this of a stream's time, with other events, are two counts of one recording."""

Stream = tuple[str, bool]
"""Name, and whether its clock is UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """A store or an event file.

    Attributes:
        path: Of it; an address such as ``postgresql://`` as a text.
        stream: Name that its only stream has here: in a batch files of two folders may have the same name. Empty = as
            it is.
    """

    path: Path | str
    stream: str = ""

    @property
    def name(self) -> str:
        """For messages, without its folders."""
        return Path(self.path).name

    @property
    def is_store(self) -> bool:
        """Whether it is read in place."""
        return isinstance(self.path, Path) and self.path.suffix.lower() in SUFFIXES


@contextlib.contextmanager
def open_ledgers(
    ledgers: Sequence[Ledger], *, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> Iterator[sqlite3.Connection]:
    """A store with the events of all ledgers, for reading; an event that two of them have is there once.

    Rows go from the ledgers to the disk one by one.

    Args:
        ledgers: Stores and event files.
        progress: Called with the ledgers that were read and their number.

    Raises:
        SourceError: A ledger is missing or damaged.
        ConfigError: Two ledgers have different events of one stream and time.
    """
    if len(ledgers) == 1 and ledgers[0].is_store and not ledgers[0].stream:
        with open_store(ledgers[0].path) as connection:
            yield connection
        return
    with tempfile.TemporaryDirectory(prefix="masktrail-report-") as folder:
        store = Path(folder) / "events.sqlite"
        with closing(sqlite3.connect(store, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            create(connection)
            known: dict[Stream, list[tuple[int, int, Ledger]]] = {}
            for done, ledger in enumerate(ledgers, 1):
                _add(connection, ledger, known)
                progress(done, len(ledgers))
            connection.execute("COMMIT")
        with open_store(store) as connection:
            yield connection


def _add(connection: sqlite3.Connection, ledger: Ledger, known: dict[Stream, list[tuple[int, int, Ledger]]]) -> None:
    """Take one ledger, and refuse it if it counts again what an earlier one counted otherwise."""
    spans: dict[Stream, tuple[int, int]] = {}

    def rows() -> Iterator[dict[str, Any]]:
        for read in read_events(ledger.path):
            event = replace(read, stream=ledger.stream) if ledger.stream else read
            at_ms, utc = booked(event)
            low, high = spans.get((event.stream, utc), (at_ms, at_ms))
            spans[event.stream, utc] = min(low, at_ms), max(high, at_ms)
            yield row_of(event) | {"edition": 1}

    before = connection.total_changes
    connection.executemany(insertion(), rows())
    fresh = connection.total_changes - before
    if ledger.is_store:
        with open_store(ledger.path) as store:
            kept = {name: store.execute(f"SELECT * FROM {name}").fetchall() for name in ("bins", "tombstones")}  # noqa: S608
        for name, found in kept.items():
            renamed = [(ledger.stream or stream, *rest) for stream, *rest in found]
            if renamed:
                marks = ", ".join("?" * len(renamed[0]))
                connection.executemany(f"INSERT OR IGNORE INTO {name} VALUES ({marks})", renamed)  # noqa: S608
    for stream, span in spans.items():
        for low, high, other in known.get(stream, ()):
            shared = min(high, span[1]) - max(low, span[0])
            if fresh and shared > SAME_SHARE * max(min(high - low, span[1] - span[0]), 1):
                problem = f"expected one count of {stream[0]}, found others in {other.name} and {ledger.name}"
                raise ConfigError(ledger.path, problem, "name the ledger that counts instead of the folder")
        known.setdefault(stream, []).append((*span, ledger))
