"""Pipes and standard input as sources: read a single time, from start to end, without waiting for ever."""

from __future__ import annotations

import logging
import os
import select
from typing import TYPE_CHECKING, Any

from tracker.errors import SourceError

if TYPE_CHECKING:
    from tracker.sources.address import Address

__all__ = ["PIPE_S", "can_wait", "open_pipe", "unreadable_pipe"]

PIPE_S = 60.0
"""Longest silence of a pipe: the program at its other end may have to start, load or wait for a camera."""

TELL_S = 1.0
"""Seconds of waiting after which the log says so."""

logger = logging.getLogger("tracker.live.pipes")

_REMEDY = "send a video into it: cat VIDEO | masktrail track -"


def can_wait() -> bool:
    """Whether this system can wait for a pipe; Windows cannot, and standard input is read there as it comes."""
    return hasattr(select, "poll") and hasattr(os, "O_NONBLOCK")


def open_pipe(address: Address, *, timeout_s: float = PIPE_S) -> int:
    """The descriptor of a pipe in which data wait; to be closed by the caller.

    It does not block: FFmpeg then asks between two reads whether it has waited too long.

    Args:
        address: Whose ``once`` is set.
        timeout_s: Longest wait for the first byte.

    Raises:
        SourceError: It cannot be opened, it is a terminal, or nothing comes.
    """
    try:
        descriptor = os.open(address.target, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        problem = f"expected a pipe that can be read, found none ({error.strerror})"
        raise SourceError(address.name, problem, _REMEDY) from error
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    found, remedy = "", ""
    if os.isatty(descriptor):
        found, remedy = "a terminal", _REMEDY
    elif not _comes(poll, address.name, timeout_s):
        found, remedy = f"nothing for {timeout_s:g} s", "start the program that writes into it"
    if found:
        os.close(descriptor)
        raise SourceError(address.name, f"expected a video in the pipe, found {found}", remedy)
    return descriptor


def _comes(poll: Any, name: str, timeout_s: float) -> bool:
    """Whether data come in time; after a second the log says for what it waits."""
    if poll.poll(min(TELL_S, timeout_s) * 1000):
        return True
    if timeout_s <= TELL_S:
        return False
    logger.warning("waiting for a writer of %s (%g s at most)", name, timeout_s)
    return bool(poll.poll((timeout_s - TELL_S) * 1000))


def unreadable_pipe(address: Address) -> SourceError:
    """What came out of the pipe cannot be read from start to end."""
    return SourceError(
        address.name,
        "expected a video that can be read from start to end, found data that FFmpeg cannot make use of without going "
        "back",
        "send mkv, ts or a fragmented MP4 (-movflags frag_keyframe+empty_moov); or save it first and name the file",
    )
