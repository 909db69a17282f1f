"""Association of saved instances: the associate stage of a stream, on frames that were segmented before.

Camera motion, filter and embeddings were done when the instances were saved, so identities, boxes and records are those
that ``track`` gives on the recording itself.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.analytics.tally import Tally
from tracker.associate.tracker import Tracker
from tracker.engine.counting import check_site, counting_stages, site_of
from tracker.engine.meter import Census
from tracker.engine.second_pass import SecondPass, check_replaceable, settle_stores
from tracker.engine.stage import Stage
from tracker.errors import ConfigError
from tracker.events import Event
from tracker.formats.instances import open_saved
from tracker.plugins import STAGES, StageContext, open_sink, sink_class
from tracker.recount import FrameNotes
from tracker.settings.stream import EVENT_SUFFIXES, StreamSettings, event_kind
from tracker.sinks.base import SinkContext, file_of
from tracker.sinks.claims import Claim, check_claims
from tracker.sinks.exclusive import reserved
from tracker.types import TrackedFrame

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tracker.formats.instances import SavedFrame, SavedModel
    from tracker.recount import CameraNote
    from tracker.refine.spool import Spool
    from tracker.sinks.base import Edition, Sink
    from tracker.site import Site
    from tracker.types import Frame

__all__ = ["SavedOutcome", "associate_saved", "saved_stages", "started", "stream_of", "tracked_frames"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedOutcome:
    """What came of it.

    Attributes:
        frames: Frames associated.
        identities: How many there are by class name.
        tally: What the site's lines, zones and flows counted; ``None`` without a site.
        refined: Whether the outputs hold the second pass's result.
        problem: Why they hold the online result although a second pass was asked for; else empty.
    """

    frames: int
    identities: Counter[str]
    tally: Tally | None = None
    refined: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One file that is associated: where it goes, and what is counted on the way."""

    model: SavedModel
    outputs: list[str]
    kinds: dict[Path, str | None]
    counting: StreamSettings
    site: Site | None

    @classmethod
    def of(cls, model: SavedModel, out: str, counting: StreamSettings) -> _Job:
        kinds: dict[Path, str | None] = {Path(path): event_kind(path) for path in counting.events}
        counting = started(counting, model)
        job = cls(model=model, outputs=[out, *counting.events], kinds=kinds, counting=counting, site=site_of(counting))
        if job.site is not None:
            check_site(job.site, model.class_names, counting.site or "site")
        return job

    def kind_of(self, output: str) -> str | None:
        return self.kinds.get(Path(output))

    def stages(self, stream: str) -> list[Stage]:
        """Contact and analytics, where something asks for them."""
        sinks = [sink_class(output, self.kind_of(output)) for output in self.outputs]
        return saved_stages(
            stream,
            self.model.class_names,
            contacts=any(sink.needs_contacts for sink in sinks),
            site=self.site,
            settings=self.counting,
        )

    def context(self, stream: str, edition: Edition) -> SinkContext:
        return SinkContext(
            edition=edition,
            stream=stream,
            class_names=self.model.class_names,
            frame_rate=self.model.frame_rate,
            image_names=self.model.image_names,
            confirmation_score=self.model.confirmation_score,
            model_digest=self.model.digest,
            start_ms=self.counting.start_ms,
            site=self.site,
        )


def started(settings: StreamSettings, model: SavedModel) -> StreamSettings:
    """Settings with the start that was declared when the instances were saved, unless they declare one."""
    if settings.start_at is not None or model.start_ms is None:
        return settings
    return settings.replace(start_at=EPOCH + timedelta(milliseconds=model.start_ms))


class SavedCameraStage(Stage):
    """Events of the camera's own state, as its pictures showed it when the instances were saved.

    Args:
        stream: Name of the recording.
        revision: Of the site.
        start_ms: UTC in milliseconds at media time 0; ``None`` = as it was then.
    """

    name = "camera_state"

    def __init__(self, stream: str, *, revision: int, start_ms: int | None) -> None:
        self._stream, self._revision, self._start_ms = stream, revision, start_ms
        self._last: tuple[Event, ...] = ()

    def process(self, tracked: TrackedFrame) -> TrackedFrame:
        """The frame with the events that its notes hold."""
        if tracked.notes is None:
            return tracked
        camera = tracked.notes.camera
        self._last = self._events(note for note in camera if math.isinf(note.frame_s))
        now = self._events(note for note in camera if not math.isinf(note.frame_s))
        return replace(tracked, notes=None, events=(*tracked.events, *now))

    def close(self) -> tuple[Event, ...]:
        """What lasted to the end of the stream."""
        return self._last

    def _events(self, notes: Iterable[CameraNote]) -> tuple[Event, ...]:
        start_ms = self._start_ms
        return tuple(
            Event(
                kind=note.kind,
                stream=self._stream,
                time_s=note.time_s,
                since_s=note.since_s,
                utc_ms=note.utc_ms if start_ms is None else round(start_ms + note.time_s * 1000),
                revision=self._revision,
            )
            for note in notes
        )


def saved_stages(
    stream: str, class_names: Sequence[str], *, contacts: bool, site: Site | None, settings: StreamSettings
) -> list[Stage]:
    """Stages of counting saved instances; see :func:`tracker.engine.counting.counting_stages`."""
    stages = counting_stages(stream, class_names, contacts=contacts, site=site, settings=settings)
    if site is None:
        return stages
    return [SavedCameraStage(stream, revision=site.revision, start_ms=settings.start_ms), *stages]


