"""SQLite ledger: its schema with the views that count, and what tells it from other programs' files."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tracker.errors import SourceError
from tracker.formats.event_rows import EVENT_FIELDS, TEXT_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tracker.events import EventKind
    from tracker.formats.fields import Field

__all__ = [
    "APPLICATION_ID",
    "BIN_MS",
    "COLUMNS",
    "SCHEMA_VERSION",
    "SUFFIXES",
    "check_sqlite",
    "create",
    "grouped",
    "insertion",
    "migrate",
    "open_store",
    "outages",
    "spans",
    "store_kind",
]

SUFFIXES = (".sqlite", ".sqlite3", ".db")
APPLICATION_ID = 0x4D54524C
"""``MTRL``: at byte 68 of the file, where SQLite keeps what program a file belongs to."""
SCHEMA_VERSION = 4
"""At byte 60. Rises when a column or the meaning of a view changes. 3: numbers of events; 4: bins of events that were
deleted, without which counts of old days would be too small."""
BIN_MS = 900_000
"""Length of the bins in which deleted events go on counting."""
OLDEST_VERSION = 2
"""Ledgers from this one on are read as they are, and brought to this version in place when they are written."""
OLDEST_SQLITE = (3, 37, 0)
"""The first one with STRICT tables."""

COLUMNS = tuple(field.name for field in EVENT_FIELDS if field.name not in TEXT_FIELDS)
OUTAGES: tuple[EventKind, ...] = ("gap", "camera_moved", "frozen", "covered", "dark")

StoreKind = Literal["none", "ours", "newer", "older", "foreign"]


def store_kind(path: str | os.PathLike[str]) -> StoreKind:
    """What stands at a path, by its first hundred bytes; nothing is opened as a database.

    Returns:
        ``none`` for no file or an empty one; ``newer`` for a ledger of a later schema, ``older`` for one of an earlier
        that is not read any more.

    Raises:
        OSError: The system refuses.
    """
    try:
        with Path(path).open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return "foreign"
            head = file.read(100)
    except FileNotFoundError:
        return "none"
    if not head:
        return "none"
    if not head.startswith(b"SQLite format 3\0") or int.from_bytes(head[68:72], "big") != APPLICATION_ID:
        return "foreign"
    version = int.from_bytes(head[60:64], "big")
    return "newer" if version > SCHEMA_VERSION else "ours" if version >= OLDEST_VERSION else "older"


@contextlib.contextmanager
def open_store(path: str | os.PathLike[str]) -> Iterator[sqlite3.Connection]:
    """A ledger for reading, also while others write it; closed when the block ends.

    SQLite's files for what readers and writers share (``-wal``, ``-shm``) go with the last reader.

    Raises:
        SourceError: It is missing, another program's, or of a newer version.
    """
    path = Path(path)
    try:
        kind = store_kind(path)
    except OSError as failure:
        raise SourceError(path, f"expected a ledger, found: {failure.strerror}", "check the path") from failure
    if kind != "ours":
        found = {
            "none": "nothing",
            "newer": "one of a newer masktrail",
            "older": "one of a masktrail in development",
            "foreign": "a file of another program",
        }[kind]
        remedy = {"newer": "update masktrail", "older": "count the recordings again into a new one"}.get(
            kind, "name the file that --events wrote"
        )
        raise SourceError(path, f"expected a ledger of masktrail, found {found}", remedy)
    address = path.resolve().as_uri() + "?mode=ro"
    try:
        connection = sqlite3.connect(address, uri=True, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            _read_as_present(connection)
        except sqlite3.OperationalError:
            connection.close()
            if path.with_name(path.name + "-wal").exists():
                raise
            # A folder that cannot be written has no room for what readers share, and no writer.
            connection = sqlite3.connect(address + "&immutable=1", uri=True, isolation_level=None)
            _read_as_present(connection)
    except sqlite3.Error as failure:
        raise SourceError(path, f"expected a SQLite ledger, found: {failure}", "check the file") from failure
    try:
        yield connection
    finally:
        connection.close()
        _tidy(path)


def _tidy(path: Path) -> None:
    """Let SQLite remove the empty log that a reader made and cannot remove, unless others have the ledger open.

    It needs a connection that may write: the last of these takes both files away, under SQLite's own locks. A log that
    holds anything is a writer's, or a killed one's, and stays.
    """
    with contextlib.suppress(OSError, sqlite3.Error):
        if path.with_name(path.name + "-wal").stat().st_size:
            return
        address = path.resolve().as_uri() + "?mode=rw"
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=0.0, isolation_level=None)) as connection:
            connection.execute("PRAGMA user_version").fetchone()


def create(connection: sqlite3.Connection) -> None:
    """Make the tables and views in an empty database, in a transaction of the caller.

    The identifying bytes are written with them, so that a file is either empty or a whole ledger.
    """
    for statement in (*_SCHEMA, *_VIEWS.values()):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def migrate(connection: sqlite3.Connection) -> bool:
    """Bring a ledger of an earlier version to this one in place, in a transaction of the caller; its rows stay.

    Returns:
        Whether there was anything to do.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not OLDEST_VERSION <= version < SCHEMA_VERSION:
        return False
    for name in _VIEWS:
        connection.execute(f"DROP VIEW IF EXISTS {name}")
    for column in _NEW_COLUMNS if version < 3 else ():
        connection.execute(f"ALTER TABLE ledger ADD COLUMN {column}")
    for statement in (*_RETAINED, *_VIEWS.values()):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    return True


