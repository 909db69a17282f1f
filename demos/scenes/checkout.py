"""Checkout with a queue: arrivals, service one after another, an abandonment: :func:`checkout`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from demos.scenes.camera import Camera, Rig
from demos.scenes.mesh import Material, MeshBuilder, box_quads
from demos.scenes.motion import spline
from demos.scenes.plan import Plan
from demos.scenes.rooms import (
    STAFF_OUTFIT,
    add_counter,
    add_poster,
    indoor_light,
    lit_floor,
    paint_wall,
    shelter_of,
    tiles,
    visitor,
)
from demos.scenes.scenery import Noise, Plate, soft_step
from demos.scenes.shelves import add_gondola
from demos.scenes.walkers import Walker
from demos.scenes.world import Backdrop, Scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demos.scenes.motion import Trajectory

__all__ = ["QUEUE_M", "SERVICE_M", "Customer", "checkout", "customers"]

SLOT_M = 0.85
"""Distance from place to place in the queue."""
HEAD_M = (7.2, 0.9)
"""First place of the queue; it reaches to the left of the picture (``+y``)."""
TILL_M = (7.2, -1.0)
"""Where one is served."""
QUEUE_M = ((6.5, 0.4), (7.9, 0.4), (7.9, 6.2), (6.5, 6.2))
SERVICE_M = ((6.5, -1.7), (7.9, -1.7), (7.9, -0.3), (6.5, -0.3))
COUNTER_M = ((8.3, -2.6), (9.0, 0.4))
SHELVES_M = tuple(((9.6, y), (12.0, y + 0.9)) for y in (-7.4, -4.9, 1.7, 4.0, 6.3, 8.6))
"""Low and high corners of the shelves behind."""
BACK_M, CEILING_M = 12.5, 3.4
STEP_S = 1.6
"""Seconds from one place to the next; all times here are whole multiples of 0.05 s."""
LAG_S = 0.4
"""Seconds after which one follows the one ahead."""
STAFF = 1


@dataclass(frozen=True, kw_only=True)
class Customer:
    """One customer's exact history, in seconds.

    Attributes:
        identity: Unique in the scene.
        joined_s: Stands in the queue's last place.
        served_s: Stands at the till; ``None`` where the queue was abandoned.
        left_s: Sets off from the till, or from the queue.
        path: The whole way.
    """

    identity: int
    joined_s: float
    served_s: float | None
    left_s: float
    path: Trajectory


def checkout(
    *,
    seed: int = 0,
    size: tuple[int, int] = (640, 360),
    duration_s: float = 60.0,
    people: int = 9,
    shake_px: float = 0.0,
    noise: float = 1.8,
) -> Scene:
    """A till with a queue: customers arrive faster than they are served, one gives up and walks away.

    Args:
        seed: Of arrivals, times of service, looks and noise.
        size: ``(width, height)`` in pixels.
        duration_s: How long it lasts.
        people: Customers that come one after another; the fifth abandons the queue.
        shake_px: See :class:`~demos.scenes.camera.Rig`.
        noise: Sensor noise in grey levels.
    """
    camera = Camera(
        position_m=(0.6, 1.6, 3.3),
        yaw_rad=math.radians(1.0),
        pitch_rad=math.radians(19.0),
        focal_px=0.80 * size[0],
        size=size,
    )
    rig = Rig(camera=camera, shake_px=shake_px, seed=seed)
    rng = np.random.default_rng((seed, 1))
    stands = spline([(-5.0, 9.5, TILL_M[1], 0, 0), (duration_s + 5.0, 9.5, TILL_M[1], 0, 0)])
    cashier = _facing(stands, math.pi)
    walkers = [Walker(identity=STAFF, trajectories=(cashier,), outfit=STAFF_OUTFIT, height_m=1.7)]
    roles = {STAFF: "staff"}
    for customer in customers(seed, people):
        roles[customer.identity] = "customer" if customer.served_s is not None else "abandons"
        walkers.append(
            Walker(
                identity=customer.identity,
                trajectories=(customer.path,),
                outfit=visitor(rng),
                height_m=float(rng.uniform(1.58, 1.88)),
                gait=float(rng.uniform(0, 2 * math.pi)),
            )
        )
    return Scene(
        name="checkout",
        actors=walkers,
        rig=rig,
        backdrop=_backdrop(rig.panorama, seed),
        duration_s=duration_s,
        light=indoor_light(),
        noise=noise,
        seed=seed,
        plan=Plan(
            lines_m={"served": ((6.4, -0.3), (8.0, -0.3))},
            zones_m={"queue": QUEUE_M, "service": SERVICE_M},
            sections_m={"queue": (*QUEUE_M, QUEUE_M[0]), "service": (*SERVICE_M, SERVICE_M[0])},
            roles=roles,
        ),
    )


def customers(seed: int, people: int) -> list[Customer]:
    """Everybody's exact history, from arrivals and times of service that depend on the seed only."""
    rng = np.random.default_rng(seed)
    arrivals = _rounded(np.cumsum(rng.uniform(3.0, 5.2, people)) - 8.0)
    services = _rounded(rng.uniform(4.5, 7.0, people))
    # When each place of the queue, and the till, were last left.
    vacated, till_s = np.full(people + 1, -np.inf), -np.inf
    found = []
    for number, (arrival, service) in enumerate(zip(arrivals, services, strict=True)):
        place = int(max(np.flatnonzero(vacated + LAG_S > arrival - 1.0), default=-1)) + 1
        patience = arrival + 7.0 if number == 4 else np.inf
        nodes = [(_round(arrival - 6.5), HEAD_M[0], _slot(place)[1] + 8.0), (arrival, *_slot(place))]
        moment, served = arrival, None
        while True:
            free = till_s if place == 0 else vacated[place - 1]
            go = _round(max(moment, float(free) + LAG_S))
            if go > patience:
                gone = vacated[place] = _round(max(moment, patience))
                nodes += [(gone, *_slot(place)), (_round(gone + 2.5), 5.4, _slot(place)[1] + 0.8)]
                nodes.append((_round(gone + 9.0), 4.6, 8.8))
                break
            vacated[place] = go
            nodes.append((go, *_slot(place)))
            place -= 1
            if place < 0:
                served = _round(go + 2.0)
                gone = till_s = _round(served + service)
                nodes += [(served, *TILL_M), (gone, *TILL_M)]
                nodes += [(_round(gone + 2.2), 6.6, -2.6), (_round(gone + 7.5), 5.6, -8.0)]
                break
            moment = _round(go + STEP_S)
            nodes.append((moment, *_slot(place)))
        path = _through(nodes)
        found.append(Customer(identity=number + 2, joined_s=arrival, served_s=served, left_s=gone, path=path))
    return found


