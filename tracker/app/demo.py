"""`masktrail demo`: clips tracked with video, records and a contact sheet."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.app.clips import CLIPS, NoNetworkError, fetch, rendered
from tracker.app.console import foreign
from tracker.app.run import run_on_terminal
from tracker.errors import SinkError
from tracker.settings.site_file import read_site
from tracker.settings.stream import RunSettings
from tracker.sinks.claims import Claim, check_claims
from tracker.sources.address import expand_sources

if TYPE_CHECKING:
    from rich.console import Console

    from tracker.app.clips import Clip
    from tracker.engine.run import Outcome
    from tracker.site import Site

__all__ = ["clips_of", "run_demo"]

SHEET = "contact-sheet.png"


def run_demo(out: Path, *, video: str | None, device: str, console: Console, site: str | None = None) -> list[Outcome]:
    """Track the given video, or the two pinned clips, or without network two rendered ones.

    Args:
        out: Folder for everything that is written; made if missing.
        video: A source of the user's, or ``None``.
        device: As for ``masktrail track``.
        console: Progress and tables go there.
        site: A site's file: its lines and zones are drawn, and counted on the contact sheet too.

    Returns:
        One outcome per video.
    """
    files = [] if video is None else [file for address in expand_sources(video) for file in address.local_files]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(out, f"cannot be made: {error.strerror}", "choose another folder with --out") from error
    check_claims([Claim(path=out / SHEET, named_by="--out")], [Claim(path=file, named_by="source") for file in files])
    marked = None if site is None else read_site(site)
    sources = [video] if video is not None else _clips(console)
    outcomes = []
    for source in sources:
        settings = RunSettings(
            sources=(source,),
            device=device,
            site=site,
            save=str(out / "{name}.tracked.mp4"),
            records=(str(out / "{name}.tracks.jsonl"), str(out / "{name}.mot.txt")),
        )
        outcomes += run_on_terminal(settings, console=console, brief=True)
        if outcomes[-1].interrupted:
            break
    _finish(out, outcomes, console, marked)
    return outcomes


def clips_of(video: str | None, console: Console) -> list[str]:
    """Files of the user's source, or of the two pinned clips, or without network of two rendered ones."""
    if video is None:
        return _clips(console)
    return [str(file) for address in expand_sources(video) for file in address.local_files]


def _clips(console: Console) -> list[str]:
    try:
        return [str(_fetch(clip, console)) for clip in CLIPS]
    except NoNetworkError as error:
        found = f"[yellow]No network[/yellow]: {foreign(error.offender)}: {foreign(error.problem)}"
        console.print(found, highlight=False, soft_wrap=True)
        remedy = f"{foreign(error.remedy)}. The demo uses two rendered clips instead."
        console.print(remedy, highlight=False, soft_wrap=True)
        return [str(rendered(name)) for name in ("road", "shop")]


def _fetch(clip: Clip, console: Console) -> Path:
    """The clip, with a progress bar while it is downloaded."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn(f"downloading {clip.name}"), BarColumn(24), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        path = fetch(clip, lambda received, total: progress.update(task, completed=received, total=total))
    console.print(f"[dim]{clip.name}: {foreign(path)}  ({clip.credit})[/dim]", highlight=False, soft_wrap=True)
    return path


def _finish(out: Path, outcomes: list[Outcome], console: Console, site: Site | None) -> None:
    """The contact sheet and where to look."""
    from tracker.app.overview import write_contact_sheet
    from tracker.engine.marks import site_legend

    videos = [Path(path) for outcome in outcomes for path in outcome.outputs if path.endswith(".mp4")]
    legends = {
        path: site_legend(site, outcome.tally)
        for outcome in outcomes
        for path in outcome.outputs
        if site is not None and outcome.tally is not None
    }
    if videos:
        sheet = out / SHEET
        write_contact_sheet(sheet, videos, legends=legends)
        console.print(
            f"Look at [bold]{foreign(sheet)}[/bold] first, then at the videos:", highlight=False, soft_wrap=True
        )
        for path in videos:
            console.print(f"  {foreign(path)}", highlight=False, soft_wrap=True)
        console.print("or at both in the browser:", highlight=False)
        console.print(f"  masktrail dashboard {foreign(shlex.quote(str(out)))}", highlight=False, soft_wrap=True)
