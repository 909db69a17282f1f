"""Media clock: presentation time stamps made strictly increasing over gaps, repeats and jumps."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fractions import Fraction

__all__ = ["MediaClock"]

RESET_S = 1.0
"""A step back by more than this is a new start of the clock (a looped or spliced stream), not disorder."""

RESET_FRAMES = 3
"""So many frames in a row that are in order among themselves and yet behind are a new start of the clock, too."""


class MediaClock:
    """Media time of one stream: 0 at its first frame, true to variable rates, repaired where stamps are unusable.

    ========================================  =================================================================
    stamp                                     time given
    ========================================  =================================================================
    later than every one before               itself, relative to the first
    absent                                    one frame interval after the last frame
    repeated, or up to 1 s back, once         half an interval after the last frame: the next stamp may still fit
    the same, again and again                 one interval after the last frame
    more than 1 s back                        one interval after the last frame, and the clock continues from there
    in order, but behind for the third time   the same
    ========================================  =================================================================

    Args:
        interval_s: Seconds between frames at the stream's average rate.
    """

    def __init__(self, *, interval_s: float) -> None:
        self.repairs = 0
        self._interval_s = interval_s
        self._origin_s: Fraction | float | None = None  # stamp that stands for media time zero, exact
        self._last_s: float | None = None
        self._previous_s: Fraction | float | None = None  # the stamp before this one
        self._repairs_in_row = 0

    @property
    def origin_s(self) -> Fraction | float | None:
        """The stamp that stands for media time zero; ``None`` where no frame had one yet."""
        return self._origin_s

    def time_s(self, stamp_s: Fraction | float | None) -> float:
        """Media time of the next frame.

        Args:
            stamp_s: The frame's presentation time in seconds, best as a fraction, or ``None`` where there is none.

        >>> clock = MediaClock(interval_s=0.5)
        >>> [clock.time_s(stamp) for stamp in (7.0, 7.5, 7.5, 8.0, None, 9.0)], clock.repairs
        ([0.0, 0.5, 0.75, 1.0, 1.5, 2.0], 2)
        """
        previous_s, self._previous_s = self._previous_s, stamp_s
        if self._last_s is None:
            self._origin_s = stamp_s
            self.repairs += stamp_s is None
            self._last_s = 0.0
            return 0.0
        if stamp_s is not None and self._origin_s is None:  # earlier frames had no stamp: begin here
            self._origin_s = stamp_s - self._last_s - self._interval_s
        time_s = None if stamp_s is None or self._origin_s is None else float(stamp_s - self._origin_s)
        if time_s is not None and time_s > self._last_s:
            self._repairs_in_row = 0
            self._last_s = time_s
            return time_s
        self.repairs += 1
        self._repairs_in_row += 1
        behind_s = 0.0 if time_s is None else self._last_s - time_s
        in_order = stamp_s is not None and previous_s is not None and stamp_s > previous_s
        restarted = behind_s > RESET_S or (in_order and self._repairs_in_row >= RESET_FRAMES)
        jostled = time_s is not None and not restarted and self._repairs_in_row == 1
        self._last_s += self._interval_s / 2 if jostled else self._interval_s
        if stamp_s is not None and restarted:
            self._origin_s = stamp_s - self._last_s
        return self._last_s
