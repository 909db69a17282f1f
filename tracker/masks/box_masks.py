"""Mask probabilities on one small grid per box (Mask R-CNN's 28 x 28 maps)."""

from __future__ import annotations

from dataclasses import dataclass
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
        """The cells that are not zero, with half a cell around them into which the probability falls."""
        cells = self.probabilities[row]
        lines, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
        if not len(lines):
            return np.zeros(4)
        box = self.boxes[row].astype(np.float64)
        sides = (box[2:] - box[:2]) / cells.shape[::-1]
        low, high = np.array([columns[0], lines[0]]) - 0.5, np.array([columns[-1], lines[-1]]) + 1.5
        return np.concatenate([box[:2] + low * sides, box[:2] + high * sides])

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
        return self._cells(row, self.grid_step_px, self.grid_shape)

    def on_cells(self, step_px: tuple[float, float], shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Bilinear between the cells of each box."""
        found = np.zeros((len(self), *shape), np.uint8)
        for row, target in enumerate(found):
            target[:] = self._cells(row, step_px, shape)
        return found

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

    def between(
        self,
        boxes: NDArray[np.float32],
        others: BoxMasks,
        other_boxes: NDArray[np.float32],
        now: NDArray[np.float32],
        share: float,
    ) -> BoxMasks:
        """The weighted mean of both, on boxes that lie to ``now`` as theirs lay to the instances' boxes."""
        reach = (1 - share) * (self.boxes - boxes) + share * (others.boxes - other_boxes)
        spans = (now + reach).astype(np.float32)
        rows, columns = np.maximum(self.probabilities.shape[1:], others.probabilities.shape[1:]).tolist()
        probabilities = np.zeros((len(self), rows, columns), np.uint8)
        for row, (target, box, span) in enumerate(zip(probabilities, now, spans, strict=True)):
            place = _shares(span, box, columns, rows)
            mean = (1 - share) * self._values(row, *_points(place, boxes[row]))
            mean += share * others._values(row, *_points(place, other_boxes[row]))
            target[:] = np.rint(mean)
        return BoxMasks(probabilities=probabilities, boxes=spans, image_size=self.image_size)

    def pack(self) -> list[NDArray[Any]]:
        """The boxes, the probabilities and the image's size."""
        return [self.boxes, self.probabilities, np.array(self.image_size, np.float64)]

    def _cells(self, row: int, step_px: tuple[float, float], shape: tuple[int, int]) -> NDArray[np.uint8]:
        (rows, columns), (step_x, step_y) = shape, step_px
        values = self._values(row, (np.arange(columns) + 0.5) * step_x, (np.arange(rows) + 0.5) * step_y)
        return np.rint(values).astype(np.uint8)

    def _values(self, row: int, x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float32]:
        """Bilinear probabilities ``(len(y), len(x))`` at points of the image, both in rising order."""
        rows, columns = self.probabilities.shape[1:]
        left, top, right, bottom = self.boxes[row].astype(np.float64)
        if right <= left or bottom <= top or not len(x) or not len(y):
            return np.zeros((len(y), len(x)), np.float32)
        # One row and column of zeros about the cells; places count from its centre.
        across = np.clip((x - left) * (columns / (right - left)) + 0.5, 0, columns + 1)
        down = np.clip((y - top) * (rows / (bottom - top)) + 0.5, 0, rows + 1)
        first, last = int(across[0]), min(int(across[-1]) + 2, columns + 2)
        cells = np.pad(self.probabilities[row], 1)[:, first:last].astype(np.float32)
        return _linear(_linear(cells, down).T, across - first).T


def _linear(rows: NDArray[np.float32], places: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows ``(n, m)`` linear at places of 0 to n - 1, ``(len(places), m)``."""
    first = places.astype(np.intp)
    share = (places - first).astype(np.float32)[:, None]
    values = rows[np.minimum(first + 1, len(rows) - 1)]
    near = rows[first]
    values -= near
    values *= share
    values += near
    return values


def _shares(
    span: NDArray[np.float32], box: NDArray[np.float32], columns: int, rows: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Middles ``(columns,)`` and ``(rows,)`` of the parts of a span, in sides of a box from its left and top edge."""
    (left, top), sides = box[:2].tolist(), np.maximum(box[2:] - box[:2], 1e-6).tolist()
    x = span[0] + (np.arange(columns) + 0.5) * float(span[2] - span[0]) / columns
    y = span[1] + (np.arange(rows) + 0.5) * float(span[3] - span[1]) / rows
    return (x - left) / sides[0], (y - top) / sides[1]


def _points(
    shares: tuple[NDArray[np.float64], NDArray[np.float64]], box: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places in another box of what :func:`_shares` gave."""
    left, top, right, bottom = box.astype(np.float64).tolist()
    return left + shares[0] * (right - left), top + shares[1] * (bottom - top)


def _hat_weights(places: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Weights ``(len(places), count)`` of linear interpolation between whole numbers below ``count``; zero outside."""
    return np.asarray(np.maximum(1 - np.abs(places[:, None] - np.arange(count)), 0))
