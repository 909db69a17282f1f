"""Outlines hold the silhouettes they are of, with few points; what cannot be believed is said."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tracker.masks.box_masks import BoxMasks
from tracker.masks.grid_masks import GridMasks
from tracker.render.outlines import MOST_PARTS, outlines_of, uncertain_rows
from tracker.types import Instances

SIZE = (640, 360)


def instances(*silhouettes: np.ndarray, step: int = 4) -> Instances:
    """Of silhouettes ``(90, 160)`` uint8 probabilities on a grid of 4 pixels."""
    grids = np.array(silhouettes, np.uint8)
    boxes = []
    for grid in grids:
        rows, columns = np.nonzero(grid)
        boxes.append([columns.min() * step, rows.min() * step, (columns.max() + 1) * step, (rows.max() + 1) * step])
    count = len(grids)
    return Instances(
        boxes=np.array(boxes, np.float32),
        scores=np.ones(count, np.float32),
        class_ids=np.zeros(count, np.int64),
        masks=GridMasks(probabilities=grids, step_px=(step, step), image_size=SIZE),
    )


def disc(x: int, y: int, radius: int) -> np.ndarray:
    return cv2.circle(np.zeros((90, 160), np.uint8), (x, y), radius, 255, -1)


def filled(polygons: list[np.ndarray], size: tuple[int, int] = SIZE) -> np.ndarray:
    picture = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillPoly(picture, [np.round((one - 0.5) * 16).astype(np.int32) for one in polygons], 1, shift=4)
    return picture.astype(bool)


@pytest.mark.parametrize("traced_px", [640, 320])
def test_an_outline_has_few_points_and_the_area_of_its_silhouette(traced_px: int) -> None:
    found = instances(cv2.GaussianBlur(disc(80, 45, 20), (5, 5), 0))
    (polygons,) = outlines_of(found, [0], traced_px=traced_px)
    real = found.masks.full(0, found.boxes[0])
    assert len(polygons) == 1
    assert 8 <= len(polygons[0]) <= 40
    shared = (filled(polygons) & real).sum() / (filled(polygons) | real).sum()
    assert shared > (0.97 if traced_px == 640 else 0.94)


def test_parts_come_largest_first_and_are_bounded() -> None:
    grid = disc(30, 45, 12)
    for place in range(30):
        cv2.circle(grid, (60 + 3 * place, 45), 0, 255, -1)
    (polygons,) = outlines_of(instances(grid), [0])
    assert len(polygons) == MOST_PARTS
    areas = [cv2.contourArea(one) for one in polygons]
    assert areas == sorted(areas, reverse=True)


def test_only_the_rows_that_are_asked_for_are_traced_in_their_order() -> None:
    found = instances(disc(20, 20, 5), disc(100, 50, 5), disc(140, 80, 5))
    last, first = outlines_of(found, [2, 0])
    assert last[0].mean(axis=0) == pytest.approx([562, 322], abs=3)
    assert first[0].mean(axis=0) == pytest.approx([82, 82], abs=3)


def test_no_masks_and_no_instances_have_no_outlines() -> None:
    bare = Instances(
        boxes=np.array([[0, 0, 9, 9]], np.float32), scores=np.ones(1, np.float32), class_ids=np.zeros(1, np.int64)
    )
    assert outlines_of(bare, [0]) == [[]]
    assert outlines_of(Instances.empty(), []) == []
    assert uncertain_rows(bare).tolist() == [True]
    assert uncertain_rows(Instances.empty()).tolist() == []


def test_a_mask_that_is_undecided_or_sparse_is_uncertain() -> None:
    clear = disc(30, 45, 10)
    undecided = (disc(80, 45, 10) // 255 * 130).astype(np.uint8)
    sparse = cv2.line(np.zeros((90, 160), np.uint8), (110, 20), (150, 70), 255, 1)
    assert uncertain_rows(instances(clear, undecided, sparse)).tolist() == [False, True, True]


def test_masks_per_box_have_outlines_too() -> None:
    probabilities = np.zeros((1, 28, 28), np.uint8)
    probabilities[0, 4:24, 4:24] = 255
    box = np.array([[100, 100, 212, 212]], np.float32)
    found = Instances(
        boxes=box,
        scores=np.ones(1, np.float32),
        class_ids=np.zeros(1, np.int64),
        masks=BoxMasks(probabilities=probabilities, boxes=box, image_size=SIZE),
    )
    (polygons,) = outlines_of(found, [0])
    left, top, width, height = cv2.boundingRect(polygons[0])
    assert (left, top, width, height) == pytest.approx((116, 116, 80, 80), abs=3)
    assert uncertain_rows(found).tolist() == [False]
