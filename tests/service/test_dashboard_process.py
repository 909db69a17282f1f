"""The page's process beside an engine of another version: one line that says what to do, and no flood of starts."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest

from tests.sources.cameras import wait_until
from tracker.dashboard.wire import packed
from tracker.service.dashboard_child import OTHER_VERSION
from tracker.service.dashboard_process import DashboardProcess
from tracker.service.viewers import Viewers
from tracker.settings.dashboard import DashboardSettings
from tracker.version import __version__

pytest.importorskip("fastapi")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX processes")


@pytest.mark.parametrize("facts", [{}, {"log": "json", "settings": {"gone": 1}}, {"log": "json", "version": "0.0.1"}])
def test_it_says_in_one_line_that_the_engine_is_of_another_version(facts) -> None:
    ours, theirs = socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener, ours, theirs:
        numbers = theirs.fileno(), listener.fileno()
        ours.sendall(packed("start", **facts))
        done = subprocess.run(
            [sys.executable, "-m", "tracker.service.dashboard_child", *map(str, numbers)],
            pass_fds=numbers,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == OTHER_VERSION
    [line] = done.stderr.splitlines()
    for phrase in ("dashboard not started", __version__, facts.get("version", "an earlier version"), "restart the eng"):
        assert phrase in line
    assert facts.get("log") != "json" or json.loads(line)["level"] == "error"


def test_it_is_not_started_again_and_again(tmp_path, monkeypatch, caplog, capfd) -> None:
    monkeypatch.setattr("tracker.service.dashboard_process.__version__", "0.0.1")
    settings = DashboardSettings(address="127.0.0.1:0", login=False, folder=str(tmp_path))
    viewers = Viewers(settings)
    started = []
    begin = DashboardProcess._start
    monkeypatch.setattr(DashboardProcess, "_start", lambda self, theirs: started.append(1) or begin(self, theirs))
    waits: list[float] = []
    process = None
    try:
        process = DashboardProcess(settings, viewers, log="json")
        wait = process._closing.wait
        monkeypatch.setattr(process._closing, "wait", lambda seconds: waits.append(seconds) or wait(seconds))
        assert wait_until(lambda: 600.0 in waits, 120)
    finally:
        if process is not None:
            process.close()
        viewers.close()
    assert len(started) == 1
    assert "dashboard ended" not in caplog.text
    [line] = capfd.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "dashboard not started"
