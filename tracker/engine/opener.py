"""Opener of streams: a plan becomes a source, the ordered stages and the outputs, for recordings and cameras alike."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tracker.engine.counting import counting_stages
from tracker.engine.covered import covering_of
from tracker.engine.economy import Economy
from tracker.engine.journal import Delivery
from tracker.engine.meter import StreamMeter
from tracker.engine.outputs import Outputs
from tracker.engine.plan import chosen_classes
from tracker.engine.resume import CHECKPOINT_FRAMES, ChunkedSink, restore
from tracker.engine.snapshot import Kept, next_number, numbered
from tracker.engine.steady import SteadyTracker
from tracker.engine.stream import Stream
from tracker.plugins import STAGES, StageContext
from tracker.sinks.base import file_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tracker.engine.journal import Journal
    from tracker.engine.outline import Outlines
    from tracker.engine.plan import StreamPlan
    from tracker.engine.resume import Resumption
    from tracker.engine.stage import Embedder, Stage
    from tracker.engine.steady import Associator
    from tracker.errors import SinkError
    from tracker.sinks.base import Sink
    from tracker.sources.frames import FrameFeed
    from tracker.sources.reconnect import Link
    from tracker.sources.source import Source
    from tracker.types import Segmenter

__all__ = ["Flow", "open_stream", "stages_of"]

logger = logging.getLogger("tracker.live")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """How much of a stream is under way.

    Attributes:
        queue_frames: Frames of a recording that are decoded ahead.
        max_in_flight: Most of its frames in the segmenter or waiting for one that is.
        decode_threads: FFmpeg's threads, 0 = one more than there are cores: for one recording at a time.
    """

    queue_frames: int = 4
    max_in_flight: int = 2
    decode_threads: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Callbacks about a stream while it runs.

    Attributes:
        on_link: Called when a camera's connection changes, in the source's thread.
        on_lost: Called with the failure of an output that ended before its time, in the writing thread.
    """

    on_link: Callable[[Link], None] | None = None
    on_lost: Callable[[SinkError], None] = lambda _failure: None


def open_stream(
    plan: StreamPlan,
    *,
    segmenter: Segmenter,
    embedder: Embedder | None = None,
    outliner: Outlines | None = None,
    lowest_score: float | None = None,
    tracker: Callable[[], Associator] | None = None,
    patient: bool = True,
    flow: Flow | None = None,
    kept: Kept | None = None,
    resumption: Resumption | None = None,
    journal: Journal | None = None,
    beside: Sequence[Sink] = (),
    watch: Watch | None = None,
) -> Stream:
    """The stream of a plan, not yet started; nothing is opened before it starts.

    Args:
        plan: What it is to do.
        segmenter: The shared model: names, input size and shape.
        embedder: Gives instances embeddings from the picture, where the settings name a network for that.
        outliner: Gives tracks outlines, where the settings name a promptable segmenter.
        lowest_score: Of the instances to use, since a shared model may let through more; ``None`` = all.
        tracker: Makes a tracker; ``None`` = the one that the settings describe.
        patient: A camera that is not there is waited for, and an output that cannot be opened is left out and reported;
            else both are errors.
        flow: How much is under way.
        kept: State of an earlier stream to continue.
        resumption: Of a recording whose records are to be written in chunks, and resumed where there are some.
        journal: Of events, where a later process may continue after a kill.
        beside: Further sinks that take the same frames.
        watch: Callbacks.

    Raises:
        ConfigError: A class that the model does not have.
    """
    flow, watch = flow or Flow(), watch or Watch()
    chunked = resumption if resumption is not None and _is_chunked(plan) else None
    checkpoint, chunks = (chunked.load() if chunked is not None else None) or (None, 0)
    if checkpoint is not None:
        kept = Kept(state=checkpoint.state or {}, elapsed_s=None)

    def make() -> list[Stage]:
        return stages_of(
            plan, segmenter, embedder=embedder, outliner=outliner, lowest_score=lowest_score, tracker=tracker
        )

    continued, stages, meter = _continued(plan.name, make, kept)
    if not continued:
        checkpoint, chunks = None, 0

    def open_source(on_ready: Callable[[], None], on_link: Callable[[Link], None]) -> Source:
        return _open_source(plan, segmenter, flow, patient=patient, on_ready=on_ready, on_link=on_link)

    def lost(failure: SinkError) -> None:
        meter.output_failed(failure)
        watch.on_lost(failure)

    def open_sink(source: FrameFeed) -> Sink:
        outputs = Outputs(plan, source.info, segmenter, on_lost=lost, view=stream)
        if chunked is None:
            return outputs.open(strict=not patient, beside=beside)
        open_chunk = outputs.opener(final_classes=False, resumable=True)
        classes = zip(plan.outputs, plan.sink_classes, strict=True)
        in_chunks = {output: sink.resumes == "chunks" for output, sink in classes}
        files = [output for output, chunk in in_chunks.items() if chunk]
        return ChunkedSink(
            [Path(output) for output in files],
            open_chunk,
            chunked,
            chunks=chunks,
            kinds=[plan.kind_of(output) for output in files],
            direct=[output for output, chunk in in_chunks.items() if not chunk],
        )

    stream = Stream(
        name=plan.name,
        open_source=open_source,
        stages=stages,
        open_sink=open_sink if plan.outputs or beside else None,
        meter=meter,
        max_in_flight=flow.max_in_flight,
        limit=plan.limit,
        detect_every=plan.settings.detect_every * plan.settings.stride,
        economy=_economy(plan, stages) if plan.settings.economy == "auto" else None,
        checkpoint_frames=None if chunked is None else CHECKPOINT_FRAMES,
        on_link=watch.on_link,
        delivery=Delivery(int(kept.state.get("events", 0)) if kept is not None and continued else None, journal),
    )
    if checkpoint is not None:
        stream.resume(checkpoint.next_index)
    return stream


