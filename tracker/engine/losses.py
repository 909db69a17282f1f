"""Share of a live stream's frames that were lost in the last minutes because they came faster than they were taken."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

__all__ = ["LOST_SHARE", "WINDOW_S", "Losses", "RecentLosses"]

WINDOW_S = 300.0
"""Long enough for a share of few frames per second, short enough that a change of settings is seen."""
STEP_S = 5.0
LEAST_S = 20.0
"""Before that a share says more of the start, when a model's first runs are slow, than of the stream."""

LOST_SHARE = 0.1
"""From this share on people are told: fewer are bursts of a busy machine. Counting itself holds with far fewer frames
(docs/experiments/counting.md), so a stream with more is not called unwell."""


class RecentLosses(NamedTuple):
    """Frames lost in the last minutes.

    Attributes:
        share: Of the frames that came, 0 to 1.
        seconds: Over which.
    """

    share: float
    seconds: float


class _Mark(NamedTuple):
    time_s: float
    taken: int
    lost: int


class Losses:
    """Counts of frames taken and lost, remembered over :data:`WINDOW_S`."""

    def __init__(self) -> None:
        self._marks: deque[_Mark] = deque()
        self._last = _Mark(0.0, 0, 0)

    def is_due(self, now_s: float) -> bool:
        """Whether the counts are wanted now: every :data:`STEP_S`, for a source has to add them up.

        Args:
            now_s: Monotonic seconds.
        """
        return not self._marks or now_s - self._marks[-1].time_s >= STEP_S

    def add(self, now_s: float, taken: int, lost: int) -> None:
        """Take the counts so far; those that went back are of another source, and begin anew.

        Args:
            now_s: Monotonic seconds.
            taken: Frames that went through.
            lost: Frames that were dropped or too old.
        """
        if lost < self._last.lost or taken < self._last.taken:
            self._marks.clear()
        self._last = _Mark(now_s, taken, lost)
        if self.is_due(now_s):
            self._marks.append(self._last)
            while now_s - self._marks[0].time_s > WINDOW_S:
                self._marks.popleft()

    def recent(self, now_s: float) -> RecentLosses | None:
        """The share until now, or ``None`` where nothing came in that time, or for too short a time.

        >>> losses = Losses()
        >>> for second in range(61):
        ...     losses.add(float(second), taken=10 * second, lost=30 * second)
        >>> losses.recent(60.0)
        RecentLosses(share=0.75, seconds=60.0)
        >>> losses.recent(400.0) is None
        True
        """
        since = next((mark for mark in self._marks if now_s - mark.time_s <= WINDOW_S), None)
        if since is None or self._last.time_s - since.time_s < LEAST_S:
            return None
        taken, lost = self._last.taken - since.taken, self._last.lost - since.lost
        return RecentLosses(lost / (taken + lost), now_s - since.time_s) if taken + lost else None
