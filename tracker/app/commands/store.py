"""``masktrail store``: backup, check and compaction of ledgers and of the dashboard's accounts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracker.app.checked import CheckedCommand
from tracker.app.console import Quiet, console_for, foreign, steps

__all__ = ["store_app"]

store_app = typer.Typer(help="Stores in SQLite: backup, check, compaction.", no_args_is_help=True)

Store = Annotated[Path, typer.Argument(metavar="STORE", help="A ledger *.sqlite, or the dashboard's dashboard.sqlite.")]


@store_app.command(name="backup", cls=CheckedCommand)
def store_backup(
    store: Store,
    out: Annotated[Path, typer.Argument(metavar="COPY", help="Where the copy goes.")],
    *,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an older copy.")] = False,
    quiet: Quiet = False,
) -> None:
    """Copy a store as it stands, while others write it; to restore, stop the service and put the copy in its place."""
    from tracker.sinks.store_care import back_up

    console = console_for(quiet=quiet)
    with steps(console, "copying") as show:
        facts = back_up(store, out, replace=replace, progress=lambda done, of: show(store.name, done, of))
    what = "events" if facts.kind == "ledger" else "accounts"
    text = f"{foreign(store)} -> {foreign(out)}: {facts.rows:,} {what}, {facts.size / 1e6:.1f} MB, whole"
    console.print(text, highlight=False, soft_wrap=True)


@store_app.command(name="check", cls=CheckedCommand)
def store_check(store: Store) -> None:
    """Read all of a store and say what it holds; a damaged one is an error."""
    from tracker.sinks.store_care import check

    facts, console = check(store), console_for()
    what = "events" if facts.kind == "ledger" else "accounts"
    console.print(f"{foreign(store)}: whole, {facts.rows:,} {what}, {facts.size / 1e6:.1f} MB", highlight=False)
    for stream, count in facts.streams.items():
        console.print(f"  {foreign(stream)}: {count:,}", highlight=False, soft_wrap=True)


@store_app.command(name="compact", cls=CheckedCommand)
def store_compact(store: Store) -> None:
    """Give back the space of removed rows; stop the service first."""
    from tracker.sinks.store_care import compact

    before, after = compact(store)
    console_for().print(
        f"{foreign(store)}: {before / 1e6:.1f} MB -> {after / 1e6:.1f} MB", highlight=False, soft_wrap=True
    )
