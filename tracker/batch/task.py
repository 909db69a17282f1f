"""One recording of a batch from its address to its manifest: the unit of work, the same on every engine."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import shutil
import tempfile
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.batch.results import TABLES, Manifest, Results
from tracker.batch.spool import write_spooled
from tracker.batch.storage import NoRoomError, Place
from tracker.engine.models import Models
from tracker.engine.plan import plan_run
from tracker.engine.run import FULL_BATCH_S, Listener, Run
from tracker.errors import SinkError, TrackerError, mask_values, system_refusals
from tracker.sources.address import redact
from tracker.sources.open import open_source
from tracker.types import Frame
from tracker.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tracker.batch.chunks import Chunk
    from tracker.batch.recordings import Recording
    from tracker.engine.meter import StreamFigures
    from tracker.engine.outcome import Outcome
    from tracker.segment.session import OnnxSegmenter
    from tracker.settings.stream import RunSettings

__all__ = ["ChunkTask", "Done", "Failed", "Segmented", "Task", "Worker", "scratch_folder"]


EVENTS = ("events", "heatmap")
"""Tables that are outputs of events to a run."""
SHARE = 0.5
"""Of the free space that a copy may take: several workers share a disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One recording to be done.

    Attributes:
        key: Names its results.
        recording: What is opened.
        settings: How; sources and outputs are filled in.
        kinds: Tables to write, of :data:`tracker.batch.results.TABLES`.
        out: Path or URI of the results.
        scratch: Folder for copies of what lies in object storage; ``None`` = the system's.
        facts: Settings for the manifest.
        older: Keys of results that may be of this recording too, see :meth:`tracker.batch.results.Results.commit`.
    """

    key: str
    recording: Recording
    settings: RunSettings
    kinds: tuple[str, ...]
    out: str
    scratch: str | None
    facts: dict[str, Any]
    older: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A recording that has its manifest.

    Attributes:
        manifest: As it was written.
    """

    manifest: Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A recording that cannot be done, and why; trying it again would change nothing.

    Attributes:
        problem: The error's words.
        everywhere: All others would fail as well: the place of the results cannot be written.
    """

    problem: str
    everywhere: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkTask:
    """One chunk of a recording to be segmented.

    Attributes:
        key: Of the chunk.
        chunk: What is decoded.
        settings: Of the recording.
        images: The recording's frames carry pictures, from which the network's input is made then.
        out: Where the instances go, see :mod:`tracker.batch.spool`.
    """

    key: str
    chunk: Chunk
    settings: RunSettings
    images: bool
    out: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmented:
    """A chunk whose instances are there.

    Attributes:
        path: Of the file.
    """

    path: str


class Worker:
    """Does one task after another, with the model's session open in between.

    Args:
        settings: Of the batch; device and model are the same for all tasks. Where they name ``workers``, the process
            has that many cores: other processes of the batch have the rest.
        models: Sessions to use; by default it opens its own.
        notes: Gives further notes for the manifest of a recording that is done.
    """

    def __init__(
        self,
        settings: RunSettings,
        *,
        models: Models | None = None,
        notes: Callable[[], list[str]] = list,
    ) -> None:
        self._notes = notes
        self._models = models or Models(settings, batch_wait_s=FULL_BATCH_S, cores=settings.workers)
        self._alone: OnnxSegmenter | None = None
        self._stop: Callable[[], None] = lambda: None
        self._stopped = False

    def stop(self) -> None:
        """End the task under way without a result; callable from any thread."""
        self._stopped = True
        self._stop()

    def close(self) -> None:
        """Nothing: what is under way ends with the process."""

    def run(
        self,
        task: Task | ChunkTask,
        *,
        address: str = "",
        progress: Callable[[StreamFigures], None] = lambda _: None,
    ) -> Done | Segmented | Failed | None:
        """Do one recording, or segment one chunk; ``None`` where it was stopped.

        Args:
            task: Which.
            address: Where the recording was copied to; empty = nowhere yet.
            progress: Called with the figures of the recording.
        """
        if self._stopped:
            return None
        try:
            return self._segment(task) if isinstance(task, ChunkTask) else self._run(task, address, progress)
        except SinkError as failure:
            return Failed(problem=str(failure), everywhere=True)
        except TrackerError as failure:
            return Failed(problem=str(failure))
        except Exception as fault:  # noqa: BLE001 - a fault that one recording meets costs no other
            return Failed(problem=f"{task.key}: {type(fault).__name__}: {fault}")

    def _segment(self, task: ChunkTask) -> Segmented | None:
        """The instances of every frame of a chunk that the recording's stride takes."""
        settings, chunk = task.settings, task.chunk
        [plan] = plan_run(settings.replace(sources=(str(chunk.path),), save=None, records=(), events=(), site=None))
        if self._alone is None:
            self._alone = self._models.open_alone(plan)
        segmenter, waiting = self._alone, list[Frame]()
        source = open_source(
            str(chunk.path),
            like=segmenter,
            want_image=task.images,
            decode=settings.decode,
            decode_threads=1,
            max_pixels=settings.max_pixels,
        )
        with source, Path(task.out).open("wb") as file:
            for frame in itertools.chain(source, [None]):
                if self._stopped:
                    return None
                if frame is not None and (chunk.first + frame.index) % settings.stride == 0:
                    waiting.append(frame)
                if waiting and (frame is None or len(waiting) == segmenter.batch_size):
                    for one, instances in zip(waiting, segmenter.segment(waiting), strict=True):
                        write_spooled(file, one, instances, segmenter.class_names)
                    waiting.clear()
        return Segmented(path=task.out)

    def _run(self, task: Task, address: str, progress: Callable[[StreamFigures], None]) -> Done | Failed | None:
        results, attempt = Results.at(task.out), uuid.uuid4().hex[:12]
        names = {kind: f"{kind}/recording={task.key}/{attempt}{TABLES[kind]}" for kind in task.kinds}
        local = results.place.is_local
        with _scratch(task, needed=task.recording.is_remote or not local) as scratch, ExitStack() as undo:
            address = address or self.fetch(task.recording, scratch)
            root = Path(results.place.path) if local else scratch
            files = {kind: root / name for kind, name in names.items()}
            undo.callback(_remove, files)
            for file in files.values():
                _make(file.parent)
            outcome = self._track(task, address, files, progress)
            if outcome.interrupted or self._stopped:
                return None
            if outcome.failures:
                lost = any(isinstance(failure, SinkError) for failure in outcome.failures)
                return Failed(problem="; ".join(map(str, outcome.failures)), everywhere=lost)
            sums = {kind: _sha256(file) for kind, file in files.items()}
            for kind, file in files.items() if not local else ():
                results.place.upload(file, names[kind])
            manifest = _manifest(task, attempt, names, sums, outcome)
            manifest = replace(manifest, notes=[*manifest.notes, *self._notes()])
            results.commit(manifest, older=task.older)
            undo.pop_all()  # from here on the attempt counts
            return Done(manifest=manifest)

    def fetch(self, recording: Recording, folder: Path) -> str:
        """The recording as a local file; what lies in object storage is copied into the folder, if there is room.

        Raises:
            SourceError: It cannot be copied.
        """
        if not recording.is_remote:
            return recording.address
        if recording.size > shutil.disk_usage(folder).free * SHARE:
            return recording.address  # read from where it lies
        place = Place.of(recording.address)
        file = folder / Path(recording.name).name
        try:
            place.download(place.path, file)
        except NoRoomError:  # others filled the disk in the meantime
            return recording.address
        return str(file)

    def _track(
        self, task: Task, address: str, files: dict[str, Path], progress: Callable[[StreamFigures], None]
    ) -> Outcome:
        records = [str(file) for kind, file in files.items() if kind not in EVENTS]
        events = [str(file) for kind, file in files.items() if kind in EVENTS]
        settings = task.settings.replace(sources=(address,), records=tuple(records), events=tuple(events))
        run = Run(settings, listener=_Progress(progress), models=self._models)
        if task.recording.is_remote:  # a copy has the name of what it is a copy of
            name = redact(task.recording.address)
            run.plans = [replace(plan, name=name, address=replace(plan.address, name=name)) for plan in run.plans]
        self._stop = run.stop
        if self._stopped:
            run.stop()
        [outcome] = run.run()
        return outcome


