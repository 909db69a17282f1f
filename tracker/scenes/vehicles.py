"""A kind of vehicle and a colour enter, a mesh of body, glass, lamps and wheels leaves."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.scenes.drawing import Drawing, Shadow, to_linear
from tracker.scenes.mesh import Material, MeshBuilder, box_quads, grid_quads, hull, project_mesh, rectangle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracker.scenes.camera import Camera
    from tracker.scenes.drawing import Light
    from tracker.scenes.mesh import Mesh
    from tracker.scenes.motion import Pose, Trajectory

__all__ = ["KINDS", "Vehicle", "VehicleKind"]

Colour = tuple[float, float, float]

GLASS = Material((34, 30, 26), gloss=2.2)
BLACK = Material((26, 26, 26), gloss=0.15)
TYRE = Material((30, 30, 31))
RIM = Material((168, 168, 170), gloss=0.8)
GAP = Material((44, 44, 46))
CHROME = Material((205, 205, 205), gloss=1.6)
LAMP = Material((245, 243, 238), gloss=1.5, glow=0.25)
TAIL = Material((30, 22, 190), gloss=1.2, glow=0.35)
AMBER = Material((30, 140, 240), gloss=1.0, glow=0.1)
PLATE = Material((225, 228, 230), glow=0.1)
PLATE_REAR = Material((60, 200, 235), glow=0.1)
SEAM = Material((20, 20, 22))
LARGE_FACE_M = 0.8
"""The sides of lorries and buses are quads of up to 2 m, whose middles may be that much nearer than what is fixed to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleKind:
    """Sizes of one kind of vehicle.

    Attributes:
        class_id: 2 car, 4 bus, 5 truck.
        size_m: Length, width, height.
        wheels_m: Axles, metres behind the front.
        wheel_radius_m: Of the tyre.
        stations: Cross-sections from front to rear, see :func:`_loft`; empty for lorries and buses.
    """

    class_id: int
    size_m: tuple[float, float, float]
    wheels_m: tuple[float, ...]
    wheel_radius_m: float
    stations: tuple[tuple[float, float, float, float, float, str], ...] = ()


def _car(length: float, width: float, axles: tuple[float, float], radius: float, stations: Any) -> VehicleKind:
    height = max(station[2] for station in stations)
    return VehicleKind(
        class_id=2, size_m=(length, width, height), wheels_m=axles, wheel_radius_m=radius, stations=tuple(stations)
    )


