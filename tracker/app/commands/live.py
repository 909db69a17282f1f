"""``masktrail live``: the cameras of a file, until stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracker.app.flags import option
from tracker.settings.service import ServiceSettings

__all__ = ["live"]


def live(
    cameras: Annotated[
        Path, typer.Argument(metavar="CAMERAS.YAML", help="The file of cameras; see docs/guide/cameras.md.")
    ],
    *,
    log: Annotated[str | None, option(ServiceSettings, "log")] = None,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Serve the web page, also if the file does not ask for it.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue recordings that were cut off.")] = False,
) -> None:
    """Follow many cameras until stopped: reconnects, records in parts, health and metrics over HTTP."""
    from tracker.service.run import run_live

    raise typer.Exit(run_live(cameras, log=log, resume=resume, dashboard=dashboard))
