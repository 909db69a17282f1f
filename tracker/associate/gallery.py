"""Gallery of identities out of view, and the verification threshold that the stream itself teaches.

How much is clearly is learned from the stream itself. Two identities that were in view together are strangers for
certain, one identity a few seconds apart is the same for certain; both kinds of similarity are counted while running,
every pair of strangers once or twice in its life and every identity ever more seldom, so that the counts say how much
is really known. A newcomer takes an old identity only if a stranger would resemble any of the remembered ones as much
with a chance of less than ``false_chance``, and if the similarity is nearer to what the same identity shows over time.
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
Looks = NDArray[np.float32]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

__all__ = ["BINS", "Absent", "Gallery", "Separation", "distance_bins"]

BINS_PER_UNIT = 20
BINS = 2 * BINS_PER_UNIT + 1
"""Bins are even in the distance of unit vectors, 0 to 2: re-identification networks crowd at cosines near one."""
PRIOR_WEIGHT = 4.0
"""Observations that the prior spread is worth."""
PRIOR_SPREAD = 0.2
"""Standard deviation of strangers' similarities before much was seen, as a share of what their mean lacks to one:
networks that find everybody alike to 0.9 differ by hundredths. Random directions in 32 dimensions have 0.18."""
MEMORY = 1000.0
"""Observations after which old ones fade."""
LEAD = 0.1
"""The best candidate must lead the second by this share of what lies between strangers and the same."""


def distance_bins(similarities: Floats) -> Rows:
    """Histogram bins of cosines, by the distance of the unit vectors.

    >>> distance_bins(np.array([1.0, 0.5, -1.0]))
    array([ 0, 20, 40])
    """
    return (np.sqrt(np.maximum(2 - 2 * similarities, 0)) * BINS_PER_UNIT + 1e-9).astype(np.int64).clip(0, BINS - 1)


class Separation:
    """How alike strangers are, how alike one identity is over time, and the threshold that follows.

    Args:
        false_chance: Accepted chance that a stranger passes the threshold for any of the candidates.
    """

    def __init__(self, *, false_chance: float) -> None:
        self._false_chance = false_chance
        self.clear()

    def clear(self) -> None:
        """Forget what was learned."""
        # Strangers, same: number of observations, mean, sum of squared deviations.
        self._moments: Floats = np.zeros((2, 3))
        self._strangers: Floats = np.zeros(BINS)

    def learn_strangers(self, similarities: Floats) -> None:
        """Count similarities of identities that were in view together."""
        self._learn(0, similarities)
        self._strangers += np.bincount(distance_bins(similarities), minlength=BINS)
        self._strangers *= min(MEMORY / max(float(self._strangers.sum()), 1.0), 1.0)

    def learn_same(self, similarities: Floats) -> None:
        """Count similarities of an identity to itself some seconds ago."""
        self._learn(1, similarities)

    @property
    def known(self) -> bool:
        """Whether anything was seen of both kinds."""
        return bool((self._moments[:, 0] > 0).all())

    @property
    def useful(self) -> bool:
        """Whether a usual view of the same identity would be told from a single stranger."""
        return self.known and self.threshold(1) <= float(self._moments[1, 1])

    @property
    def lead(self) -> float:
        """How much more similar than the second the best candidate must be."""
        return LEAD * float(self._moments[1, 1] - self._moments[0, 1])

    def threshold(self, candidates: int) -> float:
        """The least similarity at which one of so many remembered identities is taken again; infinite = never."""
        if not self.known:
            return math.inf
        chance = self._false_chance / max(candidates, 1)
        count, mean, squares = self._moments[0].tolist()
        variance = (PRIOR_WEIGHT * (PRIOR_SPREAD * (1 - mean)) ** 2 + squares) / (PRIOR_WEIGHT + count)
        strangers = mean + NormalDist().inv_cdf(1 - chance) * math.sqrt(variance * (1 + 1 / count))
        same = (mean + self._moments[1, 1]) / 2
        # Look-alikes (uniforms, white vans) are more frequent than a normal distribution has them.
        alike = np.cumsum(self._strangers) > chance * self._strangers.sum()
        seen = 1 - (int(np.argmax(alike)) / BINS_PER_UNIT) ** 2 / 2 if alike.any() else -1.0
        return float(max(strangers, same, seen))

    def state(self) -> dict[str, Any]:
        """What was learned, as plain arrays."""
        return {"moments": self._moments.copy(), "strangers": self._strangers.copy()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        self._moments, self._strangers = state["moments"].copy(), state["strangers"].copy()

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
        looks: ``(A, E)``.
        seen_s, born_s: ``(A,)`` when last seen, and since when without a gap.
        classes: ``(A,)`` class column.
    """

    looks: Looks
    seen_s: Floats
    born_s: Floats
    classes: Rows

    def rivals(self, place: int) -> Flags:
        """Who was in view together with ``place``, and so is somebody else."""
        together = (self.born_s < self.seen_s[place]) & (self.seen_s > self.born_s[place])
        together[place] = False
        return np.asarray(together)


