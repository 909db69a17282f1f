"""Validation by the page: intervals are drawn, counted by two people, reported and exported as the command does it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from tests.command import Run
from tests.dashboard.clients import Desk, PlayedEngine
from tests.sinks.ledgers import START_MS, crossing, write_ledger
from tests.sources.videos import write_video
from tracker.events import Stay
from tracker.measure.validation import draw_intervals

MINUTE_MS = 60_000
SITE = "version: 1\nlines:\n  - {name: side, points: [[0.1, 0.5], [0.9, 0.5]], classes: [bus]}\n"


def passages() -> list:
    """Two hours of a gate: a car every 40 s, a bus every 10 min, and somebody in the hall."""
    cars = [
        crossing(n, stream="gate", direction="in", class_name="car", utc_ms=START_MS + n * 40_000) for n in range(180)
    ]
    buses = [
        crossing(500 + n, stream="gate", class_name="bus", direction="out", utc_ms=START_MS + n * 600_000)
        for n in range(12)
    ]
    hall = crossing(
        900,
        stream="gate",
        kind="enter",
        place="hall",
        direction="",
        class_name="car",
        utc_ms=START_MS + 1,
        stay=Stay(entered_s=0),
    )
    return [*cars, *buses, hall]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return write_ledger(tmp_path / "gate.sqlite", passages())


@pytest.fixture
def desk(tmp_path: Path, ledger: Path):
    (tmp_path / "gate.yaml").write_text(SITE)
    made = Desk(tmp_path / "dash", engine=PlayedEngine(tmp_path, "gate", "yard"), ledgers=[ledger])
    yield made
    made.close()


def drawn(client, **chosen) -> dict:
    made = client.post("/api/validation/sheets", json={"stream": "gate", "seed": 3} | chosen)
    assert made.status_code == 201, made.text
    return client.get(f"/api/validation/sheets/{made.json()['id']}").json()


def counted(client, sheet: dict, truth: dict[tuple[str, str, str], int]) -> None:
    for one in sheet["intervals"]:
        counts = [truth.get(tuple(key), 0) for key in sheet["asked"]]
        address = f"/api/validation/sheets/{sheet['id']}/intervals/{one['number']}"
        assert client.put(address, json={"revision": one["revision"], "counts": counts}).status_code == 200


def test_intervals_are_drawn_by_hour_as_the_command_draws_them(desk: Desk) -> None:
    with desk.logged_in("oli", "operator", ["gate"]) as client:
        sheet = drawn(client, intervals=6, length_s=600)
        again = drawn(client, intervals=6, length_s=600)
    spans = [(one["from_ms"], one["to_ms"]) for one in sheet["intervals"]]
    assert spans == [(one["from_ms"], one["to_ms"]) for one in again["intervals"]], "the same seed"
    hours = [one["stratum"] for one in sheet["intervals"]]
    assert len(set(hours)) >= 2
    begins = [START_MS + number * 600_000 for number in range(11)]
    strata = [np.datetime64(begin, "ms").item().strftime("%H:00") for begin in begins]
    own = draw_intervals(strata, from_ms=START_MS, length_ms=600_000, count=6, rng=np.random.default_rng(3))
    assert spans == [(one.from_ms, one.to_ms) for one in own]
    assert ["side", "in", "bus"] in sheet["asked"], "a line over which nothing passed"
    assert ["side", "in", "car"] not in sheet["asked"], "of its classes only"
    assert ["hall", "entered", "car"] in sheet["asked"]
    assert "180" not in str(sheet), "nothing says what the program counted"


def test_the_report_is_that_of_the_command(desk: Desk, ledger: Path, tmp_path: Path, run: Run) -> None:
    with desk.logged_in("oli", "operator", ["gate"]) as client:
        sheet = drawn(client, intervals=8, length_s=600)
        counted(client, sheet, {("door", "in", "car"): 16, ("door", "out", "bus"): 1})
        report = client.get(f"/api/validation/sheets/{sheet['id']}/report").json()
        text = client.get(f"/api/validation/sheets/{sheet['id']}/export").text
        [listed] = client.get("/api/validation/sheets").json()["sheets"]
    assert (listed["intervals"], listed["counted"], report["counted"]) == (8, 8, 8)
    (tmp_path / "count.csv").write_text(text)
    words = ("--out", tmp_path / "report.csv", "--site", tmp_path / "gate.yaml")
    found = run("validate", "report", tmp_path / "count.csv", ledger, *words)
    assert found.status == 0, found.err
    rows = list(csv.DictReader(io.StringIO((tmp_path / "report.csv").read_text())))
    assert len(rows) == len(report["rows"]) > 4
    for ours, theirs in zip(report["rows"], rows, strict=True):
        assert [ours["place"], ours["direction"], ours["class"]] == [
            theirs["line"],
            theirs["direction"],
            theirs["class"],
        ]
        for key in ("ledger", "person", "intervals"):
            assert ours[key] == int(theirs[key])
        for key in ("ratio", "low", "high"):
            assert ("" if ours[key] is None else f"{ours[key]:.4f}") == theirs[key]
        assert f"{ours['geh']:.3f}" == theirs["geh"]
        assert ours["verdict"] == theirs["verdict"]
    [cars] = [one for one in report["rows"] if (one["direction"], one["class"]) == ("in", "car") and one["person"]]
    assert (cars["person"], cars["verdict"]) == (128, "good")
    assert cars["ledger"] == 8 * 15, "a car every 40 s"
    for words in report["words"]:
        assert words.split(":")[0] in " ".join(found.out.split())


def test_two_people_count_one_interval(desk: Desk) -> None:
    with desk.logged_in("oli", "operator") as client, desk.logged_in("ann", "operator") as other:
        sheet = drawn(client, intervals=4, length_s=60)
        address = f"/api/validation/sheets/{sheet['id']}/intervals/2"
        counts = [1] * len(sheet["asked"])
        assert client.put(address, json={"revision": 0, "counts": counts}).json() == {"revision": 1}
        refused = other.put(address, json={"revision": 0, "counts": [2] * len(counts)})
        assert refused.status_code == 409
        assert refused.json()["interval"]["counts"] == counts
        assert "oli" in refused.json()["error"]["found"]
        assert other.put(address, json={"revision": 1, "counts": [2] * len(counts)}).status_code == 200
        assert other.put(address, json={"revision": 2, "counts": [2]}).status_code == 422
        assert other.put(address, json={"revision": 2, "counts": None}).status_code == 200
        assert other.put(address.replace("/2", "/77"), json={"revision": 0, "counts": counts}).status_code == 404
        found = client.get(f"/api/validation/sheets/{sheet['id']}").json()["intervals"][1]
    assert (found["counts"], found["by"], found["revision"]) == (None, "ann", 3)


def test_sheets_of_streams_that_may_not_be_seen_are_not_there(desk: Desk) -> None:
    with desk.logged_in("oli", "operator", ["gate"]) as client:
        number = drawn(client, intervals=4)["id"]
    with desk.logged_in("bob", "operator", ["yard"]) as other:
        assert other.get("/api/validation/sheets").json() == {"sheets": []}
        body = {"revision": 0, "counts": None}
        address = f"/api/validation/sheets/{number}"
        answers = [other.get(address + rest) for rest in ("", "/report", "/export")]
        answers += [other.put(f"{address}/intervals/1", json=body), other.delete(address)]
        assert {answer.status_code for answer in answers} == {404}
        assert other.post("/api/validation/sheets", json={"stream": "gate"}).status_code == 404
    with desk.logged_in("val", "viewer") as viewer:
        assert viewer.get(address).status_code == 403
    with desk.logged_in("oli", "operator", ["gate"]) as client:
        assert client.delete(address).status_code == 204
        assert client.get(address).status_code == 404


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"intervals": 1, "length_s": 600}, "group"),
        ({"length_s": 80_000}, "recording of one interval"),
        ({"from_ms": 0, "to_ms": 5}, "a time within"),
        ({"stream": "yard"}, "one with events"),
        ({"timezone": "Mars/Phobos"}, "zone"),
        ({"length_s": 0}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_drawn_is_told(desk: Desk, change: dict, words: str) -> None:
    with desk.logged_in("oli", "operator") as client:
        answer = client.post("/api/validation/sheets", json={"stream": "gate"} | change)
        assert answer.status_code == 422, answer.text
        assert words in answer.text
        assert client.get("/api/validation/sheets").json() == {"sheets": []}


def test_intervals_of_deleted_events_are_left_out_and_said(desk: Desk) -> None:
    with desk.logged_in("oli", "operator") as client:
        sheet = drawn(client, intervals=8, length_s=600)
        counted(client, sheet, {("door", "in", "car"): 15})
        begin = sheet["intervals"][0]["from_ms"] // 900_000 * 900_000
        desk.context.ledgers.history.add_bins(0, [("gate", "crossing", "door", "in", "car", 1, begin, 20)])
        report = client.get(f"/api/validation/sheets/{sheet['id']}/report").json()
    assert report["deleted"] >= 1
    assert report["counted"] + report["deleted"] == report["intervals"] == 8


def test_a_recording_is_drawn_by_the_light_of_its_video(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    write_video(runs / "yard.mp4", count=60)
    write_ledger(runs / "yard.events.jsonl", [crossing(1, stream="yard.mp4", utc=False)])
    desk = Desk(tmp_path / "dash", recordings=runs)
    try:
        with desk.logged_in("oli", "operator") as client:
            sheet = drawn(client, stream="yard.mp4", intervals=2, length_s=1)
            long = client.post("/api/validation/sheets", json={"stream": "yard.mp4", "length_s": 60})
    finally:
        desk.close()
    assert [one["stratum"].split(", ")[0] for one in sheet["intervals"]] == ["hour 1"] * 2
    assert all(one["stratum"].split(", ")[1] in {"dark", "dim", "bright"} for one in sheet["intervals"])
    assert long.status_code == 422
    assert "a recording of one interval at least" in long.text
    assert [one["media_s"] for one in sheet["intervals"]] == [0.0, 1.0]
