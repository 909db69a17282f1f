"""PostgreSQL ledger: its tables, and the views of the SQLite one in the server's own words.

Names, columns and meaning are those of :mod:`tracker.formats.event_store`. Flags are true and false, ``bin_utc`` is a
time stamp, and the table has ``at_ms`` beside: the time of the event by the stream's clock, which the key says too, so
that the table can be divided by time (partitions, TimescaleDB's hypertables) and still be unique by key.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tracker.formats.event_rows import EVENT_FIELDS, TEXT_FIELDS
from tracker.formats.event_store import COLUMNS, OUTAGES, SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pg8000.native import Connection

    from tracker.formats.fields import Field

__all__ = ["ForeignSchemaError", "add_rows", "check_schema", "prepare", "schema_statements"]

LOCK = 0x4D54524C
"""Of those that make the schema at the same time."""

_TYPES = {"text": "TEXT", "number": "DOUBLE PRECISION", "whole": "BIGINT", "flag": "BOOLEAN"}
_FIELDS = [field for field in EVENT_FIELDS if field.name not in TEXT_FIELDS]


class ForeignSchemaError(Exception):
    """The schema holds no ledger, or one that this version cannot use.

    Args:
        found: What it holds, in words.
        remedy: What can be done about it.
    """

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found)
        self.found, self.remedy = found, remedy


def check_schema(connection: Connection, schema: str) -> bool:
    """Whether the ledger is there; ``False`` where there is nothing yet.

    Raises:
        ForeignSchemaError: Something else is there, or a ledger of another version.
    """
    # In one statement, since another process may be making it: its snapshot is not newer than what to_regclass sees.
    query = """SELECT to_regclass(:ledger) IS NOT NULL, EXISTS (
        SELECT 1 FROM pg_class WHERE relnamespace = to_regnamespace(:schema))"""
    [[known, tables]] = connection.run(query, ledger=f"{schema}.masktrail_ledger", schema=schema)
    if known:
        rows = connection.run("SELECT version FROM masktrail_ledger")
        version = rows[0][0] if rows else SCHEMA_VERSION
        if version > SCHEMA_VERSION:
            raise ForeignSchemaError("a ledger of a newer masktrail", "update masktrail")
        if version < SCHEMA_VERSION:
            raise ForeignSchemaError("a ledger of an earlier masktrail", "name another ?schema=")
        return bool(rows)
    if tables:
        raise ForeignSchemaError(f"tables of another program in the schema {schema}", "name another ?schema=")
    return False


def prepare(connection: Connection, schema: str) -> None:
    """Make the ledger where there is none; any number of processes may do so at once.

    Raises:
        ForeignSchemaError: As for :func:`check_schema`.
    """
    if check_schema(connection, schema):
        return
    connection.run("BEGIN")
    try:
        connection.run("SELECT pg_advisory_xact_lock(:number)", number=LOCK)
        if not check_schema(connection, schema):
            for statement in schema_statements(schema):
                connection.run(statement)
        connection.run("COMMIT")
    except BaseException:
        connection.run("ROLLBACK")
        raise


def add_rows(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
    """Add rows with their ``edition`` and ``at_ms``, once for every key of an edition; how many were new."""
    if not rows:
        return 0
    columns = ["edition", "at_ms", *COLUMNS]
    names = ", ".join(f'"{name}"' for name in columns)
    kinds = ["edition INTEGER", "at_ms BIGINT", *(f'"{field.name}" {_TYPES[field.kind]}' for field in _FIELDS)]
    query = f"""INSERT INTO ledger ({names}) SELECT {names} FROM json_to_recordset(CAST(:rows AS json))
        AS given ({", ".join(kinds)}) ON CONFLICT (key, edition, at_ms) DO NOTHING"""  # noqa: S608 - own names
    connection.run(query, rows=json.dumps([{name: _plain(row[name]) for name in columns} for row in rows]))
    return int(connection.row_count or 0)


def _plain(value: Any) -> Any:
    """A value as the server's texts can hold it, which know no zero byte."""
    return value.replace("\0", "\\x00") if isinstance(value, str) else value


