"""``masktrail batch``: many recordings into tables, several at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracker.app.console import Json, Quiet, console_for
from tracker.app.flags import takes
from tracker.errors import ConfigError
from tracker.settings.stream import BatchSettings

__all__ = ["batch"]

ENGINES = ("local", "ray")
SOURCES = (
    "Videos, folders with videos below them, patterns, lists (.txt), and s3://, gs://, abfs:// and az:// addresses."
)


@takes(BatchSettings, "track", sources=SOURCES)
def batch(
    settings: BatchSettings,
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
    engine: Annotated[str, typer.Option(metavar="NAME", help="local: this machine; ray: a cluster.")] = "local",
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Of the Ray cluster; by default the one that runs here.")
    ] = None,
    gpus: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of a card per process, with --engine ray.", min=0, max=8)
    ] = 0.0,
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
    from tracker.app.batch import Workers, run_batch, show_plan
    from tracker.batch.run import plan_batch

    if engine not in ENGINES:
        raise ConfigError("--engine", f"expected one of {', '.join(ENGINES)}, found {engine!r}", "choose one of them")
    if engine == "local" and (address is not None or gpus):
        given = "--address" if address is not None else "--gpus"
        raise ConfigError(
            given, "expected it with --engine ray, found --engine local", "leave it out, or add the engine"
        )
    if settings.economy != "off" and (split or keep_instances):
        given, why = ("--split", "its chunks are") if split else ("--keep-instances", "every frame is")
        problem = f"expected `--economy off`, because {why} segmented before anything is tracked, found auto"
        raise ConfigError(given, problem, "leave one of the two out")
    folder = None if scratch is None else str(scratch)
    planned = plan_batch(settings, out, resume=resume or plan, instances=keep_instances, scratch=folder)
    console = console_for(quiet=quiet)
    if plan:
        show_plan(planned, settings, console=console, processes=processes, price=price)
        return
    workers = Workers(engine=engine, processes=processes, split=split, address=address, gpus=gpus)
    status = run_batch(planned, settings, workers, console=console, summary=json_path)
    if status:
        raise typer.Exit(status)
