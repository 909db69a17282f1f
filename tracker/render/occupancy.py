"""Occupancy grid of a picture: which identity, box or label is visible in each cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Occupancy"]

NOBODY, LABEL = -1, -2

BODY_WEIGHT, BOX_WEIGHT, LABEL_WEIGHT = 1.0, 0.1, 3.0
"""What it costs to cover a cell of a visible silhouette, of the empty part of a box, of another label."""


class Occupancy:
    """Cells of a picture with their visible owner and what it costs to cover them.

    Owners are painted from the farthest to the nearest, as the bodies themselves are: a cell belongs to what is seen
    there.

    Args:
        size: ``(width, height)`` of the picture in pixels.
        cell_px: Side of a cell; looking a place up costs the same whatever the number of objects.
    """

    __slots__ = ("_cell_px", "_owners", "_size", "_weights")

    def __init__(self, size: tuple[int, int], cell_px: int) -> None:
        self._size, self._cell_px = size, cell_px
        shape = size[1] // cell_px + 1, size[0] // cell_px + 1
        self._owners = np.full(shape, NOBODY, np.int16)
        self._weights = np.zeros(shape, np.float32)

    def cover_box(self, owner: int, box: Sequence[float], *, is_body: bool) -> None:
        """Every cell that a box touches.

        Args:
            owner: Number of the object, from 0.
            box: xyxy in pixels; what lies outside the picture is left out.
            is_body: There is no silhouette that says where in the box the object is.
        """
        width, height = self._size
        x1, x2 = min(max(box[0], 0), width), min(max(box[2], 0), width)
        y1, y2 = min(max(box[1], 0), height), min(max(box[3], 0), height)
        if x2 <= x1 or y2 <= y1:
            return
        cell = self._cell_px
        cut = slice(int(y1) // cell, -int(-y2 // cell)), slice(int(x1) // cell, -int(-x2 // cell))
        self._owners[cut] = owner
        self._weights[cut] = BODY_WEIGHT if is_body else BOX_WEIGHT

    def cover_silhouette(self, owner: int, silhouette: NDArray[np.bool_], origin: tuple[int, int]) -> None:
        """Every cell whose centre lies in a silhouette.

        Args:
            owner: Number of the object, from 0.
            silhouette: Boolean crop ``(h, w)``, inside the picture.
            origin: Position ``(x, y)`` of its top left pixel.
        """
        cell, half = self._cell_px, self._cell_px // 2
        column, row = (-(-(value - half) // cell) for value in origin)
        cells = silhouette[row * cell + half - origin[1] :: cell, column * cell + half - origin[0] :: cell]
        cut = slice(row, row + cells.shape[0]), slice(column, column + cells.shape[1])
        np.copyto(self._owners[cut], owner, where=cells)
        np.copyto(self._weights[cut], BODY_WEIGHT, where=cells)

    def cover_label(self, place: tuple[int, int], size: tuple[int, int]) -> None:
        """Every cell that a label touches; ``place`` is its top left pixel, inside the picture."""
        cut = self._cut(place, size)
        self._owners[cut] = LABEL
        self._weights[cut] = LABEL_WEIGHT

    def cost(self, owner: int, place: tuple[int, int], size: tuple[int, int]) -> float:
        """Mean weight of what a label of ``owner`` at ``place`` covers of others; 0 = nothing."""
        cut = self._cut(place, size)
        others = self._owners[cut] != owner
        return float(np.vdot(self._weights[cut], others) / others.size)

    def visible_point(self, owner: int, box: Sequence[float], x: float) -> tuple[float, float]:
        """The highest visible point of an object at column ``x`` of its box; where none is seen, the box's edge there.

        Args:
            owner: Number of the object.
            box: xyxy in pixels.
            x: In pixels, inside the picture.
        """
        cell = self._cell_px
        top, bottom = max(int(box[1]) // cell, 0), max(int(box[3]) // cell + 1, 0)
        rows = (self._owners[top:bottom, int(x) // cell] == owner).nonzero()[0]
        return x, (int(rows[0]) + top + 0.5) * cell if len(rows) else max(box[1], 0.0)

    def _cut(self, place: tuple[int, int], size: tuple[int, int]) -> tuple[slice, slice]:
        (x, y), (width, height), cell = place, size, self._cell_px
        return slice(y // cell, (y + height - 1) // cell + 1), slice(x // cell, (x + width - 1) // cell + 1)
