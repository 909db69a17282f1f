"""Regression on the ground: exact on straight and even ways, honest about noise, silent where too little is seen."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from tests.analytics.grounds import FLAT
from tracker.analytics.ground_paths import KEEP_S, NOISE_PX, WANDER, GroundPaths

SIZE = (1280, 720)


def paths_of(at, *, fps: float = 25.0, seconds: float = 3.0, noise_px: float = 0.0, seed: int = 0) -> GroundPaths:
    """One identity whose place in metres is a function of time."""
    found, rng = GroundPaths(FLAT), np.random.default_rng(seed)
    for number in range(round(seconds * fps) + 1):
        share = FLAT.to_picture(np.array([at(number / fps)])) + rng.normal(0, noise_px, (1, 2)) / SIZE
        found.note([1], number / fps, share)
    return found


@pytest.mark.parametrize("fps", [4.2, 12.5, 25.0])
def test_an_even_way_is_exact(fps: float) -> None:
    motion = paths_of(lambda t: (10 + 12 * t, 5 + 5 * t), fps=fps).motion(1, 1.5, SIZE)
    assert motion is not None
    assert (motion.x_m, motion.y_m) == pytest.approx((28.0, 12.5))
    assert motion.speed_m_s == pytest.approx(13.0)
    assert motion.heading_rad == pytest.approx(np.arctan2(5, 12))


def test_braking_does_not_move_the_speed_in_the_middle_of_the_window() -> None:
    motion = paths_of(lambda t: (10 + 14 * t - 1.5 * t * t, 5)).motion(1, 1.5, SIZE)
    assert motion is not None
    assert motion.speed_m_s == pytest.approx(14 - 3 * 1.5, abs=1e-6)


def test_the_standard_error_is_that_of_many_trials() -> None:
    off, told = [], []
    for seed in range(150):
        motion = paths_of(lambda t: (10 + 8 * t, 5), noise_px=2.0, seed=seed, fps=12.5).motion(1, 1.5, SIZE)
        assert motion is not None
        off.append(motion.speed_m_s - 8)
        told.append(motion.error_m_s)
    assert np.std(off) == pytest.approx(np.sqrt(np.mean(np.square(told))), rel=0.2)


def test_exact_contacts_still_have_the_noise_of_a_pixel() -> None:
    motion = paths_of(lambda t: (10 + 8 * t, 5)).motion(1, 1.5, SIZE)
    assert motion is not None
    spread = np.square(np.arange(-0.48, 0.4801, 0.04)).sum()
    assert motion.error_m_s == pytest.approx(np.hypot(NOISE_PX * 0.05 / np.sqrt(spread), WANDER * 8), rel=0.1)


def test_at_the_end_of_a_way_the_window_is_moved_and_far_from_it_there_is_none() -> None:
    found = paths_of(lambda t: (10 + 8 * t, 5))
    for moment in (0.1, 2.9):
        motion = found.motion(1, moment, SIZE)
        assert motion is not None
        assert motion.x_m == pytest.approx(10 + 8 * moment)
    assert found.motion(1, 9.0, SIZE) is None
    assert found.motion(2, 1.0, SIZE) is None


def test_few_contacts_tell_no_speed() -> None:
    assert paths_of(lambda t: (10 + 8 * t, 5), seconds=0.3).motion(1, 0.2, SIZE) is None
    assert paths_of(lambda t: (10 + 8 * t, 5), fps=2.0).motion(1, 1.0, SIZE) is None


def test_memory_is_bounded_and_the_state_is_plain() -> None:
    found = paths_of(lambda t: (10 + t, 5), seconds=60.0)
    kept = json.loads(json.dumps(found.state()))
    assert len(kept[0][1]) <= KEEP_S * 25 + 2
    again = GroundPaths(FLAT)
    again.restore(kept, -50.0)
    motion, shifted = found.motion(1, 59.0, SIZE), again.motion(1, 9.0, SIZE)
    assert motion is not None
    assert shifted is not None
    assert shifted.speed_m_s == pytest.approx(motion.speed_m_s)
    found.forget(1)
    assert found.identities == []


def test_a_place_on_a_curve_lies_on_it_and_a_straight_one_is_as_ever() -> None:
    times = np.arange(0, 2.0, 0.08)
    curve = np.array([30.0, 15.0]) + 8 * np.stack([np.cos(times * 5 / 8), np.sin(times * 5 / 8)], axis=1)
    straight = np.stack([10 + 5 * times, 10 + 2 * times], axis=1)
    paths = GroundPaths(FLAT)
    for time_s, *places in zip(times.tolist(), curve, straight, strict=True):
        paths.note([1, 2], time_s, FLAT.to_picture(np.array(places)))
    turns, goes = (paths.motion(identity, 1.0, (1280, 720)) for identity in (1, 2))
    assert math.hypot(turns.x_m - 30, turns.y_m - 15) == pytest.approx(8, abs=0.01)  # a line is 0.13 m inside
    assert (goes.x_m, goes.y_m) == pytest.approx((15.0, 12.0), abs=1e-6)
    assert (turns.speed_m_s, goes.speed_m_s) == pytest.approx((5.0, math.hypot(5, 2)), rel=0.02)
