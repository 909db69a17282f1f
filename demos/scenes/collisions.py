"""Exact times to collision of a scene's actors, from their footprints and velocities on the ground."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from demos.scenes.encroachments import footprint_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from demos.scenes.motion import Pose, Trajectory

__all__ = ["Approach", "approaches", "touch_s"]

STEP_S = 0.02
LEAST_CLOSING_M_S = 0.5
"""Slower ones stand, or drive side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approach:
    """Two actors that would touch if both kept their velocities.

    Attributes:
        one: Identity of the actor with the lower number.
        other: That of the other one.
        seconds: The least time to collision.
        time_s: When it was so.
    """

    one: int
    other: int
    seconds: float
    time_s: float


def approaches(
    presences: Sequence[tuple[Any, Trajectory]],
    area_m: tuple[tuple[float, float], tuple[float, float]],
    *,
    most_s: float,
    until_s: float,
) -> list[Approach]:
    """The least time to collision of each pair, of those in which someone drives, in order of time.

    Args:
        presences: Actors and their ways.
        area_m: Lower and upper corner of the ground on which both must be.
        most_s: Longer times are left out.
        until_s: End of the recording.
    """
    low, high = np.array(area_m)
    least: dict[tuple[int, int], Approach] = {}
    for moment in np.arange(0.0, until_s, STEP_S).tolist():
        there = [(actor, pose) for actor, path in presences if (pose := path.at(moment)) is not None]
        inside = [
            (actor, pose) for actor, pose in there if (pose.position_m >= low).all() and (pose.position_m <= high).all()
        ]
        for first, second in itertools.combinations(sorted(inside, key=lambda part: int(part[0].identity)), 2):
            seconds = _time_s(first, second)
            pair = first[0].identity, second[0].identity
            if seconds is not None and seconds <= min(most_s, least[pair].seconds if pair in least else np.inf):
                least[pair] = Approach(one=pair[0], other=pair[1], seconds=seconds, time_s=moment)
    return sorted(least.values(), key=lambda one: (one.time_s, one.one, one.other))


def touch_s(one: NDArray[np.float64], other: NDArray[np.float64], velocity_m_s: NDArray[np.float64]) -> float | None:
    """When a convex polygon first touches another one, which stands, by the separating axes of both.

    Args:
        one: Corners ``(N, 2)`` of the one that stands.
        other: Corners ``(M, 2)`` of the one that moves.
        velocity_m_s: Of the other one relative to the first.

    Returns:
        Seconds; ``None`` where they never touch, or do already.

    >>> square = np.array([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
    >>> touch_s(square, square + (5.0, 0.5), np.array([-2.0, 0.0]))
    2.0
    >>> touch_s(square, square + (5.0, 1.5), np.array([-2.0, 0.0])) is None
    True
    """
    begin_s, end_s = -np.inf, np.inf
    for corners in (one, other):
        for edge in np.roll(corners, -1, axis=0) - corners:
            axis = np.array([-edge[1], edge[0]])
            low, high = float((one @ axis).min()), float((one @ axis).max())
            near, far = float((other @ axis).min()), float((other @ axis).max())
            speed = float(velocity_m_s @ axis)
            if speed == 0.0:
                if far < low or near > high:
                    return None
                continue
            times = sorted(((low - far) / speed, (high - near) / speed))
            begin_s, end_s = max(begin_s, times[0]), min(end_s, times[1])
    return float(begin_s) if 0.0 < begin_s <= end_s else None


def _time_s(first: tuple[Any, Pose], second: tuple[Any, Pose]) -> float | None:
    """The time to collision of two actors; ``None`` where they do not close in, or are two persons."""
    (one, pose), (other, its_pose) = first, second
    if not (hasattr(one, "footprint") or hasattr(other, "footprint")):
        return None
    beside = its_pose.position_m - pose.position_m
    velocity = its_pose.velocity_m_s - pose.velocity_m_s
    if -float(beside @ velocity) / max(float(np.linalg.norm(beside)), 1e-9) <= LEAST_CLOSING_M_S:
        return None
    return touch_s(footprint_of(one, pose), footprint_of(other, its_pose), velocity)
