"""Camera motion: warped tracks, and the estimate against rendered worlds whose camera is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
import pytest

from demos.scenes.detector import detect
from demos.scenes.road import road
from demos.scenes.shop import shop
from demos.scenes.truth import SceneTruth
from tests.associate.test_warp import one, similarity
from tracker import boxes
from tracker.associate import camera
from tracker.associate.camera import CameraMotion
from tracker.associate.tracker import Tracker
from tracker.engine.run import serve
from tracker.engine.scheduler import Engine
from tracker.engine.stage import CameraMotionStage
from tracker.engine.steady import SteadyTracker
from tracker.engine.stream import Stream
from tracker.errors import ConfigError
from tracker.settings.yaml_file import parse_service_settings
from tracker.sources.frames import FrameSource
from tracker.types import Frame, Instances, Letterbox

SIZE = (640, 360)


# The estimate against the truth


def frame_of(image: np.ndarray, index: int = 0, *, fps: float = 25.0) -> Frame:
    size = (image.shape[1], image.shape[0])
    return Frame(index=index, time_s=index / fps, arrived_s=0.0, source="test", size=size, image=image)


@lru_cache(maxsize=4)
def view(build: object) -> np.ndarray:
    """Empty scenery, larger than a frame so that a moved camera sees something everywhere."""
    if build is road:
        small = road(seed=3, size=(480, 270), traffic=0.0, noise=0.0).render(0.0).image
    else:
        small = shop(seed=3, size=(480, 270), noise=0.0).render(0.0).image
    return cv2.resize(small, (960, 540), interpolation=cv2.INTER_CUBIC)


def taken(matrix: np.ndarray, *, size: tuple[int, int] = SIZE, build: object = road, noise: int = 0) -> np.ndarray:
    """What a camera sees: ``matrix`` maps the pixels of its frame at rest, in the middle of the view, to this one's."""
    centre = np.array([[1.0, 0.0, -160.0], [0.0, 1.0, -90.0]])
    joint = np.column_stack([matrix[:, :2] @ centre[:, :2], matrix[:, :2] @ centre[:, 2] + matrix[:, 2]])
    half = 0.5 - joint[:, :2] @ np.array([0.5, 0.5])  # pixel edges to OpenCV's pixel centres
    image = cv2.warpAffine(view(build), np.column_stack([joint[:, :2], joint[:, 2] - half]), size)
    if noise:
        grain = np.random.default_rng(noise).normal(0, 2, image.shape)
        image = np.clip(image + grain, 0, 255).astype(np.uint8)
    return image


def distance_px(one: np.ndarray | None, other: np.ndarray, size: tuple[int, int] = SIZE) -> float:
    """The largest distance between two warps over the picture; no warp is the identity."""
    x, y = np.meshgrid(np.linspace(0, size[0], 9), np.linspace(0, size[1], 6))
    points = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    moved = np.vstack([other, [0, 0, 1]])[:3] @ points
    return float(np.hypot(*((np.eye(2, 3) if one is None else one) @ points - moved[:2] / moved[2])).max())


def closest_similarity(homography: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """By least squares over the picture."""
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(0, size[0], 9), np.linspace(0, size[1], 6)))
    moved = homography @ np.stack([x, y, np.ones(x.size)])
    ones, zeros = np.ones(x.size), np.zeros(x.size)
    rows = np.concatenate([np.stack([x, -y, ones, zeros], axis=1), np.stack([y, x, zeros, ones], axis=1)])
    (a, b, right, down), *_ = np.linalg.lstsq(rows, (moved[:2] / moved[2]).ravel())
    return np.array([[a, -b, right], [b, a, down]])


def warps(frames: Iterable[Frame], estimator: CameraMotion | None = None) -> Iterator[np.ndarray | None]:
    estimator = estimator or CameraMotion()
    return (estimator.update(frame, Instances.empty()) for frame in frames)


def about_middle(scale: float, turn_rad: float, shift: tuple[float, float]) -> np.ndarray:
    middle = np.array(SIZE) / 2
    matrix = similarity(scale, turn_rad, (0, 0))
    matrix[:, 2] = middle - matrix[:, :2] @ middle + shift
    return matrix


