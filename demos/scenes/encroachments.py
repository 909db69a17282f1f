"""Exact post-encroachment times and headways of a scene's actors, from their footprints on the ground."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from demos.scenes.motion import Pose, Trajectory

__all__ = ["Encroachment", "encroachments", "footprint_of"]

STEP_S, GRID_M, FINE_M = 0.02, 0.25, 0.05
WALKER_M = 0.5
CROSSING_RAD = math.radians(30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encroachment:
    """Two actors whose ways cross covered one place after the other.

    Attributes:
        first: Identity of the one that left.
        second: Identity of the one that came.
        left_s: When the first one had left the place.
        came_s: When the second one arrived there.
        position_m: The place, of all that both covered the one with the shortest time between.
    """

    first: int
    second: int
    left_s: float
    came_s: float
    position_m: tuple[float, float]

    @property
    def seconds(self) -> float:
        """The post-encroachment time."""
        return self.came_s - self.left_s


class _Swept(NamedTuple):
    """When an actor first and last covered points, and which way it faced then: ``(N,)`` each, NaN = never."""

    first_s: NDArray[np.float64]
    last_s: NDArray[np.float64]
    first_rad: NDArray[np.float64]
    last_rad: NDArray[np.float64]


def footprint_of(actor: Any, pose: Pose) -> NDArray[np.float64]:
    """Corners ``(4, 2)`` of an actor on the ground; persons are squares of half a metre."""
    if hasattr(actor, "footprint"):
        return np.asarray(actor.footprint(pose))
    half = WALKER_M / 2
    return pose.position_m + np.array([(half, half), (-half, half), (-half, -half), (half, -half)])


def encroachments(
    presences: Sequence[tuple[Any, Trajectory]],
    area_m: tuple[tuple[float, float], tuple[float, float]],
    *,
    most_s: float,
    until_s: float,
) -> list[Encroachment]:
    """All pairs whose ways cross by 30 degrees or more where they come closest, in order of the second one's arrival.

    Args:
        presences: Actors and their ways.
        area_m: Lower and upper corner of the ground that is looked at.
        most_s: Longer times are left out.
        until_s: End of the recording.
    """
    points = _grid(area_m, GRID_M)
    swept = [(actor, path, _sweep(actor, path, points, until_s)) for actor, path in presences]
    found = []
    for (one, path, first), (other, way, second) in itertools.permutations(swept, 2):
        gaps = _gaps(first, second)
        if not np.isfinite(gaps).any() or float(np.nanmin(gaps)) > most_s + 0.5:
            continue
        x, y = points[int(np.nanargmin(gaps))].tolist()
        near = _grid(((x - 1.0, y - 1.0), (x + 1.0, y + 1.0)), FINE_M)
        fine = (_sweep(*part, near, until_s) for part in ((one, path), (other, way)))
        exact = _exact(one.identity, other.identity, *fine, points=near)
        if exact is not None and exact.seconds <= most_s:
            found.append(exact)
    return sorted(found, key=lambda one: (one.came_s, one.second, one.first))


def _exact(one: int, other: int, first: _Swept, second: _Swept, points: NDArray[np.float64]) -> Encroachment | None:
    """Of a pair on a fine grid ``(N, 2)``; ``None`` where they do not meet there, or one follows the other."""
    gaps = _gaps(first, second)
    if not np.isfinite(gaps).any():
        return None
    row = int(np.nanargmin(gaps))
    angle = (second.first_rad[row] - first.last_rad[row] + np.pi) % (2 * np.pi) - np.pi
    if abs(float(angle)) < CROSSING_RAD:
        return None
    return Encroachment(
        first=one,
        second=other,
        left_s=float(first.last_s[row]),
        came_s=float(second.first_s[row]),
        position_m=(float(points[row, 0]), float(points[row, 1])),
    )


def _grid(area_m: tuple[tuple[float, float], tuple[float, float]], step_m: float) -> NDArray[np.float64]:
    (x0, y0), (x1, y1) = area_m
    columns, rows = np.meshgrid(np.arange(x0, x1 + 1e-9, step_m), np.arange(y0, y1 + 1e-9, step_m))
    return np.stack([columns.ravel(), rows.ravel()], axis=1)


def _gaps(first: _Swept, second: _Swept) -> NDArray[np.float64]:
    """Seconds ``(N,)`` from the first one's leaving to the second one's arrival, NaN where it is not that way."""
    gaps = second.first_s - first.last_s
    return np.where(gaps >= 0, gaps, np.nan)


def _sweep(actor: Any, path: Trajectory, points: NDArray[np.float64], until_s: float) -> _Swept:
    times: NDArray[np.float64] = np.full((4, len(points)), np.nan)
    low, high = points.min(axis=0) - 8.0, points.max(axis=0) + 8.0
    for moment in np.arange(max(path.start_s, 0.0), min(path.end_s, until_s), STEP_S).tolist():
        pose = path.at(moment)
        if pose is None or (pose.position_m < low).any() or (pose.position_m > high).any():
            continue
        held = _inside(footprint_of(actor, pose), points)
        new = held & np.isnan(times[0])
        times[0, new], times[2, new] = moment, pose.heading_rad
        times[1, held], times[3, held] = moment, pose.heading_rad
    return _Swept(*times)


def _inside(corners: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points lie in a convex polygon, whichever way round it is."""
    near = ((points >= corners.min(axis=0)) & (points <= corners.max(axis=0))).all(axis=1)
    rows = np.flatnonzero(near)
    along = np.roll(corners, -1, axis=0) - corners
    beside = points[rows, None] - corners
    turns = along[:, 0] * beside[..., 1] - along[:, 1] * beside[..., 0]
    inside = np.zeros(len(points), np.bool_)
    inside[rows] = (turns >= 0).all(axis=1) | (turns <= 0).all(axis=1)
    return inside
