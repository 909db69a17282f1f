"""Ledgers that a command is given, by suffix or address, and the columns that their rows are told apart by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["LedgerWords", "check_out", "columns_of", "ledgers_of", "shown_ledger"]

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


def columns_of(text: str, known: Mapping[str, str]) -> list[str]:
    """Names of ``--by``, each once.

    Args:
        text: With commas.
        known: What may be named, and the column that it is.

    Raises:
        ConfigError: One is not known, or two are the same column.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise ConfigError("--by", f"expected some of {', '.join(known)}, found {name!r}", "change it")
    if len({known[name] for name in names}) < len(names):
        raise ConfigError("--by", f"expected different columns, found {text!r}", "name each once")
    return names


def shown_ledger(ledger: str | Path) -> str:
    """A ledger for messages, free of credentials."""
    from tracker.formats.postgres import PostgresAddress, is_postgres

    return PostgresAddress.parse(str(ledger)).shown if is_postgres(ledger) else str(ledger)
