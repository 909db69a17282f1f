"""Rauch-Tung-Striebel smoothing of one tracklet's boxes.

Forward a Kalman filter of constant velocity with noise in object sizes (:mod:`tracker.associate.kalman`), backward the
Rauch-Tung-Striebel smoother (Rauch et al. 1965) of filterpy; steps last what the timestamps say.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracker.associate import kalman

Floats = NDArray[np.float64]

__all__ = ["correct", "end_state", "move", "smooth"]

MEASUREMENT, ACCELERATION, SIZE_ACCELERATION, DRIFT, INITIAL_RATE = 0.05, 0.5, 0.1, 0.1, 1.0
"""In object sizes and seconds, as the tracker's own; see :class:`tracker.associate.motion.Motion`."""
SIZE_RATE = 0.2
MINIMUM_SIDE_PX = 1.0
WINDOW = 30
"""Measurements that decide the state at a tracklet's end: older ones weigh nothing there."""

State = tuple[Floats, Floats, Floats]
"""Values ``(4, N)``, rates ``(4, N)``, covariances ``(3, 4, N)``."""


def start(measured: Floats) -> State:
    """State of ``(4, N)`` centre x, centre y, width, height measured once."""
    square = np.maximum(measured[2] * measured[3], 1.0)
    rate = np.array([INITIAL_RATE**2] * 2 + [(SIZE_RATE * INITIAL_RATE) ** 2] * 2)[:, None]
    covariances = kalman.initiate(np.broadcast_to(MEASUREMENT**2 * square, measured.shape), rate * square)
    return measured.copy(), np.zeros_like(measured), covariances


def process_noise(values: Floats, dt_s: float) -> Floats:
    """What ``dt_s`` seconds add to the covariances ``(3, 4, N)`` of objects of the size of ``values``."""
    square = np.maximum(values[2] * values[3], 1.0)
    acceleration = np.array([ACCELERATION**2] * 2 + [SIZE_ACCELERATION**2] * 2)[:, None]
    return kalman.process_noise(
        dt_s, acceleration_density=acceleration * square, drift_density=np.broadcast_to(DRIFT**2 * square, values.shape)
    )


def move(state: State, dt_s: float) -> State:
    """The state ``dt_s`` seconds later."""
    values, rates, covariances = state
    values, covariances = kalman.predict(values, rates, covariances, dt_s, process_noise(values, dt_s))
    np.maximum(values[2:], MINIMUM_SIDE_PX, out=values[2:])
    return values, rates, covariances


def correct(state: State, measured: Floats) -> State:
    """The state with ``(4, N)`` measured values folded in."""
    noise = np.broadcast_to(MEASUREMENT**2 * np.maximum(measured[2] * measured[3], 1.0), measured.shape)
    values, rates, covariances = kalman.correct(*state, measured, noise)
    np.maximum(values[2:], MINIMUM_SIDE_PX, out=values[2:])
    return values, rates, covariances


def end_state(measured: Floats, times_s: Floats) -> State:
    """State after the last of ``(n, 4)`` measurements; reversed arrays with negated times give the one at the start."""
    measured, times_s = measured[-WINDOW:], times_s[-WINDOW:]
    state = start(measured[0][:, None])
    for values, dt_s in zip(measured[1:], np.diff(times_s).tolist(), strict=True):
        state = correct(move(state, dt_s), values[:, None])
    return state


def smooth(measured: Floats, times_s: Floats) -> tuple[Floats, Floats]:
    """Values and rates ``(n, 4)`` at every measurement, from all measurements before and after it.

    Args:
        measured: ``(n, 4)`` centre x, centre y, width, height in px.
        times_s: ``(n,)`` seconds, increasing.
    """
    from filterpy.kalman import rts_smoother

    count = len(measured)
    states = [start(measured[0][:, None])]
    noises: list[Floats] = []
    for values, dt_s in zip(measured[1:], np.diff(times_s).tolist(), strict=True):
        noises.append(process_noise(states[-1][0], dt_s))
        states.append(correct(move(states[-1], dt_s), values[:, None]))
    noises.append(np.zeros((3, 4, 1)))
    means = np.array([np.concatenate([values, rates]) for values, rates, _ in states])  # (n, 8, 1)
    transitions = np.tile(np.eye(8), (count, 1, 1))
    axes = np.arange(4)
    transitions[:-1, axes, axes + 4] = np.diff(times_s)[:, None]  # filterpy: entry k leads from k to k + 1
    covariances = _full(np.array([covariance for _, _, covariance in states]))
    smoothed = rts_smoother(means, covariances, transitions, _full(np.array(noises)))[0][:, :, 0]
    smoothed[:, 2:4] = np.maximum(smoothed[:, 2:4], MINIMUM_SIDE_PX)
    return smoothed[:, :4], smoothed[:, 4:]


def _full(blocks: Floats) -> Floats:
    """``(n, 3, 4, 1)`` blocks of each axis as ``(n, 8, 8)`` matrices."""
    axes = np.arange(4)
    full = np.zeros((len(blocks), 8, 8))
    full[:, axes, axes] = blocks[:, 0, :, 0]
    full[:, axes, axes + 4] = full[:, axes + 4, axes] = blocks[:, 1, :, 0]
    full[:, axes + 4, axes + 4] = blocks[:, 2, :, 0]
    return full
