"""Tracked frames of rendered scenes with truth masks and truth identities, and lines on their ground."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from demos.scenes.detector import detect
from demos.scenes.world import Scene
from tracker.site import Occluder
from tracker.types import Frame, TrackedFrame, Tracks


def tracked_truth(
    scene: Scene, *, fps: float, duration_s: float | None = None, masks: bool = True, lost_s: float = 2.0
) -> Iterator[TrackedFrame]:
    rng, last = np.random.default_rng(0), {}
    for index, truth in enumerate(scene.truths(fps, duration_s)):
        found = detect(truth, rng=rng)
        # The detector orders by score: find each instance's identity by its box.
        ids = np.zeros(len(found), np.int64)
        for row, box in enumerate(found.boxes):
            ids[row] = truth.ids[np.flatnonzero((truth.boxes == box).all(axis=1))[0]]
        order = np.argsort(ids)
        last.update(dict.fromkeys(ids.tolist(), truth.time_s))
        ended = sorted(one for one, seen_s in last.items() if truth.time_s - seen_s > lost_s)
        for identity in ended:
            del last[identity]
        count = len(ids)
        if not masks:
            found = type(found)(boxes=found.boxes, scores=found.scores, class_ids=found.class_ids)
        yield TrackedFrame(
            frame=Frame(index=index, time_s=truth.time_s, arrived_s=truth.time_s, source=scene.name, size=scene.size),
            instances=found,
            tracks=Tracks(
                ids=ids[order],
                detection_rows=order.astype(np.int64),
                boxes=found.boxes[order],
                velocities=np.zeros((count, 2), np.float32),
                class_ids=found.class_ids[order],
                scores=found.scores[order],
                ages_s=np.zeros(count, np.float32),
                ended_ids=np.array(ended, np.int64),
            ),
            class_names=scene.class_names,
        )


def on_screen(scene: Scene, *points_m: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    """Ground points as shares of the picture."""
    pixels, depth = scene.rig.camera.project(np.array([(*point, 0.0) for point in points_m]))
    assert (depth > 0).all()
    return tuple((float(x), float(y)) for x, y in np.clip(pixels / scene.size, 0, 1))


def pillar(scene: Scene, x: float, y: float, broad: float) -> Occluder:
    """The slab that :mod:`demos.scenes.script` stands there."""
    corners = np.array([(x, y - broad / 2, 0), (x, y + broad / 2, 0), (x, y + broad / 2, 2.6), (x, y - broad / 2, 2.6)])
    pixels = np.clip(scene.rig.camera.project(corners)[0] / scene.size, 0, 1)
    return Occluder(name="pillar", polygon=tuple((float(a), float(b)) for a, b in pixels))
