"""Rendered scenes through detector, tracker and counting, recorded in every format on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np

from demos.scenes.detector import detect
from demos.scenes.world import Scene
from tracker.associate.tracker import Tracker
from tracker.engine.counting import counting_stages
from tracker.engine.stage import Stage
from tracker.engine.steady import SteadyTracker
from tracker.events import Event
from tracker.plugins import open_sink
from tracker.settings.stream import StreamSettings
from tracker.site import Site
from tracker.types import Frame, TrackedFrame

STREAM = "gate.mp4"


@dataclass(frozen=True)
class Chain:
    """How a scene is filmed, detected and tracked; the same chain gives the same frames again."""

    scene: Scene
    fps: float = 25.0
    outages_s: tuple[tuple[float, float], ...] = ()
    created: datetime | None = None
    noise: dict[str, float] | None = None
    camera: tuple[Event, ...] = ()
    last: tuple[Event, ...] = ()
    """What lasts of the camera's states ends with the stream."""
    shift_s: float = 0.0
    flip: tuple[float, int] | None = None
    """From when on everything is taken for another class."""

    @cached_property
    def frames(self) -> list[TrackedFrame]:
        """The segmented frames, rendered once for all recordings of this chain."""
        return list(self.segmented())

    def segmented(self) -> Iterator[TrackedFrame]:
        rng = np.random.default_rng(5)
        events = list(self.camera)
        for index, truth in enumerate(self.scene.truths(self.fps)):
            instances = detect(truth, rng=rng, **(self.noise or {}))
            if any(low <= truth.time_s < high for low, high in self.outages_s):
                continue
            if self.flip is not None and truth.time_s >= self.flip[0]:
                instances = replace(instances, class_ids=np.full_like(instances.class_ids, self.flip[1]))
            time_s = truth.time_s + self.shift_s
            captured_at = None if self.created is None else self.created + timedelta(seconds=time_s)
            frame = Frame(
                index=index,
                time_s=time_s,
                arrived_s=0.0,
                source=STREAM,
                size=self.scene.size,
                captured_at=captured_at,
            )
            now = [event for event in events if event.time_s <= time_s]
            events = events[len(now) :]
            yield TrackedFrame(
                frame=frame,
                instances=instances,
                tracks=None,
                class_names=self.scene.class_names,
                events=tuple(now),
            )

    def stages(self, site: Site, settings: StreamSettings) -> list[Stage]:
        tracker = Tracker(class_count=len(self.scene.class_names), confirmation_score=0.5)
        stages = counting_stages(STREAM, self.scene.class_names, contacts=True, site=site, settings=settings)
        return [SteadyTracker(tracker), *stages]

    def record(self, site: Site, *paths: Path, settings: StreamSettings | None = None) -> list[Event]:
        """Write the outputs; returns the events of tracking."""
        settings = settings or StreamSettings()
        stages = self.stages(site, settings)
        sinks = [
            open_sink(
                path,
                class_names=self.scene.class_names,
                frame_rate=self.fps,
                masks="none",
                confirmation_score=0.5,
                start_ms=settings.start_ms,
            )
            for path in paths
        ]
        events: list[Event] = []
        for tracked in self.frames:
            for stage in stages:
                tracked = stage.process(tracked)  # noqa: PLW2901 - a frame on its way
            events += tracked.events
            for sink in sinks:
                sink.write(tracked)
        last = [*self.last, *(event for stage in stages for event in stage.close())]
        for sink in sinks:
            sink.write_events(last)
            sink.close()
        return events + last
