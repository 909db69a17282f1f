"""Decoder of image files, timed by their place in the sequence."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING

import av

from tracker.sources import problems
from tracker.sources.convert import orientation
from tracker.sources.cpu import WorkerClock
from tracker.sources.decoder import DEFAULT_FPS, Picture
from tracker.sources.source import SourceCounters, SourceInfo

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from tracker.sources.address import Address
    from tracker.sources.decoder import SourceContext

__all__ = ["ImagesDecoder"]


class ImagesDecoder:
    """Image files as a stream: the place in the sequence is the time, unreadable files are counted and skipped.

    Args:
        address: Of kind ``images``.
        context: Of which it takes the images per second of media time.

    Raises:
        SourceError: When not one of the files is a readable image.
    """

    def __init__(self, address: Address, context: SourceContext) -> None:
        rate = context.fps or DEFAULT_FPS
        self.counters = SourceCounters()
        self.workers = WorkerClock()
        self._files = address.files
        self._rate = rate
        self._codec = ""
        self._decoded = self._decode()
        self._first = next(self._decoded, None)
        if self._first is None:
            raise problems.no_images(address.name, self._files)
        first = self._first.frame
        size = (first.width, first.height)
        self.info = SourceInfo(
            name=address.name,
            size=size[::-1] if orientation(first)[0] else size,
            fps=rate,
            frame_count=len(self._files),
            duration_s=len(self._files) / rate,
            is_live=False,
            codec=self._codec,
            time_from="rate",
        )

    def pictures(self) -> Iterator[Picture]:
        """The readable images in order, once."""
        first, self._first = self._first, None
        if first is not None:
            yield first
            del first
        yield from self._decoded
        self.counters.missing = len(self._files) - self.counters.decoded

    def interrupt(self) -> None:
        """Nothing to wake: files do not wait."""

    def close(self) -> None:
        """Nothing stays open between images."""
        self._decoded.close()
        self._first = None

    def _decode(self) -> Generator[Picture]:
        for position, file in enumerate(self._files):
            frame = self._read(file)
            if frame is None:
                self.counters.broken += 1
                continue
            index = self.counters.decoded
            self.counters.decoded += 1
            yield Picture(
                frame=frame,
                index=index,
                time_s=position / self._rate,
                arrived_s=time.monotonic(),
                source=str(file),
                time_from="rate",
            )

    def _read(self, file: Path) -> av.VideoFrame | None:
        """The image, or ``None`` when it is not one. From memory: FFmpeg reads ``%`` in a name as a pattern."""
        try:
            with av.open(io.BytesIO(file.read_bytes()), "r") as container:
                if not container.streams.video:
                    return None
                self._codec = container.streams.video[0].codec_context.name
                return next(iter(container.decode(video=0)), None)
        except problems.READ_ERRORS:
            return None
