"""One stream of the engine: its source, its ordered stages and its outputs."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tracker.engine.journal import Delivery
from tracker.engine.meter import StreamMeter
from tracker.engine.ordered import OrderedStages, Taken
from tracker.engine.stillness import grey_of
from tracker.engine.taps import Taps
from tracker.engine.writer import Writer, unforeseen
from tracker.errors import SinkError, TrackerError
from tracker.sinks.base import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tracker.engine.economy import Economy
    from tracker.engine.meter import StreamFigures
    from tracker.engine.stage import Stage
    from tracker.sinks.base import QueueFigures, Sink
    from tracker.sources.frames import FrameFeed
    from tracker.sources.reconnect import Link
    from tracker.types import Frame, Instances

__all__ = ["BACKLOG_FRAMES", "CLOSE_S", "Stream", "StreamState", "Ticket"]

StreamState = Literal["connecting", "live", "lost", "ended", "failed"]

BACKLOG_FRAMES = 8
"""Frames that may wait for a stream's sinks; while more do, the stream is not served, and the others are."""

CLOSE_S = 30.0
"""Longest wait for outputs when a stream is removed or the program stops: a video file rewrites its index."""

logger = logging.getLogger("tracker.live")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket(Taken):
    """A frame that was taken, and from which stream."""

    stream: Stream