# Stations: place from front (share of the length), deck height, roof height, width (share), ground clearance, and what the surface is
# from here to the next one. Heights in metres, read off side views of current European cars.
_SEDAN = _car(4.65, 1.82, (0.93, 3.66), 0.325, (
    (0.000, 0.58, 0.58, 0.76, 0.26, "nose"), (0.008, 0.66, 0.66, 0.87, 0.22, "nose"), (0.030, 0.72, 0.72, 0.95, 0.20, "hood"),
    (0.090, 0.78, 0.78, 0.99, 0.19, "hood"), (0.275, 0.91, 0.91, 1.00, 0.19, "windscreen"), (0.435, 0.93, 1.39, 1.00, 0.19, "side"),
    (0.500, 0.93, 1.44, 1.00, 0.19, "side"), (0.570, 0.94, 1.45, 1.00, 0.19, "pillar"), (0.592, 0.94, 1.45, 1.00, 0.19, "side"),
    (0.680, 0.95, 1.42, 1.00, 0.19, "side"), (0.745, 0.96, 1.37, 1.00, 0.20, "back"), (0.885, 1.00, 1.00, 0.99, 0.22, "boot"),
    (0.965, 0.98, 0.98, 0.95, 0.26, "boot"), (0.992, 0.92, 0.92, 0.90, 0.30, "tail"), (1.000, 0.84, 0.84, 0.82, 0.34, "tail"),
))
_HATCH = _car(4.15, 1.79, (0.82, 3.40), 0.32, (
    (0.000, 0.60, 0.60, 0.76, 0.26, "nose"), (0.010, 0.70, 0.70, 0.87, 0.22, "nose"), (0.035, 0.77, 0.77, 0.95, 0.20, "hood"),
    (0.100, 0.84, 0.84, 0.99, 0.19, "hood"), (0.250, 0.95, 0.95, 1.00, 0.19, "windscreen"), (0.420, 0.97, 1.43, 1.00, 0.19, "side"),
    (0.520, 0.98, 1.48, 1.00, 0.19, "side"), (0.585, 0.99, 1.49, 1.00, 0.19, "pillar"), (0.610, 0.99, 1.49, 1.00, 0.19, "side"),
    (0.800, 1.02, 1.45, 1.00, 0.20, "column"), (0.885, 1.03, 1.40, 0.99, 0.22, "back"), (0.972, 1.04, 1.06, 0.96, 0.26, "boot"),
    (0.992, 0.97, 0.97, 0.92, 0.30, "tail"), (1.000, 0.88, 0.88, 0.86, 0.34, "tail"),
))
_SUV = _car(4.55, 1.90, (0.90, 3.58), 0.365, (
    (0.000, 0.70, 0.70, 0.78, 0.30, "nose"), (0.010, 0.84, 0.84, 0.89, 0.27, "nose"), (0.030, 0.92, 0.92, 0.96, 0.25, "hood"),
    (0.090, 0.99, 0.99, 0.99, 0.24, "hood"), (0.255, 1.06, 1.06, 1.00, 0.24, "windscreen"), (0.400, 1.08, 1.60, 1.00, 0.24, "side"),
    (0.500, 1.09, 1.66, 1.00, 0.24, "side"), (0.560, 1.09, 1.67, 1.00, 0.24, "pillar"), (0.582, 1.09, 1.67, 1.00, 0.24, "side"),
    (0.730, 1.10, 1.66, 1.00, 0.25, "pillar"), (0.755, 1.10, 1.65, 1.00, 0.25, "side"), (0.880, 1.12, 1.61, 0.99, 0.27, "column"),
    (0.925, 1.12, 1.57, 0.98, 0.28, "back"), (0.982, 1.12, 1.16, 0.95, 0.32, "boot"), (0.994, 1.02, 1.02, 0.92, 0.36, "tail"),
    (1.000, 0.92, 0.92, 0.86, 0.40, "tail"),
))
_ESTATE = _car(4.70, 1.83, (0.95, 3.72), 0.33, (
    *_SEDAN.stations[:9], (0.740, 0.96, 1.44, 1.00, 0.19, "pillar"), (0.762, 0.96, 1.43, 1.00, 0.20, "side"),
    (0.880, 0.98, 1.40, 0.99, 0.22, "column"), (0.915, 0.99, 1.37, 0.98, 0.23, "back"), (0.978, 1.00, 1.03, 0.95, 0.28, "boot"),
    (0.993, 0.93, 0.93, 0.90, 0.31, "tail"), (1.000, 0.85, 0.85, 0.84, 0.34, "tail"),
))
_VAN = _car(5.30, 2.02, (0.98, 4.28), 0.35, (
    (0.000, 0.74, 0.74, 0.80, 0.30, "nose"), (0.012, 0.92, 0.92, 0.90, 0.26, "nose"), (0.035, 1.02, 1.02, 0.96, 0.24, "hood"),
    (0.120, 1.16, 1.16, 0.99, 0.23, "windscreen"), (0.275, 1.22, 1.98, 1.00, 0.23, "side"), (0.400, 1.22, 2.10, 1.00, 0.23, "column"),
    (0.430, 1.22, 2.12, 1.00, 0.23, "panel"), (0.660, 1.22, 2.14, 1.00, 0.23, "panel"), (0.900, 1.22, 2.13, 1.00, 0.24, "panel"),
    (0.985, 1.22, 2.10, 0.99, 0.28, "panel"), (1.000, 1.22, 2.06, 0.97, 0.30, "tail"),
))

KINDS: dict[str, VehicleKind] = {
    "sedan": _SEDAN,
    "hatchback": _HATCH,
    "suv": _SUV,
    "estate": _ESTATE,
    "van": _VAN,
    "lorry": VehicleKind(class_id=5, size_m=(8.2, 2.45, 3.45), wheels_m=(1.25, 5.9), wheel_radius_m=0.48),
    "semi": VehicleKind(class_id=5, size_m=(14.5, 2.55, 3.95), wheels_m=(1.3, 4.9, 11.0, 12.2, 13.4), wheel_radius_m=0.5),
    "bus": VehicleKind(class_id=4, size_m=(11.6, 2.55, 3.1), wheels_m=(2.6, 8.6), wheel_radius_m=0.48),
}


