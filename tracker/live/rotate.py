"""Tracked frames enter; one file after another leaves, each complete: what endless cameras are recorded into."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracker.types import Sink, TrackedFrame

__all__ = ["RotatingSink"]

SIZE_CHECK_S = 1.0
RETRY_S = 30.0
"""After a refusal (disk full, folder gone) a new part is begun this much later: somebody may have made room."""


class RotatingSink:
    """Begins a new file by time or size; a part appears under its name when it is complete.

    Args:
        template: Path with ``{time}``, which becomes the part's first moment in UTC, ``20261122T145501Z``.
        opener: Opens one part.
        every_s: Longest part in seconds, or ``None``.
        max_bytes: A part is ended when it has this size, checked once a second, or ``None``.
        on_error: Told of parts that could not be written; frames are lost until a new part can be begun.
        now: What the clock on the wall says, in UTC.
        monotonic: A clock for durations.

    Raises:
        SinkError: The folder is missing or not writable.
    """

    def __init__(
        self,
        template: str,
        opener: Callable[[Path], Sink],
        *,
        every_s: float | None = 3600.0,
        max_bytes: int | None = None,
        on_error: Callable[[SinkError], None] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        folder = Path(template).parent
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            found = "no permission to write there" if folder.is_dir() else "nothing"
            raise SinkError(template, f"expected a writable folder {folder}, found {found}", f"mkdir -p {folder}")
        self.path = template
        self.parts: int = 0
        self._template, self._opener = template, opener
        self._every_s, self._max_bytes = every_s, max_bytes
        self._on_error, self._now, self._monotonic = on_error, now, monotonic
        self._sink: Sink | None = None
        self._part = Path()
        self._begun_s = 0.0
        self._checked_s = 0.0
        self._retry_at_s: float | None = None
        self._closed = False

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Add one frame, in a new part where the current one is full; never raises for a refusal of the system."""
        now_s = self._monotonic()
        if self._retry_at_s is not None and now_s < self._retry_at_s:
            return
        try:
            if self._sink is not None and self._is_full(now_s):
                self._finish()
            if self._sink is None:
                self._begin(now_s)
            if self._sink is not None:
                self._sink.write(tracked_frame)
        except SinkError as failure:
            self._give_up(failure, now_s)

    def close(self) -> None:
        """Complete the current part; safe to call twice.

        Raises:
            SinkError: The system refuses the last lines.
        """
        if not self._closed:
            self._closed = True
            self._finish()

    def _is_full(self, now_s: float) -> bool:
        if self._every_s is not None and now_s - self._begun_s >= self._every_s:
            return True
        if self._max_bytes is None or now_s - self._checked_s < SIZE_CHECK_S:
            return False
        self._checked_s = now_s
        try:
            return self._part.with_name(f".{self._part.name}.part").stat().st_size >= self._max_bytes
        except OSError:
            return False

    def _begin(self, now_s: float) -> None:
        path = Path(self._template.replace("{time}", self._now().strftime("%Y%m%dT%H%M%SZ")))
        stem, suffixes = path.name.partition(".")[::2]
        number = 2
        while path.exists():  # two parts within a second
            path = path.with_name(f"{stem}-{number}.{suffixes}")
            number += 1
        self._sink = self._opener(path)
        self._part, self._begun_s, self._checked_s = path, now_s, now_s
        self._retry_at_s = None
        self.parts += 1

    def _finish(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.close()

    def _give_up(self, failure: SinkError, now_s: float) -> None:
        sink, self._sink = self._sink, None
        self._retry_at_s = now_s + RETRY_S
        if sink is not None:
            try:
                getattr(sink, "abort", sink.close)()
            except SinkError as another:
                failure = another
        if self._on_error is not None:
            self._on_error(failure)
