"""Boxes face outward however they are cut, and a mesh shows its near faces last."""

from __future__ import annotations

import numpy as np
import pytest

from demos.scenes.camera import Camera
from demos.scenes.drawing import Light
from demos.scenes.mesh import Material, MeshBuilder, box_quads, project_mesh, quad_normals, rectangle

LOW, HIGH = (-1.0, -2.0, 0.0), (3.0, 2.0, 1.5)


@pytest.mark.parametrize("step", [1e9, 0.7])
def test_box_faces_look_outward_and_cover_the_box(step):
    quads = box_quads(LOW, HIGH, step_m=step)
    middle = (np.array(LOW) + HIGH) / 2
    outward = ((quads.mean(axis=1) - middle) * quad_normals(quads)).sum(axis=1)
    assert (outward > 0).all()
    area = np.linalg.norm(np.cross(quads[:, 2] - quads[:, 0], quads[:, 3] - quads[:, 1]), axis=1) / 2
    assert area.sum() == pytest.approx(2 * (4 * 4 + 4 * 1.5 + 4 * 1.5))
    assert quads.min(axis=(0, 1)) == pytest.approx(LOW)
    assert quads.max(axis=(0, 1)) == pytest.approx(HIGH)


def test_a_rectangle_is_tiled_and_faces_u_cross_v():
    quads = rectangle((0, 0, 0), (2, 0, 0), (0, 1, 0), step_m=0.5)
    assert quads.shape == (8, 4, 3)
    np.testing.assert_allclose(quad_normals(quads), np.tile((0, 0, 1), (8, 1)))


def test_only_faces_towards_the_camera_are_projected_nearest_last():
    builder = MeshBuilder()
    builder.add(box_quads((-1, -1, 0), (1, 1, 1)), Material((200, 100, 50)))
    camera = Camera(position_m=(0, 0, 2), yaw_rad=0, pitch_rad=0.2, focal_px=300, size=(320, 180))
    polygons, colours = project_mesh(
        builder.build(), position_m=(8.0, 0.0), heading_rad=0.0, camera=camera, light=Light()
    )
    assert len(polygons) == 2
    front, _ = camera.project(np.array([[7.0, -1, 0], [7.0, 1, 0], [7.0, 1, 1], [7.0, -1, 1]]))
    assert sorted(polygons[1].round(3).tolist()) == sorted(front.round(3).tolist())
    assert colours[0].mean() > colours[1].mean()  # the lid is lit by the sky


def test_without_light_there_are_shapes_only_and_nothing_behind_the_camera():
    builder = MeshBuilder()
    builder.add(box_quads((-1, -1, 0), (1, 1, 1)), Material((1, 1, 1)))
    camera = Camera(position_m=(0, 0, 2), yaw_rad=0, pitch_rad=0.2, focal_px=300, size=(320, 180))
    polygons, colours = project_mesh(
        builder.build(), position_m=(-8.0, 0.0), heading_rad=0.0, camera=camera, light=None
    )
    assert len(polygons) == 0
    assert colours is None
