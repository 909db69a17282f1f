"""Footprints of road users: where a body stands on the ground, from its contact, its way and the size of its class.

A contact is where the wheels that are nearest to the camera touch the ground, not the middle of the body. Its row of
the picture says how far away they are, the middle of the box across the line of sight where the body is: its silhouette
reaches equally far to either side, however long it is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.analytics.geometry import Flags, Floats
    from tracker.ground import Ground
    from tracker.traffic import RoadUser

__all__ = ["Footprint", "footprint", "meet", "reach", "settled"]

NARROW_M = 1.2
"""A narrower body stands on its middle line: two wheels behind each other, two feet."""
TURN_S, TURNS = 0.3, 2
"""About a moment, the motion of the middle of a body by which it is turned; how often that is repeated."""
LEAST_M_S = 1.0
"""Slower, a body keeps its direction."""


class Footprint(NamedTuple):
    """A rectangle on the ground.

    Attributes:
        x_m, y_m: Its middle.
        heading_rad: Of its long side, as it travels.
        length_m, width_m: Its sides.
    """

    x_m: float
    y_m: float
    heading_rad: float
    length_m: float
    width_m: float

    @property
    def corners(self) -> Floats:
        """``(4, 2)`` in metres."""
        middle = np.array([self.x_m, self.y_m])
        return np.asarray(_turned(self.heading_rad, self.length_m, self.width_m) + middle)

    def holds(self, points: Floats) -> Flags:
        """Which of points ``(N, 2)`` lie in it."""
        cos, sin = math.cos(self.heading_rad), math.sin(self.heading_rad)
        beside = points - (self.x_m, self.y_m)
        along, across = beside @ (cos, sin), beside @ (-sin, cos)
        return np.asarray((np.abs(along) <= self.length_m / 2) & (np.abs(across) <= self.width_m / 2))


def footprint(ground: Ground, middle_m: tuple[float, float], heading_rad: float, size: RoadUser) -> Footprint:
    """The footprint of a body.

    Args:
        ground: Of the site: it tells which way the camera is.
        middle_m: On the ground, the place below the middle of the body's box, in the row of its contact.
        heading_rad: Which way it travels.
        size: Of its class.
    """
    down, sight = _directions(ground, middle_m)
    wheels = _turned(heading_rad, size.base_m, size.width_m if size.width_m > NARROW_M else 0.0)
    # The nearest wheels are in the row of the contact; the middle of the body is behind it, in the box's middle column.
    away = float((wheels @ down).max()) / max(float(down @ sight), 0.2)
    x_m, y_m = (np.array(middle_m) - away * sight).tolist()
    return Footprint(x_m=x_m, y_m=y_m, heading_rad=heading_rad, length_m=size.length_m, width_m=size.width_m)


def settled(
    ground: Ground, times_s: Sequence[float], contacts_m: Floats, headings_rad: Floats, size: RoadUser
) -> list[Footprint]:
    """Footprints of a way, once it and the size of the body are known.

    While a body turns, its contact moves from one wheel to another: the direction is that of its middle.

    Args:
        ground: Of the site.
        times_s: Of ``N`` moments, rising.
        contacts_m: ``(N, 2)``, see :func:`footprint`.
        headings_rad: ``(N,)`` of the contact's motion.
        size: Of the body.
    """
    times, headings = np.asarray(times_s, np.float64), headings_rad.copy()
    places: list[tuple[float, float]] = [(x, y) for x, y in contacts_m.tolist()]
    near = np.abs(times[:, None] - times) <= TURN_S + 1e-6  # (N, N)
    counts = np.maximum(near.sum(axis=1), 1)
    since = np.where(near, times - (near @ times / counts)[:, None], 0.0)
    spread = np.square(since).sum(axis=1)
    # At the ends of a way the moments about one lie to one side of it.
    told = (counts > 2) & (np.abs(near @ times / counts - times) < TURN_S / 5)
    for _ in range(TURNS):
        found = [footprint(ground, at, heading, size) for at, heading in zip(places, headings.tolist(), strict=True)]
        middles = np.array([(one.x_m, one.y_m) for one in found]).reshape(-1, 2)
        speeds = since @ middles / np.maximum(spread, 1e-9)[:, None]
        turned = told & (np.hypot(*speeds.T) >= LEAST_M_S)
        headings[turned] = np.arctan2(speeds[turned, 1], speeds[turned, 0])
    return [footprint(ground, at, heading, size) for at, heading in zip(places, headings.tolist(), strict=True)]


def meet(one: Footprint, other: Footprint, shifts: Floats) -> Flags:
    """Whether two footprints overlap once the second one is shifted: ``(S,)`` (separating axes).

    Args:
        one: Stays where it is.
        other: Is shifted.
        shifts: ``(S, 2)`` in metres.
    """
    first, second = one.corners, other.corners
    apart = np.zeros(len(shifts), np.bool_)
    for angle in (one.heading_rad, one.heading_rad + math.pi / 2, other.heading_rad, other.heading_rad + math.pi / 2):
        axis = np.array([math.cos(angle), math.sin(angle)])
        low, high = (first @ axis).min(), (first @ axis).max()
        moved = shifts @ axis
        apart |= ((second @ axis).min() + moved > high) | ((second @ axis).max() + moved < low)
    return np.asarray(~apart)


def reach(size: RoadUser) -> float:
    """Half the diagonal of a body."""
    return math.hypot(size.length_m, size.width_m) / 2


def _turned(heading_rad: float, length_m: float, width_m: float) -> Floats:
    """Corners ``(4, 2)`` about the origin."""
    cos, sin = math.cos(heading_rad), math.sin(heading_rad)
    corners = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) * (length_m / 2, width_m / 2)
    return np.asarray(corners @ np.array([[cos, sin], [-sin, cos]]))


def _directions(ground: Ground, place_m: tuple[float, float]) -> tuple[Floats, Floats]:
    """Unit vectors ``(2,)`` on the ground: the one that leads down the picture fastest, and that down its column."""
    matrix = ground.to_picture_matrix
    third = float(matrix[2] @ (*place_m, 1.0))
    column, row = (matrix[:2] @ (*place_m, 1.0)) / third
    across = matrix[0, :2] - column * matrix[2, :2]
    down = matrix[1, :2] - row * matrix[2, :2]
    down = down / max(float(np.hypot(*down)), 1e-12)
    sight = np.array([-across[1], across[0]]) / max(float(np.hypot(*across)), 1e-12)
    return down, sight if float(sight @ down) >= 0 else -sight
