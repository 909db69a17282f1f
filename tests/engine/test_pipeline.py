"""The pipeline's promises: order, bounded work in flight, failures that lose nothing, a clean early end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pytest

from tracker.engine.pipeline import Pipeline, Summary
from tracker.errors import ModelError, SinkError, SourceError
from tracker.sinks.base import Sink
from tracker.types import Frame, Instances, TrackedFrame, Tracks


def frames(count: int, fail_at: int | None = None) -> Iterator[Frame]:
    for index in range(count):
        if index == fail_at:
            raise SourceError("camera", "stopped answering", "look at the cable")
        yield Frame(index=index, time_s=index / 10, arrived_s=0.0, source="test", size=(8, 8))


class FakeSegmenter:
    """One instance per frame whose x is the frame's index; later frames finish first when ``shuffles``."""

    class_names = ("person", "car")
    network_size = (8, 8)
    keep_aspect = True

    def __init__(self, *, shuffles: bool = False, fail_at: int | None = None) -> None:
        self.shuffles = shuffles
        self.fail_at = fail_at
        self.batches: list[int] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    def segment(self, frames: Sequence[Frame]) -> list[Instances]:
        with self._lock:
            self.batches.append(len(frames))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        if self.shuffles:
            time.sleep(0.004 if frames[0].index % 2 == 0 else 0.001)
        with self._lock:
            self._at_once -= 1
        if any(frame.index == self.fail_at for frame in frames):
            raise ModelError("model.onnx", "ran out of memory", "use a smaller one")
        return [self._one(frame) for frame in frames]

    def _one(self, frame: Frame) -> Instances:
        x = float(frame.index)
        return Instances(
            boxes=np.array([[x, 0, x + 1, 1]], np.float32),
            scores=np.ones(1, np.float32),
            class_ids=np.array([frame.index % 2]),
        )


class FakeTracker:
    """Every instance is a new identity that ends in the next frame."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def update(self, instances: Instances, time_s: float) -> Tracks:
        self.seen.append(float(instances.boxes[0, 0]))
        identity = len(self.seen)
        return Tracks(
            ids=np.array([identity]),
            detection_rows=np.array([0]),
            boxes=instances.boxes,
            velocities=np.zeros((1, 2), np.float32),
            class_ids=instances.class_ids,
            scores=instances.scores,
            ages_s=np.zeros(1, np.float32),
            ended_ids=np.array([identity - 1] if identity > 1 else [], np.int64),
        )


class ListSink(Sink):
    def __init__(self, *, fail_at: int | None = None) -> None:
        self.indices: list[int] = []
        self.fail_at = fail_at

    def write(self, tracked_frame: TrackedFrame) -> None:
        if tracked_frame.frame.index == self.fail_at:
            raise SinkError("out.mp4", "no space left", "free some")
        self.indices.append(tracked_frame.frame.index)

    def close(self) -> None:
        pass


def build(source: Iterable[Frame], **changes: object) -> tuple[Pipeline, ListSink, FakeTracker]:
    sink, tracker = ListSink(), FakeTracker()
    fields = {"source": source, "segmenter": FakeSegmenter(), "tracker": tracker, "sink": sink} | changes
    return Pipeline(**fields), sink, tracker  # type: ignore[arg-type]


@pytest.mark.parametrize(("workers", "batch_size"), [(1, 1), (3, 1), (1, 4), (2, 3)])
def test_order_is_kept_whatever_finishes_first(workers: int, batch_size: int) -> None:
    segmenter = FakeSegmenter(shuffles=True)
    pipeline, sink, tracker = build(frames(23), segmenter=segmenter, workers=workers, batch_size=batch_size)
    summary = pipeline.run()
    assert sink.indices == list(range(23))
    assert tracker.seen == [float(index) for index in range(23)]
    assert sum(segmenter.batches) == 23
    assert max(segmenter.batches) == batch_size
    assert segmenter.most_at_once <= workers
    assert (summary.frames, summary.instances, summary.living) == (23, 23, 1)
    assert summary.identities == {"person": 12, "car": 11}
    assert summary.media_s == pytest.approx(2.2)


def test_decoding_never_runs_far_ahead() -> None:
    ahead: list[int] = []
    given = 0

    def source() -> Iterator[Frame]:
        nonlocal given
        for frame in frames(50):
            given += 1
            ahead.append(given - len(tracker.seen))
            yield frame

    pipeline, _, tracker = build(source(), workers=2, segmenter=FakeSegmenter(shuffles=True))
    pipeline.run()
    assert max(ahead) <= 4  # two running, one waiting, one being handed over


def test_a_failing_source_loses_nothing_before_it() -> None:
    pipeline, sink, _ = build(frames(10, fail_at=7), workers=2)
    with pytest.raises(SourceError, match="look at the cable"):
        pipeline.run()
    assert sink.indices == list(range(7))
    assert pipeline.summary.frames == 7


def test_a_failing_segmenter_stops_the_run_after_what_was_good() -> None:
    pipeline, sink, _ = build(frames(10), segmenter=FakeSegmenter(fail_at=5))
    with pytest.raises(ModelError):
        pipeline.run()
    assert sink.indices == list(range(5))


def test_a_failing_sink_comes_out_and_nothing_hangs() -> None:
    sink = ListSink(fail_at=3)
    pipeline, _, _ = build(frames(500), sink=sink)
    with pytest.raises(SinkError, match="free some"):
        pipeline.run()
    assert sink.indices == [0, 1, 2]


def test_stopping_ends_as_if_the_stream_had_ended() -> None:
    def stop_at(summary: Summary) -> None:
        if summary.frames == 5:
            pipeline.stop()

    pipeline, sink, _ = build(frames(1000), on_frame=stop_at, workers=2)
    summary = pipeline.run()
    assert sink.indices == list(range(summary.frames))
    assert 5 <= summary.frames <= 10


def test_segmentation_alone_has_no_tracks() -> None:
    seen: list[TrackedFrame] = []

    class Keep(ListSink):
        def write(self, tracked_frame: TrackedFrame) -> None:
            seen.append(tracked_frame)

    pipeline, _, _ = build(frames(3), tracker=None, sink=Keep())
    assert pipeline.run().identities == {}
    assert [item.tracks for item in seen] == [None, None, None]


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    pipeline, _, _ = build(frames(5), workers=3)
    pipeline.run()
    assert threading.active_count() == before


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="expected workers and batch_size of at least 1, found 0 and 1"):
        build(frames(1), workers=0)
