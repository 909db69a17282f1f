"""File object for FFmpeg that keeps the first refusal of the system for later inspection.

FFmpeg writes behind a buffer and reports a full disk late, or, while it ends a file, not at all.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from io import FileIO
    from types import TracebackType

__all__ = ["BUFFER_BYTES", "WatchedFile"]

BUFFER_BYTES = 1 << 18
"""What FFmpeg collects before it calls us: few calls, and at most this much lost with a killed process."""


class WatchedFile:
    """A file for ``av.open(file=...)``.

    Args:
        file: Open for writing, unbuffered; closed with this.
        name: What messages say.

    Attributes:
        failure: The first error of the system; after it nothing more is written, so that the file has no holes.
    """

    def __init__(self, file: FileIO, *, name: str) -> None:
        self._file = file
        self.name = name
        self.failure: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write everything or raise."""
        if self.failure is not None:
            raise self.failure
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as failure:
            self.failure = failure
            raise
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to ``offset``."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The present place."""
        return self._file.tell()

    def seekable(self) -> bool:
        """Whether there are places to move to; pipes have none."""
        return self._file.seekable()

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._file.close()

    def check(self) -> None:
        """Raise what the system refused, if it did."""
        if self.failure is not None:
            raise self.failure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
