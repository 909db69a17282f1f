"""Masks divided among neighbours: who gets a cell, what does not compete, and the frame that keeps both."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.formats.instances import pack_frame
from tracker.masks.box_masks import BoxMasks
from tracker.masks.competition import divide
from tracker.masks.grid_masks import GridMasks
from tracker.types import Frame, Instances, TrackedFrame, Tracks

SIZE, STEP_PX = (96, 64), 4
LEFT, RIGHT = (8.0, 8.0, 48.0, 56.0), (36.0, 8.0, 80.0, 56.0)  # 12 px, three columns, in common


def grid(box: tuple[float, ...], inside: int, shared: int) -> np.ndarray:
    """A mask over its box, with another probability on the columns that both boxes have."""
    mask = np.zeros((SIZE[1] // STEP_PX, SIZE[0] // STEP_PX), np.uint8)
    x0, y0, x1, y1 = (int(value) // STEP_PX for value in box)
    mask[y0:y1, x0:x1] = inside
    mask[y0:y1, 9:12] = shared
    return mask


def neighbours(first: int, second: int) -> tuple[GridMasks, np.ndarray]:
    masks = np.array([grid(LEFT, 250, first), grid(RIGHT, 250, second)])
    boxes = np.array([LEFT, RIGHT], np.float32)
    return GridMasks(probabilities=masks, step_px=(STEP_PX, STEP_PX), image_size=SIZE), boxes


def cells(masks: GridMasks | None, row: int) -> int:
    assert masks is not None
    return int((masks.probabilities[row][:, 9:12] >= 128).sum())


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [(240, 150, (36, 0)), (150, 240, (0, 36)), (200, 190, (36, 36)), (240, 100, None), (100, 90, None)],
)
def test_the_surer_neighbour_has_the_cells(first: int, second: int, left: tuple[int, int] | None) -> None:
    masks, boxes = neighbours(first, second)
    before = masks.probabilities.copy()
    found = divide(masks, boxes, np.zeros(2, np.int64), np.arange(2))
    np.testing.assert_array_equal(masks.probabilities, before)  # the segmenter's own are not touched
    if left is None:
        assert found is None
        return
    assert (cells(found, 0), cells(found, 1)) == left
    assert found is not None
    outside = np.ones(24, np.bool_)
    outside[9:12] = False
    np.testing.assert_array_equal(found.probabilities[:, :, outside], before[:, :, outside])


def test_other_classes_other_rows_and_duplicates_do_not_compete() -> None:
    masks, boxes = neighbours(240, 150)
    same = np.zeros(2, np.int64)
    assert divide(masks, boxes, np.array([0, 3]), np.arange(2)) is None  # a rider and the motorcycle
    assert divide(masks, boxes, same, np.array([0])) is None
    assert divide(masks, boxes, same, np.zeros(0, np.int64)) is None
    double = GridMasks(
        probabilities=np.array([grid(LEFT, 250, 240), grid(LEFT, 200, 150)]),
        step_px=(STEP_PX, STEP_PX),
        image_size=SIZE,
    )
    assert divide(double, np.array([LEFT, LEFT], np.float32), same, np.arange(2)) is None
    boxed = BoxMasks(probabilities=np.full((2, 4, 4), 250, np.uint8), boxes=boxes, image_size=SIZE)
    assert divide(boxed, boxes, same, np.arange(2)) is None


def test_dividing_again_changes_nothing() -> None:
    generator = np.random.default_rng(0)
    starts, sizes = generator.uniform(0, 60, (8, 2)), generator.uniform(8, 36, (8, 2))
    boxes = np.concatenate([starts, starts + sizes], axis=1).astype(np.float32)
    masks = np.zeros((8, 16, 24), np.uint8)
    for mask, (x0, y0, x1, y1) in zip(masks, (boxes / STEP_PX).astype(int), strict=True):
        mask[y0 : y1 + 1, x0 : x1 + 1] = generator.integers(100, 256, mask[y0 : y1 + 1, x0 : x1 + 1].shape)
    made = GridMasks(probabilities=masks, step_px=(STEP_PX, STEP_PX), image_size=SIZE)
    once = divide(made, boxes, np.zeros(8, np.int64), np.arange(8))
    assert once is not None
    twice = divide(once, boxes, np.zeros(8, np.int64), np.arange(8))
    if twice is not None:  # duplicates before may be none afterwards
        assert ((twice.probabilities >= 128) <= (once.probabilities >= 128)).all()


def test_a_frame_keeps_what_was_segmented_and_saves_that() -> None:
    masks, boxes = neighbours(240, 150)
    scores, zeros = np.array([0.9, 0.8], np.float32), np.zeros(2, np.int64)
    tracks = Tracks(
        ids=np.array([1, 2]),
        detection_rows=np.array([0, 1]),
        boxes=boxes,
        velocities=np.zeros((2, 2), np.float32),
        class_ids=zeros,
        scores=scores,
        ages_s=scores,
    )
    frame = Frame(index=0, time_s=0.0, arrived_s=0.0, source="made", size=SIZE)
    instances = Instances(boxes=boxes, scores=scores, class_ids=zeros, masks=masks)
    plain = TrackedFrame(frame=frame, instances=instances, tracks=tracks, class_names=("person",))
    divided = plain.divided()
    assert divided.segmented is instances
    assert divided.instances.masks is not None
    assert divided.instances.masks.areas_px()[1] < masks.areas_px()[1]
    assert pack_frame(divided) == pack_frame(plain)
    unknown = TrackedFrame(frame=frame, instances=instances, tracks=None, class_names=("person",))
    assert unknown.divided() is unknown
