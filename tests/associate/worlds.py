"""Simulated paths, detections and exact identities for the tracker's tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tracker.associate.tracker import Tracker
from tracker.types import GridMasks, Instances, Tracks

Path = Callable[[float], tuple[float, float, float, float] | None]
"""Time in seconds to centre x, centre y, width, height; ``None`` where the object is not in view."""
Box = tuple[float, float, float, float]
MOST_HIDDEN = 0.7
"""Detectors miss what is hidden by more."""


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
    """What came out, frame by frame: the identity of each object (by number), the tracks, objects with an instance."""

    owners: list[dict[int, int]] = field(default_factory=list)
    tracks: list[Tracks] = field(default_factory=list)
    seen: list[set[int]] = field(default_factory=list)

    def ids_of(self, number: int, first: int = 0) -> set[int]:
        """Identities that object ``number`` had from frame ``first`` on."""
        return {owner[number] for owner in self.owners[first:] if number in owner}

    @property
    def all_ids(self) -> set[int]:
        return {int(identity) for tracks in self.tracks for identity in tracks.ids}

    @property
    def objects(self) -> set[int]:
        return set().union(*self.seen)

    @property
    def switches(self) -> int:
        """How often an object has another identity than the last time it had one, over all objects."""
        held: dict[int, int] = {}
        count = 0
        for owner in self.owners:
            count += sum(held.get(number, identity) != identity for number, identity in owner.items())
            held |= owner
        return count

    @property
    def shared(self) -> set[int]:
        """Identities that more than one object had."""
        holders: dict[int, set[int]] = {}
        for owner in self.owners:
            for number, identity in owner.items():
                holders.setdefault(identity, set()).add(number)
        return {identity for identity, numbers in holders.items() if len(numbers) > 1}

    @property
    def strangers(self) -> set[int]:
        """Identities that no object ever had."""
        return self.all_ids.difference(*(owner.values() for owner in self.owners))

    def found(self, first: int = 0) -> float:
        """Share of the objects' instances from frame ``first`` on that carry an identity."""
        return sum(map(len, self.owners[first:])) / sum(map(len, self.seen[first:]))

    def holds(self, *, found: float = 0.95) -> bool:
        """Whether every object had one identity of its own, no false instance had one, and few instances had none."""
        faults = {"switches": self.switches, "shared": self.shared, "strangers": self.strangers}
        assert not any(faults.values()), faults
        assert len(self.all_ids) == len(self.objects), (self.all_ids, self.objects)
        assert self.found() >= found, self.found()
        return True


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
    pillars: Sequence[tuple[float, float]] = (),
    most_hidden: float = MOST_HIDDEN,
    solid: bool = False,
    masks: bool = False,
    tracker: Tracker | None = None,
) -> Story:
    """Run a tracker over a scripted scene; instance order is shuffled in every frame.

    Args:
        paths: One per object.
        times_s: Times of the frames.
        seed: Of jitter, order and whatever the callbacks draw.
        jitter_px: Standard deviation of centre, width and height.
        score: Of true instances; false ones have half of it.
        seen: Whether the detector finds the object, by number and time.
        class_of: The class it says.
        false: Boxes of false instances.
        pillars: Columns of the image ``(x1, x2)`` that stand before everything: boxes are cut at them.
        most_hidden: What is hidden by a larger share has no instance.
        solid: Objects hide one another; what stands lower in the image is nearer.
        masks: Instances have silhouettes: ellipses, less what pillars and nearer ones cover.
        tracker: One that has seen something already; else a new one.
    """
    generator = np.random.default_rng(seed)
    tracker = tracker or Tracker()
    story = Story()
    for time_s in times_s:
        boxes, whole, numbers, classes, scores = [], [], [], [], []
        places = [path(time_s) for path in paths]
        truth = {number: corners(*place) for number, place in enumerate(places) if place is not None}
        for number, box in truth.items():
            others = [other for name, other in truth.items() if solid and name != number]
            if hidden(box, others, pillars) <= most_hidden and seen(number, time_s, generator):
                x, y, width, height = np.array(places[number]) + generator.normal(0, jitter_px, 4)
                whole.append(corners(x, y, width, height))
                boxes.append(cut(whole[-1], pillars))
                numbers.append(number)
                classes.append(class_of(number, time_s, generator))
                scores.append(score)
        for box in false(time_s, generator):
            whole.append(box)
            boxes.append(box)
            numbers.append(-1)
            classes.append(0)
            scores.append(score * 0.5)
        order = generator.permutation(len(boxes))
        shuffled = np.array(boxes, np.float32).reshape(-1, 4)[order]
        unclipped = np.array(whole, np.float32).reshape(-1, 4)[order]
        instances = Instances(
            boxes=shuffled,
            scores=np.array(scores, np.float32)[order],
            class_ids=np.array(classes, np.int64)[order],
            masks=ellipses(unclipped, shuffled) if masks else None,
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
        story.seen.append(set(numbers) - {-1})
    return story


def corners(x: float, y: float, width: float, height: float) -> Box:
    """xyxy of centre and size."""
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def cut(box: Box, pillars: Sequence[tuple[float, float]]) -> Box:
    """The larger part of a box that a pillar leaves to the eye."""
    left, top, right, bottom = box
    for start, end in pillars:
        if start < right and end > left:
            left, right = (left, min(start, right)) if start - left >= right - end else (max(end, left), right)
    return left, top, right, bottom


def hidden(box: Box, others: Sequence[Box], pillars: Sequence[tuple[float, float]]) -> float:
    """The share of a box that pillars hide, or that one nearer box does."""
    left, _, right, _ = cut(box, pillars)
    shares = [1 - max(right - left, 0) / (box[2] - box[0])]
    for other in others:
        width = min(box[2], other[2]) - max(box[0], other[0])
        height = min(box[3], other[3]) - max(box[1], other[1])
        if other[3] > box[3] and width > 0 and height > 0:
            shares.append(width * height / ((box[2] - box[0]) * (box[3] - box[1])))
    return max(shares)


def ellipses(
    boxes: NDArray[np.float32], parts: NDArray[np.float32], step_px: float = 8.0, size: tuple[int, int] = (720, 480)
) -> GridMasks:
    """Silhouettes that fill ``boxes`` as ellipses do, inside ``parts``, less those whose lower edge is lower."""
    x = (np.arange(int(size[0] / step_px)) + 0.5) * step_px
    y = ((np.arange(int(size[1] / step_px)) + 0.5) * step_px)[:, None]
    grids = np.zeros((len(boxes), y.size, x.size), np.uint8)
    covered = np.zeros((y.size, x.size), np.bool_)
    for number in np.argsort(-boxes[:, 3]):
        x1, y1, x2, y2 = boxes[number].tolist()
        inside = ((2 * x - x1 - x2) / (x2 - x1)) ** 2 + ((2 * y - y1 - y2) / (y2 - y1)) ** 2 <= 1
        inside &= (x >= parts[number, 0]) & (x <= parts[number, 2])
        grids[number] = np.where(inside & ~covered, 255, 0)
        covered |= inside
    return GridMasks(probabilities=grids, step_px=(step_px, step_px), image_size=size)


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
        masks=GridMasks(probabilities=probabilities, step_px=(16.0, 16.0), image_size=(640, 480)) if masks else None,
    )
