"""Passwords masked in the process's own command line, as ``ps`` shows it.

Linux keeps the words of a command line at the top of the process's memory and reads them from there whenever
``/proc/PID/cmdline`` is read, so the process itself can write over them. What was shown before Python got here, a
few hundredths of a second, and the shell's history are out of reach: passwords belong into ``${NAME}``.

Not by setproctitle: it makes one word of all, so that ``/proc/PID/cmdline`` cannot be taken apart, and renames the
process for ``pgrep``, ``killall`` and ``ps -C``. Here every word stays and only the password changes.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

__all__ = ["hide_passwords", "masked"]

ARG_START, ARG_END = 48, 49
"""Fields of ``/proc/self/stat``, counted from 1: proc_pid_stat(5)."""


def hide_passwords() -> bool:
    """Write over passwords in addresses of this process's command line; whether there were any that could be.

    Nothing happens on other systems than Linux, or where the system does not say where it is.
    """
    if sys.platform != "linux" or not any("://" in argument for argument in sys.argv):
        return False
    import ctypes

    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        start, end = (int(fields[number - 3]) for number in (ARG_START, ARG_END))  # what is left begins with field 3
        if 0 < start < end:
            before = ctypes.string_at(start, end - start)
            after = masked(before)
            if after != before and Path("/proc/self/cmdline").read_bytes() == before:  # it is the right place
                ctypes.memmove(start, after, len(after))
                return True
    return False


def masked(command_line: bytes) -> bytes:
    r"""A command line as the kernel keeps it, of the same length, without passwords.

    Args:
        command_line: Words, each with a zero byte at its end.

    >>> masked(b"masktrail\0track\0rtsp://u:hunter2@10.0.0.7/x\0")
    b'masktrail\x00track\x00rtsp://u:***@10.0.0.7/x\x00\x00\x00\x00\x00'
    >>> masked(b"rtsp://u:p@h\0")
    b'rtsp://u:***\x00'
    """
    from tracker.sources.address import redact

    def hidden(word: bytes) -> bytes:
        shown = os.fsencode(redact(os.fsdecode(word)))
        return word if shown == word else shown[: len(word)].ljust(len(word), b"\0")

    return b"\0".join(hidden(word) for word in command_line.split(b"\0"))
