"""``masktrail bench``: where the milliseconds go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracker.app.checked import CheckedCommand
from tracker.app.console import Json, console_for
from tracker.app.flags import option
from tracker.settings.stream import DEFAULT_MODEL, RunSettings

__all__ = ["bench_app"]

bench_app = typer.Typer(help="Where the milliseconds go.", no_args_is_help=True)


@bench_app.command(name="pipeline", cls=CheckedCommand)
def bench_pipeline_command(
    video: Annotated[
        str | None, typer.Argument(help="A video; the traffic clip or a rendered road where not given.")
    ] = None,
    *,
    model: Annotated[str, option(RunSettings, "model")] = DEFAULT_MODEL,
    device: Annotated[str, option(RunSettings, "device")] = "auto",
    frames: Annotated[int, typer.Option(min=16, help="Most frames to use.")] = 300,
    rounds: Annotated[int, typer.Option(min=1, help="How often bare model and pipeline run in turn.")] = 3,
    batch: Annotated[int | None, option(RunSettings, "batch")] = None,
    json_path: Json = None,
) -> None:
    """Every CPU millisecond of a frame by stage, and the pipeline's speed against the bare model's."""
    from tracker.app.benchmarks import run_pipeline_bench
    from tracker.segment.zoo import model_files
    from tracker.sinks.summary import open_summary

    with open_summary(json_path, inputs=[*_local_files(video), *model_files(model)]) as write_summary:
        results = run_pipeline_bench(
            video, model=model, device=device, frames=frames, rounds=rounds, batch=batch, console=console_for()
        )
        write_summary(results)


@bench_app.command(name="gpu", cls=CheckedCommand)
def bench_gpu_command(
    video: Annotated[str | None, typer.Argument(help="As for `masktrail bench pipeline`.")] = None,
    *,
    model: Annotated[str, option(RunSettings, "model")] = DEFAULT_MODEL,
    device: Annotated[str, option(RunSettings, "device")] = "cuda",
    batch: Annotated[int | None, option(RunSettings, "batch")] = None,
    fp16: Annotated[bool, option(RunSettings, "fp16")] = False,
    json_path: Json = None,
) -> None:
    """A card: its name and provider, whether it segments as the CPU does, and how many frames per second."""
    from tracker.app.benchmarks import run_gpu_bench
    from tracker.segment.zoo import model_files
    from tracker.sinks.summary import open_summary

    with open_summary(json_path, inputs=[*_local_files(video), *model_files(model)]) as write_summary:
        results = run_gpu_bench(video, model=model, device=device, batch=batch, fp16=fp16, console=console_for())
        write_summary(results)
    if not results["agrees"]:
        raise typer.Exit(1)


@bench_app.command(name="associate", cls=CheckedCommand)
def bench_associate_command(
    *,
    objects: Annotated[
        list[int] | None, typer.Option(min=1, help="Objects in view; may be given several times. 1 to 1,000 else.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Runs in turn; of each frame the least counts.")] = 3,
    json_path: Json = None,
) -> None:
    """Association alone: thread-CPU milliseconds per frame at 1 to 1,000 objects, boxes only and with masks.

    Beside it roboflow's ByteTrack where `pip install trackers` was done; "ratio" is its time over ours.
    """
    from tracker.app.benchmarks import run_associate_bench
    from tracker.sinks.summary import open_summary

    with open_summary(json_path) as write_summary:
        write_summary(run_associate_bench(console=console_for(), objects=objects or (), rounds=rounds))


@bench_app.command(name="memory", cls=CheckedCommand)
def bench_memory_command(
    *,
    minutes: Annotated[
        float, typer.Option(min=0.1, help="Length of the stream, at 25 fps, run as fast as it goes.")
    ] = 20,
    json_path: Json = None,
) -> None:
    """Resident memory over a long stream of synthetic frames: it must stay flat."""
    from tracker.app.benchmarks import run_memory_bench
    from tracker.sinks.summary import open_summary

    with open_summary(json_path) as write_summary:
        write_summary(run_memory_bench(minutes=minutes, console=console_for()))


@bench_app.command(name="all", cls=CheckedCommand)
def bench_all_command(
    video: Annotated[str | None, typer.Argument(help="As for `masktrail bench pipeline`.")] = None,
    *,
    json_path: Json = None,
) -> None:
    """All of it."""
    from tracker.app.benchmarks import run_associate_bench, run_memory_bench, run_pipeline_bench
    from tracker.sinks.summary import open_summary

    console = console_for()
    with open_summary(json_path, inputs=_local_files(video)) as write_summary:
        results = {
            "pipeline": run_pipeline_bench(video, console=console),
            "associate": run_associate_bench(console=console),
            "memory": run_memory_bench(minutes=20, console=console),
        }
        write_summary(results)


def _local_files(video: str | None) -> list[Path]:
    """The files that a benchmark's video is."""
    from tracker.sources.address import expand_sources

    return [] if video is None else [file for address in expand_sources(video) for file in address.local_files]
