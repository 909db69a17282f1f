"""``masktrail batch``: many recordings into tables, several at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracker.app.console import Json, Quiet, console_for
from tracker.app.flags import takes
from tracker.settings.stream import RunSettings

__all__ = ["batch"]


@takes(RunSettings, "track")
def batch(
    settings: RunSettings,
    *,
    out: Annotated[str, typer.Option(metavar="PLACE", help="Folder, or s3://bucket/prefix, for tables and manifests.")],
    resume: Annotated[bool, typer.Option("--resume", help="Leave out recordings that are done.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be done, with its time; do nothing.")] = False,
    price: Annotated[
        float | None, typer.Option(metavar="PER_HOUR", help="What an hour of this machine costs, for --plan.", min=0)
    ] = None,
    processes: Annotated[
        int | None, typer.Option(metavar="N", help="Recordings at a time; by default one per core.", min=1, max=1024)
    ] = None,
    split: Annotated[
        bool, typer.Option("--split", help="One recording at a time, its chunks segmented by all processes.")
    ] = False,
    keep_instances: Annotated[
        bool, typer.Option("--keep-instances", help="Keep instances too, to track again without the video.")
    ] = False,
    scratch: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="For copies of what lies in object storage.")
    ] = None,
    json_path: Json = None,
    quiet: Quiet = False,
) -> None:
    """Track many recordings, several at a time: tables per recording that are whole or absent, and can be resumed."""
    from tracker.app.batch import run_batch, show_plan
    from tracker.batch.run import plan_batch

    folder = None if scratch is None else str(scratch)
    planned = plan_batch(settings, out, resume=resume or plan, instances=keep_instances, scratch=folder)
    console = console_for(quiet=quiet)
    if plan:
        show_plan(planned, settings, console=console, processes=processes, price=price)
        return
    status = run_batch(planned, settings, console=console, processes=processes, split=split, summary=json_path)
    if status:
        raise typer.Exit(status)
