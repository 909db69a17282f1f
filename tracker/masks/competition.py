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
    own = boxes[rows]
    low = np.maximum(own[:, None, :2], own[None, :, :2])  # (M, M, 2)
    high = np.minimum(own[:, None, 2:], own[None, :, 2:])
    meet = (high > low).all(axis=2) & (class_ids[rows][:, None] == class_ids[rows])
    pairs = np.triu(meet, 1).nonzero()
    # A mask reaches at most a cell beyond its box.
    starts = np.maximum(np.floor(low[pairs] / masks.step_px).astype(np.int64) - 1, 0).tolist()  # (pairs, 2) x, y
    stops = (np.ceil(high[pairs] / masks.step_px).astype(np.int64) + 1).tolist()
    before, after = masks.probabilities, None
    areas: dict[int, int] = {}
    for one, other, (x0, y0), (x1, y1) in zip(*(rows[side].tolist() for side in pairs), starts, stops, strict=True):
        first, second = before[one, y0:y1, x0:x1], before[other, y0:y1, x0:x1]
        claimed = np.minimum(first, second) >= PROBABILITY_THRESHOLD
        shared = np.count_nonzero(claimed)
        if not shared:
            continue
        for row in (one, other):
            if row not in areas:
                areas[row] = int(np.count_nonzero(before[row] >= PROBABILITY_THRESHOLD))
        if shared > DUPLICATE_IOU * (areas[one] + areas[other] - shared):
            continue
        lead = first.astype(np.int16) - second
        if after is None:
            after = before.copy()
        after[one, y0:y1, x0:x1][claimed & (lead < -SURER)] = 0
        after[other, y0:y1, x0:x1][claimed & (lead > SURER)] = 0
    return None if after is None else replace(masks, probabilities=after)
