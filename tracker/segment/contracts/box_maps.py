"""Masks on a grid over the network's input, resampled to one small grid per box; outlines of masks; pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["as_bytes", "box_maps", "cells_for", "outline", "sigmoid"]

CELLS, CELL_PX = (56, 84, 112), 2.5
"""Cells along a side, and how wide they may be in pixels of the network's input: less than the usual stride of 4."""
STEEP = 80.0
"""Logits beyond are certain; float32's exp ends at 88."""


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """``1 / (1 + exp(-x))`` without overflow.

    >>> sigmoid(np.array([0, 200, -200], np.float32)).tolist()
    [0.5, 1.0, 1.8048513285848406e-35]
    """
    values = np.clip(logits, -STEEP, STEEP, dtype=np.float32)
    np.exp(np.negative(values, out=values), out=values)
    values += 1
    return np.asarray(np.reciprocal(values, out=values))


def as_bytes(probabilities: NDArray[Any]) -> NDArray[np.uint8]:
    """Probabilities of 0..1 as 0..255; what is not a number is 0.

    >>> as_bytes(np.array([0, 0.5, 1, np.nan], np.float32))
    array([  0, 128, 255,   0], dtype=uint8)
    """
    if probabilities.dtype == np.uint8:
        return np.asarray(probabilities)
    values = np.fmin(np.fmax(probabilities, 0, dtype=np.float32), 1)  # of NaN and a number fmax takes the number
    values *= 255
    values += 0.5
    return np.asarray(values.astype(np.uint8))


def cells_for(boxes: NDArray[np.float32]) -> int:
    """Cells along each side of the grids per box, for boxes ``(N, 4)`` in pixels of the network's input."""
    longest_px = float((boxes[:, 2:] - boxes[:, :2]).max(initial=0))
    return next((count for count in CELLS if longest_px <= CELL_PX * count), CELLS[-1])


def outline(field: NDArray[Any], threshold: float) -> tuple[float, float, float, float] | None:
    """Box of the region where the bilinear lift of ``field (h, w)`` reaches a threshold, xyxy in cells.

    The edge lies between two cell centres, where the interpolated maximum over the other axis crosses the threshold; at
    the border of the grid it is the border.

    >>> outline(np.array([[0, 1, 1, 0]], np.float32), 0.5)
    (1.0, 0.0, 3.0, 1.0)
    >>> outline(np.zeros((2, 2)), 0.5) is None
    True
    """
    edges = []
    for axis in (0, 1):
        profile = field.max(axis=axis)
        inside = np.flatnonzero(profile >= threshold)
        if not len(inside):
            return None
        edges.append(
            (_crossing(profile, int(inside[0]), -1, threshold), _crossing(profile, int(inside[-1]), 1, threshold))
        )
    (left, right), (top, bottom) = edges
    return left, top, right, bottom


def _crossing(profile: NDArray[Any], cell: int, step: int, threshold: float) -> float:
    """Where the profile falls below the threshold from a cell outwards, in cells from the grid's edge."""
    other = cell + step
    if not 0 <= other < len(profile):
        return float(cell + (step > 0))
    inside, outside = float(profile[cell]), float(profile[other])
    return cell + 0.5 + step * (inside - threshold) / max(inside - outside, 1e-9)


def box_maps(field: NDArray[Any], box: NDArray[np.floating[Any]], cells: int) -> NDArray[np.float32]:
    """``field (h, w)`` bilinear at the centres of equal parts of a box; averages where the parts are large.

    Args:
        field: Values at cell centres, probabilities or logits; beyond the border they continue.
        box: ``(4,)`` xyxy in cells of the field.
        cells: Parts along each side.

    Returns:
        ``(cells, cells)`` float32.
    """
    height, width = field.shape
    left, across = _weights(float(box[0]), float(box[2]), width, cells)
    top, down = _weights(float(box[1]), float(box[3]), height, cells)
    crop = field[top : top + down.shape[1], left : left + across.shape[1]].astype(np.float32, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):  # of values that are not finite
        return np.asarray(down @ crop @ across.T)


def _weights(low: float, high: float, size: int, cells: int) -> tuple[int, NDArray[np.float32]]:
    """First grid cell that is read, and weights ``(cells, read)`` whose rows sum to 1: a triangle one step wide."""
    step = max((high - low) / cells, 1e-6)
    centres = low + (np.arange(cells) + 0.5) * step - 0.5
    reach = max(step, 1.0)
    centres = np.clip(centres, 0, size - 1)
    first = max(int(np.floor(centres[0] - reach)), 0)
    last = min(int(np.ceil(centres[-1] + reach)), size - 1)
    distance = np.abs(centres[:, None] - np.arange(first, last + 1)) / reach
    weights = np.maximum(1 - distance, 0)
    return first, np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
