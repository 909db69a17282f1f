"""Taps of a stream: functions that see every finished frame, in the thread that tracks, beside the outputs.

An output must have every frame and may hold its stream up. A tap sees the frames as they come and must return at once:
it keeps what it needs, mostly the newest frame alone, and works on it in a thread of its own. One that raises is
dropped, and the stream continues.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tracker.types import TrackedFrame

__all__ = ["Tap", "Taps"]

logger = logging.getLogger("tracker.live")


class Tap(Protocol):
    """What a stream calls with each frame that went through its stages, in order."""

    def __call__(self, tracked: TrackedFrame) -> None:
        """Take note of a frame, which others hold too and which must not be changed; never waits."""
        ...


class Taps:
    """The taps of one stream.

    Args:
        name: Of the stream, for the log.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._changing = threading.Lock()
        self._taps: tuple[Tap, ...] = ()

    def add(self, tap: Tap) -> None:
        """Show a tap every frame from the next one on; callable from any thread."""
        with self._changing:
            self._taps = (*self._taps, tap)

    def remove(self, tap: Tap) -> None:
        """Show it no further frame; one that is not there is no error."""
        with self._changing:
            self._taps = tuple(other for other in self._taps if other is not tap)

    def give(self, tracked: TrackedFrame) -> None:
        """Show all taps a frame."""
        for tap in self._taps:
            try:
                tap(tracked)
            except Exception as failure:  # noqa: BLE001 - a viewer costs the stream nothing
                self.remove(tap)
                problem = f"{type(failure).__name__}: {failure}"
                logger.error("tap dropped", extra={"camera": self._name, "problem": problem})  # noqa: TRY400
