"""``masktrail identities``: doubtful identities of records, and new revisions with identities joined and split."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracker.app.console import Quiet, console_for, foreign
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from tracker.engine.identities import Doubts

__all__ = ["identities"]

SHOWN = 20


def identities(
    records: Annotated[Path, typer.Argument(metavar="RECORDS", help="From track --records: .jsonl, .csv, .parquet.")],
    *,
    join: Annotated[
        list[str] | None, typer.Option(metavar="A=B", help="Both numbers are one identity; repeatable.")
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option(metavar="A@TIME", help="From this second on it is another; repeatable.")
    ] = None,
    events: Annotated[
        Path | None, typer.Option(metavar="LEDGER", help="Tell this store of joined identities too: .sqlite.")
    ] = None,
    video: Annotated[Path | None, typer.Option(metavar="FILE", help="The recording, for pictures.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="PAGE.html", help="Proposals as a page.")] = None,
    quiet: Quiet = False,
) -> None:
    """Show which identities may be one or two; --join and --split write the records anew, beside the old ones."""
    from tracker.engine.identities import doubts

    console = console_for(quiet=quiet)
    if not join and not split:
        if events is not None:
            raise ConfigError(f"--events {events}", "expected it with --join, found it alone", "name what is one")
        if out is not None:
            from tracker.engine.identity_page import check_page

            check_page(out, video=video, read=[records])
        found = doubts(records)
        console.print(_table(found))
        if out is not None:
            from tracker.engine.identity_page import write_page

            write_page(out, found, name=records.name, video=video, read=[records])
            console.print(f"page -> {foreign(out)}", highlight=False, soft_wrap=True)
        return
    if out is not None or video is not None:
        option = f"--out {out}" if out is not None else f"--video {video}"
        raise ConfigError(option, "expected proposals to show, found --join or --split", "leave it out")
    _revise(records, join or [], split or [], events, quiet=quiet)


def _revise(records: Path, join: Sequence[str], split: Sequence[str], events: Path | None, *, quiet: bool) -> None:
    from tracker.engine.identities import rekeyed_events, revise
    from tracker.formats.event_store import SUFFIXES
    from tracker.formats.ledger import read_events
    from tracker.sinks.corrections import add_corrections

    console = console_for(quiet=quiet)
    if events is not None and split:
        problem = "expected joined identities only, found --split: what one number counted cannot be divided"
        remedy = "write the records, then count again: masktrail analyse NEW --site SITE --out LEDGER --revise"
        raise ConfigError(f"--events {events}", problem, remedy)
    if events is not None and events.suffix.lower() not in SUFFIXES:
        problem = f"expected a store, {' '.join(SUFFIXES)}, found {events.suffix or 'no suffix'}"
        raise ConfigError(f"--events {events}", problem, "count again with masktrail analyse")
    ledger = [] if events is None else list(read_events(events))
    revision = revise(records, joined=[_pair(text) for text in join], split=[_moment(text) for text in split])
    told = f"{revision.before} identities, now {revision.after} -> {foreign(revision.path)}"
    console.print(told, highlight=False, soft_wrap=True)
    if events is not None:
        rows = rekeyed_events(revision, ledger)
        add_corrections(events, rows)
        console.print(f"{len(rows)} identities rekeyed in {foreign(events)}", highlight=False, soft_wrap=True)


def _table(found: Doubts) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2), header_style="cyan")
    for name in ("proposal", "why", "write"):
        table.add_column(name)
    table.add_column("plausible", justify="right")
    for one in found.joins[:SHOWN]:
        why = f"{one.gap_s:.1f} s apart, {one.distance:.1f} sizes off at {one.at_s:.1f} s"
        table.add_row("one object", why, f"--join {one.first}={one.second}", f"{one.plausibility:.2f}")
    for other in found.splits[:SHOWN]:
        why = f"{other.why}, at {other.at_s:.1f} s"
        table.add_row("two objects", why, f"--split {other.identity}@{other.at_s:.2f}", f"{other.plausibility:.2f}")
    more = max(len(found.joins) - SHOWN, 0) + max(len(found.splits) - SHOWN, 0)
    if more:
        table.add_row(f"and {more} more", "", "", "")
    if not found.joins and not found.splits:
        table.add_row("none", f"{len(found.tracks)} identities", "", "")
    return table


def _pair(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,12})=(\d{1,12})", text.strip())
    if match is None or match[1] == match[2]:
        raise ConfigError("--join", f"expected two numbers such as 2=7, found {text!r}", "name both identities")
    return int(match[1]), int(match[2])


def _moment(text: str) -> tuple[int, float]:
    match = re.fullmatch(r"(\d{1,12})@(\d{1,9}(?:\.\d{1,9})?)", text.strip())
    if match is None:
        problem = f"expected a number and a time in seconds such as 5@12.4, found {text!r}"
        raise ConfigError("--split", problem, "masktrail identities shows times")
    return int(match[1]), float(match[2])
