"""Decoded pictures, and the description and counters of the stream that they come from, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tracker.types import SQUARE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from fractions import Fraction

    import av

    from tracker.sources.cpu import WorkerClock
    from tracker.types import TimeFrom

__all__ = ["Decoder", "Picture", "SourceCounters", "SourceInfo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One decoded frame in the decoder's pixel format and orientation; the rest as in :class:`tracker.types.Frame`."""

    frame: av.VideoFrame
    index: int
    time_s: float
    arrived_s: float
    source: str
    time_from: TimeFrom = "stamps"
    pixel_aspect: Fraction = SQUARE
    captured_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceInfo:
    """Description of an open stream.

    Attributes:
        name: As the user gave it, without credentials.
        size: ``(width, height)`` of the first picture in stored pixels, after rotation; pixels that are not square are
            not stretched.
        fps: Average frames per second.
        frame_count: Frames the container announces, ``None`` where it does not say.
        duration_s: Length in seconds, ``None`` where unknown or endless.
        is_live: Whether it has no end of its own: cameras and endless network streams.
        codec: FFmpeg's name of the codec.
        time_from: Where ``Frame.time_s`` comes from: the stream's time ``stamps``; ``arrival`` for live streams without
            stamps of their own, or whose stamps were rejected; the frame ``rate`` for recordings without stamps and
            for images.
        decoder: Where pictures are decoded: ``cpu``, ``cuda``, ``vaapi`` or ``videotoolbox``.
        decoder_refused: A device that works here but did not take this stream, so that the CPU decodes; else empty.
        pixel_aspect: Width by height of one pixel of the upright picture; 1 where pixels are square or nothing is said.
        start_s: When the first picture is shown on the container's own clock, on which its sound is timed too.
        notes: What else a user should know: which of several streams is read, say.
    """

    name: str
    size: tuple[int, int]
    fps: float
    frame_count: int | None
    duration_s: float | None
    is_live: bool
    codec: str
    time_from: TimeFrom
    decoder: str = "cpu"
    decoder_refused: str = ""
    pixel_aspect: Fraction = SQUARE
    start_s: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class SourceCounters:
    """Counts of a stream's packets and frames so far.

    Attributes:
        decoded: Frames decoded, including those dropped or strided over later.
        broken: Packets or image files that could not be read or decoded, and were skipped.
        concealed: Decoded frames in which the decoder had to patch damaged areas; they are delivered.
        repaired_times: Frames whose time stamp was absent, repeated or backward.
        missing: Frames the container announced and that never came, known at the end (truncation, edit lists).
        dropped: Frames thrown away because the consumer was slow (policy ``latest``).
        late: Frames thrown away because they had waited longer than ``max_age_s`` (policy ``latest``).
        reconnects: Connections made after the first one (live streams that are kept alive).
        stalls: Connections given up because no frame came for too long.
        clock_takeovers: Connections whose own clock was rejected, so that arrival time is used.
    """

    decoded: int = 0
    broken: int = 0
    concealed: int = 0
    repaired_times: int = 0
    missing: int = 0
    dropped: int = 0
    late: int = 0
    reconnects: int = 0
    stalls: int = 0
    clock_takeovers: int = 0


class Decoder(Protocol):
    """One open stream: what a reader thread needs to know of it."""

    @property
    def info(self) -> SourceInfo:
        """Description of the stream."""
        ...

    @property
    def counters(self) -> SourceCounters:
        """Counts of packets and frames so far."""
        ...

    @property
    def workers(self) -> WorkerClock:
        """CPU time spent decoding outside the thread that iterates."""
        ...

    def pictures(self) -> Iterator[Picture]:
        """Decoded pictures to the end of the stream, once.

        Raises:
            SourceError: When a camera or network stream breaks off.
        """
        ...

    def interrupt(self) -> None:
        """Wake :meth:`pictures` from a wait of its own, from any thread; waits inside FFmpeg end by time-out."""
        ...

    def close(self) -> None:
        """Release files, connections and threads; safe to call twice."""
        ...
