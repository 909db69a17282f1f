"""Opening of a pipe for writing: its reader is waited for, in words and not for ever."""

from __future__ import annotations

import errno
import logging
import os
import time
from typing import TYPE_CHECKING

from tracker.errors import SinkError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["READER_S", "open_for_reader"]

READER_S = 60.0
"""Longest wait for the program at the other end, as for one that writes into a source."""

TELL_S = 1.0
STEP_S = 0.05

logger = logging.getLogger("tracker.live.pipes")


def open_for_reader(target: Path, shown: Path) -> int:
    """The descriptor of a pipe that has a reader; to be closed by the caller.

    The system's own wait would end with nothing but the reader: it is asked again and again instead.

    Args:
        target: The pipe.
        shown: How messages name it.

    Raises:
        SinkError: No reader comes.
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
            os.set_blocking(fd, True)
            return fd
        waited_s = time.monotonic() - started_s
        if waited_s >= READER_S:
            problem = f"expected a program that reads this pipe, found none for {READER_S:g} s"
            raise SinkError(shown, problem, "start it first, or name a file")
        if waited_s >= TELL_S and not told:
            told = True
            logger.warning("waiting for a reader of %s (%g s at most)", shown, READER_S)
        time.sleep(STEP_S)
