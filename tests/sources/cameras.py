"""Cameras on the loopback that can be killed, restarted, frozen and changed while somebody watches them."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

import cv2

from tests.sources.videos import picture

if TYPE_CHECKING:
    from collections.abc import Callable


class MjpegCamera:
    """Motion JPEG over HTTP, without a clock of its own, as cheap cameras send it.

    ``kill`` closes the port and every connection, ``start`` opens the same port again, ``frozen`` sends nothing while
    it stays connected.
    """

    def __init__(self, *, size: tuple[int, int] = (64, 48), rate: float = 50.0, image: Callable | None = None) -> None:
        self.size = size
        self.rate = rate
        self.image = image or picture
        self.frozen = threading.Event()
        self.connections = 0
        self.requests: list[str] = []
        self.sent = 0
        self.port = 0
        self._listening: socket.socket | None = None
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self.start()

    def start(self) -> None:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        listening.listen()
        self.port = listening.getsockname()[1]
        self._listening = listening
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def kill(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        with self._lock:
            connections, self._open = self._open, []
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def url(self, user: str = "") -> str:
        return f"http://{user}{'@' if user else ''}127.0.0.1:{self.port}/video"

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with self._lock:
                    self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            request = connection.recv(4096)
            if not request:
                return  # a knock
            self.requests.append(request.decode(errors="replace"))
            self.connections += 1
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n")
            index = 0
            due_s = time.monotonic()
            while True:
                if not self.frozen.is_set():
                    jpeg = cv2.imencode(".jpg", self.image(index, self.size))[1].tobytes()
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    connection.sendall(head.encode() + jpeg + b"\r\n")
                    index += 1
                    self.sent += 1
                due_s = max(due_s + 1 / self.rate, time.monotonic() - 1)
                time.sleep(max(due_s - time.monotonic(), 0))


def wait_until(condition: Callable[[], object], timeout_s: float = 20.0) -> bool:
    """Whether the condition came true in time."""
    until_s = time.monotonic() + timeout_s
    while time.monotonic() < until_s:
        if condition():
            return True
        time.sleep(0.01)
    return False
