"""Exports of measures: the numbers of their pages as rows, with the filters of the address, of what may be seen."""

from __future__ import annotations

import csv
import io

import pytest

from tests.analytics.walks import through
from tests.dashboard.clients import Desk, PlayedEngine
from tests.dashboard.test_measures import GROUPS, SHOP, conflict_rows, foot_rows, speed_rows, wait_rows
from tests.heats import heat_store
from tests.sinks.ledgers import START_MS, crossing, write_ledger

HOUR = f"from_ms={START_MS}&to_ms={START_MS + 3_600_000}"


@pytest.fixture
def client(tmp_path):
    store = tmp_path / "e.sqlite"
    heat_store(store, {1: through((1, 0.6, 0.6), (9, 0.8, 0.8))}, stream="gate", duration_s=10.0, start_ms=START_MS)
    rows = [*speed_rows(), *conflict_rows(), *wait_rows(), *foot_rows()]
    rows += [crossing(5, stream="vault"), *conflict_rows("vault"), crossing(7, kind="alert", place="=row", identity=0)]
    write_ledger(store, sorted(rows, key=lambda one: one.time_s))
    (tmp_path / "gate.yaml").write_text(SHOP)
    (tmp_path / "groups.yaml").write_text(GROUPS)
    engine = PlayedEngine(tmp_path, "gate", "vault")
    desk = Desk(tmp_path / "dash", engine=engine, ledgers=[store], groups=str(tmp_path / "groups.yaml"))
    desk.user("narrow", "viewer", ["gate"])
    with desk.logged_in("narrow") as narrow, desk.logged_in("ann", "admin") as everything:
        yield lambda address, *, whole=False: (everything if whole else narrow).get(address)
    desk.close()


def table(answer) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert "attachment" in answer.headers["content-disposition"]
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_speeds(client):
    groups = client("/api/speeds?unit=m/s&free_flow=true").json()["groups"]
    rows = table(client("/api/export/speeds.csv?unit=m/s&free_flow=true"))
    assert [(row["place"], row["class"], int(row["n"])) for row in rows] == [
        (one["place"], one["class"], one["n"]) for one in groups
    ]
    car = next(row for row in rows if row["class"] == "car")
    assert (car["stream"], car["unit"]) == ("gate", "m/s")
    assert float(car["time_mean"]) == next(one["time_mean"] for one in groups if one["class"] == "car")


def test_conflicts(client):
    page = client("/api/conflicts?below_s=2").json()
    rows = table(client("/api/export/conflicts.csv?below_s=2"))
    assert [float(row["value_s"]) for row in rows if row["value_s"]] == [one["value_s"] for one in page["pairs"]]
    assert len(rows) == len(page["pairs"]) + len(page["lasting"])
    assert {row["stream"] for row in rows} == {"gate"}
    assert rows[0]["at"].endswith("Z")
    assert len(table(client("/api/export/conflicts.csv?below_s=2", whole=True))) == 2 * len(rows)


def test_queues_and_footfall_have_gaps_and_no_zeros_for_what_is_not_known(client):
    page = client("/api/queues?bin_s=900").json()
    rows = table(client("/api/export/queues.csv?bin_s=900"))
    first = [row for row in rows if row["place"] == "first"]
    assert [float(row["mean"]) for row in first] == page["queues"][0]["mean"]
    assert [row["from_ms"] for row in first] == [str(at) for at in page["starts_ms"]]
    gaps = [row for row in rows if row["place"] == "second" and row["mean"] == ""]
    assert len(gaps) == page["queues"][1]["mean"].count(None) > 0
    page = client("/api/footfall?bin_s=3600").json()["footfall"]
    rows = [row for row in table(client("/api/export/footfall.csv?bin_s=3600")) if row["place"] == "shop"]
    for name in ("visitors", "entries", "staff", "passers_by"):
        assert sum(int(row[name] or 0) for row in rows) == page[0][name], name


def test_groups(client):
    [group] = client(f"/api/groups?bin_s=900&{HOUR}", whole=True).json()["groups"]
    rows = table(client(f"/api/export/groups.csv?bin_s=900&{HOUR}", whole=True))
    assert [int(row["inside"]) for row in rows] == group["inside"]
    assert {row["group"] for row in rows} == {"hall"}
    assert table(client("/api/export/groups.csv")) == [], "not all of its cameras may be seen"


def test_heatmap(client):
    page = client("/api/streams/gate/heatmap").json()
    rows = table(client("/api/export/heatmap.csv"))
    assert sum(float(row["seconds"]) for row in rows) == pytest.approx(page["sum"], abs=0.01)
    assert all(0 < float(row[name]) < 1 for row in rows for name in ("x", "y"))
    assert table(client("/api/export/heatmap.csv?class=boat")) == []


def test_alerts_cannot_be_run_by_a_spreadsheet(client):
    [row] = table(client("/api/export/alerts.csv"))
    assert (row["rule"], row["under_way"], row["acknowledged_by"]) == ("'=row", "1", "")


@pytest.mark.parametrize("what", ["speeds", "conflicts", "queues", "footfall", "groups", "heatmap", "alerts"])
def test_every_form_and_no_foreign_stream(client, what):
    rows = client(f"/api/export/{what}.json").json()
    assert len(rows) == len(table(client(f"/api/export/{what}.csv")))
    assert client(f"/api/export/{what}.parquet").content[:4] == b"PAR1"
    if what != "groups":
        assert client(f"/api/export/{what}.csv?stream=vault").status_code == 404
    assert client(f"/api/export/{what}.csv?none=1").status_code == 422
