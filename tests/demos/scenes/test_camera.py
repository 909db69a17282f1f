"""Projection, its inverse on the ground, and the homographies of a rig that shakes and pans."""

from __future__ import annotations

import math

import numpy as np
import pytest

from demos.scenes.camera import Camera, Rig

CAMERA = Camera(position_m=(1.0, -2.0, 5.0), yaw_rad=0.4, pitch_rad=0.3, roll_rad=0.1, focal_px=500.0, size=(640, 360))


def test_the_optical_axis_meets_the_image_centre():
    direction = np.array([math.cos(0.4) * math.cos(0.3), math.sin(0.4) * math.cos(0.3), -math.sin(0.3)])
    pixels, depth = CAMERA.project(np.array(CAMERA.position_m) + 7 * direction[None])
    assert pixels[0] == pytest.approx([320, 180])
    assert depth[0] == pytest.approx(7)


def test_a_point_to_the_left_appears_on_the_left_and_a_high_one_above():
    level = Camera(position_m=(0, 0, 1), yaw_rad=0, pitch_rad=0, focal_px=100, size=(200, 100))
    pixels, _ = level.project(np.array([[10.0, 1.0, 1.0], [10.0, 0.0, 2.0]]))
    assert pixels.tolist() == [[90.0, 50.0], [100.0, 40.0]]


def test_homography_projection_and_ground_agree():
    rng = np.random.default_rng(0)
    ground = rng.uniform(4, 30, (20, 2))
    pixels, depth = CAMERA.project(np.column_stack([ground, np.zeros(20)]))
    mapped = np.column_stack([ground, np.ones(20)]) @ CAMERA.homography.T
    assert (depth > 0).all()
    np.testing.assert_allclose(mapped[:, :2] / mapped[:, 2:], pixels, atol=1e-9)
    np.testing.assert_allclose(CAMERA.ground(pixels), ground, atol=1e-9)


def test_pixels_above_the_horizon_have_no_ground():
    assert np.isnan(CAMERA.ground(np.array([[320.0, -400.0]]))).all()


def test_a_still_rig_never_moves():
    rig = Rig(camera=CAMERA)
    assert rig.at(3.7) is CAMERA
    assert rig.panorama is CAMERA


@pytest.mark.parametrize("options", [{"shake_px": 3.0}, {"pan_rad": 0.15}, {"shake_px": 1.5, "pan_rad": 0.1}])
def test_the_panorama_holds_every_view_and_warps_onto_it(options):
    rig = Rig(camera=CAMERA, seed=4, **options)
    wide = rig.panorama
    points = CAMERA.ground(np.array([[100.0, 200.0], [320.0, 180.0], [600.0, 350.0]]))
    points = np.column_stack([points, np.zeros(3)])
    for time_s in np.linspace(0, 24, 25):
        seen, _ = rig.at(time_s).project(points)
        before, _ = wide.project(points)
        warped = np.column_stack([before, np.ones(3)]) @ rig.warp(time_s).T
        np.testing.assert_allclose(warped[:, :2] / warped[:, 2:], seen, atol=1e-6)
        corners = np.array([[0, 0, 1], [640, 0, 1], [0, 360, 1], [640, 360, 1]], float)
        back = corners @ np.linalg.inv(rig.warp(time_s)).T
        back = back[:, :2] / back[:, 2:]
        assert (back >= -0.5).all()
        assert (back <= np.array(wide.size) + 0.5).all()


def test_shake_has_the_asked_size_and_depends_on_the_seed_only():
    rig = Rig(camera=CAMERA, shake_px=2.0, seed=1)
    yaws = np.array([rig.at(t).yaw_rad for t in np.arange(0, 60, 0.05)]) - CAMERA.yaw_rad
    assert np.std(yaws * CAMERA.focal_px) == pytest.approx(2.0, rel=0.15)
    assert rig.at(1.0) == Rig(camera=CAMERA, shake_px=2.0, seed=1).at(1.0)
    assert rig.at(1.0) != Rig(camera=CAMERA, shake_px=2.0, seed=2).at(1.0)