class Stream:
    """One camera or recording in the engine.

    Args:
        name: Of the camera; unique in the engine and free of credentials.
        open_source: Opens the source; receives what to call when a frame waits and when the connection changes.
        stages: What is done to each segmented frame, in order.
        open_sink: Opens the outputs, with the source known, or ``None`` for no output.
        meter: Counts; one that continues an earlier stream's count, or ``None`` for a new one.
        max_in_flight: Most of its frames in the segmenter or waiting for one that is.
        limit: Most frames to take; the stream ends after them.
        detect_every: Frames of the source from one that the detector sees to the next; tracks are predicted between.
        economy: Decides which frames the detector sees, in the place of ``detect_every``; has the first ``stages``.
        checkpoint_frames: Give the outputs a :class:`tracker.sinks.base.Checkpoint` after so many frames.
        on_link: Called when the connection changes, in the source's thread.
        delivery: Of the events, where an earlier stream is continued or its journal is kept.

    Attributes:
        continued: A later stream will continue from the state of this one: what is open in its stages is not closed
            when it is taken out of service. Recordings with checkpoints are continued unless they came to their end.
        taps: See every finished frame, beside the outputs.
    """

    def __init__(
        self,
        *,
        name: str,
        open_source: Callable[[Callable[[], None], Callable[[Link], None]], FrameFeed],
        stages: Sequence[Stage] = (),
        open_sink: Callable[[FrameFeed], Sink] | None = None,
        meter: StreamMeter | None = None,
        max_in_flight: int = 2,
        limit: int | None = None,
        detect_every: int = 1,
        economy: Economy | None = None,
        checkpoint_frames: int | None = None,
        on_link: Callable[[Link], None] | None = None,
        delivery: Delivery | None = None,
    ) -> None:
        self.name = name
        self.state: StreamState = "connecting"
        self.problem = ""
        self.failures: list[TrackerError] = []
        self.continued = False
        self.meter = meter or StreamMeter()
        self.taps = Taps(name)
        self.in_flight = 0  # the engine's, under its lock, like the next two
        self.reserved = 0
        self.served = 0
        self._open_source = open_source
        self._max_in_flight = max_in_flight
        self._limit = limit
        self._detect_every, self._detect_turn = detect_every, -1
        self._economy = economy
        self._checkpoint_frames = checkpoint_frames
        self._tell_link = on_link
        self._on_change: Callable[[], None] = lambda: None
        self._deciding = threading.Lock()  # of the state: the camera's, the workers' and the engine's threads change it
        self._skip_before = 0
        self._source: FrameFeed | None = None
        self._broken_off: TrackerError | None = None
        self._taking = threading.Lock()
        self._taken = 0
        self._cut_off = False
        self._writer = (
            Writer(name, lambda: open_sink(self.source), on_failure=self._on_write_failure) if open_sink else None
        )
        self._ordered = OrderedStages(
            name,
            stages,
            economy=economy,
            meter=self.meter,
            delivery=delivery or Delivery(),
            taps=self.taps,
            writer=self._writer,
            checkpoint_frames=checkpoint_frames,
            lost=self._lost,
            failed=lambda: self.state == "failed",
            failures=self.failures,
        )

    @property
    def source(self) -> FrameFeed:
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
    def written(self) -> bool:
        """Whether its outputs are complete."""
        return self._writer is None or self._writer.finished.is_set()

    @property
    def takeable(self) -> int:
        """Frames that can be taken now and will find room on their way."""
        if self.over or self._source is None or (self._writer is not None and self._writer.backlog >= BACKLOG_FRAMES):
            return 0
        room = self._max_in_flight - self.in_flight - self._ordered.waiting
        return max(min(room, self._source.waiting - self.reserved, self._left), 0)

    @property
    def growing(self) -> bool:
        """Whether more of its frames may become takeable, so that a batch is worth waiting for."""
        return not self.over and self._source is not None and not self._source.exhausted and self._left > self.takeable

    @property
    def drained(self) -> bool:
        """Whether the source is at its end and everything taken from it is done."""
        return self._source is not None and self.in_flight == 0 and (self._source.ended or self._left <= 0)

    @property
    def _left(self) -> int:
        """Frames up to the limit; many where there is none."""
        return 1 << 62 if self._limit is None else self._limit - self._taken - self.reserved

    def open(self) -> None:
        """Open source and outputs now, in this thread: what is wrong with them is raised and fails no stream.

        Raises:
            TrackerError: The source or an output cannot be opened.
        """
        self._source = self._open_source(self._changed, self._on_link)
        if self._writer is not None:
            try:
                self._writer.open()
            except BaseException:
                self._source.close()
                raise

    def start(self, on_change: Callable[[], None]) -> None:
        """Begin; a source that is not open yet and cannot be opened fails this stream only.

        Args:
            on_change: Called from any thread when :attr:`takeable` or :attr:`drained` may have changed.
        """
        self._on_change = on_change
        self.meter.begin()
        if self._writer is not None:
            self._writer.on_change = self._on_written
            self._writer.start()
        if self._source is not None:
            return
        try:
            self._source = self._open_source(self._changed, self._on_link)
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
                    self._broken_off = failure  # reported by end(), once the frames before it are done
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
            ticket = self._ticket(frame)
            self._taken += 1
            return ticket

    def _ticket(self, frame: Frame) -> Ticket:
        """A frame that is taken now."""
        if self._economy is not None:
            grey = grey_of(frame)
            detects = self._economy.expects(frame, grey)
            return Ticket(stream=self, frame=frame, number=self._taken, detects=detects, grey=grey)
        before, self._detect_turn = self._detect_turn, frame.index // self._detect_every
        return Ticket(stream=self, frame=frame, number=self._taken, detects=self._detect_turn != before)

    def complete(
        self,
        ticket: Ticket,
        instances: Instances,
        segment_s: float,
        class_names: Sequence[str],
        segment: Callable[[Frame], Instances] | None = None,
    ) -> None:
        """Give a frame's instances back: see :meth:`tracker.engine.ordered.OrderedStages.take`."""
        self._ordered.take(ticket, instances, segment_s, class_names, segment)

    def fail(self, failure: TrackerError) -> None:
        """End this stream because of an error; what was done is kept, and its connection is released."""
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
        elif self.finish(complete=not self._cut_off):
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
        if self._source is not None:
            self.meter.note_losses(self._lost())
        resumable = self._checkpoint_frames is not None or (self.continued and state != "failed")
        if complete or not resumable:
            self._ordered.close()
        if self._writer is None:
            self.meter.end()
            return True
        if complete and self._checkpoint_frames is not None:
            self._writer.put(Checkpoint(next_index=self._ordered.next_index, state=None, complete=True))
        self._writer.put(None)
        return True

    def figures(self) -> StreamFigures:
        """The figures now."""
        return self.meter.figures(write_s=None if self._writer is None else self._writer.busy_s)

    def snapshot(self) -> dict[str, Any] | None:
        """What a later stream of this camera continues from, between two frames; ``None`` while there is nothing."""
        return self._ordered.snapshot()

    def present(self) -> dict[str, dict[str, int]]:
        """Identities in a site's zones now, by zone and class."""
        return self._ordered.present()

    @property
    def notes(self) -> list[str]:
        """What its stages left out or could not do, in words."""
        return self._ordered.notes

    def waiting(self) -> dict[str, int]:
        """Identities in a site's queues now."""
        return self._ordered.queues()

    @property
    def queues(self) -> tuple[QueueFigures, ...]:
        """What waits for the receivers of its outputs: brokers, databases, servers."""
        return () if self._writer is None else self._writer.queues

    def show_images(self, *, wanted: bool) -> None:
        """Have frames carry their full-size pictures, or only where the stream itself needs them, from now on."""
        if self._source is not None:
            self._source.show_images(wanted=wanted)

    def resume(self, next_index: int) -> None:
        """Leave out the frames before an index, which another process has done; before the stream is started."""
        self._skip_before = self._ordered.next_index = next_index
        self._detect_turn = (next_index - 1) // self._detect_every
        logger.info("resumed", extra={"camera": self.name, "frame": next_index})

    def close(self) -> None:
        """Stop reading now; frames in flight still go through. What ends after that has not come to its own end."""
        self._cut_off = True
        if self._source is not None:
            self._source.close()

    def hurry(self) -> None:
        """The outputs are to be completed soon: see :meth:`tracker.engine.writer.Writer.hurry`."""
        if self._writer is not None:
            self._writer.hurry()

    def abandon(self) -> None:
        """Undo :meth:`open`, where :meth:`start` will not come."""
        self.close()
        if self._writer is not None:
            self._writer.abort()

    def wait_written(self, timeout_s: float = CLOSE_S) -> None:
        """Wait for the outputs to be completed; if they are not in time, that is a failure of this stream."""
        if self._writer is None or self._writer.finished.wait(timeout_s):
            return
        problem = "expected the outputs to be completed in time, found them unfinished"
        remedy = "look at the disk: what was written is in the hidden .part files beside them"
        logger.error("output not completed in time", extra={"camera": self.name, "problem": problem})
        self.failures.append(SinkError(self.name, problem, remedy))

    def _lost(self) -> int:
        counters = self.source.counters
        return counters.dropped + counters.late

    def _changed(self) -> None:
        self._on_change()

    def _on_written(self) -> None:
        if self._writer is not None and self._writer.finished.is_set():
            self.meter.end()
        self._on_change()

    def _on_write_failure(self, failure: TrackerError, writing: bool) -> None:  # noqa: FBT001 - see Writer
        if writing:
            self.meter.output_failed(failure)
        if writing and self._checkpoint_frames is not None:
            self.fail(failure)  # nothing would come of the rest of the recording: it is resumed later
            return
        logger.error("output failed", extra={"camera": self.name, "problem": str(failure)})
        self.failures.append(failure)

    def _on_link(self, link: Link) -> None:
        state: StreamState = "live" if link.state == "live" else "lost"
        with self._deciding:
            if self.over:
                return
            before, problem_before = self.state, self.problem
            if link.state != "ended":  # then the engine ends it, once its last frames are taken
                self.state = state
            self.problem = link.problem
        if self._tell_link is not None:
            self._tell_link(link)
        if link.state == "live":
            if before != "live":
                logger.info("camera back" if before == "lost" else "camera connected", extra={"camera": self.name})
            if link.note:
                logger.warning("camera note", extra={"camera": self.name, "note": link.note})
        elif link.state == "lost" and (before != "lost" or link.problem != problem_before):
            # Not once per attempt while it is away
            extra = {"camera": self.name, "problem": link.problem, "retry_s": round(link.retry_s or 0.0, 1)}
            logger.warning("camera lost", extra=extra)
