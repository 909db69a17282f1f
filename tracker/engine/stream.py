"""One stream's source, tracker and sinks enter; its frames leave tracked and in order, whoever segments them."""

from __future__ import annotations

import logging
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tracker.engine.meter import StreamMeter
from tracker.engine.steady import Associator, SteadyTracker
from tracker.errors import TrackerError
from tracker.sinks.base import Checkpoint
from tracker.types import Frame, Instances, TrackedFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tracker.associate.camera import CameraMotion
    from tracker.sinks.base import Sink
    from tracker.sources.reconnect import Link
    from tracker.sources.source import Source

__all__ = ["CLOSE_S", "Stream", "StreamState", "Ticket", "unforeseen"]

StreamState = Literal["connecting", "live", "lost", "ended", "failed"]

BACKLOG_FRAMES = 8
"""Frames that may wait for a stream's sinks; while more do, the stream is not served, and the others are."""

CLOSE_S = 30.0
"""Longest wait for outputs when a stream is removed or the program stops: a video file rewrites its index."""

logger = logging.getLogger("tracker.live")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A frame that was taken from a stream and its number in the order of taking."""

    stream: Stream
    frame: Frame
    number: int


class Stream:
    """One camera or recording in the engine.

    Args:
        name: Of the camera; unique in the engine and free of credentials.
        open_source: Opens the source; receives what to call when a frame waits and when the connection changes.
        tracker: Gives identities; a :class:`SteadyTracker` may go on with those of an earlier stream.
        open_sink: Opens the outputs on the first frame, with the frame's source known, or ``None`` for no output.
        keep: Which instances of the shared model this stream wants.
        embed: Gives those instances embeddings from the picture, or ``None``: the model's own, if any.
        camera_motion: Tells the tracker how the camera moved, or ``None`` for a camera that stands.
        max_in_flight: Most of its frames in the segmenter at a time.
        checkpoint_frames: Give the outputs a :class:`tracker.engine.resume.Checkpoint` after so many frames.
    """

    def __init__(
        self,
        *,
        name: str,
        open_source: Callable[[Callable[[], None], Callable[[Link], None]], Source],
        tracker: Associator | SteadyTracker,
        open_sink: Callable[[Source], Sink] | None = None,
        keep: Callable[[Instances], Instances] | None = None,
        embed: Callable[[Frame, Instances], Instances] | None = None,
        camera_motion: CameraMotion | None = None,
        max_in_flight: int = 2,
        checkpoint_frames: int | None = None,
    ) -> None:
        self.name = name
        self.state: StreamState = "connecting"
        self.problem = ""
        self.failures: list[TrackerError] = []
        self.meter = StreamMeter()
        self.in_flight = 0  # the engine's, under its lock, like the next two
        self.reserved = 0
        self.served = 0
        self._open_source = open_source
        self._keep = keep
        self._embed = embed
        self._camera_motion = camera_motion
        self._tracker = tracker if isinstance(tracker, SteadyTracker) else SteadyTracker(tracker)
        self._max_in_flight = max_in_flight
        self._checkpoint_frames = checkpoint_frames
        self._deciding = threading.Lock()  # of the state: the camera's, the workers' and the engine's threads change it
        self._skip_before = 0
        self._next_index = 0
        self._source: Source | None = None
        self._broken_off: TrackerError | None = None
        self._taking = threading.Lock()
        self._taken = 0
        self._finding = threading.Lock()
        self._found: dict[int, tuple[Frame, Instances, float]] = {}
        self._next = 0
        self._writer = _Writer(self, open_sink) if open_sink is not None else None

    @property
    def source(self) -> Source:
        """The open source."""
        if self._source is None:
            message = f"stream {self.name!r} has not been started"
            raise RuntimeError(message)
        return self._source

    @property
    def opened(self) -> bool:
        """Whether there is a source to ask."""
        return self._source is not None

    @property
    def over(self) -> bool:
        """Whether nothing will come any more: ended or failed."""
        return self.state in {"ended", "failed"}

    @property
    def checkpointed(self) -> bool:
        """Whether it is a recording that can be gone on with from its last checkpoint."""
        return self._checkpoint_frames is not None

    @property
    def written(self) -> bool:
        """Whether its outputs are complete."""
        return self._writer is None or self._writer.finished.is_set()

    @property
    def takeable(self) -> int:
        """Frames that can be taken now and will find room on their way."""
        if self.over or self._source is None or (self._writer is not None and self._writer.backlog >= BACKLOG_FRAMES):
            return 0
        return max(min(self._max_in_flight - self.in_flight, self._source.waiting - self.reserved), 0)

    @property
    def drained(self) -> bool:
        """Whether the source is at its end and everything taken from it is done."""
        return self._source is not None and self.in_flight == 0 and self._source.ended

    def start(self, on_change: Callable[[], None]) -> None:
        """Open the source; one that cannot be opened fails this stream only.

        Args:
            on_change: Called from any thread when :attr:`takeable` or :attr:`drained` may have changed.
        """
        if self._writer is not None:
            self._writer.on_change = on_change
        try:
            self._source = self._open_source(on_change, self._on_link)
        except TrackerError as failure:
            self.fail(failure)
        except Exception as failure:  # noqa: BLE001 - one stream's fault is no other's: no thread can be started, say
            self.fail(unforeseen(self.name, "open it", failure))

    def take(self) -> Ticket | None:
        """The next frame, or ``None`` where what waited was too old or an error, which fails the stream."""
        with self._taking:
            try:
                frame = self.source.poll()
                while frame is not None and frame.index < self._skip_before:
                    frame = self.source.poll()
            except TrackerError as failure:
                if self.source.ended:
                    self._broken_off = failure  # told by end(), once the frames before it are done
                else:
                    self.fail(failure)
                return None
            except Exception as failure:  # noqa: BLE001 - one stream's fault is no other's
                self.fail(unforeseen(self.name, "read a frame", failure))
                return None
            if frame is None:
                return None
            with self._deciding:
                if self.state == "connecting":
                    self.state = "live"
            ticket = Ticket(stream=self, frame=frame, number=self._taken)
            self._taken += 1
            return ticket

    def complete(self, ticket: Ticket, instances: Instances, segment_s: float, class_names: Sequence[str]) -> None:
        """Give a frame's instances back; tracks and writes all frames whose turn it is."""
        with self._finding:
            self._found[ticket.number] = (ticket.frame, instances, segment_s)
            while self._next in self._found:
                frame, found, seconds = self._found.pop(self._next)
                self._next += 1
                self._track(frame, found, seconds, class_names)

    def fail(self, failure: TrackerError) -> None:
        """End this stream because of an error; what was done is kept, and its connection is let go of."""
        if not self.finish("failed", problem=failure.problem):
            return  # another thread was first, or it had ended
        logger.error("stream failed", extra={"camera": self.name, "problem": str(failure)})
        self.failures.append(failure)
        # Closing waits for the reader; the caller is a worker, and other streams have frames for it.
        threading.Thread(target=self.close, name=f"close-{self.name}", daemon=True).start()

    def end(self) -> None:
        """The source is at its end and everything taken from it is done: this stream ends, or fails if it broke off."""
        if self._broken_off is not None:
            self.fail(self._broken_off)
        elif self.finish(complete=True):
            logger.info("stream ended", extra={"camera": self.name})

    def finish(self, state: StreamState = "ended", *, complete: bool = False, problem: str = "") -> bool:
        """No more frames: complete the outputs in the background.

        Args:
            state: Why.
            complete: The source came to its own end.
            problem: What went wrong, if anything.

        Returns:
            Whether it was not over before.
        """
        with self._deciding:
            if self.over:
                return False
            self.state = state
            self.problem = problem or self.problem
        if self._writer is not None:
            if complete and self._checkpoint_frames is not None:
                self._writer.put(Checkpoint(next_index=self._next_index, state=None, complete=True))
            self._writer.put(None)
        return True

    def tracker_state(self) -> dict[str, Any] | None:
        """The tracker's state between two frames, or ``None`` where there is none yet."""
        with self._finding:
            return self._tracker.state()

    def resume(self, next_index: int) -> None:
        """Leave out the frames before an index, which another process has done; before the stream is started."""
        self._skip_before = self._next_index = next_index
        logger.info("resumed", extra={"camera": self.name, "frame": next_index})

    def close(self) -> None:
        """Stop reading now; frames in flight still go through."""
        if self._source is not None:
            self._source.close()

    def wait_written(self, timeout_s: float = CLOSE_S) -> bool:
        """Whether the outputs were completed in time."""
        return self._writer is None or self._writer.finished.wait(timeout_s)

    def _track(self, frame: Frame, instances: Instances, segment_s: float, class_names: Sequence[str]) -> None:
        if self.state == "failed":
            return
        times_s = {"segment": segment_s}
        started_s = time.perf_counter()
        warp = None
        if self._camera_motion is not None:
            warp = self._camera_motion.update(frame, instances)
            times_s["camera"] = time.perf_counter() - started_s
            started_s += times_s["camera"]
        if self._keep is not None:
            instances = self._keep(instances)
        if self._embed is not None:
            instances = self._embed(frame, instances)
            times_s["reid"] = time.perf_counter() - started_s
            started_s += times_s["reid"]
        tracks = self._tracker.update(instances, frame.time_s, frame.size, warp=warp)
        tracked_frame = TrackedFrame(
            frame=frame,
            instances=instances,
            tracks=tracks,
            class_names=class_names,
            stage_times_s={**times_s, "associate": time.perf_counter() - started_s},
        )
        self.meter.add(tracked_frame)
        self._next_index = frame.index + 1
        if self._writer is not None:
            self._writer.put(tracked_frame)
            every = self._checkpoint_frames
            if every is not None and self._next % every == 0:
                self._writer.put(Checkpoint(next_index=self._next_index, state=self._exact_state()))

    def _exact_state(self) -> dict[str, Any] | None:
        """What another process needs to go on as if nothing had happened: the tracker's state and the camera's view."""
        state = self._tracker.state()
        if state is None or self._camera_motion is None:
            return state
        return {**state, "camera_motion": self._camera_motion.state()}

    def _on_link(self, link: Link) -> None:
        state: StreamState = "live" if link.state == "live" else "lost"
        with self._deciding:
            if self.over:
                return
            before, problem_before = self.state, self.problem
            if link.state != "ended":  # then the engine ends it, once its last frames are taken
                self.state = state
            self.problem = link.problem
        if link.state == "live":
            if before != "live":
                logger.info("camera back" if before == "lost" else "camera connected", extra={"camera": self.name})
            if link.note:
                logger.warning("camera note", extra={"camera": self.name, "note": link.note})
        elif link.state == "lost" and (before != "lost" or link.problem != problem_before):
            # Not once per attempt while it is away
            extra = {"camera": self.name, "problem": link.problem, "retry_s": round(link.retry_s or 0.0, 1)}
            logger.warning("camera lost", extra=extra)


