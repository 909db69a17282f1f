"""A server's port enters; a port leaves behind which the network is bad: loss, delay, frost, corruption, cut lines.

Only bytes on the loopback are touched. :class:`TcpProxy` stands before any TCP server; :class:`RtspUdpProxy` before an
RTSP server whose video comes in datagrams: it puts its own ports into the client's SETUP requests, so that they come
through it too.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from typing import Self

import numpy as np

PIECE_BYTES = 4096
_CLIENT_PORTS = re.compile(rb"client_port=(\d+)-(\d+)")


class TcpProxy:
    """Passes connections on to a port, with faults that can be changed while it runs.

    Attributes:
        delay_s: Each piece waits up to this long; pieces stay in order.
        corrupt: Probability that a piece from the server has some of its bytes replaced.
        loss: Probability that a datagram is dropped (:class:`RtspUdpProxy`).
        frozen: While set nothing passes, and connections stay open.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.delay_s = 0.0
        self.corrupt = 0.0
        self.loss = 0.0
        self.lost = 0
        self.corrupted = 0
        self.frozen = threading.Event()
        self.port = 0
        self._random = np.random.default_rng(0)
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
        listening.bind(("127.0.0.1", self.port))
        listening.listen()
        self.port = listening.getsockname()[1]
        self._listening = listening
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def kill(self) -> None:
        """Cut every line and refuse new ones."""
        listening, self._listening = self._listening, None
        if listening is not None:
            self._cut(listening)
        with self._lock:
            lines, self._open = self._open, []
        for line in lines:
            self._cut(line)

    @staticmethod
    def _cut(line: socket.socket) -> None:
        with contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)
        line.close()

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self.target_port))
                except OSError:
                    client.close()
                    continue
                with self._lock:
                    self._open += [client, server]
                for pump in ((client, server, self._request), (server, client, self._answer)):
                    threading.Thread(target=self._pump, args=pump, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, change) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE_BYTES):
                while self.frozen.is_set():
                    time.sleep(0.01)
                sink.sendall(change(piece))
        self._cut(source)
        self._cut(sink)

    def _request(self, piece: bytes) -> bytes:
        return piece

    def _answer(self, piece: bytes) -> bytes:
        if self.delay_s:
            time.sleep(self.delay_s * self._random.random())
        if self._random.random() >= self.corrupt:
            return piece
        self.corrupted += 1
        spoilt = bytearray(piece)
        for place in self._random.integers(0, len(spoilt), 8):
            spoilt[place] = int(self._random.integers(0, 256))
        return bytes(spoilt)


class RtspUdpProxy(TcpProxy):
    """The same for RTSP over UDP: faults befall the datagrams, the conversation passes unharmed."""

    def _request(self, piece: bytes) -> bytes:
        return _CLIENT_PORTS.sub(self._divert, piece)

    def _answer(self, piece: bytes) -> bytes:
        return piece

    def _divert(self, match: re.Match[bytes]) -> bytes:
        ports = []
        for client_port in (int(match[1]), int(match[2])):
            line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            line.bind(("127.0.0.1", 0))
            ports.append(line.getsockname()[1])
            with self._lock:
                self._open.append(line)
            threading.Thread(target=self._relay, args=(line, client_port), daemon=True).start()
        return b"client_port=%d-%d" % tuple(ports)

    def _relay(self, line: socket.socket, client_port: int) -> None:
        with contextlib.suppress(OSError):
            while datagram := line.recv(65536):
                if self.frozen.is_set() or self._random.random() < self.loss:
                    self.lost += 1
                    continue
                line.sendto(super()._answer(datagram), ("127.0.0.1", client_port))
