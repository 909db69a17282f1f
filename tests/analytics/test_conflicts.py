"""Conflicts by hand: two cars whose ways cross at right angles, followers, oncoming ones, persons, declared areas."""

from __future__ import annotations

import json
import math

import pytest

from tracker.analytics.conflicts import STEP_S, Conflict, Conflicts, Placed
from tracker.analytics.footprints import Footprint
from tracker.traffic import Traffic

LENGTH, WIDTH = 4.4, 1.8
LATE = "post_encroachment"
BOTH = Traffic(time_to_collision_s=4.0, post_encroachment_s=6.5)


def car(identity: int, x: float, y: float, vx: float, vy: float, name: str = "car") -> Placed:  # noqa: PLR0917
    heading = math.atan2(vy, vx)
    length, width = (0.5, 0.5) if name == "person" else (LENGTH, WIDTH)
    return Placed(identity, Footprint(x, y, heading, length, width), vx, vy, name)


def placed_at(time_s: float, *ways) -> list[Placed]:
    """Cars ``(x, y, vx, vy, start_s)`` at constant velocity."""
    return [
        car(identity, x + vx * (time_s - start), y + vy * (time_s - start), vx, vy, *name)
        for identity, (x, y, vx, vy, start, *name) in enumerate(ways, start=1)
    ]


def drive(conflicts: Conflicts, *ways, seconds: float = 12.0, first: int = 0) -> list[Conflict]:
    found = []
    for number in range(first, round(seconds / STEP_S) + 1):
        found += conflicts.step(number * STEP_S, placed_at(number * STEP_S, *ways))
    return [*found, *conflicts.over(math.inf)]


def of(found: list[Conflict], kind: str) -> list[Conflict]:
    return [one for one in found if one.kind == kind]


@pytest.mark.parametrize("late_s", [1.0, 2.5, 5.0])
def test_the_time_between_two_that_cross_is_exact(late_s: float) -> None:
    # Both are 30 m before the crossing at the start of their ways; at 10 m/s the first one's rear leaves the square
    # of 1.8 m at (30 + 0.9 + 2.2) / 10 s, the second one's front comes to it at (30 - 0.9 - 2.2) / 10 s.
    [found] = of(drive(Conflicts(BOTH), (-30, 0, 10, 0, 0.0), (0, -30, 0, 10, late_s)), "post_encroachment")
    assert (found.identity, found.other_identity) == (2, 1)
    assert found.value_s == pytest.approx(late_s + 2.69 - 3.31, abs=0.06)
    assert found.time_s == pytest.approx(late_s + 2.69, abs=0.06)
    assert math.hypot(found.x_m, found.y_m) < 1.5


def test_what_follows_on_its_lane_has_no_such_time() -> None:
    found = drive(Conflicts(BOTH), (-30, 0, 10, 0, 0.0), (-30, 0, 10, 0, 1.5))
    assert found == []


def test_a_longer_time_is_left_out() -> None:
    assert of(drive(Conflicts(Traffic(post_encroachment_s=1.0)), (-30, 0, 10, 0, 0), (0, -30, 0, 10, 2.5)), LATE) == []


def test_two_on_a_collision_course_have_a_time_to_it() -> None:
    found = of(drive(Conflicts(BOTH), (-30, 0, 10, 0, 0.0), (30, 0.5, -5, 0, 0.0), seconds=3.0), "time_to_collision")
    # 60 m less the lengths, at 15 m/s; the least one is that of the last moment, 3 s later.
    [closest] = found
    assert closest.value_s == pytest.approx((60 - LENGTH) / 15 - 3.0, abs=0.01)
    assert (closest.identity, closest.other_identity) == (1, 2)


def test_a_follower_that_brakes_in_time() -> None:
    conflicts, found = Conflicts(BOTH), []
    gap, speed = 18.0, 10.0
    x = 0.0
    for number in range(100):
        speed = max(5.0, speed - 0.1)
        x += speed * STEP_S
        found += conflicts.step(number * STEP_S, [car(1, x, 0, speed, 0), car(2, gap + 5.0 * number * STEP_S, 0, 5, 0)])
    [one] = [*found, *conflicts.over(math.inf)]
    # By hand from the same motions: distance between bumpers over the closing speed, the least of all steps.
    x, speed, least = 0.0, 10.0, math.inf
    for number in range(100):
        speed = max(5.0, speed - 0.1)
        x += speed * STEP_S
        closing = speed - 5.0
        if closing > 0.5:
            least = min(least, (gap + 5.0 * number * STEP_S - x - LENGTH) / closing)
    assert one.kind == "time_to_collision"
    assert one.value_s == pytest.approx(least, abs=0.02)


def test_passing_on_the_next_lane_is_none() -> None:
    assert of(drive(Conflicts(BOTH), (-30, 0, 10, 0, 0.0), (30, 3.4, -10, 0, 0.0)), "time_to_collision") == []


def test_two_persons_have_none_and_a_car_with_a_person_has() -> None:
    walks = (-6.0, 0.0, 1.4, 0.0, 0.0, "person")
    assert drive(Conflicts(BOTH), walks, (0.0, -6.0, 0.0, 1.4, 2.0, "person")) == []
    [found] = of(drive(Conflicts(BOTH), walks, (0.0, -60.0, 0.0, 10.0, 0.0)), "post_encroachment")
    assert (found.identity, found.other_identity) == (2, 1)
    assert found.value_s == pytest.approx((60 - 2.2 - 0.25) / 10 - (6 + 0.9 + 0.25) / 1.4, abs=0.06)


def test_only_declared_areas_are_looked_at() -> None:
    area = Conflicts(BOTH, lambda x, y: "box" if abs(x) < 3 and abs(y) < 3 else None)
    [found] = of(drive(area, (-30, 0, 10, 0, 0.0), (0, -30, 0, 10, 2.5)), "post_encroachment")
    assert found.place == "box"
    elsewhere = Conflicts(BOTH, lambda x, _: "far" if x > 20 else None)
    assert of(drive(elsewhere, (-30, 0, 10, 0, 0.0), (0, -30, 0, 10, 2.5)), "post_encroachment") == []


def test_a_state_in_the_middle_changes_nothing() -> None:
    ways = ((-30, 0, 10, 0, 0.0), (0, -30, 0, 10, 2.5), (30, 0.5, -5, 0, 0.0))
    whole = drive(Conflicts(BOTH), *ways)
    first, second = Conflicts(BOTH), Conflicts(BOTH)
    found = []
    for number in range(40):
        time_s = number * STEP_S
        found += first.step(
            time_s,
            [
                car(n, x + vx * (time_s - s), y + vy * (time_s - s), vx, vy)
                for n, (x, y, vx, vy, s) in enumerate(ways, 1)
            ],
        )
    second.restore(json.loads(json.dumps(first.state())), 0.0)
    assert found + drive(second, *ways, first=40) == whole


@pytest.mark.slow
def test_memory_dies_with_time() -> None:
    conflicts = Conflicts(BOTH)
    for number in range(4000):
        identity, phase = number // 40 + 1, number % 40
        conflicts.step(number * STEP_S, [car(identity, -20 + phase, 0, 10, 0)])
    kept = conflicts.state()
    assert len(kept["paths"]) <= 8
    assert len(kept["cells"]) < 600
