"""Walking skeleton: cross-sections of body parts over a gait cycle."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from demos.scenes.outfits import Outfit

__all__ = ["STANDARD_M", "STRIDE_M", "Posture", "Rings", "skeleton"]

STANDARD_M = 1.75
"""Body height that the tables below are for."""
# Cross-sections of the trunk: height above the hip joint, half-width, half-depth, shift forward; metres, chosen by eye.
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
_THIGH = ((-0.12, 0.060), (0.02, 0.088), (0.25, 0.089), (0.55, 0.078), (0.85, 0.066), (1.0, 0.060), (1.08, 0.048))
_SHANK = ((-0.11, 0.044), (-0.03, 0.060), (0.08, 0.063), (0.25, 0.062), (0.50, 0.056), (0.78, 0.050), (0.98, 0.050))
_UPPER_ARM = ((-0.20, 0.003), (-0.14, 0.040), (-0.04, 0.056), (0.12, 0.060), (0.45, 0.052), (0.80, 0.046), (1.0, 0.044))
_FOREARM = ((-0.06, 0.042), (0.12, 0.044), (0.45, 0.041), (0.80, 0.034), (1.0, 0.030))
_HAND = ((0.0, 0.026), (0.30, 0.036), (0.75, 0.030), (1.0, 0.003))
_SHOE = (
    (-0.078, 0.003, 0.010),
    (-0.066, 0.034, 0.040),
    (-0.010, 0.042, 0.050),
    (0.070, 0.047, 0.040),
    (0.140, 0.047, 0.030),
    (0.185, 0.034, 0.020),
    (0.200, 0.003, 0.006),
)

# What may hang on the trunk, in the same measures.
_EXTRAS = {
    "skirt": (
        (0.08, 0.158, 0.116, 0.0),
        (-0.10, 0.185, 0.150, 0.0),
        (-0.28, 0.205, 0.185, 0.0),
        (-0.42, 0.220, 0.205, 0.0),
    ),
    "coat": (
        (0.30, 0.172, 0.124, 0.006),
        (0.10, 0.170, 0.130, 0.0),
        (-0.10, 0.188, 0.150, 0.0),
        (-0.32, 0.198, 0.178, 0.0),
    ),
    "mane": (
        (0.78, 0.078, 0.060, -0.035),
        (0.70, 0.088, 0.066, -0.045),
        (0.60, 0.092, 0.056, -0.052),
        (0.50, 0.080, 0.040, -0.066),
        (0.44, 0.050, 0.022, -0.075),
        (0.425, 0.004, 0.004, -0.076),
    ),
    "pack": (
        (0.095, 0.006, 0.004, -0.18),
        (0.12, 0.150, 0.085, -0.185),
        (0.30, 0.160, 0.095, -0.20),
        (0.44, 0.145, 0.075, -0.19),
        (0.47, 0.08, 0.05, -0.175),
        (0.485, 0.006, 0.004, -0.17),
    ),
}
_BAG = ((0.05, 0.004, 0.06), (0.09, 0.070, 0.15), (0.26, 0.085, 0.18), (0.32, 0.05, 0.13), (0.325, 0.004, 0.02))
"""Drop below the hand, half-width, half-length."""
THIGH_M, SHANK_M, ARM_M, FOREARM_M, HAND_M = 0.43, 0.42, 0.29, 0.25, 0.17
STRIDE_M = 1.42
"""Two steps at standard height."""


@dataclass(slots=True)
class Rings:
    """Cross-sections of all tubes: centres, two half-axes, and where tubes begin."""

    centres: list[tuple[float, float, float]] = field(default_factory=list)
    across: list[tuple[float, float, float]] = field(default_factory=list)
    along: list[tuple[float, float, float]] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    parts: list[tuple[str, int]] = field(default_factory=list)

    def begin(self) -> None:
        """The rings that follow are a tube of their own."""
        self.starts.append(len(self.centres))

    def add(
        self,
        centre: tuple[float, float, float],
        across: tuple[float, float, float],
        along: tuple[float, float, float],
        part: tuple[str, int],
    ) -> None:
        """One ring: its middle, its half-axes to the left and forward, which ring of which part it is."""
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
        *,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Posture:
    """One moment of a body.

    Attributes:
        phase: Of the gait in radians; two steps are one turn.
        drive: Strength of the gait, 0 standing to about 1.15 hurrying.
        idle: 1 standing to 0 walking.
        clock: Time in radians of slow movements while standing.
    """

    phase: float
    drive: float
    idle: float
    clock: float

    @property
    def lean(self) -> float:
        """Forward lean of the trunk in radians."""
        return 0.05 * self.drive + 0.03 * self.idle

    @property
    def sway(self) -> float:
        """Sideways shift of a standing trunk in metres per metre of height."""
        return 0.012 * self.idle * math.sin(self.clock * 0.65)

    def leg(self, side: int) -> tuple[float, float]:
        """Angles of thigh and shank against the vertical, forward positive; the knee bends on the way forward."""
        phase = self.phase if side > 0 else self.phase + math.pi
        thigh = 0.37 * self.drive * math.sin(phase) + 0.04 * self.drive + 0.02
        knee = 0.06 + 0.80 * self.drive * max(math.cos(phase + 0.35), 0.0) ** 1.4
        return thigh, thigh - knee


def skeleton(outfit: Outfit, posture: Posture) -> Rings:
    """All cross-sections of a body of standard height, feet on the ground, hips over the origin, facing ``+x``."""
    legs = {side: posture.leg(side) for side in (1, -1)}
    hip = 0.085 + max(THIGH_M * math.cos(thigh) + SHANK_M * math.cos(shank) for thigh, shank in legs.values())
    rings = Rings()
    _trunk(rings, outfit, posture, hip)
    for side, (thigh, shank) in legs.items():
        _leg(rings, outfit, (0.0, side * 0.088, hip), thigh, shank, drive=posture.drive)
    for side in (1, -1):
        _arm(rings, outfit, posture, hip, side)
    return rings


def _trunk(rings: Rings, outfit: Outfit, posture: Posture, hip: float) -> None:
    """Trunk, neck, head and what hangs on them."""
    worn = {"skirt": outfit.skirt, "coat": outfit.coat, "mane": outfit.long_hair, "pack": outfit.backpack is not None}
    tables = {"trunk": _TRUNK, "neck": _NECK, "head": _HEAD} | {part: _EXTRAS[part] for part in worn if worn[part]}
    lean, twist = posture.lean, 0.10 * posture.drive * math.sin(posture.phase)
    for part, table in tables.items():
        rings.begin()
        stout = outfit.girth if part in ("trunk", "skirt", "coat") else 1.0
        for number, (height, wide, deep, ahead) in enumerate(table):
            turn = 0.0 if part == "head" else twist * (height - 0.1) * 2.5
            cos, sin = math.cos(turn), math.sin(turn)
            bent = lean * (0.6 if part in ("neck", "head", "mane") else 1.0)
            centre = (ahead + height * math.sin(bent), posture.sway * height * 2, hip + height * math.cos(bent))
            across = (-sin * wide * stout, cos * wide * stout, 0.0)
            rings.add(centre, across, (cos * deep * stout, sin * deep * stout, 0.0), (part, number))


def _leg(
    rings: Rings, outfit: Outfit, joint: tuple[float, float, float], thigh: float, shank: float, *, drive: float
) -> None:
    """Thigh, shank and shoe below a hip joint."""
    girth, start = 0.6 + 0.4 * outfit.girth, np.array(joint)
    side = math.copysign(1.0, joint[1])
    knee = start + THIGH_M * np.array([math.sin(thigh), -0.02 * side, -math.cos(thigh)])
    ankle = knee + SHANK_M * np.array([math.sin(shank), 0.0, -math.cos(shank)])
    rings.bone(start, knee, [(a, r * girth) for a, r in _THIGH], "thigh")
    rings.bone(knee, ankle, [(a, r * girth) for a, r in _SHANK], "shank")
    rings.begin()
    # The heel lifts behind, the toe lifts in front.
    pitch = max(min(-shank * 0.9, 0.0), -0.9) * min(drive, 1.0) + max(thigh - 0.25, 0.0) * 0.8
    cos, sin = math.cos(pitch), math.sin(pitch)
    for number, (ahead, wide, high) in enumerate(_SHOE):
        up = max(float(ankle[2]) - 0.085 + high + ahead * sin, high * 0.8)
        centre = (float(ankle[0]) + ahead * cos, float(ankle[1]) + side * 0.012 * (ahead > 0), up)
        rings.add(centre, (0.0, wide, 0.0), (-sin * high, 0.0, cos * high), ("shoe", number))


def _arm(rings: Rings, outfit: Outfit, posture: Posture, hip: float, side: int) -> None:
    """Arm and hand, swinging against the leg; the left hand carries the bag."""
    height, lean = 0.455, posture.lean
    shoulder = np.array(
        [height * math.sin(lean), side * 0.188 * outfit.girth + posture.sway, hip + height * math.cos(lean)]
    )
    lift = -0.5 * posture.drive * math.sin(posture.phase) * side
    bend = 0.25 + 0.3 * max(lift, 0.0)
    if side < 0:
        # The right arm reaches out now and then while its owner stands.
        act = posture.idle * (0.5 + 0.5 * math.sin(posture.clock))
        lift, bend = lift + 1.05 * act, bend + 0.35 * act
    elif outfit.bag is not None:
        lift, bend = 0.4 * lift, 0.15
    out = 0.10 + 0.03 * outfit.girth
    elbow = shoulder + ARM_M * np.array([math.sin(lift), side * out, -math.cos(lift)])
    wrist = elbow + FOREARM_M * np.array([math.sin(lift + bend), -side * 0.05, -math.cos(lift + bend)])
    tip = wrist + (wrist - elbow) / FOREARM_M * HAND_M
    ease = 1.08 if outfit.sleeves > 0.9 else 1.0
    rings.bone(shoulder, elbow, [(a, r * ease) for a, r in _UPPER_ARM], "upper")
    rings.bone(elbow, wrist, [(a, r * ease) for a, r in _FOREARM], "fore")
    rings.bone(wrist, tip, _HAND, "hand", flat=0.6)
    if side > 0 and outfit.bag is not None:
        rings.begin()
        x, y, z = ((tip + wrist) / 2).tolist()
        for number, (drop, wide, deep) in enumerate(_BAG):
            rings.add((x, y + 0.03, max(z - drop, 0.05)), (0.0, wide, 0.0), (deep, 0.0, 0.0), ("bag", number))
