"""Ledgers that a command is given: files and stores by their suffix, databases by their address."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LedgerWords", "check_out", "ledgers_of", "shown_ledger"]

LedgerWords = Annotated[
    list[str],
    typer.Argument(
        metavar="LEDGER...", help="*.events.jsonl, *.events.parquet, *.sqlite or postgresql://user@host/database."
    ),
]


def ledgers_of(words: Sequence[str]) -> list[str | Path]:
    """Paths, and addresses with ``${NAME}`` filled in from the environment.

    Raises:
        ConfigError: A variable is not set.
    """
    from tracker.settings.environment import fill_in

    return [fill_in(word) if "://" in word else Path(word) for word in words]


def check_out(out: Path | None, ledgers: Sequence[str | Path]) -> None:
    """Nothing that is read may be written over.

    Raises:
        ConfigError: It would be.
    """
    if out is None:
        return
    from tracker.sinks.claims import Claim, check_claims

    check_claims([Claim(path=out, named_by="--out")], [Claim(path=one) for one in ledgers if isinstance(one, Path)])


def shown_ledger(ledger: str | Path) -> str:
    """A ledger for messages, free of credentials."""
    from tracker.formats.postgres import PostgresAddress, is_postgres

    return PostgresAddress.parse(str(ledger)).shown if is_postgres(ledger) else str(ledger)
