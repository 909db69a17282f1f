"""Masks on a grid over the image: the lift against an independent slow one, areas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.masks.grid_masks import GridMasks
from tracker.masks.instance_masks import PROBABILITY_THRESHOLD


def grid_masks(probabilities: np.ndarray, step: tuple[float, float], size: tuple[int, int]) -> GridMasks:
    return GridMasks(probabilities=probabilities.astype(np.uint8), step_px=step, image_size=size)


def slow_lift(probabilities: np.ndarray, step: tuple[float, float], size: tuple[int, int]) -> np.ndarray:
    """Bilinear interpolation between cell centres, one pixel at a time; edges repeat."""
    rows, columns = probabilities.shape
    out = np.zeros((size[1], size[0]))
    for y in range(size[1]):
        for x in range(size[0]):
            gx = np.clip((x + 0.5) / step[0] - 0.5, 0, columns - 1)
            gy = np.clip((y + 0.5) / step[1] - 0.5, 0, rows - 1)
            x0, y0 = int(gx), int(gy)
            x1, y1 = min(x0 + 1, columns - 1), min(y0 + 1, rows - 1)
            fx, fy = gx - x0, gy - y0
            top = probabilities[y0, x0] * (1 - fx) + probabilities[y0, x1] * fx
            bottom = probabilities[y1, x0] * (1 - fx) + probabilities[y1, x1] * fx
            out[y, x] = top * (1 - fy) + bottom * fy
    return out


@pytest.mark.parametrize("step", [(4.0, 4.0), (2.0, 3.0), (1.0, 1.0), (5.5, 2.75)])
def test_lift_equals_slow_bilinear(step: tuple[float, float]) -> None:
    rng = np.random.default_rng(7)
    probabilities = rng.integers(0, 256, (6, 8))
    size = (int(8 * step[0]), int(6 * step[1]))
    expected = slow_lift(probabilities, step, size)
    found = grid_masks(probabilities[None], step, size).full(0, np.array([0, 0, *size], np.float32))
    clear = np.abs(expected - PROBABILITY_THRESHOLD) > 5  # OpenCV interpolates in steps of 1/32
    assert clear.mean() > 0.8
    np.testing.assert_array_equal(found[clear], (expected >= PROBABILITY_THRESHOLD)[clear])


@given(st.floats(-10, 40), st.floats(-10, 30), st.floats(0, 50), st.floats(0, 40))
def test_lift_is_the_full_mask_cut_to_the_box(x: float, y: float, width: float, height: float) -> None:
    probabilities = np.random.default_rng(1).integers(0, 256, (1, 8, 10))
    grid = grid_masks(probabilities, (4.0, 4.0), (40, 30))  # the grid reaches two pixels past the image
    box = np.array([x, y, x + width, y + height])
    whole = grid.full(0, np.array([0.0, 0.0, 40.0, 30.0]))
    crop, (left, top) = grid.lift(0, box)
    if crop.size == 0:
        return
    assert left >= 0
    assert top >= 0
    assert left + crop.shape[1] <= 40
    assert top + crop.shape[0] <= 30
    expected = whole[top : top + crop.shape[0], left : left + crop.shape[1]]
    assert (crop == expected).mean() > 0.98  # fixed-point interpolation may differ on the threshold itself


def test_a_box_outside_the_image_lifts_to_nothing() -> None:
    grid = grid_masks(np.full((1, 4, 4), 255), (4.0, 4.0), (16, 16))
    crop, _ = grid.lift(0, np.array([20.0, 20.0, 30.0, 30.0]))
    assert crop.shape == (0, 0)


def test_areas_count_the_grid() -> None:
    probabilities = np.zeros((2, 4, 4))
    probabilities[0, :2, :3] = 255
    np.testing.assert_array_equal(grid_masks(probabilities, (4.0, 2.0), (16, 8)).areas_px(), [6 * 8, 0])
