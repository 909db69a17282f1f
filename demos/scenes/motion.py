"""Motion along waypoints: positions and exact velocities as functions of time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Pose", "Trajectory", "bezier", "drive", "follow", "spline", "walk"]

STEP_S = 0.05
"""Distance of the knots in time; between them the motion is a cubic with the stored velocities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Where something is on the ground.

    Attributes:
        position_m: ``(2,)``.
        velocity_m_s: ``(2,)``, the exact derivative of the position.
        heading_rad: Where it faces, 0 along ``+x``.
        distance_m: Travelled since the start; drives wheels and legs.
    """

    position_m: NDArray[np.float64]
    velocity_m_s: NDArray[np.float64]
    heading_rad: float
    distance_m: float


class Trajectory:
    """Motion over time as cubic Hermite pieces between knots; nothing exists before the first knot or after the last.

    Args:
        times_s: ``(T,)`` equally spaced, at least two.
        positions_m: ``(T, 2)``.
        heading_rad: ``(T,)``; by default the direction of motion, held while standing, smoothed over 0.3 s.
        velocities_m_s: ``(T, 2)``; by default from the neighbouring positions.
    """

    def __init__(
        self,
        *,
        times_s: NDArray[np.floating[Any]],
        positions_m: NDArray[np.floating[Any]],
        heading_rad: NDArray[np.floating[Any]] | None = None,
        velocities_m_s: NDArray[np.floating[Any]] | None = None,
    ) -> None:
        self.times_s = np.asarray(times_s, dtype=np.float64)
        self.positions_m = np.asarray(positions_m, dtype=np.float64)
        if self.times_s.ndim != 1 or len(self.times_s) < 2 or self.positions_m.shape != (len(self.times_s), 2):
            found = f"{self.times_s.shape} and {self.positions_m.shape}"
            message = f"Trajectory: expected (T,) times and (T, 2) positions, T >= 2, found {found}"
            raise ValueError(message)
        self.velocities_m_s = (
            np.gradient(self.positions_m, self.times_s, axis=0)
            if velocities_m_s is None
            else np.asarray(velocities_m_s, dtype=np.float64)
        )
        self.heading_rad = _headings(self.velocities_m_s) if heading_rad is None else np.asarray(heading_rad)
        steps = np.linalg.norm(np.diff(self.positions_m, axis=0), axis=1)
        self.distances_m = np.concatenate([[0.0], np.cumsum(steps)])

    @property
    def start_s(self) -> float:
        """First moment of existence."""
        return float(self.times_s[0])

    @property
    def end_s(self) -> float:
        """Last moment of existence."""
        return float(self.times_s[-1])

    def later(self, seconds: float) -> Trajectory:
        """The same motion so much later."""
        return Trajectory(
            times_s=self.times_s + seconds,
            positions_m=self.positions_m,
            heading_rad=self.heading_rad,
            velocities_m_s=self.velocities_m_s,
        )

    def position(self, time_s: float) -> NDArray[np.float64]:
        """Where the thing is ``(2,)``; before its first and after its last moment, where it is then."""
        pose = self.at(min(max(time_s, self.start_s), self.end_s))
        assert pose is not None  # noqa: S101 - clamped above
        return pose.position_m

    def at(self, time_s: float) -> Pose | None:
        """The pose at a time, or ``None`` where the thing does not exist then."""
        if not self.start_s <= time_s <= self.end_s:
            return None
        step = self.times_s[1] - self.times_s[0]
        knot = min(int((time_s - self.times_s[0]) / step), len(self.times_s) - 2)
        u = (time_s - self.times_s[knot]) / step
        p0, p1 = self.positions_m[knot], self.positions_m[knot + 1]
        m0, m1 = self.velocities_m_s[knot] * step, self.velocities_m_s[knot + 1] * step
        position = (
            (2 * u**3 - 3 * u**2 + 1) * p0
            + (u**3 - 2 * u**2 + u) * m0
            + (-2 * u**3 + 3 * u**2) * p1
            + (u**3 - u**2) * m1
        )
        velocity = (
            (6 * u**2 - 6 * u) * p0 + (3 * u**2 - 4 * u + 1) * m0 + (-6 * u**2 + 6 * u) * p1 + (3 * u**2 - 2 * u) * m1
        ) / step
        return Pose(
            position_m=position,
            velocity_m_s=velocity,
            heading_rad=float((1 - u) * self.heading_rad[knot] + u * self.heading_rad[knot + 1]),
            distance_m=float((1 - u) * self.distances_m[knot] + u * self.distances_m[knot + 1]),
        )


def _smooth(signal: NDArray[np.float64], sigma_knots: float) -> NDArray[np.float64]:
    """``signal (T, ...)`` under a Gaussian along the first axis; reflected through its ends, which therefore stay."""
    radius = int(3 * sigma_knots) + 1
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma_knots) ** 2)
    kernel /= kernel.sum()
    flat = signal.reshape(len(signal), -1)
    padded = np.pad(flat, ((radius, radius), (0, 0)), mode="reflect", reflect_type="odd")
    columns = [np.convolve(padded[:, column], kernel, mode="valid") for column in range(flat.shape[1])]
    return np.stack(columns, axis=1).reshape(signal.shape)


def _headings(velocities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unwrapped direction of motion ``(T,)``, held where slower than 0.15 m/s."""
    moving = np.linalg.norm(velocities, axis=1) > 0.15
    if not moving.any():
        return np.zeros(len(velocities))
    angles = np.arctan2(velocities[:, 1], velocities[:, 0])
    last = np.maximum.accumulate(np.where(moving, np.arange(len(angles)), -1))
    held = angles[np.where(last < 0, int(np.argmax(moving)), last)]
    return _smooth(np.unwrap(held), 0.15 / STEP_S)


