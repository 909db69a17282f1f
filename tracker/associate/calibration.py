"""Raw scores and what became of their detections enter, the learned chance that such a detection is real leaves.

A score of 0.6 means different things for every model, class and export. What can be compared is what the stream itself
shows: how often a detection of that class and score is still found where its track expects it a moment (``horizon_s``)
later. That is counted per class and score bin while running, shrunk to a prior, and made monotone in the score. A
second count, how many new tracks of a
class live that long at all, gives the prior odds of a birth: a detector that fires into the void must show more before
it is believed. Every threshold of the tracker sits on these chances and none on a raw score.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterable

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Codes = NDArray[np.int32]

__all__ = ["BINS", "HISTORY", "ScoreCalibration", "monotone"]

# Bins are even in log-odds, one octave wide, written as odds so that no transcendental function decides (same bytes
# on any machine).
_ODDS = 2.0 ** np.arange(-6.0, 12.0)
EDGES: Floats = _ODDS / (1 + _ODDS)
BINS = len(EDGES) + 1
HISTORY = 16
"""Frames that a horizon may span."""
CERTAINTY = 0.98
"""No single detection is more certain than this: bounds the evidence of one frame to 3.9 in log-odds."""
ROUNDING = 1024
"""Log-odds are rounded to this fraction, far above the last bit in which logarithms differ between machines."""


class ScoreCalibration:
    """Chances of detections and odds of births, by class column.

    Args:
        horizon_s: A detection was real if its track is matched this much later.
        prior_weight: Observations that the prior (the raw score) is worth in each bin.
        memory: Observations per bin or class after which old ones fade, so that a change of light or model is followed.
        birth_prior: Share of new tracks that live for the horizon, before anything was seen; odds are relative to it.
        birth_weight: Observations that this prior is worth.
    """

    def __init__(
        self,
        *,
        horizon_s: float = 0.3,
        prior_weight: float = 3.0,
        memory: float = 200.0,
        birth_prior: float = 0.4,
        birth_weight: float = 10.0,
    ) -> None:
        self._horizon_s = horizon_s
        self._prior_weight = prior_weight
        self._memory = memory
        self._birth_prior = birth_prior
        self._birth_weight = birth_weight
        bounds = np.concatenate([[0.0], EDGES, [1.0]])
        self._prior = (bounds[1:] + bounds[:-1]) / 2
        self.seen: Floats = np.zeros((0, BINS))
        self.found: Floats = np.zeros((0, BINS))
        self.births: Floats = np.zeros((2, 0))
        self._prior_found = prior_weight * self._prior
        self._chances: Floats = np.zeros((0, BINS))
        self._log_odds: Floats = np.zeros((0, BINS))

    def reserve(self, class_count: int) -> None:
        """Make room for ``class_count`` classes; new ones start from the prior."""
        missing = class_count - len(self.seen)
        if missing > 0:
            empty = np.zeros((missing, BINS))
            self.seen, self.found = np.concatenate([self.seen, empty]), np.concatenate([self.found, empty])
            self._chances, self._log_odds = (
                np.concatenate([self._chances, empty]),
                np.concatenate([self._log_odds, empty]),
            )
            self.births = np.concatenate([self.births, np.zeros((2, missing))], axis=1)
            self._refresh(range(class_count - missing, class_count))

    @staticmethod
    def bins(scores: Floats) -> Rows:
        """The score bin of each detection."""
        return EDGES.searchsorted(scores, side="right")

    def chances(self, codes: Rows) -> Floats:
        """The learned chance in 0..1 that each detection is real, by its code ``class column * BINS + bin``."""
        return self._chances.take(codes)

    def log_odds(self, codes: Rows) -> Floats:
        """The same as log-odds, what one detection adds to a track's evidence."""
        return self._log_odds.take(codes)

    def birth_log_odds(self, classes: Rows) -> Floats:
        """How much more (or less) new tracks of a class can be trusted than the prior says, in log-odds."""
        weight, prior = self._birth_weight, self._birth_prior
        rates = (self.births[1] + weight * prior) / (self.births[0] + weight)
        odds = np.log(rates / (1 - rates)) - np.log(prior / (1 - prior))
        return np.asarray((np.rint(odds * ROUNDING) / ROUNDING)[classes])

    def frames(self, dt_s: float) -> int:
        """The horizon in frames of ``dt_s`` seconds, at least one."""
        # Halves go up by a margin: at 25 fps 7.5 frames must not flip with the last bit of a difference of times.
        return min(max(int(self._horizon_s / dt_s + 0.501), 1), HISTORY) if dt_s > 0 else 1

    def learn(self, seen: Codes, found: Codes) -> None:
        """Count detections whose horizon has passed.

        Args:
            seen: ``(P,)`` codes ``class column * BINS + bin`` of all of them.
            found: Codes of those whose track is matched now.
        """
        if not len(seen):
            return
        shape, size = self.seen.shape, self.seen.size
        added = np.bincount(seen, minlength=size).reshape(shape)
        self.seen += added
        self.found += np.bincount(found, minlength=size).reshape(shape)
        touched = np.flatnonzero(added.any(axis=1)).tolist() if len(added) > 1 else [0]
        for column in touched:
            total = self.seen[column]
            if max(total.tolist()) > self._memory:
                fade = np.minimum(self._memory / np.maximum(total, 1), 1.0)
                total *= fade
                self.found[column] *= fade
        self._refresh(touched)

    def learn_births(self, classes: Rows, lived: NDArray[np.bool_]) -> None:
        """Count new tracks by class column, and which of them are matched when their horizon has passed."""
        if not len(classes):
            return
        count = self.births.shape[1]
        self.births[0] += np.bincount(classes, minlength=count)
        self.births[1] += np.bincount(classes[lived], minlength=count)
        self.births *= np.minimum(self._memory / np.maximum(self.births[0], 1), 1.0)

    def state(self) -> dict[str, Floats]:
        """What was learned, as plain arrays."""
        return {"seen": self.seen.copy(), "found": self.found.copy(), "births": self.births.copy()}

    def restore(self, state: dict[str, Floats]) -> None:
        """Continue from what :meth:`state` returned."""
        self.reserve(len(state["seen"]))
        self.seen, self.found, self.births = (state[key].copy() for key in ("seen", "found", "births"))
        self._refresh(range(len(self.seen)))

    def _refresh(self, columns: Iterable[int]) -> None:
        for column in columns:
            weights = self.seen[column] + self._prior_weight
            chances = self._chances[column]
            chances[:] = monotone((self.found[column] + self._prior_found) / weights, weights)
            odds = np.minimum(np.maximum(chances, 1 - CERTAINTY), CERTAINTY)
            odds /= 1 - odds
            self._log_odds[column] = np.rint(np.log(odds, out=odds) * ROUNDING) / ROUNDING


def monotone(rates: Floats, weights: Floats) -> Floats:
    """The closest non-decreasing sequence (pool adjacent violators, Barlow et al. 1972)."""
    listed = rates.tolist()
    if listed == sorted(listed):
        return rates
    blocks: list[tuple[float, float, int]] = []
    for rate, weight in zip(listed, weights.tolist(), strict=True):
        value, mass, length = rate, weight, 1
        while blocks and blocks[-1][0] > value:
            before, before_mass, before_length = blocks.pop()
            value = (value * mass + before * before_mass) / (mass + before_mass)
            mass += before_mass
            length += before_length
        blocks.append((value, mass, length))
    pooled: list[float] = []
    for value, _, length in blocks:
        pooled += [value] * length
    return np.array(pooled)
