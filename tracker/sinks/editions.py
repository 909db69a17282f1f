"""Editions of a stream in a store: events counted anew are written unseen, and hold all at once."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tracker.errors import SinkError
from tracker.formats.event_store import COLUMNS
from tracker.sinks.retention import pruned_ms
from tracker.sinks.store import store_refusal, transaction

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["discard", "held_edition", "next_edition", "publish"]

_HELD = "SELECT coalesce((SELECT max(edition) FROM editions WHERE stream = ?), 1)"
_LAST = """
    SELECT (SELECT max(edition) FROM ledger WHERE stream = ?), (SELECT max(edition) FROM editions WHERE stream = ?)
"""
_UNSEEN = """
    DELETE FROM ledger WHERE stream = :stream AND edition > 1 AND edition <= :new
        AND edition NOT IN (SELECT edition FROM editions WHERE stream = :stream)
"""


def held_edition(connection: sqlite3.Connection, path: Path, stream: str) -> int:
    """The edition of a stream that holds.

    Raises:
        SinkError: The system refuses.
    """
    ((found,),) = _asked(connection, path, _HELD, (stream,))
    return int(found)


def next_edition(connection: sqlite3.Connection, path: Path, stream: str, *, holds_at_once: bool) -> int:
    """Number of a new edition.

    Args:
        connection: To the store.
        path: Of it.
        stream: Whose edition.
        holds_at_once: Where the store has nothing of the stream, 1: there is nothing to hold back for.

    Raises:
        SinkError: The system refuses.
    """
    ((last, published),) = _asked(connection, path, _LAST, (stream, stream))
    if (before_ms := pruned_ms(connection, stream)) is not None:
        at = datetime.fromtimestamp(before_ms / 1000, UTC).isoformat(timespec="minutes")
        problem = f"expected all events of {stream} for a new edition, found those before {at} deleted by their age"
        raise SinkError(path, problem, "name another store: what they counted would count twice")
    if last is None and published is None and holds_at_once:
        return 1
    return max(last or 1, published or 1) + 1


def publish(connection: sqlite3.Connection, path: Path, stream: str, edition: int) -> None:
    """Let an edition hold. One that is equal to that which holds is given up, and so are those that never held.

    Raises:
        SinkError: The system refuses.
    """
    columns = ", ".join(f'"{name}"' for name in COLUMNS)
    rows = f"SELECT {columns} FROM ledger WHERE stream = :stream AND edition ="  # noqa: S608 - own names
    values: dict[str, Any] = {"stream": stream, "new": edition, "now": round(time.time() * 1000)}
    try:
        with transaction(connection):
            (values["old"],) = connection.execute(_HELD, (stream,)).fetchone()
            if values["old"] >= edition:
                return
            changed = any(
                connection.execute(f"{rows} :{one} EXCEPT {rows} :{other} LIMIT 1", values).fetchone()
                for one, other in (("new", "old"), ("old", "new"))
            )
            if changed:
                connection.execute("INSERT INTO editions VALUES (:stream, :new, :now)", values)
            connection.execute(_UNSEEN, values)
    except sqlite3.Error as failure:
        raise store_refusal(path, failure, f"add an edition of {stream}") from failure


def discard(connection: sqlite3.Connection, stream: str, edition: int) -> None:
    """Remove what was written of an edition that does not hold; what cannot be removed stays unseen."""
    with contextlib.suppress(sqlite3.Error), transaction(connection):
        connection.execute("DELETE FROM ledger WHERE stream = ? AND edition = ?", (stream, edition))


def _asked(connection: sqlite3.Connection, path: Path, query: str, values: tuple[str, ...]) -> list[Any]:
    try:
        return connection.execute(query, values).fetchall()
    except sqlite3.Error as failure:
        raise store_refusal(path, failure, "read its editions") from failure