def _slot(place: int) -> tuple[float, float]:
    """Where the queue's place number ``place`` (0 = first) is."""
    return HEAD_M[0], HEAD_M[1] + SLOT_M * place


def _arrives(place: int, joined_s: float) -> list[tuple[float, float, float]]:
    """From the left, round the queue's end, to a place in it."""
    x, y = _slot(place)
    return [(_round(joined_s - 6.5), 5.0, y + 7.5), (_round(joined_s - 1.6), 6.4, y + 1.5), (joined_s, x, y)]


def _round(seconds: float) -> float:
    return round(round(seconds / 0.05) * 0.05, 2)


def _rounded(seconds: Sequence[float] | np.ndarray) -> list[float]:
    return [_round(float(one)) for one in seconds]


def _through(nodes: Sequence[tuple[float, float, float]]) -> Trajectory:
    """From rest to rest, but the last place but one is passed with the mean speed of both sides."""
    kept = [node for number, node in enumerate(nodes) if number == 0 or node[0] > nodes[number - 1][0]]
    table = [(*node, 0.0, 0.0) for node in kept]
    (t0, x0, y0), (moment, x, y), (t1, x1, y1) = kept[-3:]
    table[-2] = (moment, x, y, (x1 - x0) / (t1 - t0), (y1 - y0) / (t1 - t0))
    return spline(table)