def _ring(half: float, deck: float, roof: float, bottom: float, *, boxy: float = 0.0) -> NDArray[np.float64]:
    """Left half of a cross-section, ``(11, 2)`` of (y, z) from the underside up to the middle of the roof."""
    cabin = max(roof - deck, 0.0)
    share = min(cabin / 0.35, 1.0)

    def blend(low: float, high: float) -> float:
        return (low + (high - low) * share) * half

    lean = 0.35 * min(cabin, 0.5) * (1 - boxy)
    return np.array([
        (0.55 * half, bottom),
        (0.93 * half, bottom),
        (0.985 * half, bottom + 0.10),
        (1.00 * half, bottom + 0.50 * (deck - bottom)),
        (0.985 * half, bottom + 0.86 * (deck - bottom)),
        (0.935 * half if boxy < 0.5 else 0.98 * half, deck - 0.015),
        (blend(0.86, 0.915 + 0.06 * boxy), deck + 0.01 + 0.03 * share),
        (blend(0.78, 0.915 + 0.06 * boxy) - lean * 0.86, deck + 0.015 + 0.84 * cabin),
        (blend(0.62, 0.84 + 0.08 * boxy) - lean, deck + 0.025 + 0.96 * cabin),
        (blend(0.33, 0.48), deck + 0.04 + 0.995 * cabin),
        (0.0, deck + 0.045 + cabin),
    ])


def _surface(tag: str, ring: int, paint: Material) -> Material:
    """What the body is made of between ring points ``ring`` and ``ring + 1`` in the stretch named ``tag``."""
    if ring <= 1:
        return BLACK
    glass = {
        "windscreen": (8, 9), "back": (8, 9), "side": (6,), "pillar": (), "column": (), "panel": (),
    }.get(tag, ())
    if ring in glass:
        return GLASS
    if (tag in ("windscreen", "back") and ring == 6) or (tag == "pillar" and ring == 6):
        return BLACK
    return paint


def _loft(kind: VehicleKind, paint: Material, detail: int, builder: MeshBuilder) -> list[NDArray[np.float64]]:
    """Skin the stations of a car; returns the rings (front to rear) for lamps and seams."""
    length, width, height = kind.size_m
    boxy = 1.0 if height > 2 else 0.0
    step = (9.0, 0.6, 0.22)[detail]
    places, rings, tags = [], [], []
    table = kind.stations
    for here, after in zip(table, (*table[1:], table[-1]), strict=True):
        pieces = max(math.ceil((after[0] - here[0]) * length / step), 1)
        for piece in range(pieces):
            share = piece / pieces
            values = [here[n] + (after[n] - here[n]) * share for n in range(5)]
            places.append(length * (0.5 - values[0]))
            rings.append(_ring(width / 2 * values[3], values[1], values[2], values[4], boxy=boxy))
            tags.append(here[5])
    grid = np.zeros((len(rings), 11, 3))
    grid[:, :, 0] = np.array(places)[:, None]
    grid[:, :, 1:] = np.array(rings)
    # Both sides in one grid, so that normals are smooth across the middle of the roof.
    whole = np.concatenate([grid, (grid * (1, -1, 1))[:, ::-1][:, 1:]], axis=1)
    if detail == 2:
        whole, split = _split_rings(whole)
    else:
        split = list(range(20))
    quads, smooth = grid_quads(whole)
    materials = [
        _surface(tags[station], ring if ring < 10 else 19 - ring, paint) for station in range(len(rings) - 1) for ring in split
    ]
    middle = quads.mean(axis=1)
    flat = np.cross(quads[:, 2] - quads[:, 0], quads[:, 3] - quads[:, 1])
    inside = np.stack([middle[:, 0] * 0.7, np.zeros(len(middle)), np.full(len(middle), 0.45)], axis=1)
    sign = np.sign(((middle - inside) * flat).sum(axis=1, keepdims=True))
    flat = flat * np.where(sign == 0, 1, sign)
    smooth = smooth * np.where((smooth * flat).sum(axis=1, keepdims=True) < 0, -1, 1)
    unit = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    occlusion = np.clip(0.42 + 0.75 * middle[:, 2], 0.4, 1.0)
    builder.add(quads, materials, normals=unit, shading=0.65 * smooth + 0.35 * unit, occlusion=occlusion)
    for end, direction, tag in ((grid[0], 1.0, "nose"), (grid[-1], -1.0, "tail")):
        _cap(end, direction, tag, paint, builder, boxy=boxy)
    return list(grid)


def _split_rings(grid: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[int]]:
    """Each ring interval of the painted sides cut in two, bulged a little; returns the original interval of each new one."""
    pieces, split = [grid[:, :1]], []
    for ring in range(grid.shape[1] - 1):
        low, high = grid[:, ring], grid[:, ring + 1]
        if ring in (2, 3, 16, 17, 8, 9, 10, 11):
            middle = (low + high) / 2
            if ring in (2, 3, 16, 17):
                middle = middle * (1, 1.004, 1)
            pieces += [middle[:, None], high[:, None]]
            split += [ring, ring]
        else:
            pieces.append(high[:, None])
            split.append(ring)
    return np.concatenate(pieces, axis=1), split


