"""``masktrail analyse``: counts of lines and zones from recorded tracks, without the video."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracker.app.console import Quiet, console_for, error_console, foreign, show_table, steps
from tracker.app.flags import option, settings_from
from tracker.app.ledgers import ledgers_of, shown_ledger
from tracker.errors import ConfigError
from tracker.settings.stream import RunSettings, StreamSettings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from tracker.analytics.comparison import Compared
    from tracker.engine.analyse import Analysed
    from tracker.engine.recorded import Reading

__all__ = ["analyse"]

TITLES = {"crossing": "line", "enter": "zone", "loitering": "zone", "flow": "flow"}


def analyse(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RECORDS...",
            help="From track --records: .jsonl, .csv, .parquet or .txt, or .instances; parts of a camera's in order; "
            "or the output of one masktrail batch, all of its recordings.",
        ),
    ],
    *,
    site: Annotated[
        Path | None,
        typer.Option(
            metavar="SITE.yaml",
            help="Lines and zones to count; by default NAME.site.yaml beside the records, else site.yaml there.",
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="LEDGER", help="Write the events: .jsonl, .parquet, or .sqlite, a store; postgresql://..."
        ),
    ] = None,
    revise: Annotated[
        bool, typer.Option("--revise", help="A store that counted otherwise gets these events as a new edition.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing: show what this site would have counted.")
    ] = False,
    against: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --dry-run: a ledger, or the site as it was, to compare with."),
    ] = None,
    audit: Annotated[
        Path | None, typer.Option(metavar="PAGE.html", help="Also write what was counted and what nearly was.")
    ] = None,
    video: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --audit: the recording, for a still.")
    ] = None,
    boxes: Annotated[
        bool, typer.Option("--boxes", help="Count by the boxes' lower edges, for rows without contacts.")
    ] = False,
    fps: Annotated[
        float | None, typer.Option(min=0.01, help="Frames per second of rows that have frame numbers only.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Of the picture, where neither rows nor site say: 1920x1080.")
    ] = None,
    stream: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the recording in the events; by default as it was tracked.")
    ] = None,
    start_at: Annotated[str | None, option(RunSettings, "start_at")] = None,
    heatmap: Annotated[
        bool, typer.Option("--heatmap", help="With --out store.sqlite: seconds and visits by cell of the picture too.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Count lines and zones afterwards, from recorded tracks."""
    from tracker.app.batches import is_batch
    from tracker.engine import analyse as engine
    from tracker.engine.recorded import Reading

    site = site or _site_beside(words)
    _check_options(out, dry_run=dry_run, against=against, audit=audit, video=video, revise=revise)
    console = console_for(quiet=quiet)
    ledger = None if out is None else ledgers_of([out])[0]
    kept = {"heatmap": True, "events": () if ledger is None else (str(ledger),)} if heatmap else {}
    settings = settings_from(StreamSettings, {"start_at": start_at}, **kept)
    reading = Reading(fps=fps, size=_size(size), by_boxes=boxes, stream=stream or "")
    if any(map(is_batch, words)):
        from tracker.app.analyse_batch import Recounting, analyse_batch

        _check_batch(words, stream=stream, audit=audit)
        asked = Recounting(site=site, out=ledger, revise=revise, dry_run=dry_run, against=against)
        found = analyse_batch(words[0], asked, settings, reading, console)
        _tell(found, ledger, console, compared=dry_run, against=against is not None)
        return
    records = [Path(word) for word in words]
    with steps(console, "counting") as show:

        def progress(frames: int, _seconds: float) -> None:
            if frames % PROGRESS_FRAMES == 0:
                show(records[0].name, frames, frames)

        if dry_run:
            found = engine.dry_run(records, site, against, settings=settings, reading=reading, progress=progress)
        else:
            found = engine.analyse(
                records, site, ledger, revise=revise, settings=settings, reading=reading, progress=progress
            )
    _tell(found, ledger, console, compared=dry_run, against=against is not None)
    if audit is not None:
        _audit(records, site, audit, video, settings, reading, console)


PROGRESS_FRAMES = 500


