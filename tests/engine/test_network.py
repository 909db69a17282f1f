"""Bad networks and lying streams on the loopback: frost, delay, corruption, cut lines, clocks, sudden changes."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import av
import pytest

from tests.engine.fakes import CountingTracker, SlowSegmenter
from tests.engine.proxy import TcpProxy
from tests.sources.cameras import HlsCamera, MjpegCamera, TsCamera, wait_until
from tests.sources.videos import drain, textured, write_video
from tracker.engine.opener import open_stream
from tracker.engine.plan import plan_camera
from tracker.engine.scheduler import Engine
from tracker.errors import ConfigError, SourceError
from tracker.settings.stream import CameraSettings
from tracker.sources import decoder
from tracker.sources.notes import notes
from tracker.sources.reconnect import Link, open_live


class Reader:
    """Takes every frame of a camera in a thread of its own."""

    def __init__(self, url: str, **options) -> None:
        self.frames = []
        self.links: list[Link] = []
        arguments = {"policy": "all", "queue_size": 8, "want_image": False, "retry_s": (0.1, 0.4)} | options
        probe = {"analyzeduration": "100000"}  # FFmpeg would look at a second of the stream
        self.live = open_live(url, on_link=self.links.append, ffmpeg_options=probe, **arguments)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for frame in self.live:
            self.frames.append(frame)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.live.close()
        self._thread.join(10)

    def after(self, moment_s: float, count: int = 5) -> None:
        """Wait for frames that arrive after a moment; they do come."""

        def new() -> int:
            return sum(frame.arrived_s > moment_s for frame in list(self.frames))

        assert wait_until(lambda: new() >= count), self.links

    @property
    def gapless(self) -> bool:
        return [frame.index for frame in self.frames] == list(range(len(self.frames)))

    @property
    def steps_s(self) -> list[float]:
        times_s = [frame.time_s for frame in self.frames]
        return [later - earlier for earlier, later in itertools.pairwise(times_s)]


def reach(port: int) -> str:
    return f"http://127.0.0.1:{port}/video"


def test_a_frozen_line_is_left_and_another_camera_loses_no_frame() -> None:
    with MjpegCamera() as frail, MjpegCamera() as sound, TcpProxy(frail.port) as proxy:
        with Reader(reach(proxy.port), stall_s=0.5, timeout_s=1.0) as one, Reader(sound.url()) as other:
            assert wait_until(lambda: len(one.frames) > 5 and len(other.frames) > 5)
            proxy.frozen.set()
            assert wait_until(lambda: one.links[-1].stalled)
            proxy.frozen.clear()
            one.after(time.monotonic())
            assert other.gapless
            assert other.live.counters.dropped == other.live.counters.reconnects == 0
            assert one.live.counters.stalls >= 1
        assert one.gapless
        assert min(one.steps_s) > 0


def test_a_server_that_thaws_is_met_however_long_the_next_attempt_is_away() -> None:
    """Its kernel let everybody in while it was frozen: only an answer tells that it is back."""
    options = {"stall_s": 0.4, "timeout_s": 0.4, "retry_s": (60.0, 60.0)}
    with MjpegCamera() as camera, TcpProxy(camera.port) as proxy, Reader(reach(proxy.port), **options) as reader:
        assert wait_until(lambda: len(reader.frames) > 5)
        proxy.frozen.set()
        assert wait_until(lambda: reader.links[-1].state == "lost")
        time.sleep(2.5)  # a knock without an answer
        asked = len(camera.requests)
        proxy.frozen.clear()
        thawed_s = time.monotonic()
        reader.after(thawed_s)
        assert time.monotonic() - thawed_s < 30
        assert len(camera.requests) > asked


def test_a_server_that_answers_and_has_no_stream_is_asked_again_in_due_time_only() -> None:
    with MjpegCamera() as camera:
        camera.frozen.set()
        with Reader(camera.url(), stall_s=0.2, timeout_s=0.2, retry_s=(1.5, 60.0)) as reader:
            assert wait_until(lambda: len(reader.links) == 3)
        delays_s = [link.retry_s for link in reader.links]
        assert delays_s[1] > 1.8
        assert len(camera.requests) == 3


def test_lines_that_are_cut_again_and_again() -> None:
    with MjpegCamera() as camera, TcpProxy(camera.port) as proxy, Reader(reach(proxy.port)) as reader:
        for _ in range(3):
            reader.after(time.monotonic())
            proxy.kill()
            assert wait_until(lambda: reader.links[-1].state == "lost")
            proxy.start()
            reader.after(time.monotonic())
        assert reader.live.counters.reconnects >= 3
        assert reader.gapless
        assert min(reader.steps_s) > 0


def test_corruption_is_counted_or_reconnected_and_passes() -> None:
    with MjpegCamera(size=(160, 96), image=textured) as camera, TcpProxy(camera.port) as proxy:
        with Reader(reach(proxy.port)) as reader:
            assert wait_until(lambda: len(reader.frames) > 5)
            proxy.corrupt = 0.3

            def noticed() -> int:
                counters = reader.live.counters
                return counters.broken + counters.concealed + counters.reconnects

            assert wait_until(noticed)
            assert wait_until(lambda: proxy.corrupted > 5)
            proxy.corrupt = 0.0
            reader.after(time.monotonic())
            assert notes(reader.live.info, reader.live.counters)
        assert min(reader.steps_s) > 0


def test_jitter_of_the_network_does_not_reach_the_times(tmp_path) -> None:
    path = clip(tmp_path, "a", first_ms=0, step_ms=40)
    with TsCamera([path], hold=True) as camera, TcpProxy(int(camera.url.rpartition(":")[2])) as proxy:
        proxy.delay_s = 0.15
        with Reader(f"tcp://127.0.0.1:{proxy.port}", timeout_s=5) as reader:
            assert wait_until(lambda: len(reader.frames) >= 20)
            arrived_s = [frame.arrived_s for frame in reader.frames]
    assert reader.steps_s[:19] == pytest.approx([0.04] * 19, abs=0.002)
    assert max(later - earlier for earlier, later in itertools.pairwise(arrived_s)) > 0.06


# ---- clocks that lie ------------------------------------------------------------------------------------------------


def clip(folder, name: str, *, first_ms: int, step_ms: int, count: int = 25, **options):
    stamps = [first_ms + step_ms * index for index in range(count)]
    options = {"options": {"tune": "zerolatency"}} | options  # no picture waits for later ones
    return write_video(folder / f"{name}.ts", count=count, stamps=stamps, **options)


@pytest.mark.parametrize("lie", ["jumps ahead", "wrong rate"])
def test_arrival_takes_over_from_a_clock_that_runs_off_and_the_record_says_so(tmp_path, lie: str) -> None:
    if lie == "jumps ahead":
        parts = [
            clip(tmp_path, "a", first_ms=0, step_ms=40),
            clip(tmp_path, "b", first_ms=3_600_000, step_ms=40),
        ]
    else:  # a camera of 25 frames a second that says it had one frame a second
        parts = [clip(tmp_path, "a", first_ms=0, step_ms=1000)]
    with TsCamera(parts, part_s=1.0 / len(parts), hold=True) as camera, Reader(camera.url, timeout_s=5) as reader:
        assert wait_until(lambda: len(reader.frames) >= 20 * len(parts))
        first, last = reader.frames[0], reader.frames[-1]
        info, counters = reader.live.info, reader.live.counters
        assert wait_until(lambda: any(link.note for link in reader.links))
    assert counters.clock_takeovers == 1
    assert info.time_from == "arrival"
    told = [frame.time_from for frame in reader.frames]
    assert told == ["stamps"] * told.count("stamps") + ["arrival"] * told.count("arrival")
    assert (told[0], told[-1]) == ("stamps", "arrival")
    assert any("those of arrival" in note for note in notes(info, counters))
    assert "arrival" in next(link.note for link in reader.links if link.note)
    # At most what was trusted before the lie was found out
    assert abs((last.time_s - first.time_s) - (last.arrived_s - first.arrived_s)) < 6
    assert min(reader.steps_s) > 0


def test_a_clock_that_goes_back_is_repaired_and_counted(tmp_path) -> None:
    """FFmpeg takes the step back for a counter that ran over, and so for a leap of a day ahead."""
    parts = [clip(tmp_path, "a", first_ms=900_000, step_ms=40), clip(tmp_path, "b", first_ms=0, step_ms=40)]
    with TsCamera(parts, part_s=0.5, hold=True) as camera, Reader(camera.url, timeout_s=5) as reader:
        assert wait_until(lambda: len(reader.frames) >= 40)
        counters = reader.live.counters
        assert counters.repaired_times + counters.clock_takeovers >= 1
    assert min(reader.steps_s) > 0
    assert max(reader.steps_s) < 5


def test_a_stream_without_stamps_is_timed_by_arrival(tmp_path) -> None:
    path = write_video(tmp_path / "a.h264", count=50, options={"tune": "zerolatency"})
    with TsCamera([path], pieces=50, hold=True) as camera, Reader(camera.url, timeout_s=5) as reader:
        assert wait_until(lambda: len(reader.frames) >= 30)
        assert reader.live.info.time_from == "arrival"
        assert any("no clock of its own" in note for note in notes(reader.live.info, reader.live.counters))
    first, last = reader.frames[0], reader.frames[-1]
    assert last.time_s - first.time_s == pytest.approx(last.arrived_s - first.arrived_s, abs=0.1)


# ---- changes in mid-stream ------------------------------------------------------------------------------------------


def test_the_resolution_changes_within_a_connection(tmp_path) -> None:
    parts = [
        clip(tmp_path, "a", first_ms=0, step_ms=40),
        clip(tmp_path, "b", first_ms=1000, step_ms=40, size=(96, 64)),
    ]
    options = {"timeout_s": 5, "network_size": (32, 32)}
    with TsCamera(parts, part_s=0.5, hold=True) as camera, Reader(camera.url, **options) as reader:
        assert wait_until(lambda: len(reader.frames) >= 40)
        assert reader.live.counters.reconnects == 0
    sizes = [frame.size for frame in reader.frames]
    assert set(sizes) == {(64, 48), (96, 64)}
    assert sizes == sorted(sizes)
    assert {frame.network_image.shape for frame in reader.frames} == {(32, 32, 3)}


def test_the_codec_changes_within_a_connection_and_is_met_by_connecting_anew(tmp_path) -> None:
    first = clip(tmp_path, "a", first_ms=0, step_ms=40)
    second = write_video(tmp_path / "b.ts", codec="mpeg2video", count=50)
    with TsCamera([first, second], part_s=0.5, hold=True) as camera:
        with Reader(camera.url, timeout_s=2, stall_s=0.5) as reader:
            assert wait_until(lambda: len(reader.frames) > 15)
            camera.parts = [second]  # what whoever connects from now on is sent
            assert wait_until(lambda: reader.live.info.codec == "mpeg2video")
            reader.after(time.monotonic(), count=1)
        assert reader.gapless
        assert min(reader.steps_s) > 0


# ---- HLS, recordings over HTTP, SRT ---------------------------------------------------------------------------------


def test_a_live_playlist_rolls_on_and_survives_its_server(tmp_path) -> None:
    with HlsCamera(tmp_path) as camera, Reader(camera.url(), timeout_s=2) as reader:
        assert wait_until(lambda: len(reader.frames) >= 40)
        assert (reader.live.info.is_live, reader.live.info.time_from) == (True, "stamps")
        assert reader.gapless
        assert reader.steps_s[:39] == pytest.approx([0.04] * 39, abs=0.002)
        camera.kill()
        time.sleep(0.7)  # longer than a segment: what was fetched has come
        camera.start()
        reader.after(time.monotonic(), count=15)
        assert min(reader.steps_s) > 0


def test_a_finished_playlist_is_a_recording(tmp_path) -> None:
    with HlsCamera(tmp_path, count=4) as camera, open_live(camera.url("all"), policy="auto", timeout_s=5) as source:
        source.wait()
        assert not source.info.is_live
        frames = list(source)
    assert [frame.time_s for frame in frames] == pytest.approx([index / 25 for index in range(48)], abs=0.001)


def serve_once(data: bytes, length: int, listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.recv(4096)
        head = f"HTTP/1.0 200 OK\r\nContent-Type: video/x-matroska\r\nContent-Length: {length}\r\n\r\n"
        connection.sendall(head.encode() + data)


@pytest.mark.parametrize("part", [1.0, 0.5])
def test_a_recording_over_http_keeps_its_own_times_and_says_when_it_was_cut_off(tmp_path, part: float) -> None:
    """A frame per second, read as fast as it comes: arrival says nothing about it."""
    data = write_video(tmp_path / "a.mkv", count=40, rate=1, size=(160, 96), draw=textured).read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        sent = data[: int(part * len(data))]
        threading.Thread(target=serve_once, args=(sent, len(data), listening), daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/a.mkv"
        frames = []
        with open_live(url, policy="auto", timeout_s=1, patient=False) as source:
            source.wait()
            assert not source.info.is_live
            with contextlib.nullcontext() if part == 1 else pytest.raises(SourceError, match=r"broken off|silence"):
                drain(source, frames)
            counters = source.counters
    assert [frame.time_s for frame in frames] == pytest.approx(list(range(len(frames))), abs=0.01)
    assert (counters.clock_takeovers, counters.reconnects, counters.dropped) == (0, 0, 0)
    assert len(frames) == 40 if part == 1 else 10 < len(frames) < 40


def srt_is_there() -> bool:
    try:
        av.open("srt://127.0.0.1:9?mode=listener&listen_timeout=1000", timeout=0.2).close()
    except av.error.ProtocolNotFoundError:
        return False
    except (av.error.FFmpegError, OSError):
        return True
    return True


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def sending(path: Path, address: str) -> Iterator[None]:
    """A clip goes to an address at 25 frames a second, for as long as the block runs."""
    over = threading.Event()

    def send() -> None:
        with av.open(address, "w", format="mpegts") as out, av.open(str(path)) as clip:
            stream = out.add_stream_from_template(clip.streams.video[0])
            for packet in clip.demux(video=0):
                if packet.dts is None or over.wait(0.04):
                    return
                packet.stream = stream
                out.mux(packet)

    threading.Thread(target=send, daemon=True).start()
    yield
    over.set()


def test_srt_on_the_loopback(tmp_path) -> None:
    if not srt_is_there():
        pytest.skip("this PyAV's FFmpeg was built without libsrt")
    port = free_udp_port()
    path = write_video(tmp_path / "a.ts", count=250)
    sender = sending(path, f"srt://127.0.0.1:{port}?mode=listener")
    with sender, Reader(f"srt://127.0.0.1:{port}", timeout_s=2) as reader:
        assert wait_until(lambda: len(reader.frames) >= 10)


@pytest.mark.skipif(shutil.which("srt-live-transmit") is None, reason="no srt-live-transmit (apt install srt-tools)")
def test_srt_by_way_of_the_relay_that_the_error_names(tmp_path) -> None:
    """A camera that speaks SRT, played by one relay, and the user's relay that turns it into UDP."""
    encoder, camera, here = free_udp_port(), free_udp_port(), free_udp_port()
    path = write_video(tmp_path / "a.ts", count=500)
    lines = (
        (f"udp://127.0.0.1:{encoder}", f"srt://127.0.0.1:{camera}?mode=listener"),
        (f"srt://127.0.0.1:{camera}", f"udp://127.0.0.1:{here}"),
    )
    relays = [subprocess.Popen(["srt-live-transmit", "-q", *line]) for line in lines]
    try:
        sender = sending(path, f"udp://127.0.0.1:{encoder}?pkt_size=1316")
        with sender, Reader(f"udp://127.0.0.1:{here}", timeout_s=5) as reader:
            assert wait_until(lambda: len(reader.frames) >= 20)
            assert (reader.live.info.is_live, reader.live.info.time_from) == (True, "stamps")
    finally:
        for relay in relays:
            relay.kill()
            relay.wait(10)


