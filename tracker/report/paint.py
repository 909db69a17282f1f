"""Painter of drawings in pixels by OpenCV: the same marks as on the page, in light colours."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import cv2
import numpy as np

from tracker.render.label import render_text
from tracker.report.document import Box, Dot, Stroke, Words
from tracker.report.tones import bgr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracker.report.document import Drawing

__all__ = ["SCALE", "Paper", "text_width"]

SCALE = 2
"""Pixels of the picture for one of the drawings."""
SHIFT = 4
"""Bits of a pixel's fraction in OpenCV's coordinates."""
DASH, GAP = 2.6, 4.4
"""Round ends make the dashes longer than this."""
HATCH = 7.0
PLAIN = str.maketrans({"·": "-", "–": "-", "−": "-", "…": "...", "≥": ">=", "≤": "<=", "²": "2"})
"""For OpenCV 4, whose stroke fonts know ASCII only."""

Point = tuple[float, float]


class Paper:
    """A white picture that is painted on.

    Args:
        width, height: In pixels of drawings.

    Attributes:
        image: ``(height x SCALE, width x SCALE, 3)`` uint8 BGR.
    """

    def __init__(self, width: float, height: float) -> None:
        shape = (round(height * SCALE), round(width * SCALE), 3)
        self.image = np.full(shape, 255, np.uint8)

    def draw(self, drawing: Drawing, x: float, y: float) -> None:
        """A drawing with its top left at ``(x, y)``."""
        for mark in drawing.marks:
            if isinstance(mark, Box):
                self.box(mark, x, y)
            elif isinstance(mark, Stroke):
                points = [(px + x, py + y) for px, py in mark.points]
                self.stroke(points, mark.tone, mark.width, dashed=mark.dashed)
            elif isinstance(mark, Dot):
                self._circle((mark.x + x, mark.y + y), mark.radius + 2, "surface")
                self._circle((mark.x + x, mark.y + y), mark.radius, mark.tone)
            else:
                self.words(mark, x, y)

    def box(self, mark: Box, x: float = 0.0, y: float = 0.0) -> None:
        """A rectangle."""
        left, top = mark.x + x, mark.y + y
        right, bottom = left + mark.width, top + mark.height
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        if mark.look == "full":
            cv2.fillPoly(self.image, [_fixed(corners)], bgr(mark.tone), cv2.LINE_AA, SHIFT)
        elif mark.look == "hollow":
            self.stroke([*corners, corners[0]], mark.tone, 1.2, dashed=True)
        else:
            self._hatch(mark, left, top)

    def stroke(self, points: Sequence[Point], tone: str, width: float = 1.0, *, dashed: bool = False) -> None:
        """A polyline."""
        thickness = max(round(width * SCALE * 0.7), 1)
        pieces = _dashes(points) if dashed else [list(points)]
        cv2.polylines(self.image, [_fixed(piece) for piece in pieces], False, bgr(tone), thickness, cv2.LINE_AA, SHIFT)

    def words(self, mark: Words, x: float = 0.0, y: float = 0.0) -> None:
        """A line of text."""
        coverage, baseline = _letters(mark.text, round(mark.size * SCALE), 600 if mark.bold else 400)
        width = coverage.shape[1]
        left = round((mark.x + x) * SCALE) - {"start": 0, "middle": width // 2, "end": width}[mark.anchor]
        top = round((mark.y + y) * SCALE) - baseline
        rows = slice(max(top, 0), min(top + coverage.shape[0], self.image.shape[0]))
        columns = slice(max(left, 0), min(left + width, self.image.shape[1]))
        if rows.stop <= rows.start or columns.stop <= columns.start:
            return
        cut = coverage[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left, None]
        below = self.image[rows, columns]
        below[...] = np.round(below * (1 - cut) + np.array(bgr(mark.tone), np.float32) * cut).astype(np.uint8)

    def picture(self, image: NDArray[np.uint8], x: float, y: float, width: float) -> None:
        """Another picture, made as wide as there is room."""
        size = round(width * SCALE), round(width * SCALE * image.shape[0] / image.shape[1])
        left, top = round(x * SCALE), round(y * SCALE)
        self.image[top : top + size[1], left : left + size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)

    def _circle(self, centre: Point, radius: float, tone: str) -> None:
        [(x, y)] = _fixed([centre]).tolist()
        size = round(radius * SCALE * 2**SHIFT)
        cv2.circle(self.image, (x, y), size, bgr(tone), -1, cv2.LINE_AA, SHIFT)

    def _hatch(self, mark: Box, left: float, top: float) -> None:
        """Diagonal lines within a box."""
        rows = slice(round(top * SCALE), round((top + mark.height) * SCALE))
        columns = slice(round(left * SCALE), round((left + mark.width) * SCALE))
        part = np.ascontiguousarray(self.image[rows, columns])
        height, width = part.shape[:2]
        for start in range(-height, width, round(HATCH * SCALE * 1.4)):
            cv2.line(part, (start, height), (start + height, 0), bgr(mark.tone), 2 * SCALE, cv2.LINE_AA)
        self.image[rows, columns] = part


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Of a line of text, in pixels of drawings."""
    coverage, _ = _letters(text, round(size * SCALE), 600 if bold else 400)
    width: int = coverage.shape[1]
    return width / SCALE


@lru_cache(maxsize=4096)
def _letters(text: str, size_px: int, weight: int) -> tuple[NDArray[np.float32], int]:
    """Coverage of a text and its baseline."""
    shown = text if hasattr(cv2, "FontFace") else text.translate(PLAIN)
    return render_text(shown, size_px, weight)


def _fixed(points: Sequence[Point]) -> NDArray[np.int32]:
    """Points in OpenCV's whole numbers; the corner of a pixel is its corner, not its middle."""
    return np.asarray(np.round((np.array(points) * SCALE - 0.5) * 2**SHIFT), np.int32)


def _dashes(points: Sequence[Point]) -> list[list[Point]]:
    """Dashes along a polyline; each piece begins with one."""
    found: list[list[Point]] = []
    for (x0, y0), (x1, y1) in pairwise(points):
        length = float(np.hypot(x1 - x0, y1 - y0))
        at = 0.0
        while at < length:
            until = min(at + DASH, length)
            ends = [(x0 + (x1 - x0) * share, y0 + (y1 - y0) * share) for share in (at / length, until / length)]
            found.append(ends)
            at += DASH + GAP
    return found
