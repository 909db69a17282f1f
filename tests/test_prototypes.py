"""Masks from prototypes and coefficients: their definition, both layouts, crops, and a frame that moved."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.masks.prototypes import Prototypes
from tracker.types import Instances

STEP_PX, IMAGE_SIZE = (4.0, 4.0), (96, 64)


def made(count: int = 6, *, margin_cells: float = 0.5, seed: int = 0) -> Prototypes:
    values = np.random.default_rng(seed).normal(size=(count, 16, 24)).astype(np.float32)
    return Prototypes(values=values, step_px=STEP_PX, image_size=IMAGE_SIZE, margin_cells=margin_cells)


def slow(prototypes: Prototypes, coefficients: np.ndarray, box: np.ndarray) -> np.ndarray:
    """One mask, cell by cell."""
    count, height, width = prototypes.values.shape
    x0, y0, x1, y1 = np.asarray(box, np.float64) / STEP_PX[0]
    margin, mask = prototypes.margin_cells, np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            if not (x0 - margin - 1 < column <= x1 + margin and y0 - margin - 1 < row <= y1 + margin):
                continue
            logit = float(coefficients[:count] @ prototypes.values[:, row, column])
            if len(coefficients) > count:
                t = coefficients[count:].astype(np.float64)
                u = (column + 0.5 - (x0 + x1) / 2) / max((x1 - x0) / 2, 0.5)
                v = (row + 0.5 - (y0 + y1) / 2) / max((y1 - y0) / 2, 0.5)
                logit += t[0] + t[1] * u + t[2] * u * u + t[3] * v + t[4] * v * v
            mask[row, column] = 255 / (1 + np.exp(-logit))
    return mask


@pytest.mark.parametrize("margin_cells", [0.0, 0.5])
@pytest.mark.parametrize("terms", [0, 5])
@pytest.mark.parametrize("cells_first", [False, True])
def test_masks_follow_their_definition(margin_cells: float, terms: int, cells_first: bool) -> None:
    prototypes = made(margin_cells=margin_cells)
    if cells_first:
        by_cell = np.ascontiguousarray(prototypes.values.transpose(1, 2, 0)).transpose(2, 0, 1)
        prototypes = Prototypes(values=by_cell, step_px=STEP_PX, image_size=IMAGE_SIZE, margin_cells=margin_cells)
    coefficients = np.random.default_rng(1).normal(size=(4, 6 + terms)).astype(np.float32)
    boxes = np.array([[8.3, 9.1, 41, 51], [-20, 3, 200, 31.7], [50.2, 20.2, 51.3, 21.4], [96.1, 64.2, 120, 90]])
    boxes = boxes.astype(np.float32)
    found = prototypes.probabilities(coefficients, boxes)
    assert found.shape == (4, 16, 24)
    for row in range(4):
        np.testing.assert_allclose(found[row], slow(prototypes, coefficients[row], boxes[row]), atol=0.51)
    masks = prototypes.masks(coefficients, boxes)
    np.testing.assert_array_equal(masks.probabilities, found)
    assert (masks.step_px, masks.image_size) == (STEP_PX, IMAGE_SIZE)


def test_coefficients_hold_where_the_object_went() -> None:
    """The prototypes of the next frame are those of this one, moved; the same coefficients give the mask, moved."""
    before = made()
    after = Prototypes(values=np.roll(before.values, 3, axis=2), step_px=STEP_PX, image_size=IMAGE_SIZE)
    coefficients = np.random.default_rng(2).normal(size=(1, 11)).astype(np.float32)
    box = np.array([[20.5, 8.5, 44.5, 40.5]], np.float32)
    one = before.probabilities(coefficients, box)[0]
    other = after.probabilities(coefficients, box + np.array([12, 0, 12, 0], np.float32))[0]
    assert one.any()
    np.testing.assert_array_equal(np.roll(one, 3, axis=1), other)


def test_extreme_coefficients_stay_probabilities() -> None:
    prototypes = made()
    coefficients = np.array([[1e6] * 6, [-1e6] * 6], np.float32)
    found = prototypes.probabilities(coefficients, np.array([[0, 0, 96, 64]] * 2, np.float32))
    np.testing.assert_array_equal(np.unique(found), [0, 255])
    np.testing.assert_array_equal(found[0], 255 - found[1])


def test_coefficients_of_another_network_are_refused() -> None:
    prototypes, boxes = made(), np.zeros((2, 4), np.float32)
    with pytest.raises(ValueError, match=r"expected shape \(N, 6\) or \(N, 11\) for 6 prototypes, found \(2, 8\)"):
        prototypes.probabilities(np.zeros((2, 8), np.float32), boxes)
    scores, class_ids = np.ones(2, np.float32), np.zeros(2, np.int64)
    with pytest.raises(ValueError, match="coefficients and prototypes belong together"):
        Instances(boxes=boxes, scores=scores, class_ids=class_ids, prototypes=prototypes)
    with pytest.raises(ValueError, match=r"coefficients: expected shape \(2, 'n'\)"):
        Instances(
            boxes=boxes,
            scores=scores,
            class_ids=class_ids,
            prototypes=prototypes,
            coefficients=np.zeros((1, 6), np.float32),
        )


def test_taken_instances_keep_their_coefficients_and_share_the_prototypes() -> None:
    prototypes = made()
    coefficients = np.arange(18, dtype=np.float32).reshape(3, 6)
    instances = Instances(
        boxes=np.zeros((3, 4), np.float32),
        scores=np.ones(3, np.float32),
        class_ids=np.zeros(3, np.int64),
        coefficients=coefficients,
        prototypes=prototypes,
    )
    taken = instances.take(np.array([2, 0]))
    np.testing.assert_array_equal(taken.coefficients, coefficients[[2, 0]])
    assert taken.prototypes is prototypes


def test_prototypes_on_a_larger_image_give_the_same_cells() -> None:
    prototypes, coefficients = made(), np.random.default_rng(3).normal(size=(1, 6)).astype(np.float32)
    box = np.array([[8.3, 9.1, 41, 51]], np.float32)
    larger = prototypes.scaled((2.0, 3.0), (192, 192))
    scaled = box * np.array([2, 3, 2, 3], np.float32)
    np.testing.assert_array_equal(
        larger.probabilities(coefficients, scaled), prototypes.probabilities(coefficients, box)
    )
