"""Vehicle fittings: wheels, lamps, panes and seams."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from demos.scenes.mesh import Material, MeshBuilder, box_quads, rectangle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Station", "VehicleKind", "add_box", "add_face", "add_side", "add_strip", "add_wheel", "span"]

GLASS = Material((24, 21, 18), gloss=1.7)
BLACK = Material((26, 26, 26), gloss=0.15)
TYRE = Material((30, 30, 31))
RIM = Material((168, 168, 170), gloss=0.8)
GAP = Material((44, 44, 46))
CHROME = Material((205, 205, 205), gloss=1.6)
LENS = Material((120, 118, 116), gloss=2.0)
LAMP = Material((245, 243, 238), gloss=1.5, glow=0.25)
TAIL = Material((30, 22, 190), gloss=1.2, glow=0.35)
AMBER = Material((30, 140, 240), gloss=1.0, glow=0.1)
PLATE = Material((225, 228, 230), glow=0.1)
PLATE_REAR = Material((60, 200, 235), glow=0.1)
SEAM = Material((20, 20, 22))
LARGE_FACE_M = 0.8
"""Lorries and buses have quads of up to 2 m, whose middles may be that much nearer than what is fixed to them."""


class Station(NamedTuple):
    """One cross-section of a car, read from the front.

    Attributes:
        place: Share of the length behind the front bumper.
        deck_m: Height of the bonnet, the belt line or the boot lid.
        roof_m: Height of the roof; the deck's where there is no cabin.
        width: Share of the full width.
        clearance_m: Height of the underside.
        surface: What the skin is from here to the next station: ``nose``, ``hood``, ``windscreen``, ``side``,
            ``pillar``, ``column``, ``panel``, ``back`` (window), ``boot`` or ``tail``.
    """

    place: float
    deck_m: float
    roof_m: float
    width: float
    clearance_m: float
    surface: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleKind:
    """Sizes of one kind of vehicle.

    Attributes:
        class_id: 2 car, 4 bus, 5 truck.
        size_m: Length, width, height.
        wheels_m: Axles, metres behind the front.
        wheel_radius_m: Of the tyre.
        stations: Cross-sections from front to rear, empty for lorries and buses.
    """

    class_id: int
    size_m: tuple[float, float, float]
    wheels_m: tuple[float, ...]
    wheel_radius_m: float
    stations: tuple[Station, ...] = ()


def span(a: float, b: float) -> tuple[float, float]:
    """Both in order.

    >>> span(2.0, -1.0)
    (-1.0, 2.0)
    """
    return (a, b) if a < b else (b, a)


def add_wheel(
    builder: MeshBuilder,
    place_m: tuple[float, float],
    radius: float,
    *,
    detail: int,
    arch: bool = True,
    lift: float = 0.0,
) -> None:
    """Tyre, rim and arch on the side ``y`` points to."""
    x, y = place_m
    side = math.copysign(1.0, y)
    count = (6, 8, 12)[detail]

    def circle(scale: float, n: int, offset: float = 0.0) -> NDArray[np.float64]:
        angles = np.arange(n) * 2 * math.pi / n + offset
        return np.stack(
            [x + scale * radius * np.cos(angles), np.full(n, y + side * 0.012), radius * (1 + scale * np.sin(angles))],
            1,
        )

    def disc(scale: float, material: Material, bias: float) -> None:
        points = circle(scale, count)
        centre = np.array([x, y + side * 0.012, radius])
        wedges = [[centre, points[n], points[(n + 1) % count], points[(n + 2) % count]] for n in range(0, count, 2)]
        builder.add(wedges, material, normals=(0, side, 0), occlusion=0.8, bias=bias + lift)

    if arch and detail:
        angles = np.linspace(0, math.pi, 7)
        outer = np.stack([x + 1.2 * radius * np.cos(angles), np.full(7, y), radius * (1.0 + 1.18 * np.sin(angles))], 1)
        base = np.array([x, y, radius * 0.75])
        builder.add(
            [[base, outer[n], outer[n + 1], outer[n + 2]] for n in range(0, 5, 2)],
            Material((14, 14, 15)),
            normals=(0, side, 0),
            bias=0.25 + lift,
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
            (x + direction * 0.92 * radius, y - side * a, z)
            for a, z in ((0.0, 0.02), (width, 0.02), (width, radius), (0.0, radius))
        ]
        builder.add([face], TYRE, normals=(direction, 0, 0), occlusion=0.5)
        low = [
            (x + direction * c * radius, y - side * a, z)
            for a, c, z in (
                (0.0, 0.35, 0.0),
                (width, 0.35, 0.0),
                (width, 0.92, 0.3 * radius),
                (0.0, 0.92, 0.3 * radius),
            )
        ]
        builder.add([low], TYRE, normals=(direction, 0, 0.1), occlusion=0.4)


def add_strip(
    builder: MeshBuilder, points: Sequence[tuple[float, float, float]], side: float, material: Material, wide: float
) -> None:
    """A thin line along points on a body's side."""
    for (x0, y0, z0), (x1, y1, z1) in pairwise(points):
        horizontal = abs(x1 - x0) > abs(z1 - z0)
        dx, dz = (0.0, wide / 2) if horizontal else (wide / 2, 0.0)
        quad = [(x0 - dx, y0, z0 - dz), (x1 - dx, y1, z1 - dz), (x1 + dx, y1, z1 + dz), (x0 + dx, y0, z0 + dz)]
        builder.add([quad], material, normals=(0, side, 0.05), bias=0.22)


def add_box(builder: MeshBuilder, low: Any, high: Any, material: Material, step: float) -> None:
    """A box whose lower faces are a little darker."""
    quads = box_quads(low, high, step_m=step)
    builder.add(quads, material, occlusion=np.clip(0.5 + 0.3 * quads.mean(axis=1)[:, 2], 0.45, 1.0))


def add_face(
    builder: MeshBuilder,
    x: float,
    y: tuple[float, float],
    z: tuple[float, float],
    material: Material,
    *,
    bias: float,
    rear: bool = False,
) -> None:
    """A flat patch that looks forward (or back)."""
    quads = rectangle((x, y[0], z[0]), (0, y[1] - y[0], 0), (0, 0, z[1] - z[0]), step_m=0.8)
    builder.add(
        quads,
        material,
        normals=(-1 if rear else 1, 0, 0),
        shading=(-1 if rear else 1, 0, 0.12),
        bias=bias + LARGE_FACE_M,
    )


def add_side(
    builder: MeshBuilder, y: float, x: tuple[float, float], z: tuple[float, float], material: Material, *, bias: float
) -> None:
    """A flat patch on the left or right side."""
    quads = rectangle((x[0], y, z[0]), (x[1] - x[0], 0, 0), (0, 0, z[1] - z[0]), step_m=0.8)
    side = math.copysign(1.0, y)
    builder.add(quads, material, normals=(0, side, 0), shading=(0, side, 0.1), bias=bias + LARGE_FACE_M)
