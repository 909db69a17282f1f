"""Share of true silhouettes that masked live pictures leave uncovered, on rendered scenes.

``python -m tests.bench.privacy_cover [--seconds 20]``. Detections are true masks that go missing in bursts (6 % of the
frames begin one of 3 frames), or the default model's on the rendered pictures. Frames come at 12.5 fps, pictures are
shown at 5 fps as live. ``now`` fills what is detected in the frame itself, ``held`` is the fill of the live page.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from demos.scenes.catalogue import WORLDS
from demos.scenes.detector import detect
from tracker.associate.tracker import Tracker
from tracker.render.privacy import HOLD_S, Cover, presence_of
from tracker.render.privacy_paint import FILL, fill
from tracker.types import Frame, Instances, TrackedFrame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from demos.scenes.truth import SceneTruth
    from demos.scenes.world import Scene

FPS = 12.5
SHOWN_FPS = 5.0
BURST_START, BURST_FRAMES = 0.06, 3


class Bursts:
    """True masks, each of which goes missing now and then for some frames.

    Args:
        chance: That a burst begins in a frame, for each object.
    """

    def __init__(self, chance: float) -> None:
        self._chance = chance
        self._random = np.random.default_rng(0)
        self._left: dict[int, int] = {}

    def __call__(self, truth: SceneTruth) -> Instances:
        kept = []
        for row, identity in enumerate(truth.ids.tolist()):
            left = self._left.get(identity, 0)
            if left == 0 and self._random.random() < self._chance:
                left = BURST_FRAMES
            self._left[identity] = max(left - 1, 0)
            if left == 0:
                kept.append(row)
        return detect(truth.take(np.array(kept, np.int64)), rng=self._random, min_visibility=0.0, min_area_px=1)


def frames(scene: Scene, seconds: float, kind: str) -> Iterator[tuple[TrackedFrame, SceneTruth]]:
    """Tracked frames with their truth; ``kind``: ``true``, ``bursts`` or ``model``."""
    tracker: Any
    if kind == "model":
        from tracker.segment.session import OnnxSegmenter
        from tracker.sources.convert import PADDING
        from tracker.types import Letterbox

        segmenter = OnnxSegmenter(threads=1)
        tracker = Tracker.for_model(segmenter)
    else:
        tracker, found = Tracker(), Bursts(BURST_START if kind == "bursts" else 0.0)
    for number in range(round(seconds * FPS)):
        at_s = number / FPS
        if kind == "model":
            rendered = scene.render(at_s)
            truth = rendered.truth
            width, height = segmenter.network_size
            padded = np.full((height, width, 3), PADDING, np.uint8)
            rows, columns = rendered.image.shape[:2]
            padded[:rows, :columns] = rendered.image
            letterbox = Letterbox.fit(truth.size, segmenter.network_size, keep_aspect=segmenter.keep_aspect)
            frame = shown(truth, number, network_image=padded, letterbox=letterbox)
            instances = segmenter.segment([frame])[0]
        else:
            truth = scene.truth(at_s)
            frame, instances = shown(truth, number), found(truth)
        tracks = tracker.update(instances, at_s)
        yield TrackedFrame(frame=frame, instances=instances, tracks=tracks, class_names=scene.class_names), truth


def shown(truth: SceneTruth, index: int, **images: Any) -> Frame:
    """The frame of a truth."""
    return Frame(
        index=index, time_s=truth.time_s, arrived_s=time.monotonic(), source="scene", size=truth.size, **images
    )


def uncovered(picture: NDArray[np.uint8], truth: SceneTruth) -> tuple[int, int]:
    """Pixels of true silhouettes, and those of them that are not filled."""
    filled = (picture == np.array(FILL, np.uint8)).all(axis=2)
    real = truth.labels > 0
    return int(real.sum()), int((real & ~filled).sum())


def measure(scene: Scene, seconds: float, kind: str, shown_fps: float) -> dict[str, Any]:
    """Both fills of one scene."""
    cover = Cover()
    waiting: deque[tuple[TrackedFrame, SceneTruth]] = deque()
    sums = {"now": [0, 0, 0, 0], "held": [0, 0, 0, 0]}
    spent_s, due_s = 0.0, 0.0
    for tracked, truth in frames(scene, seconds, kind):
        at_s = tracked.frame.time_s
        if at_s < due_s - 1e-6:
            continue
        due_s += 1 / shown_fps
        started_s = time.perf_counter()
        presence = presence_of(tracked)
        cover.add(presence)
        spent_s += time.perf_counter() - started_s
        add(sums["now"], presence.shapes, tracked, truth)
        waiting.append((tracked, truth))
        while waiting and at_s - waiting[0][0].frame.time_s >= HOLD_S - 1e-6:
            older, its_truth = waiting.popleft()
            add(sums["held"], cover.shapes(older.frame.time_s), older, its_truth)
    result: dict[str, Any] = {"scene": scene.name, "detections": kind, "shown_fps": shown_fps}
    for name, (real, bare, count, leaking) in sums.items():
        result |= {
            f"{name}_uncovered_percent": round(100 * bare / max(real, 1), 2),
            f"{name}_frames_over_1_percent": round(100 * leaking / max(count, 1), 1),
        }
    return result | {"presence_ms": round(1000 * spent_s / max(sums["now"][2], 1), 2)}


def add(sums: list[int], shapes: Any, tracked: TrackedFrame, truth: SceneTruth) -> None:
    """Fill a picture and add what is bare."""
    width, height = truth.size
    picture = np.zeros((height, width, 3), np.uint8)
    fill(picture, shapes, tracked.frame.size)
    real, bare = uncovered(picture, truth)
    sums[0] += real
    sums[1] += bare
    sums[2] += real > 0
    sums[3] += bare > 0.01 * real


def main() -> None:
    """One line per scene and kind of detections."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--kinds", nargs="*", default=["true", "bursts", "model"])
    parser.add_argument("--shown-fps", type=float, default=SHOWN_FPS)
    arguments = parser.parse_args()
    for name in ("shop", "road", "door"):
        for kind in arguments.kinds:
            scene = WORLDS[name](size=(640, 360), seed=1)
            result = measure(scene, arguments.seconds, kind, arguments.shown_fps)
            sys.stdout.write(json.dumps(result) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
