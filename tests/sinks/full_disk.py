"""A number of bytes enters; while it is in force, no file of this process grows beyond it."""

from __future__ import annotations

import contextlib
import resource
import signal


@contextlib.contextmanager
def small_files(size: int):
    """A limit on the size of files: as on a full disk but for the error's number.

    It holds for the whole process, so it must end before pytest writes its next line to a log file.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