def _cap(
    ring: NDArray[np.float64], direction: float, tag: str, paint: Material, builder: MeshBuilder, *, boxy: float
) -> None:
    """Close an end of the body with bands between its two sides."""
    for band in range(10):
        low, high = ring[band], ring[band + 1]
        if abs(high[2] - low[2]) < 1e-6:
            continue
        material = BLACK if band <= 1 else paint
        if boxy and tag == "tail" and band == 6:
            material = GLASS
        left, right = (1, 1, 1), (1, -1, 1)
        for a, b in ((1.0, 0.5), (0.5, 0.0), (0.0, -0.5), (-0.5, -1.0)):
            quad = [low * left, low * left, high * left, high * left]
            quad = [point * (1, s, 1) for point, s in zip((low, low, high, high), (a, b, b, a), strict=True)]
            builder.add([quad], material, normals=(direction, 0, 0), shading=(direction, 0.15 * (a + b), 0.12), occlusion=0.75)
        del left, right


def _end_x(rings: Sequence[NDArray[np.float64]], y: float, z: float, *, front: bool) -> float:
    """Where the body's end surface is at height ``z``, ``y`` off the middle: the first ring (from that end) wide and high enough."""
    ordered = rings if front else list(reversed(rings))
    for ring in ordered:
        profile = ring[1:9]
        reach = float(np.interp(z, profile[:, 2], profile[:, 1]))
        if reach >= abs(y) and z <= profile[-1, 2] + 0.02:
            return float(ring[0, 0])
    return float(ordered[-1][0, 0])


def _patch(
    rings: Sequence[NDArray[np.float64]],
    y: tuple[float, float],
    z: tuple[float, float],
    material: Material,
    builder: MeshBuilder,
    *,
    front: bool,
    bias: float = 0.5,
) -> None:
    """A lamp, plate or grille on the front or rear, following the body's curve."""
    sign = 1.0 if front else -1.0
    corners = [
        (_end_x(rings, a, b, front=front) + sign * 0.015, a, b)
        for a, b in ((y[0], z[0]), (y[1], z[0]), (y[1], z[1]), (y[0], z[1]))
    ]
    slant = 0.5 if (y[0] + y[1]) > 0.4 else -0.5 if (y[0] + y[1]) < -0.4 else 0.0
    builder.add([corners], material, normals=(sign, slant * 0.6, 0.1), shading=(sign, slant, 0.25), bias=bias)


def _wheel(
    builder: MeshBuilder, x: float, y: float, radius: float, *, detail: int, arch: Material | None = BLACK, lift: float = 0.0
) -> None:
    """Tyre, rim and arch on the side ``y`` points to."""
    side = math.copysign(1.0, y)
    count = (6, 8, 12)[detail]

    def circle(scale: float, n: int, offset: float = 0.0) -> NDArray[np.float64]:
        angles = np.arange(n) * 2 * math.pi / n + offset
        return np.stack([x + scale * radius * np.cos(angles), np.full(n, y + side * 0.012), radius * (1 + scale * np.sin(angles))], 1)

    def disc(scale: float, material: Material, bias: float) -> None:
        points = circle(scale, count)
        centre = np.array([x, y + side * 0.012, radius])
        wedges = [[centre, points[n], points[(n + 1) % count], points[(n + 2) % count]] for n in range(0, count, 2)]
        builder.add(wedges, material, normals=(0, side, 0), occlusion=0.8, bias=bias + lift)

    if arch is not None and detail:
        angles = np.linspace(0, math.pi, 7)
        outer = np.stack([x + 1.2 * radius * np.cos(angles), np.full(7, y), radius * (1.0 + 1.18 * np.sin(angles))], 1)
        base = np.array([x, y, radius * 0.75])
        builder.add(
            [[base, outer[n], outer[n + 1], outer[n + 2]] for n in range(0, 5, 2)],
            Material((14, 14, 15)), normals=(0, side, 0), bias=0.25 + lift,
        )
    disc(1.0, TYRE, 0.40)
    disc(0.68, RIM, 0.45)
    if detail == 2:
        spokes = 5
        for n in range(spokes):
            angle = 2 * math.pi * n / spokes
            inner, rim = 0.22 * radius, 0.56 * radius
            wedge = [
                (x + r * math.cos(angle + d), y + side * 0.015, radius + r * math.sin(angle + d))
                for r, d in ((inner, -0.25), (rim, -0.38), (rim, 0.38), (inner, 0.25))
            ]
            builder.add([wedge], GAP, normals=(0, side, 0), bias=0.5 + lift)
    if not detail:
        return
    width = min(0.24, radius * 0.62)
    for direction in (1.0, -1.0):
        face = [
            (x + direction * 0.92 * radius, y - side * a, z) for a, z in ((0.0, 0.02), (width, 0.02), (width, radius), (0.0, radius))
        ]
        builder.add([face], TYRE, normals=(direction, 0, 0), occlusion=0.5)
        low = [
            (x + direction * c * radius, y - side * a, z)
            for a, c, z in ((0.0, 0.35, 0.0), (width, 0.35, 0.0), (width, 0.92, 0.3 * radius), (0.0, 0.92, 0.3 * radius))
        ]
        builder.add([low], TYRE, normals=(direction, 0, 0.1), occlusion=0.4)


