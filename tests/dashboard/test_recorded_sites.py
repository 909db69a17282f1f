"""Sites of recordings: drawn on them, saved beside them for one or for all, tried over all of their rows."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
from pydantic import TypeAdapter

from tests.dashboard.clients import Desk
from tests.dashboard.recorded_site import COUNTED, MOVED, sent
from tests.sources.videos import write_video
from tracker.dashboard import site_shapes
from tracker.dashboard.recorded_rows import RowsOfRecordings, StoppedError
from tracker.dashboard.recordings import Recordings
from tracker.engine.analyse import analyse
from tracker.settings.runs_file import run_settings
from tracker.settings.site_file import read_site, write_site
from tracker.site import Occluder, Site


@pytest.fixture
def desk(runs, tmp_path, monkeypatch):
    monkeypatch.setattr("tracker.dashboard.recordings.SCAN_S", 0.0)
    made = Desk(tmp_path / "dash", recordings=runs)
    yield made
    made.close()


def counts(tally) -> dict[tuple[str, str], int]:
    return {key: sum(by_class.values()) for key, by_class in tally.crossings.items()}


def lines_of(answer: dict, column: str) -> dict[tuple[str, str], int | None]:
    return {
        (place["place"], row["what"]): row[column]
        for place in answer["places"]
        if place["kind"] == "line"
        for row in place["rows"]
        if not row["class"]
    }


def test_a_recording_says_what_there_is_to_its_site(desk, runs):
    with desk.logged_in("oli", "operator") as client:
        stream = client.get("/api/streams/gate.mp4").json()
        found = client.get("/api/streams/gate.mp4/site").json()
    assert (stream["editable"], stream["site_revision"]) == (True, 1)
    assert (found["revision"], found["size"], found["site"]["lines"][0]["name"]) == (1, [640, 360], "door")
    assert found["recording"] == {
        "name": "gate",
        "scope": "recording",
        "scopes": ["recording", "folder"],
        "files": {"recording": "gate.site.yaml", "folder": "site.yaml"},
        "sharing": [],
        "apart": ["gate.mp4"],
        "has_rows": True,
        "has_picture": False,
        "duration_s": None,
        "runs_allowed": False,
        "commands": ["masktrail analyse gate.tracks.jsonl --site gate.site.yaml --out gate.events.jsonl"],
        "count_problem": None,
        "counted_revision": 1,
    }


def test_a_dry_run_is_over_the_whole_recording_beside_the_ledger(desk, runs, tmp_path):
    with desk.logged_in("oli", "operator") as client:
        same = client.post("/api/streams/gate.mp4/site/dry-run", json={"site": sent(COUNTED)}).json()
        moved = client.post("/api/streams/gate.mp4/site/dry-run", json={"site": sent(MOVED), "seconds": 1}).json()
    was = counts(analyse([runs / "gate.tracks.jsonl"], runs / "gate.site.yaml").tally)
    write_site(tmp_path / "moved.yaml", MOVED)
    now = analyse([runs / "gate.tracks.jsonl"], tmp_path / "moved.yaml").tally
    assert sum(was.values()) > 0
    assert lines_of(same, "was") == lines_of(same, "would") == was
    assert lines_of(moved, "would") == counts(now)
    assert [lines_of(moved, "was")[key] for key in (("door", "in"), ("new", "in"))] == [was["door", "in"], None]
    TypeAdapter(site_shapes.DryRunShape).validate_json(json.dumps(moved), strict=True)
    assert moved["seconds"] == same["seconds"] > 5
    [zone] = [place for place in moved["places"] if place["kind"] == "zone"]
    rows = {row["what"]: row["would"] for row in zone["rows"] if not row["class"]}
    assert rows["entered"] == sum(now.zones["middle"].entries.values()) > 0
    assert read_site(runs / "gate.site.yaml").revision == 1


def test_two_editors_and_the_history_of_a_recordings_site(desk, runs):
    address = "/api/streams/gate.mp4/site"
    with desk.logged_in("oli", "operator") as client:
        saved = client.put(address, json={"revision": 1, "site": sent(MOVED)})
        assert (saved.status_code, saved.json()["revision"]) == (200, 2)
        late = client.put(address, json={"revision": 1, "site": sent(COUNTED), "of": "recording"})
        assert late.status_code == 409
        assert (late.json()["revision"], late.json()["scope"]) == (2, "recording")
        assert {one["at"] for one in late.json()["diff"]} >= {"lines/new", "lines/sky", "zones/middle"}
        found = client.get(address).json()
        assert found["recording"]["counted_revision"] == 1
        old = client.get(f"{address}/1").json()
        assert [line["name"] for line in old["site"]["lines"]] == ["door", "sky"]
        text = client.get(f"{address}/export?format=opendatacam").text
        taken = client.post(f"{address}/import?format=opendatacam", content=text).json()
        assert [line["name"] for line in taken["site"]["lines"]] == ["door", "new"]
    assert read_site(runs / "gate.site.yaml").zones == MOVED.zones
    assert (runs / ".history" / "gate.site" / "1.yaml").exists()
    log = desk.context.accounts.rows("SELECT what, detail FROM log WHERE what = 'site saved'")
    assert log == [("site saved", "gate.mp4 revision 2")]


def test_one_site_for_all_recordings_of_a_folder(desk, runs):
    shutil.copy(runs / "gate.tracks.jsonl", runs / "yard.tracks.jsonl")
    write_video(runs / "yard.mp4", count=3)
    with desk.logged_in("ann", "admin") as client:
        empty = client.get("/api/streams/yard/site").json()
        assert (empty["revision"], empty["recording"]["sharing"]) == (0, ["yard"])
        assert empty["recording"]["apart"] == ["gate.mp4"]
        shared = client.put("/api/streams/yard/site", json={"revision": 0, "site": sent(MOVED), "scope": "folder"})
        assert shared.json()["revision"] == 1
        assert client.get("/api/streams/yard/site").json()["recording"]["scope"] == "folder"
        assert client.get("/api/streams/gate.mp4/site").json()["revision"] == 1, "its own one comes first"
        # Gate's own site is to become that of all: what stands there is shown first.
        body = {"revision": 1, "of": "recording", "scope": "folder", "site": sent(COUNTED)}
        refused = client.put("/api/streams/gate.mp4/site", json=body)
        assert (refused.status_code, refused.json()["scope"], refused.json()["revision"]) == (409, "folder", 1)
        taken = client.put("/api/streams/gate.mp4/site", json=body | {"of": "folder"})
        assert taken.json()["revision"] == 2
        after = client.get("/api/streams/gate.mp4/site").json()
        assert (after["recording"]["scope"], after["recording"]["sharing"]) == ("folder", ["gate.mp4", "yard"])
        assert client.get("/api/streams/yard/site").json()["site"]["lines"] == sent(COUNTED)["lines"]
        # And one gets its own again, with a number that it never had.
        own = {"revision": 2, "of": "folder", "scope": "recording", "site": sent(MOVED)}
        assert client.put("/api/streams/gate.mp4/site", json=own).json()["revision"] == 3
        stale = own | {"revision": 1}
        assert client.put("/api/streams/yard/site", json=stale).status_code == 409, "the shared one has changed"
    assert {path.name for path in runs.glob("*.yaml")} == {"gate.site.yaml", "site.yaml"}
    assert sorted(path.name for path in (runs / ".history" / "gate.site").iterdir()) == ["1.yaml"]


def test_who_sees_some_streams_changes_no_site_that_others_share(desk, runs):
    body = {"revision": 1, "site": sent(MOVED)}
    with desk.logged_in("narrow", "operator", ["gate.mp4"]) as client:
        assert client.get("/api/streams/gate.mp4/site").json()["recording"]["scopes"] == ["recording"]
        assert client.put("/api/streams/gate.mp4/site", json=body | {"scope": "folder"}).status_code == 403
        assert client.put("/api/streams/gate.mp4/site", json=body).status_code == 200
    (runs / "gate.site.yaml").rename(runs / "site.yaml")
    with desk.logged_in("narrow", "operator", ["gate.mp4"]) as client:
        assert client.put("/api/streams/gate.mp4/site", json=body | {"revision": 2}).status_code == 403
        own = body | {"revision": 2, "of": "folder", "scope": "recording"}
        assert client.put("/api/streams/gate.mp4/site", json=own).json()["revision"] == 3


def test_alert_rules_and_scopes_are_not_mixed_up(desk):
    with desk.logged_in("oli", "operator") as client:
        rules = client.put("/api/streams/gate.mp4/site/alerts", json={"revision": 1, "rules": []})
        assert rules.status_code == 404
        assert client.get("/api/alerts/rules").json() == {"sites": []}


def test_the_file_of_runs_may_name_the_site(desk, runs):
    (runs / "runs.yaml").write_text("site: sites/{name}.yaml\n")
    with desk.logged_in("oli", "operator") as client:
        files = client.get("/api/streams/gate.mp4/site").json()["recording"]["files"]
        assert files == {"recording": "sites/gate.yaml", "folder": "site.yaml"}
        (runs / "runs.yaml").write_text("site: lanes.yaml\n")
        files = client.get("/api/streams/gate.mp4/site").json()["recording"]["files"]
        assert files == {"recording": "gate.site.yaml", "folder": "lanes.yaml"}
        for text in ("site: ../out.yaml\n", "site: [\n", "site: /tmp/{name}.yaml\n"):
            (runs / "runs.yaml").write_text(text)
            files = client.get("/api/streams/gate.mp4/site").json()["recording"]["files"]
            assert files == {"recording": "gate.site.yaml", "folder": "site.yaml"}, text


def test_a_run_takes_the_site_that_was_drawn(tmp_path):
    outputs = {"save": "x.mp4", "records": "x.tracks.jsonl", "events": "x.events.jsonl"}

    def site_of(name: str) -> str | None:
        return run_settings(tmp_path, f"{name}.mp4", name=name, outputs=outputs).site

    assert site_of("gate") is None
    write_site(tmp_path / "site.yaml", COUNTED)
    write_site(tmp_path / "gate.site.yaml", MOVED)
    assert [site_of("gate"), site_of("yard")] == [str(tmp_path / "gate.site.yaml"), str(tmp_path / "site.yaml")]
    (tmp_path / "lanes.yaml").write_text((tmp_path / "site.yaml").read_text())
    (tmp_path / "runs.yaml").write_text("site: lanes.yaml\n")
    assert [site_of("gate"), site_of("yard")] == [str(tmp_path / "gate.site.yaml"), str(tmp_path / "lanes.yaml")]
    (tmp_path / "runs.yaml").write_text("site: '{name}.yaml'\n")
    assert [site_of("gate"), site_of("lanes")] == [str(tmp_path / "site.yaml"), str(tmp_path / "lanes.yaml")]


@pytest.mark.parametrize(
    ("site", "status", "words"),
    [
        (Site(occluders=(Occluder(name="a", polygon=((0.1, 0.1), (0.2, 0.1), (0.2, 0.3))),)), 409, "occluders"),
        (Site(reference_size=(400, 400)), 409, "640"),
    ],
)
def test_a_site_that_does_not_fit_the_rows_is_told(desk, site, status, words):
    with desk.logged_in("oli", "operator") as client:
        answer = client.post("/api/streams/gate.mp4/site/dry-run", json={"site": sent(site)})
    assert answer.status_code == status
    assert words in json.dumps(answer.json())
    assert "/" not in answer.json()["error"]["what"]


def test_damaged_or_missing_rows_are_told(desk, runs):
    write_video(runs / "yard.mp4", count=3)
    with desk.logged_in("oli", "operator") as client:
        none = client.post("/api/streams/yard/site/dry-run", json={"site": {}})
        assert none.status_code == 409
        assert "masktrail track --records" in none.json()["error"]["remedy"]
        assert client.get("/api/recordings/yard/trails").status_code == 409
        (runs / "gate.tracks.jsonl").write_text('{"frame": 1}\n')
        damaged = client.post("/api/streams/gate.mp4/site/dry-run", json={"site": {}})
        assert damaged.status_code == 409
        assert str(runs) not in damaged.text


def test_a_recording_that_is_too_long_to_keep_is_read_anew(runs, monkeypatch):
    found, rows = Recordings(runs).of("gate"), RowsOfRecordings()
    kept = [rows.dry_run(found, MOVED, None) for _ in range(2)]
    monkeypatch.setattr("tracker.dashboard.recorded_rows.MOST_BYTES", 1000)
    anew = RowsOfRecordings()
    assert [anew.dry_run(found, MOVED, None) for _ in range(2)] == kept
    assert anew.trails(found, from_s=0, to_s=9) == rows.trails(found, from_s=0, to_s=9)
    assert [held.blocks for _, held in anew._held.values()] == [None]


def test_a_dry_run_that_nobody_waits_for_ends(runs):
    found, rows = Recordings(runs).of("gate"), RowsOfRecordings()
    for _ in range(2):
        with pytest.raises(StoppedError):
            rows.dry_run(found, MOVED, None, stopped=lambda: True)
    assert rows.dry_run(found, MOVED, None)["places"]


def test_trails_are_shares_of_the_picture_in_a_time(desk):
    with desk.logged_in("val", "viewer") as client:
        whole = client.get("/api/recordings/gate.mp4/trails").json()
        part = client.get("/api/recordings/gate.mp4/trails?from_s=2&to_s=3").json()
        assert client.get("/api/recordings/none/trails").status_code == 404
    TypeAdapter(site_shapes.Trails).validate_json(json.dumps(whole), strict=True)
    assert (whole["size"], whole["from_s"]) == ([640, 360], 0.0)
    assert whole["to_s"] > 5
    assert len(whole["trails"]) >= 5
    points = np.array([point for trail in whole["trails"] for point in trail["points"]])
    assert (points[:, 1:] >= -0.1).all()
    assert (points[:, 1:] <= 1.1).all()
    times = [point[0] for trail in part["trails"] for point in trail["points"]]
    assert min(times) >= 2
    assert max(times) <= 3
    assert all(trail["class"] for trail in part["trails"])


def test_stills_at_any_time_are_for_those_that_may_see_people(desk, runs):
    write_video(runs / "gate.mp4", count=30)
    address = "/api/recordings/gate.mp4/frame"
    with desk.logged_in("ann", "admin") as client:
        assert client.get(address).status_code == 403
        assert client.get("/api/streams/gate.mp4/site").json()["recording"]["has_picture"] is False
    with desk.logged_in("eve", "operator", see_people=True) as client:
        found = client.get("/api/streams/gate.mp4/site").json()["recording"]
        assert (found["has_picture"], found["duration_s"] > 0) == (True, True)
        pictures = [client.get(f"{address}?at_s={at_s}&width=64").content for at_s in (0, 0.5, 0.5, 1e5)]
        assert client.get("/api/recordings/none/frame").status_code == 404
        (runs / "gate.mp4").write_bytes(b"no video")
        assert client.get(address).status_code == 404
    decoded = [cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_COLOR) for one in pictures]
    assert {one.shape[1] for one in decoded} == {64}
    assert pictures[1] == pictures[2]
    assert pictures[0] != pictures[1]
