"""Matching of predicted tracks to instances as one optimal assignment over all candidate pairs.

What a pair is worth is its affinity less a gate. The gate of a confirmed track rises as the calibrated chance of the
instance falls: an occluded object scores low, so a low score may continue a track (ByteTrack, Zhang et al. 2022), but
it must fit the better. Very doubtful instances continue only tracks that were seen in the last few frames. A pair of a
tentative track is worth a part of its gain, the smaller the less evidence the track has: where both want an instance,
the confirmed track takes it unless the tentative one fits far better. With stages one after another a confirmed track
took whatever it hardly fitted before the tentative one beside it was asked (see docs/experiments/association.md).

The affinity of a pair is the intersection over union of the enlarged boxes (C-BIoU, Yang et al. 2023), times the ratio
of heights, times a factor for another class, times a share of the calibrated chance. Boxes grow further by the
uncertainty of the prediction, which is large for new tracks, long steps and long gaps. A mask IoU adds a bonus
where boxes overlap; in place of the box IoU it loses (see docs/experiments/association.md). Embeddings add or subtract
evidence that is calibrated on the stream itself. Different classes may match: detectors confuse car and truck.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tracker.associate import affinity, silhouettes
from tracker.associate.assignment import assign
from tracker.associate.motion import xyxy

if TYPE_CHECKING:
    from tracker.associate.appearance import Appearance
    from tracker.associate.detected import Detected
    from tracker.associate.lifecycle import TrackTable
    from tracker.associate.parameters import TrackerSettings

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

__all__ = ["Matcher", "unmatched"]

RECENT_FRAMES = 3.5
"""Doubtful instances continue only tracks that missed at most three frames."""
FEW_PAIRS = 64
"""Up to so many pairs comparing all costs less than finding those that overlap (6 µs of 120 with one object). Pairs
without overlap get an affinity of zero, which passes no gate; only embeddings could raise it."""
SURE_DUPLICATE_IOU = 0.7
"""Boxes that overlap by more are one object. Below it silhouettes decide, where there are some: the boxes of two
persons in a row overlap, their silhouettes hardly."""
ROUNDING = 1024
LEAST_REAL = 0.05
"""However little evidence a tentative track has, it may be continued: what lasts is confirmed in the end."""
LEAST_MASK_OVERLAP = 0.1
"""Silhouettes are compared from this overlap of the predicted and the detected box on."""


class Matcher:
    """Matching of tracks to instances.

    Args:
        settings: Gates, chances and the terms of the affinity.
        appearance: Evidence from embeddings.
    """

    def __init__(self, settings: TrackerSettings, *, appearance: Appearance) -> None:
        self._settings = settings
        self._few_pairs = FEW_PAIRS if min(settings.gate, settings.tentative_gate) > 0 else 0
        self._appearance = appearance

    def match(self, table: TrackTable, detected: Detected, time_s: float, dt_s: float) -> tuple[Rows, Rows]:
        """Match tracks to instances.

        Args:
            table: Tracks, predicted for this frame.
            detected: The instances.
            time_s: Now.
            dt_s: Seconds since the last update.

        Returns:
            ``(P,)`` tracks and ``(P,)`` the instances they took.
        """
        shape = table.count, len(detected)
        if 0 in shape:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        rows, columns, affinities = self._affinities(table, detected, shape)
        recent = time_s - table.seen_s <= RECENT_FRAMES * dt_s
        return assign(rows, columns, self._gains(table, detected, recent, (rows, columns, affinities)), shape)

    def _gains(self, table: TrackTable, detected: Detected, recent: Flags, pairs: tuple[Rows, Rows, Floats]) -> Floats:
        """What matching each candidate pair ``(P,)`` is worth; nothing or less where it is not allowed."""
        rows, columns, affinities = pairs
        settings = self._settings
        doubts = settings.probable_chance - detected.chances
        all_confirmed = np.count_nonzero(table.ids) == table.count
        if all_confirmed and not np.count_nonzero(doubts > 0):
            return affinities - settings.gate
        np.maximum(doubts, 0, out=doubts)
        gains = affinities - (settings.gate + settings.doubt * doubts).take(columns)
        if np.count_nonzero(detected.chances < settings.return_chance):
            chances = detected.chances.take(columns)
            gains[chances < np.where(recent.take(rows), settings.low_chance, settings.return_chance)] = 0.0
        if not all_confirmed:
            tentative = (table.ids == 0).take(rows)
            # Rounded far above the last bit, in which exponentials differ between machines.
            real = np.rint(ROUNDING / (1 + np.exp(-table.evidence.take(rows[tentative])))) / ROUNDING
            weight = settings.tentative_weight * np.maximum(real, LEAST_REAL)
            gains[tentative] = weight * (affinities[tentative] - settings.tentative_gate)
        return gains

    def _affinities(self, table: TrackTable, detected: Detected, shape: tuple[int, int]) -> tuple[Rows, Rows, Floats]:
        """Candidate pairs and their affinity."""
        settings = self._settings
        half = 0.5 + settings.buffer  # of a box, enlarged
        centres, sides = table.values[:2], table.values[2:]
        # Values of a track that its pairs need, in one array that is read once: enlarged box (4), margin (2), height.
        own = np.empty((7, shape[0]))
        margin = np.sqrt(table.covariances[0, :2], out=own[4:6])
        margin *= settings.uncertainty
        # At most one object size: after a gap of seconds the predicted position says little.
        np.minimum(margin, np.sqrt(sides[0] * sides[1]), out=margin)
        own[6] = sides[1]
        # The margin enlarges the track's box here and the instance's box below, per pair.
        reach = sides * half
        reach += margin
        np.subtract(centres, reach, out=own[:2])
        np.add(centres, reach, out=own[2:4])
        # The same of an instance: enlarged box (4), height, weight of its chance.
        other = np.empty((6, shape[1]))
        middles, lengths = detected.measured[:2], detected.measured[2:]
        other[4] = lengths[1]
        lengths = lengths * half
        np.subtract(middles, lengths, out=other[:2])
        np.add(middles, lengths, out=other[2:4])
        np.add(1 - settings.chance_weight, settings.chance_weight * detected.chances, out=other[5])
        if detected.embeddings is None and shape[0] * shape[1] <= self._few_pairs:
            rows, columns = _all_pairs(*shape)
        else:
            rows, columns = affinity.overlapping_pairs(affinity.around(centres, reach + margin), other[:4])
        if not len(rows):
            return rows, columns, np.zeros(0)
        if shape != (1, 1):
            own, other = own.take(rows, axis=1), other.take(columns, axis=1)
        margin = own[4:6]
        other[:2] -= margin
        other[2:4] += margin
        similarity = affinity.buffered_iou(own[:4], other[:4])
        heights = affinity.ratio(own[6], other[4])
        similarity = similarity * (heights if settings.height_power == 1 else heights**settings.height_power)
        if len(table.votes) > 1:
            differs = table.votes.argmax(axis=0).take(rows) != detected.classes.take(columns)
            if np.count_nonzero(differs):
                similarity[differs] *= settings.class_factor
        if detected.crops is not None and settings.mask_bonus:
            # A silhouette lies in its box: where the boxes hardly overlap there is no bonus.
            predicted = xyxy(table.values)
            overlaps = affinity.buffered_iou(predicted.take(rows, axis=1), detected.boxes.take(columns, axis=1))
            near = (overlaps > LEAST_MASK_OVERLAP).nonzero()[0]
            similarity[near] += settings.mask_bonus * silhouettes.mask_iou(
                table.crops, predicted, detected.crops, detected.boxes, rows=rows[near], columns=columns[near]
            )
        if detected.embeddings is not None:
            similarity += self._appearance.evidence(table, detected, rows, columns, similarity)
        return rows, columns, similarity * other[5]


@lru_cache(maxsize=FEW_PAIRS)
def _all_pairs(count: int, other: int) -> tuple[Rows, Rows]:
    """Every row with every column."""
    rows, columns = np.divmod(np.arange(count * other), other)
    rows.setflags(write=False)
    columns.setflags(write=False)
    return rows, columns


def unmatched(detected: Detected, taken: Rows, duplicate_iou: float) -> Rows:
    """Unmatched instances that duplicate neither a matched nor a better unmatched one (non-maximum suppression).

    Args:
        detected: The instances.
        taken: ``(P,)`` the matched ones.
        duplicate_iou: Boxes that overlap by more are two detections of one object.
    """
    usable = np.ones(len(detected), np.bool_)
    usable[taken] = False
    free = usable.nonzero()[0]
    rows, columns = affinity.overlapping_pairs(detected.boxes.take(free, axis=1), detected.boxes)
    own = free[rows]
    others = (own != columns).nonzero()[0]
    if not len(others):
        return free
    own, columns = own[others], columns[others]
    overlaps = affinity.buffered_iou(detected.boxes.take(own, axis=1), detected.boxes.take(columns, axis=1))
    close = (overlaps > duplicate_iou).nonzero()[0]
    own, columns, overlaps = own[close], columns[close], overlaps[close]
    if detected.crops is not None and len(own):
        unsure = (overlaps <= SURE_DUPLICATE_IOU).nonzero()[0]
        shared = silhouettes.mask_iou(
            detected.crops, detected.boxes, detected.crops, detected.boxes, rows=own[unsure], columns=columns[unsure]
        )
        apart = np.zeros(len(own), np.bool_)
        apart[unsure[shared <= duplicate_iou]] = True
        own, columns = own[~apart], columns[~apart]
    matched = ~usable
    usable[own[matched[columns]]] = False
    scores = detected.scores
    better = (scores[columns] > scores[own]) | ((scores[columns] == scores[own]) & (columns < own))
    usable[own[better & usable[columns]]] = False
    return usable.nonzero()[0]
