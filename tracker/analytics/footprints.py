"""Footprints of road users: where a body stands on the ground, from its contact, its way and the size of its class.

A contact is where the wheels that are nearest to the camera touch the ground, not the middle of the body: of the
rectangle of the wheels, with the direction of travel, the part that lies lowest in the picture.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from tracker.analytics.geometry import Flags, Floats
    from tracker.ground import Ground
    from tracker.traffic import RoadUser

__all__ = ["Footprint", "footprint", "meet", "reach"]

SOFT_M = 0.25
"""Corners that are not farther from the camera than the nearest one by about this much share the contact: the lowest
band of a silhouette, on either side of it."""


class Footprint(NamedTuple):
    """A rectangle on the ground.

    Attributes:
        x_m, y_m: Its middle.
        heading_rad: Of its long side, as it travels.
        length_m, width_m: Its sides.
        ahead_m: The contact is so far ahead of the middle, negative behind it.
    """

    x_m: float
    y_m: float
    heading_rad: float
    length_m: float
    width_m: float
    ahead_m: float

    @property
    def front_m(self) -> float:
        """From the contact to the front end, along the way."""
        return self.length_m / 2 - self.ahead_m

    @property
    def rear_m(self) -> float:
        """From the contact back to the rear end."""
        return self.length_m / 2 + self.ahead_m

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


def footprint(ground: Ground, contact_m: tuple[float, float], heading_rad: float, size: RoadUser) -> Footprint:
    """The footprint of a body.

    Args:
        ground: Of the site: it tells which way the camera is.
        contact_m: Where the body's contact is on the ground.
        heading_rad: Which way it travels.
        size: Of its class.
    """
    toward = _toward(ground, contact_m)
    wheels = _turned(heading_rad, size.base_m, size.width_m)
    nearness = wheels @ toward
    weights = np.exp((nearness - nearness.max()) / SOFT_M)
    offset = weights @ wheels / weights.sum()
    ahead = float(offset @ (math.cos(heading_rad), math.sin(heading_rad)))
    return Footprint(
        x_m=contact_m[0] - float(offset[0]),
        y_m=contact_m[1] - float(offset[1]),
        heading_rad=heading_rad,
        length_m=size.length_m,
        width_m=size.width_m,
        ahead_m=ahead,
    )


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


def _toward(ground: Ground, place_m: tuple[float, float]) -> Floats:
    """Unit vector ``(2,)`` along which the ground falls fastest down the picture: towards the camera."""
    matrix = ground.to_picture_matrix
    x, y = place_m
    third = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    down = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) / third
    slope = np.array([matrix[1, 0] - down * matrix[2, 0], matrix[1, 1] - down * matrix[2, 1]]) / third
    return np.asarray(slope / max(float(np.hypot(*slope)), 1e-12))
