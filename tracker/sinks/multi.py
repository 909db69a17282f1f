"""Several outputs as one; one that fails does not stop the others."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tracker.errors import SinkError
from tracker.sinks.base import Sink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tracker.events import Event
    from tracker.sinks.base import Checkpoint, QueueFigures
    from tracker.types import TrackedFrame

__all__ = ["MultiSink"]


class MultiSink(Sink):
    """Several sinks as one.

    A sink that raises is finished at once, so that what it wrote is kept, and gets no further frame.

    Args:
        sinks: Where frames go, in this order.
        on_error: Called once for every sink that fails, when it happens, in the writing thread.

    Attributes:
        errors: What the failed sinks raised, in order.
    """

    def __init__(self, sinks: Sequence[Sink], *, on_error: Callable[[SinkError], None] | None = None) -> None:
        self._living = list(sinks)
        self._finished: list[Sink] = []
        self._all = list(sinks)
        self._on_error = on_error
        self._reported = False
        self.errors: list[SinkError] = []

    @property
    def living(self) -> int:
        """How many sinks still take frames."""
        return len(self._living)

    @property
    def cpu_s(self) -> dict[str, float]:
        """CPU seconds by stage, summed over the sinks that count them."""
        total: dict[str, float] = {}
        for sink in self._all:
            for stage, seconds in sink.cpu_s.items():
                total[stage] = total.get(stage, 0.0) + seconds
        return total

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Give the frame to every working sink; never raises for one that fails."""
        for sink in tuple(self._living):
            try:
                sink.write(tracked_frame)
            except Exception as failure:  # noqa: BLE001 - collected, passed to on_error and raised by close
                self._drop(sink, failure)

    def write_events(self, events: Sequence[Event]) -> None:
        """Pass them to every working sink; never raises for one that fails."""
        for sink in tuple(self._living):
            try:
                sink.write_events(events)
            except Exception as failure:  # noqa: BLE001 - as in write
                self._drop(sink, failure)

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Pass it to every working sink; never raises for one that fails."""
        for sink in tuple(self._living):
            try:
                sink.checkpoint(checkpoint)
            except Exception as failure:  # noqa: BLE001 - as in write
                self._drop(sink, failure)

    @property
    def queues(self) -> tuple[QueueFigures, ...]:
        """What waits for receivers, of all sinks that work or were closed."""
        return tuple(queue for sink in (*self._living, *self._finished) for queue in sink.queues)

    def part_bytes(self) -> int:
        """Bytes written so far, of all working sinks."""
        return sum(sink.part_bytes() for sink in self._living)

    def close(self) -> None:
        """Finish every sink; safe to call twice.

        Raises:
            SinkError: Sinks failed, now or before; the first call names them all.
        """
        for sink in tuple(self._living):
            try:
                sink.close()
                self._living.remove(sink)
                self._finished.append(sink)
            except Exception as failure:  # noqa: BLE001 - collected, passed to on_error and raised below
                self._drop(sink, failure)
        if not self.errors or self._reported:
            return
        self._reported = True
        if len(self.errors) == 1:
            raise self.errors[0]
        problems = "; ".join(f"{error.offender}: {error.problem}" for error in self.errors)
        remedies = "; ".join(dict.fromkeys(error.remedy for error in self.errors if error.remedy))
        offender = f"{len(self.errors)} outputs"
        raise SinkError(offender, problems, remedies)

    def abort(self) -> None:
        """Keep what is done without raising."""
        for sink in self._living:
            with contextlib.suppress(Exception):
                sink.abort()
        self._living = []

    def _drop(self, sink: Sink, failure: Exception) -> None:
        self._living.remove(sink)
        if not isinstance(failure, SinkError):
            problem = f"expected to write, found {type(failure).__name__}: {failure}"
            wrapped = SinkError(sink.address, problem, "see the log")
            wrapped.__cause__ = failure
            failure = wrapped
        self.errors.append(failure)
        with contextlib.suppress(Exception):
            sink.abort()
        if self._on_error is not None:
            self._on_error(failure)
