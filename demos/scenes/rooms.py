"""Indoor scenery shared by scenes: lamps' light, tiled floors, walls, glass fronts, counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from demos.scenes.drawing import Light, to_linear
from demos.scenes.mesh import Material, MeshBuilder, box_quads, rectangle
from demos.scenes.outfits import Outfit, random_outfit
from demos.scenes.scenery import soft_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from demos.scenes.scenery import Noise, Plate

    Floats = NDArray[np.floating[Any]]

__all__ = [
    "STAFF_OUTFIT",
    "add_counter",
    "add_poster",
    "add_window",
    "indoor_light",
    "lit_floor",
    "paint_wall",
    "shelter_of",
    "tiles",
    "visitor",
]

STAFF_OUTFIT = Outfit(
    top=(40, 40, 190), bottom=(36, 34, 32), shoes=(30, 30, 32), sleeves=0.42, pattern="plain", second=(40, 40, 190)
)
"""What staff wear: a red shirt over black trousers."""


def visitor(rng: np.random.Generator) -> Outfit:
    """A random outfit that nobody takes for the staff's."""
    while True:
        outfit = random_outfit(rng)
        blue, green, red = outfit.top
        if not (red > 1.8 * green and red > 1.8 * blue):
            return outfit


def indoor_light() -> Light:
    """Rows of lamps under a ceiling."""
    sun = np.array([-0.30, -0.24, 0.92])
    return Light(
        sun=sun / np.linalg.norm(sun),
        sun_colour=np.array([0.48, 0.51, 0.53]),
        sky_colour=np.array([0.50, 0.52, 0.53]),
        ground_colour=np.array([0.20, 0.22, 0.24]),
        horizon_colour=np.array([0.55, 0.57, 0.58]),
        haze_m=1e6,
        blur=0.024,
    )


def tiles(
    noise: Noise, x: Floats, y: Floats, depths: Floats, *, tile_m: float, tone: tuple[float, float, float]
) -> Floats:
    """Polished tiles with joints and wear, linear colours ``(N, 3)``."""
    shade = 0.95 + 0.08 * noise.field(np.floor(x / tile_m) * 7.3, np.floor(y / tile_m) * 5.9)
    shade = shade + 0.10 * (noise.field(x * 0.8, y * 0.8, octaves=4) - 0.5)
    colour = to_linear(tone) * shade[:, None]
    edge = np.minimum(np.abs(x / tile_m - np.round(x / tile_m)), np.abs(y / tile_m - np.round(y / tile_m))) * tile_m
    return np.asarray(colour * (1 - 0.3 * soft_step(0.008, 0.003, edge) * np.clip(1.5 - depths / 9, 0, 1))[:, None])


def lit_floor(plate: Plate, mask: NDArray[np.bool_], depths: Floats, colour: Floats, shelter: Floats) -> None:
    """A floor under lamps; ``shelter (N,)`` is the share of their light that gets there."""
    light = plate.light
    lit = colour * ((light.sky_colour + light.sun_colour * light.sun[2]) * 1.08) * shelter[:, None]
    plate.paint(mask, depths, lit, is_ground=True)


def shelter_of(
    x: Floats, y: Floats, blocks: Sequence[tuple[tuple[float, float], tuple[float, float]]]
) -> NDArray[np.float64]:
    """The light that reaches a floor between blocks (low and high corner each): darker at their feet."""
    share = np.ones(len(x))
    for (x0, y0), (x1, y1) in blocks:
        gap = np.hypot(np.maximum(np.maximum(x0 - x, x - x1), 0), np.maximum(np.maximum(y0 - y, y - y1), 0))
        share *= 1 - 0.45 * np.exp(-gap / 0.3)
    return share


def paint_wall(
    plate: Plate,
    noise: Noise,
    axis: int,
    place_m: float,
    *,
    colour: tuple[float, float, float],
    ceiling_m: float,
    keep: tuple[float, float] = (-1e9, 1e9),
) -> None:
    """A painted wall across an axis, from ``keep[0]`` to ``keep[1]`` along the other one, up to the ceiling."""
    mask, points, depths = plate.wall(axis, place_m)
    along, up = points[:, 1 - axis], points[:, 2]
    tone = 0.94 + 0.08 * noise.field(along * 0.5, up * 0.5, octaves=3)
    paint = to_linear(colour) * tone[:, None]
    ceiling = soft_step(ceiling_m - 0.01, ceiling_m + 0.01, up)[:, None]
    paint = paint + (to_linear((222, 226, 226)) - paint) * ceiling
    lit = (
        paint * ((0.72 + 0.1 * np.minimum(up, ceiling_m) / ceiling_m) * (1 - 0.25 * np.exp(-np.abs(up) / 0.3)))[:, None]
    )
    shown = (along >= keep[0]) & (along <= keep[1])
    where = mask.copy()
    where[mask] = shown
    plate.paint(where, depths[shown], lit[shown])


