"""Births and deaths enter, the table of living tracks leaves; memory follows the living.

::

    tentative --enough evidence--> confirmed --unseen--> lost --seen again--> confirmed
        |                              |                   |
        `--unseen too long--> gone     `-------------------`--unseen for ``lost_s``--> ended

An identity number is given on confirmation only, so numbers are gapless. "Lost" is a confirmed track that was not seen
now.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tracker.associate.calibration import HISTORY

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Scalar = TypeVar("Scalar", bound=np.generic)

__all__ = ["TrackTable"]

MINIMUM_CAPACITY = 64


class TrackTable:
    """The living tracks, one column each; attributes are views of the first ``count`` columns, written with ``[:]``.

    Args:
        crop_cells: Cells of a track's mask crop; 0 keeps none.

    Attributes:
        states: ``(5, 4, N)`` the next three in one.
        values: ``(4, N)`` filtered centre x, centre y, width, height, px.
        rates: ``(4, N)`` their rates, px/s.
        covariances: ``(3, 4, N)`` see :mod:`tracker.associate.kalman`.
        boxes: ``(4, N)`` xyxy of the last instance taken.
        first_s, seen_s: ``(N,)`` times of the first and of the last instance.
        evidence: ``(N,)`` accumulated log-odds of being real.
        scores: ``(N,)`` last instance's score.
        ids: ``(N,)`` identity, 0 while tentative.
        detection_rows: ``(N,)`` instance taken in this frame, -1 = none.
        classes, bins: ``(N,)`` class column and score bin of the last instance.
        hits: ``(N,)`` instances taken so far.
        frames: ``(N,)`` updates since the first instance.
        history: ``(HISTORY, N)`` calibration code of the instance taken in each of the last frames, -1 = none, newest
            first.
        votes: ``(C, N)`` class votes.
        crops: ``(N, crop_cells)`` mask of the last instance in box coordinates.
    """

    states: Floats
    values: Floats
    rates: Floats
    covariances: Floats
    boxes: Floats
    first_s: Floats
    seen_s: Floats
    evidence: Floats
    scores: Floats
    ids: Rows
    detection_rows: Rows
    classes: Rows
    bins: Rows
    hits: Rows
    frames: Rows
    history: NDArray[np.int32]
    votes: Floats
    crops: NDArray[np.uint8]

    def __init__(self, *, crop_cells: int = 0) -> None:
        self.count = 0
        self._floats: Floats = np.zeros((28, MINIMUM_CAPACITY))
        self._integers: Rows = np.zeros((6, MINIMUM_CAPACITY), np.int64)
        self._history: NDArray[np.int32] = np.full((HISTORY, MINIMUM_CAPACITY), -1, np.int32)
        self._votes: Floats = np.zeros((0, MINIMUM_CAPACITY))
        self._crops: NDArray[np.uint8] = np.zeros((MINIMUM_CAPACITY, crop_cells), np.uint8)
        self._drawn = False
        self._bind()

    @property
    def capacity(self) -> int:
        """Tracks the allocated memory can hold."""
        return int(self._floats.shape[1])

    def reserve_classes(self, count: int) -> None:
        """Make room for votes on ``count`` classes."""
        missing = count - len(self._votes)
        if missing > 0:
            self._votes = np.concatenate([self._votes, np.zeros((missing, self.capacity))])
            self._bind()

    def append(self, count: int) -> slice:
        """Add ``count`` zeroed tracks; returns their columns."""
        start = self.count
        self.count += count
        if self.count > self.capacity:
            self._resize(2 * self.count)
        new = slice(start, self.count)
        self._floats[:, new] = 0
        self._integers[:, new] = 0
        self._history[:, new] = -1
        self._votes[:, new] = 0
        self._crops[new] = 0
        self._bind()
        return new

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Drop every track that is not ``kept (N,)``; the order of the others stays."""
        columns = np.flatnonzero(kept)
        count = len(columns)
        self._floats[:, :count] = self._floats[:, columns]
        self._integers[:, :count] = self._integers[:, columns]
        self._history[:, :count] = self._history[:, columns]
        self._votes[:, :count] = self._votes[:, columns]
        self._crops[:count] = self._crops[columns]
        self.count = count
        if self.capacity > MINIMUM_CAPACITY and count < self.capacity // 8:
            self._resize(max(2 * count, MINIMUM_CAPACITY))
        self._bind()

    def draw(self, rows: Rows, crops: NDArray[np.uint8] | None) -> None:
        """The silhouettes ``(P, crop_cells)`` of the last instances of ``rows``; ``None`` = these have no shape."""
        if crops is not None:
            self._drawn = True
            self.crops[rows] = crops
        elif self._drawn:
            self.crops[rows] = 0

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything that must be stored to continue later, as plain arrays."""
        n = self.count
        return {
            "floats": self._floats[:, :n].copy(),
            "integers": self._integers[:, :n].copy(),
            "history": self._history[:, :n].copy(),
            "votes": self._votes[:, :n].copy(),
            "crops": self._crops[:n].copy(),
        }

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Continue from what :meth:`state` returned."""
        self.count = state["floats"].shape[1]
        capacity = max(2 * self.count, MINIMUM_CAPACITY)
        self._floats = np.zeros((len(self._floats), capacity))
        self._integers = np.zeros((len(self._integers), capacity), np.int64)
        self._history = np.full((HISTORY, capacity), -1, np.int32)
        self._votes = np.zeros((len(state["votes"]), capacity))
        self._crops = np.zeros((capacity, self._crops.shape[1]), np.uint8)
        self._floats[:, : self.count] = state["floats"]
        self._integers[:, : self.count] = state["integers"]
        self._history[:, : self.count] = state["history"]
        self._votes[:, : self.count] = state["votes"]
        self._crops[: self.count] = state["crops"]
        self._drawn = True
        self._bind()

    def _resize(self, capacity: int) -> None:
        used = min(self.capacity, capacity, self.count)
        self._floats = _fitted(self._floats, capacity, used)
        self._integers = _fitted(self._integers, capacity, used)
        self._history = _fitted(self._history, capacity, used)
        self._votes = _fitted(self._votes, capacity, used)
        self._crops = np.ascontiguousarray(_fitted(self._crops.T, capacity, used).T)

    def _bind(self) -> None:
        n, floats, integers = self.count, self._floats, self._integers
        self.states = states = floats[:20].reshape(5, 4, -1)[:, :, :n]
        self.values, self.rates, self.covariances = states[0], states[1], states[2:]
        self.boxes = floats[20:24, :n]
        self.first_s, self.seen_s, self.evidence, self.scores = floats[24:28, :n]
        self.ids, self.detection_rows, self.classes, self.bins, self.hits, self.frames = integers[:, :n]
        self.history = self._history[:, :n]
        self.votes, self.crops = self._votes[:, :n], self._crops[:n]


def _fitted(old: NDArray[Scalar], capacity: int, used: int) -> NDArray[Scalar]:
    """A matrix of ``capacity`` columns with the first ``used`` ones of ``old``."""
    new = np.zeros((len(old), capacity), old.dtype)
    new[:, :used] = old[:, :used]
    return new
