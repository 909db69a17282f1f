"""``masktrail live`` as a supervisor sees it: signals, reload, exit status, valid files, and no password anywhere."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from tests.segment.models import end2end_model
from tests.sources.cameras import MjpegCamera, wait_until
from tests.sources.videos import write_video
from tracker.engine.snapshot import Snapshots
from tracker.errors import ModelError, TrackerError
from tracker.segment.session import OnnxSegmenter
from tracker.service.cameras import LiveService
from tracker.service.run import run_live
from tracker.service.systemd import at_work
from tracker.settings.service import ServiceSettings
from tracker.settings.stream import CameraSettings

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")

CANARY = "c4n4ry-7"


class Service:
    """A running ``masktrail live`` with its log."""

    def __init__(self, folder: Path, text: str, **environment: str) -> None:
        self.folder = folder
        self.config = folder / "cameras.yaml"
        self.config.write_text(text)
        self.log_path = folder / "log.jsonl"
        self._log = self.log_path.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tracker", "live", str(self.config), "--log", "json"],
            stderr=self._log,
            stdout=self._log,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1", **environment},
        )

    def log(self) -> list[dict]:
        return [json.loads(line) for line in self.log_path.read_text().splitlines() if line.startswith("{")]

    def events(self, event: str) -> list[dict]:
        return [line for line in self.log() if line["event"] == event]

    def get(self, path: str) -> str:
        assert wait_until(lambda: self.events("status") or self.process.poll() is not None), self.log_path.read_text()
        address = self.events("status")[0]["address"].removesuffix("/healthz")
        with urllib.request.urlopen(address + path, timeout=30) as answer:
            return answer.read().decode()

    def camera(self, name: str) -> dict:
        return json.loads(self.get("/healthz"))["cameras"][name]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(60)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)
        self._log.close()


@pytest.fixture
def launch(tmp_path):
    services: list[Service] = []
    end2end_model(tmp_path / "constant.onnx")
    (tmp_path / "out").mkdir()

    def run(text: str, **environment: str) -> Service:
        services.append(Service(tmp_path, text, **environment))
        return services[-1]

    yield run
    for service in services:
        service.close()


HEAD = "model: constant.onnx\nmetrics: 127.0.0.1:0\ncameras:\n"


@pytest.mark.slow
def test_recordings_end_by_themselves_with_status_0(launch, tmp_path) -> None:
    write_video(tmp_path / "a.mp4", count=20, size=(160, 96))
    write_video(tmp_path / "b.mp4", count=30, size=(320, 192))
    service = launch(
        HEAD + '  - {name: a, url: a.mp4, records: ["out/{name}.jsonl", "out/{name}.txt"]}\n'
        "  - {name: b, url: b.mp4, classes: car, save: out/b.mp4, records: out/b.jsonl}\n"
    )
    assert service.wait() == 0
    rows = [json.loads(line) for line in (tmp_path / "out/a.jsonl").read_text().splitlines()]
    assert {row["frame"] for row in rows} >= set(range(3, 20))
    assert {row["class"] for row in rows} == {"person", "car"}
    assert {json.loads(line)["class"] for line in (tmp_path / "out/b.jsonl").read_text().splitlines()} == {"car"}
    import av

    with av.open(str(tmp_path / "out/b.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 30


def test_a_day_in_the_life(launch, tmp_path) -> None:
    """A camera dies and returns, another was never there, settings change, all is stopped: nothing tells a secret."""
    with MjpegCamera(size=(160, 96), rate=20) as gate, MjpegCamera(size=(160, 96), rate=20) as lobby:
        text = HEAD + (
            f"  - {{name: gate, url: '{gate.url('viewer:${PASSWORD}')}?token=${{PASSWORD}}', stall_s: 2,"
            " records: 'out/{name}-{time}.jsonl', save: 'out/{name}-{time}.mp4', rotate_s: 1}\n"
            f"  - {{name: lobby, url: '{lobby.url()}'}}\n"
            "  - {name: dead, url: 'rtsp://viewer:${PASSWORD}@127.0.0.1:9/x', timeout_s: 1}\n"
        )
        service = launch(text, PASSWORD=CANARY)
        assert wait_until(lambda: service.events("status")), service.log_path.read_text()
        assert wait_until(lambda: service.camera("gate")["frames"] > 20)
        assert wait_until(lambda: service.camera("dead")["state"] == "lost")
        seen = [service.get("/healthz"), service.get("/metrics")]
        assert CANARY in gate.requests[0]  # it did reach the camera

        gate.kill()
        assert wait_until(lambda: service.camera("gate")["state"] == "lost")
        lobby_frames = service.camera("lobby")["frames"]
        seen.append(service.get("/healthz"))
        gate.start()
        back_s = time.monotonic()
        assert wait_until(lambda: service.camera("gate")["state"] == "live")
        assert time.monotonic() - back_s < 30
        assert service.camera("lobby")["frames"] > lobby_frames

        identities = service.camera("lobby")["identities"]
        service.config.write_text(
            text.replace("  - {name: dead", "  - {name: other").replace("cameras:", "colour: x\ncameras:")
        )
        service.signal(signal.SIGHUP)
        assert wait_until(lambda: service.events("not reloaded"))
        assert service.camera("dead")["state"] == "lost"
        service.config.write_text(text.replace("  - {name: dead", "  - {name: other"))
        service.signal(signal.SIGHUP)
        assert wait_until(lambda: service.events("reloaded"))
        assert service.events("reloaded")[0]["unchanged"] == 2
        assert "other" in json.loads(service.get("/healthz"))["cameras"]
        assert service.camera("lobby")["identities"] == identities == 2

        seen.append(Path(f"/proc/{service.process.pid}/cmdline").read_text() if Path("/proc/self").exists() else "")
        seen += [service.get("/metrics"), service.get("/healthz")]
        service.signal(signal.SIGTERM)
        assert service.wait() == 0
    records = sorted((tmp_path / "out").glob("gate-*.jsonl"))
    videos = sorted((tmp_path / "out").glob("gate-*.mp4"))
    assert len(records) >= 2
    assert len(videos) >= 2
    rows = [json.loads(line) for part in records for line in part.read_text().splitlines()]
    times_s = [row["time_s"] for row in rows]
    assert times_s == sorted(times_s)
    assert {row["time_from"] for row in rows} == {"arrival"}  # motion JPEG has no clock
    import av

    for path in videos:
        with av.open(str(path)) as video:
            assert sum(1 for _ in video.decode(video=0)) > 0
    assert not list((tmp_path / "out").glob(".*"))
    assert [line["camera"] for line in service.events("camera lost")].count("dead") <= 3
    for text in [*seen, service.log_path.read_text(), *(path.read_text() for path in records)]:
        assert CANARY not in text
    for path in videos:
        assert CANARY.encode() not in path.read_bytes()


@pytest.mark.slow
def test_a_crash_tells_no_password(launch, tmp_path) -> None:
    """An abort with every thread's stack on stderr, while one camera delivers and one is asked for in vain."""
    with MjpegCamera(size=(160, 96), rate=20) as gate:
        text = HEAD.replace("cameras:", "state: st\ncameras:") + (
            f"  - {{name: gate, url: '{gate.url('viewer:${PASSWORD}')}?token=${{PASSWORD}}',"
            " records: 'out/{name}-{time}.jsonl'}\n"
            "  - {name: dead, url: 'rtsp://viewer:${PASSWORD}@127.0.0.1:9/x', timeout_s: 1}\n"
        )
        service = launch(text, PASSWORD=CANARY, PYTHONFAULTHANDLER="1")
        assert wait_until(lambda: service.events("status")), service.log_path.read_text()
        assert wait_until(lambda: service.camera("gate")["frames"] > 5)
        assert wait_until(lambda: service.camera("dead")["state"] == "lost")
        if ps := shutil.which("ps"):
            assert CANARY.encode() not in subprocess.run([ps, "axww"], capture_output=True, check=True).stdout
        service.signal(signal.SIGABRT)
        assert service.wait() == -signal.SIGABRT
        assert CANARY in gate.requests[0]
    assert "Fatal Python error: Aborted" in service.log_path.read_text()
    for path in tmp_path.rglob("*"):
        assert CANARY.encode() not in path.name.encode() + (path.read_bytes() if path.is_file() else b""), path


