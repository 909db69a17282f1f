"""Ledger of events in SQLite: one store for any number of streams and runs, which only ever grows.

Rows are committed once a second at most, so a killed process loses a second. A key that the store has is passed over:
a recording that is analysed again adds what is missing, and is refused where it would give other events than the store
has of the same time, which would count twice. Stays that a killed process has left open get a ``leave`` with
``end: restart`` at the stream's last row, as soon as the same camera is there again; where the stream's state was
restored and the stay goes on, its own ``leave`` follows later and is the one that counts.

A recording that is counted anew is a further edition: its rows are written beside those that hold, unseen by the views,
and hold together, by one row of the table ``editions``, when the recording is at its end. The earlier edition stays.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

from tracker.errors import ConfigError, SinkError
from tracker.formats.event_rows import plain_text, row_of
from tracker.formats.event_store import check_sqlite, insertion, open_store
from tracker.formats.heat_tiles import heat_streams, merged, read_tiles, write_tiles
from tracker.formats.ledger import read_events
from tracker.sinks.base import Sink
from tracker.sinks.editions import discard, held_edition, next_edition, publish
from tracker.sinks.heat_tiles import GrowingTiles
from tracker.sinks.replay import DivergedError, Replay, diverged, ended_by_restart, other_clock, time_ms
from tracker.sinks.retention import PRUNED_MS
from tracker.sinks.store import identity_of, is_busy, open_for_writing, store_refusal, transaction

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from tracker.events import Event
    from tracker.heat import HeatTile
    from tracker.sinks.base import Edition, SinkContext
    from tracker.types import TrackedFrame

__all__ = ["SqliteSink"]

COMMIT_S = 1.0
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
        edition: See :attr:`tracker.sinks.base.SinkContext.edition`.
        stream: Of which there will be a new edition, and tiles of presence.

    Attributes:
        path: The store.

    Raises:
        ConfigError: Python's SQLite is too old.
        SinkError: The folder is missing or not writable, or the file is another program's or a newer version's.
    """

    shared: ClassVar[bool] = True
    has_editions: ClassVar[bool] = True

    def __init__(
        self, path: str | os.PathLike[str], *, camera: str = "", edition: Edition = "append", stream: str = ""
    ) -> None:
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
        self._pruned: dict[str, int | None] = {}
        self._heat = GrowingTiles(plain_text(stream))
        self._closed = False
        self._connection = open_for_writing(self.path)
        self._identity = identity_of(self.path)
        self._mode, self._stream = edition, plain_text(stream)
        self._edition = 1
        if edition != "append":
            self._edition = next_edition(self._connection, self.path, self._stream, holds_at_once=edition == "revise")

    @classmethod
    def open(cls, address: str, context: SinkContext) -> Self:
        """Open the store at a path; see :class:`tracker.sinks.base.Sink`."""
        camera = context.stream if context.live else ""
        return cls(address, camera=camera, edition=context.edition, stream=context.stream)

    @classmethod
    def settle(cls, address: str, stream: str) -> None:
        """Let what ``edition="hold"`` wrote hold; see :meth:`tracker.sinks.base.Sink.settle`."""
        from pathlib import Path

        path, name = Path(address), plain_text(stream)
        with contextlib.closing(open_for_writing(path)) as connection:
            publish(connection, path, name, next_edition(connection, path, name, holds_at_once=False) - 1)

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
            tiles = [tile for chunk in chunks for tile in _tiles_of(chunk)]
            if tiles:
                sink._add_tiles(merged(tiles))

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
        if identity_of(self.path) != self._identity:
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
        if tracked_frame.heat is not None:
            self._heat.add(tracked_frame.heat, tracked_frame.class_names)
        if (self._waiting or self._heat.due) and time.monotonic() - self._committed_s >= COMMIT_S:
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
            if self._mode == "revise" and self._edition > 1:
                publish(self._connection, self.path, self._stream, self._edition)
        finally:
            self._connection.close()  # the last one to close writes the log back into the file

    def abort(self) -> None:
        """Keep what was committed, without raising; a new edition is given up."""
        if not self._closed and self._edition > 1 and self._mode != "append":
            self._closed = True
            with contextlib.closing(self._connection):
                discard(self._connection, self._stream, self._edition)
        super().abort()

    def _take(self, events: Iterable[Event]) -> None:
        if self._mode != "append":
            self._wait_for(list(events))
            if len(self._waiting) >= JOINED_ROWS:
                self._commit()
            return
        for event in events:
            stream = plain_text(event.stream)
            if self._was_pruned(stream, event):
                continue
            if stream not in self._known:
                self._begin(stream, event)
            replay = self._known[stream]
            self._wait_for([event] if replay is None else self._compared(stream, partial(replay.take, event)))

    def _was_pruned(self, stream: str, event: Event) -> bool:
        """Whether events of that time were deleted because of their age: their counts are in bins."""
        if stream not in self._pruned:
            [(self._pruned[stream],)] = self._asked(PRUNED_MS, (stream,))
        before_ms = self._pruned[stream]
        return before_ms is not None and event.utc_ms is not None and event.utc_ms < before_ms

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
            raise diverged(self.path, stream) from None

    def _commit(self, *, last: bool = False) -> None:
        """Write what waits in one transaction; where others hold the store, it waits on."""
        tiles = self._heat.tiles() if last or self._heat.due else []
        if not self._waiting and not tiles:
            return
        self.part_bytes()  # rows must not go into a file that has lost its name
        editions = {stream: self._edition_of(stream) for stream in {event.stream for event in self._waiting}}
        rows = [row_of(event) | {"edition": editions[event.stream]} for event in self._waiting]
        try:
            with transaction(self._connection):
                self._connection.executemany(insertion(), rows)
                if tiles:
                    write_tiles(self._connection, tiles)
        except sqlite3.Error as failure:
            self._committed_s = time.monotonic()
            waiting_since_s = self._waiting_since_s if rows else self._heat.waiting_since_s
            impatient = last or self._committed_s - waiting_since_s >= PATIENCE_S
            if is_busy(failure) and not impatient:
                return
            what = f"{len(rows)} events" if rows else "the heatmap"
            raise store_refusal(self.path, failure, f"add {what}") from failure
        self._committed_s = time.monotonic()
        self._waiting = []
        if tiles:
            self._heat.written()

    def _add_tiles(self, tiles: Sequence[HeatTile]) -> None:
        try:
            with transaction(self._connection):
                write_tiles(self._connection, tiles)
        except sqlite3.Error as failure:
            raise store_refusal(self.path, failure, "add the heatmap") from failure

    def _begin(self, stream: str, first: Event) -> None:
        """A stream's first event: it goes on after the store's last row, or is a recording that the store has."""
        last_ms = self._last_ms(stream, utc=first.utc_ms is not None)
        if self._last_ms(stream, utc=first.utc_ms is None) is not None:
            raise other_clock(self.path, stream, utc=first.utc_ms is not None)
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

    def _edition_of(self, stream: str) -> int:
        """To which edition rows of a stream are added: a new one, or the one that holds."""
        if self._mode != "append":
            return self._edition
        return held_edition(self._connection, self.path, plain_text(stream))

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
            raise store_refusal(self.path, failure, "read what it has of the stream") from failure

    def _end_stays(self, stream: str, last_ms: int | None) -> None:
        """End what is open up to the store's last row of a stream, at that row."""
        if last_ms is not None:
            for entry in self._asked(_DANGLING, (stream, last_ms)):
                self._wait_for([ended_by_restart(stream, entry, last_ms)])


def _tiles_of(store: Path) -> list[HeatTile]:
    with open_store(store) as connection:
        return [tile for stream in heat_streams(connection) for tile in read_tiles(connection, stream)]
