"""``masktrail identities``: doubtful identities of records, and new revisions with identities joined and split."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracker.app.console import Quiet, console_for, error_console, foreign, show_table
from tracker.errors import ConfigError
from tracker.formats.annotation import Tool

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
    video: Annotated[Path | None, typer.Option(metavar="FILE", help="The recording: pictures, and its name.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Proposals as a page, .html; tracks to correct: .xml .zip .json."),
    ] = None,
    tool: Annotated[
        Tool | None, typer.Option("--export", help="Write the tracks for CVAT for video 1.1 or Label Studio to --out.")
    ] = None,
    masks: Annotated[bool, typer.Option(help="CVAT: silhouettes too.")] = True,
    corrected: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Tracks that were corrected there: .xml .zip .json.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Another class that may be chosen there; repeatable.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Show which identities may be one or two; --join, --split, --corrected write the records anew, beside the old."""
    _check_words(join, split, events, video, out, tool, corrected, label)
    if tool is not None:
        assert out is not None  # noqa: S101 - checked
        _export(records, out, tool, masks=masks, labels=label or [], video=video, quiet=quiet)
    elif corrected is not None:
        _correct(records, corrected, label or [], events, quiet=quiet)
    elif join or split:
        _revise(records, join or [], split or [], events, quiet=quiet)
    else:
        _show(records, out, video, quiet=quiet)


def _check_words(
    join: Sequence[str] | None,
    split: Sequence[str] | None,
    events: Path | None,
    video: Path | None,
    out: Path | None,
    tool: Tool | None,
    corrected: Path | None,
    label: Sequence[str] | None,
) -> None:
    """Refuse options that do not belong together."""
    from tracker.formats.event_store import SUFFIXES

    doing = [name for name, value in (("--export", tool), ("--corrected", corrected)) if value is not None]
    doing += ["--join or --split"] if join or split else []
    if len(doing) > 1:
        raise ConfigError(doing[0], f"expected it alone, found {doing[1]} too", "do one after the other")
    if tool is not None and out is None:
        raise ConfigError(f"--export {tool}", "expected a file to write, found none", "name it: --out tracks.xml")
    if label and tool is None and corrected is None:
        raise ConfigError(
            f"--label {label[0]}", "expected it with --export or --corrected, found neither", "leave it out"
        )
    if doing and tool is None and (out is not None or video is not None):
        option = f"--out {out}" if out is not None else f"--video {video}"
        raise ConfigError(option, f"expected proposals to show, found {doing[0]}", "leave it out")
    if events is None:
        return
    if not doing or tool is not None:
        problem = f"expected it with --join or --corrected, found {'--export' if tool else 'it alone'}"
        raise ConfigError(f"--events {events}", problem, "name what is one")
    if split:
        problem = "expected joined identities only, found --split: what one number counted cannot be divided"
        remedy = "write the records, then count again: masktrail analyse NEW --site SITE --out LEDGER --revise"
        raise ConfigError(f"--events {events}", problem, remedy)
    if events.suffix.lower() not in SUFFIXES:
        problem = f"expected a store, {' '.join(SUFFIXES)}, found {events.suffix or 'no suffix'}"
        raise ConfigError(f"--events {events}", problem, "count again with masktrail analyse")


def _show(records: Path, out: Path | None, video: Path | None, *, quiet: bool) -> None:
    from tracker.engine.identities import doubts

    console = console_for(quiet=quiet)
    if out is not None:
        from tracker.engine.identity_page import check_page

        check_page(out, video=video, read=[records])
    found = doubts(records)
    show_table(console, _table(found))
    if out is not None:
        from tracker.engine.identity_page import write_page

        write_page(out, found, name=records.name, video=video, read=[records])
        console.print(f"page -> {foreign(out)}", highlight=False, soft_wrap=True)


def _export(
    records: Path, out: Path, tool: Tool, *, masks: bool, labels: Sequence[str], video: Path | None, quiet: bool
) -> None:
    from tracker.engine.annotation_export import export_annotations

    console = console_for(quiet=quiet)
    done = export_annotations(records, out, tool, masks=masks, labels=labels, video=video)
    console.print(f"{done.identities} identities -> {foreign(done.path)}", highlight=False, soft_wrap=True)
    console.print(f"labels of the project -> {foreign(done.labels)}", highlight=False, soft_wrap=True)
    _tell_left_out(done.left_out)


def _correct(records: Path, corrected: Path, labels: Sequence[str], events: Path | None, *, quiet: bool) -> None:
    from tracker.engine.annotation_compare import corrections_of
    from tracker.engine.annotation_export import temporary_table
    from tracker.engine.annotation_import import corrected_summary, write_corrected
    from tracker.engine.identities import correction_events
    from tracker.formats.ledger import read_events
    from tracker.sinks.corrections import add_corrections

    console = console_for(quiet=quiet)
    ledger = [] if events is None else list(read_events(events))
    with temporary_table() as table:
        found = corrections_of(records, corrected, table, labels=labels)
        summary = corrected_summary(found)
        if events is not None and summary.recount:
            problem = f"expected joined identities and other classes only, found {', '.join(summary.recount)}"
            remedy = "leave --events out, then count again: masktrail analyse NEW --site SITE --out LEDGER --revise"
            raise ConfigError(f"--events {events}", problem, remedy)
        write_corrected(found)
    _tell_left_out(found.left_out)
    if summary.path is None:
        console.print("no corrections: nothing was written", highlight=False)
        return
    told = f"{summary.before} identities, now {summary.after} -> {foreign(summary.path)}"
    console.print(told, highlight=False, soft_wrap=True)
    for name, count in found.counts.items():
        console.print(f"{count} {name}", highlight=False)
    if events is not None:
        rows = correction_events(
            ledger,
            summary.rekeyed,
            stream=found.facts.stream,
            named=summary.named,
            reclassified=summary.reclassified,
        )
        add_corrections(events, rows)
        console.print(f"{len(rows)} corrections in {foreign(events)}", highlight=False, soft_wrap=True)


def _tell_left_out(left_out: Mapping[str, int]) -> None:
    for name, count in left_out.items():
        error_console().print(f"left out: {count} {foreign(name)}", highlight=False, soft_wrap=True)


def _revise(records: Path, join: Sequence[str], split: Sequence[str], events: Path | None, *, quiet: bool) -> None:
    from tracker.engine.identities import rekeyed_events, revise
    from tracker.formats.ledger import read_events
    from tracker.sinks.corrections import add_corrections

    console = console_for(quiet=quiet)
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

    table = Table(box=None, padding=(0, 1), header_style="cyan")
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
