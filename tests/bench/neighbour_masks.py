"""Masks of coasting tracks and of overlapping ones, against the exact silhouettes of rendered shops.

``python -m tests.bench.neighbour_masks [--model FILE] [--outline FOLDER] [--seeds 0 1 2] [--seconds 10] [--fps 10]
[--hide]`` prints the figures of predicted masks, from coefficients on the new prototypes and from the last mask moved
into the predicted box; of masks of tracks that overlap, as they were segmented and divided; and by how much pairs of
such masks overlap. With ``--hide`` every object is hidden from the tracker for 0.2 to 0.8 s every few seconds, as a
detector would miss it.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from demos.scenes.checkout import checkout
from demos.scenes.shop import shop
from tests.bench.outlined import add_outline, outline_stage
from tracker.associate.predicted_masks import LEAST_SHARE, MaskPredictor
from tracker.associate.tracker import Tracker
from tracker.masks.instance_masks import PROBABILITY_THRESHOLD
from tracker.segment.session import OnnxSegmenter
from tracker.types import Frame, TrackedFrame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demos.scenes.truth import SceneTruth
    from demos.scenes.world import Scene
    from tracker.engine.outline import OutlineStage
    from tracker.types import Instances

SIZE, PEOPLE = (640, 360), 14


class Figures:
    """What is known of masks against the truth: their number, mean IoU, right pixels of those shown."""

    def __init__(self) -> None:
        self.ious: list[float] = []
        self.right, self.shown = 0, 0

    def add(self, found: Any, truth: Any) -> None:
        """One silhouette ``(H, W)`` of either."""
        shared = int((found & truth).sum())
        self.ious.append(shared / max(int((found | truth).sum()), 1))
        self.right, self.shown = self.right + shared, self.shown + int(found.sum())

    def __str__(self) -> str:
        mean = float(np.mean(self.ious)) if self.ious else 0.0
        return f"{len(self.ious):6d} masks, IoU {mean:.3f}, precision {self.right / max(self.shown, 1):.3f}"


class Hiding:
    """Which objects the tracker is not shown, in spells."""

    def __init__(self) -> None:
        self._rng, self._spells = np.random.default_rng(7), {}

    def hides(self, identity: int, time_s: float) -> bool:
        """Whether it is hidden now."""
        start, end = self._spells.get(identity, (0.0, -1.0))
        if end < time_s:
            start = time_s + self._rng.uniform(1, 3)
            end = start + self._rng.uniform(0.2, 0.8)
            self._spells[identity] = start, end
        return bool(start <= time_s < end)


def owner(silhouette: Any, truth: SceneTruth, least: float = 0.3) -> int | None:
    """The object that most of a silhouette shows."""
    pixels = np.bincount(truth.labels[silhouette], minlength=len(truth) + 1)[1:]
    if not len(pixels) or pixels.max() <= least * max(int(silhouette.sum()), 1):
        return None
    return int(truth.ids[pixels.argmax()])


def true_mask(truth: SceneTruth, identity: int) -> Any:
    """Its visible pixels ``(H, W)``."""
    rows = np.flatnonzero(truth.ids == identity)
    return truth.labels == (rows[0] + 1 if len(rows) else -1)


def moved(grid: Any, before: Any, after: Any, step: float) -> Any:
    """A mask on the grid, moved and scaled from one box into another."""
    scale = (after[2:] - after[:2]) / np.maximum(before[2:] - before[:2], 1e-6)
    shift = (after[:2] - scale * before[:2]) / step + 0.5 * scale - 0.5
    matrix = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]])
    return cv2.warpAffine(grid, matrix, grid.shape[::-1], flags=cv2.INTER_LINEAR)


def frames(scene: Scene, segmenter: OnnxSegmenter, seconds: float, fps: float, hide: bool) -> Iterator[Any]:
    """Truth, instances and tracks of each frame."""
    tracker, hiding = Tracker.for_model(segmenter), Hiding()
    for index, time_s in enumerate(np.arange(0, seconds, 1 / fps).tolist()):
        rendered = scene.render(time_s)
        frame = Frame(index=index, time_s=time_s, arrived_s=0.0, source="scene", size=SIZE, image=rendered.image)
        instances = segmenter.segment([frame])[0]
        if hide:
            owners = [
                owner(instances.masks.full(row, instances.boxes[row]), rendered.truth) for row in range(len(instances))
            ]
            hidden = [one is not None and hiding.hides(one, time_s) for one in owners]
            instances = instances.take(~np.array(hidden, np.bool_))
        yield frame, rendered.truth, instances, tracker.update(instances, time_s)


def measure(
    scene: Scene, segmenter: OnnxSegmenter, options: Any, found: dict[str, Figures], shares: list[float]
) -> None:
    """Add one scene's masks, and the overlaps of pairs of them."""
    stage = outline_stage(options.outline)
    predictor, votes, last = MaskPredictor(), defaultdict(Counter), {}
    for frame, truth, instances, tracks in frames(scene, segmenter, options.seconds, options.fps, options.hide):
        plain = TrackedFrame(frame=frame, instances=instances, tracks=tracks, class_names=segmenter.class_names)
        divided = plain.divided().instances
        add_outlined(stage, plain.divided(), truth, found)
        predicted = predictor.update(instances, tracks)
        kept = {} if predicted is None else {int(row): place for place, row in enumerate(predicted.rows)}
        seen = tracks.detection_rows[tracks.detection_rows >= 0]
        shares += overlap_shares(instances, seen.tolist())
        free = np.ones(instances.masks.grid_shape, np.bool_)
        for row in seen.tolist():
            free &= instances.masks.grid(row) < PROBABILITY_THRESHOLD
        for place, (identity, row) in enumerate(zip(tracks.ids.tolist(), tracks.detection_rows.tolist(), strict=True)):
            if row >= 0:
                silhouette = instances.masks.full(row, instances.boxes[row])
                one = owner(silhouette, truth)
                if one is not None:
                    votes[identity][one] += 1
                    if overlaps(instances, row, seen):
                        found["overlapping, as segmented"].add(silhouette, true_mask(truth, one))
                        after = divided.masks.full(row, instances.boxes[row])
                        found["overlapping, divided"].add(after, true_mask(truth, one))
                last[identity] = instances.masks.grid(row), instances.boxes[row]
            elif identity in last and votes[identity]:
                wanted = true_mask(truth, votes[identity].most_common(1)[0][0])
                old = moved_mask(instances, *last[identity], tracks.boxes[place], free=free)
                if old is not None:
                    found["coasting, last mask moved"].add(old, wanted)
                if place in kept:
                    shown = predicted.masks.full(kept[place], tracks.boxes[place])
                    found["coasting, coefficients"].add(shown, wanted)


