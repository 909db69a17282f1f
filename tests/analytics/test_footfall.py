"""Footfall: staff by its time in a zone, visitors again, groups by who walked together, passers-by, over a restart."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.analytics.walks import Path, frames, of, run, through, walk
from tracker.analytics.measures import SiteMeasures
from tracker.analytics.visitors import Visitors, visitors
from tracker.events import Event
from tracker.premises import Footfall
from tracker.site import Doors, Line, Site, Zone

DOOR = Line(name="door", points=((0.3, 0.5), (0.7, 0.5)))  # drawn to the right: up goes in
STREET = Line(name="street", points=((0.5, 0.55), (0.5, 0.99)))
DESK = Zone(name="desk", polygons=(((0.4, 0.1), (0.6, 0.1), (0.6, 0.3), (0.4, 0.3)),))
RULE = Footfall(name="visitors", doors="shop", passing=("street",), staff_zones=("desk",))
SITE = Site(lines=(DOOR, STREET), zones=(DESK,), doors=(Doors(name="shop", lines=("door",)),), footfall=(RULE,))


def enters(start_s: float, x: float = 0.5, *, until_y: float = 0.38) -> Path:
    """Straight up through the door, which it passes 5 s after its start."""
    return through((start_s, x, 0.8), (start_s + 8, x, until_y))


def row_of(events: list[Event], site: Site = SITE) -> Visitors:
    [row] = visitors(events, site)
    return row


def groups(events: list[Event]) -> list[tuple[int, float, list[int]]]:
    return [
        (
            one.identity,
            one.value,
            sorted(other.identity for other in of(events, "group_member") if other.other_identity == one.identity),
        )
        for one in of(events, "group")
    ]


# ---- groups: at this size of persons 0.028 of the width is a metre -------------------------------------------------


@pytest.mark.parametrize("fps", [5, 25])
def test_two_that_walk_together_are_a_group_and_two_persons(fps: float) -> None:
    events = walk(SITE, {1: enters(1), 2: enters(1, 0.53)}, fps=fps, duration_s=16)
    assert groups(events) == [(1, 2.0, [2])]
    row = row_of(events)
    assert (row.visitors, row.groups, row.grouped, row.parties) == (2, 1, 2, 1)


def test_a_chain_of_three_is_one_group_though_its_ends_are_apart() -> None:
    ways = {1: enters(1, 0.465), 2: enters(1.1, 0.5), 3: enters(1.2, 0.535)}
    assert groups(walk(SITE, ways, duration_s=16)) == [(1, 3.0, [2, 3])]


def test_one_that_got_a_new_number_before_the_door_walked_there_before() -> None:
    first = through((1, 0.53, 0.8), (5.5, 0.53, 0.56375))
    second = through((5.76, 0.53, 0.5501), (9, 0.53, 0.38))
    assert groups(walk(SITE, {1: enters(1), 2: first, 3: second}, duration_s=16)) == [(1, 2.0, [3])]
    elsewhere = through((1, 0.7, 0.8), (5.5, 0.7, 0.56375))
    assert not groups(walk(SITE, {1: enters(1), 2: elsewhere, 3: second}, duration_s=16))


def test_strangers_are_none() -> None:
    beside = {1: enters(1, 0.4), 2: enters(1, 0.6)}  # seven metres
    behind = {1: enters(1), 2: enters(4.5)}  # three seconds and a half
    meets = {1: enters(1), 2: through((1, 0.9, 0.8), (5.2, 0.53, 0.53), (9, 0.53, 0.38))}  # just at the door
    against = {1: enters(1), 2: through((1, 0.53, 0.2), (9, 0.53, 0.8))}
    for ways in (beside, behind, meets, against):
        assert not groups(walk(SITE, ways, duration_s=20)), ways


def test_how_near_and_how_long_is_the_sites_to_say() -> None:
    ways = {1: enters(1), 2: enters(1, 0.55)}  # 1.8 m
    assert not groups(walk(SITE, ways, duration_s=16))
    wide = replace(SITE, footfall=(replace(RULE, group_m=2.5),))
    assert groups(walk(wide, ways, duration_s=16)) == [(1, 2.0, [2])]
    late = {1: enters(1), 2: through((5.2, 0.53, 0.5795), (9, 0.53, 0.38))}  # in view for a second and a half
    assert not groups(walk(SITE, late, duration_s=16))
    brief = replace(SITE, footfall=(replace(RULE, group_s=0.5),))
    assert groups(walk(brief, late, duration_s=16)) == [(1, 2.0, [2])]


# ---- staff and returns -----------------------------------------------------------------------------------------------


def test_staff_is_known_by_its_time_at_the_desk_and_is_no_visitor() -> None:
    works = through((0, 0.5, 0.8), (4, 0.5, 0.2), (11, 0.5, 0.2), (14, 0.5, 0.4), (16, 0.5, 0.4), (24, 0.5, 0.2))
    asks = through((1, 0.45, 0.8), (5, 0.45, 0.2), (8, 0.45, 0.2), (12, 0.45, 0.8))
    events = walk(SITE, {1: works, 2: asks}, duration_s=26)
    [staff] = of(events, "staff")
    assert (staff.identity, staff.place) == (1, "desk")
    first = next(event.stay for event in of(events, "leave") if event.identity == 1)
    again = [event for event in of(events, "enter") if event.identity == 1][1]
    assert staff.time_s == pytest.approx(again.time_s + 10 - first.dwell_s, abs=0.01)
    row = row_of(events)
    assert (row.entries, row.staff, row.visitors, row.exits) == (2, 1, 1, 1)


def test_one_that_comes_back_is_no_new_visitor() -> None:
    forgets = through((1, 0.5, 0.8), (6, 0.5, 0.4), (8, 0.5, 0.4), (12, 0.5, 0.8), (20, 0.5, 0.8), (26, 0.5, 0.38))
    events = walk(SITE, {1: forgets}, duration_s=28)
    [back] = of(events, "re_entry")
    out, in_again = [event.time_s for event in of(events, "crossing") if event.place == "door"][1:]
    assert (back.place, back.since_s, back.time_s) == ("shop", out, in_again)
    assert back.value == pytest.approx(in_again - out)
    row = row_of(events)
    assert (row.entries, row.re_entries, row.visitors) == (2, 1, 1)
    soon = replace(SITE, footfall=(replace(RULE, re_entry_s=5),))
    assert not of(walk(soon, {1: forgets}, duration_s=28), "re_entry")


def test_staff_that_comes_back_is_staff() -> None:
    breaks = through((0, 0.5, 0.2), (12, 0.5, 0.2), (16, 0.5, 0.8), (18, 0.5, 0.8), (22, 0.5, 0.2))
    events = walk(SITE, {1: breaks}, duration_s=24)
    assert not of(events, "re_entry")
    row = row_of(events)
    assert (row.entries, row.staff, row.visitors, row.capture_of_all) == (1, 1, 0, None)


# ---- passers-by ------------------------------------------------------------------------------------------------------


def test_passers_by_pass_and_do_not_come_in() -> None:
    passes = through((1, 0.1, 0.7), (9, 0.9, 0.7))
    turns = through((1, 0.1, 0.75), (6, 0.55, 0.6), (8, 0.55, 0.6), (14, 0.1, 0.75))
    comes = through((1, 0.1, 0.8), (6, 0.55, 0.6), (12, 0.55, 0.38))
    leaves = through((1, 0.45, 0.3), (5, 0.45, 0.7), (10, 0.9, 0.7))
    events = walk(SITE, {1: passes, 2: turns, 3: comes, 4: leaves}, duration_s=20)
    assert {event.identity for event in of(events, "passing")} == {1, 2}
    assert len(of(events, "passing")) == 2
    [one] = [event for event in of(events, "passing") if event.identity == 1]
    crossed = next(event for event in of(events, "crossing") if event.identity == 1)
    assert (one.time_s, one.direction, one.place) == (crossed.time_s, crossed.direction, "street")
    row = row_of(events)
    assert (row.visitors, row.passers_by, row.exits) == (1, 2, 1)
    assert (row.capture_of_passing, row.capture_of_all) == (pytest.approx(1 / 2), pytest.approx(1 / 3))


def test_without_visitors_and_passers_by_there_is_no_rate() -> None:
    row = row_of(walk(SITE, {1: through((0, 0.2, 0.9), (2, 0.25, 0.9))}, duration_s=4))
    assert (row.visitors, row.passers_by, row.capture_of_passing, row.capture_of_all) == (0, 0, None, None)


# ---- states and corrections ------------------------------------------------------------------------------------------

WAYS: dict[int, Path] = {
    1: enters(1),
    2: enters(1, 0.53),
    3: through((0, 0.5, 0.2), (12, 0.5, 0.2), (16, 0.5, 0.8), (18, 0.5, 0.8), (22, 0.5, 0.2)),
    4: through((2, 0.1, 0.9), (10, 0.9, 0.9)),
    5: through((3, 0.4, 0.8), (8, 0.4, 0.4), (9, 0.4, 0.4), (13, 0.4, 0.8), (16, 0.4, 0.8), (22, 0.4, 0.38)),
}


@pytest.mark.parametrize("cut_s", [5.0, 6.5, 9.9, 15.0, 19.0])
def test_a_restart_changes_nothing(cut_s: float) -> None:
    stream = list(frames(WAYS, fps=10, duration_s=25))
    whole = run(SITE, iter(stream))
    first, second = SiteMeasures(SITE, stream="cam"), SiteMeasures(SITE, stream="cam")
    before = [frame for frame in stream if frame.frame.time_s < cut_s]
    events = [event for frame in before for event in first.process(frame)]
    second.restore(json.loads(json.dumps(first.state())))
    events += [event for frame in stream[len(before) :] for event in second.process(frame)] + list(second.close())
    assert events == whole
    kinds = {event.kind for event in whole}
    assert {"group", "group_member", "staff", "passing", "re_entry"} <= kinds


def test_numbers_that_are_joined_later_are_one() -> None:
    """The second pass finds that two identities are one: the staff at the desk came in a minute before."""
    events = walk(SITE, WAYS, duration_s=25)
    assert row_of(events).visitors == 3
    joined = Event(kind="rekeyed", stream="cam", time_s=25.0, identity=3, was_identity=1, class_name="person")
    row = row_of([*events, joined])
    assert (row.visitors, row.staff, row.groups, row.grouped) == (2, 2, 0, 0)
