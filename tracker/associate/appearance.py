"""Appearance evidence from embeddings: per-track mean embeddings, pair log-odds and re-identification.

Every track keeps the mean of its embeddings, an exponential average after ``MEMORY`` instances. Each embedding is
weighted by the calibrated chance and the visible share of its instance (the dynamic appearance of Deep OC-SORT,
Maggiolino et al. 2023, section 3.2, with visibility beside the score). The range of similarities differs between
networks and is learned while running:

- for matching, from pairs that boxes alone decide: the similarity of a track's anchor (its mean embedding when it was
  new) to its own instance now (positive pair), and to the nearest other instance of its class (negative pair). The
  learned chance of a positive pair, as evidence from -1 to 1, is added to the affinity. Embeddings that do not separate
  the two (``LEAST_SEPARATION``) change nothing;
- for identities out of view, see :mod:`tracker.associate.gallery`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tracker.associate import affinity
from tracker.associate.calibration import monotone
from tracker.associate.gallery import BINS, Gallery, Separation, distance_bins

if TYPE_CHECKING:
    from tracker.associate.detected import Detected
    from tracker.associate.lifecycle import TrackTable

Floats = NDArray[np.float64]
Embeddings = NDArray[np.float32]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

__all__ = ["Appearance"]

MEMORY = 10.0
"""Good instances after which the mean is an exponential average with factor 0.9."""
SETTLED = 2.0
"""Weight from which on a mean embedding represents its identity: three good instances."""
LEAST_CHANCE, LEAST_VISIBLE = 0.55, 0.5
"""Embeddings of instances below are not used: false detections, or mostly another object."""
LEAST_CLEAR, RIVAL_SHARE = 0.5, 0.5
"""A pair with this affinity or more, and no competing pair of this share of it, is decided by boxes alone."""
MOST_CLEAR = 64
"""Most clear pairs that are learned from in one frame."""
PLENTY_CLEAR, PLENTY_FRAMES = 16, 4
"""With so many clear pairs, one frame in ``PLENTY_FRAMES`` is enough to learn from."""
REFRESH_FRAMES = 8
PRIOR_WEIGHT = 10.0
"""Pairs per bin that "a chance of one half" is worth."""
PAIR_MEMORY = 20_000.0
"""Pairs of either kind after which old ones fade."""
LEAST_PAIRS = 100.0
"""Pairs of either kind before appearance counts in matching."""
LEAST_SEPARATION = 0.8
"""The chance that a track resembles its own instance more than another one; 0.5 is noise."""
LEAST_LAG_S, FIRST_LAG_S = 1.0, 2.0
"""An identity is compared with its anchor no sooner than this: what only encodes position or pose changes meanwhile.
The gallery learns from it after ``FIRST_LAG_S``, then after twice that, and so on."""
RECENT_FRAMES, GAP_FACTOR = 4, 2.0
"""For tracks unseen for so many frames appearance weighs so much more: their position is uncertain by then."""
IMPOSSIBLE = -2.0
BORN, ANCHORED, DUE = range(3)


class Appearance:
    """Mean embeddings of the tracks, one row per column of the track table, and the gallery of identities out of view.

    Nothing is stored and nothing computed before the first embedding.

    Args:
        weight: Affinity that certain evidence adds.
        gallery_s: An identity out of view may be re-identified for this long; 0 = never.
        gallery_size: Most identities in the gallery.
        false_return: Accepted false match rate of re-identification.
        wait_s: Longest delay of a confirmation for a better view.
    """

    def __init__(
        self, *, weight: float, gallery_s: float, gallery_size: int, false_return: float, wait_s: float
    ) -> None:
        self._weight, self._wait_s = weight, wait_s
        self._retains = gallery_s > 0 and gallery_size > 0
        self._gallery = Gallery(retention_s=gallery_s, size=gallery_size)
        self._separation = Separation(false_chance=false_return)
        self._means: Embeddings = np.zeros((0, 0), np.float32)
        self._anchors: Embeddings = np.zeros((0, 0), np.float32)
        self._weights: Floats = np.zeros(0)
        self._times: Floats = np.zeros((0, 3))
        self._pairs: Floats = np.zeros((2, BINS))
        self._evidence: Floats = np.zeros(BINS)
        self._frames = 0
        self._dropped: Rows = np.zeros(0, np.int64)

    @property
    def active(self) -> bool:
        """Whether there has been an embedding."""
        return bool(self._means.shape[1])

    def prepare(self, embeddings: NDArray[Any] | None, rows: Rows, table: TrackTable) -> Embeddings | None:
        """The ``rows`` of embeddings ``(N, E)`` as unit vectors, zero where there is none; a new ``E`` resets all."""
        if embeddings is None or not embeddings.shape[1]:
            return None
        embeddings = np.ascontiguousarray(embeddings[rows], np.float32)
        if embeddings.shape[1] != self._means.shape[1]:
            self._reset(table.count, embeddings.shape[1])
        with np.errstate(invalid="ignore", over="ignore"):
            lengths = np.sqrt(np.einsum("ij,ij->i", embeddings, embeddings))
        usable = np.isfinite(lengths) & (lengths > 0)
        if not usable.all():
            embeddings = np.where(usable[:, None], embeddings, np.float32(0))
            lengths = np.where(usable, lengths, np.float32(1))
        return np.asarray(embeddings / lengths[:, None])

    def evidence(self, table: TrackTable, detected: Detected, rows: Rows, columns: Rows, overlap: Floats) -> Floats:
        """Terms ``(P,)`` to add to the affinities ``overlap (P,)`` of candidate pairs; clear pairs are learned from."""
        added = np.zeros(len(rows))
        if detected.embeddings is None or not len(rows):
            return added
        clear = _clear(rows, columns, overlap, (table.count, len(detected)))
        known = self._weights[rows] > 0
        learned = np.flatnonzero(clear & (table.seen_s[rows] - self._times[rows, ANCHORED] >= LEAST_LAG_S))
        self._learn_pairs(detected, rows[learned], columns[learned])
        if not self._evidence.any():
            return added
        pairs = np.flatnonzero(~clear & known)
        found = detected.embeddings[columns[pairs]]
        similar = np.einsum("ij,ij->i", self._means[rows[pairs]], found).astype(np.float64)
        weights = np.where((table.history[:RECENT_FRAMES] < 0).all(axis=0), GAP_FACTOR, 1.0) * self._weight
        added[pairs] = weights[rows[pairs]] * self._evidence[distance_bins(similar)] * found.any(axis=1)
        return added

    def append(self, new: slice, time_s: float) -> None:
        """Add rows for the ``new`` tracks."""
        if not self.active:
            return
        count = new.stop - new.start
        empty = np.zeros((count, self._means.shape[1]), np.float32)
        self._means, self._anchors = np.concatenate([self._means, empty]), np.concatenate([self._anchors, empty])
        self._weights = np.concatenate([self._weights, np.zeros(count)])
        times = np.full((count, 3), np.nan)
        times[:, BORN] = time_s
        self._times = np.concatenate([self._times, times])

    def update(self, rows: Rows, taken: Rows, detected: Detected) -> None:
        """Update the mean embeddings of the tracks ``rows (P,)`` with the instances ``taken (P,)``."""
        if detected.embeddings is None:
            return
        embeddings = detected.embeddings[taken]
        weights = _weights_of(detected.chances[taken], detected.visible[taken]) * embeddings.any(axis=1)
        good = np.flatnonzero(weights > 0)
        rows, embeddings, weights = rows[good], embeddings[good], weights[good].astype(np.float32)
        old = self._weights[rows]
        mixed = self._means[rows] * old[:, None].astype(np.float32) + embeddings * weights[:, None]
        lengths = np.sqrt(np.einsum("ij,ij->i", mixed, mixed))
        self._means[rows] = mixed / np.maximum(lengths, 1e-6)[:, None]
        self._weights[rows] = np.minimum(old + weights, MEMORY)

    def reidentify(self, table: TrackTable, ready: Rows, time_s: float) -> Rows:
        """Give new tracks the identity that they had before, where the similarity is clear.

        A lost track whose identity is given to a new one becomes tentative, and is dropped without an ended identity.

        Args:
            table: The tracks; identity, first time, votes and evidence of re-identified ones are changed.
            ready: Tentative tracks about to be confirmed.
            time_s: Now.

        Returns:
            Those of them that get a new identity now: neither re-identified, nor waiting for a better view.
        """
        if not (self.active and self._retains and len(ready) and self._separation.useful):
            return ready
        lost = np.flatnonzero((table.ids > 0) & (table.detection_rows < 0) & (self._weights >= SETTLED))
        count = len(self._gallery)
        if not count + len(lost):
            return ready
        absent = self._gallery.joined_with(
            embeddings=self._means[lost],
            seen_s=table.seen_s[lost],
            born_s=self._times[lost, BORN],
            votes=table.votes[:, lost],
        )
        # Tracks that were in view at the same time are different identities.
        possible = table.first_s[ready][:, None] > absent.seen_s
        possible &= table.votes[:, ready].argmax(axis=0)[:, None] == absent.classes
        similar = np.where(possible, self._means[ready] @ absent.embeddings.T, IMPOSSIBLE)
        numbered = np.ones(len(ready), np.bool_)
        back = []
        for place in np.argsort(-similar.max(axis=1), kind="stable").tolist():
            row, best = int(ready[place]), int(similar[place].argmax())
            top = float(similar[place, best])
            second = float(similar[place][absent.concurrent(best)].max(initial=IMPOSSIBLE))
            least = max(self._separation.threshold(int(possible[place].sum())), second + self._separation.lead)
            if self._weights[row] < SETTLED:
                waited = time_s - table.first_s[row] >= self._wait_s
                numbered[place] = waited or top < least - self._separation.lead
            elif top >= least:
                numbered[place] = False
                similar[:, best] = IMPOSSIBLE
                if best < count:
                    back.append(best)
                    self._gallery.restore_to(table, row, best)
                else:
                    _merge(table, row, int(lost[best - count]))
        self._gallery.remove(np.array(back, np.int64))
        return ready[numbered]

    def learn_similarities(self, table: TrackTable, time_s: float) -> None:
        """Learn the similarities of negative and positive pairs from the tracks that are matched now."""
        if not self.active:
            return
        settled = (table.ids > 0) & (table.detection_rows >= 0) & (self._weights >= SETTLED)
        anchored, due = self._times[:, ANCHORED], self._times[:, DUE]
        fresh = np.flatnonzero(settled & np.isnan(anchored))
        if len(fresh):
            others = np.flatnonzero(settled)
            negatives = (others < fresh[:, None]) | ~np.isnan(anchored[others])  # every pair once
            negatives &= table.classes[fresh][:, None] == table.classes[others]
            # Overlapping boxes may be two detections of one object.
            overlapping = affinity.overlapping_pairs(table.boxes[:, fresh], table.boxes[:, others])
            negatives[overlapping] = False
            self._separation.learn_negatives((self._means[fresh] @ self._means[others].T)[negatives].astype(np.float64))
            self._anchors[fresh] = self._means[fresh]
            self._times[fresh, ANCHORED], self._times[fresh, DUE] = time_s, time_s + FIRST_LAG_S
        again = np.flatnonzero(settled & (due <= time_s))
        if len(again):
            self._separation.learn_positives(self._self_similarity(again))
            self._times[again, DUE] = 2 * time_s - anchored[again]

    def retire(self, table: TrackTable, dead: Flags | None, time_s: float) -> Rows:
        """Drop the ``dead (N,)`` tracks, adding the usable ones to the gallery; returns the identities that end."""
        leaving = np.zeros(0, np.int64) if dead is None else np.flatnonzero(dead & (table.ids > 0))
        if not self.active:
            return table.ids[leaving]
        dropped, self._dropped = self._dropped, self._dropped[:0]
        ended = [dropped]
        if self._retains and len(leaving):
            lasting = leaving[table.seen_s[leaving] - self._times[leaving, ANCHORED] >= LEAST_LAG_S]
            self._separation.learn_positives(self._self_similarity(lasting))
            known = self._weights[leaving] >= SETTLED
            retained = leaving[known & (self._separation.useful or not self._separation.known)]
            self._learn_from_gallery(table, retained)
            times = [table.seen_s, table.first_s, self._times[:, BORN], table.evidence]
            self._gallery.add(
                table.ids[retained],
                times=np.stack([time[retained] for time in times], axis=1),
                embeddings=self._means[retained],
                votes=table.votes[:, retained].T,
            )
            leaving = np.setdiff1d(leaving, retained)
        ended += [table.ids[leaving], self._gallery.expire(time_s)]
        if dead is not None:
            kept = ~dead
            self._means, self._anchors = self._means[kept], self._anchors[kept]
            self._times, self._weights = self._times[kept], self._weights[kept]
        return np.concatenate(ended)

    def state(self) -> dict[str, Any]:
        """Everything needed to continue later, as plain arrays."""
        arrays: dict[str, NDArray[Any]] = {
            "looks": self._means,
            "anchors": self._anchors,
            "times": self._times,
            "weights": self._weights,
        }
        return {name: array.copy() for name, array in arrays.items()} | {
            "pairs": self._pairs.copy(),
            "frames": self._frames,
            "dropped": self._dropped.copy(),
            "separation": self._separation.state(),
            "gallery": self._gallery.state(),
        }

    def restore(self, state: dict[str, Any] | None, table: TrackTable) -> None:
        """Continue from what :meth:`state` returned with the tracks of ``table``; ``None`` = nothing was kept."""
        if state is None:
            self._reset(table.count, 0)
            return
        self._means, self._anchors, self._times, self._weights, self._pairs, self._dropped = (
            state[name].copy() for name in ("looks", "anchors", "times", "weights", "pairs", "dropped")
        )
        self._frames = int(state["frames"])
        self._separation.restore(state["separation"])
        self._gallery.restore(state["gallery"])
        self._refresh()

    def _reset(self, count: int, length: int) -> None:
        """Drop all embeddings and start anew with embeddings of ``length`` numbers."""
        self._means = np.zeros((count, length), np.float32)
        self._anchors = np.zeros((count, length), np.float32)
        self._weights = np.zeros(count)
        self._times = np.full((count, 3), np.nan)
        self._times[:, BORN] = -np.inf
        self._pairs, self._evidence, self._frames = np.zeros((2, BINS)), np.zeros(BINS), 0
        self._separation.clear()
        self._dropped = np.concatenate([self._dropped, self._gallery.clear(length)])

    def _self_similarity(self, rows: Rows) -> Floats:
        """Cosine similarities ``(P,)`` of the tracks' mean embeddings to their anchors."""
        return np.asarray(np.einsum("ij,ij->i", self._means[rows], self._anchors[rows]), np.float64)

    def _learn_from_gallery(self, table: TrackTable, rows: Rows) -> None:
        """Learn negative pairs of tracks that leave and gallery identities that left while those were in view."""
        gallery = self._gallery
        if not (len(rows) and len(gallery)):
            return
        negatives = gallery.seen_s > self._times[rows, BORN][:, None]
        negatives &= table.votes[:, rows].argmax(axis=0)[:, None] == gallery.votes.argmax(axis=1)
        self._separation.learn_negatives((self._means[rows] @ gallery.embeddings.T)[negatives].astype(np.float64))

    def _learn_pairs(self, detected: Detected, rows: Rows, columns: Rows) -> None:
        """Count the similarities of anchors to their own instances, and to the nearest other instance of the class."""
        self._frames += 1
        if len(rows) < 2 or detected.embeddings is None or (len(rows) >= PLENTY_CLEAR and self._frames % PLENTY_FRAMES):
            return
        if len(rows) > MOST_CLEAR:
            chosen = np.arange(MOST_CLEAR) * len(rows) // MOST_CLEAR
            rows, columns = rows[chosen], columns[chosen]
        x, y = detected.measured[:2, columns]
        distances = np.hypot(x[:, None] - x, y[:, None] - y)
        classes, found = detected.classes[columns], detected.embeddings[columns]
        seen = found.any(axis=1)
        distances[(classes[:, None] != classes) | ~seen] = np.inf
        np.fill_diagonal(distances, np.inf)
        others = distances.argmin(axis=1)
        fair = np.flatnonzero(seen & np.isfinite(distances.min(axis=1)))
        anchors = self._anchors[rows[fair]]
        for kind, compared in enumerate((found[fair], found[others[fair]])):
            similar = np.asarray(np.einsum("ij,ij->i", anchors, compared), np.float64)
            self._pairs[kind] += np.bincount(distance_bins(similar), minlength=BINS)
        self._pairs *= min(PAIR_MEMORY / max(float(self._pairs[0].sum()), 1.0), 1.0)
        if self._frames % REFRESH_FRAMES == 0:
            self._refresh()

    def _refresh(self) -> None:
        """Recompute the evidence per bin of similarity; zero where positive and negative pairs are not separated."""
        same, other = self._pairs
        counts = float(same.sum()), float(other.sum())
        self._evidence = np.zeros(BINS)
        if min(counts) < LEAST_PAIRS:
            return
        farther = np.cumsum(other[::-1])[::-1] - other / 2
        if float((same * farther).sum()) < LEAST_SEPARATION * counts[0] * counts[1]:
            return
        weights = same + other + PRIOR_WEIGHT
        chances = monotone(((same + PRIOR_WEIGHT / 2) / weights)[::-1], weights[::-1])[::-1]
        self._evidence = 2 * chances - 1


