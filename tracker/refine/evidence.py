"""Log-odds of tracklets over a whole recording: which instances and which tracklets are real.

The calibration of :mod:`tracker.associate.calibration` is here computed over the whole recording, in both directions of
time: an instance was found again if its tracklet has another one within ``HORIZON_S`` of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tracker.associate.calibration import BINS, EDGES, monotone

if TYPE_CHECKING:
    from tracker.refine.recording import Recording

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

__all__ = ["chances_of", "convincing"]

HORIZON_S = 0.3
PRIOR_WEIGHT = 3.0
"""Instances per score bin that the prior, the raw score, is worth."""
CERTAINTY = 0.98
LEAST_LOG_ODDS = 3.0
"""Log-odds of 20 to 1."""


def chances_of(recording: Recording, tracklets: list[Rows]) -> Floats:
    """Calibrated chance ``(D,)`` of each instance: how often instances of its class and score are found again."""
    found = np.zeros(len(recording), np.bool_)
    frames = recording.frames
    # Half a frame of tolerance; at a low rate the next frame always counts.
    horizon_s = max(HORIZON_S, recording.frame_s) + recording.frame_s / 2
    for tracklet in tracklets:
        close = np.diff(recording.times_s[frames[tracklet]]) <= horizon_s
        found[tracklet[:-1][close]] = True
        found[tracklet[1:][close]] = True
    bounds = np.concatenate([[0.0], EDGES, [1.0]])
    prior = (bounds[1:] + bounds[:-1]) / 2
    bins = np.searchsorted(EDGES, recording.scores, side="right")
    chances = np.zeros(len(recording))
    for class_id in np.unique(recording.class_ids):
        own = recording.class_ids == class_id
        weights = np.bincount(bins[own], minlength=BINS) + PRIOR_WEIGHT
        hits = np.bincount(bins[own], weights=found[own], minlength=BINS) + PRIOR_WEIGHT * prior
        rates = np.asarray(hits / weights, np.float64)
        chances[own] = monotone(rates, np.asarray(weights, np.float64))[bins[own]]
    return chances


def convincing(tracklet: Rows, chances: Floats) -> bool:
    """Whether the log-odds of a tracklet's instances sum to :data:`LEAST_LOG_ODDS` or more."""
    bounded = np.clip(chances[tracklet], 1 - CERTAINTY, CERTAINTY)
    return float(np.log(bounded / (1 - bounded)).sum()) >= LEAST_LOG_ODDS
