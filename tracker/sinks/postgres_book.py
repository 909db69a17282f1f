"""What a PostgreSQL ledger has of a stream: editions, the last row, stays left open, and keys to compare with."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tracker.formats.event_store import COLUMNS
from tracker.formats.postgres_schema import add_rows
from tracker.sinks.replay import ended_by_restart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pg8000.native import Connection

    from tracker.events import Event

__all__ = ["Book"]

_NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
_DANGLING = """
    SELECT place, identity, class, time_s, utc_ms, stay_entered_s, stay_began, revision FROM ledger AS entry
    WHERE stream = :named AND edition = :edition AND kind = 'enter' AND utc_ms <= :last AND NOT EXISTS (
        SELECT 1 FROM ledger AS later WHERE later.kind IN ('enter', 'leave') AND later.stream = entry.stream
        AND later.edition = entry.edition AND later.place = entry.place AND later.identity = entry.identity
        AND later."row" <> entry."row" AND later.utc_ms >= entry.utc_ms)
    ORDER BY "row"
"""
_KEYS = """
    SELECT key, at_ms FROM ledger WHERE stream = :named AND edition = :edition
        AND NOT (kind = 'leave' AND coalesce(stay_end, '') = 'restart')
"""
_UNSEEN = """
    DELETE FROM ledger WHERE stream = :named AND edition > 1 AND edition <= :new
        AND edition NOT IN (SELECT edition FROM editions WHERE stream = :named)
"""


class Book:
    """Questions about streams, and rows for them, within a transaction of the caller.

    Args:
        connection: To a ledger.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._held: dict[str, int] = {}
        self._waiting: list[tuple[Mapping[str, Any], int | None]] = []

    def add(self, rows: Sequence[Mapping[str, Any]], edition: int | None = None) -> None:
        """Add rows of events, before the next question: those that the edition has are passed over.

        Args:
            rows: As :func:`tracker.formats.event_rows.row_of` makes them.
            edition: Which; ``None`` = of each stream the one that holds.
        """
        self._waiting += [(row, edition) for row in rows]

    def flush(self) -> None:
        """Add what waits."""
        waiting, self._waiting = self._waiting, []
        rows = [
            {
                **row,
                "edition": self.held_edition(row["stream"]) if edition is None else edition,
                "at_ms": round(row["time_s"] * 1000) if row["utc_ms"] is None else row["utc_ms"],
            }
            for row, edition in waiting
        ]
        add_rows(self._connection, rows)

    def held_edition(self, stream: str) -> int:
        """The edition of a stream that holds."""
        if stream not in self._held:
            query = "SELECT coalesce(max(edition), 1) FROM editions WHERE stream = :named"
            self._held[stream] = self._connection.run(query, named=stream)[0][0]
        return self._held[stream]

    def _asked(self, query: str, **values: Any) -> list[Any]:
        self.flush()
        found: list[Any] = self._connection.run(query, **values) or []
        return found

    def next_edition(self, stream: str, *, holds_at_once: bool) -> int:
        """Number of a new edition; where there is nothing of the stream and it ``holds_at_once``, 1."""
        query = """SELECT (SELECT max(edition) FROM ledger WHERE stream = :named),
            (SELECT max(edition) FROM editions WHERE stream = :named)"""
        [[last, published]] = self._asked(query, named=stream)
        if last is None and published is None and holds_at_once:
            return 1
        return max(last or 1, published or 1) + 1

    def publish(self, stream: str, edition: int) -> None:
        """Let an edition hold. One that is equal to that which holds is given up, and so are those that never held."""
        held = self.held_edition(stream)
        if held >= edition:
            return
        rows = f"SELECT {_NAMES} FROM ledger WHERE stream = :named AND edition ="  # noqa: S608 - own names
        query = f"""SELECT EXISTS ({rows} :new EXCEPT {rows} :old) OR EXISTS ({rows} :old EXCEPT {rows} :new)"""
        [[changed]] = self._asked(query, named=stream, new=edition, old=held)
        if changed:
            query = "INSERT INTO editions VALUES (:named, :new, :now) ON CONFLICT DO NOTHING"
            self._asked(query, named=stream, new=edition, now=round(time.time() * 1000))
        self._asked(_UNSEEN, named=stream, new=edition)
        self._held.clear()

    def discard(self, stream: str, edition: int) -> None:
        """Remove what was written of an edition that does not hold."""
        self._asked("DELETE FROM ledger WHERE stream = :named AND edition = :new", named=stream, new=edition)

    def last_ms(self, stream: str, *, utc: bool) -> int | None:
        """Time of the last row of a stream by one of the clocks; ``None`` where there is none."""
        query = "SELECT max(at_ms) FROM ledger WHERE stream = :named AND edition = :edition AND utc_ms IS"
        query += " NOT NULL" if utc else " NULL"
        found: int | None = self._asked(query, named=stream, edition=self.held_edition(stream))[0][0]
        return found

    def keys(self, stream: str) -> dict[str, int]:
        """Keys of a stream's rows with their times, but of stays that were ended by a restart."""
        rows = self._asked(_KEYS, named=stream, edition=self.held_edition(stream))
        return {key: at_ms for key, at_ms in rows}  # noqa: C416 - rows are lists

    def stays_to_end(self, stream: str, last_ms: int | None) -> list[Event]:
        """Ends of the stays that were open at the last row of a stream, at that row."""
        if last_ms is None:
            return []
        edition = self.held_edition(stream)
        rows = self._asked(_DANGLING, named=stream, edition=edition, last=last_ms)
        return [ended_by_restart(stream, row, last_ms) for row in rows]
