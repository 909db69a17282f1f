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
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracker.types import InstanceMasks

__all__ = ["areas_px", "decode_coco", "decode_rle", "encode_rle", "full", "lift", "make_disjoint", "on_grid"]

PROBABILITY_THRESHOLD = 128
"""A grid value from here on counts as inside: probability one half on the 0-255 scale."""

GRID_STEP_PX = 4
"""Image pixels per cell, at least, of silhouettes that are put on a grid: the stride of YOLACT's prototypes."""
GRID_CELLS = 480
"""Cells along the longer side of such a grid, at most."""


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


def on_grid(
    silhouettes: Sequence[NDArray[Any]] | NDArray[Any], boxes: NDArray[np.floating[Any]], image_size: tuple[int, int]
) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """Silhouettes of one image averaged to a small grid.

    A cell is at least 4 image pixels wide, and as much wider by powers of two as the 480 cells of the longer side ask
    for (1,920 pixels). An edge is kept to about half a cell; what is thinner than half a cell may be lost.

    Args:
        silhouettes: ``N`` pictures ``(h, w)`` of the whole image, booleans or probabilities in 0..1; ``w`` pixels for
            the image's width, more or fewer than it has.
        boxes: ``(N, 4)`` xyxy in image pixels; cells outside an instance's box become 0.
        image_size: ``(width, height)`` of the image in pixels.

    Returns:
        Probabilities ``(N, rows, columns)`` uint8, and image pixels per cell, ``(x, y)``.

    >>> silhouette = np.zeros((8, 8), np.bool_)
    >>> silhouette[:4, :2] = True
    >>> on_grid([silhouette], np.array([[0.0, 0.0, 2.0, 4.0]]), (8, 8))
    (array([[[128,   0],
            [  0,   0]]], dtype=uint8), (4.0, 4.0))
    """
    width, height = image_size
    picture_height, picture_width = np.shape(silhouettes[0]) if len(silhouettes) else (height, width)
    step = 1
    while step * width < GRID_STEP_PX * picture_width or max(picture_width, picture_height) > GRID_CELLS * step:
        step *= 2
    rows, columns = -(-picture_height // step), -(-picture_width // step)
    cell_px = (step * width / picture_width, step * height / picture_height)
    grids = np.zeros((len(silhouettes), rows, columns), np.uint8)
    padded = np.zeros((rows * step, columns * step), np.float32)  # the last cells may reach past the image
    for grid, silhouette, box in zip(grids, silhouettes, boxes, strict=True):
        padded[:picture_height, :picture_width] = silhouette
        shares = padded.reshape(rows, step, columns, step).mean(axis=(1, 3))
        left, top = (max(int(np.floor(box[axis] / cell_px[axis])), 0) for axis in (0, 1))
        right, bottom = (max(int(np.ceil(box[2 + axis] / cell_px[axis])), 0) for axis in (0, 1))
        grid[top:bottom, left:right] = np.minimum(shares * 256, 255)[top:bottom, left:right]
    return grids, cell_px


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


def decode_coco(segmentation: Any, image_size: tuple[int, int] | None = None) -> NDArray[np.bool_]:
    """A COCO ``segmentation`` as a boolean image ``(H, W)``.

    Args:
        segmentation: A run-length code, compressed or not, or a list of polygons ``[x0, y0, x1, y1, ...]``.
        image_size: ``(width, height)`` of the image in pixels, which polygons do not tell.

    Raises:
        ValueError: Polygons without ``image_size``, or a run-length code of another size.

    >>> decode_coco([[0, 0, 2, 0, 2, 2, 0, 2]], (3, 2))
    array([[ True,  True, False],
           [ True,  True, False]])
    """
    from pycocotools import mask as coco_mask

    if not isinstance(segmentation, dict):
        if image_size is None:
            message = "segmentation: expected image_size=(width, height) with polygons, found none"
            raise ValueError(message)
        width, height = image_size
        return decode_rle(coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width)))
    height, width = segmentation["size"]
    if image_size is not None and image_size != (width, height):
        message = f"segmentation: expected a mask of {image_size} pixels, found {(width, height)}"
        raise ValueError(message)
    if isinstance(segmentation["counts"], list):
        return decode_rle(coco_mask.frPyObjects(segmentation, height, width))
    return decode_rle(segmentation)


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
