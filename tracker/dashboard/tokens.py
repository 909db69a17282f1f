"""Tokens of machines: shown once, stored hashed, with a role, streams and an end; they never log in a browser."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from tracker.dashboard.accounts import now_ms, streams_of, streams_text
from tracker.dashboard.rights import Principal
from tracker.dashboard.sessions import hashed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracker.dashboard.accounts import AccountStore
    from tracker.dashboard.rights import Role

__all__ = ["Token", "Tokens"]

PREFIX = "mtk_"
_FORM = re.compile(r"mtk_[A-Za-z0-9_-]{43}")
USED_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token without its secret.

    Attributes:
        id: Its number.
        label: What it is for.
        role: ``viewer`` or ``operator``.
        streams: Streams that it may read; ``None`` = all.
        see_people: Whether it may have clear pictures.
        created_by: Account that made it.
        created_ms, expires_ms, used_ms: UTC; ``None`` = never.
    """

    id: int
    label: str
    role: Role
    streams: frozenset[str] | None
    see_people: bool
    created_by: str
    created_ms: int
    expires_ms: int | None
    used_ms: int | None


class Tokens:
    """Tokens of machines.

    Args:
        store: Of accounts.
        clock: UTC in milliseconds.

    Attributes:
        on_end: Called with the numbers of tokens that were removed: their sockets are closed there.
    """

    def __init__(self, store: AccountStore, clock: Callable[[], int] = now_ms) -> None:
        self._store, self._clock = store, clock
        self.on_end: Callable[[int], None] = lambda _: None

    def make(
        self,
        label: str,
        *,
        role: Role,
        streams: frozenset[str] | None,
        see_people: bool,
        created_by: str,
        expires_ms: int | None,
    ) -> tuple[int, str]:
        """A new token: its number and its secret, which is not kept."""
        secret = PREFIX + secrets.token_urlsafe(32)
        values = (hashed(secret), label, role, streams_text(streams), see_people, created_by, self._clock(), expires_ms)
        with self._store.transaction() as connection:
            row = connection.execute(
                """INSERT INTO tokens (hash, label, role, streams, see_people, created_by, created_ms, expires_ms)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
                values,
            )
            return int(row.lastrowid or 0), secret

    def principal(self, secret: str) -> Principal | None:
        """What a token may do; ``None`` where it is unknown or over."""
        if _FORM.fullmatch(secret) is None:
            return None
        query = "SELECT id, role, streams, see_people, expires_ms, used_ms FROM tokens WHERE hash = ?"
        found = self._store.rows(query, (hashed(secret),))
        if not found:
            return None
        number, role, streams, see_people, expires_ms, used_ms = found[0]
        at = self._clock()
        if expires_ms is not None and at >= expires_ms:
            return None
        if at - (used_ms or 0) > USED_MS:
            with self._store.transaction() as connection:
                connection.execute("UPDATE tokens SET used_ms = ? WHERE id = ?", (at, number))
        return Principal(
            name=f"token:{number}",
            role=cast("Role", role),
            streams=streams_of(streams),
            see_people=bool(see_people),
            token=number,
        )

    def all(self) -> list[Token]:
        """Every token, the newest first."""
        query = """SELECT id, label, role, streams, see_people, created_by, created_ms, expires_ms, used_ms
                   FROM tokens ORDER BY id DESC"""
        return [
            Token(
                id=row[0],
                label=row[1],
                role=cast("Role", row[2]),
                streams=streams_of(row[3]),
                see_people=bool(row[4]),
                created_by=row[5],
                created_ms=row[6],
                expires_ms=row[7],
                used_ms=row[8],
            )
            for row in self._store.rows(query)
        ]

    def sweep(self) -> None:
        """Close the sockets of tokens that are over; their rows stay, so that it can be seen when they ended."""
        for (number,) in self._store.rows("SELECT id FROM tokens WHERE expires_ms <= ?", (self._clock(),)):
            self.on_end(number)

    def remove(self, number: int) -> bool:
        """Remove a token; whether there was one."""
        with self._store.transaction() as connection:
            gone = connection.execute("DELETE FROM tokens WHERE id = ?", (number,)).rowcount == 1
        if gone:
            self.on_end(number)
        return gone
