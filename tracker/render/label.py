"""Label sprites: rounded text boxes, cached, stamped onto pictures.

OpenCV 5 draws its built-in variable TrueType font; OpenCV 4 has stroke fonts only, which are drawn four times too
large and shrunk.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.render.colour import Bgr, ink_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Sprite",
    "faded",
    "label_sprite",
    "plain_sprite",
    "render_text",
    "rounded",
    "set_letters",
    "sprite_of",
    "stamp",
]

SUPERSAMPLING = 4
BOX_OPACITY = 0.92

_font_lock = threading.Lock()
"""OpenCV's font object keeps state between calls, and sinks draw in threads of their own."""


@dataclass(frozen=True, slots=True)
class Sprite:
    """A small picture with transparency, ready to be stamped.

    Attributes:
        paint: ``(h, w, 3)`` uint16, colour times opacity on the 0..65280 scale.
        keep: ``(h, w, 1)`` uint16, how much of the picture below stays, 0..256.
    """

    paint: NDArray[np.uint16]
    keep: NDArray[np.uint16]

    @property
    def size(self) -> tuple[int, int]:
        """``(width, height)`` in pixels."""
        return self.keep.shape[1], self.keep.shape[0]


def faded(sprite: Sprite, opacity: float) -> Sprite:
    """The sprite at ``opacity``, 0..1: identities that are only predicted are shown fainter."""
    share = np.uint32(round(opacity * 256))
    paint = (sprite.paint * share >> 8).astype(np.uint16)
    return Sprite(paint=paint, keep=(256 - ((256 - sprite.keep) * share >> 8)).astype(np.uint16))


def stamp(image: NDArray[np.uint8], sprite: Sprite, x: int, y: int) -> None:
    """Blend ``sprite`` into ``image (H, W, 3)`` with its top left at ``(x, y)``; what lies outside is cut off."""
    width, height = sprite.size
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + width, image.shape[1]), min(y + height, image.shape[0])
    if right <= left or bottom <= top:
        return
    below = image[top:bottom, left:right]
    cut = (slice(top - y, bottom - y), slice(left - x, right - x))
    blended = below * sprite.keep[cut]
    blended += sprite.paint[cut]
    blended >>= 8
    below[...] = blended


@lru_cache(maxsize=512)  # 5 MB at 360p, 60 MB at 4K
def label_sprite(text: str, font_px: int, colour: Bgr) -> Sprite:
    """``text`` on a rounded pill of ``colour``, in black or white, whichever reads better.

    Args:
        text: One line.
        font_px: Font size in pixels, at least 6.
        colour: The pill's colour.
    """
    pad_x, pad_y = max(round(font_px * 0.42), 3), max(round(font_px * 0.22), 2)
    coverage, baseline = render_text(text, font_px, 600)
    letters = set_letters(coverage, baseline, font_px, (pad_x, pad_y))
    height, width = letters.shape
    shape = rounded(width, height, radius=height / 2.6)
    ink = np.array(ink_for(colour), np.float32)
    paint = np.array(colour, np.float32) * (1 - letters[..., None]) + ink * letters[..., None]
    alpha = shape * np.maximum(BOX_OPACITY, letters)
    return sprite_of(paint, alpha)


def plain_sprite(text: str, font_px: int, *, weight: int, colour: Bgr, shade: float = 0.0) -> Sprite:
    """``text`` alone, on a dark rounded ground of opacity ``shade`` where that is above zero."""
    coverage, baseline = render_text(text, font_px, weight)
    pad_x, pad_y = (round(font_px * 0.55), round(font_px * 0.34)) if shade > 0 else (0, 0)
    letters = set_letters(coverage, baseline, font_px, (pad_x, pad_y))
    height, width = letters.shape
    ground = rounded(width, height, radius=height / 3) * shade
    dark, bright = np.array((22, 18, 16), np.float32), np.array(colour, np.float32)
    return sprite_of(dark * (1 - letters[..., None]) + bright * letters[..., None], np.maximum(ground, letters))


