"""Ground of a site: tinted zones, hatched occluders and lines with arrows, under the objects as if painted there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tracker.render.ink import Glow, Pen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tracker.render.canvas import Canvas
    from tracker.render.colour import Bgr
    from tracker.render.site_marks import LineMark, OccluderMark, Point, SiteMarks, ZoneMark

__all__ = ["Ground", "Middle", "along", "angle_to_left", "middle_of"]

CASING = (28, 24, 22)
"""Around every stroke, so that it is seen on any ground."""
CASING_OPACITY = 0.62
HATCH = (200, 196, 192)
FLASH = (255, 255, 255)

TINT, TINT_OCCUPIED = 0.16, 0.26
"""Opacity of an empty zone, and of one with an identity in it."""

OFF_CORNERS = 0.2
"""Arrows are at least this share of an edge away from its corners."""

SHIFT = 4
"""Binary digits of OpenCV's sub-pixel positions."""


class Middle(NamedTuple):
    """The middle of a line in pixels.

    Attributes:
        x, y: Half way along the line.
        left_x, left_y: Unit vector to its left as seen on the screen.
        length_px: Of the whole line.
    """

    x: float
    y: float
    left_x: float
    left_y: float
    length_px: float


class Ground:
    """Everything of a site that does not change from frame to frame, drawn once for a size of picture.

    Args:
        marks: What is drawn.
        canvas: A picture of the size; line widths follow it.

    Attributes:
        cover: Coverage ``(H, W)`` of the strokes, 0..255; the tints of zones are left out.
    """

    def __init__(self, marks: SiteMarks, canvas: Canvas) -> None:
        height, width = canvas.image.shape[:2]
        self._size = width, height
        self._core_px = max(round(canvas.site_px), 2)
        self._casing_px = max(round(canvas.site_px * 0.55), 1)
        self._outline_px = max(round(canvas.site_px * 0.6), 1)
        self._arrow_px = max(canvas.site_px * 7.5, 12.0)
        self._tints = [
            _Tint(self.filled(zone.polygons), colour)
            for zone, colour in zip(marks.zones, marks.zone_colours, strict=True)
        ]
        self._glows: dict[tuple[str, str], Glow] = {}
        pen = Pen(self._size)
        for occluder in marks.occluders:
            self._draw_occluder(pen, occluder)
        for zone, colour in zip(marks.zones, marks.zone_colours, strict=True):
            self._draw_zone(pen, zone, colour)
        for line, colour in zip(marks.lines, marks.line_colours, strict=True):
            self._draw_line(pen, line, colour)
        self._ink = pen.ink()
        self.cover = pen.cover

    def lay(self, canvas: Canvas, occupied: Sequence[bool], flashes: Mapping[tuple[str, str], float]) -> None:
        """Draw onto the picture.

        Args:
            canvas: Of the size that was drawn for.
            occupied: Of each zone, whether an identity is in it.
            flashes: How strongly lines and zones flash, 0..1, by name and direction; zones have no direction.
        """
        for tint, is_occupied in zip(self._tints, occupied, strict=True):
            tint.lay(canvas.image, TINT_OCCUPIED if is_occupied else TINT)
        self._ink.lay(canvas.image)
        for place, strength in flashes.items():
            if place in self._glows:
                self._glows[place].lay(canvas.image, strength)

    def arrow_px(self, middle: Middle) -> float:
        """How far a line's arrows reach from its middle."""
        return min(self._arrow_px, max(0.4 * middle.length_px, 4.0 * self._core_px))

    def _draw_line(self, pen: Pen, line: LineMark, colour: Bgr) -> None:
        path = self.pixels(line.points)
        middle = middle_of(path)
        ways = [(line.to_left, 1), (line.to_right, -1)]
        arrows = [(name, self._arrow(middle, side)) for name, side in ways if name]
        casing = self._stroke(path, self._core_px + 2 * self._casing_px)
        core = self._stroke(path, self._core_px)
        for _, (shaft, head) in arrows:
            self._stroke(shaft, self._core_px + 2 * self._casing_px, onto=casing)
            self._fill(head, onto=casing, border_px=2 * self._casing_px)
            self._stroke(shaft, self._core_px, onto=core)
            self._fill(head, onto=core)
        pen.lay(casing, CASING, CASING_OPACITY)
        pen.lay(core, colour)
        for name, (shaft, head) in arrows:
            glow = self._stroke(path, self._core_px)
            self._stroke(shaft, self._core_px + self._casing_px, onto=glow)
            self._fill(head, onto=glow, border_px=2 * self._casing_px)
            self._glows[line.name, name] = Glow(glow, FLASH)

    def _arrow(self, middle: Middle, side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Shaft ``(2, 2)`` and head ``(3, 2)`` of an arrow from the middle of a line to its left (1) or right (-1)."""
        foot = np.array([middle.x, middle.y])
        ahead = side * np.array([middle.left_x, middle.left_y])
        across = np.array([-ahead[1], ahead[0]])
        reach = self.arrow_px(middle)
        neck = foot + ahead * reach * 0.52
        wing = across * reach * 0.36
        return np.array([foot, neck]), np.array([neck + wing, foot + ahead * reach, neck - wing])

    def _draw_zone(self, pen: Pen, zone: ZoneMark, colour: Bgr) -> None:
        outline, casing = self._empty(), self._empty()
        for polygon in zone.polygons:
            # On whole pixels: between two of them a thin outline is pale.
            path = np.round(self.pixels((*polygon, polygon[0])))
            self._stroke(path, self._outline_px + 2 * max(self._casing_px - 1, 1), onto=casing)
            self._stroke(path, self._outline_px, onto=outline)
        pen.lay(casing, CASING, 0.5)
        pen.lay(outline, colour)
        self._glows[zone.name, ""] = Glow(outline, FLASH)

    def _draw_occluder(self, pen: Pen, occluder: OccluderMark) -> None:
        """Hatched from the lower left to the upper right."""
        import cv2

        inside = self.filled([occluder.polygon])
        hatch = self._empty()
        x, y, w, h = cv2.boundingRect(inside)
        step = max(6.0 * self._outline_px, 5.0)
        for start in np.arange(x - h, x + w, step):
            self._stroke(np.array([[start, y + h], [start + h, y]]), self._outline_px, onto=hatch)
        pen.lay(cv2.min(hatch, inside), HATCH, 0.45)
        edge = self._stroke(self.pixels((*occluder.polygon, occluder.polygon[0])), self._outline_px)
        pen.lay(edge, CASING, 0.5)

    def pixels(self, points: Sequence[Point]) -> NDArray[np.float64]:
        """Shares of the picture as pixels ``(n, 2)``; a point on the far edge is on the last row or column."""
        width, height = self._size
        return np.asarray(np.array(points, np.float64) * (width - 1, height - 1))

    def _empty(self) -> NDArray[np.uint8]:
        width, height = self._size
        return np.zeros((height, width), np.uint8)

    def _stroke(
        self, path: NDArray[np.float64], width_px: int, onto: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        import cv2

        mask = self._empty() if onto is None else onto
        cv2.polylines(mask, [_fixed(path)], False, (255,), width_px, cv2.LINE_AA, SHIFT)
        return mask

    def _fill(self, corners: NDArray[np.float64], onto: NDArray[np.uint8], border_px: int = 0) -> None:
        import cv2

        cv2.fillPoly(onto, [_fixed(corners)], (255,), cv2.LINE_AA, SHIFT)
        if border_px:
            cv2.polylines(onto, [_fixed(corners)], True, (255,), border_px, cv2.LINE_AA, SHIFT)

    def filled(self, polygons: Sequence[Sequence[Point]]) -> NDArray[np.uint8]:
        """Coverage of polygons, holes left out."""
        import cv2

        mask = self._empty()
        cv2.fillPoly(mask, [_fixed(self.pixels(polygon)) for polygon in polygons], (255,), cv2.LINE_8, SHIFT)
        return mask


class _Tint:
    """Colour over the inside of a zone."""

    __slots__ = ("_colour", "_cut", "_mask")

    def __init__(self, mask: NDArray[np.uint8], colour: Bgr) -> None:
        import cv2

        x, y, width, height = cv2.boundingRect(mask)
        self._cut = slice(y, y + height), slice(x, x + width)
        self._mask = mask[self._cut].copy()
        self._colour = colour

    def lay(self, image: NDArray[np.uint8], opacity: float) -> None:
        import cv2

        if self._mask.size:
            region = image[self._cut]
            tint = cv2.convertScaleAbs(region, alpha=1 - opacity)
            cv2.add(tint, tuple(round(opacity * channel) for channel in (*self._colour, 0)), dst=tint)
            cv2.copyTo(tint, self._mask, region)


def middle_of(path: NDArray[np.float64]) -> Middle:
    """The middle of a polyline by its length, and where its left is; not at a corner, where arrows would lie on it.

    Args:
        path: ``(n, 2)`` in pixels.

    >>> middle_of(np.array([[0.0, 10.0], [20.0, 10.0]]))
    Middle(x=10.0, y=10.0, left_x=0.0, left_y=-1.0, length_px=20.0)
    """
    return along(path, 0.5, off_corners=OFF_CORNERS)


def along(path: NDArray[np.float64], share: float, *, off_corners: float = 0.0) -> Middle:
    """The same at another share of its length, 0..1.

    Args:
        path: ``(n, 2)`` in pixels.
        share: 0..1.
        off_corners: At least this share of an edge away from its corners, 0..0.5.
    """
    steps = np.diff(path, axis=0)
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    total = float(lengths.sum())
    if total <= 0:
        return Middle(float(path[0, 0]), float(path[0, 1]), 0.0, -1.0, 0.0)
    ends = np.cumsum(lengths)
    piece = min(int(np.searchsorted(ends, share * total)), len(lengths) - 1)
    if lengths[piece] <= 0:
        piece = int(np.argmax(lengths))
    rest = (share * total - (ends[piece] - lengths[piece])) / lengths[piece]
    x, y = (path[piece] + steps[piece] * min(max(rest, off_corners), 1 - off_corners)).tolist()
    ahead_x, ahead_y = (steps[piece] / lengths[piece]).tolist()
    return Middle(x, y, ahead_y + 0.0, -ahead_x + 0.0, total)


def _fixed(path: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.asarray(np.round(path * (1 << SHIFT)), dtype=np.int32).reshape(-1, 1, 2)


def angle_to_left(path: NDArray[np.float64]) -> float:
    """Direction from a line's middle to its left, in radians, 0 to the right and growing downwards."""
    middle = middle_of(path)
    return math.atan2(middle.left_y, middle.left_x)
