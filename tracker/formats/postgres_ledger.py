"""Reader of ledgers in PostgreSQL: events, editions and counts, each of one moment while others write."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from tracker.errors import SourceError, TrackerError
from tracker.formats.event_store import COLUMNS
from tracker.formats.postgres import PostgresAddress, connect, explained
from tracker.formats.postgres_schema import AT_MS, ForeignSchemaError, check_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pg8000.native import Connection

    from tracker.events import EventKind

__all__ = ["editions_of", "event_rows", "grouped", "open_postgres", "outages", "spans"]

PAGE_ROWS = 4096


@contextlib.contextmanager
def open_postgres(text: str) -> Iterator[Connection]:
    """A ledger for reading as it stands at one moment; closed when the block ends.

    Raises:
        SourceError: The server refuses, or has no ledger there.
        ConfigError: The address is none, or pg8000 is not installed.
    """
    address = PostgresAddress.parse(text)
    connection = None
    try:
        connection = connect(address)
        connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        _check_ledger(connection, address)
        yield connection
    except TrackerError:
        raise
    except ForeignSchemaError as failure:
        raise SourceError(address.shown, f"expected a ledger, found {failure.found}", failure.remedy) from None
    except Exception as failure:
        if connection is not None and not _of_the_driver(failure):
            raise
        refused = explained(address, failure, "read the ledger")
        raise SourceError(address.shown, refused.problem, refused.remedy) from None
    finally:
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()


def event_rows(connection: Connection, *, edition: int | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows in the order of writing with their numbers, a page at a time in memory.

    Args:
        connection: To a ledger.
        edition: Which; ``None`` = of each stream the one that holds.
    """
    rows = "events WHERE" if edition is None else f"ledger WHERE edition = {edition:d} AND"
    names = ", ".join(f'"{name}"' for name in COLUMNS)
    query = f'SELECT "row", {names} FROM {rows} "row" > :last ORDER BY "row" LIMIT {PAGE_ROWS}'  # noqa: S608
    last = -1
    while page := connection.run(query, last=last):
        for number, *values in page:
            yield number, dict(zip(COLUMNS, values, strict=True))
        last = page[-1][0]


def editions_of(connection: Connection) -> list[tuple[str, int, int | None, int]]:
    """Stream, number, time and count of rows of every edition, the one that holds last."""
    query = """SELECT ledger.stream, ledger.edition, editions.at_ms, count(*) FROM ledger
        LEFT JOIN editions ON editions.stream = ledger.stream AND editions.edition = ledger.edition
        WHERE ledger.edition = 1 OR editions.at_ms IS NOT NULL GROUP BY 1, 2, 3
        UNION ALL SELECT stream, edition, at_ms, 0 FROM editions WHERE NOT EXISTS (
            SELECT 1 FROM ledger WHERE ledger.stream = editions.stream AND ledger.edition = editions.edition)"""
    return sorted((row[0], row[1], row[2], row[3]) for row in connection.run(query))


def grouped(
    connection: Connection,
    *,
    kinds: Sequence[str],
    by: Sequence[str],
    bin_ms: int,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> list[tuple[bool, int, int, tuple[str, ...], int]]:
    """Counts of a ledger, as :func:`tracker.formats.event_store.grouped` has them."""
    columns = "".join(f', "{name}"' for name in by if name in COLUMNS)
    given = {name: limit for name, limit in (("start", start_ms), ("end", end_ms)) if limit is not None}
    limits = " AND utc" * bool(given)
    limits += " AND at_ms >= :start" * ("start" in given) + " AND at_ms < :end" * ("end" in given)
    query = f"""SELECT utc, at_ms / :bin_ms, semantics{columns}, count(*) FROM counted
        WHERE kind = ANY(:kinds) AND counts{limits}
        GROUP BY {", ".join(str(number + 1) for number in range(3 + len(by)))}"""  # noqa: S608 - own names
    found = connection.run(query, bin_ms=bin_ms, kinds=list(kinds), **given)
    return [(bool(row[0]), row[1], row[2], tuple(row[3:-1]), row[-1]) for row in found]


def spans(connection: Connection) -> dict[tuple[str, bool], tuple[int, int]]:
    """First and last millisecond of which a ledger knows, by stream and clock (UTC is true), flows by start."""
    query = f"SELECT stream, utc_ms IS NOT NULL, min({AT_MS}), max({AT_MS}) FROM events GROUP BY 1, 2"  # noqa: S608
    return {(stream, bool(utc)): (first, last) for stream, utc, first, last in connection.run(query)}


def outages(connection: Connection) -> list[tuple[str, EventKind, int, int, bool]]:
    """Times at which cameras saw nothing that counts: stream, kind, from and to in milliseconds, whether in UTC."""
    query = "SELECT stream, kind, from_ms, to_ms, utc FROM outages ORDER BY from_ms"
    return [(row[0], row[1], row[2], row[3], bool(row[4])) for row in connection.run(query)]


def _check_ledger(connection: Connection, address: PostgresAddress) -> None:
    if not check_schema(connection, address.schema):
        problem = f"expected a ledger of masktrail in the schema {address.schema}, found nothing"
        raise SourceError(address.shown, problem, "name the address that --events wrote to")


def _of_the_driver(failure: Exception) -> bool:
    from pg8000.exceptions import Error

    return isinstance(failure, (Error, OSError))
