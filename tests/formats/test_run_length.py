"""Run-length codes made from crops equal pycocotools' codes of the whole image."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from tracker.formats.run_length import decode_rle, disjoint_crops, encode_crop, encode_rle, polygons


@st.composite
def placed_crops(draw):
    width, height = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    shape = draw(st.integers(1, height - y)), draw(st.integers(1, width - x))
    crop = draw(hnp.arrays(np.bool_, shape))
    return crop, (x, y), (width, height)


def whole(crop, origin, size):
    image = np.zeros(size[::-1], np.bool_)
    image[origin[1] : origin[1] + crop.shape[0], origin[0] : origin[0] + crop.shape[1]] = crop
    return image


@given(placed_crops())
def test_code_of_a_crop_is_the_code_of_the_whole_image(placed):
    assert encode_crop(*placed) == encode_rle(whole(*placed))


@given(placed_crops())
def test_code_decodes_to_the_same_pixels(placed):
    assert np.array_equal(decode_rle(encode_crop(*placed)), whole(*placed))


def test_full_height_crop_at_the_last_column():
    crop = np.ones((4, 2), np.bool_)
    assert encode_crop(crop, (1, 0), (3, 4)) == encode_rle(whole(crop, (1, 0), (3, 4)))


def test_empty_crop_is_an_image_of_zeros():
    code = encode_crop(np.zeros((0, 0), np.bool_), (3, 2), (5, 4))
    assert not decode_rle(code).any()
    assert code["size"] == [4, 5]


def test_large_image_with_long_runs():
    crop = np.random.default_rng(1).random((200, 300)) > 0.4
    placed = crop, (1500, 700), (1920, 1080)
    assert encode_crop(*placed) == encode_rle(whole(*placed))


def disjoint_masks(masks, order):
    """The same on whole images, one claim after another."""
    result, taken = list(masks), np.zeros(masks[0].shape, np.bool_)
    for row in order:
        result[row] = masks[row] & ~taken
        taken |= masks[row]
    return result


@given(st.lists(hnp.arrays(np.bool_, (5, 6)), min_size=1, max_size=4), st.randoms())
def test_disjoint_crops_are_disjoint_masks(masks, random):
    order = list(range(len(masks)))
    random.shuffle(order)
    crops = disjoint_crops([(mask, (0, 0)) for mask in masks], np.array(order), (6, 5))
    expected = disjoint_masks(masks, order)
    assert all(np.array_equal(crop, want) for (crop, _), want in zip(crops, expected, strict=True))
    assert sum(crop.astype(int) for crop, _ in crops).max() <= 1
    np.testing.assert_array_equal(np.any([crop for crop, _ in crops], axis=0), np.any(masks, axis=0))
    np.testing.assert_array_equal(crops[order[0]][0], masks[order[0]])


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)))
def test_run_length_codes_return(mask):
    code = encode_rle(mask)
    assert code["size"] == list(mask.shape)
    np.testing.assert_array_equal(decode_rle(code), mask)


def test_disjoint_crops_with_different_origins():
    crops = disjoint_crops([(np.ones((2, 2), bool), (0, 0)), (np.ones((2, 2), bool), (1, 1))], np.array([1, 0]), (3, 3))
    assert crops[0][0].tolist() == [[True, True], [True, False]]
    assert crops[1][0].all()


def test_polygon_of_a_rectangle_covers_exactly_its_pixels():
    rings = polygons(np.ones((3, 5), np.bool_), (10, 20))
    assert len(rings) == 1
    decoded = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(rings, 40, 40)))
    expected = np.zeros((40, 40), np.uint8)
    expected[20:23, 10:15] = 1
    assert np.array_equal(decoded, expected)


def test_polygons_of_separate_pieces_are_separate():
    crop = np.zeros((4, 9), np.bool_)
    crop[:, :3] = crop[:, 6:] = True
    assert len(polygons(crop, (0, 0))) == 2