@pytest.mark.slow
def test_a_stream_that_cannot_be_opened_is_status_1_and_the_rest_is_done(launch, tmp_path) -> None:
    write_video(tmp_path / "a.mp4", count=10, size=(160, 96))
    (tmp_path / "broken.mp4").write_bytes(b"no video at all" * 100)
    service = launch(HEAD + "  - {name: a, url: a.mp4, records: out/a.jsonl}\n  - {name: b, url: broken.mp4}\n")
    assert service.wait() == 1
    assert (tmp_path / "out/a.jsonl").read_text().count("\n") >= 14
    assert service.events("stream failed")[0]["camera"] == "b"


@pytest.mark.parametrize(
    ("camera", "said"),
    [
        ("  - {name: a, url: none.mp4}\n", "no such file"),
        ("  - {name: a, url: a.mp4, classes: lorry}\n", "found 'lorry'"),
        ("  - {name: a, url: a.mp4, records: nowhere/a.jsonl}\n", "mkdir -p nowhere"),
        ("  - {name: a, url: a.mp4, records: out/a.xyz}\n", "suffixes"),
        (
            "  - {name: a, url: a.mp4, speed: 3}\n",
            "cameras.yaml:4: expected a known key, found the unknown key 'speed'",
        ),
    ],
)
def test_what_cannot_work_is_refused(tmp_path, monkeypatch, camera: str, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    end2end_model(tmp_path / "constant.onnx")
    (tmp_path / "out").mkdir()
    write_video(tmp_path / "a.mp4", count=3, size=(160, 96))
    (tmp_path / "cameras.yaml").write_text(HEAD + camera)
    with pytest.raises(TrackerError, match=re.escape(said)):
        run_live(Path("cameras.yaml"))


def test_a_refusal_is_status_2(launch, tmp_path) -> None:
    service = launch(HEAD + "  - {name: a, url: none.mp4}\n")
    assert service.wait() == 2
    assert "no such file" in service.log_path.read_text()
    assert "Traceback" not in service.log_path.read_text()


def test_a_model_that_fails_while_running_is_status_3(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    end2end_model(tmp_path / "constant.onnx")
    write_video(tmp_path / "a.mp4", count=30, size=(160, 96))
    (tmp_path / "cameras.yaml").write_text(HEAD + "  - {name: a, url: a.mp4, records: a.jsonl}\n")
    segment, calls = OnnxSegmenter.segment, itertools.count()

    def fail(self: OnnxSegmenter, frames):
        if next(calls) >= 10:
            raise ModelError("constant.onnx", "the card fell off the bus", "see the kernel's log")
        return segment(self, frames)

    monkeypatch.setattr(OnnxSegmenter, "segment", fail)
    assert run_live(Path("cameras.yaml"), log="json") == 3
    frames = {json.loads(line)["frame"] for line in (tmp_path / "a.jsonl").read_text().splitlines()}
    assert frames
    assert max(frames) < 12


@pytest.mark.slow
def test_interrupting_a_recording_keeps_what_is_done(launch, tmp_path) -> None:
    write_video(tmp_path / "a.mp4", count=6000, size=(32, 32))
    service = launch(HEAD + "  - {name: a, url: a.mp4, records: out/a.jsonl}\n")
    assert wait_until(lambda: service.events("status"))
    assert wait_until(lambda: service.camera("a")["frames"] > 50)
    for _ in range(50):  # a key that is held is one wish, while the outputs are completed and after that
        service.signal(signal.SIGINT)
        time.sleep(0.02)
    assert service.wait() == 0
    lines = (tmp_path / "out/a.jsonl").read_text().splitlines()
    frames = sorted({json.loads(line)["frame"] for line in lines})
    assert frames == list(range(frames[0], frames[-1] + 1))


def test_numbers_go_on_after_a_restart_and_after_a_crash(tmp_path, monkeypatch, caplog) -> None:
    caplog.set_level("INFO", logger="tracker.live")
    model = end2end_model(tmp_path / "constant.onnx")
    seen: list[tuple[int, int]] = []
    now_s, later_s = time.time, 0.0
    monkeypatch.setattr("tracker.engine.snapshot.time.time", lambda: now_s() + later_s)
    with MjpegCamera(size=(160, 96), rate=25) as gate:
        camera = CameraSettings(name="gate", url=gate.url(), model=str(model))
        config = ServiceSettings(cameras=(camera,), device="cpu", state=str(tmp_path / "kept"))
        for crashes in (False, True, False):
            service = LiveService(config)
            [stream] = service.engine.streams
            assert wait_until(lambda stream=stream: stream.meter.figures().frames > 10)
            kept = stream.snapshot()
            assert kept is not None
            seen.append((stream.figures().identities, kept["stages"]["associate"]["tracker"]["next_id"]))
            service.save_states()
            if crashes:
                service.engine.close()
            else:
                assert service.close() == 0
            later_s += 600.0
    assert [record.camera for record in caplog.records if record.message == "state restored"] == ["gate", "gate"]
    # After ten minutes these count as others, no number is given again, and after a crash some are left out, which are
    # not counted.
    assert seen == [(2, 3), (4, 5), (6, 1007)]


def test_a_state_that_the_tracker_does_not_understand_is_left(tmp_path, caplog) -> None:
    model = end2end_model(tmp_path / "constant.onnx")
    with MjpegCamera(size=(160, 96), rate=25) as gate:
        camera = CameraSettings(name="gate", url=gate.url(), model=str(model))
        config = ServiceSettings(cameras=(camera,), device="cpu", state=str(tmp_path))
        foreign = {"tracker": {"next_id": 40, "tracks": {"rows": np.zeros((3, 7))}}, "size": np.array([160, 96])}
        Snapshots(tmp_path).save("gate", foreign, facts={"final": True, "class_names": ["person", "car"]})
        service = LiveService(config)
        [stream] = service.engine.streams
        assert wait_until(lambda: stream.meter.figures().identities == 2)
        assert service.close() == 0
        [note] = [record for record in caplog.records if record.message == "state not used"]
        assert "expected a state of this tracker" in note.problem
        kept = Snapshots(tmp_path).load("gate")
        assert kept is not None
        Snapshots(tmp_path).save("gate", kept.state, facts={"final": True, "class_names": ["lorry", "car"]})
        service = LiveService(config)
        [stream] = service.engine.streams
        assert wait_until(lambda: stream.meter.figures().identities == 4)
        assert service.close() == 0
    assert "state of other classes" in [record.message for record in caplog.records]


@pytest.mark.parametrize("given", ["notify.sock", "@masktrail-test"])
def test_the_watchdog_is_kept_quiet_while_a_model_is_opened(monkeypatch, given: str) -> None:
    monkeypatch.setattr("tracker.service.systemd.WATCHDOG_S", 0.01)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel, tempfile.TemporaryDirectory() as folder:
        address = f"@masktrail-{os.getpid()}" if given.startswith("@") else f"{folder}/{given}"
        channel.bind(address.replace("@", "\0") if given.startswith("@") else address)
        channel.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        with at_work():
            assert channel.recv(100) == b"WATCHDOG=1"
            assert channel.recv(100) == b"WATCHDOG=1"


def test_systemd_is_told(launch, tmp_path) -> None:
    write_video(tmp_path / "a.mp4", count=200, size=(32, 32))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel, tempfile.TemporaryDirectory() as folder:
        channel.bind(f"{folder}/notify")
        channel.settimeout(5)
        service = launch(HEAD + "  - {name: a, url: a.mp4}\n", NOTIFY_SOCKET=f"{folder}/notify")
        assert service.wait() == 0
        told = []
        while not told or told[-1] != b"STOPPING=1":
            told.append(channel.recv(100))
    assert told[0] == b"READY=1"
    assert set(told[1:-1]) <= {b"WATCHDOG=1"}
