"""Growing columns of numbers, and texts as numbers: a million events in some 100 MB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

__all__ = ["Columns", "Names", "as_one"]

FIRST_ROWS = 1024


class Columns:
    """Arrays of one length that grow by a quarter.

    Args:
        types: NumPy type of each column by its name.
    """

    def __init__(self, types: Mapping[str, Any]) -> None:
        self._arrays = {name: np.empty(FIRST_ROWS, kind) for name, kind in types.items()}
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, name: str) -> NDArray[Any]:
        """``(rows,)`` values of a column: a view, good until rows are added."""
        return self._arrays[name][: self._rows]

    def append(self, columns: Mapping[str, NDArray[Any]]) -> slice:
        """Add rows; returns where they are."""
        count = len(next(iter(columns.values())))
        first, self._rows = self._rows, self._rows + count
        for name, array in self._arrays.items():
            held = array
            if self._rows > len(array):
                held = np.empty(max(len(array) * 5 // 4, self._rows), array.dtype)
                held[:first] = array[:first]
                self._arrays[name] = held
            held[first : self._rows] = columns[name]
        return slice(first, self._rows)


class Names:
    """Texts as numbers from 0, in the order in which they came."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._numbers: dict[str, int] = {}
        self.texts: list[str] = []
        for text in texts:
            self.add(text)

    def add(self, text: str) -> int:
        """The number of a text, which may be new."""
        found = self._numbers.get(text)
        if found is None:
            found = self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return found

    def numbers(self, texts: Iterable[str]) -> list[int]:
        """Numbers of those texts that are known."""
        return [self._numbers[text] for text in texts if text in self._numbers]

    def number(self, text: str) -> int:
        """The number of a text; -1 where it is not known."""
        return self._numbers.get(text, -1)


def as_one(*columns: NDArray[Any]) -> NDArray[np.int64]:
    """One number per row, equal where rows are equal in all columns, and in their order.

    Args:
        columns: ``(N,)`` whole numbers, each.

    >>> as_one(np.array([7, 7, 5]), np.array([1, 2, 9])).tolist()
    [18, 19, 8]
    """
    codes, width = np.zeros(len(columns[0]), np.int64), 1
    for column in columns:
        if not len(column):
            return codes
        low, high = int(column.min()), int(column.max())
        if width * (high - low + 1) >= 2**62:  # the numbers themselves would not fit: their ranks do
            codes = np.unique(codes, return_inverse=True)[1]
            column, low = np.unique(column, return_inverse=True)[1], 0  # noqa: PLW2901
            width, high = int(codes.max()) + 1, int(column.max())
        codes = codes * (high - low + 1) + (column - low)
        width *= high - low + 1
    return codes
