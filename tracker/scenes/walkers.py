"""A wardrobe and a pose enter, a walking body leaves: tubes about a skeleton, legs and arms driven by the distance walked."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tracker.scenes.drawing import Drawing, Shadow, to_linear
from tracker.scenes.mesh import Mesh, project_mesh, quad_normals
from tracker.scenes.outfits import Outfit, part_colour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracker.scenes.camera import Camera
    from tracker.scenes.drawing import Light
    from tracker.scenes.motion import Pose, Trajectory

__all__ = ["Walker"]

STANDARD_M = 1.75
"""Body height that the tables below are for."""

# Cross-sections of the trunk: height above the hip joint, half-width, half-depth, shift forward. Metres, from anthropometric means.
_TRUNK = (
    (-0.10, 0.100, 0.085, 0.0),
    (-0.05, 0.158, 0.112, -0.005),
    (0.03, 0.168, 0.122, -0.01),
    (0.11, 0.152, 0.112, 0.0),
    (0.20, 0.150, 0.108, 0.005),
    (0.30, 0.166, 0.116, 0.008),
    (0.39, 0.182, 0.120, 0.006),
    (0.455, 0.190, 0.108, 0.0),
    (0.500, 0.165, 0.090, -0.004),
    (0.530, 0.105, 0.075, -0.004),
    (0.550, 0.062, 0.060, 0.0),
)
_NECK = ((0.535, 0.060, 0.060, 0.0), (0.580, 0.053, 0.056, 0.006), (0.630, 0.054, 0.060, 0.014))
_HEAD = (
    (0.596, 0.020, 0.030, 0.050),
    (0.612, 0.048, 0.060, 0.035),
    (0.645, 0.064, 0.082, 0.022),
    (0.680, 0.071, 0.092, 0.016),
    (0.700, 0.074, 0.096, 0.014),
    (0.722, 0.077, 0.099, 0.011),
    (0.750, 0.078, 0.099, 0.008),
    (0.780, 0.073, 0.092, 0.006),
    (0.802, 0.057, 0.073, 0.004),
    (0.815, 0.032, 0.042, 0.003),
    (0.819, 0.004, 0.005, 0.003),
)
# Limbs: place along the bone (0..1) and radius.
_THIGH = ((-0.12, 0.060), (0.02, 0.088), (0.25, 0.089), (0.55, 0.078), (0.85, 0.066), (1.03, 0.060))
_SHANK = ((-0.05, 0.058), (0.08, 0.063), (0.25, 0.062), (0.50, 0.056), (0.78, 0.050), (0.98, 0.050))
_UPPER_ARM = ((-0.16, 0.030), (-0.06, 0.054), (0.12, 0.060), (0.45, 0.052), (0.80, 0.046), (1.0, 0.044))
_FOREARM = ((-0.06, 0.042), (0.12, 0.044), (0.45, 0.041), (0.80, 0.034), (1.0, 0.030))
_HAND = ((0.0, 0.026), (0.30, 0.036), (0.70, 0.034), (1.0, 0.012))
_SHOE = (
    (-0.075, 0.020, 0.025),
    (-0.06, 0.036, 0.045),
    (-0.01, 0.042, 0.050),
    (0.07, 0.047, 0.040),
    (0.14, 0.047, 0.030),
    (0.19, 0.030, 0.018),
)
THIGH_M, SHANK_M, ARM_M, FOREARM_M, HAND_M = 0.43, 0.42, 0.29, 0.25, 0.17
STRIDE_M = 1.42
"""Two steps at standard height."""


@dataclass(slots=True)
class _Rings:
    """Cross-sections of all tubes: centres, two half-axes, and where tubes begin."""

    centres: list[tuple[float, float, float]] = field(default_factory=list)
    across: list[tuple[float, float, float]] = field(default_factory=list)
    along: list[tuple[float, float, float]] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    parts: list[tuple[str, int]] = field(default_factory=list)

    def begin(self) -> None:
        self.starts.append(len(self.centres))

    def add(
        self,
        centre: tuple[float, float, float],
        across: tuple[float, float, float],
        along: tuple[float, float, float],
        part: tuple[str, int],
    ) -> None:
        self.centres.append(centre)
        self.across.append(across)
        self.along.append(along)
        self.parts.append(part)

    def bone(
        self,
        start: NDArray[np.float64],
        end: NDArray[np.float64],
        table: Sequence[tuple[float, float]],
        part: str,
        flat: float = 1.0,
    ) -> None:
        """A limb's tube: rings square to the bone, half-axes to the left and forward."""
        self.begin()
        axis = end - start
        length = math.sqrt(float(axis @ axis))
        axis = axis / length
        left = np.array([-axis[1] * axis[0], 1 - axis[1] * axis[1], -axis[1] * axis[2]])
        left /= math.sqrt(float(left @ left))
        front = np.array(
            [
                left[1] * axis[2] - left[2] * axis[1],
                left[2] * axis[0] - left[0] * axis[2],
                left[0] * axis[1] - left[1] * axis[0],
            ]
        )
        if front[0] < 0 and abs(axis[0]) < 0.9:
            front = -front
        for number, (share, radius) in enumerate(table):
            centre = start + axis * (share * length)
            self.add(tuple(centre), tuple(left * radius * flat), tuple(front * radius), (part, number))


