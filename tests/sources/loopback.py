"""Proxy on the loopback; its port can be closed with all connections and opened again."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self


class LoopbackServer:
    """Listens on a port of its own; what it does with a connection is said in ``_connected``."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        self.port = 0
        self._lock = threading.Lock()
        self._listening: socket.socket | None = None
        self._open: list[socket.socket] = []
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Listen, again on the same port."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((self.host, self.port))
        listening.listen()
        self.port = listening.getsockname()[1]
        self._listening = listening
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def kill(self) -> None:
        """Cut every connection and refuse new ones."""
        listening, self._listening = self._listening, None
        if listening is not None:
            self._cut(listening)
        with self._lock:
            connections, self._open = self._open, []
        for connection in connections:
            self._cut(connection)

    @staticmethod
    def _cut(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._connected(listening.accept()[0])

    def _connected(self, connection: socket.socket) -> None:
        raise NotImplementedError