@pytest.mark.parametrize(
    "motion",
    [(1.0, 0.0, (7.3, -2.6)), (1.04, 0.0, (0, 0)), (0.95, 0.0, (3, 3)), (1.0, 0.04, (0, 0)), (1.02, -0.02, (-25, 12))],
)
@pytest.mark.parametrize("build", [road, shop])
def test_pans_zooms_and_turns_are_measured_to_a_fraction_of_a_pixel(build: object, motion: tuple) -> None:
    truth = about_middle(*motion)
    at_rest = taken(np.eye(2, 3), build=build, noise=1)
    _, warp = warps([frame_of(at_rest), frame_of(taken(truth, build=build, noise=2), 1)])
    assert distance_px(warp, truth) < 0.5


@pytest.mark.parametrize("keep_aspect", [True, False])
def test_the_network_picture_is_read_without_its_padding(keep_aspect: bool) -> None:
    # A picture of 960 x 720 in a network input of 640 x 384: padded on the right, or stretched.
    truth = similarity(1.01, 0.01, (9, -5))
    frames = []
    for index, matrix in enumerate((np.eye(2, 3), truth)):
        image = cv2.resize(taken(np.eye(2, 3), size=(640, 360)), (960, 720), interpolation=cv2.INTER_CUBIC)
        image = cv2.warpAffine(image, matrix, (960, 720), borderMode=cv2.BORDER_REFLECT)
        letterbox = Letterbox.fit((960, 720), (640, 384), keep_aspect=keep_aspect)
        width, height = letterbox.content_size
        small = np.full((384, 640, 3), 114, np.uint8)
        small[:height, :width] = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        network = {"image": None, "network_image": small, "letterbox": letterbox}
        frames.append(replace(frame_of(image, index), **network))
    half = truth[:, 2] + 0.5 - truth[:, :2] @ np.array([0.5, 0.5])
    _, warp = warps(frames)
    assert distance_px(warp, np.column_stack([truth[:, :2], half]), (960, 720)) < 0.6


@lru_cache(maxsize=4)
def shaken(build: object, fps: float, seconds: float, **rig: float) -> list[tuple[Frame, SceneTruth, np.ndarray]]:
    """A rendered scene with traffic, and the homography from each frame before."""
    scene = build(seed=1, size=(320, 180), **rig)  # type: ignore[operator]
    return [
        (frame, truth, scene.rig.warp(frame.time_s) @ np.linalg.inv(scene.rig.warp(max(frame.time_s - 1 / fps, 0))))
        for frame, truth in scene.frames(fps, seconds)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("build", "rig"), [(road, {"shake_px": 4.0}), (shop, {"pan_deg": 20.0})])
def test_a_shaken_and_a_panning_camera_in_rendered_traffic(build: object, rig: dict[str, float]) -> None:
    estimator, generator = CameraMotion(), np.random.default_rng(0)
    errors, motions, least = [], [], []
    for frame, truth, homography in shaken(build, 5.0, 4.0, **rig):
        warp = estimator.update(frame, detect(truth, rng=generator))
        if frame.index:
            errors.append(distance_px(warp, homography, frame.size))
            motions.append(distance_px(None, homography, frame.size))
            least.append(distance_px(closest_similarity(homography, frame.size), homography, frame.size))
    assert np.mean(motions) > 5
    assert np.mean(errors) < 1.5 * np.mean(least) + 0.3, "no rotation with scale and shift is a homography"


def test_frames_that_were_dropped_are_not_missed() -> None:
    path = [about_middle(1.0, 0.0, (4.0 * k, -1.0 * k)) for k in range(9)]
    kept = [0, 1, 4, 5, 8]
    found = list(warps(frame_of(taken(path[k]), k) for k in kept))
    for number in range(1, len(kept)):
        step = 4.0 * (kept[number] - kept[number - 1])
        assert distance_px(found[number], similarity(1, 0, (step, -step / 4))) < 0.3