def _strip(builder: MeshBuilder, points: Sequence[tuple[float, float, float]], side: float, material: Material, wide: float) -> None:
    """A thin line along points on a body's side."""
    for (x0, y0, z0), (x1, y1, z1) in zip(points[:-1], points[1:], strict=True):
        horizontal = abs(x1 - x0) > abs(z1 - z0)
        dx, dz = (0.0, wide / 2) if horizontal else (wide / 2, 0.0)
        quad = [(x0 - dx, y0, z0 - dz), (x1 - dx, y1, z1 - dz), (x1 + dx, y1, z1 + dz), (x0 + dx, y0, z0 + dz)]
        builder.add([quad], material, normals=(0, side, 0.05), bias=0.22)


def _car_mesh(kind: VehicleKind, paint: Material, *, detail: int) -> Mesh:
    """A car or van with all its details."""
    builder = MeshBuilder()
    rings = _loft(kind, paint, detail, builder)
    length, width, height = kind.size_m
    half = width / 2
    deck_front, deck_rear = kind.stations[1][1], kind.stations[-2][1]
    tall = height > 2
    # Front: grille, lamps, plate.
    lamp_z = (deck_front - 0.16, deck_front - 0.02)
    for side in (1, -1):
        inner, outer = 0.50 * half, 0.86 * half
        _patch(rings, (side * inner, side * outer), lamp_z, LAMP, builder, front=True)
        _patch(rings, (side * 0.55 * half, side * 0.8 * half), (0.33, 0.42), BLACK, builder, front=True)
    _patch(rings, (-0.44 * half, 0.44 * half), (deck_front - 0.22, deck_front - 0.03), BLACK, builder, front=True)
    _patch(rings, (-0.44 * half, 0.44 * half), (deck_front - 0.05, deck_front - 0.02), CHROME, builder, front=True, bias=0.55)
    _patch(rings, (-0.6 * half, 0.6 * half), (0.27, 0.39), BLACK, builder, front=True)
    _patch(rings, (-0.26, 0.26), (0.40, 0.50), PLATE, builder, front=True, bias=0.6)
    # Rear: lamps, plate, bumper.
    top = deck_rear - 0.02 if not tall else 1.15
    low = top - (0.2 if not tall else 0.45)
    for side in (1, -1):
        inner, outer = (0.52, 0.87) if not tall else (0.82, 0.94)
        _patch(rings, (side * inner * half, side * outer * half), (low, top), TAIL, builder, front=False)
        _patch(rings, (side * inner * half, side * (inner + 0.1) * half), (low + 0.03, low + 0.09), AMBER, builder, front=False, bias=0.55)
    plate_z = low + 0.02 if not tall else 0.62
    _patch(rings, (-0.26, 0.26), (plate_z, plate_z + 0.11), PLATE_REAR, builder, front=False, bias=0.6)
    _patch(rings, (-0.66 * half, 0.66 * half), (0.36, 0.48), BLACK, builder, front=False)
    if tall:
        _patch(rings, (-0.012, 0.012), (0.55, height - 0.12), SEAM, builder, front=False, bias=0.55)
    # Sides: doors, handles, sill, mirrors.
    for side in (1.0, -1.0):
        y = side * (half + 0.004)
        belt = kind.stations[7][1] - 0.03
        for axle in kind.wheels_m:
            _wheel(builder, length / 2 - axle, side * (half - 0.005), kind.wheel_radius_m, detail=detail)
        if not detail:
            continue
        doors = [0.30, 0.58, 0.77] if not tall else [0.20, 0.41, 0.68]
        for share in doors:
            x = length * (0.5 - share)
            _strip(builder, [(x, y * 0.985, 0.28), (x, y, 0.6), (x, y * 0.975, belt)], side, SEAM, 0.03)
        for share in doors[:2]:
            x = length * (0.5 - share - 0.20)
            _strip(builder, [(x, y, belt - 0.12), (x + 0.2, y, belt - 0.12)], side, SEAM, 0.045)
        _strip(builder, [(length * 0.27, y, 0.27), (-length * 0.25, y, 0.27)], side, BLACK, 0.1)
        x = length * (0.5 - kind.stations[4][0] - 0.045)
        z = kind.stations[4][1] + 0.07
        low_corner, high_corner = sorted((side * (half - 0.06), side * (half + 0.16)))
        mirror = box_quads((x - 0.09, low_corner, z - 0.07), (x + 0.04, high_corner, z + 0.09 + 0.12 * tall))
        builder.add(mirror, paint, bias=0.15)
    return builder.build()


