"""``batch`` on a terminal: progress of the whole, notes, a table at the end, a plan before."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from tracker.app.console import error_console, foreign
from tracker.app.interrupt import interruptible
from tracker.batch import split
from tracker.batch.pool import LocalPool
from tracker.batch.run import Batch
from tracker.batch.task import scratch_folder
from tracker.errors import TrackerError
from tracker.inference.survey import available_cores, on_processor, survey
from tracker.sinks.summary import open_summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rich.console import Console

    from tracker.batch.pool import Pool
    from tracker.batch.recordings import Recording
    from tracker.batch.run import BatchFigures, BatchPlan
    from tracker.settings.stream import RunSettings

__all__ = ["Workers", "run_batch", "show_plan"]

REFRESH_S = 0.2
PLAIN_INTERVAL_S = 30.0
"""Seconds between lines where the output is no terminal."""
TRIAL_FRAMES = 100
MOST_PROBED = 200
"""Recordings that a plan opens for their length; of the others it follows from their size."""
GPU_PROCESSES = 2
"""Per card: one decodes and associates while the other one's batch is on the card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """Where a batch runs.

    Attributes:
        engine: ``local`` or ``ray``.
        processes: Recordings, or chunks of one, at a time; ``None`` = as many as there is room for.
        split: Take one recording at a time, in chunks.
        address: Of the Ray cluster.
        gpus: Share of a card per actor.
    """

    engine: str = "local"
    processes: int | None = None
    split: bool = False
    address: str | None = None
    gpus: float = 0.0


def run_batch(
    plan: BatchPlan, settings: RunSettings, workers: Workers, *, console: Console, summary: Path | None = None
) -> int:
    """Do what is planned.

    Args:
        plan: See :func:`tracker.batch.run.plan_batch`.
        settings: Of the batch.
        workers: Where it runs.
        console: For progress and tables; failures go to stderr.
        summary: JSON file of the figures.

    Returns:
        The exit status: 0, 1 where some recordings failed, 130 after an interruption.

    Raises:
        TrackerError: No worker can run, or the place of the results cannot be written.
    """
    errors = error_console()

    def note(name: str, text: str) -> None:
        console.print(f"  [yellow]note[/yellow] {foreign(name)}: {foreign(text)}", highlight=False, soft_wrap=True)

    if plan.tasks:
        plan.results.check_writable()
    with open_summary(summary) as write_summary, _scratch(plan, workers) as (ready, scratch):
        pool = _pool(ready, settings, workers, scratch)
        try:
            with _shown(console, ready) as show:
                batch = Batch(ready, pool, on_progress=show, on_note=note)
                with interruptible(batch.stop) as interrupted:
                    figures = batch.run()
        finally:
            pool.close()
        console.print(_summary(figures))
        for name, problem in figures.failed.items():
            errors.print(f"[red]failed[/red] {foreign(name)}: {foreign(problem)}", highlight=False, soft_wrap=True)
        write_summary(_as_json(figures))
    if interrupted.is_set():
        left = len(plan.tasks) - figures.done - len(figures.failed)
        console.print(f"interrupted: {left} recordings are left; go on with --resume", highlight=False)
        return 130
    return 1 if figures.failed or figures.done < len(plan.tasks) else 0


def _pool(plan: BatchPlan, settings: RunSettings, workers: Workers, scratch: str | None) -> Pool:
    """The workers of a batch; none where there is nothing to do."""
    opened: Callable[[RunSettings], Pool]
    if workers.engine == "ray" and plan.tasks:
        from tracker.batch.ray_pool import RayPool

        shared = settings if settings.workers is not None else settings.replace(workers=1)
        most = None if workers.split else len(plan.tasks)  # of a recording the chunks are not known yet
        opened = partial(RayPool, processes=workers.processes, most=most, gpus=workers.gpus, address=workers.address)
    else:
        count = _processes(settings, workers.processes)
        count = count if workers.split else min(count, max(len(plan.tasks), 1))
        shared = _shared(settings, count)
        opened = partial(LocalPool, processes=count if plan.tasks else 0, cards=_cards(settings))
    if not workers.split or not plan.tasks:
        return opened(shared)
    worker = partial(split.SplitWorker, open_pool=opened, chunk_s=split.CHUNK_S, scratch=scratch)
    return LocalPool(shared, processes=1, open_worker=worker)


@contextlib.contextmanager
def _scratch(plan: BatchPlan, workers: Workers) -> Iterator[tuple[BatchPlan, str | None]]:
    """The plan with a folder for all copies: what a process that is killed leaves there goes with the batch.

    With Ray the nodes have their own; only chunks of one recording lie in one folder for all.

    Raises:
        SinkError: It cannot be made.
    """
    scratch = plan.tasks[0].scratch if plan.tasks else None
    copies = any(task.recording.is_remote for task in plan.tasks) or not plan.results.place.is_local
    local = workers.engine == "local"
    if not plan.tasks or not (workers.split or (copies and local)):
        yield plan, scratch
        return
    with scratch_folder(scratch) as folder:
        tasks = tuple(replace(task, scratch=str(folder)) for task in plan.tasks) if local else plan.tasks
        yield replace(plan, tasks=tasks), str(folder)


def show_plan(
    plan: BatchPlan, settings: RunSettings, *, console: Console, processes: int | None, price: float | None
) -> None:
    """Say what would be done: recordings, their length, and the time that a short trial suggests.

    Raises:
        TrackerError: The model cannot be used.
    """
    console.print(f"{len(plan.tasks)} recordings to do, {len(plan.done)} done -> {foreign(plan.results.place.shown)}")
    if not plan.tasks:
        return
    recordings = [task.recording for task in plan.tasks]
    lengths = {one.name: found for one in recordings[:MOST_PROBED] if (found := _length(one)) is not None}
    probed = [one for one in recordings if one.name in lengths]
    if not probed:
        copied = all(one.is_remote for one in recordings)
        why = "before they are copied" if copied else "as none of those that were looked at tells it"
        console.print(f"their length is not known {why}", highlight=False)
        return
    scale = sum(one.size for one in recordings) / max(sum(one.size for one in probed), 1)
    media_s = sum(seconds for seconds, _ in lengths.values()) * scale
    frames = sum(count for _, count in lengths.values()) * scale / settings.stride
    frames = frames if settings.limit is None else min(frames, settings.limit * len(recordings))
    about = "" if len(probed) == len(recordings) else "about "
    console.print(f"{about}{_hours(media_s)} of video, {frames:,.0f} frames", highlight=False)
    count = _processes(settings, processes)
    fps = _trial_fps(settings, probed[0].address)
    hours = frames / fps / 3600
    cost = "" if price is None else f", {hours * price:,.2f} at {price:g} an hour"
    console.print(
        f"about {_hours(hours * 3600)} on this machine{cost}: {fps:.0f} frames/s in a trial of "
        f"{TRIAL_FRAMES} frames with {count} at a time",
        highlight=False,
    )


def _trial_fps(settings: RunSettings, address: str) -> float:
    """Frames per second of the whole machine: one stream uses all of its cores too."""
    from tracker.engine.run import Run

    began_s = time.monotonic()
    [outcome] = Run(settings.replace(sources=(address,), limit=TRIAL_FRAMES)).run()
    if outcome.failures:
        raise outcome.failures[0]
    wall_s = outcome.figures.wall_s or time.monotonic() - began_s
    return max(outcome.figures.frames, 1) / wall_s


def _length(recording: Recording) -> tuple[float, int] | None:
    """Seconds and frames of a recording by its container; ``None`` where it does not say."""
    from tracker.sources.open import open_source

    if recording.is_remote:
        return None
    try:
        with open_source(recording.address, want_image=False, queue_size=1, decode="cpu") as source:
            info = source.info
    except TrackerError:
        return None
    if not info.fps or not (info.frame_count or info.duration_s):
        return None
    seconds = info.frame_count / info.fps if info.frame_count else info.duration_s or 0.0
    return seconds, info.frame_count or round(seconds * info.fps)


def _processes(settings: RunSettings, chosen: int | None) -> int:
    """Recordings at a time: one per core on the CPU, some per card."""
    if chosen is not None:
        return chosen
    if on_processor(settings.device) or (settings.device == "auto" and not survey().cards):
        return available_cores()
    return GPU_PROCESSES * max(len(survey().cards), 1)


def _cards(settings: RunSettings) -> list[str]:
    """The cards to share the processes out to; none where there is nothing to choose."""
    count = 0 if on_processor(settings.device) else len(survey().cards)
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return (visible or [str(number) for number in range(count)])[:count] if count > 1 else []


def _shared(settings: RunSettings, processes: int) -> RunSettings:
    """Settings of each of several processes on one machine: the cores are divided."""
    if settings.workers is not None:
        return settings
    return settings.replace(workers=max(available_cores() // processes, 1))


@contextlib.contextmanager
def _shown(console: Console, plan: BatchPlan) -> Iterator[Callable[[BatchFigures], None]]:
    """Progress of the whole: a line that stays in place on a terminal, a line now and then elsewhere."""
    total = len(plan.tasks) + len(plan.done)
    if not console.is_terminal:
        told_s = time.monotonic()

        def tell(figures: BatchFigures) -> None:
            nonlocal told_s
            if time.monotonic() - told_s >= PLAIN_INTERVAL_S:
                told_s = time.monotonic()
                over = figures.before + figures.done + len(figures.failed)
                console.print(f"{over}/{total} recordings, {_state(figures)}", highlight=False, soft_wrap=True)

        yield tell
        return
    columns = (BarColumn(20), TextColumn("{task.completed}/{task.total} recordings, {task.fields[state]}"))
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        task = progress.add_task("batch", total=total, state="starting")
        shown_s = 0.0

        def show(figures: BatchFigures) -> None:
            nonlocal shown_s
            if time.monotonic() - shown_s >= REFRESH_S:
                shown_s = time.monotonic()
                over = figures.before + figures.done + len(figures.failed)
                progress.update(task, completed=over, state=foreign(_state(figures)), refresh=True)

        yield show


def _state(figures: BatchFigures) -> str:
    parts = [f"{len(figures.running)} running"]
    if figures.failed:
        parts.append(f"{len(figures.failed)} failed")
    if figures.media_s:
        parts.append(f"{figures.speed:.1f} h of video per hour")
    if figures.left_s is not None:
        parts.append(f"{_clock(figures.left_s)} left")
    return ", ".join(parts)


def _summary(figures: BatchFigures) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_column(style="cyan")
    table.add_column()
    before = f", {figures.before} before" if figures.before else ""
    table.add_row("done", f"{figures.done} of {figures.total} recordings{before}")
    if figures.failed:
        table.add_row("failed", f"{len(figures.failed)}", style="red")
    if figures.lost:
        table.add_row("processes lost", f"{figures.lost}")
    table.add_row("frames", f"{figures.frames:,}  ({_hours(figures.media_s)} of video in {_clock(figures.elapsed_s)})")
    if figures.elapsed_s > 0 and figures.frames:
        speed = f"{figures.frames / figures.elapsed_s:.1f} fps, {figures.speed:.2f} h of video per hour"
        table.add_row("speed", speed)
    if figures.identities:
        by_class = ", ".join(f"{count} {foreign(name)}" for name, count in figures.identities.most_common())
        table.add_row("identities", f"{figures.identities.total()}  ({by_class})")
    return table


def _as_json(figures: BatchFigures) -> dict[str, Any]:
    return {
        "recordings": figures.total,
        "done": figures.done,
        "done_before": figures.before,
        "failed": figures.failed,
        "frames": figures.frames,
        "media_s": round(figures.media_s, 3),
        "wall_s": round(figures.elapsed_s, 3),
        "identities": dict(figures.identities),
        "processes_lost": figures.lost,
    }


def _hours(seconds: float) -> str:
    """``45 s``, ``12 min`` or ``3.4 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:,.1f} h"


def _clock(seconds: float) -> str:
    """``1:02`` or ``3:04:05``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
