"""One camera's settings enter, a stream for the engine leaves: its source, its tracker, its filter and its outputs."""

from __future__ import annotations

import dataclasses
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tracker.engine.claims import camera_outputs
from tracker.engine.resume import CHECKPOINT_FRAMES, ChunkedSink, Resumption
from tracker.engine.snapshot import Kept
from tracker.engine.steady import SteadyTracker
from tracker.engine.stream import Stream
from tracker.errors import ConfigError, SinkError, TrackerError
from tracker.sinks.base import Sink, SinkContext, file_of
from tracker.sinks.rotate import RotatingSink

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracker.associate.camera import CameraMotion
    from tracker.config import CameraConfig
    from tracker.engine.steady import Associator
    from tracker.sinks.base import Checkpoint
    from tracker.sources.address import Address
    from tracker.sources.reconnect import Link
    from tracker.sources.source import Source
    from tracker.types import Frame, Instances, Segmenter, TrackedFrame

__all__ = ["build_stream", "check_camera", "open_outputs"]

logger = logging.getLogger("tracker.live")


def check_camera(camera: CameraConfig, class_names: tuple[str, ...]) -> Address:
    """Look at everything that can be wrong with a camera before it is opened.

    Returns:
        What is to be opened, under the camera's name.

    Raises:
        TrackerError: An unknown class, a recording that is not there, an output that cannot be written.
    """
    from tracker.plugins import sink_class
    from tracker.sources.address import expand_sources
    from tracker.sources.hardware import choose

    _chosen(camera, class_names)
    addresses = expand_sources(camera.url)
    if len(addresses) > 1:
        problem = f"expected one stream, found {len(addresses)}"
        raise ConfigError(camera.name, problem, "write a camera entry for each of them")
    for output in camera_outputs(camera):
        sink_class(output)
        path = file_of(output)
        if path is None:
            continue
        folder = path.parent
        if not folder.is_dir():
            raise SinkError(path, f"expected the folder {folder} to exist, found nothing", f"mkdir -p {folder}")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SinkError(path, f"expected a writable folder {folder}, found no permission", f"chmod u+wx {folder}")
    choose(camera.decode)
    rate = f"{camera.fps:g}" if camera.fps is not None and addresses[0].kind == "camera" else None
    address = dataclasses.replace(addresses[0], name=camera.name)
    return address.asking(size=camera.size, fps=rate, format=camera.format)


def build_stream(
    camera: CameraConfig,
    *,
    segmenter: Segmenter,
    tracker: Callable[[], Associator],
    embed: Callable[[Frame, Instances], Instances] | None = None,
    lowest_score: float | None = None,
    queue_frames: int = 4,
    max_in_flight: int = 2,
    kept: Kept | None = None,
    resumption: Resumption | None = None,
) -> Stream:
    """The stream of a camera, not yet started.

    Args:
        camera: Its settings.
        segmenter: The shared model: names, input size and shape.
        tracker: Makes a tracker.
        embed: Gives instances embeddings from the picture, where the camera names a network for that.
        lowest_score: Of the instances to look at, since the shared model may let through more; ``None`` = the camera's.
        queue_frames: Frames of a recording that are decoded ahead.
        max_in_flight: Most of its frames in the segmenter at a time.
        kept: Identities of an earlier stream to go on with.
        resumption: Of a recording whose records are to be written in chunks, and gone on with where there are some.

    Raises:
        TrackerError: As for :func:`check_camera`.
    """
    address = check_camera(camera, segmenter.class_names)
    outputs = camera_outputs(camera)

    def open_source(on_ready: Callable[[], None], on_link: Callable[[Link], None]) -> Source:
        return _open_source(camera, address, segmenter, queue_frames=queue_frames, on_ready=on_ready, on_link=on_link)

    chunked = resumption if resumption is not None and _is_chunked(camera, outputs) else None
    checkpoint, chunks = (chunked.load() if chunked is not None else None) or (None, 0)
    if checkpoint is not None:
        kept = Kept(state=checkpoint.state or {}, elapsed_s=None)
    going_on, steady = _tracker(camera.name, tracker, kept)
    if checkpoint is not None and not going_on:
        checkpoint, chunks = None, 0

    def open_sink(source: Source) -> Sink:
        if chunked is None:
            return open_outputs(camera, outputs, source, segmenter.class_names, on_failure=stream.meter.output_failed)
        open_part = _opener(camera, source, segmenter.class_names)
        return ChunkedSink([Path(output) for output in outputs], open_part, chunked, chunks=chunks)

    stream = Stream(
        name=camera.name,
        open_source=open_source,
        tracker=steady,
        open_sink=open_sink if outputs else None,
        keep=_keep(camera, segmenter.class_names, lowest_score),
        embed=embed,
        camera_motion=_camera_motion(camera, checkpoint),
        max_in_flight=max_in_flight,
        checkpoint_frames=None if chunked is None else CHECKPOINT_FRAMES,
    )
    if checkpoint is not None:
        stream.resume(checkpoint.next_index)
    return stream


