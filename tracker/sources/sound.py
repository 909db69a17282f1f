"""Sound of a recording: its coded packets in order, by media time, to be copied beside the video made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from tracker.sources import problems
from tracker.sources.container import open_container

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from tracker.sources.address import Address

__all__ = ["Sound", "open_sound"]

MAX_READ_ERRORS = 64
"""Read errors in a row after which the sound counts as over, as for pictures."""


class Sound:
    """The audio stream that FFmpeg takes for the best one; made by :func:`open_sound`.

    Args:
        container: An open recording that has one; closed with this.
        start_s: When the first picture is shown, on the container's clock: media time zero.
    """

    def __init__(self, container: Any, start_s: float) -> None:
        self._container = container
        self._start_s = start_s
        self._packets = self._read()
        self._next: tuple[float, Any] | None = None
        self.stream: Any = container.streams.best("audio")

    @property
    def codec(self) -> str:
        """FFmpeg's name of its codec."""
        context = self.stream.codec_context
        return "unknown" if context is None else str(context.codec.canonical_name)

    def until(self, time_s: float) -> Iterator[tuple[float, Any]]:
        """The packets that begin before a media time and were not given yet, each with its media time in seconds."""
        while True:
            if self._next is None:
                self._next = next(self._packets, None)
            if self._next is None or self._next[0] >= time_s:
                return
            found, self._next = self._next, None
            yield found

    def close(self) -> None:
        """Release the file; safe to call twice."""
        self._packets.close()
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> Any:
        errors = 0
        while errors < MAX_READ_ERRORS:
            try:
                for packet in self._container.demux(self.stream):
                    errors = 0
                    if packet.pts is not None and packet.dts is not None and packet.size:
                        yield float(packet.pts * packet.time_base) - self._start_s, packet
            except (*problems.READ_ERRORS, IndexError):
                errors += 1
            else:
                return


def open_sound(address: Address, start_s: float) -> Sound | None:
    """The sound of a recording; ``None`` where it has none.

    Args:
        address: Of a video file.
        start_s: As for :class:`Sound`.

    Raises:
        SourceError: It cannot be opened.
    """
    container = open_container(
        address, timeout_s=10.0, rtsp_transport="tcp", ffmpeg_options={}, accelerator=None, pipe=None
    )
    if container.streams.best("audio") is None:
        container.close()
        return None
    return Sound(container, start_s)
