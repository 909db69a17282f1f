"""Runs that are started on the page: results of the command, one at a time, nothing replaced, nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.dashboard.clients import Desk
from tests.segment.models import end2end_model
from tests.sources.videos import write_video
from tracker.dashboard import runs as runs_module
from tracker.dashboard.context import Context
from tracker.dashboard.runs import WORK
from tracker.settings.dashboard import DashboardSettings

SITE = """version: 1
revision: 1
lines:
  - {name: door, points: [[0.5, 0.0], [0.5, 1.0]]}
"""


@pytest.fixture
def folder(tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir()
    end2end_model(runs / "model.onnx")
    write_video(runs / "yard.mp4", count=20)
    (runs / "runs.yaml").write_text("model: model.onnx\nsite: '{name}.yaml'\n")
    (runs / "yard.yaml").write_text(SITE)
    return runs


@pytest.fixture
def opened(folder, monkeypatch):
    monkeypatch.setattr("tracker.dashboard.recordings.SCAN_S", 0.0)
    made = []

    def desk(*, allow_runs: bool = True) -> Desk:
        made.append(Desk(folder.parent / "dash", recordings=folder, allow_runs=allow_runs))
        return made[-1]

    yield desk
    for one in made:
        one.close()


def until(desk: Desk, name: str, *states: str):
    """The run once it is in one of some states; they are polled as the page does."""
    deadline_s = time.monotonic() + 120
    while time.monotonic() < deadline_s:
        found = next((one for one in desk.context.runs.all() if one.name == name), None)
        if (found.state if found else "gone") in states:
            return found
        time.sleep(0.05)
    raise AssertionError(found)


def slow(folder):
    """A recording whose run does not end by itself within a test."""
    write_video(folder / "slow.mp4", count=2000)


def test_a_run_leaves_the_results_of_the_command(opened, folder):
    desk = opened()
    with desk.logged_in("oli", "operator") as client:
        begun = client.get("/api/runs").json()
        assert begun == {"allowed": True, "runs": [], "runnable": ["yard"]}
        asked = client.post("/api/runs/yard")
        assert (asked.status_code, asked.json()["by"], asked.json()["stream"]) == (202, "oli", "yard")
        assert until(desk, "yard", "done", "failed").problem is None
        after = client.get("/api/runs").json()
        [recording] = client.get("/api/recordings").json()["recordings"]
        events = client.get("/api/events?stream=yard.mp4").json()["events"]
        again = client.post("/api/runs/yard")
    [run] = after["runs"]
    assert (run["state"], run["frames"], run["stream"], after["runnable"]) == ("done", 20, "yard.mp4", [])
    assert recording["id"] == "yard.mp4"
    results = {"yard.tracked.mp4", "yard.tracks.jsonl", "yard.events.jsonl"}
    assert {one["name"] for one in recording["files"]} >= {"yard.mp4", *results}
    assert events
    assert str(folder) not in (folder / "yard.events.jsonl").read_text()
    assert again.status_code == 404
    assert not list(folder.glob(f"{WORK}*"))
    [noted] = [row for row in desk.context.accounts.rows("SELECT name, what, detail FROM log") if row[1] == "run"]
    assert noted == ("oli", "run", "yard")


@pytest.mark.slow
def test_without_a_site_there_are_tracks_and_no_events(opened, folder):
    (folder / "yard.yaml").unlink()
    desk = opened()
    with desk.logged_in("oli", "operator") as client:
        client.post("/api/runs/yard")
        assert until(desk, "yard", "done", "failed").problem is None
        [run] = client.get("/api/runs").json()["runs"]
        found = client.get("/api/runs").json()["runnable"]
    assert (run["stream"], found) == ("yard", [])
    assert (folder / "yard.tracks.jsonl").exists()
    assert not (folder / "yard.events.jsonl").exists()


def test_nothing_runs_unless_it_is_allowed(opened):
    desk = opened(allow_runs=False)
    with desk.logged_in("ann", "admin") as client:
        assert client.get("/api/runs").json() == {"allowed": False, "runs": [], "runnable": []}
        answer = client.post("/api/runs/yard")
    assert (answer.status_code, answer.json()["error"]["remedy"]) == (409, "start the dashboard with --allow-runs")
    assert desk.context.runs.all() == []


def test_one_runs_and_others_wait_and_a_cancelled_one_leaves_nothing(opened, folder, monkeypatch):
    slow(folder)
    desk, before = opened(), sorted(path.name for path in folder.iterdir())
    with desk.logged_in("oli", "operator") as client:
        assert client.post("/api/runs/slow").status_code == 202
        assert client.post("/api/runs/yard").status_code == 202
        assert client.post("/api/runs/slow").status_code == 409
        until(desk, "slow", "running")
        assert until(desk, "yard", "queued").state == "queued"
        assert client.delete("/api/runs/yard").status_code == 204
        until(desk, "yard", "gone")
        assert client.delete("/api/runs/slow").status_code == 204
        until(desk, "slow", "gone")
        assert client.delete("/api/runs/slow").status_code == 404
        assert set(client.get("/api/runs").json()["runnable"]) == {"slow", "yard"}
    assert sorted(path.name for path in folder.iterdir()) == before


def test_runs_of_recordings_that_may_not_be_seen_are_nobodys_business(opened, folder):
    slow(folder)
    desk = opened()
    with desk.logged_in("oli", "operator") as client:
        client.post("/api/runs/slow")
    with desk.logged_in("narrow", "operator", ["yard"]) as client:
        assert client.get("/api/runs").json() == {"allowed": True, "runs": [], "runnable": ["yard"]}
        assert client.post("/api/runs/slow").status_code == client.delete("/api/runs/slow").status_code == 404
    with desk.logged_in("val", "viewer") as client:
        assert [one["recording"] for one in client.get("/api/runs").json()["runs"]] == ["slow"]
        assert client.post("/api/runs/yard").status_code == client.delete("/api/runs/slow").status_code == 403
    assert [one.name for one in desk.context.runs.all()] == ["slow"]


@pytest.mark.slow
def test_a_file_that_came_meanwhile_is_not_replaced(opened, folder, monkeypatch):
    published = runs_module._publish

    def late(work, into):
        (into / "yard.tracked.mp4").write_text("mine")
        published(work, into)

    monkeypatch.setattr(runs_module, "_publish", late)
    desk = opened()
    with desk.logged_in("oli", "operator") as client:
        client.post("/api/runs/yard")
        run = until(desk, "yard", "done", "failed")
    assert (run.state, run.problem["what"]) == ("failed", "yard.tracked.mp4")
    assert (folder / "yard.tracked.mp4").read_text() == "mine"
    assert not (folder / "yard.events.jsonl").exists()


@pytest.mark.parametrize(
    ("text", "what", "found"),
    [
        pytest.param("model: none.onnx\n", "none.onnx", "none", marks=pytest.mark.slow),
        pytest.param("model: model.onnx\nsave: ../x.mp4\n", "runs.yaml:2", "unknown key", marks=pytest.mark.slow),
        ("stride: many\n", "runs.yaml:1", "many"),
        pytest.param("model: model.onnx\nsite: lost.yaml\n", "runs.yaml", "lost.yaml", marks=pytest.mark.slow),
    ],
)
def test_a_failure_says_why(opened, folder, text, what, found):
    (folder / "runs.yaml").write_text(text)
    desk = opened()
    with desk.logged_in("oli", "operator") as client:
        client.post("/api/runs/yard")
        until(desk, "yard", "failed")
        [run] = client.get("/api/runs").json()["runs"]
        assert client.post("/api/runs/yard").status_code == 202, "it can be tried again"
        until(desk, "yard", "failed")
    assert what in run["problem"]["what"]
    assert found in run["problem"]["found"] + run["problem"]["what"]
    assert str(folder) not in json.dumps(run)
    assert not list(folder.glob(f"{WORK}*"))


def test_a_recording_cut_short_has_the_results_of_what_can_be_read(opened, folder):
    whole = (folder / "yard.mp4").read_bytes()
    (folder / "yard.mp4").write_bytes(whole[: len(whole) // 8])
    desk = opened()
    with desk.logged_in("oli", "operator") as client:
        client.post("/api/runs/yard")
        run = until(desk, "yard", "done", "failed")
    assert run.problem is not None
    assert (run.state == "done") == (run.frames > 0)
    assert (folder / "yard.tracks.jsonl").exists() == (run.frames > 0)


def test_the_run_ends_with_the_server_however_that_ends(folder, monkeypatch):
    slow(folder)
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from tracker.dashboard.context import Context\n"
        "from tracker.settings.dashboard import DashboardSettings\n"
        "folder = Path(sys.argv[1])\n"
        "context = Context(DashboardSettings(folder=str(folder.parent / 'd')), recordings=folder, allow_runs=True)\n"
        "context.runs.start(context.recordings.of('slow'), 'oli')\n"
        "while not context.runs._process: time.sleep(0.01)\n"
        "print(context.runs._process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True) as server:
        child = int(server.stdout.readline())
        server.kill()
    deadline_s = time.monotonic() + 60
    while _lives(child) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert not _lives(child)
    assert not (folder / "slow.events.jsonl").exists()
    settings = DashboardSettings(folder=str(folder.parent / "e"))
    context = Context(settings, recordings=folder, allow_runs=True)
    try:
        runs_module._sweep(folder)
        assert not list(folder.glob(f"{WORK}*")), "the next run removes what was left"
    finally:
        context.close()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
