"""Walkers, stages that count them and streams that serve both, for the tests of counting in the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import numpy as np

from tests.analytics.walks import through
from tests.engine.fakes import FakeSource, box
from tests.sources.cameras import wait_until
from tracker.associate.tracker import Tracker
from tracker.engine.counting import counting_stages
from tracker.engine.scheduler import Engine
from tracker.engine.stage import Stage
from tracker.engine.steady import SteadyTracker
from tracker.engine.stream import Stream
from tracker.events import Event
from tracker.settings.stream import StreamSettings
from tracker.sinks.base import Checkpoint, Sink
from tracker.site import Line, Site, Zone
from tracker.types import Frame, Instances, TrackedFrame

SIZE = (640, 360)
RIGHT = ((0.6, 0.1), (0.95, 0.1), (0.95, 0.95), (0.6, 0.95))
SITE = Site(
    lines=(Line(name="line", points=((0.5, 0.1), (0.5, 0.95))),), zones=(Zone(name="right", polygons=(RIGHT,)),)
)
WALK = through((0.0, 0.1, 0.5), (6.0, 0.9, 0.5))
"""From the left over the line into the zone, and still there at the end."""


class Walkers:
    """A segmenter that sees one person on a known way."""

    class_names = ("person", "car")
    network_size = SIZE
    keep_aspect = True
    confirmation_score = 0.5

    def __init__(self, way=WALK, *, offset_s: float = 0.0) -> None:
        self._way, self._offset_s = way, offset_s

    def segment(self, frames: Sequence[Frame]) -> list[Instances]:
        return [self._seen(frame.time_s + self._offset_s) for frame in frames]

    def _seen(self, time_s: float) -> Instances:
        at = self._way(time_s)
        if at is None:
            return Instances.empty()
        x, y = at[0] * SIZE[0], at[1] * SIZE[1]
        return replace(box(), boxes=np.array([[x - 20, y - 80, x + 20, y]], np.float32))


class Ledger(Sink):
    """Keeps frames, last events and the order of the calls."""

    needs_contacts: ClassVar[bool] = True

    def __init__(self) -> None:
        self.frames: list[TrackedFrame] = []
        self.last: list[Event] = []
        self.calls: list[str] = []

    def write(self, tracked_frame: TrackedFrame) -> None:
        self.frames.append(tracked_frame)
        self.calls.append("write")

    def write_events(self, events: Sequence[Event]) -> None:
        self.last += events
        self.calls.append("events")

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        self.calls.append("complete" if checkpoint.complete else "checkpoint")

    def close(self) -> None:
        self.calls.append("close")

    @property
    def events(self) -> list[Event]:
        return [*(event for one in self.frames for event in one.events), *self.last]


BEGUN = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)


def stages(site: Site | None = SITE, **settings) -> list[Stage]:
    values = StreamSettings(**settings)
    found = counting_stages("gate", Walkers.class_names, contacts=False, site=site, settings=values)
    return [SteadyTracker(Tracker(class_count=2, confirmation_score=0.5)), *found]


class Served:
    """A stream of a fake source, served by an engine until a test ends it; ``begun_s`` is when on the walk."""

    def __init__(self, *, made: list[Stage] | None = None, begun_s: float = 0.0, way=WALK, **options) -> None:
        self.source, self.sink, self.begun_s = FakeSource("gate", capacity=10_000), Ledger(), begun_s
        self.stages = stages() if made is None else made
        self.stream = Stream(
            name="gate",
            open_source=self.source.open,
            stages=self.stages,
            open_sink=lambda _: self.sink,
            **options,
        )
        self.engine = Engine(segmenter=Walkers(way, offset_s=begun_s))
        self.engine.add(self.stream)

    def put(self, first: int, past: int, *, fps: float = 25.0) -> Served:
        """Frames, and wait until they are written."""
        for number in range(first, past):
            time_s = number / fps
            shown = BEGUN + timedelta(seconds=self.begun_s + time_s)
            self.source.handoff.put(
                Frame(index=number, time_s=time_s, arrived_s=0.0, source="gate", size=SIZE, captured_at=shown)
            )
        assert wait_until(lambda: len(self.sink.frames) >= past or self.stream.over)
        return self

    def end(self) -> Served:
        self.source.handoff.finish(None)
        assert self.engine.wait(60)
        self.engine.close()
        return self


def kinds(events: Sequence[Event]) -> list[str]:
    return [event.kind for event in events]


def keys(events: Sequence[Event]) -> list[str]:
    return [event.key for event in events]


WHOLE = ["identity_start", "crossing", "enter", "leave", "identity_end"]


def closed(served: Served) -> None:
    assert kinds(served.sink.events) == WHOLE
    assert kinds(served.sink.last) == ["leave", "identity_end"]
    assert served.sink.last[0].stay.end == "open"
    assert served.sink.calls.count("events") == 1
    assert served.sink.calls[-2:] == ["events", "close"]


def event_of(time_s: float) -> Event:
    return Event(kind="crossing", stream="gate", time_s=time_s, place="line", direction="in", identity=1)
