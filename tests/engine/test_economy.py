"""Economy of segmentation: which frames are looked at, nothing is missed for long, machines do not matter."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.engine.fakes import CountingTracker, FakeSource, ListSink
from tracker.associate.tracker import Tracker
from tracker.engine.economy import Economy, Found, explained
from tracker.engine.resume import restore
from tracker.engine.scheduler import Engine
from tracker.engine.snapshot import Kept
from tracker.engine.steady import SteadyTracker
from tracker.engine.stillness import grey_of, is_still
from tracker.engine.stream import Stream
from tracker.errors import TrackerError
from tracker.masks.grid_masks import GridMasks
from tracker.sinks.base import Checkpoint
from tracker.types import Frame, Instances, TrackedFrame, Tracks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from tracker.engine.stage import Stage

WIDTH, HEIGHT, FPS = 320, 192, 25.0
TEXTURE = np.random.default_rng(1).integers(60, 160, (HEIGHT // 8, WIDTH // 8)).repeat(8, 0).repeat(8, 1)

Box = tuple[float, float, float, float]
Boxes = "Callable[[int], list[Box]]"


@dataclass
class Scene:
    """Rectangles over a textured ground, bright or so much brighter than the ground, with noise."""

    boxes: Callable[[int], list[Box]] = lambda _index: []
    light: Callable[[int], float] = lambda _index: 0.0
    shift: Callable[[int], int] = lambda _index: 0
    noise: float = 3.0
    fps: float = FPS
    contrast: float | None = None

    def picture(self, index: int) -> NDArray[np.uint8]:
        image = np.roll(TEXTURE, self.shift(index), axis=1).astype(float) + self.light(index)
        image += np.random.default_rng(index).normal(0, self.noise, image.shape)
        for left, top, right, bottom in self.boxes(index):
            part = image[max(round(top), 0) : max(round(bottom), 0), max(round(left), 0) : max(round(right), 0)]
            part[:] = 230 if self.contrast is None else part + self.contrast
        return np.clip(image, 0, 255).astype(np.uint8)[:, :, None].repeat(3, 2)

    def frame(self, index: int) -> Frame:
        return Frame(
            index=index,
            time_s=index / self.fps,
            arrived_s=time.monotonic(),
            source="a",
            size=(WIDTH, HEIGHT),
            image=self.picture(index),
        )

    def instances(self, index: int) -> Instances:
        inside = [box for box in self.boxes(index) if min(box[2], WIDTH) - max(box[0], 0) > 4]
        boxes = np.array(inside, np.float32).reshape(-1, 4).clip(0, [WIDTH, HEIGHT, WIDTH, HEIGHT]).astype(np.float32)
        grids = np.zeros((len(boxes), HEIGHT // 4, WIDTH // 4), np.uint8)
        for grid, (left, top, right, bottom) in zip(grids, (boxes / 4).round().astype(int), strict=True):
            grid[top:bottom, left:right] = 255
        return Instances(
            boxes=boxes,
            scores=np.full(len(boxes), 0.9, np.float32),
            class_ids=np.zeros(len(boxes), np.int64),
            masks=GridMasks(probabilities=grids, step_px=(4.0, 4.0), image_size=(WIDTH, HEIGHT)),
        )


@dataclass
class Seer:
    """A segmenter that knows the scene, and remembers what it was asked for."""

    scene: Scene
    jitter_s: float = 0.0
    asked: list[int] = field(default_factory=list)
    class_names = ("car",)
    network_size = (WIDTH, HEIGHT)
    keep_aspect = True
    confirmation_score = 0.5

    def segment(self, frames: Sequence[Frame]) -> list[Instances]:
        self.asked += [frame.index for frame in frames]
        if self.jitter_s:
            time.sleep(self.jitter_s * np.random.default_rng(self.asked[-1]).random())
        return [self.scene.instances(frame.index) for frame in frames]


@dataclass
class Ran:
    frames: list[TrackedFrame]
    asked: list[int]
    stream: Stream

    @property
    def skipped(self) -> list[int]:
        return [tracked.frame.index for tracked in self.frames if tracked.skipped]

    @property
    def interpolated(self) -> list[int]:
        return [tracked.frame.index for tracked in self.frames if tracked.interpolated]

    @property
    def rows(self) -> list[tuple[int, list[int], list[float], bool, bool]]:
        found = [(one, one.tracks) for one in self.frames if one.tracks is not None]
        return [
            (one.frame.index, tracks.ids.tolist(), tracks.boxes.ravel().tolist(), one.skipped, one.interpolated)
            for one, tracks in found
        ]


def run(
    scene: Scene,
    count: int,
    *,
    economy: bool = True,
    fills: bool = False,
    workers: int = 1,
    batch_size: int = 1,
    jitter_s: float = 0.0,
    stages: Sequence[Stage] = (),
    sink: ListSink | None = None,
    resumed: Checkpoint | None = None,
    **options,
) -> Ran:
    segmenter, sink, source = Seer(scene, jitter_s), sink or ListSink(), FakeSource("a", capacity=10)
    tracker = SteadyTracker(Tracker.for_model(segmenter))
    chosen = Economy([tracker], tracker, fills=fills) if economy else None
    stream = Stream(
        name="a",
        open_source=source.open,
        stages=[tracker, *stages],
        open_sink=lambda _: sink,
        economy=chosen,
        max_in_flight=batch_size * (workers + 1),
        **options,
    )

    first = 0
    if resumed is not None:
        restore([tracker], stream.meter, Kept(state=resumed.state, elapsed_s=None))
        first = resumed.next_index
        stream.resume(first)

    def feed() -> None:
        for index in range(count):
            source.handoff.put(scene.frame(index))
        source.handoff.finish(None)

    engine = Engine(segmenter=segmenter, workers=workers, batch_size=batch_size)
    engine.add(stream)
    threading.Thread(target=feed, daemon=True).start()
    try:
        assert engine.wait(60)
    finally:
        engine.close()
    assert stream.failures == []
    assert [tracked.frame.index for tracked in sink.frames] == list(range(first, count))
    return Ran(frames=sink.frames, asked=segmenter.asked, stream=stream)


def driving(start: int, speed_px: float, y: float = 60.0) -> Callable[[int], list[Box]]:
    """One car that enters from the left at frame ``start``."""

    def boxes(index: int) -> list[Box]:
        x = (index - start) * speed_px - 60
        return [(x, y, x + 60, y + 40)] if index >= start and -60 < x < WIDTH else []

    return boxes


# the motion gate


def test_an_empty_stretch_is_looked_at_once_a_second():
    ran = run(Scene(), 150)
    looked = sorted(set(range(150)) - set(ran.skipped))
    assert looked == ran.asked
    assert len(looked) <= 8
    assert max(np.diff([*looked, 150])) <= FPS
    assert all(len(tracked.instances) == 0 and not tracked.detected for tracked in ran.frames if tracked.skipped)
    figures = ran.stream.figures()
    assert (figures.frames, figures.skipped, figures.interpolated) == (150, len(ran.skipped), 0)


def test_pictures_of_an_empty_stretch_are_compared_once(monkeypatch):
    compared = []

    def counted(picture, earlier):
        compared.append(1)
        return is_still(picture, earlier)

    monkeypatch.setattr("tracker.engine.economy.is_still", counted)
    scene = Scene()
    tracker = SteadyTracker(Tracker.for_model(Seer(scene, 0.0)))
    economy = Economy([tracker], tracker, fills=False)
    skipped = 0
    for index in range(20):
        frame = scene.frame(index)
        grey = grey_of(frame)
        economy.expects(frame, grey)
        found = Found(frame=frame, grey=grey, instances=None, segment_s=0.0, class_names=("car",))
        skipped += sum(tracked.skipped for tracked in economy.take(found, lambda one: scene.instances(one.index)))
    assert (skipped, len(compared)) == (19, 19)
    assert not economy._compared


@pytest.mark.parametrize("speed_px", [0.3, 2.0, 8.0])
def test_what_enters_is_found_within_a_second(speed_px):
    scene = Scene(boxes=driving(70, speed_px))
    ran = run(scene, 150)
    shown = next(index for index in range(150) if len(scene.instances(index)))
    found = next(tracked.frame.index for tracked in ran.frames if len(tracked.instances))
    assert shown <= found < shown + FPS
    assert len(ran.skipped) > 50


def test_nothing_is_skipped_while_a_track_lives():
    """A parked car is still, and stays; once it is gone for good, and its track too, frames are skipped."""
    ran = run(Scene(boxes=lambda index: [(100, 60, 160, 100)] if index < 75 else []), 200)
    assert ran.skipped
    assert min(ran.skipped) >= 75 + 2 * FPS  # a lost track lives for two seconds
    known = [tracked.tracks for tracked in ran.frames if tracked.skipped]
    assert all(tracks is not None and len(tracks) == 0 for tracks in known)


@pytest.mark.parametrize(
    "light",
    [lambda index: 0.3 * index, lambda index: 12.0 * (index % 2), lambda index: 40.0 * (index > 60)],
    ids=["slow", "flicker", "switched"],
)
def test_light_alone_is_no_motion(light):
    assert len(run(Scene(light=light), 120).skipped) > 110


def test_a_faint_object_is_found_at_once_in_another_light():
    scene = Scene(boxes=driving(59, 8.0), light=lambda index: 40.0 * (index > 55), contrast=25.0)
    ran = run(scene, 90)
    shown = next(index for index in range(90) if len(scene.instances(index)))
    looked = [index for index in range(56, 90) if index not in ran.skipped]
    assert shown <= looked[0] <= shown + 2


def test_a_camera_that_moves_sees_every_frame():
    ran = run(Scene(shift=lambda index: 2 * index), 60)
    assert ran.skipped == []


def test_heavy_noise_is_no_motion():
    assert len(run(Scene(noise=12.0), 60).skipped) > 55


def test_pictures_of_another_size_are_looked_at():
    class Switching(Scene):
        def frame(self, index: int) -> Frame:
            made = super().frame(index)
            return made if index < 30 else replace(made, image=made.image[:96], size=(WIDTH, 96))

    assert 30 in run(Switching(), 50).asked


def test_without_pixels_every_frame_is_looked_at():
    class Blind(Scene):
        def frame(self, index: int) -> Frame:
            return replace(super().frame(index), image=None)

    assert run(Blind(), 30).asked == list(range(30))


# interpolation


def test_every_second_frame_of_a_recording_lies_between_its_neighbours():
    scene = Scene(boxes=driving(0, 2.5))
    full, ran = run(scene, 101, economy=False), run(scene, 101, fills=True)
    assert len(ran.interpolated) > 40
    assert len(ran.asked) < 60
    assert max(np.diff(ran.asked)) <= 2
    whole = {tracked.frame.index: tracked for tracked in full.frames}
    compared = 0
    for tracked in ran.frames:
        one, two = tracked.tracks, whole[tracked.frame.index].tracks
        if not tracked.interpolated or not len(one) or tracked.frame.index < 30:
            continue
        assert one.ids.tolist() == two.ids.tolist()
        np.testing.assert_allclose(one.boxes, two.boxes, atol=0.51)
        np.testing.assert_allclose(one.ages_s, two.ages_s, atol=1e-4)
        assert one.detection_rows.tolist() == [0]
        mask, truth = (each.instances.masks.grid(0) >= 128 for each in (tracked, whole[tracked.frame.index]))
        assert (mask & truth).sum() > 0.9 * (mask | truth).sum()
        compared += 1
    assert compared > 25
    assert ran.stream.figures().interpolated == len(ran.interpolated)
    assert ran.stream.figures().identities == full.stream.figures().identities == 1


def test_a_recording_skips_and_interpolates():
    ran = run(Scene(boxes=driving(70, 2.5)), 150, fills=True)
    assert len(ran.skipped) > 50
    assert len(ran.interpolated) > 30
    assert max(ran.skipped) < min(ran.interpolated)


@pytest.mark.parametrize(
    "scene",
    [Scene(boxes=driving(0, 2.5), fps=10.0), Scene(boxes=driving(0, 25.0))],
    ids=["few frames a second", "fast"],
)
def test_what_moves_far_between_frames_is_looked_at_in_each(scene):
    count = 12 if scene.fps > 10 else 60
    ran = run(scene, count, fills=True)
    with_tracks = [tracked for tracked in ran.frames if len(tracked.tracks)]
    assert with_tracks
    assert not any(tracked.interpolated for tracked in with_tracks)


def test_cameras_interpolate_nothing():
    assert run(Scene(boxes=driving(0, 2.5)), 60).interpolated == []


def test_a_frame_that_is_held_back_at_the_end_is_looked_at():
    for count in (50, 51):
        ran = run(Scene(boxes=lambda _index: [(100, 60, 160, 100)]), count, fills=True)
        assert ran.asked[-1] == count - 1
        assert not ran.frames[-1].interpolated


def crossing(index: int) -> list[Box]:
    """Two cars that pass each other, one that crosses quickly, and a long empty stretch."""
    x = 2.0 * index
    found = [(x - 60, 60.0, x, 100.0), (300 - x, 80.0, 360 - x, 120.0)] if index < 170 else []
    return found + ([(20.0 * index - 1600, 130.0, 20.0 * index - 1540, 160.0)] if 70 < index < 100 else [])


@pytest.mark.slow
def test_machines_do_not_matter():
    scene = Scene(boxes=crossing)
    alone = run(scene, 300, fills=True)
    assert alone.skipped
    assert alone.interpolated
    for workers, batch_size in ((4, 1), (2, 4), (8, 8)):
        other = run(scene, 300, fills=True, workers=workers, batch_size=batch_size, jitter_s=0.004)
        assert other.rows == alone.rows, (workers, batch_size)


@pytest.mark.slow
def test_guesses_spare_the_segmenter_with_many_workers():
    scene = Scene(boxes=driving(100, 2.5))
    alone, many = run(scene, 200, fills=True), run(scene, 200, fills=True, workers=4, jitter_s=0.002)
    assert len(many.asked) < len(alone.asked) + 25


def test_a_checkpoint_holds_nothing_back():
    """What is written before it is what a later process leaves out."""
    scene = Scene(boxes=lambda _index: [(100, 60, 160, 100)])
    ran = run(scene, 60, fills=True, checkpoint_frames=15)
    assert ran.interpolated
    for first in (15, 30, 45):
        assert not ran.frames[first - 1].interpolated
        assert not ran.frames[first].interpolated


class Checkpoints(ListSink):
    """Keeps what it is given, and the checkpoints."""

    def __init__(self) -> None:
        super().__init__()
        self.checkpoints: list[Checkpoint] = []

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        self.checkpoints.append(checkpoint)


@pytest.mark.parametrize("boxes", [driving(20, 2.5), lambda _index: []], ids=["driving", "empty"])
def test_a_recording_that_is_resumed_goes_on_as_one_that_was_not_cut(boxes):
    scene, sink = Scene(boxes=boxes), Checkpoints()
    whole = run(scene, 90, fills=True, checkpoint_frames=20, sink=sink)
    assert whole.interpolated or whole.skipped
    [kept] = [checkpoint for checkpoint in sink.checkpoints if checkpoint.next_index == 40]
    later = run(scene, 90, fills=True, checkpoint_frames=20, resumed=kept)
    assert later.rows == whole.rows[40:]


# when a frame explains another


def tracks_of(*boxes: Box, classes: Sequence[int] = ()) -> TrackedFrame:
    count = len(boxes)
    tracks = Tracks(
        ids=np.arange(1, count + 1),
        detection_rows=np.arange(count),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        velocities=np.zeros((count, 2), np.float32),
        class_ids=np.array(classes or [0] * count, np.int64),
        scores=np.ones(count, np.float32),
        ages_s=np.ones(count, np.float32),
    )
    return TrackedFrame(frame=Scene().frame(0), instances=Instances.empty(), tracks=tracks, class_names=("a", "b"))


def found_at(*boxes: Box, classes: Sequence[int] = ()) -> Instances:
    count = len(boxes)
    return Instances(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.ones(count, np.float32),
        class_ids=np.array(classes or [0] * count, np.int64),
    )


HERE: Box = (100, 100, 140, 140)


@pytest.mark.parametrize(
    ("key", "instances", "plain"),
    [
        (tracks_of(), found_at(HERE), True),
        (tracks_of(HERE), found_at(), True),
        (tracks_of(HERE), found_at((105, 100, 145, 140)), True),
        (tracks_of(HERE), found_at((130, 100, 170, 140)), False),  # may have moved by three quarters of its width
        (tracks_of(HERE), found_at((130, 100, 170, 140), classes=[1]), True),
        (tracks_of(HERE), found_at((250, 100, 290, 140)), True),  # another one, far away
        (tracks_of(HERE), found_at((105, 100, 145, 140), (115, 100, 155, 140)), False),  # which of the two?
        (tracks_of(HERE, (115, 100, 155, 140)), found_at((105, 100, 145, 140)), False),
        (tracks_of(HERE, (150, 100, 190, 140)), found_at((102, 100, 142, 140), (150, 100, 190, 140)), True),
    ],
)
def test_what_is_plain(key, instances, plain):
    assert explained(key, instances) is plain


def test_a_tracker_that_does_not_tell_is_refused():
    with pytest.raises(TrackerError, match="expected a tracker with `living`, found CountingTracker"):
        _ = SteadyTracker(CountingTracker()).living
