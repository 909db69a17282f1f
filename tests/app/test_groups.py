"""Commands about groups of cameras and junctions: counts, occupancy, conversion and turns as a user meets them."""

from __future__ import annotations

import csv
import json
import re
import threading
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from tests.command import Run
from tests.sinks.ledgers import write_ledger
from tracker.events import Event

GROUPS = """\
version: 1
groups:
  - name: store
    timezone: Europe/Berlin
    reset_at: 04:00
    cameras: [north, south]
    classes: [person]
    doors:
      - {camera: north, line: door}
      - {camera: south, line: gate, entry: out, exit: in}
    opening: [{days: mon-fri, opens: 09:30, closes: 20:00}]
  - {name: yard, cameras: [north, south]}
"""
NINE = round(datetime.fromisoformat("2026-11-30T09:00+01:00").timestamp() * 1000)
MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
JUNCTION = Path(__file__).resolve().parents[2] / "examples" / "sites" / "junction.yaml"


def crossing(minute: int, stream: str, direction: str, number: int, **values: object) -> Event:
    at_ms = NINE + minute * MINUTE_MS
    facts = {"kind": "crossing", "place": "door" if stream == "north" else "gate", "class_name": "person"}
    times = {"time_s": 60.0 * minute, "utc_ms": at_ms, "identity": number, "direction": direction}
    return Event(stream=stream, **(facts | times | values))


def day() -> list[Event]:
    """From 09:00 on: a person a minute through the north door, every third leaves by the south one an hour later."""
    events = [crossing(minute, "north", "in", minute + 1) for minute in range(60)]
    events += [crossing(minute + 60, "south", "in", minute + 1) for minute in range(0, 60, 3)]
    events += [crossing(130, "south", "out", 900), crossing(131, "north", "in", 901, class_name="dog")]
    return [*sorted(events, key=lambda event: event.time_s), crossing(25 * 60, "north", "in", 999)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "groups.yaml").write_text(GROUPS)
    write_ledger(tmp_path / "store.sqlite", day())
    for stream in ("north", "south"):
        write_ledger(tmp_path / f"{stream}.events.jsonl", [event for event in day() if event.stream == stream])
    return tmp_path


def rows(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text("utf-8").splitlines()))


@pytest.mark.parametrize("ledgers", [["store.sqlite"], ["north.events.jsonl", "south.events.jsonl"]])
def test_counts_of_a_group_are_entries_and_exits_over_all_doors(run: Run, folder: Path, ledgers: list[str]) -> None:
    words = ("counts", *ledgers, "--group", "store", "--by", "stream,direction", "--bins", "1h")
    result = run(*words, "--to", "2026-11-30T12:00")
    assert result.status == 0, result.err
    assert re.search(r"2026-11-30T09:00:00\+01:00 +store +entry +60", result.out)
    assert re.search(r"2026-11-30T10:00:00\+01:00 +store +exit +20", result.out)
    assert re.search(r"2026-11-30T11:00:00\+01:00 +store +entry +1\b", result.out)
    assert run(*words, "--to", "2026-11-30T12:00", "--out", "a.csv").status == 0
    assert [row["count"] for row in rows("a.csv")] == ["60", "0", "0", "20", "1", "0"]


def test_counts_in_opening_hours_leave_the_others_out(run: Run, folder: Path) -> None:
    words = ("counts", "store.sqlite", "--group", "store", "--by", "direction", "--bins", "1h", "--open")
    assert run(*words, "--out", "a.csv").status == 0
    found = rows("a.csv")
    assert found[0]["from"] == "2026-11-30T09:00:00+01:00"
    assert [found[0][name] for name in ("direction", "count", "outage")] == ["entry", "30", "0"]
    assert {row["from"][11:13] for row in found} == {f"{hour:02d}" for hour in range(9, 20)}
    assert "expected whole minutes with --open" in run(*words[:6], "--open", "--bins", "30s").text


def test_a_group_without_doors_and_a_scheme(run: Run, folder: Path) -> None:
    result = run(
        "counts", "store.sqlite", "--group", "yard", "--by", "stream,class", "--scheme", "fhwa", "--bins", "1d"
    )
    assert re.search(r"yard +person \(outside FHWA\) +\d+", result.out), result.text
    assert re.search(r"yard +other +1", result.out)
    refused = run("counts", "store.sqlite", "--scheme", "tls", "--by", "line")
    assert "--scheme: expected classes that are counted apart" in refused.text


