"""Meshes of quads in metres with materials, shaded to a :class:`~demos.scenes.drawing.Drawing`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from demos.scenes.drawing import encode_colours, shade, to_linear

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from demos.scenes.camera import Camera
    from demos.scenes.drawing import Light

__all__ = ["Material", "Mesh", "MeshBuilder", "box_quads", "grid_quads", "project_mesh"]

NEAR_M = 0.4
"""Faces nearer than this are left out: their projection runs away."""


@dataclass(frozen=True, slots=True)
class Material:
    """What a face is made of: BGR as displayed (0..255), mirror strength, light of its own."""

    colour: tuple[float, float, float]
    gloss: float = 0.0
    glow: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """Quads in an object's own axes (``x`` forward, ``y`` left, ``z`` up, origin on the ground).

    Attributes:
        quads: ``(F, 4, 3)`` metres.
        centres: ``(F, 3)`` their middles.
        normals: ``(F, 3)`` geometric, decide what faces the camera.
        shading: ``(F, 3)`` smoothed, decide the light.
        albedo: ``(F, 3)`` linear BGR.
        gloss: ``(F,)``.
        glow: ``(F,)``.
        occlusion: ``(F,)`` share of the surroundings seen.
        bias: ``(F,)`` metres nearer that a face pretends to be when faces are ordered; lifts lamps off their body.
    """

    quads: NDArray[np.float64]
    centres: NDArray[np.float64]
    normals: NDArray[np.float64]
    shading: NDArray[np.float64]
    albedo: NDArray[np.float64]
    gloss: NDArray[np.float64]
    glow: NDArray[np.float64]
    occlusion: NDArray[np.float64]
    bias: NDArray[np.float64]


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))


def quad_normals(quads: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit normals ``(F, 3)`` of quads ``(F, 4, 3)`` from their diagonals; the side is that of the corner order."""
    return _unit(np.cross(quads[:, 2] - quads[:, 0], quads[:, 3] - quads[:, 1]))


