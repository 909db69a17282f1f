"""Junction of four arms with turning vehicles and pedestrians: :func:`junction`."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from demos.scenes.camera import Camera, Rig
from demos.scenes.drawing import Light, to_linear
from demos.scenes.mesh import Material, MeshBuilder, box_quads
from demos.scenes.motion import bezier, follow, walk
from demos.scenes.outfits import random_outfit
from demos.scenes.plan import Plan
from demos.scenes.road import mark, sky
from demos.scenes.scenery import Noise, Plate, soft_step
from demos.scenes.streets import (
    PAINTS,
    Traffic,
    add_house,
    add_lamp,
    asphalt,
    body_size,
    grass,
    paving,
    plant,
    put_ground,
)
from demos.scenes.vehicles import Vehicle
from demos.scenes.walkers import Walker
from demos.scenes.world import Backdrop, Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from demos.scenes.motion import Trajectory
    from demos.scenes.world import Actor

    Floats = NDArray[np.floating[Any]]

__all__ = ["ARMS", "junction"]

ARMS = {"east": (1.0, 0.0), "north": (0.0, 1.0), "west": (-1.0, 0.0), "south": (0.0, -1.0)}
"""Arms by name with their direction from the middle, counter-clockwise; traffic keeps right."""
LANE_M = 3.4
HALF_M = LANE_M
"""Half of the carriageway's width."""
CORNER_M = 3.0
"""Radius of the kerbs between two arms."""
ZEBRA_M = (7.0, 9.6)
"""Distance of the zebra crossings from the middle."""
SECTION_M = 11.5
"""Distance of the counting sections from the middle."""
REACH_M = 48.0
TURNS = {"right": 1, "straight": 2, "left": 3, "u": 0}
"""Steps in :data:`ARMS` from the arm that a vehicle comes from to the one that it leaves by."""

_KINDS = ("sedan", "hatchback", "suv", "estate", "van", "lorry", "bus")
_SHARES = (0.24, 0.24, 0.2, 0.12, 0.12, 0.05, 0.03)


def _plan() -> Plan:
    """A section across each arm, direction 1 drives in; a line along the middle of each zebra."""
    sections, zebras = {}, {}
    for name, (ux, uy) in ARMS.items():
        along = np.array([-uy, ux]) * (HALF_M + 0.6)
        middle = np.array([ux, uy]) * SECTION_M
        (x0, y0), (x1, y1) = (middle - along).tolist(), (middle + along).tolist()
        sections[name] = ((x0, y0), (x1, y1))
        near, far = ZEBRA_M[0] - 0.3, ZEBRA_M[1] + 0.3
        zebras[f"{name} zebra"] = ((ux * near, uy * near), (ux * far, uy * far))
    side = HALF_M + 1.0
    box = ((-side, -side), (side, -side), (side, side), (-side, side))
    return Plan(lines_m={**sections, **zebras}, sections_m=sections, zones_m={"box": box})


def junction(
    *,
    seed: int = 0,
    size: tuple[int, int] = (640, 360),
    duration_s: float = 40.0,
    vehicles: int = 22,
    pedestrians: int = 5,
    shake_px: float = 0.0,
    noise: float = 1.6,
) -> Scene:
    """A junction of four arms seen from a roof: every turn occurs, the U-turn too; pedestrians use the zebras.

    Args:
        seed: Of traffic, scenery and noise.
        size: ``(width, height)`` in pixels.
        duration_s: How long traffic flows.
        vehicles: How many there are in all; the first eight make two of each turn.
        pedestrians: How many walk.
        shake_px: See :class:`~demos.scenes.camera.Rig`.
        noise: Sensor noise in grey levels.
    """
    camera = Camera(
        position_m=(-23.0, -20.5, 12.5),
        yaw_rad=math.atan2(20.5, 23.0),
        pitch_rad=math.radians(18.5),
        focal_px=0.86 * size[0],
        size=size,
    )
    rig = Rig(camera=camera, shake_px=shake_px, seed=seed)
    rng = np.random.default_rng(seed)
    traffic = Traffic()
    actors: list[Actor] = list(_vehicles(rng, traffic, vehicles, duration_s))
    actors += _pedestrians(rng, traffic, pedestrians, duration_s, first=len(actors) + 1)
    return Scene(
        name="junction",
        actors=actors,
        rig=rig,
        backdrop=_backdrop(rig.panorama, seed),
        duration_s=duration_s,
        light=Light(),
        noise=noise,
        seed=seed,
        plan=_plan(),
    )


