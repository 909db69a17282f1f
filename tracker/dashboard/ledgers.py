"""Reader of ledgers: new rows of every store once a second, and event files of recordings through a temporary store."""

from __future__ import annotations

import logging
import re
import sqlite3
import tempfile
import threading
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.dashboard.heat_days import HeatDays
from tracker.dashboard.history import ROW, History
from tracker.errors import TrackerError
from tracker.formats.deleted import deleted_in
from tracker.formats.event_rows import row_of
from tracker.formats.event_store import COLUMNS, SUFFIXES, create, insertion, open_store, store_kind
from tracker.formats.ledger import read_events

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Sequence

    from tracker.heat import Presence

__all__ = ["EVENT_FILES", "Ledgers"]

logger = logging.getLogger("tracker.dashboard")

EVENT_FILES = (".events.jsonl", ".events.ndjson", ".events.parquet")
PAGE_ROWS = 20_000
POLL_S = 1.0
CHECK_S = 60.0
"""How often it is looked at whether rows went missing: a stream may have been deleted by SQL."""

_READ = ", ".join(f'"{name}"' for name in (*ROW, "key"))


_BINS = "SELECT stream, kind, place, direction, class, semantics, bin_ms, count FROM bins ORDER BY bin_ms"


@dataclass(slots=True)
class _Ledger:
    """One store, or an event file with the store that was made of it.

    Attributes:
        path: What the user has.
        store: What is read.
        facts: Of the file when it was read: another one has others.
        last, last_key: Last row that was read, and its key.
        editions: What it said of its editions then.
        rows: Rows that were read.
        problem: Why it cannot be read.
        streams: Streams of which it has rows.
        binned: Its bins of deleted events were read.
        deleted: How many rows were deleted then.
    """

    path: Path
    store: Path
    facts: tuple[int, ...] = ()
    last: int = 0
    last_key: str = ""
    editions: tuple[int, ...] = ()
    rows: int = 0
    problem: str = ""
    streams: dict[str, int] | None = None
    binned: bool = False
    deleted: int = 0


class _Keys:
    """Events of one stream, found again also where one of two ledgers has no wall clock."""

    def __init__(self) -> None:
        self._exact: set[str] = set()
        self._media: set[str] = set()

    def add(self, key: str, *, time_s: float, utc_ms: int | None) -> bool:
        """Whether the event is new; it is known from now on."""
        media = key
        if utc_ms is not None:
            before, _, after = key.rpartition(f"|u{utc_ms}")
            media = f"{before}|t{round(time_s * 1000)}{after}"
        if key in self._exact or media in (self._media if utc_ms is None else self._exact):
            return False
        self._exact.add(key)
        if utc_ms is not None:
            self._media.add(media)
        return True


