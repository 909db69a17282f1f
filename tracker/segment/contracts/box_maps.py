"""Masks on a grid over the network's input, cut to one small grid per box; outlines of masks; pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["Window", "as_bytes", "box_maps", "crops", "outline", "sigmoid"]

CELLS = (28, 56, 84, 112, 168, 224, 352)
"""Cells along a side of :func:`crops`."""
FINER = ((4, 168), (2, 352))
"""Into how many parts cells of logits are divided, if a side has no more parts then."""
MARGIN_CELLS = 2
STEEP = 80.0
"""Logits beyond are certain; float32's exp ends at 88."""


Window = tuple[slice, slice]
"""Rows and columns of a grid."""


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


def crops(
    fields: Sequence[NDArray[Any]],
    boxes: NDArray[np.floating[Any]],
    *,
    step_px: float = 1.0,
    margin: float = 0.0,
    activate: Callable[[int, NDArray[np.float32], Window], NDArray[np.float32]] | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Each field around its box, cell by cell; averages where a side is longer than 352 cells.

    Probabilities keep their cells: bilinear between these, the lift gives what the published code gives that scales the
    whole field. Logits change their sign elsewhere than their probabilities cross one half, so they are interpolated to
    finer cells first.

    Args:
        fields: ``(h, w)`` each, values at cell centres; beyond the border they continue.
        boxes: ``(N, 4)`` xyxy in cells of the fields; an empty one gets zeros.
        step_px: Pixels of the network's input per cell.
        margin: Share of a box's sides that is kept around it; two cells are always.
        activate: Probabilities of a box's number, its logits, and which rows and columns of these lie in the field;
            of fields that are probabilities ``None``.

    Returns:
        Probabilities ``(N, rows, columns)`` uint8, and what these grids span, ``(N, 4)`` float32 xyxy in cells of the
        field.
    """
    around = MARGIN_CELLS + (boxes[:, 2:] - boxes[:, :2]) * margin
    sides = np.array([field.shape[::-1] for field in fields], np.float64).reshape(-1, 2)  # (N, 2)
    low = np.clip(np.floor(boxes[:, :2] - around), -1, sides)
    own = np.clip(np.ceil(boxes[:, 2:] + around), -1, sides + 1) - low  # (N, 2), whole cells
    own[(boxes[:, 2:] <= boxes[:, :2]).any(axis=1) | (own <= 0).any(axis=1)] = 0
    parts = np.ones((len(boxes), 1))
    if activate is not None:
        longest = own.max(axis=1, initial=0)[:, None]
        for finer, limit in reversed(FINER):
            parts[(longest * finer <= limit) & (finer <= step_px)] = finer
    most = (own * parts).max(axis=0, initial=1)
    shape = np.array([next((count for count in CELLS if side <= count), CELLS[-1]) for side in most])  # columns, rows
    sizes = np.maximum(1 / parts, own / shape)  # (N, 2), of a part in cells
    maps = np.zeros((len(boxes), shape[1], shape[0]), np.uint8)
    for number, (field, start, size, side) in enumerate(zip(fields, low, sizes, own, strict=True)):
        columns, rows = np.rint(side / size).astype(int).tolist()
        if not columns or not rows:
            continue
        values = box_maps(field, np.concatenate([start, start + side]), (rows, columns))
        if activate is not None:
            first = np.rint(np.maximum(-start, 0) / size).astype(int)
            last = np.rint((np.minimum(start + side, field.shape[::-1]) - start) / size).astype(int)
            values = activate(number, values, (slice(first[1], last[1]), slice(first[0], last[0])))
        maps[number, :rows, :columns] = as_bytes(values)
    return maps, np.concatenate([low, low + sizes * shape], axis=1).astype(np.float32)


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


def box_maps(field: NDArray[Any], box: NDArray[np.floating[Any]], cells: tuple[int, int]) -> NDArray[np.float32]:
    """``field (h, w)`` bilinear at the centres of equal parts of a box; averages where the parts are large.

    Args:
        field: Values at cell centres, probabilities or logits; beyond the border they continue.
        box: ``(4,)`` xyxy in cells of the field.
        cells: Rows and columns of parts.

    Returns:
        ``(rows, columns)`` float32.
    """
    height, width = field.shape
    rows, columns = cells
    left, top, right, bottom = (float(edge) for edge in box)
    with np.errstate(over="ignore", invalid="ignore"):  # of values that are not finite
        if right - left <= columns and bottom - top <= rows:  # parts of a cell at most: between two neighbours
            first, last = _reach(left, right, width)
            lines = _between(field[:, first:last], top, bottom, rows)  # (rows, what is read)
            return np.asarray(_between(lines.T, left - first, right - first, columns).T)
        first_column, across = _weights(left, right, width, columns)
        first_row, down = _weights(top, bottom, height, rows)
        crop = field[first_row : first_row + down.shape[1], first_column : first_column + across.shape[1]]
        return np.asarray(down @ crop.astype(np.float32, copy=False) @ across.T)


def _reach(low: float, high: float, size: int) -> tuple[int, int]:
    """Cells that values at low..high are interpolated from, at least one."""
    first = min(max(int(np.floor(low)) - 1, 0), size - 1)
    return first, min(max(int(np.ceil(high)) + 1, first + 1), size)


def _between(rows: NDArray[Any], low: float, high: float, cells: int) -> NDArray[np.float32]:
    """Rows ``(n, m)`` linear at ``cells`` equal parts of low..high, ``(cells, m)``."""
    centres = np.arange(0.5, cells) * max((high - low) / cells, 1e-6) + (low - 0.5)
    np.clip(centres, 0, len(rows) - 1, out=centres)
    first = centres.astype(np.intp)
    share = (centres - first).astype(np.float32)[:, None]
    near = rows[first]
    if not share.any():  # cell by cell
        return np.asarray(near, np.float32)
    return np.asarray(near + (rows[np.minimum(first + 1, len(rows) - 1)] - near) * share, np.float32)


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
