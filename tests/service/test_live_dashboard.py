"""``masktrail live`` with a dashboard: its page, a killed page, a drawn site, and addresses that are not free."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

from tests.segment.models import end2end_model
from tests.sources.cameras import MjpegCamera, wait_until
from tests.sources.videos import write_video

pytest.importorskip("fastapi")
pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="POSIX processes"),
    pytest.mark.timeout(180),
]

PASSWORD = "canary of the live test"


class Service:
    """A running ``masktrail live`` with its page."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        (folder / "cameras.yaml").write_text(text)
        self.log_path = folder / "log.jsonl"
        self._log = self.log_path.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tracker", "live", "cameras.yaml", "--log", "json"],
            stderr=self._log,
            stdout=self._log,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        )
        self._browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        self._csrf = "anonymous"

    def lines(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log_path.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    @property
    def address(self) -> str:
        assert wait_until(lambda: self.lines("dashboard") or self.process.poll() is not None, 60), (
            self.log_path.read_text()
        )
        return self.lines("dashboard")[-1]["open"].partition("/setup")[0]

    def ask(self, path: str, body: Any = None, *, method: str = "GET") -> Any:
        request = urllib.request.Request(self.address + path, method=method)
        request.add_header("origin", self.address)
        request.add_header("x-masktrail-csrf", self._csrf)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("content-type", "application/json")
        with self._browser.open(request, timeout=30) as answer:
            found = answer.read()
        return json.loads(found) if found and answer.headers["content-type"].startswith("application/json") else found

    def set_up(self) -> None:
        """The first account, by the one-time link, as in a browser."""
        token = re.search(r"token=(\S+)", self.lines("dashboard")[-1]["open"])[1]
        self.ask("/api/setup", {"token": token, "name": "ann", "password": PASSWORD, "see_people": True}, method="POST")
        self._csrf = self.ask("/api/session")["csrf"]

    def camera(self, name: str) -> dict[str, Any]:
        """What the page knows of a camera; no frames before the engine told of it."""
        return {"frames": 0, "silence_s": 0.0} | self.ask("/api/health")["engine"]["cameras"].get(name, {})

    def dashboard_pid(self) -> int:
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid), "-f", "dashboard_child"], capture_output=True, text=True, check=True
        )
        return int(found.stdout.split()[0])

    def close(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self._log.close()


@pytest.fixture
def launch(tmp_path):
    services: list[Service] = []
    end2end_model(tmp_path / "constant.onnx")

    def run(text: str) -> Service:
        services.append(Service(tmp_path, "model: constant.onnx\nmetrics: off\n" + text))
        return services[-1]

    yield run
    for service in services:
        service.close()


@pytest.mark.slow
def test_a_killed_page_comes_back_with_its_sessions_and_the_cameras_never_know(launch, tmp_path) -> None:
    with MjpegCamera(size=(160, 96), rate=20) as gate:
        service = launch(
            f"state: state\ndashboard: {{address: '127.0.0.1:0'}}\ncameras:\n  - {{name: gate, url: '{gate.url()}'}}\n"
        )
        address = service.address
        service.set_up()
        assert wait_until(lambda: service.camera("gate")["frames"] > 20)
        before = service.camera("gate")
        killed = service.dashboard_pid()
        os.kill(killed, signal.SIGKILL)
        asked_s = time.monotonic()
        service.camera("gate")  # the request waits at the open address for the new process
        assert time.monotonic() - asked_s < 25
        assert service.dashboard_pid() != killed
        assert service.address == address
        assert service.ask("/api/session")["user"]["name"] == "ann"
        assert wait_until(lambda: service.camera("gate")["frames"] - before["frames"] > 20)
        after = service.camera("gate")
        assert after["reconnects"] == before["reconnects"] == 0
        assert after["identities"] >= before["identities"]
        assert gate.connections == 1
        [ended] = service.lines("dashboard ended")
        assert "status -9" in ended["problem"]
        jpeg = service.ask("/api/streams/gate/picture?variant=masked&width=160")
        assert jpeg[:2] == b"\xff\xd8"
        assert service.close() == 0
        assert PASSWORD not in service.log_path.read_text()


@pytest.mark.slow
def test_a_site_that_is_drawn_counts_at_once_and_a_wrong_one_changes_nothing(launch, tmp_path) -> None:
    with MjpegCamera(size=(160, 96), rate=20) as gate, MjpegCamera(size=(160, 96), rate=20) as yard:
        service = launch(
            "state: state\ndashboard: {address: '127.0.0.1:0', login: false}\ncameras:\n"
            f"  - {{name: gate, url: '{gate.url()}'}}\n  - {{name: yard, url: '{yard.url()}'}}\n"
        )
        assert wait_until(lambda: service.camera("yard")["frames"] > 20)
        service._csrf = service.ask("/api/session")["csrf"]
        found = service.ask("/api/streams/gate/site")
        zone = {"name": "hall", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}
        drawn = {"zones": [zone], "reference_size": [160, 96]}
        saved = service.ask("/api/streams/gate/site", {"revision": found["revision"], "site": drawn}, method="PUT")
        assert saved["revision"] == 1
        assert (tmp_path / "state/dashboard/sites/gate.yaml").is_file()
        assert wait_until(lambda: service.camera("gate").get("present", {}).get("hall")), service.log_path.read_text()
        [reloaded] = service.lines("reloaded")
        assert (reloaded["started"], reloaded["stopped"], reloaded["unchanged"]) == (["gate"], [], 1)
        assert yard.connections == 1
        store = tmp_path / "state/dashboard/events.sqlite"
        assert wait_until(store.is_file)

        def entered() -> int:
            with sqlite3.connect(store) as connection:
                return connection.execute("SELECT count(*) FROM events WHERE kind = 'enter'").fetchone()[0]

        assert wait_until(lambda: entered() > 0)
        # Somebody else's editor breaks the file: the camera goes on as it is.
        frames = service.camera("gate")["frames"]
        (tmp_path / "state/dashboard/sites/gate.yaml").write_text("version: 1\nlines: [\n")
        service.process.send_signal(signal.SIGHUP)
        assert wait_until(lambda: service.lines("not reloaded"))
        assert wait_until(lambda: service.camera("gate")["frames"] > frames)
        assert service.camera("gate")["present"]["hall"]
        assert service.close() == 0


@pytest.mark.slow
def test_the_page_stays_when_recordings_are_done_until_a_signal(launch, tmp_path) -> None:
    write_video(tmp_path / "yard.mp4", count=10)
    service = launch(
        "state: state\ndashboard: {address: '127.0.0.1:0', login: false}\ncameras:\n"
        "  - {name: yard, url: yard.mp4, records: yard.jsonl}\n"
    )
    assert wait_until(lambda: service.lines("recordings done"), 60), service.log_path.read_text()
    assert (tmp_path / "yard.jsonl").stat().st_size > 0, "its results are whole"
    assert wait_until(lambda: [one["id"] for one in service.ask("/api/streams")["streams"]] == ["yard"])
    assert wait_until(lambda: service.camera("yard")["frames"] == 10)
    assert service.process.poll() is None
    assert len(service.lines("recordings done")) == 1
    assert service.close() == 0


def test_without_a_page_recordings_end_the_service(launch, tmp_path) -> None:
    write_video(tmp_path / "yard.mp4", count=10)
    service = launch("cameras: [{name: yard, url: yard.mp4, records: yard.jsonl}]\n")
    assert service.process.wait(60) == 0


def test_an_address_that_is_not_free_is_refused_at_once(launch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, MjpegCamera(size=(64, 48)) as gate:
        port = taken.getsockname()[1]
        service = launch(
            f"dashboard: {{address: '127.0.0.1:{port}'}}\ncameras: [{{name: gate, url: '{gate.url()}'}}]\n"
        )
        assert service.process.wait(60) == 2
        assert "choose another port" in service.log_path.read_text()
        assert gate.connections == 0


def test_without_the_key_nothing_listens_and_nothing_is_loaded(launch) -> None:
    with MjpegCamera(size=(64, 48)) as gate:
        service = launch(f"cameras: [{{name: gate, url: '{gate.url()}'}}]\n")
        assert wait_until(lambda: service.lines("camera connected"), 60), service.log_path.read_text()
        listening = Path(f"/proc/{service.process.pid}/net/tcp")
        if listening.exists():
            entries = list(Path(f"/proc/{service.process.pid}/fd").iterdir())
            inodes = {str(one.readlink()) for one in entries if one.is_symlink()}
            ours = [row for row in listening.read_text().splitlines()[1:] if f"socket:[{row.split()[9]}]" in inodes]
            assert [row for row in ours if row.split()[3] == "0A"] == []
        loaded = Path(f"/proc/{service.process.pid}/maps")
        assert not loaded.exists() or "argon2" not in loaded.read_text()
