"""Paths of objects enter, what a detector sees of them and who is who leaves: exact truth for the tracker's tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tracker.associate.tracker import Tracker
from tracker.types import InstanceMasks, Instances, Tracks

Path = Callable[[float], tuple[float, float, float, float] | None]
"""Time in seconds to centre x, centre y, width, height; ``None`` where the object is not in view."""


def line(
    start: tuple[float, float],
    velocity: tuple[float, float],
    size: tuple[float, float] = (40, 100),
    *,
    from_s: float = 0.0,
    until_s: float = np.inf,
) -> Path:
    """Constant velocity in px/s."""

    def path(time_s: float) -> tuple[float, float, float, float] | None:
        if not from_s <= time_s <= until_s:
            return None
        return start[0] + velocity[0] * time_s, start[1] + velocity[1] * time_s, *size

    return path


@dataclass
class Story:
    """What came out: per frame the identity of each object (by number), the tracks, and the truth's visibility."""

    owners: list[dict[int, int]] = field(default_factory=list)
    tracks: list[Tracks] = field(default_factory=list)

    def ids_of(self, number: int, first: int = 0) -> set[int]:
        """Identities that object ``number`` had from frame ``first`` on."""
        return {owner[number] for owner in self.owners[first:] if number in owner}

    @property
    def all_ids(self) -> set[int]:
        return {int(identity) for tracks in self.tracks for identity in tracks.ids}


def play(
    paths: Sequence[Path],
    times_s: Sequence[float],
    *,
    seed: int = 0,
    jitter_px: float = 1.0,
    score: float = 0.9,
    seen: Callable[[int, float, np.random.Generator], bool] = lambda number, time_s, generator: True,
    class_of: Callable[[int, float, np.random.Generator], int] = lambda number, time_s, generator: 0,
    false: Callable[[float, np.random.Generator], Sequence[tuple[float, float, float, float]]] = lambda t, g: (),
    tracker: Tracker | None = None,
) -> Story:
    """Run a tracker over a scripted scene; instance order is shuffled in every frame."""
    generator = np.random.default_rng(seed)
    tracker = tracker or Tracker()
    story = Story()
    for time_s in times_s:
        boxes, numbers, classes, scores = [], [], [], []
        for number, path in enumerate(paths):
            place = path(time_s)
            if place is not None and seen(number, time_s, generator):
                x, y, width, height = np.array(place) + generator.normal(0, jitter_px, 4)
                boxes.append((x - width / 2, y - height / 2, x + width / 2, y + height / 2))
                numbers.append(number)
                classes.append(class_of(number, time_s, generator))
                scores.append(score)
        for box in false(time_s, generator):
            boxes.append(box)
            numbers.append(-1)
            classes.append(0)
            scores.append(score * 0.5)
        order = generator.permutation(len(boxes))
        instances = Instances(
            boxes=np.array(boxes, np.float32).reshape(-1, 4)[order],
            scores=np.array(scores, np.float32)[order],
            class_ids=np.array(classes, np.int64)[order],
        )
        tracks = tracker.update(instances, time_s)
        check(tracks, instances)
        taken = tracks.detection_rows >= 0
        owner = {
            numbers[order[row]]: int(i) for i, row in zip(tracks.ids[taken], tracks.detection_rows[taken], strict=True)
        }
        owner.pop(-1, None)
        story.owners.append(owner)
        story.tracks.append(tracks)
    return story


def check(tracks: Tracks, instances: Instances) -> None:
    """What holds for every update whatever the scene."""
    assert (np.diff(tracks.ids) > 0).all(), "ordered by id, each once"
    rows = tracks.detection_rows[tracks.detection_rows >= 0]
    assert len(np.unique(rows)) == len(rows), "no instance is taken twice"
    assert (rows < len(instances)).all()
    assert (tracks.detection_rows >= -1).all()
    assert np.isfinite(tracks.boxes).all()
    assert np.isfinite(tracks.velocities).all()
    assert (tracks.boxes[:, 2:] > tracks.boxes[:, :2]).all()
    seen = tracks.detection_rows >= 0
    np.testing.assert_array_equal(tracks.boxes[seen], instances.boxes[rows])


def random_instances(generator: np.random.Generator, count: int, *, masks: bool = False, classes: int = 3) -> Instances:
    """Instances anywhere in a 640 x 480 image."""
    corners = generator.uniform((0, 0), (600, 440), (count, 2))
    boxes = np.concatenate([corners, corners + generator.uniform(4, 120, (count, 2))], axis=1).astype(np.float32)
    probabilities = generator.integers(0, 256, (count, 30, 40)).astype(np.uint8)
    return Instances(
        boxes=boxes,
        scores=generator.uniform(0, 1, count).astype(np.float32),
        class_ids=generator.integers(0, classes, count),
        masks=InstanceMasks(probabilities=probabilities, step_px=(16.0, 16.0), image_size=(640, 480))
        if masks
        else None,
    )