def test_occupancy_shows_drift_and_the_correction(run: Run, folder: Path) -> None:
    result = run("occupancy", "store.sqlite", "--group", "store", "--bins", "1h")
    assert result.status == 0, result.err
    assert re.search(r"2026-11-30T09:00:00\+01:00 +60 +0 +60 +60 +60.0 *\n", result.out)  # open from 09:30 on
    assert re.search(r"2026-11-30T10:00:00\+01:00 +0 +20 +40 +59 +", result.out)
    assert re.search(
        r"2026-11-30T04:00:00\+01:00 +61 +20 +\+41 \(67.2 %\) +spread over exits, more than 10%: check the", result.out
    )
    assert re.search(r"2026-12-01T04:00:00\+01:00 +1 +0 +- +lasts", result.out)
    assert run("occupancy", "store.sqlite", "--group", "store", "--bins", "1h", "--out", "a.csv").status == 0
    found = {row["from"][:13]: row for row in rows("a.csv")}
    assert found["2026-11-30T11"]["corrected"] == "0.0"
    assert found["2026-11-30T11"]["inside"] == "41"
    assert found["2026-12-01T09"]["inside"] == "0"
    assert found["2026-12-01T10"] | {"corrected": ""} == found["2026-12-01T10"]


def test_conversion_from_a_file(run: Run, folder: Path) -> None:
    Path("till.csv").write_text("time,transactions\n2026-11-30T09:10,99\n2026-11-30T09:40,6\n2026-11-30T11:30,1\n")
    result = run("conversion", "store.sqlite", "--group", "store", "--till", "till.csv", "--to", "2026-11-30T12:00")
    assert result.status == 0, result.err
    assert re.search(r"2026-11-30T09:00:00\+01:00 +30 +6 +20.0 %", result.out)
    assert re.search(r"2026-11-30T11:00:00\+01:00 +1 +1 +100.0 %", result.out)
    assert re.search(r"total +31 +7 +22.6 %", result.out)
    words = ("conversion", "store.sqlite", "--group", "store", "--till", "till.csv", "--out", "a.csv")
    assert run(*words).status == 0
    assert rows("a.csv")[0]["conversion"] == "0.2"
    assert "expected its doors, over which entries are counted" in run(*words[:3], "yard", *words[4:]).text


class Till(BaseHTTPRequestHandler):
    """A till's API that wants a token, and another address that sends callers on."""

    def do_GET(self) -> None:
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", "/receipts")
            self.end_headers()
            return
        granted = self.headers.get("Authorization") == "Bearer sesame"
        body = json.dumps({"data": [{"time": "2026-11-30T09:40:00+01:00", "count": 3}]}).encode()
        self.send_response(200 if granted else 401)
        self.end_headers()
        self.wfile.write(body if granted else b"no")

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def till() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Till)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_conversion_from_an_api(run: Run, folder: Path, till: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("conversion", "store.sqlite", "--group", "store", "--till")
    assert "expected receipts, found: 401 Unauthorized" in run(*words, f"{till}/receipts?key=secret").text
    monkeypatch.setenv("MASKTRAIL_TILL_TOKEN", "sesame")
    result = run(*words, f"{till}/receipts?key=secret")
    assert result.status == 0, result.err
    assert re.search(r"2026-11-30T09:00:00\+01:00 +30 +3 +10.0 %", result.out)
    moved = run(*words, f"{till}/moved?key=secret")
    assert "expected receipts, found: 302" in moved.text
    assert "secret" not in moved.text
    assert "expected https:// for the token" in run(*words, "http://till.example.org/receipts").text
    assert "expected a file, found: No such file" in run(*words, "missing.csv").text


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (
            ["counts", "store.sqlite", "--group", "shop"],
            "--group in groups.yaml: expected one of the groups",
        ),
        (["counts", "store.sqlite", "--open"], "--open: expected a group whose hours and doors count, found none"),
        (
            ["counts", "store.sqlite", "--group", "store", "--groups", "no.yaml"],
            "no.yaml: expected a YAML file",
        ),
        (["occupancy", "store.sqlite", "--group", "yard"], "group 'yard': expected its doors"),
        (
            ["occupancy", "south.events.jsonl", "--group", "store", "--bins", "soon"],
            "--bins: expected a length such as",
        ),
    ],
)
def test_one_clear_line(run: Run, folder: Path, words: list[str], problem: str) -> None:
    result = run(*words)
    assert result.status != 0
    assert problem in result.text


def test_names_that_no_ledger_has_are_said(run: Run, folder: Path) -> None:
    Path("groups.yaml").write_text(GROUPS.replace("line: door", "line: entrance").replace("line: gate", "line: exit"))
    result = run("occupancy", "store.sqlite", "--group", "store")
    assert "expected crossings of the doors of store with a wall clock, found none" in result.text
    Path("groups.yaml").unlink()
    result = run("occupancy", "store.sqlite", "--group", "store")
    assert "expected a file of groups, found neither groups.yaml nor sites/groups.yaml" in result.text


