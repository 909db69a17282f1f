"""Sizes of identities in metres, from their boxes: width and height as seen, and the area on which a body stands.

A homography of a plane that was taken by a camera with square pixels and its axis in the picture's middle gives the
focal length too (Zhang 2000, section 3.1), and with it the direction upwards: heights follow from the upper edge of the
box over the middle of the footprint. Where the focal length is not determined, as from straight above, there are no
sizes.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tracker.analytics.footprints import across_picture
from tracker.traffic import RoadUser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.analytics.footprints import Footprint
    from tracker.analytics.geometry import Floats
    from tracker.ground import Ground
    from tracker.traffic import Traffic

__all__ = ["Dimensions", "Size", "Upright", "sizes"]

EDGE_PX = 1.0
"""Standard deviation of an edge of a box."""
CLASS_SHARE = 0.15
"""Standard deviation of the length or width of a class, as a share of it."""
FOCAL = (0.2, 50.0)
"""Least and largest focal length that is believed, in picture heights."""
AROUND_S, KEEP_S = 0.5, 3.0
EDGE_SHARE = 0.004
"""A box so near to the picture's edge is cut off."""
ASIDE, LIKELY = 0.5, (0.7, 2.0)
"""Cosine of the angle between the way and the picture's rows from which a length is believed, and shares of that of the
class."""
ROUND_M = 0.18
"""By how much rounded corners make a body narrower than a box where it is seen from 45 degrees: 0.17 to 0.22 m on
rendered cars, the same for all of them."""
BROAD_M = 2.3
"""Classes from this width on have one width."""
BROADEST = 0.6
"""Share of a body's height at which its silhouette is taken to be broadest, under the windows: an assumption."""
LEAST_SEEN, MOST_SEEN, QUANTILE = 5, 40, 0.5
"""Lengths of an identity that tell its own, those that are kept, and which quantile of them it is."""
SLANTED = 0.5
"""Sine of the angle between the way and the line of sight from which on the long side is seen."""


class Size(NamedTuple):
    """One length in metres, or an area in square metres, and its standard error."""

    name: str
    value: float
    error: float


