"""Figures of a report against the events themselves: counts, outages, the week before, dwell, speeds, quality."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from tests.report.weeks import OUT_H, ZONE, at_ms, events, write_weeks
from tests.sinks.ledgers import crossing, write_ledger
from tracker.analytics.dwell import dwell
from tracker.analytics.stays import stays
from tracker.errors import ConfigError, SourceError
from tracker.premises import Footfall
from tracker.report.axes import duration_text
from tracker.report.build import Asked, Built, build
from tracker.report.document import Chart, Facts, Matrix, Section, Table
from tracker.report.questions import Valued
from tracker.report.store import Ledger
from tracker.report.value_sections import speed_section, values_of
from tracker.site import Doors, Flow, Line, Site, Zone

WEEK = {"from_ms": at_ms(168), "to_ms": round(datetime(2026, 3, 30, tzinfo=ZONE).timestamp() * 1000)}
DOOR = Line(name="door", points=((0.1, 0.5), (0.9, 0.5)))
TILL = Zone(name="till", polygons=(((0.5, 0.1), (0.7, 0.1), (0.7, 0.3)),))
FLOWS = (
    Flow(name="door to till", start="door", end="till", start_direction="in"),
    Flow(name="door to door", start="door", end="door"),
)
STREET = Line(name="street", points=((0.1, 0.9), (0.9, 0.9)), to_left="left", to_right="right")
SITE = Site(
    lines=(DOOR, replace(DOOR, name="back door"), STREET),
    zones=(TILL,),
    flows=FLOWS,
    doors=(Doors(name="shop", lines=("door",)),),
    footfall=(Footfall(name="visitors", doors="shop", passing=("street",)),),
    timezone="Europe/Berlin",
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weeks(tmp_path_factory.mktemp("weeks") / "weeks.sqlite")


@pytest.fixture(scope="module")
def week(store: Path) -> Built:
    return build(Asked(ledgers=[Ledger(path=store)], zone=ZONE, sites={Path("shop.yaml"): SITE}, **WEEK))


def within(**limits: int):
    return [one for one in events() if WEEK["from_ms"] <= (one.utc_ms or 0) < WEEK["to_ms"]]


def section(built: Built, key: str) -> Section:
    return next(one for one in built.report.sections if one.key == key)


def parts(built: Built, key: str, kind: type):
    return [part for part in section(built, key).parts if isinstance(part, kind)]


def rows(built: Built, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(built.csv()[name].decode())))


def test_sums_are_those_of_the_events(week):
    truth = Counter((one.place, one.direction, one.class_name) for one in within() if one.kind == "crossing")
    [table, *_] = parts(week, "counts", Table)
    assert table.columns[:3] == ["line", "direction", "#all"]
    for row in table.rows:
        place = row[0].split(" · ")[0]
        expected = sum(count for key, count in truth.items() if key[:2] == (place, row[1]))
        assert int(row[2].replace(",", "")) == expected
    found: Counter[tuple[str, str, str]] = Counter()
    for row in rows(week, "counts.csv"):
        if row["kind"] == "crossing" and row["class"] != "all classes":
            found[row["place"], row["direction"], row["class"]] += int(row["count"])
    assert found == truth
    assert truth.total() > 1000


def test_a_line_that_nothing_crossed_is_zero_and_there(week):
    [table, *_] = parts(week, "counts", Table)
    assert [row[2] for row in table.rows if row[0].startswith("back door")] == ["0", "0"]


def test_an_outage_is_no_zero(week):
    shut = [row for row in rows(week, "counts.csv") if row["stream"] == "shop" and row["outage"] == "1"]
    hours = {int(row["from_ms"]) for row in shut if int(row["from_ms"]) < at_ms(24 * 10)}
    assert hours == {at_ms(hour) for hour in range(int(OUT_H[0]), int(OUT_H[1]) + 1)}
    whole = [row for row in shut if int(row["from_ms"]) == at_ms(int(OUT_H[0]) + 1) and row["place"] == "door"]
    assert {row["count"] for row in whole if row["direction"] == "in"} == {""}
    [chart] = [part for part in parts(week, "counts", Chart) if part.title == "door · shop"]
    assert any(key.look == "hatched" for key in chart.legend)
    assert any(cell == "not known" for row in chart.table.rows for cell in row)
    unseen = {int(row["from_ms"]) for row in shut if int(row["from_ms"]) >= at_ms(24 * 10)}
    last = max(one.utc_ms for one in within() if one.stream == "shop")
    assert unseen
    assert min(unseen) > last  # nothing is known after the last event
    assert f"the camera was out or not recorded in {4 + len(unseen)} of 167 bins" in chart.text


def test_the_week_before_is_compared_over_what_both_weeks_know(week):
    [row] = [row for row in parts(week, "counts", Table)[0].rows if row[:2] == ["section · road", "north"]]
    before = sum(
        one.kind == "crossing" and one.place == "section" and one.direction == "north" and one.utc_ms < at_ms(168)
        for one in events()
    )
    assert row[-1].removeprefix("≥ ") == str(before)
    assert "the week before" in week.report.facts[0].note


def test_a_fortnight_is_not_compared_with_itself(store):
    built = build(Asked(ledgers=[Ledger(path=store)], zone=ZONE))
    assert built.period.bin_s == 86_400
    assert "a week before" not in str(parts(built, "counts", Table)[0].columns)


def test_dwell_is_that_of_the_command(week):
    wanted = within()
    last = {(one.stream, True): max(e.utc_ms for e in events() if e.stream == one.stream) for one in wanted[:1]}
    truth = {one.group[1:]: one for one in dwell(stays(list(events())), until_ms=last)}
    assert truth
    began = [one for one in stays(list(events())) if WEEK["from_ms"] <= one.entered_ms < WEEK["to_ms"]]
    truth = {one.group[1:]: one for one in dwell(began, until_ms=last)}
    for row in rows(week, "dwell.csv"):
        one = truth[row["zone"], row["class"]]
        assert (int(row["stays"]), int(row["closed"]), int(row["lost"])) == (one.stays, one.closed, one.lost)
        assert float(row["median_s"]) == pytest.approx(one.median_s, abs=0.01)
        assert float(row["mean_s"]) == pytest.approx(one.mean_s, abs=0.01)
    chart = parts(week, "dwell", Chart)[0]
    assert any(key.look == "hollow" for key in chart.legend)


def test_speeds_have_percentiles_from_thirty_on(week):
    speeds = [one for one in within() if one.kind == "speed"]
    cars = np.array([one.value for one in speeds if one.class_name == "car" and one.direction == "north"]) * 3.6
    table = parts(week, "speeds", Table)[0]
    [row] = [row for row in table.rows if row[0] == "section · north · car"]
    assert row[1] == str(len(cars))
    assert [float(cell) for cell in row[2:4]] == pytest.approx([cars.mean(), 1 / (1 / cars).mean()], abs=0.06)
    assert [float(cell) for cell in row[4:7]] == pytest.approx(np.percentile(cars, [15, 50, 85]), abs=0.06)
    few = [row for row in table.rows if int(row[1]) < 30]
    assert few
    assert all(row[4:7] == ["-", "-", "-"] for row in few)
    assert all(float(row[3]) <= float(row[2]) for row in few)


def test_a_few_values_have_means_and_no_chart_of_percentiles():
    groups = values_of(Valued("road", "section", "north", "car", speed, 0.2) for speed in (10.0, 40.0))
    section, facts = speed_section(groups)
    [table] = section.parts
    assert (table.rows, facts) == ([["section · north · car", "2", "90.0", "57.6", "-", "-", "-", "0.7"]], [])


def test_flows_are_a_matrix_by_the_site(week):
    [matrix] = parts(week, "flows", Matrix)
    taken = Counter(
        one.place
        for one in events()
        if one.kind == "flow" and WEEK["from_ms"] <= one.utc_ms - (one.time_s - one.since_s) * 1000 < WEEK["to_ms"]
    )
    assert (list(matrix.rows), list(matrix.columns)) == (["door"], ["door", "till"])
    assert matrix.values == [[taken["door to door"], taken["door to till"]]]


def test_footfall_and_queues_are_those_of_their_commands(week):
    inside = within()
    kinds = Counter(one.kind for one in inside)
    facts = {fact.name: fact.value for part in parts(week, "footfall", Facts) for fact in part.facts}
    assert facts == {"Passers-by": f"{kinds['passing']:,}", "Groups": f"{kinds['group']:,}"}
    [row] = parts(week, "footfall", Table)[0].rows
    entries = sum(one.kind == "crossing" and one.place == "door" and one.direction == "in" for one in inside)
    assert row[1:5] == [str(entries), "0", "0", str(entries)]
    assert row[-2] == f"{entries / kinds['passing'] * 100:.1f} %"
    [row] = parts(week, "queues", Table)[0].rows
    assert parts(week, "queues", Table)[1].columns[-1] == "#above 7"
    ends = Counter(one.direction for one in inside if one.kind == "queue_leave")
    assert row[1:3] == [str(ends["served"]), str(ends["abandoned"])]
    served = [one.time_s - one.since_s for one in inside if one.kind == "queue_leave" and one.direction == "served"]
    assert row[5] == duration_text(float(np.mean(served)))


def test_quality_names_outages_and_what_made_it(week):
    facts = {fact.name: fact for part in parts(week, "quality", Facts) for fact in part.facts}
    assert facts["Camera out"].note == "3 h 30 min"
    assert facts["Identities"].value == f"{sum(one.kind == 'identity_start' for one in within()):,}"
    titles = {name for name, _ in week.report.left_out}
    assert titles == {"Heatmap"}


def test_several_ledgers_are_one_and_rows_that_two_have_count_once(tmp_path):
    events = [crossing(n) for n in range(40)]
    whole = write_ledger(tmp_path / "a.events.jsonl", events)
    again = write_ledger(tmp_path / "b.sqlite", events)
    other = write_ledger(tmp_path / "c.events.parquet", [crossing(n, stream="yard") for n in range(40)])
    built = build(Asked(ledgers=[Ledger(path=path) for path in (whole, again, other)], zone=ZONE))
    assert built.events == 80
    assert built.report.title == "gate, yard"


def test_two_counts_of_one_recording_are_refused(tmp_path):
    one = write_ledger(tmp_path / "a.events.jsonl", [crossing(n) for n in range(40)])
    two = write_ledger(tmp_path / "a.refined.events.jsonl", [crossing(n, place="gate") for n in range(40)])
    with pytest.raises(ConfigError, match=r"expected one count of gate, found others in a.events.jsonl and a.refined"):
        build(Asked(ledgers=[Ledger(path=one), Ledger(path=two)], zone=ZONE))


def test_parts_of_a_camera_follow_each_other(tmp_path):
    paths = [
        write_ledger(tmp_path / f"gate-{first}.events.jsonl", [crossing(n) for n in range(first, first + 50)])
        for first in (0, 49, 99)
    ]
    assert build(Asked(ledgers=[Ledger(path=path) for path in paths], zone=ZONE)).events == 149


def test_recordings_of_one_camera_count_together(tmp_path):
    """Identity 1 is another one in each; between the recordings nothing is known."""
    ledgers = []
    for number, hour in enumerate((0, 1, 4)):
        rows = [
            crossing(n, stream="clip.mp4", utc_ms=at_ms(hour) + 60_000 * n, direction="in", identity=n + 1)
            for n in range(50 + number)
        ]
        last = rows[-1]
        voted = {"kind": "reclassified", "class_name": "car", "was_class": "person", "direction": "", "place": ""}
        rows.append(replace(last, identity=1, **voted)) if number == 1 else None
        path = write_ledger(tmp_path / f"{hour}.events.jsonl", rows)
        ledgers.append(Ledger(path=path, stream=f"day/{hour}.mp4"))
    built = build(Asked(ledgers=ledgers, zone=ZONE, together="gate", bin_s=3600))
    [table, *_] = parts(built, "counts", Table)
    assert table.columns == ["line", "direction", "#all", "#person", "#car"]
    assert table.rows == [["door", "in", "153", "152", "1"]]
    counts = [row for row in rows_of(built) if row["class"] == "all classes"]
    assert [row["count"] for row in counts] == ["50", "51", "", "", "52"]
    assert built.report.title == "gate"
    assert [row[0] for row in parts(built, "quality", Table)[0].rows] == ["day/0.mp4", "day/1.mp4", "day/4.mp4"]


def test_queues_of_one_cameras_recordings_are_told_apart(tmp_path):
    ledgers = []
    for hour in (0, 2):
        joined = {"kind": "queue_join", "place": "till", "identity": 1, "direction": ""}
        left = joined | {"kind": "queue_leave", "direction": "served", "since_s": 1.0, "value": 40.0 + hour}
        rows = [
            crossing(1, stream="clip.mp4", utc_ms=at_ms(hour), **joined),
            crossing(41 + hour, stream="clip.mp4", utc_ms=at_ms(hour) + 40_000 + 1000 * hour, **left),
        ]
        path = write_ledger(tmp_path / f"{hour}.events.jsonl", rows)
        ledgers.append(Ledger(path=path, stream=f"{hour}.mp4"))
    built = build(Asked(ledgers=ledgers, zone=ZONE, together="gate"))
    table, lengths = parts(built, "queues", Table)
    assert [row[:2] + row[5:6] for row in table.rows] == [
        ["till · 0.mp4", "1", "40.0 s"],
        ["till · 2.mp4", "1", "42.0 s"],
    ]
    assert [row[1:3] for row in lengths.rows] == [["1.0", "1"], ["1.0", "1"]]


def rows_of(built: Built) -> list[dict[str, str]]:
    return [row for row in rows(built, "counts.csv") if row["kind"] == "crossing"]


def test_recordings_without_a_wall_clock_have_media_time(tmp_path):
    path = write_ledger(tmp_path / "x.events.jsonl", [crossing(n, utc=False) for n in range(20)])
    built = build(Asked(ledgers=[Ledger(path=path, stream="a/x.mp4")], zone=ZONE))
    assert not built.period.utc
    assert built.report.title == "x.mp4"
    with pytest.raises(SourceError, match="without a wall clock"):
        build(Asked(ledgers=[Ledger(path=path)], zone=ZONE, from_ms=0, to_ms=10))


def test_a_time_without_events_is_refused(store):
    with pytest.raises(SourceError, match="expected events within Thursday 1 January 2026"):
        build(Asked(ledgers=[Ledger(path=store)], zone=ZONE, from_ms=at_ms(-24 * 74), to_ms=at_ms(-24 * 73)))


def test_rules_of_two_versions_are_not_added_up(tmp_path):
    path = write_ledger(tmp_path / "x.events.jsonl", [crossing(1), crossing(2, semantics=0)])
    with pytest.raises(ConfigError, match="semantics 0 and 1"):
        build(Asked(ledgers=[Ledger(path=path)], zone=ZONE))
