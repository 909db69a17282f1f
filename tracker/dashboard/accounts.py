"""Store of accounts in SQLite, ``dashboard.sqlite``: users, sessions, tokens, and the log of what people changed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tracker.dashboard.rights import MOST_STREAMS, ROLES
from tracker.errors import ConfigError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tracker.dashboard.rights import Role

__all__ = ["FILE", "AccountStore", "LogRow", "User", "now_ms"]

FILE = "dashboard.sqlite"
APPLICATION_ID = 0x4D544442
"""``MTDB``."""
VERSION = 1

MOST_LOG_ROWS = 200_000
LONGEST_DETAIL = 500

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")

_SCHEMA = """
CREATE TABLE users (name TEXT PRIMARY KEY, role TEXT NOT NULL, password TEXT NOT NULL, streams TEXT,
  see_people INTEGER NOT NULL, created_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL) STRICT;
CREATE TABLE sessions (id TEXT PRIMARY KEY, user TEXT NOT NULL REFERENCES users(name) ON DELETE CASCADE,
  created_ms INTEGER NOT NULL, seen_ms INTEGER NOT NULL, address TEXT NOT NULL) STRICT;
CREATE INDEX sessions_by_user ON sessions (user);
CREATE TABLE tokens (id INTEGER PRIMARY KEY AUTOINCREMENT, hash TEXT NOT NULL UNIQUE, label TEXT NOT NULL,
  role TEXT NOT NULL, streams TEXT, see_people INTEGER NOT NULL, created_by TEXT NOT NULL, created_ms INTEGER NOT NULL,
  expires_ms INTEGER, used_ms INTEGER) STRICT;
CREATE TABLE log (row INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, name TEXT NOT NULL,
  address TEXT NOT NULL, what TEXT NOT NULL, detail TEXT NOT NULL) STRICT;
CREATE TABLE site_saves (stream TEXT NOT NULL, revision INTEGER NOT NULL, at_ms INTEGER NOT NULL, name TEXT NOT NULL,
  PRIMARY KEY (stream, revision)) STRICT;
CREATE TABLE validations (id INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, place TEXT NOT NULL,
  direction TEXT NOT NULL, class TEXT NOT NULL, from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL, utc INTEGER NOT NULL,
  truth INTEGER NOT NULL, name TEXT NOT NULL, at_ms INTEGER NOT NULL) STRICT;
