"""Outlines of instance masks: simplified polygons in image pixels, for browsers that draw and for opaque fills.

A silhouette is lifted on a smaller picture, traced (Suzuki and Abe 1985) and thinned (Douglas and Peucker 1973). On the
rendered clips 12 (cars) and 36 (people) points an instance hold the silhouette to 0.5 and 0.2 % of its area (medians).
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from tracker.types import Instances

    Polygon = NDArray[np.float32]

__all__ = ["TRACED_PX", "outlines_of", "uncertain_rows"]

TRACED_PX = 640
"""Width of the picture on which silhouettes are traced: prototypes are not finer."""
SLACK_PX = 0.8
"""How far a thinned outline may lie from the traced one, in pixels of that picture."""
MOST_PARTS = 12
"""Parts of a silhouette, the largest first: a shelf may cut a person into several."""
SAMPLES = 12
UNDECIDED = (64, 192)
"""Probabilities between these, of 0 to 255, say neither."""
UNDECIDED_SHARE = 0.35
SPARSE_SHARE = 0.25


def outlines_of(instances: Instances, rows: Iterable[int], *, traced_px: int = TRACED_PX) -> list[list[Polygon]]:
    """The outlines of some instances, largest part first.

    Args:
        instances: Of one frame.
        rows: Which of them.
        traced_px: Width at which they are shown, at most that of the picture: half of it is a third of the time.

    Returns:
        For each row its polygons ``(P, 2)`` float32 in image pixels, without holes; none where there is no silhouette.
    """
    masks, wanted = instances.masks, list(rows)
    if masks is None or not wanted:
        return [[] for _ in wanted]
    width, height = masks.image_size
    scale = min(traced_px / width, 1.0)
    size = (round(width * scale), round(height * scale))
    gain = (size[0] / width, size[1] / height)
    small = masks.scaled(gain, size)
    boxes = instances.boxes * np.array([*gain, *gain], np.float32)
    traced = [_traced(*small.lift(row, boxes[row])) for row in wanted]
    flat = [part for parts in traced for part in parts]
    if not flat:
        return [[] for _ in wanted]
    points = ((np.concatenate(flat)[:, 0] + 0.5) / np.array(gain)).astype(np.float32)  # at once: (all points, 2)
    ends = list(accumulate(map(len, flat)))
    polygons = iter([points[start:end] for start, end in pairwise([0, *ends])])
    return [[next(polygons) for _ in parts] for parts in traced]


def _traced(crop: NDArray[np.bool_], origin: tuple[int, int]) -> list[NDArray[np.int32]]:
    """Outlines ``(P, 1, 2)`` of one lifted silhouette, in pixels of the picture on which it is traced."""
    if not crop.size:
        return []
    found, _ = cv2.findContours(crop.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=origin)
    contours = sorted(found, key=cv2.contourArea, reverse=True)[:MOST_PARTS] if len(found) > 1 else found
    return [np.asarray(cv2.approxPolyDP(one, SLACK_PX, closed=True), np.int32) for one in contours]


def uncertain_rows(instances: Instances) -> NDArray[np.bool_]:
    """Whether each instance's silhouette ``(N,)`` cannot be believed, so that its box is the better answer.

    There is no mask, the silhouette takes little of the box, or most of what could belong to it is undecided.
    """
    count, masks = len(instances), instances.masks
    if masks is None or not count:
        return np.ones(count, np.bool_)
    values: NDArray[Any] = masks.sample(instances.boxes.T.astype(np.float64), np.arange(count), SAMPLES)
    low, high = UNDECIDED
    possible = (values >= low).sum(axis=1)
    undecided = ((values >= low) & (values < high)).sum(axis=1)
    inside = (values >= (low + high) // 2).mean(axis=1)
    return np.asarray((undecided > UNDECIDED_SHARE * possible) | (inside < SPARSE_SHARE))
