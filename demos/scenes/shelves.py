"""Shop fittings: shelves, goods, fridges, signs and fruit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from demos.scenes.drawing import to_linear
from demos.scenes.mesh import Material, MeshBuilder, box_quads, rectangle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from demos.scenes.scenery import Plate

__all__ = ["add_fridges", "add_fruit", "add_gondola", "add_sign", "add_wall_shelves"]

_GOODS = (
    (62, 62, 150),
    (70, 118, 178),
    (86, 160, 182),
    (84, 124, 82),
    (132, 96, 70),
    (156, 140, 96),
    (118, 76, 108),
    (196, 198, 200),
    (70, 78, 92),
    (110, 72, 66),
    (104, 134, 160),
    (96, 142, 138),
    (118, 118, 168),
    (50, 66, 94),
)
"""Colours of packages, BGR; muted, as lamps and dust make them."""


def _row_of_goods(
    builder: MeshBuilder,
    rng: np.random.Generator,
    *,
    origin: tuple[float, float, float],
    along: tuple[float, float],
    outward: tuple[float, float],
    length_m: float,
    high_m: float,
    occlusion: float,
) -> None:
    """Facings of packages, bottles and jars on one board; ``origin`` is the board's front left corner."""
    place = 0.03
    start, u, v = np.array(origin), np.array([*along, 0.0]), np.array([*outward, 0.0])
    while place < length_m - 0.15:
        wide = float(rng.uniform(0.08, 0.2))
        tall = float(min(rng.uniform(0.14, 0.34), high_m - 0.04))
        colour = np.array(_GOODS[int(rng.integers(len(_GOODS)))]) * rng.uniform(0.75, 1.15)
        other = np.array(_GOODS[int(rng.integers(len(_GOODS)))])
        b, g, r = (0.5 * other + 0.5 * colour).tolist()
        label = (min(b, 250.0), min(g, 250.0), min(r, 250.0))
        bottle = rng.random() < 0.35
        if bottle:
            wide = min(wide, 0.1)
        for _ in range(int(rng.integers(2, 6))):
            if place + wide > length_m - 0.03:
                break
            if rng.random() < 0.06:
                place += wide + 0.012
                continue
            depth = float(rng.uniform(0.02, 0.05))
            corner = start + u * place - v * depth
            _package(
                builder,
                corner,
                u * wide,
                v,
                tall=tall * float(rng.uniform(0.86, 1.0)),
                colour=colour,
                label=label,
                bottle=bottle,
                occlusion=occlusion,
            )
            place += wide + 0.012
        place += 0.015


def _package(
    builder: MeshBuilder,
    corner: NDArray[np.float64],
    across: NDArray[np.float64],
    outward: NDArray[np.float64],
    *,
    tall: float,
    colour: NDArray[np.float64],
    label: tuple[float, float, float],
    bottle: bool,
    occlusion: float,
) -> None:
    """One package: front, label, sides, top; bottles have a neck and a cap."""
    body = Material((float(min(colour[0], 250)), float(min(colour[1], 250)), float(min(colour[2], 250))), gloss=0.25)
    up = np.array([0.0, 0.0, tall * (0.72 if bottle else 1.0)])
    back = -outward * 0.12
    front = np.array([corner, corner + across, corner + across + up, corner + up])
    side_a = np.array([corner + back, corner, corner + up, corner + back + up])
    side_b = np.array([corner + across, corner + across + back, corner + across + back + up, corner + across + up])
    top = np.array([corner + up, corner + across + up, corner + across + back + up, corner + back + up])
    normal = outward
    along = across / np.linalg.norm(across)
    builder.add(front, body, normals=normal, occlusion=occlusion)
    builder.add([side_a, side_b], body, normals=[-along, along], occlusion=occlusion * 0.8)
    builder.add(top, body, normals=(0, 0, 1), occlusion=occlusion)
    lift = outward * 0.004
    inset, low = across * 0.12, up * (0.28 if not bottle else 0.2)
    patch = (
        np.array(
            [
                corner + inset + low,
                corner + across - inset + low,
                corner + across - inset + up * 0.72,
                corner + inset + up * 0.72,
            ]
        )
        + lift
    )
    builder.add(patch, Material(label, gloss=0.1), normals=normal, occlusion=occlusion)
    line = np.array([patch[0] + up * 0.18, patch[1] + up * 0.18, patch[1] + up * 0.26, patch[0] + up * 0.26]) + lift
    builder.add(line, Material((188, 190, 190)), normals=normal, occlusion=occlusion)
    if bottle:
        neck = corner + up + across * 0.3 + back * 0.4
        size = across * 0.4
        rise = np.array([0.0, 0.0, tall * 0.28])
        builder.add([neck, neck + size, neck + size + rise, neck + rise], body, normals=normal, occlusion=occlusion)
        cap = np.array([neck + rise * 0.7, neck + size + rise * 0.7, neck + size + rise, neck + rise]) + lift
        builder.add(cap, Material(label), normals=normal, occlusion=occlusion)


