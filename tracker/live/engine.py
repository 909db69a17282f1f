"""Streams and one segmenter enter; every stream is served in turn, in batches, until it ends or somebody stops it.

A batch takes up to ``batch_size`` frames from the streams that have one: first those with the fewest frames under way,
among them the one that was served longest ago. When fewer wait, it is held for at most ``batch_wait_s``: a slow or dead
camera has no frame, and so takes no part and holds nobody up. Each worker takes, converts and segments a batch and
hands the instances back to their streams, which put them into order.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from tracker.live.stream import unforeseen

if TYPE_CHECKING:
    from tracker.live.stream import Stream, Ticket
    from tracker.types import Segmenter

__all__ = ["LiveEngine"]

IDLE_S = 1.0
"""Workers look around this often even if nobody wakes them."""

logger = logging.getLogger("tracker.live")


class LiveEngine:
    """Serves any number of streams with one segmenter.

    Args:
        segmenter: Frames to instances; called from ``workers`` threads at once.
        batch_size: Most frames per call.
        batch_wait_s: Longest wait for a batch to fill once a first frame is there.
        workers: Batches under way at the same time.
    """

    def __init__(
        self, *, segmenter: Segmenter, batch_size: int = 1, batch_wait_s: float = 0.005, workers: int = 1
    ) -> None:
        if batch_size < 1 or workers < 1:
            message = f"LiveEngine: expected batch_size and workers of at least 1, found {batch_size} and {workers}"
            raise ValueError(message)
        self._segmenter = segmenter
        self._batch_size = batch_size
        self._batch_wait_s = batch_wait_s
        self._changed = threading.Condition()
        self._streams: list[Stream] = []
        self._turn = 0
        self._stopping = False
        self._failure: BaseException | None = None
        self.batches = 0
        self.batched_frames = 0
        self.busy_s = 0.0
        self._progress_s = time.monotonic()
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
    def workers(self) -> int:
        """Batches that can be under way at the same time."""
        return len(self._threads)

    @property
    def stuck_s(self) -> float:
        """Seconds for which frames have waited without any batch being finished; 0 while there is progress."""
        with self._changed:
            if not any(stream.in_flight for stream in self._streams):
                return 0.0
            return time.monotonic() - self._progress_s

    def add(self, stream: Stream) -> None:
        """Begin to serve a stream."""
        stream.start(self._wake)
        with self._changed:
            self._streams.append(stream)
            self._changed.notify_all()

    def remove(self, stream: Stream) -> None:
        """Serve a stream no more: its source is closed, what is under way goes through, its outputs are completed."""
        stream.close()
        with self._changed:
            self._changed.wait_for(lambda: stream.in_flight == 0 or self._failure is not None, timeout=30)
            self._streams = [other for other in self._streams if other is not stream]
        stream.finish()
        stream.wait_written()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until all streams are over and written, :meth:`stop` is called or the segmenter fails.

        Returns:
            Whether that is so, false when the time is up.
        """

        def done() -> bool:
            over = bool(self._streams) and all(stream.over and stream.written for stream in self._streams)
            return over or self._stopping or self._failure is not None

        with self._changed:
            return self._changed.wait_for(done, timeout_s)

    def stop(self) -> None:
        """End :meth:`wait` and take no further frames; callable from any thread, not from a signal handler."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def close(self) -> None:
        """Stop, let what is under way go through, and complete all outputs.

        Raises:
            TrackerError: The segmenter failed.
        """
        self.stop()
        streams = self.streams
        for thread in self._threads:
            thread.join(30)
        closers = [threading.Thread(target=stream.close, daemon=True) for stream in streams]
        for closer in closers:
            closer.start()
        for stream in streams:
            stream.finish()
        for stream in streams:
            if not stream.wait_written():
                logger.error("output not completed in time", extra={"camera": stream.name})
        for closer in closers:
            closer.join(5)
        if self._failure is not None:
            raise self._failure

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _work(self) -> None:
        while (batch := self._next_batch()) is not None:
            tickets: list[Ticket] = []
            try:
                tickets = self._take(batch)
                if tickets:
                    self._serve(tickets)
            except BaseException as failure:  # noqa: BLE001 - raised by close()
                logger.critical("segmenter failed", extra={"problem": str(failure)})
                with self._changed:
                    self._failure = failure
                    self._changed.notify_all()
                return
            finally:
                with self._changed:
                    for ticket in tickets:
                        ticket.stream.in_flight -= 1
                    self._progress_s = time.monotonic()
                    self._changed.notify_all()

    def _next_batch(self) -> list[Stream] | None:
        """The streams to take a frame from, once each or more; ``None`` when it is time to stop."""
        batch: list[Stream] = []
        full_at_s = 0.0
        with self._changed:
            while not self._stopping and self._failure is None:
                self._end_drained()
                while len(batch) < self._batch_size and (stream := self._choose()) is not None:
                    if not batch:
                        full_at_s = time.monotonic() + self._batch_wait_s
                    batch.append(stream)
                left_s = full_at_s - time.monotonic()
                if batch and (len(batch) == self._batch_size or left_s <= 0):
                    self._progress_s = time.monotonic()
                    return batch
                self._changed.wait(left_s if batch else IDLE_S)
            for stream in batch:
                stream.in_flight -= 1
                stream.reserved -= 1
        return None

    def _choose(self) -> Stream | None:
        """The stream whose turn it is, with a frame of it reserved."""
        ready = [stream for stream in self._streams if stream.ready]
        if not ready:
            return None
        stream = min(ready, key=lambda candidate: (candidate.in_flight, candidate.served))
        self._turn += 1
        stream.served = self._turn
        stream.in_flight += 1
        stream.reserved += 1
        return stream

    def _end_drained(self) -> None:
        for stream in self._streams:
            if not stream.over and stream.drained:
                stream.finish(complete=True)
                logger.info("stream ended", extra={"camera": stream.name})
                self._changed.notify_all()

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

    def _serve(self, tickets: list[Ticket]) -> None:
        started_s = time.perf_counter()
        segmented = self._segmenter.segment([ticket.frame for ticket in tickets])
        seconds = time.perf_counter() - started_s
        with self._changed:
            self.batches += 1
            self.batched_frames += len(tickets)
            self.busy_s += seconds
        for ticket, instances in zip(tickets, segmented, strict=True):
            try:
                ticket.stream.complete(ticket, instances, seconds / len(tickets), self._segmenter.class_names)
            except Exception as failure:  # noqa: BLE001 - one stream's fault is no other's
                ticket.stream.fail(unforeseen(ticket.stream.name, "track a frame", failure))