def test_srt_without_libsrt_is_an_error_that_says_so() -> None:
    if srt_is_there():
        pytest.skip("this PyAV's FFmpeg has libsrt")
    source = open_live("srt://127.0.0.1:9?passphrase=canary", patient=False)
    with pytest.raises(SourceError, match="no support for srt://") as caught:
        source.wait()
    assert "libsrt" in caught.value.remedy
    assert "canary" not in str(caught.value)
    source.close()


# ---- nothing hangs --------------------------------------------------------------------------------------------------


def test_pyav_that_hangs_hangs_nobody(monkeypatch) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(decoder.av, "open", lambda *_, **__: let_go.wait(60))
    source = open_live("rtsp://127.0.0.1:9/x", timeout_s=0.1, stall_s=0.2, patient=False)
    with pytest.raises(SourceError, match=r"found none for 0\.2 s"):
        source.wait()
    source.close()
    patient = open_live("rtsp://127.0.0.1:9/x", timeout_s=60, stall_s=60)
    waiting = threading.Thread(target=patient.wait, daemon=True)
    waiting.start()
    patient.close()
    waiting.join(10)
    assert not waiting.is_alive()
    let_go.set()


def test_a_stream_that_was_never_there_is_an_error_for_the_impatient() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with open_live(f"http://u:canary@127.0.0.1:{port}/x", patient=False) as source:
        with pytest.raises(SourceError, match="connection refused") as caught:
            source.wait()
        assert "canary" not in str(caught.value)
        assert list(source) == []


