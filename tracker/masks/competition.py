"""Competition of neighbours for the cells of their masks: of two objects of one class the surer one has a cell.

Networks that segment object by object give cells of one person to the next one too, up to a third of the smaller mask.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tracker.masks.grid_masks import GridMasks
from tracker.masks.instance_masks import PROBABILITY_THRESHOLD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracker.masks.instance_masks import InstanceMasks

__all__ = ["DUPLICATE_IOU", "SURER", "divide"]

SURER = 32
"""Of 255: by so much more the winner of a cell must be sure of it. Without a margin the gain is the same on rendered
shops and half as large on pictures with labels (`docs/experiments/association.md`)."""
DUPLICATE_IOU = 0.5
"""Masks that overlap by more show one object."""


def divide(
    masks: InstanceMasks, boxes: NDArray[np.float32], class_ids: NDArray[np.int64], rows: NDArray[np.int64]
) -> GridMasks | None:
    """The masks with the cells that several of ``rows`` claim left to the surest.

    Args:
        masks: Of ``N`` instances; only masks on one grid are divided.
        boxes: ``(N, 4)`` xyxy in image pixels.
        class_ids: ``(N,)``; objects of different classes do not compete, a rider keeps the cells of the motorcycle.
        rows: Different objects, each once; duplicates of one object would take each other's cells.

    Returns:
        ``None`` where nothing changes.
    """
    if len(rows) < 2 or not isinstance(masks, GridMasks):
        return None
    own, step = boxes[rows], np.array([*masks.step_px, *masks.step_px])
    low = np.maximum(own[:, None, :2], own[None, :, :2])  # (M, M, 2)
    high = np.minimum(own[:, None, 2:], own[None, :, 2:])
    meet = (high > low).all(axis=2) & (class_ids[rows][:, None] == class_ids[rows])
    before, after = masks.probabilities, None
    for one, other in zip(*np.triu(meet, 1).nonzero(), strict=True):
        a, b = int(rows[one]), int(rows[other])
        cells = np.concatenate([np.floor(low[one, other]), np.ceil(high[one, other])]) / step
        x0, y0 = np.maximum(np.floor(cells[:2]).astype(int) - 1, 0).tolist()
        x1, y1 = (np.ceil(cells[2:]).astype(int) + 1).tolist()
        window = (slice(y0, y1), slice(x0, x1))
        first, second = before[a][window], before[b][window]
        claimed = (first >= PROBABILITY_THRESHOLD) & (second >= PROBABILITY_THRESHOLD)
        shared = np.count_nonzero(claimed)
        if not shared or shared > DUPLICATE_IOU * (_cells(before[a]) + _cells(before[b]) - shared):
            continue
        lead = first.astype(np.int16) - second
        if after is None:
            after = before.copy()
        after[a][window][claimed & (lead < -SURER)] = 0
        after[b][window][claimed & (lead > SURER)] = 0
    return None if after is None else replace(masks, probabilities=after)


def _cells(grid: NDArray[np.uint8]) -> int:
    return int(np.count_nonzero(grid >= PROBABILITY_THRESHOLD))
