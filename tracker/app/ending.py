"""End of the process of a command, whatever its threads are doing."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ending"]

UNWRITTEN = 120
"""Exit status of the interpreter where what was printed last could not be written."""


@contextlib.contextmanager
def ending() -> Iterator[None]:
    """Surrounds all that a process does; with threads left at its exit, the system ends it at once, with its status.

    A thread inside a library (a camera that does not answer, a model that is read) cannot be told to end. The exit of
    the interpreter takes away what it works with, and the process could die of SIGSEGV when everything was done.

    To be called before anything else registers with :mod:`atexit`: what is registered first is called last, after the
    end of the threads that the interpreter waits for.
    """
    status = 1  # of an exception that nothing expected

    def leave() -> None:
        if len(threading.enumerate()) > 1:
            _leave(status)

    atexit.register(leave)
    try:
        yield
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise


def _leave(status: int) -> None:
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            status = status or UNWRITTEN
    os._exit(status)
