"""Annotated video, drawn and encoded in a thread behind a bounded queue."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from pathlib import PurePath
from typing import TYPE_CHECKING, ClassVar, Self

from tracker.errors import ConfigError, SinkError
from tracker.sinks.base import Sink
from tracker.sinks.encoder import VideoEncoder

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from tracker.sinks.base import SinkContext
    from tracker.sinks.sound import Sound
    from tracker.types import TrackedFrame

__all__ = ["VideoSink"]

SINGLE = {
    ".gif": "a GIF holds its colours once for all pictures",
    ".avi": "an AVI knows no times, and chunks could not be put at theirs",
}
"""Containers that are written in one piece, and why."""

QUEUE_FRAMES = 4
"""Frames that may wait: enough to even out key frames, 100 MB at 4K."""


class VideoSink(Sink):
    """Draws every frame and encodes it.

    Args:
        path: The final path; its suffix chooses the container.
        draw: Makes the annotated picture ``(H, W, 3)`` uint8 BGR of a frame, in the drawing thread; usually
            :meth:`tracker.render.annotate.Annotator.draw`.
        crf: Constant rate factor, smaller is better and larger.
        preset: x264's speed preset; ``None`` chooses by size. Measured on ``traffic.mp4`` (640 x 360) in CPU ms per
            frame, kB/s and dB against the drawn picture: ultrafast 1.3, 154, 40.2; superfast 1.6, 84, 39.8;
            veryfast 2.7, 40, 37.8.
        frame_rate: Nominal rate of the source.
        sound: Opens the sound that is copied beside the pictures; ``None`` for a silent video.
        encoder_threads: Threads of the encoder; ``None`` chooses by size.

    Attributes:
        path: The final path, as the user wrote it.

    Raises:
        ConfigError: The suffix is unknown, FFmpeg has no encoder for it, or the container does not hold the sound.
        SinkError: The folder is missing or not writable.
    """

    needs_images: ClassVar[bool] = True
    draws_only: ClassVar[bool] = True
    shows_silhouettes: ClassVar[bool] = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        draw: Callable[[TrackedFrame], NDArray[np.uint8]],
        crf: int | None = None,
        preset: str | None = None,
        frame_rate: float | None = None,
        sound: Callable[[], Sound] | None = None,
        encoder_threads: int | None = None,
    ) -> None:
        self._encoder = VideoEncoder(
            path, crf=crf, preset=preset, frame_rate=frame_rate, sound=sound, threads=encoder_threads
        )
        self._draw = draw
        self.path = path
        self._cpu_s = {"draw": 0.0, "encode": 0.0}
        self._frames: queue.Queue[TrackedFrame | None] = queue.Queue(maxsize=QUEUE_FRAMES)
        self._failure: Exception | None = None
        self._reported = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="masktrail-video", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, address: str, context: SinkContext) -> Self:
        """Open it at a path; see :class:`tracker.sinks.base.Sink`.

        Raises:
            ConfigError: The context says nothing of how to draw.
        """
        if context.draw is None:
            problem = "expected a context with a drawing function for a video, found none"
            raise ConfigError(address, problem, "open it with tracker.open_sink, or set SinkContext.draw")
        return cls(address, draw=context.draw, frame_rate=context.frame_rate, sound=context.sound, crf=context.crf)

    @classmethod
    def why_not_joined(cls, address: str) -> str:
        """Why a container is written in one piece; nothing for most.

        >>> VideoSink.why_not_joined("out/a.gif"), VideoSink.why_not_joined("out/a.mp4")
        ('a GIF holds its colours once for all pictures', '')
        """
        return SINGLE.get(PurePath(address).suffix.lower(), "")

    @classmethod
    def join(cls, path: Path, chunks: Sequence[Path], starts_s: Sequence[float]) -> None:
        """Copy the packets of all chunks."""
        from tracker.sinks.remux import join_videos

        join_videos(path, chunks, starts_s)

    @property
    def address(self) -> str:
        """The final path, as the user wrote it."""
        return str(self.path)

    @property
    def cpu_s(self) -> Mapping[str, float]:
        """CPU seconds of ``draw`` and ``encode`` in the drawing thread: all of it, with one encoder thread."""
        return self._cpu_s

    @property
    def frames(self) -> int:
        """Frames encoded so far."""
        return self._encoder.frames

    def part_bytes(self) -> int:
        """Bytes on the disk so far; raises as :meth:`tracker.sinks.part_file.PartFile.size` does."""
        return self._encoder.part_bytes()

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Hand over one frame; waits while the queue is full.

        Raises:
            SinkError: Drawing or encoding an earlier frame failed; the video up to there is kept.
        """
        self._raise_failure()
        self._frames.put(tracked_frame)

    def close(self) -> None:
        """Encode what waits and publish the video; safe to call twice.

        Raises:
            SinkError: The system refused something that :meth:`write` has not reported yet.
        """
        if self._closed:
            return
        self._closed = True
        self._frames.put(None)
        self._thread.join()
        if self._failure is not None and not self._reported:
            self._raise_failure()

    def abort(self) -> None:
        """Keep what is done, as :meth:`close` does, without raising; without a frame nothing is published."""
        with contextlib.suppress(Exception):
            self.close()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            self._reported = True
            raise self._failure

    def _run(self) -> None:
        while (tracked_frame := self._frames.get()) is not None:
            # After a failure the queue is drained all the same, so that no thread waits for ever on a full one.
            if self._failure is None:
                try:
                    self._take(tracked_frame)
                except Exception as failure:  # noqa: BLE001 - raised in the caller's thread
                    self._failure = failure
        try:
            started_s = time.thread_time()
            self._encoder.finish()
            self._cpu_s["encode"] += time.thread_time() - started_s
        except SinkError as failure:
            self._failure = self._failure or failure

    def _take(self, tracked_frame: TrackedFrame) -> None:
        started_s = time.thread_time()
        image = self._draw(tracked_frame)
        drawn_s = time.thread_time()
        frame = tracked_frame.frame
        self._encoder.encode(image, frame.time_s, pixel_aspect=frame.pixel_aspect)
        self._cpu_s["draw"] += drawn_s - started_s
        self._cpu_s["encode"] += time.thread_time() - drawn_s
