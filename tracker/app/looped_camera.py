"""A clip as an endless camera: its packets in a loop, at their own pace, as an MPEG transport stream over HTTP.

Nothing is decoded or encoded. Every connection begins at the clip's first picture, so that it can be decoded at once.
"""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast
from urllib.parse import quote

import av

from tracker.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

__all__ = ["LoopedCameras"]

HOST = "127.0.0.1"


class LoopedCameras:
    """Clips under addresses of this machine, for as long as the block runs.

    Args:
        clips: Names and files; each must have a video that a transport stream can carry (H.264, H.265, MPEG-2).

    Raises:
        SourceError: A clip cannot be read.
    """

    def __init__(self, clips: Mapping[str, Path]) -> None:
        for path in clips.values():
            _check(path)
        self._places = {name: f"/{quote(name)}.ts" for name in clips}
        self._over = threading.Event()
        files = {self._places[name]: path for name, path in clips.items()}
        self._server = http.server.ThreadingHTTPServer((HOST, 0), partial(_Answer, files, self._over))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="looped-cameras", daemon=True)

    @property
    def urls(self) -> dict[str, str]:
        """Address by name."""
        port = self._server.server_address[1]
        return {name: f"http://{HOST}:{port}{place}" for name, place in self._places.items()}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()


class _Answer(http.server.BaseHTTPRequestHandler):
    """One connection of a camera's client.

    Args:
        files: Clip of each path.
        over: Set when the cameras end.
        arguments: Of the base class.
    """

    def __init__(self, files: Mapping[str, Path], over: threading.Event, *arguments: Any) -> None:
        self._files, self._over = files, over
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """The clip, for as long as it is read."""
        path = self._files.get(self.path)
        if path is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.end_headers()
        with contextlib.suppress(OSError, av.FFmpegError):
            _send(path, cast("BinaryIO", self.wfile), self._over)

    def handle(self) -> None:
        """A client that goes away in the middle is no fault."""
        with contextlib.suppress(OSError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


def _check(path: Path) -> None:
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise SourceError(path, "expected a video, found none", "name another file")
    except (OSError, av.FFmpegError) as error:
        raise SourceError(path, f"expected a video, found: {error}", "name another file") from error


class _Unseekable:
    """A connection as a file that is only written to."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        return self._file.write(data)


def _send(path: Path, connection: BinaryIO, over: threading.Event) -> None:
    """Write a clip's packets again and again, each when it is due, until the connection or the service ends."""
    with av.open(cast("Any", _Unseekable(connection)), "w", format="mpegts", options={"flush_packets": "1"}) as out:
        begun_s = time.monotonic()
        offset = 0
        target: Any = None
        while not over.is_set():
            with av.open(str(path)) as clip:
                video = clip.streams.video[0]
                if video.time_base is None:
                    return
                if target is None:
                    target = out.add_stream_from_template(video)
                rate = video.average_rate or 25
                step = max(round(1 / (rate * video.time_base)), 1)
                last = offset
                for packet in clip.demux(video):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                    last = max(last, packet.pts + (packet.duration or step))
                    wait_s = begun_s + float(packet.dts * video.time_base) - time.monotonic()
                    if wait_s > 0 and over.wait(wait_s):
                        return
                    packet.stream = target
                    out.mux(packet)
                offset = last
