"""Shop door on an arcade: visitors, groups, staff, re-entries and passers-by: :func:`door`."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from demos.scenes.camera import Camera, Rig
from demos.scenes.mesh import Material, MeshBuilder, box_quads
from demos.scenes.motion import spline, walk
from demos.scenes.plan import Plan
from demos.scenes.rooms import (
    STAFF_OUTFIT,
    add_counter,
    add_poster,
    add_window,
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
    from demos.scenes.plan import Point

__all__ = ["DOOR_M", "door"]

FRONT_M = 7.5
"""Where the shop's front stands in ``x``; the arcade lies before it, the shop behind it."""
WIDTH_M, LINTEL_M, CEILING_M = 2.6, 2.5, 3.8
BACK_M = 14.0
DOOR_M: tuple[Point, Point] = ((FRONT_M, WIDTH_M / 2), (FRONT_M, -WIDTH_M / 2))
"""The threshold; its left is the shop, so direction 1 goes in."""
PASSING_M: tuple[Point, Point] = ((3.6, 0.0), (FRONT_M - 0.4, 0.0))
"""A line across the arcade, for passers-by; direction 1 goes to the left of the picture."""
ARCADE_M = ((3.6, -3.0), (FRONT_M, -3.0), (FRONT_M, 3.0), (3.6, 3.0))
DESK_M = ((11.1, -1.1), (12.5, -1.1), (12.5, 1.1), (11.1, 1.1))
"""Before the counter in the shop, where only staff stands."""
SHOP_M = ((FRONT_M, -3.4), (BACK_M, -3.4), (BACK_M, 3.4), (FRONT_M, 3.4))


def door(
    *,
    seed: int = 0,
    size: tuple[int, int] = (640, 360),
    duration_s: float = 45.0,
    shake_px: float = 0.0,
    noise: float = 1.8,
) -> Scene:
    """A shop's door seen across an arcade: the same sixteen people whatever the seed, who look and step differently.

    Ten times somebody goes in: a group of three (1 to 3), a pair (4, 5), three single visitors (6 to 8), one of them
    (7) twice, and one of the staff (10). Four go out: 6 for good, 7 before it comes back, 9 and 10 of the staff. 11
    turns back at the threshold, 12 to 16 pass by. The staff stands at the desk before it goes.

    Args:
        seed: Of looks, small offsets and noise.
        size: ``(width, height)`` in pixels.
        duration_s: How long it lasts; everything happens within 45 s.
        shake_px: See :class:`~demos.scenes.camera.Rig`.
        noise: Sensor noise in grey levels.
    """
    camera = Camera(
        position_m=(-1.0, 0.6, 3.5),
        yaw_rad=math.radians(-3.0),
        pitch_rad=math.radians(19.5),
        focal_px=0.80 * size[0],
        size=size,
    )
    rig = Rig(camera=camera, shake_px=shake_px, seed=seed)
    cast = _Cast(np.random.default_rng(seed))
    _play(cast)
    return Scene(
        name="door",
        actors=cast.walkers,
        rig=rig,
        backdrop=_backdrop(rig.panorama, seed),
        duration_s=duration_s,
        light=indoor_light(),
        noise=noise,
        seed=seed,
        plan=Plan(
            lines_m={"door": DOOR_M, "passing": PASSING_M},
            zones_m={"arcade": ARCADE_M, "shop": SHOP_M, "desk": DESK_M},
            roles=cast.roles,
            groups=tuple(cast.groups),
        ),
    )


