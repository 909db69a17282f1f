"""Last sights of all living identities: one slot each, reused when an identity ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tracker.analytics.geometry import Flags, Floats, Rows

__all__ = ["Paths", "Steps"]

FIRST_SLOTS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Identities' ways from their last sight to the next one; a first sight is a step from itself.

    Attributes:
        slots: ``(N,)`` of the identities.
        before, after: ``(N, 2)`` in picture heights.
        times_before_s, times_s: ``(N,)`` media time of both.
        first: ``(N,)`` whether it is the first sight.
        bridged: ``(N,)`` whether there were frames without a sight in between.
    """

    slots: Rows
    before: Floats
    after: Floats
    times_before_s: Floats
    times_s: Floats
    first: Flags
    bridged: Flags


class Paths:
    """Where each identity was last seen.

    Attributes:
        slots: Slot of each living identity.
        ids: ``(S,)`` identity of each slot, 0 = free.
        class_ids: ``(S,)`` by vote so far.
        first_s: ``(S,)`` first time it was detected.
        detected_s: ``(S,)`` last time it was detected, whether its contact was seen or not.
        seen_s: ``(S,)`` last time the contact was seen; NaN = never.
        present_s: ``(S,)`` last time it was among the tracks, seen or presumed.
        points: ``(S, 2)`` the last contact that was seen, in picture heights; NaN = none.
        unseen_s: ``(S,)`` seconds between sights in which the contact was not seen, added up until the last sight.
    """

    def __init__(self) -> None:
        self.slots: dict[int, int] = {}
        self.ids: Rows = np.zeros(0, np.int64)
        self.class_ids: Rows = np.zeros(0, np.int64)
        self._floats: Floats = np.zeros((0, 7))
        self._missed: Flags = np.zeros(0, np.bool_)
        self._free: list[int] = []
        self._bind()

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, ids: Rows, time_s: float) -> tuple[Rows, list[int]]:
        """Slots ``(N,)`` of identities, new ones for new identities; and the rows of these."""
        slots, new = [], []
        for row, identity in enumerate(ids.tolist()):
            slot = self.slots.get(identity)
            if slot is None:
                slot = self._take(identity, time_s)
                new.append(row)
            slots.append(slot)
        return np.array(slots, np.int64), new

    def note(self, slots: Rows, class_ids: Rows, *, seen: Flags, detected: Flags, time_s: float) -> None:
        """Write which identities are there in this frame, seen, hidden or presumed."""
        self.class_ids[slots] = class_ids
        self.present_s[slots] = time_s
        self.detected_s[slots[detected]] = time_s
        self._missed[self.present_s < time_s] = True
        self._missed[slots[~seen]] = True

    def step(self, slots: Rows, points: Floats, times_s: Floats) -> Steps:
        """Take sights ``(N, 2)`` of identities, each with its own time ``(N,)``."""
        before, times_before_s = self.points[slots], self.seen_s[slots]
        first = np.isnan(times_before_s)
        if np.count_nonzero(first):
            before[first], times_before_s[first] = points[first], times_s[first]
        bridged = self._missed[slots] & ~first
        if np.count_nonzero(bridged):
            self.unseen_s[slots] += np.where(bridged, times_s - times_before_s, 0.0)
        self._missed[slots] = False
        self.points[slots], self.seen_s[slots] = points, times_s
        return Steps(
            slots=slots,
            before=before,
            after=points,
            times_before_s=times_before_s,
            times_s=times_s,
            first=first,
            bridged=bridged,
        )

    def last(self, slot: int) -> tuple[float, float, float]:
        """Time and place of the last sight; NaN where there was none."""
        x, y = self.points[slot].tolist()
        return float(self.seen_s[slot]), x, y

    def interrupt(self) -> None:
        """The camera was out: the next step of every identity spans a time without a sight."""
        self._missed[:] = True

    def drop(self, identity: int) -> None:
        """Free an identity's slot."""
        slot = self.slots.pop(identity)
        self.ids[slot] = 0
        self._free.append(slot)

    def _take(self, identity: int, time_s: float) -> int:
        if not self._free:
            old = len(self)
            added = max(old, FIRST_SLOTS)
            self.ids = np.concatenate([self.ids, np.zeros(added, np.int64)])
            self.class_ids = np.concatenate([self.class_ids, np.zeros(added, np.int64)])
            self._floats = np.concatenate([self._floats, np.zeros((added, 7))])
            self._missed = np.concatenate([self._missed, np.zeros(added, np.bool_)])
            self._free = list(range(old + added - 1, old - 1, -1))
            self._bind()
        slot = self._free.pop()
        self.slots[identity] = slot
        self.ids[slot] = identity
        self._floats[slot] = time_s, np.nan, time_s, 0.0, time_s, np.nan, np.nan
        self._missed[slot] = False
        return slot

    def _bind(self) -> None:
        self.first_s, self.seen_s, self.present_s, self.unseen_s, self.detected_s = self._floats.T[:5]
        self.points = self._floats[:, 5:]

    def state(self) -> list[list[Any]]:
        """Plain values to continue from, one row per identity."""
        return [
            [
                identity,
                int(self.class_ids[slot]),
                bool(self._missed[slot]),
                *(None if np.isnan(value) else value for value in self._floats[slot].tolist()),
            ]
            for identity, slot in self.slots.items()
        ]

    def restore(self, rows: list[list[Any]], shift_s: float) -> None:
        """Continue from :meth:`state` with ``shift_s`` added to all times."""
        for identity, class_id, missed, *values in rows:
            slot = self._take(identity, 0.0)
            self.class_ids[slot], self._missed[slot] = class_id, missed
            self._floats[slot] = [np.nan if value is None else value for value in values]
            self._floats[slot, [0, 1, 2, 4]] += shift_s
