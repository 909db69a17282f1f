"""Words on a command line enter, calls of the library leave: options and wiring only."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracker.app.options import (
    Batch,
    CameraMotion,
    Classes,
    Conf,
    Confirm,
    Decode,
    Device,
    Fp16,
    Iou,
    Json,
    Limit,
    MaskFormat,
    Model,
    Quiet,
    Records,
    Refine,
    Reid,
    Save,
    Sources,
    Stride,
    Transport,
    Workers,
)
from tracker.config import DEFAULT_MODEL
from tracker.request import CONFIRM_SCORE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

app = typer.Typer(
    name="masktrail",
    help="Turn video into persistent identities: every vehicle and person keeps its number and its silhouette.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
models_app = typer.Typer(help="The segmentation models at hand.", no_args_is_help=True)
bench_app = typer.Typer(help="Where the milliseconds go.", no_args_is_help=True)
app.add_typer(models_app, name="models")
app.add_typer(bench_app, name="bench")


def _console(*, quiet: bool = False) -> Console:
    from rich.console import Console

    return Console(quiet=quiet)


@contextlib.contextmanager
def _steps(console: Console, title: str) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar over named steps: call it with the name, the number done and their total."""
    from rich.progress import Progress

    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda name, done, total: progress.update(task, description=name, completed=done, total=total)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        from tracker.version import __version__

        typer.echo(f"masktrail {__version__}")
        raise typer.Exit


@app.command()
def track(
    sources: Sources,
    *,
    save: Save = None,
    records: Records = None,
    masks: MaskFormat = None,
    model: Model = DEFAULT_MODEL,
    classes: Classes = None,
    device: Device = "auto",
    json_path: Json = None,
    quiet: Quiet = False,
    confirm: Confirm = CONFIRM_SCORE,
    camera_motion: CameraMotion = "auto",
    reid: Reid = None,
    refine: Refine = False,
    stride: Stride = 1,
    limit: Limit = None,
    decode: Decode = "auto",
    transport: Transport = "tcp",
    conf: Conf = None,
    iou: Iou = None,
    workers: Workers = None,
    batch: Batch = None,
    fp16: Fp16 = False,
) -> None:
    """Follow every vehicle and person of a recording or camera: annotated video, records, a table of identities."""
    _run(locals(), associates=True)


@app.command()
def segment(
    sources: Sources,
    *,
    save: Save = None,
    records: Records = None,
    coco_images: Annotated[
        Path | None,
        typer.Option(
            "--coco", metavar="FILE", help="A COCO images.json: .coco.json takes its image ids and categories."
        ),
    ] = None,
    masks: MaskFormat = None,
    model: Model = DEFAULT_MODEL,
    classes: Classes = None,
    device: Device = "auto",
    json_path: Json = None,
    quiet: Quiet = False,
    stride: Stride = 1,
    limit: Limit = None,
    decode: Decode = "auto",
    transport: Transport = "tcp",
    conf: Conf = None,
    iou: Iou = None,
    workers: Workers = None,
    batch: Batch = None,
    fp16: Fp16 = False,
) -> None:
    """Segment without identity; --records x.coco.json holds full-resolution masks in COCO results format."""
    _run(locals(), associates=False)


def _run(options: dict[str, object], *, associates: bool) -> None:
    """What ``track`` and ``segment`` share: the request is built from options of the same names."""
    from tracker.engine.job import run_request
    from tracker.request import StreamRequest

    quiet, json_path = bool(options.pop("quiet")), options.pop("json_path")
    console = _console(quiet=quiet)
    summary = json_path if isinstance(json_path, Path) else None
    request = StreamRequest.from_options(options, associates=associates)
    outcomes = run_request(request, console=console, summary=summary)
    if any(outcome.interrupted for outcome in outcomes):
        raise typer.Exit(130)
    if any(outcome.failures for outcome in outcomes):
        raise typer.Exit(1)


