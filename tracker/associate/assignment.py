"""Sparse linear assignment: components of one pair are settled directly, the rest goes to ``lap``.

Only pairs that passed a gate exist. A pair that is the only one of its row and of its column is settled without a
solver; the rest is small even in crowds: ``lap.lapjv`` solves it as one dense matrix in which "unmatched" is a
gain of zero. That is the ``cost_limit`` problem of ``lap`` without its doubled matrix.
"""

from __future__ import annotations

import lap
import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

__all__ = ["assign"]

GAIN_RESOLUTION = 2.0**20
"""Gains are rounded to this many steps per unit: whole numbers add exactly, so ties break alike on every machine."""


def assign(rows: Rows, columns: Rows, gains: NDArray[np.float64], shape: tuple[int, int]) -> tuple[Rows, Rows]:
    """Match rows to columns so that the sum of gains is greatest; nothing is matched at a gain of zero or less.

    Args:
        rows: ``(P,)`` row of each candidate pair, ascending.
        columns: ``(P,)`` column of each pair; a pair may occur once only.
        gains: ``(P,)`` what matching the pair is worth, finite.
        shape: Numbers of rows and columns.

    Returns:
        Matched rows, ascending, and their columns.

    >>> assign(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.9, 0.5, 0.8]), (2, 2))
    (array([0, 1]), array([1, 0]))
    """
    steps = np.rint(gains * GAIN_RESOLUTION)
    worth = (steps > 0).nonzero()[0]
    if len(worth) < len(rows):
        rows, columns, steps = rows.take(worth), columns.take(worth), steps.take(worth)
    if len(rows) < 2:
        return rows, columns
    rivals = np.bincount(rows).take(rows) * np.bincount(columns).take(columns)
    contested = (rivals > 1).nonzero()[0]
    if not len(contested):
        return rows, columns
    solved_rows, solved_columns = _solve(rows[contested], columns[contested], steps[contested], shape)
    column_of_row = np.full(shape[0], -1, np.int64)
    column_of_row[rows] = np.where(rivals > 1, -1, columns)
    column_of_row[solved_rows] = solved_columns
    matched = (column_of_row >= 0).nonzero()[0]
    return matched, column_of_row[matched]


def _solve(rows: Rows, columns: Rows, steps: NDArray[np.float64], shape: tuple[int, int]) -> tuple[Rows, Rows]:
    """The dense problem over the rows and columns that occur, padded to a square with zero gains."""
    row_place, used_rows = _places(rows, shape[0])
    column_place, used_columns = _places(columns, shape[1])
    size = max(len(used_rows), len(used_columns))
    costs = np.zeros((size, size))
    # In units of gain: lapjv takes 1e6 for infinity. Dividing by a power of two keeps the sums exact.
    costs[row_place[rows], column_place[columns]] = -steps / GAIN_RESOLUTION
    _, column_of_row, _ = lap.lapjv(costs)
    chosen = np.arange(len(used_rows))
    taken = column_of_row[: len(used_rows)]
    kept = costs[chosen, taken] < 0
    return used_rows[chosen[kept]], used_columns[taken[kept]]


def _places(values: Rows, count: int) -> tuple[Rows, Rows]:
    """Dense numbering of the values that occur: the place of each of ``count`` values, and the values in order."""
    present = np.zeros(count, np.bool_)
    present[values] = True
    used = np.flatnonzero(present)
    place = np.empty(count, np.int64)
    place[used] = np.arange(len(used))
    return place, used
