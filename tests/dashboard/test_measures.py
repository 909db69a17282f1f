"""Measures by the API: speeds as the command tells them, and only of streams that may be seen."""

from __future__ import annotations

import pytest

from tests.dashboard.clients import Desk, PlayedEngine
from tests.sinks.ledgers import START_MS, crossing, write_ledger
from tracker.analytics.corrections import Corrections
from tracker.analytics.group_occupancy import occupancy_bins
from tracker.analytics.group_occupancy import passages as passages_of
from tracker.analytics.spans import spans_of
from tracker.analytics.speeds import passages, speeds
from tracker.analytics.visitors import visitors
from tracker.analytics.waits import length_bins, queue_figures, waits
from tracker.formats.ledger import read_events
from tracker.settings.groups_file import read_groups
from tracker.settings.site_file import read_site

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
SHOP = """version: 1
revision: 1
timezone: Europe/Berlin
lines:
  - {name: door, points: [[0.1, 0.5], [0.9, 0.5]]}
  - {name: street, points: [[0.1, 0.8], [0.9, 0.8]]}
zones:
  - {name: row, polygons: [[[0.1, 0.1], [0.4, 0.1], [0.4, 0.4]]]}
  - {name: till, polygons: [[[0.6, 0.1], [0.9, 0.1], [0.9, 0.4]]]}
doors:
  - {name: front, lines: [door]}
queues:
  - {name: first, zone: row, served_at: till}
  - {name: second, zone: till, served_at: row}
footfall:
  - {name: shop, doors: front, passing: [street], staff_zones: [till]}
  - {name: yard, doors: front}
"""


def speed_rows(*, stream: str = "gate", count: int = 40) -> list:
    """Passages of cars, every tenth of which has no speed."""
    rows = []
    for number in range(count):
        passed = crossing(2 * number, stream=stream, class_name="car", identity=number + 1, direction="in")
        rows.append(passed)
        if number % 3 == 0:
            close = {"kind": "headway", "value": 1.5 + number % 2 * 4, "other_identity": 90}
            rows.append(crossing(2 * number, stream=stream, identity=number + 1, direction="in", **close))
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
    [free] = speeds([one for one in passages(events) if one.is_free])
    with desk.logged_in("ann", "viewer", ["gate"]) as client:
        found = client.get("/api/speeds").json()
        fast = client.get("/api/speeds?unit=m/s").json()
        alone = client.get("/api/speeds?unit=m/s&free_flow=true").json()
    [group] = fast["groups"]
    assert (group["stream"], group["place"], group["direction"], group["class"]) == ("gate", "door", "in", "car")
    assert (group["n"], group["unknown"]) == (expected.n, expected.unknown) == (36, 4)
    for name in ("v15", "v50", "v85", "time_mean", "space_mean"):
        assert group[name] == pytest.approx(getattr(expected, name), abs=0.0051)
        assert found["all"][name] == pytest.approx(3.6 * getattr(expected, name), abs=0.01)
    assert sum(one["count"] for one in found["histogram"]) == 36
    assert (alone["all"]["n"], alone["all"]["unknown"]) == (free.n, free.unknown)
    assert 0 < free.n < 36
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


# ---- queues and footfall --------------------------------------------------------------------------------------------

HOUR_S = 3600


def wait_rows() -> list:
    """Three waits of one queue: served, given up across the full hour, and one that lasts; and an outage of another."""
    at = {"place": "first", "direction": ""}
    rows = [crossing(10, kind="queue_join", identity=1, **at), crossing(20, kind="queue_join", identity=2, **at)]
    for number, identity, since_s, end in ((70, 1, 10.0, "served"), (HOUR_S + 20, 2, 20.0, "abandoned")):
        left = {"kind": "queue_leave", "identity": identity, "since_s": since_s, "value": number - since_s}
        rows.append(crossing(number, **left, **(at | {"direction": end})))
    rows.append(crossing(HOUR_S + 30, kind="queue_join", identity=3, **at))
    rows.append(crossing(2 * HOUR_S + 60, kind="identity_end", identity=9, place="", direction="", since_s=5.0))
    rows.append(crossing(2 * HOUR_S + 600, kind="gap", identity=0, place="", direction="", since_s=2 * HOUR_S + 70.0))
    return rows


def foot_rows() -> list:
    """Two guests together, one of the staff, one that comes back, three that pass; and one of another day."""
    rows = [crossing(number, identity=number + 1, direction="in") for number in (10, 11, 40)]
    rows.append(crossing(40, kind="staff", place="till", direction="", identity=41))
    rows.append(crossing(11, kind="group", direction="in", identity=11, value=2.0))
    rows.append(crossing(11, kind="group_member", direction="in", identity=12, other_identity=11))
    rows += [crossing(60, identity=11, direction="out"), crossing(90, identity=11, direction="in")]
    rows.append(crossing(90, kind="re_entry", place="front", direction="", identity=11, since_s=60.0, value=30.0))
    rows += [crossing(100 + number, kind="passing", place="street", identity=70 + number) for number in range(3)]
    rows.append(crossing(30 * HOUR_S, identity=99, direction="in"))
    return rows


