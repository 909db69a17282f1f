"""Usable instances of one frame as the arrays that the tracker computes with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tracker.types import Instances

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Crops = NDArray[np.uint8]
Embeddings = NDArray[np.float32]

__all__ = ["EMPTY", "NONE", "Detected", "measured"]

EMPTY = np.zeros(0)


@dataclass(slots=True, kw_only=True)
class Detected:
    """The instances of one frame as the tracker computes with them.

    Attributes:
        boxes: ``(4, M)`` float64 xyxy.
        measured: ``(4, M)`` centre x, centre y, width, height.
        scores, chances, log_odds: ``(M,)`` raw score, calibrated chance, the same as log-odds.
        classes, codes: ``(M,)`` class column, and calibration code ``class column * BINS + score bin``.
        crops: ``(M, CELLS²)`` silhouettes, ``None`` for boxes only.
        embeddings: ``(M, E)`` embeddings as unit vectors, zero where there is none; ``None`` without any.
        visible: ``(M,)`` share that no nearer instance covers; empty without embeddings.
    """

    boxes: Floats
    measured: Floats
    scores: Floats
    chances: Floats
    log_odds: Floats
    classes: Rows
    codes: Rows
    crops: Crops | None
    embeddings: Embeddings | None
    visible: Floats

    def __len__(self) -> int:
        return len(self.scores)


NONE = Detected(
    boxes=np.zeros((4, 0)),
    measured=np.zeros((4, 0)),
    scores=EMPTY,
    chances=EMPTY,
    log_odds=EMPTY,
    classes=np.zeros(0, np.int64),
    codes=np.zeros(0, np.int64),
    crops=None,
    embeddings=None,
    visible=EMPTY,
)
"""A frame without any instance."""


def measured(instances: Instances) -> tuple[Floats, Rows, Rows]:
    """The instances that have a score, and a box that is finite and has an area.

    Returns:
        ``(9, M)`` centre x, centre y, width, height, the box xyxy, the score; ``(M,)`` class ids; and ``(M,)`` which
        instances they are.
    """
    count = len(instances)
    values, rows = np.empty((9, count)), np.arange(count)
    values[4:8], values[8] = instances.boxes.T, instances.scores
    finite = np.isfinite(values[4:])
    if np.count_nonzero(finite) < finite.size:
        rows = np.flatnonzero(finite.all(axis=0))
        values = values.take(rows, axis=1)
    extended = np.subtract(values[6:8], values[4:6], out=values[2:4]) > 0
    if np.count_nonzero(extended) < extended.size:
        usable = np.flatnonzero(extended.all(axis=0))
        rows, values = rows[usable], values.take(usable, axis=1)
    middles = np.add(values[4:6], values[6:8], out=values[:2])
    middles *= 0.5
    return values, instances.class_ids if len(rows) == count else instances.class_ids[rows], rows
