"""A source, a segmenter, a tracker and a sink enter; one pass over the stream and a summary of it leave.

Decoding runs in the source's own thread, segmentation in ``workers`` threads (frame by frame in parallel: two sessions
runs on one core each beat one run on two cores for small networks), association in the caller's thread because it is
sequential, drawing and writing in a fourth. Every queue between them is bounded, so memory does not depend on how long
the stream is.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter, defaultdict, deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tracker.errors import TrackerError
from tracker.types import Frame, Instances, Segmenter, TrackedFrame, Tracks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from tracker.sinks.base import Sink

__all__ = ["Associator", "Pipeline", "Summary", "WarpEstimator"]

SINK_QUEUE_FRAMES = 8
"""Frames that may wait for drawing and writing: a quarter of a second at 30 fps, 24 MB at 1280 x 720."""


class Associator(Protocol):
    """Instances in, identities out. :class:`tracker.associate.tracker.Tracker` is the one that ships."""

    def update(self, instances: Instances, time_s: float, *, warp: NDArray[np.float64] | None = None) -> Tracks:
        """Take the next frame's instances at media time ``time_s``; ``warp (2, 3)``, if any: how the camera moved."""
        ...


class WarpEstimator(Protocol):
    """Frames in, the camera's motion out. :class:`tracker.associate.camera.CameraMotion` is the one that ships."""

    def update(self, frame: Frame, instances: Instances) -> NDArray[np.float64] | None:
        """``(2, 3)`` image pixels of the frame before to those of this one; ``None`` for none or not known."""
        ...


@dataclass(slots=True, kw_only=True)
class Summary:
    """What a run did so far; the progress display and the final table read it.

    Attributes:
        frames: Frames that went through.
        instances: Instances that were segmented, summed over frames.
        media_s: Media time of the latest frame.
        wall_s: Seconds since the run began.
        living: Identities that are visible or coasting now.
        identities: How many identities there were, by class name; counted when the run ends.
        stage_s: Seconds of wall time spent in each stage, summed over frames.
    """

    frames: int = 0
    instances: int = 0
    media_s: float = 0.0
    wall_s: float = 0.0
    living: int = 0
    identities: Counter[str] = field(default_factory=Counter)
    stage_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def frames_per_s(self) -> float:
        """Throughput since the run began."""
        return self.frames / self.wall_s if self.wall_s > 0 else 0.0


class _Census:
    """Counts identities by class with memory for the living ones only: a class is final when its identity ends."""

    def __init__(self, class_names: Sequence[str]) -> None:
        self._class_names = class_names
        self._living: dict[int, int] = {}
        self._ended: Counter[str] = Counter()

    def update(self, tracks: Tracks) -> None:
        self._living.update(zip(tracks.ids.tolist(), tracks.class_ids.tolist(), strict=True))
        for identity in tracks.ended_ids.tolist():
            class_id = self._living.pop(identity, None)
            if class_id is not None:
                self._ended[self._class_names[class_id]] += 1

    def by_class(self) -> Counter[str]:
        return self._ended + Counter(self._class_names[class_id] for class_id in self._living.values())


