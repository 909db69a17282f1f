"""Pipes as outputs: their reader is waited for, in words, and no longer than the stream that is written goes on."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import threading
import time
from contextvars import ContextVar
from io import FileIO
from typing import TYPE_CHECKING, Any, cast

from tracker.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["READER_S", "PipeFile", "ending_with", "open_for_reader", "stream_end"]

READER_S = 60.0
"""Longest wait for the program at the other end, as for one that writes into a source."""

LAST_S = 2.0
"""Longest wait for a reader that takes nothing, once the stream is to end: its other outputs wait for that."""

TELL_S = 1.0
STEP_S = 0.05

logger = logging.getLogger("tracker.live.pipes")

_end: ContextVar[threading.Event | None] = ContextVar("end", default=None)


@contextlib.contextmanager
def ending_with(end: threading.Event) -> Iterator[None]:
    """Pipes that are opened inside the block wait for their readers only until ``end`` is set, from any thread.

    A sink does not know whose stream it writes, and while it waits nothing can be told to it: its opener says so here.
    """
    token = _end.set(end)
    try:
        yield
    finally:
        _end.reset(token)


def stream_end() -> threading.Event:
    """What :func:`ending_with` named around this call, or an event that is never set."""
    return _end.get() or threading.Event()


class PipeFile(FileIO):
    """The writing end of a pipe that does not block.

    Args:
        fd: The descriptor, non-blocking; closed with the file.
        end: Set when the stream is to end: a reader that takes nothing is then waited for :data:`LAST_S`.
    """

    def __init__(self, fd: int, end: threading.Event) -> None:
        super().__init__(fd, "wb")
        self._end = end
        self._room = select.poll()
        self._room.register(fd, select.POLLOUT)

    def write(self, data: Any, /) -> int:
        """Write what there is room for, at least a byte.

        Raises:
            OSError: The reader went away (``EPIPE``), or takes nothing though the stream is to end (``ETIMEDOUT``).
        """
        give_up_s: float | None = None
        # The type is that of a blocking file; a full pipe gives None here
        while (written := cast("int | None", super().write(data))) is None:
            now_s = time.monotonic()
            if give_up_s is None and self._end.is_set():
                give_up_s = now_s + LAST_S
            elif give_up_s is not None and now_s >= give_up_s:
                raise OSError(errno.ETIMEDOUT, "the reader takes nothing")
            self._room.poll(STEP_S * 1000)
        return written


def open_for_reader(target: Path, shown: Path, end: threading.Event) -> int:
    """The non-blocking descriptor of a pipe that has a reader; to be closed by the caller.

    The system's own wait would end with nothing but the reader: it is asked again and again instead.

    Args:
        target: The pipe.
        shown: How messages name it.
        end: Set when the stream is to end.

    Raises:
        SinkError: No reader comes, or none came before the end.
        OSError: The system refuses.
    """
    started_s = time.monotonic()
    told = False
    while True:
        try:
            fd = os.open(target, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as failure:
            if failure.errno != errno.ENXIO:  # there is no reader
                raise
        else:
            return fd
        waited_s = time.monotonic() - started_s
        if waited_s >= READER_S:
            problem = f"expected a program that reads this pipe, found none for {READER_S:g} s"
            raise SinkError(shown, problem, "start it first, or name a file")
        if end.is_set():
            problem = "expected a program that reads this pipe, found none until the stream was to end"
            raise SinkError(shown, problem, "start it first, or name a file")
        if waited_s >= TELL_S and not told:
            told = True
            logger.warning("waiting for a reader of %s (%g s at most)", shown, READER_S)
        end.wait(STEP_S)
