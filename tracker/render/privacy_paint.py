"""Painter of what must not be seen: opaque fill or coarse blocks over dilated shapes, and opaque privacy zones."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from tracker.render.privacy import CELLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracker.polygons import Point
    from tracker.render.privacy import Shape

    Picture = NDArray[np.uint8]

__all__ = ["FILL", "fill", "fill_zones", "pixelate", "without_zones"]

DILATED_PX, DILATED_SHARE = 4.0, 0.06
"""A silhouette is dilated by pixels of the camera's picture or by a share of its height, whichever is more."""
FILL = (104, 98, 92)
"""A grey that is no object's colour, as (blue, green, red)."""
BLOCK_PX, BLOCK_SHARE = 8, 0.125
"""Least side of a block in pixels of the picture, and its side as a share of the object's height."""
COVER_PX = 640
"""Widest raster on which shapes are painted; of larger pictures it is enlarged."""
_FRACTION_BITS = 4
_BAND_ROWS = 64


def fill(picture: Picture, shapes: Sequence[Shape], image_size: tuple[int, int]) -> None:
    """Fill shapes opaquely, dilated, in place.

    Args:
        picture: ``(h, w, 3)`` uint8 of the whole image at any size.
        shapes: In image pixels.
        image_size: ``(width, height)`` of the image that the shapes are of.
    """
    height, width = picture.shape[:2]
    cover = _raster(picture)
    for one in _placed(shapes, cover.shape, image_size):
        one.paint(cover)
    if cover.shape != picture.shape[:2]:
        cover = np.asarray(cv2.resize(cover, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    for top in range(0, height, _BAND_ROWS):
        covered = cover[top : top + _BAND_ROWS]
        cv2.copyTo(_band(width)[: len(covered)], covered, picture[top : top + _BAND_ROWS])


def pixelate(picture: Picture, shapes: Sequence[Shape], image_size: tuple[int, int]) -> None:
    """Replace shapes, dilated, by the mean colours of coarse blocks, in place.

    Clothes, gait and often faces can still be recognised, the more so over several frames: this hides nothing for sure.

    Args:
        picture: As for :func:`fill`, like the others.
        shapes: The same.
        image_size: The same.
    """
    clear, cover = picture.copy(), _raster(picture)
    larger = picture.shape[1] / cover.shape[1], picture.shape[0] / cover.shape[0]
    # The largest blocks come last.
    for one in sorted(_placed(shapes, cover.shape, image_size), key=lambda one: one.height):
        left, top, right, bottom = one.bounds
        cover[top:bottom, left:right] = 0
        one.paint(cover)
        part = cover[top:bottom, left:right]
        left, top = math.floor(left * larger[0]), math.floor(top * larger[1])
        right, bottom = math.ceil(right * larger[0]), math.ceil(bottom * larger[1])
        covered = cv2.resize(part, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
        # Blocks lie on one raster over the picture: those that move with the object would show it from all sides.
        side = max(BLOCK_PX, round(BLOCK_SHARE * one.height * larger[1]))
        x, y = left // side * side, top // side * side
        beyond, below = min(-(-right // side) * side, picture.shape[1]), min(-(-bottom // side) * side, len(picture))
        blocks = _blocks(clear[y:below, x:beyond], side)[top - y : bottom - y, left - x : right - x]
        picture[top:bottom, left:right][covered > 0] = blocks[covered > 0]


def fill_zones(picture: Picture, zones: Sequence[Sequence[Point]]) -> None:
    """Fill polygons opaquely, with a pixel about them, in place.

    Args:
        picture: ``(h, w, 3)`` uint8 of the whole image at any size.
        zones: Corners ``(x, y)`` in shares of the picture.
    """
    height, width = picture.shape[:2]
    for polygon in zones:
        corners = [_fixed(np.array(polygon, np.float64) * (width, height))]
        cv2.fillPoly(picture, corners, FILL, cv2.LINE_8, _FRACTION_BITS)
        cv2.polylines(picture, corners, True, FILL, 3, cv2.LINE_8, _FRACTION_BITS)


def without_zones(picture: Picture, zones: Sequence[Sequence[Point]]) -> Picture:
    """The picture, or where there are zones a copy in which they are filled; arguments as for :func:`fill_zones`."""
    if not zones:
        return picture
    copy = picture.copy()
    fill_zones(copy, zones)
    return copy


def _raster(picture: Picture) -> NDArray[np.uint8]:
    """An empty mask of a picture's shape, no wider than :data:`COVER_PX`."""
    height, width = picture.shape[:2]
    scale = min(COVER_PX / width, 1.0)
    return np.zeros((max(round(height * scale), 1), round(width * scale)), np.uint8)


def _placed(shapes: Sequence[Shape], size: tuple[int, ...], image_size: tuple[int, int]) -> list[_Placed]:
    """Shapes where they are painted, those that are outside left out.

    One computation for all of them, since a picture of a crowd has a hundred.

    Args:
        shapes: In image pixels.
        size: ``(h, w, ...)`` of the picture.
        image_size: ``(width, height)`` of the image that the shapes are of.
    """
    if not shapes:
        return []
    gain = np.array([size[1] / image_size[0], size[0] / image_size[1]])
    boxes = np.array([shape.box for shape in shapes], np.float64)  # (N, 4)
    first, last = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    heights = last[:, 1] - first[:, 1]
    half_cell = (last - first).max(axis=1) / (2 * CELLS - 2)  # by which a silhouette may be wider than its cells
    half_cell[[shape.silhouette is None for shape in shapes]] = 0.0
    reach = np.maximum(DILATED_PX, DILATED_SHARE * heights) + half_cell
    reach = np.ceil(reach * gain.max())[:, None] + 1  # a pixel more, since boxes are rounded
    first, last = np.floor(first * gain), np.ceil(last * gain)
    corners = np.hstack([first - reach, last + reach])
    within = np.clip(corners, 0, (size[1], size[0], size[1], size[0])).astype(np.int64).tolist()
    sides = np.maximum(last - first, 1).astype(np.int64).tolist()
    origins, reaches = corners[:, :2].astype(np.int64).tolist(), reach[:, 0].astype(np.int64).tolist()
    rows = zip(within, origins, sides, reaches, (heights * gain[1]).tolist(), shapes, strict=True)
    return [
        _Placed(bounds, origin, side, reach_px, height, shape.silhouette)
        for bounds, origin, side, reach_px, height, shape in rows
        if bounds[0] < bounds[2] and bounds[1] < bounds[3]
    ]


class _Placed(NamedTuple):
    """A shape in pixels of a picture.

    Attributes:
        bounds: What it may touch within the picture, xyxy, the last two exclusive.
        origin: Left and top of its dilated box, perhaps outside of the picture.
        sides: Width and height of its box.
        reach: How far it is dilated.
        height: Of its box before that was rounded.
        silhouette: As :attr:`tracker.render.privacy.Shape.silhouette`.
    """

    bounds: list[int]
    origin: list[int]
    sides: list[int]
    reach: int
    height: float
    silhouette: NDArray[np.uint8] | None

    def paint(self, cover: Picture) -> None:
        """Mark it in a mask ``(h, w)`` with 255."""
        left, top, right, bottom = self.bounds
        width, height = self.sides
        if self.silhouette is None or width > 2 * cover.shape[1] or height > 2 * len(cover):
            cover[top:bottom, left:right] = 255
            return
        pooled, reach = _pooled(self.silhouette, height, width), self.reach
        stamp = cv2.resize(pooled, (width, height), interpolation=cv2.INTER_NEAREST)
        stamp = cv2.copyMakeBorder(stamp, reach, reach, reach, reach, cv2.BORDER_CONSTANT, value=(0,))
        stamp = cv2.dilate(stamp, _square(2 * reach + 1, 2 * reach + 1))
        part, x, y = cover[top:bottom, left:right], left - self.origin[0], top - self.origin[1]
        np.bitwise_or(part, stamp[y : y + bottom - top, x : x + right - left], out=part)


def _pooled(silhouette: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """A silhouette of which the nearest cells can be taken: where several are one pixel, each has their maximum."""
    rows, columns = silhouette.shape
    if height >= rows and width >= columns:
        return silhouette
    square = _square(math.ceil(rows / height) + (height < rows), math.ceil(columns / width) + (width < columns))
    return np.asarray(cv2.dilate(silhouette, square, anchor=(0, 0)), np.uint8)


@lru_cache(maxsize=512)
def _square(height: int, width: int) -> NDArray[np.uint8]:
    return np.ones((height, width), np.uint8)


@lru_cache(maxsize=8)
def _band(width: int) -> Picture:
    """Rows of the fill's colour: OpenCV copies them through a mask a hundred times faster than NumPy sets a colour."""
    return np.full((_BAND_ROWS, width, 3), FILL, np.uint8)


def _fixed(points: NDArray[np.floating]) -> NDArray[np.int32]:
    """Points with the fraction bits that OpenCV takes; pixel centres are its whole numbers."""
    return np.asarray(np.round((points - 0.5) * (1 << _FRACTION_BITS)), np.int32)


def _blocks(part: Picture, side: int) -> Picture:
    """A part of a picture in blocks of their mean colours."""
    height, width = part.shape[:2]
    rows, columns = -(-height // side), -(-width // side)
    padded = cv2.copyMakeBorder(part, 0, rows * side - height, 0, columns * side - width, cv2.BORDER_REPLICATE)
    small = cv2.resize(padded, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(np.repeat(np.repeat(small, side, axis=0), side, axis=1)[:height, :width], np.uint8)
