"""Cameras on the loopback that can be killed, restarted, frozen and changed during a test."""

from __future__ import annotations

import contextlib
import functools
import http.server
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

import av
import cv2

from tests.sources.loopback import LoopbackServer
from tests.sources.videos import picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class MjpegCamera(LoopbackServer):
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
        super().__init__()

    def url(self, user: str = "") -> str:
        return f"http://{user}{'@' if user else ''}{self.host}:{self.port}/video"

    def _connected(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.append(connection)
        threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            request = connection.recv(4096)
            if request.startswith(b"OPTIONS"):  # a probe
                connection.sendall(b"HTTP/1.0 200 OK\r\nAllow: GET\r\n\r\n")
            if not request.startswith(b"GET"):
                return
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


class TsCamera:
    """An MPEG transport stream over a bare TCP socket at the pace of a camera, from clips that were encoded before.

    Args:
        parts: Transport streams that follow one another on each connection, whatever their clocks, sizes and codecs.
        part_s: Seconds over which each of them is sent.
        pieces: In how many pieces.
        hold: Whether a connection stays open in silence at the end, else it is closed.
    """

    def __init__(self, parts: list[Path], *, part_s: float = 1.0, pieces: int = 25, hold: bool = False) -> None:
        self.parts = parts
        self.connections = 0
        self._part_s, self._pieces, self._hold = part_s, pieces, hold
        self._over = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            due_s = time.monotonic()
            for part in self.parts:
                data = part.read_bytes()
                step = -(-len(data) // self._pieces)
                for start in range(0, len(data), step):
                    connection.sendall(data[start : start + step])
                    due_s += self._part_s / self._pieces
                    if self._over.wait(max(due_s - time.monotonic(), 0)):
                        return
            if self._hold:
                self._over.wait(30)


class HlsCamera:
    """HLS over HTTP with rendered segments of 0.48 s: a live playlist that rolls on, and ``/all.m3u8``, a recording.

    Args:
        folder: Where the segments are rendered.
        count: How many of them; the live playlist shows three at a time and ends its roll with the last one.
    """

    SEGMENT_S = 0.48

    def __init__(self, folder: Path, *, count: int = 24) -> None:
        self._folder = folder
        self._count = count
        self._begun_s: float | None = None
        self._server: http.server.ThreadingHTTPServer | None = None
        self.port = 0
        options = {"hls_time": str(self.SEGMENT_S), "hls_list_size": "0", "hls_playlist_type": "vod"}
        with av.open(str(folder / "all.m3u8"), "w", format="hls", options=options) as container:
            fast = {"preset": "ultrafast", "tune": "zerolatency"}
            stream = container.add_stream("libx264", rate=25, options=fast)
            stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, "yuv420p", 12
            for index in range(12 * count):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index, (64, 48)), "bgr24")))
            container.mux(stream.encode())
        self.start()

    def start(self) -> None:
        camera = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                if not self.path.startswith("/live.m3u8"):
                    with contextlib.suppress(OSError):
                        super().do_GET()
                    return
                body = camera._playlist().encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/vnd.apple.mpegurl")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        handler = functools.partial(Handler, directory=str(self._folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def kill(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def url(self, name: str = "live") -> str:
        return f"http://127.0.0.1:{self.port}/{name}.m3u8"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _playlist(self) -> str:
        """The three newest segments; the roll begins with the first request."""
        now_s = time.monotonic()
        self._begun_s = self._begun_s or now_s
        first = min(int((now_s - self._begun_s) / self.SEGMENT_S), self._count - 3)
        head = f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
        return head + "".join(f"#EXTINF:{self.SEGMENT_S},\nall{n}.ts\n" for n in range(first, first + 3))


def wait_until(condition: Callable[[], object], timeout_s: float = 60.0) -> bool:
    """Whether the condition came true in time: generous, since a test that passes does not wait."""
    until_s = time.monotonic() + timeout_s
    while time.monotonic() < until_s:
        if condition():
            return True
        time.sleep(0.01)
    return False
