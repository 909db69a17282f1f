"""Painter of what must not be seen: opaque fill or coarse blocks over dilated shapes, and opaque privacy zones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

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
_FRACTION_BITS = 4


def fill(picture: Picture, shapes: Sequence[Shape], image_size: tuple[int, int]) -> None:
    """Fill shapes opaquely, dilated, in place.

    Args:
        picture: ``(h, w, 3)`` uint8 of the whole image at any size.
        shapes: In image pixels.
        image_size: ``(width, height)`` of the image that the shapes are of.
    """
    gain = _gain(picture, image_size)
    for shape in shapes:
        _paint(picture, shape, gain, FILL)


def pixelate(picture: Picture, shapes: Sequence[Shape], image_size: tuple[int, int]) -> None:
    """Replace shapes, dilated, by the mean colours of coarse blocks, in place.

    Clothes, gait and often faces can still be recognised, the more so over several frames: this hides nothing for sure.

    Args:
        picture: As for :func:`fill`, like the others.
        shapes: The same.
        image_size: The same.
    """
    gain = _gain(picture, image_size)
    clear = picture.copy()
    covered = np.zeros(picture.shape[:2], np.uint8)
    for shape in sorted(shapes, key=lambda one: float(one.box[3] - one.box[1])):  # the largest blocks come last
        left, top, right, bottom = _bounds(shape, gain, picture.shape)
        if right <= left or bottom <= top:
            continue
        covered[top:bottom, left:right] = 0
        _paint(covered, shape, gain, (255,))
        side = max(BLOCK_PX, round(BLOCK_SHARE * float(shape.box[3] - shape.box[1]) * float(gain[1])))
        # Blocks lie on one raster over the picture: those that move with the object would show it from all sides.
        left, top = left // side * side, top // side * side
        right, bottom = min(-(-right // side) * side, picture.shape[1]), min(-(-bottom // side) * side, len(picture))
        inside = covered[top:bottom, left:right] > 0
        picture[top:bottom, left:right][inside] = _blocks(clear[top:bottom, left:right], side)[inside]


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


def _gain(picture: Picture, image_size: tuple[int, int]) -> NDArray[np.float64]:
    """Pixels of the picture per pixel of the image, ``(2,)``."""
    height, width = picture.shape[:2]
    return np.array([width / image_size[0], height / image_size[1]])


def _reach(shape: Shape, gain: NDArray[np.float64]) -> float:
    """How far a shape is dilated, in pixels of the picture."""
    return max(DILATED_PX, DILATED_SHARE * float(shape.box[3] - shape.box[1])) * float(gain.max())


def _paint(picture: Picture, shape: Shape, gain: NDArray[np.float64], colour: tuple[int, ...]) -> None:
    """One shape in one colour, dilated."""
    reach = _reach(shape, gain)
    if not shape.polygons:
        (left, top), (right, bottom) = shape.box[:2] * gain - reach, shape.box[2:] * gain + reach
        corners = (int(np.floor(left)), int(np.floor(top))), (int(np.ceil(right)), int(np.ceil(bottom)))
        cv2.rectangle(picture, *corners, colour, cv2.FILLED)
        return
    outlines = [_fixed(polygon * gain) for polygon in shape.polygons]
    cv2.fillPoly(picture, outlines, colour, cv2.LINE_8, _FRACTION_BITS)
    pen = 2 * int(np.ceil(reach)) + 1
    cv2.polylines(picture, outlines, True, colour, pen, cv2.LINE_8, _FRACTION_BITS)


def _fixed(points: NDArray[np.floating]) -> NDArray[np.int32]:
    """Points with the fraction bits that OpenCV takes; pixel centres are its whole numbers."""
    return np.asarray(np.round((points - 0.5) * (1 << _FRACTION_BITS)), np.int32)


def _bounds(shape: Shape, gain: NDArray[np.float64], size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Pixels that a dilated shape may touch, xyxy, within the picture."""
    reach = _reach(shape, gain) + 2
    corners = np.concatenate([shape.box.reshape(2, 2), *shape.polygons]) * gain
    (left, top), (right, bottom) = np.floor(corners.min(axis=0) - reach), np.ceil(corners.max(axis=0) + reach)
    return max(int(left), 0), max(int(top), 0), min(int(right), size[1]), min(int(bottom), size[0])


def _blocks(part: Picture, side: int) -> Picture:
    """A part of a picture in blocks of their mean colours."""
    height, width = part.shape[:2]
    rows, columns = -(-height // side), -(-width // side)
    padded = cv2.copyMakeBorder(part, 0, rows * side - height, 0, columns * side - width, cv2.BORDER_REPLICATE)
    small = cv2.resize(padded, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(np.repeat(np.repeat(small, side, axis=0), side, axis=1)[:height, :width], np.uint8)