def _right(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """The unit vector to the right of a direction."""
    return np.array([direction[1], -direction[0]])


def way(origin: str, turn: str) -> NDArray[np.float64]:
    """The middle of the lane ``(P, 2)`` from the end of one arm to the end of another."""
    names = list(ARMS)
    out = names[(names.index(origin) + TURNS[turn]) % 4]
    inward, outward = -np.array(ARMS[origin]), np.array(ARMS[out])
    side = LANE_M / 2
    near = {"right": HALF_M + CORNER_M, "straight": HALF_M, "left": HALF_M + 1.0, "u": 1.0}[turn]
    enters, leaves = -inward * near + _right(inward) * side, outward * near + _right(outward) * side
    radius = {"right": near - side, "straight": 2.0, "left": near + side, "u": 4.6 / 0.5523}[turn]
    turned = bezier(enters, inward * radius * 0.5523, outward * radius * 0.5523, leaves)
    start, end = -inward * REACH_M + _right(inward) * side, outward * REACH_M + _right(outward) * side
    return np.concatenate([start[None], turned, end[None]])


def _vehicles(rng: np.random.Generator, traffic: Traffic, count: int, duration_s: float) -> list[Vehicle]:
    """Vehicles at the first moment at which their way is free; every turn twice, then at random."""
    arms, made = list(ARMS), []
    first = [(arms[(n + n // 4) % 4], turn) for n, turn in enumerate(["right", "straight", "left", "u"] * 2)]
    for number in range(count):
        if number < len(first):
            origin, turn = first[number]
        else:
            origin = str(rng.choice(arms))
            turn = str(rng.choice(["right", "straight", "left", "u"], p=[0.28, 0.44, 0.26, 0.02]))
        kind = _KINDS[int(rng.choice(len(_KINDS), p=_SHARES))]
        if turn != "straight" and kind in ("lorry", "bus"):
            kind = "van"
        paint = PAINTS[int(rng.integers(len(PAINTS)))]
        path = follow(way(origin, turn), start_s=0.0, speed_m_s=float(rng.uniform(8.2, 9.4)))
        # Whoever finds no free moment early enough to be seen does not come.
        start = float(rng.uniform(-5.5, 0.75 * duration_s)) if number >= 6 else -5.0 + 1.2 * number
        for moment in np.arange(start, duration_s - 8.0, 0.4):
            later = path.later(float(moment))
            if traffic.join(later, body_size(kind)):
                made.append((kind, paint, later))
                break
    return [
        Vehicle(identity=number, kind=kind, colour=paint, trajectories=(path,))
        for number, (kind, paint, path) in enumerate(made, start=1)
    ]


def _pedestrians(
    rng: np.random.Generator, traffic: Traffic, count: int, duration_s: float, *, first: int
) -> list[Walker]:
    """Persons who walk along the pavement and over one zebra when nothing comes."""
    made: list[Walker] = []
    for number in range(count):
        arm = list(ARMS)[(2 + number) % 4]
        outfit, height = random_outfit(rng), float(rng.uniform(1.58, 1.9))
        speed, sign = float(rng.uniform(1.25, 1.5)), 1 if rng.random() < 0.5 else -1
        wobble = float(rng.uniform(-0.7, 0.7))
        walked = _over_zebra(arm, sign, wobble, speed)
        for moment in np.arange(-4.0 + 3.0 * number, duration_s - 8.0, 0.5):
            path = walked.later(float(moment))
            if traffic.join(path, (0.9, 0.9)):
                made.append(
                    Walker(
                        identity=first + len(made),
                        trajectories=(path,),
                        outfit=outfit,
                        height_m=height,
                        gait=float(rng.uniform(0, 2 * math.pi)),
                    )
                )
                break
    return made


def _over_zebra(arm: str, sign: int, wobble: float, speed: float) -> Trajectory:
    out = np.array(ARMS[arm])
    across = np.array([-out[1], out[0]]) * sign
    middle = out * (sum(ZEBRA_M) / 2 + wobble)
    kerb, beyond = HALF_M + 1.3, out * 16.0
    points = [middle - across * kerb + beyond, middle - across * kerb, middle + across * kerb]
    return walk(points_m=[*points, middle + across * kerb + beyond], start_s=0.0, speed_m_s=speed)


@lru_cache(maxsize=4)
def _backdrop(camera: Camera, seed: int) -> Backdrop:
    """Sky, lawn, pavements, asphalt with its paint, houses, trees, lamps."""
    rng = np.random.default_rng((seed, 5))
    noise, plate = Noise(np.random.default_rng(7)), Plate(camera, Light())
    sky(plate, noise)
    _ground(plate, noise)
    builder = MeshBuilder()
    add_house(builder, (14.0, 12.5), (38.0, 24.0), storeys=3, wall=(150, 176, 196))
    add_house(builder, (11.5, 33.0), (24.0, 52.0), storeys=4, wall=(176, 186, 190))
    add_house(builder, (-40.0, 18.0), (-14.0, 34.0), storeys=3, wall=(120, 140, 186))
    add_house(builder, (15.0, -36.0), (40.0, -14.5), storeys=2, wall=(186, 196, 200))
    for x, y in ((7.4, 7.4), (-7.4, 7.4), (7.4, -7.4)):
        add_lamp(builder, x, y)
    for x, y in ((9.0, 12.0), (12.0, 9.0), (-11.5, 9.0), (9.2, -11.5)):
        builder.add(box_quads((x - 0.4, y - 0.15, 0), (x + 0.4, y + 0.15, 0.9)), Material((70, 90, 60)))
    plate.mesh(builder.build())
    spots = [(x, 10.2, float(rng.uniform(4.5, 6.5))) for x in np.arange(17.0, 46.0, 7.0)]
    spots += [(float(x), -10.4, float(rng.uniform(4.5, 6.5))) for x in np.arange(14.0, 46.0, 7.5)]
    spots += [(-9.9, float(y), float(rng.uniform(4.5, 6.5))) for y in np.arange(13.0, 46.0, 7.5)]
    spots += [(float(x), float(y), 1.1) for x in np.arange(9.5, 14.0, 1.4) for y in (-9.2,)]
    plant(plate, noise, rng, spots)
    return plate.finish(blur_px=0.4 * camera.focal_px / 0.86 / 640)


def _kerb_distance(x: Floats, y: Floats) -> Floats:
    """Metres to the kerb, negative on the carriageway: two crossed strips with rounded corners."""
    ax, ay = np.abs(x), np.abs(y)
    off = np.minimum(ax, ay) - HALF_M
    corner = HALF_M + CORNER_M
    rounded = CORNER_M - np.hypot(corner - ax, corner - ay)
    inside = (ax > HALF_M) & (ay > HALF_M) & (ax < corner) & (ay < corner)
    return np.where(inside, rounded, np.where((ax < corner) & (ay < corner) & (off > 0), -0.2, off))


def _ground(plate: Plate, noise: Noise) -> None:
    mask, points, depths = plate.plane(reach_m=400.0)
    x, y = points[:, 0], points[:, 1]
    fine = np.clip(1.5 - depths / 45, 0, 1)
    off = _kerb_distance(x, y)
    colour: Floats = grass(noise, x, y, fine)
    for edge, surface in ((3.6, paving(noise, x, y, fine)), (0.0, asphalt(noise, x, y, fine))):
        share = soft_step(0.03, -0.03, off - edge)[:, None]
        colour = colour + (surface - colour) * share
    kerb = (soft_step(0.0, 0.03, off) * soft_step(0.2, 0.17, off))[:, None]
    colour = colour + (to_linear((190, 194, 196)) - colour) * kerb * 0.8
    for along, across, sign in ((x, y, 1), (y, x, -1)):
        far = np.abs(along)
        dashes = np.maximum(np.abs(across) - 0.06, np.abs((far - ZEBRA_M[1] - 4.0) % 6.0 - 1.5) - 1.5)
        colour = mark(colour, np.maximum(dashes, ZEBRA_M[1] + 3.8 - far), noise, x, y)
        stripes = np.maximum(np.abs((across + 0.25) % 1.0 - 0.5) - 0.25, np.abs(across) - HALF_M + 0.3)
        zebra = np.maximum(stripes, np.abs(far - sum(ZEBRA_M) / 2) - (ZEBRA_M[1] - ZEBRA_M[0]) / 2)
        colour = mark(colour, zebra, noise, x, y)
        # Stop lines lie on the lane that comes in: right of the way towards the middle.
        coming = np.sign(along) * across * sign
        stop = np.maximum(np.abs(far - ZEBRA_M[1] - 0.9) - 0.15, np.abs(coming - LANE_M / 2) - LANE_M / 2 + 0.15)
        colour = mark(colour, stop, noise, x, y)
    put_ground(plate, mask, depths, colour)
