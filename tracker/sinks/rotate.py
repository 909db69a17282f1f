"""Rotation of endless recordings: one complete file after another, by time or size."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import SinkError
from tracker.sinks.base import Sink
from tracker.sinks.exclusive import check_free

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tracker.events import Event
    from tracker.types import TrackedFrame

__all__ = ["RotatingSink"]

SIZE_CHECK_S = 1.0
RETRY_S = 30.0
"""After a refusal (disk full, folder gone) a new part is begun this much later: there may be room by then."""


class RotatingSink(Sink):
    """Begins a new file by time or size; a part appears under its name when it is complete.

    Args:
        template: Path with ``{time}``, which becomes the part's first moment in UTC, ``20261122T145501Z``.
        opener: Opens one part.
        every_s: Longest part in seconds, or ``None``.
        max_bytes: A part is ended when it has this size, checked once a second, or ``None``.
        on_error: Called for parts that could not be written; frames are lost until a new part can be begun.
        now: The current time in UTC.
        monotonic: A clock for durations.
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
        self.parts: int = 0
        self._template, self._opener = template, opener
        self._every_s, self._max_bytes = every_s, max_bytes
        self._on_error, self._now, self._monotonic = on_error, now, monotonic
        self._sink: Sink | None = None
        self._begun_s = 0.0
        self._checked_s = 0.0
        self._bytes = 0
        self._retry_at_s: float | None = None
        self._closed = False

    @property
    def address(self) -> str:
        """The template of the parts' paths."""
        return self._template

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Add one frame, in a new part where the current one is full; never raises for a refusal of the system."""
        now_s = self._monotonic()
        if self._retry_at_s is not None and now_s < self._retry_at_s:
            return
        try:
            if self._sink is not None:
                self._look(now_s)
            if self._sink is not None and self._is_full(now_s):
                self._finish()
            if self._sink is None:
                self._begin(now_s)
            if self._sink is not None:
                self._sink.write(tracked_frame)
        except SinkError as failure:
            self._give_up(failure, now_s)

    def write_events(self, events: Sequence[Event]) -> None:
        """Add them to the current part, or to one of their own where the last one was given up."""
        now_s = self._monotonic()
        try:
            if self._sink is None:
                self._begin(now_s)
            if self._sink is not None:
                self._sink.write_events(events)
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

    def _look(self, now_s: float) -> None:
        """Once a second see how large the part is; one that was removed is given up and another begun."""
        if now_s - self._checked_s < SIZE_CHECK_S:
            return
        self._checked_s = now_s
        try:
            self._bytes = self._sink.part_bytes() if self._sink is not None else 0
        except SinkError as failure:
            self._give_up(failure, now_s)
            self._retry_at_s = None

    def _is_full(self, now_s: float) -> bool:
        if self._every_s is not None and now_s - self._begun_s >= self._every_s:
            return True
        return self._max_bytes is not None and self._bytes >= self._max_bytes

    def _begin(self, now_s: float) -> None:
        path = Path(self._template.replace("{time}", self._now().strftime("%Y%m%dT%H%M%SZ")))
        stem, suffixes = path.name.partition(".")[::2]
        number = 2
        while path.exists() or not _is_free(path):  # two parts within a second, or two processes
            path = path.with_name(f"{stem}-{number}.{suffixes}")
            number += 1
        self._sink = self._opener(path)
        self._begun_s, self._checked_s, self._bytes = now_s, now_s, 0
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
                sink.abort()
            except SinkError as another:
                failure = another
        if self._on_error is not None:
            self._on_error(failure)


def _is_free(path: Path) -> bool:
    try:
        check_free(path)
    except SinkError:
        return False
    return True
