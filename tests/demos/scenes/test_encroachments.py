"""Exact encroachments: by hand for two at right angles, none for what follows, and both orders of a pair."""

from __future__ import annotations

import math

import pytest

from demos.scenes.encroachments import encroachments
from demos.scenes.motion import spline
from demos.scenes.vehicles import KINDS, Vehicle

AREA = ((-6.0, -6.0), (6.0, 6.0))


def car(identity: int, way: list[tuple[float, float, float, float, float]]) -> Vehicle:
    return Vehicle(identity=identity, kind="sedan", colour=(9, 9, 9), trajectories=(spline(way),))


def found(*cars: Vehicle, most_s: float = 6.5):
    return encroachments([(one, one.trajectories[0]) for one in cars], AREA, most_s=most_s, until_s=20.0)


def test_at_right_angles_it_is_that_of_the_square_both_cover() -> None:
    length, width, _ = KINDS["sedan"].size_m
    [one] = found(car(1, [(0, -30, 0, 10, 0), (6, 30, 0, 10, 0)]), car(2, [(2, 0, -30, 0, 10), (8, 0, 30, 0, 10)]))
    assert (one.first, one.second) == (1, 2)
    assert one.left_s == pytest.approx((30 + width / 2 + length / 2) / 10, abs=0.03)
    assert one.came_s == pytest.approx(2 + (30 - width / 2 - length / 2) / 10, abs=0.03)
    assert one.seconds == pytest.approx(2 - (width + length) / 10, abs=0.04)
    assert math.hypot(*one.position_m) < width


def test_what_follows_or_comes_too_late_has_none() -> None:
    ahead = car(1, [(0, -30, 0, 10, 0), (6, 30, 0, 10, 0)])
    assert found(ahead, car(2, [(2, -30, 0, 10, 0), (8, 30, 0, 10, 0)])) == []
    assert found(ahead, car(2, [(8, 0, -30, 0, 10), (14, 0, 30, 0, 10)])) == []
