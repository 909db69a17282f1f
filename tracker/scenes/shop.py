"""A seed enters, a shop floor with people leaves: :func:`shop`."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from tracker.scenes.camera import Camera, Rig
from tracker.scenes.drawing import Light, to_linear
from tracker.scenes.mesh import Material, Mesh, MeshBuilder, box_quads, rectangle
from tracker.scenes.motion import Trajectory, walk
from tracker.scenes.scenery import Noise, Plate, soft_step
from tracker.scenes.walkers import Walker, random_outfit
from tracker.scenes.world import Backdrop, Scene

__all__ = ["COUNT_LINE_M", "shop"]

ROOM_M = (13.2, 10.6)
"""Far walls at these x and y; the camera hangs near the origin."""
CEILING_M = 3.4
GONDOLAS_M = (((4.4, 3.75), (9.2, 4.75)), ((4.4, 6.85), (9.2, 7.85)))
"""Low and high corner of the free-standing shelves."""
PILLAR_M = ((10.0, 7.0), (10.45, 7.45))
COUNT_LINE_M = ((4.3, 3.0), (0.2, 3.0))
"""A line from the front shelf to the left, for counting who goes to the back of the shop."""

_NODES = {
    "A": (3.1, 2.3), "B": (6.4, 2.7), "C": (10.4, 2.5), "D": (3.2, 5.8), "E": (6.6, 5.8), "F": (10.7, 5.6),
    "G": (3.2, 8.9), "H": (6.6, 8.9), "I": (11.0, 8.8), "R": (9.0, -1.2), "L": (-0.6, 7.0),
}
_WAYS = {
    "A": "BD", "B": "AC", "C": "BF", "D": "AEG", "E": "DF", "F": "CEI", "G": "DH", "H": "GI", "I": "HF", "R": "CB", "L": "DG",
}
_SHELVES = {"B": (90.0,), "E": (-90.0, 90.0), "H": (-90.0, 90.0), "F": (0.0,), "D": (0.0,)}
"""Where people stop, and the headings (degrees) of the shelves there."""


def shop(
    *,
    seed: int = 0,
    size: tuple[int, int] = (640, 360),
    duration_s: float = 30.0,
    people: int = 8,
    shake_px: float = 0.0,
    pan_deg: float = 0.0,
    noise: float = 1.8,
) -> Scene:
    """A shop seen by a camera under the ceiling: shelves that hide people, who stop, turn, leave and come back.

    Args:
        seed: Of people, goods and noise.
        size: ``(width, height)`` in pixels.
        duration_s: How long the shop is open.
        people: How many are about at a time.
        shake_px: See :class:`~tracker.scenes.camera.Rig`.
        pan_deg: Largest turn of a slow pan.
        noise: Sensor noise in grey levels.
    """
    camera = Camera(
        position_m=(0.5, 0.3, 3.0),
        yaw_rad=math.radians(43.0),
        pitch_rad=math.radians(21.5),
        focal_px=0.74 * size[0],
        size=size,
    )
    rig = Rig(camera=camera, shake_px=shake_px, pan_rad=math.radians(pan_deg), seed=seed)
    return Scene(
        name="shop",
        actors=_crowd(np.random.default_rng(seed), duration_s, people),
        rig=rig,
        backdrop=_backdrop(rig.panorama, seed),
        duration_s=duration_s,
        light=_light(),
        noise=noise,
        seed=seed,
    )


def _light() -> Light:
    """Rows of lamps under the ceiling."""
    sun = np.array([-0.30, -0.34, 0.89])
    return Light(
        sun=sun / np.linalg.norm(sun),
        sun_colour=np.array([0.40, 0.44, 0.46]),
        sky_colour=np.array([0.50, 0.52, 0.53]),
        ground_colour=np.array([0.20, 0.22, 0.24]),
        horizon_colour=np.array([0.55, 0.57, 0.58]),
        haze_m=1e6,
        blur=0.024,
    )


def _crowd(rng: np.random.Generator, duration_s: float, people: int) -> list[Walker]:
    """Visitors one after another in each of ``people`` places; about every second one leaves and comes back."""
    walkers: list[Walker] = []
    taken: list[Trajectory] = []
    for place in range(people):
        moment = -rng.uniform(2, 20) if place < people - 2 else rng.uniform(1, 6)
        while moment < duration_s:
            speed = float(rng.uniform(0.95, 1.45))
            visits = [_free_route(rng, moment, speed, taken)]
            if rng.random() < 0.5:
                visits.append(_free_route(rng, visits[0].end_s + rng.uniform(2.5, 6), speed, taken))
            taken += visits
            walkers.append(
                Walker(
                    identity=len(walkers) + 1,
                    trajectories=tuple(visits),
                    outfit=random_outfit(rng),
                    height_m=float(rng.uniform(1.56, 1.92)),
                    gait=float(rng.uniform(0, 2 * math.pi)),
                )
            )
            moment = visits[-1].end_s + rng.uniform(0.5, 4)
    return walkers


def _free_route(rng: np.random.Generator, start_s: float, speed: float, taken: list[Trajectory]) -> Trajectory:
    """Of ten random routes the one that keeps farthest from those who are there already."""
    routes = [_route(rng, start_s, speed) for _ in range(10)]
    return max(routes, key=lambda route: _clearance(route, taken))


def _clearance(route: Trajectory, taken: list[Trajectory]) -> float:
    """Smallest distance in metres to anybody at any time, 0.8 at most."""
    nearest = 0.8
    for other in taken:
        low, high = max(route.start_s, other.start_s), min(route.end_s, other.end_s)
        if high <= low:
            continue
        moments = np.arange(low, high, 0.15)
        gaps = [np.interp(moments, one.times_s, one.positions_m[:, axis]) for axis in (0, 1) for one in (route, other)]
        nearest = min(nearest, float(np.hypot(gaps[0] - gaps[1], gaps[2] - gaps[3]).min(initial=9.0)))
    return nearest


def _route(rng: np.random.Generator, start_s: float, speed: float) -> Trajectory:
    """In at a door, along the aisles with stops at shelves and now and then a turn on the spot, out at a door."""
    door = str(rng.choice(["R", "L"]))
    nodes = [door]
    for _ in range(int(rng.integers(4, 9))):
        ways = _WAYS[nodes[-1]]
        onward = [node for node in ways if len(nodes) < 2 or node != nodes[-2]]
        back = len(nodes) >= 3 and rng.random() < 0.12
        nodes.append(nodes[-2] if back or not onward else str(rng.choice(onward)))
    nodes += _way_out(nodes[-1])
    points, stops, faces = [], {}, {}
    for index, node in enumerate(nodes):
        wobble = rng.uniform(-0.36, 0.36, 2)
        points.append(np.array(_NODES[node]) + wobble)
        if node in _SHELVES and 0 < index < len(nodes) - 1 and rng.random() < 0.6:
            stops[index] = float(rng.uniform(1.2, 4.0))
            faces[index] = math.radians(float(rng.choice(_SHELVES[node])) + rng.uniform(-15, 15))
    return walk(points_m=np.array(points), start_s=start_s, speed_m_s=speed, stops=stops, faces=faces)


def _way_out(node: str) -> list[str]:
    """The shortest way to a door."""
    seen, queue = {node}, [[node]]
    while queue:
        path = queue.pop(0)
        if path[-1] in "RL":
            return path[1:]
        doors = [door for door in "RL" if path[-1] in _WAYS[door]]
        for step in [*doors, *_WAYS[path[-1]]]:
            if step not in seen:
                seen.add(step)
                queue.append([*path, step])
    return []


@lru_cache(maxsize=8)
def _backdrop(camera: Camera, seed: int) -> Backdrop:
    """Floor, walls, shelves with goods, a pillar, fridges, fruit."""
    rng = np.random.default_rng((seed, 2))
    noise, plate = Noise(np.random.default_rng(11)), Plate(camera, _light())
    _walls(plate, noise)
    _floor(plate, noise)
    builder = MeshBuilder()
    for low, high in GONDOLAS_M:
        _gondola(builder, rng, low, high)
    _wall_shelves(builder, rng)
    _fridges(builder, rng)
    (x0, y0), (x1, y1) = PILLAR_M
    pillar = box_quads((x0, y0, 0), (x1, y1, CEILING_M), step_m=0.4)
    builder.add(pillar, Material((205, 212, 216)), occlusion=np.clip(0.7 + 0.2 * pillar[:, :, 2].mean(axis=1), 0, 1))
    builder.add(box_quads((x0 - 0.02, y0 - 0.02, 0), (x1 + 0.02, y1 + 0.02, 0.15)), Material((70, 72, 76)))
    _signs(builder)
    plate.mesh(builder.build())
    _fruit(plate, rng)
    return plate.finish(blur_px=0.42 * camera.focal_px / 0.74 / 640)


def _walls(plate: Plate, noise: Noise) -> None:
    """Painted walls with a coloured band; everything above the ceiling's edge is its lamps' glow."""
    for axis in (0, 1):
        mask, points, depths = plate.wall(axis, ROOM_M[axis])
        along, up = points[:, 1 - axis], points[:, 2]
        tone = 0.93 + 0.1 * noise.field(along * 0.5, up * 0.5, octaves=3)
        colour = to_linear((206, 216, 220)) * tone[:, None]
        band = (soft_step(2.44, 2.46, up) * soft_step(2.98, 2.96, up))[:, None]
        colour = colour + (to_linear((60, 96, 44)) - colour) * band
        ceiling = soft_step(CEILING_M - 0.01, CEILING_M + 0.01, up)[:, None]
        colour = colour + (to_linear((225, 228, 228)) - colour) * ceiling
        corner = 1 - 0.35 * np.exp(-np.abs(along - ROOM_M[1 - axis]) / 0.5) - 0.25 * np.exp(-np.abs(up) / 0.3)
        lit = colour * (0.62 + 0.1 * up / CEILING_M)[:, None] * corner[:, None]
        plate.paint(mask, depths, lit)


def _floor(plate: Plate, noise: Noise) -> None:
    """Polished tiles: joints, wear, darkness at the foot of shelves, the lamps' reflection."""
    mask, points, depths = plate.plane(reach_m=60.0)
    x, y = points[:, 0], points[:, 1]
    tile_x, tile_y = np.floor(x / 0.6), np.floor(y / 0.6)
    tone = 0.95 + 0.1 * noise.field(tile_x * 7.3, tile_y * 5.9) + 0.10 * (noise.field(x * 0.8, y * 0.8, octaves=4) - 0.5)
    tone += 0.06 * (noise.field(x * 30, y * 30) - 0.5) * np.clip(1.6 - depths / 6, 0, 1)
    colour = to_linear((158, 172, 182)) * tone[:, None]
    edge = np.minimum(np.abs(x / 0.6 - np.round(x / 0.6)), np.abs(y / 0.6 - np.round(y / 0.6))) * 0.6
    colour *= (1 - 0.35 * soft_step(0.007, 0.003, edge) * np.clip(1.5 - depths / 9, 0, 1))[:, None]
    shelter = np.ones(len(x))
    blocks = [*GONDOLAS_M, PILLAR_M, ((ROOM_M[0] - 0.6, 0.0), (ROOM_M[0], 12.0)), ((2.0, ROOM_M[1] - 0.6), (14.0, ROOM_M[1]))]
    for (x0, y0), (x1, y1) in blocks:
        gap = np.hypot(np.maximum(np.maximum(x0 - x, x - x1), 0), np.maximum(np.maximum(y0 - y, y - y1), 0))
        shelter *= 1 - 0.5 * np.exp(-gap / 0.32)
    light = plate.light
    lit = colour * ((light.sky_colour + light.sun_colour * light.sun[2]) * 0.92)
    # Lamps 0.35 m wide along x, every 2.4 m in y, mirrored by the floor; polish varies.
    rise = (CEILING_M + plate.camera.position_m[2]) / plate.camera.position_m[2]
    lamp_y = plate.camera.position_m[1] + (y - plate.camera.position_m[1]) * rise
    lamp_x = plate.camera.position_m[0] + (x - plate.camera.position_m[0]) * rise
    across = np.abs((lamp_y + 0.6) % 2.4 - 1.2)
    shine = soft_step(0.55, 0.1, across) * soft_step(0.75, 0.55, np.abs((lamp_x % 3.0) / 3.0 - 0.5) * 2)
    glancing = 0.05 + 0.35 * np.clip(depths / 14, 0, 1) ** 2
    polish = 0.75 + 0.5 * noise.field(x * 1.3 + 4, y * 1.3, octaves=3)
    lit = (lit + (shine * glancing * polish)[:, None]) * shelter[:, None]
    plate.paint(mask, depths, lit, is_ground=True)


