"""Tracked frames enter; an annotated video leaves, drawn and encoded in a thread behind a bounded queue."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from typing import TYPE_CHECKING

from tracker.errors import SinkError
from tracker.render.annotate import Annotator
from tracker.sinks.closing import Closing
from tracker.sinks.encoder import VideoEncoder

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from tracker.types import TrackedFrame

__all__ = ["VideoSink"]

QUEUE_FRAMES = 4
"""Frames that may wait: enough to even out key frames, 100 MB at 4K."""


class VideoSink(Closing):
    """Draws every frame and encodes it.

    Args:
        path: The final path; its suffix chooses the container.
        annotator: How frames are drawn; a plain :class:`~tracker.render.annotate.Annotator` by default.
        crf: Constant rate factor, smaller is better and larger.
        preset: x264's speed preset; ``None`` chooses by size. Measured on ``traffic.mp4`` (640 x 360) in CPU ms per
            frame, kB/s and dB against the drawn picture: ultrafast 1.3, 154, 40.2; superfast 1.6, 84, 39.8;
            veryfast 2.7, 40, 37.8.
        frame_rate: Nominal rate of the source.
        encoder_threads: Threads of the encoder; ``None`` chooses by size.
        on_drawn: Called with every drawn picture and its frame, in the drawing thread; must not change the picture.

    Attributes:
        path: The final path, as the user wrote it.
        cpu_s: CPU seconds spent in ``draw`` and ``encode`` by the drawing thread, which is all of it with one encoder
            thread.

    Raises:
        ConfigError: The suffix is unknown or FFmpeg has no encoder for it.
        SinkError: The folder is missing or not writable.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        annotator: Annotator | None = None,
        crf: int | None = None,
        preset: str | None = None,
        frame_rate: float | None = None,
        encoder_threads: int | None = None,
        on_drawn: Callable[[NDArray[np.uint8], TrackedFrame], None] | None = None,
    ) -> None:
        self._encoder = VideoEncoder(path, crf=crf, preset=preset, frame_rate=frame_rate, threads=encoder_threads)
        self._annotator = annotator or Annotator()
        self._on_drawn = on_drawn
        self.path = path
        self.cpu_s = {"draw": 0.0, "encode": 0.0}
        self._frames: queue.Queue[TrackedFrame | None] = queue.Queue(maxsize=QUEUE_FRAMES)
        self._failure: Exception | None = None
        self._reported = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="masktrail-video", daemon=True)
        self._thread.start()

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
            # After a failure the queue is drained all the same, so that nobody waits for ever on a full one.
            if self._failure is None:
                try:
                    self._take(tracked_frame)
                except Exception as failure:  # noqa: BLE001 - raised in the caller's thread
                    self._failure = failure
        try:
            started_s = time.thread_time()
            self._encoder.finish()
            self.cpu_s["encode"] += time.thread_time() - started_s
        except SinkError as failure:
            self._failure = self._failure or failure

    def _take(self, tracked_frame: TrackedFrame) -> None:
        started_s = time.thread_time()
        image = self._annotator.draw(tracked_frame)
        if self._on_drawn is not None:
            self._on_drawn(image, tracked_frame)
        drawn_s = time.thread_time()
        frame = tracked_frame.frame
        self._encoder.encode(image, frame.time_s, pixel_aspect=frame.pixel_aspect)
        self.cpu_s["draw"] += drawn_s - started_s
        self.cpu_s["encode"] += time.thread_time() - drawn_s
