"""Instances and tracks of one frame with the masks of filled gaps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tracker.masks.instance_masks import PROBABILITY_THRESHOLD
from tracker.refine.morph import between
from tracker.types import Instances, Tracks

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tracker.masks.instance_masks import InstanceMasks
    from tracker.refine.refine import Refined

__all__ = ["LEAST_VISIBLE", "with_filled"]

LEAST_VISIBLE = 0.5
"""Least visible share of a morphed mask: with less the object is occluded, not missed, and the mask is left out."""


def with_filled(
    instances: Instances,
    tracks: Tracks,
    refined: Refined,
    frame: int,
    find: Callable[[int], tuple[Instances, int]],
) -> tuple[Instances, Tracks]:
    """Instances and tracks with a further instance for every filled row whose silhouette is visible.

    The track of such a row then points to the new instance. For outputs that show silhouettes and do not tell detected
    from interpolated ones.

    Args:
        instances: The detected instances of the frame.
        tracks: Its refined tracks, in the order of ``refined``; -1 for filled rows.
        refined: The second pass's result.
        frame: The frame's number in it.
        find: From a flat row to its frame's instances and its row there.
    """
    masks, start = instances.masks, refined.rows(frame).start
    missing = np.flatnonzero(tracks.detection_rows < 0)
    if masks is None or not len(missing):
        return instances, tracks
    free = np.ones(masks.grid_shape, np.bool_)
    for row in tracks.detection_rows[tracks.detection_rows >= 0].tolist():
        free &= masks.grid(row) < PROBABILITY_THRESHOLD
    grids, filled = [], []
    # On a common ground plane a lower edge further down in the image is nearer to the camera.
    for row in sorted(missing.tolist(), key=lambda row: (-tracks.boxes[row, 3], row)):
        place = start + row
        ends = [_cut(*find(int(flat))) for flat in (refined.befores[place], refined.afters[place])]
        if ends[0].any() and ends[1].any():
            grid = _placed(ends[0], ends[1], float(refined.shares[place]), tracks.boxes[row], masks)
            inside = grid >= PROBABILITY_THRESHOLD
            if inside.any() and (inside & free).sum() >= LEAST_VISIBLE * inside.sum():
                grids.append(np.where(free, grid, np.uint8(0)))
                filled.append(row)
                free &= ~inside
    if not filled:
        return instances, tracks
    rows = np.array(filled)
    more = Instances(
        boxes=np.concatenate([instances.boxes, tracks.boxes[rows]]),
        scores=np.concatenate([instances.scores, tracks.scores[rows]]),
        class_ids=np.concatenate([instances.class_ids, tracks.class_ids[rows]]),
        masks=masks.extended(grids, tracks.boxes[rows]),
    )
    detection_rows = tracks.detection_rows.copy()
    detection_rows[rows] = len(instances) + np.arange(len(rows))
    return more, replace(tracks, detection_rows=detection_rows)


def _cut(instances: Instances, row: int) -> NDArray[np.bool_]:
    """The silhouette of one instance, cut to its box on the grid; all outside where it has no mask."""
    masks = instances.masks
    if masks is None:
        return np.zeros((1, 1), np.bool_)
    left, top, right, bottom = _cells(instances.boxes[row], masks)
    height, width = masks.grid_shape
    inside = np.zeros((bottom - top, right - left), np.bool_)
    x, y, x_end, y_end = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if x_end > x and y_end > y:
        part = masks.grid(row)[y:y_end, x:x_end] >= PROBABILITY_THRESHOLD
        inside[y - top : y_end - top, x - left : x_end - left] = part
    return inside


def _placed(
    before: NDArray[np.bool_], after: NDArray[np.bool_], share: float, box: NDArray[np.float32], masks: InstanceMasks
) -> NDArray[np.uint8]:
    """The silhouette in between on the frame's grid, as probabilities that fall from 1 to 0 over one cell."""
    height, width = masks.grid_shape
    left, top, right, bottom = _cells(box, masks)
    distances = between(before, after, share, (right - left, bottom - top))
    probabilities = np.clip(255 * (distances + 0.5) + 0.5, 0, 255).astype(np.uint8)
    grid = np.zeros((height, width), np.uint8)
    x, y, x_end, y_end = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if x_end > x and y_end > y:
        grid[y:y_end, x:x_end] = probabilities[y - top : y_end - top, x - left : x_end - left]
    return grid


def _cells(box: NDArray[np.float32], masks: InstanceMasks) -> tuple[int, int, int, int]:
    """The cells of the grid that a box touches, xyxy, at least one."""
    x, y = masks.grid_step_px
    left, top = int(np.floor(box[0] / x)), int(np.floor(box[1] / y))
    return left, top, max(int(np.ceil(box[2] / x)), left + 1), max(int(np.ceil(box[3] / y)), top + 1)
