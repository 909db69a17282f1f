"""Benchmark of camera motion on rendered scenes and clips: identity switches with and without, error and cost.

``python -m tests.bench.camera_motion`` renders; with paths of clips it segments those instead. Milliseconds are
thread-CPU with OpenCV on one thread.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

from demos.scenes.detector import detect
from demos.scenes.road import road
from demos.scenes.shop import shop
from demos.scenes.truth import SceneTruth
from demos.scenes.world import Scene
from tests.associate.test_camera import closest_similarity, distance_px
from tracker import boxes
from tracker.associate.camera import CameraMotion
from tracker.associate.tracker import Tracker
from tracker.segment.session import DEFAULT_CONFIRMATION_SCORE
from tracker.types import Frame, Instances, Tracks

SCENES: tuple[tuple[Callable[..., Scene], dict[str, float], float, float], ...] = (
    (road, {}, 10, 6),
    (road, {"shake_px": 6.0}, 10, 8),
    (road, {"shake_px": 12.0}, 10, 8),
    (road, {"pan_deg": 15.0, "shake_px": 5.0}, 5, 12),
    (shop, {"shake_px": 12.0}, 10, 8),
    (shop, {"pan_deg": 15.0, "shake_px": 6.0}, 5, 12),
)
SEEDS = (1,)
FLAWS = {"miss_rate": 0.15, "jitter": 0.03, "score_noise": 0.1, "false_positives": 0.3}
STRIDES = (1, 2, 5)


@dataclass(slots=True)
class Tally:
    """Identities of objects, and how often they changed; ``clear`` counts plainly visible objects per frame."""

    switches: int = 0
    found: int = 0
    clear: int = 0
    numbers: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, seed: int, tracks: Tracks, truth: SceneTruth) -> None:
        rows = np.flatnonzero((truth.visibility >= 0.3) & (truth.areas_px >= 50))
        self.clear += len(rows)
        if not len(rows) or not len(tracks):
            return
        overlaps = boxes.iou(truth.boxes[rows], tracks.boxes)
        for place, row in enumerate(rows):
            best = int(overlaps[place].argmax())
            if overlaps[place, best] < 0.5 or int(overlaps[:, best].argmax()) != place:
                continue
            thing, number = (seed, int(truth.ids[row])), int(tracks.ids[best])
            self.found += 1
            self.switches += self.numbers.get(thing, number) != number
            self.numbers[thing] = number


def scenes() -> None:
    """A line per scene."""
    for build, rig, fps, seconds in SCENES:
        tallies = {"off": Tally(), "auto": Tally(), "true": Tally()}
        errors: list[tuple[float, float]] = []
        milliseconds: list[float] = []
        for seed in SEEDS:
            scene = build(seed=seed, duration_s=seconds, **rig)
            trackers = {name: Tracker() for name in tallies}
            estimator, generator = CameraMotion(), np.random.default_rng(1)
            for frame, truth in scene.frames(fps, seconds):
                instances = detect(truth, rng=generator, **FLAWS)
                warp = timed(estimator, frame, instances, milliseconds)
                exact = None
                if frame.index and not scene.rig.still:
                    before = scene.rig.warp(frame.time_s - 1 / fps)
                    homography = scene.rig.warp(frame.time_s) @ np.linalg.inv(before)
                    exact = closest_similarity(homography, frame.size)
                    errors.append((distance_px(warp, exact, frame.size), distance_px(None, exact, frame.size)))
                for name, told in (("off", None), ("auto", warp), ("true", exact)):
                    tallies[name].add(seed, trackers[name].update(instances, frame.time_s, warp=told), truth)
        error, motion = np.mean(errors, axis=0) if errors else (0.0, 0.0)
        shown = "  ".join(f"{n}: {t.switches} switched, {t.found}/{t.clear} found" for n, t in tallies.items())
        say(f"{build.__name__} {rig} {fps:g} fps  motion {motion:.2f} px, error {error:.2f} px  {shown}", milliseconds)


def clip(path: str) -> None:
    """A line per stride: identities, how long they lasted, and rows that carry one."""
    frames = list(segmented(path))
    for stride in STRIDES:
        milliseconds: list[float] = []
        estimator = CameraMotion()
        trackers = {
            name: Tracker(class_count=6, confirmation_score=DEFAULT_CONFIRMATION_SCORE) for name in ("off", "auto")
        }
        spans: dict[str, dict[int, tuple[float, float]]] = {"off": {}, "auto": {}}
        rows, told = {"off": 0, "auto": 0}, 0
        for frame, instances in frames[::stride]:
            warp = timed(estimator, frame, instances, milliseconds)
            told += warp is not None
            for name, tracker in trackers.items():
                tracks = tracker.update(instances, frame.time_s, warp=warp if name == "auto" else None)
                seen = tracks.ids[tracks.detection_rows >= 0].tolist()
                rows[name] += len(seen)
                for number in seen:
                    spans[name][number] = (spans[name].get(number, (frame.time_s, 0.0))[0], frame.time_s)
        lengths = {name: np.array([end - start for start, end in found.values()]) for name, found in spans.items()}
        shown = "  ".join(
            f"{name}: {len(found)} identities, {int((found < 0.5).sum())} under 0.5 s, mean {found.mean():.2f} s, "
            f"{rows[name]} rows"
            for name, found in lengths.items()
        )
        say(f"{path.rpartition('/')[2]} every {stride}  told {told}/{len(milliseconds)}  {shown}", milliseconds)


def segmented(path: str) -> Iterator[tuple[Frame, Instances]]:
    from tracker.segment.session import OnnxSegmenter
    from tracker.sources.open import open_source

    segmenter = OnnxSegmenter("yolact-nano", device="cpu")
    for frame in open_source(path, network_size=segmenter.network_size, want_image=False):
        yield frame, segmenter.segment([frame])[0]


def timed(estimator: CameraMotion, frame: Frame, instances: Instances, milliseconds: list[float]) -> np.ndarray | None:
    started_s = time.thread_time()
    warp = estimator.update(frame, instances)
    milliseconds.append(1000 * (time.thread_time() - started_s))
    return warp


def say(text: str, milliseconds: list[float]) -> None:
    median, mean, most = np.median(milliseconds), np.mean(milliseconds), np.max(milliseconds)
    sys.stdout.write(f"{text}  ms median {median:.2f}, mean {mean:.2f}, most {most:.2f}\n")
    sys.stdout.flush()


def main() -> None:
    """Scenes, or the clips that are named."""
    cv2.setNumThreads(1)
    if len(sys.argv) == 1:
        scenes()
    for path in sys.argv[1:]:
        clip(path)


if __name__ == "__main__":
    main()
