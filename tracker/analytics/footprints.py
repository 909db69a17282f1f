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

__all__ = ["Footprint", "across_picture", "footprint", "meet", "reach", "settled"]

NARROW_M = 1.2
"""A narrower body stands on its middle line: two wheels behind each other, two feet."""
TURN_S, TURNS = 0.3, 2
"""About a moment, the motion of the middle of a body by which it is turned; how often that is repeated."""
REFINED, LEAST_DEPTH = 2, 0.2
"""How often a middle is corrected by what the picture shows; least depth of a corner as a share of the middle's."""
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
        return np.asarray(self.holds_along(points, np.array([[self.x_m, self.y_m, self.heading_rad]]))[0])

    def holds_along(self, points: Floats, places: Floats) -> Flags:
        """Which of points ``(N, 2)`` lie in it at other places ``(T, 3)``, ``x_m, y_m, heading_rad``: ``(T, N)``."""
        x_m, y_m, headings = places.T[..., None]
        cos, sin = np.cos(headings), np.sin(headings)
        x, y = points[:, 0] - x_m, points[:, 1] - y_m
        held: Flags = np.abs(x * cos + y * sin) <= self.length_m / 2
        return np.asarray(held & (np.abs(y * cos - x * sin) <= self.width_m / 2))


def footprint(ground: Ground, middle_m: tuple[float, float], heading_rad: float, size: RoadUser) -> Footprint:
    """The footprint of a body.

    Args:
        ground: Of the site: it tells which way the camera is.
        middle_m: On the ground, the place below the middle of the body's box, in the row of its contact.
        heading_rad: Which way it travels.
        size: Of its class.
    """
    x_m, y_m = _middles(ground, np.array([middle_m]), np.array([heading_rad]), size, refined=1)[0].tolist()
    return Footprint(x_m=x_m, y_m=y_m, heading_rad=heading_rad, length_m=size.length_m, width_m=size.width_m)


def across_picture(ground: Ground, stands: Footprint, raised: Floats | None = None) -> float:
    """Width of a footprint in the picture, a share of the picture's width; NaN where it reaches the horizon.

    Args:
        ground: Of the site.
        stands: The footprint.
        raised: ``(3,)``, what a height adds to homogeneous places in the picture; the ground's own level without it.
    """
    homogeneous = np.column_stack([stands.corners, np.ones(4)]) @ ground.to_picture_matrix.T
    if raised is not None:
        homogeneous += raised
    if np.ptp(np.sign(homogeneous[:, 2])) > 0:
        return math.nan
    return float(np.ptp(homogeneous[:, 0] / homogeneous[:, 2]))


def _middles(
    ground: Ground, contacts_m: Floats, headings_rad: Floats, size: RoadUser, *, refined: int = REFINED
) -> Floats:
    """Middles ``(N, 2)`` of bodies, such that their corners and wheels are where the picture has them.

    The outermost corners are equally far to either side of the contact's column, and the nearest wheels are in its row.

    Args:
        ground: Of the site.
        contacts_m: ``(N, 2)``, see :func:`footprint`.
        headings_rad: ``(N,)``.
        size: Of the body.
        refined: How often they are corrected; once leaves centimetres.
    """
    matrix = ground.to_picture_matrix
    corners = _turned(headings_rad, size.length_m, size.width_m)  # (N, 4, 2)
    wheels = _turned(headings_rad, size.base_m, size.width_m if size.width_m > NARROW_M else 0.0)
    down, sight = _directions(matrix, contacts_m)
    # The nearest wheels are in the row of the contact; the middle of the body is behind it, in the box's middle column.
    away = np.einsum("nwd,nd->nw", wheels, down).max(axis=1) / np.maximum((down * sight).sum(axis=1), 0.2)
    first = contacts_m - away[:, None] * sight
    seen, _ = _project(matrix, contacts_m)
    middles = first
    for _ in range(refined):
        sides, depth = _project(matrix, middles[:, None] + corners)
        rows, _ = _project(matrix, middles[:, None] + wheels)
        columns = (sides[..., 0].min(axis=1) + sides[..., 0].max(axis=1)) / 2
        off = seen - np.column_stack([columns, rows[..., 1].max(axis=1)])
        shown, own = _project(matrix, middles)
        slopes = (matrix[None, :2, :2] - shown[:, :, None] * matrix[None, 2:, :2]) / own[:, None, None]  # (N, 2, 2)
        determinant = slopes[:, 0, 0] * slopes[:, 1, 1] - slopes[:, 0, 1] * slopes[:, 1, 0]
        step = (
            np.stack(
                [
                    slopes[:, 1, 1] * off[:, 0] - slopes[:, 0, 1] * off[:, 1],
                    slopes[:, 0, 0] * off[:, 1] - slopes[:, 1, 0] * off[:, 0],
                ],
                axis=1,
            )
            / np.where(determinant == 0, np.inf, determinant)[:, None]
        )
        middles = middles + step
        # A body that reaches the horizon, or one that would move by more than its length, stays where it was.
        near = (depth / own[:, None] > LEAST_DEPTH).all(axis=1) & (np.hypot(*(middles - first).T) < size.length_m)
        middles = np.where(near[:, None], middles, first)
    return np.asarray(middles)


