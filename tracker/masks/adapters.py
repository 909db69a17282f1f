"""Silhouettes of other frameworks: COCO segmentations as boolean images, boolean images averaged to a small grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["GRID_CELLS", "GRID_STEP_PX", "decode_coco", "on_grid"]

GRID_STEP_PX = 4
"""Image pixels per cell, at least, of silhouettes that are put on a grid: the stride of YOLACT's prototypes."""
GRID_CELLS = 480
"""Cells along the longer side of such a grid, at most."""


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

    if isinstance(segmentation, dict):
        height, width = segmentation["size"]
        if image_size is not None and image_size != (width, height):
            message = f"segmentation: expected a mask of {image_size} pixels, found {(width, height)}"
            raise ValueError(message)
        counts = segmentation["counts"]
        if isinstance(counts, list):
            code = coco_mask.frPyObjects(segmentation, height, width)
        else:
            code = {"size": [height, width], "counts": counts.encode("ascii") if isinstance(counts, str) else counts}
    else:
        if image_size is None:
            message = "segmentation: expected image_size=(width, height) with polygons, found none"
            raise ValueError(message)
        width, height = image_size
        code = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    return np.asarray(coco_mask.decode(code), dtype=np.bool_)
