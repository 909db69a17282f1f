"""Pace of pictures: which frames to show so that a rate holds that the camera's own is no multiple of."""

from __future__ import annotations

import math

__all__ = ["Pace"]

EARLY = 0.1
"""A frame may be early by this share of the interval: times of arrival jitter."""


class Pace:
    """Chooses frames by their times.

    Args:
        every: Between two frames that are shown, in the unit of the times.

    >>> pace = Pace(200)
    >>> [t for t in range(0, 1000, 80) if pace.is_due(t)]
    [0, 240, 400, 640, 800]
    """

    __slots__ = ("_due", "every")

    def __init__(self, every: float) -> None:
        self.every = every
        self._due = -math.inf

    def is_due(self, time: float) -> bool:
        """Whether the frame of a time is to be shown; a clock that jumps begins anew."""
        late = time - self._due + EARLY * self.every
        if -self.every <= late < 0:
            return False
        self._due = (self._due if 0 <= late < self.every else time) + self.every
        return True
