"""Raw scores enter, the learned chance that such a detection is real leaves; every threshold of the tracker sits on that chance.

A score of 0.6 means different things for every model, class and export. What is comparable is how often a detection of that class
and score is found again in the next frame where its track expected it. That frequency is counted online, per class and score bin,
smoothed with a prior and made monotone in the score.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

__all__ = ["ScoreCalibration"]

# Bins are even in log-odds, half an octave apart, written as odds so that no transcendental function decides (same bytes anywhere).
_ODDS = np.concatenate([2.0 ** np.arange(-6.0, 0.0), 2.0 ** np.arange(0.0, 12.0)])
EDGES: Floats = _ODDS / (1 + _ODDS)


class ScoreCalibration:
    """Chances that a detection of a class and score is matched again one frame later, learned while running.

    Args:
        prior_weight: How many observations the prior is worth in each bin.
        memory: Observations per bin after which old ones fade, so that the tracker follows a change of light or model.
    """

    def __init__(self, *, prior_weight: float = 10.0, memory: float = 2000.0) -> None:
        self._prior_weight = prior_weight
        self._memory = memory
        middles = np.concatenate([[EDGES[0] / 2], (EDGES[1:] + EDGES[:-1]) / 2, [(1 + EDGES[-1]) / 2]])
        self._prior = middles
        self.seen: Floats = np.zeros((0, len(middles)))
        self.found: Floats = np.zeros((0, len(middles)))
        self._chances: Floats = np.zeros((0, len(middles)))

    def bins(self, scores: Floats) -> Rows:
        """The score bin of each detection."""
        return np.searchsorted(EDGES, scores, side="right")

    def chances(self, classes: Rows, bins: Rows) -> Floats:
        """The learned chance of each detection, by class column and score bin."""
        return self._chances[classes, bins]

    def reserve(self, class_count: int) -> None:
        """Make room for ``class_count`` classes; new ones start from the prior."""
        missing = class_count - len(self.seen)
        if missing > 0:
            empty = np.zeros((missing, self.seen.shape[1]))
            self.seen = np.concatenate([self.seen, empty])
            self.found = np.concatenate([self.found, empty])
            self._refresh()

    def learn(self, classes: Rows, bins: Rows, found: NDArray[np.bool_]) -> None:
        """Count detections of the previous frame and whether this frame had them again."""
        if not len(classes):
            return
        shape = self.seen.shape
        flat = classes * shape[1] + bins
        size = shape[0] * shape[1]
        self.seen += np.bincount(flat, minlength=size).reshape(shape)
        self.found += np.bincount(flat[found], minlength=size).reshape(shape)
        full = self.seen > self._memory
        if full.any():
            fade = np.where(full, self._memory / np.maximum(self.seen, 1), 1.0)
            self.seen *= fade
            self.found *= fade
        self._refresh()

    def _refresh(self) -> None:
        weights = self.seen + self._prior_weight
        rates = (self.found + self._prior_weight * self._prior) / weights
        self._chances = np.stack([_monotone(rate, weight) for rate, weight in zip(rates, weights, strict=True)])


def _monotone(rates: Floats, weights: Floats) -> Floats:
    """The closest non-decreasing sequence (pool adjacent violators, Barlow et al. 1972)."""
    values: list[float] = []
    masses: list[float] = []
    lengths: list[int] = []
    for rate, weight in zip(rates.tolist(), weights.tolist(), strict=True):
        value, mass, length = rate, weight, 1
        while values and values[-1] > value:
            value = (value * mass + values[-1] * masses[-1]) / (mass + masses[-1])
            mass += masses.pop()
            length += lengths.pop()
            values.pop()
        values.append(value)
        masses.append(mass)
        lengths.append(length)
    return np.repeat(values, lengths)