def add_gondola(
    builder: MeshBuilder, rng: np.random.Generator, low: tuple[float, float], high: tuple[float, float]
) -> None:
    """A free-standing shelf, 1.5 m high, goods on both long sides."""
    (x0, y0), (x1, y1) = low, high
    frame, board = Material((196, 198, 200), gloss=0.15), Material((150, 158, 164))
    middle = (y0 + y1) / 2
    builder.add(
        box_quads((x0, middle - 0.04, 0), (x1, middle + 0.04, 1.5), step_m=0.5),
        Material((104, 106, 110)),
        occlusion=0.7,
    )
    builder.add(box_quads((x0, y0, 0), (x1, y1, 0.14), step_m=0.5), Material((74, 76, 80)), occlusion=0.7)
    poster = Material(((70, 80, 170), (150, 110, 60), (80, 140, 90))[int(rng.integers(3))])
    for x, out in ((x0 - 0.025, -1), (x1 + 0.025, 1)):
        face = rectangle((x, middle + out * 0.32, 0.75), (0, -out * 0.64, 0), (0, 0, 0.6))
        builder.add(face, poster, normals=(out, 0, 0))
        for low_z, tall, wide in ((1.10, 0.12, 0.5), (0.98, 0.06, 0.4), (0.83, 0.06, 0.3)):
            line = rectangle((x + out * 0.003, middle + out * wide / 2, low_z), (0, -out * wide, 0), (0, 0, tall))
            builder.add(line, Material((228, 228, 226)), normals=(out, 0, 0))
    for x in (x0, x1):
        panel = box_quads((x - 0.02, y0 + 0.04, 0), (x + 0.02, y1 - 0.04, 1.52), step_m=0.4)
        builder.add(panel, frame, occlusion=np.clip(0.6 + 0.3 * panel[:, :, 2].mean(axis=1), 0, 1))
    levels = (0.14, 0.50, 0.86, 1.20)
    for number, level in enumerate(levels):
        deep = (y1 - y0) / 2 - 0.03 * number
        for side in (-1, 1):
            ya, yb = sorted((middle, middle + side * deep))
            builder.add(box_quads((x0, ya, level), (x1, yb, level + 0.025), step_m=0.6), board, occlusion=0.75)
            edge = middle + side * (deep + 0.006)
            _price_rail(builder, rng, x=(x0, x1), y=edge, side=side, level=level)
            clear = (levels[number + 1] if number < 3 else 1.62) - level - 0.03
            occlusion = 0.62 + 0.11 * number
            start = x0 if side < 0 else x1
            _row_of_goods(
                builder,
                rng,
                origin=(start, middle + side * deep, level + 0.025),
                along=(1.0 if side < 0 else -1.0, 0.0),
                outward=(0.0, float(side)),
                length_m=x1 - x0,
                high_m=clear,
                occlusion=occlusion,
            )


def _price_rail(
    builder: MeshBuilder, rng: np.random.Generator, *, x: tuple[float, float], y: float, side: int, level: float
) -> None:
    """The strip with price tags at a board's edge."""
    x0, x1 = x
    strip = rectangle((x0, y, level - 0.02), (x1 - x0, 0, 0), (0, 0, 0.05), step_m=0.6)
    builder.add(strip, Material((118, 126, 134)), normals=(0, side, 0), occlusion=0.9)
    for left in np.arange(x0 + 0.1, x1 - 0.1, 0.24):
        tag = rectangle((left + rng.uniform(0, 0.08), y + side * 0.004, level - 0.016), (0.08, 0, 0), (0, 0, 0.042))
        tone = (60, 210, 245) if rng.random() < 0.25 else (205, 208, 210)
        builder.add(tag, Material(tone), normals=(0, side, 0))


def add_wall_shelves(builder: MeshBuilder, rng: np.random.Generator, room_m: tuple[float, float]) -> None:
    """High shelves along the back wall."""
    y = room_m[1] - 0.5
    builder.add(
        rectangle((2.2, room_m[1] - 0.02, 0), (10.6, 0, 0), (0, 0, 2.1), step_m=0.6),
        Material((96, 98, 102)),
        normals=(0, -1, 0),
        occlusion=0.6,
    )
    for number, level in enumerate((0.12, 0.50, 0.88, 1.26, 1.64)):
        builder.add(
            box_quads((2.2, y, level), (12.8, room_m[1], level + 0.025), step_m=0.6),
            Material((140, 148, 154)),
            occlusion=0.75,
        )
        _price_rail(builder, rng, x=(2.2, 12.8), y=y - 0.006, side=-1, level=level)
        _row_of_goods(
            builder,
            rng,
            origin=(2.2, y, level + 0.025),
            along=(1.0, 0.0),
            outward=(0.0, -1.0),
            length_m=10.6,
            high_m=0.36,
            occlusion=0.62 + 0.07 * number,
        )
    for x in np.arange(2.2, 12.9, 1.325):
        builder.add(
            box_quads((x - 0.02, y + 0.02, 0), (x + 0.02, room_m[1], 2.1)), Material((188, 190, 192)), occlusion=0.8
        )


