"""The batched filter against filterpy's, on the same matrices."""

from __future__ import annotations

import numpy as np
import pytest
from filterpy.common import Q_continuous_white_noise
from filterpy.kalman import KalmanFilter

from tracker.associate import kalman


def oracle(generator: np.random.Generator) -> KalmanFilter:
    """SORT's eight states, value and rate interleaved per axis, with a covariance as the batched filter starts it."""
    oracle = KalmanFilter(dim_x=8, dim_z=4)
    oracle.x = generator.normal(0, 100, (8, 1))
    oracle.x[1::2] = 0
    oracle.P = np.diag(generator.uniform(1, 50, 8))
    oracle.H = np.zeros((4, 8))
    oracle.H[range(4), range(0, 8, 2)] = 1
    return oracle


@pytest.mark.parametrize("seed", range(5))
def test_a_life_of_predictions_and_corrections_equals_filterpy(seed: int) -> None:
    generator = np.random.default_rng(seed)
    count = 7
    oracles = [oracle(generator) for _ in range(count)]
    values = np.concatenate([o.x[0::2] for o in oracles], axis=1)
    rates = np.zeros((4, count))
    diagonals = np.stack([np.diag(o.P) for o in oracles], axis=1)
    covariances = kalman.initiate(diagonals[0::2], diagonals[1::2])
    for _ in range(30):
        dt_s = float(generator.uniform(0.01, 0.7))
        acceleration, drift = generator.uniform(0.1, 9, (2, 4, count))
        noise = generator.uniform(0.5, 20, (4, count))
        measured = values + generator.normal(0, 5, (4, count))
        corrected = generator.random(count) < 0.7
        for column, one in enumerate(oracles):
            one.F = np.kron(np.eye(4), np.array([[1, dt_s], [0, 1]]))
            one.Q = np.zeros((8, 8))
            for axis in range(4):
                block = Q_continuous_white_noise(2, dt=dt_s, spectral_density=acceleration[axis, column])
                block[0, 0] += dt_s * drift[axis, column]
                one.Q[2 * axis : 2 * axis + 2, 2 * axis : 2 * axis + 2] = block
            one.R = np.diag(noise[:, column])
            one.predict()
            if corrected[column]:
                one.update(measured[:, column : column + 1])
        process = kalman.process_noise(dt_s, acceleration_density=acceleration, drift_density=drift)
        values, covariances = kalman.predict(values, rates, covariances, dt_s, process)
        new_values, new_rates, new_covariances = kalman.correct(values, rates, covariances, measured, noise)
        values = np.where(corrected, new_values, values)
        rates = np.where(corrected, new_rates, rates)
        covariances = np.where(corrected, new_covariances, covariances)
        for column, one in enumerate(oracles):
            np.testing.assert_allclose(values[:, column], one.x[0::2, 0], rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(rates[:, column], one.x[1::2, 0], rtol=1e-9, atol=1e-9)
            ours = np.zeros((8, 8))
            for axis in range(4):
                variance, cross, rate = covariances[:, axis, column]
                ours[2 * axis : 2 * axis + 2, 2 * axis : 2 * axis + 2] = [[variance, cross], [cross, rate]]
            np.testing.assert_allclose(ours, one.P, rtol=1e-8, atol=1e-9)


def test_a_prediction_over_two_steps_is_one_over_their_sum() -> None:
    values, rates = np.array([[3.0]] * 4), np.array([[2.0]] * 4)
    covariances = kalman.initiate(np.full((4, 1), 2.0), np.full((4, 1), 5.0))
    noise = {"acceleration_density": np.full((4, 1), 0.3), "drift_density": np.full((4, 1), 0.7)}
    halfway, between = kalman.predict(values, rates, covariances, 0.4, kalman.process_noise(0.4, **noise))
    twice, then = kalman.predict(halfway, rates, between, 0.6, kalman.process_noise(0.6, **noise))
    once, at_once = kalman.predict(values, rates, covariances, 1.0, kalman.process_noise(1.0, **noise))
    np.testing.assert_allclose(twice, once)
    np.testing.assert_allclose(then, at_once)


def test_no_track_is_no_problem() -> None:
    empty = np.zeros((4, 0))
    process = kalman.process_noise(0.1, acceleration_density=empty, drift_density=empty)
    values, covariances = kalman.predict(empty, empty, np.zeros((3, 4, 0)), 0.1, process)
    assert values.shape == (4, 0)
    assert covariances.shape == (3, 4, 0)
