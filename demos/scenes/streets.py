"""Street scenery: paved ground with kerbs and paint, houses, trees, and traffic that never touches."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from demos.scenes.drawing import to_linear
from demos.scenes.mesh import Material, MeshBuilder, box_quads, rectangle
from demos.scenes.scenery import soft_step
from demos.scenes.vehicles import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from demos.scenes.motion import Trajectory
    from demos.scenes.scenery import Noise, Plate

    Floats = NDArray[np.floating[Any]]

__all__ = [
    "PAINTS",
    "Traffic",
    "add_house",
    "add_lamp",
    "asphalt",
    "body_size",
    "grass",
    "paving",
    "plant",
    "put_ground",
]

PAINTS = (
    (232, 232, 230),
    (176, 177, 178),
    (92, 92, 94),
    (34, 34, 36),
    (120, 62, 24),
    (150, 92, 40),
    (40, 32, 150),
    (60, 78, 40),
    (96, 128, 150),
    (30, 90, 190),
)
"""Of cars, BGR as displayed."""


def asphalt(noise: Noise, x: Floats, y: Floats, fine: Floats) -> Floats:
    """Grey with patches, cracks and grain, linear colours ``(N, 3)``."""
    patches = noise.field(x * 0.25, y * 0.25 + 20, octaves=3) - 0.5
    grain = (noise.field(x * 22, y * 22) - 0.5) * fine
    crack = np.exp(-(((noise.field(x * 0.4 + 7, y * 0.4, octaves=3) - 0.5) / 0.006) ** 2)) * fine
    tone = 1 + 0.30 * patches + 0.35 * grain - 0.22 * crack
    return np.asarray(to_linear((116, 115, 114)) * np.clip(tone, 0.3, 2)[:, None])


def paving(noise: Noise, x: Floats, y: Floats, fine: Floats) -> Floats:
    """Slabs of half a metre, linear colours ``(N, 3)``."""
    tone = 0.92 + 0.16 * noise.field(np.floor(x * 2) * 3.3, np.floor(y * 2) * 5.1)
    tone = tone + 0.2 * (noise.field(x * 0.5, y * 0.5, octaves=3) - 0.5)
    joint = np.minimum(np.abs(x * 2 - np.round(x * 2)), np.abs(y * 2 - np.round(y * 2))) * 0.5
    tone = tone * (1 - 0.3 * soft_step(0.02, 0.008, joint) * fine)
    return np.asarray(to_linear((158, 164, 168)) * tone[:, None])


def grass(noise: Noise, x: Floats, y: Floats, fine: Floats) -> Floats:
    """A lawn with dry patches, linear colours ``(N, 3)``."""
    rough = noise.field(x * 0.35, y * 0.35, octaves=4) - 0.5
    grain = (noise.field(x * 9, y * 9, octaves=2) - 0.5) * fine
    green = to_linear((50, 100, 80)) * (1 + 0.8 * rough + 0.7 * grain)[:, None]
    straw = soft_step(0.55, 0.8, noise.field(x * 0.15 + 5, y * 0.15, octaves=3))[:, None]
    return np.asarray(green + (to_linear((90, 136, 136)) * (1 + 0.5 * grain)[:, None] - green) * straw * 0.5)


def put_ground(plate: Plate, mask: NDArray[np.bool_], depths: Floats, colour: Floats) -> None:
    """Lit and hazed linear colours on the ground."""
    lit = colour * (plate.light.sky_colour + plate.light.sun_colour * plate.light.sun[2])
    faded = np.exp(-depths / plate.light.haze_m)[:, None]
    plate.paint(mask, depths, lit * faded + plate.light.haze_colour * (1 - faded), is_ground=True)


def add_house(
    builder: MeshBuilder,
    low: tuple[float, float],
    high: tuple[float, float],
    *,
    storeys: int,
    wall: tuple[float, float, float],
) -> None:
    """A plain block with rows of windows on the sides that look down ``x`` and down ``y``, and a flat roof."""
    (x0, y0), (x1, y1) = low, high
    top = 3.1 * storeys + 0.6
    body = box_quads((x0, y0, 0), (x1, y1, top), step_m=1.5)
    builder.add(body, Material(wall), occlusion=np.clip(0.6 + 0.1 * body[:, :, 2].mean(axis=1), 0, 1))
    builder.add(
        box_quads((x0 - 0.2, y0 - 0.2, top), (x1 + 0.2, y1 + 0.2, top + 0.3), step_m=3), Material((96, 98, 104))
    )
    glass, frame = Material((62, 54, 46), gloss=1.2), Material((222, 224, 226))
    for storey in range(storeys):
        z = 0.9 + 3.1 * storey
        for place in np.arange(x0 + 1.0, x1 - 1.6, 2.6):
            for grow, material, out in ((0.1, frame, 0.02), (0.0, glass, 0.04)):
                quad = rectangle((place - grow, y0 - out, z - grow), (1.3 + 2 * grow, 0, 0), (0, 0, 1.5 + 2 * grow))
                builder.add(quad, material, normals=(0, -1, 0), bias=0.6)
        for place in np.arange(y0 + 1.0, y1 - 1.6, 2.6):
            for grow, material, out in ((0.1, frame, 0.02), (0.0, glass, 0.04)):
                quad = rectangle(
                    (x0 - out, place + 1.3 + grow, z - grow), (0, -1.3 - 2 * grow, 0), (0, 0, 1.5 + 2 * grow)
                )
                builder.add(quad, material, normals=(-1, 0, 0), bias=0.6)


def add_lamp(builder: MeshBuilder, x: float, y: float) -> None:
    """A lamp post 5 m high."""
    steel = Material((110, 110, 108), gloss=0.3)
    builder.add(box_quads((x - 0.06, y - 0.06, 0), (x + 0.06, y + 0.06, 5.0)), steel)
    builder.add(box_quads((x - 0.22, y - 0.22, 5.0), (x + 0.22, y + 0.22, 5.3)), Material((210, 212, 214), gloss=0.4))


def plant(plate: Plate, noise: Noise, rng: np.random.Generator, spots: Sequence[tuple[float, float, float]]) -> None:
    """Trees ``(x, y, height)`` as a trunk and a cloud of leaves, lit from the sun's side; low ones are bushes."""
    builder = MeshBuilder()
    points, radii, colours = [], [], []
    for x, y, tall in spots:
        bush = tall < 2
        if not bush:
            builder.add(box_quads((x - 0.12, y - 0.12, 0), (x + 0.12, y + 0.12, tall * 0.5)), Material((58, 70, 84)))
        count = 380
        centre = np.array([x, y, tall * (0.5 if bush else 0.64)])
        spread = np.array([0.32, 0.32, 0.36]) * tall if not bush else np.array([0.8, 0.8, tall * 0.5])
        direction = rng.normal(size=(count, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        radius = rng.uniform(0.4, 1.0, (count, 1)) ** 0.5
        place = centre + direction * radius * spread * (1 + 0.15 * np.sin(direction[:, :1] * 7 + x))
        green = to_linear((38 + rng.uniform(-8, 10), 88 + rng.uniform(-14, 14), 64 + rng.uniform(-14, 14)))
        tone = (0.2 + 1.1 * (0.5 + 0.5 * direction @ plate.light.sun) * radius[:, 0] ** 2) * rng.uniform(
            0.6, 1.35, count
        )
        points.append(place)
        radii.append(np.maximum(tall, 2.0) * rng.uniform(0.02, 0.05, count))
        colours.append(green * tone[:, None])
    plate.mesh(builder.build())
    every = np.concatenate(points)
    keep = every[:, 2] > 0.05
    leaves = plate.blobs(every[keep], np.concatenate(radii)[keep], np.concatenate(colours)[keep])
    plate.ruffle(leaves, noise, 2.0 * plate.size[0] / 640)


class Traffic:
    """Way reservations: whoever joins keeps clear of all that joined before, at every moment."""

    def __init__(self) -> None:
        self._taken: list[tuple[Trajectory, tuple[float, float]]] = []

    def join(self, path: Trajectory, size_m: tuple[float, float]) -> bool:
        """Take a way where it is free; ``size_m`` is length and width with the distance to keep."""
        if not all(_apart(path, size_m, other, its_size) for other, its_size in self._taken):
            return False
        self._taken.append((path, size_m))
        return True


def body_size(kind: str, *, margin_m: float = 0.6) -> tuple[float, float]:
    """Length and width of a kind of vehicle with the distance that others keep."""
    length, width, _ = KINDS[kind].size_m
    return length + 2 * margin_m, width + margin_m


def _apart(path: Trajectory, size: tuple[float, float], other: Trajectory, its_size: tuple[float, float]) -> bool:
    """Whether two bodies never touch: each is a row of discs along its heading."""
    low, high = max(path.start_s, other.start_s), min(path.end_s, other.end_s)
    if high <= low:
        return True
    moments = np.arange(low, high, 0.1)
    mine, its = _discs(path, size, moments), _discs(other, its_size, moments)
    gaps = np.linalg.norm(mine[:, :, None] - its[:, None], axis=3)
    return bool(gaps.min(initial=math.inf) > (size[1] + its_size[1]) / 2)


def _discs(path: Trajectory, size: tuple[float, float], moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Middles ``(T, D, 2)`` of discs as wide as the body that cover it."""
    half = max((size[0] - size[1]) / 2, 0.0)
    count = max(math.ceil(2 * half / size[1]), 1) + 1
    middle = np.stack([np.interp(moments, path.times_s, path.positions_m[:, axis]) for axis in (0, 1)], axis=1)
    heading = np.interp(moments, path.times_s, path.heading_rad)
    ahead = np.stack([np.cos(heading), np.sin(heading)], axis=1)
    return np.asarray(middle[:, None] + np.linspace(-half, half, count)[:, None] * ahead[:, None])
