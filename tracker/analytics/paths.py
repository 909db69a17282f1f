"""Last sights of all living identities: one slot each, reused when an identity ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.analytics.steps import Steps

if TYPE_CHECKING:
    from tracker.analytics.geometry import Flags, Floats, Rows
    from tracker.analytics.steps import Marks

__all__ = ["Paths"]

FIRST_SLOTS = 32
KEPT_ORDER = (0, 4, 2, 1, 3, 5, 6)
"""Columns in the order of :meth:`Paths.state`."""


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
        missed: ``(S,)`` whether there was a frame without a sight since the last one.
    """

    def __init__(self) -> None:
        self.slots: dict[int, int] = {}
        self.ids: Rows = np.zeros(0, np.int64)
        self.class_ids: Rows = np.zeros(0, np.int64)
        self._floats: Floats = np.zeros((0, 7))
        self.missed: Flags = np.zeros(0, np.bool_)
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

    def note(self, slots: Rows, class_ids: Rows, detected: Rows, time_s: float) -> None:
        """Identities are there, some of them detected."""
        self.class_ids[slots], self.present_s[slots], self.detected_s[detected] = class_ids, time_s, time_s

    def follow(self, slots: Rows, marks: Marks, time_s: float) -> Steps:
        """Take sights of identities ``(N,)``: their steps from the last ones, without what these passed."""
        last, bridged = self._floats.take(slots, 0), self.missed.take(slots)
        before, times_before_s = last[:, 5:], last[:, 4]
        first: Flags = np.isnan(times_before_s)
        fresh = bool(np.count_nonzero(first))
        if fresh:
            before[first], times_before_s[first], bridged[first] = marks.points[first], time_s, False
        if np.count_nonzero(bridged):
            self.bridge(slots, np.where(bridged, time_s - times_before_s, 0.0))
        self.missed[slots] = False
        self.points[slots], self.seen_s[slots] = marks.points, time_s
        return Steps(
            time_s=time_s,
            slots=slots,
            marks=marks,
            before=before,
            times_before_s=times_before_s,
            first=first if fresh else None,
            bridged=bridged,
        )

    def go_on(self, slots: Rows, class_ids: Rows, seen_slots: Rows, sights: Floats) -> None:
        """Both at once, for identities that were seen before.

        Args:
            slots: ``(N,)`` of identities that are there.
            class_ids: ``(N,)`` of these.
            seen_slots: ``(M,)`` of those that are seen.
            sights: ``(M, 5)`` the time as present, detected and seen, and the place.
        """
        self.class_ids[slots] = class_ids
        self._sights[seen_slots] = sights

    def note_unseen(self, unseen: Rows, hidden: Rows, time_s: float) -> None:
        """Identities are there and not seen, some of them hidden, the others presumed."""
        self.present_s[unseen] = time_s
        self.detected_s[hidden] = time_s
        self.missed[unseen] = True

    def note_absent(self, time_s: float) -> None:
        """All that were not there are absent."""
        self.missed[self.present_s < time_s] = True

    def bridge(self, slots: Rows, spans_s: Floats) -> None:
        """Add up the times without a sight that end with steps of these identities."""
        self.unseen_s[slots] += spans_s
        self.missed[slots] = False

    def last(self, slot: int) -> tuple[float, float, float]:
        """Time and place of the last sight; NaN where there was none."""
        x, y = self.points[slot].tolist()
        return float(self.seen_s[slot]), x, y

    def interrupt(self) -> None:
        """The camera was out: the next step of every identity spans a time without a sight."""
        self.missed[:] = True

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
            self.missed = np.concatenate([self.missed, np.zeros(added, np.bool_)])
            self._free = list(range(old + added - 1, old - 1, -1))
            self._bind()
        slot = self._free.pop()
        self.slots[identity] = slot
        self.ids[slot] = identity
        self._floats[slot] = time_s, 0.0, time_s, time_s, np.nan, np.nan, np.nan
        self.missed[slot] = False
        return slot

    def _bind(self) -> None:
        self.first_s, self.unseen_s, self.present_s, self.detected_s, self.seen_s = self._floats.T[:5]
        self.points, self._sights = self._floats[:, 5:], self._floats[:, 2:]

    def state(self) -> list[list[Any]]:
        """Plain values to continue from, one row per identity."""
        return [
            [
                identity,
                int(self.class_ids[slot]),
                bool(self.missed[slot]),
                *(None if np.isnan(value) else value for value in self._floats[slot, KEPT_ORDER].tolist()),
            ]
            for identity, slot in self.slots.items()
        ]

    def restore(self, rows: list[list[Any]], shift_s: float) -> None:
        """Continue from :meth:`state` with ``shift_s`` added to all times."""
        for identity, class_id, missed, *values in rows:
            slot = self._take(identity, 0.0)
            self.class_ids[slot], self.missed[slot] = class_id, missed
            self._floats[slot, KEPT_ORDER] = [np.nan if value is None else value for value in values]
            self._floats[slot, [0, 2, 3, 4]] += shift_s
