"""Metric grid over a still: the ground's lines in metres, its known points, and how far each lies off.

The eye checks a calibration by it: lines along kerbs and lane markings lie on them, and squares look square.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tracker.render.label import plain_sprite, stamp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracker.ground import Ground

    Floats = NDArray[np.float64]

__all__ = ["draw_grid", "grid_step_m"]

LINE, STRONG, DARK = (240, 232, 160), (255, 255, 255), (28, 24, 22)
"""BGR of a line, of every fifth one, and below both."""
POINT, OFF = (102, 136, 238), (60, 60, 230)
MOST_LINES = 24
"""Each way."""
BEYOND = 0.6
"""How far the grid goes past the known points, as a share of their extent."""
SAMPLES = 120
SHIFT = 4
"""Binary digits of OpenCV's sub-pixel positions."""


def grid_step_m(extent_m: float) -> float:
    """Metres between two lines: 1, 2 or 5 times a power of ten.

    >>> grid_step_m(40.0), grid_step_m(9.0)
    (2.0, 0.5)
    """
    least = extent_m / MOST_LINES
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least - 1e-9)


def draw_grid(image: NDArray[np.uint8], ground: Ground) -> float:
    """Draw onto a picture ``(H, W, 3)``.

    Args:
        image: Uint8 BGR, changed in place.
        ground: What is drawn.

    Returns:
        Metres between two lines.
    """
    known = np.array([point.metres for point in ground.known])
    middle, reach = (known.max(axis=0) + known.min(axis=0)) / 2, np.ptp(known, axis=0) * (0.5 + BEYOND)
    step = grid_step_m(2 * float(reach.max()))
    low = np.floor((middle - reach) / step) * step
    high = np.ceil((middle + reach) / step) * step
    width_px = max(round(image.shape[0] / 700), 1)
    for axis in (0, 1):
        for number in range(round((high[axis] - low[axis]) / step) + 1):
            value = low[axis] + number * step
            ends = np.array([low, high])
            ends[:, axis] = value
            strong = round(value / step) % 5 == 0
            _line(image, ground, ends, STRONG if strong else LINE, width_px)
            if strong:
                _tell(image, ground, ends, f"{value:g} m")
    _points(image, ground, width_px)
    return step


def _line(image: NDArray[np.uint8], ground: Ground, ends: Floats, colour: tuple[int, int, int], width_px: int) -> None:
    """A straight line of the ground, as far as it is in front of the camera."""
    import cv2

    for path in _paths(image, ground, ends):
        fixed = np.round(path * (1 << SHIFT)).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(image, [fixed], False, DARK, width_px + 2, cv2.LINE_AA, SHIFT)
        cv2.polylines(image, [fixed], False, colour, width_px, cv2.LINE_AA, SHIFT)


def _paths(image: NDArray[np.uint8], ground: Ground, ends: Floats) -> list[Floats]:
    """Pieces ``(n, 2)`` in pixels that are near the picture."""
    height, width = image.shape[:2]
    shares = np.linspace(0, 1, SAMPLES)[:, None]
    at = ground.to_picture(ends[0] + shares * (ends[1] - ends[0]))
    with np.errstate(invalid="ignore"):
        near = np.asarray(np.isfinite(at).all(axis=1) & (np.abs(at - 0.5) < 1.5).all(axis=1))
    pieces = np.split(np.arange(SAMPLES), np.flatnonzero(np.diff(near.astype(np.int8))) + 1)
    return [at[rows] * (width, height) for rows in pieces if near[rows[0]] and len(rows) > 1]


def _tell(image: NDArray[np.uint8], ground: Ground, ends: Floats, text: str) -> None:
    """Write a line's metres where it comes into the picture."""
    height, width = image.shape[:2]
    sprite = plain_sprite(text, max(height // 45, 10), weight=1, colour=STRONG, shade=0.6)
    room = np.array(sprite.size)
    for path in _paths(image, ground, ends):
        inside = ((path >= room) & (path <= np.array([width, height]) - room)).all(axis=1)
        if inside.any():
            x, y = path[int(inside.argmax())]
            stamp(image, sprite, round(float(x) - room[0] / 2), round(float(y) - room[1] / 2))
            return


def _points(image: NDArray[np.uint8], ground: Ground, width_px: int) -> None:
    """Known points with their numbers; a stroke to where the ground puts each, if that is seen."""
    import cv2

    height, width = image.shape[:2]
    size = np.array([width, height])
    put = ground.to_picture(np.array([point.metres for point in ground.known])) * size
    radius = max(height // 90, 4)
    for number, (point, fitted, off_m) in enumerate(
        zip(ground.known, put.tolist(), ground.residuals_m.tolist(), strict=True), start=1
    ):
        x, y = (round(share * side) for share, side in zip(point.at, (width, height), strict=True))
        cv2.circle(image, (x, y), radius, DARK, width_px + 2, cv2.LINE_AA)
        cv2.circle(image, (x, y), radius, POINT, width_px, cv2.LINE_AA)
        if all(map(math.isfinite, fitted)):
            cv2.line(image, (x, y), (round(fitted[0]), round(fitted[1])), OFF, width_px + 1, cv2.LINE_AA)
        text = f"{number}: {off_m:.2f} m off" if ground.is_checked else str(number)
        sprite = plain_sprite(text, max(height // 45, 10), weight=1, colour=POINT, shade=0.6)
        stamp(image, sprite, min(x + radius + 2, width - sprite.size[0]), max(y - sprite.size[1] - 2, 0))
