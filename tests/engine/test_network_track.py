"""``masktrail track`` on cameras: it outlives them, ends when it is told to, keeps its files, and tells no password."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from tests.engine.rtsp import RtspServer, need_rtsp, pattern
from tests.segment.models import end2end_model
from tests.sources.cameras import MjpegCamera, wait_until
from tracker.sources.convert import FrameConverter

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")

CANARY = "c4n4ry-9"
ADDRESS = "viewer:${GATE_PASSWORD}"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return end2end_model(tmp_path_factory.mktemp("model") / "constant.onnx")


class Track:
    """A running ``masktrail track`` with what it prints."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        self.folder = folder
        self.log = folder / "printed.txt"
        root = str(Path(__file__).parents[2])
        self._file = self.log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "tracker", "track", *map(str, arguments)],
            stdout=self._file,
            stderr=self._file,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "GATE_PASSWORD": CANARY, "COLUMNS": "300"},
        )

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Until it is so; a program that ended in the meantime says why."""
        assert wait_until(lambda: condition() or self.process.poll() is not None)
        assert condition(), self.log.read_text()

    def said(self, text: str) -> int:
        return " ".join(self.log.read_text().split()).count(text)

    def __enter__(self) -> Track:  # noqa: PYI034 - nobody derives from it
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)
        self._file.close()


def told(folder: Path) -> bytes:
    """Everything that lies in a folder, names included."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"".join(path.name.encode() + path.read_bytes() for path in files)


def unfinished(folder: Path) -> int:
    """Bytes of files that are still being written."""
    return sum(path.stat().st_size for path in folder.glob(".*.part"))