def _column(field: Field) -> str:
    may_be_null = field.name in {"utc_ms", "value", "error"}
    may_be_null = may_be_null or field.name.startswith(("before_", "after_", "stay_", "since_"))
    default = " DEFAULT 0" if field.name == "other_identity" else ""
    return f'"{field.name}" {_TYPES[field.kind]}' + ("" if may_be_null else f" NOT NULL{default}")


_NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
_OUTAGES = ", ".join(f"'{kind}'" for kind in OUTAGES)
_MS = "CAST(round({}) AS BIGINT)"
_MEDIA_MS = _MS.format("time_s * 1000")
AT_MS = f"""coalesce(utc_ms, {_MEDIA_MS})
           - CASE kind WHEN 'flow' THEN coalesce({_MS.format("(time_s - since_s) * 1000")}, 0) ELSE 0 END"""
"""When an event is counted, as tracker.analytics.counts.booked() says."""


def schema_statements(schema: str) -> Iterator[str]:
    """What makes the ledger in an empty database, one statement at a time."""
    yield f'CREATE SCHEMA IF NOT EXISTS "{schema}"'
    yield f'SET search_path TO "{schema}"'
    yield f"""CREATE TABLE ledger ("row" BIGINT GENERATED ALWAYS AS IDENTITY, edition INTEGER NOT NULL DEFAULT 1,
        at_ms BIGINT NOT NULL, {", ".join(map(_column, _FIELDS))}, UNIQUE (key, edition, at_ms))"""
    yield 'CREATE INDEX ledger_by_row ON ledger ("row")'
    yield "CREATE INDEX ledger_by_time ON ledger (kind, utc_ms)"
    yield "CREATE INDEX ledger_by_stream ON ledger (stream, utc_ms)"
    yield """CREATE INDEX ledger_corrections ON ledger (stream, identity) WHERE kind IN ('reclassified', 'rekeyed')"""
    yield """CREATE INDEX ledger_stay_ends ON ledger (stream, place, identity, utc_ms)
        WHERE kind IN ('enter', 'leave')"""
    yield """CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'the ledger is append-only: rows are added, never changed'; END $$"""
    yield """CREATE TRIGGER append_only BEFORE UPDATE ON ledger
        FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only()"""
    yield """CREATE TABLE editions (stream TEXT NOT NULL, edition INTEGER NOT NULL, at_ms BIGINT NOT NULL,
        PRIMARY KEY (stream, edition))"""
    yield from _VIEWS
    yield "CREATE TABLE masktrail_ledger (version INTEGER NOT NULL)"
    yield f"INSERT INTO masktrail_ledger VALUES ({SCHEMA_VERSION})"  # noqa: S608 - a number


