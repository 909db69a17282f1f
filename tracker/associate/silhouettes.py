"""Box-normalised mask crops of tracks, and their IoU.

A track keeps its silhouette as ``CELLS`` x ``CELLS`` probabilities over its box. They move and grow with the box, so
the mask is propagated by the predicted box at no cost. Two silhouettes are compared at the predicted position of the
track, on the cells of the instance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tracker.masks.instance_masks import InstanceMasks

Floats = NDArray[np.float64]
Crops = NDArray[np.uint8]
Rows = NDArray[np.int64]

__all__ = ["CELLS", "crop", "mask_iou"]

CELLS = 12
_CENTRES = (np.arange(CELLS) + 0.5) / CELLS


def crop(masks: InstanceMasks, boxes: Floats, rows: Rows) -> Crops:
    """Sample the masks of ``rows`` on a regular grid over their ``boxes (4, M)`` xyxy: ``(M, CELLS * CELLS)`` uint8."""
    return masks.sample(boxes, rows, CELLS)


def mask_iou(
    tracks: Crops, track_boxes: Floats, instances: Crops, instance_boxes: Floats, *, rows: Rows, columns: Rows
) -> Floats:
    """Intersection over union ``(P,)`` of paired silhouettes.

    Args:
        tracks: ``(N, CELLS²)`` crops; all zero where a track has no silhouette, which overlaps nothing.
        track_boxes: ``(4, N)`` xyxy where the silhouettes are now.
        instances: ``(M, CELLS²)`` crops.
        instance_boxes: ``(4, M)`` xyxy.
        rows: ``(P,)`` tracks.
        columns: ``(P,)`` instances.
    """
    a, b = track_boxes.take(rows, axis=1), instance_boxes.take(columns, axis=1)
    a_sides, b_sides = a[2:] - a[:2], b[2:] - b[:2]
    # Positions of the instance's cell centres in the track's crop, per axis: (2, P, CELLS).
    places = (b[:2, :, None] - a[:2, :, None] + b_sides[:, :, None] * _CENTRES) * (CELLS / a_sides)[:, :, None]
    inside = (places >= 0) & (places < CELLS)
    cells = (places * inside).astype(np.int64)
    flat = (rows[:, None] * CELLS + cells[1])[:, :, None] * CELLS + cells[0][:, None, :]
    moved = tracks.reshape(-1).take(flat.reshape(len(rows), CELLS * CELLS))
    moved *= (inside[1][:, :, None] & inside[0][:, None, :]).reshape(len(rows), CELLS * CELLS)
    # Integer arithmetic until the last line: the sums are exact.
    cell_area = b_sides[0] * b_sides[1]
    sums = np.add.reduce
    shared = sums(np.minimum(moved, instances.take(columns, axis=0)), axis=1, dtype=np.int64) * cell_area
    track_area = sums(tracks, axis=1, dtype=np.int64).take(rows) * (a_sides[0] * a_sides[1])
    instance_area = sums(instances, axis=1, dtype=np.int64).take(columns) * cell_area
    return np.asarray(shared / np.maximum(track_area + instance_area - shared, 1e-9))
