"""Fair scheduler of streams over models and workers: one recording at full speed, or many cameras in turn.

Streams of one model form batches together (:mod:`tracker.engine.batcher`); models have their turns by what they cost.
Each worker takes, converts and segments a batch and hands the instances back to their streams, which put them into
order.
"""

from __future__ import annotations

import logging
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from tracker.engine.batcher import Batcher, Turns
from tracker.engine.stream import CLOSE_S
from tracker.engine.writer import unforeseen
from tracker.errors import TrackerError
from tracker.types import Instances

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.engine.stream import Stream, Ticket
    from tracker.types import Frame, Segmenter

__all__ = ["Engine"]

WORKERS_S = 30.0
"""Longest wait for batches that are under way when the program stops, all of them together."""

IDLE_S = 1.0
"""Workers check for work this often even when they are not woken."""

logger = logging.getLogger("tracker.live")


class Engine:
    """Serves any number of streams with one model or several.

    Args:
        segmenter: The first model, of the streams that are added without naming one; called from ``workers`` threads
            at once.
        batch_size: Most frames per call of it.
        batch_wait_s: Longest wait for its batches to fill once a first frame is there.
        workers: Batches under way at the same time, over all models.
    """

    def __init__(
        self,
        *,
        segmenter: Segmenter | None = None,
        batch_size: int = 1,
        batch_wait_s: float = 0.005,
        workers: int = 1,
    ) -> None:
        if workers < 1:
            message = f"Engine: expected at least 1 worker, found {workers}"
            raise ValueError(message)
        lock = threading.RLock()
        self._changed = threading.Condition(lock)  # something for the workers
        self._settled = threading.Condition(lock)  # something for :meth:`wait`: it sleeps through the frames
        self._batchers: list[Batcher] = []
        self._streams: dict[Stream, Batcher] = {}
        self._turns = Turns()
        self._stopping = False
        self._failure: BaseException | None = None
        if segmenter is not None:
            self.add_model(Batcher(segmenter, batch_size=batch_size, batch_wait_s=batch_wait_s))
        self._threads = [
            threading.Thread(target=self._work, name=f"segment-{number}", daemon=True) for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def streams(self) -> list[Stream]:
        """The streams now."""
        with self._changed:
            return list(self._streams)

    @property
    def batchers(self) -> list[Batcher]:
        """The models now."""
        with self._changed:
            return list(self._batchers)

    @property
    def workers(self) -> int:
        """Batches that can be under way at the same time."""
        return len(self._threads)

    @property
    def stuck_s(self) -> float:
        """Seconds for which some model's frames have been under way without any of them being finished."""
        now_s = time.monotonic()
        with self._changed:
            return max((now_s - one.progress_s for one in self._batchers if one.in_flight), default=0.0)

    @property
    def failed(self) -> bool:
        """Whether a model or the engine itself failed, which :meth:`close` raises."""
        return self._failure is not None

    @property
    def served(self) -> dict[Stream, Batcher]:
        """The streams now, each with the model that serves it."""
        with self._changed:
            return dict(self._streams)

    def add_model(self, batcher: Batcher) -> None:
        """Make a model known."""
        with self._changed:
            self._batchers.append(batcher)

    def replace_session(self, batcher: Batcher, segmenter: Segmenter) -> None:
        """Serve a model's streams with another session of the same model from the next batch on."""
        with self._changed:
            batcher.segmenter = segmenter

    def close_model(self, batcher: Batcher) -> None:
        """Release a model whose streams are all over or removed; its session ends with the last reference."""
        with self._changed:
            if any(not stream.over for stream in batcher.streams):
                message = f"{batcher.name}: expected no running stream, found one"
                raise ValueError(message)
            self._changed.wait_for(lambda: batcher.in_flight == 0, timeout=30)
            batcher.segmenter = None
            self._turns.forget(batcher)
            self._batchers = [other for other in self._batchers if other is not batcher]

    def add(self, stream: Stream, batcher: Batcher | None = None) -> None:
        """Begin to serve a stream, with a known model or else the first."""
        served_by = batcher or self.batchers[0]
        stream.start(self._wake)
        with self._changed:
            self._streams[stream] = served_by
            served_by.streams.append(stream)
            self._wake()

    def remove(self, stream: Stream, *, patience_s: float = CLOSE_S) -> None:
        """Serve a stream no more: its source is closed, what is under way goes through, its outputs are completed.

        Args:
            stream: One of :attr:`streams`.
            patience_s: Longest wait for its outputs.
        """
        stream.close()
        with self._changed:
            self._changed.wait_for(lambda: stream.in_flight == 0 or self._failure is not None, timeout=30)
            self._streams.pop(stream).streams.remove(stream)
        stream.finish()
        stream.hurry()
        stream.wait_written(patience_s)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until all streams are over and written, :meth:`stop` is called or the segmenter fails.

        Returns:
            Whether that is so, false when the time is up.
        """

        def done() -> bool:
            over = bool(self._streams) and all(stream.over and stream.written for stream in self._streams)
            return over or self._stopping or self._failure is not None

        with self._settled:
            return self._settled.wait_for(done, timeout_s)

    def stop(self) -> None:
        """End :meth:`wait` and take no further frames; callable from any thread, not from a signal handler."""
        with self._changed:
            self._stopping = True
            self._wake()

    def close(self, *, patience_s: float = CLOSE_S) -> None:
        """Stop, let what is under way go through, and complete all outputs.

        Args:
            patience_s: Longest wait for the outputs, all of them together.

        Raises:
            TrackerError: The segmenter failed.
        """
        self.stop()
        streams = self.streams
        until_s = time.monotonic() + WORKERS_S
        for thread in self._threads:
            thread.join(max(until_s - time.monotonic(), 0))
        closers = [threading.Thread(target=stream.close, daemon=True) for stream in streams]
        for closer in closers:
            closer.start()
        for stream in streams:
            stream.finish()
            stream.hurry()
        until_s = time.monotonic() + patience_s
        for stream in streams:
            stream.wait_written(max(until_s - time.monotonic(), 0))
        for closer in closers:
            closer.join(5)
        if self._failure is not None:
            raise self._failure

    def _wake(self) -> None:
        """Wake the workers; where a stream or the engine ended, also the threads that wait for the end."""
        with self._changed:
            self._changed.notify_all()
            if self._stopping or self._failure is not None or any(stream.over for stream in self._streams):
                self._settled.notify_all()

    def _work(self) -> None:
        """A worker's life; whatever ends it before its time ends the engine, which would otherwise stall silently."""
        try:
            while (turn := self._next_batch()) is not None:
                self._run(*turn)
        except BaseException as failure:  # noqa: BLE001 - raised by close()
            with self._changed:
                self._failure = self._failure or failure
                self._wake()

    def _run(self, batcher: Batcher, charged: float, batch: list[Stream]) -> None:
        tickets: list[Ticket] = []
        seconds = 0.0
        try:
            tickets = self._take(batch)
            if tickets:
                seconds = self._serve(batcher, tickets)
        except BaseException as failure:
            logger.critical("model failed", extra={"model": batcher.name, "problem": str(failure)})
            raise
        finally:
            with self._changed:
                for ticket in tickets:
                    ticket.stream.in_flight -= 1
                batcher.in_flight -= 1
                batcher.progress_s = time.monotonic()
                self._turns.end(batcher, charged, seconds)
                self._wake()

    def _next_batch(self) -> tuple[Batcher, float, list[Stream]] | None:
        """The model to serve, the charge for it, and the streams to take frames from; ``None`` = time to stop."""
        with self._changed:
            while not self._stopping and self._failure is None:
                self._end_drained()
                now_s = time.monotonic()
                due_s = {batcher: at_s for batcher in self._batchers if (at_s := batcher.due_s(now_s)) is not None}
                due = [batcher for batcher, at_s in due_s.items() if at_s <= now_s]
                if due:
                    batcher, charged = self._turns.begin(due)
                    if not batcher.in_flight:
                        batcher.progress_s = now_s
                    batcher.in_flight += 1
                    return batcher, charged, batcher.take()
                self._changed.wait(min([at_s - now_s for at_s in due_s.values()], default=IDLE_S))
        return None

    def _end_drained(self) -> None:
        for stream in self._streams:
            if not stream.over and stream.drained:
                stream.end()
                self._wake()

    def _take(self, batch: list[Stream]) -> list[Ticket]:
        tickets = []
        for stream in batch:
            ticket = stream.take()
            with self._changed:
                stream.reserved -= 1
                if ticket is None:
                    stream.in_flight -= 1
            if ticket is not None:
                tickets.append(ticket)
        return tickets

    def _serve(self, batcher: Batcher, tickets: list[Ticket]) -> float:
        """Segment the frames and give each stream its own; seconds that the model took."""
        segmenter = batcher.segmenter
        if segmenter is None:
            return 0.0  # closed: the streams are over
        started_s = time.perf_counter()
        segmented = _segmented(segmenter, tickets)
        seconds = time.perf_counter() - started_s
        with self._changed:
            batcher.batches += 1
            batcher.batched_frames += len(tickets)
            batcher.busy_s += seconds
        segment = partial(self._segment, batcher)
        for ticket, instances in zip(tickets, segmented, strict=True):
            try:
                ticket.stream.complete(ticket, instances, seconds / len(tickets), segmenter.class_names, segment)
            except TrackerError as failure:
                ticket.stream.fail(failure)
            except Exception as failure:  # noqa: BLE001 - one stream's fault is no other's
                ticket.stream.fail(unforeseen(ticket.stream.name, "track a frame", failure))
        return seconds

    def _segment(self, batcher: Batcher, frame: Frame) -> Instances:
        """Segment one frame that was to be left out."""
        segmenter = batcher.segmenter
        if segmenter is None:
            return Instances.empty()  # closed: the streams are over
        started_s = time.perf_counter()
        [instances] = segmenter.segment([frame])
        seconds = time.perf_counter() - started_s
        with self._changed:
            batcher.batches += 1
            batcher.batched_frames += 1
            batcher.busy_s += seconds
        return instances


def _segmented(segmenter: Segmenter, tickets: Sequence[Ticket]) -> list[Instances]:
    """The instances of each frame; none of those that the detector does not see."""
    wanted = [ticket.frame for ticket in tickets if ticket.detects]
    found = iter(segmenter.segment(wanted) if wanted else ())
    return [next(found) if ticket.detects else Instances.empty() for ticket in tickets]
