"""Appearance evidence from embeddings: per-track mean embeddings, pair log-odds and re-identification.

Every track keeps a *look*: the mean of its embeddings, bounded in memory, in which each weighs by its chance and by how
much of the instance is not covered (the dynamic appearance of Deep OC-SORT, Maggiolino et al. 2023, section 3.2, with
visibility beside the score). What similarities mean differs from network to network and is learned while running:

- for pairs in matching, from pairs that boxes alone decide: how similar a track as it was when new is to its own
  instance now, and to the nearest other track's. The learned chance of being the same, as evidence from -1 to 1, is
  added to the affinity. Embeddings that do not tell the two apart (``LEAST_SEPARATION``) change nothing at all;
- for identities that left, see :mod:`tracker.associate.gallery`.
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
Looks = NDArray[np.float32]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

__all__ = ["Appearance"]

MEMORY = 10.0
"""Good instances after which the mean moves as an exponential average with factor 0.9."""
SETTLED = 2.0
"""Weight from which on a look stands for its identity: three good instances."""
LEAST_CHANCE, LEAST_VISIBLE = 0.55, 0.5
"""Instances below say nothing about looks: they may be somebody else's, or mostly somebody else."""
LEAST_CLEAR, RIVAL_SHARE = 0.5, 0.5
"""Pairs from this affinity on with no rival of this share of it are decided by boxes alone."""
MOST_CLEAR = 64
"""Clear pairs that are learned from in one frame."""
PLENTY_CLEAR, PLENTY_FRAMES = 16, 4
"""Where there are so many clear pairs, one frame in a few is enough to learn from."""
REFRESH_FRAMES = 8
PRIOR_WEIGHT = 10.0
"""Pairs per bin that "as likely the same as not" is worth."""
PAIR_MEMORY = 20_000.0
"""Pairs of either kind after which old ones fade."""
LEAST_PAIRS = 100.0
"""Pairs of either kind before appearance has a say in matching."""
LEAST_SEPARATION = 0.8
"""The chance that a track resembles its own instance more than another one; 0.5 is noise."""
LEAST_LAG_S, FIRST_LAG_S = 1.0, 2.0
"""An identity is compared with its look when it was new no sooner than this: what only encodes place or pose changes
meanwhile. The gallery learns from it after ``FIRST_LAG_S``, then after twice that, and so on."""
RECENT_FRAMES, GAP_FACTOR = 4, 2.0
"""For tracks unseen for so many frames appearance weighs so much more: where they are is a guess by then."""
IMPOSSIBLE = -2.0
BORN, ANCHORED, DUE = range(3)


