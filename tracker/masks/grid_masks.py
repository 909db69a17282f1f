"""Mask probabilities of all instances on one small grid over the image (YOLACT, Mask2Former)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import expect_array
from tracker.masks.instance_masks import PROBABILITY_THRESHOLD, InstanceMasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["GridMasks", "moved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GridMasks(InstanceMasks):
    """Mask probabilities on one small grid over the image, as YOLACT's prototypes have it.

    Cell ``(row, column)`` covers the image rectangle ``[column * step_x, (column + 1) * step_x) x [row * step_y,
    (row + 1) * step_y)``.

    Attributes:
        probabilities: ``(N, h, w)`` uint8, 255 = certainly inside, zero outside the instance's box.
        step_px: Image pixels per grid cell, ``(x, y)``; the grid's origin is the image's top left corner. The grid may
            reach past the image where the input was padded.
        image_size: ``(width, height)`` of the image in pixels.
    """

    probabilities: NDArray[np.uint8]
    step_px: tuple[float, float]
    image_size: tuple[int, int]

    def __post_init__(self) -> None:
        expect_array("GridMasks.probabilities", self.probabilities, (None, None, None), "u")

    def __len__(self) -> int:
        return len(self.probabilities)

    def take(self, rows: NDArray[Any]) -> GridMasks:
        """The masks of ``rows``."""
        return GridMasks(probabilities=self.probabilities[rows], step_px=self.step_px, image_size=self.image_size)

    def scaled(self, scale: tuple[float, float], image_size: tuple[int, int]) -> GridMasks:
        """The same grid with larger or smaller cells."""
        step_px = (self.step_px[0] * scale[0], self.step_px[1] * scale[1])
        return GridMasks(probabilities=self.probabilities, step_px=step_px, image_size=image_size)

    def lift(self, row: int, box: NDArray[np.floating[Any]]) -> tuple[NDArray[np.bool_], tuple[int, int]]:
        """One silhouette at image resolution; see :meth:`InstanceMasks.lift`."""
        import cv2

        image_width, image_height = self.image_size
        x_0, y_0, x_1, y_1 = box.tolist()
        left, top = max(math.floor(x_0), 0), max(math.floor(y_0), 0)
        right, bottom = min(math.ceil(x_1), image_width), min(math.ceil(y_1), image_height)
        if right <= left or bottom <= top:
            return np.zeros((0, 0), dtype=np.bool_), (left, top)
        # Only the part of the grid under the box is resampled, with one cell of margin so that the interpolation sees
        # its neighbours.
        step_x, step_y = self.step_px
        grid = self.probabilities[row]
        rows, columns = grid.shape
        column_0, row_0 = max(int(left / step_x) - 1, 0), max(int(top / step_y) - 1, 0)
        column_1, row_1 = min(math.ceil(right / step_x) + 1, columns), min(math.ceil(bottom / step_y) + 1, rows)
        if column_1 <= column_0 or row_1 <= row_0:
            return np.zeros((0, 0), dtype=np.bool_), (left, top)
        cut = grid[row_0:row_1, column_0:column_1]
        covered = column_1 * step_x >= right and row_1 * step_y >= bottom
        if covered and step_x == int(step_x) and step_y == int(step_y):
            # Whole pixels per cell (640 x 360, 720p, 1080p on a stride-4 grid): a plain resize hits the same points
            # at half the time of a warp.
            x, y = left - column_0 * int(step_x), top - row_0 * int(step_y)
            lifted = cv2.resize(cut, None, fx=step_x, fy=step_y, interpolation=cv2.INTER_LINEAR)
            return lifted[y : y + bottom - top, x : x + right - left] >= PROBABILITY_THRESHOLD, (left, top)
        # Pixel centre x maps to grid coordinate (x + 0.5) / step - 0.5, relative to the cut.
        shift_x, shift_y = (left + 0.5) / step_x - 0.5 - column_0, (top + 0.5) / step_y - 0.5 - row_0
        matrix = np.array([[1 / step_x, 0, shift_x], [0, 1 / step_y, shift_y]])
        crop = cv2.warpAffine(
            cut,
            matrix,
            (right - left, bottom - top),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return crop >= PROBABILITY_THRESHOLD, (left, top)

    def extent(self, row: int) -> NDArray[np.float64]:
        """The cells that are not zero, with the half cell around them that interpolation reaches."""
        left, top, right, bottom = _rect(self.probabilities[row])
        if right <= left:
            return np.zeros(4)
        step_x, step_y = self.step_px
        return np.array([(left - 0.5) * step_x, (top - 0.5) * step_y, (right + 0.5) * step_x, (bottom + 0.5) * step_y])

    def areas_px(self) -> NDArray[np.float32]:
        """Areas counted on the grid (no lift)."""
        cells = (self.probabilities >= PROBABILITY_THRESHOLD).sum(axis=(1, 2))
        return np.asarray(cells * (self.step_px[0] * self.step_px[1]), dtype=np.float32)

    def sample(self, boxes: NDArray[np.float64], rows: NDArray[np.int64], cells: int) -> NDArray[np.uint8]:
        """The nearest cell's probability at each point."""
        height, width = self.probabilities.shape[1:]
        centres = _centres(cells)
        left, top, right, bottom = boxes[:, :, None]
        x = (left + (right - left) * centres) / self.step_px[0]
        y = (top + (bottom - top) * centres) / self.step_px[1]
        columns = np.minimum(np.maximum(x, 0.0), width - 1.0).astype(np.int64)
        lines = np.minimum(np.maximum(y, 0.0), height - 1.0).astype(np.int64)
        flat = ((rows[:, None] * height + lines) * width)[:, :, None] + columns[:, None, :]
        return np.asarray(self.probabilities.reshape(-1).take(flat.reshape(len(rows), cells * cells)))

    @property
    def grid_step_px(self) -> tuple[float, float]:
        """Of the masks themselves."""
        return self.step_px

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Of the masks themselves."""
        height, width = self.probabilities.shape[1:]
        return height, width

    def grid(self, row: int) -> NDArray[np.uint8]:
        """The mask as it is."""
        found: NDArray[np.uint8] = self.probabilities[row]
        return found

    def on_cells(self, step_px: tuple[float, float], shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Bilinear between the cells' centres."""
        import cv2

        scale_x, scale_y = step_px[0] / self.step_px[0], step_px[1] / self.step_px[1]
        matrix = np.array([[scale_x, 0, 0.5 * scale_x - 0.5], [0, scale_y, 0.5 * scale_y - 0.5]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        found = np.zeros((len(self), *shape), np.uint8)
        for row, grid in enumerate(self.probabilities):
            found[row] = cv2.warpAffine(grid, matrix, shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return found

    def extended(self, grids: Sequence[NDArray[np.uint8]], boxes: NDArray[np.float32]) -> GridMasks:  # noqa: ARG002
        """The grids one after another."""
        return replace(self, probabilities=np.concatenate([self.probabilities, grids]))

    def between(
        self,
        boxes: NDArray[np.float32],
        others: GridMasks,
        other_boxes: NDArray[np.float32],
        now: NDArray[np.float32],
        share: float,
    ) -> GridMasks:
        """Both grids moved with their boxes, then their weighted mean."""
        found = np.zeros_like(self.probabilities)
        for row, target in enumerate(found):
            before = moved(self.probabilities[row], self.step_px, boxes[row], now[row])
            after = moved(others.probabilities[row], others.step_px, other_boxes[row], now[row])
            target[:] = np.rint((1 - share) * before.astype(np.float32) + share * after)
        return replace(self, probabilities=found)

    def pack(self) -> list[NDArray[Any]]:
        """Rectangles of cells that are not zero ``(N, 4)`` xyxy, their cells one after another, the grid's measures."""
        count, height, width = self.probabilities.shape
        rects = np.zeros((count, 4), np.int64)
        crops = []
        for row in range(count):
            rects[row] = left, top, right, bottom = _rect(self.probabilities[row])
            crops.append(self.probabilities[row, top:bottom, left:right].ravel())
        measures = np.array([*self.step_px, *self.image_size, height, width], np.float64)
        return [rects, np.concatenate([np.zeros(0, np.uint8), *crops]), measures]


def moved(
    grid: NDArray[np.uint8], step_px: tuple[float, float], before: NDArray[np.float32], now: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """A mask ``(h, w)`` moved and scaled as its box was.

    >>> grid = np.zeros((3, 4), np.uint8)
    >>> grid[1, 1] = 255
    >>> moved(grid, (2.0, 2.0), np.array([2.0, 2, 4, 4]), np.array([4.0, 2, 6, 4])).nonzero()
    (array([1]), array([2]))
    """
    import cv2

    sides, sides_now = np.maximum(before[2:] - before[:2], 1e-6), np.maximum(now[2:] - now[:2], 1e-6)
    scale = sides / sides_now  # of a step in the new picture, in the old one
    step = np.array(step_px)
    shift = (before[:2] - now[:2] * scale) / step
    # Cell n has its centre at (n + 0.5) steps.
    offset = shift + 0.5 * scale - 0.5
    matrix = np.array([[scale[0], 0, offset[0]], [0, scale[1], offset[1]]], np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(grid, matrix, grid.shape[::-1], flags=flags), np.uint8)


def _rect(grid: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """The smallest rectangle of cells, xyxy, that holds all that are not zero."""
    lines, columns = np.flatnonzero(grid.any(axis=1)), np.flatnonzero(grid.any(axis=0))
    if not len(lines):
        return 0, 0, 0, 0
    return int(columns[0]), int(lines[0]), int(columns[-1]) + 1, int(lines[-1]) + 1


@cache
def _centres(cells: int) -> NDArray[np.float64]:
    """Middles ``(cells,)`` of so many parts of a length of 1."""
    return np.asarray((np.arange(cells) + 0.5) / cells)