def _box(builder: MeshBuilder, low: Any, high: Any, material: Material, step: float) -> None:
    """A box whose lower faces are a little darker."""
    quads = box_quads(low, high, step_m=step)
    builder.add(quads, material, occlusion=np.clip(0.5 + 0.3 * quads.mean(axis=1)[:, 2], 0.45, 1.0))


def _cab(builder: MeshBuilder, front: float, deep: float, width: float, top: float, paint: Material, step: float) -> None:
    """A forward-control lorry cab: windscreen, side windows, grille, lamps, bumper, mirrors."""
    half, rear = width / 2 - 0.03, front - deep
    _box(builder, (rear, -half, 0.55), (front, half, top - 0.25), paint, step)
    # The roof is drawn in on three sides.
    points = np.array([
        [(front - 0.02, half, top - 0.25), (front - 0.02, -half, top - 0.25), (front - 0.35, -half + 0.12, top), (front - 0.35, half - 0.12, top)],
        [(rear, half, top - 0.25), (front - 0.02, half, top - 0.25), (front - 0.35, half - 0.12, top), (rear, half - 0.12, top)],
        [(front - 0.02, -half, top - 0.25), (rear, -half, top - 0.25), (rear, -half + 0.12, top), (front - 0.35, -half + 0.12, top)],
        [(front - 0.35, half - 0.12, top), (front - 0.35, -half + 0.12, top), (rear, -half + 0.12, top), (rear, half - 0.12, top)],
    ])
    builder.add(points, paint, normals=[(1, 0, 0.9), (0, 1, 0.5), (0, -1, 0.5), (0, 0, 1)])
    x = front + 0.012
    _face(builder, x, (-half + 0.1, half - 0.1), (1.55, top - 0.34), GLASS, 0.3)
    _face(builder, x, (-half + 0.1, half - 0.1), (top - 0.36, top - 0.24), BLACK, 0.35)
    _face(builder, x, (-half + 0.35, half - 0.35), (0.85, 1.38), BLACK, 0.3)
    _face(builder, x, (-half, half), (0.42, 0.72), Material((60, 60, 62), gloss=0.2), 0.3)
    _face(builder, x, (-0.28, 0.28), (0.5, 0.62), PLATE, 0.4)
    for side in (1.0, -1.0):
        _face(builder, x, tuple(sorted((side * (half - 0.45), side * (half - 0.06)))), (0.74, 0.94), LAMP, 0.4)
        _side(builder, side * (half + 0.012), (front - 0.95, front - 0.14), (1.55, top - 0.42), GLASS, 0.3)
        _side(builder, side * (half + 0.012), (front - 1.05, front - 1.02), (0.8, top - 0.42), SEAM, 0.3)
        low, high = sorted((side * (half + 0.05), side * (half + 0.28)))
        builder.add(box_quads((front - 0.1, low, 1.55), (front + 0.06, high, 2.15)), BLACK, bias=1.2)


def _face(
    builder: MeshBuilder, x: float, y: tuple[float, float], z: tuple[float, float], material: Material, bias: float, *, rear: bool = False
) -> None:
    """A flat patch that looks forward (or back)."""
    quads = rectangle((x, y[0], z[0]), (0, y[1] - y[0], 0), (0, 0, z[1] - z[0]), step_m=0.8)
    builder.add(quads, material, normals=(-1 if rear else 1, 0, 0), shading=(-1 if rear else 1, 0, 0.12), bias=bias + LARGE_FACE_M)


def _side(
    builder: MeshBuilder, y: float, x: tuple[float, float], z: tuple[float, float], material: Material, bias: float
) -> None:
    """A flat patch on the left or right side."""
    quads = rectangle((x[0], y, z[0]), (x[1] - x[0], 0, 0), (0, 0, z[1] - z[0]), step_m=0.8)
    side = math.copysign(1.0, y)
    builder.add(quads, material, normals=(0, side, 0), shading=(0, side, 0.1), bias=bias + LARGE_FACE_M)


