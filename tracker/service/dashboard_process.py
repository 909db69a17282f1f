"""Supervisor of the dashboard's process: started beside the cameras, and again whenever it ends or falls silent.

The listening socket is held here, so that the page's address stays ours while the process is away: a browser waits for
the new one instead of being refused.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from tracker.dashboard.connections import listener
from tracker.dashboard.server import check_packages
from tracker.dashboard.wire import packed
from tracker.errors import ConfigError
from tracker.service.channel import Channel
from tracker.service.dashboard_child import OTHER_VERSION
from tracker.settings.dashboard import split_address
from tracker.version import __version__

if TYPE_CHECKING:
    from tracker.service.viewers import Viewers
    from tracker.settings.dashboard import DashboardSettings

__all__ = ["DashboardProcess"]

RETRY_S = (1.0, 30.0)
"""Shortest and longest wait before it is started again; doubled each time that it lives for less than a minute."""
WELL_S = 60.0
UPDATED_S = 600.0
"""Wait where another version was installed under the running engine: the process has said so, and only a restart of the
engine, or the version that it is of, helps."""
SILENT_S = 45.0
"""A process that says nothing for so long is ended: it says so every five seconds while it is well."""
END_S = 5.0

logger = logging.getLogger("tracker.live")


class DashboardProcess:
    """The dashboard of a service.

    Args:
        settings: Checked, with ``folder``.
        viewers: The engine's side, which is attached to each process in turn.
        log: Form of its log.

    Attributes:
        address: ``host:port`` of the page.

    Raises:
        ConfigError: A package is missing, the address is not free, or the system has no processes of this kind.
    """

    def __init__(self, settings: DashboardSettings, viewers: Viewers, *, log: str) -> None:
        if os.name != "posix":
            problem = "expected a POSIX system for a live dashboard, found another one"
            raise ConfigError("dashboard", problem, "run `masktrail dashboard FOLDER` beside the cameras")
        check_packages()
        self._settings, self._viewers, self._log = settings, viewers, log
        host, port = split_address(settings.address)
        try:
            self._listener = listener(host, port)
        except OSError as failure:
            problem = f"expected a free address of this machine, found: {failure.strerror or failure}"
            raise ConfigError(f"dashboard {settings.address}", problem, "choose another port") from failure
        self.address = f"{f'[{host}]' if ':' in host else host}:{self._listener.getsockname()[1]}"
        self._closing = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="dashboard", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Number of the process that runs now."""
        process = self._process
        return None if process is None else process.pid

    def close(self) -> None:
        """End the process and give the address back."""
        self._closing.set()
        self._thread.join(3 * END_S)
        self._listener.close()

    def _run(self) -> None:
        wait_s = RETRY_S[0]
        while not self._closing.is_set():
            begun_s = time.monotonic()
            try:
                problem = self._live()
            except Exception as failure:  # noqa: BLE001 - whatever it is, the page is wanted again
                problem = f"{type(failure).__name__}: {failure}"
            if self._closing.is_set():
                return
            if self._process is not None and self._process.returncode == OTHER_VERSION:
                self._closing.wait(UPDATED_S)
                continue
            wait_s = RETRY_S[0] if time.monotonic() - begun_s > WELL_S else wait_s
            logger.error("dashboard ended", extra={"problem": problem, "retry_s": wait_s})
            self._closing.wait(wait_s)
            wait_s = min(2 * wait_s, RETRY_S[1])

    def _live(self) -> str:
        """One process from its start to its end; what ended it."""
        ours, theirs = socket.socketpair()
        channel = Channel(ours, on_message=self._viewers.heard)
        try:
            with theirs:
                self._process = self._start(theirs)
            settings = self._settings.replace(address=self.address)
            facts = settings.model_dump(mode="json")
            channel.put(packed("start", settings=facts, log=self._log, version=__version__))
            channel.start()
            self._viewers.attach(channel)
            return self._watch(self._process)
        finally:
            self._viewers.detach()
            channel.close()
            self._end(self._process)

    def _start(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        numbers = (theirs.fileno(), self._listener.fileno())
        command = [sys.executable, "-m", "tracker.service.dashboard_child", *map(str, numbers)]
        # A session of its own: the terminal's Ctrl-C is for the engine, which ends this process when it ends.
        return subprocess.Popen(command, pass_fds=numbers, start_new_session=True, stdin=subprocess.DEVNULL)  # noqa: S603

    def _watch(self, process: subprocess.Popen[bytes]) -> str:
        while not self._closing.wait(0.2):
            status = process.poll()
            if status is not None:
                return f"its process ended with status {status}"
            silent_s = time.monotonic() - self._viewers.spoken_s
            if silent_s > SILENT_S:
                return f"its process has said nothing for {silent_s:.0f} s"
        return "stopping"

    def _end(self, process: subprocess.Popen[bytes] | None) -> None:
        """The channel is closed, at which a process that is well ends by itself."""
        if process is None:
            return
        for end in (process.terminate, process.kill):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_S)
                return
            end()
        process.wait()