def _facing(path: Trajectory, heading: float) -> Trajectory:
    """The same motion with eyes ahead."""
    return type(path)(
        times_s=path.times_s,
        positions_m=path.positions_m,
        velocities_m_s=path.velocities_m_s,
        heading_rad=np.full(len(path.times_s), heading),
    )


@lru_cache(maxsize=4)
def _backdrop(camera: Camera, seed: int) -> Backdrop:
    """Floor with the queue's lane, counter with a till and a belt, cords, shelves, the back wall."""
    rng = np.random.default_rng((seed, 9))
    noise, plate = Noise(np.random.default_rng(11)), Plate(camera, indoor_light())
    _floor(plate, noise)
    paint_wall(plate, noise, 0, BACK_M, colour=(196, 206, 212), ceiling_m=CEILING_M)
    builder = MeshBuilder()
    (x0, y0), (x1, y1) = COUNTER_M
    add_counter(builder, (x0, y0), (x1, y1), tall_m=0.92)
    builder.add(box_quads((x0 + 0.12, y0 + 1.5, 0.92), (x1 - 0.12, y1 - 0.1, 0.94), step_m=0.4), Material((44, 44, 46)))
    screen, steel = Material((40, 36, 34), gloss=0.8), Material((120, 122, 124), gloss=0.4)
    builder.add(box_quads((x0 + 0.35, y0 + 0.95, 0.92), (x0 + 0.41, y0 + 1.01, 1.25)), steel)
    builder.add(box_quads((x0 + 0.34, y0 + 0.75, 1.22), (x0 + 0.40, y0 + 1.2, 1.52)), screen)
    for _ in range(9):
        y, x = float(rng.uniform(y0 + 1.6, y1 - 0.3)), float(rng.uniform(x0 + 0.2, x1 - 0.3))
        tint = Material(tuple(float(value) for value in rng.uniform(60, 215, 3)))  # type: ignore[arg-type]
        builder.add(box_quads((x, y, 0.94), (x + 0.12, y + 0.14, float(rng.uniform(1.02, 1.2)))), tint)
    # Posts with a cord between the queue and the counter's side.
    for y in np.arange(0.9, 6.4, 1.3):
        builder.add(box_quads((8.15, y - 0.03, 0), (8.21, y + 0.03, 0.95)), steel)
        builder.add(box_quads((8.05, y - 0.13, 0), (8.31, y + 0.13, 0.03)), steel)
        if y < 5.0:
            builder.add(box_quads((8.165, y, 0.84), (8.195, y + 1.3, 0.89), step_m=0.7), Material((40, 40, 150)))
    for low, high in SHELVES_M:
        add_gondola(builder, rng, low, high)
    add_poster(builder, BACK_M, (-2.2, 1.0), (2.3, 2.95), (60, 110, 40))
    plate.mesh(builder.build())
    return plate.finish(blur_px=0.4 * camera.focal_px / 0.80 / 640)


def _floor(plate: Plate, noise: Noise) -> None:
    mask, points, depths = plate.plane(reach_m=60.0)
    x, y = points[:, 0], points[:, 1]
    colour = tiles(noise, x, y, depths, tile_m=0.6, tone=(160, 174, 184))
    (qx0, qy0), (qx1, qy1) = QUEUE_M[0], QUEUE_M[2]
    outside = np.maximum(np.maximum(qx0 - x, x - qx1), np.maximum(qy0 - y, y - qy1))
    band = soft_step(0.05, 0.035, np.abs(outside + 0.06))[:, None]
    colour = colour + (np.array([0.10, 0.42, 0.62]) - colour) * band * 0.8
    lit_floor(plate, mask, depths, colour, shelter_of(x, y, [COUNTER_M, *SHELVES_M]))
