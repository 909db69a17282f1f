"""Car park with marked bays, arrivals and departures: :func:`bays`."""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from demos.scenes.camera import Camera, Rig
from demos.scenes.drawing import Light, to_linear
from demos.scenes.mesh import Material, MeshBuilder, box_quads
from demos.scenes.motion import Trajectory, bezier, follow
from demos.scenes.occupancy import occupied
from demos.scenes.plan import Plan
from demos.scenes.road import mark, sky
from demos.scenes.scenery import Noise, Plate, soft_step
from demos.scenes.streets import PAINTS, Traffic, add_house, add_lamp, asphalt, grass, paving, plant, put_ground
from demos.scenes.vehicles import Vehicle
from demos.scenes.world import Backdrop, Scene

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from demos.scenes.plan import Point

    Floats = NDArray[np.floating[Any]]

__all__ = ["BAYS_M", "bays", "occupied_bays"]

BAY_M = (5.2, 2.7)
"""Depth and width of a bay."""
NEAR_ROW_M, FAR_ROW_M = 10.0, 21.4
"""Where the bays of the near and of the far row begin in ``x``; the aisle lies between the rows."""
AISLE_M = (NEAR_ROW_M + BAY_M[0], FAR_ROW_M)
COUNT = 7
"""Bays in each row."""


def _bay(row_m: float, number: int) -> tuple[Point, ...]:
    (x0, x1), y0 = (row_m, row_m + BAY_M[0]), (number - COUNT / 2) * BAY_M[1]
    return (x0, y0), (x1, y0), (x1, y0 + BAY_M[1]), (x0, y0 + BAY_M[1])


BAYS_M = {
    f"{name}{number + 1}": _bay(row_m, number)
    for name, row_m in (("A", NEAR_ROW_M), ("B", FAR_ROW_M))
    for number in range(COUNT)
}
"""Bays by name, ``A`` near and ``B`` far, numbered from the right to the left of the picture."""

_CLEAR_M = (5.4, 2.1)
"""Length and width that every car keeps free."""
_KINDS = ("sedan", "hatchback", "suv", "estate", "van")


def bays(
    *,
    seed: int = 0,
    size: tuple[int, int] = (640, 360),
    duration_s: float = 60.0,
    parked: int = 7,
    moves: int = 6,
    shake_px: float = 0.0,
    noise: float = 1.6,
) -> Scene:
    """A car park seen from a mast: some cars stand all the time, some come, some go, one passes through.

    Args:
        seed: Of cars, scenery and noise.
        size: ``(width, height)`` in pixels.
        duration_s: How long it lasts.
        parked: Cars that stand there at the start.
        moves: Arrivals and departures in turn, while the time lasts.
        shake_px: See :class:`~demos.scenes.camera.Rig`.
        noise: Sensor noise in grey levels.
    """
    camera = Camera(
        position_m=(-3.5, 0.0, 9.5),
        yaw_rad=0.0,
        pitch_rad=math.radians(25.0),
        focal_px=0.86 * size[0],
        size=size,
    )
    rig = Rig(camera=camera, shake_px=shake_px, seed=seed)
    line = ((AISLE_M[0], 0.0), (AISLE_M[1], 0.0))
    return Scene(
        name="bays",
        actors=_cars(np.random.default_rng(seed), duration_s, parked, moves),
        rig=rig,
        backdrop=_backdrop(rig.panorama, seed),
        duration_s=duration_s,
        light=Light(),
        noise=noise,
        seed=seed,
        plan=Plan(lines_m={"aisle": line}, zones_m=BAYS_M),
    )


def occupied_bays(scene: Scene, *, share: float = 0.3) -> dict[str, list[tuple[float, float]]]:
    """When each bay is covered by more than ``share``: ``(from, to)``, see :func:`~demos.scenes.occupancy.occupied`."""
    vehicles = [actor for actor in scene.actors if isinstance(actor, Vehicle)]
    return occupied(vehicles, BAYS_M, scene.duration_s, share=share)


def _way_in(bay: str) -> NDArray[np.float64]:
    """From the right along the aisle, nose first into a bay ``(P, 2)``."""
    middle = np.array(BAYS_M[bay]).mean(axis=0)
    sign = 1.0 if bay[0] == "B" else -1.0
    # A wide swing from the aisle's far side, straight from the bay's mouth on.
    lane = sum(AISLE_M) / 2 - sign * 1.3
    mouth = np.array([middle[0] - sign * (BAY_M[0] / 2 - 0.4), middle[1]])
    turn = np.array([lane, middle[1] - 5.0])
    swing = bezier(turn, (0.0, 3.4), (sign * 2.6, 0.0), mouth)
    return np.concatenate([[[lane, -24.0]], swing, middle[None]])


