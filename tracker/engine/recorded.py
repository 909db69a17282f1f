"""Inputs of counting without the video: saved instances and rows of records as tracked frames with their stages."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tracker.analytics.contact import ContactFinder
from tracker.engine.counting import AnalyticsStage, check_site, kinds_of
from tracker.engine.saved import saved_stages, started, stream_of, tracked_frames
from tracker.errors import ConfigError
from tracker.formats.instances import is_saved_instances, open_saved
from tracker.formats.recorded import open_recorded
from tracker.plugins import STAGES, StageContext
from tracker.recount import occluder_mark
from tracker.track_block import TrackBlock, blocks_of
from tracker.types import Frame, Instances, TrackedFrame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tracker.engine.stage import Stage
    from tracker.events import Event
    from tracker.formats.recorded import Recorded
    from tracker.settings.stream import StreamSettings
    from tracker.site import Site

__all__ = ["Reading", "RecordedInput", "open_input"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the files do not say themselves.

    Attributes:
        fps: Frames per second, for files that have frame numbers only.
        size: ``(width, height)`` of the picture, where neither the files nor the site say.
        by_boxes: Count by the lower edges of the boxes.
        stream: Name of the stream; empty = as the files say, or the first file's name.
    """

    fps: float | None = None
    size: tuple[int, int] | None = None
    by_boxes: bool = False
    stream: str = ""


@dataclass(slots=True, kw_only=True)
class RecordedInput:
    """Tracked frames of one stream, and what makes events of them.

    Attributes:
        stream: Its name.
        site: What is counted.
        frames: In order of time.
        blocks: The same as columns, where that is known; of both only one can be read.
        stages: That find the events.
        settings: With the start that was declared then, or now.
        class_names: That the model has; ``None`` where only the rows tell.
        notes: What the user should know about the input.
    """

    stream: str
    site: Site
    frames: Iterator[TrackedFrame]
    blocks: Iterator[TrackBlock] | None = None
    stages: list[Stage]
    settings: StreamSettings
    class_names: Sequence[str] | None = None
    notes: list[str] = field(default_factory=list)

    def counted(self, *, bare: bool = False) -> Iterator[TrackedFrame]:
        """The frames with their events.

        Args:
            bare: Nothing is asked of a frame but its times, events and heat; where all stages can, they take blocks.
        """
        if bare and self.blocks is not None and len(self.stages) == 1:
            [stage] = self.stages
            if isinstance(stage, AnalyticsStage) and stage.takes_blocks:
                yield from self._counted_blocks(self.blocks, stage)
                return
        for tracked in self.frames:
            for stage in self.stages:
                tracked = stage.process(tracked)  # noqa: PLW2901 - a frame on its way
            yield tracked

    def _counted_blocks(self, blocks: Iterator[TrackBlock], stage: AnalyticsStage) -> Iterator[TrackedFrame]:
        nothing = Instances.empty()
        for block in blocks:
            for number, events in enumerate(stage.take(block)):
                time_s = block.times_s[number]
                frame = Frame(
                    index=block.indices[number],
                    time_s=time_s,
                    arrived_s=time_s,
                    source=self.stream,
                    size=block.size,
                    captured_at=block.captured_at[number],
                )
                yield TrackedFrame(
                    frame=frame, instances=nothing, tracks=None, class_names=block.class_names, events=events
                )

    def closing(self) -> tuple[Event, ...]:
        """What is open at the end."""
        return tuple(event for stage in self.stages for event in stage.close())