class Gallery:
    """Identities that are gone but not forgotten, bounded in time and number.

    Args:
        retention_s: An identity is forgotten when it was not seen for this long.
        size: Most identities; those not seen for longest are forgotten first.

    Attributes:
        ids: ``(G,)``.
        looks: ``(G, E)`` unit vectors.
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
        """Forget everybody, and return them; looks have ``length`` numbers from now on."""
        gone = self.ids
        self.ids = np.zeros(0, np.int64)
        self._times: Floats = np.zeros((0, 4))
        self.looks: Looks = np.zeros((0, length), np.float32)
        self.votes: Floats = np.zeros((0, 1))
        self._bind()
        return gone

    def add(self, ids: Rows, *, times: Floats, looks: Looks, votes: Floats) -> None:
        """Remember identities.

        Args:
            ids: ``(K,)``.
            times: ``(K, 4)`` last seen, first seen, seen since without a gap, evidence.
            looks: ``(K, E)``.
            votes: ``(K, C)``; ``C`` may have grown.
        """
        self.ids = np.concatenate([self.ids, ids])
        self._times = np.concatenate([self._times, times])
        self.looks = np.concatenate([self.looks, looks])
        self.votes = np.concatenate([_widened(self.votes, votes.shape[1]), votes])
        self._bind()

    def with_others(self, *, looks: Looks, seen_s: Floats, born_s: Floats, votes: Floats) -> Absent:
        """Everybody here, and after them tracks that are lost, with ``votes (C, L)``."""
        return Absent(
            looks=np.concatenate([self.looks, looks]),
            seen_s=np.concatenate([self.seen_s, seen_s]),
            born_s=np.concatenate([self.born_s, born_s]),
            classes=np.concatenate([self.votes.argmax(axis=1), votes.argmax(axis=0)]),
        )

    def return_to(self, table: TrackTable, row: int, place: int) -> None:
        """The track ``row`` is who is here at ``place``: it goes on with what that one was."""
        table.ids[row], table.first_s[row] = self.ids[place], self.first_s[place]
        table.evidence[row] = max(table.evidence[row], self.evidence[place])
        table.votes[: self.votes.shape[1], row] += self.votes[place]

    def remove(self, places: Rows) -> None:
        """Those in ``places`` are back."""
        if len(places):
            kept = np.ones(len(self), np.bool_)
            kept[places] = False
            self._keep(kept)

    def expire(self, time_s: float) -> Rows:
        """Forget who was away too long, or is too many; returns their identities."""
        if not len(self):
            return self.ids
        kept = time_s - self.seen_s <= self._retention_s
        surplus = int(kept.sum()) - self._size
        if surplus > 0:
            kept[np.argsort(np.where(kept, self.seen_s, np.inf), kind="stable")[:surplus]] = False
        gone = self.ids[~kept]
        if len(gone):
            self._keep(kept)
        return np.asarray(gone)

    def state(self) -> dict[str, Any]:
        """Everybody, as plain arrays."""
        arrays: dict[str, NDArray[Any]] = {
            "ids": self.ids,
            "times": self._times,
            "looks": self.looks,
            "votes": self.votes,
        }
        return {name: array.copy() for name, array in arrays.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        self.ids, self._times, self.looks, self.votes = (
            state[name].copy() for name in ("ids", "times", "looks", "votes")
        )
        self._bind()

    def _keep(self, kept: Flags) -> None:
        self.ids, self._times = self.ids[kept], self._times[kept]
        self.looks, self.votes = self.looks[kept], self.votes[kept]
        self._bind()

    def _bind(self) -> None:
        self.seen_s, self.first_s, self.born_s, self.evidence = self._times.T


def _widened(votes: Floats, columns: int) -> Floats:
    return np.pad(votes, ((0, 0), (0, max(columns - votes.shape[1], 0))))
