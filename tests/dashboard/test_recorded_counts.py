"""Counting a recording from the page: the ledgers get what the command writes, and what was cut off is known."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.dashboard.clients import Desk
from tests.dashboard.recorded_site import MOVED, sent
from tests.dashboard.test_runs import until
from tests.sinks.ledgers import crossing, write_ledger
from tracker.dashboard.context import Context
from tracker.dashboard.run_book import Left
from tracker.engine.analyse import analyse
from tracker.formats.ledger import read_events
from tracker.settings.dashboard import DashboardSettings
from tracker.settings.site_file import write_site

ADDRESS = "/api/streams/gate.mp4/site"


@pytest.fixture
def opened(runs, tmp_path, monkeypatch):
    monkeypatch.setattr("tracker.dashboard.recordings.SCAN_S", 0.0)
    made = []

    def desk(*, allow_runs: bool = True) -> Desk:
        made.append(Desk(tmp_path / "dash", recordings=runs, allow_runs=allow_runs))
        return made[-1]

    yield desk
    for one in made:
        one.close()


def crossings(path: Path) -> list[tuple[str, str, int]]:
    return sorted((one.place, one.direction, one.identity) for one in read_events(path) if one.kind == "crossing")


def passed(client) -> dict[tuple[str, str], int]:
    rows = client.get("/api/counts?kind=crossing&by=place,direction&stream=gate.mp4").json()["series"]
    return {(row["group"]["place"], row["group"]["direction"]): row["total"] for row in rows}


def test_a_count_is_that_of_the_command_and_the_pages_show_it(opened, runs, tmp_path):
    desk = opened()
    with desk.logged_in("oli", "operator") as client:
        client.put(ADDRESS, json={"revision": 1, "site": sent(MOVED)})
        asked = client.post("/api/runs/gate.mp4/count")
        assert (asked.status_code, asked.json()["kind"]) == (202, "count")
        assert until(desk, "gate", "done", "failed").problem is None
        [run] = client.get("/api/runs").json()["runs"]
        shown, after = passed(client), client.get(ADDRESS).json()["recording"]
    assert (run["state"], run["stream"], run["frames"] > 50) == ("done", "gate.mp4", True)
    found = analyse([runs / "gate.tracks.jsonl"], runs / "gate.site.yaml", tmp_path / "own.jsonl").tally
    assert crossings(runs / "gate.events.jsonl") == crossings(tmp_path / "own.jsonl")
    assert shown == {key: sum(counts.values()) for key, counts in found.crossings.items() if counts}
    assert after["counted_revision"] == 2
    assert not list(runs.glob(".gate*"))
    noted = desk.context.accounts.rows("SELECT name, what, detail FROM log WHERE what = 'count'")
    assert noted == [("oli", "count", "gate.mp4")]


@pytest.mark.slow
def test_a_store_gets_a_new_edition_and_a_first_count_a_file(opened, runs):
    (runs / "gate.events.jsonl").unlink()
    analyse([runs / "gate.tracks.jsonl"], runs / "gate.site.yaml", runs / "all.sqlite")
    shutil.copy(runs / "gate.tracks.jsonl", runs / "yard.tracks.jsonl")
    desk = opened()
    with desk.logged_in("oli", "operator") as client:
        client.put(ADDRESS, json={"revision": 1, "site": sent(MOVED)})
        commands = client.get(ADDRESS).json()["recording"]["commands"]
        assert commands == ["masktrail analyse gate.tracks.jsonl --site gate.site.yaml --out all.sqlite --revise"]
        client.post("/api/runs/gate.mp4/count")
        assert until(desk, "gate", "done", "failed").problem is None
        assert set(passed(client)) <= {("door", "in"), ("door", "out"), ("new", "in"), ("new", "out")}
    with closing(sqlite3.connect(runs / "all.sqlite")) as connection:
        assert connection.execute("SELECT max(edition), count(DISTINCT stream) FROM editions").fetchone() == (2, 1)
    assert not (runs / "gate.events.jsonl").exists()


@pytest.mark.slow
def test_where_runs_are_not_allowed_the_command_is_shown(opened, runs):
    desk = opened(allow_runs=False)
    before = (runs / "gate.events.jsonl").read_bytes()
    with desk.logged_in("oli", "operator") as client:
        answer = client.post("/api/runs/gate.mp4/count")
        commands = client.get(ADDRESS).json()["recording"]["commands"]
    assert (answer.status_code, answer.json()["commands"]) == (409, commands)
    assert str(runs) not in answer.text
    words = commands[0].split()[1:]
    subprocess.run([sys.executable, "-m", "tracker", *words], cwd=runs, check=True, capture_output=True, timeout=120)
    assert crossings(runs / "gate.events.jsonl")
    assert len((runs / "gate.events.jsonl").read_bytes()) == len(before)


def test_what_cannot_be_counted_says_why(opened, runs, tmp_path):
    desk = opened()

    def refusal() -> str:
        desk.context.tick()
        desk.context.ledgers.read()
        with desk.logged_in("oli", "operator") as client:
            told = client.get(ADDRESS).json()["recording"]
            assert told["commands"] == []
            answer = client.post("/api/runs/gate.mp4/count")
            assert (answer.status_code, answer.json()["error"]) == (409, told["count_problem"])
            return answer.json()["error"]["found"]

    write_ledger(runs / "more.events.jsonl", [crossing(1, stream="gate.mp4"), crossing(2, stream="other.mp4")])
    assert refusal() == "one with others, too"
    (runs / "more.events.jsonl").unlink()
    (runs / "gate.site.yaml").rename(tmp_path / "kept.yaml")
    assert refusal() == "none"
    assert crossings(runs / "gate.events.jsonl")


def test_a_ledger_elsewhere_is_not_written(runs, tmp_path):
    elsewhere = write_ledger(tmp_path / "live.sqlite", [crossing(1, stream="gate.mp4")])
    desk = Desk(tmp_path / "dash", recordings=runs, ledgers=[elsewhere], allow_runs=True)
    with desk.logged_in("oli", "operator") as client:
        answer = client.post("/api/runs/gate.mp4/count")
    desk.close()
    assert (answer.status_code, answer.json()["error"]["found"]) == (409, "one elsewhere")
    assert str(tmp_path) not in answer.text


@pytest.mark.slow
def test_a_count_that_fails_leaves_the_ledger(opened, runs):
    desk, before = opened(), (runs / "gate.events.jsonl").read_bytes()
    rows = (runs / "gate.tracks.jsonl").read_text().splitlines(keepends=True)
    (runs / "gate.tracks.jsonl").write_text("".join(rows[:-1]) + '{"frame": 1e9}\n')
    with desk.logged_in("oli", "operator") as client:
        client.post("/api/runs/gate.mp4/count")
        run = until(desk, "gate", "done", "failed")
        assert client.post("/api/runs/gate.mp4/count").status_code == 202, "it can be tried again"
        until(desk, "gate", "failed")
    assert (run.state, "gate.tracks.jsonl" in run.problem["what"]) == ("failed", True)
    assert (runs / "gate.events.jsonl").read_bytes() == before


@pytest.mark.slow
def test_runs_of_a_dashboard_that_ended_are_interrupted_and_start_again(opened, runs, tmp_path):
    desk = opened()
    book = desk.context.runs._book
    book.note(Left("gate", "count", runs / "gate.tracks.jsonl", "oli", 5, begun=True))
    book.note(Left("gone", "track", runs / "gone.mp4", "oli", 6, begun=False))
    desk.close()
    again = opened()
    with again.logged_in("narrow", "operator", ["other"]) as client:
        assert client.get("/api/runs").json()["runs"] == []
    with again.logged_in("oli", "operator") as client:
        [run] = client.get("/api/runs").json()["runs"]
        assert (run["recording"], run["kind"], run["state"], run["by"]) == ("gate", "count", "interrupted", "oli")
        assert client.post("/api/runs/gate.mp4/count").status_code == 202
        assert until(again, "gate", "done", "failed").problem is None
    assert again.context.runs._book.left() == []
    assert not [one for one in opened().context.runs.all() if one.state == "interrupted"]


def test_what_was_interrupted_can_be_closed(opened, runs):
    desk = opened()
    desk.context.runs._book.note(Left("gate", "count", runs / "gate.tracks.jsonl", "oli", 5, begun=False))
    desk.close()
    again = opened()
    with again.logged_in("oli", "operator") as client:
        assert client.delete("/api/runs/gate").status_code == 204
        assert client.get("/api/runs").json()["runs"] == []
    assert again.context.runs._book.left() == []


KILLED = """
import sys, time
from pathlib import Path
from tracker.dashboard.context import Context
from tracker.settings.dashboard import DashboardSettings
folder = Path(sys.argv[1])
context = Context(DashboardSettings(folder=str(folder.parent / 'd')), recordings=folder, allow_runs=True)
context.ledgers.read()
context.runs.count(context.recordings.of('gate'), context.count_plan('gate.mp4'), 'oli')
while not context.runs._process: time.sleep(0.005)
print(context.runs._process.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.slow
def test_a_count_that_is_killed_with_its_server_shows_nothing_half(runs, tmp_path):
    before = crossings(runs / "gate.events.jsonl")
    write_site(runs / "gate.site.yaml", replace(MOVED, revision=1))
    for wait_s in (0.0, 0.6, 1.2):
        command = [sys.executable, "-c", KILLED, str(runs)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout.readline().strip().isdigit()
            time.sleep(wait_s)
            server.kill()
        time.sleep(0.5)
        settings = DashboardSettings(folder=str(tmp_path / "d"))
        context = Context(settings, recordings=runs, allow_runs=True)
        try:
            left = [(one.name, one.kind, one.state) for one in context.runs.all()]
        finally:
            context.close()
        whole = crossings(runs / "gate.events.jsonl")
        assert left == [("gate", "count", "interrupted")] or whole != before
        assert whole in (before, moved_crossings(runs, tmp_path))


def moved_crossings(runs: Path, tmp_path: Path) -> list[tuple[str, str, int]]:
    analyse([runs / "gate.tracks.jsonl"], runs / "gate.site.yaml", tmp_path / "own.jsonl")
    return crossings(tmp_path / "own.jsonl")