def _tracker(name: str, make: Callable[[], Associator], kept: Kept | None) -> tuple[bool, SteadyTracker]:
    """Whether identities are gone on with, and the tracker; a state that it does not understand is left."""
    steady = SteadyTracker(make())
    if kept is None:
        return False, steady
    try:
        steady.restore(kept)
    except Exception as failure:  # noqa: BLE001 - whatever a state of another version makes of this one's tracker
        problem = f"expected a state of this tracker, found {type(failure).__name__}: {failure}; starting fresh"
        logger.warning("state not used", extra={"camera": name, "problem": problem})
        return False, SteadyTracker(make())
    if kept.elapsed_s is not None:
        logger.info("state restored", extra={"camera": name, "age_s": round(kept.elapsed_s, 1)})
    return True, steady


def _camera_motion(camera: CameraConfig, checkpoint: Checkpoint | None) -> CameraMotion | None:
    """An estimator for one camera, which goes on from a recording's checkpoint."""
    if camera.camera_motion == "off":
        return None
    from tracker.associate.camera import CameraMotion

    estimator = CameraMotion()
    if checkpoint is not None and checkpoint.state is not None and "camera_motion" in checkpoint.state:
        estimator.restore(checkpoint.state["camera_motion"])
    return estimator


def _is_chunked(camera: CameraConfig, outputs: list[str]) -> bool:
    """Whether all outputs of a recording can be written in chunks; the log says why not."""
    from tracker.plugins import sink_class
    from tracker.sources.address import redact

    for output in outputs:
        if why := sink_class(output).why_not_joined(redact(output)):
            name = Path(redact(output)).name
            problem = f"{name} cannot be gone on with, and this recording begins anew after a kill: {why}"
            logger.warning("not resumable", extra={"camera": camera.name, "problem": problem})
            return False
    return bool(outputs)


def _wants_images(camera: CameraConfig) -> bool:
    """Whether an output or a network of its own looks at the full-size pictures."""
    from tracker.plugins import sink_class

    return camera.reid is not None or any(sink_class(output).needs_images for output in camera_outputs(camera))


def _open_source(
    camera: CameraConfig,
    address: Address,
    segmenter: Segmenter,
    *,
    queue_frames: int,
    on_ready: Callable[[], None],
    on_link: Callable[[Link], None],
) -> Source:
    from tracker.sources.open import open_source
    from tracker.sources.reconnect import open_live

    options = dict(camera.options)
    if address.kind in {"camera", "network"}:
        return open_live(
            address,
            network_size=segmenter.network_size,
            keep_aspect=segmenter.keep_aspect,
            want_image=_wants_images(camera),
            stride=camera.stride,
            fps=camera.fps,
            policy=camera.policy,
            queue_size=queue_frames if camera.policy == "all" else 1,
            max_age_s=camera.max_age_s,
            timeout_s=camera.timeout_s,
            stall_s=camera.stall_s,
            rtsp_transport=camera.transport,
            decode=camera.decode,
            ffmpeg_options=options,
            on_ready=on_ready,
            on_link=on_link,
        )
    return open_source(
        address,
        network_size=segmenter.network_size,
        keep_aspect=segmenter.keep_aspect,
        want_image=_wants_images(camera),
        stride=camera.stride,
        fps=camera.fps,
        policy="latest" if camera.policy == "latest" else "all",
        queue_size=1 if camera.policy == "latest" else queue_frames,
        max_age_s=camera.max_age_s,
        decode=camera.decode,
        decode_threads=1,
        ffmpeg_options=options,
        on_ready=on_ready,
    )