_GOODS = (
    (40, 40, 190), (36, 120, 220), (40, 190, 235), (60, 150, 60), (160, 90, 40), (190, 160, 60), (150, 60, 130), (230, 230, 230),
    (60, 70, 90), (130, 60, 50), (90, 140, 190), (70, 180, 170), (120, 120, 220), (30, 60, 110),
)


def _row_of_goods(
    builder: MeshBuilder,
    rng: np.random.Generator,
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
        label = _GOODS[int(rng.integers(len(_GOODS)))]
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
            _package(builder, corner, u * wide, v, tall, colour, label, bottle=bottle, occlusion=occlusion)
            place += wide + 0.012
        place += 0.015


def _package(
    builder: MeshBuilder,
    corner: np.ndarray,
    across: np.ndarray,
    outward: np.ndarray,
    tall: float,
    colour: np.ndarray,
    label: tuple[int, int, int],
    *,
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
    patch = np.array([corner + inset + low, corner + across - inset + low, corner + across - inset + up * 0.72, corner + inset + up * 0.72]) + lift
    builder.add(patch, Material(label, gloss=0.1), normals=normal, occlusion=occlusion)
    line = np.array([patch[0] + up * 0.18, patch[1] + up * 0.18, patch[1] + up * 0.26, patch[0] + up * 0.26]) + lift
    builder.add(line, Material((235, 235, 232)), normals=normal, occlusion=occlusion)
    if bottle:
        neck = corner + up + across * 0.3 + back * 0.4
        size = across * 0.4
        rise = np.array([0.0, 0.0, tall * 0.28])
        builder.add([neck, neck + size, neck + size + rise, neck + rise], body, normals=normal, occlusion=occlusion)
        cap = np.array([neck + rise * 0.7, neck + size + rise * 0.7, neck + size + rise, neck + rise]) + lift
        builder.add(cap, Material(label), normals=normal, occlusion=occlusion)


def _gondola(builder: MeshBuilder, rng: np.random.Generator, low: tuple[float, float], high: tuple[float, float]) -> None:
    """A free-standing shelf, 1.5 m high, goods on both long sides."""
    (x0, y0), (x1, y1) = low, high
    frame, board = Material((196, 198, 200), gloss=0.15), Material((222, 224, 224), gloss=0.2)
    middle = (y0 + y1) / 2
    builder.add(box_quads((x0, middle - 0.04, 0), (x1, middle + 0.04, 1.5), step_m=0.5), Material((150, 152, 156)), occlusion=0.7)
    builder.add(box_quads((x0, y0, 0), (x1, y1, 0.14), step_m=0.5), Material((74, 76, 80)), occlusion=0.7)
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
            _price_rail(builder, rng, x0, x1, edge, side, level)
            clear = (levels[number + 1] if number < 3 else 1.62) - level - 0.03
            occlusion = 0.62 + 0.11 * number
            start = x0 if side < 0 else x1
            _row_of_goods(
                builder, rng, (start, middle + side * deep, level + 0.025), (1.0 if side < 0 else -1.0, 0.0), (0.0, float(side)),
                x1 - x0, clear, occlusion,
            )


def _price_rail(
    builder: MeshBuilder, rng: np.random.Generator, x0: float, x1: float, y: float, side: int, level: float
) -> None:
    """The strip with price tags at a board's edge."""
    strip = rectangle((x0, y, level - 0.02), (x1 - x0, 0, 0), (0, 0, 0.05), step_m=0.6)
    builder.add(strip, Material((214, 216, 218)), normals=(0, side, 0), occlusion=0.9)
    for x in np.arange(x0 + 0.1, x1 - 0.1, 0.24):
        tag = rectangle((x + rng.uniform(0, 0.08), y + side * 0.004, level - 0.016), (0.08, 0, 0), (0, 0, 0.042))
        tone = (60, 210, 245) if rng.random() < 0.25 else (245, 245, 245)
        builder.add(tag, Material(tone), normals=(0, side, 0))


def _wall_shelves(builder: MeshBuilder, rng: np.random.Generator) -> None:
    """High shelves along the back wall."""
    y = ROOM_M[1] - 0.5
    builder.add(rectangle((2.2, ROOM_M[1] - 0.02, 0), (10.6, 0, 0), (0, 0, 2.1), step_m=0.6), Material((140, 142, 146)), normals=(0, -1, 0), occlusion=0.6)
    for number, level in enumerate((0.12, 0.50, 0.88, 1.26, 1.64)):
        builder.add(box_quads((2.2, y, level), (12.8, ROOM_M[1], level + 0.025), step_m=0.6), Material((216, 218, 218)), occlusion=0.75)
        _price_rail(builder, rng, 2.2, 12.8, y - 0.006, -1, level)
        _row_of_goods(builder, rng, (2.2, y, level + 0.025), (1.0, 0.0), (0.0, -1.0), 10.6, 0.36, 0.62 + 0.07 * number)
    for x in np.arange(2.2, 12.9, 1.325):
        builder.add(box_quads((x - 0.02, y + 0.02, 0), (x + 0.02, ROOM_M[1], 2.1)), Material((188, 190, 192)), occlusion=0.8)


def _fridges(builder: MeshBuilder, rng: np.random.Generator) -> None:
    """Lit cold cabinets with glass doors along the far right wall."""
    x = ROOM_M[0] - 0.65
    builder.add(box_quads((x, 0.4, 0), (ROOM_M[0], 8.4, 2.25), step_m=0.6), Material((60, 62, 66), gloss=0.2), occlusion=0.8)
    for y in np.arange(0.5, 8.0, 0.8):
        builder.add(rectangle((x - 0.01, y + 0.70, 0.25), (0, -0.66, 0), (0, 0, 1.8), step_m=0.6), Material((150, 142, 130), glow=0.25), normals=(-1, 0, 0))
        for level in (0.28, 0.66, 1.04, 1.42, 1.78):
            builder.add(rectangle((x - 0.012, y + 0.70, level - 0.03), (0, -0.66, 0), (0, 0, 0.03)), Material((228, 228, 226), glow=0.2), normals=(-1, 0, 0), bias=0.01)
            place = y + 0.06
            colour = _GOODS[int(rng.integers(len(_GOODS)))]
            while place < y + 0.62:
                wide, tall = rng.uniform(0.07, 0.11), rng.uniform(0.18, 0.28) if level < 1.7 else 0.2
                if rng.random() < 0.3:
                    colour = _GOODS[int(rng.integers(len(_GOODS)))]
                builder.add(rectangle((x - 0.014, place + wide, level), (0, -wide, 0), (0, 0, tall)), Material(colour, glow=0.2), normals=(-1, 0, 0), bias=0.02)
                place += wide + 0.012
        builder.add(box_quads((x - 0.05, y + 0.70, 0.2), (x, y + 0.74, 2.1)), Material((176, 178, 180), gloss=0.6))
        builder.add(box_quads((x - 0.09, y + 0.62, 0.9), (x - 0.06, y + 0.645, 1.5)), Material((210, 210, 212), gloss=0.8))


def _signs(builder: MeshBuilder) -> None:
    """Boards that hang over the aisles and a poster or two."""
    for (low, high), colour in zip(GONDOLAS_M, ((50, 60, 180), (50, 120, 40)), strict=True):
        x, y = (low[0] + high[0]) / 2, (low[1] + high[1]) / 2
        builder.add(box_quads((x - 0.75, y - 0.02, 2.35), (x + 0.75, y + 0.02, 2.75), step_m=0.5), Material(colour))
        builder.add(rectangle((x - 0.55, y - 0.026, 2.50), (1.1, 0, 0), (0, 0, 0.1)), Material((240, 240, 240)), normals=(0, -1, 0))
        builder.add(rectangle((x - 0.55, y - 0.026, 2.44), (0.7, 0, 0), (0, 0, 0.035)), Material((240, 240, 240)), normals=(0, -1, 0))
        for end in (-0.7, 0.7):
            builder.add(box_quads((x + end, y - 0.008, 2.75), (x + end + 0.016, y + 0.008, CEILING_M)), Material((120, 120, 120)))


def _fruit(plate: Plate, rng: np.random.Generator) -> None:
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
                points.append(place + (-0.4 * shift, -0.4 * shift, shift))
                radii.append(radius)
                colours.append(base * tone)
    plate.blobs(np.array(points), np.array(radii), np.array(colours), haze=False)