def _read_as_present(connection: sqlite3.Connection) -> None:
    """Let a connection that only reads see a ledger of an earlier version with the columns and views of this one."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version < SCHEMA_VERSION:
        for statement in _RETAINED:
            connection.execute(statement.replace("CREATE TABLE", "CREATE TEMP TABLE", 1))
    if version < 3:
        new = {field.name: "0" if field.name in _ZERO else "NULL" for field in _ADDED}
        names = ("row", "edition", *(name for name in COLUMNS if name not in new))
        columns = ", ".join([*map(_quoted, names), *(f"{value} AS {_quoted(name)}" for name, value in new.items())])
        connection.execute(f"CREATE TEMP VIEW ledger AS SELECT {columns} FROM main.ledger")  # noqa: S608 - own names
    if version < SCHEMA_VERSION:
        for statement in _VIEWS.values():
            connection.execute(statement.replace("CREATE VIEW", "CREATE TEMP VIEW", 1))
    connection.execute("SELECT row FROM events LIMIT 1").fetchone()


def insertion() -> str:
    """The statement that adds a row by its columns' names and its ``edition``, once for every key of an edition."""
    columns = ("edition", *COLUMNS)
    names, values = ", ".join(map(_quoted, columns)), ", ".join(f":{name}" for name in columns)
    return f"INSERT INTO ledger ({names}) VALUES ({values}) ON CONFLICT (key, edition) DO NOTHING"  # noqa: S608 - own names


def _quoted(name: str) -> str:
    return f'"{name}"'


def _column(field: Field) -> str:
    kind = {"text": "TEXT", "number": "REAL", "whole": "INTEGER", "flag": "INTEGER"}[field.kind]
    if field.name in _ZERO:
        return f'"{field.name}" {kind} NOT NULL DEFAULT 0'
    may_be_null = field.name in {"utc_ms", "value", "error"}
    may_be_null = may_be_null or field.name.startswith(("before_", "after_", "stay_", "since_"))
    return f'"{field.name}" {kind}' + ("" if may_be_null else " NOT NULL")


_ZERO = {"other_identity"}
"""Columns that processes of the version before, which may still be writing, leave out."""
_ADDED = [field for field in EVENT_FIELDS if field.name in {"value", "error", "other_identity"}]
_NEW_COLUMNS = [_column(field) for field in _ADDED]
_TABLE: list[Any] = [_column(field) for field in EVENT_FIELDS if field.name not in TEXT_FIELDS]
_OUTAGES = ", ".join(f"'{kind}'" for kind in OUTAGES)

_AT_MS = """coalesce(events.utc_ms, CAST(round(events.time_s * 1000) AS INTEGER))
           - CASE events.kind WHEN 'flow'
             THEN coalesce(CAST(round((events.time_s - events.since_s) * 1000) AS INTEGER), 0) ELSE 0 END"""
