"""Benchmark of the association: thread-CPU milliseconds per frame, beside a peer's.

The crowd is synthetic and exact: objects of three sizes walk over a 1920 x 1080 image and bounce at its edges, boxes
jitter by 2 %, one detection in twelve is missed, one per fifty objects is false. With masks every object also has an
elliptic silhouette on a grid. The clock is ``time.thread_time``: waiting and other processes do not count.
"""

from __future__ import annotations

import gc
import time
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tracker.associate.tracker import Tracker
from tracker.masks.grid_masks import GridMasks
from tracker.types import Instances

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Times = NDArray[np.float64]
Step: TypeAlias = "Callable[[Instances, int], object]"

__all__ = ["AssociationBench", "Cost", "bench_associate", "crowd"]

SIZES = (1, 2, 5, 20, 100, 300, 1000)
IMAGE_SIZE = (1920, 1080)
GRID_STEP = 8
"""Image pixels per mask cell: a stride-4 prototype grid of a 960 x 540 input."""
MISS = 1 / 12
FALSE_SHARE = 1 / 50
JITTER = 0.02
WARM_UP_FRAMES = 40
FPS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Milliseconds of one setting.

    Attributes:
        objects: Objects in view.
        tracker: ``masktrail``, ``masktrail with masks`` or a peer's name.
        median_ms, mean_ms, p99_ms: Thread-CPU per frame.
        ratio: The peer's median divided by ours on boxes; 1 for ours.
    """

    objects: int
    tracker: str
    median_ms: float
    mean_ms: float
    p99_ms: float
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationBench:
    """All settings of one run."""

    frames: int
    rounds: int
    costs: tuple[Cost, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values for a file."""
        return asdict(self)


def bench_associate(
    sizes: Sequence[int] = SIZES, *, frames: int = 200, rounds: int = 3, peers: bool = True
) -> AssociationBench:
    """Time the tracker on crowds; each setting sees the same frames, prepared outside the clock.

    Args:
        sizes: Objects in view.
        frames: Frames that count, after a warm-up in which all tracks are confirmed.
        rounds: Runs of every setting, in turn; what a frame costs is the least of them, so that other work on the
            machine does not count.
        peers: Also time roboflow's ByteTrack (``pip install trackers``) where it can be imported.
    """
    costs = []
    for objects in sizes:
        counted = frames if objects <= 300 else max(frames // 4, 20)
        boxes_only = crowd(objects, WARM_UP_FRAMES + counted, np.random.default_rng(objects))
        # Masks of 1,000 objects on a grid are 32 MB a frame: the pool is small and repeats, which costs the tracker
        # the same.
        masked = [_with_masks(instances) for instances in boxes_only[: WARM_UP_FRAMES + 20]]
        forth_and_back = masked + masked[::-1]
        looped = [forth_and_back[place % len(forth_and_back)] for place in range(WARM_UP_FRAMES + counted)]
        settings: list[tuple[str, Callable[[], Step | None], list[Instances]]] = [
            ("masktrail", _our_step, boxes_only),
            ("masktrail with masks", _our_step, looped),
        ]
        if peers:
            settings.append(("trackers ByteTrack", _peer_step, boxes_only))
        least: dict[str, Times] = {}
        for _ in range(rounds):
            for name, start, instances in settings:
                step = start()
                if step is not None:
                    times = _time(step, instances)
                    least[name] = np.minimum(least.get(name, times), times)
        costs += [_cost(objects, name, times, least["masktrail"]) for name, times in least.items()]
        del masked, forth_and_back, looped, settings
    return AssociationBench(frames=frames, rounds=rounds, costs=tuple(costs))


def crowd(objects: int, frames: int, generator: np.random.Generator) -> list[Instances]:
    """A crowd as a detector would see it, frame by frame."""
    width, height = IMAGE_SIZE
    # Boxes shrink with the number of objects as they do in real crowds, so that overlap per object stays alike.
    heights = generator.choice([60.0, 90.0, 150.0], objects) * min(1.0, (100 / objects) ** 0.35)
    sides = np.stack([heights * 0.45, heights], axis=1)
    centres = generator.uniform((0, 0), (width, height), (objects, 2))
    velocities = generator.normal(0, 0.6, (objects, 2)) * heights[:, None]
    result = []
    for _ in range(frames):
        centres = centres + velocities / FPS
        outside = (centres < 0) | (centres > (width, height))
        velocities = np.where(outside, -velocities, velocities)
        seen = generator.random(objects) > MISS
        noise = generator.normal(0, JITTER, (objects, 4)) * heights[:, None]
        boxes = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)[seen] + noise[seen]
        count = generator.poisson(objects * FALSE_SHARE)
        corners = generator.uniform((0, 0), (width, height), (count, 2))
        false = np.concatenate([corners, corners + generator.uniform(20, 100, (count, 2))], axis=1)
        scores = np.concatenate([generator.uniform(0.5, 0.98, int(seen.sum())), generator.uniform(0.1, 0.5, count)])
        result.append(
            Instances(
                boxes=np.concatenate([boxes, false]).astype(np.float32),
                scores=scores.astype(np.float32),
                class_ids=np.zeros(len(scores), np.int64),
            )
        )
    return result


