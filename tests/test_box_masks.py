"""Masks per box: the lift against a reference paste at pixel centres, and the laws that both kinds of masks keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.masks.box_masks import BoxMasks
from tracker.masks.grid_masks import GridMasks
from tracker.masks.instance_masks import PROBABILITY_THRESHOLD, InstanceMasks
from tracker.masks.packing import unpack_masks

SIZE = (48, 36)
WHOLE = np.array([0.0, 0.0, *SIZE])
CELLS = 7


def random_boxes(seed: int, count: int = 3) -> BoxMasks:
    rng = np.random.default_rng(seed)
    corners = rng.uniform((-8, -8), (40, 28), (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(2, 30, (count, 2))], axis=1).astype(np.float32)
    probabilities = rng.integers(0, 256, (count, CELLS, CELLS)).astype(np.uint8)
    return BoxMasks(probabilities=probabilities, boxes=boxes, image_size=SIZE)


def random_grid(seed: int, count: int = 3) -> GridMasks:
    probabilities = np.random.default_rng(seed).integers(0, 256, (count, 9, 12)).astype(np.uint8)
    probabilities[:, ::2] = 0
    return GridMasks(probabilities=probabilities, step_px=(4.0, 4.0), image_size=SIZE)


def both(seed: int) -> list[InstanceMasks]:
    return [random_boxes(seed), random_grid(seed)]


def reference_paste(mask: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Torchvision's paste, sampled at pixel centres: the map padded by a cell of zeros, the box widened to fit.

    ``roi_heads.paste_masks_in_image`` pads the 28 x 28 map by one cell, widens the box by 30 / 28 and resizes; it then
    cuts box corners to whole pixels, which is left out here. Pixel by pixel, on purpose.
    """
    rows, columns = mask.shape
    padded = np.pad(mask.astype(np.float64), 1)
    middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    wide = half * (np.array([columns, rows]) + 2) / np.array([columns, rows])
    (x0, y0), (x1, y1) = middle - wide, middle + wide
    image = np.zeros(SIZE[::-1])
    for y in range(SIZE[1]):
        for x in range(SIZE[0]):
            u = (x + 0.5 - x0) / (x1 - x0) * (columns + 2) - 0.5
            v = (y + 0.5 - y0) / (y1 - y0) * (rows + 2) - 0.5
            if not (0 <= u <= columns + 1 and 0 <= v <= rows + 1):
                continue
            i, j = min(int(v), rows), min(int(u), columns)
            fy, fx = v - i, u - j
            top = padded[i, j] * (1 - fx) + padded[i, j + 1] * fx
            bottom = padded[i + 1, j] * (1 - fx) + padded[i + 1, j + 1] * fx
            image[y, x] = top * (1 - fy) + bottom * fy
    return image


@given(st.integers(0, 10_000))
def test_the_lift_is_a_paste_at_pixel_centres(seed: int) -> None:
    masks = random_boxes(seed, count=1)
    expected = reference_paste(masks.probabilities[0], masks.boxes[0].astype(np.float64))
    clear = np.abs(expected - PROBABILITY_THRESHOLD) > 1e-6  # rounding decides what lies on the threshold
    np.testing.assert_array_equal(masks.full(0, WHOLE)[clear], (expected >= PROBABILITY_THRESHOLD)[clear])


@given(st.integers(0, 10_000))
def test_a_lift_is_the_whole_silhouette_cut_to_the_box(seed: int) -> None:
    rng = np.random.default_rng(seed)
    box = np.sort(rng.uniform(-5, 55, (2, 2)), axis=0).reshape(4)
    left, top = max(int(np.floor(box[0])), 0), max(int(np.floor(box[1])), 0)
    for masks in both(seed):
        whole = masks.full(1, WHOLE)
        crop, origin = masks.lift(1, box)
        right, bottom = np.maximum(np.ceil(box[2:]), 0).astype(int)
        expected = whole[top:bottom, left:right]
        assert origin == (left, top)
        assert crop.any() == expected.any()
        if crop.size:
            np.testing.assert_array_equal(crop, expected)


@given(st.integers(0, 10_000))
def test_nothing_lies_outside_the_extent(seed: int) -> None:
    for masks in both(seed):
        for row in range(len(masks)):
            np.testing.assert_array_equal(masks.full(row, masks.extent(row)), masks.full(row, WHOLE))


