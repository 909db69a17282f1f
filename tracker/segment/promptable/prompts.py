"""Prompts of a frame, and what is believed of their outlines: pure functions on boxes and grids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tracker import boxes as box_algebra
from tracker.masks.instance_masks import PROBABILITY_THRESHOLD

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from tracker.types import Instances, Tracks

    Grids = NDArray[np.uint8]

__all__ = ["LEAST_CELLS", "Prompts", "grid_boxes", "overlaps", "prompts_of", "rectangles"]

LEAST_CELLS = 64
"""Of the decoder's grid, below which a box is not worth a prompt: 20 x 20 pixels of a picture of 640."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """Boxes to outline.

    Attributes:
        boxes: ``(P, 4)`` float32 xyxy in picture pixels.
        rows: ``(P,)`` int64, the instance of each, -1 = a predicted box.
        places: ``(P,)`` int64, row of the frame's tracks, -1 without tracking.
        ids: ``(P,)`` int64, identity, 0 without tracking.
    """

    boxes: NDArray[np.float32]
    rows: NDArray[np.int64]
    places: NDArray[np.int64]
    ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, chosen: NDArray[np.generic]) -> Prompts:
        """Some of them."""
        return Prompts(
            boxes=self.boxes[chosen], rows=self.rows[chosen], places=self.places[chosen], ids=self.ids[chosen]
        )


def prompts_of(instances: Instances, tracks: Tracks | None, *, unseen: Collection[int] = ()) -> Prompts:
    """The boxes of a frame: of detections that tracks took, and predicted ones of some tracks that took none.

    Args:
        instances: Of the frame.
        tracks: Of the frame; without them every instance is outlined.
        unseen: Identities that took no detection and are outlined where they are predicted.
    """
    if tracks is None:
        rows = np.arange(len(instances))
        return Prompts(
            boxes=instances.boxes, rows=rows, places=np.full(len(rows), -1), ids=np.zeros(len(rows), np.int64)
        )
    wanted = (tracks.detection_rows >= 0) | np.isin(tracks.ids, list(unseen))
    places = np.flatnonzero(wanted)
    return Prompts(
        boxes=tracks.boxes[places], rows=tracks.detection_rows[places], places=places, ids=tracks.ids[places]
    )


def grid_boxes(grids: Grids, step_px: tuple[float, float]) -> NDArray[np.float32]:
    """Boxes ``(N, 4)`` xyxy in picture pixels of the cells inside masks ``(N, h, w)``; empty masks have empty ones.

    >>> grids = np.zeros((1, 4, 4), np.uint8)
    >>> grids[0, 1:3, 2] = 200
    >>> grid_boxes(grids, (2.0, 2.0)).tolist()
    [[4.0, 2.0, 6.0, 6.0]]
    """
    inside = grids >= PROBABILITY_THRESHOLD
    columns, lines = np.asarray(inside.any(axis=1)), np.asarray(inside.any(axis=2))  # (N, w), (N, h)
    found = np.zeros((len(grids), 4), np.float32)
    for axis, along in ((0, columns), (1, lines)):
        length = along.shape[1]
        found[:, axis] = along.argmax(axis=1) * step_px[axis]
        found[:, 2 + axis] = (length - along[:, ::-1].argmax(axis=1)) * step_px[axis]
    found[~columns.any(axis=1)] = 0
    return found


def overlaps(grids: Grids, others: Grids) -> NDArray[np.float64]:
    """IoU ``(N,)`` of masks ``(N, h, w)`` on one grid, pair by pair.

    >>> a, b = np.zeros((2, 1, 2, 2), np.uint8)
    >>> a[0, 0], b[0] = 255, 255
    >>> overlaps(a, b).tolist()
    [0.5]
    """
    one, two = grids >= PROBABILITY_THRESHOLD, others >= PROBABILITY_THRESHOLD
    both, either = (one & two).sum(axis=(1, 2)), (one | two).sum(axis=(1, 2))
    return np.asarray(both / np.maximum(either, 1))


def rectangles(boxes: NDArray[np.float32], step_px: tuple[float, float], shape: tuple[int, int]) -> Grids:
    """Boxes ``(N, 4)`` filled, as masks of detections that have none."""
    found = np.zeros((len(boxes), *shape), np.uint8)
    for grid, (x0, y0, x1, y1) in zip(found, boxes.tolist(), strict=True):
        left, top = max(int(x0 / step_px[0]), 0), max(int(y0 / step_px[1]), 0)
        grid[top : max(int(np.ceil(y1 / step_px[1])), 0), left : max(int(np.ceil(x1 / step_px[0])), 0)] = 255
    return found


def agreement(grids: Grids, step_px: tuple[float, float], boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """IoU ``(N,)`` of the masks' own boxes with the boxes that asked for them."""
    return np.asarray(box_algebra.iou_paired(grid_boxes(grids, step_px), boxes))
