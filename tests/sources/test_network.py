"""Network addresses: a file over HTTP on the loopback, refusals, silence, and no password anywhere."""

from __future__ import annotations

import functools
import gc
import http.server
import socket
import threading
import time
import traceback

import cv2
import pytest

from tests.sources.readers import reader_threads
from tests.sources.videos import drain, picture, write_video
from tracker.errors import SourceError
from tracker.sources.address import expand_sources
from tracker.sources.open import open_source
from tracker.sources.protocols import container_options

SECRET = "canary"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; ``/secret`` asks for a password, ``/page`` is a page."""

    protocol_version = "HTTP/1.0"

    def log_message(self, format, *args):  # noqa: A002 - the base class's name
        pass

    def do_GET(self):
        if self.path.startswith("/secret"):
            self.send_error(401)
        elif self.path.startswith("/page"):
            self.send_response(200)
            page = b"<html><body>a page</body></html>" * 50
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)
        elif self.path.startswith("/camera"):
            self.camera(int(self.path.rpartition("/")[2]))
        else:
            super().do_GET()

    def camera(self, count: int) -> None:
        """Motion JPEG as cameras send it, at 50 frames a second; after ``count`` frames silence for a second."""
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            for index in range(count):
                jpeg = cv2.imencode(".jpg", picture(index, (64, 48)))[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
                time.sleep(0.02)
            time.sleep(1.0)
        except OSError:
            pass


@pytest.fixture
def server(tmp_path):
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        httpd.daemon_threads = True
        thread = threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()
        thread.join(5)


@pytest.mark.parametrize("suffix", ["mkv", "ts", "mp4"])
def test_a_recording_over_http(tmp_path, server: str, suffix: str) -> None:
    write_video(
        tmp_path / f"a.{suffix}", count=12, container_options={"movflags": "faststart"} if suffix == "mp4" else {}
    )
    with open_source(f"http://user:{SECRET}@{server}/a.{suffix}?token={SECRET}", timeout_s=5) as source:
        frames = list(source)
        assert not source.info.is_live
        assert SECRET not in source.info.name + repr(source) + frames[0].source
    assert len(frames) == 12
    assert frames[0].source == f"http://user:***@{server}/a.{suffix}?token=***"


@pytest.mark.parametrize(
    ("path", "said"), [("none.mp4", "404"), ("secret.mp4", "access refused"), ("page.html", "no video|no stream")]
)
def test_refusals_are_explained_without_the_password(server: str, path: str, said: str) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        open_source(f"http://user:{SECRET}@{server}/{path}?token={SECRET}", timeout_s=5)
    everything = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__dict__)
    assert SECRET not in everything
    assert caught.value.__context__ is None


@pytest.mark.parametrize("scheme", ["http", "rtsp", "rtmp"])
def test_nobody_listening(scheme: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(SourceError, match="connection refused") as caught:
        open_source(f"{scheme}://user:{SECRET}@127.0.0.1:{port}/x", timeout_s=5)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_silent_server_is_given_up(scheme: str) -> None:
    answer = pytest.raises(SourceError, match=r"no answer within 0\.5 s")
    with socket.create_server(("127.0.0.1", 0)) as silent, answer:
        open_source(f"{scheme}://user:{SECRET}@127.0.0.1:{silent.getsockname()[1]}/x", timeout_s=0.5)


def test_unknown_protocol() -> None:
    with pytest.raises(SourceError, match="no support for foo://"):
        open_source(f"foo://user:{SECRET}@host/x")


def test_options_carry_the_time_out_and_the_transport() -> None:
    def options(text: str, transport: str = "tcp"):
        return container_options(expand_sources(text)[0], timeout_s=2.5, rtsp_transport=transport)

    assert options("rtsp://h/x") == ("rtsp://h/x", None, {"rtsp_transport": "tcp", "timeout": "2500000"})
    assert options("rtsp://h/x", "udp")[2]["rtsp_transport"] == "udp"
    assert options("https://h/x")[2] == {"rw_timeout": "2500000"}
    assert options("srt://h:1")[2] == {"timeout": "2500000", "connect_timeout": "2500"}
    assert options("udp://h:1")[2] == {"timeout": "2500000"}
    assert options("/dev/video3")[0] == "/dev/video3"


def test_a_camera_over_http_is_live_and_keeps_the_newest(server: str) -> None:
    with open_source(f"http://{server}/camera/40", timeout_s=5) as source:
        info = source.info
        assert (info.is_live, info.time_from, info.codec) == (True, "arrival", "mjpeg")
        assert (info.frame_count, info.duration_s) == (None, None)
        first = next(source)
        time.sleep(0.4)  # a slow consumer
        second = next(source)
        third = next(source)
        counters = source.counters
    assert counters.dropped >= second.index - first.index - 1 > 5
    assert third.index == second.index + 1
    assert second.time_s - first.time_s == pytest.approx(second.arrived_s - first.arrived_s, abs=0.02)
    assert counters.repaired_times == 0


def test_policy_all_can_be_asked_for_on_a_camera(server: str) -> None:
    with open_source(f"http://{server}/camera/20", timeout_s=5, policy="all") as source:
        indexes = [next(source).index for _ in range(15)]
    assert indexes == list(range(15))


def test_a_stream_that_falls_silent_is_reported_after_its_last_frame(server: str) -> None:
    with open_source(f"http://user:{SECRET}@{server}/camera/10", timeout_s=0.5, policy="all") as source:
        frames = []
        with pytest.raises(SourceError, match=r"silence for 0\.5 s") as caught:
            drain(source, frames)
    assert 8 <= len(frames) <= 10  # the demuxer sees a part's end at the next one's start
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None


def test_closing_while_the_network_is_silent_does_not_hang(server: str) -> None:
    source = open_source(f"http://{server}/camera/5", timeout_s=0.7)
    next(source)
    started_s = time.monotonic()
    source.close()
    assert time.monotonic() - started_s < 10
    gc.collect()
    assert reader_threads() == []


def test_a_live_transport_stream_keeps_its_own_clock_over_a_restart(tmp_path) -> None:
    data = write_video(tmp_path / "a.ts", count=60).read_bytes()

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            for _ in range(2):
                connection.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        sender = threading.Thread(target=serve, args=(listening,))
        sender.start()
        with open_source(f"tcp://127.0.0.1:{listening.getsockname()[1]}", timeout_s=5, policy="all") as source:
            assert (source.info.is_live, source.info.time_from) == (True, "stamps")
            times_s = [frame.time_s for frame in source]
        sender.join(5)
    assert times_s == pytest.approx([k / 25 for k in range(120)], abs=0.001)
    assert source.counters.repaired_times == 1
