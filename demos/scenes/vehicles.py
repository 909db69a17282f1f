"""Vehicle actors: kind, colour and path."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from demos.scenes.cars import CARS, car_mesh
from demos.scenes.drawing import Drawing, Shadow, to_linear
from demos.scenes.lorries import LORRIES, bus_mesh, lorry_mesh
from demos.scenes.mesh import Material, hull, project_mesh

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from demos.scenes.camera import Camera
    from demos.scenes.drawing import Light
    from demos.scenes.mesh import Mesh
    from demos.scenes.motion import Pose, Trajectory

__all__ = ["KINDS", "Vehicle"]

Colour = tuple[float, float, float]

KINDS = {**CARS, **LORRIES}
"""All kinds by name."""

_ANY_PAINT = Material((1.0, 2.0, 3.0), gloss=1.0)
"""Stands for the paint while a shape is built, so that one shape serves all colours."""


@lru_cache(maxsize=64)
def _shape(kind: str, detail: int) -> tuple[Mesh, NDArray[np.bool_]]:
    """The mesh of a kind of vehicle in no colour, and which of its faces are painted ``(F,)``."""
    shape = KINDS[kind]
    build = car_mesh if shape.stations else bus_mesh if shape.class_id == 4 else lorry_mesh
    mesh = build(shape, _ANY_PAINT, detail=detail)
    return mesh, (mesh.albedo == to_linear(_ANY_PAINT.colour)).all(axis=1)


@lru_cache(maxsize=512)
def vehicle_mesh(kind: str, colour: Colour, *, detail: int) -> Mesh:
    """The mesh of a kind of vehicle in a colour (BGR 0..255); ``detail`` from 0 (far) to 2 (near)."""
    mesh, painted = _shape(kind, detail)
    return replace(mesh, albedo=np.where(painted[:, None], to_linear(colour), mesh.albedo))


def _turn(pose: Pose) -> NDArray[np.float64]:
    """``(2, 2)``, the vehicle's axes to those of the ground plane."""
    cos, sin = math.cos(pose.heading_rad), math.sin(pose.heading_rad)
    return np.array([[cos, -sin], [sin, cos]])


@dataclass(frozen=True, kw_only=True)
class Vehicle:
    """A moving vehicle.

    Attributes:
        identity: Unique in its scene, from 1.
        kind: Key of :data:`KINDS`.
        colour: BGR 0..255 of the paint.
        trajectories: One per presence.
    """

    identity: int
    kind: str
    colour: Colour
    trajectories: Sequence[Trajectory]

    @property
    def class_id(self) -> int:
        """2 car, 4 bus, 5 truck."""
        return KINDS[self.kind].class_id

    def footprint(self, pose: Pose) -> NDArray[np.float64]:
        """The four corners ``(4, 2)`` on the ground plane, counter-clockwise."""
        length, width, _ = KINDS[self.kind].size_m
        corners = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) * (length / 2, width / 2)
        return np.asarray(corners @ _turn(pose).T + pose.position_m)

    def draw(self, pose: Pose, time_s: float, camera: Camera, light: Light | None) -> Drawing:
        """The mesh from this camera, with its shadow."""
        del time_s
        _, width, height = KINDS[self.kind].size_m
        turn, footprint = _turn(pose), self.footprint(pose)
        reach = float(np.linalg.norm(np.append(pose.position_m, height / 2) - np.array(camera.position_m)))
        wide_px = camera.focal_px * width / max(reach, 1.0)
        detail = 0 if wide_px < 18 else 1 if wide_px < 50 else 2
        polygons, colours = project_mesh(
            vehicle_mesh(self.kind, self.colour, detail=detail),
            position_m=pose.position_m,
            heading_rad=pose.heading_rad,
            camera=camera,
            light=light,
        )
        shadows = () if light is None else self._shadows(footprint, pose, turn, light)
        return Drawing(polygons_px=polygons, colours=colours, footprint_m=footprint, shadows=shadows)

    def _shadows(
        self, footprint: NDArray[np.float64], pose: Pose, turn: NDArray[np.float64], light: Light
    ) -> tuple[Shadow, ...]:
        """The sun's shadow of body and roof, and the darkness under the floor."""
        _, _, height = KINDS[self.kind].size_m
        drop = -light.sun[:2] / light.sun[2]
        car = height < 2
        belt = footprint + drop * (0.6 * height if car else height)
        middle = pose.position_m
        roof = (footprint - middle) @ turn * ((0.42, 0.72) if car else (1.0, 1.0))
        roof = roof @ turn.T + middle + drop * height
        cast = hull(np.concatenate([footprint, belt, roof]))
        under = middle + (footprint - middle) * 1.03
        core = middle + (footprint - middle) * 0.9
        return (
            Shadow(polygon_m=cast, brightness=118),
            Shadow(polygon_m=under, brightness=80),
            Shadow(polygon_m=core, brightness=45),
        )