def _chosen(camera: CameraConfig, class_names: tuple[str, ...]) -> list[int]:
    """Numbers of the classes a camera follows; empty = all."""
    lowered = [name.lower() for name in class_names]
    for name in camera.classes:
        if name.lower() not in lowered:
            problem = f"expected classes of the model, found {name!r}"
            raise ConfigError(camera.name, problem, f"choose among {', '.join(class_names[:20])}")
    return [lowered.index(name.lower()) for name in camera.classes]


def _keep(
    camera: CameraConfig, class_names: tuple[str, ...], lowest: float | None
) -> Callable[[Instances], Instances] | None:
    """What a camera wants of all that the shared model sees."""
    chosen, lowest = _chosen(camera, class_names), camera.conf if lowest is None else lowest
    if not chosen and lowest is None:
        return None

    def keep(instances: Instances) -> Instances:
        wanted = np.ones(len(instances), np.bool_)
        if chosen:
            wanted &= np.isin(instances.class_ids, chosen)
        if lowest is not None:
            wanted &= instances.scores >= lowest
        return instances if wanted.all() else instances.take(wanted)

    return keep


def _opener(
    camera: CameraConfig, source: Source, class_names: tuple[str, ...]
) -> Callable[[str | os.PathLike[str]], Sink]:
    """Opens a part of an output; what is remembered for drawing (trails) goes on from part to part."""
    from tracker.plugins import open_sink
    from tracker.render.annotate import Annotator

    frame_rate = source.info.fps / camera.stride if source.info.fps > 0 else None
    context = SinkContext(class_names=class_names, frame_rate=frame_rate, draw=Annotator().draw, masks=camera.masks)

    def open_part(output: str | os.PathLike[str]) -> Sink:
        return open_sink(output, context)

    return open_part


def open_outputs(
    camera: CameraConfig,
    outputs: list[str],
    source: Source,
    class_names: tuple[str, ...],
    *,
    on_failure: Callable[[SinkError], None] | None = None,
) -> Sink:
    """Every output of a camera as one sink: what dies is reported and ended, the others go on.

    Args:
        camera: Its settings.
        outputs: Their addresses, with the camera's name filled in.
        source: Whose frames will come.
        class_names: Names in ``class_ids`` order.
        on_failure: Told of every output, or part of one, that could not be written.
    """
    from tracker.sinks.multi import MultiSink

    open_part = _opener(camera, source, class_names)

    def report(failure: SinkError) -> None:
        logger.error("output failed", extra={"camera": camera.name, "problem": str(failure)})
        if on_failure is not None:
            on_failure(failure)

    sinks: list[Sink] = []
    for output in outputs:
        path = file_of(output)
        if path is not None and "{time}" in path.name:
            rotating = RotatingSink(
                output, open_part, every_s=camera.rotate_s, max_bytes=camera.rotate_bytes, on_error=report
            )
            sinks.append(rotating)
            continue
        try:
            sinks.append(open_part(output))
        except TrackerError as failure:
            sinks.append(_Refused(failure))
    return MultiSink(sinks, on_error=report)


class _Refused(Sink):
    """An output that could not be opened: dies of that at the first frame, and is reported like any that dies."""

    def __init__(self, failure: TrackerError) -> None:
        self._failure = failure

    def write(self, _: TrackedFrame) -> None:
        raise self._failure

    def close(self) -> None:
        pass
