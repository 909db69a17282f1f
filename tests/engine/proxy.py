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

import numpy as np

from tests.sources.loopback import LoopbackServer

PIECE_BYTES = 4096
_CLIENT_PORTS = re.compile(rb"client_port=(\d+)-(\d+)")


class TcpProxy(LoopbackServer):
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
        self._random = np.random.default_rng(0)
        super().__init__()

    def _connected(self, connection: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self.target_port))
        except OSError:
            connection.close()
            return
        with self._lock:
            self._open += [connection, server]
        for pump in ((connection, server, self._request), (server, connection, self._answer)):
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
