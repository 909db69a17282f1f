"""Motion model of the track table: prediction, correction and initiation, with noise in object sizes.

Noise is stated in object sizes, ``sqrt(width * height)``: one setting serves a car that fills the image and one at the
horizon. Time is in seconds: a dropped frame is a longer step.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tracker.associate import kalman
from tracker.errors import TrackerError

if TYPE_CHECKING:
    from tracker.associate.lifecycle import TrackTable

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

__all__ = ["EPSILON_S", "Motion", "check_warp", "elapsed", "xyxy"]

EPSILON_S = 1e-6
"""Times are compared with this tolerance: sums of frame durations are not exact."""
MINIMUM_SIDE_PX = 1.0
MOST_STEPS = 16
"""Process noise is kept for so many lengths of a step: at a steady rate differences of times take a few values."""
SIZE_RATE = 0.2
"""An unknown rate of size is this share of an unknown velocity."""


class Motion:
    """Constant-velocity model of all tracks at once.

    Args:
        measurement: Standard deviation of a measured edge, in sizes.
        acceleration: Random walk of a velocity in one second, in sizes per second.
        size_acceleration: The same for width and height.
        drift: Random walk of a position in one second, in sizes.
        initial_rate: Standard deviation of the unknown velocity of a new track, in sizes per second.
    """

    def __init__(
        self, *, measurement: float, acceleration: float, size_acceleration: float, drift: float, initial_rate: float
    ) -> None:
        self._measurement = measurement**2
        self._acceleration = np.array([acceleration**2] * 2 + [size_acceleration**2] * 2)[:, None]
        self._drift = np.full((4, 1), drift**2)
        self._steps: dict[float, Floats] = {}
        self._initial_rate = np.array([initial_rate**2] * 2 + [(SIZE_RATE * initial_rate) ** 2] * 2)[:, None]

    def warp(self, table: TrackTable, matrix: Floats) -> None:
        """Map every track to the present image by ``matrix (2, 3)``: filtered states and last boxes.

        Mask crops are relative to their boxes and need no change.
        """
        values, rates, covariances = kalman.warp(table.values, table.rates, table.covariances, matrix)
        np.maximum(values[2:], MINIMUM_SIDE_PX, out=values[2:])
        last = np.concatenate([(table.boxes[:2] + table.boxes[2:]) / 2, table.boxes[2:] - table.boxes[:2]])
        table.boxes[:] = xyxy(kalman.warp(last, rates, covariances, matrix)[0])
        table.values[:] = values
        table.rates[:] = rates
        table.covariances[:] = covariances

    def predict(self, table: TrackTable, dt_s: float) -> None:
        """Predict every track ``dt_s`` seconds ahead."""
        step = self._steps.get(dt_s)
        if step is None:
            if len(self._steps) == MOST_STEPS:
                self._steps.clear()
            step = kalman.process_noise(dt_s, acceleration_density=self._acceleration, drift_density=self._drift)
            self._steps[dt_s] = step
        _, _, width, height = table.values
        noise = step * (width * height)
        values, covariances = table.values, table.covariances
        values[:], covariances[:] = kalman.predict(values, table.rates, covariances, dt_s, noise)
        sides = values[2:]
        np.maximum(sides, MINIMUM_SIDE_PX, out=sides)

    def correct(self, table: TrackTable, rows: Rows, measured: Floats) -> None:
        """Correct the tracks ``rows``, ascending, by ``measured (4, P)`` centre x, centre y, width, height."""
        _, _, width, height = measured
        noise = self._measurement * np.maximum(width * height, 1)
        whole = len(rows) == table.count
        states = table.states if whole else table.states.take(rows, axis=2)
        before = states[0], states[1], states[2:]
        states[0], states[1], states[2:] = kalman.correct(*before, measured, noise)
        sides = states[0, 2:]
        np.maximum(sides, MINIMUM_SIDE_PX, out=sides)
        if not whole:
            table.states[:, :, rows] = states

    def initiate(self, table: TrackTable, new: slice, measured: Floats) -> None:
        """Start the tracks ``new`` at rest with a velocity that is unknown."""
        square = np.maximum(measured[2] * measured[3], 1)
        table.values[:2, new] = measured[:2]
        table.values[2:, new] = np.maximum(measured[2:], MINIMUM_SIDE_PX)
        table.covariances[:, :, new] = kalman.initiate(self._measurement * square, self._initial_rate * square)


def xyxy(values: Floats) -> Floats:
    """Boxes ``(4, N)`` xyxy of centre x, centre y, width, height."""
    half = values[2:] / 2
    return np.concatenate([values[:2] - half, values[:2] + half])


def check_warp(warp: Floats) -> None:
    """Raise ``TrackerError`` unless ``warp`` is ``(2, 3)``, finite, and without a reflection."""
    fits = np.shape(warp) == (2, 3) and bool(np.isfinite(warp).all())
    if not fits or warp[0, 0] * warp[1, 1] - warp[0, 1] * warp[1, 0] <= 0:
        found = np.array2string(np.asarray(warp), precision=4)
        raise TrackerError(
            "warp",
            f"expected (2, 3) finite numbers that do not mirror, found {found}",
            "pass None where the camera's motion is not known",
        )


def elapsed(before_s: float | None, time_s: float) -> float:
    """Seconds since the last frame (``None`` = there was none); ``TrackerError`` unless finite and not negative."""
    if not math.isfinite(time_s):
        raise TrackerError("time_s", f"expected seconds, found {time_s}", "pass the frame's media time")
    if before_s is None:
        return 0.0
    if time_s < before_s:
        raise TrackerError(
            "time_s",
            f"expected at least {before_s:.6f} s, found {time_s:.6f} s",
            "start a new Tracker where a stream restarts",
        )
    return float(time_s) - before_s