"""When an event is counted, as tracker.analytics.counts.booked() says."""

_RETAINED = (
    # What events counted that were deleted: their counts, by the values under which they were counted then.
    """CREATE TABLE bins (stream TEXT NOT NULL, kind TEXT NOT NULL, place TEXT NOT NULL, direction TEXT NOT NULL,
       class TEXT NOT NULL, semantics INTEGER NOT NULL, bin_ms INTEGER NOT NULL, count INTEGER NOT NULL,
       PRIMARY KEY (stream, kind, place, direction, class, semantics, bin_ms)) STRICT, WITHOUT ROWID""",
    # How many rows were deleted, and up to which time all of them were.
    """CREATE TABLE tombstones (stream TEXT NOT NULL, kind TEXT NOT NULL, rows INTEGER NOT NULL,
       before_ms INTEGER NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (stream, kind)) STRICT, WITHOUT ROWID""",
)
_SCHEMA = (
    # `row` is the order of writing, which VACUUM keeps.
    f"""CREATE TABLE ledger (row INTEGER PRIMARY KEY, edition INTEGER NOT NULL DEFAULT 1, {", ".join(_TABLE)},
       UNIQUE (key, edition)) STRICT""",
    """CREATE TRIGGER append_only BEFORE UPDATE ON ledger
       BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: rows are added, never changed'); END""",
    "CREATE INDEX events_by_time ON ledger (kind, utc_ms)",
    "CREATE INDEX events_by_stream ON ledger (stream, utc_ms)",
    """CREATE INDEX corrections ON ledger (stream, identity) WHERE kind IN ('reclassified', 'rekeyed')""",
    """CREATE INDEX stay_ends ON ledger (stream, place, identity, utc_ms) WHERE kind IN ('enter', 'leave')""",
    # A recording that is counted anew has its events as a further edition, which holds from the moment it is here.
    """CREATE TABLE editions (stream TEXT NOT NULL, edition INTEGER NOT NULL, at_ms INTEGER NOT NULL,
       PRIMARY KEY (stream, edition)) STRICT, WITHOUT ROWID""",
    *_RETAINED,
)
_VIEWS = {
    "events": f"""CREATE VIEW events AS SELECT row, {", ".join(map(_quoted, COLUMNS))} FROM ledger
       WHERE edition = coalesce((SELECT max(edition) FROM editions WHERE editions.stream = ledger.stream), 1)""",  # noqa: S608
    # Numbers under which identities go now, through chains of corrections.
    "renamed": """CREATE VIEW renamed AS
       WITH RECURSIVE
         last(stream, was, now) AS (
           SELECT stream, was_identity, identity FROM (
             SELECT stream, was_identity, identity, max(row) FROM events
             WHERE kind IN ('reclassified', 'rekeyed') AND kind = 'rekeyed' GROUP BY stream, was_identity)),
         chain(stream, was, now, depth) AS (
           SELECT stream, was, now, 1 FROM last
           UNION ALL
           SELECT chain.stream, chain.was, last.now, depth + 1 FROM chain
           JOIN last ON last.stream = chain.stream AND last.was = chain.now WHERE depth < 64)
       SELECT stream, was, now FROM (SELECT stream, was, now, max(depth) FROM chain GROUP BY stream, was)""",
    # The last correction of the class, of all numbers that an identity had.
    "final_classes": """CREATE VIEW final_classes AS
       SELECT stream, identity, class FROM (
         SELECT events.stream AS stream, coalesce(renamed.now, events.identity) AS identity, class, max(row)
         FROM events LEFT JOIN renamed ON renamed.stream = events.stream AND renamed.was = events.identity
         WHERE kind IN ('reclassified', 'rekeyed') GROUP BY 1, 2)""",
    # Every event under its present number and final class, and when it is counted: flows at their start. `counts` is 1
    # for what tracker.analytics.counts.counts() counts.
    "counted": f"""CREATE VIEW counted AS
       SELECT events.row, events.kind, events.stream, events.place, events.direction,
         coalesce(renamed.now, events.identity) AS identity, coalesce(final_classes.class, events.class) AS class,
         {_AT_MS} AS at_ms,
         events.utc_ms IS NOT NULL AS utc,
         CASE events.kind WHEN 'crossing' THEN 1 WHEN 'flow' THEN 1 WHEN 'enter' THEN events.stay_began = 'entered'
           WHEN 'leave' THEN events.stay_end = 'left' WHEN 'loitering' THEN events.since_s IS NULL ELSE 0 END AS counts,
         events.time_s, events.utc_ms, events.since_s, events.value, events.error,
         coalesce(others.now, events.other_identity) AS other_identity, events.stay_entered_s, events.stay_left_s,
         events.stay_hidden_s, events.stay_began, events.stay_end, events.revision, events.semantics
       FROM events
       LEFT JOIN renamed ON renamed.stream = events.stream AND renamed.was = events.identity
       LEFT JOIN final_classes ON final_classes.stream = events.stream
         AND final_classes.identity = coalesce(renamed.now, events.identity)
       LEFT JOIN renamed AS others ON events.other_identity <> 0 AND others.stream = events.stream
         AND others.was = events.other_identity""",  # noqa: S608 - own names
    # Times at which a camera saw nothing that counts; a state that is not over lasts until the stream's last row.
    "outages": f"""CREATE VIEW outages AS
       WITH states AS (SELECT row, stream, kind, time_s, since_s, utc_ms IS NOT NULL AS utc,
           coalesce(utc_ms, CAST(round(time_s * 1000) AS INTEGER)) AS at_ms
         FROM events WHERE kind IN ({_OUTAGES}))
       SELECT stream, kind, at_ms - CAST(round((time_s - since_s) * 1000) AS INTEGER) AS from_ms, at_ms AS to_ms, utc
       FROM states WHERE since_s IS NOT NULL
       UNION ALL
       SELECT stream, kind, min(at_ms), (SELECT max(coalesce(utc_ms, CAST(round(time_s * 1000) AS INTEGER)))
           FROM events WHERE events.stream = began.stream AND (utc_ms IS NOT NULL) = began.utc), utc
       FROM states AS began WHERE since_s IS NULL
         AND NOT EXISTS (SELECT 1 FROM states AS later WHERE later.stream = began.stream AND later.kind = began.kind
           AND later.since_s IS NOT NULL AND later.row > began.row)
       GROUP BY stream, kind, utc""",  # noqa: S608 - own names
    "counts_15min": """CREATE VIEW counts_15min AS
       SELECT bins.*, strftime('%Y-%m-%dT%H:%M:%SZ', bin_ms / 1000, 'unixepoch') AS bin_utc,
         EXISTS (SELECT 1 FROM outages WHERE outages.stream = bins.stream AND outages.utc
           AND outages.from_ms < bins.bin_ms + 900000 AND outages.to_ms >= bins.bin_ms) AS outage
       FROM (SELECT stream, kind, place, direction, class, semantics, bin_ms, sum(count) AS count FROM (
           SELECT stream, kind, place, direction, class, semantics, at_ms / 900000 * 900000 AS bin_ms, 1 AS count
           FROM counted WHERE counts AND utc
           UNION ALL
           SELECT stream, kind, place, direction, class, semantics, bin_ms, count FROM bins)
         GROUP BY 1, 2, 3, 4, 5, 6, 7) AS bins""",
    # One row per stay, from the row that says most about its end; `stay_end` is null while it lasts.
    "stays": """CREATE VIEW stays AS
       SELECT stream, place, identity, class, semantics, stay_entered_s AS entered_s, stay_left_s AS left_s,
         stay_left_s - stay_entered_s AS dwell_s, stay_hidden_s AS hidden_s, stay_began AS began,
         CASE kind WHEN 'leave' THEN stay_end END AS "end",
         utc_ms - CAST(round((time_s - stay_entered_s) * 1000) AS INTEGER) AS entered_ms,
         CASE WHEN stay_left_s IS NOT NULL THEN utc_ms END AS left_ms,
         stay_began = 'entered' AND kind = 'leave' AND stay_end = 'left' AS closed
       FROM (
         SELECT *, max(CASE WHEN kind <> 'leave' THEN 0 WHEN stay_end IN ('left', 'lost') THEN 2e15 ELSE 1e15 END
             + at) AS best
         FROM (
           SELECT *, coalesce(utc_ms, time_s * 1000) AS at,
             sum(kind = 'enter') OVER (PARTITION BY stream, place, identity
               ORDER BY coalesce(utc_ms, time_s * 1000), row) AS visit
           FROM counted WHERE kind IN ('enter', 'leave'))
         GROUP BY stream, place, identity, visit)""",
}


