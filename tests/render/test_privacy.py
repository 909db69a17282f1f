"""Nothing of anybody shows in a masked picture: seen, missed for a moment, about to be seen, or only predicted."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demos.scenes.catalogue import WORLDS
from tests.bench.privacy_cover import measure
from tests.engine.fakes import frame
from tests.thorough import examples
from tracker.masks.box_masks import BoxMasks
from tracker.masks.grid_masks import GridMasks
from tracker.render.privacy import CELLS, POSSIBLE, Cover, Presence, Shape, presence_of
from tracker.render.privacy_paint import FILL, fill
from tracker.types import Instances, TrackedFrame, Tracks

SIZE = (200, 100)


def shape(x: float, identity: int = 1, *, seen: bool = True, drawn: bool = True) -> Shape:
    """A square of 20 pixels, as a silhouette or a box."""
    box = np.array([x, 40, x + 20, 60], np.float32)
    silhouette = np.full((CELLS, CELLS), 255, np.uint8) if drawn else None
    return Shape(identity=identity, box=box, silhouette=silhouette, seen=seen)


def covered(*presences: Presence, at_s: float, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Which pixels are filled in the picture of a time."""
    cover = Cover()
    for one in presences:
        cover.add(one)
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    fill(picture, cover.shapes(at_s), SIZE)
    return (picture == FILL).all(axis=2)


def present(time_s: float, *shapes: Shape) -> Presence:
    return Presence(time_s=time_s, shapes=shapes)


def test_a_silhouette_is_dilated_by_four_pixels_or_six_percent_of_its_height() -> None:
    filled = covered(present(0, shape(100)), at_s=0)
    rows, columns = np.nonzero(filled)
    assert (columns.min(), columns.max()) == (pytest.approx(95, abs=1), pytest.approx(124, abs=1))
    tall = Shape(identity=1, box=np.array([80, 0, 100, 100], np.float32))
    assert np.nonzero(covered(present(0, tall), at_s=0))[1].min() == pytest.approx(80 - 6, abs=1)
    assert filled[50, 110]
    assert rows.min() <= 36


def test_a_picture_of_another_size_is_filled_alike() -> None:
    small = covered(present(0, shape(100)), at_s=0, size=(100, 50))
    assert small[25, 55]
    assert small[25, 48:62].all()
    assert not small[25, 40]


def test_one_who_is_missed_between_two_sights_is_morphed_between_them() -> None:
    filled = covered(present(0.0, shape(20)), present(0.2), present(0.4, shape(100)), at_s=0.2)
    assert filled[50, 60:80].all()  # half-way
    assert not filled[50, 30]
    assert not filled[50, 110]


def test_one_who_was_lost_is_held_where_it_was_and_where_it_is_predicted() -> None:
    filled = covered(present(0.0, shape(20)), present(0.2, shape(60, seen=False, drawn=False)), at_s=0.2)
    assert filled[50, 20:40].all()
    assert filled[50, 60:80].all()


def test_one_who_is_found_late_is_led_back() -> None:
    filled = covered(present(0.0), present(0.2, shape(60)), present(0.4, shape(100)), at_s=0.0)
    assert filled[50, 20:40].all()  # 40 pixels in 0.2 s, so it was at 20
    assert filled[50, 60:80].all()


def test_nothing_is_held_for_longer_than_half_a_second() -> None:
    assert not covered(present(0.0, shape(20)), present(0.6), at_s=0.6).any()
    assert covered(present(0.0, shape(20)), present(0.5), at_s=0.5).any()


def test_detections_without_a_number_are_held_where_they_are() -> None:
    filled = covered(present(0.0), present(0.2, shape(60, identity=0)), present(0.4), at_s=0.4)
    assert filled[50, 60:80].all()
    assert covered(present(0.0), present(0.2, shape(60, identity=0)), at_s=0.0)[50, 60:80].all()


def test_a_clock_that_jumps_back_begins_anew() -> None:
    cover = Cover()
    cover.add(present(100.0, shape(20)))
    cover.add(present(1.0, shape(60)))
    assert [one.box[0] for one in cover.shapes(1.0)] == [60]


def test_memory_is_bounded() -> None:
    cover = Cover()
    for number in range(1000):
        cover.add(present(number / 25, shape(20)))
    assert len(cover._presences) <= 27


def test_a_frame_shows_its_instances_tracked_or_not_and_its_predicted_tracks() -> None:
    boxes = np.array([[10, 10, 20, 30], [30, 10, 40, 30]], np.float32)
    instances = Instances(boxes=boxes, scores=np.ones(2, np.float32), class_ids=np.zeros(2, np.int64))
    tracks = Tracks(
        ids=np.array([5, 7]),
        detection_rows=np.array([1, -1]),
        boxes=np.array([[30, 10, 40, 30], [50, 10, 60, 30]], np.float32),
        velocities=np.zeros((2, 2), np.float32),
        class_ids=np.zeros(2, np.int64),
        scores=np.ones(2, np.float32),
        ages_s=np.ones(2, np.float32),
    )
    tracked = TrackedFrame(frame=frame(0), instances=instances, tracks=tracks, class_names=("person",))
    found = {(one.identity, one.seen, float(one.box[0])) for one in presence_of(tracked).shapes}
    assert found == {(0, True, 10.0), (5, True, 30.0), (7, False, 50.0)}