def _project(matrix: Floats, points: Floats) -> tuple[Floats, Floats]:
    """Places ``(..., 2)`` in the picture of points on the ground, and the depths ``(...)`` that divide them."""
    homogeneous = points @ matrix[:, :2].T + matrix[:, 2]
    depth = homogeneous[..., 2]
    return homogeneous[..., :2] / np.where(depth == 0, 1e-12, depth)[..., None], depth


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
    near = np.abs(times[:, None] - times) <= TURN_S + 1e-6  # (N, N)
    counts = np.maximum(near.sum(axis=1), 1)
    since = np.where(near, times - (near @ times / counts)[:, None], 0.0)
    spread = np.square(since).sum(axis=1)
    # At the ends of a way the moments about one lie to one side of it.
    told = (counts > 2) & (np.abs(near @ times / counts - times) < TURN_S / 5)
    for _ in range(TURNS):
        middles = _middles(ground, contacts_m, headings, size)
        speeds = since @ middles / np.maximum(spread, 1e-9)[:, None]
        turned = told & (np.hypot(*speeds.T) >= LEAST_M_S)
        headings[turned] = np.arctan2(speeds[turned, 1], speeds[turned, 0])
    places = _middles(ground, contacts_m, headings, size).tolist()
    return [
        Footprint(x_m, y_m, heading, size.length_m, size.width_m)
        for (x_m, y_m), heading in zip(places, headings.tolist(), strict=True)
    ]


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


def _turned(heading_rad: Floats | float, length_m: float, width_m: float) -> Floats:
    """Corners ``(4, 2)`` about the origin; ``(N, 4, 2)`` for ``(N,)`` directions."""
    cos, sin = np.cos(heading_rad), np.sin(heading_rad)
    corners = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) * (length_m / 2, width_m / 2)
    return np.asarray(corners @ np.array([[cos, -sin], [sin, cos]]).T)


def _directions(matrix: Floats, places_m: Floats) -> tuple[Floats, Floats]:
    """Unit vectors ``(N, 2)`` on the ground: those that lead down the picture fastest, and those down its column."""
    shown, depth = _project(matrix, places_m)
    across, down = (matrix[row, :2] - shown[:, row, None] * matrix[2, :2] for row in (0, 1))
    # By the depth's sign, a matrix and its negative say the same.
    across, down = across * np.sign(depth)[:, None], down * np.sign(depth)[:, None]
    down = down / np.maximum(np.hypot(*down.T), 1e-12)[:, None]
    sight = np.stack([-across[:, 1], across[:, 0]], axis=1) / np.maximum(np.hypot(*across.T), 1e-12)[:, None]
    return down, np.where((sight * down).sum(axis=1, keepdims=True) >= 0, sight, -sight)