class Upright:
    """The camera that a ground was taken with, as far as heights need it.

    Args:
        ground: Of the site.
        aspect: Width over height of the picture.
    """

    def __init__(self, ground: Ground, *, aspect: float) -> None:
        self._aspect = aspect
        to_centre = np.array([[aspect, 0.0, -aspect / 2], [0.0, 1.0, -0.5], [0.0, 0.0, 1.0]])
        self._plane: Floats = to_centre @ ground.to_picture_matrix
        self.focal = _focal(self._plane)
        self._upwards = None if self.focal is None else _upwards(self._plane, self.focal)

    def height_m(self, place_m: tuple[float, float], y: float) -> tuple[float, float] | None:
        """Height over the ground at which a point at a place is in row ``y`` of the picture, and metres per height.

        Args:
            place_m: On the ground.
            y: Share of the picture's height.
        """
        if self._upwards is None:
            return None
        foot, row = self._plane @ (*place_m, 1.0), y - 0.5
        lower = self._upwards[1] - row * self._upwards[2]
        if foot[2] <= 0 or abs(lower) < 1e-12:
            return None
        height = float((row * foot[2] - foot[1]) / lower)
        # d height / d row
        slope = float((foot[2] + height * self._upwards[2]) / lower)
        return height, abs(slope)

    def raised(self, stands: Footprint, y: float) -> Floats | None:
        """What the height at which a body is broadest adds to homogeneous places ``(3,)`` in shares of the picture.

        Args:
            stands: Its footprint.
            y: Of the upper edge of its box, a share of the picture's height.
        """
        height = self.height_m((stands.x_m, stands.y_m), y)
        if self._upwards is None or height is None or height[0] <= 0:
            return None
        share = np.array([[1 / self._aspect, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
        return np.asarray(share @ self._upwards * (BROADEST * height[0]))


def _focal(plane: Floats) -> float | None:
    """Focal length in picture heights from a homography ``(3, 3)`` whose origin is the picture's middle."""
    one, two = plane[:, 0], plane[:, 1]
    first, second = float(one[:2] @ two[:2]), float(one[2] * two[2])
    third, fourth = float(one[:2] @ one[:2] - two[:2] @ two[:2]), float(one[2] ** 2 - two[2] ** 2)
    weight = first**2 + third**2
    if weight < 1e-18:
        return None
    inverse = -(first * second + third * fourth) / weight  # 1 / f2, least squares of both conditions
    if inverse <= 0:
        return None
    focal = 1 / math.sqrt(inverse)
    return focal if FOCAL[0] <= focal <= FOCAL[1] else None


def _upwards(plane: Floats, focal: float) -> Floats:
    """Column ``(3,)`` of the camera matrix for a metre upwards, in the scale of the plane's columns."""
    matrix = np.diag([focal, focal, 1.0])
    inside = np.linalg.inv(matrix) @ plane
    scale = 2 / float(np.linalg.norm(inside[:, 0]) + np.linalg.norm(inside[:, 1]))
    first, second, origin = (inside * scale).T
    normal = np.cross(first, second)
    normal /= np.linalg.norm(normal)
    # The camera, at the origin of its own axes, is above the ground: up leads from the plane to it.
    if float(normal @ -origin) < 0:
        normal = -normal
    return np.asarray(matrix @ normal / scale)


class Dimensions:
    """Boxes of identities over the last seconds."""

    def __init__(self) -> None:
        self._boxes: dict[int, deque[tuple[float, float, float, float, float]]] = {}

    def note(self, ids: Sequence[int], time_s: float, boxes: Floats) -> None:
        """Boxes ``(N, 4)`` xyxy in shares of the picture, of contacts that are seen."""
        for identity, box in zip(ids, boxes.tolist(), strict=True):
            if min(box[0], box[1], 1 - box[2], 1 - box[3]) < EDGE_SHARE:
                continue
            held = self._boxes.setdefault(identity, deque())
            held.append((time_s, *box))
            while held[0][0] < time_s - KEEP_S:
                held.popleft()

    def box(self, identity: int, time_s: float) -> Floats | None:
        """Width, and height above the contact, of its box about a time: ``(2,)`` shares, medians over a second."""
        near = [one[1:] for one in self._boxes.get(identity, ()) if abs(one[0] - time_s) <= AROUND_S]
        if not near:
            return None
        boxes = np.array(near)
        return np.asarray(np.median(boxes[:, 2:] - boxes[:, :2], axis=0))

    def forget(self, identity: int) -> None:
        """The identity is gone."""
        self._boxes.pop(identity, None)

    def state(self) -> list[list[Any]]:
        """Plain values to continue from."""
        return [[identity, [list(one) for one in held]] for identity, held in self._boxes.items()]

    def restore(self, kept: Sequence[Sequence[Any]], shift_s: float) -> None:
        """Continue from :meth:`state` with ``shift_s`` added to all times."""
        for identity, held in kept:
            self._boxes[identity] = deque((time_s + shift_s, *box) for time_s, *box in held)


class Lengths:
    """Lengths of bodies that were seen from the side; of the others those of their classes.

    Args:
        traffic: Sizes of the classes.
    """

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._seen: dict[int, deque[float]] = {}

    def note(self, identity: int, length_m: float | None) -> None:
        """A length that was seen, or ``None``."""
        if length_m is not None:
            self._seen.setdefault(identity, deque(maxlen=MOST_SEEN)).append(length_m)

    def body(self, identity: int, class_name: str) -> RoadUser:
        """The size of an identity: what hides a part of it makes it shorter, so that a high quantile counts."""
        usual, seen = self._traffic.size_of(class_name), self._seen.get(identity, ())
        if len(seen) < LEAST_SEEN:
            return usual
        length = float(np.quantile(np.array(seen), QUANTILE))
        base = min(usual.base_m * length / usual.length_m, length)
        return RoadUser(length_m=length, width_m=_width_m(length, usual), base_m=base)

    def forget(self, identity: int) -> None:
        """The identity is gone."""
        self._seen.pop(identity, None)

    def state(self) -> list[list[Any]]:
        """Plain values to continue from."""
        return [[identity, list(seen)] for identity, seen in self._seen.items()]

    def restore(self, kept: Sequence[Sequence[Any]]) -> None:
        """Continue from :meth:`state`."""
        for identity, seen in kept:
            self._seen[identity] = deque(seen, maxlen=MOST_SEEN)


def _width_m(length_m: float, usual: RoadUser) -> float:
    """Width of a body by its length: longer cars are broader, lorries and buses as broad as roads allow."""
    if usual.width_m >= BROAD_M:
        return usual.width_m
    return usual.width_m * min(max(math.sqrt(max(length_m, 0.0) / usual.length_m), 1 - CLASS_SHARE), 1 + CLASS_SHARE)


def seen_length_m(
    ground: Ground, *, wide: float, stands: Footprint, body: RoadUser, raised: Floats | None = None
) -> float | None:
    """Length of a body whose long side is seen; ``None`` where it is not, or where it cannot be one of its class.

    Args:
        ground: Of the site.
        wide: Width of the box, a share of the picture.
        stands: The footprint, as far as sizes are known.
        body: Usual sizes of the class.
        raised: See :meth:`Upright.raised`.
    """
    middle = np.array([[stands.x_m, stands.y_m]])
    across = ground.jacobians(ground.to_picture(middle))[0][:, 0]
    sine = abs(math.sin(math.atan2(across[1], across[0]) - stands.heading_rad))
    cosine = math.sqrt(max(1 - sine**2, 0.0))
    # Along the picture's rows the whole length shows.
    if cosine < ASIDE:
        return None
    scale, length = float(np.hypot(*across)), stands.length_m
    whole = wide + ROUND_M * 2 * sine * cosine / scale
    for _ in range(2):
        box = stands._replace(length_m=length, width_m=_width_m(length, body))
        length += (whole - across_picture(ground, box, raised)) * scale / cosine
    low, high = (factor * body.length_m for factor in LIKELY)
    return length if low <= length <= high else None


def sizes(
    ground: Ground,
    upright: Upright,
    *,
    box: Floats,
    row: float,
    stands: Footprint,
    body: RoadUser,
    size: tuple[int, int],
) -> list[Size]:
    """Width, height and ground area of a body at one moment.

    Args:
        ground: Of the site.
        upright: Its camera.
        box: ``(2,)`` width and height of the box, in shares of the picture.
        row: Of the contact, a share of the picture's height.
        stands: The footprint.
        body: Usual sizes of the class: the side that is not seen is taken from it.
        size: Of the picture in pixels.
    """
    middle = (stands.x_m, stands.y_m)
    at = ground.to_picture(np.array([middle]))
    if not np.isfinite(at).all():
        return []
    across, _ = ground.jacobians(at)[0].T
    scale = float(np.hypot(*across))
    width = scale * float(box[0])
    width_error = scale * EDGE_PX * math.sqrt(2) / size[0]
    found = [Size("width", width, width_error)]
    upper = upright.height_m(middle, row - float(box[1]))
    if upper is not None and upper[0] > 0:
        found.append(Size("height", upper[0], upper[1] * EDGE_PX * math.sqrt(2) / size[1]))
    sine = abs(math.sin(math.atan2(across[1], across[0]) - stands.heading_rad))
    cosine = math.sqrt(max(1 - sine**2, 0.0))
    # The extent across the line of sight is made of both sides: the one that is seen better follows from the other.
    if cosine >= SLANTED:
        seen, known, share = (width - body.width_m * sine) / cosine, body.width_m, sine / cosine
    else:
        seen, known, share = (width - body.length_m * cosine) / sine, body.length_m, cosine / sine
    if seen > 0:
        unknown = CLASS_SHARE * known
        spread = math.hypot(known * width_error / max(cosine, sine), unknown * abs(seen - known * share))
        found.append(Size("ground_area", seen * known, spread))
    return found
