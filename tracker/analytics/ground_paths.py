"""Motion on the ground: position and velocity of identities by regression of their contacts over a second.

A straight line in time is fitted to the contacts in metres (least squares, each axis for itself). Its slope at the
middle of the window is the velocity even while that changes evenly. The standard error is the larger one of two: that
of the scatter about the line, and that of a noise of the picture, which the homography makes larger with distance.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.analytics.geometry import Floats
    from tracker.ground import Ground

__all__ = ["WINDOW_S", "GroundPaths", "Motion"]

WINDOW_S = 1.0
"""Of the regression. On rendered traffic the median error of a speed is 0.3 % below 40 m, 0.7 % at 40 to 80 m."""
KEEP_S = 4.0
"""Contacts that are kept: crossings become certain a second or two after they happened."""
LEAST_POINTS, LEAST_SHARE = 4, 0.6
"""Contacts in a window, and the share of the window that they must span."""
NOISE_PX = 0.5
"""Of a contact, standard deviation along either side of the picture."""
LEAST_BEND_POINTS, BENDS = 6, 6.0
"""Contacts from which a bend is believed, and its square over its variance."""
WANDER = 0.005
"""Standard error that no regression shows, as a share of the speed: the silhouette turns and is lit anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """How an identity moved at one time.

    Attributes:
        time_s: The time.
        x_m, y_m: Its ground contact.
        x_m_s, y_m_s: Its velocity.
        error_m_s: Standard error of the speed.
        points: Contacts in the window.
    """

    time_s: float
    x_m: float
    y_m: float
    x_m_s: float
    y_m_s: float
    error_m_s: float
    points: int

    @property
    def speed_m_s(self) -> float:
        """Of the ground contact."""
        return math.hypot(self.x_m_s, self.y_m_s)

    @property
    def heading_rad(self) -> float:
        """Of the velocity, from the ground's ``x`` towards its ``y``."""
        return math.atan2(self.y_m_s, self.x_m_s)


class GroundPaths:
    """Contacts of identities on the ground over the last seconds.

    Args:
        ground: Of the site.
        keep_s: How long contacts are kept.
    """

    def __init__(self, ground: Ground, *, keep_s: float = KEEP_S) -> None:
        self._ground, self._keep_s = ground, keep_s
        self._paths: dict[int, deque[tuple[float, float, float, float, float]]] = {}

    @property
    def identities(self) -> list[int]:
        """All that have contacts."""
        return list(self._paths)

    def note(self, ids: Sequence[int], time_s: float, shares: Floats) -> None:
        """Take contacts that were seen.

        Args:
            ids: Of ``N`` identities.
            time_s: When.
            shares: ``(N, 2)`` of the picture.
        """
        if not len(ids):
            return
        metres = self._ground.to_metres(shares)
        for identity, (x_m, y_m), (x, y) in zip(ids, metres.tolist(), shares.tolist(), strict=True):
            if not math.isfinite(x_m):
                continue
            path = self._paths.setdefault(identity, deque())
            if path and time_s <= path[-1][0]:
                continue
            path.append((time_s, x_m, y_m, x, y))
            while path[0][0] < time_s - self._keep_s:
                path.popleft()

    def forget(self, identity: int) -> None:
        """The identity is gone."""
        self._paths.pop(identity, None)

    def last(self, identity: int) -> tuple[float, float, float] | None:
        """Time and place in metres of the last contact."""
        path = self._paths.get(identity)
        return None if not path else path[-1][:3]

    def motion(self, identity: int, time_s: float, size: tuple[int, int]) -> Motion | None:
        """Position and velocity at a time; ``None`` where too few contacts were seen about it.

        Near a path's end the window is moved to where there are contacts.

        Args:
            identity: Which.
            time_s: When.
            size: ``(width, height)`` of the picture in pixels, for the noise.
        """
        path = self._paths.get(identity)
        if not path:
            return None
        middle = min(max(time_s, path[0][0] + WINDOW_S / 2), path[-1][0] - WINDOW_S / 2)
        if path[-1][0] - path[0][0] < WINDOW_S:
            middle = (path[0][0] + path[-1][0]) / 2
        half = WINDOW_S / 2 + 1e-6
        held = np.array([point for point in path if abs(point[0] - middle) <= half])
        if len(held) < LEAST_POINTS or held[-1, 0] - held[0, 0] < LEAST_SHARE * WINDOW_S:
            return None
        if not held[0, 0] - WINDOW_S / 2 <= time_s <= held[-1, 0] + WINDOW_S / 2:
            return None
        return self._fitted(held, time_s, size)

    def _fitted(self, held: Floats, time_s: float, size: tuple[int, int]) -> Motion:
        """The line through contacts ``(P, 5)``: seconds, metres, shares."""
        mean_s = held[:, 0].mean()
        since = held[:, 0] - mean_s
        spread = float(since @ since)
        middle = held[:, 1:3].mean(axis=0)
        slope = since @ held[:, 1:3] / spread
        rest = held[:, 1:3] - middle - since[:, None] * slope
        scatter = rest.T @ rest / (len(held) - 2)
        jacobian = self._ground.jacobians(held[:, 3:].mean(axis=0, keepdims=True))[0] * (NOISE_PX / np.array(size))
        speed = float(np.hypot(*slope))
        along = slope / speed if speed > 1e-9 else np.array([1.0, 0.0])
        variance = max(float(along @ scatter @ along), float(np.square(along @ jacobian).sum()))
        across = np.array([-along[1], along[0]])
        bend = self._bend(since, rest @ across, time_s - mean_s)
        x_m, y_m = (middle + (time_s - mean_s) * slope + bend * across).tolist()
        return Motion(
            time_s=time_s,
            x_m=x_m,
            y_m=y_m,
            x_m_s=float(slope[0]),
            y_m_s=float(slope[1]),
            error_m_s=math.hypot(math.sqrt(variance / spread), WANDER * speed),
            points=len(held),
        )

    @staticmethod
    def _bend(since: Floats, rest: Floats, at: float) -> float:
        """How far beside the line through contacts a curve through them is at a time; 0 where none shows.

        A line cuts corners: by 0.13 m at 5 m/s on a radius of 8 m.

        Args:
            since: ``(P,)`` seconds from the mean of their times.
            rest: ``(P,)`` metres beside the line.
            at: Seconds from that mean.
        """
        if len(since) < LEAST_BEND_POINTS or not since[0] - 0.05 <= at <= since[-1] + 0.05:
            return 0.0
        square = np.square(since)
        # What is left of the square beside a line: bends are fitted to it alone.
        level, tilt = square.mean(), float(since @ square) / float(since @ since)
        beside = square - level - tilt * since
        spread = float(beside @ beside)
        bend = float(beside @ rest) / spread
        scatter = float(np.square(rest - beside * bend).sum()) / (len(since) - 3)
        return bend * (at**2 - level - tilt * at) if bend**2 * spread >= BENDS * max(scatter, 1e-12) else 0.0

    def state(self) -> list[list[Any]]:
        """Plain values to continue from."""
        return [[identity, [list(point) for point in path]] for identity, path in self._paths.items()]

    def restore(self, kept: Sequence[Sequence[Any]], shift_s: float) -> None:
        """Continue from :meth:`state` with ``shift_s`` added to all times."""
        for identity, path in kept:
            self._paths[identity] = deque((time_s + shift_s, *rest) for time_s, *rest in path)
