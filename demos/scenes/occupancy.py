"""Exact occupancy of parking bays: the share of a convex bay that footprints cover, and when it passes a threshold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from demos.scenes.vehicles import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from demos.scenes.vehicles import Vehicle

__all__ = ["area_m2", "covered_share", "intersection", "occupied"]


def area_m2(polygon: NDArray[np.floating[Any]]) -> float:
    """Signed area of ``(K, 2)``, positive counter-clockwise (shoelace formula).

    >>> area_m2(np.array([[0.0, 0], [2, 0], [2, 3], [0, 3]]))
    6.0
    """
    x, y = polygon[:, 0], polygon[:, 1]
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def intersection(one: NDArray[np.floating[Any]], other: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """What two convex polygons ``(K, 2)`` have in common (Sutherland and Hodgman 1974); ``(0, 2)`` for nothing."""
    shape = [np.asarray(point, dtype=np.float64) for point in one]
    ring = np.asarray(other, dtype=np.float64)
    ring = ring if area_m2(ring) > 0 else ring[::-1]
    for start, end in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        edge = end - start
        sides = [float(edge[0] * (p - start)[1] - edge[1] * (p - start)[0]) for p in shape]
        kept: list[NDArray[np.float64]] = []
        for number, point in enumerate(shape):
            before, side, last = shape[number - 1], sides[number], sides[number - 1]
            if (side >= 0) != (last >= 0):
                kept.append(before + (point - before) * (last / (last - side)))
            if side >= 0:
                kept.append(point)
        shape = kept
    return np.array(shape).reshape(-1, 2)


def covered_share(vehicles: Sequence[Vehicle], bay_m: ArrayLike, time_s: float) -> float:
    """Share of a convex bay that the footprints of vehicles cover at a time; they never overlap each other."""
    bay = np.asarray(bay_m, dtype=np.float64)
    middle = bay.mean(axis=0)
    reach = float(np.linalg.norm(bay - middle, axis=1).max())
    covered = 0.0
    for vehicle in vehicles:
        for path in vehicle.trajectories:
            pose = path.at(time_s)
            half = math.hypot(*KINDS[vehicle.kind].size_m[:2]) / 2
            if pose is not None and math.dist(pose.position_m, middle) < reach + half:
                covered += abs(area_m2(intersection(vehicle.footprint(pose), bay)))
    return covered / abs(area_m2(bay))


def occupied(
    vehicles: Sequence[Vehicle], bays_m: Mapping[str, ArrayLike], duration_s: float, *, share: float = 0.3
) -> dict[str, list[tuple[float, float]]]:
    """When more than ``share`` of each bay is covered: ``(from, to)`` in order of time, to a microsecond.

    Looked at every 0.1 s and bisected where it changes, so that a visit shorter than that may be missed.
    """
    moments = [*np.arange(0.0, duration_s, 0.1).tolist(), duration_s]
    moved = [_moves(vehicle, moments) for vehicle in vehicles]
    found = {}
    for name, bay in bays_m.items():
        rows = [row for row, vehicle in enumerate(vehicles) if _comes_near(vehicle, bay)]
        changes = np.any([moved[row] for row in rows], axis=0) if rows else np.zeros(len(moments), np.bool_)
        found[name] = _spells([vehicles[row] for row in rows], bay, moments, changes, share)
    return found


def _comes_near(vehicle: Vehicle, bay_m: ArrayLike) -> bool:
    """Whether a vehicle is ever less than 8 m from a bay's middle, half the longest vehicle's length."""
    middle = np.asarray(bay_m, dtype=np.float64).mean(axis=0)
    return any((np.linalg.norm(path.positions_m - middle, axis=1) < 8).any() for path in vehicle.trajectories)


def _spells(
    vehicles: Sequence[Vehicle],
    bay: ArrayLike,
    moments: Sequence[float],
    changes: NDArray[np.bool_],
    share: float,
) -> list[tuple[float, float]]:
    """Spells above the threshold; ``changes (T,)`` says whether anything moved since the moment before."""

    def full(moment: float) -> bool:
        return covered_share(vehicles, bay, moment) > share

    states = [full(moments[0])]
    for moment, change in zip(moments[1:], changes[1:].tolist(), strict=True):
        states.append(full(moment) if change else states[-1])
    marks = [0.0] if states[0] else []
    for number in range(1, len(moments)):
        if states[number] != states[number - 1]:
            low, high = moments[number - 1], moments[number]
            while high - low > 1e-6:
                middle = (low + high) / 2
                low, high = (middle, high) if full(middle) == states[number - 1] else (low, middle)
            marks.append(high)
    if states[-1]:
        marks.append(moments[-1])
    return list(zip(marks[::2], marks[1::2], strict=True))


def _moves(vehicle: Vehicle, moments: Sequence[float]) -> NDArray[np.bool_]:
    """Whether a vehicle came, went, moved or turned since the moment before ``(T,)``."""
    states = np.full((len(moments), 3), np.nan)
    for row, moment in enumerate(moments):
        poses = [pose for path in vehicle.trajectories if (pose := path.at(moment)) is not None]
        if poses:
            states[row] = *poses[0].position_m, poses[0].heading_rad
    same = np.isclose(states[1:], states[:-1], rtol=0, atol=1e-9, equal_nan=True).all(axis=1)
    return np.concatenate([[True], ~same])
