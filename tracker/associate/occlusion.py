"""Occlusion between boxes: the share of an unseen track that seen tracks cover."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracker.associate import affinity

Floats = NDArray[np.float64]

__all__ = ["hidden_share", "visible_share"]

DEPTH_TOLERANCE = 0.1
"""An occluder's lower edge may lie this share of the hidden box's height above its own: boxes are not exact."""


def hidden_share(unseen: Floats, seen: Floats) -> Floats:
    """The largest share of each unseen box that one nearer seen box covers.

    On a common ground plane the lower edge orders depth: the lower it lies in the image, the nearer the object.

    Args:
        unseen: ``(4, N)`` xyxy, predicted.
        seen: ``(4, M)`` xyxy.

    Returns:
        ``(N,)`` in 0..1.

    >>> hidden_share(np.array([[0.0], [0.0], [10.0], [10.0]]), np.array([[5.0], [0.0], [20.0], [12.0]]))
    array([0.5])
    """
    shares = np.zeros(unseen.shape[1])
    rows, columns = affinity.overlapping_pairs(unseen, seen)
    if not len(rows):
        return shares
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    shares[rows[starts]] = np.maximum.reduceat(_covered(unseen[:, rows], seen[:, columns]), starts)
    return shares


def visible_share(boxes: Floats) -> Floats:
    """Share ``(N,)`` in 0..1 of each of ``boxes (4, N)`` that is left visible by the nearer box that covers most of it.

    >>> visible_share(np.array([[0.0, 5.0], [0.0, 0.0], [10.0, 20.0], [10.0, 12.0]]))
    array([0.5, 1. ])
    """
    shares = np.ones(boxes.shape[1])
    rows, columns = affinity.overlapping_pairs(boxes, boxes)
    others = rows != columns
    rows, columns = rows[others], columns[others]
    if not len(rows):
        return shares
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    shares[rows[starts]] -= np.maximum.reduceat(_covered(boxes[:, rows], boxes[:, columns]), starts)
    return shares


def _covered(behind: Floats, before: Floats) -> Floats:
    """The share of ``behind (4, P)`` that ``before (4, P)`` covers where that one is nearer."""
    width = np.minimum(behind[2], before[2]) - np.maximum(behind[0], before[0])
    height = np.minimum(behind[3], before[3]) - np.maximum(behind[1], before[1])
    nearer = before[3] > behind[3] - DEPTH_TOLERANCE * (behind[3] - behind[1])
    return np.asarray(width * height * nearer / ((behind[2] - behind[0]) * (behind[3] - behind[1])))
