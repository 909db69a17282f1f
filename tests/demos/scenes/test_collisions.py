"""Exact times to collision: by hand for followers and for corners that meet, and the least of an encounter."""

from __future__ import annotations

import math

import numpy as np
import pytest

from demos.scenes.collisions import approaches, touch_s
from demos.scenes.motion import spline
from demos.scenes.vehicles import KINDS, Vehicle

AREA = ((-100.0, -100.0), (100.0, 100.0))
SQUARE = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])


def found(*ways, most_s: float = 4.0):
    cars = [
        Vehicle(identity=number, kind="sedan", colour=(9, 9, 9), trajectories=(spline(way),))
        for number, way in enumerate(ways, start=1)
    ]
    return approaches([(one, one.trajectories[0]) for one in cars], AREA, most_s=most_s, until_s=10.0)


def shifted(corners: np.ndarray, along_m: float) -> np.ndarray:
    return corners + np.array([along_m, 0.0])


def test_a_follower_closes_in_on_the_rear() -> None:
    length = KINDS["sedan"].size_m[0]
    [one] = found([(0, -40, 0, 10, 0), (4, 0, 0, 10, 0)], [(0, 0, 0, 5, 0), (4, 20, 0, 5, 0)], most_s=9.0)
    assert (one.one, one.other) == (1, 2)
    assert one.time_s == pytest.approx(4.0, abs=0.03)  # the last moment: 20 m less a length, at 5 m/s
    assert one.seconds == pytest.approx((20 - length) / 5, abs=0.03)


def test_a_corner_that_is_turned_meets_sooner() -> None:
    cos = math.sqrt(0.5)
    turned = SQUARE @ np.array([[cos, cos], [-cos, cos]])
    assert touch_s(SQUARE, shifted(SQUARE, 6.0), np.array([-1.0, 0.0])) == pytest.approx(4.0)
    assert touch_s(SQUARE, shifted(turned, 6.0), np.array([-1.0, 0.0])) == pytest.approx(5.0 - math.sqrt(2))
    assert touch_s(SQUARE, shifted(SQUARE, 1.0), np.array([-1.0, 0.0])) is None  # they touch already
    assert touch_s(SQUARE, shifted(SQUARE, 6.0), np.array([1.0, 0.0])) is None


def test_what_drives_side_by_side_or_apart_has_none() -> None:
    assert found([(0, 0, 0, 9, 0), (4, 36, 0, 9, 0)], [(0, 0, 3.5, 9, 0), (4, 36, 3.5, 9, 0)]) == []
    assert found([(0, 0, 0, 9, 0), (4, 36, 0, 9, 0)], [(0, -10, 0, 8, 0), (4, 22, 0, 8, 0)]) == []
