"""Shop floor with people: :func:`shop`."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np

from demos.scenes.camera import Camera, Rig
from demos.scenes.drawing import Light, to_linear
from demos.scenes.mesh import Material, MeshBuilder, box_quads
from demos.scenes.motion import Trajectory, walk
from demos.scenes.outfits import random_outfit
from demos.scenes.scenery import Noise, Plate, soft_step
from demos.scenes.shelves import add_fridges, add_fruit, add_gondola, add_sign, add_wall_shelves
from demos.scenes.walkers import Walker
from demos.scenes.world import Backdrop, Scene

__all__ = ["COUNT_LINE_M", "shop"]

ROOM_M = (13.2, 10.6)
"""Far walls at these x and y; the camera hangs near the origin."""
CEILING_M = 3.4
GONDOLAS_M = (((4.4, 3.75), (9.2, 4.75)), ((4.4, 6.85), (9.2, 7.85)))
"""Low and high corner of the free-standing shelves."""
PILLAR_M = ((10.0, 7.0), (10.45, 7.45))
COUNT_LINE_M = ((4.3, 3.0), (0.2, 3.0))
"""A line from the front shelf to the left, for counting people who go to the back of the shop."""

_NODES = {
    "A": (3.1, 2.3),
    "B": (6.4, 2.7),
    "C": (10.4, 2.5),
    "D": (3.2, 5.8),
    "E": (6.6, 5.8),
    "F": (10.7, 5.6),
    "G": (3.2, 8.9),
    "H": (6.6, 8.9),
    "I": (11.0, 8.8),
    "R": (9.0, -1.2),
    "L": (-0.6, 7.0),
}
_WAYS = {
    "A": "BD",
    "B": "AC",
    "C": "BF",
    "D": "AEG",
    "E": "DF",
    "F": "CEI",
    "G": "DH",
    "H": "GI",
    "I": "HF",
    "R": "CB",
    "L": "DG",
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
    vary_camera: bool = False,
    noise: float = 1.8,
) -> Scene:
    """A shop seen by a camera under the ceiling: shelves that hide people, who stop, turn, leave and come back.

    Args:
        seed: Of people, goods and noise.
        size: ``(width, height)`` in pixels.
        duration_s: How long the shop is open.
        people: How many are about at a time.
        shake_px: See :class:`~demos.scenes.camera.Rig`.
        pan_deg: Largest turn of a slow pan.
        vary_camera: Mount the camera elsewhere with each seed, for training data.
        noise: Sensor noise in grey levels.
    """
    camera = Camera(
        position_m=(0.5, 0.3, 3.0),
        yaw_rad=math.radians(43.0),
        pitch_rad=math.radians(21.5),
        focal_px=0.80 * size[0],
        size=size,
    )
    if vary_camera:
        camera = _elsewhere(camera, np.random.default_rng((seed, 3)))
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


def _elsewhere(camera: Camera, rng: np.random.Generator) -> Camera:
    """Another place under the ceiling, with another lens."""
    x, y, z = camera.position_m
    return replace(
        camera,
        position_m=(x + rng.uniform(-0.6, 1.2), y + rng.uniform(-0.6, 1.0), z + rng.uniform(-1.0, 0.3)),
        yaw_rad=camera.yaw_rad + math.radians(rng.uniform(-14, 14)),
        pitch_rad=camera.pitch_rad + math.radians(rng.uniform(-8, 3)),
        focal_px=camera.focal_px * rng.uniform(0.85, 1.2),
    )


def _light() -> Light:
    """Rows of lamps under the ceiling."""
    sun = np.array([-0.30, -0.34, 0.89])
    return Light(
        sun=sun / np.linalg.norm(sun),
        sun_colour=np.array([0.48, 0.51, 0.53]),
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
    """Of six random routes the one that keeps farthest from the people already there."""
    routes = [_route(rng, start_s, speed) for _ in range(6)]
    return max(routes, key=lambda route: _clearance(route, taken))


def _clearance(route: Trajectory, taken: list[Trajectory]) -> float:
    """Smallest distance in metres to any other person at any time, 0.8 at most."""
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
    """The shortest path to a door."""
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
        add_gondola(builder, rng, low, high)
    add_wall_shelves(builder, rng, ROOM_M)
    add_fridges(builder, rng, ROOM_M)
    (x0, y0), (x1, y1) = PILLAR_M
    pillar = box_quads((x0, y0, 0), (x1, y1, CEILING_M), step_m=0.4)
    builder.add(pillar, Material((205, 212, 216)), occlusion=np.clip(0.7 + 0.2 * pillar[:, :, 2].mean(axis=1), 0, 1))
    builder.add(box_quads((x0 - 0.02, y0 - 0.02, 0), (x1 + 0.02, y1 + 0.02, 0.15)), Material((70, 72, 76)))
    for (low, high), colour in zip(GONDOLAS_M, ((50, 60, 180), (50, 120, 40)), strict=True):
        add_sign(builder, ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2), CEILING_M, colour)
    plate.mesh(builder.build())
    add_fruit(plate, rng)
    return plate.finish(blur_px=0.42 * camera.focal_px / 0.80 / 640)


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
    tone = (
        0.95 + 0.1 * noise.field(tile_x * 7.3, tile_y * 5.9) + 0.10 * (noise.field(x * 0.8, y * 0.8, octaves=4) - 0.5)
    )
    tone += 0.06 * (noise.field(x * 30, y * 30) - 0.5) * np.clip(1.6 - depths / 6, 0, 1)
    colour = to_linear((158, 172, 182)) * tone[:, None]
    edge = np.minimum(np.abs(x / 0.6 - np.round(x / 0.6)), np.abs(y / 0.6 - np.round(y / 0.6))) * 0.6
    colour *= (1 - 0.35 * soft_step(0.007, 0.003, edge) * np.clip(1.5 - depths / 9, 0, 1))[:, None]
    shelter = np.ones(len(x))
    blocks = [
        *GONDOLAS_M,
        PILLAR_M,
        ((ROOM_M[0] - 0.6, 0.0), (ROOM_M[0], 12.0)),
        ((2.0, ROOM_M[1] - 0.6), (14.0, ROOM_M[1])),
    ]
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