class _SinkThread:
    """Feeds one sink from a bounded queue; what it raises comes out of the next :meth:`put` or of :meth:`finish`."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._frames: queue.Queue[TrackedFrame | None] = queue.Queue(maxsize=SINK_QUEUE_FRAMES)
        self._failure: BaseException | None = None
        self.busy_s = 0.0
        self._thread = threading.Thread(target=self._run, name="masktrail-sink", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (tracked_frame := self._frames.get()) is not None:
            if self._failure is not None:
                continue  # keep draining, so that nobody waits for ever on a full queue
            started_s = time.perf_counter()
            try:
                self._sink.write(tracked_frame)
            except BaseException as failure:  # noqa: BLE001 - re-raised in the caller's thread
                self._failure = failure
            self.busy_s += time.perf_counter() - started_s

    def put(self, tracked_frame: TrackedFrame) -> None:
        if self._failure is not None:
            raise self._failure
        self._frames.put(tracked_frame)

    def finish(self) -> None:
        """Wait until everything that was put is written."""
        self._frames.put(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure


class Pipeline:
    """One stream from source to sink.

    Args:
        source: Frames in order; anything iterable, usually :func:`tracker.sources.open.open_source`.
        segmenter: Frames to instances. With ``workers > 1`` its ``segment`` is called from several threads at once.
        tracker: Instances to identities, or ``None`` for segmentation only.
        camera_motion: Tells the tracker how the camera moved, or ``None`` for a camera that stands.
        sink: Where tracked frames go, or ``None``. It is not closed here: whoever opened it closes it.
        workers: Frames segmented at the same time. Order is kept.
        batch_size: Frames per call of ``segment``; more than one pays on a GPU only.
        on_frame: Called after every frame with the running summary, in the caller's thread.
    """

    def __init__(
        self,
        *,
        source: Iterable[Frame],
        segmenter: Segmenter,
        tracker: Associator | None,
        camera_motion: WarpEstimator | None = None,
        sink: Sink | None = None,
        workers: int = 1,
        batch_size: int = 1,
        on_frame: Callable[[Summary], None] | None = None,
    ) -> None:
        if workers < 1 or batch_size < 1:
            message = f"Pipeline: expected workers and batch_size of at least 1, found {workers} and {batch_size}"
            raise ValueError(message)
        self._source = source
        self._segmenter = segmenter
        self._tracker = tracker
        self._camera_motion = camera_motion
        self._sink = sink
        self._workers = workers
        self._batch_size = batch_size
        self._on_frame = on_frame
        self._census = _Census(segmenter.class_names)
        self._stopping = threading.Event()
        self._source_failure: TrackerError | None = None
        self.summary = Summary()

    def run(self) -> Summary:
        """Process the whole stream.

        Returns:
            The summary. When the source, the segmenter or the sink raises, everything before it has been handed to the
            sink, and
            ``self.summary`` says how far it got.
        """
        started_s = time.perf_counter()
        sink_thread = _SinkThread(self._sink) if self._sink is not None else None
        try:
            for tracked_frame in self._tracked_frames():
                if sink_thread is not None:
                    sink_thread.put(tracked_frame)
                self._account(tracked_frame, time.perf_counter() - started_s)
        finally:
            if sink_thread is not None:
                sink_thread.finish()
                self.summary.stage_s["write"] = sink_thread.busy_s
            self.summary.wall_s = time.perf_counter() - started_s
            self.summary.identities = self._census.by_class()
        if self._source_failure is not None:
            raise self._source_failure
        return self.summary

    def stop(self) -> None:
        """End the run after the frames in flight, as if the stream ended there; callable from any thread or signal."""
        self._stopping.set()

    def _account(self, tracked_frame: TrackedFrame, wall_s: float) -> None:
        summary = self.summary
        summary.frames += 1
        summary.instances += len(tracked_frame.instances)
        summary.media_s = tracked_frame.frame.time_s
        summary.wall_s = wall_s
        for stage, seconds in tracked_frame.stage_times_s.items():
            summary.stage_s[stage] += seconds
        if tracked_frame.tracks is not None:
            self._census.update(tracked_frame.tracks)
            summary.living = len(tracked_frame.tracks)
        if self._on_frame is not None:
            self._on_frame(summary)

    def _tracked_frames(self) -> Iterator[TrackedFrame]:
        for frame, instances, segment_s in self._segmented():
            tracks, times = self._associated(frame, instances)
            times = {"segment": segment_s, **times}
            yield TrackedFrame(
                frame=frame,
                instances=instances,
                tracks=tracks,
                class_names=self._segmenter.class_names,
                stage_times_s=times,
            )

    def _associated(self, frame: Frame, instances: Instances) -> tuple[Tracks | None, dict[str, float]]:
        """The tracks of one frame, and the seconds of each stage that this took."""
        started_s = time.perf_counter()
        if self._tracker is None or self._camera_motion is None:
            tracks = self._tracker.update(instances, frame.time_s) if self._tracker is not None else None
            return tracks, {"associate": time.perf_counter() - started_s}
        warp = self._camera_motion.update(frame, instances)
        looked_s = time.perf_counter()
        tracks = self._tracker.update(instances, frame.time_s, warp=warp)
        return tracks, {"camera": looked_s - started_s, "associate": time.perf_counter() - looked_s}

    def _timed_segment(self, frames: list[Frame]) -> tuple[list[Instances], float]:
        started_s = time.perf_counter()
        instances = self._segmenter.segment(frames)
        return instances, (time.perf_counter() - started_s) / len(frames)

    def _segmented(self) -> Iterator[tuple[Frame, Instances, float]]:
        """Frames with their instances, in order, with up to ``workers`` batches in flight."""
        if self._workers == 1:
            for frames in self._batches():
                segmented, segment_s = self._timed_segment(frames)
                yield from ((frame, instances, segment_s) for frame, instances in zip(frames, segmented, strict=True))
            return
        in_flight: deque[tuple[list[Frame], Future[tuple[list[Instances], float]]]] = deque()
        with ThreadPoolExecutor(self._workers, thread_name_prefix="masktrail-segment") as executor:
            for frames in self._batches():
                in_flight.append((frames, executor.submit(self._timed_segment, frames)))
                # One batch more than there are workers, so that no worker waits while this thread associates.
                if len(in_flight) > self._workers:
                    yield from _collect(*in_flight.popleft())
            while in_flight:
                yield from _collect(*in_flight.popleft())

    def _batches(self) -> Iterator[list[Frame]]:
        """Batches of frames until the source ends, fails or :meth:`stop` is called; :meth:`run` raises the failure."""
        batch: list[Frame] = []
        try:
            for frame in self._source:
                batch.append(frame)
                if len(batch) == self._batch_size:
                    yield batch
                    batch = []
                if self._stopping.is_set():
                    break
        except TrackerError as failure:
            # What the source gave before it failed still goes through to the sink.
            self._source_failure = failure
        if batch:
            yield batch


def _collect(
    frames: list[Frame], future: Future[tuple[list[Instances], float]]
) -> Iterator[tuple[Frame, Instances, float]]:
    segmented, segment_s = future.result()
    return ((frame, instances, segment_s) for frame, instances in zip(frames, segmented, strict=True))