def unforeseen(name: str, doing: str, failure: Exception) -> TrackerError:
    """A fault of the program itself in one stream, as an error of that stream."""
    problem = f"expected to {doing}, found {type(failure).__name__}: {failure}"
    return TrackerError(name, problem, "report it; the other streams go on")


class _Writer:
    """Feeds one stream's sinks in a thread of its own; a sink that raises is reported and ends, the stream goes on."""

    def __init__(self, stream: Stream, open_sink: Callable[[Source], Sink]) -> None:
        self.finished = threading.Event()
        self.on_change: Callable[[], None] = lambda: None
        self._stream = stream
        self._open_sink = open_sink
        self._frames: queue.SimpleQueue[TrackedFrame | Checkpoint | None] = (
            queue.SimpleQueue()
        )  # bounded by Stream.takeable
        self._thread = threading.Thread(target=self._run, name=f"writer-{stream.name}", daemon=True)
        self._thread.start()

    @property
    def backlog(self) -> int:
        return self._frames.qsize()

    def put(self, item: TrackedFrame | Checkpoint | None) -> None:
        self._frames.put(item)

    def _run(self) -> None:
        sink: Sink | None = None
        broken = False
        while (item := self._frames.get()) is not None:
            try:
                if sink is None and not broken:
                    sink = self._open_sink(self._stream.source)
                if sink is None:
                    pass
                elif isinstance(item, Checkpoint):
                    sink.checkpoint(item)
                else:
                    sink.write(item)
            except Exception as failure:  # noqa: BLE001 - a camera is tracked on without this output
                broken = True
                self._stream.meter.output_failed(self._named(failure))
                if self._stream.checkpointed:  # of a recording nothing would come of the rest: it is gone on with later
                    self._stream.fail(self._named(failure))
                else:
                    self._report(failure)
                self._close(sink)
                sink = None
            self.on_change()
        self._close(sink)
        self.finished.set()
        self.on_change()

    def _close(self, sink: Sink | None) -> None:
        if sink is None:
            return
        try:
            sink.close()
        except Exception as failure:  # noqa: BLE001 - there is nobody above to tell
            self._report(failure)

    def _report(self, failure: Exception) -> None:
        logger.error("output failed", extra={"camera": self._stream.name, "problem": str(failure)})
        self._stream.failures.append(self._named(failure))

    def _named(self, failure: Exception) -> TrackerError:
        return failure if isinstance(failure, TrackerError) else unforeseen(self._stream.name, "write", failure)
