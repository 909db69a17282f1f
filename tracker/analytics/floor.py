"""Distances on the floor in metres: by the site's ground, or estimated from the heights of persons.

Without a ground a person is taken as 1.7 m tall, and a metre of depth as 0.45 of the height of a metre that stands up,
which holds for a camera that looks down by about 24 degrees. That is good enough to tell standing from walking and
neighbours from strangers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.analytics.geometry import Floats
    from tracker.ground import Ground
    from tracker.polygons import Point

__all__ = ["Floor"]

BODY_M = 1.7
DEPTH_SHARE = 0.45
"""Height in the picture of a metre of depth over that of a metre that stands up: the tangent of the angle downwards."""


class Floor:
    """Distances between ground contacts.

    Args:
        ground: Of the site; ``None`` = distances are estimated from heights.
        aspect: Width over height of the picture.
    """

    def __init__(self, ground: Ground | None, *, aspect: float) -> None:
        self._ground, self._aspect = ground, aspect

    def reach_m(self, point: Point, shape: Sequence[Point], *, closed: bool) -> float | None:
        """Metres from a contact to the nearest place of a line or outline; ``None`` without a ground.

        Args:
            point: In picture heights.
            shape: Corners, in shares of the picture.
            closed: It is an outline.
        """
        if self._ground is None:
            return None
        corners = self._ground.to_metres(np.array(shape, np.float64))
        here = self._ground.to_metres(np.array([point]) / (self._aspect, 1.0))[0]
        starts, ends = (corners, np.roll(corners, -1, axis=0)) if closed else (corners[:-1], corners[1:])
        along = ends - starts
        share = ((here - starts) * along).sum(axis=1) / np.maximum((along**2).sum(axis=1), 1e-12)
        nearest = starts + np.clip(share, 0, 1)[:, None] * along
        return float(np.hypot(*(nearest - here).T).min())

    def distances_m(self, one: Floats, other: Floats, heights: Floats) -> Floats:
        """Metres ``(N,)`` from contacts to contacts.

        Args:
            one: ``(N, 2)`` in picture heights.
            other: ``(N, 2)`` likewise.
            heights: ``(N,)`` of the persons there, in picture heights; not asked for with a ground.

        >>> one, other = np.array([[0.1, 0.5]]), np.array([[0.2, 0.5]])
        >>> Floor(None, aspect=1.0).distances_m(one, other, np.array([0.17])).round(3).tolist()
        [1.0]
        """
        if self._ground is not None:
            scale = self._aspect, 1.0
            return np.asarray(
                np.hypot(*(self._ground.to_metres(other / scale) - self._ground.to_metres(one / scale)).T)
            )
        across, down = (other - one).T
        return np.asarray(np.hypot(across, down / DEPTH_SHARE) * BODY_M / np.maximum(heights, 1e-6))
