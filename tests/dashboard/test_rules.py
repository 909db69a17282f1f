"""Alert rules from the page: saved as revisions of the site with the checks of the command, and conflicts are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.command import Run
from tests.dashboard.clients import Desk, PlayedEngine
from tracker.dashboard.rule_list import site_rules
from tracker.settings.site_file import read_site
from tracker.site import Site

SITE = """version: 1
revision: 4
zones:
  - {name: hall, polygons: [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]}
lines:
  - {name: door, points: [[0.1, 0.5], [0.9, 0.5]], classes: [person]}
alerts:
  - {name: moved, watch: camera_moved}
"""
BUSY = {"name": "busy", "watch": "presence", "place": "hall", "over": 20, "for_s": 60, "quiet": ["22:00-06:00"]}


@pytest.fixture
def desk(tmp_path: Path):
    for name in ("gate", "yard"):
        (tmp_path / f"{name}.yaml").write_text(SITE)
    made = Desk(tmp_path / "dash", engine=PlayedEngine(tmp_path, "gate", "yard"))
    yield made
    made.close()


def rules_in(client: Any, stream: str = "gate") -> dict[str, Any]:
    [found] = client.get("/api/alerts/rules", params={"stream": stream}).json()["sites"]
    return found


def test_a_rule_is_added_changed_and_deleted_and_the_rest_of_the_site_stays(desk: Desk, tmp_path: Path) -> None:
    with desk.logged_in("oli", "operator", ["gate"]) as client:
        found = rules_in(client)
        assert (found["revision"], [rule["name"] for rule in found["rules"]]) == (4, ["moved"])
        wanted = [*found["rules"], BUSY]
        answer = client.put("/api/streams/gate/site/alerts", json={"revision": 4, "rules": wanted})
        assert answer.status_code == 200, answer.text
        assert answer.json()["revision"] == 5
        assert answer.json()["rules"][1] | BUSY == answer.json()["rules"][1]
        site = read_site(tmp_path / "gate.yaml")
        assert [rule.name for rule in site.alerts] == ["moved", "busy"]
        assert site.lines[0].classes == ("person",)
        assert desk.context.engine.saved == ["gate"]
        answer = client.put("/api/streams/gate/site/alerts", json={"revision": 5, "rules": []})
        assert read_site(tmp_path / "gate.yaml").alerts == ()
        assert client.get("/api/streams/gate/site/5").json()["site"]["alerts"][1]["name"] == "busy"
        assert [one["stream"] for one in client.get("/api/alerts/rules").json()["sites"]] == ["gate"]


def test_two_editors_of_rules(desk: Desk, tmp_path: Path) -> None:
    with desk.logged_in("oli", "operator") as client:
        for name, status in (("first", 200), ("second", 409)):
            body = {"revision": 4, "rules": [BUSY | {"name": name}]}
            answer = client.put("/api/streams/gate/site/alerts", json=body)
            assert answer.status_code == status
    told = answer.json()
    assert told["revision"] == 5
    assert [rule["name"] for rule in told["site"]["alerts"]] == ["first"]
    assert {row["at"] for row in told["diff"]} == {"alerts/first", "alerts/second"}
    assert [rule.name for rule in read_site(tmp_path / "gate.yaml").alerts] == ["first"]


@pytest.mark.parametrize(
    "change",
    [
        {"place": "cellar"},
        {"watch": "speed", "place": "door", "for_s": 5},
        {"until": 30},
        {"quiet": ["sometimes"]},
        {"name": "moved"},
        {"watch": "moon"},
        {"clear_s": 0},
        {"colour": "red"},
    ],
)
def test_what_the_command_refuses_the_page_refuses_in_its_words(
    desk: Desk, tmp_path: Path, run: Run, change: dict[str, Any]
) -> None:
    import yaml

    with desk.logged_in("oli", "operator") as client:
        rules = [*rules_in(client)["rules"], BUSY | change]
        answer = client.put("/api/streams/gate/site/alerts", json={"revision": 4, "rules": rules})
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert read_site(tmp_path / "gate.yaml").revision == 4, "nothing is written"
    own = yaml.safe_load(SITE)
    own["alerts"].append(BUSY | change)
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(own))
    told = " ".join(run("site", "check", tmp_path / "own.yaml").err.split())
    assert f"expected {error['expected']}, found {error['found']}" in told
    assert error["remedy"] in told


def test_a_viewer_reads_rules_and_changes_none(desk: Desk) -> None:
    with desk.logged_in("val", "viewer", ["gate"]) as client:
        assert rules_in(client)["rules"][0]["name"] == "moved"
        answer = client.put("/api/streams/gate/site/alerts", json={"revision": 4, "rules": []})
        assert answer.status_code == 403
        assert client.get("/api/alerts/rules", params={"stream": "yard"}).status_code == 404


def test_a_site_that_cannot_be_read_is_told_beside_the_others(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "yard.yaml").write_text("lines: 7\n")
    with desk.logged_in("oli", "operator") as client:
        gate, yard = client.get("/api/alerts/rules").json()["sites"]
    assert gate["problem"] is None
    assert "list of lines" in yard["problem"]


def test_what_a_camera_alone_can_watch_needs_no_place() -> None:
    watches = {one["watch"]: one for one in site_rules("gate", Site())["watches"]}
    assert not watches["gap"]["needs_place"]
    assert watches["gap"]["is_instant"]
    assert watches["queue"] == {"watch": "queue", "places": [], "needs_place": True, "is_instant": False}
