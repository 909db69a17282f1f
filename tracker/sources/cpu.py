"""CPU seconds of the threads that FFmpeg starts, for benchmarks."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["WorkerClock"]

_TASKS = "/proc/self/task"
_OPENING = threading.Lock()
OPENING_S = 1.0
"""Opening a decoder takes a millisecond; a device's first a few hundred."""


class WorkerClock:
    """CPU time of the threads that one decoder owns. Linux only; elsewhere it stays at zero."""

    def __init__(self) -> None:
        self._threads: list[int] = []
        self._checked = False
        self._spent_s: dict[int, float] = {}

    @classmethod
    @contextlib.contextmanager
    def recording(cls) -> Iterator[WorkerClock]:
        """A clock of the decoder threads that start inside the ``with`` block; one block at a time in the process.

        Where another block does not end, a decoder that hangs in a driver say, the clock stays at zero: other cameras
        are opened without.
        """
        clock = cls()
        alone = _OPENING.acquire(timeout=OPENING_S)
        try:
            before = _threads()
            yield clock
            if alone:
                clock._threads = sorted(_threads() - before)
        finally:
            if alone:
                _OPENING.release()

    def spent_s(self) -> float:
        """CPU seconds so far, those of threads that have ended included. Ask first when a frame has been decoded."""
        if not self._checked:  # only by now has each thread named itself
            self._threads = [thread for thread in self._threads if _is_decoder(thread)]
            self._checked = True
        for thread in self._threads:
            # A thread's CPU clock by kernel id: bits 0-1 = 2 "run time", bit 2 "one thread" (linux/posix-timers.h)
            with contextlib.suppress(OSError):
                self._spent_s[thread] = time.clock_gettime((~thread << 3) | 6)
        return sum(self._spent_s.values())

    def freeze(self) -> None:
        """Read for the last time, before the threads end and their ids are given to others."""
        self.spent_s()
        self._threads = []


def _threads() -> set[int]:
    """Kernel ids of all threads of this process."""
    with contextlib.suppress(OSError):
        return {int(entry) for entry in os.listdir(_TASKS)}  # noqa: PTH208 - names are all that is needed
    return set()


def _is_decoder(thread: int) -> bool:
    """Whether FFmpeg's decoder started the thread: it names them ``av:h264:df0`` and the like."""
    with contextlib.suppress(OSError):
        return (Path(_TASKS) / str(thread) / "comm").read_text(encoding="utf-8").startswith("av:")
    return False
