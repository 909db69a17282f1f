"""Benchmark of re-identification on rendered scenes: identities with and without embeddings, and their cost.

``python -m tests.bench.reidentify scenes`` compares embeddings of several qualities, among them some that say nothing;
``python -m tests.bench.reidentify speed`` times crowds with vectors of 32 and 128 numbers.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from trackeval.metrics import Identity

from demos.scenes import script
from demos.scenes.detector import detect
from demos.scenes.shop import shop
from demos.scenes.world import Scene
from tracker import boxes as box_math
from tracker.associate.tracker import Tracker
from tracker.measure.bench_associate import FPS, WARM_UP_FRAMES, crowd
from tracker.types import Instances, Tracks

LENGTH = 32
LEAST_IOU = 0.4
GAP_S = 2.1
"""Longer than a lost track is kept: an identity that is back after this came out of the gallery."""


@dataclass(frozen=True)
class Seen:
    """One frame: what is true, and what the detector says with embeddings free of noise."""

    time_s: float
    ids: np.ndarray
    boxes: np.ndarray
    instances: Instances


def scenes() -> Iterator[tuple[str, Scene, float]]:
    """Name, scene and frames per second."""
    yield "away 20 s", script.exit_and_reentry(away_s=20), 15
    yield "away 120 s", script.exit_and_reentry(away_s=120), 15
    yield "alone behind a pillar", script.full_occlusion(), 15
    for count in (20, 60):
        walkers = script.dense(count, rng=np.random.default_rng(count), size=(640, 360), duration_s=12)
        yield f"crowd of {count}", walkers, 15
    for seed in range(2):
        yield f"shop {seed}", shop(seed=seed, people=10, duration_s=90), 10


def watch(scene: Scene, fps: float) -> list[Seen]:
    """A scene through an imperfect detector."""
    rng = np.random.default_rng(0)
    frames = []
    for truth in scene.truths(fps):
        found = detect(
            truth,
            rng=rng,
            jitter=0.03,
            miss_rate=0.03,
            score_noise=0.05,
            false_positives=0.1,
            embedding_size=LENGTH,
            embedding_noise=0.0,
        )
        visible = (truth.visibility >= 0.1) & (truth.areas_px >= 20)
        frames.append(Seen(truth.time_s, truth.ids[visible], truth.boxes[visible], found))
    return frames


def spoilt(kind: str, found: Instances, rng: np.random.Generator) -> Instances:
    """The same instances with embeddings of a quality: a noise, or one without information on the identity."""
    own = found.embeddings
    assert own is not None
    noise = rng.normal(size=own.shape)
    noise /= np.maximum(np.linalg.norm(noise, axis=1, keepdims=True), 1e-9)
    if kind == "none":
        return replace(found, embeddings=None)
    if kind == "pure noise":
        vectors = noise
    elif kind == "all alike":
        vectors = 1 / LENGTH**0.5 + 0.3 * noise
    elif kind == "place only":
        waves = np.random.default_rng(3)
        centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 200
        vectors = np.cos(centres @ waves.normal(size=(2, LENGTH)) + waves.uniform(0, 2 * np.pi, LENGTH)) + 0.1 * noise
    elif kind.startswith("crowded"):  # a large part that all have in common, as networks of bodies have
        vectors = own + 1.5 / LENGTH**0.5 + float(kind.rsplit(maxsplit=1)[-1]) * noise
    else:
        vectors = own + float(kind.rsplit(maxsplit=1)[-1]) * noise
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return replace(found, embeddings=vectors.astype(np.float32))


KINDS = (
    *("none", "noise 0.3", "noise 0.8", "noise 1.5", "crowded, noise 0.8"),
    *("pure noise", "all alike", "place only"),
)


def judge(frames: Sequence[Seen], results: Sequence[Tracks]) -> str:
    """IDF1, identity switches, and the returns after a long gap: right and wrong ones."""
    gt_ids, tracker_ids, similarities = [], [], []
    last: dict[int, int] = {}
    held: dict[int, tuple[int, float]] = {}
    switches = right = wrong = 0
    names = {identity: place for place, identity in enumerate(sorted({i for f in frames for i in f.ids.tolist()}))}
    for seen, tracks in zip(frames, results, strict=True):
        overlaps = box_math.iou(seen.boxes, tracks.boxes).astype(np.float64)
        gt_ids.append(np.array([names[i] for i in seen.ids.tolist()], np.int64))
        tracker_ids.append(tracks.ids - 1)
        similarities.append(overlaps)
        for column, (identity, row) in enumerate(zip(tracks.ids.tolist(), tracks.detection_rows.tolist(), strict=True)):
            if row < 0 or not len(seen.ids) or overlaps[:, column].max() < LEAST_IOU:
                continue
            person = int(seen.ids[overlaps[:, column].argmax()])
            switches += last.get(person, identity) != identity
            last[person] = identity
            before = held.get(identity)
            if before is not None and seen.time_s - before[1] > GAP_S:
                right, wrong = right + (before[0] == person), wrong + (before[0] != person)
            held[identity] = person, seen.time_s
    data = {
        "gt_ids": gt_ids,
        "tracker_ids": tracker_ids,
        "similarity_scores": similarities,
        "num_gt_ids": len(names),
        "num_tracker_ids": max((int(tracks.ids.max(initial=0)) for tracks in results), default=0),
        "num_gt_dets": sum(map(len, gt_ids)),
        "num_tracker_dets": sum(map(len, tracker_ids)),
    }
    idf1 = 100 * Identity({"PRINT_CONFIG": False}).eval_sequence(data)["IDF1"]
    return f"{idf1:.1f} / {switches} / {right}+{wrong}"


def compare(write: Callable[[str], object]) -> None:
    """IDF1 / switches / right+wrong returns of every scene and kind of embedding."""
    write("| scene | " + " | ".join(KINDS) + " |\n|" + "---|" * (len(KINDS) + 1) + "\n")
    for name, scene, fps in scenes():
        frames = watch(scene, fps)
        cells = []
        for kind in KINDS:
            tracker, rng = Tracker(class_count=1), np.random.default_rng(1)
            results = [tracker.update(spoilt(kind, seen.instances, rng), seen.time_s) for seen in frames]
            cells.append(judge(frames, results))
        write(f"| {name} | " + " | ".join(cells) + " |\n")


def with_looks(frames: Sequence[Instances], length: int, noise: float = 0.5) -> list[Instances]:
    """A crowd with embeddings by the identities that boxes alone give."""
    tracker, rng, result = Tracker(class_count=1), np.random.default_rng(0), []
    faces = rng.normal(size=(10_000, length)) / length**0.5
    for place, instances in enumerate(frames):
        tracks = tracker.update(instances, place / FPS)
        vectors = rng.normal(size=(len(instances), length)) / length**0.5
        seen = tracks.detection_rows >= 0
        rows = tracks.detection_rows[seen]
        vectors[rows] = faces[tracks.ids[seen] % len(faces)] + noise * vectors[rows]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        result.append(replace(instances, embeddings=vectors.astype(np.float32)))
    return result


def speed(write: Callable[[str], object], frames: int = 150) -> None:
    """Median thread-CPU milliseconds per frame without embeddings and with two lengths, in turns."""
    for objects in (100, 300):
        bare = crowd(objects, WARM_UP_FRAMES + frames, np.random.default_rng(objects))
        worlds = {"none": bare, "E=32": with_looks(bare, 32), "E=128": with_looks(bare, 128)}
        times: dict[str, list[float]] = {name: [] for name in worlds}
        trackers = {name: Tracker(class_count=1) for name in worlds}
        for place in range(len(bare)):
            for name, world in worlds.items():
                started = time.thread_time()
                trackers[name].update(world[place], place / FPS)
                times[name].append(time.thread_time() - started)
        medians = {name: 1e3 * float(np.median(values[WARM_UP_FRAMES:])) for name, values in times.items()}
        write(f"{objects} objects: " + ", ".join(f"{name} {median:.2f} ms" for name, median in medians.items()) + "\n")


if __name__ == "__main__":
    {"scenes": compare, "speed": speed}[sys.argv[1]](sys.stdout.write)
