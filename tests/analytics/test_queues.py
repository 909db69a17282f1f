"""Queues: joined when one stands, served, given up, lost, continued by another number, over a restart."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.analytics.walks import Path, frames, of, run, through, walk
from tracker.analytics.measures import SiteMeasures
from tracker.analytics.waits import waits
from tracker.events import Event
from tracker.premises import Queue
from tracker.site import Line, Site, Zone

QUEUE = Zone(name="lane", polygons=(((0.2, 0.3), (0.5, 0.3), (0.5, 0.7), (0.2, 0.7)),), classes=("person",))
SERVICE = Zone(name="counter", polygons=(((0.6, 0.3), (0.8, 0.3), (0.8, 0.7), (0.6, 0.7)),))
LINE = Line(name="gate", points=((0.7, 0.3), (0.7, 0.7)), to_left="served", to_right="back")
TILL = Queue(name="till", zone="lane", served_at="counter")
SITE = Site(lines=(LINE,), zones=(QUEUE, SERVICE), queues=(TILL,))
RATES = pytest.mark.parametrize("fps", [5, 25])

WAITS = through((1, 0.05, 0.5), (5, 0.35, 0.5), (12, 0.35, 0.5), (15, 0.7, 0.5), (20, 0.7, 0.5), (22, 0.95, 0.5))
"""Stands from 5 to 12 s, enters the counter's zone at 14.14 s."""
SERVED_S = 12 + 3 * (0.6 - 0.35) / 0.35


def ends(events: list[Event]) -> list[tuple[int, str]]:
    return [(event.identity, event.direction) for event in of(events, "queue_leave")]


@RATES
def test_a_wait_is_from_standing_to_the_counter(fps: float) -> None:
    events = walk(SITE, {1: WAITS}, fps=fps, duration_s=26)
    [join], [leave] = of(events, "queue_join"), of(events, "queue_leave")
    assert (join.place, join.identity, join.class_name) == ("till", 1, "person")
    assert join.time_s == pytest.approx(5, abs=0.45)
    assert (leave.direction, leave.time_s) == ("served", pytest.approx(SERVED_S, abs=0.05))
    assert (leave.since_s, leave.value) == (join.time_s, pytest.approx(leave.time_s - join.time_s))
    assert (leave.stay.began, leave.stay.end) == ("entered", "left")


@RATES
def test_whoever_leaves_by_another_way_gave_up_when_it_left(fps: float) -> None:
    turned = through((1, 0.05, 0.5), (5, 0.35, 0.5), (10, 0.35, 0.5), (13, 0.05, 0.5), (40, 0.05, 0.5))
    [leave] = of(walk(SITE, {1: turned}, fps=fps, duration_s=40), "queue_leave")
    assert leave.direction == "abandoned"
    assert leave.time_s == pytest.approx(10 + 3 * (0.35 - 0.2) / 0.3, abs=0.1)


def test_one_that_needs_too_long_to_the_counter_gave_up_as_well() -> None:
    late = through((1, 0.05, 0.5), (5, 0.35, 0.5), (9, 0.35, 0.5), (10, 0.55, 0.5), (30, 0.55, 0.5), (31, 0.7, 0.5))
    assert ends(walk(SITE, {1: late}, duration_s=40)) == [(1, "abandoned")]
    patient = replace(SITE, queues=(replace(TILL, reach_s=30),))
    assert ends(walk(patient, {1: late}, duration_s=40)) == [(1, "served")]


@RATES
def test_walking_through_is_no_wait_and_looking_around_is_no_queue(fps: float) -> None:
    straight = through((1, 0.05, 0.5), (11, 0.95, 0.5))
    [join, leave] = of(events := walk(SITE, {1: straight}, fps=fps, duration_s=14), "queue_join") + of(
        events, "queue_leave"
    )
    assert (leave.direction, leave.value, join.time_s) == ("served", 0.0, leave.time_s)
    across = through((1, 0.3, 0.05), (11, 0.3, 0.95))
    looks = through((1, 0.3, 0.05), (5, 0.3, 0.5), (6, 0.3, 0.5), (10, 0.3, 0.95))
    assert not of(walk(SITE, {1: across, 2: looks}, fps=fps, duration_s=30), "queue_join")


def test_a_short_stop_before_the_counter_is_a_wait() -> None:
    brief = through((1, 0.05, 0.5), (5, 0.4, 0.5), (6.2, 0.4, 0.5), (9, 0.75, 0.5), (12, 0.75, 0.5))
    [leave] = of(walk(SITE, {1: brief}, duration_s=14), "queue_leave")
    assert leave.value == pytest.approx(6.2 + 2.8 * 0.2 / 0.35 - 5, abs=0.4)


def test_shuffling_forward_adds_up() -> None:
    knots = [(1.0, 0.05, 0.5), (4.0, 0.22, 0.5)]
    for _ in range(5):  # stands for 1.2 s, then a step within 0.4 s
        time_s, x = knots[-1][:2]
        knots += [(time_s + 1.2, x, 0.5), (time_s + 1.6, x + 0.05, 0.5)]
    knots += [(knots[-1][0] + 2, 0.7, 0.5), (knots[-1][0] + 4, 0.7, 0.5)]
    [leave] = of(walk(SITE, {1: through(*knots)}, duration_s=20), "queue_leave")
    assert leave.direction == "served"
    assert leave.since_s == pytest.approx(4.0, abs=0.8)


