"""Outputs to other programs of a recording that is written in chunks: they take rows as these are found.

What they were given is known on the disk, so that a resumed recording gives them what comes after the checkpoint again,
and nothing arrives twice. Those that compare a recording with what they have of it take its earlier events again too.
"""

from __future__ import annotations

import contextlib
from itertools import islice
from typing import TYPE_CHECKING

from tracker.plugins import sink_class

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tracker.engine.outputs import Opener
    from tracker.events import Event
    from tracker.sinks.base import Checkpoint, QueueFigures, Sink
    from tracker.types import TrackedFrame

__all__ = ["DirectOutputs"]

GIVEN_AGAIN = 1000
"""Events that are read at a time."""


class DirectOutputs:
    """Sinks whose ``resumes`` is not ``chunks``, opened when the first frame comes.

    Args:
        addresses: URLs.
        open_output: Opens a sink at one.
        earlier: Gives the events before the checkpoint.
    """

    def __init__(
        self, addresses: Sequence[str], open_output: Opener, earlier: Callable[[], Iterable[Event]] = tuple
    ) -> None:
        self._addresses, self._open_output, self._earlier = list(addresses), open_output, earlier
        self._sinks: list[Sink] = []
        self._ended: list[Sink] = []

    @property
    def compare(self) -> bool:
        """Whether one of them takes the events before the checkpoint again, so that they are to be kept."""
        return any(sink_class(address).resumes == "whole" for address in self._addresses)

    @property
    def queues(self) -> tuple[QueueFigures, ...]:
        """What waits for the receivers, also after the end."""
        return tuple(queue for sink in self._sinks or self._ended for queue in sink.queues)

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Give a frame to all."""
        for sink in self._opened():
            sink.write(tracked_frame)

    def write_events(self, events: Sequence[Event]) -> None:
        """Give what was found at the end of the recording."""
        for sink in self._opened():
            sink.write_events(events)

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Pass it on."""
        for sink in self._opened():
            sink.checkpoint(checkpoint)

    def close(self) -> None:
        """End them all.

        Raises:
            SinkError: One could not be ended as it should.
        """
        self._ended, self._sinks = self._sinks or self._ended, []
        with contextlib.ExitStack() as closing:  # all of them, also where one refuses
            for sink in self._ended:
                closing.callback(sink.close)

    def abort(self) -> None:
        """End them all without raising."""
        self._ended, self._sinks = self._sinks or self._ended, []
        for sink in self._ended:
            sink.abort()

    def _opened(self) -> list[Sink]:
        if len(self._sinks) < len(self._addresses):
            try:
                self._sinks += [self._open_output(address) for address in self._addresses]
                again = [sink for sink in self._sinks if sink.resumes == "whole"]
                earlier = iter(self._earlier() if again else ())
                while events := list(islice(earlier, GIVEN_AGAIN)):
                    for sink in again:
                        sink.write_events(events)
            except BaseException:
                self.abort()
                raise
        return self._sinks