def _economy(plan: StreamPlan, stages: Sequence[Stage]) -> Economy:
    """What decides which frames are segmented.

    Raises:
        TrackerError: The tracker does not tell whether a track lives.
    """
    number = next(number for number, stage in enumerate(stages) if isinstance(stage, SteadyTracker))
    tracker = cast("SteadyTracker", stages[number])
    tracker.living  # noqa: B018 - refused before anything is opened
    return Economy(stages[: number + 1], tracker, fills=plan.address.kind not in {"camera", "network"})


def stages_of(
    plan: StreamPlan,
    segmenter: Segmenter,
    *,
    embedder: Embedder | None = None,
    outliner: Outlines | None = None,
    lowest_score: float | None = None,
    tracker: Callable[[], Associator] | None = None,
) -> list[Stage]:
    """The stages of a stream in their order.

    Camera motion, filter, embeddings, associate, predicted masks, outlines, those of the settings, and last contact,
    camera state, analytics, so that what is counted is what is written.

    Args:
        plan: What the stream is to do.
        segmenter: Of the stream: its classes, and the score that confirms a track.
        embedder: As for :func:`open_stream`, like the others.
        outliner: The same.
        lowest_score: The same.
        tracker: The same.

    Raises:
        ConfigError: A class that the model does not have, or a stage that is not installed.
    """
    settings, class_names = plan.settings, segmenter.class_names
    class_ids = chosen_classes(plan, class_names)
    covering_of(plan, class_names)  # refused here, before anything is opened
    steps: list[tuple[str, dict[str, Any]]] = []
    if plan.looks_for_tracks and settings.camera_motion != "off":
        steps.append(("camera", {}))
    if class_ids or lowest_score is not None:
        steps.append(("filter", {"class_ids": class_ids, "lowest_score": lowest_score}))
    if embedder is not None and plan.looks_for_tracks:
        steps.append(("reid", {"embedder": embedder}))
    if plan.associates:
        from tracker.associate.tracker import Tracker

        make = tracker or (lambda: Tracker.for_model(segmenter, confirmation_score=settings.confirmation_score))
        steps.append(("associate", {"tracker": make}))
        if settings.predicted_masks:
            steps.append(("predicted_masks", {}))
    if outliner is not None:
        steps.append(("outline", {"outliner": outliner, "every": settings.outline_every}))
    steps += [(name, {}) for name in settings.stages]
    return [
        *(
            STAGES.load(name)(StageContext(stream=plan.name, class_names=class_names, settings=values))
            for name, values in steps
        ),
        *counting_stages(
            plan.name,
            class_names,
            contacts=plan.wants_contacts,
            site=plan.site,
            settings=settings,
            pictured=True,
        ),
    ]


