"""Scripted scenes: flat cut-outs on a plain floor, quick and exactly known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from demos.scenes.camera import Camera, Rig
from demos.scenes.drawing import Drawing, Light
from demos.scenes.motion import Trajectory, walk
from demos.scenes.world import Backdrop, Scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from demos.scenes.motion import Pose
    from demos.scenes.plan import Plan

__all__ = [
    "CutOut",
    "cast",
    "crossing",
    "dense",
    "empty",
    "exit_and_reentry",
    "full_occlusion",
    "group_walk",
    "overtaking",
    "stage",
    "stop_and_go",
    "u_turn",
]

PERSON, CAR = 0, 2

_PERSON_OUTLINES = (
    [(-0.24, 0.0), (-0.05, 0.0), (0.0, 0.45), (0.05, 0.0), (0.24, 0.0), (0.2, 0.9), (-0.2, 0.9)],
    [(-0.2, 0.8), (0.2, 0.8), (0.27, 1.2), (0.24, 1.45), (-0.24, 1.45), (-0.27, 1.2)],
    [(-0.11, 1.45), (0.11, 1.45), (0.13, 1.62), (0.08, 1.76), (-0.08, 1.76), (-0.13, 1.62)],
)
_CAR_OUTLINES = (
    [(-2.2, 0.35), (2.2, 0.35), (2.2, 0.8), (2.05, 0.95), (-2.05, 0.95), (-2.2, 0.8)],
    [(-1.7, 0.9), (1.3, 0.9), (0.7, 1.45), (-1.2, 1.45)],
    [(-1.75, 0.0), (-1.25, 0.0), (-1.15, 0.35), (-1.3, 0.65), (-1.7, 0.65), (-1.85, 0.35)],
    [(1.25, 0.0), (1.75, 0.0), (1.85, 0.35), (1.7, 0.65), (1.3, 0.65), (1.15, 0.35)],
)


def _padded(outlines: Sequence[Sequence[tuple[float, float]]]) -> NDArray[np.float64]:
    """Outlines as ``(P, K, 2)``, short ones with their last corner repeated."""
    most = max(map(len, outlines))
    return np.array([[*outline, *([outline[-1]] * (most - len(outline)))] for outline in outlines], dtype=np.float64)


_OUTLINES = {PERSON: _padded(_PERSON_OUTLINES), CAR: _padded(_CAR_OUTLINES)}


@dataclass(frozen=True, kw_only=True)
class CutOut:
    """A flat silhouette that always faces the camera.

    Attributes:
        identity: Unique in its scene, from 1.
        class_id: 0 (person) or 2 (car).
        trajectories: One per presence.
        colour: BGR of the body.
        scale: Size against the standard person (1.76 m) or car (4.4 m).
    """

    identity: int
    class_id: int
    trajectories: Sequence[Trajectory]
    colour: tuple[int, int, int]
    scale: float = 1.0

    def draw(self, pose: Pose, time_s: float, camera: Camera, light: Light | None) -> Drawing:
        """The silhouette upright on its ground point, across the line of sight."""
        del time_s
        outline = _OUTLINES[self.class_id] * self.scale
        sight = pose.position_m - np.array(camera.position_m[:2])
        right = np.array([sight[1], -sight[0]]) / max(float(np.hypot(*sight)), 1e-6)
        corners = np.empty((*outline.shape[:2], 3))
        corners[..., :2] = pose.position_m + outline[..., :1] * right
        corners[..., 2] = outline[..., 1]
        pixels, depth = camera.project(corners.reshape(-1, 3))
        if depth.min() < 0.3:
            pixels = pixels[:0]
        body = np.array(self.colour, np.uint8)
        shades = {PERSON: (body // 2, body, (130, 160, 205)), CAR: (body, body // 2 + 40, (30, 30, 30), (30, 30, 30))}
        half = 0.25 * self.scale
        around = np.array([[-half, -half], [half, -half], [half, half], [-half, half]])
        return Drawing(
            polygons_px=pixels.reshape(-1, *outline.shape[1:]),
            colours=None if light is None else np.array(shades[self.class_id], np.uint8),
            footprint_m=pose.position_m + around,
        )


_COLOURS = (
    (60, 60, 200),
    (200, 120, 40),
    (60, 160, 60),
    (40, 190, 220),
    (170, 70, 170),
    (120, 110, 100),
    (190, 190, 60),
)


def cast(trajectories: Sequence[Trajectory | Sequence[Trajectory]], class_id: int = PERSON) -> list[CutOut]:
    """Cut-outs 1, 2, ... with a colour each."""
    return [
        CutOut(
            identity=number + 1,
            class_id=class_id,
            trajectories=(paths,) if isinstance(paths, Trajectory) else tuple(paths),
            colour=_COLOURS[number % len(_COLOURS)],
        )
        for number, paths in enumerate(trajectories)
    ]


def stage(
    name: str,
    actors: Sequence[CutOut],
    duration_s: float,
    *,
    size: tuple[int, int] = (640, 360),
    height_m: float = 3.0,
    pitch_deg: float = 20.0,
    pillar: tuple[float, float, float] | None = None,
    shake_px: float = 0.0,
    slab_height_m: float = 2.6,
    plan: Plan | None = None,
) -> Scene:
    """Actors before a plain floor; the camera stands at the origin and looks along ``+x``.

    ``pillar`` is ``(x, y, width)`` in metres of an upright slab that hides what is behind it.
    """
    camera = Camera(
        position_m=(0.0, 0.0, height_m),
        yaw_rad=0.0,
        pitch_rad=math.radians(pitch_deg),
        focal_px=0.85 * size[0],
        size=size,
    )
    rig = Rig(camera=camera, shake_px=shake_px)
    slab = None if pillar is None else (*pillar, slab_height_m)
    backdrop = _floor(rig.panorama, slab)
    return Scene(name=name, actors=actors, rig=rig, backdrop=backdrop, duration_s=duration_s, plan=plan)


@lru_cache(maxsize=16)
def _floor(camera: Camera, slab: tuple[float, float, float, float] | None) -> Backdrop:
    """Checkered tiles of one metre under a light wall, with a slab where one is asked for."""
    width, height = camera.size
    centres = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)
    ground = camera.ground(centres.reshape(-1, 2)).reshape(height, width, 2)
    seen = np.isfinite(ground[..., 0]) & (np.nan_to_num(ground[..., 0], nan=1e9) < 60)
    odd = (np.floor(np.nan_to_num(ground)).sum(axis=-1) % 2).astype(np.bool_)
    image = np.where(seen[..., None], np.where(odd[..., None], 150, 165), 205).astype(np.uint8).repeat(3, axis=2)
    range_m = np.full((height, width), np.inf, np.float32)
    if slab is not None:
        x, y, broad, high = slab
        corners = np.array(
            [(x, y - broad / 2, 0), (x, y + broad / 2, 0), (x, y + broad / 2, high), (x, y - broad / 2, high)]
        )
        outline = np.rint(camera.project(corners)[0] - 0.5).astype(np.int32)
        cv2.fillConvexPoly(image, outline, (110, 120, 130))
        cv2.fillConvexPoly(range_m, outline, float(np.hypot(x, y)))
    return Backdrop(image=image, range_m=range_m, shadowed=np.zeros((height, width), np.uint8))


def crossing(*, size: tuple[int, int] = (640, 360), shake_px: float = 0.0) -> Scene:
    """Two persons walk towards each other and pass; the nearer one hides the other for a moment (at 3.0 s)."""
    left = walk(points_m=[(7.0, 3.9), (7.0, -3.9)], start_s=0.0)
    right = walk(points_m=[(8.0, -3.9), (8.0, 3.9)], start_s=0.0)
    return stage("crossing", cast([left, right]), 6.0, size=size, shake_px=shake_px)


def full_occlusion(*, size: tuple[int, int] = (640, 360)) -> Scene:
    """One person passes behind a slab and is fully hidden for about a second."""
    path = walk(points_m=[(8.0, 4.0), (8.0, -4.0)], start_s=0.0, speed_m_s=1.3)
    return stage("full_occlusion", cast([path]), 6.0, size=size, pillar=(6.0, 0.0, 1.8))


def exit_and_reentry(*, size: tuple[int, int] = (640, 360), away_s: float = 3.0) -> Scene:
    """A person leaves the picture on the left, is away for ``away_s`` seconds and comes back; another one stays."""
    out = walk(points_m=[(7.0, 0.0), (7.0, 5.5)], start_s=0.0)
    back = walk(points_m=[(7.0, 5.5), (7.0, 0.0)], start_s=out.end_s + away_s)
    stays = walk(points_m=[(9.0, -2.0), (9.0, -1.0)], start_s=0.0, end_s=back.end_s)
    return stage("exit_and_reentry", cast([(out, back), stays]), back.end_s, size=size)


def empty(*, size: tuple[int, int] = (640, 360), duration_s: float = 2.0) -> Scene:
    """An empty scene."""
    return stage("empty", [], duration_s, size=size)


def u_turn(*, size: tuple[int, int] = (640, 360)) -> Scene:
    """One person walks across, turns and walks back."""
    path = walk(points_m=[(7.0, 3.0), (7.0, -2.0), (7.3, -2.0), (7.3, 3.0)], start_s=0.0)
    return stage("u_turn", cast([path]), 7.5, size=size)


def group_walk(*, size: tuple[int, int] = (640, 360), count: int = 4) -> Scene:
    """Persons walk abreast in one direction and partly hide each other throughout."""
    paths = [walk(points_m=[(6.5 + 0.45 * n, 2.6), (6.5 + 0.45 * n, -2.6)], start_s=0.0) for n in range(count)]
    return stage("group_walk", cast(paths), 4.0, size=size)


def overtaking(*, size: tuple[int, int] = (640, 360)) -> Scene:
    """Two cars drive across the picture in neighbouring lanes; the nearer, faster one passes and hides the other."""

    def across(start_s: float, speed: float, lane: float) -> Trajectory:
        times = np.arange(start_s, 6.0 + 0.05, 0.05)
        return Trajectory(
            times_s=times, positions_m=np.stack([np.full(len(times), lane), 14 - speed * (times - start_s)], 1)
        )

    return stage(
        "overtaking",
        cast([across(0.0, 4.0, 20.0), across(1.2, 8.0, 16.0)], CAR),
        6.0,
        size=size,
        height_m=5.0,
        pitch_deg=12.0,
    )


def stop_and_go(*, size: tuple[int, int] = (640, 360)) -> Scene:
    """A person stops for 2 s in the middle; a car far behind brakes to a crawl and drives on."""
    person = walk(points_m=[(8.0, 3.5), (8.0, 0.0), (8.0, -3.5)], start_s=0.0, stops={1: 2.0})
    times = np.arange(0.0, 8.05, 0.05)
    speed = 3.0 - 2.6 * np.exp(-0.5 * ((times - 4.0) / 1.0) ** 2)
    place = -10 + np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2 * 0.05)])
    car = Trajectory(times_s=times, positions_m=np.stack([np.full(len(times), 22.0), place], axis=1))
    actors = [*cast([person]), CutOut(identity=2, class_id=CAR, trajectories=(car,), colour=_COLOURS[1])]
    return stage("stop_and_go", actors, 8.0, size=size)


def dense(
    count: int, *, rng: np.random.Generator, size: tuple[int, int] = (1280, 720), duration_s: float = 10.0
) -> Scene:
    """``count`` persons who walk about on a square, seen from above at an angle.

    Args:
        count: Persons, all present all the time.
        rng: Source of their paths.
        size: ``(width, height)`` in pixels.
        duration_s: How long they walk.
    """
    side = max(math.sqrt(count) * 1.6, 6.0)
    times = np.arange(0.0, duration_s + 0.05, 0.05)
    actors = []
    for number in range(count):
        speed, heading = rng.uniform(0.5, 1.7), rng.uniform(0, 2 * math.pi)
        turns = np.cumsum(rng.normal(0, 0.06, len(times)))
        steps = speed * 0.05 * np.stack([np.cos(heading + turns), np.sin(heading + turns)], axis=1)
        place = rng.uniform(0, side, 2) + np.cumsum(steps, axis=0)
        # Reflected at the walls: a triangle wave of the free path.
        place = side - np.abs(place % (2 * side) - side)
        place = np.stack([side * 0.75 + place[:, 0], place[:, 1] - side / 2], axis=1)
        actors.append(
            CutOut(
                identity=number + 1,
                class_id=PERSON,
                trajectories=(Trajectory(times_s=times, positions_m=place),),
                colour=tuple(int(value) for value in rng.integers(40, 220, 3)),  # type: ignore[arg-type]
                scale=float(rng.uniform(0.9, 1.1)),
            )
        )
    return stage(f"dense-{count}", actors, duration_s, size=size, height_m=side * 0.55, pitch_deg=24.0)
