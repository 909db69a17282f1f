"""Presentation time of decoded frames, from the better one of a stream's two clocks."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av

__all__ = ["DECODING_TIMES_ONLY", "FrameStamps"]

DECODING_TIMES_ONLY = frozenset({"avi"})
"""Formats that store packets in decoding order without presentation times. FFmpeg 8 makes presentation times up, in
that same order, so that those of B-frames leave the decoder shuffled."""


class FrameStamps:
    """Stamps of one recording's frames in the order in which they are shown.

    A frame has a presentation time (``pts``) and the time of the packet that made the decoder give it out (``dts``),
    which is steady wherever packets are. A container without presentation times is read by the latter; any other one
    as soon as its presentation times have stepped back more often than the decoding times, as FFmpeg's own
    ``best_effort_timestamp`` does. Frames that the decoder held back to the end have no ``dts``: they follow at the
    stream's rate.

    Args:
        time_base: Seconds per tick of the stream.
        rate: Average frames per second.
        decoding_times_only: Whether the container has no presentation times, see :data:`DECODING_TIMES_ONLY`.

    Attributes:
        last_s: The stamp of the last frame.
    """

    def __init__(self, *, time_base: Fraction | None, rate: Fraction | float, decoding_times_only: bool) -> None:
        self._time_base = time_base
        self._interval_s = 1 / Fraction(rate).limit_denominator(1_000_000)
        self._decoding_times_only = decoding_times_only
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._pts_faults = 0
        self._dts_faults = 0
        self.last_s: Fraction | None = None

    def of(self, frame: av.VideoFrame) -> Fraction | None:
        """When the frame is to be shown, in seconds on the stream's own clock; ``None`` where nothing tells."""
        pts, dts = frame.pts, frame.dts
        if dts is not None:
            self._dts_faults += self._last_dts is not None and dts <= self._last_dts
            self._last_dts = dts
        if pts is not None:
            self._pts_faults += self._last_pts is not None and pts <= self._last_pts
            self._last_pts = pts
        by_dts = self._pts_faults > self._dts_faults or (
            self._decoding_times_only and self._dts_faults <= self._pts_faults
        )
        base = frame.time_base or self._time_base
        if base is None or (pts is None and dts is None):
            return None
        stamp = dts if by_dts or pts is None else pts
        if stamp is not None:
            self.last_s = stamp * base
        elif self.last_s is not None:  # held back to the end
            self.last_s += self._interval_s
        elif pts is not None:
            self.last_s = pts * base
        return self.last_s
