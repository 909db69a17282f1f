"""Online score calibration: how often a detection of a class and score is found again in the next frames.

A score of 0.6 means different things for every model, class and export. The stream itself shows what can be compared:
how often the track of a detection of that class and score is matched again ``horizon_s`` later. This rate is counted
per class and score bin while running, shrunk to a prior, and made monotone in the score (isotonic regression). A second
count, the share of new tracks of a class that live for the horizon, gives the prior odds of a birth: tracks of a class
with many false detections need more evidence. Every threshold of the tracker applies to these calibrated chances, none
to a raw score.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Codes = NDArray[np.int32]
Blocks = tuple[float, float, int, Any]
"""Neighbouring bins that share one rate: the rate, the weight, the number of bins, and the blocks before them."""

__all__ = ["BINS", "HISTORY", "ScoreCalibration", "monotone"]

# Bins are even in log-odds: the odds double from one to the next. Powers of two need no transcendental function, so
# the edges are the same bytes on every machine.
_ODDS = 2.0 ** np.arange(-6.0, 12.0)
EDGES: Floats = _ODDS / (1 + _ODDS)
BINS = len(EDGES) + 1
HISTORY = 16
"""Frames that a horizon may span."""
CERTAINTY = 0.98
"""No single detection is more certain than this: bounds the evidence of one frame to 3.9 in log-odds."""
ROUNDING = 1024
"""Log-odds are rounded to this fraction, far above the last bit in which logarithms differ between machines."""
NO_BLOCKS: Blocks = (-math.inf, 0.0, 0, None)


class ScoreCalibration:
    """Chances of detections and odds of births, by class column.

    Args:
        horizon_s: A detection was real if its track is matched this much later.
        prior_weight: Observations that the prior (the raw score) is worth in each bin.
        memory: Observations per bin or class after which old ones fade, so that a change of light or model is followed.
        birth_prior: Prior share of new tracks that live for the horizon; odds are relative to it.
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
        self._memory = memory
        self._birth_prior = birth_prior
        self._birth_weight = birth_weight
        bounds = np.concatenate([[0.0], EDGES, [1.0]])
        self._prior = prior_weight, (prior_weight * (bounds[1:] + bounds[:-1]) / 2).tolist()
        self._columns: list[_Column] = []
        self._learned: Floats = np.zeros((2, 0, BINS))
        self.births: Floats = np.zeros((2, 0))
        # Per class, (C,); None = must be computed anew.
        self._birth_odds: Floats | None = None

    @property
    def seen(self) -> Floats:
        """Detections that were counted, ``(C, BINS)``."""
        return np.array([column.seen for column in self._columns]).reshape(-1, BINS)

    @property
    def found(self) -> Floats:
        """Those of them that were found again, ``(C, BINS)``."""
        return np.array([column.found for column in self._columns]).reshape(-1, BINS)

    def reserve(self, class_count: int) -> None:
        """Make room for ``class_count`` classes; new ones start from the prior."""
        missing = class_count - len(self._columns)
        if missing > 0:
            self._learned = np.concatenate([self._learned, np.zeros((2, missing, BINS))], axis=1)
            self.births, self._birth_odds = np.concatenate([self.births, np.zeros((2, missing))], axis=1), None
            for place in range(class_count - missing, class_count):
                self._columns.append(_Column([0.0] * BINS, [0.0] * BINS, self._prior))
                self._columns[place].refresh(0, self._learned[:, place])

    @staticmethod
    def bins(scores: Floats) -> Rows:
        """The score bin of each detection."""
        return EDGES.searchsorted(scores, side="right")

    def learned(self, codes: Rows) -> Floats:
        """Calibrated chances of detections with these codes ``(M,)``, ``class column * BINS + bin``.

        Returns:
            ``(2, M)`` the chance in 0..1 that each is real, and its log-odds: what it adds to a track's evidence.
        """
        return self._learned.reshape(2, -1).take(codes, axis=1)

    def birth_log_odds(self, classes: Rows) -> Floats:
        """Log-odds ``(P,)`` that a new track of each class column ``(P,)`` is real, relative to the prior's."""
        if self._birth_odds is None:
            weight, prior = self._birth_weight, self._birth_prior
            rates = (self.births[1] + weight * prior) / (self.births[0] + weight)
            odds = np.log(rates / (1 - rates)) - np.log(prior / (1 - prior))
            self._birth_odds = np.rint(odds * ROUNDING) / ROUNDING
        return np.asarray(self._birth_odds.take(classes))

    def frames(self, dt_s: float) -> int:
        """The horizon in frames of ``dt_s`` seconds, at least one."""
        # Rounded with a margin: at 25 fps the horizon is 7.5 frames, and rounding must not depend on the last bit.
        return min(max(int(self._horizon_s / dt_s + 0.501), 1), HISTORY) if dt_s > 0 else 1

    def learn(self, seen: Codes, found: Codes) -> None:
        """Count detections whose horizon has passed.

        Args:
            seen: ``(P,)`` codes ``class column * BINS + bin`` of all of them.
            found: Codes of those whose track is matched now; the same array where all are.
        """
        if not len(seen):
            return
        size = self._learned[0].size
        counts = np.bincount(seen, minlength=size)
        hits = counts if found is seen else np.bincount(found, minlength=size)
        lowest: dict[int, int] = {}
        for code in counts.nonzero()[0].tolist():
            place, score_bin = divmod(code, BINS)
            lowest.setdefault(place, score_bin)
            self._columns[place].add(score_bin, counts.item(code), hits.item(code))
        for place, score_bin in lowest.items():
            column = self._columns[place]
            column.refresh(min(score_bin, column.fade(self._memory)), self._learned[:, place])

    def learn_births(self, classes: Rows, lived: NDArray[np.bool_]) -> None:
        """Count new tracks by class column, and which of them are matched when their horizon has passed."""
        if not len(classes):
            return
        count = self.births.shape[1]
        self.births[0] += np.bincount(classes, minlength=count)
        self.births[1] += np.bincount(classes[lived], minlength=count)
        self.births *= np.minimum(self._memory / np.maximum(self.births[0], 1), 1.0)
        self._birth_odds = None

    def state(self) -> dict[str, Floats]:
        """What was learned, as plain arrays."""
        return {"seen": self.seen.copy(), "found": self.found.copy(), "births": self.births.copy()}

    def restore(self, state: dict[str, Floats]) -> None:
        """Continue from what :meth:`state` returned."""
        self.reserve(len(state["seen"]))
        self.births, self._birth_odds = state["births"].copy(), None
        for place, (seen, found) in enumerate(zip(state["seen"].tolist(), state["found"].tolist(), strict=True)):
            self._columns[place] = _Column(seen, found, self._prior)
            self._columns[place].refresh(0, self._learned[:, place])


