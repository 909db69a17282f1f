"""Pinhole camera, and the rig that moves it.

World axes: ``x`` and ``y`` span the ground plane, ``z`` points up. Pixel coordinates follow the boxes of this
project: the image spans ``[0, width] x [0, height]``, the centre of the first pixel is ``(0.5, 0.5)``.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Camera", "Rig"]


@lru_cache(maxsize=64)
def _rotation(yaw_rad: float, pitch_rad: float, roll_rad: float) -> NDArray[np.float64]:
    """``(3, 3)``, world axes to camera axes; read-only because it is shared."""
    cos_yaw, sin_yaw = math.cos(yaw_rad), math.sin(yaw_rad)
    cos_pitch, sin_pitch = math.cos(pitch_rad), math.sin(pitch_rad)
    forward = np.array([cos_pitch * cos_yaw, cos_pitch * sin_yaw, -sin_pitch])
    right = np.array([sin_yaw, -cos_yaw, 0.0])
    down = np.cross(forward, right)
    cos_roll, sin_roll = math.cos(roll_rad), math.sin(roll_rad)
    rotation = np.stack([cos_roll * right + sin_roll * down, cos_roll * down - sin_roll * right, forward])
    rotation.setflags(write=False)
    return rotation


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A pinhole camera (Hartley and Zisserman 2004, section 6.1) with square pixels and no distortion.

    Attributes:
        position_m: ``(x, y, z)`` of the centre of projection.
        yaw_rad: Viewing direction on the ground plane, 0 along ``+x``, counter-clockwise seen from above.
        pitch_rad: Tilt below the horizon, positive looks down.
        roll_rad: Rotation about the viewing direction, positive turns the picture's content counter-clockwise.
        focal_px: Focal length in pixels.
        size: ``(width, height)`` in pixels.
    """

    position_m: tuple[float, float, float]
    yaw_rad: float
    pitch_rad: float
    focal_px: float
    size: tuple[int, int]
    roll_rad: float = 0.0

    @property
    def rotation(self) -> NDArray[np.float64]:
        """``(3, 3)``, world axes to camera axes (right, down, forward)."""
        return _rotation(self.yaw_rad, self.pitch_rad, self.roll_rad)

    @property
    def intrinsics(self) -> NDArray[np.float64]:
        """``(3, 3)``, camera axes to homogeneous pixels."""
        width, height = self.size
        return np.array([[self.focal_px, 0.0, width / 2], [0.0, self.focal_px, height / 2], [0.0, 0.0, 1.0]])

    @property
    def homography(self) -> NDArray[np.float64]:
        """``(3, 3)``, ground plane ``(x, y, 1)`` in metres to homogeneous pixels (section 8.1.1 of the same book)."""
        x, y, z = self.position_m
        return np.asarray(self.intrinsics @ self.rotation @ np.array([[1.0, 0.0, -x], [0.0, 1.0, -y], [0.0, 0.0, -z]]))

    def project(self, points: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pixels and depths of world points.

        Args:
            points: ``(N, 3)`` in metres.

        Returns:
            ``(N, 2)`` pixels and ``(N,)`` depths in metres along the viewing direction; pixels of points that are not
            in front of the camera are meaningless, so look at the depth first.
        """
        seen = (points - np.array(self.position_m)) @ self.rotation.T
        depth = seen[:, 2]
        scale = self.focal_px / np.where(np.abs(depth) < 1e-6, 1e-6, depth)
        width, height = self.size
        return np.stack([seen[:, 0] * scale + width / 2, seen[:, 1] * scale + height / 2], axis=1), depth

    def rays(self, pixels: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """World directions ``(..., 3)`` through pixels ``(..., 2)``, one metre of depth long."""
        width, height = self.size
        x = (pixels[..., 0] - width / 2) / self.focal_px
        y = (pixels[..., 1] - height / 2) / self.focal_px
        return np.asarray(np.stack([x, y, np.ones_like(x)], axis=-1) @ self.rotation)

    def ground(self, pixels: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Ground points ``(N, 2)`` in metres under pixels ``(N, 2)``; ``nan`` above the horizon."""
        rays = self.rays(np.asarray(pixels, dtype=np.float64))
        downwards = rays[:, 2] < -1e-9
        reach = np.where(downwards, -self.position_m[2] / np.where(downwards, rays[:, 2], -1.0), np.nan)
        return np.asarray(np.array(self.position_m[:2]) + rays[:, :2] * reach[:, None])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """A mounted camera that may shake and pan; it only turns, so static scenery moves by an exact homography.

    Attributes:
        camera: The camera at rest.
        shake_px: Standard deviation of the shake at the image's centre in pixels; 0 = none.
        pan_rad: Largest turn of the pan to either side; 0 = none.
        pan_period_s: Seconds for one pan there and back.
        seed: Of the shake's phases.
    """

    camera: Camera
    shake_px: float = 0.0
    pan_rad: float = 0.0
    pan_period_s: float = 24.0
    seed: int = 0

    @property
    def still(self) -> bool:
        """Whether every frame shows the camera at rest."""
        return self.shake_px == 0 and self.pan_rad == 0

    def at(self, time_s: float) -> Camera:
        """The camera at a time."""
        if self.still:
            return self.camera
        pan = self.pan_rad * math.sin(2 * math.pi * time_s / self.pan_period_s)
        angle = self.shake_px / self.camera.focal_px
        yaw, pitch, roll = (angle * wobble for wobble in self._wobble(time_s))
        base = self.camera
        return replace(
            base, yaw_rad=base.yaw_rad + pan + yaw, pitch_rad=base.pitch_rad + pitch, roll_rad=base.roll_rad + roll / 2
        )

    def _wobble(self, time_s: float) -> NDArray[np.float64]:
        """Three smooth signals ``(3,)`` of unit variance: five sines each, 0.4 Hz (wind) to 5 Hz (lorries)."""
        rng = np.random.default_rng(self.seed)
        frequencies = np.geomspace(0.4, 5.0, 5) * rng.uniform(0.85, 1.15, (3, 5))
        phases = rng.uniform(0, 2 * math.pi, (3, 5))
        weights = np.array([1.0, 0.8, 0.6, 0.4, 0.25])
        weights = weights * math.sqrt(2) / np.linalg.norm(weights)
        return np.asarray((np.sin(2 * math.pi * frequencies * time_s + phases) * weights).sum(axis=1))

    @property
    def panorama(self) -> Camera:
        """A camera at rest with a picture large enough for everything that the rig will ever see."""
        if self.still:
            return self.camera
        base = self.camera
        width, height = base.size
        corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], dtype=np.float64)
        # The wobble's sines add up to less than three standard deviations.
        angle = 3 * self.shake_px / base.focal_px
        reach = np.zeros(2)
        for pan, yaw, pitch, roll in itertools.product((-self.pan_rad, 0.0, self.pan_rad), *[(-angle, angle)] * 3):
            turned = replace(
                base,
                yaw_rad=base.yaw_rad + pan + yaw,
                pitch_rad=base.pitch_rad + pitch,
                roll_rad=base.roll_rad + roll / 2,
            )
            seen = turned.rays(corners) @ base.rotation.T
            reach = np.maximum(reach, np.abs(seen[:, :2] / seen[:, 2:]).max(axis=0) * base.focal_px)
        wide, high = 2 * np.ceil(reach + 2).astype(int)
        return replace(base, size=(int(wide), int(high)))

    def warp(self, time_s: float) -> NDArray[np.float64]:
        """``(3, 3)``, pixels of :attr:`panorama` to pixels of :meth:`at`."""
        wide, now = self.panorama, self.at(time_s)
        return np.asarray(now.intrinsics @ now.rotation @ wide.rotation.T @ np.linalg.inv(wide.intrinsics))
