"""Sessions: opaque identifiers of 256 bits, stored hashed, with an idle and an absolute end, revocable at once."""

from __future__ import annotations

import hashlib
import secrets
import threading
from typing import TYPE_CHECKING

from tracker.dashboard.accounts import now_ms
from tracker.dashboard.rights import Principal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracker.dashboard.accounts import AccountStore

__all__ = ["ABSOLUTE_S", "IDLE_S", "Sessions", "csrf_of", "hashed"]

IDLE_S = 12 * 3600.0
ABSOLUTE_S = 7 * 86_400.0
MOST_PER_USER = 20
TOUCH_MS = 60_000
"""The last use is stored once a minute at most."""


def hashed(secret: str) -> str:
    """SHA-256 of a random secret: 256 bits need no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def csrf_of(secret: str) -> str:
    """The CSRF token of a session; who knows it cannot find the session's identifier from it."""
    return hashlib.sha256(b"csrf\0" + secret.encode()).hexdigest()


class Sessions:
    """Sessions of people who are logged in.

    Args:
        store: Of accounts.
        clock: UTC in milliseconds.

    Attributes:
        on_end: Called with the hashes of sessions that ended, from whatever thread: their sockets are closed there.
    """

    def __init__(self, store: AccountStore, clock: Callable[[], int] = now_ms) -> None:
        self._store, self._clock = store, clock
        self.on_end: Callable[[set[str]], None] = lambda _: None
        self._swept_ms = 0
        self._lock = threading.Lock()

    def begin(self, user: str, address: str) -> str:
        """A new session; returns its identifier, which nothing here keeps."""
        secret = secrets.token_urlsafe(32)
        at = self._clock()
        with self._store.transaction() as connection:
            connection.execute(
                "INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", (hashed(secret), user, at, at, address[:60])
            )
            older = connection.execute(
                "SELECT id FROM sessions WHERE user = ? ORDER BY seen_ms DESC LIMIT -1 OFFSET ?", (user, MOST_PER_USER)
            ).fetchall()
            connection.executemany("DELETE FROM sessions WHERE id = ?", older)
        self._ended({row[0] for row in older})
        return secret

    def principal(self, secret: str) -> Principal | None:
        """Whose session it is; ``None`` where it is unknown or over."""
        at, key = self._clock(), hashed(secret)
        found = self._store.rows("SELECT user, created_ms, seen_ms FROM sessions WHERE id = ?", (key,))
        if not found:
            return None
        name, created_ms, seen_ms = found[0]
        if at - seen_ms > IDLE_S * 1000 or at - created_ms > ABSOLUTE_S * 1000:
            self.end(key)
            return None
        user = self._store.user(name)
        if user is None:
            return None
        if at - seen_ms > TOUCH_MS:
            with self._store.transaction() as connection:
                connection.execute("UPDATE sessions SET seen_ms = ? WHERE id = ?", (at, key))
        return Principal(name=name, role=user.role, streams=user.streams, see_people=user.see_people, session=key)

    def end(self, *keys: str) -> None:
        """End sessions by their hashes."""
        with self._store.transaction() as connection:
            connection.executemany("DELETE FROM sessions WHERE id = ?", [(key,) for key in keys])
        self._ended(set(keys))

    def end_all(self, user: str, *, but: str = "") -> None:
        """End all sessions of an account, but for the one with this hash."""
        keys = {row[0] for row in self._store.rows("SELECT id FROM sessions WHERE user = ? AND id <> ?", (user, but))}
        self.end(*keys)

    def sweep(self) -> None:
        """End what is over; once a minute is enough."""
        at = self._clock()
        with self._lock:
            if at - self._swept_ms < TOUCH_MS:
                return
            self._swept_ms = at
        over = self._store.rows(
            "SELECT id FROM sessions WHERE seen_ms < ? OR created_ms < ?",
            (at - round(IDLE_S * 1000), at - round(ABSOLUTE_S * 1000)),
        )
        if over:
            self.end(*(row[0] for row in over))

    def _ended(self, keys: set[str]) -> None:
        if keys:
            self.on_end(keys)
