"""``masktrail demo`` and ``masktrail doctor``: the first commands on a new machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracker.app.console import console_for, foreign
from tracker.app.flags import option
from tracker.errors import ConfigError
from tracker.settings.dashboard import DASHBOARD_ADDRESS, DashboardSettings
from tracker.settings.stream import RunSettings

__all__ = ["demo", "doctor"]


def demo(
    video: Annotated[str | None, typer.Argument(help="Your own video instead of the two pinned clips.")] = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder for everything that is written.")] = Path("demo-output"),
    device: Annotated[str, option(RunSettings, "device")] = "auto",
    site: Annotated[str | None, option(RunSettings, "site")] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Play the clips as endless cameras, with the dashboard.")
    ] = False,
    address: Annotated[str, option(DashboardSettings, "address")] = DASHBOARD_ADDRESS,
) -> None:
    """Track two real clips (or, without network, two rendered scenes) and show where to look."""
    if serve:
        _serve(out, video, device=device, site=site, address=address)
    from tracker.app.demo import run_demo

    outcomes = run_demo(out, video=video, device=device, console=console_for(), site=site)
    if any(outcome.failures for outcome in outcomes):
        raise typer.Exit(1)
    if any(outcome.interrupted for outcome in outcomes):
        raise typer.Exit(130)


def _serve(out: Path, video: str | None, *, device: str, site: str | None, address: str) -> None:
    """Serve until stopped, and exit."""
    from tracker.app.demo import clips_of
    from tracker.app.demo_serve import serve_demo

    if site is not None:
        problem = "expected sites to be drawn in the page, found a file"
        raise ConfigError("--site with --serve", problem, "leave it out, and import it in the page's editor")
    console = console_for()
    clips = [Path(clip) for clip in clips_of(video, console)]
    raise typer.Exit(serve_demo(out, clips, device=device, address=address, console=console))


def doctor() -> None:
    """Check versions, devices and codecs, and name the remedy for each problem."""
    from tracker.app.doctor import examine

    console = console_for()
    marks = {"ok": "[green]ok     [/green]", "note": "[yellow]note   [/yellow]", "problem": "[red]problem[/red]"}
    problems = 0
    for finding in examine():
        console.print(
            f"{marks[finding.state]} [bold]{foreign(finding.name)}[/bold]: {foreign(finding.found)}", highlight=False
        )
        if finding.remedy:
            console.print(f"        -> {foreign(finding.remedy)}", highlight=False)
        problems += finding.state == "problem"
    if problems:
        raise typer.Exit(1)