@pytest.fixture
def shop(tmp_path):
    (tmp_path / "gate.yaml").write_text(SHOP)
    (tmp_path / "empty.yaml").write_text(SHOP)
    made = []

    def opened(rows):
        store = write_ledger(tmp_path / "shop.sqlite", sorted(rows, key=lambda one: one.time_s))
        made.append(Desk(tmp_path / "dash", engine=PlayedEngine(tmp_path, "gate", "empty"), ledgers=[store]))
        return made[-1]

    yield opened
    for one in made:
        one.close()


def test_queues_are_those_of_the_command(shop, tmp_path):
    desk = shop(wait_rows())
    events = list(read_events(tmp_path / "shop.sqlite"))
    found, known = waits(events), spans_of(events)
    [expected] = queue_figures(found, known)
    expected_bins = length_bins(found, known, bin_s=900)
    with desk.logged_in("ann", "viewer", ["gate"]) as client:
        answer = client.get("/api/queues?bin_s=900").json()
    first, second = answer["queues"]
    assert (first["served"], first["abandoned"], first["waiting"]) == (1, 1, 1)
    for name in ("served", "partly_seen", "mean_wait_s", "median_wait_s", "mean_length", "longest", "share_above"):
        assert first[name] == pytest.approx(getattr(expected, name), abs=1e-3), name
    assert answer["starts_ms"] == [row.start_ms for row in expected_bins]
    assert first["mean"] == [pytest.approx(row.mean, abs=1e-3) for row in expected_bins]
    assert first["most"] == [row.longest for row in expected_bins]
    assert (second["place"], second["served"], second["mean_wait_s"]) == ("second", 0, None)
    assert second["mean"][:-1] == [0] * (len(expected_bins) - 1)
    assert second["mean"][-1] is None, "the camera was out: no zero"


def test_a_wait_counts_where_it_began_and_its_length_where_it_lasts(shop):
    desk = shop(wait_rows())
    later = f"/api/queues?stream=gate&place=first&from_ms={START_MS + HOUR_S * 1000}"
    with desk.logged_in() as client:
        [found] = client.get(later).json()["queues"]
        [never] = client.get("/api/queues?stream=empty&place=first").json()["queues"]
    assert (found["abandoned"], found["waiting"]) == (0, 1)
    assert found["longest"] == 1
    assert 0.9 < found["mean_length"] <= 1
    assert (never["known"], never["served"]) == (False, 0)


def test_footfall_is_that_of_the_command(shop, tmp_path):
    desk = shop(foot_rows())
    events, site = list(read_events(tmp_path / "shop.sqlite")), read_site(tmp_path / "gate.yaml")
    expected = next(one for one in visitors(events, site) if one.place == "shop")
    with desk.logged_in("ann", "viewer", ["gate"]) as client:
        every = client.get("/api/footfall?bin_s=3600").json()
        first = client.get(f"/api/footfall?place=shop&to_ms={START_MS + HOUR_S * 1000}").json()
    row, yard = every["footfall"]
    assert (row["visitors"], row["staff"], row["re_entries"], row["grouped"]) == (3, 1, 1, 2)
    for name in ("visitors", "entries", "exits", "parties", "passers_by", "capture_of_passing", "capture_of_all"):
        assert row[name] == pytest.approx(getattr(expected, name), abs=1e-3), name
    assert (yard["passers_by"], yard["capture_of_all"], yard["bins"]["passers_by"]) == (None, None, None)
    assert sum(row["bins"]["visitors"]) == 3
    assert every["timezone"] == "Europe/Berlin"
    [early] = first["footfall"]
    assert (early["visitors"], early["staff"], early["passers_by"]) == (2, 1, 3)


def test_too_many_bins_are_refused(shop):
    desk = shop(wait_rows())
    with desk.logged_in() as client:
        for topic in ("queues", "footfall"):
            answer = client.get(f"/api/{topic}?bin_s=10&from_ms=0&to_ms={START_MS + HOUR_S * 1000}")
            assert answer.status_code == 422
            assert "bins" in answer.json()["error"]["expected"]


# ---- conflicts ------------------------------------------------------------------------------------------------------


