"""Deletion of old events from a store in small batches; their counts are kept in bins, their number in tombstones."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tracker.errors import SourceError
from tracker.formats.deleted import BINS
from tracker.formats.event_store import BIN_MS, OUTAGES, store_kind
from tracker.sinks.store import open_for_writing, store_refusal, transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["DAY_MS", "PRUNED_MS", "Pruned", "prune", "pruned_ms"]

PRUNED_MS = "SELECT max(before_ms) FROM tombstones WHERE stream = ?"
"""Up to when the rows of a stream were deleted."""

BATCH_ROWS = 2_000
"""Rows of one transaction, for which other writers wait: at most 0.4 s on a busy machine, 12 ms in the median."""
PAUSE_S = 0.02
DAY_MS = 86_400_000
CORRECTIONS = ("rekeyed", "reclassified")

_KINDS = f"SELECT DISTINCT kind FROM ledger WHERE kind NOT IN ({', '.join('?' * len(OUTAGES))})"  # noqa: S608
_OLD = "SELECT row FROM ledger WHERE kind = :kind AND utc_ms < :before AND row > :last {} ORDER BY row LIMIT :most"
_LATER = """AND (EXISTS (SELECT 1 FROM ledger AS later WHERE later.kind IN ({})
    AND later.stream = ledger.stream AND later.place = ledger.place {}
    AND later.row <> ledger.row AND later.utc_ms >= ledger.utc_ms) OR {})"""
# It may have left under the number that it got meanwhile.
_RENAMED = """EXISTS (SELECT 1 FROM ledger AS renamed JOIN ledger AS later ON later.kind IN ('enter', 'leave')
    AND later.stream = renamed.stream AND later.place = ledger.place AND later.identity = renamed.identity
    AND later.utc_ms >= ledger.utc_ms
    WHERE renamed.kind = 'rekeyed' AND renamed.stream = ledger.stream AND renamed.was_identity = ledger.identity)"""
# What an identity does is over with it, and with the process that saw it, whether or not that told an end.
_GONE = """EXISTS (SELECT 1 FROM ledger AS later WHERE later.stream = ledger.stream AND later.utc_ms >= ledger.utc_ms
    AND (later.kind = 'identity_end' OR (later.kind = 'leave' AND later.stay_end IS 'restart'))
    AND later.identity IN (SELECT ledger.identity UNION ALL SELECT renamed.identity FROM ledger AS renamed
        WHERE renamed.kind = 'rekeyed' AND renamed.stream = ledger.stream
        AND renamed.was_identity = ledger.identity))"""
_SPELL = "AND later.identity = ledger.identity AND later.since_s IS NOT NULL"
# What lasts has an old beginning and no end yet: an identity is present, waits, or stands where it should not, a bay is
# taken, an alert under way, and stays so. Over a line the wrong way is an instant, which has a direction.
_OVER = {
    "enter": _LATER.format("'enter', 'leave'", "AND later.identity = ledger.identity", _RENAMED),
    "bay_taken": _LATER.format("'bay_free'", "", "FALSE"),
    "alert": _LATER.format("'alert'", "", "since_s IS NOT NULL"),
    "stopped": _LATER.format("'stopped'", _SPELL, f"since_s IS NOT NULL OR {_GONE}"),
    "wrong_way": _LATER.format("'wrong_way'", _SPELL, f"since_s IS NOT NULL OR direction <> '' OR {_GONE}"),
    "loitering": _LATER.format("'loitering'", _SPELL, f"since_s IS NOT NULL OR {_GONE}"),
    "queue_join": _LATER.format(
        "'queue_leave'",
        "AND ledger.identity = CASE later.other_identity WHEN 0 THEN later.identity ELSE later.other_identity END",
        _GONE,
    ),
}
# A correction goes when nothing is left that it corrects.
_IDLE = """AND NOT EXISTS (SELECT 1 FROM temp.living WHERE living.stream = ledger.stream
    AND living.identity IN (ledger.identity, ledger.was_identity))"""
_LIVING = f"""INSERT OR IGNORE INTO temp.living SELECT DISTINCT stream, identity FROM ledger
    WHERE kind NOT IN ({", ".join("?" * len(CORRECTIONS))})"""  # noqa: S608 - own names
_ROLL = f"""INSERT INTO bins SELECT stream, kind, place, direction, class, semantics, at_ms / {BIN_MS} * {BIN_MS},
        count(*) FROM counted
    WHERE row IN (SELECT row FROM temp.doomed) AND counts AND utc GROUP BY 1, 2, 3, 4, 5, 6, 7
    ON CONFLICT DO UPDATE SET count = count + excluded.count"""  # noqa: S608 - own names
_BURY = """INSERT INTO tombstones SELECT stream, kind, count(*), :before, :now FROM ledger
    WHERE row IN (SELECT row FROM temp.doomed) GROUP BY 1, 2
    ON CONFLICT DO UPDATE SET rows = rows + excluded.rows, before_ms = max(before_ms, excluded.before_ms),
        at_ms = excluded.at_ms"""

# A stream's events may be younger than bins that are deleted: those that are there are counted.
_BURY_BINS = """INSERT INTO tombstones
    SELECT bins.stream, :kind, count(*), min(:before, known.before_ms), :now FROM bins
    JOIN (SELECT stream, max(before_ms) AS before_ms FROM tombstones GROUP BY stream) AS known USING (stream)
    WHERE bin_ms < :before GROUP BY bins.stream
    ON CONFLICT DO UPDATE SET rows = rows + excluded.rows, before_ms = max(before_ms, excluded.before_ms),
        at_ms = excluded.at_ms"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was deleted.

    Attributes:
        events: Rows of events.
        counted: Of them, those that count, and are in bins now.
        bins: Bins.
        undated: Rows without a wall clock, whose age is not known: they stay.
    """

    events: int = 0
    counted: int = 0
    bins: int = 0
    undated: int = 0


def pruned_ms(connection: sqlite3.Connection, stream: str) -> int | None:
    """Up to when the rows of a stream were deleted; ``None`` = none was."""
    (found,) = connection.execute(PRUNED_MS, (stream,)).fetchone()
    return None if found is None else int(found)


def prune(
    path: Path,
    *,
    events_before_ms: int | None = None,
    bins_before_ms: int | None = None,
    stop: threading.Event | None = None,
    dry_run: bool = False,
    progress: Callable[[int], None] = lambda _rows: None,
) -> Pruned:
    """Delete what is older; what counted is in bins of 15 minutes, in one transaction with the deletion.

    Outages stay, which say when nothing could be counted, and so does the beginning of what lasts: entries of
    identities that have not left, waits, stops and ways against the arrow that are not over, bays that are taken,
    alerts under way.

    Args:
        path: The store, which others may read and write meanwhile.
        events_before_ms: Events before this time of UTC are deleted; it is put back to the begin of its bin.
        bins_before_ms: The same of bins.
        stop: Ends it after the present batch.
        dry_run: Only count.
        progress: Called with the rows that are done.

    Raises:
        SourceError: There is no store.
        SinkError: It is no ledger, or the system refuses; batches that were committed stay so.
    """
    if store_kind(path) == "none":
        raise SourceError(path, "expected a ledger, found nothing", "name the file that --events wrote")
    stop = stop or threading.Event()
    with contextlib.closing(open_for_writing(path)) as connection:
        try:
            connection.execute("PRAGMA secure_delete = ON")  # what was deleted is not left in free pages
            (undated,) = connection.execute("SELECT count(*) FROM ledger WHERE utc_ms IS NULL").fetchone()
            done = Pruned(undated=undated)
            if events_before_ms is not None:
                before_ms = events_before_ms // BIN_MS * BIN_MS
                work = _Work(connection, before_ms, stop, progress)
                done = replace(work.count() if dry_run else work.run(), undated=undated)
            if bins_before_ms is not None and not stop.is_set():
                done = replace(done, bins=_prune_bins(connection, bins_before_ms // BIN_MS * BIN_MS, dry_run=dry_run))
            if not dry_run:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as failure:
            raise store_refusal(path, failure, "delete old events") from failure
    return done


class _Work:
    """Deletion of the events before a time.

    Args:
        connection: To the store.
        before_ms: The time, the begin of a bin.
        stop: Ends it.
        progress: Called with the rows that are done.
    """

    def __init__(
        self, connection: sqlite3.Connection, before_ms: int, stop: threading.Event, progress: Callable[[int], None]
    ) -> None:
        self._connection, self._before_ms, self._stop, self._progress = connection, before_ms, stop, progress
        self._events = self._counted = 0
        connection.execute("CREATE TEMP TABLE doomed (row INTEGER PRIMARY KEY)")
        connection.execute("CREATE TEMP TABLE living (stream TEXT, identity INTEGER, PRIMARY KEY (stream, identity))")

    def run(self) -> Pruned:
        """Delete them all, corrections last: what they correct is counted as they have it."""
        kinds = [kind for (kind,) in self._connection.execute(_KINDS, OUTAGES)]
        plain = sorted((kind for kind in kinds if kind not in CORRECTIONS), key=lambda kind: (kind not in _OVER, kind))
        for kind in plain:
            self._delete(kind, self._before_ms, _OVER.get(kind, ""))
        self._connection.execute(_LIVING, CORRECTIONS)
        for kind in (one for one in kinds if one in CORRECTIONS):
            self._delete(kind, self._before_ms - DAY_MS, _IDLE)
        return Pruned(events=self._events, counted=self._counted)

    def count(self) -> Pruned:
        """How many there are, about: corrections are left out."""
        kinds = [kind for (kind,) in self._connection.execute(_KINDS, OUTAGES) if kind not in CORRECTIONS]
        for kind in kinds:
            condition = _OVER.get(kind, "")
            query = f"SELECT count(*) FROM ledger WHERE kind = ? AND utc_ms < ? {condition}"  # noqa: S608 - own names
            (found,) = self._connection.execute(query, (kind, self._before_ms)).fetchone()
            query = "SELECT count(*) FROM counted WHERE kind = ? AND utc_ms < ? AND counts"
            (counted,) = self._connection.execute(query, (kind, self._before_ms)).fetchone()
            self._events, self._counted = self._events + found, self._counted + counted
        return Pruned(events=self._events, counted=self._counted)

    def _delete(self, kind: str, before_ms: int, condition: str) -> None:
        """Delete the old rows of one kind, batch by batch."""
        query, last = _OLD.format(condition), 0
        while not self._stop.is_set():
            values = {"kind": kind, "before": before_ms, "last": last, "most": BATCH_ROWS}
            rows = [row for (row,) in self._connection.execute(query, values)]
            if not rows:
                return
            last = rows[-1]
            self._batch(rows)
            self._progress(self._events)
            self._stop.wait(PAUSE_S)

    def _batch(self, rows: Sequence[int]) -> None:
        connection = self._connection
        connection.execute("DELETE FROM temp.doomed")
        connection.executemany("INSERT INTO temp.doomed VALUES (?)", ((row,) for row in rows))
        with transaction(connection):
            (before,) = connection.execute("SELECT coalesce(sum(count), 0) FROM bins").fetchone()
            connection.execute(_ROLL)
            (after,) = connection.execute("SELECT coalesce(sum(count), 0) FROM bins").fetchone()
            connection.execute(_BURY, {"before": self._before_ms, "now": round(time.time() * 1000)})
            deleted = connection.execute("DELETE FROM ledger WHERE row IN (SELECT row FROM temp.doomed)").rowcount
        self._events += deleted
        self._counted += after - before


def _prune_bins(connection: sqlite3.Connection, before_ms: int, *, dry_run: bool) -> int:
    """Delete bins before a time; they are few. From then on nothing is known of that time."""
    if dry_run:
        (found,) = connection.execute("SELECT count(*) FROM bins WHERE bin_ms < ?", (before_ms,)).fetchone()
        return int(found)
    with transaction(connection):
        connection.execute(_BURY_BINS, {"before": before_ms, "now": round(time.time() * 1000), "kind": BINS})
        return connection.execute("DELETE FROM bins WHERE bin_ms < ?", (before_ms,)).rowcount