def _continued(name: str, make: Callable[[], list[Stage]], kept: Kept | None) -> tuple[bool, list[Stage], StreamMeter]:
    """Whether an earlier stream is continued, the stages and the meter; a state that they do not understand is left."""
    stages, meter = make(), StreamMeter()
    if kept is None:
        return False, stages, meter
    try:
        restore(stages, meter, kept)
    except Exception as failure:  # noqa: BLE001 - whatever a state of another version makes of this one's stages
        anew = kept.elapsed_s is None  # a recording from its beginning, with the numbers of any first run
        number = None if anew else next_number(kept.state)
        then = "starting fresh" if number is None else f"numbers go on from {number + kept.skip_ids}"
        problem = f"expected a state of this tracker, found {type(failure).__name__}: {failure}; {then}"
        logger.warning("state not used", extra={"camera": name, "problem": problem})
        stages, meter = make(), StreamMeter()
        if number is not None:
            restore(stages, meter, replace(kept, state=numbered(number, kept.state), numbers_only=True))
        return False, stages, meter
    if kept.elapsed_s is not None and not kept.numbers_only:
        logger.info("state restored", extra={"camera": name, "age_s": round(kept.elapsed_s, 1)})
    return True, stages, meter


def _is_chunked(plan: StreamPlan) -> bool:
    """Whether all outputs of a recording can be written in chunks; the log says why not."""
    for output, kind in zip(plan.outputs, plan.sink_classes, strict=True):
        if kind.resumes != "chunks":
            continue
        why = kind.why_not_joined(plan.shown(output))
        if not why and plan.settings.privacy != "none" and kind.needs_images:
            why = "its pictures are covered with what is seen in the frames after them"
        if not why and "{time}" in Path(output).name:
            why = "it comes in parts by time"
        if why:
            name = plan.shown(output) if file_of(output) is None else Path(output).name
            problem = f"{name} cannot be resumed, and this recording restarts from its beginning after a kill: {why}"
            asked_for = logging.getLogger("tracker.live.resume")
            asked_for.warning("not resumable", extra={"camera": plan.name, "problem": problem})
            return False
    return bool(plan.outputs)


def _open_source(
    plan: StreamPlan,
    segmenter: Segmenter,
    flow: Flow,
    *,
    patient: bool,
    on_ready: Callable[[], None],
    on_link: Callable[[Link], None],
) -> Source:
    """The source of a stream; an impatient one is there when this returns, with its first frame."""
    from tracker.sources.open import open_source
    from tracker.sources.reconnect import open_live

    settings = plan.settings
    if plan.address.kind not in {"camera", "network"}:
        return open_source(
            plan.address,
            network_size=segmenter.network_size,
            keep_aspect=segmenter.keep_aspect,
            want_image=plan.wants_images,
            small_height=plan.small_height,
            stride=settings.stride,
            fps=settings.fps,
            policy=settings.policy,
            queue_size=1 if settings.policy == "latest" else flow.queue_frames,
            max_age_s=settings.max_age_s,
            decode=settings.decode,
            decode_threads=flow.decode_threads,
            ffmpeg_options=dict(settings.ffmpeg_options),
            max_pixels=settings.max_pixels,
            on_ready=on_ready,
        )
    source = open_live(
        plan.address,
        network_size=segmenter.network_size,
        keep_aspect=segmenter.keep_aspect,
        want_image=plan.wants_images,
        small_height=plan.small_height,
        stride=settings.stride,
        fps=settings.fps,
        policy=settings.policy,
        queue_size=flow.queue_frames if settings.policy == "all" else 1 if patient else 2,
        max_age_s=settings.max_age_s,
        timeout_s=settings.timeout_s,
        stall_s=settings.stall_s,
        rtsp_transport=settings.rtsp_transport,
        decode=settings.decode,
        decode_threads=flow.decode_threads,
        ffmpeg_options=dict(settings.ffmpeg_options),
        max_pixels=settings.max_pixels,
        patient=patient,
        on_ready=on_ready,
        on_link=on_link,
    )
    if not patient:
        try:
            source.wait()
        except BaseException:
            source.close()
            raise
    return source
