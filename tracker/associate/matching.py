"""Predicted tracks and the instances of a frame enter, the pairs that belong together leave.

Three stages over one list of candidate pairs, each an optimal assignment among what the stages before left over:

1. confirmed tracks and instances that are probably real;
2. confirmed tracks that were seen in the last few frames and the doubtful instances (ByteTrack, Zhang et al. 2022): an
   occluded object scores low, and only its own track may say so;
3. tentative tracks and whatever remains.

The affinity of a pair is the intersection over union of the enlarged boxes (C-BIoU, Yang et al. 2023), times the ratio
of heights, times a factor for another class, times a share of the calibrated chance. Boxes grow further by the
uncertainty of the prediction, which is large for new tracks, long steps and long gaps. Silhouettes add a bonus where
boxes overlap anyway; in their place they lose (measured in docs/association.md). Embeddings add or take what the
stream itself has shown them to be worth. No class is a wall: detectors confuse car and truck.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tracker.associate import affinity, silhouettes
from tracker.associate.assignment import assign
from tracker.associate.motion import xyxy

if TYPE_CHECKING:
    from tracker.associate.appearance import Appearance
    from tracker.associate.lifecycle import TrackTable

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Crops = NDArray[np.uint8]
Looks = NDArray[np.float32]

__all__ = ["Detected", "Matcher", "unclaimed"]

RECENT_FRAMES = 3.5
"""Doubtful instances go to tracks that missed at most three frames."""
LARGEST_MARGIN = 1.0
"""The uncertainty margin of a box in sizes: after a gap of seconds anything could be anywhere."""
LEAST_MASK_OVERLAP = 0.1
"""Silhouettes are compared from this overlap of the predicted and the detected box on."""


@dataclass(slots=True, kw_only=True)
class Detected:
    """The instances of one frame as the tracker computes with them.

    Attributes:
        boxes: ``(4, M)`` float64 xyxy.
        measured: ``(4, M)`` centre x, centre y, width, height.
        scores, chances, log_odds: ``(M,)`` raw score, calibrated chance, the same as log-odds.
        classes, bins: ``(M,)`` class column and score bin.
        crops: ``(M, CELLS²)`` silhouettes, ``None`` for boxes only.
        looks: ``(M, E)`` embeddings as unit vectors, zero where there is none; ``None`` without any.
        visible: ``(M,)`` share that no nearer instance covers; 1 without embeddings.
    """

    boxes: Floats
    measured: Floats
    scores: Floats
    chances: Floats
    log_odds: Floats
    classes: Rows
    bins: Rows
    crops: Crops | None
    looks: Looks | None
    visible: Floats

    def __len__(self) -> int:
        return len(self.scores)


class Matcher:
    """Who took what.

    Args:
        high_chance: Instances from here on are probably real.
        low_chance: Instances below are for new tracks only.
        high_gate, low_gate, tentative_gate: Least affinity in stages 1, 2 and 3.
        buffer: Enlargement of boxes on each side, as a share of their size.
        uncertainty: Further margin in standard deviations of the predicted centre.
        height_power: Exponent of the height ratio.
        class_factor: What the affinity of a pair of different classes is multiplied with.
        chance_weight: Share of the affinity that the calibrated chance scales.
        mask_bonus: What a perfect overlap of silhouettes adds.
        appearance: Adds what embeddings say.
    """

    def __init__(
        self,
        *,
        high_chance: float,
        low_chance: float,
        high_gate: float,
        low_gate: float,
        tentative_gate: float,
        buffer: float,
        uncertainty: float,
        height_power: float,
        class_factor: float,
        chance_weight: float,
        mask_bonus: float,
        appearance: Appearance,
    ) -> None:
        self._high_chance, self._low_chance = high_chance, low_chance
        self._high_gate, self._low_gate, self._tentative_gate = high_gate, low_gate, tentative_gate
        self._buffer, self._uncertainty = buffer, uncertainty
        self._height_power, self._class_factor, self._chance_weight = height_power, class_factor, chance_weight
        self._mask_bonus = mask_bonus
        self._appearance = appearance

    def match(self, table: TrackTable, detected: Detected, time_s: float, dt_s: float) -> tuple[Rows, Rows]:
        """Match tracks to instances.

        Args:
            table: Tracks, moved to the present.
            detected: The instances.
            time_s: Now.
            dt_s: Seconds since the last update.

        Returns:
            ``(P,)`` tracks and ``(P,)`` the instances they took.
        """
        if not table.count or not len(detected):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        rows, columns, similarity, weighted = self._affinities(table, detected)
        shape = (table.count, len(detected))
        probable = detected.chances >= self._high_chance
        of_confirmed, of_probable = (table.ids > 0)[rows], probable[columns]
        first = of_confirmed & of_probable
        if np.count_nonzero(first) == len(rows):
            return assign(rows, columns, weighted - self._high_gate, shape)
        taken, free_instances = np.full(shape[0], -1, np.int64), np.ones(shape[1], np.bool_)
        recent = (time_s - table.seen_s <= RECENT_FRAMES * dt_s)[rows]
        doubtful = ~of_probable & (detected.chances >= self._low_chance)[columns]
        for pairs, affinities, gate in (
            (first, weighted, self._high_gate),
            (of_confirmed & recent & doubtful, similarity, self._low_gate),
            (~of_confirmed, weighted, self._tentative_gate),
        ):
            open_pairs = pairs.nonzero()[0]
            if not len(open_pairs):
                continue
            open_pairs = open_pairs[(taken[rows[open_pairs]] < 0) & free_instances[columns[open_pairs]]]
            matched, matched_to = assign(rows[open_pairs], columns[open_pairs], affinities[open_pairs] - gate, shape)
            taken[matched] = matched_to
            free_instances[matched_to] = False
        tracks_taken = (taken >= 0).nonzero()[0]
        return tracks_taken, taken[tracks_taken]

    def _affinities(self, table: TrackTable, detected: Detected) -> tuple[Rows, Rows, Floats, Floats]:
        """Candidate pairs, their affinity, and the same scaled by the instance's chance."""
        centres, sides = table.values[:2], table.values[2:]
        size = np.sqrt(sides[0] * sides[1])
        margin = np.minimum(self._uncertainty * np.sqrt(table.covariances[0, :2]), LARGEST_MARGIN * size)
        # Half a box and its enlargement; a track is uncertain on its own, and so is where the instance lies from it.
        reach = sides * (0.5 + self._buffer)
        reach += margin
        found = affinity.around(detected.measured[:2], detected.measured[2:] * (0.5 + self._buffer))
        rows, columns = affinity.overlapping_pairs(affinity.around(centres, reach + margin), found)
        instances, margin = found.take(columns, axis=1), margin.take(rows, axis=1)
        instances[:2] -= margin
        instances[2:] += margin
        similarity = affinity.buffered_iou(affinity.around(centres, reach).take(rows, axis=1), instances)
        heights = affinity.ratio(sides[1][rows], detected.measured[3][columns])
        similarity *= heights if self._height_power == 1 else heights**self._height_power
        if len(table.votes) > 1:
            other = table.votes.argmax(axis=0)[rows] != detected.classes[columns]
            similarity[other] *= self._class_factor
        if detected.crops is not None and self._mask_bonus:
            # A silhouette lies in its box: where the boxes themselves hardly overlap there is nothing to add.
            predicted = xyxy(table.values)
            overlaps = affinity.buffered_iou(predicted[:, rows], detected.boxes[:, columns])
            near = np.flatnonzero(overlaps > LEAST_MASK_OVERLAP)
            similarity[near] += self._mask_bonus * silhouettes.mask_iou(
                table.crops, predicted, detected.crops, detected.boxes, rows=rows[near], columns=columns[near]
            )
        if detected.looks is not None:
            similarity += self._appearance.evidence(table, detected, rows, columns, similarity)
        share = self._chance_weight
        return rows, columns, similarity, similarity * (1 - share + share * detected.chances)[columns]


def unclaimed(detected: Detected, taken: Rows, duplicate_iou: float) -> Rows:
    """The instances that nobody took and that are no duplicates of a taken or of a better free one.

    Args:
        detected: The instances.
        taken: ``(P,)`` those that tracks took.
        duplicate_iou: Boxes that overlap by more are the same object seen twice.
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
    own, columns = own[close], columns[close]
    matched = ~usable
    usable[own[matched[columns]]] = False
    scores = detected.scores
    better = (scores[columns] > scores[own]) | ((scores[columns] == scores[own]) & (columns < own))
    usable[own[better & usable[columns]]] = False
    return usable.nonzero()[0]