def add_window(builder: MeshBuilder, rng: np.random.Generator, x: float, y: tuple[float, float], top_m: float) -> None:
    """A display window in a wall at ``x`` that looks down ``x``: frame, lit back, dressed busts and boxes."""
    y0, y1 = y
    low = 0.35
    frame, back = Material((70, 72, 76), gloss=0.4), Material((150, 176, 196), glow=0.25)
    builder.add(
        rectangle((x, y1, low), (0, y0 - y1, 0), (0, 0, top_m - low), step_m=0.5), back, normals=(-1, 0, 0), bias=0.02
    )
    for place in np.arange(y0 + 0.5, y1 - 0.4, 0.85):
        colour = Material(tuple(float(value) for value in rng.uniform(50, 220, 3)))  # type: ignore[arg-type]
        height = float(rng.uniform(0.5, 0.75))
        if rng.random() < 0.6:
            for wide, z0, z1, material in (
                (0.03, low, low + 0.55, Material((90, 92, 96))),
                (0.24, low + 0.5, low + 0.5 + height, colour),
                (0.17, low + 0.5 + height, low + 0.62 + height, colour),
                (0.06, low + 0.62 + height, low + 0.72 + height, Material((196, 204, 212))),
            ):
                quad = rectangle((x - 0.03, place + wide, z0), (0, -2 * wide, 0), (0, 0, z1 - z0))
                builder.add(quad, material, normals=(-1, 0, 0), shading=(-1, 0.2, 0.2), bias=0.06)
        else:
            for level in range(int(rng.integers(1, 4))):
                z0 = low + 0.26 * level
                quad = rectangle((x - 0.03, place + 0.2, z0), (0, -0.4, 0), (0, 0, 0.24))
                tint = Material(tuple(float(value) for value in rng.uniform(60, 220, 3)))  # type: ignore[arg-type]
                builder.add(quad, tint, normals=(-1, 0, 0), bias=0.06)
    for a, b, z0, z1 in (
        (y0, y1, low - 0.08, low),
        (y0, y1, top_m, top_m + 0.08),
        (y0 - 0.08, y0, low - 0.08, top_m + 0.08),
        (y1, y1 + 0.08, low - 0.08, top_m + 0.08),
    ):
        builder.add(box_quads((x - 0.08, a, z0), (x, b, z1), step_m=1.0), frame, bias=0.05)


def add_poster(
    builder: MeshBuilder, x: float, y: tuple[float, float], z: tuple[float, float], colour: tuple[float, float, float]
) -> None:
    """A sign with two lines of something on a wall at ``x`` that looks down ``x``."""
    (y0, y1), (z0, z1) = y, z
    builder.add(
        rectangle((x - 0.05, y1, z0), (0, y0 - y1, 0), (0, 0, z1 - z0), step_m=0.8),
        Material(colour, glow=0.15),
        normals=(-1, 0, 0),
        bias=0.1,
    )
    tall = z1 - z0
    for at, high, wide in ((0.48, 0.3, 0.72), (0.18, 0.14, 0.5)):
        margin = (y1 - y0) * (1 - wide) / 2
        builder.add(
            rectangle((x - 0.06, y1 - margin, z0 + at * tall), (0, y0 - y1 + 2 * margin, 0), (0, 0, high * tall)),
            Material((240, 240, 240), glow=0.2),
            normals=(-1, 0, 0),
            bias=0.12,
        )


def add_counter(builder: MeshBuilder, low: tuple[float, float], high: tuple[float, float], *, tall_m: float) -> None:
    """A counter with a plinth, a wooden front and a light top."""
    (x0, y0), (x1, y1) = low, high
    body = box_quads((x0, y0, 0.1), (x1, y1, tall_m - 0.04), step_m=0.4)
    builder.add(body, Material((86, 118, 150)), occlusion=np.clip(0.55 + 0.4 * body[:, :, 2].mean(axis=1), 0, 1))
    builder.add(box_quads((x0 + 0.04, y0 + 0.04, 0), (x1 - 0.04, y1 - 0.04, 0.1), step_m=0.5), Material((60, 62, 66)))
    top = box_quads((x0 - 0.03, y0 - 0.03, tall_m - 0.04), (x1 + 0.03, y1 + 0.03, tall_m), step_m=0.4)
    builder.add(top, Material((196, 204, 208), gloss=0.3))
