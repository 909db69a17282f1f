"""Masks of either kind from their packed form, three arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.masks.box_masks import BoxMasks
from tracker.masks.grid_masks import GridMasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracker.masks.instance_masks import InstanceMasks

__all__ = ["unpack_masks"]


def unpack_masks(arrays: Sequence[NDArray[Any]]) -> InstanceMasks:
    """The masks of three arrays that ``InstanceMasks.pack`` made."""
    first, cells, measures = arrays
    if len(measures) == 2:
        width, height = measures.tolist()
        return BoxMasks(probabilities=cells, boxes=first, image_size=(int(width), int(height)))
    step_x, step_y, image_width, image_height, rows, columns = measures.tolist()
    probabilities = np.zeros((len(first), int(rows), int(columns)), np.uint8)
    place = 0
    for row, (left, top, right, bottom) in enumerate(first.tolist()):
        size = (right - left) * (bottom - top)
        probabilities[row, top:bottom, left:right] = cells[place : place + size].reshape(bottom - top, right - left)
        place += size
    return GridMasks(
        probabilities=probabilities, step_px=(step_x, step_y), image_size=(int(image_width), int(image_height))
    )