@contextlib.contextmanager
def open_input(
    paths: Sequence[Path], site: Site, settings: StreamSettings, reading: Reading
) -> Iterator[RecordedInput]:
    """Open one recording, or the parts of one that follow each other.

    Args:
        paths: One ``.instances`` file, or files of rows in order.
        site: What is counted.
        settings: With the site's name, the declared start and the length of gaps.
        reading: What the files do not say.

    Raises:
        SourceError: A file cannot be read or is damaged; frames raise it too.
        ConfigError: The site does not fit, or something is not known.
    """
    if is_saved_instances(paths[0]):
        with _instances(paths, site, settings, reading) as found:
            yield found
        return
    size = reading.size or site.reference_size
    recorded = open_recorded(paths, fps=reading.fps, size=size, by_boxes=reading.by_boxes, gap_s=settings.gap_s)
    if recorded.noted and not recorded.by_boxes and recorded.occluders != occluder_mark(site.occluders):
        problem = "expected records whose hidden contacts were told with this site's occluders, found others"
        remedy = "analyse the .instances of the recording, keep its occluders, or count by boxes with --boxes"
        raise ConfigError(str(paths[0]), problem, remedy)
    if settings.start_at is None and recorded.start_ms is not None:
        settings = settings.replace(start_at=EPOCH + timedelta(milliseconds=recorded.start_ms))
    stream = reading.stream or recorded.stream or paths[0].name
    facts = {"site": site, "start_at": settings.start_at, "gap_s": settings.gap_s}
    stages: list[Stage] = [
        STAGES.load("analytics")(
            StageContext(
                stream=stream,
                class_names=recorded.class_names,
                settings={"kind": kind, "site_file": settings.site, **facts},
            )
        )
        for kind in kinds_of(site)
    ]
    if settings.heatmap:
        context = StageContext(stream=stream, class_names=recorded.class_names, settings={"kind": "site", **facts})
        stages.append(STAGES.load("heatmap")(context))
    yield RecordedInput(
        stream=stream,
        site=site,
        frames=_with_camera(recorded, stream, site, settings),
        blocks=_blocks_with_camera(recorded, stream, site, settings),
        stages=stages,
        settings=settings,
        class_names=None,
        notes=_remarks(recorded),
    )


@contextlib.contextmanager
def _instances(
    paths: Sequence[Path], site: Site, settings: StreamSettings, reading: Reading
) -> Iterator[RecordedInput]:
    if len(paths) > 1:
        problem = f"expected one file of saved instances, found {len(paths)}"
        raise ConfigError(str(paths[1]), problem, "put them together (the first line once), or analyse each")
    with paths[0].open("rb") as file:
        model, saved = open_saved(paths[0], file)
        check_site(site, model.class_names, settings.site or "site")
        stream, frames = stream_of(model, tracked_frames(model, saved))
        stream = reading.stream or stream
        settings = started(settings, model)
        stages = saved_stages(stream, model.class_names, contacts=False, site=site, settings=settings)
        yield RecordedInput(
            stream=stream,
            site=site,
            frames=frames,
            stages=stages,
            settings=settings,
            class_names=model.class_names,
        )


def _with_camera(recorded: Recorded, stream: str, site: Site, settings: StreamSettings) -> Iterator[TrackedFrame]:
    """Frames whose events of the camera are of this stream, site and clock; what lasts ends with the records."""
    for tracked in recorded.frames():
        events = _of_stream(tracked.events, stream, site, settings)
        yield replace(tracked, events=events) if events else tracked


def _blocks_with_camera(recorded: Recorded, stream: str, site: Site, settings: StreamSettings) -> Iterator[TrackBlock]:
    """The same as columns."""
    for block in blocks_of(_of_boxes(recorded, site)) if recorded.by_boxes else recorded.blocks():
        events = {number: _of_stream(own, stream, site, settings) for number, own in block.events.items()}
        yield replace(block, events=events)


def _of_boxes(recorded: Recorded, site: Site) -> Iterator[TrackBlock]:
    """Blocks of one frame whose contacts are found from the boxes of the rows."""
    finder = ContactFinder([occluder.polygon for occluder in site.occluders])
    for tracked in recorded.frames():
        if tracked.tracks is not None:
            yield TrackBlock.of(tracked, tracked.tracks, finder.find(tracked.instances, tracked.frame.size))


def _of_stream(events: Sequence[Event], stream: str, site: Site, settings: StreamSettings) -> tuple[Event, ...]:
    """Events of the camera under this stream, site and clock."""
    start_ms = settings.start_ms
    return tuple(
        replace(
            event,
            stream=stream,
            revision=site.revision,
            utc_ms=event.utc_ms if start_ms is None else round(start_ms + event.time_s * 1000),
        )
        for event in events
    )


def _remarks(recorded: Recorded) -> list[str]:
    notes = []
    if recorded.seen_only:
        notes.append("predicted rows were left out when these records were written: identities seem to be away there")
    if recorded.by_boxes:
        notes.append("counted by the boxes' lower edges: times may be a frame off, and overlapped objects are hidden")
    if not recorded.noted:
        notes.append(
            "rows without notes: an identity ends 2 s after its last one, and missing frame numbers were empty"
        )
    return notes
