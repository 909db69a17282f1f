"""Fading trails of identities, in bounded memory."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from tracker.render.colour import Bgr

__all__ = ["Trails"]

SMOOTHING = 7
"""Over how many points of a trail each is averaged before it is drawn."""

LEAST_EXTENT = 0.025
"""Shorter trails, as a fraction of the diagonal, are not drawn: the box of a standing object jitters."""

PIECES = 6
"""Opacity and width grow from the trail's end to the identity in this many steps."""

POINT_SPACING = 0.008
"""A point is kept when the identity moved by this fraction of the diagonal: jitter adds no points."""


class Trails:
    """Bounded history of ground contact points per identity.

    Args:
        length_s: How far back a trail reaches, in seconds of media time.
        max_points: At most this many points per identity.
    """

    def __init__(self, *, length_s: float, max_points: int = 96) -> None:
        self._length_s = length_s
        self._max_points = max_points
        self._points: dict[int, deque[tuple[float, float, float]]] = {}
        self._heads: dict[int, tuple[float, float, float]] = {}

    def __len__(self) -> int:
        return len(self._heads)

    def add(self, identity: int, place: tuple[float, float], time_s: float, diagonal_px: float) -> None:
        """Add a ground contact point of the identity at ``place`` (x, y in image pixels) at ``time_s``."""
        x, y = place
        head = self._heads.get(identity)
        if head is not None:
            # Half new, half old: detectors shake a box's lower edge by a pixel or two from frame to frame.
            x, y = (x + head[0]) / 2, (y + head[1]) / 2
        self._heads[identity] = (x, y, time_s)
        points = self._points.setdefault(identity, deque(maxlen=self._max_points))
        if not points or math.hypot(x - points[-1][0], y - points[-1][1]) >= POINT_SPACING * diagonal_px:
            points.append((x, y, time_s))
        self._expire(points, time_s)

    def drop(self, identities: Iterable[int]) -> None:
        """Drop the trails of these identities."""
        for identity in identities:
            self._points.pop(identity, None)
            self._heads.pop(identity, None)

    def expire(self, time_s: float) -> None:
        """Drop identities not seen for longer than a trail, and those in the future after a clock jump."""
        stale = [
            identity
            for identity, head in self._heads.items()
            if not -self._length_s <= time_s - head[2] <= self._length_s
        ]
        self.drop(stale)

    def draw(self, image: NDArray[np.uint8], identity: int, colour: Bgr, width_px: int, opacity: float) -> None:
        """Draw one trail onto ``image``, opaque at the identity and transparent at its end."""
        import cv2

        points = self._points.get(identity)
        if points is None or not points:
            return
        places = [(x, y) for x, y, _ in points]
        places.append(self._heads[identity][:2])
        path = np.array(places, np.float32)
        least_px = LEAST_EXTENT * math.hypot(*image.shape[:2])
        if len(path) < 3 or max(np.ptp(path, axis=0).tolist()) < least_px:
            return
        head = path[-1].copy()
        path = cv2.GaussianBlur(path[:, None], (1, SMOOTHING), 0, borderType=cv2.BORDER_REPLICATE)[:, 0]
        path[-1] = head
        _blend_path(image, path, colour, width_px, opacity)

    def _expire(self, points: deque[tuple[float, float, float]], time_s: float) -> None:
        while points and not 0 <= time_s - points[0][2] <= self._length_s:
            points.popleft()


def _blend_path(
    image: NDArray[np.uint8], path: NDArray[np.float32], colour: Bgr, width_px: int, opacity: float
) -> None:
    """Blend ``path (n, 2)``, oldest point first, into ``image`` where it passes."""
    import cv2

    margin = width_px + 2
    height, width = image.shape[:2]
    low_x, low_y = path.min(axis=0).tolist()
    high_x, high_y = path.max(axis=0).tolist()
    left, top = max(int(low_x) - margin, 0), max(int(low_y) - margin, 0)
    right, bottom = min(int(high_x) + margin + 1, width), min(int(high_y) + margin + 1, height)
    if right <= left or bottom <= top:
        return
    # All pieces go into one opacity map, newer over older, so that nothing is blended twice where they join.
    alpha = np.zeros((bottom - top, right - left), np.uint8)
    # Four binary digits of sub-pixel position: without them slow movers' trails are staircases.
    fixed: Any = np.round((path - (left, top)) * 16).astype(np.int32).reshape(-1, 1, 2)
    pieces = min(PIECES, len(path) - 1)
    for piece in range(pieces):
        start, stop = (len(path) - 1) * piece // pieces, (len(path) - 1) * (piece + 1) // pieces
        fade = (piece + 1) / pieces
        pen_px = max(round(width_px * (0.4 + 0.6 * fade)), 1)
        cv2.polylines(alpha, [fixed[start : stop + 1]], False, (opacity * 230 * fade,), pen_px, cv2.LINE_AA, 4)
    # Only the pixels under the line are touched: a trail fills a few hundredths of the region that it spans.
    inside = np.flatnonzero(alpha.view(np.bool_))
    touched = inside + inside // (right - left) * (width - right + left) + (top * width + left)
    pixels = image.reshape(-1, 3)
    weight = alpha.reshape(-1).take(inside).astype(np.uint16)[:, None]
    blended = pixels.take(touched, axis=0) * (256 - weight)
    blended += np.array(colour, np.uint16) * weight
    blended >>= 8
    pixels[touched] = blended