def add_outlined(
    stage: OutlineStage | None, tracked: TrackedFrame, truth: SceneTruth, found: dict[str, Figures]
) -> None:
    """Add the masks that are outlined, and the same ones before."""
    if stage is None:
        return
    outlined, before = stage.process(tracked), tracked.instances
    rows = np.zeros(0) if outlined.outlined is None else np.flatnonzero(outlined.outlined)
    for row in rows.tolist():
        one = owner(before.masks.full(row, before.boxes[row]), truth)
        if one is not None:
            for name, chosen in {"outlined": outlined.instances, "outlined, before": before}.items():
                found[name].add(chosen.masks.full(row, chosen.boxes[row]), true_mask(truth, one))


def overlaps(instances: Instances, row: int, seen: Any) -> bool:
    """Whether a track's mask shares cells with another one's."""
    own = instances.masks.grid(row) >= PROBABILITY_THRESHOLD
    return any(
        (own & (instances.masks.grid(other) >= PROBABILITY_THRESHOLD)).any() for other in seen.tolist() if other != row
    )


def overlap_shares(instances: Instances, rows: list[int]) -> list[float]:
    """Of each pair of masks of different objects that share cells, those cells as a share of the smaller mask."""
    masks = [instances.masks.grid(row) >= PROBABILITY_THRESHOLD for row in rows]
    pairs = [(one, other, int((one & other).sum())) for one, other in itertools.combinations(masks, 2)]
    return [shared / min(int(one.sum()), int(other.sum())) for one, other, shared in pairs if shared]


def moved_mask(instances: Instances, grid: Any, before: Any, after: Any, *, free: Any) -> Any:
    """The last mask in the predicted box ``after``, by the rules of predicted masks; ``None`` where it is left out."""
    inside = moved(grid, before, after, instances.masks.grid_step_px[0])
    expected = (inside >= PROBABILITY_THRESHOLD).sum()
    inside = np.where(free, inside, np.uint8(0))[None]
    if not expected or (inside >= PROBABILITY_THRESHOLD).sum() < LEAST_SHARE * expected:
        return None
    return instances.masks.extended(inside, after[None]).full(len(instances), after)


def main() -> None:
    """The figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="yolact-nano")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--fps", type=float, default=10.0)
    parser.add_argument("--hide", action="store_true")
    add_outline(parser)
    options = parser.parse_args()
    segmenter = OnnxSegmenter(options.model, device="cpu", threads=1, source_size=SIZE)
    found: dict[str, Figures] = defaultdict(Figures)
    shares: list[float] = []
    for seed in options.seeds:
        measure(shop(seed=seed, people=PEOPLE, duration_s=options.seconds), segmenter, options, found, shares)
        measure(checkout(seed=seed, duration_s=options.seconds), segmenter, options, found, shares)
    for name, figures in sorted(found.items()):
        sys.stdout.write(f"{name:28s} {figures}\n")
    mean = float(np.mean(shares)) if shares else 0.0
    sys.stdout.write(f"{'overlap of pairs':28s} {len(shares):6d} pairs, {mean:.3f} of the smaller mask\n")


if __name__ == "__main__":
    main()
