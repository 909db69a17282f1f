"""Mask prototypes of one frame, and masks from them and coefficients (YOLACT, Bolya et al. 2019, section 3.2).

``sigmoid(coefficients x prototypes)``, cropped to a box. Coefficients may end in five *shape terms*: a quadratic in the
position ``(u, v)`` inside the box, -1..1 from edge to edge, ``t0 + t1 u + t2 u² + t3 v + t4 v²``, that is added to the
logits (`export/networks/yolact_nano.py`). Coefficients of one frame hold on the prototypes of the next, inside the
object's new box (CrossVIS, Yang et al. 2021).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tracker.errors import expect_array
from tracker.masks.grid_masks import GridMasks
from tracker.masks.instance_masks import PROBABILITY_THRESHOLD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["BILINEAR_MARGIN", "SHAPE_TERMS", "Prototypes"]

SHAPE_TERMS = 5
BILINEAR_MARGIN = 0.5
"""Cells beyond a box that the bilinear lift of its outermost pixels reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prototypes:
    """Prototypes of one frame on a small grid over the image; shared by all of its instances.

    Attributes:
        values: ``(P, h, w)`` float32; fastest as a view of ``(h, w, P)`` transposed to it.
        step_px: Image pixels per grid cell, ``(x, y)``; the grid's origin is the image's top left corner.
        image_size: ``(width, height)`` of the image in pixels.
        margin_cells: A cell belongs to a box up to this far away from it. With half a cell, silhouettes do not fade at
            their box's edge: the bilinear lift of a pixel in the box reads such cells. The lift itself cuts at the box.
        growth: A mask may reach past its box by this share of the box's width and height on each side; feet and heads
            that a box cuts are in it (:meth:`reached` gives boxes that hold such masks).
    """

    values: NDArray[np.float32]
    step_px: tuple[float, float]
    image_size: tuple[int, int]
    margin_cells: float = BILINEAR_MARGIN
    growth: float = 0.0

    def __post_init__(self) -> None:
        expect_array("Prototypes.values", self.values, (None, None, None), "f")

    def check(self, coefficients: NDArray[np.floating]) -> None:
        """Refuse coefficients ``(N, P)`` or ``(N, P + 5)`` of another number.

        Raises:
            ValueError: They do not fit these prototypes.
        """
        count, found = len(self.values), coefficients.shape[-1]
        if coefficients.ndim != 2 or found not in {count, count + SHAPE_TERMS}:
            message = f"coefficients: expected shape (N, {count}) or (N, {count + SHAPE_TERMS}) for {count} prototypes"
            raise ValueError(f"{message}, found {coefficients.shape}")

    def crops(
        self, coefficients: NDArray[np.float32], boxes: NDArray[np.floating]
    ) -> list[tuple[int, int, NDArray[np.float32]]]:
        """Each instance's mask on the cells of its box.

        Args:
            coefficients: ``(N, P)``, or ``(N, P + 5)`` with shape terms.
            boxes: ``(N, 4)`` xyxy in image pixels.

        Returns:
            For each the first row and column, and probabilities ``(rows, columns)`` on a scale of 255, not rounded;
            of shape ``(0, 0)`` where no cell lies in the box.
        """
        self.check(coefficients)
        count, height, width = self.values.shape
        step_px = np.array([*self.step_px, *self.step_px], np.float32)
        cells: NDArray[np.float32] = boxes.astype(np.float32) / step_px  # (N, 4)
        limits = np.array([width, height], np.int64)
        margin = self.margin_cells + np.float32(self.growth) * (cells[:, 2:] - cells[:, :2])  # (N, 2) x, y
        starts = np.clip(np.floor(cells[:, :2] - margin), 0, limits).astype(np.int64)  # (N, 2)
        stops = np.clip(np.floor(cells[:, 2:] + margin) + 1, 0, limits).astype(np.int64)
        shapes = _shapes(coefficients[:, count:], cells, (width, height)) if coefficients.shape[1] > count else None
        linear = -coefficients[:, :count]
        by_cell = self.values.transpose(1, 2, 0)  # (h, w, P)
        together = by_cell.strides[2] == by_cell.itemsize  # a cell's prototypes lie in one place
        found = []
        with np.errstate(over="ignore"):  # exp of what is surely outside is inf, and 255 over it 0
            for row, ((x0, y0), (x1, y1)) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
                if x1 <= x0 or y1 <= y0:
                    found.append((0, 0, np.zeros((0, 0), np.float32)))
                    continue
                # Box by box: a product of all instances with all cells is spread over threads that wait for one another
                # (OpenBLAS, 2 busy cores: 15 ms in the place of 0.1).
                if together:
                    values = by_cell[y0:y1, x0:x1] @ linear[row]  # (rows, columns), minus the logits
                else:
                    part = self.values[:, y0:y1, x0:x1].reshape(count, -1)  # (P, cells)
                    values = (linear[row] @ part).reshape(y1 - y0, x1 - x0)
                if shapes is not None:
                    values -= shapes[0][row, x0:x1]
                    values -= shapes[1][row, y0:y1, None]
                # exp in place: 50 us for 60,000 cells on one core, a look-up table over quantised logits took 190 us.
                np.exp(values, out=values)
                values += 1
                found.append((y0, x0, np.divide(255, values, out=values)))
        return found

    def reached(
        self, boxes: NDArray[np.float32], parts: Sequence[tuple[int, int, NDArray[np.float32]]]
    ) -> NDArray[np.float32]:
        """Boxes that hold their masks: each side moved out to the last cell that is more likely inside than not.

        Args:
            boxes: ``(N, 4)`` xyxy in image pixels.
            parts: Of :meth:`crops`, of the same rows.
        """
        if not self.growth:
            return boxes
        step = np.array(self.step_px, np.float32)
        low, high = boxes[:, :2].copy(), boxes[:, 2:].copy()
        for row, (y0, x0, values) in enumerate(parts):
            lines, columns = (values >= PROBABILITY_THRESHOLD).nonzero()
            if len(lines):
                low[row] = np.minimum(low[row], step * (x0 + columns.min(), y0 + lines.min()))
                high[row] = np.maximum(high[row], step * (x0 + columns.max() + 1, y0 + lines.max() + 1))
        return np.concatenate([low, high], axis=1)

    def probabilities(self, coefficients: NDArray[np.float32], boxes: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Masks on the whole grid ``(N, h, w)``, zero outside each box; arguments as for :meth:`crops`."""
        masks = np.zeros((len(coefficients), *self.values.shape[1:]), np.uint8)
        for mask, (y0, x0, values) in zip(masks, self.crops(coefficients, boxes), strict=True):
            mask[y0 : y0 + values.shape[0], x0 : x0 + values.shape[1]] = np.rint(values)
        return masks

    def masks(self, coefficients: NDArray[np.float32], boxes: NDArray[np.floating]) -> GridMasks:
        """The same as masks of the image."""
        probabilities = self.probabilities(coefficients, boxes)
        return GridMasks(probabilities=probabilities, step_px=self.step_px, image_size=self.image_size)

    def scaled(self, scale: tuple[float, float], image_size: tuple[int, int]) -> Prototypes:
        """The same grid on an image of ``image_size`` that is ``scale`` (x, y) times as large."""
        step_px = (self.step_px[0] * scale[0], self.step_px[1] * scale[1])
        return replace(self, step_px=step_px, image_size=image_size)


def _shapes(
    terms: NDArray[np.float32], cells: NDArray[np.float32], size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Shape terms ``(N, 5)`` over the boxes ``(N, 4)``, in cells, on each axis of a grid: ``(N, w)`` and ``(N, h)``."""
    parts = []
    for axis, (linear, square) in enumerate(((1, 2), (3, 4))):
        low, high = cells[:, axis], cells[:, 2 + axis]
        half = np.maximum((high - low) * np.float32(0.5), np.float32(0.5))
        centres = np.arange(size[axis], dtype=np.float32) + np.float32(0.5)
        places = (centres - ((high + low) * np.float32(0.5))[:, None]) / half[:, None]  # (N, w or h)
        parts.append((terms[:, linear, None] + terms[:, square, None] * places) * places)
    return parts[0] + terms[:, :1], parts[1]
