"""Grounds of rendered scenes by exact points, and the measures of traffic over true masks and identities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from demos.scenes.world import Scene
from tests.analytics.worlds import on_screen, tracked_truth
from tracker.analytics.measures import SiteMeasures
from tracker.analytics.traffic_measures import TrafficMeasures
from tracker.events import Event
from tracker.ground import Ground, GroundPoint, Rectangle
from tracker.site import Line, Site
from tracker.types import TrackedFrame

__all__ = ["FLAT", "ground_of", "measured", "site_over"]

FLAT = Ground(
    rectangle=Rectangle(corners=((0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)), width_m=64.0, length_m=36.0)
)
"""Seen from straight above: 0.05 m a pixel of 1280 x 720, ``y`` upwards."""
PLACES = ((0.15, 0.95), (0.9, 0.9), (0.55, 0.3), (0.8, 0.35), (0.3, 0.5))


def ground_of(scene: Scene) -> Ground:
    """Five points of the picture whose metres the scene knows."""
    metres = scene.on_ground(np.array(PLACES) * scene.size).tolist()
    return Ground(points=tuple(GroundPoint(at=at, metres=(x, y)) for at, (x, y) in zip(PLACES, metres, strict=True)))


def site_over(
    scene: Scene,
    lines_m: Mapping[str, tuple[tuple[float, float], ...]],
    measures: tuple[str, ...] = ("speed",),
    **parts,
) -> Site:
    """A site with lines of the ground, and its ground."""
    lines = tuple(
        Line(name=name, points=on_screen(scene, *points), measures=measures) for name, points in lines_m.items()
    )
    return Site(lines=lines, ground=ground_of(scene), **parts)


def measured(site: Site, frames: Iterator[TrackedFrame], notes: list[str] | None = None) -> list[Event]:
    """Every event of lines, zones and traffic; what traffic says was left out is added to ``notes``."""
    lines, traffic = SiteMeasures(site, stream="cam"), TrafficMeasures(site, stream="cam")
    found: list[Event] = []
    for frame in frames:
        counted = replace(frame, events=(*frame.events, *lines.process(frame)))
        found += [*counted.events, *traffic.process(counted)]
    found += [*lines.close(), *traffic.close()]
    if notes is not None:
        notes += traffic.notes()
    return found


def over(
    scene: Scene, site: Site, *, fps: float, duration_s: float | None = None, notes: list[str] | None = None
) -> list[Event]:
    """The same over a scene's true masks."""
    return measured(site, tracked_truth(scene, fps=fps, duration_s=duration_s), notes)
