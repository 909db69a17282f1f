"""Runs that are not over, kept in the store of accounts: after a restart they are known as interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

if TYPE_CHECKING:
    from tracker.dashboard.accounts import AccountStore

__all__ = ["Kind", "Left", "RunBook"]

Kind = Literal["track", "count"]


class Left(NamedTuple):
    """A run that was not over: recording, what it was for, its file, who asked when, and whether it had begun."""

    name: str
    kind: Kind
    file: Path
    by: str
    asked_ms: int
    begun: bool


class RunBook:
    """Runs of one folder of results.

    Args:
        store: Of accounts.
        folder: Of results.
    """

    def __init__(self, store: AccountStore, folder: Path) -> None:
        self._store, self._folder = store, folder

    def left(self) -> list[Left]:
        """What was not over when the last dashboard of the folder ended, in the order in which it was asked for."""
        query = "SELECT recording, kind, file, name, at_ms, begun FROM runs WHERE folder = ? ORDER BY at_ms, rowid"
        return [
            Left(name, cast("Kind", kind), self._folder / file, by, at_ms, bool(begun))
            for name, kind, file, by, at_ms, begun in self._store.rows(query, (str(self._folder),))
        ]

    def note(self, run: Left) -> None:
        """Remember a run that is not over."""
        file = run.file.relative_to(self._folder).as_posix()
        values = str(self._folder), run.name, run.kind, file, run.by, run.asked_ms, int(run.begun)
        with self._store.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def forget(self, name: str) -> None:
        """A run is over, or given up."""
        with self._store.transaction() as connection:
            connection.execute("DELETE FROM runs WHERE folder = ? AND recording = ?", (str(self._folder), name))
