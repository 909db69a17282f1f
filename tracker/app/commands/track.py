"""``masktrail track`` and ``masktrail segment``: recordings and cameras, one run over all sources."""

from __future__ import annotations

import typer

from tracker.app.console import Json, Quiet, console_for
from tracker.app.flags import takes
from tracker.settings.stream import RunSettings

__all__ = ["segment", "track"]


@takes(RunSettings, "track")
def track(settings: RunSettings, *, json_path: Json = None, quiet: Quiet = False) -> None:
    """Follow every vehicle and person of a recording or camera: annotated video, records, a table of identities."""
    _run(settings, json_path=json_path, quiet=quiet)


@takes(RunSettings, "segment", associates=False)
def segment(settings: RunSettings, *, json_path: Json = None, quiet: Quiet = False) -> None:
    """Segment without identity; --records x.coco.json holds full-resolution masks in COCO results format."""
    _run(settings, json_path=json_path, quiet=quiet)


def _run(settings: RunSettings, *, json_path: Json, quiet: bool) -> None:
    from tracker.app.run import run_on_terminal

    outcomes = run_on_terminal(settings, console=console_for(quiet=quiet), summary=json_path)
    if any(outcome.interrupted for outcome in outcomes):
        raise typer.Exit(130)
    if any(outcome.failures for outcome in outcomes):
        raise typer.Exit(1)