def _stand(place: NDArray[np.float64], heading: float, low_s: float, high_s: float) -> Trajectory:
    times = np.arange(low_s, high_s + 0.05, 0.05)
    return Trajectory(
        times_s=times, positions_m=np.tile(place, (len(times), 1)), heading_rad=np.full(len(times), heading)
    )


def _join(*parts: Trajectory) -> Trajectory:
    """Parts that follow each other as one."""
    positions = np.concatenate([part.positions_m for part in parts])
    return Trajectory(
        times_s=parts[0].start_s + 0.05 * np.arange(len(positions)),
        positions_m=positions,
        heading_rad=np.concatenate([part.heading_rad for part in parts]),
    )


def _arrival(bay: str, start_s: float, until_s: float) -> Trajectory:
    """In, and standing there until the end."""
    drive = follow(_way_in(bay), start_s=start_s, speed_m_s=5.5, rest=(False, True))
    stands = _stand(drive.positions_m[-1], float(drive.heading_rad[-1]), drive.end_s + 0.05, until_s)
    return _join(drive, stands)


def _departure(bay: str, start_s: float) -> Trajectory:
    """Standing there from long before, out backwards the way it came, away to the left."""
    way = _way_in(bay)[1:]
    back = follow(way, start_s=0.0, speed_m_s=2.0, rest=(True, True))
    heading = back.heading_rad[::-1]
    out = Trajectory(times_s=back.times_s, positions_m=back.positions_m[::-1], heading_rad=heading)
    ahead = np.concatenate([out.positions_m[-1:], [[way[0, 0], 26.0]]])
    away = follow(ahead, start_s=0.0, speed_m_s=6.0, rest=(True, False))
    turned = heading[-1] + (away.heading_rad - heading[-1] + np.pi) % (2 * np.pi) - np.pi
    away = Trajectory(times_s=away.times_s, positions_m=away.positions_m, heading_rad=turned)
    before = _stand(out.positions_m[0], float(heading[0]), -1.0, start_s)
    pause = _stand(out.positions_m[-1], float(heading[-1]), 0.0, 0.6)
    return _join(before, out, pause, away)


