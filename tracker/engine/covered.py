"""Privacy cover of an output: its pictures wait for the frames after them, and are covered before it sees them."""

from __future__ import annotations

import difflib
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tracker.engine.counting import listed_classes
from tracker.errors import ConfigError
from tracker.render.privacy import HOLD_S, Cover, presence_of
from tracker.render.privacy_paint import fill, fill_zones, pixelate
from tracker.sinks.base import Sink

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from tracker.engine.plan import StreamPlan
    from tracker.events import Event
    from tracker.polygons import Point
    from tracker.render.privacy import Shape
    from tracker.settings.choices import PrivacyMode
    from tracker.sinks.base import Checkpoint
    from tracker.types import TrackedFrame

__all__ = ["CoveredSink", "Covering", "covering_of", "privacy_notes"]

NOT_PRIVATE = "pixelate is not private: people may be recognised by clothes, gait and several pictures; use fill"


@dataclass(frozen=True, slots=True, kw_only=True)
class Covering:
    """What is covered in all pictures of a stream.

    Attributes:
        mode: How persons are covered.
        class_ids: Classes that are covered.
        zones: Corners of the site's privacy zones, which are filled whatever the mode is.
    """

    mode: PrivacyMode = "none"
    class_ids: frozenset[int] = frozenset()
    zones: tuple[tuple[Point, ...], ...] = ()

    @property
    def delay_s(self) -> float:
        """How long pictures wait for the frames after them."""
        return 0.0 if self.mode == "none" else HOLD_S

    def __bool__(self) -> bool:
        return self.mode != "none" or bool(self.zones)

    def paint(self, picture: NDArray[np.uint8], shapes: Sequence[Shape], image_size: tuple[int, int]) -> None:
        """Cover shapes and zones in a picture of any size, in place; arguments as those of :func:`fill`."""
        if self.mode == "pixelate":
            pixelate(picture, shapes, image_size)
        elif self.mode == "fill":
            fill(picture, shapes, image_size)
        fill_zones(picture, self.zones)


def covering_of(plan: StreamPlan, class_names: Sequence[str]) -> Covering:
    """What a stream covers; false where it is nothing.

    Args:
        plan: Of the stream.
        class_names: Of its model.

    Raises:
        ConfigError: The model has no such class, or the stream leaves out what is to be covered.
    """
    settings = plan.settings
    zones = () if plan.site is None else plan.site.never_shown
    if settings.privacy == "none":
        return Covering(zones=zones)
    offender = f"privacy_classes of {plan.name}"
    lowered = [name.lower() for name in class_names]
    kept = {name.lower() for name in settings.classes}
    for name in settings.privacy_classes:
        if name.lower() not in lowered:
            close = difflib.get_close_matches(name.lower(), lowered, 1)
            remedy = (
                f"did you mean {class_names[lowered.index(close[0])]!r}?" if close else "name what is a person there"
            )
            problem = f"expected classes of the model, found {name!r}; it has {listed_classes(class_names)}"
            raise ConfigError(offender, problem, remedy)
        if kept and name.lower() not in kept:
            problem = f"expected {name!r} among the classes that are tracked, found only {', '.join(settings.classes)}"
            raise ConfigError(offender, problem, "add it to `classes`: what is not looked for cannot be covered")
    wanted = {name.lower() for name in settings.privacy_classes}
    class_ids = frozenset(number for number, name in enumerate(lowered) if name in wanted)
    return Covering(mode=settings.privacy, class_ids=class_ids, zones=zones)


def privacy_notes(plan: StreamPlan) -> list[str]:
    """What people must know about how a stream is covered."""
    return [NOT_PRIVATE] if plan.settings.privacy == "pixelate" else []


class CoveredSink(Sink):
    """An output that gets covered pictures only.

    Frames come to it late by :attr:`Covering.delay_s` of media time, all of them and in order; at the end of the stream
    the last ones are covered with what is known. Their network input and small picture are taken away: pictures too.

    Args:
        sink: The output.
        covering: What is covered.
    """

    def __init__(self, sink: Sink, covering: Covering) -> None:
        self._sink, self._covering = sink, covering
        self._cover = Cover(delay_s=covering.delay_s)
        self._waiting: deque[TrackedFrame] = deque()
        self._cpu_s = 0.0

    @property
    def address(self) -> str:
        """That of the output."""
        return self._sink.address

    @property
    def cpu_s(self) -> Mapping[str, float]:
        """CPU seconds of the output, and of ``cover``."""
        return {**self._sink.cpu_s, "cover": self._cpu_s}

    def part_bytes(self) -> int:
        """Those of the output."""
        return self._sink.part_bytes()

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Take one frame, and give those on that have waited long enough."""
        started_s = time.thread_time()
        time_s = tracked_frame.frame.time_s
        if self._waiting and time_s <= self._waiting[-1].frame.time_s:
            self._flush()  # another clock: what was about them is not coming
        if self._covering.mode != "none":
            self._cover.add(presence_of(tracked_frame, class_ids=self._covering.class_ids))
        self._waiting.append(tracked_frame)
        self._cpu_s += time.thread_time() - started_s
        while self._waiting and time_s - self._waiting[0].frame.time_s >= self._covering.delay_s - 1e-6:
            self._give()

    def write_events(self, events: Sequence[Event]) -> None:
        """Give on what waits, and the events."""
        self._flush()
        self._sink.write_events(events)

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Give on what waits, and the checkpoint."""
        self._flush()
        self._sink.checkpoint(checkpoint)

    def close(self) -> None:
        """Give on what waits, and complete the output."""
        try:
            self._flush()
        finally:
            self._sink.close()

    def abort(self) -> None:
        """Keep what the output has; what waits is given up."""
        self._waiting.clear()
        self._sink.abort()

    def _flush(self) -> None:
        while self._waiting:
            self._give()

    def _give(self) -> None:
        started_s = time.thread_time()
        tracked = self._waiting.popleft()
        frame = replace(tracked.frame, small_image=None, network_image=None, letterbox=None)
        if frame.image is not None:
            picture = frame.image.copy()  # other outputs hold the same one
            shapes = self._cover.shapes(frame.time_s) if self._covering.mode != "none" else []
            self._covering.paint(picture, shapes, frame.size)
            frame = replace(frame, image=picture)
        self._cpu_s += time.thread_time() - started_s
        self._sink.write(replace(tracked, frame=frame))
