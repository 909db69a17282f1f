"""Saved instances as an output: segment a recording once, track it many times; see :mod:`tracker.formats.instances`."""

from __future__ import annotations

import contextlib
import io
import math
import shutil
import time
from typing import TYPE_CHECKING, ClassVar, Self

from tracker.errors import SinkError
from tracker.formats.instances import SavedModel, pack_frame, with_camera
from tracker.recount import notes_of_camera
from tracker.sinks.base import Sink
from tracker.sinks.part_file import PartFile, refusal, without_rows

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tracker.events import Event
    from tracker.recount import CameraNote
    from tracker.sinks.base import SinkContext
    from tracker.types import TrackedFrame

__all__ = ["InstancesSink"]


class InstancesSink(Sink):
    """One block per frame, valid after every one.

    Args:
        path: The final path.
        model: Of the stream.

    Raises:
        SinkError: The folder is missing or not writable.
    """

    keeps_instances: ClassVar[bool] = True

    def __init__(self, path: str | os.PathLike[str], model: SavedModel) -> None:
        self._part = PartFile(path)
        self._file = self._part.open()
        self.path = self._part.path
        self.frames = 0
        self._head = model.head()
        self._size = 0
        self._camera: list[CameraNote] = []
        self._last_block = b""
        self._cpu_s = {"records": 0.0}
        self._failure: SinkError | None = None
        self._closed = False

    @classmethod
    def open(cls, address: str, context: SinkContext) -> Self:
        """Open it at a path; see :class:`tracker.sinks.base.Sink`."""
        model = SavedModel(
            class_names=tuple(context.class_names),
            confirmation_score=context.confirmation_score,
            digest=context.model_digest,
            frame_rate=context.frame_rate,
            image_names=context.image_names,
            start_ms=context.start_ms,
        )
        return cls(address, model)

    @classmethod
    def why_not_joined(cls, address: str) -> str:  # noqa: ARG003 - every file can be
        """Nothing: frames stand one after another."""
        return ""

    @classmethod
    def join(cls, path: Path, chunks: Sequence[Path], starts_s: Sequence[float]) -> None:  # noqa: ARG003 - in the frames
        """Copy the frames of one chunk after another."""
        with PartFile(path) as part, io.BufferedWriter(part.open()) as raw:
            for number, chunk in enumerate(chunks):
                with chunk.open("rb") as file:
                    head = file.readline()
                    if not number:
                        raw.write(head)
                    shutil.copyfileobj(file, raw)

    @property
    def address(self) -> str:
        """The final path, as the user wrote it."""
        return str(self.path)

    @property
    def cpu_s(self) -> Mapping[str, float]:
        """CPU seconds spent by stage."""
        return self._cpu_s

    def part_bytes(self) -> int:
        """Bytes on the disk so far; raises as :meth:`tracker.sinks.part_file.PartFile.size` does."""
        return self._part.size()

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Add one frame.

        Raises:
            SinkError: The system refuses; the frames before are kept.
        """
        if self._failure is not None:
            raise self._failure
        if tracked_frame.events:
            self._camera += notes_of_camera(tracked_frame.events, tracked_frame.frame.time_s)
        if not tracked_frame.detected:
            return  # nothing was segmented in it
        started_s = time.thread_time()
        self._last_block = pack_frame(tracked_frame, camera=self._camera)
        self._put((b"" if self._size else self._head) + self._last_block)
        self.frames += 1
        self._camera = []
        self._cpu_s["records"] += time.thread_time() - started_s

    def write_events(self, events: Sequence[Event]) -> None:
        """Add to the last frame how the states of the camera ended that lasted to the end of the stream.

        Raises:
            SinkError: The system refuses.
        """
        camera = [*self._camera, *notes_of_camera(events, math.inf)]
        if self._failure is not None or not camera or not self._last_block:
            return
        block, self._camera = self._last_block, []
        self._cut(self._size - len(block))
        try:
            self._put(with_camera(block, camera))
        except SinkError:
            with contextlib.suppress(SinkError):  # there was room for it before
                self._put(block)
            raise

    def close(self) -> None:
        """Publish the file; safe to call twice.

        Raises:
            SinkError: The system refuses.
        """
        if self._closed:
            return
        self._closed = True
        raised_before = self._failure is not None
        if not self._size and not raised_before:
            with contextlib.suppress(Exception):
                self._put(self._head)
        self._file.close()
        if self._size:
            self._part.publish()
        else:
            self._part.discard()
        if self._failure is not None and not raised_before:
            raise self._failure

    def abort(self) -> None:
        """Keep what is done without raising; without a frame nothing is published."""
        if self.frames == 0 and not self._closed:
            self._closed = True
            self._file.close()
            self._part.discard()
        super().abort()

    def _cut(self, size: int) -> None:
        self._file.truncate(size)
        self._file.seek(size)
        self._size = size

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as failure:
            with contextlib.suppress(OSError):
                self._cut(self._size)
            self._failure = refusal(self.path, failure, f"write frame {self.frames}")
            if not self._size:
                self._failure = without_rows(self._failure)
            raise self._failure from failure
        self._size += len(data)
