"""Places of tags: near their line or zone, off strokes and other tags, and away from where objects pass."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tracker.render.site_ground import along

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Spot", "TagPlaces", "line_spots", "zone_spots"]

BUSY_S = 8.0
"""Time constant of the memory of where objects were."""

RECONSIDER_S = 2.0
"""Media seconds between two looks for better places."""

STAY = 0.25
"""A tag moves for a gain from here on: numbers that jump about cannot be read."""

STROKE, BUSY, TAG = 3.0, 3.0, 6.0
"""What it costs to cover strokes, a place where there always is an object, another tag."""

HERE = 0.5
"""A place where there is an object now costs at least this share of one where there always is."""

FARTHER = ((1.5, 0.2), (3.5, 0.45))
"""Further places at a tag's distance from its line or zone: in tag heights, and what they cost. Only the colour tells
there what a tag belongs to, so they are for crowded places."""

Box = tuple[int, int, int, int]


class Spot(NamedTuple):
    """A place for a tag: its corner is the anchor less a share of its own size.

    Attributes:
        x, y: Anchor in pixels.
        right, lower: By how many of its widths and heights its top left corner is moved from there.
        cost: Before anything is covered.
    """

    x: float
    y: float
    right: float
    lower: float
    cost: float

    def corner(self, size: tuple[int, int], picture: tuple[int, int]) -> tuple[int, int]:
        """Top left corner of a tag of ``size``, kept inside a picture of ``(width, height)``."""
        x, y = self.x + size[0] * self.right, self.y + size[1] * self.lower
        return round(max(min(x, picture[0] - size[0]), 0)), round(max(min(y, picture[1] - size[1]), 0))


class TagPlaces:
    """Chooses a place for each tag and keeps it.

    Args:
        spots: Of each tag, those to choose from.
        cover: Coverage ``(H, W)`` of the strokes, 0..255.
        cell_px: Side of a cell of the grid on which costs are added up.
    """

    def __init__(self, spots: Sequence[Sequence[Spot]], cover: NDArray[np.uint8], cell_px: int) -> None:
        self._spots = spots
        self._cell_px = cell_px
        height, width = cover.shape
        self._picture = width, height
        rows, columns = -(-height // cell_px), -(-width // cell_px)
        padded = np.zeros((rows * cell_px, columns * cell_px), np.bool_)
        padded[:height, :width] = cover > 0
        touched = padded.reshape(rows, cell_px, columns, cell_px).any(axis=(1, 3))
        self._strokes = touched.astype(np.float32) * STROKE
        self._busy = np.zeros((rows, columns), np.float32)
        self._chosen: list[int | None] = [None] * len(spots)
        self._now = self._busy
        self._time_s: float | None = None
        self._chosen_s = -math.inf

    def see(self, boxes: Sequence[Sequence[float]], time_s: float) -> None:
        """Take note of where objects are.

        Args:
            boxes: xyxy in pixels.
            time_s: Media time.
        """
        now = np.zeros_like(self._busy)
        cell, (width, height) = self._cell_px, self._picture
        for x1, y1, x2, y2 in boxes:
            if x2 > 0 and y2 > 0 and x1 < width and y1 < height and x2 > x1 and y2 > y1:
                rows = slice(int(max(y1, 0)) // cell, int(min(y2, height - 1)) // cell + 1)
                now[rows, int(max(x1, 0)) // cell : int(min(x2, width - 1)) // cell + 1] = 1
        if self._time_s is None:
            self._busy = now
        else:
            self._busy += (now - self._busy) * np.float32(1 - math.exp(-abs(time_s - self._time_s) / BUSY_S))
        self._now, self._time_s = now, time_s

    def choose(self, sizes: Sequence[tuple[int, int]]) -> list[Box | None]:
        """Boxes of the tags, xyxy in pixels, in their order; ``None`` for a tag that is larger than the picture.

        Args:
            sizes: ``(width, height)`` of each tag.
        """
        time_s = self._time_s or 0.0
        is_turn = not 0 <= time_s - self._chosen_s < RECONSIDER_S
        if is_turn:
            self._chosen_s = time_s
        objects = np.maximum(self._busy, np.float32(HERE) * self._now)
        costs = np.asarray(self._strokes + np.float32(BUSY) * objects, dtype=np.float32)
        taken = np.zeros(costs.shape, np.float32)
        boxes: list[Box | None] = []
        for number, size in enumerate(sizes):
            if size[0] > self._picture[0] or size[1] > self._picture[1]:
                boxes.append(None)
                continue
            if is_turn:
                self._chosen[number] = self._best(number, size, costs, taken)
            place = self._chosen[number]
            x, y = self._spots[number][place or 0].corner(size, self._picture)
            box = x, y, x + size[0], y + size[1]
            taken[self._cut(box)] = TAG
            boxes.append(box)
        return boxes

    def _best(self, number: int, size: tuple[int, int], costs: NDArray[np.float32], taken: NDArray[np.float32]) -> int:
        """The cheapest place of a tag, with a preference for where it is."""
        before = self._chosen[number]
        best, found = math.inf, 0
        for place, spot in enumerate(self._spots[number]):
            x, y = spot.corner(size, self._picture)
            cut = self._cut((x, y, x + size[0], y + size[1]))
            cost = spot.cost + float(costs[cut].mean() + taken[cut].mean()) - (STAY if place == before else 0.0)
            if cost < best:
                best, found = cost, place
        return found

    def _cut(self, box: Box) -> tuple[slice, slice]:
        x1, y1, x2, y2 = box
        cell = self._cell_px
        return slice(y1 // cell, (y2 - 1) // cell + 1), slice(x1 // cell, (x2 - 1) // cell + 1)


def line_spots(path: NDArray[np.float64], gap_px: float, arrow_px: float, tag_px: float) -> list[Spot]:
    """Places beside a line, from its middle outwards, and past its ends.

    Args:
        path: ``(n, 2)`` in pixels.
        gap_px: Between the line and the tag.
        arrow_px: How far the arrows in the middle reach.
        tag_px: Height of a tag.
    """
    spots = []
    for share, cost in ((0.5, 0.0), (0.25, 0.04), (0.75, 0.04), (0.06, 0.08), (0.94, 0.08)):
        x, y, left_x, left_y, length_px = along(path, share)
        reach = gap_px + (arrow_px if abs(share - 0.5) * length_px < 2 * arrow_px else 0.0)
        for away, more in ((0.0, 0.0), *FARTHER):
            far_px = reach + away * tag_px
            spots += [_beside(x, y, (side * left_x, side * left_y), far_px, cost + more) for side in (1, -1)]
    for share, ahead, cost in ((0.0, -1, 0.06), (1.0, 1, 0.06)):
        x, y, left_x, left_y, _ = along(path, share)
        way = (-ahead * left_y, ahead * left_x)
        spots += [_beside(x, y, way, gap_px + away * tag_px, cost + more) for away, more in ((0.0, 0.0), *FARTHER)]
    return spots


def _beside(x: float, y: float, way: tuple[float, float], gap_px: float, cost: float) -> Spot:
    """A tag that lies wholly on one side of a point: its nearest corner or edge faces the point."""
    # From the corner at an oblique direction to the middle of an edge at a straight one.
    right, lower = (-0.5 + 0.5 * max(-1.0, min(1.0, share * 1.6)) for share in way)
    return Spot(x + way[0] * gap_px, y + way[1] * gap_px, right, lower, cost)


def zone_spots(inside: NDArray[np.uint8], gap_px: float, size: tuple[int, int]) -> list[Spot]:
    """Places in a zone along its edges, in its middle, and over and under it.

    Args:
        inside: Coverage ``(H, W)`` of the zone, 0..255.
        gap_px: Between the outline and the tag.
        size: Of a typical tag, ``(width, height)``.
    """
    import cv2

    x, y, width, height = cv2.boundingRect(inside)
    tag_width, tag_height = size
    spots = []
    top, bottom = y + gap_px, y + height - gap_px - tag_height
    for share, cost in ((0.0, 0.0), (0.25, 0.1), (0.5, 0.14), (0.75, 0.1), (1.0, 0.04)):
        if bottom < top:
            break
        upper = round(top + share * (bottom - top))
        rows = inside[upper : upper + tag_height]
        columns = np.flatnonzero((rows > 0).all(axis=0))
        if not len(columns):
            continue
        left, right = _longest_run(columns)
        if right - left >= tag_width + 2 * gap_px:
            spots += [
                Spot(left + gap_px, upper, 0.0, 0.0, cost),
                Spot((left + right) / 2, upper, -0.5, 0.0, cost + 0.02),
                Spot(right - gap_px, upper, -1.0, 0.0, cost + 0.02),
            ]
    for share, aside, cost in ((0.5, -0.5, 0.0), (0.0, 0.0, 0.06), (1.0, -1.0, 0.06)):
        for away, more in ((0.0, 0.0), *FARTHER):
            far_px = gap_px + away * tag_height
            spots.append(Spot(x + share * width, y - far_px, aside, -1.0, 0.06 + cost + more))
            spots.append(Spot(x + share * width, y + height + far_px, aside, 0.0, 0.1 + cost + more))
    spots.append(Spot(x - gap_px, y + height / 2, -1.0, -0.5, 0.2))
    spots.append(Spot(x + width + gap_px, y + height / 2, 0.0, -0.5, 0.2))
    spots.append(Spot(x + width / 2, y + height / 2, -0.5, -0.5, 0.2))
    return spots


def _longest_run(columns: NDArray[np.intp]) -> tuple[int, int]:
    """Ends of the longest row of neighbouring columns."""
    breaks = np.flatnonzero(np.diff(columns) > 1)
    starts = np.concatenate([[0], breaks + 1])
    stops = np.concatenate([breaks, [len(columns) - 1]])
    longest = int(np.argmax(columns[stops] - columns[starts]))
    return int(columns[starts[longest]]), int(columns[stops[longest]]) + 1