def spline(nodes: ArrayLike) -> Trajectory:
    """Motion known in closed form: one cubic between each two nodes.

    Equal velocities along the way are a constant speed, zeros at both ends are a smooth step from rest to rest; so
    nothing overshoots, and the moments at which a place is reached can be computed by hand.

    Args:
        nodes: ``(K, 5)``: time in seconds, ``x``, ``y``, and their velocities in m/s. Times are whole multiples of
            0.05 s after the first.

    >>> spline([(0, 0, 0, 0, 0), (2, 4, 0, 0, 0)]).at(0.5).position_m.tolist()
    [0.625, 0.0]
    """
    table = np.asarray(nodes, dtype=np.float64)
    times = table[0, 0] + STEP_S * np.arange(round((table[-1, 0] - table[0, 0]) / STEP_S) + 1)
    piece = np.clip(np.searchsorted(table[:, 0], times + STEP_S / 2) - 1, 0, len(table) - 2)
    low, high = table[piece], table[piece + 1]
    spans = (high[:, :1] - low[:, :1]).clip(STEP_S)
    u = (times[:, None] - low[:, :1]) / spans
    p0, p1, m0, m1 = low[:, 1:3], high[:, 1:3], low[:, 3:] * spans, high[:, 3:] * spans
    rise = 3 * (p1 - p0) - 2 * m0 - m1
    positions = p0 + m0 * u + rise * u**2 + (2 * (p0 - p1) + m0 + m1) * u**3
    velocities = (m0 + 2 * rise * u + 3 * (2 * (p0 - p1) + m0 + m1) * u**2) / spans
    return Trajectory(times_s=times, positions_m=positions, velocities_m_s=velocities)


