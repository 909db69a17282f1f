"""Decoder of image files, timed by their place in the sequence."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from tracker.errors import SourceError
from tracker.sources import problems
from tracker.sources.address import shown_name
from tracker.sources.convert import orientation
from tracker.sources.cpu import WorkerClock
from tracker.sources.decoded import Picture, SourceCounters, SourceInfo
from tracker.sources.decoder import DEFAULT_FPS
from tracker.sources.limits import codec_options
from tracker.sources.pages import all_pictures
from tracker.sources.picture_files import is_cut_off_jpeg, picture_count, picture_size
from tracker.sources.seqinfo import sequence_fps

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
        context: Of which it takes the images per second of media time, by default what a ``seqinfo.ini`` beside them
            says, else 30, and the most pixels of an image.

    Raises:
        SourceError: When not one of the files is a readable image, or ``seqinfo.ini`` is damaged.
    """

    def __init__(self, address: Address, context: SourceContext) -> None:
        rate = context.fps or sequence_fps(address.files) or DEFAULT_FPS
        self.counters = SourceCounters()
        self.workers = WorkerClock()
        self._files = address.files
        self._rate = rate
        self._codec = ""
        self._max_pixels = context.max_pixels
        self._too_large: SourceError | None = None  # of the first image beyond the limit
        self._too_large_count = 0
        self._several: list[tuple[str, int]] = []  # files of which only the first picture is used, and how many it has
        self._asked_rate = context.fps
        self._announced = len(self._files)
        self._pages: list[tuple[Any, float]] = []  # further ones of a single file, and their times
        self._decoded = self._decode()
        self._first = next(self._decoded, None)
        if self._first is None:
            raise self._too_large or problems.no_images(address.name, self._files)
        first = self._first.frame
        size = (first.width, first.height)
        self.info = SourceInfo(
            name=address.name,
            size=size[::-1] if orientation(first)[0] else size,
            fps=self._rate,
            frame_count=self._announced,
            duration_s=self._announced / self._rate,
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
        self.counters.missing = self._announced - self.counters.decoded
        self.info = replace(self.info, notes=self._notes())

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
            yield self._picture(file, frame, position / self._rate)
            for image, time_s in self._pages:
                yield self._picture(file, av.VideoFrame.from_ndarray(image, "bgr24"), time_s)

    def _picture(self, file: Path, frame: av.VideoFrame, time_s: float) -> Picture:
        index = self.counters.decoded
        self.counters.decoded += 1
        return Picture(
            frame=frame,
            index=index,
            time_s=time_s,
            arrived_s=time.monotonic(),
            source=shown_name(file),
            time_from="rate",
        )

    def _notes(self) -> tuple[str, ...]:
        notes = []
        if self._too_large is not None:
            limit = f"{self._max_pixels / 1e6:g} megapixels"
            notes.append(f"{self._too_large_count} images of more than {limit} skipped")
        if self._several:
            name, count = self._several[0]
            among = f"{len(self._several)} files hold several pictures, such as {name}"
            what = f"{name} holds {count} pictures" if len(self._several) == 1 else among
            remedy = "ffmpeg or another converter makes a GIF, an MP4 or single images of it"
            if len(self._files) > 1:
                remedy = "name such a file by itself to read all of it"
            notes.append(f"{what}: only the first is used ({remedy})")
        return tuple(notes)

    def _read(self, file: Path) -> av.VideoFrame | None:
        """The image, or ``None`` when it is not one. From memory: FFmpeg takes ``%`` in a name for a pattern.

        Raises:
            SourceError: The machine has run out of memory or files.
        """
        try:
            data = file.read_bytes()
            count = picture_count(data)
            frame = self._decode_first(shown_name(file), data, animated=count > 1)
        except SourceError as error:
            self._too_large = self._too_large or error
            self._too_large_count += 1
            return None
        except (*problems.READ_ERRORS, MemoryError) as error:
            if failure := problems.out_of_means(shown_name(file), error):
                raise failure from error
            return None
        if frame is not None:
            self.counters.concealed += is_cut_off_jpeg(data)
            if count > 1:
                self._read_pages(file, data, count, frame)
        return frame

    def _read_pages(self, file: Path, data: bytes, count: int, first: av.VideoFrame) -> None:
        """The further pictures of a file that was named by itself; of others a note will tell."""
        found: list[tuple[Any, float]] = []
        if len(self._files) == 1:
            size = (first.width, first.height)
            found = all_pictures(data, count=count, size=size, rate=self._asked_rate)
        if len(found) < 2:
            self._several.append((file.name, count))
            return
        self._pages, self._announced = found[1:], count
        self._rate = (len(found) - 1) / found[-1][1]

    def _decode_first(self, name: str, data: bytes, *, animated: bool) -> av.VideoFrame | None:
        """The first picture of an image file, ``None`` where there is none.

        Raises:
            SourceError: It has too many pixels.
        """
        if (size := picture_size(data)) is not None:  # FFmpeg says nothing of what is too large for it
            problems.check_pixels(name, size, self._max_pixels)
        with av.open(io.BytesIO(data), "r") as container:
            if not container.streams.video:
                return None
            context = container.streams.video[0].codec_context
            problems.check_pixels(name, (context.width, context.height), self._max_pixels)
            self._codec = context.name
            if animated and context.name == "webp":  # FFmpeg 8.1 reads none of its pictures
                return _first_of_webp(data)
            context.options = codec_options(self._max_pixels)
            return next(iter(container.decode(video=0)), None)


def _first_of_webp(data: bytes) -> av.VideoFrame | None:
    import cv2

    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else av.VideoFrame.from_ndarray(np.ascontiguousarray(image, np.uint8), "bgr24")
