"""Class ids mapped to the columns of per-class tables, in order of appearance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

__all__ = ["ClassColumns"]


class ClassColumns:
    """Columns of per-class tables by class id.

    Attributes:
        ids: ``(C,)`` the class id of each column.

    >>> columns = ClassColumns()
    >>> columns.add(np.array([7, -1, 7]))
    array([1, 0, 1])
    >>> columns.add(np.array([3]))
    array([2])
    >>> columns.find(np.array([3, 7, -1])), columns.find(np.array([3, 9]))
    (array([2, 1, 0]), None)
    """

    def __init__(self) -> None:
        self.ids: Rows = np.zeros(0, np.int64)
        self.add(self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, class_ids: Rows) -> Rows:
        """Give every id that is new a column; returns their columns."""
        self.ids = np.concatenate([self.ids, np.setdiff1d(class_ids, self.ids)])
        self._order = np.argsort(self.ids, kind="stable")
        self._ascending = self.ids[self._order]
        # An id above the greatest one finds the least integer, which is never equal to it.
        self._padded = np.append(self._ascending, np.iinfo(np.int64).min)
        return self._order[self._ascending.searchsorted(class_ids)]

    def find(self, class_ids: Rows) -> Rows | None:
        """Their columns; ``None`` where one of them has none yet."""
        places = self._ascending.searchsorted(class_ids)
        if np.count_nonzero(self._padded.take(places) != class_ids):
            return None
        return self._order.take(places)