def drive(
    *,
    start_s: float,
    end_s: float,
    start_m: float,
    speed_m_s: float,
    lane_m: float,
    direction: int = 1,
    speed_changes: Sequence[tuple[float, float]] = (),
    lane_changes: Sequence[tuple[float, float]] = (),
) -> Trajectory:
    """A vehicle along ``x``.

    Args:
        start_s: First moment.
        end_s: Last moment.
        start_m: ``x`` at the first moment.
        speed_m_s: Speed at the first moment.
        lane_m: ``y`` at the first moment.
        direction: 1 drives towards ``+x``, -1 towards ``-x``.
        speed_changes: ``(time_s, new speed)``, reached smoothly over about 2 s.
        lane_changes: ``(time_s, new y)``, reached smoothly over about 3 s.
    """
    times = np.arange(start_s, end_s + STEP_S, STEP_S)
    speeds, lanes = np.full(len(times), float(speed_m_s)), np.full(len(times), float(lane_m))
    for moment, speed in speed_changes:
        speeds[times >= moment] = speed
    for moment, lane in lane_changes:
        lanes[times >= moment] = lane
    speeds = _smooth(speeds, 0.6 / STEP_S)
    lanes = _smooth(lanes, 0.8 / STEP_S)
    travelled = np.concatenate([[0.0], np.cumsum((speeds[1:] + speeds[:-1]) / 2 * STEP_S)])
    positions = np.stack([start_m + direction * travelled, lanes], axis=1)
    heading = np.arctan2(np.gradient(lanes, STEP_S), direction * np.maximum(speeds, 1.0))
    return Trajectory(times_s=times, positions_m=positions, heading_rad=np.unwrap(heading))


def bezier(start_m: ArrayLike, leaves: ArrayLike, arrives: ArrayLike, end_m: ArrayLike) -> NDArray[np.float64]:
    """A smooth way ``(100, 2)`` between two points; ``leaves`` and ``arrives`` are its directions times their pull."""
    p0, p3 = np.asarray(start_m, dtype=np.float64), np.asarray(end_m, dtype=np.float64)
    p1, p2 = p0 + np.asarray(leaves), p3 - np.asarray(arrives)
    u = np.linspace(0, 1, 100)[:, None]
    return np.asarray((1 - u) ** 3 * p0 + 3 * (1 - u) ** 2 * u * p1 + 3 * (1 - u) * u**2 * p2 + u**3 * p3)


def follow(
    path_m: NDArray[np.floating[Any]],
    *,
    start_s: float,
    speed_m_s: float,
    rest: tuple[bool, bool] = (False, False),
    sideways_m_s2: float = 2.2,
) -> Trajectory:
    """A vehicle along a way, slower where it bends (at most ``sideways_m_s2`` across, 2.5 m/s2 along).

    Args:
        path_m: ``(P, 2)`` waypoints, dense in bends.
        start_s: First moment.
        speed_m_s: Speed where nothing hinders.
        rest: Whether it starts and whether it ends at rest.
        sideways_m_s2: Comfort in bends.
    """
    gaps = np.linalg.norm(np.diff(path_m, axis=0), axis=1)
    reach = np.concatenate([[0.0], np.cumsum(gaps)])
    step_m = 0.05
    along = np.arange(0.0, reach[-1], step_m)
    way = np.stack([np.interp(along, reach, path_m[:, axis]) for axis in range(2)], axis=1)
    way = _smooth(way, 8.0)
    tangent = np.gradient(way, step_m, axis=0)
    heading = np.unwrap(np.arctan2(tangent[:, 1], tangent[:, 0]))
    bend = np.abs(_smooth(np.gradient(heading, step_m), 6.0))
    squared = np.minimum(speed_m_s**2, sideways_m_s2 / np.maximum(bend, 1e-6))
    if rest[0]:
        squared[0] = 0.0
    if rest[1]:
        squared[-1] = 0.0
    for order in (range(1, len(squared)), range(len(squared) - 2, -1, -1)):
        back = -1 if order.step > 0 else 1
        for place in order:
            squared[place] = min(squared[place], squared[place + back] + 2 * 2.5 * step_m)
    pace = np.sqrt(squared)
    moments = np.concatenate([[0.0], np.cumsum(2 * step_m / np.maximum(pace[1:] + pace[:-1], 0.05))])
    times = np.arange(0.0, moments[-1], STEP_S)
    positions = np.stack([np.interp(times, moments, way[:, axis]) for axis in range(2)], axis=1)
    return Trajectory(
        times_s=start_s + times,
        positions_m=_smooth(positions, 2.0),
        heading_rad=_smooth(np.interp(times, moments, heading), 2.0),
    )