def grouped(
    connection: sqlite3.Connection,
    *,
    kinds: Sequence[str],
    by: Sequence[str],
    bin_ms: int,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> list[tuple[bool, int, int, tuple[str, ...], int]]:
    """Counts of a ledger: whether the clock is UTC, number of the bin, semantics, values of ``by``, how many.

    Args:
        connection: To a ledger.
        kinds: What is counted.
        by: Columns among ``stream``, ``kind``, ``place``, ``direction`` and ``class``.
        bin_ms: Milliseconds per bin.
        start_ms: From when, in UTC; media time is left out then.
        end_ms: Until when, exclusive.

    Events that were deleted count in bins of multiples of :data:`BIN_MS`, as far as theirs lie within the limits.
    """
    columns = "".join(f', "{name}"' for name in by if name in COLUMNS)
    marks = ", ".join("?" * len(kinds))
    given = [limit for limit in (start_ms, end_ms) if limit is not None]
    from_start, to_end = " AND at_ms >= ?" * (start_ms is not None), " AND at_ms < ?" * (end_ms is not None)
    limits = " AND utc" * bool(given) + from_start + to_end
    within = from_start.replace("at_ms", "bin_ms") + to_end.replace("at_ms", f"bin_ms + {BIN_MS - 1}")
    within += " AND 0" * bool(bin_ms % BIN_MS)
    query = f"""SELECT utc, at_ms / ?, semantics{columns}, sum(count) FROM (
          SELECT utc, at_ms, semantics, stream, kind, place, direction, class, 1 AS count FROM counted
          WHERE kind IN ({marks}) AND counts{limits}
          UNION ALL
          SELECT 1 AS utc, bin_ms AS at_ms, semantics, stream, kind, place, direction, class, count FROM bins
          WHERE kind IN ({marks}){within})
        GROUP BY {", ".join(str(number + 1) for number in range(3 + len(by)))}"""  # noqa: S608 - own names
    found = connection.execute(query, (bin_ms, *(*kinds, *given) * 2)).fetchall()
    return [(bool(row[0]), row[1], row[2], tuple(row[3:-1]), row[-1]) for row in found]


def spans(connection: sqlite3.Connection) -> dict[tuple[str, bool], tuple[int, int]]:
    """First and last millisecond of which a ledger knows, by stream and clock (UTC is true), flows by start."""
    query = f"""SELECT stream, utc, min(first), max(last) FROM (
        SELECT stream, utc_ms IS NOT NULL AS utc, min({_AT_MS}) AS first, max({_AT_MS}) AS last
        FROM events GROUP BY 1, 2
        UNION ALL SELECT stream, 1, min(bin_ms), max(bin_ms) FROM bins GROUP BY 1) GROUP BY 1, 2"""  # noqa: S608
    return {(stream, bool(utc)): (first, last) for stream, utc, first, last in connection.execute(query)}


def outages(connection: sqlite3.Connection) -> list[tuple[str, EventKind, int, int, bool]]:
    """Times at which cameras saw nothing that counts: stream, kind, from and to in milliseconds, whether in UTC."""
    query = "SELECT stream, kind, from_ms, to_ms, utc FROM outages ORDER BY from_ms"
    return [(*row[:4], bool(row[4])) for row in connection.execute(query)]


def check_sqlite() -> str:
    """Why this Python's SQLite cannot keep a ledger; empty where it can."""
    if sqlite3.sqlite_version_info >= OLDEST_SQLITE:
        return ""
    return f"expected SQLite {'.'.join(map(str, OLDEST_SQLITE))} or newer in Python, found {sqlite3.sqlite_version}"
