"""Tracklet stitching by motion in both directions of time, and by appearance.

Two tracklets are one object if the first, moved forward over the gap, arrives where the second begins, *and* the
second, moved backward, arrives where the first ends, in object sizes. Both must agree: a single prediction over
seconds hits another object by chance. Where instances have embeddings, tracklets in view at the same time are certain
negative pairs; the distribution of their similarities gives the thresholds for this network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.associate.assignment import assign
from tracker.refine.recording import Recording, majority
from tracker.refine.smooth import end_state

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

__all__ = ["Ends", "stitch"]

LONGEST_S = 4.0
GATE = 0.5
"""Largest distance between prediction and place, in object sizes (roots of box areas)."""
ALIKE_GATE = 2.0
"""The same for two tracklets that are more similar than nearly all negative pairs."""
HEIGHT_WEIGHT = 0.5
"""Sizes of distance that a ratio of heights of e is worth."""
ALIKE, UNLIKE = 0.99, 0.75
"""Quantiles of the similarities of negative pairs: two tracklets are alike from the first on, different below the
second."""
LEAST_NEGATIVES = 20
ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Where tracklets begin and end: states ``(N, 4)`` and rates ``(N, 4)``, times ``(N,)``, and their classes."""

    first_s: Floats
    last_s: Floats
    first: Floats
    first_rates: Floats
    last: Floats
    last_rates: Floats
    classes: Rows

    @classmethod
    def of(cls, recording: Recording, tracklets: list[Rows]) -> Ends:
        """The ends of ``tracklets``."""
        measured, times_s = recording.measured, recording.times_s[recording.frames]
        heads = [end_state(measured[rows[::-1]], -times_s[rows[::-1]]) for rows in tracklets]
        tails = [end_state(measured[rows], times_s[rows]) for rows in tracklets]
        return cls(
            first_s=np.array([times_s[rows[0]] for rows in tracklets]),
            last_s=np.array([times_s[rows[-1]] for rows in tracklets]),
            first=np.array([values[:, 0] for values, _, _ in heads]),
            first_rates=-np.array([rates[:, 0] for _, rates, _ in heads]),
            last=np.array([values[:, 0] for values, _, _ in tails]),
            last_rates=np.array([rates[:, 0] for _, rates, _ in tails]),
            classes=np.array([majority(recording.class_ids[rows], recording.scores[rows]) for rows in tracklets]),
        )


def stitch(recording: Recording, tracklets: list[Rows], embeddings: Floats | None = None) -> list[Rows]:
    """Join tracklets of one object over gaps of up to :data:`LONGEST_S`.

    Args:
        recording: All instances.
        tracklets: Flat rows of each, ascending.
        embeddings: ``(N, E)`` mean embedding of each tracklet, zero where there is none; ``None`` = motion alone.
    """
    for _ in range(ROUNDS):
        if len(tracklets) < 2:
            break
        following = _followers(Ends.of(recording, tracklets), embeddings)
        if not following:
            break
        chains, tails = [], set(following.values())
        for number in range(len(tracklets)):
            if number not in tails:
                chain = [number]
                while chain[-1] in following:
                    chain.append(following[chain[-1]])
                chains.append(chain)
        tracklets = [np.concatenate([tracklets[number] for number in chain]) for chain in chains]
        embeddings = None if embeddings is None else np.array([embeddings[chain].sum(axis=0) for chain in chains])
    return tracklets


def _followers(ends: Ends, embeddings: Floats | None) -> dict[int, int]:
    """The tracklet that continues each one, where one does."""
    order = np.argsort(ends.first_s, kind="stable")
    begin_s = ends.first_s[order]
    lows = np.searchsorted(begin_s, ends.last_s, side="right")
    highs = np.searchsorted(begin_s, ends.last_s + LONGEST_S, side="right")
    lengths = highs - lows
    rows = np.repeat(np.arange(len(order)), lengths)
    columns = order[np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths - lows, lengths)]
    same = ends.classes[rows] == ends.classes[columns]
    rows, columns = rows[same], columns[same]
    room = _gates(ends, embeddings, rows, columns) - _distances(ends, rows, columns)
    count = len(ends.first_s)
    joined, to = assign(rows, columns, room, (count, count))
    return dict(zip(joined.tolist(), to.tolist(), strict=True))


def _distances(ends: Ends, rows: Rows, columns: Rows) -> Floats:
    """How far prediction and place lie apart, the worse of both directions, and a share of the difference of sizes."""
    gap_s = (ends.first_s[columns] - ends.last_s[rows])[:, None]
    last, first = ends.last[rows], ends.first[columns]
    sizes = (last[:, 2] * last[:, 3] * first[:, 2] * first[:, 3]) ** 0.25
    forward = last[:, :2] + gap_s * ends.last_rates[rows, :2] - first[:, :2]
    backward = first[:, :2] - gap_s * ends.first_rates[columns, :2] - last[:, :2]
    worse = np.maximum(np.hypot(*forward.T), np.hypot(*backward.T)) / sizes
    return np.asarray(worse + HEIGHT_WEIGHT * np.abs(np.log(last[:, 3] / first[:, 3])))


def _gates(ends: Ends, embeddings: Floats | None, rows: Rows, columns: Rows) -> Floats:
    """The largest distance of each pair: by embeddings, where there are enough negative pairs."""
    gates = np.full(len(rows), GATE)
    if embeddings is None or not len(rows):
        return gates
    lengths = np.linalg.norm(embeddings, axis=1)
    known = lengths > 0
    unit = embeddings / np.where(known, lengths, 1.0)[:, None]
    similar = unit @ unit.T
    together = (ends.first_s[:, None] <= ends.last_s) & (ends.first_s <= ends.last_s[:, None])
    together &= (ends.classes[:, None] == ends.classes) & known[:, None] & known
    negatives = similar[np.triu(together, 1)]
    if len(negatives) < LEAST_NEGATIVES:
        return gates
    unlike, alike = np.quantile(negatives, [UNLIKE, ALIKE])
    pairs = similar[rows, columns]
    gates[pairs >= alike] = ALIKE_GATE
    gates[pairs < unlike] = 0.0
    gates[~(known[rows] & known[columns])] = GATE
    return gates
