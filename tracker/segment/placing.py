"""Instances from network pixels to image pixels: boxes clipped, masks with their map to the image."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tracker.masks.box_masks import BoxMasks
from tracker.masks.grid_masks import GridMasks
from tracker.types import Instances

if TYPE_CHECKING:
    from tracker.masks.prototypes import Prototypes
    from tracker.segment.contracts.decoder import Decoded
    from tracker.types import Letterbox

__all__ = ["place"]


def place(decoded: Decoded, letterbox: Letterbox) -> Instances:
    """Instances from network pixels to image pixels.

    Boxes are clipped to the image, and boxes that are empty afterwards or not finite are dropped. Rows and columns of
    a mask grid over the network's input that lie wholly in the padding are cut off.

    Args:
        decoded: Instances in network pixels.
        letterbox: Where the image lies in the network's input.
    """
    scale_x, scale_y = (1.0, 1.0) if decoded.in_picture else letterbox.scale
    width, height = letterbox.image_size
    to_image = np.array([1 / scale_x, 1 / scale_y, 1 / scale_x, 1 / scale_y], np.float32)
    whole = decoded.boxes * to_image
    boxes = np.clip(whole, 0, np.array([width, height, width, height], np.float32))
    instances = Instances(
        boxes=boxes,
        scores=np.clip(decoded.scores, 0, 1),
        class_ids=decoded.class_ids,
        masks=BoxMasks(
            probabilities=decoded.masks,
            boxes=whole if decoded.spans is None else decoded.spans * to_image,
            image_size=letterbox.image_size,
        )
        if decoded.per_box
        else _grid_masks(decoded, letterbox),
        embeddings=decoded.embeddings,
        coefficients=decoded.coefficients,
        prototypes=None if decoded.prototypes is None else _prototypes(decoded.prototypes, letterbox),
    )
    # NaN compares false, so a box that is not finite is dropped too.
    visible = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return instances if visible.all() else instances.take(visible)


def _grid_masks(decoded: Decoded, letterbox: Letterbox) -> GridMasks:
    rows, columns, step_px = _content(decoded.masks.shape[1:], letterbox)
    return GridMasks(probabilities=decoded.masks[:, :rows, :columns], step_px=step_px, image_size=letterbox.image_size)


def _prototypes(found: Prototypes, letterbox: Letterbox) -> Prototypes:
    rows, columns, step_px = _content(found.values.shape[1:], letterbox)
    return replace(found, values=found.values[:, :rows, :columns], step_px=step_px, image_size=letterbox.image_size)


def _content(grid: tuple[int, ...], letterbox: Letterbox) -> tuple[int, int, tuple[float, float]]:
    """Rows and columns of a grid ``(h, w)`` over the network's input that hold the image; image pixels per cell."""
    scale_x, scale_y = letterbox.scale
    rows, columns = grid
    step_x, step_y = letterbox.network_size[0] / columns, letterbox.network_size[1] / rows  # network pixels per cell
    content_columns = min(math.ceil(letterbox.content_size[0] / step_x), columns)
    content_rows = min(math.ceil(letterbox.content_size[1] / step_y), rows)
    return content_rows, content_columns, (step_x / scale_x, step_y / scale_y)
