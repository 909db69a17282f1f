"""Mask probabilities on one small grid per box (Mask R-CNN's 28 x 28 maps)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import expect_array
from tracker.masks.instance_masks import PROBABILITY_THRESHOLD, InstanceMasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["BoxMasks"]

IMAGE_CELLS = 160
"""Cells along the longer side of the image of the grid on which masks per box are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxMasks(InstanceMasks):
    """Mask probabilities on a small grid per box, as Mask R-CNN's 28 x 28 maps.

    Cell ``(row, column)`` of ``h x w`` covers that part of the box. Between the centres of the outermost cells and half
    a cell outside the box the probability falls to zero, as ``grid_sample`` with zeros around the map does
    (detectron2's ``paste_masks_in_image``; torchvision's pads the map by one cell of zeros).

    Attributes:
        probabilities: ``(N, h, w)`` uint8, 255 = certainly inside.
        boxes: ``(N, 4)`` float32 xyxy in image pixels that the grids span; they may reach outside the image.
        image_size: ``(width, height)`` of the image in pixels.
    """

    probabilities: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    image_size: tuple[int, int]

    def __post_init__(self) -> None:
        expect_array("BoxMasks.probabilities", self.probabilities, (None, None, None), "u")
        expect_array("BoxMasks.boxes", self.boxes, (len(self.probabilities), 4), "f")

    def __len__(self) -> int:
        return len(self.probabilities)

    def take(self, rows: NDArray[Any]) -> BoxMasks:
        """The masks of ``rows``."""
        return BoxMasks(probabilities=self.probabilities[rows], boxes=self.boxes[rows], image_size=self.image_size)

    def possible(self, level: int) -> BoxMasks:
        """Cell by cell; a cell at the edge reaches half a cell outside its box."""
        return replace(self, probabilities=np.where(self.probabilities >= level, np.uint8(255), np.uint8(0)))

    def scaled(self, scale: tuple[float, float], image_size: tuple[int, int]) -> BoxMasks:
        """The same grids over scaled boxes."""
        boxes = (self.boxes * np.array([*scale, *scale])).astype(np.float32)
        return BoxMasks(probabilities=self.probabilities, boxes=boxes, image_size=image_size)

    def lift(self, row: int, box: NDArray[np.floating[Any]]) -> tuple[NDArray[np.bool_], tuple[int, int]]:
        """One silhouette at image resolution; see :meth:`InstanceMasks.lift`."""
        image_width, image_height = self.image_size
        left, top = max(int(np.floor(box[0])), 0), max(int(np.floor(box[1])), 0)
        right, bottom = min(int(np.ceil(box[2])), image_width), min(int(np.ceil(box[3])), image_height)
        if right <= left or bottom <= top:
            return np.zeros((0, 0), dtype=np.bool_), (left, top)
        values = self._values(row, np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5)
        return values >= PROBABILITY_THRESHOLD, (left, top)

    def extent(self, row: int) -> NDArray[np.float64]:
        """The box with the half cell around it into which the probability falls."""
        rows, columns = self.probabilities.shape[1:]
        box = self.boxes[row].astype(np.float64)
        margin = (box[2:] - box[:2]) / (2 * np.array([columns, rows]))
        return np.concatenate([box[:2] - margin, box[2:] + margin])

    def areas_px(self) -> NDArray[np.float32]:
        """Pixels of each lifted silhouette inside the image."""
        return np.array([self.lift(row, self.extent(row))[0].sum() for row in range(len(self))], np.float32)

    def sample(self, boxes: NDArray[np.float64], rows: NDArray[np.int64], cells: int) -> NDArray[np.uint8]:
        """The nearest cell's probability at each point; zero outside the mask's box."""
        height, width = self.probabilities.shape[1:]
        centres, own = (np.arange(cells) + 0.5) / cells, self.boxes[rows].T.astype(np.float64)  # (4, M)
        sides = np.maximum(own[2:] - own[:2], 1e-9)
        x = (boxes[0] - own[0])[:, None] + (boxes[2] - boxes[0])[:, None] * centres
        y = (boxes[1] - own[1])[:, None] + (boxes[3] - boxes[1])[:, None] * centres
        columns = np.floor(x * (width / sides[0])[:, None])
        lines = np.floor(y * (height / sides[1])[:, None])
        inside = ((lines >= 0) & (lines < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
        columns, lines = np.clip(columns, 0, width - 1).astype(np.int64), np.clip(lines, 0, height - 1).astype(np.int64)
        found = self.probabilities[rows[:, None, None], lines[:, :, None], columns[:, None, :]]
        return np.where(inside, found, np.uint8(0)).reshape(len(rows), cells * cells)

    @property
    def grid_step_px(self) -> tuple[float, float]:
        """About ``IMAGE_CELLS`` cells along the longer side of the image, of whole pixels."""
        step = float(max(round(max(self.image_size) / IMAGE_CELLS), 1))
        return step, step

    @property
    def grid_shape(self) -> tuple[int, int]:
        """As many cells as cover the image."""
        width, height = self.image_size
        step = int(self.grid_step_px[0])
        return -(-height // step), -(-width // step)

    def grid(self, row: int) -> NDArray[np.uint8]:
        """The probabilities at the cells' centres."""
        (rows, columns), (step_x, step_y) = self.grid_shape, self.grid_step_px
        values = self._values(row, (np.arange(columns) + 0.5) * step_x, (np.arange(rows) + 0.5) * step_y)
        return np.rint(values).astype(np.uint8)

    def extended(self, grids: Sequence[NDArray[np.uint8]], boxes: NDArray[np.float32]) -> BoxMasks:
        """Each grid read at the centres of the cells of its box."""
        rows, columns = self.probabilities.shape[1:]
        further = np.zeros((len(grids), rows, columns), np.uint8)
        for target, grid, (left, top, right, bottom) in zip(further, grids, boxes.tolist(), strict=True):
            x = left + (np.arange(columns) + 0.5) * (right - left) / columns
            y = top + (np.arange(rows) + 0.5) * (bottom - top) / rows
            across = _hat_weights(x / self.grid_step_px[0] - 0.5, grid.shape[1])
            down = _hat_weights(y / self.grid_step_px[1] - 0.5, grid.shape[0])
            target[:] = np.rint(down @ grid @ across.T)
        return BoxMasks(
            probabilities=np.concatenate([self.probabilities, further]),
            boxes=np.concatenate([self.boxes, boxes.astype(np.float32)]),
            image_size=self.image_size,
        )

    def pack(self) -> list[NDArray[Any]]:
        """The boxes, the probabilities and the image's size."""
        return [self.boxes, self.probabilities, np.array(self.image_size, np.float64)]

    def _values(self, row: int, x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
        """Bilinear probabilities ``(len(y), len(x))`` at points of the image."""
        rows, columns = self.probabilities.shape[1:]
        left, top, right, bottom = self.boxes[row].astype(np.float64)
        if right <= left or bottom <= top:
            return np.zeros((len(y), len(x)))
        across = _hat_weights((x - left) * (columns / (right - left)) - 0.5, columns)
        down = _hat_weights((y - top) * (rows / (bottom - top)) - 0.5, rows)
        return np.asarray(down @ self.probabilities[row] @ across.T)


def _hat_weights(places: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Weights ``(len(places), count)`` of linear interpolation between whole numbers below ``count``; zero outside."""
    return np.asarray(np.maximum(1 - np.abs(places[:, None] - np.arange(count)), 0))
