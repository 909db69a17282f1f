"""A wire to a server on loopback: counts the bytes that pass, and breaks in the middle of a large upload."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading


class Wire:
    """Passes connections on to a server.

    Args:
        server: ``(host, port)``.

    Attributes:
        port: To be used in the place of the server's.
        down: Bytes from the server.
        up: Bytes to it.
        breaks_after: Bytes of one request after which its connection is reset; ``None`` = never.
        broken: Connections that were reset.
    """

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.down = self.up = self.broken = 0
        self.breaks_after: int | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no further connections."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.create_connection(self._server)
        asked = [0]  # bytes of the request under way

        def back() -> None:
            with contextlib.suppress(OSError):
                while piece := server.recv(65536):
                    asked[0] = 0
                    self.down += len(piece)
                    client.sendall(piece)
                client.shutdown(socket.SHUT_WR)

        threading.Thread(target=back, daemon=True).start()
        with contextlib.suppress(OSError):
            while piece := client.recv(4096):
                asked[0] += len(piece)
                if self.breaks_after is not None and asked[0] > self.breaks_after:
                    self.broken += 1
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
                self.up += len(piece)
                server.sendall(piece)
        client.close()
        server.close()
