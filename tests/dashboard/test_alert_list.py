"""Alerts on the dashboard: begins with their ends, acknowledgement with a right and a row of the log, what waits."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tests.dashboard.clients import Desk, PlayedEngine
from tests.sinks.ledgers import START_MS, write_ledger
from tracker.dashboard.accounts import AccountStore
from tracker.dashboard.alert_list import acknowledge, paired
from tracker.events import Event


def alert(time_s: float, rule: str = "long queue", *, since_s: float | None = None, stream: str = "gate", value=8.0):
    utc_ms = START_MS + round(time_s * 1000)
    return Event(kind="alert", stream=stream, time_s=time_s, utc_ms=utc_ms, place=rule, value=value, since_s=since_s)


@pytest.fixture
def desk(tmp_path):
    rows = [
        alert(10.0),
        alert(70.0, since_s=10.0, value=11.0),
        alert(100.0),
        alert(120.0, "camera moved", value=1.0),
        alert(130.0, "secret", stream="yard"),
    ]
    store = write_ledger(tmp_path / "live.sqlite", rows)
    made = Desk(tmp_path / "dash", engine=PlayedEngine(tmp_path, "gate", "yard"), ledgers=[store])
    yield made
    made.close()


def test_alerts_under_way_come_first(desk):
    with desk.logged_in("ada", "viewer", ["gate"]) as client:
        answer = client.get("/api/alerts").json()
    assert answer["waiting"] == 2
    told = [(one["rule"], one["began_ms"] - START_MS, one["under_way"], one["value"]) for one in answer["alerts"]]
    assert told == [
        ("camera moved", 120_000, True, 1.0),
        ("long queue", 100_000, True, 8.0),
        ("long queue", 10_000, False, 11.0),
    ]
    assert answer["alerts"][2]["ended_ms"] - START_MS == 70_000


def test_an_operator_acknowledges_once_and_the_log_says_so(desk):
    with desk.logged_in("oli", "operator", ["gate"]) as client:
        first = client.get("/api/alerts").json()["alerts"][1]
        body = {"stream": "gate", "key": first["key"]}
        assert client.post("/api/alerts/acknowledge", json=body).status_code == 204
        assert client.post("/api/alerts/acknowledge", json=body).status_code == 204
        answer = client.get("/api/alerts").json()
        assert answer["waiting"] == 1
        assert [one["acknowledged"] and one["acknowledged"]["by"] for one in answer["alerts"]] == [None, "oli", None]
        assert client.post("/api/alerts/acknowledge", json=body | {"key": "none"}).status_code == 404
        assert client.post("/api/alerts/acknowledge", json=body | {"stream": "yard"}).status_code == 404
    rows = [row for row in desk.context.accounts.log() if row.what == "alert acknowledged"]
    assert [(row.name, row.detail) for row in rows] == [("oli", "gate long queue")]


def test_a_viewer_may_not_acknowledge(desk):
    with desk.logged_in("val", "viewer") as client:
        key = client.get("/api/alerts").json()["alerts"][0]["key"]
        assert client.post("/api/alerts/acknowledge", json={"stream": "gate", "key": key}).status_code == 403


def row(at_ms: int, since_ms: int | None = None) -> dict[str, object]:
    place = {"stream": "gate", "place": "rule", "utc": True, "value": 1.0}
    return {"key": f"k{at_ms}", "at_ms": at_ms, "since_ms": since_ms, **place}


def test_rows_without_their_other_half():
    lost_begin = paired([row(90, 40)])
    assert [(one["began_ms"], one["ended_ms"], one["under_way"]) for one in lost_begin] == [(40, 90, False)]
    lost_end = paired([row(10), row(50), row(90, 50)])
    assert [(one["began_ms"], one["ended_ms"], one["under_way"]) for one in lost_end] == [
        (10, None, False),
        (50, 90, False),
    ]


def test_a_file_of_an_earlier_version_gets_the_table(tmp_path):
    AccountStore(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "dashboard.sqlite")) as connection:
        connection.execute("DROP TABLE seen_alerts")
    store = AccountStore(tmp_path)
    assert acknowledge(store, "key", "ada")
    assert not acknowledge(store, "key", "oli")
    assert store.rows("SELECT name FROM seen_alerts") == [("ada",)]
    store.close()
