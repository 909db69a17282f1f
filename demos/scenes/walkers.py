"""Walking persons as actors: outfit and path."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from demos.scenes.drawing import Drawing, Shadow, to_linear
from demos.scenes.mesh import Mesh, project_mesh, quad_normals
from demos.scenes.outfits import Outfit, part_colour
from demos.scenes.skeleton import STANDARD_M, STRIDE_M, Posture, Rings, skeleton

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from demos.scenes.camera import Camera
    from demos.scenes.drawing import Light
    from demos.scenes.motion import Pose, Trajectory

__all__ = ["Walker"]


@dataclass(frozen=True, slots=True)
class _Faces:
    """Per face: first ring, colour, mirror strength, cloth folds, glow and order bias."""

    rings: NDArray[np.intp]
    albedo: NDArray[np.float64]
    gloss: NDArray[np.float64]
    folds: NDArray[np.float64]
    glow: NDArray[np.float64]
    bias: NDArray[np.float64]


_CIRCLE = np.stack([np.cos(np.arange(16) * math.pi / 8), np.sin(np.arange(16) * math.pi / 8)], axis=1)


@dataclass(frozen=True, kw_only=True)
class Walker:
    """A walking person.

    Attributes:
        identity: Unique in its scene, from 1.
        trajectories: One per presence.
        outfit: Clothes, hair and skin.
        height_m: Body height.
        gait: Phase of the legs at the start, radians.
    """

    identity: int
    trajectories: Sequence[Trajectory]
    outfit: Outfit
    height_m: float = 1.75
    gait: float = 0.0
    _faces: dict[int, _Faces] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def class_id(self) -> int:
        """0, person."""
        return 0

    def draw(self, pose: Pose, time_s: float, camera: Camera, light: Light | None) -> Drawing:
        """The body from this camera, with soft shadows under it."""
        reach = math.dist((*pose.position_m, 1.0), camera.position_m)
        tall_px = camera.focal_px * self.height_m / max(reach, 0.5)
        sides = 7 if tall_px < 110 else 12 if tall_px < 260 else 18
        mesh = self._mesh(pose, time_s, sides)
        polygons, colours = project_mesh(
            mesh, position_m=pose.position_m, heading_rad=pose.heading_rad, camera=camera, light=light
        )
        half = 0.3
        around = np.array([[-half, -half], [half, -half], [half, half], [-half, half]])
        shadows = (
            ()
            if light is None
            else tuple(
                Shadow(polygon_m=pose.position_m + _CIRCLE * radius + offset, brightness=level)
                for radius, offset, level in (
                    (0.60, np.array([0.05, -0.05]), 236),
                    (0.50, np.array([0.04, -0.04]), 216),
                    (0.41, np.array([0.03, -0.03]), 194),
                    (0.33, np.array([0.02, -0.02]), 168),
                    (0.25, np.zeros(2), 140),
                )
            )
        )
        return Drawing(polygons_px=polygons, colours=colours, footprint_m=pose.position_m + around, shadows=shadows)

    def _mesh(self, pose: Pose, time_s: float, count: int) -> Mesh:
        rings = skeleton(self.outfit, self._posture(pose, time_s))
        scale = self.height_m / STANDARD_M
        angles = (np.arange(count) + 0.5) * 2 * math.pi / count
        across, along = np.array(rings.across), np.array(rings.along)
        radial = np.cos(angles)[:, None] * across[:, None] + np.sin(angles)[:, None] * along[:, None]
        points = (np.array(rings.centres)[:, None] + radial) * scale
        size = (across**2).sum(axis=1)[:, None, None], (along**2).sum(axis=1)[:, None, None]
        smooth = (
            np.cos(angles)[:, None] * across[:, None] / size[0] + np.sin(angles)[:, None] * along[:, None] / size[1]
        )
        look = self._faces_of(count)
        low, following = look.rings, (np.arange(count) + 1) % count
        quads = np.stack(
            [points[low], points[low][:, following], points[low + 1][:, following], points[low + 1]], axis=2
        ).reshape(-1, 4, 3)
        shading = (smooth[low] + smooth[low][:, following] + smooth[low + 1] + smooth[low + 1][:, following]).reshape(
            -1, 3
        )
        shading += look.folds * np.sqrt(np.einsum("ij,ij->i", shading, shading))[:, None]
        shading /= np.maximum(np.sqrt(np.einsum("ij,ij->i", shading, shading)), 1e-9)[:, None]
        normals = quad_normals(quads)
        normals *= np.where(np.einsum("ij,ij->i", normals, shading) < 0, -1.0, 1.0)[:, None]
        centres = quads.mean(axis=1)
        return Mesh(
            quads=quads,
            centres=centres,
            normals=normals,
            shading=shading,
            albedo=look.albedo,
            gloss=look.gloss,
            glow=look.glow,
            occlusion=np.clip(0.62 + 0.3 * centres[:, 2], 0.6, 1.0),
            bias=look.bias,
        )

    def _posture(self, pose: Pose, time_s: float) -> Posture:
        speed = float(np.hypot(*pose.velocity_m_s))
        stride = STRIDE_M * self.height_m / STANDARD_M
        return Posture(
            phase=self.gait + 2 * math.pi * pose.distance_m / stride,
            drive=min(speed / 1.25, 1.15),
            idle=1.0 - min(speed / 0.4, 1.0),
            clock=time_s * 1.7 + 3 * self.gait,
        )

    def _faces_of(self, sides: int) -> _Faces:
        """Colours of all faces of a body whose tubes have so many sides."""
        if sides not in self._faces:
            rings = skeleton(self.outfit, Posture(phase=0.0, drive=0.0, idle=0.0, clock=0.0))
            self._faces[sides] = _faces_of(self.outfit, rings, sides, self.identity)
        return self._faces[sides]


def _faces_of(outfit: Outfit, rings: Rings, count: int, seed: int) -> _Faces:
    rng = np.random.default_rng(seed)
    ends = {start - 1 for start in rings.starts} | {len(rings.centres) - 1}
    low = np.array([ring for ring in range(len(rings.centres)) if ring not in ends])
    # Angle 90 degrees is forward.
    angles = np.degrees((np.arange(count) + 1.0) * 2 * math.pi / count)
    forward = np.abs((angles - 90 + 180) % 360 - 180)
    colours = np.array([[part_colour(outfit, rings.parts[ring], float(angle)) for angle in forward] for ring in low])
    cloth = np.array(
        [rings.parts[ring][0] in ("trunk", "thigh", "shank", "upper", "fore", "skirt", "coat") for ring in low]
    )
    folds = rng.normal(0, 0.05, (len(low), count, 3)) * cloth[:, None, None]
    worn = 1 + rng.normal(0, 0.025, (len(low), count, 1))
    gloss = np.where(cloth, 0.0, 0.15)[:, None].repeat(count, axis=1)
    bias = np.array([0.03 if rings.parts[ring][0] in ("skirt", "coat") else 0.0 for ring in low])[:, None].repeat(
        count, axis=1
    )
    faces = len(low) * count
    return _Faces(
        rings=low,
        albedo=(to_linear(colours) * worn).reshape(faces, 3),
        gloss=gloss.reshape(faces),
        folds=folds.reshape(faces, 3),
        glow=np.zeros(faces),
        bias=bias.reshape(faces),
    )
