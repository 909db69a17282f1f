"""Kalman filter over all tracks at once: constant velocity, decoupled axes, struct of arrays.

The state of one axis is ``(value, rate)``; a track has four axes: centre x, centre y, width, height. Measurement noise
is diagonal and the transition couples a value only with its own rate, so the 8 x 8 covariance of SORT (Bewley et al.
2016, section 3.2) always
stays block diagonal: 2 x 2 per axis, three numbers. Keeping only those is exact, not an approximation, and lets every
track and axis advance in a dozen array operations. ``tests/associate/test_kalman.py`` holds the equality with
filterpy.

Arrays are axis first, ``(4, N)``; covariances are ``(3, 4, N)``: variance of the value, covariance, variance of the
rate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

__all__ = ["correct", "initiate", "mixing", "predict", "process_noise", "warp"]


def process_noise(dt_s: float, *, acceleration_density: Floats, drift_density: Floats) -> Floats:
    """What ``dt_s`` seconds of white-noise acceleration (Bar-Shalom et al. 2001, eq. 6.2.2-4) and drift add.

    Args:
        dt_s: Seconds.
        acceleration_density: ``(4, N)`` px²/s³, random walk of the rate.
        drift_density: ``(4, N)`` px²/s, random walk of the value itself (camera jitter, articulation).

    Returns:
        ``(3, 4, N)`` variance of the value, covariance, variance of the rate.

    >>> process_noise(3.0, acceleration_density=np.ones((1, 1)), drift_density=np.zeros((1, 1))).ravel().tolist()
    [9.0, 4.5, 3.0]
    """
    noise = np.empty((3, *acceleration_density.shape))
    np.multiply(dt_s**3 / 3, acceleration_density, out=noise[0])
    np.multiply(dt_s**2 / 2, acceleration_density, out=noise[1])
    np.multiply(dt_s, acceleration_density, out=noise[2])
    noise[0] += dt_s * drift_density
    return noise


def initiate(value_variance: Floats, rate_variance: Floats) -> Floats:
    """Covariances ``(3, 4, N)`` of new tracks whose value was measured once and whose rate is unknown.

    Args:
        value_variance: ``(4, N)``, or ``(N,)`` for all axes.
        rate_variance: ``(4, N)``.
    """
    covariances = np.zeros((3, *rate_variance.shape))
    covariances[0], covariances[2] = value_variance, rate_variance
    return covariances


def predict(values: Floats, rates: Floats, covariances: Floats, dt_s: float, noise: Floats) -> tuple[Floats, Floats]:
    """Advance all tracks by ``dt_s`` seconds.

    Args:
        values: ``(4, N)`` centre x, centre y, width, height in px.
        rates: ``(4, N)`` px/s, unchanged by a prediction.
        covariances: ``(3, 4, N)``.
        dt_s: Seconds since the states' time.
        noise: ``(3, 4, N)`` process noise of these seconds.

    Returns:
        Predicted values and covariances; inputs are not changed.
    """
    step = np.array(dt_s)  # NumPy converts a plain number in every operation, 0.2 µs each
    predicted = covariances + noise
    _, cross, carried = covariances
    carried = step * carried
    predicted[1] += carried
    carried += cross
    carried += cross
    carried *= step
    predicted[0] += carried
    return values + step * rates, predicted


def correct(
    values: Floats, rates: Floats, covariances: Floats, measured: Floats, noise: Floats
) -> tuple[Floats, Floats, Floats]:
    """Kalman correction of each track by one measurement.

    Args:
        values: ``(4, N)`` predicted.
        rates: ``(4, N)``.
        covariances: ``(3, 4, N)`` predicted.
        measured: ``(4, N)`` measured values.
        noise: ``(4, N)`` variance of the measurement, px².

    Returns:
        Corrected values, rates and covariances.
    """
    variance, cross, rate_variance = covariances
    innovation = measured - values
    spread = variance + noise
    gain, rate_gain = variance / spread, cross / spread
    kept = 1 - gain
    corrected = np.empty(covariances.shape)
    np.multiply(variance, kept, out=corrected[0])
    np.multiply(cross, kept, out=corrected[1])
    np.subtract(rate_variance, rate_gain * cross, out=corrected[2])
    return values + gain * innovation, rates + rate_gain * innovation, corrected


def warp(values: Floats, rates: Floats, covariances: Floats, matrix: Floats) -> tuple[Floats, Floats, Floats]:
    """Carry all tracks from one image into another that shows the same scene from a turned, zoomed or shaken camera.

    Centres and their rates are mapped exactly (BoT-SORT, Aharon et al. 2022, eq. 6-8). So are their covariances while
    those of x and y are equal, which :class:`tracker.associate.motion.Motion` keeps them: a rotation of
    ``diag(p, p)`` is itself. Where they differ, each axis gets its exact variance and only the covariance of x
    with y, which the state does not hold, is dropped. Upright boxes have no angle: width and height are scaled, and
    mixed by the squared sine, which is exact without rotation and at quarter turns and of second order in between.

    Args:
        values: ``(4, N)`` centre x, centre y, width, height in px of the old image.
        rates: ``(4, N)`` px/s.
        covariances: ``(3, 4, N)``.
        matrix: ``(2, 3)``, pixels of the old image to those of the new one, invertible.

    Returns:
        Values, rates and covariances in the new image.

    >>> quarter_turn = np.array([[0.0, -1.0, 100.0], [1.0, 0.0, 0.0]])
    >>> state = np.array([[10.0], [20.0], [4.0], [8.0]])
    >>> warp(state, np.zeros((4, 1)), np.ones((3, 4, 1)), quarter_turn)[0].ravel().tolist()
    [80.0, 10.0, 8.0, 4.0]
    """
    linear = mixing(matrix)
    moved = linear @ values
    moved[:2] += matrix[:, 2:]
    return moved, linear @ rates, linear**2 @ covariances


def mixing(matrix: Floats) -> Floats:
    """Linear part ``(4, 4)`` of :func:`warp` on centre x, centre y, width and height."""
    linear = matrix[:, :2]
    mixed = np.zeros((4, 4))
    mixed[:2, :2] = linear
    mixed[2:, 2:] = linear**2 / np.sqrt((linear**2).sum(axis=1, keepdims=True))
    return mixed