def _weights_of(chances: Floats, visible: Floats) -> Floats:
    """Weights ``(P,)`` of instances in the mean embeddings of their tracks."""
    return np.where(chances >= LEAST_CHANCE, chances, 0.0) * np.where(visible >= LEAST_VISIBLE, visible, 0.0)


def _clear(rows: Rows, columns: Rows, overlap: Floats, shape: tuple[int, int]) -> Flags:
    """Flags ``(P,)`` of the candidate pairs that boxes alone decide: a good overlap without competition."""
    best_of_row, best_of_column = np.zeros(shape[0]), np.zeros(shape[1])
    np.maximum.at(best_of_row, rows, overlap)
    np.maximum.at(best_of_column, columns, overlap)
    best = (overlap == best_of_row[rows]) & (overlap == best_of_column[columns]) & (overlap >= LEAST_CLEAR)
    rest = np.where(best, 0.0, overlap)
    best_of_row[:], best_of_column[:] = 0, 0
    np.maximum.at(best_of_row, rows, rest)
    np.maximum.at(best_of_column, columns, rest)
    return np.asarray(best & (np.maximum(best_of_row[rows], best_of_column[columns]) <= RIVAL_SHARE * overlap))


def _merge(table: TrackTable, row: int, lost: int) -> None:
    """Give the new track ``row`` the identity and history of the ``lost`` one, which becomes tentative."""
    table.ids[row], table.ids[lost] = table.ids[lost], 0
    table.first_s[row] = table.first_s[lost]
    table.evidence[row] = max(table.evidence[row], table.evidence[lost])
    table.votes[:, row] += table.votes[:, lost]
