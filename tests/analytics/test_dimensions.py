"""Sizes from a ground: heights of exact points, the focal length that is in a homography, lengths of what is seen."""

from __future__ import annotations

import numpy as np
import pytest

from demos.scenes.road import road
from tests.analytics.grounds import FLAT, ground_of
from tracker.analytics.dimensions import LEAST_SEEN, Dimensions, Lengths, Upright
from tracker.traffic import ROAD_USERS, Traffic

SIZE = (1280, 720)


@pytest.mark.slow
def test_the_camera_comes_out_of_the_ground() -> None:
    scene = road(size=SIZE, duration_s=1.0)
    upright = Upright(ground_of(scene), aspect=SIZE[0] / SIZE[1])
    assert upright.focal == pytest.approx(scene.rig.camera.focal_px / SIZE[1], rel=1e-3)
    for place, height in (((35.0, 2.0), 1.5), ((60.0, 8.0), 3.9), ((50.0, 0.0), 0.3)):
        pixels, _ = scene.rig.camera.project(np.array([(*place, height)]))
        found = upright.height_m(place, float(pixels[0, 1]) / SIZE[1])
        assert found is not None
        assert found[0] == pytest.approx(height, rel=0.01)


def test_from_straight_above_there_are_no_heights() -> None:
    assert Upright(FLAT, aspect=SIZE[0] / SIZE[1]).height_m((10.0, 10.0), 0.5) is None


def test_boxes_are_medians_over_a_second_and_cut_ones_are_left_out() -> None:
    dimensions = Dimensions()
    for number, width in enumerate((0.10, 0.11, 0.50, 0.10, 0.12)):
        dimensions.note([1], 0.1 * number, np.array([[0.2, 0.3, 0.2 + width, 0.5]]))
    dimensions.note([2], 0.0, np.array([[0.0, 0.3, 0.2, 0.5]]))
    assert dimensions.box(1, 0.2) == pytest.approx([0.11, 0.2])
    assert dimensions.box(1, 5.0) is None
    assert dimensions.box(2, 0.0) is None


def test_a_length_that_was_seen_often_enough_takes_the_place_of_the_class() -> None:
    lengths = Lengths(Traffic())
    for number in range(LEAST_SEEN):
        assert lengths.body(1, "truck") == ROAD_USERS["truck"]
        lengths.note(1, 14.0 + 0.1 * number)
        lengths.note(1, None)
    body = lengths.body(1, "truck")
    assert 14.0 < body.length_m < 14.5
    assert body.width_m == ROAD_USERS["truck"].width_m
    assert body.base_m / body.length_m == pytest.approx(6.5 / 9.5)
    lengths.forget(1)
    assert lengths.body(1, "truck") == ROAD_USERS["truck"]
