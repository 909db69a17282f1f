"""Zones: entries, exits and stays at every frame rate; hidden, lost, loitering, jumped over."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.analytics.walks import frames, of, run, through, tracked, walk
from tracker.analytics.measures import SiteMeasures
from tracker.events import Stay
from tracker.site import Site, Zone

RATES = (30.0, 25.0, 15.0, 12.5, 5.0, 4.2)
HALL = ((0.4, 0.2), (0.6, 0.2), (0.6, 0.8), (0.4, 0.8))


def site(**options) -> Site:
    return Site(zones=(Zone(name="hall", polygons=(HALL,), **options),))


@pytest.mark.parametrize("fps", RATES)
def test_walk_through_has_the_same_times_at_every_rate(fps: float) -> None:
    events = walk(site(), {1: through((0, 0.2, 0.5), (8, 0.8, 0.5))}, fps=fps)
    (enter,), (leave,) = of(events, "enter"), of(events, "leave")
    assert enter.time_s == pytest.approx(0.2 / 0.075, abs=1e-5)
    assert leave.time_s == pytest.approx(0.4 / 0.075, abs=1e-5)
    assert leave.stay == Stay(
        entered_s=pytest.approx(0.2 / 0.075, abs=1e-5),
        left_s=pytest.approx(0.4 / 0.075, abs=1e-5),
        hidden_s=0.0,
        began="entered",
        end="left",
    )
    assert leave.stay.dwell_s == pytest.approx(0.2 / 0.075, abs=1e-5)
    assert leave.stay.seen_s == leave.stay.dwell_s
    assert enter.before.x < 0.4 < enter.after.x
    assert leave.before.x < 0.6 <= leave.after.x


def test_born_inside_is_no_entry() -> None:
    events = walk(site(), {1: through((1, 0.5, 0.5), (3, 0.5, 0.5), (6, 0.8, 0.5))})
    (enter,), (leave,) = of(events, "enter"), of(events, "leave")
    assert (enter.time_s, enter.stay.began) == (1.0, "already_inside")
    assert (leave.stay.began, leave.stay.end) == ("already_inside", "left")
    assert leave.time_s == pytest.approx(4.0)


def test_lost_inside_left_at_the_last_sight() -> None:
    events = walk(site(), {1: through((0, 0.2, 0.5), (4, 0.5, 0.5))}, duration_s=8)
    (leave,) = of(events, "leave")
    assert (leave.time_s, leave.stay.end) == (4.0, "lost")


def test_open_at_the_end_of_the_stream() -> None:
    events = walk(site(), {1: through((0, 0.2, 0.5), (4, 0.5, 0.5), (20, 0.5, 0.5))}, duration_s=8)
    (leave,) = of(events, "leave")
    assert (leave.stay.end, leave.stay.left_s, leave.stay.dwell_s, leave.time_s) == ("open", None, None, 8.0)


def test_flicker_over_the_boundary_is_one_stay() -> None:
    def path(time_s: float):
        return 0.5 if time_s > 1 else 0.2, 0.5 if not 3.0 < time_s < 3.5 else 0.9

    events = walk(site(), {1: path}, duration_s=6)
    assert len(of(events, "enter")) == len(of(events, "leave")) == 1


def test_gone_behind_a_wall_leaves_the_zone_even_with_empty_frames() -> None:
    measures = SiteMeasures(site(), stream="cam")
    for frame in frames({1: through((0, 0.2, 0.5), (4, 0.5, 0.5))}, fps=25, duration_s=4.5):
        measures.process(frame)
    assert measures.occupancy().present == {"hall": {"person": 1}}
    events = [event for n in range(60) for event in measures.process(tracked(n, 4.54 + n / 25, {}))]
    (leave,) = of(events, "leave")
    assert leave.stay.end == "lost"
    assert measures.occupancy().present == {"hall": {}}


def test_coasting_counts_as_hidden_and_stays_present() -> None:
    measures = SiteMeasures(site(), stream="cam")
    events = []
    for index in range(200):
        time_s = index / 25
        x = 0.2 + 0.05 * time_s
        hidden = 4.5 < time_s < 6.5
        at = {1: (x, 0.5)}
        events += measures.process(tracked(index, time_s, {} if hidden else at, coasting=at if hidden else None))
        assert measures.occupancy().present["hall"].get("person", 0) == (time_s > 4.3)
    events += measures.process(tracked(200, 8.0, {}, ended=[1]))
    (leave,) = of(events, "leave")
    assert leave.stay.hidden_s == pytest.approx(2.04, abs=0.05)
    assert leave.stay.end == "lost"
    assert leave.stay.seen_s == pytest.approx(7.96 - 4.0 - leave.stay.hidden_s, abs=1e-6)


@pytest.mark.parametrize("fps", RATES)
def test_loitering_once_per_stay_and_its_end(fps: float) -> None:
    path = through((0, 0.2, 0.5), (4, 0.5, 0.5), (14, 0.5, 0.5), (18, 0.8, 0.5))
    events = walk(site(loiter_s=5.0), {1: path}, fps=fps, duration_s=24)
    began, over = of(events, "loitering")
    entered_s, left_s = 0.2 / 0.075, 14 + 0.1 / 0.075
    assert began.since_s is None
    assert began.time_s == pytest.approx(entered_s + 5, abs=1e-5)
    assert (over.since_s, over.time_s) == (pytest.approx(entered_s + 5, abs=1e-5), pytest.approx(left_s, abs=1e-5))
    assert began.key != over.key


def test_loitering_by_class() -> None:
    rules = site(loiter_s_by_class={"car": 2.0})
    stay = dict.fromkeys((1, 2), (0.5, 0.5))
    stream = (tracked(n, n / 25, stay, classes={1: 0, 2: 2}) for n in range(100))
    assert [event.identity for event in of(run(rules, stream, close=False), "loitering")] == [2]


@pytest.mark.parametrize("fps", RATES)
def test_thin_zone_jumped_over_counts_where_no_time_is_asked(fps: float) -> None:
    thin = Site(
        zones=(Zone(name="hall", polygons=(((0.5, 0.0), (0.501, 0.0), (0.501, 1.0), (0.5, 1.0)),), enter_s=0.0),)
    )
    heights = {number: 0.09 * number for number in range(1, 11)}  # apart: nobody hides another one's feet
    paths = {number: through((0, 0.1, y), (2, 0.9, y)) for number, y in heights.items()}
    events = walk(thin, paths, fps=fps, duration_s=6)
    assert len(of(events, "enter")) == len(of(events, "leave")) == 10
    assert {round(event.time_s, 4) for event in of(events, "enter")} == {1.0}
    assert of(walk(Site(zones=(Zone(name="hall", polygons=thin.zones[0].polygons),)), paths, fps=fps), "enter") == []


def test_hole_and_second_polygon() -> None:
    ring = Zone(
        name="ring",
        polygons=(
            ((0.1, 0.1), (0.5, 0.1), (0.5, 0.9), (0.1, 0.9)),
            ((0.2, 0.3), (0.4, 0.3), (0.4, 0.7), (0.2, 0.7)),
            ((0.7, 0.1), (0.9, 0.1), (0.9, 0.9), (0.7, 0.9)),
        ),
        leave_s=0.1,
    )
    events = walk(Site(zones=(ring,)), {1: through((0, 0.0, 0.5), (20, 1.0, 0.5))}, duration_s=20)
    np.testing.assert_allclose([event.time_s for event in of(events, "enter")], [2, 8, 14], atol=1e-5)
    np.testing.assert_allclose([event.time_s for event in of(events, "leave")], [4, 10, 18], atol=1e-5)


def test_points_on_the_common_edge_of_neighbours_belong_to_one() -> None:
    left = Zone(name="left", polygons=(((0.1, 0.1), (0.37, 0.2), (0.53, 0.9), (0.1, 0.9)),))
    right = Zone(name="right", polygons=(((0.53, 0.9), (0.37, 0.2), (0.9, 0.1), (0.9, 0.9)),))
    measures = SiteMeasures(Site(zones=(left, right)), stream="cam")
    measures.process(tracked(0, 0.0, {}))
    shares = np.linspace(0.001, 0.999, 997)
    points = np.stack([(0.37 + shares * 0.16) * 16 / 9, 0.2 + shares * 0.7], axis=1)
    inside = measures._zones.holds(points, measures._zones.edges.sides(points))
    assert (inside.sum(axis=1) == 1).all()


def test_class_that_does_not_count_until_the_vote_turns() -> None:
    rules = site(classes=("car",))
    path = through((0, 0.2, 0.5), (8, 0.8, 0.5))
    stream = [tracked(n, n / 25, {1: path(n / 25)}, classes={1: 0 if n < 100 else 2}) for n in range(201)]
    events = run(rules, iter(stream))
    (enter,), (leave,) = of(events, "enter"), of(events, "leave")
    assert enter.time_s == leave.stay.entered_s == pytest.approx(0.2 / 0.075, abs=1e-5)
    assert math.isclose(leave.time_s, 0.4 / 0.075, abs_tol=1e-5)