def _cars(rng: np.random.Generator, duration_s: float, parked: int, moves: int) -> list[Vehicle]:
    """Standing cars first, then departures and arrivals in turn, then one that drives through."""
    names = [str(name) for name in rng.permutation(list(BAYS_M))]
    standing, free = names[:parked], names[parked:]
    leaving = standing[: min((moves + 1) // 2, parked)]
    traffic = Traffic()
    paths: list[Trajectory] = []
    for bay in standing[len(leaving) :]:
        paths.append(_arrival(bay, -60.0, duration_s + 1.0))
        traffic.join(paths[-1], _CLEAR_M)
    way: Callable[[float], Trajectory]
    pause = max((duration_s - 16.0) / max(moves, 1), 1.0)
    for number in range(moves):
        moment = 2.0 + pause * number
        if number % 2 == 0 and leaving:
            way = partial(_departure, leaving.pop(0))
        elif free:
            way = partial(_arrival, free.pop(0), until_s=duration_s + 1.0)
        else:
            continue
        path = _first_free(traffic, way, moment, duration_s)
        if path is not None:
            paths.append(path)
    lane = sum(AISLE_M) / 2
    through = follow(np.array([[lane, -24.0], [lane, 26.0]]), start_s=0.0, speed_m_s=6.0)
    passing = _first_free(traffic, through.later, 2.0 + 0.5 * pause, duration_s)
    cars = []
    for number, path in enumerate([*paths, *([] if passing is None else [passing])], start=1):
        kind = _KINDS[int(rng.integers(len(_KINDS)))]
        paint = PAINTS[int(rng.integers(len(PAINTS)))]
        cars.append(Vehicle(identity=number, kind=kind, colour=paint, trajectories=(path,)))
    return cars


def _first_free(
    traffic: Traffic, way: Callable[[float], Trajectory], moment: float, duration_s: float
) -> Trajectory | None:
    """The way at the first moment from ``moment`` on at which it is free; ``None`` where there is none in time."""
    for start in np.arange(moment, duration_s - 8.0, 0.5):
        path = way(round(float(start), 2))
        if traffic.join(path, _CLEAR_M):
            return path
    return None


@lru_cache(maxsize=4)
def _backdrop(camera: Camera, seed: int) -> Backdrop:
    """Sky, asphalt with marked bays, a hedge, a house, trees, lamps."""
    rng = np.random.default_rng((seed, 6))
    noise, plate = Noise(np.random.default_rng(7)), Plate(camera, Light())
    sky(plate, noise)
    _ground(plate, noise)
    builder = MeshBuilder()
    add_house(builder, (36.0, -24.0), (46.0, 10.0), storeys=2, wall=(170, 190, 202))
    for y in (-11.0, 0.0, 11.0):
        add_lamp(builder, FAR_ROW_M + BAY_M[0] + 1.0, y)
    for row_m, stop in ((NEAR_ROW_M, 0.5), (FAR_ROW_M, BAY_M[0] - 0.5)):
        for number in range(COUNT):
            y = (number + 0.5 - COUNT / 2) * BAY_M[1]
            block = box_quads((row_m + stop - 0.08, y - 0.8, 0), (row_m + stop + 0.08, y + 0.8, 0.1))
            builder.add(block, Material((150, 156, 160)))
    plate.mesh(builder.build())
    hedge = [(FAR_ROW_M + BAY_M[0] + 2.4, float(y), 1.2) for y in np.arange(-13.0, 13.5, 1.1)]
    trees = [(33.0, float(y), float(rng.uniform(5.0, 6.5))) for y in (-20.0, -9.0, 3.0, 14.0, 22.0)]
    plant(plate, noise, rng, [*trees, *hedge])
    return plate.finish(blur_px=0.4 * camera.focal_px / 0.86 / 640)


def _ground(plate: Plate, noise: Noise) -> None:
    mask, points, depths = plate.plane(reach_m=300.0)
    x, y = points[:, 0], points[:, 1]
    fine = np.clip(1.5 - depths / 40, 0, 1)
    colour: Floats = grass(noise, x, y, fine)
    far = FAR_ROW_M + BAY_M[0]
    half = COUNT / 2 * BAY_M[1]
    paved = np.maximum(1.0 - x, x - far - 1.6)
    lot = np.maximum(np.maximum(x - far - 0.2, NEAR_ROW_M - 1.2 - x), np.abs(y) - half - 0.6)
    aisle = np.maximum(np.maximum(AISLE_M[0] - x, x - AISLE_M[1]), -1.0)
    for outside, surface in ((paved, paving(noise, x, y, fine)), (np.minimum(lot, aisle), asphalt(noise, x, y, fine))):
        colour = colour + (surface - colour) * soft_step(0.03, -0.03, outside)[:, None]
    oil = np.exp(-(((y / BAY_M[1] + COUNT / 2) % 1 - 0.5) ** 2) / 0.02) * noise.field(x * 0.8, y * 0.8 + 9, octaves=2)
    colour = colour * (1 - 0.35 * oil * soft_step(0.0, -0.3, lot) * soft_step(0.0, 0.3, aisle))[:, None]
    for row_m in (NEAR_ROW_M, FAR_ROW_M):
        along = np.maximum(row_m - x, x - row_m - BAY_M[0])
        lines = np.abs((y + half + BAY_M[1] / 2) % BAY_M[1] - BAY_M[1] / 2) - 0.05
        colour = mark(colour, np.maximum(np.maximum(lines, along), np.abs(y) - half - 0.1), noise, x, y)
    middle = sum(AISLE_M) / 2
    # Arrows 6 m to both sides of the middle; traffic goes to the left.
    ahead = np.where(y > 0, y - 6.0, y + 6.0)
    shaft = np.maximum(np.abs(x - middle) - 0.07, np.abs(ahead) - 1.0)
    head = np.maximum(np.abs(ahead - 1.4) - 0.5, np.abs(x - middle) - 0.4 * (1.9 - ahead))
    colour = mark(colour, np.minimum(shaft, head), noise, x, y)
    kerb = (
        soft_step(0.12, 0.06, np.abs(x - far - 0.25))[:, None] * soft_step(0.0, -0.1, np.abs(y) - half - 3.0)[:, None]
    )
    colour = colour + (to_linear((190, 194, 196)) - colour) * kerb * 0.8
    put_ground(plate, mask, depths, colour)