def _lorry_mesh(kind: VehicleKind, paint: Material, *, detail: int) -> Mesh:
    """A box lorry or an articulated one."""
    builder = MeshBuilder()
    length, width, height = kind.size_m
    front, half, step = length / 2, width / 2, (2.0, 2.0, 0.8)[detail]
    deep = 1.95 if length < 10 else 2.2
    top = height - (0.75 if length < 10 else 0.35)
    cargo_front = front - deep - (0.15 if length < 10 else 0.55)
    white = Material((226, 226, 224), gloss=0.25)
    frame = Material((48, 48, 50))
    _box(builder, (-front + 0.3, -half * 0.55, 0.5), (front - 0.5, half * 0.55, 0.95), frame, 2.0)
    _box(builder, (-front, -half, 1.02), (cargo_front, half, height), white, step)
    for side in (1.0, -1.0):
        y = side * (half + 0.012)
        span = cargo_front + front
        _side(builder, y, (-front + 0.12 * span, -front + 0.88 * span), (1.75, 2.55), paint, 0.3)
        _side(builder, y, (-front, cargo_front), (1.02, 1.14), frame, 0.3)
        _side(builder, y, (-front, cargo_front), (height - 0.12, height), Material((170, 170, 172)), 0.3)
        _side(builder, side * (half - 0.05), (-front + 0.34 * span, cargo_front - 0.3), (0.5, 0.92), Material((120, 120, 122)), 0.1)
        inner, outer = sorted((side * (half - 0.42), side * (half - 0.1)))
        _face(builder, -front - 0.012, (inner, outer), (0.78, 0.94), TAIL, 0.4, rear=True)
    x = -front - 0.012
    _face(builder, x, (-half, half), (0.95, 1.1), frame, 0.3, rear=True)
    _face(builder, x, (-0.018, 0.018), (1.1, height - 0.1), SEAM, 0.35, rear=True)
    for y in (-0.75 * half, -0.35 * half, 0.35 * half, 0.75 * half):
        _face(builder, x, (y - 0.02, y + 0.02), (1.1, height - 0.1), Material((150, 150, 152)), 0.35, rear=True)
    _face(builder, x, (-0.28, 0.28), (0.78, 0.9), PLATE_REAR, 0.4, rear=True)
    _face(builder, x, (-half, half), (0.55, 0.68), Material((40, 40, 200)), 0.3, rear=True)
    _cab(builder, front, deep, width, top, paint, step)
    for axle in kind.wheels_m:
        for side in (1.0, -1.0):
            _wheel(builder, front - axle, side * (half - 0.06), kind.wheel_radius_m, detail=detail, arch=None, lift=1.0)
    return builder.build()


