"""A dashboard on a real socket of this machine, in a thread, for tests of what a client does on the wire."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path
from typing import Any, Self

from tracker.dashboard.context import Context
from tracker.dashboard.server import serve
from tracker.dashboard.sessions import csrf_of
from tracker.settings.dashboard import DashboardSettings


class Served:
    """Serves as long as the block runs.

    Args:
        folder: Of its accounts.
        settings: Of the dashboard.
        facts: Of the context: engine, recordings, ledgers.
    """

    def __init__(self, folder: Path, *, settings: dict[str, Any] | None = None, **facts: Any) -> None:
        chosen = {"address": "127.0.0.1:0", "folder": str(folder)} | (settings or {})
        self.context = Context(DashboardSettings(**chosen), **facts)
        self.page = ""
        self._connections: list[socket.socket] = []
        self._told = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._told.wait(60), "it does not serve"
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.close()
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(20)
        assert not self._thread.is_alive(), "it does not stop"
        self.context.close()

    async def _serve(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        await serve(self.context, announce=self._announce, stopped=self._stopped)

    def _announce(self, page: str) -> None:
        self.page = page
        self._told.set()

    @property
    def origin(self) -> str:
        """``http://host:port``."""
        return self.page.partition("/setup")[0]

    @property
    def port(self) -> int:
        return int(self.origin.rpartition(":")[2])

    def connect(self, *, small: bool = False) -> socket.socket:
        """A connection; with ``small`` its system takes next to nothing in advance."""
        made = socket.socket()
        if small:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.settimeout(30)
        made.connect(("127.0.0.1", self.port))
        self._connections.append(made)
        return made

    def headers(self, name: str = "ann") -> dict[str, str]:
        """Of a page of an account that is logged in."""
        if self.context.accounts.user(name) is None:
            self.context.accounts.add_user(name, role="admin", password="none", streams=None, see_people=True)
        secret = self.context.sessions.begin(name, "test")
        return {
            "cookie": f"masktrail-{self.port}={secret}",
            "origin": self.origin,
            "x-masktrail-csrf": csrf_of(secret),
        }
