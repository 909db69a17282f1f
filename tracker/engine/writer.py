"""Writer thread of one stream: a bounded way from tracking to the outputs, so that neither waits for the other."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracker.errors import TrackerError
from tracker.sinks.base import Checkpoint
from tracker.sinks.pipe_reader import ending_with

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracker.events import Event
    from tracker.sinks.base import QueueFigures, Sink
    from tracker.types import TrackedFrame

__all__ = ["LastEvents", "Writer", "unforeseen"]


@dataclass(frozen=True, slots=True)
class LastEvents:
    """What was found after the last frame."""

    events: tuple[Event, ...]


def unforeseen(name: str, doing: str, failure: Exception) -> TrackerError:
    """A fault of the program itself in one stream, as an error of that stream; ``__cause__`` is the fault."""
    problem = f"expected to {doing}, found {type(failure).__name__}: {failure}"
    error = TrackerError(name, problem, "report it; the other streams continue")
    error.__cause__ = failure
    return error


class Writer:
    """Feeds one stream's outputs in a thread of its own; a sink that raises is reported and ended.

    Frames wait in memory: callers check :attr:`backlog` before they put one.

    Args:
        name: Of the stream.
        open_sink: Opens the outputs; called for the first frame, unless :meth:`open` came before.
        on_failure: Called in the writing thread with what a sink raised, and whether frames after it are lost too.

    Attributes:
        finished: Set when everything is written and the outputs are complete.
        busy_s: Seconds spent in the sinks.
        on_change: Called in the writing thread after every frame and at the end.
    """

    def __init__(
        self, name: str, open_sink: Callable[[], Sink], *, on_failure: Callable[[TrackerError, bool], None]
    ) -> None:
        self.finished = threading.Event()
        self.busy_s = 0.0
        self.on_change: Callable[[], None] = lambda: None
        self._name = name
        self._open_sink = open_sink
        self._on_failure = on_failure
        self._sink: Sink | None = None
        self._last_queues: tuple[QueueFigures, ...] = ()
        self._broken = False
        self._end = threading.Event()
        self._items: queue.SimpleQueue[TrackedFrame | Checkpoint | LastEvents | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"writer-{name}", daemon=True)

    @property
    def backlog(self) -> int:
        """Frames that wait."""
        return self._items.qsize()

    @property
    def queues(self) -> tuple[QueueFigures, ...]:
        """What waits for the receivers of the outputs, and what did when they were closed."""
        sink = self._sink
        return self._last_queues if sink is None else sink.queues

    def open(self) -> None:
        """Open the outputs now, before :meth:`start`; what is wrong with them is raised here."""
        with ending_with(self._end):
            self._sink = self._open_sink()

    def abort(self) -> None:
        """Give the outputs of :meth:`open` up, where :meth:`start` will not come."""
        if self._sink is not None:
            self._sink.abort()

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, item: TrackedFrame | Checkpoint | LastEvents | None) -> None:
        """Write a frame or the last events, make everything before it final, or (``None``) complete the outputs."""
        self._items.put(item)

    def hurry(self) -> None:
        """Wait no longer for programs that should read a pipe and do not: the other outputs are to be completed."""
        self._end.set()

    def _run(self) -> None:
        with ending_with(self._end):
            while (item := self._items.get()) is not None:
                if not self._broken:
                    self._write(item)
                self.on_change()
            self._close()
        self.finished.set()
        self.on_change()

    def _write(self, item: TrackedFrame | Checkpoint | LastEvents) -> None:
        started_s = time.perf_counter()
        try:
            if self._sink is None:
                self._sink = self._open_sink()
            if isinstance(item, Checkpoint):
                self._sink.checkpoint(item)
            elif isinstance(item, LastEvents):
                self._sink.write_events(item.events)
            else:
                self._sink.write(item)
        except Exception as failure:  # noqa: BLE001 - the stream is tracked on without this output
            self._broken = True
            self._on_failure(self._named(failure), True)
            self._close()
        self.busy_s += time.perf_counter() - started_s

    def _close(self) -> None:
        sink, self._sink = self._sink, None
        if sink is None:
            return
        started_s = time.perf_counter()
        try:
            sink.close()
        except Exception as failure:  # noqa: BLE001 - no caller above could handle it
            self._on_failure(self._named(failure), False)
        self._last_queues = sink.queues
        self.busy_s += time.perf_counter() - started_s

    def _named(self, failure: Exception) -> TrackerError:
        return failure if isinstance(failure, TrackerError) else unforeseen(self._name, "write", failure)