@given(st.integers(0, 10_000))
def test_areas_are_the_pixels_of_the_lift(seed: int) -> None:
    masks = random_boxes(seed)
    expected = [masks.full(row, WHOLE).sum() for row in range(len(masks))]
    np.testing.assert_array_equal(masks.areas_px(), np.array(expected, np.float32), strict=True)


@given(st.integers(0, 10_000), st.integers(0, 1), st.integers(0, 1))
def test_intersections_are_symmetric_and_counted_in_the_image(seed: int, one: int, two: int) -> None:
    a, b = both(seed)[one], both(seed + 1)[two]
    expected = int((a.full(0, WHOLE) & b.full(2, WHOLE)).sum())
    assert a.intersection_px(0, b, 2) == b.intersection_px(2, a, 0) == expected
    assert a.intersection_px(1, a, 1) == a.full(1, WHOLE).sum()


def test_the_lowest_band_is_where_an_object_stands() -> None:
    """A figure of 50 px with a foot of 4 px to the right: x of the foot, y of the sole."""
    grid = np.zeros((1, 60, 80), np.uint8)
    grid[0, 5:51, 10:30] = 255
    grid[0, 51:55, 24:28] = 255
    masks = GridMasks(probabilities=grid, step_px=(1.0, 1.0), image_size=(80, 60))
    assert masks.lowest_band(0, np.array([0.0, 0.0, 80.0, 60.0])) == (26.0, 55.0)
    assert masks.lowest_band(0, np.array([0.0, 0.0, 80.0, 40.0])) == (20.0, 40.0)
    assert masks.lowest_band(0, np.array([40.0, 0.0, 80.0, 60.0])) is None
    assert masks.lowest_band(0, np.array([90.0, 0.0, 99.0, 60.0])) is None


@given(st.integers(0, 10_000))
def test_rows_are_taken_and_packed_without_a_change(seed: int) -> None:
    for masks in both(seed):
        taken = masks.take(np.array([2, 0]))
        again = unpack_masks(masks.pack())
        assert type(again) is type(masks)
        assert (len(taken), len(again), again.image_size) == (2, 3, SIZE)
        for row in range(3):
            np.testing.assert_array_equal(again.full(row, WHOLE), masks.full(row, WHOLE))
        for row, own in enumerate((2, 0)):
            np.testing.assert_array_equal(taken.full(row, WHOLE), masks.full(own, WHOLE))
        assert len(masks.take(np.zeros(3, np.bool_))) == 0


@given(st.integers(0, 10_000))
def test_an_image_twice_as_large_has_four_times_the_silhouette(seed: int) -> None:
    """A pixel that is inside is four pixels of which those towards the inside are inside."""
    for masks in both(seed):
        large = masks.scaled((2.0, 2.0), (2 * SIZE[0], 2 * SIZE[1]))
        assert large.image_size == (96, 72)
        np.testing.assert_allclose(large.extent(0), 2 * masks.extent(0), rtol=1e-6)
        if isinstance(masks, GridMasks):
            np.testing.assert_array_equal(large.areas_px(), 4 * masks.areas_px())


def test_samples_of_a_box_are_its_cells() -> None:
    masks = random_boxes(3)
    rows = np.arange(3)
    own = masks.sample(masks.boxes.T.astype(np.float64), rows, CELLS)
    np.testing.assert_array_equal(own, masks.probabilities.reshape(3, -1))
    beside = (masks.boxes + np.array([100, 0, 100, 0], np.float32)).T.astype(np.float64)
    assert not masks.sample(beside, rows, 4).any()


def test_samples_of_half_a_box_are_half_of_its_cells() -> None:
    probabilities = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    masks = BoxMasks(probabilities=probabilities, boxes=np.array([[8, 4, 24, 20]], np.float32), image_size=SIZE)
    right = np.array([[16.0], [4.0], [24.0], [20.0]])
    expected = [*range(12, 16), *range(28, 32), *range(44, 48), *range(60, 64)]
    np.testing.assert_array_equal(masks.sample(right, np.array([0]), 4), [expected])


