"""Backward extension of tracklets to the first instances of their objects.

A tracker that runs forward knows only after some frames that a track is real, and its velocity; earlier instances stay
unmatched. Backward in time the tracklet's own motion predicts them: a small tracker runs from the last frame to the
first, starts each tracklet's state at its first instance, and matches unmatched instances to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tracker.associate import affinity
from tracker.associate.assignment import assign
from tracker.associate.motion import EPSILON_S
from tracker.refine.recording import Recording, majority
from tracker.refine.smooth import State, correct, end_state, move

if TYPE_CHECKING:
    from collections.abc import Callable

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

__all__ = ["extend_backward"]

GATE = 0.35
"""Least affinity: what the tracker asks of a pair whose instance is doubtful."""
BUFFER = 0.15
CLASS_FACTOR = 0.5
LEAST_CHANCE = 0.05
LOST_S = 2.0


def extend_backward(
    recording: Recording, tracklets: list[Rows], chances: Floats, *, progress: Callable[[int, int], None] | None = None
) -> list[Rows]:
    """Extend each tracklet by unmatched instances before it on its path, within :data:`LOST_S` of each other.

    Args:
        recording: All instances.
        tracklets: Flat rows of each, ascending.
        chances: ``(D,)`` see :func:`tracker.refine.evidence.chances_of`.
        progress: Called with frames done and their number.
    """
    measured = recording.measured
    free = np.ones(len(recording), np.bool_)
    for tracklet in tracklets:
        free[tracklet] = False
    frames = recording.frames
    starting: dict[int, list[int]] = {}
    for number, tracklet in enumerate(tracklets):
        starting.setdefault(int(frames[tracklet[0]]), []).append(number)
    found: list[list[int]] = [[] for _ in tracklets]
    classes = [majority(recording.class_ids[rows], recording.scores[rows]) for rows in tracklets]
    active = _BackwardTracks()
    count = len(recording.times_s)
    for done, frame in enumerate(reversed(range(count)), 1):
        active.move_to(float(recording.times_s[frame]))
        first, last = recording.starts[frame], recording.starts[frame + 1]
        rows = np.arange(first, last)[free[first:last] & (chances[first:last] >= LEAST_CHANCE)]
        if len(rows) and len(active.numbers):
            for number, row in active.match(rows, recording, measured):
                found[number].append(row)
                free[row] = False
        for number in starting.get(frame, ()):
            mirrored = tracklets[number][::-1]
            state = end_state(measured[mirrored], -recording.times_s[frames[mirrored]])
            active.add(number, classes[number], state)
        if progress is not None:
            progress(done, count)
    return [
        np.concatenate([np.array(rows[::-1], np.int64), tracklet])
        for rows, tracklet in zip(found, tracklets, strict=True)
    ]


def _enlarged(values: Floats) -> Floats:
    """Boxes ``(4, N)`` xyxy, grown by :data:`BUFFER` on every side (C-BIoU, Yang et al. 2023)."""
    return affinity.around(values[:2], (0.5 + BUFFER) * values[2:])


class _BackwardTracks:
    """The tracklets that are being extended, in mirrored time; one column each."""

    def __init__(self) -> None:
        self.numbers: Rows = np.zeros(0, np.int64)
        self._classes: Rows = np.zeros(0, np.int64)
        self._unseen_s: Floats = np.zeros(0)
        self._state: State = (np.zeros((4, 0)), np.zeros((4, 0)), np.zeros((3, 4, 0)))
        self._time_s = 0.0

    def move_to(self, time_s: float) -> None:
        """Predict all of them for an earlier time; those unseen for too long are dropped."""
        dt_s, self._time_s = self._time_s - time_s, time_s
        if not len(self.numbers):
            return
        self._unseen_s = self._unseen_s + dt_s
        kept = np.flatnonzero(self._unseen_s <= LOST_S + EPSILON_S)
        self.numbers, self._classes, self._unseen_s = self.numbers[kept], self._classes[kept], self._unseen_s[kept]
        values, rates, covariances = self._state
        self._state = move((values[:, kept], rates[:, kept], covariances[:, :, kept]), dt_s)

    def match(self, rows: Rows, recording: Recording, measured: Floats) -> list[tuple[int, int]]:
        """Matches of tracklet numbers to flat rows among ``rows``."""
        values, rates, covariances = self._state
        active, instances = _enlarged(values), _enlarged(measured[rows].T)
        places, columns = affinity.overlapping_pairs(active, instances)
        affinities = affinity.buffered_iou(active[:, places], instances[:, columns])
        affinities *= affinity.ratio(values[3][places], measured[rows[columns], 3])
        affinities[self._classes[places] != recording.class_ids[rows[columns]]] *= CLASS_FACTOR
        taken, taken_columns = assign(places, columns, affinities - GATE, (len(self.numbers), len(rows)))
        if not len(taken):
            return []
        corrected = correct(
            (values[:, taken], rates[:, taken], covariances[:, :, taken]), measured[rows[taken_columns]].T
        )
        values[:, taken], rates[:, taken], covariances[:, :, taken] = corrected
        self._unseen_s[taken] = 0
        return list(zip(self.numbers[taken].tolist(), rows[taken_columns].tolist(), strict=True))

    def add(self, number: int, class_id: int, state: State) -> None:
        """Start the backward track of a tracklet whose first instance is in this frame."""
        self.numbers = np.append(self.numbers, number)
        self._classes = np.append(self._classes, class_id)
        self._unseen_s = np.append(self._unseen_s, 0.0)
        values, rates, covariances = (
            np.concatenate([old, new], axis=-1) for old, new in zip(self._state, state, strict=True)
        )
        self._state = values, rates, covariances
