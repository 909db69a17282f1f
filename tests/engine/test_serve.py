"""One recording at full speed: order, bounded work in flight, failures that lose nothing, a clean early end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pytest

from tracker.engine.meter import StreamFigures
from tracker.engine.run import serve
from tracker.engine.scheduler import Engine
from tracker.engine.stage import Stage
from tracker.engine.steady import SteadyTracker
from tracker.engine.stream import Stream
from tracker.errors import ModelError, SinkError, SourceError
from tracker.sinks.base import Sink
from tracker.sources.frames import FrameSource
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


class Job:
    """A stream of made frames and the engine that serves it."""

    def __init__(
        self,
        source: Iterable[Frame],
        *,
        segmenter: FakeSegmenter | None = None,
        sink: Sink | None = None,
        stages: list[Stage] | None = None,
        workers: int = 1,
        batch_size: int = 1,
        **options: object,
    ) -> None:
        self.tracker, self.sink = FakeTracker(), sink or ListSink()
        self.stream = Stream(
            name="test",
            open_source=FrameSource(source).open,
            stages=[SteadyTracker(self.tracker)] if stages is None else stages,
            open_sink=lambda _: self.sink,
            max_in_flight=batch_size * (workers + 1),
            **options,  # type: ignore[arg-type]
        )
        self.engine = Engine(
            segmenter=segmenter or FakeSegmenter(), workers=workers, batch_size=batch_size, batch_wait_s=60.0
        )

    def run(self) -> StreamFigures:
        return serve(self.stream, self.engine)


@pytest.mark.parametrize(("workers", "batch_size"), [(1, 1), (3, 1), (1, 4), (2, 3)])
def test_order_is_kept_whatever_finishes_first(workers: int, batch_size: int) -> None:
    segmenter = FakeSegmenter(shuffles=True)
    job = Job(frames(23), segmenter=segmenter, workers=workers, batch_size=batch_size)
    figures = job.run()
    assert job.sink.indices == list(range(23))
    assert job.tracker.seen == [float(index) for index in range(23)]
    assert sorted(segmenter.batches) == sorted([batch_size] * (23 // batch_size) + [23 % batch_size] * (batch_size > 1))
    assert segmenter.most_at_once <= workers
    assert (figures.frames, figures.instances, figures.living) == (23, 23, 1)
    assert figures.identities_by_class == {"person": 12, "car": 11}
    assert figures.media_s == pytest.approx(2.2)
    assert job.stream.state == "ended"


def test_decoding_never_runs_far_ahead() -> None:
    ahead: list[int] = []
    given = 0

    def source() -> Iterator[Frame]:
        nonlocal given
        for frame in frames(50):
            given += 1
            ahead.append(given - len(job.tracker.seen))
            yield frame

    job = Job(source(), workers=2, segmenter=FakeSegmenter(shuffles=True))
    job.run()
    assert max(ahead) <= 4  # two running, one waiting, one being handed over


def test_a_slow_run_of_the_model_lets_the_other_workers_run_one_batch_ahead_and_no_further() -> None:
    """Frames that wait for their turn count as under way."""
    go_on = threading.Event()

    class Slow(FakeSegmenter):
        def segment(self, frames: Sequence[Frame]) -> list[Instances]:
            if frames[0].index == 3:
                go_on.wait(10)
            return super().segment(frames)

    segmenter = Slow()
    job = Job(frames(20), workers=2, segmenter=segmenter)
    threading.Timer(0.3, lambda: (seen.append(sum(segmenter.batches)), go_on.set())).start()
    seen: list[int] = []
    job.run()
    assert seen == [5]  # 0, 1 and 2 are tracked, 4 and 5 wait for 3
    assert job.sink.indices == list(range(20))


def test_a_failing_source_loses_nothing_before_it() -> None:
    job = Job(frames(10, fail_at=7), workers=2)
    assert job.run().frames == 7
    [failure] = job.stream.failures
    assert isinstance(failure, SourceError)
    assert "look at the cable" in str(failure)
    assert job.sink.indices == list(range(7))


def test_a_failing_segmenter_stops_the_run_after_what_was_good() -> None:
    job = Job(frames(10), segmenter=FakeSegmenter(fail_at=5))
    with pytest.raises(ModelError):
        job.run()
    assert job.sink.indices == list(range(5))


def test_a_failing_sink_comes_out_and_nothing_hangs() -> None:
    job = Job(frames(500), sink=ListSink(fail_at=3))
    job.run()
    [failure] = job.stream.failures
    assert isinstance(failure, SinkError)
    assert "free some" in str(failure)
    assert job.sink.indices == [0, 1, 2]


def test_stopping_ends_as_if_the_stream_had_ended() -> None:
    class StopAtFive(Stage):
        def process(self, tracked: TrackedFrame) -> TrackedFrame:
            if tracked.frame.index == 5:
                job.engine.stop()
            return tracked

    job = Job(frames(1000), stages=[StopAtFive()], workers=2)
    figures = job.run()
    assert job.sink.indices == list(range(figures.frames))
    assert 5 <= figures.frames <= 10


def test_a_limit_ends_a_stream_that_goes_on() -> None:
    job = Job(frames(1000), workers=2, batch_size=4, limit=10)
    assert job.run().frames == 10
    assert job.sink.indices == list(range(10))
    assert job.stream.state == "ended"


def test_segmentation_alone_has_no_tracks() -> None:
    seen: list[TrackedFrame] = []

    class Keep(ListSink):
        def write(self, tracked_frame: TrackedFrame) -> None:
            seen.append(tracked_frame)

    assert Job(frames(3), stages=[], sink=Keep()).run().identities_by_class == {}
    assert [item.tracks for item in seen] == [None, None, None]


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    Job(frames(5), workers=3).run()
    assert threading.active_count() == before


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 1 worker, found 0"):
        Engine(workers=0)
    with pytest.raises(ValueError, match="expected a batch_size of at least 1, found 0"):
        Engine(segmenter=FakeSegmenter(), batch_size=0)
