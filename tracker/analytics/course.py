"""Course of a block of frames: all sights of its identities, each linked to the one before, against lines and zones.

Everything that does not depend on what lines and zones have counted is found for all frames at once. Frames in which an
identity begins, or is seen for the first time, are left to the paths as they are by then; so is a block of one frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Self

import numpy as np

from tracker.analytics.contact import side_reach
from tracker.analytics.steps import NOTHING, Steps
from tracker.contacts import ContactState

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from tracker.analytics.geometry import Flags, Floats, Rows
    from tracker.analytics.layout import Layout
    from tracker.analytics.outages import Pause
    from tracker.analytics.paths import Paths
    from tracker.analytics.steps import Marks
    from tracker.track_block import TrackBlock

__all__ = ["AGE_DIGITS", "BOX_DIGITS", "Course", "Outages"]

SEEN, HIDDEN, PREDICTED = (int(state) for state in ContactState)
AGE_DIGITS, BOX_DIGITS = 3, 2
"""Of ages and boxes, as records write them: rows that are counted again give the same events."""


@dataclass(slots=True, kw_only=True)
class Outages:
    """Frames of a block, by their numbers, around which the camera did not see the scene.

    Attributes:
        gaps: It was out before these.
        blind: It is moved, frozen, covered or dark in these.
        begun: It became so with these.
    """

    gaps: Collection[int] = ()
    blind: Collection[int] = ()
    begun: Collection[int] = ()

    @classmethod
    def of(
        cls, block: TrackBlock, times_s: Sequence[float], *, last_s: float | None, gap_s: float, pause: Pause
    ) -> Self:
        """Those of a block.

        Args:
            block: With the events of the camera.
            times_s: ``F`` media times.
            last_s: Of the frame before it; ``None`` = there was none.
            gap_s: Seconds without a frame from which the camera was out.
            pause: Takes the events.
        """
        first_s = times_s[0] if last_s is None else last_s
        gaps = [number for number, (old_s, new_s) in enumerate(pairwise([first_s, *times_s])) if new_s - old_s >= gap_s]
        blind, begun = [], []
        if block.events or pause.kinds:
            for number in range(len(block)):
                if pause.note(block.events.get(number, ())):
                    begun.append(number)
                if pause.kinds:
                    blind.append(number)
        return cls(gaps=gaps, blind=blind, begun=begun)


class Course:
    """Rows of a block as identities' sights.

    Args:
        block: Of ``F`` frames with ``R`` rows.
        layout: Lines and zones.
        paths: Where identities were before the block.
        aspect: Width over height of the picture.
        times_s: ``F`` media times, rounded as events have them.
        outages: Of the camera.

    Attributes:
        states: ``(R,)`` :class:`tracker.contacts.ContactState`; predicted where the camera is blind.
        points: ``(R, 2)`` contacts in pixels.
        contact_points: ``(N, 2)`` of all instances, in picture heights.
        contact_seen: ``(N,)`` which of them are seen.
        sizes: ``(R, 2)`` heights of objects and twice their middles, NaN for those that a side cuts.
        rows: ``(M,)`` those that are seen.
        slots: ``(R,)`` of identities that live; -1 before they begin.
        cuts: ``F + 1``, where the seen rows of each frame begin.
    """

    def __init__(
        self,
        block: TrackBlock,
        layout: Layout,
        paths: Paths,
        *,
        aspect: float,
        times_s: Sequence[float],
        outages: Outages,
    ) -> None:
        self._block, self._layout, self._paths = block, layout, paths
        self.times_s, self.outages = times_s, outages
        own = block.contacts.of_tracks(block.detection_rows, block.boxes)
        self.states, self.points = own.states, own.points
        self.contact_seen: Flags = block.contacts.states == SEEN
        for number in outages.blind:
            self.states[block.cuts[number] : block.cuts[number + 1]] = PREDICTED
            self.contact_seen[block.contact_cuts[number] : block.contact_cuts[number + 1]] = False
        scale = np.array([aspect / block.size[0], 1.0 / block.size[1]])
        self.contact_points = block.contacts.points * scale
        self.sizes = _sizes(block.boxes, block.size)
        seen = self.states == SEEN
        self.rows: Rows = seen.nonzero()[0]
        self._whole = len(self.rows) == len(seen)
        self.cuts: Sequence[int] = block.cuts
        points, sizes = own.points * scale, self.sizes
        if not self._whole:
            self.cuts = np.searchsorted(self.rows, block.cuts).tolist()
            self._unseen, self._hidden = (~seen).nonzero()[0], (self.states == HIDDEN).nonzero()[0]
            if len(block) > 1:
                self._unseen_cuts = np.searchsorted(self._unseen, block.cuts).tolist()
                self._hidden_cuts = np.searchsorted(self._hidden, block.cuts).tolist()
            else:
                self._unseen_cuts, self._hidden_cuts = (0, len(self._unseen)), (0, len(self._hidden))
            points, sizes = points[self.rows], sizes[self.rows]
        self.marks, self._sides = layout.marks(points, sizes[:, 0], sizes[:, 1])
        self._special = [True] * len(block)
        if len(block) > 1:
            layout.compare(self.marks)
            self._link(outages.gaps)

    def is_plain(self, number: int) -> bool:
        """Whether all identities of a frame, by its number, were there and seen before it."""
        return not self._special[number]

    def begin(self, number: int, slots: Rows, new: Sequence[int]) -> None:
        """Identities begin in a frame.

        Args:
            number: Of the frame.
            slots: ``(N,)`` of all its identities.
            new: Which rows of it are new.
        """
        low = self._block.cuts[number]
        for row in new if len(self._block) > 1 else ():
            later = self._block.ids[low:] == self._block.ids[low + row]
            self.slots[low:][later] = slots[row]

    def note_unseen(self, number: int, slots: Rows) -> Rows:
        """Write to the paths which identities of a frame are there and not seen; slots of the others.

        Args:
            number: Of the frame.
            slots: ``(N,)`` of its identities.
        """
        low = self._block.cuts[number]
        unseen = self._unseen[self._unseen_cuts[number] : self._unseen_cuts[number + 1]] - low
        hidden = self._hidden[self._hidden_cuts[number] : self._hidden_cuts[number + 1]] - low
        self._paths.note_unseen(slots.take(unseen), slots.take(hidden), self.times_s[number])
        return slots.take(self.rows[self.cuts[number] : self.cuts[number + 1]] - low)

    def note(self, number: int, slots: Rows, seen_slots: Rows, *, absent: bool) -> None:
        """Write to the paths which identities of a frame are there, and of a plain frame where they are seen.

        Args:
            number: Of the frame.
            slots: ``(N,)`` of its identities.
            seen_slots: ``(M,)`` of those that are seen.
            absent: Others live too.
        """
        class_ids = self._block.class_ids[self._block.cuts[number] : self._block.cuts[number + 1]]
        if self._special[number]:
            self._paths.note(slots, class_ids, seen_slots, self.times_s[number])
        else:
            rows = slice(self.cuts[number], self.cuts[number + 1])
            self._paths.go_on(slots, class_ids, seen_slots, self._sights[rows])
            if number in self._bridging:
                self._paths.bridge(seen_slots, self._spans_s[rows])
        if absent:
            self._paths.note_absent(self.times_s[number])

    def tells(self, number: int, slots: Rows) -> bool:
        """Whether a plain frame tells something new of its seen identities, by where they are and what they passed."""
        codes = self.marks.codes[self.cuts[number] : self.cuts[number + 1]]
        return number in self._passed or bool(np.count_nonzero(self._layout.known.take(slots, 0) != codes))

    def steps(self, number: int, slots: Rows) -> Steps:
        """Steps of the seen identities ``(N,)`` of a plain frame."""
        low, high = self.cuts[number], self.cuts[number + 1]
        return Steps(
            time_s=self.times_s[number],
            slots=slots,
            marks=self.marks.part(low, high),
            before=self._before[low:high],
            times_before_s=self._times_before_s[low:high],
            first=None,
            bridged=self._bridged[low:high],
            passed=self._passed.get(number, NOTHING),
        )

    def sighted(self, number: int) -> tuple[Marks, Floats]:
        """Where the seen identities of a frame are, and their sides of all edges."""
        if len(self._block) == 1:
            return self.marks, self._sides
        low, high = self.cuts[number], self.cuts[number + 1]
        return self.marks.part(low, high), self._sides[low:high]

    def _link(self, gaps: Collection[int]) -> None:
        """Find each sight's predecessor, in the block or before it."""
        block, paths, count = self._block, self._paths, len(self.rows)
        lengths = np.diff(self.cuts)
        frames = np.repeat(np.arange(len(block)), lengths)
        times_s = np.repeat(np.asarray(self.times_s, np.float64), lengths)
        known, firsts, numbers = np.unique(block.ids, return_index=True, return_inverse=True)
        living = [paths.slots.get(identity, -1) for identity in known.tolist()]
        self.slots: Rows = np.array(living, np.int64)[numbers]
        self._special = [False] * len(block)
        row_cuts = np.asarray(block.cuts)
        for first, slot in zip(firsts.tolist(), living, strict=True):
            if slot < 0:
                self._special[int(np.searchsorted(row_cuts, first, side="right")) - 1] = True
        for number, ended in block.ended.items():
            self._mark_reborn(number, ended)
        own = numbers if self._whole else numbers[self.rows]
        order = np.argsort(own, kind="stable")
        same = np.diff(own[order], prepend=-1) == 0
        previous = np.full(count, -1)
        previous[order[same]] = order[np.flatnonzero(same) - 1]
        points = self.marks.points
        before, times_before_s = points[previous], times_s[previous]
        # Frames that were lost before a gap count as one more frame.
        ticks = np.arange(1, len(block) + 1)
        for number in gaps:
            ticks[number:] += 1
        steps = ticks[frames]
        bridged = steps - steps[previous] > 1
        for row in np.flatnonzero(previous < 0).tolist():
            slot = living[int(own[row])]
            if slot < 0 or np.isnan(paths.seen_s[slot]):
                self._special[int(frames[row])] = True
                before[row], times_before_s[row], bridged[row] = points[row], times_s[row], False
            else:
                before[row], times_before_s[row] = paths.points[slot], paths.seen_s[slot]
                bridged[row] = paths.missed[slot] or steps[row] > 1
        self._before, self._times_before_s, self._bridged = before, times_before_s, bridged
        self._sights: Floats = np.column_stack([times_s, times_s, times_s, points])
        self._bridging = set(frames[bridged].tolist())
        self._spans_s: Floats = np.where(bridged, times_s - times_before_s, 0.0)
        hits = self._layout.hits(before, points, self._sides)
        self._passed = self._layout.passed(hits, self.cuts)

    def _mark_reborn(self, number: int, ended: NDArray[np.int64]) -> None:
        """Frames that have an identity again after it ended, as rows of other programs may."""
        low = self._block.cuts[number + 1]
        for identity in ended.tolist():
            for row in np.flatnonzero(self._block.ids[low:] == identity).tolist():
                self._special[int(np.searchsorted(self._block.cuts, low + row, side="right")) - 1] = True


def _sizes(boxes: NDArray[np.float32], size: tuple[int, int]) -> Floats:
    """``(N, 2)`` heights of objects, and twice the middles of their widths, NaN for those that a side cuts.

    In picture heights. Boxes are taken to the hundredth of a pixel as records have them, so that counting again finds
    the same.
    """
    exact = boxes.astype(np.float64).round(BOX_DIGITS)
    sizes = np.empty((len(exact), 2))
    np.subtract(exact[:, 3], exact[:, 1], out=sizes[:, 0])
    np.add(exact[:, 0], exact[:, 2], out=sizes[:, 1])
    reach = side_reach(size)
    cut = (exact[:, 0] <= reach) | (exact[:, 2] >= size[0] - reach)
    if np.count_nonzero(cut):
        sizes[cut, 1] = np.nan
    sizes /= size[1]
    return sizes