_VIEWS = (
    f"""CREATE VIEW events AS SELECT "row", {_NAMES} FROM ledger
       WHERE edition = coalesce((SELECT max(edition) FROM editions WHERE editions.stream = ledger.stream), 1)""",  # noqa: S608
    # Numbers under which identities go now, through chains of corrections.
    """CREATE VIEW renamed AS
       WITH RECURSIVE
         last AS (
           SELECT DISTINCT ON (stream, was_identity) stream, was_identity AS was, identity AS now FROM events
           WHERE kind IN ('reclassified', 'rekeyed') AND kind = 'rekeyed' ORDER BY stream, was_identity, "row" DESC),
         chain AS (
           SELECT stream, was, now, 1 AS depth FROM last
           UNION ALL
           SELECT chain.stream, chain.was, last.now, depth + 1 FROM chain
           JOIN last ON last.stream = chain.stream AND last.was = chain.now WHERE depth < 64)
       SELECT DISTINCT ON (stream, was) stream, was, now FROM chain ORDER BY stream, was, depth DESC""",
    # The last correction of the class, of all numbers that an identity had.
    """CREATE VIEW final_classes AS
       SELECT DISTINCT ON (1, 2) events.stream AS stream, coalesce(renamed.now, events.identity) AS identity, class
       FROM events LEFT JOIN renamed ON renamed.stream = events.stream AND renamed.was = events.identity
       WHERE kind IN ('reclassified', 'rekeyed') ORDER BY 1, 2, events."row" DESC""",
    f"""CREATE VIEW counted AS
       SELECT events."row", kind, events.stream, place, direction,
         coalesce(renamed.now, events.identity) AS identity, coalesce(final_classes.class, events.class) AS class,
         {AT_MS} AS at_ms,
         utc_ms IS NOT NULL AS utc,
         coalesce(CASE kind WHEN 'crossing' THEN true WHEN 'flow' THEN true WHEN 'enter' THEN stay_began = 'entered'
           WHEN 'leave' THEN stay_end = 'left' WHEN 'loitering' THEN since_s IS NULL ELSE false END, false) AS counts,
         time_s, utc_ms, since_s, value, error, coalesce(others.now, events.other_identity) AS other_identity,
         stay_entered_s, stay_left_s, stay_hidden_s, stay_began, stay_end, revision, semantics
       FROM events
       LEFT JOIN renamed ON renamed.stream = events.stream AND renamed.was = events.identity
       LEFT JOIN final_classes ON final_classes.stream = events.stream
         AND final_classes.identity = coalesce(renamed.now, events.identity)
       LEFT JOIN renamed AS others ON events.other_identity <> 0 AND others.stream = events.stream
         AND others.was = events.other_identity""",  # noqa: S608 - own names
    # Times at which a camera saw nothing that counts; a state that is not over lasts until the stream's last row.
    f"""CREATE VIEW outages AS
       WITH states AS (SELECT "row", stream, kind, time_s, since_s, utc_ms IS NOT NULL AS utc,
           coalesce(utc_ms, {_MEDIA_MS}) AS at_ms
         FROM events WHERE kind IN ({_OUTAGES}))
       SELECT stream, kind, at_ms - {_MS.format("(time_s - since_s) * 1000")} AS from_ms, at_ms AS to_ms, utc
       FROM states WHERE since_s IS NOT NULL
       UNION ALL
       SELECT stream, kind, min(at_ms), (SELECT max(coalesce(utc_ms, {_MEDIA_MS})) FROM events
           WHERE events.stream = began.stream AND (utc_ms IS NOT NULL) = began.utc), utc
       FROM states AS began WHERE since_s IS NULL
         AND NOT EXISTS (SELECT 1 FROM states AS later WHERE later.stream = began.stream AND later.kind = began.kind
           AND later.since_s IS NOT NULL AND later."row" > began."row")
       GROUP BY stream, kind, utc""",  # noqa: S608 - own names
    """CREATE VIEW counts_15min AS
       SELECT bins.*, to_timestamp(bin_ms / 1000) AS bin_utc,
         EXISTS (SELECT 1 FROM outages WHERE outages.stream = bins.stream AND outages.utc
           AND outages.from_ms < bins.bin_ms + 900000 AND outages.to_ms >= bins.bin_ms) AS outage
       FROM (SELECT stream, kind, place, direction, class, semantics, at_ms / 900000 * 900000 AS bin_ms,
           count(*) AS count
         FROM counted WHERE counts AND utc
         GROUP BY 1, 2, 3, 4, 5, 6, 7) AS bins""",
    # One row per stay, from the row that says most about its end; `end` is null while it lasts.
    """CREATE VIEW stays AS
       SELECT stream, place, identity, class, semantics, stay_entered_s AS entered_s, stay_left_s AS left_s,
         stay_left_s - stay_entered_s AS dwell_s, stay_hidden_s AS hidden_s, stay_began AS began,
         CASE kind WHEN 'leave' THEN stay_end END AS "end",
         utc_ms - CAST(round((time_s - stay_entered_s) * 1000) AS BIGINT) AS entered_ms,
         CASE WHEN stay_left_s IS NOT NULL THEN utc_ms END AS left_ms,
         coalesce(stay_began = 'entered' AND kind = 'leave' AND stay_end = 'left', false) AS closed
       FROM (
         SELECT DISTINCT ON (stream, place, identity, visit) * FROM (
           SELECT *, coalesce(utc_ms, time_s * 1000) AS at,
             sum(CASE kind WHEN 'enter' THEN 1 ELSE 0 END) OVER (PARTITION BY stream, place, identity
               ORDER BY coalesce(utc_ms, time_s * 1000), "row") AS visit
           FROM counted WHERE kind IN ('enter', 'leave')) AS visits
         ORDER BY stream, place, identity, visit,
           CASE WHEN kind <> 'leave' THEN 0 WHEN stay_end IN ('left', 'lost') THEN 2 ELSE 1 END DESC, at DESC)
         AS best""",
)
