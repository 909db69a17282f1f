"""Car meshes: lofted bodies with glass, lamps, doors and wheels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from demos.scenes.fittings import (
    AMBER,
    BLACK,
    CHROME,
    GLASS,
    LAMP,
    LENS,
    PLATE,
    PLATE_REAR,
    SEAM,
    TAIL,
    Station,
    VehicleKind,
    add_strip,
    add_wheel,
    span,
)
from demos.scenes.mesh import Material, MeshBuilder, box_quads, grid_quads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from demos.scenes.mesh import Mesh

__all__ = ["CARS", "car_mesh"]


def _car(
    length: float,
    width: float,
    axles: tuple[float, float],
    radius: float,
    stations: Sequence[Station | tuple[float, float, float, float, float, str]],
) -> VehicleKind:
    table = tuple(Station(*station) for station in stations)
    height = max(station.roof_m for station in table)
    return VehicleKind(
        class_id=2, size_m=(length, width, height), wheels_m=axles, wheel_radius_m=radius, stations=table
    )


# Stations in the order of `Station`, chosen by eye after common European cars.
_SEDAN = _car(
    4.65,
    1.82,
    (0.93, 3.66),
    0.325,
    (
        (0.000, 0.58, 0.58, 0.76, 0.26, "nose"),
        (0.008, 0.66, 0.66, 0.87, 0.22, "nose"),
        (0.030, 0.72, 0.72, 0.95, 0.20, "hood"),
        (0.090, 0.78, 0.78, 0.99, 0.19, "hood"),
        (0.275, 0.91, 0.91, 1.00, 0.19, "windscreen"),
        (0.435, 0.93, 1.39, 1.00, 0.19, "side"),
        (0.500, 0.93, 1.44, 1.00, 0.19, "side"),
        (0.570, 0.94, 1.45, 1.00, 0.19, "pillar"),
        (0.592, 0.94, 1.45, 1.00, 0.19, "side"),
        (0.680, 0.95, 1.42, 1.00, 0.19, "side"),
        (0.745, 0.96, 1.37, 1.00, 0.20, "back"),
        (0.885, 1.00, 1.00, 0.99, 0.22, "boot"),
        (0.965, 0.98, 0.98, 0.95, 0.26, "boot"),
        (0.992, 0.92, 0.92, 0.90, 0.30, "tail"),
        (1.000, 0.84, 0.84, 0.82, 0.34, "tail"),
    ),
)
_HATCH = _car(
    4.15,
    1.79,
    (0.82, 3.40),
    0.32,
    (
        (0.000, 0.60, 0.60, 0.76, 0.26, "nose"),
        (0.010, 0.70, 0.70, 0.87, 0.22, "nose"),
        (0.035, 0.77, 0.77, 0.95, 0.20, "hood"),
        (0.100, 0.84, 0.84, 0.99, 0.19, "hood"),
        (0.250, 0.95, 0.95, 1.00, 0.19, "windscreen"),
        (0.420, 0.97, 1.43, 1.00, 0.19, "side"),
        (0.520, 0.98, 1.48, 1.00, 0.19, "side"),
        (0.585, 0.99, 1.49, 1.00, 0.19, "pillar"),
        (0.610, 0.99, 1.49, 1.00, 0.19, "side"),
        (0.800, 1.02, 1.45, 1.00, 0.20, "column"),
        (0.885, 1.03, 1.40, 0.99, 0.22, "back"),
        (0.972, 1.04, 1.06, 0.96, 0.26, "boot"),
        (0.992, 0.97, 0.97, 0.92, 0.30, "tail"),
        (1.000, 0.88, 0.88, 0.86, 0.34, "tail"),
    ),
)
_SUV = _car(
    4.55,
    1.90,
    (0.90, 3.58),
    0.365,
    (
        (0.000, 0.70, 0.70, 0.78, 0.30, "nose"),
        (0.010, 0.84, 0.84, 0.89, 0.27, "nose"),
        (0.030, 0.92, 0.92, 0.96, 0.25, "hood"),
        (0.090, 0.99, 0.99, 0.99, 0.24, "hood"),
        (0.255, 1.06, 1.06, 1.00, 0.24, "windscreen"),
        (0.400, 1.08, 1.60, 1.00, 0.24, "side"),
        (0.500, 1.09, 1.66, 1.00, 0.24, "side"),
        (0.560, 1.09, 1.67, 1.00, 0.24, "pillar"),
        (0.582, 1.09, 1.67, 1.00, 0.24, "side"),
        (0.730, 1.10, 1.66, 1.00, 0.25, "pillar"),
        (0.755, 1.10, 1.65, 1.00, 0.25, "side"),
        (0.880, 1.12, 1.61, 0.99, 0.27, "column"),
        (0.925, 1.12, 1.57, 0.98, 0.28, "back"),
        (0.982, 1.12, 1.16, 0.95, 0.32, "boot"),
        (0.994, 1.02, 1.02, 0.92, 0.36, "tail"),
        (1.000, 0.92, 0.92, 0.86, 0.40, "tail"),
    ),
)
_ESTATE = _car(
    4.70,
    1.83,
    (0.95, 3.72),
    0.33,
    (
        *_SEDAN.stations[:9],
        (0.740, 0.96, 1.44, 1.00, 0.19, "pillar"),
        (0.762, 0.96, 1.43, 1.00, 0.20, "side"),
        (0.880, 0.98, 1.40, 0.99, 0.22, "column"),
        (0.915, 0.99, 1.37, 0.98, 0.23, "back"),
        (0.978, 1.00, 1.03, 0.95, 0.28, "boot"),
        (0.993, 0.93, 0.93, 0.90, 0.31, "tail"),
        (1.000, 0.85, 0.85, 0.84, 0.34, "tail"),
    ),
)
_VAN = _car(
    5.30,
    2.02,
    (0.98, 4.28),
    0.35,
    (
        (0.000, 0.74, 0.74, 0.80, 0.30, "nose"),
        (0.012, 0.92, 0.92, 0.90, 0.26, "nose"),
        (0.035, 1.02, 1.02, 0.96, 0.24, "hood"),
        (0.120, 1.16, 1.16, 0.99, 0.23, "windscreen"),
        (0.275, 1.22, 1.98, 1.00, 0.23, "side"),
        (0.400, 1.22, 2.10, 1.00, 0.23, "column"),
        (0.430, 1.22, 2.12, 1.00, 0.23, "panel"),
        (0.660, 1.22, 2.14, 1.00, 0.23, "panel"),
        (0.900, 1.22, 2.13, 1.00, 0.24, "panel"),
        (0.985, 1.22, 2.10, 0.99, 0.28, "panel"),
        (1.000, 1.22, 2.06, 0.97, 0.30, "tail"),
    ),
)

CARS = {"sedan": _SEDAN, "hatchback": _HATCH, "suv": _SUV, "estate": _ESTATE, "van": _VAN}


def _ring(half: float, deck: float, roof: float, bottom: float, *, boxy: float = 0.0) -> NDArray[np.float64]:
    """Left half of a cross-section, ``(11, 2)`` of (y, z) from the underside up to the middle of the roof."""
    cabin = max(roof - deck, 0.0)
    share = min(cabin / 0.35, 1.0)

    def blend(low: float, high: float) -> float:
        return (low + (high - low) * share) * half

    lean = 0.35 * min(cabin, 0.5) * (1 - boxy)
    return np.array(
        [
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
        ]
    )


def _surface(tag: tuple[str, float], ring: int, paint: Material) -> Material:
    """What the body is made of between ring points ``ring`` and ``ring + 1``.

    Args:
        tag: The stretch's surface, and how far along it is (0..1).
        ring: From 0 at the underside to 9 at the middle of the roof.
        paint: Of the body.
    """
    surface, share = tag
    if ring <= 1:
        return BLACK
    if surface in ("windscreen", "back") and ring in (8, 9):
        # The dark dashboard or parcel shelf shows low in the pane, the light sky through the other windows high up.
        high = share if surface == "windscreen" else 1 - share
        return Material((18 + 40 * high, 17 + 36 * high, 16 + 32 * high), gloss=1.6)
    if surface == "side" and ring == 6:
        return GLASS
    if ring == 6 and surface in ("windscreen", "back", "pillar"):
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
            place, deck, roof, wide, low = (np.array(here[:5]) * (1 - share) + np.array(after[:5]) * share).tolist()
            places.append(length * (0.5 - place))
            rings.append(_ring(width / 2 * wide, deck, roof, low, boxy=boxy))
            tags.append((here.surface, share))
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
        _surface(tags[station], ring if ring < 10 else 19 - ring, paint)
        for station in range(len(rings) - 1)
        for ring in split
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
    """Each ring interval of the painted sides cut in two, bulged a little; returns the interval each one came from."""
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
        for a, b in ((1.0, 0.5), (0.5, 0.0), (0.0, -0.5), (-0.5, -1.0)):
            quad = [point * (1, s, 1) for point, s in zip((low, low, high, high), (a, b, b, a), strict=True)]
            builder.add(
                [quad], material, normals=(direction, 0, 0), shading=(direction, 0.15 * (a + b), 0.12), occlusion=0.75
            )


def _end_x(rings: Sequence[NDArray[np.float64]], y: float, z: float, *, front: bool) -> float:
    """Where the body ends at height ``z``, ``y`` off the middle: the first ring wide and high enough there."""
    ordered = rings if front else list(reversed(rings))
    for ring in ordered:
        profile = ring[1:9]
        reach = float(np.interp(z, profile[:, 2], profile[:, 1]))
        if reach >= abs(y) and z <= profile[-1, 2] + 0.02:
            return float(ring[0, 0])
    return float(ordered[-1][0, 0])


class _End:
    """The front or rear of a body, to fix lamps and plates to.

    Args:
        builder: Takes the quads.
        rings: Cross-sections from front to rear.
        front: Which end.
    """

    def __init__(self, builder: MeshBuilder, rings: Sequence[NDArray[np.float64]], *, front: bool) -> None:
        self._builder, self._rings, self._front = builder, rings, front

    def patch(self, y: tuple[float, float], z: tuple[float, float], material: Material, *, bias: float = 0.5) -> None:
        """A lamp, plate or grille from ``y[0]`` to ``y[1]`` and ``z[0]`` to ``z[1]``, following the body's curve."""
        sign = 1.0 if self._front else -1.0
        corners = [
            (_end_x(self._rings, a, b, front=self._front) + sign * 0.015, a, b)
            for a, b in ((y[0], z[0]), (y[1], z[0]), (y[1], z[1]), (y[0], z[1]))
        ]
        middle = y[0] + y[1]
        slant = math.copysign(0.5, middle) if abs(middle) > 0.4 else 0.0
        self._builder.add([corners], material, normals=(sign, slant * 0.6, 0.1), shading=(sign, slant, 0.25), bias=bias)


