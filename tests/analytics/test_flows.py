"""Flows, bins, occupancy and balances."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.analytics.walks import frames, of, run, through, tracked, walk
from tracker.analytics.counts import count_bins, od_matrix
from tracker.analytics.flows import ways
from tracker.analytics.measures import SiteMeasures
from tracker.analytics.occupancy import Balance
from tracker.site import Doors, Flow, Line, Site, Zone

WEST = Line(name="west", points=((0.2, 0.0), (0.2, 1.0)))
EAST = Line(name="east", points=((0.8, 0.0), (0.8, 1.0)))
MIDDLE = Zone(name="middle", polygons=(((0.4, 0.1), (0.6, 0.1), (0.6, 0.9), (0.4, 0.9)),))
SITE = Site(
    lines=(WEST, EAST),
    zones=(MIDDLE,),
    flows=(
        Flow(name="W-E", start="west", end="east"),
        Flow(name="E-W", start="east", end="west"),
        Flow(name="W-W", start="west", end="west"),
        Flow(name="W-M", start="west", end="middle"),
        Flow(name="M-E", start="middle", end="east"),
    ),
)


def test_the_longest_flow_wins_and_each_identity_counts_once() -> None:
    paths = {
        1: through((0, 0.1, 0.2), (4, 0.9, 0.2)),
        2: through((0, 0.9, 0.5), (4, 0.1, 0.5)),
        3: through((0, 0.1, 0.8), (4, 0.5, 0.8), (8, 0.1, 0.8)),
        4: through((0, 0.1, 0.95), (2, 0.3, 0.95)),
        5: through((5, 0.5, 0.4), (9, 0.9, 0.4)),
    }
    events = walk(SITE, paths, duration_s=12)
    flows = {event.identity: (event.place, event.since_s, event.time_s) for event in of(events, "flow")}
    assert flows == {
        1: ("W-E", pytest.approx(0.5, abs=1e-4), pytest.approx(3.5, abs=1e-4)),
        2: ("E-W", pytest.approx(0.5, abs=1e-4), pytest.approx(3.5, abs=1e-4)),
        3: ("W-W", pytest.approx(1.0, abs=1e-4), pytest.approx(7.0, abs=1e-4)),
        5: ("M-E", pytest.approx(6.0, abs=1e-4), pytest.approx(8.0, abs=1e-4)),
    }
    found = ways(events, SITE.flows)
    assert {who: way.flow.name for (_, who), way in found.items()} == {who: flow[0] for who, flow in flows.items()}
    assert od_matrix(SITE, events) == {
        ("west", "east"): 1,
        ("east", "west"): 1,
        ("west", "west"): 1,
        ("west", "middle"): 0,
        ("middle", "east"): 1,
    }


@pytest.mark.slow
def test_bins_have_rows_of_zero_and_their_sum_is_the_total() -> None:
    start = datetime(2026, 3, 29, 0, 50, tzinfo=UTC)  # the night of the change to summer time
    start_ms = round(start.timestamp() * 1000)
    paths = {n: through((300.0 * n, 0.1, 0.5), (300.0 * n + 4, 0.9, 0.5)) for n in range(6)}
    stream = frames({n + 1: path for n, path in paths.items()}, fps=5, duration_s=1600)
    stream = (frame for frame in stream if not 1510 < frame.frame.time_s < 1530)
    events = run(SITE, stream, start_utc_ms=start_ms)
    by = ("place", "class")
    groups = [(flow, name) for flow in ("W-E", "E-W") for name in ("person", "car")]
    bins = count_bins(events, kinds=["flow"], by=by, start_ms=start_ms, end_ms=start_ms + 1_800_000, groups=groups)
    assert len(bins) == 3 * 2 * 2
    assert sum(one.count or 0 for one in bins) == len(of(events, "flow")) == 6
    people = [one for one in bins if one.group == ("W-E", "person")]
    assert [one.count for one in people] == [2, 3, 1]
    assert [datetime.fromtimestamp(one.start_ms / 1000, UTC).strftime("%H:%M") for one in people] == [
        "00:45",
        "01:00",
        "01:15",
    ]
    assert [one.outage for one in people] == [False, False, True]
    assert {one.count for one in bins if one.group == ("E-W", "car")} == {0, None}  # out is not zero


def test_occupancy_is_three_numbers() -> None:
    site = Site(lines=(WEST,), zones=(MIDDLE,), doors=(Doors(name="room", lines=("west",)),))
    measures = SiteMeasures(site, stream="cam")
    assert measures.occupancy().balance == {"room": Balance()}
    paths = {n: through((0, 0.1, 0.3 + 0.1 * n), (2, 0.5, 0.3 + 0.1 * n), (9, 0.5, 0.3 + 0.1 * n)) for n in (1, 3)}
    for frame in frames(paths, fps=25, duration_s=6):
        measures.process(frame)
    now = measures.occupancy()
    assert now.present == {"middle": {"person": 2}}
    assert now.balance == {"room": Balance(balance=2, entries=2)}
    boxes = 2 * (40 * 60) / (0.2 * 1280 * 0.8 * 720)
    assert now.area_percent["middle"] == pytest.approx(100 * boxes, rel=0.35)
    twice = {1: (0.5, 0.5), 2: (0.5, 0.5)}
    measures.process(tracked(200, 7.0, twice))
    once = measures.occupancy().area_percent["middle"]
    measures.process(tracked(201, 7.1, {1: (0.5, 0.5)}))
    assert measures.occupancy().area_percent["middle"] == once


def test_balance_is_clamped_shows_its_drift_and_begins_anew_at_the_quiet_hour() -> None:
    doors = Doors(name="room", lines=("west",), reset_at="04:00")
    site = Site(lines=(WEST,), doors=(doors,), timezone="Europe/Berlin")
    measures = SiteMeasures(
        site, stream="cam", start_utc_ms=round(datetime(2026, 3, 29, 1, 59, tzinfo=UTC).timestamp() * 1000)
    )
    paths = {
        1: through((0, 0.3, 0.5), (2, 0.1, 0.5)),
        2: through((4, 0.1, 0.5), (6, 0.3, 0.5)),
        3: through((70, 0.1, 0.5), (72, 0.3, 0.5)),
    }
    seen = {}
    for frame in frames(paths, fps=10, duration_s=80):
        measures.process(frame)
        seen[round(frame.frame.time_s, 1)] = measures.occupancy().balance["room"]
    assert seen[3.0] == Balance(balance=0, exits=1, drift=1)
    assert seen[50.0] == Balance(balance=1, entries=1, exits=1, drift=1)
    assert seen[60.0] == Balance()  # 04:00 summer time is 02:00 UTC
    assert seen[80.0] == Balance(balance=1, entries=1)


def test_wall_clock_of_a_camera() -> None:
    at = datetime(2026, 10, 25, 0, 59, 58, tzinfo=UTC)
    path = through((0, 0.1, 0.5), (4, 0.5, 0.5))
    measures, events = SiteMeasures(SITE, stream="cam"), []
    for index in range(100):
        contacts = {1: at_} if (at_ := path(index / 25)) else {}
        clock = datetime.fromtimestamp(at.timestamp() + index / 25, UTC)
        events += measures.process(tracked(index, index / 25, contacts, captured_at=clock))
    (crossing,) = of(events, "crossing")
    assert crossing.time_s == pytest.approx(1.0, abs=1e-4)
    assert crossing.utc_ms == round(at.timestamp() * 1000) + 1000
    assert crossing.key == f"cam|crossing|west|in|1|u{crossing.utc_ms}"


@pytest.mark.slow
def test_state_dies_with_its_track() -> None:
    measures = SiteMeasures(SITE, stream="cam")
    for identity in range(1, 3001):
        contacts = {identity: (0.1 + 0.2 * (identity % 5), 0.5)}
        measures.process(tracked(identity, identity / 25, contacts, ended=[identity - 1]))
    state = measures.state()
    assert len(state["paths"]) == 1
    assert len(measures._paths) == 32
    assert len(state["flows"]) <= 3
    assert len(state["zones"][0]["stays"]) <= 1


def test_points_from_before_the_confirmation_count() -> None:
    from dataclasses import replace

    import numpy as np

    measures, events = SiteMeasures(SITE, stream="cam"), []
    for index in range(20):
        x = 0.17 + 0.01 * index
        frame = tracked(index, index / 25, {1: (x, 0.5)})
        if index < 6:  # an instance without an identity yet
            frame = replace(frame, tracks=tracked(index, index / 25, {}).tracks)
        elif index == 6:
            earlier = np.array([[1, ago, 0] for ago in range(1, 7)], np.int64)
            tracks = replace(frame.tracks, earlier_rows=earlier, ages_s=np.array([6 / 25], np.float32))
            frame = replace(frame, tracks=tracks)
        events += measures.process(frame)
    (crossing,) = of(events, "crossing")
    assert (crossing.direction, crossing.time_s) == ("in", pytest.approx(3 / 25, abs=1e-3))
    assert of(events, "identity_start")[0].time_s == pytest.approx(0.0, abs=1e-6)