@given(st.integers(0, 10_000))
def test_the_grid_is_the_paste_at_its_cells_centres(seed: int) -> None:
    masks = random_boxes(seed)
    assert masks.grid_step_px == (1.0, 1.0)  # 48 px are fewer than 160 cells
    assert masks.grid_shape == (36, 48)
    expected = reference_paste(masks.probabilities[1], masks.boxes[1].astype(np.float64))
    np.testing.assert_allclose(masks.grid(1), expected, atol=0.5 + 1e-6)


def test_the_grid_of_a_large_image_has_about_160_columns() -> None:
    masks = BoxMasks(
        probabilities=np.full((1, 28, 28), 255, np.uint8),
        boxes=np.array([[120, 240, 600, 720]], np.float32),
        image_size=(1920, 1080),
    )
    assert (masks.grid_step_px, masks.grid_shape) == ((12.0, 12.0), (90, 160))
    inside = np.zeros((90, 160), np.bool_)
    inside[20:60, 10:50] = True
    np.testing.assert_array_equal(masks.grid(0) >= PROBABILITY_THRESHOLD, inside)


def test_further_masks_are_read_from_the_grid() -> None:
    masks = random_boxes(5)
    grid = np.zeros(masks.grid_shape, np.uint8)
    grid[10:24, 8:29] = 255
    longer = masks.extended([grid], np.array([[8, 10, 29, 24]], np.float32))
    assert len(longer) == 4
    np.testing.assert_array_equal(longer.full(1, WHOLE), masks.full(1, WHOLE))
    expected = grid > 0
    # Between the outermost cells' centres and the box's edge the probability falls along both axes.
    expected[[10, 10, 23, 23], [8, 28, 8, 28]] = False
    np.testing.assert_array_equal(longer.full(3, WHOLE), expected)


def test_a_box_without_a_side_has_no_silhouette() -> None:
    masks = BoxMasks(
        probabilities=np.full((1, 28, 28), 255, np.uint8),
        boxes=np.array([[5, 5, 5, 20]], np.float32),
        image_size=SIZE,
    )
    assert not masks.full(0, WHOLE).any()
    np.testing.assert_array_equal(masks.areas_px(), [0])
    assert not masks.grid(0).any()


def test_shapes_are_checked() -> None:
    grids = np.zeros((2, 28, 28), np.uint8)
    with pytest.raises(ValueError, match=r"BoxMasks.boxes: expected shape \(2, 4\)"):
        BoxMasks(probabilities=grids, boxes=np.zeros((3, 4), np.float32), image_size=SIZE)
    with pytest.raises(ValueError, match=r"BoxMasks.probabilities: expected shape"):
        BoxMasks(probabilities=grids[0], boxes=np.zeros((2, 4), np.float32), image_size=SIZE)


def test_between_two_grids_of_other_shapes_and_places_lies_the_silhouette_between():
    """A disc 12 px across that moves by 8 px, on grids that begin at other places about it."""

    def disc(x: float, y: float, span: tuple[int, int, int, int]) -> BoxMasks:
        left, top, right, bottom = span
        across, down = np.arange(left, right) + 0.5 - x, np.arange(top, bottom) + 0.5 - y
        inside = np.hypot(across[None], down[:, None]) <= 6
        probabilities = (inside * 255).astype(np.uint8)[None]
        return BoxMasks(probabilities=probabilities, boxes=np.array([span], np.float32), image_size=SIZE)

    def box(x: float, y: float) -> np.ndarray:
        return np.array([[x - 6, y - 6, x + 6, y + 6]], np.float32)

    one, two = disc(14, 14, (3, 5, 31, 27)), disc(22, 14, (14, 6, 34, 26))
    middle = one.between(box(14, 14), two, box(22, 14), box(18, 14), 0.5)
    found, expected = middle.full(0, middle.extent(0)), disc(18, 14, (4, 4, 32, 32)).full(0, WHOLE)
    assert (found & expected).sum() / (found | expected).sum() > 0.93
    for share, whole, own in ((0.0, one, box(14, 14)), (1.0, two, box(22, 14))):
        end = one.between(box(14, 14), two, box(22, 14), own, share)
        overlap, truth = end.full(0, end.extent(0)), whole.full(0, WHOLE)
        assert (overlap & truth).sum() / (overlap | truth).sum() > 0.93
