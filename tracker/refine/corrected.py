"""Corrections of identities: annotated boxes assigned to the rows of records, and the numbers that tracks get.

A box takes the row of its frame that lies where it lies; else the row of the identity that the box went out with; else
the row that it overlaps most. What is left of the boxes was added, what is left of the rows was deleted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tracker.boxes import iou

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["Assigned", "Owners", "assign", "groups_of", "is_whole", "numbers_of"]

SAME_PX = 0.05
"""Boxes that differ by less were not moved: tools store hundredths of a pixel or shares of the picture."""
OVERLAP = 0.5
"""Intersection over union from which a box drawn anew is that of a row."""


@dataclass(frozen=True, slots=True)
class Assigned:
    """Rows and boxes of a frame that belong together.

    Attributes:
        rows: ``(R,)`` the box of each row; -1 = it was deleted.
        moved: ``(R,)`` the box lies elsewhere.
    """

    rows: NDArray[np.int64]
    moved: NDArray[np.bool_]


@dataclass(slots=True)
class Owners:
    """Which track each identity's rows belong to over time.

    Attributes:
        parts: For each identity ``(from_s, track)`` in order of time; ``None`` = deleted.
        first_s, last_s: Of the rows and added boxes of each track.
        extended: Tracks that end with an added box.
    """

    parts: dict[int, list[tuple[float, int | None]]] = field(default_factory=dict)
    first_s: dict[int, float] = field(default_factory=dict)
    last_s: dict[int, float] = field(default_factory=dict)
    extended: set[int] = field(default_factory=set)

    def own(self, identity: int, time_s: float, track: int | None) -> None:
        """A row of an identity belongs to a track."""
        parts = self.parts.setdefault(identity, [])
        if not parts or parts[-1][1] != track:
            parts.append((time_s, track))
        if track is not None:
            self._see(track, time_s)
            self.extended.discard(track)

    def add(self, track: int, time_s: float) -> None:
        """A track has an added box at a time."""
        self._see(track, time_s)
        self.extended.add(track)

    def _see(self, track: int, time_s: float) -> None:
        self.first_s.setdefault(track, time_s)
        self.last_s[track] = time_s


def assign(
    ids: NDArray[np.int64], rows: NDArray[np.float64], hints: NDArray[np.int64], boxes: NDArray[np.float64]
) -> Assigned:
    """Assign annotated boxes of a frame to its rows.

    Args:
        ids: ``(R,)`` identities of the rows.
        rows: ``(R, 4)`` their boxes as the tool showed them.
        hints: ``(B,)`` identities that the boxes went out with; 0 = not known.
        boxes: ``(B, 4)``.
    """
    found = np.full(len(ids), -1, np.int64)
    moved = np.zeros(len(ids), np.bool_)
    if not len(ids) or not len(boxes):
        return Assigned(found, moved)
    same = np.abs(rows[:, None] - boxes[None]).max(axis=2) < SAME_PX
    hinted = ids[:, None] == hints[None]
    free = np.ones(len(boxes), np.bool_)
    for fits, elsewhere in ((same & hinted, False), (same, False), (hinted, True)):
        for row in np.flatnonzero((found < 0) & fits.any(axis=1)).tolist():
            if (left := np.flatnonzero(fits[row] & free)).size:
                found[row], free[left[0]], moved[row] = left[0], False, elsewhere
    if free.any() and (found < 0).any():
        overlap = iou(rows, boxes) * free * (found < 0)[:, None]
        while overlap.max() >= OVERLAP:
            row, box = divmod(int(overlap.argmax()), len(boxes))
            found[row], moved[row] = box, True
            overlap[row], overlap[:, box] = 0, 0
    return Assigned(found, moved)


def groups_of(tracks: Iterable[int], joined: Iterable[tuple[int, int]]) -> dict[int, int]:
    """The lowest track of those that are one object, for each track.

    >>> groups_of([1, 2, 3, 4], [(4, 2), (2, 1)])
    {1: 1, 2: 1, 3: 3, 4: 1}
    """
    root = {track: track for track in tracks}

    def lowest(track: int) -> int:
        while root[track] != track:
            track = root[track]
        return track

    for one, other in joined:
        low, high = sorted((lowest(one), lowest(other)))
        root[high] = low
    return {track: lowest(track) for track in root}


def numbers_of(owners: Owners, highest: int) -> Mapping[int, int]:
    """The number of each track: the lowest of the identities whose first row it has, else a new one.

    A split identity's number stays with its first part, and joined ones have the lowest, as where they are joined and
    split by name.

    Args:
        owners: Of all rows.
        highest: Number of the records, behind which new ones begin.

    >>> owners = Owners()
    >>> for time_s, identity, track in ((0.0, 2, 5), (0.5, 3, 6), (1.0, 2, 8), (2.0, 4, 5)):
    ...     owners.own(identity, time_s, track)
    >>> numbers_of(owners, 4)
    {5: 2, 6: 3, 8: 5}
    """
    found: dict[int, int] = {}
    for identity in sorted(owners.parts):
        first = next((track for _, track in owners.parts[identity] if track is not None), None)
        if first is not None:
            found.setdefault(first, identity)
    number = highest
    for track in sorted(owners.first_s, key=lambda one: (owners.first_s[one], one)):
        if track not in found:
            number += 1
            found[track] = number
    return {track: found[track] for track in sorted(found)}


def is_whole(parts: Sequence[tuple[float, int | None]]) -> bool:
    """Whether all rows of an identity belong to one track."""
    return len(parts) == 1 and parts[0][1] is not None