def flow(minute: int, name: str, **values: object) -> Event:
    at_ms = NINE + minute * MINUTE_MS
    facts = {"kind": "flow", "stream": "junction", "time_s": 60.0 * minute, "utc_ms": at_ms, "class_name": "car"}
    return Event(place=name, **(facts | values))


def test_an_approach_without_flows_has_dashes_and_eighty_columns_suffice(run: Run, folder: Path) -> None:
    drawn = yaml.safe_load(JUNCTION.read_text())
    drawn["flows"] = [one for one in drawn["flows"] if one["start"] != "west"]
    Path("three.yaml").write_text(yaml.safe_dump(drawn))
    write_ledger(Path("junction.events.jsonl"), [flow(1, "south ahead", identity=1)])
    result = run("turns", "junction.events.jsonl", "--site", "three.yaml")
    assert result.status == 0, result.err
    assert re.search(r"approach +left +through +right +u-turn +vehicles +bicycles ", result.out)
    assert re.search(r"west \(EB\)( +-){8}", result.out)
    assert re.search(r"north \(SB\)( +0){5}( +-){3}", result.out)  # its lines take vehicles, and there is no zebra
    assert run("turns", "junction.events.jsonl", "--site", "three.yaml", "--out", "three.csv").status == 0
    west, north = (next(row for row in rows("three.csv") if row["approach"] == leg) for leg in ("west", "north"))
    assert [west[name] for name in ("left", "vehicles", "pedestrians_across")] == ["", "", ""]
    assert [north[name] for name in ("left", "vehicles", "pedestrians_across")] == ["0", "0", ""]


def test_turns_of_a_junction(run: Run, folder: Path) -> None:
    events = [flow(minute, "south ahead", identity=minute) for minute in range(60)]
    events += [flow(minute, "south left", identity=100 + minute) for minute in range(15, 30)]
    events += [flow(40, "north back", identity=500, class_name="truck"), flow(41, "east right", identity=501)]
    events += [flow(42, "east right", identity=502, class_name="bicycle")]
    write_ledger(Path("junction.events.jsonl"), events)
    words = ("turns", "junction.events.jsonl", "--site", JUNCTION, "--timezone", "Europe/Berlin")
    result = run(*words)
    assert result.status == 0, result.err
    assert re.search(r"south \(NB\) +15 +60 +0 +0 +75 +- +- +-", result.out)
    assert re.search(r"north \(SB\) +0 +0 +0 +1 +1 ", result.out)
    assert re.search(r"east \(WB\) +0 +0 +1 +0 +1 +1 ", result.out)
    assert re.search(r"all +15 +60 +1 +1 +77 +1 ", result.out)
    assert "peak hour from 2026-11-30T09:00:00+01:00: 77 vehicles, PHF 0.64" in result.out
    assert "south: 75, PHF 0.62" in result.out
    assert run(*words, "--out", "turns.csv").status == 0
    found = rows("turns.csv")
    assert len(found) == 16
    assert sum(int(row["vehicles"]) for row in found) == 77
    assert run(*words, "--legs", "south=W,north=E,east=S,west=N").out != result.out
    for more, problem in (
        (["--from", "2026-11-30T10:00", "--to", "2026-11-30T09:00"], "--to: expected a time after --from"),
        (["--legs", "south"], "--legs: expected name=value pairs, found 'south'"),
        (["--legs", "south=up"], "--legs: expected directions of the compass"),
        (["--stream", "other"], "expected one stream with the site's flows, found junction"),
    ):
        assert problem in run(*words, *more).text


def test_times_that_the_camera_did_not_see_are_no_zeros(run: Run, folder: Path) -> None:
    events = [flow(minute, "south ahead", identity=minute) for minute in range(0, 120, 5)]
    gap = Event(kind="gap", stream="junction", time_s=2640.0, utc_ms=NINE + 44 * MINUTE_MS, since_s=1800.0)
    events = [event for event in events if not 30 <= event.time_s / 60 < 45]
    write_ledger(Path("junction.events.jsonl"), sorted([*events, gap], key=lambda event: event.time_s))
    words = ("turns", "junction.events.jsonl", "--site", JUNCTION, "--from", "2026-11-30T07:30+00:00")
    assert run(*words, "--to", "2026-11-30T10:30+00:00", "--out", "turns.csv").status == 0
    south = [row for row in rows("turns.csv") if row["approach"] == "south"]
    # Nobody knows before 08:00 and after 10:00 UTC, nor while the camera was out; true zeros in between.
    assert [row["through"] for row in south] == ["", "", "3", "3", "", "3", "3", "3", "3", "3", "", ""]
    assert [row["left"] for row in south] == ["", "", "0", "0", "", "0", "0", "0", "0", "0", "", ""]
    assert "peak hour from 2026-11-30T08:45" in run(*words).out  # the first four quarters in a row that are known