@dataclass(frozen=True, slots=True)
class _Look:
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
    """A person on the way.

    Attributes:
        identity: Unique in its scene, from 1.
        trajectories: One per presence.
        outfit: Looks.
        height_m: Body height.
        gait: Phase of the legs at the start, radians.
    """

    identity: int
    trajectories: Sequence[Trajectory]
    outfit: Outfit
    height_m: float = 1.75
    gait: float = 0.0

    @property
    def class_id(self) -> int:
        """0, person."""
        return 0

    def draw(self, pose: Pose, time_s: float, camera: Camera, light: Light | None) -> Drawing:
        """The body from this camera, with soft shadows under it."""
        reach = math.dist((*pose.position_m, 1.0), camera.position_m)
        fine = camera.focal_px * self.height_m / max(reach, 0.5) > 110
        mesh = self._mesh(pose, time_s, fine=fine)
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

    def _mesh(self, pose: Pose, time_s: float, *, fine: bool) -> Mesh:
        rings = self._skeleton(pose, time_s)
        scale = self.height_m / STANDARD_M
        count = 12 if fine else 7
        angles = (np.arange(count) + 0.5) * 2 * math.pi / count
        across, along = np.array(rings.across), np.array(rings.along)
        radial = np.cos(angles)[:, None] * across[:, None] + np.sin(angles)[:, None] * along[:, None]
        points = (np.array(rings.centres)[:, None] + radial) * scale
        size = (across**2).sum(axis=1)[:, None, None], (along**2).sum(axis=1)[:, None, None]
        smooth = (
            np.cos(angles)[:, None] * across[:, None] / size[0] + np.sin(angles)[:, None] * along[:, None] / size[1]
        )
        look = self._looks[fine]
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

    def _skeleton(self, pose: Pose, time_s: float) -> _Rings:
        """All cross-sections for one moment, standard height, hips over the origin."""
        speed = float(np.hypot(*pose.velocity_m_s))
        drive = min(speed / 1.25, 1.15)
        phase = self.gait + 2 * math.pi * pose.distance_m / (STRIDE_M * self.height_m / STANDARD_M)
        idle = 1.0 - min(speed / 0.4, 1.0)
        swing = math.sin(phase)
        thighs, knees = [], []
        for side in (1, -1):
            angle = 0.42 * drive * math.sin(phase if side > 0 else phase + math.pi) + 0.04 * drive
            bend = max(math.cos((phase if side > 0 else phase + math.pi) + 0.35), 0.0) ** 1.4
            thighs.append(angle + 0.02)
            knees.append(0.06 + 0.95 * drive * bend)
        shanks = [thigh - knee for thigh, knee in zip(thighs, knees, strict=True)]
        reach = [THIGH_M * math.cos(t) + SHANK_M * math.cos(s) for t, s in zip(thighs, shanks, strict=True)]
        hip = 0.085 + max(reach)
        rings = _Rings()
        lean = 0.05 * drive + 0.03 * idle
        sway = 0.012 * idle * math.sin(time_s * 1.1 + self.gait)
        self._trunk(rings, hip, lean, sway, twist=0.10 * drive * swing)
        for side, thigh, shank in zip((1, -1), thighs, shanks, strict=True):
            self._leg(rings, side, hip, thigh, shank, drive)
        for side in (1, -1):
            self._arm(rings, side, hip, lean, sway, -0.5 * drive * swing * side, idle, time_s)
        return rings

    def _trunk(self, rings: _Rings, hip: float, lean: float, sway: float, *, twist: float) -> None:
        girth = self.outfit.girth
        tables: list[tuple[str, Sequence[tuple[float, float, float, float]]]] = [
            ("trunk", _TRUNK),
            ("neck", _NECK),
            ("head", _HEAD),
        ]
        if self.outfit.skirt:
            tables.append(
                (
                    "skirt",
                    (
                        (0.08, 0.158, 0.116, 0.0),
                        (-0.10, 0.185, 0.150, 0.0),
                        (-0.28, 0.205, 0.185, 0.0),
                        (-0.42, 0.220, 0.205, 0.0),
                    ),
                )
            )
        if self.outfit.coat:
            tables.append(
                (
                    "coat",
                    (
                        (0.30, 0.172, 0.124, 0.006),
                        (0.10, 0.170, 0.130, 0.0),
                        (-0.10, 0.188, 0.150, 0.0),
                        (-0.32, 0.198, 0.178, 0.0),
                    ),
                )
            )
        if self.outfit.long_hair:
            tables.append(
                (
                    "mane",
                    (
                        (0.78, 0.078, 0.060, -0.035),
                        (0.70, 0.088, 0.066, -0.045),
                        (0.60, 0.092, 0.056, -0.052),
                        (0.50, 0.080, 0.040, -0.066),
                        (0.44, 0.050, 0.022, -0.075),
                    ),
                )
            )
        if self.outfit.backpack is not None:
            tables.append(
                (
                    "pack",
                    (
                        (0.10, 0.05, 0.03, -0.17),
                        (0.12, 0.150, 0.085, -0.185),
                        (0.30, 0.160, 0.095, -0.20),
                        (0.44, 0.145, 0.075, -0.19),
                        (0.48, 0.06, 0.03, -0.17),
                    ),
                )
            )
        for part, table in tables:
            rings.begin()
            stout = girth if part in ("trunk", "skirt", "coat") else 1.0
            for number, (height, wide, deep, ahead) in enumerate(table):
                turn = twist * (height - 0.1) * 2.5 if part != "head" else 0.0
                cos, sin = math.cos(turn), math.sin(turn)
                bent = lean * (0.6 if part in ("neck", "head", "mane") else 1.0)
                centre = (ahead + height * math.sin(bent), sway * height * 2, hip + height * math.cos(bent))
                rings.add(
                    centre,
                    (-sin * wide * stout, cos * wide * stout, 0.0),
                    (cos * deep * stout, sin * deep * stout, 0.0),
                    (part, number),
                )

    def _leg(self, rings: _Rings, side: int, hip: float, thigh: float, shank: float, drive: float) -> None:
        girth = 0.6 + 0.4 * self.outfit.girth
        start = np.array([0.0, side * 0.088, hip])
        knee = start + THIGH_M * np.array([math.sin(thigh), -0.02 * side, -math.cos(thigh)])
        ankle = knee + SHANK_M * np.array([math.sin(shank), 0.0, -math.cos(shank)])
        rings.bone(start, knee, [(a, r * girth) for a, r in _THIGH], "thigh")
        rings.bone(knee, ankle, [(a, r * girth) for a, r in _SHANK], "shank")
        rings.begin()
        # The heel lifts behind, the toe lifts in front.
        pitch = max(min(-shank * 0.9, 0.0), -0.9) * min(drive, 1.0) + max(thigh - 0.25, 0.0) * 0.8
        cos, sin = math.cos(pitch), math.sin(pitch)
        for number, (ahead, wide, high) in enumerate(_SHOE):
            centre = (
                ankle[0] + ahead * cos,
                ankle[1] + side * 0.012 * (ahead > 0),
                max(ankle[2] - 0.085 + high + ahead * sin, high * 0.8),
            )
            rings.add(centre, (0.0, wide, 0.0), (-sin * high, 0.0, cos * high), ("shoe", number))

    def _arm(
        self, rings: _Rings, side: int, hip: float, lean: float, sway: float, swing: float, idle: float, time_s: float
    ) -> None:
        height = 0.455
        shoulder = np.array(
            [height * math.sin(lean), side * 0.188 * self.outfit.girth + sway, hip + height * math.cos(lean)]
        )
        lift, bend = swing, 0.25 + 0.3 * max(swing, 0.0)
        if side < 0:
            # The right arm reaches out now and then while its owner stands.
            act = idle * (0.5 + 0.5 * math.sin(time_s * 1.7 + 3 * self.gait))
            lift, bend = lift + 1.05 * act, bend + 0.35 * act
        elif self.outfit.bag is not None:
            lift, bend = 0.4 * lift, 0.15
        out = 0.10 + 0.03 * self.outfit.girth
        elbow = shoulder + ARM_M * np.array([math.sin(lift), side * out, -math.cos(lift)])
        wrist = elbow + FOREARM_M * np.array([math.sin(lift + bend), -side * 0.05, -math.cos(lift + bend)])
        tip = wrist + (wrist - elbow) / FOREARM_M * HAND_M
        ease = 1.08 if self.outfit.sleeves > 0.9 else 1.0
        rings.bone(shoulder, elbow, [(a, r * ease) for a, r in _UPPER_ARM], "upper")
        rings.bone(elbow, wrist, [(a, r * ease) for a, r in _FOREARM], "fore")
        rings.bone(wrist, tip, _HAND, "hand", flat=0.6)
        if side > 0 and self.outfit.bag is not None:
            rings.begin()
            base = (tip + wrist) / 2
            for number, (drop, wide, deep) in enumerate(
                ((0.06, 0.02, 0.09), (0.10, 0.075, 0.16), (0.26, 0.085, 0.18), (0.32, 0.05, 0.13))
            ):
                rings.add(
                    (base[0], base[1] + 0.03, max(base[2] - drop, 0.05)),
                    (0.0, wide, 0.0),
                    (deep, 0.0, 0.0),
                    ("bag", number),
                )

    @cached_property
    def _looks(self) -> tuple[_Look, _Look]:
        """Colours of all faces, for the coarse and for the fine body."""
        from tracker.scenes.motion import Pose as StandingPose

        still = StandingPose(position_m=np.zeros(2), velocity_m_s=np.zeros(2), heading_rad=0.0, distance_m=0.0)
        rings = self._skeleton(still, 0.0)
        return _look(self.outfit, rings, 7, self.identity), _look(self.outfit, rings, 12, self.identity)


def _look(outfit: Outfit, rings: _Rings, count: int, seed: int) -> _Look:
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
    folds = rng.normal(0, 0.07, (len(low), count, 3)) * cloth[:, None, None]
    worn = 1 + rng.normal(0, 0.035, (len(low), count, 1))
    gloss = np.where(cloth, 0.0, 0.15)[:, None].repeat(count, axis=1)
    bias = np.array([0.03 if rings.parts[ring][0] in ("skirt", "coat") else 0.0 for ring in low])[:, None].repeat(
        count, axis=1
    )
    faces = len(low) * count
    return _Look(
        rings=low,
        albedo=(to_linear(colours) * worn).reshape(faces, 3),
        gloss=gloss.reshape(faces),
        folds=folds.reshape(faces, 3),
        glow=np.zeros(faces),
        bias=bias.reshape(faces),
    )
