"""What a store still says of events that were deleted because of their age: until when they were, and their counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tracker.formats.event_store import SUFFIXES, open_store
from tracker.formats.postgres import is_postgres

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

__all__ = ["BINS", "Deleted", "KeptCount", "deleted_in", "deleted_of", "kept_counts", "stores_of"]

BINS = "bins"
"""Kind of a tombstone of bins: the counts of deleted events were deleted too."""


class Deleted(NamedTuple):
    """Rows of one kind that are no more.

    Attributes:
        stream, kind: Whose; the kind :data:`BINS` are counts of deleted events.
        rows: How many.
        before_ms: All of this kind before this time of UTC were deleted.
    """

    stream: str
    kind: str
    rows: int
    before_ms: int


class KeptCount(NamedTuple):
    """What deleted events counted in 15 minutes from ``begin_ms`` on, under their final class."""

    stream: str
    place: str
    direction: str
    class_name: str
    begin_ms: int
    passages: int


def deleted_in(connection: sqlite3.Connection) -> list[Deleted]:
    """What was deleted of a ledger."""
    query = "SELECT stream, kind, rows, before_ms FROM tombstones ORDER BY stream, kind"
    return [Deleted(*row) for row in connection.execute(query)]


def stores_of(ledgers: Sequence[str | Path]) -> list[Path]:
    """The SQLite stores among ledgers, of which alone events are deleted by age."""
    return [Path(one) for one in ledgers if not is_postgres(one) and Path(one).suffix.lower() in SUFFIXES]


def deleted_of(ledgers: Sequence[str | Path]) -> list[Deleted]:
    """What was deleted of any of several ledgers.

    Raises:
        SourceError: A store is missing, or none of ours.
    """
    found = []
    for path in stores_of(ledgers):
        with open_store(path) as connection:
            found += deleted_in(connection)
    return found


def kept_counts(path: Path, kind: str) -> Iterator[KeptCount]:
    """What the deleted events of one kind counted, in order of time."""
    query = "SELECT stream, place, direction, class, bin_ms, count FROM bins WHERE kind = ? ORDER BY bin_ms"
    with open_store(path) as connection:
        yield from (KeptCount(*row) for row in connection.execute(query, (kind,)))
