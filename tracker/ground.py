"""Ground of a camera: the homography between its picture and the plane on which things stand, in metres.

From four or more points that are known in both, or from one rectangle of known size: direct linear transform with
normalised coordinates (Hartley and Zisserman 2004, sections 4.1 and 4.4), then least squares of the distances in the
picture, where the points were clicked. Picture coordinates are shares of its width and height, so a ground fits every
size of the same picture.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tracker.errors import ConfigError
from tracker.polygons import convex_hull, first_crossing, is_in_convex

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracker.polygons import Point

    Floats = NDArray[np.float64]

__all__ = ["LEAST_POINTS", "Ground", "GroundPoint", "Rectangle"]

LEAST_POINTS = 4
MOST_POINTS = 200
FLAT_PICTURE, FLAT_METRES = 0.01, 0.001
"""A triangle lower than this share of its longest side is a line: of points that were clicked, and measured."""
FARTHEST_M = 100_000.0
STEPS, SMALLEST_STEP = 30, 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundPoint:
    """A point on the ground that is known in both planes.

    Attributes:
        at: In the picture, as shares of its width and height.
        metres: On the ground; origin and axes are free, the same for all points.
    """

    at: Point
    metres: Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Rectangle:
    """A rectangle on the ground: a parking bay, a piece of road between two markings.

    Attributes:
        corners: Four, in order around it, as shares of the picture: near left, near right, far right, far left gives
            an ``x`` to the right and a ``y`` that goes away from the camera.
        width_m: From the first corner to the second.
        length_m: From the second corner to the third.
    """

    corners: tuple[Point, ...]
    width_m: float
    length_m: float

    @property
    def points(self) -> tuple[GroundPoint, ...]:
        """Its corners, the first one as the origin."""
        ends = (0.0, 0.0), (self.width_m, 0.0), (self.width_m, self.length_m), (0.0, self.length_m)
        return tuple(GroundPoint(at=at, metres=end) for at, end in zip(self.corners, ends, strict=True))


class _Fit(NamedTuple):
    """Both directions ``(3, 3)``; a third homogeneous coordinate above 0 is in front of the camera."""

    to_picture: Floats
    to_metres: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """How a camera's picture lies on the ground, from points or from a rectangle.

    Attributes:
        points: Four or more, no three of four on one line; more than four show an error by their residual.
        rectangle: In their place.

    >>> plaza = Ground(rectangle=Rectangle(corners=((0, 1), (1, 1), (0.75, 0.5), (0.25, 0.5)), width_m=4, length_m=8))
    >>> plaza.to_metres(np.array([[0.5, 0.75], [0.5, 0.5]])).round(6).tolist()
    [[2.0, 2.666667], [2.0, 8.0]]
    """

    points: tuple[GroundPoint, ...] = ()
    rectangle: Rectangle | None = None

    def __post_init__(self) -> None:
        if bool(self.points) == (self.rectangle is not None):
            found = "both" if self.points else "none of them"
            problem = f"expected points or a rectangle, found {found}"
            raise ConfigError("ground", problem, "give 4 points with their metres, or 4 corners of a known rectangle")
        if self.rectangle is not None:
            _check_rectangle(self.rectangle)
        else:
            _check_points(self.points)
        _check_planes(self.known)
        _fitted(self._pairs)

    @property
    def known(self) -> tuple[GroundPoint, ...]:
        """The points, or the rectangle's corners."""
        return self.points if self.rectangle is None else self.rectangle.points

    @property
    def to_metres_matrix(self) -> Floats:
        """``(3, 3)``, shares of the picture to metres, both homogeneous."""
        return _fitted(self._pairs).to_metres

    @property
    def to_picture_matrix(self) -> Floats:
        """``(3, 3)``, metres to shares of the picture."""
        return _fitted(self._pairs).to_picture

    def to_metres(self, points: Floats) -> Floats:
        """Where points ``(N, 2)`` of the picture lie on the ground: ``(N, 2)``; NaN at the horizon and above it."""
        return _mapped(self.to_metres_matrix, points)

    def to_picture(self, points: Floats) -> Floats:
        """Where points ``(N, 2)`` of the ground are in the picture ``(N, 2)``, or beside it; NaN behind the camera."""
        return _mapped(self.to_picture_matrix, points)

    def jacobians(self, points: Floats) -> Floats:
        """Metres per share ``(N, 2, 2)`` at points ``(N, 2)`` of the picture.

        Rows are the ground's ``x`` and ``y``, columns the picture's width and height.
        """
        matrix, places = self.to_metres_matrix, np.asarray(points, np.float64).reshape(-1, 2)
        mapped = _mapped(matrix, places)
        third = places @ matrix[2, :2] + matrix[2, 2]
        return np.asarray((matrix[:2, :2] - mapped[:, :, None] * matrix[2, :2]) / third[:, None, None])

    def metres_per_share(self, points: Floats) -> Floats:
        """The local scale ``(N, 2)``: metres for one width of the picture along it, and for one height down it."""
        return np.asarray(np.linalg.norm(self.jacobians(points), axis=1))

    def extent_m(self, points: Floats) -> float:
        """Metres between the outermost of contacts ``(N, 2)`` of the picture along their main axis: a queue's length.

        >>> lane = Rectangle(corners=((0, 1), (1, 1), (1, 0), (0, 0)), width_m=3, length_m=30)
        >>> Ground(rectangle=lane).extent_m(np.array([[0.5, 0.9], [0.5, 0.5], [0.5, 0.1]])).__round__(6)
        24.0
        """
        metres = self.to_metres(points)
        metres = metres[np.isfinite(metres).all(axis=1)]
        if len(metres) < 2:
            return 0.0
        beside = metres - metres.mean(axis=0)
        axis = np.linalg.svd(beside, full_matrices=False)[2][0]
        return float(np.ptp(beside @ axis))

    def is_between(self, x_m: float, y_m: float) -> bool:
        """Whether a place lies in the convex hull of the known points: beyond it metres are extrapolated."""
        return is_in_convex(_hull(self._pairs), (x_m, y_m))

    @property
    def residuals_m(self) -> Floats:
        """How far each point ``(P,)`` lies off on the ground; zeros of four points, which always fit."""
        at, metres = _arrays(self._pairs)
        return np.asarray(np.linalg.norm(self.to_metres(at) - metres, axis=1))

    @property
    def residual_m(self) -> float:
        """Root mean square of :attr:`residuals_m`."""
        return _root_mean_square(self.residuals_m)

    @property
    def residual_share(self) -> float:
        """Root mean square of the distances in the picture, in shares of it."""
        at, metres = _arrays(self._pairs)
        return _root_mean_square(np.linalg.norm(self.to_picture(metres) - at, axis=1))

    @property
    def is_checked(self) -> bool:
        """Whether there are more points than four, so that the residual says something."""
        return len(self.known) > LEAST_POINTS

    @property
    def _pairs(self) -> tuple[tuple[Point, Point], ...]:
        return tuple((point.at, point.metres) for point in self.known)


