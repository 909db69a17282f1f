"""Run of a batch: which recording is next, what losses of workers mean, and how far all of it is."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tracker.batch.pool import Advanced, Ended, Lost
from tracker.batch.recordings import find_recordings, key_of, name_in
from tracker.batch.results import Results
from tracker.batch.task import Done, Failed, Task
from tracker.errors import ConfigError
from tracker.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tracker.batch.pool import Pool
    from tracker.settings.stream import RunSettings

__all__ = ["Batch", "BatchFigures", "BatchPlan", "plan_batch"]

ALONE = 3
"""Times that a recording may end its worker while no other one runs, on different nodes where there are several."""
PROGRESS_S = 0.2

PLACES = frozenset(
    {"sources", "save", "records", "events", "model", "reid", "outline", "site", "decode", "workers", "batch"}
)
"""Settings that change no row, or whose content counts and not their name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlan:
    """What a batch is to do.

    Attributes:
        tasks: One per recording that has no manifest yet.
        done: Names of the recordings that have one.
        results: Where results go.
    """

    tasks: tuple[Task, ...]
    done: tuple[str, ...]
    results: Results


@dataclass(slots=True)
class BatchFigures:
    """How far a batch is.

    Attributes:
        total: Recordings, those done before included.
        before: Done by earlier runs.
        done: Done by this one.
        running: Names of those under way.
        failed: Why, by name.
        frames, media_s: Of recordings done and under way.
        identities: By class.
        size: Bytes of this run's recordings.
        size_done: Of those that are done, and half of those under way.
        size_failed: Of those that failed, which take no time.
        lost: Workers that died.
        elapsed_s: Since the start.
    """

    total: int
    before: int
    done: int = 0
    running: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    frames: int = 0
    media_s: float = 0.0
    identities: Counter[str] = field(default_factory=Counter)
    size: int = 0
    size_done: int = 0
    size_failed: int = 0
    lost: int = 0
    elapsed_s: float = 0.0

    @property
    def speed(self) -> float:
        """Hours of video per hour."""
        return self.media_s / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds to go, by bytes; ``None`` before the first recording is done."""
        if not self.done or not self.size_done:
            return None
        return self.elapsed_s * max(self.size - self.size_failed - self.size_done, 0) / self.size_done


def plan_batch(
    settings: RunSettings, out: str, *, resume: bool = False, instances: bool = False, scratch: str | None = None
) -> BatchPlan:
    """What there is to do; nothing is opened but the model's file.

    Args:
        settings: As of ``track``; the outputs are the batch's own.
        out: Path or URI of the results.
        resume: Leave out recordings that have a manifest.
        instances: Keep the instances too.
        scratch: Folder for copies.

    Raises:
        TrackerError: A source, the model or the output cannot be used.
    """
    for option, given in (("--save", settings.save), ("--records", settings.records), ("--events", settings.events)):
        if given:
            problem = f"expected no output beside --out, found {given if isinstance(given, str) else ', '.join(given)}"
            raise ConfigError(option, problem, "leave it out: tables go into --out; track writes one recording")
    recordings = find_recordings(settings.sources)
    results = Results.at(out)
    results.check_fresh(resume=resume)
    done = results.done()
    facts = _facts(settings)
    asked = {"events": settings.site is not None, "instances": instances, "heatmap": settings.heatmap}
    kinds = ("records", "identities", *(kind for kind, wanted in asked.items() if wanted))
    keyed = {key_of(recording, facts | {"tables": list(kinds)}): recording for recording in recordings}
    older = _by_name((done | results.failed()) - keyed.keys())
    tasks = [
        Task(
            key=key,
            recording=recording,
            settings=settings,
            kinds=kinds,
            out=results.place.path if results.place.is_local else out,  # nodes of a cluster have folders of their own
            scratch=scratch,
            facts=facts,
            older=tuple(older.get(name_in(key), ())),
        )
        for key, recording in keyed.items()
        if key not in done
    ]
    before = tuple(recording.name for key, recording in keyed.items() if key in done)
    return BatchPlan(tasks=tuple(tasks), done=before, results=results)


class Batch:
    """Gives the tasks of a plan to the workers of a pool until all are done or failed.

    A worker that dies takes no try of its recording: other recordings, the node or its memory may be the cause. The
    recording is tried again when nothing else runs; if it ends its worker then too, three times, on different nodes
    where there are several, it is the cause and fails.

    Args:
        plan: What to do.
        pool: Who does it.
        on_progress: Called some times a second with the figures.
        on_note: Called with the name of a recording and what was noted of it.
    """

    def __init__(
        self,
        plan: BatchPlan,
        pool: Pool,
        *,
        on_progress: Callable[[BatchFigures], None] = lambda _: None,
        on_note: Callable[[str, str], None] = lambda _name, _text: None,
    ) -> None:
        self.figures = BatchFigures(total=len(plan.tasks) + len(plan.done), before=len(plan.done))
        self.figures.size = sum(task.recording.size for task in plan.tasks)
        self._plan, self._pool = plan, pool
        self._on_progress, self._on_note = on_progress, on_note
        self._tasks = {task.key: task for task in plan.tasks}
        self._next = deque(plan.tasks)
        self._suspects: deque[Task] = deque()
        self._alone: dict[str, list[str]] = {}
        self._running: dict[str, Advanced] = {}
        self._lonely: str | None = None
        self._past_media_s, self._past_frames, self._past_size = 0.0, 0, 0
        self._stopped = False

    def stop(self) -> None:
        """Start nothing more and end what runs without a result; callable from any thread."""
        self._stopped = True
        self._pool.stop()

    def run(self) -> BatchFigures:
        """Until all is done, or :meth:`stop`.

        Raises:
            TrackerError: No worker can run, or no result can be written.
        """
        began_s = time.monotonic()
        while True:
            if not self._stopped:
                self._feed()
            if not self._running and (self._stopped or not (self._next or self._suspects)):
                break
            for event in self._pool.wait(PROGRESS_S):
                self._take(event)
            self._sum(time.monotonic() - began_s)
            self._on_progress(self.figures)
        self._sum(time.monotonic() - began_s)
        return self.figures

    def _feed(self) -> None:
        """Start what can start now."""
        while self._next and self._pool.free and self._lonely is None:
            self._start(self._next.popleft())
        if not self._next and not self._running and self._suspects:
            task = self._suspects.popleft()
            self._lonely = task.key
            self._start(task)

    def _start(self, task: Task) -> None:
        self._running[task.key] = Advanced(key=task.key, frames=0, media_s=0.0)
        self._pool.start(task)

    def _take(self, event: Advanced | Ended | Lost) -> None:
        if isinstance(event, Advanced):
            if event.key in self._running:
                self._running[event.key] = event
            return
        self._running.pop(event.key, None)
        alone, task = self._lonely == event.key, self._tasks[event.key]
        self._lonely = None if alone else self._lonely
        if isinstance(event, Lost):
            self._lose(task, event, alone=alone)
        elif isinstance(event.result, Done):
            self._finish(task, event.result)
        elif isinstance(event.result, Failed):
            self._fail(task, event.result.problem)
            if event.result.everywhere:
                self._next.clear()
                self._suspects.clear()

    def _lose(self, task: Task, event: Lost, *, alone: bool) -> None:
        self.figures.lost += 1
        if self._stopped:
            return
        if event.node_lost:
            self._next.appendleft(task)
            return
        if not alone:
            self._suspects.append(task)
            return
        nodes = self._alone.setdefault(task.key, [])
        nodes.append(event.node)
        if len(nodes) < ALONE:
            self._suspects.append(task)
            return
        where = " and ".join(sorted(set(nodes)))
        problem = f"{task.recording.name}: expected a process that survives it, found {ALONE} that did not ({event.how}"
        self._fail(task, f"{problem}, on {where})\n  remedy: check its memory use, or convert the recording")

    def _finish(self, task: Task, result: Done) -> None:
        manifest = result.manifest
        self.figures.done += 1
        self._past_size += task.recording.size
        self.figures.identities.update(manifest.identities)
        self._past_frames += manifest.frames
        self._past_media_s += manifest.media_s
        for note in manifest.notes:
            self._on_note(task.recording.name, note)

    def _fail(self, task: Task, problem: str) -> None:
        self.figures.failed[task.recording.name] = problem
        self.figures.size_failed += task.recording.size
        recording = task.recording
        self._plan.results.note_failure(
            task.key, recording=recording.name, address=recording.shown_address, problem=problem
        )

    def _sum(self, elapsed_s: float) -> None:
        figures = self.figures
        figures.elapsed_s = elapsed_s
        figures.running = [self._tasks[key].recording.name for key in self._running]
        under_way = sum(self._tasks[key].recording.size for key in self._running)
        figures.size_done = self._past_size + under_way // 2
        figures.frames = self._past_frames + sum(one.frames for one in self._running.values())
        figures.media_s = self._past_media_s + sum(one.media_s for one in self._running.values())


def _by_name(keys: Iterable[str]) -> dict[str, list[str]]:
    """Keys by what they have of the recording's name, in order."""
    found: dict[str, list[str]] = {}
    for key in sorted(keys):
        found.setdefault(name_in(key), []).append(key)
    return found


def _facts(settings: RunSettings) -> dict[str, Any]:
    """What rows depend on beside the recording: settings, the content of models and of the site, the version."""
    from tracker.engine.counting import site_of
    from tracker.segment.promptable.folder import find_folder
    from tracker.segment.zoo import find_model

    chosen = {name: value for name, value in settings.chosen().items() if name not in PLACES}
    reid = None if settings.reid is None else find_model(settings.reid).digest()
    outline = None if settings.outline is None else find_folder(settings.outline).digest()
    site = site_of(settings)
    return {
        "settings": chosen,
        "model": find_model(settings.model).digest(),
        "reid": reid,
        "outline": outline,
        "site": None if site is None else repr(site),
        "masktrail": __version__,
    }