def car_mesh(kind: VehicleKind, paint: Material, *, detail: int) -> Mesh:
    """A car or van with all its details.

    Args:
        kind: Sizes and stations.
        paint: Of the body.
        detail: 0 (far) to 2 (near).
    """
    builder = MeshBuilder()
    rings = _loft(kind, paint, detail, builder)
    _front(_End(builder, rings, front=True), kind)
    _rear(_End(builder, rings, front=False), kind)
    for side in (1.0, -1.0):
        for axle in kind.wheels_m:
            place = (kind.size_m[0] / 2 - axle, side * (kind.size_m[1] / 2 - 0.005))
            add_wheel(builder, place, kind.wheel_radius_m, detail=detail)
        if detail:
            _flank(builder, kind, paint, side)
    return builder.build()


def _front(end: _End, kind: VehicleKind) -> None:
    """Lamps, grille, intake, plate."""
    half, deck = kind.size_m[1] / 2, kind.stations[1].deck_m
    for side in (1, -1):
        end.patch((side * 0.50 * half, side * 0.86 * half), (deck - 0.16, deck - 0.02), LAMP)
        end.patch((side * 0.52 * half, side * 0.60 * half), (deck - 0.13, deck - 0.05), LENS, bias=0.55)
        end.patch((side * 0.70 * half, side * 0.80 * half), (deck - 0.13, deck - 0.05), LENS, bias=0.55)
        end.patch((side * 0.55 * half, side * 0.80 * half), (0.33, 0.42), BLACK)
    end.patch((-0.44 * half, 0.44 * half), (deck - 0.22, deck - 0.03), BLACK)
    end.patch((-0.44 * half, 0.44 * half), (deck - 0.05, deck - 0.02), CHROME, bias=0.55)
    end.patch((-0.44 * half, 0.44 * half), (deck - 0.14, deck - 0.12), CHROME, bias=0.55)
    end.patch((-0.60 * half, 0.60 * half), (0.27, 0.39), BLACK)
    end.patch((-0.26, 0.26), (0.40, 0.50), PLATE, bias=0.6)


