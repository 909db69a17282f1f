"""Tracked frames of recordings and cameras as an iterator: the engine for programs that look at every frame."""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Any, ClassVar

from tracker.engine.run import Run
from tracker.settings.stream import RunSettings
from tracker.sinks.base import Sink

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

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
    """Gives frames to another thread, which may leave."""

    needs_images: ClassVar[bool] = False

    def __init__(self) -> None:
        self.frames: queue.Queue[TrackedFrame | None] = queue.Queue(AHEAD_FRAMES)
        self._left = False

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Wait until there is room, or the consumer has stopped."""
        self._put(tracked_frame)

    def close(self) -> None:
        """Nothing: another source may follow."""

    def end(self) -> None:
        """No more frames."""
        self._put(None)

    def leave(self) -> None:
        """No more frames are wanted."""
        self._left = True
        with contextlib.suppress(queue.Empty):
            while True:
                self.frames.get_nowait()

    def _put(self, item: TrackedFrame | None) -> None:
        while not self._left:
            try:
                self.frames.put(item, timeout=0.1)
            except queue.Full:
                continue
            return


class _PictureHandover(_Handover):
    needs_images: ClassVar[bool] = True
