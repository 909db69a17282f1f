"""A segmenter that takes a known time and sees known things, and sources that need no decoder."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from tracker.engine.steady import SteadyTracker
from tracker.engine.stream import Stream
from tracker.sinks.base import Sink
from tracker.sources.decoded import SourceCounters, SourceInfo
from tracker.sources.handoff import Handoff
from tracker.types import Frame, Instances, Tracks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.errors import TrackerError
    from tracker.types import TrackedFrame

SIZE = (64, 48)


def frame(index: int, *, source: str = "a", size: tuple[int, int] = SIZE, time_s: float | None = None) -> Frame:
    return Frame(
        index=index,
        time_s=index / 25 if time_s is None else time_s,
        arrived_s=time.monotonic(),
        source=source,
        size=size,
    )


def box(x: float = 10, y: float = 10, side: float = 20, score: float = 0.9, class_id: int = 0) -> Instances:
    return Instances(
        boxes=np.array([[x, y, x + side, y + side]], np.float32),
        scores=np.array([score], np.float32),
        class_ids=np.array([class_id]),
    )


class SlowSegmenter:
    """Sees one box per frame after ``seconds`` per call; remembers the batches."""

    class_names = ("person", "car")
    network_size = SIZE
    keep_aspect = True
    confirmation_score = 0.5

    def __init__(self, seconds: float = 0.0, *, fails_after: int | None = None, jitter: float = 0.0) -> None:
        self.batches: list[list[tuple[str, int]]] = []
        self._seconds = seconds
        self._fails_after = fails_after
        self._random = np.random.default_rng(0)
        self._jitter = jitter
        self._lock = threading.Lock()

    def segment(self, frames: Sequence[Frame]) -> list[Instances]:
        with self._lock:
            self.batches.append([(frame.source, frame.index) for frame in frames])
            seconds = self._seconds + self._jitter * self._random.random()
            if self._fails_after is not None and len(self.batches) > self._fails_after:
                message = "the card fell off"
                raise RuntimeError(message)
        time.sleep(seconds)
        return [box() for _ in frames]


class CountingTracker:
    """Gives the frames it was shown, and one identity."""

    def __init__(self) -> None:
        self.times_s: list[float] = []

    def update(self, instances: Instances, time_s: float) -> Tracks:
        self.times_s.append(time_s)
        count = len(instances)
        return Tracks(
            ids=np.arange(1, count + 1),
            detection_rows=np.arange(count),
            boxes=instances.boxes,
            velocities=np.zeros((count, 2), np.float32),
            class_ids=instances.class_ids,
            scores=instances.scores,
            ages_s=np.zeros(count, np.float32),
        )


class FakeSource:
    """What a stream needs of a source; frames are put by hand or by :meth:`feed`."""

    def __init__(self, name: str, *, policy: str = "all", capacity: int = 100) -> None:
        self.name = name
        self.info = SourceInfo(
            name=name,
            size=SIZE,
            fps=25.0,
            frame_count=None,
            duration_s=None,
            is_live=policy == "latest",
            codec="fake",
            time_from="stamps",
        )
        self._drop = policy == "latest"
        self._capacity = 1 if policy == "latest" else capacity
        self.handoff: Handoff[Frame]
        self.closed = threading.Event()

    def open(self, on_ready, on_link):
        self.on_link = on_link
        self.handoff = Handoff(capacity=self._capacity, drop_oldest=self._drop, on_change=on_ready)
        return self

    @property
    def counters(self) -> SourceCounters:
        return SourceCounters(dropped=self.handoff.dropped)

    @property
    def waiting(self) -> int:
        return self.handoff.waiting

    @property
    def ended(self) -> bool:
        return self.handoff.over

    @property
    def exhausted(self) -> bool:
        return self.handoff.exhausted

    def poll(self) -> Frame | None:
        import queue

        try:
            return self.handoff.get(0)
        except queue.Empty:
            return None

    def show_images(self, *, wanted: bool) -> None:
        self.shows_images = wanted

    def feed(self, rate: float, *, start: int = 0) -> threading.Thread:
        """Frames at a rate until closed, as a camera gives them."""

        def run() -> None:
            index = start
            while not self.closed.wait(1 / rate):
                self.handoff.put(frame(index, source=self.name))
                index += 1

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def fill(self, count: int, error: TrackerError | None = None) -> None:
        for index in range(count):
            self.handoff.put(frame(index, source=self.name))
        self.handoff.finish(error)

    def close(self) -> None:
        self.closed.set()
        self.handoff.close()


class ListSink(Sink):
    """Keeps what it is given; slow or failing on request."""

    def __init__(self, *, seconds: float = 0.0, fails_at: int | None = None) -> None:
        self.frames: list[TrackedFrame] = []
        self.closed = 0
        self._seconds = seconds
        self._fails_at = fails_at

    def write(self, tracked_frame: TrackedFrame) -> None:
        if self._fails_at is not None and len(self.frames) >= self._fails_at:
            message = "disk full"
            raise OSError(message)
        time.sleep(self._seconds)
        self.frames.append(tracked_frame)

    def close(self) -> None:
        self.closed += 1


def stream(source: FakeSource, *, sink: ListSink | None = None, tracker=None, stages=(), **options) -> Stream:
    """A stream whose last stage is the tracker."""
    return Stream(
        name=source.name,
        open_source=source.open,
        stages=[*stages, SteadyTracker(tracker or CountingTracker())],
        open_sink=(lambda _: sink) if sink is not None else None,
        **options,
    )