def _site_beside(words: list[str]) -> Path:
    """The site that was drawn on the recording.

    Raises:
        ConfigError: There is none.
    """
    from tracker.settings.recording_site import recording_name, site_beside

    records = Path(words[0])
    found = site_beside(records.parent, recording_name(records.name))
    if found.present is None:
        problem = f"expected lines and zones to count, found neither {found.own.name} nor {found.shared.name} beside it"
        raise ConfigError(words[0], problem, "name them: --site SITE.yaml")
    return found.present


def _check_options(
    out: str | None, *, dry_run: bool, against: Path | None, audit: Path | None, video: Path | None, revise: bool
) -> None:
    """Refuse options that would do nothing.

    Raises:
        ConfigError: There is one.
    """
    if dry_run and out is not None:
        raise ConfigError(
            f"--out {shown_ledger(out)}",
            "expected nothing to write in a dry run, found a ledger",
            "leave one of both out",
        )
    if against is not None and not dry_run:
        raise ConfigError(f"--against {against}", "expected it with --dry-run, found it alone", "add --dry-run")
    if revise and out is None:
        raise ConfigError("--revise", "expected a store to add to, found no --out", "name it: --out store.sqlite")
    if video is not None and audit is None:
        raise ConfigError(f"--video {video}", "expected it with --audit, found it alone", "add --audit PAGE.html")


def _check_batch(words: list[str], *, stream: str | None, audit: Path | None) -> None:
    """Refuse what is of one recording.

    Raises:
        ConfigError: There is something.
    """
    if len(words) > 1:
        problem = f"expected the output of one batch, found {len(words)} sources"
        raise ConfigError(words[1], problem, "analyse each batch by itself; a store takes them all")
    for name, given in (("--stream", stream), ("--audit", audit)):
        if given is not None:
            problem = "expected records of one recording, found the output of a batch"
            raise ConfigError(f"{name} {given}", problem, "name the recording's file below records/")


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,5})[xX]([1-9]\d{0,5})", text.strip())
    if found is None:
        raise ConfigError("--size", f"expected width and height such as 1920x1080, found {text!r}", "change it")
    return int(found[1]), int(found[2])


def _tell(found: Analysed, out: str | Path | None, console: Console, *, compared: bool, against: bool) -> None:
    """One line about the run, then what was counted."""
    from tracker.app.counts import counts_table

    target = "" if out is None else f" -> {foreign(shown_ledger(out))}"
    minutes, seconds = divmod(round(found.seconds), 60)
    text = f"{foreign(found.stream)}: {found.events} events in {minutes}:{seconds:02d} of tracks{target}"
    console.print(text, highlight=False, soft_wrap=True)
    for note in found.notes:
        error_console().print(f"note: {foreign(note)}", highlight=False, soft_wrap=True)
    show_table(console, comparison_table(found.compared, against=against) if compared else counts_table(found.tally))


def comparison_table(rows: list[Compared], *, against: bool) -> Table:
    """Counts before and after, and how many of each the other does not have."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), header_style="cyan")
    table.add_column("")
    table.add_column("")
    for name in ("was", "now", "new", "gone") if against else ("now",):
        table.add_column(name, justify="right")
    for row in rows:
        what = {"enter": f"{row.place} entered", "loitering": f"{row.place} loitering"}.get(row.kind, row.place)
        counts = [row.before, row.after, row.new, row.gone] if against else [row.after]
        cells = ["-" if count is None else str(count) for count in counts]
        table.add_row(TITLES[row.kind], foreign(f"{what} {row.direction}".strip()), *cells)
    return table


def _audit(
    records: list[Path],
    site: Path,
    page: Path,
    video: Path | None,
    settings: StreamSettings,
    reading: Reading,
    console: Console,
) -> None:
    from tracker.app.commands.audit import audit_line
    from tracker.engine.audit import audit_recorded

    with steps(console, "auditing") as show:
        found = audit_recorded(
            records,
            site,
            page,
            video=video,
            settings=settings,
            reading=reading,
            progress=lambda done: show(records[0].name, done, done),
        )
    console.print(audit_line(records[0], found, page), highlight=False, soft_wrap=True)