def grid_quads(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Quads ``((S-1)*(R-1), 4, 3)`` of a grid of points ``(S, R, 3)``, and their normals smoothed over the grid."""
    quads = np.stack([points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]], axis=2)
    flat = np.cross(quads[:, :, 2] - quads[:, :, 0], quads[:, :, 3] - quads[:, :, 1])
    corners = np.zeros_like(points)
    for rows, columns in ((slice(None, -1), slice(None, -1)), (slice(1, None), slice(None, -1))):
        corners[rows, columns] += flat
        corners[rows, 1:] += flat
    smooth = corners[:-1, :-1] + corners[1:, :-1] + corners[1:, 1:] + corners[:-1, 1:]
    return quads.reshape(-1, 4, 3), _unit(smooth.reshape(-1, 3))


_BOX_FACES = np.array([[4, 6, 7, 5], [2, 0, 1, 3], [6, 2, 3, 7], [0, 4, 5, 1], [1, 5, 7, 3], [2, 6, 4, 0]])
"""Corners (x, then y, then z counting fastest) of front, back, left, right, top and bottom."""


def box_quads(low: ArrayLike, high: ArrayLike, *, step_m: float = 1e9) -> NDArray[np.float64]:
    """The six faces of an upright box, cut into pieces no longer than ``step_m``, corners in outward order."""
    x0, y0, z0 = np.asarray(low, dtype=np.float64)
    x1, y1, z1 = np.asarray(high, dtype=np.float64)
    if max(x1 - x0, y1 - y0, z1 - z0) <= step_m:
        corners = np.array([(x, y, z) for x in (x0, x1) for y in (y0, y1) for z in (z0, z1)])
        return np.asarray(corners[_BOX_FACES])
    faces = (
        ((x1, y0, z0), (0, y1 - y0, 0), (0, 0, z1 - z0)),
        ((x0, y1, z0), (0, y0 - y1, 0), (0, 0, z1 - z0)),
        ((x1, y1, z0), (x0 - x1, 0, 0), (0, 0, z1 - z0)),
        ((x0, y0, z0), (x1 - x0, 0, 0), (0, 0, z1 - z0)),
        ((x0, y0, z1), (x1 - x0, 0, 0), (0, y1 - y0, 0)),
        ((x0, y1, z0), (x1 - x0, 0, 0), (0, y0 - y1, 0)),
    )
    pieces = [rectangle(origin, u, v, step_m=step_m) for origin, u, v in faces]
    return np.concatenate(pieces)


def rectangle(origin: ArrayLike, u: ArrayLike, v: ArrayLike, *, step_m: float = 1e9) -> NDArray[np.float64]:
    """Quads ``(F, 4, 3)`` that tile the parallelogram at ``origin`` with edges ``u`` and ``v``; it faces ``u x v``."""
    start, along, up = (np.asarray(each, dtype=np.float64) for each in (origin, u, v))
    columns = max(math.ceil(float(np.linalg.norm(along)) / step_m), 1)
    rows = max(math.ceil(float(np.linalg.norm(up)) / step_m), 1)
    a, b = np.meshgrid(np.arange(columns) / columns, np.arange(rows) / rows)
    low = start + a.reshape(-1, 1) * along + b.reshape(-1, 1) * up
    du, dv = along / columns, up / rows
    return np.stack([low, low + du, low + du + dv, low + dv], axis=1)


class MeshBuilder:
    """Collects quads; :meth:`build` freezes them."""

    def __init__(self) -> None:
        self._parts: list[tuple[NDArray[np.float64], ...]] = []

    def add(
        self,
        quads: ArrayLike,
        material: Material | Sequence[Material],
        *,
        normals: ArrayLike | None = None,
        shading: ArrayLike | None = None,
        occlusion: ArrayLike = 1.0,
        bias: float = 0.0,
    ) -> None:
        """Append faces.

        Args:
            quads: ``(F, 4, 3)`` or one ``(4, 3)``.
            material: One for all or one per face.
            normals: ``(F, 3)`` or one; by default from the corner order.
            shading: ``(F, 3)`` or one; by default the normals.
            occlusion: ``(F,)`` or one.
            bias: See :class:`Mesh`.
        """
        corners = np.asarray(quads, dtype=np.float64).reshape(-1, 4, 3)
        count = len(corners)
        materials = [material] * count if isinstance(material, Material) else list(material)
        facing = (
            quad_normals(corners) if normals is None else np.broadcast_to(_unit(np.asarray(normals, float)), (count, 3))
        )
        light = facing if shading is None else np.broadcast_to(_unit(np.asarray(shading, float)), (count, 3))
        self._parts.append(
            (
                corners,
                facing,
                light,
                to_linear([one.colour for one in materials]).reshape(-1, 3),
                np.array([one.gloss for one in materials], float),
                np.array([one.glow for one in materials], float),
                np.broadcast_to(np.asarray(occlusion, float), (count,)),
                np.full(count, bias),
            )
        )

    def build(self) -> Mesh:
        """Everything that was added."""
        quads, normals, shading, albedo, gloss, glow, occlusion, bias = (
            np.concatenate([part[field] for part in self._parts]) for field in range(8)
        )
        return Mesh(
            quads=quads,
            centres=quads.mean(axis=1),
            normals=normals,
            shading=shading,
            albedo=albedo,
            gloss=gloss,
            glow=glow,
            occlusion=occlusion,
            bias=bias,
        )


def project_mesh(
    mesh: Mesh, *, position_m: ArrayLike, heading_rad: float, camera: Camera, light: Light | None
) -> tuple[NDArray[np.float64], NDArray[np.uint8] | None]:
    """Faces that look at the camera, farthest first.

    Returns:
        ``(P, 4, 2)`` pixels and ``(P, 3)`` uint8 BGR (``None`` without light).
    """
    cos, sin = math.cos(heading_rad), math.sin(heading_rad)
    turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    place = np.append(np.asarray(position_m, dtype=np.float64), 0.0)
    eye = (np.array(camera.position_m) - place) @ turn
    towards = eye - mesh.centres
    rows = np.flatnonzero(np.einsum("ij,ij->i", mesh.normals, towards) > 0)
    distance = np.sqrt(np.einsum("ij,ij->i", towards[rows], towards[rows]))
    order = np.argsort(mesh.bias[rows] - distance, kind="stable")
    rows, distance = rows[order], distance[order]
    pixels, depth = camera.project(mesh.quads[rows].reshape(-1, 3) @ turn.T + place)
    near = depth.reshape(-1, 4).min(axis=1) > NEAR_M
    if not near.all():
        rows, distance, pixels = rows[near], distance[near], pixels.reshape(-1, 4, 2)[near]
    polygons = pixels.reshape(-1, 4, 2)
    if light is None:
        return polygons, None
    return polygons, _colours(
        mesh, rows, towards[rows] / distance[:, None], distance, replace(light, sun=light.sun @ turn)
    )


def _colours(
    mesh: Mesh,
    rows: NDArray[np.intp],
    towards: NDArray[np.float64],
    distance: NDArray[np.float64],
    light: Light,
) -> NDArray[np.uint8]:
    """Shaded display colours; everything is in the object's own axes, the sun too."""
    seen = shade(
        normals=mesh.shading[rows],
        towards_camera=towards,
        albedo=mesh.albedo[rows],
        gloss=mesh.gloss[rows],
        glow=mesh.glow[rows],
        occlusion=mesh.occlusion[rows],
        light=light,
    )
    faded = np.exp(-distance / light.haze_m)[:, None]
    return encode_colours(seen * faded + light.haze_colour * (1 - faded))


def hull(points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Convex outline ``(K, 2)`` of ground points ``(N, 2)``."""
    return np.asarray(cv2.convexHull(points.astype(np.float32))[:, 0], dtype=np.float64)