class Appearance:
    """Looks of the living tracks, one row for each column of the track table, and the gallery of those that left.

    Nothing is stored and nothing computed before the first embedding.

    Args:
        weight: What certain evidence adds to the affinity of a pair.
        gallery_s: An identity that left may come back for this long; 0 = never.
        gallery_size: Most identities that are remembered.
        false_return: Accepted chance that a stranger is taken for one of them.
        wait_s: Longest time that a newcomer waits for a better view before it gets a number.
    """

    def __init__(
        self, *, weight: float, gallery_s: float, gallery_size: int, false_return: float, wait_s: float
    ) -> None:
        self._weight, self._wait_s = weight, wait_s
        self._remembers = gallery_s > 0 and gallery_size > 0
        self._gallery = Gallery(retention_s=gallery_s, size=gallery_size)
        self._separation = Separation(false_chance=false_return)
        self._looks: Looks = np.zeros((0, 0), np.float32)
        self._anchors: Looks = np.zeros((0, 0), np.float32)
        self._weights: Floats = np.zeros(0)
        self._times: Floats = np.zeros((0, 3))
        self._pairs: Floats = np.zeros((2, BINS))
        self._evidence: Floats = np.zeros(BINS)
        self._frames = 0
        self._dropped: Rows = np.zeros(0, np.int64)

    @property
    def active(self) -> bool:
        """Whether there ever was an embedding."""
        return bool(self._looks.shape[1])

    def prepare(self, embeddings: NDArray[Any] | None, rows: Rows, table: TrackTable) -> Looks | None:
        """The ``rows`` of embeddings ``(N, E)`` as unit vectors, zero where there is none; a new ``E`` forgets all."""
        if embeddings is None or not embeddings.shape[1]:
            return None
        looks = np.ascontiguousarray(embeddings[rows], np.float32)
        if looks.shape[1] != self._looks.shape[1]:
            self._reset(table.count, looks.shape[1])
        with np.errstate(invalid="ignore", over="ignore"):
            lengths = np.sqrt(np.einsum("ij,ij->i", looks, looks))
        usable = np.isfinite(lengths) & (lengths > 0)
        if not usable.all():
            looks = np.where(usable[:, None], looks, np.float32(0))
            lengths = np.where(usable, lengths, np.float32(1))
        return np.asarray(looks / lengths[:, None])

    def evidence(self, table: TrackTable, detected: Detected, rows: Rows, columns: Rows, overlap: Floats) -> Floats:
        """What appearance adds to the affinities ``overlap (P,)`` of candidate pairs; learns from the clear ones."""
        added = np.zeros(len(rows))
        if detected.looks is None or not len(rows):
            return added
        clear = _clear(rows, columns, overlap, (table.count, len(detected)))
        known = self._weights[rows] > 0
        learned = np.flatnonzero(clear & (table.seen_s[rows] - self._times[rows, ANCHORED] >= LEAST_LAG_S))
        self._learn_pairs(detected, rows[learned], columns[learned])
        if not self._evidence.any():
            return added
        pairs = np.flatnonzero(~clear & known)
        found = detected.looks[columns[pairs]]
        similar = np.einsum("ij,ij->i", self._looks[rows[pairs]], found).astype(np.float64)
        weights = np.where((table.history[:RECENT_FRAMES] < 0).all(axis=0), GAP_FACTOR, 1.0) * self._weight
        added[pairs] = weights[rows[pairs]] * self._evidence[distance_bins(similar)] * found.any(axis=1)
        return added

    def append(self, new: slice, time_s: float) -> None:
        """Room for the ``new`` tracks."""
        if not self.active:
            return
        count = new.stop - new.start
        empty = np.zeros((count, self._looks.shape[1]), np.float32)
        self._looks, self._anchors = np.concatenate([self._looks, empty]), np.concatenate([self._anchors, empty])
        self._weights = np.concatenate([self._weights, np.zeros(count)])
        times = np.full((count, 3), np.nan)
        times[:, BORN] = time_s
        self._times = np.concatenate([self._times, times])

    def note(self, rows: Rows, taken: Rows, detected: Detected) -> None:
        """Fold the instances ``taken`` into the looks of ``rows``; doubtful and covered ones count little or not."""
        if detected.looks is None:
            return
        looks = detected.looks[taken]
        weights = _trust(detected.chances[taken], detected.visible[taken]) * looks.any(axis=1)
        good = np.flatnonzero(weights > 0)
        rows, looks, weights = rows[good], looks[good], weights[good].astype(np.float32)
        old = self._weights[rows]
        mixed = self._looks[rows] * old[:, None].astype(np.float32) + looks * weights[:, None]
        lengths = np.sqrt(np.einsum("ij,ij->i", mixed, mixed))
        self._looks[rows] = mixed / np.maximum(lengths, 1e-6)[:, None]
        self._weights[rows] = np.minimum(old + weights, MEMORY)

    def recognise(self, table: TrackTable, ready: Rows, time_s: float) -> Rows:
        """Give newcomers the identity they had before, where their look clearly says so.

        A lost track whose identity is taken over becomes a tentative one, which nobody misses.

        Args:
            table: The tracks; identity, first sight, votes and evidence of those who are back are changed.
            ready: Tentative tracks about to get a number.
            time_s: Now.

        Returns:
            Those of them that get a new number now: neither back, nor waiting for a better view.
        """
        if not (self.active and self._remembers and len(ready) and self._separation.useful):
            return ready
        lost = np.flatnonzero((table.ids > 0) & (table.detection_rows < 0) & (self._weights >= SETTLED))
        count = len(self._gallery)
        if not count + len(lost):
            return ready
        absent = self._gallery.with_others(
            looks=self._looks[lost],
            seen_s=table.seen_s[lost],
            born_s=self._times[lost, BORN],
            votes=table.votes[:, lost],
        )
        # Who was in view at the same time is somebody else.
        possible = table.first_s[ready][:, None] > absent.seen_s
        possible &= table.votes[:, ready].argmax(axis=0)[:, None] == absent.classes
        similar = np.where(possible, self._looks[ready] @ absent.looks.T, IMPOSSIBLE)
        numbered = np.ones(len(ready), np.bool_)
        back = []
        for place in np.argsort(-similar.max(axis=1), kind="stable").tolist():
            row, best = int(ready[place]), int(similar[place].argmax())
            top = float(similar[place, best])
            second = float(similar[place][absent.rivals(best)].max(initial=IMPOSSIBLE))
            least = max(self._separation.threshold(int(possible[place].sum())), second + self._separation.lead)
            if self._weights[row] < SETTLED:
                waited = time_s - table.first_s[row] >= self._wait_s
                numbered[place] = waited or top < least - self._separation.lead
            elif top >= least:
                numbered[place] = False
                similar[:, best] = IMPOSSIBLE
                if best < count:
                    back.append(best)
                    self._gallery.return_to(table, row, best)
                else:
                    _take_over(table, row, int(lost[best - count]))
        self._gallery.remove(np.array(back, np.int64))
        return ready[numbered]

    def observe(self, table: TrackTable, time_s: float) -> None:
        """Learn how alike strangers are, and one identity over time, from the tracks that are seen now."""
        if not self.active:
            return
        settled = (table.ids > 0) & (table.detection_rows >= 0) & (self._weights >= SETTLED)
        anchored, due = self._times[:, ANCHORED], self._times[:, DUE]
        fresh = np.flatnonzero(settled & np.isnan(anchored))
        if len(fresh):
            others = np.flatnonzero(settled)
            strangers = (others < fresh[:, None]) | ~np.isnan(anchored[others])  # every pair once
            strangers &= table.classes[fresh][:, None] == table.classes[others]
            # What overlaps may be one object seen twice.
            overlapping = affinity.overlapping_pairs(table.boxes[:, fresh], table.boxes[:, others])
            strangers[overlapping] = False
            self._separation.learn_strangers((self._looks[fresh] @ self._looks[others].T)[strangers].astype(np.float64))
            self._anchors[fresh] = self._looks[fresh]
            self._times[fresh, ANCHORED], self._times[fresh, DUE] = time_s, time_s + FIRST_LAG_S
        again = np.flatnonzero(settled & (due <= time_s))
        if len(again):
            self._separation.learn_same(self._constancy(again))
            self._times[again, DUE] = 2 * time_s - anchored[again]

    def retire(self, table: TrackTable, dead: Flags | None, time_s: float) -> Rows:
        """Drop the ``dead (N,)`` tracks' looks, remember whom it is worth to; returns the identities that end."""
        leaving = np.zeros(0, np.int64) if dead is None else np.flatnonzero(dead & (table.ids > 0))
        if not self.active:
            return table.ids[leaving]
        forgotten, self._dropped = self._dropped, self._dropped[:0]
        ended = [forgotten]
        if self._remembers and len(leaving):
            lasting = leaving[table.seen_s[leaving] - self._times[leaving, ANCHORED] >= LEAST_LAG_S]
            self._separation.learn_same(self._constancy(lasting))
            known = self._weights[leaving] >= SETTLED
            remembered = leaving[known & (self._separation.useful or not self._separation.known)]
            self._learn_from_gallery(table, remembered)
            times = [table.seen_s, table.first_s, self._times[:, BORN], table.evidence]
            self._gallery.add(
                table.ids[remembered],
                times=np.stack([time[remembered] for time in times], axis=1),
                looks=self._looks[remembered],
                votes=table.votes[:, remembered].T,
            )
            leaving = np.setdiff1d(leaving, remembered)
        ended += [table.ids[leaving], self._gallery.expire(time_s)]
        if dead is not None:
            kept = ~dead
            self._looks, self._anchors = self._looks[kept], self._anchors[kept]
            self._times, self._weights = self._times[kept], self._weights[kept]
        return np.concatenate(ended)

    def state(self) -> dict[str, Any]:
        """Everything needed to continue later, as plain arrays."""
        arrays: dict[str, NDArray[Any]] = {
            "looks": self._looks,
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
        self._looks, self._anchors, self._times, self._weights, self._pairs, self._dropped = (
            state[name].copy() for name in ("looks", "anchors", "times", "weights", "pairs", "dropped")
        )
        self._frames = int(state["frames"])
        self._separation.restore(state["separation"])
        self._gallery.restore(state["gallery"])
        self._refresh()

    def _reset(self, count: int, length: int) -> None:
        """Forget all looks and start anew with embeddings of ``length`` numbers."""
        self._looks = np.zeros((count, length), np.float32)
        self._anchors = np.zeros((count, length), np.float32)
        self._weights = np.zeros(count)
        self._times = np.full((count, 3), np.nan)
        self._times[:, BORN] = -np.inf
        self._pairs, self._evidence, self._frames = np.zeros((2, BINS)), np.zeros(BINS), 0
        self._separation.clear()
        self._dropped = np.concatenate([self._dropped, self._gallery.clear(length)])

    def _constancy(self, rows: Rows) -> Floats:
        """Similarity of tracks to themselves when they were new."""
        return np.asarray(np.einsum("ij,ij->i", self._looks[rows], self._anchors[rows]), np.float64)

    def _learn_from_gallery(self, table: TrackTable, rows: Rows) -> None:
        """Compare who leaves with those who left while he was in view: strangers, seen at other times and places."""
        gallery = self._gallery
        if not (len(rows) and len(gallery)):
            return
        strangers = gallery.seen_s > self._times[rows, BORN][:, None]
        strangers &= table.votes[:, rows].argmax(axis=0)[:, None] == gallery.votes.argmax(axis=1)
        self._separation.learn_strangers((self._looks[rows] @ gallery.looks.T)[strangers].astype(np.float64))

    def _learn_pairs(self, detected: Detected, rows: Rows, columns: Rows) -> None:
        """Count the similarity of tracks when new to their own instances, and to the nearest other of the class."""
        self._frames += 1
        if len(rows) < 2 or detected.looks is None or (len(rows) >= PLENTY_CLEAR and self._frames % PLENTY_FRAMES):
            return
        if len(rows) > MOST_CLEAR:
            chosen = np.arange(MOST_CLEAR) * len(rows) // MOST_CLEAR
            rows, columns = rows[chosen], columns[chosen]
        x, y = detected.measured[:2, columns]
        distances = np.hypot(x[:, None] - x, y[:, None] - y)
        classes, found = detected.classes[columns], detected.looks[columns]
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
        """Evidence per bin of similarity; none where own and other instances look much the same."""
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


def _trust(chances: Floats, visible: Floats) -> Floats:
    """The weight of an instance in its track's look."""
    return np.where(chances >= LEAST_CHANCE, chances, 0.0) * np.where(visible >= LEAST_VISIBLE, visible, 0.0)


def _clear(rows: Rows, columns: Rows, overlap: Floats, shape: tuple[int, int]) -> Flags:
    """Which candidate pairs boxes alone decide: a good overlap without a rival of half as much."""
    best_of_row, best_of_column = np.zeros(shape[0]), np.zeros(shape[1])
    np.maximum.at(best_of_row, rows, overlap)
    np.maximum.at(best_of_column, columns, overlap)
    best = (overlap == best_of_row[rows]) & (overlap == best_of_column[columns]) & (overlap >= LEAST_CLEAR)
    rest = np.where(best, 0.0, overlap)
    best_of_row[:], best_of_column[:] = 0, 0
    np.maximum.at(best_of_row, rows, rest)
    np.maximum.at(best_of_column, columns, rest)
    return np.asarray(best & (np.maximum(best_of_row[rows], best_of_column[columns]) <= RIVAL_SHARE * overlap))


def _take_over(table: TrackTable, row: int, lost: int) -> None:
    """A newcomer is the lost track: it goes on with what that one was, which becomes a tentative track unseen."""
    table.ids[row], table.ids[lost] = table.ids[lost], 0
    table.first_s[row] = table.first_s[lost]
    table.evidence[row] = max(table.evidence[row], table.evidence[lost])
    table.votes[:, row] += table.votes[:, lost]
