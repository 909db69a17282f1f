"""Heatmap over a still of the scene, and the same on the ground plane in values per square metre."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tracker.errors import ConfigError
from tracker.render.heat_scale import GROUND, font_px, legend, scale_of, square
from tracker.render.label import plain_sprite, stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracker.ground import Ground
    from tracker.render.heat_scale import HeatScale

__all__ = ["MOST_CELL_M2", "Layer", "Plan", "draw_heatmap", "draw_plan", "heat_sheet"]

DIM = 0.62
"""Brightness of the still under the colours, without its own."""
MOST_CELL_M2 = 16.0
"""A cell that is larger on the ground is too far away: it does not say where in it the time was spent."""
MARGIN = 0.03
"""Around a plan, as a share of its longer side."""
PLAN_PX = 1000
"""Length of the longer side of a plan."""
UNSEEN, FLOOR, RULE = (34, 29, 27), (58, 51, 48), (82, 74, 70)


class Plan:
    """A grid of the picture as it lies on the ground.

    Args:
        grid: ``(rows, columns)`` values by cell.
        ground: Of the camera.

    Attributes:
        density: ``(rows, columns)`` values per square metre; 0 where a cell is not shown.
        shown: Share of all values that lie in cells that are shown.
        low_m, high_m: Corners ``(2,)`` of the part of the ground that has values.

    Raises:
        ConfigError: No cell with a value lies on the ground, near enough.
    """

    def __init__(self, grid: NDArray[np.float64], ground: Ground) -> None:
        rows, columns = grid.shape
        x, y = np.meshgrid(np.arange(columns + 1) / columns, np.arange(rows + 1) / rows)
        corners = ground.to_metres(np.stack([x, y], axis=-1).reshape(-1, 2)).reshape(rows + 1, columns + 1, 2)
        around = np.stack([corners[:-1, :-1], corners[:-1, 1:], corners[1:, 1:], corners[1:, :-1]])
        after = np.roll(around, -1, axis=0)
        areas_m2 = np.abs((around[..., 0] * after[..., 1] - around[..., 1] * after[..., 0]).sum(axis=0)) / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            near = np.isfinite(areas_m2) & (areas_m2 <= MOST_CELL_M2) & (areas_m2 > 0)
            self.density = np.where(near, grid / areas_m2, 0.0)
        used = near & (grid > 0)
        if not used.any():
            problem = f"expected time in cells of the ground up to {MOST_CELL_M2:.0f} square metres each, found none"
            raise ConfigError("--ground", problem, "draw it in the picture, or check the site's ground")
        self.shown = float(grid[used].sum() / grid.sum())
        points = around[:, used].reshape(-1, 2)
        low_m, high_m = points.min(axis=0), points.max(axis=0)
        margin_m = MARGIN * float((high_m - low_m).max())
        self.low_m, self.high_m = low_m - margin_m, high_m + margin_m
        self._ground = ground

    def values(self, pixels_per_m: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Values per square metre ``(H, W)`` seen from above, the ground's ``y`` upwards, and where the camera sees."""
        import cv2

        width, height = (max(math.ceil(side), 1) for side in (self.high_m - self.low_m) * pixels_per_m)
        x = self.low_m[0] + (np.arange(width) + 0.5) / pixels_per_m
        y = self.high_m[1] - (np.arange(height) + 0.5) / pixels_per_m
        places = self._ground.to_picture(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)).reshape(height, width, 2)
        with np.errstate(invalid="ignore"):
            seen = np.asarray(((places >= 0) & (places <= 1)).all(axis=2), np.bool_)
        rows, columns = self.density.shape
        at = np.nan_to_num(places * (columns, rows) - 0.5, nan=-9.0).clip(-9, 9_999).astype(np.float32)
        found = cv2.remap(self.density, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.where(seen, found.astype(np.float64), 0.0), seen


Layer = Plan | tuple["NDArray[np.float64]", "NDArray[np.uint8]"]
"""A plan of the ground, or values by cell and the still below them."""


def draw_heatmap(image: NDArray[np.uint8], grid: NDArray[np.float64], scale: HeatScale) -> NDArray[np.uint8]:
    """A still without its colours, under the values of the cells.

    Args:
        image: ``(H, W, 3)`` uint8 BGR; it is not touched.
        grid: ``(rows, columns)`` values; between the middles of cells they are interpolated.
        scale: Of the colours.
    """
    import cv2

    height, width = image.shape[:2]
    values = cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)[..., None] * DIM
    return scale.over(np.repeat(grey, 3, axis=2), values)