def tracked_frames(model: SavedModel, frames: Iterator[SavedFrame]) -> Iterator[TrackedFrame]:
    """Every frame with its tracks, in order; with its ``warp`` as it was found, and notes of the camera's state."""

    def make() -> Tracker:
        return Tracker(class_count=len(model.class_names), confirmation_score=model.confirmation_score)

    context = StageContext(stream="saved instances", class_names=model.class_names, settings={"tracker": make})
    stage: Stage = STAGES.load("associate")(context)
    for saved in frames:
        yield stage.process(
            TrackedFrame(
                frame=saved.frame,
                instances=saved.instances,
                tracks=None,
                class_names=model.class_names,
                warp=saved.warp,
                notes=FrameNotes(stream=saved.frame.source, camera=saved.camera) if saved.camera else None,
            )
        )


def stream_of(model: SavedModel, frames: Iterator[TrackedFrame]) -> tuple[str, Iterator[TrackedFrame]]:
    """The name of the stream that was saved, and its frames, of which the first was looked at."""
    first = next(frames, None)
    if first is None:
        return "", iter(())
    stream = first.frame.source
    if model.image_names:
        stream = os.path.dirname(stream)  # noqa: PTH120 - as the folder was named, also where that is an address
    return stream, itertools.chain([first], frames)


def associate_saved(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    refine: bool = False,
    counting: StreamSettings | None = None,
    progress: Callable[[int], None] = lambda _frames: None,
) -> SavedOutcome:
    """Track a recording by its saved instances.

    Args:
        path: The file, ``*.instances``.
        out: Any output by its suffix that needs no pictures.
        refine: Improve the result by a second pass; the online one stands where that fails.
        counting: Its ``site``, ``events``, ``start_at`` and ``gap_s``.
        progress: Called with the frames done.

    Raises:
        DetectionsError: The input cannot be read, or is damaged: the frames before that are written.
        SinkError: The output cannot be written.
        ConfigError: The output needs pictures, or cannot be replaced by a second pass.
    """
    if sink_class(out).needs_images:
        problem = "expected records, found a video: saved instances hold no pictures"
        raise ConfigError(out, problem, "masktrail track the recording")
    counting = counting or StreamSettings()
    if counting.site is None and os.fspath(out).lower().endswith(EVENT_SUFFIXES):
        problem = "expected a site, whose lines and zones make the events, found none"
        raise ConfigError(out, problem, "name the site's file too")
    if refine:
        check_replaceable({os.fspath(out): None} | {path: event_kind(path) for path in counting.events})
    claims = [(os.fspath(out), "--out"), *((path, "--events") for path in counting.events)]
    targets = [
        Claim(path=found, named_by=option, shared=event_kind(output) == ".sqlite")
        for output, option in claims
        if (found := file_of(output))
    ]
    read = [Claim(path=Path(path)), *([Claim(path=Path(counting.site), named_by="--site")] if counting.site else [])]
    check_claims(targets, read)
    paths = [target.path for target in targets]
    with contextlib.ExitStack() as stack:
        model, saved = open_saved(path, stack.enter_context(Path(path).open("rb")))
        job = _Job.of(model, os.fspath(out), counting)
        stack.enter_context(reserved(*(target.path for target in targets if not target.shared)))
        spool = None
        if refine:
            from tracker.refine.spool import Spool

            spool = stack.enter_context(contextlib.closing(Spool()))
        stream, online = _first_pass(job, saved, spool, progress)
        return online if spool is None else _second_pass(spool, job, stream, paths, online)


def _first_pass(
    job: _Job, saved: Iterator[SavedFrame], spool: Spool | None, progress: Callable[[int], None]
) -> tuple[str, SavedOutcome]:
    """The name of the stream, and what was found online."""
    census, tally, frames = Census(), Tally.of(job.site), 0
    stream, later = stream_of(job.model, tracked_frames(job.model, saved))
    stages, context = job.stages(stream), job.context(stream, "append" if spool is None else "hold")
    with contextlib.ExitStack() as stack:
        sinks = [stack.enter_context(open_sink(output, context, kind=job.kind_of(output))) for output in job.outputs]
        for frames, tracked in enumerate(later, 1):
            for stage in stages:
                tracked = stage.process(tracked)  # noqa: PLW2901 - a frame on its way
            for sink in sinks:
                sink.write(tracked)
            tally.add(tracked.events)
            if tracked.tracks is not None:
                census.update(tracked.tracks, job.model.class_names)
            if spool is not None:
                spool.write(tracked)
            progress(frames)
        last = tuple(event for stage in stages for event in stage.close())
        tally.add(last)
        for sink in sinks if last else ():
            sink.write_events(last)
    counted = None if job.site is None else tally
    return stream, SavedOutcome(frames=frames, identities=census.by_class(), tally=counted)


def _second_pass(spool: Spool, job: _Job, stream: str, targets: list[Path], online: SavedOutcome) -> SavedOutcome:
    context = job.context(stream, "revise")

    def open_again(output: str | os.PathLike[str], *, kind: str | None = None) -> Sink:
        return open_sink(output, context, kind=kind, coasting=True)

    second = SecondPass(
        spool=spool,
        class_names=job.model.class_names,
        open_sink=open_again,
        kinds=job.kinds,
        stages=job.stages(stream),
        pictures=_no_pictures,
    )
    rewritten = second.run(targets)
    if rewritten.identities is None:
        settle_stores({output: job.kind_of(output) for output in job.outputs}, stream)
        return replace(online, problem=rewritten.problem)
    tally = None
    if job.site is not None:
        tally = Tally.of(job.site)
        tally.merge(rewritten.tally)
    return SavedOutcome(frames=online.frames, identities=rewritten.identities, tally=tally, refined=True)


@contextlib.contextmanager
def _no_pictures() -> Iterator[Iterator[Frame]]:
    yield iter(())