def blobs(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Probabilities of a torso, thin limbs, single cells and a hole."""
    grid = np.zeros(shape, np.uint8)
    rows, columns = shape
    centre = columns // 2, rows // 2
    cv2.ellipse(grid, centre, (math.ceil(columns / 2.8), math.ceil(rows / 2.8)), 0, 0, 360, 255, -1)
    for _ in range(3):
        cv2.line(grid, centre, (int(rng.integers(columns)), int(rng.integers(rows))), int(rng.choice([8, 40, 255])), 1)
    for _ in range(3):
        grid[rng.integers(rows), rng.integers(columns)] = rng.choice([7, 8, 255])
    cv2.circle(grid, centre, max(min(shape) // 8, 1), 0, -1)
    return grid


def distances_px(instances: Instances, row: int) -> np.ndarray:
    """How far each pixel of the image is from all that may be the instance, lifted to the image."""
    masks, box = instances.masks, instances.boxes[row]
    certain = np.where(masks.probabilities >= POSSIBLE, np.uint8(255), np.uint8(0))
    there = replace(masks, probabilities=certain).full(row, box).view(np.uint8)
    contours, _ = cv2.findContours(there, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.fillPoly(there, contours, 1)  # nothing within a person shows
    return cv2.distanceTransform(1 - there, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


@given(
    seed=st.integers(0, 2**32 - 1),
    image=st.sampled_from([(640, 360), (1280, 720), (1919, 1081)]),
    width=st.sampled_from([160, 320, 640, 1280]),
    per_box=st.booleans(),
)
@settings(max_examples=examples(25), deadline=None)
def test_every_pixel_that_may_be_of_a_person_is_filled_with_its_dilation_at_any_size(seed, image, width, per_box):
    rng = np.random.default_rng(seed)
    left, top = rng.uniform(0.0, 0.9, 2) * image
    right, bottom = (left, top) + rng.uniform(0.02, 0.9, 2) * image
    box = np.clip([left, top, right, bottom], 0, [*image, *image]).astype(np.float32)
    if per_box:
        masks = BoxMasks(probabilities=blobs(rng, (28, 28))[None], boxes=box[None], image_size=image)
    else:
        step = image[0] / 160
        grid = np.zeros((math.ceil(image[1] / step), 160), np.uint8)
        x_0, y_0, x_1, y_1 = np.array([*np.floor(box[:2] / step), *np.ceil(box[2:] / step)]).astype(int)
        grid[y_0:y_1, x_0:x_1] = blobs(rng, grid[y_0:y_1, x_0:x_1].shape)
        masks = GridMasks(probabilities=grid[None], step_px=(step, step), image_size=image)
    instances = Instances(boxes=box[None], scores=np.ones(1, np.float32), class_ids=np.zeros(1, np.int64), masks=masks)
    tracks = Tracks(
        ids=np.array([5]),
        detection_rows=np.array([0]),
        boxes=box[None],
        velocities=np.zeros((1, 2), np.float32),
        class_ids=np.zeros(1, np.int64),
        scores=np.ones(1, np.float32),
        ages_s=np.ones(1, np.float32),
    )
    tracked = TrackedFrame(frame=frame(0, size=image), instances=instances, tracks=tracks, class_names=("person",))
    [shape] = presence_of(tracked).shapes
    height = round(width * image[1] / image[0])
    picture = np.zeros((height, width, 3), np.uint8)
    fill(picture, [shape], image)
    filled = (picture == FILL).all(axis=2)
    distances = distances_px(instances, 0)
    distances = distances[
        ((np.arange(height) + 0.5) * image[1] / height).astype(int)[:, None],
        ((np.arange(width) + 0.5) * image[0] / width).astype(int),
    ]
    wide, high = (box[2:] - box[:2]).tolist()
    reach = max(4.0, 0.06 * high)
    assert filled[distances <= reach].all()
    if shape.silhouette is not None:  # nor much more: cells and pixels are rounded, and a square has corners
        cell = max(wide, high) / 28 if per_box else image[0] / 160
        rounded = 2 * max(wide, high) / CELLS + 5 * image[0] / min(width, 640) + 2 * cell
        assert not filled[distances > math.sqrt(2) * (reach + rounded)].any()


@pytest.mark.slow
@pytest.mark.parametrize("world", ["shop", "door"])
def test_rendered_scenes_with_missing_masks_leave_almost_nothing_bare(world: str) -> None:
    """Truth masks that go missing in bursts; the fill of the frame itself leaves far more."""
    result = measure(WORLDS[world](size=(320, 180), seed=1), 5.0, "bursts", 5.0)
    assert result["now_bare_percent"] > 4
    assert result["page_bare_percent"] < result["now_bare_percent"] / 5
    assert result["held_bare_percent"] < 0.1


@pytest.mark.slow
def test_rendered_scenes_with_true_masks_are_covered() -> None:
    result = measure(WORLDS["road"](size=(640, 360), seed=1), 2.0, "true", 5.0, class_ids=range(6))
    assert (result["bare_px"], result["now_bare_percent"], result["page_bare_percent"]) == (0, 0.0, 0.0)
