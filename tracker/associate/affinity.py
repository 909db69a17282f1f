"""Sparse affinities between predicted tracks and instances: candidate pairs whose enlarged boxes overlap.

Every comparison runs on a list of candidate pairs, ``rows (P,)`` (tracks) and ``columns (P,)`` (instances); there is no
dense matrix of all pairs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

__all__ = ["around", "buffered_iou", "overlapping_pairs", "ratio"]

FEW_PAIRS = 500
"""Up to this many pairs one call for rows and columns is faster than flat indices that must be divided."""
DENSE_PAIRS = 20_000
"""Up to this many pairs four dense comparisons are cheaper than sorting (2-core x86, NumPy 2.4)."""

LEAST_UNION_PX2 = 1e-9


def around(centres: Floats, reach: Floats) -> Floats:
    """Boxes ``(4, N)`` xyxy that reach ``(2, N)`` to either side of their ``centres (2, N)``."""
    boxes = np.empty((4, centres.shape[1]))
    np.subtract(centres, reach, out=boxes[:2])
    np.add(centres, reach, out=boxes[2:])
    return boxes


def overlapping_pairs(tracks: Floats, instances: Floats) -> tuple[Rows, Rows]:
    """All pairs of boxes that share area, ordered by row, then column.

    Args:
        tracks: ``(4, N)`` xyxy.
        instances: ``(4, M)`` xyxy.

    Returns:
        ``(P,)`` rows and ``(P,)`` columns.
    """
    count, other = tracks.shape[1], instances.shape[1]
    if count * other <= DENSE_PAIRS:
        # Both axes at once, (2, N, M).
        overlap = instances[:2, None] < tracks[2:, :, None]
        overlap &= instances[2:, None] > tracks[:2, :, None]
        across, down = overlap
        across &= down
        if across.size <= FEW_PAIRS:
            rows, columns = across.nonzero()
            return rows, columns
        flat = across.reshape(-1).nonzero()[0]
        return flat // other, flat % other
    order = np.argsort(instances[0], kind="stable")
    left = instances[0][order]
    # Along x an instance that starts before the track ends and does not end before it starts; the second bound needs
    # the widest box.
    widest = float((instances[2] - instances[0]).max())
    first = np.searchsorted(left, tracks[0] - widest, side="left")
    last = np.searchsorted(left, tracks[2], side="left")
    lengths = np.maximum(last - first, 0)
    rows = np.repeat(np.arange(count), lengths)
    ends = np.cumsum(lengths)
    columns = order[np.arange(len(rows)) - np.repeat(ends - lengths - first, lengths)]
    kept = (
        (instances[2][columns] > tracks[0][rows])
        & (instances[1][columns] < tracks[3][rows])
        & (instances[3][columns] > tracks[1][rows])
    )
    flat = np.sort(rows[kept] * other + columns[kept])
    return flat // other, flat % other


def buffered_iou(tracks: Floats, instances: Floats) -> Floats:
    """Intersection over union ``(P,)`` of paired boxes ``(4, P)``."""
    lower, upper, other_lower, other_upper = tracks[:2], tracks[2:], instances[:2], instances[2:]
    sides = np.minimum(upper, other_upper)
    sides -= np.maximum(lower, other_lower)
    width, height = np.maximum(sides, 0, out=sides)
    shared = width * height
    width, height = upper - lower
    union = width * height
    width, height = other_upper - other_lower
    union = union + width * height
    union = union - shared
    return np.asarray(shared / np.maximum(union, LEAST_UNION_PX2))


def ratio(a: Floats, b: Floats) -> Floats:
    """The smaller over the larger of two positive lengths, pair by pair."""
    return np.asarray(np.minimum(a, b) / np.maximum(a, b))