def add_fridges(builder: MeshBuilder, rng: np.random.Generator, room_m: tuple[float, float]) -> None:
    """Lit cold cabinets with glass doors along the far right wall."""
    x = room_m[0] - 0.65
    builder.add(
        box_quads((x, 0.4, 0), (room_m[0], 8.4, 2.25), step_m=0.6), Material((60, 62, 66), gloss=0.2), occlusion=0.8
    )
    for y in np.arange(0.5, 8.0, 0.8):
        builder.add(
            rectangle((x - 0.01, y + 0.70, 0.25), (0, -0.66, 0), (0, 0, 1.8), step_m=0.6),
            Material((120, 116, 108), glow=0.1),
            normals=(-1, 0, 0),
        )
        for level in (0.28, 0.66, 1.04, 1.42, 1.78):
            builder.add(
                rectangle((x - 0.012, y + 0.70, level - 0.03), (0, -0.66, 0), (0, 0, 0.03)),
                Material((170, 170, 168), glow=0.05),
                normals=(-1, 0, 0),
                bias=0.01,
            )
            place = y + 0.06
            colour = _GOODS[int(rng.integers(len(_GOODS)))]
            while place < y + 0.62:
                wide, tall = rng.uniform(0.07, 0.11), rng.uniform(0.18, 0.28) if level < 1.7 else 0.2
                if rng.random() < 0.3:
                    colour = _GOODS[int(rng.integers(len(_GOODS)))]
                builder.add(
                    rectangle((x - 0.014, place + wide, level), (0, -wide, 0), (0, 0, tall)),
                    Material(colour),
                    normals=(-1, 0, 0),
                    bias=0.02,
                )
                place += wide + 0.012
        builder.add(box_quads((x - 0.05, y + 0.70, 0.2), (x, y + 0.74, 2.1)), Material((176, 178, 180), gloss=0.6))
        builder.add(
            box_quads((x - 0.09, y + 0.62, 0.9), (x - 0.06, y + 0.645, 1.5)), Material((210, 210, 212), gloss=0.8)
        )


def add_sign(
    builder: MeshBuilder, place_m: tuple[float, float], ceiling_m: float, colour: tuple[float, float, float]
) -> None:
    """A board that hangs over a shelf."""
    x, y = place_m
    white = Material((240, 240, 240))
    builder.add(box_quads((x - 0.75, y - 0.02, 2.35), (x + 0.75, y + 0.02, 2.75), step_m=0.5), Material(colour))
    builder.add(rectangle((x - 0.55, y - 0.026, 2.50), (1.1, 0, 0), (0, 0, 0.1)), white, normals=(0, -1, 0))
    builder.add(rectangle((x - 0.55, y - 0.026, 2.44), (0.7, 0, 0), (0, 0, 0.035)), white, normals=(0, -1, 0))
    for end in (-0.7, 0.7):
        rod = box_quads((x + end, y - 0.008, 2.75), (x + end + 0.016, y + 0.008, ceiling_m))
        builder.add(rod, Material((120, 120, 120)))


def add_fruit(plate: Plate, rng: np.random.Generator) -> None:
    """A stand with crates of fruit at the right, before the fridges."""
    builder = MeshBuilder()
    x0, y0 = 11.3, 0.6
    wood = Material((70, 110, 150))
    builder.add(box_quads((x0, y0, 0), (x0 + 0.9, y0 + 3.2, 0.62), step_m=0.5), wood, occlusion=0.7)
    for number in range(4):
        y = y0 + 0.8 * number
        builder.add(box_quads((x0 - 0.02, y, 0.6), (x0 + 0.02, y + 0.8, 0.78)), wood)
        builder.add(box_quads((x0, y - 0.02, 0.6), (x0 + 0.9, y + 0.02, 0.78)), wood)
    plate.mesh(builder.build())
    points, radii, colours = [], [], []
    kinds = ((30, 120, 235), (50, 50, 190), (60, 170, 90), (60, 210, 235))
    for number, colour in enumerate(kinds):
        y = y0 + 0.8 * number
        for _ in range(230):
            place = np.array([x0 + rng.uniform(0.05, 0.85), y + rng.uniform(0.05, 0.75), 0.70 + rng.uniform(0, 0.09)])
            base = to_linear(colour) * rng.uniform(0.55, 1.0)
            for shift, radius, tone in ((0.0, 0.048, 0.65), (0.012, 0.034, 0.95), (0.026, 0.012, 1.7)):
                points.append(place + np.array([-0.4 * shift, -0.4 * shift, shift]))
                radii.append(radius)
                colours.append(base * tone)
    plate.blobs(np.array(points), np.array(radii), np.array(colours), haze=False)