def test_a_line_serves_in_its_direction() -> None:
    site = replace(SITE, queues=(replace(TILL, served_at="gate", served_direction="served"),))
    passed = through((1, 0.05, 0.5), (5, 0.35, 0.5), (9, 0.35, 0.5), (12, 0.9, 0.5), (25, 0.9, 0.5))
    crossings = of(events := walk(site, {1: passed}, duration_s=25), "crossing")
    assert [event.direction for event in crossings] == ["served"]
    assert ends(events) == [(1, "served")]
    assert of(events, "queue_leave")[0].time_s == pytest.approx(crossings[0].time_s)
    other = replace(site, queues=(replace(site.queues[0], served_direction="back"),))
    assert ends(walk(other, {1: passed}, duration_s=25)) == [(1, "abandoned")]


def test_lost_open_and_there_from_the_beginning() -> None:
    vanishes = through((1, 0.05, 0.5), (5, 0.35, 0.5), (9, 0.35, 0.5))
    stays = through((0, 0.3, 0.6), (30, 0.3, 0.6))
    events = walk(SITE, {1: vanishes, 2: stays}, duration_s=20)
    assert sorted(ends(events)) == [(1, "lost"), (2, "open")]
    leaves = {event.identity: event for event in of(events, "queue_leave")}
    assert leaves[1].time_s == pytest.approx(9, abs=0.1)
    assert (leaves[2].since_s, leaves[2].stay.began, leaves[2].stay.left_s) == (0.0, "already_inside", None)
    assert [(one.identity, one.end, one.seen) for one in waits(events)] == [(2, "open", False), (1, "lost", True)]


def test_one_on_its_way_to_the_counter_when_the_stream_ends_is_open() -> None:
    assert ends(walk(SITE, {1: WAITS}, duration_s=13.9)) == [(1, "open")]


def test_a_new_number_continues_the_wait() -> None:
    first = through((1, 0.05, 0.5), (5, 0.35, 0.5), (8, 0.35, 0.5))
    second = through((9.5, 0.352, 0.5), (12, 0.35, 0.5), (15, 0.7, 0.5), (18, 0.7, 0.5))
    far = through((9.5, 0.25, 0.68), (18, 0.25, 0.68))
    events = walk(SITE, {1: first, 2: second, 3: far}, duration_s=22)
    leave = next(event for event in of(events, "queue_leave") if event.direction == "served")
    assert (leave.identity, leave.other_identity) == (2, 1)
    assert leave.value == pytest.approx(SERVED_S - 5, abs=0.4)
    [one] = [one for one in waits(events) if one.end == "served"]
    assert one.wait_s == pytest.approx(leave.value, abs=0.002)
    assert [one.identity for one in waits(events)] == [2, 3]


def test_only_its_classes_queue() -> None:
    dog = [replace(frame, class_names=("dog", "bicycle", "car")) for frame in frames({1: WAITS}, fps=10, duration_s=26)]
    assert not of(run(SITE, iter(dog)), "queue_join")


@pytest.mark.parametrize("cut_s", [3.0, 6.0, 9.0, 13.0, 14.3])
def test_a_restart_changes_nothing(cut_s: float) -> None:
    ways: dict[int, Path] = {1: WAITS, 2: through((2, 0.3, 0.1), (5, 0.3, 0.4), (11, 0.3, 0.4), (14, 0.3, 0.05))}
    stream = list(frames(ways, fps=10, duration_s=30))
    whole = run(SITE, iter(stream))
    first, second = SiteMeasures(SITE, stream="cam"), SiteMeasures(SITE, stream="cam")
    before = [frame for frame in stream if frame.frame.time_s < cut_s]
    events = [event for frame in before for event in first.process(frame)]
    second.restore(json.loads(json.dumps(first.state())))
    assert second.waiting() == first.waiting()
    events += [event for frame in stream[len(before) :] for event in second.process(frame)] + list(second.close())
    assert events == whole
    assert {event.direction for event in of(whole, "queue_leave")} == {"served", "abandoned"}


def test_a_camera_that_was_away_goes_on() -> None:
    stream = list(frames({1: WAITS}, fps=10, duration_s=9))
    first, second = SiteMeasures(SITE, stream="cam"), SiteMeasures(SITE, stream="cam")
    for frame in stream:
        first.process(frame)
    second.restore(json.loads(json.dumps(first.state())), elapsed_s=1.0)
    later = through((0, 0.35, 0.5), (2, 0.35, 0.5), (5, 0.7, 0.5), (8, 0.7, 0.5))
    events = [event for frame in frames({1: later}, fps=10, duration_s=8) for event in second.process(frame)]
    [leave] = of(events, "queue_leave")
    assert leave.value == pytest.approx(9 - 5 + 1 + 2 + 3 * 0.25 / 0.35, abs=0.45)


def test_lengths_are_those_that_stand_there_now() -> None:
    measures = SiteMeasures(SITE, stream="cam")
    seen = {}
    for frame in frames({1: WAITS, 2: WAITS}, fps=10, duration_s=26):
        measures.process(frame)
        seen[round(frame.frame.time_s, 1)] = measures.occupancy().queues["till"]
        assert measures.waiting() == measures.occupancy().queues
    assert (seen[4.0], seen[8.0], seen[11.0], seen[17.0]) == (0, 2, 2, 0)


def test_who_waits_on_under_a_new_number_is_in_the_length() -> None:
    first = through((1, 0.05, 0.5), (5, 0.35, 0.5), (8, 0.35, 0.5))
    second = through((9.5, 0.352, 0.5), (15, 0.35, 0.5))
    measures = SiteMeasures(SITE, stream="cam")
    assert measures.waiting() == {}
    for frame in frames({1: first, 2: second}, fps=10, duration_s=14):
        measures.process(frame)
    assert measures.waiting() == {"till": 1}
