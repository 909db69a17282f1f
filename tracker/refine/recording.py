"""A tracked recording as flat arrays: instances, identities and frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker import boxes as box_math

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

__all__ = ["Recording", "majority", "tracklets_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Every instance of a recording, ordered by frame; its number in these arrays is its flat row.

    Attributes:
        times_s: ``(F,)`` media time of each frame, seconds, never decreasing.
        starts: ``(F + 1,)`` flat row of each frame's first instance; the last entry is ``D``.
        boxes: ``(D, 4)`` xyxy, image px.
        scores: ``(D,)`` raw scores in 0..1.
        class_ids: ``(D,)`` int64.
    """

    times_s: Floats
    starts: Rows
    boxes: Floats
    scores: Floats
    class_ids: Rows

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def frames(self) -> Rows:
        """``(D,)`` the frame of every instance, counted from 0."""
        return np.repeat(np.arange(len(self.times_s)), np.diff(self.starts))

    @property
    def measured(self) -> Floats:
        """``(D, 4)`` centre x, centre y, width, height."""
        return np.asarray(box_math.cxcywh(self.boxes), np.float64)

    @property
    def frame_s(self) -> float:
        """Seconds between frames, as the median."""
        return float(np.median(np.diff(self.times_s))) if len(self.times_s) > 1 else 0.0


def tracklets_of(ids: Rows, rows: Rows) -> list[Rows]:
    """Flat rows of every identity, by identity.

    Args:
        ids: ``(R,)`` identity of each row of the first pass.
        rows: ``(R,)`` its flat row; negative ones, predicted and not seen, are left out.

    >>> [tracklet.tolist() for tracklet in tracklets_of(np.array([2, 1, 2, 1]), np.array([0, 1, 5, -1]))]
    [[1], [0, 5]]
    """
    ids, rows = ids[rows >= 0], rows[rows >= 0]
    order = np.lexsort((rows, ids))
    ids, rows = ids[order], rows[order]
    return np.split(rows, np.flatnonzero(np.diff(ids)) + 1) if len(rows) else []


def majority(class_ids: Rows, weights: Floats) -> int:
    """The class of greatest total weight.

    >>> majority(np.array([3, 1, 3]), np.array([0.2, 0.3, 0.2]))
    3
    """
    classes, places = np.unique(class_ids, return_inverse=True)
    return int(classes[np.bincount(places, weights=weights).argmax()])
