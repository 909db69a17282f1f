"""The RTSP server of GStreamer as something a test starts, freezes, kills and starts again."""

from __future__ import annotations

import functools
import signal
import socket
import subprocess
from pathlib import Path
from typing import Self

import av
import pytest

PYTHON = "/usr/bin/python3"
SCRIPT = Path(__file__).with_name("rtsp_server.py")
NEEDED = (
    "apt-get install -y gstreamer1.0-rtsp gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base "
    "gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly"
)
_PROBE = (
    "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0'); "
    "from gi.repository import Gst, GstRtspServer; Gst.init(None); "
    "assert all(Gst.ElementFactory.find(name) for name in ('x264enc', 'rtph264pay', 'videotestsrc', 'h264parse'))"
)


@functools.cache
def why_not() -> str:
    """Why there is no RTSP server here; empty where there is."""
    if not Path(PYTHON).exists():
        return f"no {PYTHON} with GStreamer ({NEEDED})"
    probe = subprocess.run([PYTHON, "-c", _PROBE], capture_output=True, text=True, check=False, timeout=60)
    return "" if probe.returncode == 0 else f"no gst-rtsp-server ({NEEDED})"


def need_rtsp() -> None:
    if why_not():
        pytest.skip(why_not())


def pattern(size: tuple[int, int] = (160, 96), rate: int = 25, *, codec: str = "x264enc") -> str:
    """A launch line: a moving ball, a key frame every second."""
    encoder = {
        "x264enc": f"x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max={rate} ! rtph264pay",
        "jpegenc": "jpegenc ! rtpjpegpay",
    }[codec]
    caps = f"video/x-raw,format=I420,width={size[0]},height={size[1]},framerate={rate}/1"
    return (
        f"videotestsrc is-live=true pattern=ball ! {caps} ! {encoder} name=pay0 pt={96 if codec == 'x264enc' else 26}"
    )


def elementary(
    clip: Path, folder: Path, *, size: tuple[int, int] = (640, 360), rate: int | None = None, seconds: float = 12.0
) -> Path:
    """A clip as bare H.264 without reordering, a key frame a second: what a camera sends, and cheap to repeat.

    Args:
        clip: Any video.
        folder: Where the result lies.
        size: ``(width, height)`` in pixels.
        rate: Frames a second, of which the clip's are thinned out evenly; ``None`` = all of them.
        seconds: Longest part of the clip.
    """
    path = folder / f"{clip.stem}.h264"
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        own_rate = round(source.streams.video[0].average_rate or 25)
        rate = rate or own_rate
        out = target.add_stream("libx264", rate=rate, options={"tune": "zerolatency", "preset": "veryfast"})
        out.width, out.height, out.pix_fmt, out.gop_size = *size, "yuv420p", rate
        sent = 0
        for index, picture in enumerate(source.decode(video=0)):
            if index >= seconds * own_rate:
                break
            if index * rate < sent * own_rate:
                continue
            small = picture.reformat(width=size[0], height=size[1], format="yuv420p")
            small.pts = sent
            sent += 1
            target.mux(out.encode(small))
        target.mux(out.encode())
    return path


def film(path: Path, rate: int, *, loop: bool = False) -> str:
    """A launch line: bare H.264 at so many frames a second, once for each connection or again and again."""
    return (
        f"multifilesrc location={path} loop={str(loop).lower()} "
        f"caps=video/x-h264,stream-format=byte-stream,framerate={rate}/1 ! h264parse ! rtph264pay name=pay0 pt=96"
    )


class RtspServer:
    """A server process on a port of its own; its media are ``{path: launch line}``."""

    def __init__(self, media: dict[str, str], *, user: str = "", address: str = "127.0.0.1") -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.media = media
        self.address = address
        self._user = ["--user", user] if user else []
        self._process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        entries = [f"{path}={launch}" for path, launch in self.media.items()]
        self._process = subprocess.Popen(
            [PYTHON, str(SCRIPT), self.address, str(self.port), *self._user, *entries],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == "ready"

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(60)
            assert process.stdout is not None
            process.stdout.close()

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def url(self, path: str, user: str = "") -> str:
        return f"rtsp://{user}{'@' if user else ''}{self.address}:{self.port}/{path}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