def check_outputs(folder: Path, sizes: set[tuple[int, int]]) -> dict:
    """The files of an interrupted run are whole; their summary."""
    rows = [json.loads(line) for line in (folder / "t.jsonl").read_text().splitlines()]
    times_s = [row["time_s"] for row in rows]
    assert times_s == sorted(times_s)
    assert {tuple(row["mask"]["size"]) for row in rows} == sizes
    with av.open(str(folder / "o.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) > 0
    assert not list(folder.glob(".*"))
    return json.loads((folder / "s.json").read_text())[0]


def outputs(folder: Path) -> list[object]:
    return ["--save", folder / "o.mp4", "--records", folder / "t.jsonl", "--json", folder / "s.json"]


@pytest.mark.slow
def test_a_camera_dies_returns_with_another_size_and_dies_again(tmp_path, model) -> None:
    """And everything that was written, printed or shown by ``ps`` holds no password, though the camera got it."""
    with MjpegCamera(size=(160, 96), rate=25) as camera:
        source = f"{camera.url(ADDRESS)}?token=${{GATE_PASSWORD}}"
        with Track(tmp_path, source, "--model", model, *outputs(tmp_path)) as run:
            run.wait_for(lambda: camera.sent > 25)
            camera.kill()
            run.wait_for(lambda: run.said("connection lost") == 1)
            camera.size = (320, 192)
            camera.start()
            run.wait_for(lambda: run.said("connected again") == 1)
            sent = camera.sent
            run.wait_for(lambda: camera.sent > sent + 20)
            shown = Path(f"/proc/{run.process.pid}/cmdline").read_bytes() if Path("/proc/self").exists() else b""
            threads = Path(f"/proc/{run.process.pid}/task").glob("*/comm")
            shown += b"".join(path.read_bytes() for path in threads)
            camera.kill()
            run.wait_for(lambda: run.said("connection lost") == 2)
            run.process.send_signal(signal.SIGINT)  # while nothing comes, and nothing will
            assert run.process.wait(60) == 130, run.log.read_text()
        assert f"token={CANARY}" in camera.requests[0]
    summary = check_outputs(tmp_path, {(96, 160), (192, 320)})
    assert summary["interrupted"]
    assert summary["failures"] == []
    assert any("connect anew" in note for note in summary["notes"])
    assert any("those of arrival" in note for note in summary["notes"])
    assert CANARY.encode() not in told(tmp_path) + shown
    assert b"viewer:***@" in told(tmp_path)


def test_an_abort_tells_no_password(tmp_path, model) -> None:
    with MjpegCamera(size=(160, 96), rate=25) as camera, Track(tmp_path, camera.url(ADDRESS), "--model", model) as run:
        run.wait_for(lambda: camera.sent > 5)
        run.process.send_signal(signal.SIGABRT)
        # Python writes its threads' tracebacks while they run on, and may come to grief over it.
        assert run.process.wait(60) in {-signal.SIGABRT, -signal.SIGSEGV}
        assert run.said("Fatal Python error: Aborted") == 1
    assert CANARY.encode() not in told(tmp_path)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux lets a process change what is shown of it")
def test_a_password_that_was_typed_is_not_shown_by_ps(tmp_path, model) -> None:
    """It is covered up before anything else happens, and the camera gets it all the same."""
    with MjpegCamera(size=(160, 96), rate=25) as camera:
        source = f"{camera.url(f'viewer:{CANARY}')}?token={CANARY}"
        with Track(tmp_path, source, "--model", model) as run:
            run.wait_for(lambda: camera.sent > 5)
            shown = Path(f"/proc/{run.process.pid}/cmdline").read_bytes()
            if ps := shutil.which("ps"):
                shown += subprocess.run([ps, "axww"], capture_output=True, check=True).stdout
            run.process.send_signal(signal.SIGINT)
            assert run.process.wait(60) == 130, run.log.read_text()
        assert f"token={CANARY}" in camera.requests[0]
    assert b"viewer:***@127.0.0.1" in shown
    assert b"--model" in shown
    assert CANARY.encode() not in shown + told(tmp_path)


def test_interrupted_while_a_server_says_nothing(tmp_path, model) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(40)
        url = f"rtsp://{ADDRESS}@127.0.0.1:{silent.getsockname()[1]}/x"
        with Track(tmp_path, url, "--model", model, *outputs(tmp_path)) as run:
            connection, _ = silent.accept()
            with connection:
                run.process.send_signal(signal.SIGINT)
                assert run.process.wait(60) == 130, run.log.read_text()
    assert CANARY.encode() not in told(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"printed.txt"}


@pytest.fixture
def track(run, model):
    """Call ``masktrail track`` in this process: its status and what it printed."""

    def call(*arguments: object) -> tuple[int, str]:
        result = run("track", *arguments, "--model", model)
        return result.status, result.text

    return call


def test_an_exception_that_nobody_foresaw_tells_no_password(track, monkeypatch, capsys) -> None:
    def boom(*_: object) -> None:
        message = "boom"
        raise RuntimeError(message)

    monkeypatch.setenv("GATE_PASSWORD", CANARY)
    monkeypatch.setattr(FrameConverter, "convert", boom)
    with MjpegCamera() as camera, pytest.raises(RuntimeError, match="boom") as caught:
        track(camera.url(ADDRESS))
    printed = capsys.readouterr()
    assert CANARY not in "".join(traceback.format_exception(caught.value)) + printed.out + printed.err


def test_a_limit_ends_a_camera_that_goes_on(track, tmp_path) -> None:
    with MjpegCamera(size=(160, 96), rate=50) as camera:
        status, _ = track(camera.url(), "--limit", 10, *outputs(tmp_path))
    assert status == 0
    summary = check_outputs(tmp_path, {(96, 160)})
    assert summary["frames"] == 10
    assert not summary["interrupted"]


def test_a_wrong_address_is_one_sentence_without_the_password(track, monkeypatch) -> None:
    monkeypatch.setenv("GATE_PASSWORD", CANARY)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    status, text = track(f"rtsp://{ADDRESS}@127.0.0.1:{port}/x")
    assert (status, "connection refused" in text, "remedy" in text) == (2, True, True)
    assert CANARY not in text
    assert "viewer:***@" in text


def test_a_variable_that_is_not_set_is_named(track, monkeypatch) -> None:
    monkeypatch.delenv("GATE_PASSWORD", raising=False)
    status, text = track(f"rtsp://{ADDRESS}@127.0.0.1:9/x")
    assert status == 2
    assert "export GATE_PASSWORD=" in text


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--transport", "carrier-pigeon", "expected one of tcp, udp"),
        ("--decode", "abacus", "expected one of auto, cpu"),
    ],
)
def test_options_that_do_not_exist(track, option: str, value: str, said: str) -> None:
    status, text = track("rtsp://127.0.0.1:9/x", option, value)
    assert status == 2
    assert said in text


def test_a_real_rtsp_server_is_killed_and_started_again(tmp_path, model) -> None:
    need_rtsp()
    with RtspServer({"gate": pattern((160, 96))}, user=f"viewer:{CANARY}") as server:
        source = server.url("gate", ADDRESS)
        with Track(tmp_path, source, "--model", model, "--transport", "udp", *outputs(tmp_path)) as run:
            run.wait_for(lambda: unfinished(tmp_path) > 0)
            server.kill()
            run.wait_for(lambda: run.said("connection lost") == 1)
            server.start()
            run.wait_for(lambda: run.said("connected again") == 1)
            before = unfinished(tmp_path)
            run.wait_for(lambda: unfinished(tmp_path) > before)
            run.process.send_signal(signal.SIGTERM)
            assert run.process.wait(60) == 130, run.log.read_text()
    assert check_outputs(tmp_path, {(96, 160)})["frames"] > 0
    assert CANARY.encode() not in told(tmp_path)