def _rear(end: _End, kind: VehicleKind) -> None:
    """Lamps, plate, bumper; vans have doors in the middle."""
    half, height = kind.size_m[1] / 2, kind.size_m[2]
    tall = height > 2
    top = 1.15 if tall else kind.stations[-2].deck_m - 0.02
    low = top - (0.45 if tall else 0.2)
    inner, outer = (0.82, 0.94) if tall else (0.52, 0.87)
    for side in (1, -1):
        end.patch((side * inner * half, side * outer * half), (low, top), TAIL)
        end.patch((side * inner * half, side * (inner + 0.1) * half), (low + 0.03, low + 0.09), AMBER, bias=0.55)
    plate = 0.62 if tall else low + 0.02
    end.patch((-0.26, 0.26), (plate, plate + 0.11), PLATE_REAR, bias=0.6)
    end.patch((-0.66 * half, 0.66 * half), (0.36, 0.48), BLACK)
    if tall:
        end.patch((-0.012, 0.012), (0.55, height - 0.12), SEAM, bias=0.55)


def _flank(builder: MeshBuilder, kind: VehicleKind, paint: Material, side: float) -> None:
    """Doors, handles, sill and mirror of one side."""
    length, width, height = kind.size_m
    half, tall = width / 2, height > 2
    y, belt = side * (half + 0.004), kind.stations[7].deck_m - 0.03
    doors = (0.20, 0.41, 0.68) if tall else (0.30, 0.58, 0.77)
    for share in doors:
        x = length * (0.5 - share)
        add_strip(builder, [(x, y * 0.985, 0.28), (x, y, 0.6), (x, y * 0.975, belt)], side, SEAM, 0.03)
    for share in doors[:2]:
        x = length * (0.5 - share - 0.20)
        add_strip(builder, [(x, y, belt - 0.12), (x + 0.2, y, belt - 0.12)], side, SEAM, 0.045)
    add_strip(builder, [(length * 0.27, y, 0.27), (-length * 0.25, y, 0.27)], side, BLACK, 0.1)
    cowl = kind.stations[4]
    x, z = length * (0.5 - cowl.place - 0.045), cowl.deck_m + 0.07
    inner, outer = span(side * (half - 0.06), side * (half + 0.16))
    mirror = box_quads((x - 0.09, inner, z - 0.07), (x + 0.04, outer, z + 0.09 + 0.12 * tall))
    builder.add(mirror, paint, bias=0.15)