def _arrays(pairs: Sequence[tuple[Point, Point]]) -> tuple[Floats, Floats]:
    both = np.array(pairs, np.float64)
    return both[:, 0], both[:, 1]


def _root_mean_square(distances: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(distances))))


def _mapped(matrix: Floats, points: Floats) -> Floats:
    """Points ``(N, 2)`` through a homography; NaN where they are behind the camera or beyond the horizon."""
    places = np.asarray(points, np.float64).reshape(-1, 2)
    third = places @ matrix[2, :2] + matrix[2, 2]
    with np.errstate(invalid="ignore"):
        third = np.where(third > 1e-12, third, np.nan)
    return np.asarray((places @ matrix[:2, :2].T + matrix[:2, 2]) / third[:, None])


@lru_cache(maxsize=256)
def _fitted(pairs: tuple[tuple[Point, Point], ...]) -> _Fit:
    """The homography of pairs of picture shares and metres.

    Raises:
        ConfigError: The horizon would lie between the points.
    """
    at, metres = _arrays(pairs)
    to_unit_at, to_unit_metres = _normalisation(at), _normalisation(metres)
    unit_at, unit_metres = _mapped(to_unit_at, at), _mapped(to_unit_metres, metres)
    matrix = _linear(unit_metres, unit_at)
    # The middle of all points is in front of the camera if they all are: there the third coordinate is 1.
    if abs(matrix[2, 2]) > 1e-9:
        matrix /= matrix[2, 2]
        if len(pairs) > LEAST_POINTS:
            matrix = _refined(matrix, unit_metres, unit_at)
    if not (unit_metres @ matrix[2, :2] + matrix[2, 2] > 0).all():
        problem = "expected points that one camera can see, found that the horizon would lie between them"
        raise ConfigError("ground", problem, "check which metres belong to which point, and the order of corners")
    to_picture = np.linalg.inv(to_unit_at) @ matrix @ to_unit_metres
    fit = _Fit(np.asarray(to_picture, np.float64), np.asarray(np.linalg.inv(to_picture), np.float64))
    for part in fit:
        part.setflags(write=False)
    return fit


@lru_cache(maxsize=256)
def _hull(pairs: tuple[tuple[Point, Point], ...]) -> tuple[Point, ...]:
    return tuple(convex_hull([metres for _, metres in pairs]))


def _normalisation(points: Floats) -> Floats:
    """``(3, 3)`` that puts the middle of points ``(P, 2)`` at the origin and their mean distance at the root of 2."""
    middle = points.mean(axis=0)
    scale = math.sqrt(2) / float(np.linalg.norm(points - middle, axis=1).mean())
    return np.array([[scale, 0.0, -scale * middle[0]], [0.0, scale, -scale * middle[1]], [0.0, 0.0, 1.0]])


def _linear(source: Floats, target: Floats) -> Floats:
    """Direct linear transform ``(3, 3)`` of points ``(P, 2)``."""
    ones, none = np.column_stack([source, np.ones(len(source))]), np.zeros((len(source), 3))
    rows = np.concatenate(
        [
            np.concatenate([ones, none, -target[:, :1] * ones], axis=1),
            np.concatenate([none, ones, -target[:, 1:] * ones], axis=1),
        ]
    )
    return np.asarray(np.linalg.svd(rows)[2][-1].reshape(3, 3))


