"""Base of all records that are lines of text; the file is valid after every frame.

Lines of one frame are written together; when the system refuses (disk full), the file
is cut back to its last whole line, finished and published, so that what was written stays readable. A file without any
line is not: a camera on a full disk would leave an empty one with every attempt.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import time
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from tracker.errors import SinkError
from tracker.sinks.base import Sink
from tracker.sinks.final_classes import ClassWatch, write_final_classes
from tracker.sinks.part_file import PartFile, refusal, without_rows

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping, Sequence
    from io import FileIO
    from pathlib import Path

    from tracker.types import TrackedFrame

__all__ = ["TextSink"]

FLUSH_BYTES = 1 << 18
FLUSH_S = 1.0
"""Lines wait at most this long in memory, so that a killed process loses a second."""

TAIL_BYTES = 1 << 16


class TextSink(Sink):
    """A file of lines under a temporary name until it is closed.

    Args:
        path: The final path.
        head: What the file starts with, published even when no frame comes.
        final_classes: When the file is complete, give every identity its final class in all of its rows. A device or a
            pipe, and what a full disk has no room to copy, keeps the vote so far.

    Attributes:
        path: The final path, as the user wrote it.
        frames: Frames written.

    Raises:
        SinkError: The folder is missing or not writable.
    """

    head_lines: ClassVar[int] = 0
    """Lines that every file begins with, once."""

    row_pattern: ClassVar[re.Pattern[bytes]]
    """A line from its beginning, with the groups ``id`` and ``class``; lines of no identity do not match."""

    then_mark: ClassVar[bytes] = b""
    """What stands between the final class and the vote so far; empty: rows have no room for the latter."""

    def __init__(self, path: str | os.PathLike[str], *, head: str = "", final_classes: bool = True) -> None:
        self._part = PartFile(path)
        self._file = self._part.open()
        self.path = self._part.path
        self.frames = 0
        self._cpu_s = {"records": 0.0}
        self._waiting: list[bytes] = [head.encode()] if head else []
        self._waiting_bytes = len(head)
        self._flushed_s = time.monotonic()
        self._head_bytes = len(head.encode())
        self._watch = ClassWatch() if final_classes and not self._part.direct else None
        self._failure: SinkError | None = None
        self._nothing_kept = False
        self._closed = False

    @classmethod
    def why_not_joined(cls, address: str) -> str:  # noqa: ARG003 - every file of lines can be
        """Nothing: lines can be written in chunks."""
        return ""

    @classmethod
    def join(cls, path: Path, chunks: Sequence[Path], starts_s: Sequence[float]) -> None:  # noqa: ARG003 - as written
        """Copy the lines of one chunk after another."""
        with PartFile(path) as part, io.BufferedWriter(part.open()) as raw:
            for number, chunk in enumerate(chunks):
                with chunk.open("rb") as lines:
                    for _ in range(cls.head_lines if number else 0):
                        lines.readline()
                    shutil.copyfileobj(lines, raw)
            raw.flush()
            cls._write_final_classes(part)

    @property
    def address(self) -> str:
        """The final path, as the user wrote it."""
        return str(self.path)

    @property
    def cpu_s(self) -> Mapping[str, float]:
        """CPU seconds spent by stage."""
        return self._cpu_s

    @classmethod
    def _write_final_classes(cls, part: PartFile) -> None:
        """Give every identity of a complete file its final class; see :func:`write_final_classes`."""
        write_final_classes(part, cls.row_pattern, then_mark=cls.then_mark)

    @abstractmethod
    def _lines(self, tracked_frame: TrackedFrame) -> str:
        """Everything that this frame adds to the file, whole lines."""

    def _tail(self) -> str:
        """What ends the file."""
        return ""

    def _mend(self, tail: bytes) -> bytes:
        """The last whole lines of a file that was cut, without what asks for a further line."""
        return tail

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Add one frame.

        Raises:
            SinkError: The system refuses; the file is valid up to the last line that was written, and :meth:`close`
                publishes it.
        """
        if self._failure is not None:
            raise self._failure
        started_s = time.thread_time()
        text = self._lines(tracked_frame)
        if self._watch is not None:
            self._watch.see(tracked_frame)
        self.frames += 1
        self._add(text)
        self._cpu_s["records"] += time.thread_time() - started_s

    def _add(self, text: str) -> None:
        """Write whole lines; they wait in memory for a second at most."""
        data = text.encode()
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= FLUSH_BYTES or time.monotonic() - self._flushed_s >= FLUSH_S:
            self._flush()

    def close(self) -> None:
        """Finish the file and give it its final name; safe to call twice.

        Raises:
            SinkError: The system refuses the last lines; what was written before is published all the same, if it is
                anything.
        """
        if self._closed:
            return
        self._closed = True
        raised_before = self._failure is not None
        try:
            self._waiting.append(self._tail().encode())
            if self._failure is None:
                with contextlib.suppress(SinkError):
                    self._flush()
        finally:
            self._file.close()
        if self._nothing_kept:
            self._part.discard()
        else:
            self._settle_classes()
            self._part.publish()
        if self._failure is not None and not raised_before:
            raise self._failure

    def abort(self) -> None:
        """Keep what is done, as :meth:`close` does, without raising; without a frame nothing is published."""
        if self.frames == 0 and not self._closed:
            self._closed = True
            self._file.close()
            self._part.discard()
            return
        with contextlib.suppress(SinkError):
            self.close()

    def part_bytes(self) -> int:
        """Bytes on the disk so far.

        Raises:
            SinkError: What was written was removed from outside.
        """
        return self._part.size()

    def _flush(self) -> None:
        data = memoryview(b"".join(self._waiting))
        self._waiting, self._waiting_bytes, self._flushed_s = [], 0, time.monotonic()
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as failure:
            self._failure = refusal(self.path, failure, f"write frame {self.frames}")
            self._repair()
            if self._nothing_kept:
                self._failure = without_rows(self._failure)
            raise self._failure from failure

    def _settle_classes(self) -> None:
        """Write the final classes; where the disk has no room for that, the rows stay as they are."""
        if self._watch is None or not self._watch.changed:
            return
        try:
            self._write_final_classes(self._part)
        except OSError as failure:
            self._failure = self._failure or refusal(self.path, failure, "write the final classes")

    def _repair(self) -> None:
        """Cut back to the last whole line and end the file there; to an earlier one if its end finds no room."""
        if self._part.direct:
            return
        end = self._tail().encode()
        with contextlib.suppress(OSError), self._part.open() as file:
            size = file.seek(0, os.SEEK_END)
            while True:
                start, tail = _last_lines(file, size)
                kept = self._mend(tail)
                self._nothing_kept = start + len(kept) <= self._head_bytes
                file.truncate(start + len(kept))
                file.seek(start + len(kept))
                with contextlib.suppress(OSError):
                    if file.write(end) == len(end):
                        return
                if self._nothing_kept:
                    return
                size = start + len(tail) - 1  # before that line's break


def _last_lines(file: FileIO, size: int) -> tuple[int, bytes]:
    """The last whole lines of the first ``size`` bytes, one at least if there is any, and where they start."""
    start = max(size - TAIL_BYTES, 0)
    file.seek(start)
    tail = file.read(size - start)
    while (cut := tail.rfind(b"\n")) < 0 and start > 0:
        start = max(start - TAIL_BYTES, 0)
        file.seek(start)
        tail = file.read(size - start)
    return start, tail[: cut + 1]