def walk(
    *,
    points_m: ArrayLike,
    start_s: float,
    speed_m_s: float = 1.3,
    stops: Mapping[int, float] | None = None,
    faces: Mapping[int, float] | None = None,
    end_s: float | None = None,
) -> Trajectory:
    """A walker along waypoints, corners rounded, slowing before each stop and leaving it again.

    Args:
        points_m: ``(N, 2)`` waypoints.
        start_s: First moment.
        speed_m_s: Speed where nothing hinders.
        stops: Waypoint number to seconds of standing there.
        faces: Waypoint number to the heading in radians that is taken while standing there.
        end_s: Where given, the walker stands at the last waypoint until then.
    """
    points = np.asarray(points_m, dtype=np.float64)
    stops = dict(stops or {})
    path, marks = _rounded(points)
    gaps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    reach = np.concatenate([[0.0], np.cumsum(gaps)])
    stop_at = sorted((float(reach[marks[index]]), seconds, index) for index, seconds in stops.items() if seconds > 0)
    travelled, standing = _pace(float(reach[-1]), stop_at, speed_m_s)
    if end_s is not None and (missing := round((end_s - start_s) / STEP_S) + 1 - len(travelled)) > 0:
        travelled, standing = travelled + [travelled[-1]] * missing, standing + [-1] * missing
    along = np.array(travelled)
    positions = np.stack([np.interp(along, reach, path[:, axis]) for axis in range(2)], axis=1)
    positions = _smooth(positions, 0.12 / STEP_S)
    times = start_s + STEP_S * np.arange(len(positions))
    heading = _headings(np.gradient(positions, times, axis=0))
    for index, target in (faces or {}).items():
        held = np.flatnonzero(np.array(standing) == index)
        if len(held):
            turn = (target - heading[held[0]] + np.pi) % (2 * np.pi) - np.pi
            heading[held] += turn
    return Trajectory(times_s=times, positions_m=positions, heading_rad=_smooth(heading, 0.2 / STEP_S))


def _rounded(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[int]]:
    """Waypoints as a dense path ``(P, 2)`` (2 cm) corners rounded over about 0.4 m; where each waypoint is in it."""
    pieces, marks = [points[:1]], [0]
    for before, after in pairwise(points):
        count = max(round(float(np.linalg.norm(after - before)) / 0.02), 1)
        pieces.append(before + (after - before) * (np.arange(1, count + 1) / count)[:, None])
        marks.append(marks[-1] + count)
    return _smooth(np.concatenate(pieces), 10.0), marks


def _pace(length_m: float, stops: list[tuple[float, float, int]], speed_m_s: float) -> tuple[list[float], list[int]]:
    """Distance travelled at every knot and the stop that is being made then (-1 = none): 1.6 m/s2 up and down."""
    acceleration, waiting = 1.6, list(stops)
    travelled, standing = [0.0], [-1]
    speed = 0.0 if waiting and waiting[0][0] <= 0.01 else speed_m_s
    while travelled[-1] < length_m - 1e-3:
        place = travelled[-1]
        if waiting and waiting[0][0] - place < 0.02:
            _, seconds, index = waiting.pop(0)
            hold = max(round(seconds / STEP_S), 1)
            travelled += [place] * hold
            standing += [index] * hold
            speed = 0.0
            continue
        ahead = waiting[0][0] - place if waiting else np.inf
        limit = min(speed_m_s, float(np.sqrt(2 * acceleration * max(ahead, 0.0))) + 0.05)
        speed = min(speed + acceleration * STEP_S, limit)
        travelled.append(min(place + speed * STEP_S, length_m))
        standing.append(-1)
    return (travelled, standing) if len(travelled) > 1 else ([0.0, 0.0], [-1, -1])
