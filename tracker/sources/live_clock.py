"""Live clock: one strictly increasing media time over reconnections."""

from __future__ import annotations

__all__ = ["LiveClock"]

MIN_STEP_S = 0.001
"""Least distance of two frames whose times would fall together."""


class LiveClock:
    """Media time of a camera over broken connections and wrong clocks.

    ======================================  ====================================================================
    what happens                            time given
    ======================================  ====================================================================
    the first frame of all                  0
    the first frame of a later connection   seconds since the first frame of all, by this machine's clock
    further frames of a connection          the connection's own clock, from its first frame
    the own clock is ``max_drift_s`` off    arrival time, from the last frame on, for the rest of the connection
    ======================================  ====================================================================

    A server that sends what it has kept on connecting runs ahead of arrival by that much, a second or two; since each
    connection is placed by arrival alone, this does not add up.

    Args:
        max_drift_s: How far the stream's clock and this machine's may part within one connection. Cameras send a group
            of pictures at once on connecting, playlists whole segments.

    Attributes:
        takeovers: Connections whose own clock was rejected.
        trusted: Whether the current connection's clock is in use.
    """

    def __init__(self, *, max_drift_s: float = 5.0) -> None:
        self.takeovers = 0
        self.trusted = True
        self._max_drift_s = max_drift_s
        self._first_arrived_s: float | None = None
        self._last: tuple[float, float] | None = None  # (time_s, arrived_s) of the frame before
        self._begun: tuple[float, float, float] | None = None  # (stream_s, arrived_s, time_s) of the connection's first

    def begin(self) -> None:
        """The next frame is the first of a new connection."""
        self._begun = None
        self.trusted = True

    def time_s(self, stream_s: float, arrived_s: float) -> float:
        """The frame's place on the one time axis, in seconds.

        Args:
            stream_s: Media time within the connection.
            arrived_s: ``time.monotonic()`` at arrival.

        >>> clock = LiveClock()
        >>> [clock.time_s(time_s, 100 + time_s) for time_s in (0.0, 0.5)]
        [0.0, 0.5]
        >>> clock.begin()
        >>> clock.time_s(7.0, 104.5), clock.time_s(7.5, 105.1)
        (4.5, 5.0)
        """
        if self._first_arrived_s is None:
            self._first_arrived_s = arrived_s
        if self._begun is None:
            self._begun = (stream_s, arrived_s, arrived_s - self._first_arrived_s)
        begun_stream_s, begun_arrived_s, begun_s = self._begun
        stream_elapsed_s = stream_s - begun_stream_s
        if self.trusted and abs(stream_elapsed_s - (arrived_s - begun_arrived_s)) > self._max_drift_s:
            self.trusted = False
            self.takeovers += 1
        time_s = begun_s + stream_elapsed_s
        if not self.trusted and self._last is not None:
            time_s = self._last[0] + arrived_s - self._last[1]
        if self._last is not None:
            time_s = max(time_s, self._last[0] + MIN_STEP_S)
        self._last = (time_s, arrived_s)
        return time_s