# A camera that stands, and one that begins to move


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Which frames an estimator really looked at."""
    seen: list[int] = []
    small_picture = camera._small_picture

    def counted(frame: Frame) -> np.ndarray | None:
        seen.append(frame.index)
        return small_picture(frame)

    monkeypatch.setattr(camera, "_small_picture", counted)
    return seen


def test_a_standing_camera_has_no_warp_and_is_rarely_checked(checks: list[int]) -> None:
    noisy = [taken(np.eye(2, 3), noise=1 + k) for k in range(5)]
    assert not any(warp is not None for warp in warps(frame_of(noisy[k % 5], k, fps=30) for k in range(120)))
    assert sum(index >= 60 for index in checks) <= 20, "ten times a second, two seconds"


def test_a_resting_camera_that_begins_to_pan_is_noticed_at_the_next_look() -> None:
    def shift(frame: int) -> float:
        return 6.0 * max(frame - 60, 0)

    found = list(warps(frame_of(taken(about_middle(1, 0, (shift(k), 0))), k, fps=30) for k in range(76)))
    told = [k for k, warp in enumerate(found) if warp is not None]
    assert 61 <= told[0] <= 65
    assert told == list(range(told[0], 76)), "from then on without a gap"
    assert all(distance_px(found[k], similarity(1, 0, (6, 0))) < 0.3 for k in told)


def test_a_slow_pan_is_told_in_steps_that_add_up() -> None:
    found = list(warps(frame_of(taken(about_middle(1, 0, (0.2 * k, 0))), k, fps=25) for k in range(40)))
    middle = np.array([SIZE[0] / 2, SIZE[1] / 2, 1])
    told = [float(warp[0] @ middle - middle[0]) for warp in found if warp is not None]
    assert sum(told) == pytest.approx(0.2 * 39, rel=0.1)
    assert len(told) < 30, "a look in which hardly anything moved is not told, nor forgotten"


# Nothing to hold on to


def test_black_and_even_pictures_tell_nothing_and_harm_nothing() -> None:
    black, grey = np.zeros((360, 640, 3), np.uint8), np.full((360, 640, 3), 128, np.uint8)
    moved = about_middle(1.0, 0.0, (8, 0))
    pictures = [taken(np.eye(2, 3)), black, black, grey, taken(np.eye(2, 3)), taken(moved)]
    found = list(warps(frame_of(picture, k) for k, picture in enumerate(pictures)))
    assert found[:5] == [None] * 5
    assert distance_px(found[5], moved) < 0.3


def test_a_cut_tells_nothing() -> None:
    moved = about_middle(1.0, 0.0, (8, 0))
    pictures = [taken(m, build=b) for b in (road, shop) for m in (np.eye(2, 3), moved)] * 2
    found = list(warps(frame_of(picture, k) for k, picture in enumerate(pictures)))
    for k, warp in enumerate(found):
        if k % 2:
            assert distance_px(warp, moved) < 0.3
        else:
            assert warp is None


def test_a_jump_beyond_reach_tells_nothing() -> None:
    pictures = [taken(about_middle(1.0, turn, (0, 0))) for turn in (0.0, 0.5, 1.0)]
    assert list(warps(frame_of(picture, k) for k, picture in enumerate(pictures))) == [None] * 3


@pytest.mark.parametrize("shape", ["boxes", "masks"])
def test_objects_that_fill_half_of_the_picture_do_not_lead_it(shape: str) -> None:
    pattern = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (360, 640, 3), dtype=np.uint8), (5, 5), 0)
    scenery = similarity(1, 0, (5, 2))
    frames, seen = [], []
    for index, matrix in enumerate((np.eye(2, 3), scenery)):
        image = taken(matrix)
        left = 60 - 14 * index
        image[20:340, left : left + 420] = cv2.normalize(pattern, None, 0, 255, cv2.NORM_MINMAX)[20:340, :420]
        frames.append(frame_of(image, index))
        instance = one((left, 20, left + 420, 340))
        if shape == "masks":
            truth = np.zeros((1, 90, 160), np.uint8)
            truth[0, 5:85, left // 4 : (left + 420) // 4] = 255
            masks = camera_masks(truth)
            instance = replace(instance, masks=masks)
        seen.append(instance)
    estimator = CameraMotion()
    warp = [estimator.update(frame, instance) for frame, instance in zip(frames, seen, strict=True)][1]
    assert distance_px(warp, scenery) < 0.4
    blind = list(warps(frames))[1]
    assert distance_px(blind, scenery) > 5, "without the instance the object would have led"


def camera_masks(probabilities: np.ndarray):
    from tracker.types import GridMasks

    return GridMasks(probabilities=probabilities, step_px=(4.0, 4.0), image_size=SIZE)


def test_no_picture_and_another_size_tell_nothing() -> None:
    estimator = CameraMotion()
    bare = replace(frame_of(taken(np.eye(2, 3))), image=None)
    assert estimator.update(bare, Instances.empty()) is None
    small = cv2.resize(taken(np.eye(2, 3)), (320, 180))
    pictures = [taken(np.eye(2, 3)), small, taken(about_middle(1, 0, (9, 0)))]
    assert list(warps((frame_of(p, k) for k, p in enumerate(pictures)), estimator)) == [None] * 3


def test_state_continues_where_it_was_stored() -> None:
    frames = [frame_of(taken(about_middle(1, 0, (3.0 * k, 0))), k) for k in range(8)]
    through, before, after = CameraMotion(), CameraMotion(), CameraMotion()
    list(warps(frames[:4], before))
    after.restore(before.state())
    expected = list(warps(frames, through))[4:]
    np.testing.assert_array_equal(expected, list(warps(frames[4:], after)))
    fresh = CameraMotion()
    fresh.restore(CameraMotion().state())
    assert fresh.update(frames[0], Instances.empty()) is None


# All of it


def switches(frames: Sequence[tuple[Frame, SceneTruth, np.ndarray]], *, compensated: bool) -> int:
    """How often a plainly visible object changed its number."""
    tracker, estimator, generator = Tracker(), CameraMotion(), np.random.default_rng(1)
    numbers: dict[int, int] = {}
    count = 0
    for frame, truth, _ in frames:
        instances = detect(truth, rng=generator, miss_rate=0.1, jitter=0.03, false_positives=0.3)
        warp = estimator.update(frame, instances) if compensated else None
        tracks = tracker.update(instances, frame.time_s, warp=warp)
        rows = np.flatnonzero(truth.visibility >= 0.3)
        if not len(rows) or not len(tracks):
            continue
        overlaps = boxes.iou(truth.boxes[rows], tracks.boxes)
        for place, row in enumerate(rows):
            best = int(overlaps[place].argmax())
            if overlaps[place, best] >= 0.5 and int(overlaps[:, best].argmax()) == place:
                identity, number = int(truth.ids[row]), int(tracks.ids[best])
                count += numbers.get(identity, number) != number
                numbers[identity] = number
    return count


def test_a_shaken_camera_costs_hardly_any_identity_when_it_is_compensated() -> None:
    frames = shaken(road, 5.0, 4.0, shake_px=4.0)
    without, with_it = switches(frames, compensated=False), switches(frames, compensated=True)
    assert without >= 10
    assert with_it <= without / 5


class Replay:
    """A segmenter that knows the answers."""

    network_size = (640, 384)
    keep_aspect = True

    def __init__(self, frames: Sequence[tuple[Frame, SceneTruth, np.ndarray]]) -> None:
        from demos.scenes.world import CLASS_NAMES

        self.class_names = CLASS_NAMES
        self._instances = {frame.index: detect(truth, rng=np.random.default_rng(0)) for frame, truth, _ in frames}

    def segment(self, frames: Sequence[Frame]) -> list[Instances]:
        return [self._instances[frame.index] for frame in frames]


def test_the_engine_tells_its_tracker() -> None:
    frames = shaken(road, 5.0, 4.0, shake_px=4.0)
    summaries = {}
    for estimator in (None, CameraMotion()):
        motion = [] if estimator is None else [CameraMotionStage(estimator)]
        source = FrameSource(frame for frame, _, _ in frames)
        stream = Stream(name="road", open_source=source.open, stages=[*motion, SteadyTracker(Tracker())])
        summaries[estimator is not None] = serve(stream, Engine(segmenter=Replay(frames)))
    assert summaries[True].identities < 0.7 * summaries[False].identities
    assert "camera" in summaries[True].stage_s
    assert "camera" not in summaries[False].stage_s


def test_a_camera_of_the_file_says_whether_it_moves() -> None:
    text = "cameras:\n  - {name: a, url: a.mp4, camera_motion: off}\n  - {name: b, url: b.mp4}\n"
    assert [one.camera_motion for one in parse_service_settings(text).cameras] == ["off", "auto"]
    with pytest.raises(ConfigError, match="auto, off"):
        parse_service_settings(text.replace("off", "sometimes"))
