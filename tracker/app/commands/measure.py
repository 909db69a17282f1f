"""``masktrail associate`` and ``masktrail eval``: identities for detections made elsewhere, and how good they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracker.app.console import Json, Quiet, console_for, error_console, foreign, steps
from tracker.app.flags import option, settings_from
from tracker.errors import ConfigError
from tracker.settings.stream import RunSettings, StreamSettings

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["associate", "evaluate"]


def associate(
    detections: Annotated[
        Path,
        typer.Argument(help="MOT, MOTS or KITTI text, COCO results, a sequence folder, many of either, or .instances."),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Result file; a folder for many sequences.")],
    fps: Annotated[
        float | None, typer.Option(min=0.01, help="Frames per second; else seqinfo.ini's, 10 for KITTI text, 30.")
    ] = None,
    refine: Annotated[bool, option(RunSettings, "refine")] = False,
    site: Annotated[str | None, option(RunSettings, "site")] = None,
    events: Annotated[list[str] | None, option(RunSettings, "events")] = None,
    start_at: Annotated[str | None, option(RunSettings, "start_at")] = None,
    quiet: Quiet = False,
) -> None:
    """Give identities to detections made elsewhere, in their format; no video needed.

    Of instances saved by ``masktrail segment X --records x.instances`` the result has the format of --out, and the
    identities of ``masktrail track X``.
    """
    from tracker.formats.instances import is_saved_instances
    from tracker.measure.associate import associate as associate_files

    console = console_for(quiet=quiet)
    counting = settings_from(StreamSettings, {"site": site, "events": events or None, "start_at": start_at})
    if is_saved_instances(detections):
        if fps is not None:
            problem = "expected no rate, found one: saved instances have times of their own"
            raise ConfigError(f"--fps {fps:g}", problem, "leave --fps out")
        _associate_saved(detections, out, refine=refine, counting=counting, console=console)
        return
    if counting.site is not None:
        problem = "expected instances that masktrail segment saved, found detections of another format"
        raise ConfigError(f"--site with {detections}", problem, "leave --site out")
    with steps(console, "associating") as show:
        results = associate_files(detections, out, fps=fps, refine=refine, progress=show)
    for result in results:
        counts = f"{result.identities} identities in {result.frames} frames"
        console.print(f"{foreign(result.name)}: {counts} -> {foreign(result.path)}", highlight=False, soft_wrap=True)
        for note in result.notes:
            console.print(f"  {foreign(note)}", highlight=False, soft_wrap=True)
        if result.problem:
            failed = f"{foreign(result.name)}: second pass failed, the online result stands: {foreign(result.problem)}"
            error_console().print(failed, highlight=False, soft_wrap=True)
    if any(result.interrupted for result in results):
        raise typer.Exit(130)
    if any(result.problem for result in results):
        raise typer.Exit(1)


def _associate_saved(path: Path, out: Path, *, refine: bool, counting: StreamSettings, console: Console) -> None:
    from tracker.app.counts import counts_table
    from tracker.engine.saved import associate_saved

    with steps(console, "associating") as show:
        result = associate_saved(
            path, out, refine=refine, counting=counting, progress=lambda done: show(path.name, done, done)
        )
    total = result.identities.total()
    console.print(f"{path.name}: {total} identities in {result.frames} frames -> {out}", highlight=False, markup=False)
    if result.tally is not None:
        console.print(counts_table(result.tally))
    if result.problem:
        text = f"  second pass failed, the online result stands: {result.problem}"
        console.print(text, highlight=False, markup=False)
        raise typer.Exit(1)


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

    console = console_for(quiet=quiet)
    with open_summary(json_path, inputs=evaluated_files(truth, results)) as write_summary:
        with steps(console, "evaluating") as show:
            evaluation = evaluate_results(truth, results, protocol=protocol, progress=show)
        console.print(evaluation_table(evaluation, per_sequence=per_sequence))
        write_summary(asdict(evaluation))
