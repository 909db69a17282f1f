"""Sizes from a ground: heights of exact points, the focal length that is in a homography, lengths of what is seen."""

from __future__ import annotations

import math

import numpy as np
import pytest

from demos.scenes.junction import junction
from demos.scenes.road import road
from tests.analytics.grounds import FLAT, ground_of
from tracker.analytics.dimensions import LEAST_SEEN, ROUND_M, Dimensions, Lengths, Upright, seen_length_m
from tracker.analytics.footprints import Footprint, across_picture, footprint
from tracker.traffic import ROAD_USERS, RoadUser, Traffic

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


@pytest.mark.parametrize("heading_deg", [0.0, 60.0, 90.0, 200.0])
@pytest.mark.parametrize("place", [(-6.0, -2.0), (3.0, 2.0), (2.0, -9.0)])
def test_a_box_of_known_size_is_found_by_its_outermost_corners_and_nearest_wheels(
    heading_deg: float, place: tuple[float, float]
) -> None:
    ground = ground_of(junction(size=SIZE, duration_s=1.0))
    body = RoadUser(length_m=5.3, width_m=2.0, base_m=3.5)
    true = Footprint(*place, math.radians(heading_deg), body.length_m, body.width_m)
    corners = ground.to_picture(true.corners)
    wheels = ground.to_picture(true._replace(length_m=body.base_m).corners)
    seen = np.array([[(corners[:, 0].min() + corners[:, 0].max()) / 2, wheels[:, 1].max()]])
    x_m, y_m = ground.to_metres(seen)[0].tolist()
    found = footprint(ground, (x_m, y_m), true.heading_rad, body)
    assert (found.x_m, found.y_m) == pytest.approx(place, abs=0.03)


def test_the_length_of_a_car_that_is_seen_from_45_degrees_is_its_own() -> None:
    ground = ground_of(junction(size=SIZE, duration_s=1.0))
    usual = ROAD_USERS["car"]
    true = Footprint(2.0, -2.0, 0.0, 5.3, usual.width_m * math.sqrt(5.3 / usual.length_m))
    across = ground.jacobians(ground.to_picture(np.array([[true.x_m, true.y_m]])))[0][:, 0]
    angle = math.atan2(across[1], across[0]) - true.heading_rad
    assert 0.5 < abs(math.cos(angle)) < 0.8
    wide = across_picture(ground, true) - ROUND_M * abs(math.sin(2 * angle)) / float(np.hypot(*across))
    stands = true._replace(length_m=usual.length_m, width_m=usual.width_m)
    assert seen_length_m(ground, wide=wide, stands=stands, body=usual) == pytest.approx(5.3, abs=0.03)
    # From the front the length does not show.
    ahead = true._replace(heading_rad=true.heading_rad + angle + math.pi / 2)
    assert seen_length_m(ground, wide=wide, stands=ahead, body=usual) is None
