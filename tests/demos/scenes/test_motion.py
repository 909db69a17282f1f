"""Positions are where they were asked to be, and velocities are their exact derivative."""

from __future__ import annotations

import math

import numpy as np
import pytest

from demos.scenes.motion import Trajectory, drive, walk


def derivative(path: Trajectory, time_s: float, step: float = 1e-5) -> np.ndarray:
    return (path.at(time_s + step).position_m - path.at(time_s - step).position_m) / (2 * step)


WALK = walk(points_m=[(0, 0), (4, 0), (4, 3)], start_s=1.0, speed_m_s=1.2, stops={1: 2.0}, faces={1: math.pi / 2})
DRIVE = drive(start_s=0, end_s=10, start_m=5, speed_m_s=12, lane_m=0, speed_changes=[(4, 6)], lane_changes=[(5, 3.5)])


@pytest.mark.parametrize("path", [WALK, DRIVE])
def test_velocity_is_the_derivative_of_position(path):
    for time_s in np.linspace(path.start_s + 0.01, path.end_s - 0.01, 37):
        np.testing.assert_allclose(path.at(time_s).velocity_m_s, derivative(path, time_s), atol=1e-5)


def test_a_walker_starts_stops_and_arrives():
    assert WALK.at(0.99) is None
    assert WALK.at(WALK.end_s + 0.01) is None
    np.testing.assert_allclose(WALK.at(1.0).position_m, (0, 0), atol=0.05)
    np.testing.assert_allclose(WALK.at(WALK.end_s).position_m, (4, 3), atol=0.05)
    speeds = np.array([np.hypot(*WALK.at(t).velocity_m_s) for t in np.arange(1.0, WALK.end_s, 0.05)])
    assert 1.7 <= (speeds < 0.05).sum() * 0.05 <= 2.4
    assert speeds.max() == pytest.approx(1.2, abs=0.05)


def test_a_stopped_walker_turns_to_what_it_was_told_to_face():
    standing = WALK.at(1.0 + 4 / 1.2 + 1.4)
    assert np.hypot(*standing.velocity_m_s) < 0.05
    assert np.linalg.norm(standing.position_m - (4, 0)) < 0.25
    assert standing.heading_rad == pytest.approx(math.pi / 2, abs=0.1)


def test_a_driver_changes_speed_and_lane_smoothly():
    assert DRIVE.at(1.0).velocity_m_s == pytest.approx([12, 0], abs=1e-6)
    assert DRIVE.at(9.0).velocity_m_s == pytest.approx([6, 0], abs=1e-3)
    assert DRIVE.at(9.0).position_m[1] == pytest.approx(3.5, abs=1e-3)
    across = [DRIVE.at(t).velocity_m_s[1] for t in np.arange(2, 9, 0.05)]
    assert 0.5 < max(across) < 2.5


def test_heading_follows_the_way_and_is_held_while_standing():
    path = walk(points_m=[(0, 0), (-3, 0)], start_s=0.0, end_s=8.0)
    assert abs(path.at(1.5).heading_rad) == pytest.approx(math.pi, abs=0.02)
    assert abs(path.at(7.5).heading_rad) == pytest.approx(math.pi, abs=0.02)


def test_distance_grows_with_the_way():
    assert WALK.at(WALK.end_s).distance_m == pytest.approx(7.0, abs=0.35)


def test_a_trajectory_needs_two_knots():
    with pytest.raises(ValueError, match=r"expected \(T,\) times"):
        Trajectory(times_s=np.zeros(1), positions_m=np.zeros((1, 2)))