@pytest.mark.parametrize("password", ["c4n4ry[", "[c4n4ry]", "c4n4ry]x"])
def test_passwords_that_python_takes_for_numbers_of_a_host(password: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with open_live(f"rtsp://u:{password}@127.0.0.1:{port}/x", patient=False, timeout_s=2) as source:
        with pytest.raises(SourceError, match="connection refused") as caught:
            source.wait()
        assert "c4n4ry" not in str(caught.value)


@pytest.mark.parametrize("password", ["c4n4ry/x", "c4n4ry#x", "c4n4ry?x"])
def test_a_password_that_needs_writing_otherwise_is_told_so(password: str) -> None:
    with open_live(f"rtsp://u:{password}@127.0.0.1:9/x", patient=False, timeout_s=2) as source:
        with pytest.raises(SourceError, match="expected a video stream") as caught:
            source.wait()
        assert "%2F" in caught.value.remedy
        assert "c4n4ry" not in str(caught.value)


def test_an_unknown_transport_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected tcp or udp"):
        open_live("rtsp://127.0.0.1:9/x", rtsp_transport="multicast")


def test_every_frame_of_a_recording_on_the_network_is_tracked(tmp_path) -> None:
    """``policy: auto`` of ``masktrail live``: the newest frame of a camera, every frame of what has an end."""
    engine = Engine(segmenter=SlowSegmenter(0.01), workers=1)
    tracker = CountingTracker()
    with HlsCamera(tmp_path, count=4) as camera:
        config = CameraSettings(name="tape", url=camera.url("all"))
        stream = open_stream(plan_camera(config), segmenter=SlowSegmenter(), tracker=lambda: tracker)
        engine.add(stream)
        assert engine.wait(60)
        engine.close()
    assert stream.state == "ended"
    assert tracker.times_s == pytest.approx([index / 25 for index in range(48)], abs=0.001)