@app.command()
def live(
    cameras: Annotated[
        Path, typer.Argument(metavar="CAMERAS.YAML", help="The cameras and what becomes of each; see docs/live.md.")
    ],
    *,
    log: Annotated[
        str | None, typer.Option(metavar="FORM", help="On stderr: text, or json with an object per line.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue recordings that were cut off.")] = False,
) -> None:
    """Follow many cameras until stopped: reconnects, records in parts, tells health and metrics over HTTP."""
    from tracker.service.run import run_live

    raise typer.Exit(run_live(cameras, log=log, resume=resume))


@app.command()
def associate(
    detections: Annotated[
        Path,
        typer.Argument(help="MOT, MOTS or KITTI text, COCO results, a sequence folder, or a folder of many of either."),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Result file; a folder for many sequences.")],
    fps: Annotated[
        float | None, typer.Option(min=0.01, help="Frames per second; else seqinfo.ini's, 10 for KITTI text, 30.")
    ] = None,
    refine: Refine = False,
    quiet: Quiet = False,
) -> None:
    """Give identities to detections made elsewhere, in their format; no video needed."""
    from tracker.measure.associate import associate as associate_files

    console = _console(quiet=quiet)
    with _steps(console, "associating") as show:
        results = associate_files(detections, out, fps=fps, refine=refine, progress=show)
    for result in results:
        console.print(
            f"{result.name}: {result.identities} identities in {result.frames} frames -> {result.path}", highlight=False
        )
        for note in result.notes:
            console.print(f"  {note}", highlight=False, markup=False, soft_wrap=True)
        if result.problem:
            console.print(f"  second pass failed, the online result stands: {result.problem}", highlight=False)
    if any(result.interrupted for result in results):
        raise typer.Exit(130)
    if any(result.problem for result in results):
        raise typer.Exit(1)


@app.command(name="eval")
def evaluate(
    results: Annotated[Path, typer.Argument(help="Folder of <sequence>.txt, as `masktrail associate` writes them.")],
    *,
    truth: Annotated[
        Path, typer.Option("--gt", help="Folder of sequence folders with gt.txt and seqinfo.ini, or KITTI's label_02.")
    ],
    protocol: Annotated[
        str | None, typer.Option(help="Clean-up rules: plain, mot15, mot16, mot17, mot20, kitti, kittimots.")
    ] = None,
    per_sequence: Annotated[bool, typer.Option("--per-sequence", help="A row for each sequence too.")] = False,
    json_path: Json = None,
    quiet: Quiet = False,
) -> None:
    """HOTA, DetA, AssA, IDF1, MOTA and sMOTSA of MOT, MOTS or KITTI results, by TrackEval's metrics."""
    from dataclasses import asdict

    from tracker.measure.evaluate import evaluate as evaluate_results
    from tracker.measure.evaluate import evaluated_files
    from tracker.measure.tables import evaluation_table
    from tracker.sinks.summary import open_summary

    console = _console(quiet=quiet)
    with open_summary(json_path, inputs=evaluated_files(truth, results)) as write_summary:
        with _steps(console, "evaluating") as show:
            evaluation = evaluate_results(truth, results, protocol=protocol, progress=show)
        console.print(evaluation_table(evaluation, per_sequence=per_sequence))
        write_summary(asdict(evaluation))


@models_app.command(name="list")
def models_list() -> None:
    """Name every model at hand."""
    from rich.table import Table

    from tracker.segment.zoo import list_models

    table = Table("model", "inputs (height x width)", "classes", "size", box=None, padding=(0, 2), header_style="cyan")
    for entry in list_models():
        size = sum(file.stat().st_size for file in entry.files) / len(entry.files)
        classes = ", ".join(entry.manifest.classes or ()) if entry.manifest else ""
        table.add_row(entry.name, ", ".join(filter(None, entry.variants)), classes, f"{size / 1e6:.1f} MB")
    _console().print(table)


@models_app.command(name="show")
def models_show(name: Annotated[str, typer.Argument(help="A name from `masktrail models list`.")]) -> None:
    """Print a model's card: data, figures, limits, licences; and where it would run here."""
    from rich.markdown import Markdown

    from tracker.segment.session import OnnxSegmenter
    from tracker.segment.zoo import find_model

    card = find_model(name).path.with_name("README.md")
    if not card.is_file():
        from tracker.errors import ModelError

        raise ModelError(name, f"expected a card {card}, found none", "only models of the zoo have one")
    console = _console()
    console.print(Markdown(card.read_text(encoding="utf-8")))
    segmenter = OnnxSegmenter(name)
    console.print(f"Here: {segmenter.describe()}; {segmenter.placement}", highlight=False)


@models_app.command(name="check")
def models_check(
    model: Annotated[str, typer.Argument(help="An .onnx file or a model's name.")], *, device: Device = "cpu"
) -> None:
    """Say whether a file can be used and how it was understood, with a trial run."""
    from tracker.segment.check import check_model

    report = check_model(model, device=device)
    console = _console()
    for name, value in report.rows():
        console.print(f"[cyan]{name:>10}[/cyan]  {value}", highlight=False)
    if not report.passed:
        raise typer.Exit(1)


@bench_app.command(name="pipeline")
def bench_pipeline_command(
    video: Annotated[
        str | None, typer.Argument(help="A video; the traffic clip or a rendered road where not given.")
    ] = None,
    *,
    model: Model = DEFAULT_MODEL,
    device: Device = "auto",
    frames: Annotated[int, typer.Option(min=16, help="Most frames to use.")] = 300,
    rounds: Annotated[int, typer.Option(min=1, help="How often bare model and pipeline run in turn.")] = 3,
    batch: Batch = None,
    json_path: Json = None,
) -> None:
    """Every CPU millisecond of a frame by stage, and the pipeline's speed against the bare model's."""
    from tracker.app.benchmarks import run_pipeline_bench
    from tracker.segment.zoo import model_files
    from tracker.sinks.summary import open_summary

    with open_summary(json_path, inputs=[*_local_files(video), *model_files(model)]) as write_summary:
        results = run_pipeline_bench(
            video, model=model, device=device, frames=frames, rounds=rounds, batch=batch, console=_console()
        )
        write_summary(results)


@bench_app.command(name="associate")
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
        write_summary(run_associate_bench(console=_console(), objects=objects or (), rounds=rounds))


@bench_app.command(name="memory")
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
        write_summary(run_memory_bench(minutes=minutes, console=_console()))


@bench_app.command(name="all")
def bench_all_command(
    video: Annotated[str | None, typer.Argument(help="As for `masktrail bench pipeline`.")] = None,
    *,
    json_path: Json = None,
) -> None:
    """All of it."""
    from tracker.app.benchmarks import run_associate_bench, run_memory_bench, run_pipeline_bench
    from tracker.sinks.summary import open_summary

    console = _console()
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


@app.command()
def demo(
    video: Annotated[str | None, typer.Argument(help="Your own video instead of the two pinned clips.")] = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder for everything that is written.")] = Path("demo-output"),
    device: Device = "auto",
) -> None:
    """Track two real clips (or, without network, two rendered scenes) and show where to look."""
    from tracker.app.demo import run_demo

    outcomes = run_demo(out, video=video, device=device, console=_console())
    if any(outcome.failures for outcome in outcomes):
        raise typer.Exit(1)
    if any(outcome.interrupted for outcome in outcomes):
        raise typer.Exit(130)


@app.command()
def doctor() -> None:
    """Look at versions, devices and codecs, and say what to do about each problem."""
    from tracker.app.doctor import examine

    console = _console()
    marks = {"ok": "[green]ok     [/green]", "note": "[yellow]note   [/yellow]", "problem": "[red]problem[/red]"}
    problems = 0
    for finding in examine():
        console.print(f"{marks[finding.state]} [bold]{finding.name}[/bold]: {finding.found}", highlight=False)
        if finding.remedy:
            console.print(f"        -> {finding.remedy}", highlight=False, markup=False)
        problems += finding.state == "problem"
    if problems:
        raise typer.Exit(1)
