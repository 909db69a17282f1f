"""Tracks and masks of a frame that was not segmented, between those of the frames before and after it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tracker.types import Instances, Tracks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracker.types import TrackedFrame

__all__ = ["between"]


def between(before: TrackedFrame, middle: TrackedFrame, after: TrackedFrame) -> TrackedFrame:
    """The frame in the middle with the identities that both others have, each at its place in time between them.

    An identity that was seen in both is seen, with an instance and its mask; else it coasts.

    Args:
        before: Segmented and tracked, like ``after``, in a picture of the same size.
        middle: Neither; its own instances and tracks are not used.
        after: See ``before``.
    """
    one, two = before.tracks, after.tracks
    if one is None or two is None:
        return middle
    start_s, end_s = before.frame.time_s, after.frame.time_s
    share = (middle.frame.time_s - start_s) / (end_s - start_s)
    ids, at, to = np.intersect1d(one.ids, two.ids, assume_unique=True, return_indices=True)
    rows, later_rows = one.detection_rows[at], two.detection_rows[to]
    seen = (rows >= 0) & (later_rows >= 0)
    tracks = Tracks(
        ids=ids,
        detection_rows=np.where(seen, np.cumsum(seen) - 1, -1),
        boxes=_mean(one.boxes[at], two.boxes[to], share),
        velocities=_mean(one.velocities[at], two.velocities[to], share),
        class_ids=two.class_ids[to],
        scores=_mean(one.scores[at], two.scores[to], share),
        ages_s=_mean(one.ages_s[at], two.ages_s[to], share),
    )
    instances = _instances(before.instances, rows[seen], after.instances, later_rows[seen], share)
    return replace(middle, instances=instances, tracks=tracks)


def _instances(
    one: Instances, rows: NDArray[np.int64], two: Instances, later_rows: NDArray[np.int64], share: float
) -> Instances:
    boxes = _mean(one.boxes[rows], two.boxes[later_rows], share)
    masks = None
    if one.masks is not None and two.masks is not None:
        before, after = one.masks.take(rows), two.masks.take(later_rows)
        masks = before.between(one.boxes[rows], after, two.boxes[later_rows], boxes, share)
    return Instances(
        boxes=boxes,
        scores=_mean(one.scores[rows], two.scores[later_rows], share),
        class_ids=one.class_ids[rows] if share < 0.5 else two.class_ids[later_rows],
        masks=masks,
    )


def _mean(one: NDArray[np.float32], two: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    return np.asarray((1 - share) * one + share * two, np.float32)