def _refined(matrix: Floats, source: Floats, target: Floats) -> Floats:
    """Gauss-Newton steps to the least squared distances in the target plane, the last element fixed at 1."""
    ones = np.column_stack([source, np.ones(len(source))])
    for _ in range(STEPS):
        third = ones @ matrix[2]
        if (third <= 0).any():
            break
        mapped = ones @ matrix[:2].T / third[:, None]
        scaled = ones / third[:, None]
        none = np.zeros_like(scaled)
        system = np.concatenate(
            [
                np.concatenate([scaled, none, -mapped[:, :1] * scaled[:, :2]], axis=1),
                np.concatenate([none, scaled, -mapped[:, 1:] * scaled[:, :2]], axis=1),
            ]
        )
        missing = np.concatenate([target[:, 0] - mapped[:, 0], target[:, 1] - mapped[:, 1]])
        step = np.linalg.lstsq(system, missing, rcond=None)[0]
        matrix = matrix + np.append(step, 0.0).reshape(3, 3)
        if float(np.abs(step).max()) < SMALLEST_STEP:
            break
    return matrix


def _check_points(points: tuple[GroundPoint, ...]) -> None:
    if not LEAST_POINTS <= len(points) <= MOST_POINTS:
        problem = f"expected from {LEAST_POINTS} to {MOST_POINTS} points, found {len(points)}"
        raise ConfigError("ground", problem, "measure points that are far apart in the picture")
    for number, point in enumerate(points, start=1):
        _check_share(f"point {number}", point.at)
        if not all(math.isfinite(value) and abs(value) <= FARTHEST_M for value in point.metres):
            x, y = point.metres
            problem = f"expected metres up to {FARTHEST_M:.0f}, found ({x:g}, {y:g}) at point {number}"
            raise ConfigError("ground", problem, "count from an origin near the camera")


def _check_rectangle(rectangle: Rectangle) -> None:
    if len(rectangle.corners) != LEAST_POINTS:
        problem = f"expected 4 corners of the rectangle, found {len(rectangle.corners)}"
        raise ConfigError("ground", problem, "put them in order around it, the near left one first")
    for number, corner in enumerate(rectangle.corners, start=1):
        _check_share(f"corner {number}", corner)
    for what, value in (("width_m", rectangle.width_m), ("length_m", rectangle.length_m)):
        if not (math.isfinite(value) and 0.01 <= value <= FARTHEST_M):
            problem = f"expected {what} from 0.01 to {FARTHEST_M:.0f}, found {value:g}"
            raise ConfigError("ground", problem, "measure it in metres")
    if crossing := first_crossing(rectangle.corners, closed=True):
        edges = f"{crossing[0] + 1} and {crossing[1] + 1}"
        problem = f"expected corners in order around the rectangle, found that its edges {edges} cross"
        raise ConfigError("ground", problem, "near left, near right, far right, far left")


def _check_share(what: str, point: Point) -> None:
    x, y = point
    if not (0 <= x <= 1 and 0 <= y <= 1):
        problem = f"expected x and y from 0 to 1, found ({x:g}, {y:g}) as {what}, outside the picture"
        raise ConfigError("ground", problem, "divide pixels by the picture's width and height")


def _check_planes(points: Sequence[GroundPoint]) -> None:
    """Refuse points that leave the homography open: in either plane all but one or fewer lie on a line."""
    for plane, places, flat in (
        ("in the picture", np.array([point.at for point in points], np.float64), FLAT_PICTURE),
        ("in metres", np.array([point.metres for point in points], np.float64), FLAT_METRES),
    ):
        for first, second in itertools.combinations(range(len(places)), 2):
            if (places[first] == places[second]).all():
                problem = f"expected points that differ, found points {first + 1} and {second + 1} on one place {plane}"
                raise ConfigError("ground", problem, "remove one of them")
        held = _on_one_line(places, flat)
        if held is not None:
            listed = ", ".join(str(row + 1) for row in held[:-1]) + f" and {held[-1] + 1}"
            problem = f"expected four points of which no three lie on a line, found points {listed} on one line {plane}"
            raise ConfigError("ground", problem, "add a point beside that line, or move one")


def _on_one_line(places: Floats, flat: float) -> list[int] | None:
    """Rows of points ``(P, 2)`` on one line where at most one other is left, or ``None``."""
    for first, second in itertools.combinations(range(len(places)), 2):
        along = places[second] - places[first]
        beside = places - places[first]
        across = np.abs(along[0] * beside[:, 1] - along[1] * beside[:, 0])
        # Of the triangle with the two: its lowest height is twice the area over the longest side.
        longest = np.maximum(np.linalg.norm(beside, axis=1), np.linalg.norm(places - places[second], axis=1))
        longest = np.maximum(longest, np.linalg.norm(along))
        near = across <= flat * longest**2
        if int((~near).sum()) <= 1:
            return [int(row) for row in np.flatnonzero(near)]
    return None
