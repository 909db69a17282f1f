"""``masktrail store``: backup, check and compaction of ledgers and of the dashboard's accounts; pruning of ledgers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracker.app.checked import CheckedCommand
from tracker.app.console import Json, Quiet, console_for, foreign, steps

__all__ = ["store_app"]

store_app = typer.Typer(help="Stores in SQLite: backup, check, compaction, pruning.", no_args_is_help=True)

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
    if facts.deleted:
        console.print(f"  deleted by age: {facts.deleted:,}; their counts are in bins of 15 minutes", highlight=False)
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


@store_app.command(name="prune", cls=CheckedCommand)
def store_prune(
    store: Store,
    *,
    events_days: Annotated[
        float | None, typer.Option(metavar="DAYS", min=0, help="Delete events older than this; their counts stay.")
    ] = None,
    bins_days: Annotated[
        float | None, typer.Option(metavar="DAYS", min=0, help="Delete counts of deleted events older than this.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how much it would be.")] = False,
    quiet: Quiet = False,
    json_path: Json = None,
) -> None:
    """Delete old events in small batches, while others write; what they counted stays, in bins of 15 minutes.

    Outages stay, and events without a wall clock, whose age is not known. `masktrail store compact` gives back the
    space.
    """
    import dataclasses
    import json
    import time

    from tracker.errors import ConfigError
    from tracker.sinks.part_file import write_whole
    from tracker.sinks.retention import DAY_MS, prune

    if events_days is None and bins_days is None:
        raise ConfigError("masktrail store prune", "expected an age, found none", "add --events-days 90, say")
    now_ms = round(time.time() * 1000)
    console = console_for(quiet=quiet)
    with steps(console, "deleting") as show:
        done = prune(
            store,
            events_before_ms=None if events_days is None else now_ms - round(events_days * DAY_MS),
            bins_before_ms=None if bins_days is None else now_ms - round(bins_days * DAY_MS),
            dry_run=dry_run,
            progress=lambda rows: show(f"{rows:,} events", 0, 0),
        )
    verb = "would be deleted" if dry_run else "deleted"
    text = f"{foreign(store)}: {done.events:,} events {verb}, {done.counted:,} of them counted on in bins"
    text += f"; {done.bins:,} bins {verb}" * (bins_days is not None)
    text += f"; {done.undated:,} events without a wall clock stay" * (done.undated > 0)
    console.print(text, highlight=False, soft_wrap=True)
    if json_path is not None:
        write_whole(json_path, json.dumps(dataclasses.asdict(done)).encode())
