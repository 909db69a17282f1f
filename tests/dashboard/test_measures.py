"""Measures by the API: speeds as the command tells them, and only of streams that may be seen."""

from __future__ import annotations

import pytest

from tests.dashboard.clients import Desk, PlayedEngine
from tests.sinks.ledgers import START_MS, crossing, write_ledger
from tracker.analytics.speeds import passages, speeds
from tracker.formats.ledger import read_events

SITE = """version: 1
revision: 1
ground:
  points:
    - {at: [0.1, 0.9], metres: [0, 0]}
    - {at: [0.9, 0.9], metres: [10, 0]}
    - {at: [0.7, 0.4], metres: [10, 30]}
    - {at: [0.3, 0.4], metres: [0, 30]}
lines:
  - {name: door, points: [[0.1, 0.5], [0.9, 0.5]], measures: [speed]}
  - {name: far, points: [[0.1, 0.4], [0.9, 0.4]], measures: [speed]}
"""


def speed_rows(*, stream: str = "gate", count: int = 40) -> list:
    """Passages of cars, every tenth of which has no speed."""
    rows = []
    for number in range(count):
        passed = crossing(2 * number, stream=stream, class_name="car", identity=number + 1, direction="in")
        rows.append(passed)
        if number % 10:
            common = {"stream": stream, "class_name": "car", "identity": number + 1, "direction": "in"}
            rows.append(crossing(2 * number, kind="speed", value=8.0 + number / 10, error=0.3, **common))
    return rows


@pytest.fixture
def desk(tmp_path):
    (tmp_path / "gate.yaml").write_text(SITE)
    store = write_ledger(tmp_path / "e.sqlite", [*speed_rows(), *speed_rows(stream="vault", count=50)])
    made = Desk(tmp_path / "dash", engine=PlayedEngine(tmp_path, "gate", "vault"), ledgers=[store])
    yield made
    made.close()


def test_speeds_are_those_of_the_command(desk, tmp_path):
    events = [one for one in read_events(tmp_path / "e.sqlite") if one.stream == "gate"]
    [expected] = speeds(passages(events))
    with desk.logged_in("ann", "viewer", ["gate"]) as client:
        found = client.get("/api/speeds").json()
        fast = client.get("/api/speeds?unit=m/s").json()
    [group] = fast["groups"]
    assert (group["stream"], group["place"], group["direction"], group["class"]) == ("gate", "door", "in", "car")
    assert (group["n"], group["unknown"]) == (expected.n, expected.unknown) == (36, 4)
    for name in ("v15", "v50", "v85", "time_mean", "space_mean"):
        assert group[name] == pytest.approx(getattr(expected, name), abs=0.0051)
        assert found["all"][name] == pytest.approx(3.6 * getattr(expected, name), abs=0.01)
    assert sum(one["count"] for one in found["histogram"]) == 36
    assert found["lines"] == [{"stream": "gate", "place": "door"}, {"stream": "gate", "place": "far"}]


def test_a_line_that_measures_is_told_from_one_without_passages(desk):
    with desk.logged_in() as client:
        later = client.get(f"/api/speeds?stream=gate&from_ms={START_MS + 10_000_000}").json()
        other = client.get("/api/speeds?stream=gate&place=hall").json()
        few = client.get(f"/api/speeds?stream=gate&to_ms={START_MS + 9_000}").json()
    assert (later["all"], later["groups"], len(later["lines"])) == (None, [], 2)
    assert (other["all"], other["lines"]) == (None, [])
    assert few["all"]["n"] == 4
    assert few["all"]["v85"] is None
    assert few["all"]["time_mean"] > 0


def test_passages_of_one_time_count_where_none_of_them_has_a_speed(desk):
    """The line measures at other times: these are not known, and not left out."""
    with desk.logged_in() as client:
        found = client.get(f"/api/speeds?stream=gate&to_ms={START_MS + 1_000}").json()
    assert (found["all"]["n"], found["all"]["unknown"]) == (0, 1)