class _Cast:
    """Everybody who appears, with roles and groups."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.walkers: list[Walker] = []
        self.roles: dict[int, str] = {}
        self.groups: list[tuple[int, ...]] = []

    def add(self, *paths: Trajectory, role: str = "visitor") -> int:
        """One more person."""
        rng, identity = self._rng, len(self.walkers) + 1
        outfit = visitor(rng)
        self.walkers.append(
            Walker(
                identity=identity,
                trajectories=paths,
                outfit=STAFF_OUTFIT if role == "staff" else outfit,
                height_m=float(rng.uniform(1.58, 1.88)),
                gait=float(rng.uniform(0, 2 * math.pi)),
            )
        )
        self.roles[identity] = role
        return identity

    def way(
        self, start_s: float, points: Sequence[Point], *, speed: float = 1.25, stops: dict[int, float] | None = None
    ) -> Trajectory:
        """Along waypoints that are moved by up to 8 cm; the threshold stays clear of the door posts."""
        moved = np.array(points) + self._rng.uniform(-0.08, 0.08, (len(points), 2))
        return walk(points_m=moved, start_s=start_s, speed_m_s=speed, stops=stops)


_LEFT, _RIGHT = 8.5, -8.5


def _in(side: float, lane: float, door_y: float, to: Point) -> list[Point]:
    """From an end of the arcade through the door to a place in the shop."""
    return [
        (lane, side),
        (lane, door_y + math.copysign(1.6, side)),
        (FRONT_M - 0.5, door_y),
        (FRONT_M + 0.8, door_y),
        to,
    ]


def _out(side: float, lane: float, door_y: float, origin: Point) -> list[Point]:
    """From a place in the shop through the door to an end of the arcade."""
    return _in(side, lane, door_y, origin)[::-1]


def _play(cast: _Cast) -> None:
    """Who comes and goes when; ways end where the front hides them."""
    right, left = (10.6, -2.9), (10.8, 2.7)
    # A group of three from the right, less than a metre apart, in at about 6 s.
    group = []
    for late, aside, across in ((0.0, 0.0, 0.35), (0.0, 0.75, -0.35), (0.65, 0.3, 0.0)):
        lane = 5.6 + aside
        threshold = [(FRONT_M - 0.7, across), (FRONT_M + 0.9, across)]
        group.append(cast.add(cast.way(-1.0 + late, [(lane, _RIGHT), (lane, -2.2), *threshold, left])))
    pair = []
    for late, across in ((0.0, 0.35), (0.5, -0.3)):
        threshold = [(FRONT_M - 0.6, across), (FRONT_M + 0.8, across)]
        pair.append(cast.add(cast.way(10.0 + late, [(5.8, _LEFT), (5.8, 2.0), *threshold, right])))
    cast.groups += [tuple(group), tuple(pair)]
    # Single visitors: in and out; in, out and in again for what was forgotten; in.
    stays = cast.way(2.5, _in(_LEFT, 5.0, 0.5, right), stops={4: 6.0})
    cast.add(stays, cast.way(stays.end_s + 5.0, _out(_RIGHT, 4.7, -0.6, right)))
    first = cast.way(-6.0, _in(_RIGHT, 6.2, -0.5, left))
    away = cast.way(first.end_s + 9.0, _out(_LEFT, 5.2, 0.6, left), speed=1.4)
    back = cast.way(away.end_s + 3.0, _in(_LEFT, 5.4, 0.4, left), speed=1.45)
    cast.add(first, away, back, role="re-entry")
    cast.add(cast.way(26.0, _in(_RIGHT, 5.2, -0.6, right)))
    # Staff, from the desk: out for good; out for a break before the door and in again.
    here, there = (11.7, -0.35), (11.7, 0.5)
    cast.add(cast.way(-5.0, _out(_RIGHT, 6.4, -0.7, here), stops={0: 20.0}), role="staff")
    out, inside = [(FRONT_M + 0.7, 0.6), (FRONT_M - 0.8, 0.7)], [(FRONT_M - 0.7, 0.6), (FRONT_M + 0.9, 0.5)]
    cast.add(cast.way(-5.0, [there, *out, (5.9, 2.4), *inside, there], stops={0: 23.5, 3: 9.0, 6: 9.0}), role="staff")
    # Up to half a metre before the threshold, a look inside, and back.
    turn = FRONT_M - 0.5
    nodes = [(31.0, 4.7, -5.4, 0, 1.2), (34.0, 5.4, -1.8, 0.6, 1.0), (36.0, turn, -0.2, 0, 0), (38.0, turn, -0.2, 0, 0)]
    cast.add(spline([*nodes, (40.5, 5.2, 1.8, -0.6, 1.0), (44.0, 4.7, 6.2, 0, 1.3)]), role="hesitant")
    for start, lane, side in ((0.0, 4.4, 1), (5.0, 4.9, -1), (13.5, 4.5, -1), (24.0, 4.5, 1), (30.0, 6.0, 1)):
        ends = (_RIGHT, _LEFT) if side > 0 else (_LEFT, _RIGHT)
        cast.add(cast.way(start, [(lane, ends[0]), (lane + 0.1, 0.0), (lane, ends[1])], speed=1.35), role="passer-by")


@lru_cache(maxsize=4)
def _backdrop(camera: Camera, seed: int) -> Backdrop:
    """The arcade's floor, the front with two windows, and the shop behind the door."""
    rng = np.random.default_rng((seed, 8))
    noise, plate = Noise(np.random.default_rng(11)), Plate(camera, indoor_light())
    _floor(plate, noise)
    paint_wall(plate, noise, 0, BACK_M, colour=(190, 204, 214), ceiling_m=CEILING_M)
    builder = MeshBuilder()
    wall = Material((150, 158, 166))
    for y0, y1, z0, z1 in (
        (WIDTH_M / 2, 12.0, 0.0, 6.0),
        (-12.0, -WIDTH_M / 2, 0.0, 6.0),
        (-WIDTH_M / 2, WIDTH_M / 2, LINTEL_M, 6.0),
    ):
        front = box_quads((FRONT_M, y0, z0), (FRONT_M + 0.2, y1, z1), step_m=0.5)
        builder.add(front, wall, occlusion=np.clip(0.7 + 0.12 * front[:, :, 2].mean(axis=1), 0, 1))
    steel = Material((90, 92, 96), gloss=0.5)
    for y in (-WIDTH_M / 2, WIDTH_M / 2):
        low, high = (FRONT_M - 0.04, y - 0.06, 0), (FRONT_M + 0.24, y + 0.06, LINTEL_M)
        builder.add(box_quads(low, high, step_m=0.5), steel, bias=0.02)
    builder.add(
        box_quads((FRONT_M - 0.04, -WIDTH_M / 2, LINTEL_M - 0.06), (FRONT_M + 0.2, WIDTH_M / 2, LINTEL_M + 0.06)), steel
    )
    for pane in ((1.8, 4.6), (5.2, 8.0), (-4.6, -1.8), (-8.0, -5.2)):
        add_window(builder, rng, FRONT_M, pane, 2.4)
    add_poster(builder, FRONT_M, (-2.0, 2.0), (2.75, 3.35), (120, 60, 30))
    add_gondola(builder, rng, (11.6, -3.2), (13.6, -2.4))
    add_gondola(builder, rng, (11.8, 2.6), (13.6, 3.4))
    add_counter(builder, (12.6, -0.9), (13.2, 0.7), tall_m=0.95)
    plate.mesh(builder.build())
    return plate.finish(blur_px=0.4 * camera.focal_px / 0.80 / 640)


def _floor(plate: Plate, noise: Noise) -> None:
    mask, points, depths = plate.plane(reach_m=60.0)
    x, y = points[:, 0], points[:, 1]
    arcade = tiles(noise, x, y, depths, tile_m=0.8, tone=(168, 178, 184))
    shop = tiles(noise, x, y, depths, tile_m=0.25, tone=(118, 150, 178))
    colour = arcade + (shop - arcade) * soft_step(FRONT_M - 0.01, FRONT_M + 0.01, x)[:, None]
    mat = np.maximum(np.abs(x - FRONT_M - 0.9) - 0.6, np.abs(y) - 1.0)
    colour = colour * (1 - 0.65 * soft_step(0.01, -0.01, mat))[:, None]
    blocks = [((FRONT_M, WIDTH_M / 2), (FRONT_M + 0.2, 12.0)), ((FRONT_M, -12.0), (FRONT_M + 0.2, -WIDTH_M / 2))]
    lit_floor(plate, mask, depths, colour, shelter_of(x, y, blocks))