class _Progress(Listener):
    """Passes figures on."""

    def __init__(self, progress: Callable[[StreamFigures], None]) -> None:
        self._progress = progress

    def progressed(self, name: str, figures: StreamFigures) -> None:
        del name
        self._progress(figures)


def _manifest(task: Task, attempt: str, names: dict[str, str], sums: dict[str, str], outcome: Outcome) -> Manifest:
    told = outcome.as_json()
    return Manifest(
        key=task.key,
        recording=task.recording.name,
        address=task.recording.shown_address,
        size=task.recording.size,
        attempt=attempt,
        files=names,
        sha256=sums,
        frames=outcome.figures.frames,
        media_s=told["media_s"],
        wall_s=told["wall_s"],
        identities=dict(outcome.identities),
        counts=told.get("counts"),
        notes=mask_values(outcome.notes),
        settings=task.facts,
        masktrail=__version__,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


@contextlib.contextmanager
def _scratch(task: Task, *, needed: bool) -> Iterator[Path]:
    """A folder for copies, removed afterwards; where none is needed, one that is not to be written to."""
    if not needed:
        yield Path()
        return
    with scratch_folder(task.scratch) as folder:
        yield folder


@contextlib.contextmanager
def scratch_folder(scratch: str | None) -> Iterator[Path]:
    """A new folder below that for copies, removed when the block ends.

    Raises:
        SinkError: It cannot be made.
    """
    try:
        folder = tempfile.TemporaryDirectory(
            prefix="masktrail-", dir=None if scratch is None else Path(scratch).absolute()
        )
    except OSError as failure:
        problem = f"expected a folder for copies, found: {failure.strerror}"
        raise SinkError(scratch or tempfile.gettempdir(), problem, "name another one with --scratch") from failure
    with folder as name:
        yield Path(name)


@system_refusals(SinkError)
def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        problem = f"expected a folder that can be made, found: {failure.strerror}"
        raise SinkError(folder, problem, "check the rights and the space") from failure


def _remove(files: dict[str, Path]) -> None:
    """Clear away an attempt that gave no result, and its folders where they are empty."""
    for file in files.values():
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
            file.parent.rmdir()


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
