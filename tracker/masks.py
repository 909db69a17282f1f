"""Small-grid mask probabilities enter, image-resolution silhouettes, areas and run-length codes leave; pure functions.

A mask lives on the segmenter's prototype grid as ``uint8`` probabilities (255 = certain). Cell ``(row, column)`` covers
the image rectangle ``[column * step_x, (column + 1) * step_x) x [row * step_y, (row + 1) * step_y)``. It is lifted to
the image only for what is drawn or exported: bilinear on the probabilities, then the threshold (YOLACT, Bolya et al.
2019, section 3.3), inside its box only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracker.types import InstanceMasks

__all__ = ["areas_px", "decode_rle", "encode_rle", "full", "lift", "make_disjoint"]

PROBABILITY_THRESHOLD = 128
"""A grid value from here on counts as inside: probability one half on the 0-255 scale."""


def lift(masks: InstanceMasks, row: int, box: NDArray[np.floating[Any]]) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """One silhouette at image resolution, cut to its box.

    Args:
        masks: Grid masks with their map to the image.
        row: Which instance.
        box: ``(4,)`` xyxy in image pixels; the silhouette is zero outside it.

    Returns:
        A boolean crop ``(height, width)`` and the image position ``(x, y)`` of its top left pixel. An empty crop has
        shape ``(0, 0)``.
    """
    import cv2

    image_width, image_height = masks.image_size
    left, top = max(int(np.floor(box[0])), 0), max(int(np.floor(box[1])), 0)
    right, bottom = min(int(np.ceil(box[2])), image_width), min(int(np.ceil(box[3])), image_height)
    if right <= left or bottom <= top:
        return np.zeros((0, 0), dtype=np.bool_), (left, top)
    # Only the part of the grid under the box is resampled, with one cell of margin so that the interpolation sees its
    # neighbours.
    step_x, step_y = masks.step_px
    grid = masks.probabilities[row]
    rows, columns = grid.shape
    column_0, row_0 = max(int(left / step_x) - 1, 0), max(int(top / step_y) - 1, 0)
    column_1, row_1 = min(int(np.ceil(right / step_x)) + 1, columns), min(int(np.ceil(bottom / step_y)) + 1, rows)
    if column_1 <= column_0 or row_1 <= row_0:
        return np.zeros((0, 0), dtype=np.bool_), (left, top)
    cut = grid[row_0:row_1, column_0:column_1]
    covered = column_1 * step_x >= right and row_1 * step_y >= bottom
    if covered and step_x == int(step_x) and step_y == int(step_y):
        # Whole pixels per cell (640 x 360, 720p, 1080p on a stride-4 grid): a plain resize hits the same points
        # at half the time of a warp.
        x, y = left - column_0 * int(step_x), top - row_0 * int(step_y)
        lifted = cv2.resize(cut, None, fx=step_x, fy=step_y, interpolation=cv2.INTER_LINEAR)
        return lifted[y : y + bottom - top, x : x + right - left] >= PROBABILITY_THRESHOLD, (left, top)
    # Pixel centre x maps to grid coordinate (x + 0.5) / step - 0.5, relative to the cut.
    matrix = np.array(
        [[1 / step_x, 0, (left + 0.5) / step_x - 0.5 - column_0], [0, 1 / step_y, (top + 0.5) / step_y - 0.5 - row_0]]
    )
    crop = cv2.warpAffine(
        cut,
        matrix,
        (right - left, bottom - top),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return crop >= PROBABILITY_THRESHOLD, (left, top)


def full(masks: InstanceMasks, row: int, box: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """One silhouette as a boolean image ``(H, W)``; see :func:`lift`."""
    width, height = masks.image_size
    image = np.zeros((height, width), dtype=np.bool_)
    crop, (x, y) = lift(masks, row, box)
    image[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
    return image


def areas_px(masks: InstanceMasks) -> NDArray[np.float32]:
    """Silhouette areas ``(N,)`` in image pixels, counted on the grid (no lift)."""
    cells = (masks.probabilities >= PROBABILITY_THRESHOLD).sum(axis=(1, 2))
    return np.asarray(cells * (masks.step_px[0] * masks.step_px[1]), dtype=np.float32)


def encode_rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """A boolean image ``(H, W)`` as a compressed COCO run-length code ``{"size": [H, W], "counts": str}``.

    >>> encode_rle(np.array([[False, True], [True, True]]))
    {'size': [2, 2], 'counts': '13'}
    """
    from pycocotools import mask as coco_mask

    code = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(mask.shape[0]), int(mask.shape[1])], "counts": code["counts"].decode("ascii")}


def decode_rle(code: dict[str, Any]) -> NDArray[np.bool_]:
    """A compressed COCO run-length code as a boolean image ``(H, W)``; the inverse of :func:`encode_rle`.

    >>> decode_rle({"size": [2, 2], "counts": "13"})
    array([[False,  True],
           [ True,  True]])
    """
    from pycocotools import mask as coco_mask

    counts = code["counts"]
    packed = {"size": list(code["size"]), "counts": counts.encode("ascii") if isinstance(counts, str) else counts}
    return np.asarray(coco_mask.decode(packed), dtype=np.bool_)


def make_disjoint(silhouettes: list[NDArray[np.bool_]], order: NDArray[np.integer[Any]]) -> list[NDArray[np.bool_]]:
    """Silhouettes of one image without shared pixels, as MOTS asks.

    Each pixel stays with the first of ``order`` that claims it.

    Args:
        silhouettes: Boolean images of one shape ``(H, W)``.
        order: Row numbers, best first.

    >>> a, b = np.array([[True, True, False]]), np.array([[False, True, True]])
    >>> make_disjoint([a, b], np.array([1, 0]))
    [array([[ True, False, False]]), array([[False,  True,  True]])]
    """
    result = list(silhouettes)
    taken: NDArray[np.bool_] | None = None
    for row in order:
        mask = silhouettes[row] if taken is None else silhouettes[row] & ~taken
        result[row] = mask
        taken = mask.copy() if taken is None else taken | mask
    return result
