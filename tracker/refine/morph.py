"""Shape interpolation of masks across a gap, by signed distances.

Each silhouette becomes its signed distance (positive inside, in cells) on the grid of the box in between; the shape
there is where the weighted mean of both is positive (Raya & Udupa 1990, shape-based interpolation).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Distances = NDArray[np.float32]

__all__ = ["between", "signed_distance"]


def between(before: Flags, after: Flags, share: float, size: tuple[int, int]) -> Distances:
    """Signed distance ``(height, width)`` of the silhouette between two others, at ``share`` of the gap.

    Args:
        before: ``(h, w)`` silhouette cut to its box, non-empty.
        after: ``(h', w')`` the same at the other end.
        share: 0 gives ``before``, 1 gives ``after``, at ``size``.
        size: ``(width, height)`` in cells of the box in between, at least 1 x 1.
    """
    a, b = (signed_distance(_resized(mask, size)) for mask in (before, after))
    return np.asarray((1 - share) * a + share * b, np.float32)


def signed_distance(silhouette: Flags) -> Distances:
    """Cells to the outline, positive inside, negative outside; what lies past the edge of the array is outside.

    >>> signed_distance(np.array([[True, True, True, False]])).tolist()
    [[0.5, 0.5, 0.5, -0.5]]
    """
    import cv2

    inside = np.pad(silhouette, 1).astype(np.uint8)
    distances = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_5)
    distances -= cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_5)
    distances = distances[1:-1, 1:-1]
    return np.asarray(distances - np.where(silhouette, 0.5, -0.5), np.float32)


def _resized(silhouette: Flags, size: tuple[int, int]) -> Flags:
    import cv2

    smooth = cv2.resize(silhouette.astype(np.uint8) * 255, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(smooth >= 128, np.bool_)
