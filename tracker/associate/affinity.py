"""Predicted boxes and instance boxes enter, the pairs worth comparing and their affinities leave; nothing is dense.

All comparison is done on a list of candidate pairs: ``rows`` (tracks) and ``columns`` (instances) whose enlarged boxes
    overlap.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

__all__ = ["around", "buffered_iou", "overlapping_pairs", "ratio"]

DENSE_PAIRS = 20_000
"""Up to this many pairs four dense comparisons are cheaper than sorting (2-core x86, NumPy 2.4)."""


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
        overlap = instances[0] < tracks[2][:, None]
        overlap &= instances[2] > tracks[0][:, None]
        overlap &= instances[1] < tracks[3][:, None]
        overlap &= instances[3] > tracks[1][:, None]
        rows, columns = np.divmod(overlap.reshape(-1).nonzero()[0], other)
        return rows, columns
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
    sides = np.minimum(tracks[2:], instances[2:])
    sides -= np.maximum(tracks[:2], instances[:2])
    np.maximum(sides, 0, out=sides)
    shared = sides[0] * sides[1]
    own, other = tracks[2:] - tracks[:2], instances[2:] - instances[:2]
    union = own[0] * own[1]
    union += other[0] * other[1]
    union -= shared
    np.maximum(union, 1e-9, out=union)
    return np.asarray(shared / union)


def ratio(a: Floats, b: Floats) -> Floats:
    """The smaller over the larger of two positive lengths, pair by pair."""
    return np.asarray(np.minimum(a, b) / np.maximum(np.maximum(a, b), 1e-9))