def conflict_rows(stream: str = "gate") -> list:
    at = {"stream": stream, "direction": "", "class_name": "car"}
    rows = [
        crossing(10 * number, kind="time_to_collision", place="", identity=number, other_identity=50, value=value, **at)
        for number, value in enumerate((0.7, 1.2, 2.9, 3.0), start=1)
    ]
    rows.append(crossing(45, kind="post_encroachment", place="box", identity=7, other_identity=8, value=1.4, **at))
    rows += [crossing(number, kind="stopped", place="box", identity=number, **at) for number in (50, 60)]
    rows.append(crossing(75, kind="stopped", place="box", identity=50, since_s=50.0, **at))
    rows.append(crossing(80, kind="wrong_way", place="lane", identity=9, since_s=71.5, **at))
    return [*rows, crossing(90, kind="rekeyed", place="", identity=5, was_identity=50, **at)]


def test_conflicts_are_sorted_by_how_close_they_were(tmp_path):
    (tmp_path / "quiet.yaml").write_text(SITE + "traffic: {}\n")
    store = write_ledger(tmp_path / "e.sqlite", [*conflict_rows(), *conflict_rows("vault")])
    desk = Desk(tmp_path / "dash", engine=PlayedEngine(tmp_path, "gate", "vault", "quiet"), ledgers=[store])
    with desk.logged_in("ann", "viewer", ["gate", "quiet"]) as client:
        found = client.get("/api/conflicts").json()
        close = client.get("/api/conflicts?below_s=1").json()
        quiet = client.get("/api/conflicts?stream=quiet").json()
    desk.close()
    assert [one["value_s"] for one in found["pairs"]] == [0.7, 1.2, 1.4, 2.9]
    assert [one["other_identity"] for one in found["pairs"]] == [5, 5, 8, 5], "as it is called now"
    first, second = found["kinds"]
    assert (first["n"], first["least_s"], first["median_s"]) == (3, 0.7, 1.2)
    assert [one["count"] for one in first["histogram"]] == [0, 1, 1, 0, 0, 1]
    assert (second["kind"], second["n"]) == ("post_encroachment", 1)
    assert found["lasting_n"] == {"stopped": 2, "wrong_way": 1}
    lasted = {(one["kind"], one["at_ms"] - START_MS): one["lasted_s"] for one in found["lasting"]}
    assert lasted == {("stopped", 50_000): 25.0, ("stopped", 60_000): None, ("wrong_way", 71_500): 8.5}
    assert [one["n"] for one in close["kinds"]] == [1, 0]
    assert (quiet["pairs"], quiet["streams"]) == ([], ["quiet"])
    assert found["streams"] == ["gate", "quiet"]


# ---- site groups ----------------------------------------------------------------------------------------------------

GROUPS = """version: 1
groups:
  - name: hall
    timezone: Europe/Berlin
    reset_at: 04:00
    cameras: [gate, vault]
    doors:
      - {camera: gate, line: door}
      - {camera: vault, line: door}
"""


def test_groups_are_those_of_the_command_and_of_those_who_see_all_cameras(tmp_path):
    rows = [crossing(60 * number, direction="in" if number % 3 else "out") for number in range(60)]
    rows += [crossing(60 * number + 7, stream="vault", direction="out") for number in range(30)]
    rows.append(crossing(30 * HOUR_S, stream="vault", direction="in"))
    store = write_ledger(tmp_path / "e.sqlite", rows)
    (tmp_path / "groups.yaml").write_text(GROUPS)
    [group] = read_groups(tmp_path / "groups.yaml")
    events = list(read_events(store))
    found = passages_of(events, group, Corrections.of(events))
    last = START_MS + 30 * HOUR_S * 1000
    named = {"groups": str(tmp_path / "groups.yaml")}
    desk = Desk(tmp_path / "dash", engine=PlayedEngine(tmp_path, "gate", "vault"), ledgers=[store], **named)
    with desk.logged_in("ann", "viewer", ["gate", "vault"]) as client:
        [hall] = client.get("/api/groups?bin_s=3600").json()["groups"]
        later = client.get(f"/api/groups?bin_s=3600&from_ms={START_MS + 25 * HOUR_S * 1000}").json()
    with desk.logged_in("bob", "viewer", ["gate"]) as client:
        assert client.get("/api/groups").json() == {"bin_s": 900, "configured": True, "groups": []}
    (tmp_path / "groups.yaml").write_text("version: 1\ngroups: [{name: hall}]\n")
    with desk.logged_in("ann") as client:
        broken = client.get("/api/groups")
    desk.close()
    expected = occupancy_bins(found, group, bin_s=3600, start_ms=START_MS, end_ms=last + 1, now_ms=last)
    assert hall["starts_ms"] == [row.start_ms for row in expected]
    assert hall["inside"] == [row.balance for row in expected]
    assert hall["corrected"] == [row.corrected and pytest.approx(row.corrected, abs=0.01) for row in expected]
    assert [(one["drift"], one["to_ms"] is None) for one in hall["periods"]] == [(40 - 20 - 30, False), (None, True)]
    assert later["groups"][0]["inside"][0] == expected[25].balance
    assert broken.status_code == 409
    assert str(tmp_path) not in broken.text
