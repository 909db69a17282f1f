"""Mask probabilities of all instances on one small grid over the image (YOLACT, Mask2Former)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import expect_array
from tracker.masks.instance_masks import PROBABILITY_THRESHOLD, InstanceMasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["GridMasks"]


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

    def possible(self, level: int) -> GridMasks:
        """Cell by cell."""
        return replace(self, probabilities=np.where(self.probabilities >= level, np.uint8(255), np.uint8(0)))

    def scaled(self, scale: tuple[float, float], image_size: tuple[int, int]) -> GridMasks:
        """The same grid with larger or smaller cells."""
        step_px = (self.step_px[0] * scale[0], self.step_px[1] * scale[1])
        return GridMasks(probabilities=self.probabilities, step_px=step_px, image_size=image_size)

    def lift(self, row: int, box: NDArray[np.floating[Any]]) -> tuple[NDArray[np.bool_], tuple[int, int]]:
        """One silhouette at image resolution; see :meth:`InstanceMasks.lift`."""
        import cv2

        image_width, image_height = self.image_size
        left, top = max(int(np.floor(box[0])), 0), max(int(np.floor(box[1])), 0)
        right, bottom = min(int(np.ceil(box[2])), image_width), min(int(np.ceil(box[3])), image_height)
        if right <= left or bottom <= top:
            return np.zeros((0, 0), dtype=np.bool_), (left, top)
        # Only the part of the grid under the box is resampled, with one cell of margin so that the interpolation sees
        # its neighbours.
        step_x, step_y = self.step_px
        grid = self.probabilities[row]
        rows, columns = grid.shape
        column_0, row_0 = max(int(left / step_x) - 1, 0), max(int(top / step_y) - 1, 0)
        column_1, row_1 = min(int(np.ceil(right / step_x)) + 1, columns), min(int(np.ceil(bottom / step_y)) + 1, rows)
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
        centres = (np.arange(cells) + 0.5) / cells
        x = (boxes[0, :, None] + (boxes[2] - boxes[0])[:, None] * centres) / self.step_px[0]
        y = (boxes[1, :, None] + (boxes[3] - boxes[1])[:, None] * centres) / self.step_px[1]
        columns = np.minimum(np.maximum(x, 0), width - 1).astype(np.int64)
        lines = np.minimum(np.maximum(y, 0), height - 1).astype(np.int64)
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
        return np.asarray(self.probabilities[row])

    def extended(self, grids: Sequence[NDArray[np.uint8]], boxes: NDArray[np.float32]) -> GridMasks:  # noqa: ARG002
        """The grids one after another."""
        return replace(self, probabilities=np.concatenate([self.probabilities, grids]))

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


def _rect(grid: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """The smallest rectangle of cells, xyxy, that holds all that are not zero."""
    lines, columns = np.flatnonzero(grid.any(axis=1)), np.flatnonzero(grid.any(axis=0))
    if not len(lines):
        return 0, 0, 0, 0
    return int(columns[0]), int(lines[0]), int(columns[-1]) + 1, int(lines[-1]) + 1
