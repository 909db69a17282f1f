"""Premises of rendered scenes: sites with queues, footfall and bays, with and without ground, and what was measured."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from demos.scenes.bays import BAYS_M
from demos.scenes.catalogue import open_recording
from demos.scenes.recording import Recording
from demos.scenes.world import Scene
from tests.analytics.plans import site_of
from tracker.analytics.measures import SiteMeasures
from tracker.events import Event
from tracker.ground import Ground, GroundPoint
from tracker.premises import Bay, Footfall, Queue
from tracker.site import Doors, Site
from tracker.types import TrackedFrame

__all__ = ["Measured", "ground_of", "measured", "premises_of", "whole_bays"]

SIZE = (320, 180)


def ground_of(scene: Scene) -> Ground:
    """The scene's own ground, from five points of it that lie in the picture."""
    shares = [(0.2, 0.95), (0.8, 0.95), (0.7, 0.6), (0.3, 0.6), (0.5, 0.75)]
    metres = scene.on_ground(np.array(shares) * scene.size)
    return Ground(
        points=tuple(GroundPoint(at=at, metres=(x, y)) for at, (x, y) in zip(shares, metres.tolist(), strict=True))
    )


def whole_bays(scene: Scene) -> list[str]:
    """Bays that lie in the picture with all four corners."""
    shares = {name: scene.on_picture(corners) / scene.size for name, corners in BAYS_M.items()}
    return [name for name, corners in shares.items() if ((corners >= 0) & (corners <= 1)).all()]


def premises_of(recording: Recording, *, ground: bool) -> Site:
    """The site of a recording's plan with its premises."""
    scene = recording.scene
    site = replace(site_of(recording), ground=ground_of(scene) if ground else None)
    if scene.name == "checkout":
        return replace(site, queues=(Queue(name="till", zone="queue", served_at="service"),))
    if scene.name == "bays":
        drawn = {zone.name: zone.polygons[0] for zone in site.zones}
        bays = tuple(Bay(name=name, polygon=drawn[name]) for name in whole_bays(scene))
        return replace(site, zones=(), flows=(), bays=bays)
    footfall = Footfall(name="visitors", doors="shop", passing=("passing",), staff_zones=("desk",))
    return replace(site, doors=(Doors(name="shop", lines=("door",)),), footfall=(footfall,))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A scene and what its true masks and identities gave.

    Attributes:
        recording: The scene.
        site: What was measured.
        events: The ledger.
    """

    recording: Recording
    site: Site
    events: list[Event]

    def of(self, *kinds: str) -> list[Event]:
        """Events of some kinds, in order of time."""
        return sorted((one for one in self.events if one.kind in kinds), key=lambda one: one.time_s)


@functools.cache
def frames_of(name: str, seed: int, fps: float) -> tuple[Recording, tuple[TrackedFrame, ...]]:
    """The truth of a scene as tracked frames."""
    recording = open_recording(name, seed=seed, size=SIZE)
    return recording, tuple(recording.tracked(fps))


@functools.cache
def measured(name: str, *, seed: int = 0, fps: float = 12.5, ground: bool = False) -> Measured:
    """Measure a scene."""
    recording, frames = frames_of(name, seed, fps)
    site = premises_of(recording, ground=ground)
    return Measured(recording=recording, site=site, events=list(counted(site, frames)))


def counted(site: Site, frames: Iterable[TrackedFrame]) -> Iterator[Event]:
    """Events of frames."""
    measures = SiteMeasures(site, stream="scene")
    for frame in frames:
        yield from measures.process(frame)
    yield from measures.close()