def set_letters(
    coverage: NDArray[np.float32], baseline: int, font_px: int, pad: tuple[int, int]
) -> NDArray[np.float32]:
    """The text on its ground, whose height comes from the font: "car 1" and "bicycle 7" are equally high."""
    pad_x, pad_y = pad
    ascent, descent = round(font_px * 0.72), round(font_px * 0.20)
    height = ascent + descent + 2 * pad_y
    letters = np.zeros((height, coverage.shape[1] + 2 * pad_x), np.float32)
    top = pad_y + ascent - baseline
    rows = slice(max(top, 0), min(top + coverage.shape[0], height))
    letters[rows, pad_x : pad_x + coverage.shape[1]] = coverage[rows.start - top : rows.stop - top]
    return letters


def sprite_of(paint: NDArray[np.float32], alpha: NDArray[np.float32]) -> Sprite:
    """A sprite from colours ``(h, w, 3)`` in 0..255 and opacity ``(h, w)`` in 0..1."""
    opacity = np.round(alpha * 256)[..., None]
    return Sprite(paint=np.round(paint * opacity).astype(np.uint16), keep=(256 - opacity).astype(np.uint16))


def rounded(width: int, height: int, radius: float) -> NDArray[np.float32]:
    """Coverage ``(height, width)`` in 0..1 of a rounded rectangle, antialiased by the distance to its edge."""
    x = np.abs(np.arange(width) + 0.5 - width / 2) - (width / 2 - radius)
    y = np.abs(np.arange(height) + 0.5 - height / 2) - (height / 2 - radius)
    outside = np.hypot(np.maximum(x[None, :], 0), np.maximum(y[:, None], 0))
    distance = outside + np.minimum(np.maximum(x[None, :], y[:, None]), 0) - radius
    return np.asarray(np.clip(0.5 - distance, 0, 1), dtype=np.float32)


def render_text(text: str, font_px: int, weight: int) -> tuple[NDArray[np.float32], int]:
    """The text's coverage ``(h, w)`` in 0..1 with no margin left and right, and the row of its baseline.

    Args:
        text: One line.
        font_px: Font size in pixels.
        weight: 100 thin, 400 regular, 600 semibold, 800 bold; stroke fonts know two weights only.
    """
    import cv2

    if not hasattr(cv2, "FontFace"):
        return _stroke_text(text, font_px, weight)
    canvas = np.zeros((font_px * 2, font_px * (len(text) + 2)), np.uint8)
    baseline = round(font_px * 1.4)
    with _font_lock:
        end, _ = cv2.putText(canvas, text, (font_px, baseline), (255,), _font(), font_px, weight)
    return _trimmed(canvas, int(end[0])), baseline


@lru_cache(maxsize=1)
def _font() -> Any:
    import cv2

    return cv2.FontFace("sans")


def _stroke_text(text: str, font_px: int, weight: int) -> tuple[NDArray[np.float32], int]:
    """The same from OpenCV 4's Hershey font: capitals are 21 units high at scale 1, and ours 0.7 of the font size."""
    import cv2

    big = font_px * SUPERSAMPLING
    canvas = np.zeros((big * 2, big * (len(text) + 2)), np.uint8)
    baseline = round(font_px * 1.4)
    thickness = max(round(big * weight / 6500), 1)
    scale = big * 0.7 / 21
    cv2.putText(
        canvas, text, (big, baseline * SUPERSAMPLING), cv2.FONT_HERSHEY_SIMPLEX, scale, (255,), thickness, cv2.LINE_AA
    )
    small = cv2.resize(canvas, (canvas.shape[1] // SUPERSAMPLING, font_px * 2), interpolation=cv2.INTER_AREA)
    return _trimmed(small, 0), baseline


def _trimmed(canvas: NDArray[np.uint8], end_x: int) -> NDArray[np.float32]:
    columns = np.flatnonzero(canvas.any(axis=0))
    if columns.size == 0:
        return np.zeros((canvas.shape[0], max(end_x - canvas.shape[0] // 2, 1)), np.float32)
    return np.asarray(canvas[:, columns[0] : columns[-1] + 1] / 255, dtype=np.float32)
