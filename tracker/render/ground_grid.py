"""Metric grid over a still: the ground's lines in metres, its known points, and how far each lies off.

The eye checks a calibration by it: lines along kerbs and lane markings lie on them, and squares look square.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tracker.render.label import plain_sprite, stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracker.ground import Ground

    Floats = NDArray[np.float64]

__all__ = ["GridLine", "draw_grid", "grid_lines", "grid_step_m"]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class GridLine:
    """A line of the ground at a whole number of steps.

    Attributes:
        axis: Whose coordinate it holds: 0 = ``x``, 1 = ``y``.
        metres: That coordinate.
        is_strong: Every fifth one.
        pieces: Its parts ``(n, 2)`` near the picture, in shares of it, in front of the camera.
    """

    axis: int
    metres: float
    is_strong: bool
    pieces: tuple[Floats, ...]


def grid_lines(ground: Ground) -> tuple[float, list[GridLine]]:
    """Metres between two lines of the grid, and its lines over the known points and some of the ground about them."""
    known = np.array([point.metres for point in ground.known])
    middle, reach = (known.max(axis=0) + known.min(axis=0)) / 2, np.ptp(known, axis=0) * (0.5 + BEYOND)
    step = grid_step_m(2 * float(reach.max()))
    low = np.floor((middle - reach) / step) * step
    high = np.ceil((middle + reach) / step) * step
    found = []
    for axis in (0, 1):
        for number in range(round((high[axis] - low[axis]) / step) + 1):
            value = float(low[axis] + number * step)
            ends = np.array([low, high])
            ends[:, axis] = value
            pieces = tuple(_pieces(ground, ends))
            found.append(GridLine(axis=axis, metres=value, is_strong=round(value / step) % 5 == 0, pieces=pieces))
    return step, found


def draw_grid(image: NDArray[np.uint8], ground: Ground) -> float:
    """Draw onto a picture ``(H, W, 3)``.

    Args:
        image: Uint8 BGR, changed in place.
        ground: What is drawn.

    Returns:
        Metres between two lines.
    """
    step, lines = grid_lines(ground)
    size, width_px = image.shape[1::-1], max(round(image.shape[0] / 700), 1)
    for line in lines:
        paths = [piece * size for piece in line.pieces]
        _line(image, paths, STRONG if line.is_strong else LINE, width_px)
        if line.is_strong:
            _tell(image, paths, f"{line.metres:g} m")
    _points(image, ground, width_px)
    return step


def _line(image: NDArray[np.uint8], paths: Sequence[Floats], colour: tuple[int, int, int], width_px: int) -> None:
    import cv2

    for path in paths:
        fixed = np.round(path * (1 << SHIFT)).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(image, [fixed], False, DARK, width_px + 2, cv2.LINE_AA, SHIFT)
        cv2.polylines(image, [fixed], False, colour, width_px, cv2.LINE_AA, SHIFT)


def _pieces(ground: Ground, ends: Floats) -> list[Floats]:
    """Parts ``(n, 2)`` of a straight line of the ground that are near the picture, in shares of it."""
    shares = np.linspace(0, 1, SAMPLES)[:, None]
    at = ground.to_picture(ends[0] + shares * (ends[1] - ends[0]))
    with np.errstate(invalid="ignore"):
        near = np.asarray(np.isfinite(at).all(axis=1) & (np.abs(at - 0.5) < 1.5).all(axis=1))
    parts = np.split(np.arange(SAMPLES), np.flatnonzero(np.diff(near.astype(np.int8))) + 1)
    return [at[rows] for rows in parts if near[rows[0]] and len(rows) > 1]


def _tell(image: NDArray[np.uint8], paths: Sequence[Floats], text: str) -> None:
    """Write a line's metres where it comes into the picture."""
    height, width = image.shape[:2]
    sprite = plain_sprite(text, max(height // 45, 10), weight=1, colour=STRONG, shade=0.6)
    room = np.array(sprite.size)
    for path in paths:
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