class _Column:
    """Counts of one class by score bin, and the chances that follow from them.

    Plain numbers: a frame changes a few bins, and only what lies above the lowest of them is pooled anew. On arrays of
    19 bins the same took three times as long (20 µs a frame, a seventh of the tracker's time with one object).
    :func:`scipy.optimize.isotonic_regression` in its place costs 13 % of the tracker's time with one object, 5 % with
    300, 0.4 s and 60 MB at its import, and differs in the last bit of every fifth column.

    Attributes:
        seen, found: What was counted, a number for each bin.
    """

    __slots__ = ("_pooled", "_prior_found", "_prior_weight", "_rates", "_shown", "_weights", "found", "seen")

    def __init__(self, seen: list[float], found: list[float], prior: tuple[float, list[float]]) -> None:
        self.seen, self.found = seen, found
        self._prior_weight, self._prior_found = prior
        self._weights, self._rates = [0.0] * BINS, [0.0] * BINS
        # The blocks of all bins below each.
        self._pooled: list[Blocks] = [NO_BLOCKS] * (BINS + 1)
        # The blocks written into ``learned`` by the last refresh, by the bin at which they end.
        self._shown: list[Blocks | None] = [None] * (BINS + 1)
        for score_bin in range(BINS):
            self._rate(score_bin)

    def add(self, score_bin: int, seen: int, found: int) -> None:
        """Count detections of one bin."""
        self.seen[score_bin] += seen
        self.found[score_bin] += found
        self._rate(score_bin)

    def fade(self, memory: float) -> int:
        """Let old observations fade in every bin that has more than ``memory``; returns the lowest such bin."""
        lowest = BINS
        if max(self.seen) > memory:
            for score_bin in reversed(range(BINS)):
                total = self.seen[score_bin]
                if total > memory:
                    lowest, fade = score_bin, memory / max(total, 1.0)
                    self.seen[score_bin] *= fade
                    self.found[score_bin] *= fade
                    self._rate(score_bin)
        return lowest

    def refresh(self, lowest: int, learned: Floats) -> None:
        """Bring the chances and log-odds ``learned (2, BINS)`` up to date; bins from ``lowest`` on have changed."""
        rates, weights, pooled, shown = self._rates, self._weights, self._pooled, self._shown
        blocks = pooled[lowest]
        for score_bin in range(lowest, BINS):
            blocks = _pool(blocks, rates[score_bin], weights[score_bin])
            pooled[score_bin + 1] = blocks
        chances: list[float] = []
        log_odds: list[float] = []
        end = BINS
        # A block that was written before needs no more work, nor do those before it: blocks never change.
        while end and shown[end] is not blocks:
            start = end - blocks[2]
            shown[start + 1 : end + 1] = [None] * (blocks[2] - 1) + [blocks]
            chance, _, length, blocks = blocks
            chances += [chance] * length
            log_odds += [_log_odds(chance)] * length
            end = start
        learned[:, end:] = chances[::-1], log_odds[::-1]

    def _rate(self, score_bin: int) -> None:
        self._weights[score_bin] = weight = self.seen[score_bin] + self._prior_weight
        self._rates[score_bin] = (self.found[score_bin] + self._prior_found[score_bin]) / weight


@lru_cache(maxsize=4096)  # of the dozen blocks of a class one or two change in a frame
def _log_odds(chance: float) -> float:
    chance = min(max(chance, 1 - CERTAINTY), CERTAINTY)
    return round(math.log(chance / (1 - chance)) * ROUNDING) / ROUNDING


def monotone(rates: Floats, weights: Floats) -> Floats:
    """The closest non-decreasing sequence (pool adjacent violators, Barlow et al. 1972)."""
    blocks = NO_BLOCKS
    for rate, weight in zip(rates.tolist(), weights.tolist(), strict=True):
        blocks = _pool(blocks, rate, weight)
    pooled: list[float] = []
    while blocks is not NO_BLOCKS:
        value, _, length, blocks = blocks
        pooled += [value] * length
    return np.array(pooled[::-1])


def _pool(blocks: Blocks, value: float, mass: float) -> Blocks:
    """Append a bin; while it lies below the block before it the two become one."""
    length = 1
    while blocks[0] > value:
        before, before_mass, before_length, blocks = blocks
        value = (value * mass + before * before_mass) / (mass + before_mass)
        mass += before_mass
        length += before_length
    return value, mass, length, blocks