def _with_masks(instances: Instances) -> Instances:
    """The same instances with elliptic silhouettes on the grid."""
    shape = (-(-IMAGE_SIZE[1] // GRID_STEP), -(-IMAGE_SIZE[0] // GRID_STEP))
    grids = np.zeros((len(instances), *shape), np.uint8)
    for grid, (x1, y1, x2, y2) in zip(grids, instances.boxes.tolist(), strict=True):
        left, top = max(int(x1 / GRID_STEP), 0), max(int(y1 / GRID_STEP), 0)
        right, bottom = min(int(x2 / GRID_STEP) + 1, shape[1]), min(int(y2 / GRID_STEP) + 1, shape[0])
        if right > left and bottom > top:
            x = ((np.arange(left, right) + 0.5) * GRID_STEP - (x1 + x2) / 2) / max((x2 - x1) / 2, 1)
            y = ((np.arange(top, bottom) + 0.5) * GRID_STEP - (y1 + y2) / 2) / max((y2 - y1) / 2, 1)
            grid[top:bottom, left:right] = 255 * (x[None] ** 2 + y[:, None] ** 2 < 1)
    masks = GridMasks(probabilities=grids, step_px=(float(GRID_STEP),) * 2, image_size=IMAGE_SIZE)
    return Instances(boxes=instances.boxes, scores=instances.scores, class_ids=instances.class_ids, masks=masks)


def _our_step() -> Step:
    tracker = Tracker(class_count=1)
    return lambda instances, frame: tracker.update(instances, frame / FPS)


def _peer_step() -> Step | None:
    """Roboflow's ByteTrack on supervision's detections, made inside the clock as ours are checked inside it."""
    try:
        detections = import_module("supervision").Detections
        peer = import_module("trackers").ByteTrackTracker(frame_rate=FPS)
    except ImportError:
        return None
    return lambda instances, _: peer.update(
        detections(xyxy=instances.boxes.copy(), confidence=instances.scores.copy(), class_id=instances.class_ids.copy())
    )


def _time(step: Step, frames: list[Instances]) -> Times:
    """Thread-CPU seconds of each frame after the warm-up, without the garbage collector's pauses of other objects."""
    gc.collect()
    gc.disable()
    try:
        times = []
        for place, instances in enumerate(frames):
            started = time.thread_time()
            step(instances, place)
            times.append(time.thread_time() - started)
    finally:
        gc.enable()
    return np.array(times[WARM_UP_FRAMES:])


def _cost(
    objects: int,
    tracker: str,
    times: Times,
    ours: Times,
) -> Cost:
    return Cost(
        objects=objects,
        tracker=tracker,
        median_ms=float(1e3 * np.median(times)),
        mean_ms=float(1e3 * times.mean()),
        p99_ms=float(1e3 * np.percentile(times, 99)),
        ratio=float(np.median(times) / np.median(ours)),
    )