def draw_plan(plan: Plan, scale: HeatScale, shown_px: int | None = None) -> NDArray[np.uint8]:
    """The ground from above with a grid in metres, ``(H, W, 3)`` uint8 BGR, for being shown ``shown_px`` wide."""
    side_m = plan.high_m - plan.low_m
    pixels_per_m = PLAN_PX / float(side_m.max())
    values, seen = plan.values(pixels_per_m)
    floor = np.where(seen[..., None], np.array(FLOOR, np.float32), np.array(UNSEEN, np.float32))
    step_m = _step_m(float(side_m.max()))
    for axis in (0, 1):
        for line_m in _rules(float(plan.low_m[axis]), float(plan.high_m[axis]), step_m):
            at = round((line_m - plan.low_m[0] if axis == 0 else plan.high_m[1] - line_m) * pixels_per_m)
            if axis == 0:
                floor[:, at : at + 1] = RULE
            else:
                floor[at : at + 1] = RULE
    drawn = scale.over(floor.astype(np.float32), values)
    return _framed(drawn, plan, pixels_per_m, step_m, font=max(17, font_px(PLAN_PX, shown_px)))


def heat_sheet(
    layer: Layer, *, stream: str, visits: bool, percentile: float, lines: Sequence[str], shown_px: int | None = None
) -> NDArray[np.uint8]:
    """A heatmap with its legend below, ``(H, W, 3)`` uint8 BGR.

    Args:
        layer: A plan of the ground; or values by cell ``(rows, columns)`` and the still below them.
        stream: Whose it is.
        visits: Values are visits, else seconds.
        percentile: Of the cells with a value, which has the last colour.
        lines: Of text, below the scale.
        shown_px: Width at which it will be looked at; ``None`` = about its own.
    """
    what, unit = ("Visits", "visits") if visits else ("Seconds", "s")
    if isinstance(layer, Plan):
        scale = scale_of(layer.density, unit=f"{unit}/{square()}", percentile=percentile)
        drawn, title = draw_plan(layer, scale, shown_px), f"{what} per square metre"
    else:
        grid, still = layer
        scale = scale_of(grid, unit=unit, percentile=percentile, whole=visits)
        drawn, title = draw_heatmap(still, grid, scale), f"{what} per cell"
    below = legend(scale, drawn.shape[1], title=f"{title}: {stream}", lines=lines, shown_px=shown_px)
    return np.concatenate([drawn, below])


def _framed(
    drawn: NDArray[np.uint8], plan: Plan, pixels_per_m: float, step_m: float, *, font: int
) -> NDArray[np.uint8]:
    """With metres beside the rules."""
    height, width = drawn.shape[:2]
    left, below = 4 * font, 2 * font
    least = 26 * font - left  # the legend has room
    framed = np.empty((height + below + font, max(width, least) + left + font, 3), np.uint8)
    framed[...] = GROUND
    framed[font : font + height, left : left + width] = drawn
    for line_m in _rules(float(plan.low_m[0]), float(plan.high_m[0]), step_m):
        sprite = plain_sprite(f"{line_m:g} m", font, weight=400, colour=(205, 198, 190))
        x = left + round((line_m - plan.low_m[0]) * pixels_per_m) - sprite.size[0] // 2
        stamp(framed, sprite, x, font + height + font // 2)
    for line_m in _rules(float(plan.low_m[1]), float(plan.high_m[1]), step_m):
        sprite = plain_sprite(f"{line_m:g} m", font, weight=400, colour=(205, 198, 190))
        y = font + round((plan.high_m[1] - line_m) * pixels_per_m) - sprite.size[1] // 2
        stamp(framed, sprite, left - sprite.size[0] - font // 2, y)
    return framed


def _rules(low_m: float, high_m: float, step_m: float) -> Sequence[float]:
    """Multiples of a step between two ends."""
    first = math.ceil(low_m / step_m)
    return [number * step_m for number in range(first, math.floor(high_m / step_m) + 1)]


def _step_m(side_m: float) -> float:
    """A round distance of which a side has from 4 to 10.

    >>> [_step_m(side_m) for side_m in (3.0, 12.0, 90.0)]
    [0.5, 2.0, 20.0]
    """
    power = 10.0 ** math.floor(math.log10(side_m / 4))
    return power * max(factor for factor in (1, 2, 5) if power * factor <= side_m / 4)