"""

_ADDED = """
CREATE TABLE IF NOT EXISTS seen_alerts (key TEXT PRIMARY KEY, name TEXT NOT NULL, at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS count_sheets (id INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL,
  clock TEXT NOT NULL, utc_from_ms INTEGER, asked TEXT NOT NULL, seed INTEGER NOT NULL, name TEXT NOT NULL,
  at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS count_intervals (sheet INTEGER NOT NULL REFERENCES count_sheets(id) ON DELETE CASCADE,
  number INTEGER NOT NULL, from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL, stratum TEXT NOT NULL, counts TEXT,
  revision INTEGER NOT NULL, name TEXT NOT NULL, at_ms INTEGER, PRIMARY KEY (sheet, number)) STRICT;
CREATE TABLE IF NOT EXISTS runs (folder TEXT NOT NULL, recording TEXT NOT NULL, kind TEXT NOT NULL, file TEXT NOT NULL,
  name TEXT NOT NULL, at_ms INTEGER NOT NULL, begun INTEGER NOT NULL, PRIMARY KEY (folder, recording)) STRICT;
"""
"""Tables that came later; versions that do not know them leave them alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account.

    Attributes:
        name: Unique.
        role: One of :data:`tracker.dashboard.rights.ROLES`.
        streams: Streams that may be seen; ``None`` = all.
        see_people: Whether clear pictures are shown.
        created_ms: UTC.
        password: Hash.
    """

    name: str
    role: Role
    streams: frozenset[str] | None
    see_people: bool
    created_ms: int
    password: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """What was done, by whom, from where and when (UTC)."""

    row: int
    at_ms: int
    name: str
    address: str
    what: str
    detail: str


def now_ms() -> int:
    """UTC in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class AccountStore:
    """Users and the log; one connection, one statement at a time.

    Args:
        folder: Where the file is; made if missing, for this user only.

    Raises:
        ConfigError: The folder cannot be made or the file is another program's.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Made with its mode at once: hashes are nobody else's business.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
            self._prepare(path)
        except (OSError, sqlite3.Error) as failure:
            problem = f"expected a folder for accounts, found: {failure}"
            raise ConfigError(path, problem, "check `folder` of the dashboard's settings") from failure
        self._lock = threading.RLock()

    def _prepare(self, path: Path) -> None:
        connection = self._connection
        [application] = connection.execute("PRAGMA application_id").fetchone()
        [version] = connection.execute("PRAGMA user_version").fetchone()
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if (application, tables) != (0, 0) and application != APPLICATION_ID:
            problem = "expected accounts of a dashboard, found a database of another program"
            raise ConfigError(path, problem, "name another folder")
        if version > VERSION:
            problem = "expected accounts of this version, found those of a newer masktrail"
            raise ConfigError(path, problem, "update masktrail")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")
        if not tables:
            connection.executescript(
                f"BEGIN;{_SCHEMA}PRAGMA application_id = {APPLICATION_ID};PRAGMA user_version = {VERSION};COMMIT;"
            )
        connection.executescript(_ADDED)
        connection.execute("PRAGMA journal_mode = WAL")  # after the schema, so that the file's head says what it is

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything or nothing, and nobody else between."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    # ---- users ----------------------------------------------------------------------------------------------------

    def users(self) -> list[User]:
        """All accounts by name."""
        return [_user(row) for row in self.rows(f"{_SELECT} ORDER BY name")]

    def user(self, name: str) -> User | None:
        """An account by its name."""
        found = self.rows(f"{_SELECT} WHERE name = ?", (name,))
        return _user(found[0]) if found else None

    @property
    def empty(self) -> bool:
        """Whether there is no account yet."""
        return not self.rows("SELECT 1 FROM users LIMIT 1")

    def add_user(
        self,
        name: str,
        *,
        role: Role,
        password: str,
        streams: frozenset[str] | None,
        see_people: bool,
        first: bool = False,
    ) -> bool:
        """Add an account; whether the name was free, and with ``first`` whether there was none before.

        Args:
            name: See :func:`check_name`.
            role: One of :data:`tracker.dashboard.rights.ROLES`.
            password: Its hash.
            streams: Streams that may be seen; ``None`` = all.
            see_people: Whether clear pictures are shown.
            first: Only if there is no account yet.
        """
        at = now_ms()
        values = (name, role, password, streams_text(streams), see_people, at, at)
        with self.transaction() as connection:
            if first and connection.execute("SELECT 1 FROM users LIMIT 1").fetchone():
                return False
            made = connection.execute("INSERT OR IGNORE INTO users VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            return made.rowcount == 1

    def change_user(self, name: str, **changes: Any) -> None:
        """Change columns of an account; its sessions end where role, streams, rights or password change."""
        if "streams" in changes:
            changes["streams"] = streams_text(changes["streams"])
        columns = ", ".join(f"{column} = ?" for column in changes)
        with self.transaction() as connection:
            connection.execute(
                f"UPDATE users SET {columns}, changed_ms = ? WHERE name = ?",  # noqa: S608 - own names
                (*changes.values(), now_ms(), name),
            )

    def remove_user(self, name: str) -> None:
        """Remove an account with its sessions."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM users WHERE name = ?", (name,))

    # ---- log ------------------------------------------------------------------------------------------------------

    def note(self, name: str, what: str, detail: str = "", address: str = "") -> None:
        """Add a row to the log of changes; never a password or a secret."""
        values = (now_ms(), one_line(name)[:80], address[:60], what, one_line(detail)[:LONGEST_DETAIL])
        with self.transaction() as connection:
            row = connection.execute(
                "INSERT INTO log (at_ms, name, address, what, detail) VALUES (?, ?, ?, ?, ?)", values
            )
            last = row.lastrowid or 0
            if last % 1000 == 0:
                connection.execute("DELETE FROM log WHERE row <= ?", (last - MOST_LOG_ROWS,))

    def log(self, *, before: int | None = None, limit: int = 200) -> list[LogRow]:
        """The newest rows of the log, the newest first.

        Args:
            before: Rows before this one only.
            limit: At most so many.
        """
        limited = before if before is not None else 2**62
        found = self.rows("SELECT * FROM log WHERE row < ? ORDER BY row DESC LIMIT ?", (limited, limit))
        names = ("row", "at_ms", "name", "address", "what", "detail")
        return [LogRow(**dict(zip(names, row, strict=True))) for row in found]


_SELECT = "SELECT name, role, streams, see_people, created_ms, password FROM users"


def _user(row: tuple[Any, ...]) -> User:
    name, role, streams, see_people, created_ms, password = row
    return User(
        name=name,
        role=cast("Role", role),
        streams=streams_of(streams),
        see_people=bool(see_people),
        created_ms=created_ms,
        password=password,
    )


def streams_text(streams: frozenset[str] | None) -> str | None:
    """A list of streams as it is stored."""
    return None if streams is None else json.dumps(sorted(streams))


def streams_of(text: str | None) -> frozenset[str] | None:
    """The reverse of :func:`streams_text`."""
    return None if text is None else frozenset(json.loads(text))


def name_fits(name: str) -> bool:
    """Whether a name may be an account's: letters, digits and ``. _ @ -``, 64 at most."""
    return _NAME.fullmatch(name) is not None


def role_fits(role: str) -> bool:
    """Whether it is a role."""
    return role in ROLES


def streams_fit(streams: Sequence[str]) -> bool:
    """Whether a list of streams is of a size that can be kept."""
    return len(streams) <= MOST_STREAMS and all(0 < len(stream) <= 500 for stream in streams)
