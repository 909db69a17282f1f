"""The dashboard's process: ``python -m tracker.service.dashboard_child CHANNEL LISTENER``, started by the engine's.

Both are numbers of inherited sockets: the local channel, whose first message has the settings, and the listening socket
of the page, which stays open while this process is started anew. It ends when the engine does.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
from typing import Any

from tracker.dashboard.wire import MessageReader
from tracker.errors import TrackerError
from tracker.service.logs import faults_logged, logging_to_stderr
from tracker.service.memory import give_back, limit_pools
from tracker.settings.dashboard import DashboardSettings
from tracker.version import __version__

__all__ = ["OTHER_VERSION", "main"]

OTHER_VERSION = 3
"""Exit status: masktrail was updated while the engine runs, and both would not understand each other."""

NICENESS = 5
"""Frames come before pages where the processor is full."""

logger = logging.getLogger("tracker.dashboard")


def main(arguments: list[str]) -> int:
    """Serve until the engine is gone.

    Args:
        arguments: Numbers of the inherited sockets.

    Returns:
        The exit status: 2 = it cannot be served, :data:`OTHER_VERSION`.
    """
    channel, listener = (socket.socket(fileno=int(number)) for number in arguments)
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    limit_pools()  # questions come in up to forty threads
    start = _start(channel)
    if start is None:
        return 0
    with logging_to_stderr(start.get("log", "text")), faults_logged():
        if start.get("version") != __version__:
            found = start.get("version") or "an earlier version"
            problem = f"expected an engine of masktrail {__version__}, which is installed now, found {found} running"
            extra = {"problem": problem, "remedy": "restart the engine; its cameras are tracked until then"}
            logger.error("dashboard not started", extra=extra)
            return OTHER_VERSION
        try:
            _serve(channel, listener, DashboardSettings(**start["settings"]))
        except TrackerError as failure:
            logger.error("dashboard not started", extra={"problem": str(failure)})  # noqa: TRY400 - expected
            return 2
    return 0


def _start(channel: socket.socket) -> dict[str, Any] | None:
    """The first message, read byte by byte so that nothing after it is taken; ``None`` = the engine is gone."""
    reader = MessageReader()
    while byte := channel.recv(1):
        for header, _ in reader.feed(byte):
            return header
    return None


def _serve(channel: socket.socket, listener: socket.socket, settings: DashboardSettings) -> None:
    from tracker.dashboard.link import Link
    from tracker.dashboard.server import run

    link = Link(
        channel,
        preview_width=settings.preview_width,
        preview_fps=settings.preview_fps,
        on_end=lambda: os.kill(os.getpid(), signal.SIGTERM),
    )
    link.start()
    run(settings, link, bound=listener, tidy=give_back)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
