"""Tracked frames of recordings and cameras as an iterator: the engine for programs that look at every frame."""

from __future__ import annotations

import contextlib
import queue
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from tracker.engine.run import Run
from tracker.settings.stream import RunSettings
from tracker.sinks.base import Sink

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from tracker.events import Event
    from tracker.types import TrackedFrame

__all__ = ["track"]

AHEAD_FRAMES = 4
"""Frames that wait for the program; then the engine waits for it too."""


def track(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | RunSettings,
    *,
    images: bool = False,
    **options: Any,
) -> Iterator[TrackedFrame]:
    """Track one source or several and give every frame with its instances and tracks, in order.

    The identities are those of ``masktrail track`` and :func:`tracker.run`: it is the same run. Leaving the loop early
    ends it, and what its outputs have is kept.

    With ``site="site.yaml"`` frames have ``events``. The last frame of a source has also those that are found at its
    end, so that with a site each frame is given when the next one is there.

    Args:
        source: As for :func:`tracker.run`; of several sources the frames of one come after those of another.
        images: Frames carry their full-size pictures, ``tracked.frame.image``.
        options: As for :func:`tracker.run`.

    Raises:
        TrackerError: A source, model or output cannot be opened or broke off; the frames before that are given.
    """
    if not isinstance(source, RunSettings):
        source = RunSettings.model_validate({"sources": source, **options})
    elif options:
        source = source.replace(**options)
    handover = (_PictureHandover if images else _Handover)()
    run = Run(source, beside=[handover])
    handover.holds_back = source.site is not None
    problems: list[BaseException] = []

    def work() -> None:
        try:
            problems.extend(failure for outcome in run.run() for failure in outcome.failures)
        except BaseException as failure:  # noqa: BLE001 - raised in the program's thread
            problems.append(failure)
        finally:
            handover.end()

    thread = threading.Thread(target=work, name="track", daemon=True)
    thread.start()
    try:
        while (tracked := handover.frames.get()) is not None:
            yield tracked
    finally:
        handover.leave()
        run.stop()
        thread.join()
    if problems:
        raise problems[0]


class _Handover(Sink):
    """Gives frames to another thread, which may leave.

    Attributes:
        holds_back: The last frame waits for the events of the end.
    """

    needs_images: ClassVar[bool] = False

    def __init__(self) -> None:
        self.frames: queue.Queue[TrackedFrame | None] = queue.Queue(AHEAD_FRAMES)
        self.holds_back = False
        self._held: TrackedFrame | None = None
        self._left = False

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Wait until there is room, or the consumer has stopped."""
        if self.holds_back:
            self._give_held()
            self._held = tracked_frame
        else:
            self._put(tracked_frame)

    def write_events(self, events: Sequence[Event]) -> None:
        """Add them to the last frame."""
        if self._held is not None:
            self._held = replace(self._held, events=(*self._held.events, *events))

    def close(self) -> None:
        """The last frame of a source; another source may follow."""
        self._give_held()

    def end(self) -> None:
        """No more frames."""
        self._put(None)

    def leave(self) -> None:
        """No more frames are wanted."""
        self._left = True
        with contextlib.suppress(queue.Empty):
            while True:
                self.frames.get_nowait()

    def _give_held(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._put(held)

    def _put(self, item: TrackedFrame | None) -> None:
        while not self._left:
            try:
                self.frames.put(item, timeout=0.1)
            except queue.Full:
                continue
            return


class _PictureHandover(_Handover):
    needs_images: ClassVar[bool] = True
