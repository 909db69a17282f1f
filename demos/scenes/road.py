"""Dual carriageway with traffic: :func:`road`."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demos.scenes.camera import Camera, Rig
from demos.scenes.drawing import Light, to_linear
from demos.scenes.mesh import Material, Mesh, MeshBuilder, box_quads
from demos.scenes.motion import Trajectory, drive
from demos.scenes.scenery import Noise, Plate, soft_step
from demos.scenes.vehicles import KINDS, Vehicle
from demos.scenes.world import Backdrop, Scene

Floats = NDArray[np.floating[Any]]

__all__ = ["COUNT_LINE_M", "mark", "road", "sky"]

LANE_M = 3.6
NEAR_LANES_M = (-1.8, 1.8)
"""Driven away from the camera."""
FAR_LANES_M = (8.6, 12.2)
"""Driven towards the camera, beyond the median."""
BEND_START_M, BEND_RADIUS_M = 75.0, 130.0
"""Where the road starts to turn left, behind the trees, and how tightly."""
COUNT_LINE_M = ((45.0, -6.0), (45.0, 18.0))
"""A line across all lanes, 45 m ahead of the camera, for counting."""

_KINDS = ("sedan", "hatchback", "suv", "estate", "van", "lorry", "semi", "bus")
_SHARES = (0.22, 0.21, 0.20, 0.10, 0.10, 0.07, 0.04, 0.06)
_PAINTS = (
    (232, 232, 230),
    (225, 226, 226),
    (176, 177, 178),
    (150, 150, 148),
    (92, 92, 94),
    (60, 60, 62),
    (34, 34, 36),
    (30, 30, 32),
    (120, 62, 24),
    (150, 92, 40),
    (40, 32, 150),
    (32, 28, 120),
    (60, 78, 40),
    (96, 128, 150),
    (30, 90, 190),
    (90, 60, 60),
)
_FLEET = {
    "lorry": ((150, 70, 30), (40, 40, 170), (70, 130, 50)),
    "semi": ((140, 60, 25), (35, 35, 160)),
    "bus": ((60, 60, 190), (160, 110, 40), (60, 150, 80)),
}


def road(
    *,
    seed: int = 0,
    size: tuple[int, int] = (640, 360),
    duration_s: float = 30.0,
    traffic: float = 1.0,
    shake_px: float = 0.0,
    pan_deg: float = 0.0,
    vary_camera: bool = False,
    noise: float = 1.6,
) -> Scene:
    """A dual carriageway seen from a bridge: two lanes each way, overtaking, lorries that hide cars, a guard rail.

    Args:
        seed: Of traffic, scenery and noise.
        size: ``(width, height)`` in pixels.
        duration_s: How long traffic flows.
        traffic: Density against the usual 20 vehicles a minute and lane.
        shake_px: See :class:`~demos.scenes.camera.Rig`.
        pan_deg: Largest turn of a slow pan.
        vary_camera: Mount the camera elsewhere with each seed, for training data.
        noise: Sensor noise in grey levels.
    """
    camera = Camera(
        position_m=(0.0, 0.4, 8.6),
        yaw_rad=math.radians(7.5),
        pitch_rad=math.radians(8.0),
        focal_px=1.62 * size[0],
        size=size,
    )
    if vary_camera:
        camera = _elsewhere(camera, np.random.default_rng((seed, 3)))
    rig = Rig(camera=camera, shake_px=shake_px, pan_rad=math.radians(pan_deg), seed=seed)
    light = Light()
    rng = np.random.default_rng(seed)
    return Scene(
        name="road",
        actors=_traffic(rng, duration_s, traffic),
        rig=rig,
        backdrop=_backdrop(rig.panorama, seed),
        duration_s=duration_s,
        light=light,
        noise=noise,
        seed=seed,
    )


def _elsewhere(camera: Camera, rng: np.random.Generator) -> Camera:
    """Another place above the road, with another lens."""
    _, y, z = camera.position_m
    zoom = rng.uniform(0.75, 1.35)
    return replace(
        camera,
        position_m=(rng.uniform(0, 14), y + rng.uniform(-3.0, 5.0), z * rng.uniform(0.7, 1.3)),
        yaw_rad=camera.yaw_rad + math.radians(rng.uniform(-5, 6)),
        pitch_rad=camera.pitch_rad + math.radians(rng.uniform(-1.0, 4.5)),
        focal_px=camera.focal_px * zoom,
    )


def _traffic(rng: np.random.Generator, duration_s: float, density: float) -> list[Vehicle]:
    """Vehicles of all lanes; within a lane each keeps at least one second behind the one ahead."""
    lanes = [(lane, 1, fast) for lane, fast in zip(NEAR_LANES_M, (False, True), strict=True)]
    lanes += [(lane, -1, fast) for lane, fast in zip(FAR_LANES_M, (True, False), strict=True)]
    vehicles: list[tuple[float, str, tuple[float, float, float], Trajectory]] = []
    for lane, direction, fast in lanes:
        moment = -14.0 + rng.uniform(0, 2)
        while density > 0 and moment < duration_s:
            kind, paint = _choose(rng, fast=fast)
            speed = (17.5 if fast else 13.5) + rng.uniform(-0.4, 0.4)
            vehicles.append((moment, kind, paint, _run(rng, moment, lane, direction=direction, speed_m_s=speed)))
            moment += 1.3 + KINDS[kind].size_m[0] / speed + rng.exponential(2.1 / density)
    vehicles.sort(key=lambda one: one[0])
    return [
        Vehicle(identity=number, kind=kind, colour=paint, trajectories=(path,))
        for number, (_, kind, paint, path) in enumerate(vehicles, start=1)
    ]


def _choose(rng: np.random.Generator, *, fast: bool) -> tuple[str, tuple[float, float, float]]:
    """A kind and a colour; heavy vehicles keep to the slow lane."""
    shares = np.array(_SHARES) * ([1, 1, 1, 1, 1, 0, 0, 0] if fast else [1, 1, 1, 1, 1, 1.6, 1.6, 1.6])
    kind = _KINDS[int(rng.choice(len(_KINDS), p=shares / shares.sum()))]
    paints = _FLEET.get(kind, _PAINTS[:3] * 3 if kind == "van" else _PAINTS)
    return kind, paints[int(rng.integers(len(paints)))]


def _run(rng: np.random.Generator, start_s: float, lane: float, *, direction: int, speed_m_s: float) -> Trajectory:
    """One pass through the scene, 260 m long."""
    length_m = 215.0
    end_s = start_s + length_m / speed_m_s
    start_m = 0.0 if direction > 0 else length_m
    wander = lane + rng.normal(0, 0.12)
    along = drive(
        start_s=start_s, end_s=end_s, start_m=start_m, speed_m_s=speed_m_s, lane_m=wander, direction=direction
    )
    bent = np.maximum(along.positions_m[:, 0] - BEND_START_M, 0) / BEND_RADIUS_M
    positions = _bend(along.positions_m[:, 0], along.positions_m[:, 1])
    return Trajectory(times_s=along.times_s, positions_m=positions, heading_rad=along.heading_rad + bent)


def _bend(along_m: Floats, across_m: Floats) -> Floats:
    """Road coordinates (distance along the carriageway's axis, offset to the left) to the ground plane, ``(N, 2)``."""
    turned = np.maximum(along_m - BEND_START_M, 0) / BEND_RADIUS_M
    radius = BEND_RADIUS_M - across_m
    x = np.where(along_m < BEND_START_M, along_m, BEND_START_M + radius * np.sin(turned))
    y = np.where(along_m < BEND_START_M, across_m, BEND_RADIUS_M - radius * np.cos(turned))
    return np.stack([x, y], axis=-1)


def _unbend(points_m: Floats) -> tuple[Floats, Floats]:
    """The inverse of :func:`_bend`: distance along and offset of ground points ``(N, 2)``."""
    x, y = points_m[:, 0], points_m[:, 1]
    beyond = x > BEND_START_M
    turned = np.arctan2(x - BEND_START_M, BEND_RADIUS_M - y)
    along = np.where(beyond, BEND_START_M + BEND_RADIUS_M * turned, x)
    across = np.where(beyond, BEND_RADIUS_M - np.hypot(x - BEND_START_M, BEND_RADIUS_M - y), y)
    return along, across


@lru_cache(maxsize=8)
def _backdrop(camera: Camera, seed: int) -> Backdrop:
    """Sky, hills, grass, asphalt, marks, guard rails, trees and signs."""
    rng = np.random.default_rng((seed, 1))
    light, noise = Light(), Noise(np.random.default_rng(7))
    plate = Plate(camera, light)
    sky(plate, noise)
    _ground(plate, noise)
    plate.mesh(_furniture(rng))
    _trees(plate, noise, rng)
    return plate.finish(blur_px=0.45 * camera.focal_px / 1.32 / 640)


def sky(plate: Plate, noise: Noise) -> None:
    """A bright horizon, blue above, thin clouds, and three chains of hills."""
    mask, rays = plate.sky(above=-0.03)
    rise = np.clip(rays[:, 2:3], 0, 1)
    low, high = to_linear((232, 222, 212)), to_linear((214, 160, 108))
    colour = low + (high - low) * np.clip(rise * 2.6, 0, 1) ** 0.7
    bearing = np.arctan2(rays[:, 1], rays[:, 0])
    flat = 1 / np.maximum(rays[:, 2], 0.02)
    clouds = soft_step(
        0.48, 0.72, noise.field(np.cos(bearing) * flat * 0.35, np.sin(bearing) * flat * 0.35 + 3, octaves=5)
    )
    colour = colour + (to_linear((250, 248, 246)) - colour) * (clouds * np.clip(rise[:, 0] * 14, 0, 1) * 0.8)[:, None]
    for scale, base, tall, tone in (
        (7.0, 0.012, 0.022, (196, 184, 168)),
        (17.0, 0.004, 0.02, (150, 150, 130)),
        (60.0, -0.006, 0.012, (92, 104, 84)),
    ):
        crest = base + tall * noise.field(bearing * scale + 11, np.full_like(bearing, scale), octaves=4)
        hill = soft_step(-0.0012, 0.0012, crest - rays[:, 2])[:, None]
        speckle = 1 + 0.25 * (noise.field(bearing * 220, rays[:, 2] * 400, octaves=2) - 0.5)[:, None]
        colour = colour * (1 - hill) + to_linear(tone) * speckle * hill
    plate.paint(mask, np.full(len(rays), 9e3, np.float32), colour)


def _ground(plate: Plate, noise: Noise) -> None:
    """Grass, verges, asphalt with wear, lane marks."""
    mask, points, depths = plate.plane(reach_m=420.0)
    x, y = _unbend(points)
    # Detail that is finer than a pixel fades to its mean instead of flickering.
    fine = np.clip(1.4 - depths / 60, 0, 1)
    rough = noise.field(x * 0.35, y * 0.9, octaves=4) - 0.5
    grain = (noise.field(x * 9, y * 9, octaves=2) - 0.5) * fine
    grass = to_linear((52, 98, 82)) * (1 + 0.9 * rough + 0.7 * grain)[:, None]
    straw = soft_step(0.5, 0.75, noise.field(x * 0.12 + 5, y * 0.2, octaves=3))[:, None]
    colour: Floats = grass + (to_linear((92, 138, 138)) * (1 + 0.5 * grain)[:, None] - grass) * straw * 0.6
    asphalt = _asphalt(noise, x, y, fine)
    gravel = to_linear((118, 124, 130)) * (1 + 0.5 * rough + 0.9 * grain)[:, None]
    ragged = 0.25 * rough
    for middle in (0.0, (FAR_LANES_M[0] + FAR_LANES_M[1]) / 2):
        off = np.abs(y - middle)
        verge = soft_step(6.9, 6.2, off + ragged)[:, None]
        colour = colour + (gravel - colour) * verge
        paved = soft_step(5.75, 5.6, off + 0.15 * ragged)[:, None]
        colour = colour + (asphalt - colour) * paved
        for line in (middle - LANE_M - 0.15, middle + LANE_M + 0.15):
            colour = mark(colour, np.abs(y - line) - 0.085, noise, x, y)
        dashes = np.maximum(np.abs(y - middle) - 0.07, np.abs((x % 9.0) - 1.5) - 1.5)
        colour = mark(colour, dashes, noise, x, y)
    lit = colour * (plate.light.sky_colour + plate.light.sun_colour * plate.light.sun[2])
    faded = np.exp(-depths / plate.light.haze_m)[:, None]
    plate.paint(mask, depths, lit * faded + plate.light.haze_colour * (1 - faded), is_ground=True)


def _asphalt(noise: Noise, x: Floats, y: Floats, fine: Floats) -> Floats:
    """Grey with patches, darker wheel tracks, oil in the middle of lanes, tar seams."""
    patches = noise.field(x * 0.06, y * 0.5 + 20, octaves=3) - 0.5
    grain = (noise.field(x * 22, y * 22) - 0.5) * fine
    lanes = [*NEAR_LANES_M, *FAR_LANES_M]
    off = np.min([np.abs(y - lane) for lane in lanes], axis=0)
    tracks = np.exp(-(((off - 0.85) / 0.32) ** 2)) * (0.7 + 0.6 * noise.field(x * 0.02, y * 3))
    oil = np.exp(-((off / 0.35) ** 2)) * noise.field(x * 0.05, y * 2 + 9)
    seam = np.exp(-((((x + 3 * noise.field(y * 0.3, x * 0.01)) % 47.0 - 20) / 0.08) ** 2)) * fine
    tone = 1 + 0.35 * patches + 0.35 * grain - 0.13 * tracks - 0.12 * oil - 0.35 * seam
    return np.asarray(to_linear((128, 126, 124)) * np.clip(tone, 0.3, 2)[:, None])


def mark(colour: Floats, outside_m: Floats, noise: Noise, x: Floats, y: Floats) -> Floats:
    """White paint where the signed distance is negative, worn in places."""
    wear = 0.92 - 0.55 * soft_step(0.5, 0.85, noise.field(x * 1.7, y * 7, octaves=2))
    share = (soft_step(0.012, -0.012, outside_m) * wear)[:, None]
    return np.asarray(colour + (to_linear((226, 228, 228)) - colour) * share)


_STEEL, _DARK = Material((186, 184, 182), gloss=0.5), Material((120, 120, 118), gloss=0.2)
_WHITE = Material((235, 235, 235))


def _furniture(rng: np.random.Generator) -> Mesh:
    """Guard rails, lamps, signs and marker posts."""
    builder = MeshBuilder()
    for y in (6.1, -6.1, FAR_LANES_M[1] + 4.6):
        for x in np.arange(6.0, 210.0, 4.0):
            _rail(builder, float(x), y)
    for x in np.arange(25.0, 210.0, 42.0):
        _lamp(builder, float(x), -7.4)
    _sign(builder, rng, 52.0, -8.6)
    for x in np.arange(20.0, 210.0, 25.0):
        for y in (-5.9, FAR_LANES_M[1] + 4.3):
            builder.add(box_quads((x, y - 0.05, 0), (x + 0.1, y + 0.05, 0.95)), _WHITE)
            builder.add(box_quads((x - 0.01, y - 0.055, 0.7), (x + 0.11, y + 0.055, 0.85)), Material((30, 30, 32)))
    return _bent(builder.build())


def _rail(builder: MeshBuilder, x: float, y: float) -> None:
    """Four metres of guard rail with its post."""
    for low, depth, material in ((0.46, 0.03, _DARK), (0.52, 0.06, _STEEL), (0.62, 0.03, _DARK), (0.66, 0.06, _STEEL)):
        builder.add(box_quads((x, y - depth, low), (x + 4.0, y + depth, low + 0.1)), material)
    builder.add(box_quads((x, y - 0.05, 0), (x + 0.1, y + 0.05, 0.6)), _DARK)


def _lamp(builder: MeshBuilder, x: float, y: float) -> None:
    """A street lamp that leans over the road."""
    builder.add(box_quads((x, y - 0.08, 0), (x + 0.16, y + 0.08, 9.0)), _STEEL)
    builder.add(box_quads((x, y, 8.9), (x + 0.12, y + 2.2, 9.0)), _STEEL)
    builder.add(box_quads((x - 0.1, y + 1.6, 8.8), (x + 0.25, y + 2.4, 8.93)), Material((90, 90, 92)))


def _sign(builder: MeshBuilder, rng: np.random.Generator, x: float, y: float) -> None:
    """A green board on two legs."""
    for leg in (-0.8, 0.8):
        builder.add(box_quads((x, y + leg - 0.05, 0), (x + 0.1, y + leg + 0.05, 2.2)), _DARK)
    builder.add(box_quads((x - 0.05, y - 1.5, 2.0), (x, y + 1.5, 4.0)), Material((96, 112, 10), gloss=0.3))
    for z in (2.5, 3.1, 3.6):
        wide = rng.uniform(0.6, 1.2)
        builder.add(box_quads((x - 0.07, y - wide, z - 0.08), (x - 0.06, y + wide * 0.8, z + 0.08)), _WHITE)


def _bent(mesh: Mesh) -> Mesh:
    """The same mesh with its corners moved from road coordinates to the ground plane."""
    flat = mesh.quads.reshape(-1, 3)
    quads = np.column_stack([_bend(flat[:, 0], flat[:, 1]), flat[:, 2]]).reshape(-1, 4, 3)
    turned = np.maximum(mesh.centres[:, 0] - BEND_START_M, 0) / BEND_RADIUS_M
    cos, sin = np.cos(turned), np.sin(turned)
    x, y, z = mesh.normals.T
    normals = np.stack([cos * x - sin * y, sin * x + cos * y, z], axis=1)
    return replace(mesh, quads=quads, centres=quads.mean(axis=1), normals=normals, shading=normals)


def _trees(plate: Plate, noise: Noise, rng: np.random.Generator) -> None:
    """Rows of trees and bushes as clouds of leaves, lit from the sun's side."""
    sun = plate.light.sun
    spots = []
    for side, near, far in ((1, FAR_LANES_M[1] + 9.0, 26.0), (-1, -10.5, 26.0)):
        for x in np.arange(30.0, 330.0, 4.0):
            for _ in range(2):
                y = near + side * abs(rng.normal(0, 1)) * far * 0.4
                spots.append((x + rng.uniform(-3, 3), y, rng.uniform(4.5, 9.5)))
    points, radii, colours = [], [], []
    for along, across, tall in spots:
        if across > BEND_RADIUS_M - 5:
            continue
        if across < 0 and along < 66.0:
            continue  # the sign stands there
        x, y = _bend(np.array([along]), np.array([across]))[0]
        reach = math.hypot(x, y)
        count = int(np.clip(16000 / max(reach, 15), 60, 420))
        centre, spread = np.array([x, y, tall * 0.55]), np.array([tall * 0.36, tall * 0.36, tall * 0.46])
        direction = rng.normal(size=(count, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        radius = rng.uniform(0.45, 1.0, (count, 1)) ** 0.5
        lumps = 1 + 0.2 * np.sin(direction[:, :1] * 7 + along) + 0.2 * np.sin(direction[:, 1:2] * 6 + across)
        place = centre + direction * np.minimum(radius * lumps, 1.06) * spread
        green = to_linear((36 + rng.uniform(-8, 10), 88 + rng.uniform(-16, 16), 66 + rng.uniform(-16, 14)))
        facing = 0.5 + 0.5 * (direction @ sun)
        shade_of = (0.18 + 1.1 * facing * radius[:, 0] ** 2) * rng.uniform(0.6, 1.35, count)
        points.append(place)
        radii.append(tall * rng.uniform(0.018, 0.05, count) * (240 / count) ** 0.4)
        colours.append(green * shade_of[:, None])
    every = np.concatenate(points)
    keep = every[:, 2] > 0.1
    leaves = plate.blobs(every[keep], np.concatenate(radii)[keep], np.concatenate(colours)[keep])
    plate.ruffle(leaves, noise, 2.2 * plate.size[0] / 640)