class Ledgers:
    """All ledgers of a dashboard as one history.

    Of an event that stands in two ledgers the first one's row counts: by its key, or by its media time where one of the
    two has no wall clock.

    Attributes:
        history: What pages ask; replaced as a whole where rows went missing.
    """

    def __init__(self) -> None:
        self.history = History()
        self._ledgers: list[_Ledger] = []
        self._wanted: list[Path] = []
        self._names: dict[str, str] = {}
        self._began: dict[str, tuple[History, int]] = {}
        self._keys: dict[str, _Keys] = {}
        self._binned: set[str] = set()
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._whole = threading.Event()
        self._reading = threading.Lock()
        self._thread: threading.Thread | None = None
        self._looks = 0
        self._heat = HeatDays()

    # ---- what is read ---------------------------------------------------------------------------------------------

    def want(self, paths: Iterable[str | os.PathLike[str]]) -> None:
        """Read these ledgers from now on, in this order; others are forgotten."""
        wanted = list(dict.fromkeys(Path(path).absolute() for path in paths))
        if wanted != self._wanted:
            self._wanted = wanted
            self._changed.set()

    def start(self) -> None:
        """Read in a thread of its own, until :meth:`close`."""
        self._thread = threading.Thread(target=self._run, name="ledgers", daemon=True)
        self._thread.start()

    def whole(self, wait_s: float = 0.0) -> bool:
        """Whether all ledgers have been read once: before that numbers are too small.

        Args:
            wait_s: Longest wait for it.
        """
        return self._whole.wait(wait_s)

    def close(self) -> None:
        """Stop reading, and remove temporary stores."""
        self._stop.set()
        self._changed.set()
        if self._thread is not None:
            self._thread.join(10)
        if self._temporary is not None:
            self._temporary.cleanup()

    def streams(self) -> list[str]:
        """Streams of which there are events."""
        history = self.history
        with history.lock:
            return [history.names.texts[number] for number in history.streams()]

    def holding(self, stream: str) -> list[tuple[Path, str, bool]]:
        """Ledgers that have events of a stream: their files, its name in them, and whether they have it alone."""
        found = []
        for ledger in self._ledgers:
            known = ledger.streams or {}
            found += [(ledger.path, raw, len(known) == 1) for raw in known if self._names.get(raw) == stream]
        return found

    def problems(self) -> list[dict[str, str]]:
        """Ledgers that cannot be read, by their names without folders."""
        return [{"ledger": one.path.name, "problem": one.problem} for one in self._ledgers if one.problem]

    def facts(self) -> dict[str, Any]:
        """Figures for the page of health."""
        sizes = [one.path.stat().st_size for one in self._ledgers if one.path.exists()]
        return {
            "ledgers": len(self._ledgers),
            "events": len(self.history.events),
            "reading": not self.whole(),
            "bytes": sum(sizes),
            "problems": self.problems(),
        }

    def rows(self, source: int, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Whole rows of one ledger by their numbers, in that order; those that are gone are left out.

        Args:
            source: As in the history's column.
            rows: At most some hundreds.
        """
        found: dict[int, dict[str, Any]] = {}
        names = ", ".join(f'"{name}"' for name in COLUMNS)
        marks = ", ".join("?" * len(rows))
        query = f"SELECT row, {names} FROM events WHERE row IN ({marks})"  # noqa: S608 - own names
        with open_store(self._ledgers[source].store) as connection:
            for values in connection.execute(query, list(rows)):
                found[values[0]] = dict(zip(("row", *COLUMNS), values, strict=True))
        for values in found.values():
            raw = values["stream"]
            values["stream"] = shown = self._shown(raw)
            values["key"] = shown + values["key"].removeprefix(raw)
        return [found[row] for row in rows if row in found]

    def presence(self, stream: str, start_ms: int | None, end_ms: int | None) -> Presence | None:
        """Presence of a stream by the first store that has any of that time; ``None`` where none has.

        Args:
            stream: Under its name in the API.
            start_ms: From when, UTC; the hour that holds it is the first.
            end_ms: Until when, exclusive.

        Raises:
            SourceError: A tile is damaged.
            ConfigError: The picture's shape has changed within the time.
        """
        names = [raw for raw, shown in self._names.items() if shown == stream]
        for ledger in self._ledgers:
            if ledger.store != ledger.path or not ledger.facts or not ledger.streams:
                continue
            with open_store(ledger.store) as connection:
                for raw in names:
                    if found := self._heat.presence(connection, ledger.store, raw, start_ms, end_ms):
                        return replace(found, stream=stream)
        return None

    def began_ms(self, stream: str) -> int | None:
        """When a recording began, UTC: where its media time is 0; ``None`` without a wall clock."""
        history = self.history
        held = self._began.get(stream)
        if held is not None and held[0] is history:
            return held[1]
        with history.lock:
            events = history.events
            rows = np.flatnonzero((events["stream"] == history.names.number(stream)) & events["utc"])[:1].tolist()
            places = [(int(events["source"][row]), int(events["row"][row])) for row in rows]
        for source, row in places:
            for whole in self.rows(source, [row]):
                found = int(whole["utc_ms"] - round(whole["time_s"] * 1000))
                self._began[stream] = history, found
                return found
        return None

    def _shown(self, stream: str) -> str:
        """A stream's name in the API: of a path or URL its last part, with a number where another one has that.

        Names are parts of addresses, where a slash or ``..`` leads elsewhere, and folders of this machine are nobody's
        business.
        """
        if (known := self._names.get(stream)) is not None:
            return known
        last = re.split(r"[/\\]", stream.rstrip("/\\"))[-1]
        base = name = stream if last == stream and stream not in {"", ".", ".."} else last.strip(".") or "stream"
        taken, number = set(self._names.values()), 1
        while name in taken:
            number += 1
            name = f"{base} ({number})"
        self._names[stream] = name
        return name

    # ---- reading --------------------------------------------------------------------------------------------------

    def read(self) -> None:
        """Read what is new, now."""
        with self._reading:
            if self._gone() or self._replaced():
                self._begin_again()
            known = {one.path for one in self._ledgers}
            for path in self._wanted:
                if path not in known:
                    self._ledgers.append(_Ledger(path=path, store=path))
            for number, ledger in enumerate(self._ledgers):
                try:
                    self._read(number, ledger)
                    ledger.problem = ""
                except (TrackerError, sqlite3.Error, OSError) as failure:
                    said = failure.problem if isinstance(failure, TrackerError) else str(failure)
                    if said != ledger.problem:
                        logger.warning("ledger not read", extra={"ledger": str(ledger.path), "problem": said})
                    ledger.problem = said
            self._whole.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._changed.clear()
            try:
                self.read()
            except Exception:
                logger.exception("ledgers not read")
            self._changed.wait(POLL_S)

    def _gone(self) -> bool:
        """Whether rows that were read are there no more, or ledgers are not wanted any more."""
        self._looks += 1
        if any(one.path not in self._wanted for one in self._ledgers):
            return True
        for ledger in self._ledgers:
            if not ledger.facts:
                continue
            facts = _facts(ledger.path)
            if facts is None:
                continue  # a disk that is away for a while: what was read stays
            if ledger.store != ledger.path:
                if facts != ledger.facts:
                    return True
            elif self._looks % round(CHECK_S / POLL_S) == 0 and (ledger.rows, ledger.deleted) != _count(ledger):
                return True
        return False

    def _replaced(self) -> bool:
        """Whether a store is another one under the same name, or holds another edition of a stream."""
        for ledger in self._ledgers:
            if not ledger.last_key or ledger.store != ledger.path:
                continue
            try:
                with open_store(ledger.store) as connection:
                    editions = _editions(connection)
                    found = connection.execute("SELECT key FROM events WHERE row = ?", (ledger.last,)).fetchone()
            except (TrackerError, sqlite3.Error):
                continue
            if found is None or found[0] != ledger.last_key or editions != ledger.editions:
                return True
        return False

    def _begin_again(self) -> None:
        logger.info("ledgers read again", extra={"reason": "rows or files were removed or replaced"})
        self._whole.clear()
        self.history = History()
        self._ledgers, self._keys, self._binned = [], {}, set()

    def _read(self, number: int, ledger: _Ledger) -> None:
        if not ledger.facts:
            facts = _facts(ledger.path)
            if facts is None:
                return  # not there yet: a store comes with its first event
            if ledger.path.suffix.lower() not in SUFFIXES:
                ledger.store = self._as_store(ledger.path, number)
            elif store_kind(ledger.path) == "none":
                return
            ledger.facts = facts
        elif ledger.store != ledger.path:
            return  # a whole file never grows
        with open_store(ledger.store) as connection:
            ledger.streams = ledger.streams or {}
            if not ledger.last and not ledger.binned:
                ledger.editions = _editions(connection)
                ledger.binned, ledger.deleted = True, _deleted(connection)
                self._add_bins(number, connection)
            query = f"SELECT {_READ} FROM events WHERE row > ? ORDER BY row LIMIT {PAGE_ROWS}"  # noqa: S608
            while not self._stop.is_set():
                page = connection.execute(query, (ledger.last,)).fetchall()
                if not page:
                    return
                fresh = list(self._fresh(number, ledger, page))
                self.history.add(number, fresh)
                ledger.last, ledger.last_key = page[-1][0], page[-1][-1]
                ledger.rows += len(page)

    def _add_bins(self, number: int, connection: sqlite3.Connection) -> None:
        """Bins of deleted events, of streams of which no ledger before has any."""
        found = connection.execute(_BINS).fetchall()
        fresh = {row[0] for row in found} - self._binned
        self._binned |= fresh
        self.history.add_bins(number, [(self._shown(row[0]), *row[1:]) for row in found if row[0] in fresh])
        for one in deleted_in(connection):
            shown, deleted_ms = self._shown(one.stream), self.history.deleted_ms
            deleted_ms[shown] = max(one.before_ms, deleted_ms.get(shown, one.before_ms))

    def _fresh(self, number: int, ledger: _Ledger, page: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        """Rows without those whose events another ledger has."""
        own = ledger.streams if ledger.streams is not None else {}
        for row in page:
            stream, key = row[2], row[-1]
            if stream not in own:
                self._share(stream, number)
            own[stream] = own.get(stream, 0) + 1
            keys = self._keys.get(stream)
            if keys is not None and not keys.add(key, time_s=row[3], utc_ms=row[4]):
                continue
            yield (*row[:2], self._shown(stream), *row[3:-1])

    def _share(self, stream: str, number: int) -> None:
        """A stream of which another ledger has rows: from here on its keys are remembered."""
        if stream in self._keys:
            return
        for other in self._ledgers:
            if other is not self._ledgers[number] and other.streams and stream in other.streams:
                self._remember(self._keys.setdefault(stream, _Keys()), other, stream)
        shared = self._keys.get(stream)
        if shared is not None:
            self._remember(shared, self._ledgers[number], stream)

    def _remember(self, keys: _Keys, ledger: _Ledger, stream: str) -> None:
        query = "SELECT key, time_s, utc_ms FROM events WHERE stream = ? AND row <= ?"
        with open_store(ledger.store) as connection:
            for key, time_s, utc_ms in connection.execute(query, (stream, ledger.last)):
                keys.add(key, time_s=time_s, utc_ms=utc_ms)

    def _as_store(self, path: Path, number: int) -> Path:
        """A temporary store with the events of a file."""
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="masktrail-dashboard-")
        store = Path(self._temporary.name) / f"{number}-{self._looks}.sqlite"
        with closing(sqlite3.connect(store, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            create(connection)
            connection.executemany(insertion(), (row_of(event) | {"edition": 1} for event in read_events(path)))
            connection.execute("COMMIT")
        return store


def _facts(path: Path) -> tuple[int, ...] | None:
    """Number of the file, and size and time of change; ``None`` where it is not there."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def _editions(connection: sqlite3.Connection) -> tuple[int, ...]:
    """Number of editions and the last one's time: they rise when a recording that was counted anew holds."""
    return tuple(connection.execute("SELECT count(*), coalesce(max(at_ms), 0) FROM editions").fetchone())


def _deleted(connection: sqlite3.Connection) -> int:
    """Rows that were deleted because of their age."""
    [found] = connection.execute("SELECT coalesce(sum(rows), 0) FROM tombstones").fetchone()
    return int(found)


def _count(ledger: _Ledger) -> tuple[int, int]:
    """Rows that a store has among those that were read, and how many were deleted."""
    try:
        with open_store(ledger.store) as connection:
            [found] = connection.execute("SELECT count(*) FROM events WHERE row <= ?", (ledger.last,)).fetchone()
            return int(found), _deleted(connection)
    except (TrackerError, sqlite3.Error):
        return ledger.rows, ledger.deleted
