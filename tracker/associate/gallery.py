"""Gallery of identities out of view, and a verification threshold that is learned from the stream.

Two identities that were in view together are a certain negative pair, one identity a few seconds apart is a certain
positive pair. Similarities of both kinds are counted while running: every negative pair once or twice, every identity
at growing intervals, so that the counts are nearly independent observations. A new track is re-identified only if the
chance that another object is as similar to any identity of the gallery is less than ``false_chance``, and if the
similarity is nearer to that of positive pairs than to that of negative ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tracker.associate.lifecycle import TrackTable

Floats = NDArray[np.float64]
Embeddings = NDArray[np.float32]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

__all__ = ["BINS", "Absent", "Gallery", "Separation", "distance_bins"]

BINS_PER_UNIT = 20
BINS = 2 * BINS_PER_UNIT + 1
"""Bins are even in the distance of unit vectors, 0 to 2: embeddings of re-identification networks crowd at cosines near
one."""
PRIOR_WEIGHT = 4.0
"""Observations that the prior spread is worth."""
PRIOR_SPREAD = 0.2
"""Prior standard deviation of the similarities of negative pairs, as a share of one minus their mean: where the mean is
0.9, similarities differ by hundredths. Random directions in 32 dimensions have 0.18."""
MEMORY = 1000.0
"""Observations after which old ones fade."""
LEAD = 0.1
"""Least lead of the best candidate over the second, as a share of the distance between negative and positive mean."""


def distance_bins(similarities: Floats) -> Rows:
    """Histogram bins of cosines, by the distance of the unit vectors.

    >>> distance_bins(np.array([1.0, 0.5, -1.0]))
    array([ 0, 20, 40])
    """
    return (np.sqrt(np.maximum(2 - 2 * similarities, 0)) * BINS_PER_UNIT + 1e-9).astype(np.int64).clip(0, BINS - 1)


class Separation:
    """Similarities of negative and positive pairs, and the threshold of re-identification that follows.

    Args:
        false_chance: Accepted chance that a negative pair passes the threshold for any of the candidates.
    """

    def __init__(self, *, false_chance: float) -> None:
        self._false_chance = false_chance
        self.clear()

    def clear(self) -> None:
        """Reset what was learned."""
        # Negative, positive pairs: number of observations, mean, sum of squared deviations.
        self._moments: Floats = np.zeros((2, 3))
        self._negatives: Floats = np.zeros(BINS)

    def learn_negatives(self, similarities: Floats) -> None:
        """Count similarities of identities that were in view together."""
        self._learn(0, similarities)
        self._negatives += np.bincount(distance_bins(similarities), minlength=BINS)
        self._negatives *= min(MEMORY / max(float(self._negatives.sum()), 1.0), 1.0)

    def learn_positives(self, similarities: Floats) -> None:
        """Count similarities of an identity to itself some seconds ago."""
        self._learn(1, similarities)

    @property
    def known(self) -> bool:
        """Whether pairs of both kinds were counted."""
        return bool((self._moments[:, 0] > 0).all())

    @property
    def useful(self) -> bool:
        """Whether the mean similarity of positive pairs passes the threshold for a single candidate."""
        return self.known and self.threshold(1) <= float(self._moments[1, 1])

    @property
    def lead(self) -> float:
        """Least difference in similarity of the best and the second candidate."""
        return LEAD * float(self._moments[1, 1] - self._moments[0, 1])

    def threshold(self, candidates: int) -> float:
        """Least similarity at which one of so many candidates is accepted; infinite = never."""
        if not self.known:
            return math.inf
        chance = self._false_chance / max(candidates, 1)
        count, mean, squares = self._moments[0].tolist()
        variance = (PRIOR_WEIGHT * (PRIOR_SPREAD * (1 - mean)) ** 2 + squares) / (PRIOR_WEIGHT + count)
        negatives = mean + NormalDist().inv_cdf(1 - chance) * math.sqrt(variance * (1 + 1 / count))
        same = (mean + self._moments[1, 1]) / 2
        # Similar objects (uniforms, white vans) are more frequent than in a normal distribution.
        alike = np.cumsum(self._negatives) > chance * self._negatives.sum()
        seen = 1 - (int(np.argmax(alike)) / BINS_PER_UNIT) ** 2 / 2 if alike.any() else -1.0
        return float(max(negatives, same, seen))

    def state(self) -> dict[str, Any]:
        """What was learned, as plain arrays; ``strangers`` is the key of the negative pairs."""
        return {"moments": self._moments.copy(), "strangers": self._negatives.copy()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        self._moments, self._negatives = state["moments"].copy(), state["strangers"].copy()

    def _learn(self, kind: int, similarities: Floats) -> None:
        added = len(similarities)
        if not added:
            return
        count, mean, squares = self._moments[kind].tolist()
        delta = float(similarities.mean()) - mean
        squares += float(((similarities - similarities.mean()) ** 2).sum()) + delta**2 * count * added / (count + added)
        mean += delta * added / (count + added)
        count += added
        fade = min(MEMORY / count, 1.0)
        self._moments[kind] = count * fade, mean, squares * fade


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """Identities out of view, those in the gallery first.

    Attributes:
        embeddings: ``(A, E)``.
        seen_s, born_s: ``(A,)`` when last seen, and since when without a gap.
        classes: ``(A,)`` class column.
    """

    embeddings: Embeddings
    seen_s: Floats
    born_s: Floats
    classes: Rows

    def concurrent(self, place: int) -> Flags:
        """Flags ``(A,)`` of the identities that were in view together with ``place``, and so are different ones."""
        together = (self.born_s < self.seen_s[place]) & (self.seen_s > self.born_s[place])
        together[place] = False
        return np.asarray(together)


class Gallery:
    """Identities out of view that may be re-identified, bounded in time and number.

    Args:
        retention_s: An identity is dropped after this long out of view.
        size: Most identities; those out of view for longest are dropped first.

    Attributes:
        ids: ``(G,)``.
        embeddings: ``(G, E)`` unit vectors.
        votes: ``(G, C)`` class votes.
        seen_s, first_s, born_s: ``(G,)`` when last seen, first seen, and seen since without a gap.
        evidence: ``(G,)`` of the track.
    """

    def __init__(self, *, retention_s: float, size: int) -> None:
        self._retention_s = retention_s
        self._size = size
        self.ids: Rows = np.zeros(0, np.int64)
        self.clear(0)

    def __len__(self) -> int:
        return len(self.ids)

    def clear(self, length: int) -> Rows:
        """Drop all identities and return them; embeddings have ``length`` numbers from now on."""
        dropped = self.ids
        self.ids = np.zeros(0, np.int64)
        self._times: Floats = np.zeros((0, 4))
        self.embeddings: Embeddings = np.zeros((0, length), np.float32)
        self.votes: Floats = np.zeros((0, 1))
        self._bind()
        return dropped

    def add(self, ids: Rows, *, times: Floats, embeddings: Embeddings, votes: Floats) -> None:
        """Add identities.

        Args:
            ids: ``(K,)``.
            times: ``(K, 4)`` last seen, first seen, seen since without a gap, evidence.
            embeddings: ``(K, E)``.
            votes: ``(K, C)``; ``C`` may have grown.
        """
        self.ids = np.concatenate([self.ids, ids])
        self._times = np.concatenate([self._times, times])
        self.embeddings = np.concatenate([self.embeddings, embeddings])
        self.votes = np.concatenate([_widened(self.votes, votes.shape[1]), votes])
        self._bind()

    def joined_with(self, *, embeddings: Embeddings, seen_s: Floats, born_s: Floats, votes: Floats) -> Absent:
        """The identities of the gallery, followed by lost tracks with ``votes (C, L)``."""
        return Absent(
            embeddings=np.concatenate([self.embeddings, embeddings]),
            seen_s=np.concatenate([self.seen_s, seen_s]),
            born_s=np.concatenate([self.born_s, born_s]),
            classes=np.concatenate([self.votes.argmax(axis=1), votes.argmax(axis=0)]),
        )

    def restore_to(self, table: TrackTable, row: int, place: int) -> None:
        """Give the track ``row`` the identity at ``place``, with its first time, evidence and votes."""
        table.ids[row], table.first_s[row] = self.ids[place], self.first_s[place]
        table.evidence[row] = max(table.evidence[row], self.evidence[place])
        table.votes[: self.votes.shape[1], row] += self.votes[place]

    def remove(self, places: Rows) -> None:
        """Remove the identities at ``places``."""
        if len(places):
            kept = np.ones(len(self), np.bool_)
            kept[places] = False
            self._keep(kept)

    def expire(self, time_s: float) -> Rows:
        """Drop identities out of view for too long, and the oldest above the limit; returns them."""
        if not len(self):
            return self.ids
        kept = time_s - self.seen_s <= self._retention_s
        surplus = int(kept.sum()) - self._size
        if surplus > 0:
            kept[np.argsort(np.where(kept, self.seen_s, np.inf), kind="stable")[:surplus]] = False
        dropped = self.ids[~kept]
        if len(dropped):
            self._keep(kept)
        return np.asarray(dropped)

    def state(self) -> dict[str, Any]:
        """All identities, as plain arrays; ``looks`` is the key of the embeddings."""
        arrays: dict[str, NDArray[Any]] = {
            "ids": self.ids,
            "times": self._times,
            "looks": self.embeddings,
            "votes": self.votes,
        }
        return {name: array.copy() for name, array in arrays.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        self.ids, self._times, self.embeddings, self.votes = (
            state[name].copy() for name in ("ids", "times", "looks", "votes")
        )
        self._bind()

    def _keep(self, kept: Flags) -> None:
        self.ids, self._times = self.ids[kept], self._times[kept]
        self.embeddings, self.votes = self.embeddings[kept], self.votes[kept]
        self._bind()

    def _bind(self) -> None:
        self.seen_s, self.first_s, self.born_s, self.evidence = self._times.T


def _widened(votes: Floats, columns: int) -> Floats:
    return np.pad(votes, ((0, 0), (0, max(columns - votes.shape[1], 0))))
