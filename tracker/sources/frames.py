"""Frames made elsewhere, by a program or a renderer, as a source of the engine."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol, Self

from tracker.errors import TrackerError
from tracker.sources.decoded import SourceCounters, SourceInfo
from tracker.sources.source import StageTimes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tracker.types import Frame

__all__ = ["FrameFeed", "FrameSource"]

ONE_AFTER_ANOTHER = 1 << 30
"""Reported number of waiting frames: the iterable makes each on demand, so any large number will do."""


class FrameFeed(Protocol):
    """What the engine asks of a source: :class:`tracker.sources.source.Source` and :class:`FrameSource` have it."""

    @property
    def info(self) -> SourceInfo:
        """Description of the stream."""
        ...

    @property
    def counters(self) -> SourceCounters:
        """Counts of its frames so far."""
        ...

    @property
    def stage_times(self) -> StageTimes:
        """CPU time so far."""
        ...

    @property
    def waiting(self) -> int:
        """Frames that wait, plus one for an error that is to be raised."""
        ...

    @property
    def exhausted(self) -> bool:
        """Whether no further frame will arrive after those that wait."""
        ...

    @property
    def ended(self) -> bool:
        """Whether no frame waits and none will arrive."""
        ...

    def poll(self) -> Frame | None:
        """The next frame, if one waits."""
        ...

    def show_images(self, *, wanted: bool) -> None:
        """Have frames carry their full-size images, or only where they were opened with them, from now on."""
        ...

    def close(self) -> None:
        """Stop reading; safe to call twice."""
        ...


class FrameSource:
    """An iterable of frames with what the engine asks of a source; frames are made in the thread that takes them.

    Args:
        frames: In order of their index and time.
        name: What messages call it.
        fps: Frames per second, which videos note.

    Example:
        >>> from tracker.engine.stream import Stream
        >>> stream = Stream(name="scene", open_source=FrameSource(frames, fps=30).open)  # doctest: +SKIP
    """

    def __init__(self, frames: Iterable[Frame], *, name: str = "frames", fps: float = 0.0) -> None:
        self._frames = iter(frames)
        self._ended = False
        self._taken = 0
        self._info = SourceInfo(
            name=name,
            size=(0, 0),
            fps=fps,
            frame_count=None,
            duration_s=None,
            is_live=False,
            codec="frames",
            time_from="stamps",
        )

    def open(self, _on_ready: Callable[[], None], _on_link: object) -> Self:
        """The source itself, as a stream opens it."""
        return self

    @property
    def info(self) -> SourceInfo:
        """Description of the stream; ``size`` is ``(0, 0)`` before the first frame."""
        return self._info

    @property
    def counters(self) -> SourceCounters:
        """Counts of the frames so far."""
        return SourceCounters(decoded=self._taken)

    @property
    def stage_times(self) -> StageTimes:
        """Nothing is decoded."""
        return StageTimes(decode_s=0.0, convert_s=0.0, frames=self._taken)

    @property
    def waiting(self) -> int:
        """Many, until the iterable is at its end."""
        return 0 if self._ended else ONE_AFTER_ANOTHER

    @property
    def exhausted(self) -> bool:
        """Whether the iterable is at its end."""
        return self._ended

    @property
    def ended(self) -> bool:
        """The same."""
        return self._ended

    def poll(self) -> Frame | None:
        """The next frame, once the iterable has made it; ``None`` at the end.

        Raises:
            TrackerError: Of the iterable, which ends it.
        """
        if self._ended:
            return None
        try:
            frame = next(self._frames, None)
        except TrackerError:
            self._ended = True
            raise
        if frame is None:
            self._ended = True
            return None
        if self._taken == 0:
            self._info = dataclasses.replace(self._info, size=frame.size)
        self._taken += 1
        return frame

    def show_images(self, *, wanted: bool) -> None:
        """Nothing: the frames have what their maker gave them."""

    def close(self) -> None:
        """Take no further frame."""
        self._ended = True
