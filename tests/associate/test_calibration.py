"""Score calibration on streams with exact truth."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.associate.calibration import BINS, EDGES, ScoreCalibration, monotone


def codes(column: int, bins: list[int]) -> np.ndarray:
    return np.array([column * BINS + b for b in bins], np.int32)


def test_before_anything_is_seen_the_chance_is_the_score() -> None:
    calibration = ScoreCalibration()
    calibration.reserve(2)
    scores = np.linspace(0.01, 0.999, 200)
    chances = calibration.learned(BINS + calibration.bins(scores))[0]
    assert np.abs(chances - scores).max() < 0.1
    assert (np.diff(chances) >= 0).all()


def test_chances_approach_what_is_found() -> None:
    calibration = ScoreCalibration(prior_weight=3)
    calibration.reserve(1)
    for _ in range(100):
        calibration.learn(codes(0, [8, 8, 8, 8, 12]), codes(0, [8, 12]))
    chances = calibration.learned(np.array([8, 12]))[0]
    assert chances == pytest.approx([0.25, 1.0], abs=0.02)


def test_classes_learn_apart() -> None:
    calibration = ScoreCalibration()
    calibration.reserve(2)
    before = calibration.learned(codes(1, [9])).tolist()
    calibration.learn(codes(0, [9] * 50), codes(0, []))
    assert calibration.learned(codes(1, [9])).tolist() == before
    assert calibration.learned(codes(0, [9]))[0] < 0.2


def test_old_observations_fade() -> None:
    calibration = ScoreCalibration(memory=200)
    calibration.reserve(1)
    for _ in range(100):
        calibration.learn(codes(0, [10] * 10), codes(0, [10] * 10))
    assert calibration.seen.max() <= 200
    for _ in range(100):
        calibration.learn(codes(0, [10] * 10), codes(0, []))
    assert calibration.learned(codes(0, [10]))[0] < 0.1


def test_births_that_die_lower_the_odds() -> None:
    calibration = ScoreCalibration(birth_prior=0.4)
    calibration.reserve(2)
    assert calibration.birth_log_odds(np.array([0, 1])).tolist() == [0.0, 0.0]
    calibration.learn_births(np.zeros(100, np.int64), np.arange(100) < 5)
    calibration.learn_births(np.ones(100, np.int64), np.arange(100) < 90)
    low, high = calibration.birth_log_odds(np.array([0, 1]))
    assert low < -1
    assert high > 1


@pytest.mark.parametrize(("dt_s", "frames"), [(1 / 30, 9), (0.1, 3), (0.3, 1), (5.0, 1), (0.0, 1), (0.001, 16)])
def test_the_horizon_is_time_and_not_frames(dt_s: float, frames: int) -> None:
    assert ScoreCalibration(horizon_s=0.3).frames(dt_s) == frames


def test_monotone_equals_the_definition() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        rates, weights = generator.random(8), generator.uniform(0.5, 9, 8)
        # Barlow et al. 1972: the fit at i is max over j <= i of min over k >= i of the weighted mean of j..k.
        mean = {(j, k): np.average(rates[j : k + 1], weights=weights[j : k + 1]) for j in range(8) for k in range(j, 8)}
        expected = [max(min(mean[j, k] for k in range(i, 8)) for j in range(i + 1)) for i in range(8)]
        np.testing.assert_allclose(monotone(rates, weights), expected)


def test_bins_cover_all_scores() -> None:
    bins = ScoreCalibration.bins(np.array([0.0, 1.0, -3.0, 7.0, *EDGES]))
    assert bins.min() == 0
    assert bins.max() == BINS - 1
