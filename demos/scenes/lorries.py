"""Lorry and bus meshes: boxes with cab, panes, doors, lamps and wheels."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from demos.scenes.fittings import (
    BLACK,
    GLASS,
    LAMP,
    PLATE,
    PLATE_REAR,
    SEAM,
    TAIL,
    VehicleKind,
    add_box,
    add_face,
    add_side,
    add_wheel,
    span,
)
from demos.scenes.mesh import Material, MeshBuilder, box_quads

if TYPE_CHECKING:
    from demos.scenes.mesh import Mesh

__all__ = ["LORRIES", "bus_mesh", "lorry_mesh"]

LORRIES = {
    "lorry": VehicleKind(class_id=5, size_m=(8.2, 2.45, 3.45), wheels_m=(1.25, 5.9), wheel_radius_m=0.48),
    "semi": VehicleKind(
        class_id=5, size_m=(14.5, 2.55, 3.95), wheels_m=(1.3, 4.9, 11.0, 12.2, 13.4), wheel_radius_m=0.5
    ),
    "bus": VehicleKind(class_id=4, size_m=(11.6, 2.55, 3.1), wheels_m=(2.6, 8.6), wheel_radius_m=0.48),
}
"""Class 4 is built by :func:`bus_mesh`, class 5 by :func:`lorry_mesh`."""


def _cab(
    builder: MeshBuilder, paint: Material, *, front: float, deep: float, width: float, top: float, step: float
) -> None:
    """A forward-control lorry cab: windscreen, side windows, grille, lamps, bumper, mirrors."""
    half, rear = width / 2 - 0.03, front - deep
    add_box(builder, (rear, -half, 0.55), (front, half, top - 0.25), paint, step)
    # The roof is drawn in on three sides.
    points = np.array(
        [
            [
                (front - 0.02, half, top - 0.25),
                (front - 0.02, -half, top - 0.25),
                (front - 0.35, -half + 0.12, top),
                (front - 0.35, half - 0.12, top),
            ],
            [
                (rear, half, top - 0.25),
                (front - 0.02, half, top - 0.25),
                (front - 0.35, half - 0.12, top),
                (rear, half - 0.12, top),
            ],
            [
                (front - 0.02, -half, top - 0.25),
                (rear, -half, top - 0.25),
                (rear, -half + 0.12, top),
                (front - 0.35, -half + 0.12, top),
            ],
            [
                (front - 0.35, half - 0.12, top),
                (front - 0.35, -half + 0.12, top),
                (rear, -half + 0.12, top),
                (rear, half - 0.12, top),
            ],
        ]
    )
    builder.add(points, paint, normals=[(1, 0, 0.9), (0, 1, 0.5), (0, -1, 0.5), (0, 0, 1)])
    x = front + 0.012
    add_face(builder, x, (-half + 0.1, half - 0.1), (1.55, top - 0.34), GLASS, bias=0.3)
    add_face(builder, x, (-half + 0.1, half - 0.1), (top - 0.36, top - 0.24), BLACK, bias=0.35)
    add_face(builder, x, (-half + 0.35, half - 0.35), (0.85, 1.38), BLACK, bias=0.3)
    add_face(builder, x, (-half, half), (0.42, 0.72), Material((60, 60, 62), gloss=0.2), bias=0.3)
    add_face(builder, x, (-0.28, 0.28), (0.5, 0.62), PLATE, bias=0.4)
    for side in (1.0, -1.0):
        add_face(builder, x, span(side * (half - 0.45), side * (half - 0.06)), (0.74, 0.94), LAMP, bias=0.4)
        add_side(builder, side * (half + 0.012), (front - 0.95, front - 0.14), (1.55, top - 0.42), GLASS, bias=0.3)
        add_side(builder, side * (half + 0.012), (front - 1.05, front - 1.02), (0.8, top - 0.42), SEAM, bias=0.3)
        low, high = span(side * (half + 0.05), side * (half + 0.28))
        builder.add(box_quads((front - 0.1, low, 1.55), (front + 0.06, high, 2.15)), BLACK, bias=1.2)


def lorry_mesh(kind: VehicleKind, paint: Material, *, detail: int) -> Mesh:
    """A box lorry or an articulated one."""
    builder = MeshBuilder()
    length, width, height = kind.size_m
    front, half, step = length / 2, width / 2, (2.0, 2.0, 0.8)[detail]
    deep = 1.95 if length < 10 else 2.2
    top = height - (0.75 if length < 10 else 0.35)
    cargo_front = front - deep - (0.15 if length < 10 else 0.55)
    white = Material((226, 226, 224), gloss=0.25)
    frame = Material((48, 48, 50))
    add_box(builder, (-front + 0.3, -half * 0.55, 0.5), (front - 0.5, half * 0.55, 0.95), frame, 2.0)
    add_box(builder, (-front, -half, 1.02), (cargo_front, half, height), white, step)
    for side in (1.0, -1.0):
        y = side * (half + 0.012)
        load = cargo_front + front
        add_side(builder, y, (-front + 0.12 * load, -front + 0.88 * load), (1.75, 2.55), paint, bias=0.3)
        add_side(builder, y, (-front, cargo_front), (1.02, 1.14), frame, bias=0.3)
        add_side(builder, y, (-front, cargo_front), (height - 0.12, height), Material((170, 170, 172)), bias=0.3)
        add_side(
            builder,
            side * (half - 0.05),
            (-front + 0.34 * load, cargo_front - 0.3),
            (0.5, 0.92),
            Material((120, 120, 122)),
            bias=0.1,
        )
        inner, outer = span(side * (half - 0.42), side * (half - 0.1))
        add_face(builder, -front - 0.012, (inner, outer), (0.78, 0.94), TAIL, bias=0.4, rear=True)
    x = -front - 0.012
    add_face(builder, x, (-half, half), (0.95, 1.1), frame, bias=0.3, rear=True)
    add_face(builder, x, (-0.018, 0.018), (1.1, height - 0.1), SEAM, bias=0.35, rear=True)
    for y in (-0.75 * half, -0.35 * half, 0.35 * half, 0.75 * half):
        add_face(builder, x, (y - 0.02, y + 0.02), (1.1, height - 0.1), Material((150, 150, 152)), bias=0.35, rear=True)
    add_face(builder, x, (-0.28, 0.28), (0.78, 0.9), PLATE_REAR, bias=0.4, rear=True)
    add_face(builder, x, (-half, half), (0.55, 0.68), Material((40, 40, 200)), bias=0.3, rear=True)
    _cab(builder, paint, front=front, deep=deep, width=width, top=top, step=step)
    for axle in kind.wheels_m:
        for side in (1.0, -1.0):
            add_wheel(
                builder, (front - axle, side * (half - 0.06)), kind.wheel_radius_m, detail=detail, arch=False, lift=1.0
            )
    return builder.build()


def bus_mesh(kind: VehicleKind, paint: Material, *, detail: int) -> Mesh:
    """A city bus."""
    builder = MeshBuilder()
    length, width, height = kind.size_m
    front, half, step = length / 2, width / 2, (2.0, 2.0, 0.8)[detail]
    light = Material((228, 228, 226), gloss=0.5)
    add_box(builder, (-front, -half, 0.3), (front, half, 1.15), paint, step)
    add_box(builder, (-front, -half, 1.15), (front, half, height - 0.2), light, step)
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
    add_box(builder, (-1.6, -0.8, height), (1.2, 0.8, height + 0.22), Material((205, 205, 204)), step)
    for side in (1.0, -1.0):
        y = side * (half + 0.012)
        edges = np.linspace(-front + 0.35, front - 0.5, 8)
        for left, right in pairwise(edges.tolist()):
            add_side(builder, y, (left + 0.05, right - 0.05), (1.22, height - 0.52), GLASS, bias=0.3)
        add_side(builder, y, (-front, front), (0.3, 0.42), BLACK, bias=0.3)
        if side < 0:
            for x in (front - 1.55, 0.2):
                add_side(builder, y * 1.004, (x, x + 1.15), (0.38, height - 0.5), GLASS, bias=0.34)
                add_side(builder, y * 1.006, (x + 0.55, x + 0.60), (0.38, height - 0.5), BLACK, bias=0.38)
        inner, outer = span(side * (half - 0.5), side * (half - 0.1))
        add_face(builder, front + 0.012, (inner, outer), (0.62, 0.82), LAMP, bias=0.4)
        add_face(
            builder,
            -front - 0.012,
            (inner + 0.1 * (side > 0), outer - 0.1 * (side < 0)),
            (0.75, 1.25),
            TAIL,
            bias=0.4,
            rear=True,
        )
        low, high = span(side * (half + 0.04), side * (half + 0.26))
        builder.add(box_quads((front, low, 1.9), (front + 0.14, high, 2.45)), BLACK, bias=1.2)
    add_face(builder, front + 0.012, (-half + 0.08, half - 0.08), (1.0, height - 0.55), GLASS, bias=0.3)
    add_face(builder, front + 0.012, (-half + 0.08, half - 0.08), (height - 0.55, height - 0.22), BLACK, bias=0.3)
    add_face(
        builder,
        front + 0.014,
        (-0.75, 0.75),
        (height - 0.47, height - 0.30),
        Material((40, 170, 250), glow=0.8),
        bias=0.4,
    )
    add_face(builder, front + 0.012, (-0.28, 0.28), (0.42, 0.54), PLATE, bias=0.4)
    add_face(builder, -front - 0.012, (-half + 0.25, half - 0.25), (1.55, height - 0.5), GLASS, bias=0.3, rear=True)
    add_face(
        builder, -front - 0.012, (-half + 0.35, half - 0.35), (0.6, 1.2), Material((70, 70, 72)), bias=0.3, rear=True
    )
    add_face(builder, -front - 0.014, (-0.28, 0.28), (0.66, 0.78), PLATE_REAR, bias=0.4, rear=True)
    for axle in kind.wheels_m:
        for side in (1.0, -1.0):
            add_wheel(builder, (front - axle, side * (half + 0.004)), kind.wheel_radius_m, detail=detail, lift=1.0)
    return builder.build()