def _bus_mesh(kind: VehicleKind, paint: Material, *, detail: int) -> Mesh:
    """A city bus."""
    builder = MeshBuilder()
    length, width, height = kind.size_m
    front, half, step = length / 2, width / 2, (2.0, 2.0, 0.8)[detail]
    light = Material((228, 228, 226), gloss=0.5)
    _box(builder, (-front, -half, 0.3), (front, half, 1.15), paint, step)
    _box(builder, (-front, -half, 1.15), (front, half, height - 0.2), light, step)
    edge = 0.16
    roof = box_quads((-front + edge, -half + edge, height - 0.02), (front - edge, half - edge, height), step_m=step)
    builder.add(roof, light)
    for normal, corners in (
        ((0, 1, 1), ((front, half), (-front, half), (-front + edge, half - edge), (front - edge, half - edge))),
        ((0, -1, 1), ((front, -half), (-front, -half), (-front + edge, -half + edge), (front - edge, -half + edge))),
        ((1, 0, 1), ((front, half), (front, -half), (front - edge, -half + edge), (front - edge, half - edge))),
        ((-1, 0, 1), ((-front, half), (-front, -half), (-front + edge, -half + edge), (-front + edge, half - edge))),
    ):
        heights = (height - 0.2, height - 0.2, height, height)
        builder.add([[(*c, z) for c, z in zip(corners, heights, strict=True)]], light, normals=normal)
    _box(builder, (-1.6, -0.8, height), (1.2, 0.8, height + 0.22), Material((205, 205, 204)), step)
    for side in (1.0, -1.0):
        y = side * (half + 0.012)
        edges = np.linspace(-front + 0.35, front - 0.5, 8)
        for left, right in zip(edges[:-1], edges[1:], strict=True):
            _side(builder, y, (left + 0.05, right - 0.05), (1.22, height - 0.52), GLASS, 0.3)
        _side(builder, y, (-front, front), (0.3, 0.42), BLACK, 0.3)
        if side < 0:
            for x in (front - 1.55, 0.2):
                _side(builder, y * 1.004, (x, x + 1.15), (0.38, height - 0.5), GLASS, 0.34)
                _side(builder, y * 1.006, (x + 0.55, x + 0.60), (0.38, height - 0.5), BLACK, 0.38)
        inner, outer = sorted((side * (half - 0.5), side * (half - 0.1)))
        _face(builder, front + 0.012, (inner, outer), (0.62, 0.82), LAMP, 0.4)
        _face(builder, -front - 0.012, (inner + 0.1 * (side > 0), outer - 0.1 * (side < 0)), (0.75, 1.25), TAIL, 0.4, rear=True)
        low, high = sorted((side * (half + 0.04), side * (half + 0.26)))
        builder.add(box_quads((front, low, 1.9), (front + 0.14, high, 2.45)), BLACK, bias=1.2)
    _face(builder, front + 0.012, (-half + 0.08, half - 0.08), (1.0, height - 0.55), GLASS, 0.3)
    _face(builder, front + 0.012, (-half + 0.08, half - 0.08), (height - 0.55, height - 0.22), BLACK, 0.3)
    _face(builder, front + 0.014, (-0.75, 0.75), (height - 0.47, height - 0.30), Material((40, 170, 250), glow=0.8), 0.4)
    _face(builder, front + 0.012, (-0.28, 0.28), (0.42, 0.54), PLATE, 0.4)
    _face(builder, -front - 0.012, (-half + 0.25, half - 0.25), (1.55, height - 0.5), GLASS, 0.3, rear=True)
    _face(builder, -front - 0.012, (-half + 0.35, half - 0.35), (0.6, 1.2), Material((70, 70, 72)), 0.3, rear=True)
    _face(builder, -front - 0.014, (-0.28, 0.28), (0.66, 0.78), PLATE_REAR, 0.4, rear=True)
    for axle in kind.wheels_m:
        for side in (1.0, -1.0):
            _wheel(builder, front - axle, side * (half + 0.004), kind.wheel_radius_m, detail=detail, lift=1.0)
    return builder.build()


_ANY_PAINT = Material((1.0, 2.0, 3.0), gloss=1.0)
"""Stands for the paint while a shape is built, so that one shape serves all colours."""


@lru_cache(maxsize=64)
def _shape(kind: str, detail: int) -> tuple[Mesh, NDArray[np.bool_]]:
    """The mesh of a kind of vehicle in no colour, and which of its faces are painted ``(F,)``."""
    shape = KINDS[kind]
    build = _car_mesh if shape.stations else _bus_mesh if shape.class_id == 4 else _lorry_mesh
    mesh = build(shape, _ANY_PAINT, detail=detail)
    return mesh, (mesh.albedo == to_linear(_ANY_PAINT.colour)).all(axis=1)


@lru_cache(maxsize=512)
def vehicle_mesh(kind: str, colour: Colour, *, detail: int) -> Mesh:
    """The mesh of a kind of vehicle in a colour (BGR 0..255); ``detail`` from 0 (far) to 2 (near)."""
    mesh, painted = _shape(kind, detail)
    return replace(mesh, albedo=np.where(painted[:, None], to_linear(colour), mesh.albedo))


@dataclass(frozen=True, kw_only=True)
class Vehicle:
    """A vehicle on its way.

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

    def draw(self, pose: Pose, time_s: float, camera: Camera, light: Light | None) -> Drawing:
        """The mesh from this camera, with its shadow."""
        del time_s
        length, width, height = KINDS[self.kind].size_m
        cos, sin = math.cos(pose.heading_rad), math.sin(pose.heading_rad)
        turn = np.array([[cos, -sin], [sin, cos]])
        corners = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) * (length / 2, width / 2)
        footprint = corners @ turn.T + pose.position_m
        reach = float(np.linalg.norm(np.append(pose.position_m, height / 2) - np.array(camera.position_m)))
        wide_px = camera.focal_px * width / max(reach, 1.0)
        detail = 0 if wide_px < 18 else 1 if wide_px < 50 else 2
        polygons, colours = project_mesh(
            vehicle_mesh(self.kind, self.colour, detail=detail),
            position_m=pose.position_m, heading_rad=pose.heading_rad, camera=camera, light=light,
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
        return Shadow(polygon_m=cast, brightness=118), Shadow(polygon_m=under, brightness=80), Shadow(polygon_m=core, brightness=45)
