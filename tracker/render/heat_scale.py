"""Scale of a heatmap: which value has which colour, and the legend that says so."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tracker.errors import ConfigError
from tracker.render.label import plain_sprite, stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["GROUND", "HeatScale", "font_px", "legend", "scale_of", "shown_value", "square"]

GROUND = (30, 25, 23)
BRIGHT, MUTED = (255, 253, 250), (205, 198, 190)
TICKS = 4
STEEPNESS = 0.5
"""Power of the scale: the square root shows paths beside places where identities stand."""
FIRST = 0.14
"""Where in the colour map the scale begins: its black would darken the still where hardly anything was."""
STRONGEST = 0.88
"""Opacity of the last colour; that of the first one is 0."""
LEAST_PX = 11
"""Height of text that can be read."""
MOST_LINE = 28
"""Heights of its text that a picture is wide at least: lines of the legend fit."""
PAPER = 78.0
"""Grey under the colours of the legend: that of a dimmed still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatScale:
    """From 0 to the value of the last colour, by the square root; values above it have that colour too.

    Attributes:
        top: Value of the last colour, above 0.
        unit: What the values are, such as ``s``.
        percentile: Share of the cells with a value that lie below ``top``.
        whole: The values are numbers of something.
    """

    top: float
    unit: str
    percentile: float
    whole: bool = False

    def shares(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Places of values on the scale, 0..1, any shape."""
        return np.asarray(np.clip(np.nan_to_num(values) / self.top, 0.0, 1.0) ** STEEPNESS)

    def colours(self, values: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Colours ``(h, w, 3)`` uint8 BGR of values ``(h, w)``: inferno, which is even in lightness."""
        import cv2

        steps = np.round(255 * (FIRST + (1 - FIRST) * self.shares(values))).astype(np.uint8)
        return np.asarray(cv2.applyColorMap(steps, cv2.COLORMAP_INFERNO), np.uint8)

    def over(self, below: NDArray[np.float32], values: NDArray[np.float64]) -> NDArray[np.uint8]:
        """The colours of values ``(h, w)`` over a picture ``(h, w, 3)``, the fainter the lower they are."""
        opacity = (STRONGEST * np.sqrt(self.shares(values)))[..., None].astype(np.float32)
        return np.asarray(np.round(below * (1 - opacity) + self.colours(values) * opacity), np.uint8)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Places on the scale and what stands there."""
        found = [(0.0, f"0 {self.unit}")]
        for number in range(1, TICKS):
            value = self.top * (number / TICKS) ** (1 / STEEPNESS)
            value = float(round(value)) if self.whole else value
            share = (value / self.top) ** STEEPNESS
            if found[-1][0] + 0.5 / TICKS < share < 1 - 0.5 / TICKS:
                found.append((share, shown_value(value)))
        return [*found, (1.0, f"{shown_value(self.top)} {self.unit} and more")]


def scale_of(values: NDArray[np.float64], *, unit: str, percentile: float, whole: bool = False) -> HeatScale:
    """The scale whose last colour is a percentile of the cells that have a value; one parked car moves it little.

    Args:
        values: Of the cells, any shape.
        unit: What they are.
        whole: They are numbers of something.
        percentile: From above 0 to 100, the largest value.

    Raises:
        ConfigError: The percentile is out of range.
    """
    if not 0 < percentile <= 100:
        problem = f"expected a percentile above 0 and up to 100, found {percentile:g}"
        raise ConfigError("--percentile", problem, "95 shows more of quiet places, 100 the largest value")
    found = values[np.isfinite(values) & (values > 0)]
    top = float(np.percentile(found, percentile)) if len(found) else 1.0
    return HeatScale(top=max(round(top), 1) if whole else top, unit=unit, percentile=percentile, whole=whole)


def shown_value(value: float) -> str:
    """A value with two digits that count, whole from ten on.

    >>> [shown_value(value) for value in (0.0123, 0.5, 7.25, 21.4, 3600)]
    ['0.012', '0.5', '7.2', '21', '3600']
    """
    if value <= 0 or value >= 10:
        return f"{value:.0f}"
    digits = 1 - math.floor(math.log10(value))
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


def square() -> str:
    """Square metres, as the font can write them."""
    import cv2

    return "m\u00b2" if hasattr(cv2, "FontFace") else "m2"


def font_px(width: int, shown_px: int | None = None) -> int:
    """Height of the text of a picture of some width, larger where it is shown smaller.

    >>> font_px(1280), font_px(1280, 1280), font_px(1280, 320)
    (18, 18, 44)
    """
    least = 0 if shown_px is None else round(LEAST_PX * width / shown_px)
    return max(min(max(round(width / 72), LEAST_PX), 34), min(least, width // MOST_LINE))


def legend(
    scale: HeatScale, width: int, *, title: str, lines: Sequence[str], shown_px: int | None = None
) -> NDArray[np.uint8]:
    """A strip ``(h, width, 3)`` uint8 BGR to put under a picture.

    Args:
        scale: Of the picture.
        width: Of the picture in pixels.
        title: What is shown.
        lines: Of when and how much, below it.
        shown_px: Width at which the picture will be looked at; ``None`` = about its own.
    """
    font = font_px(width, shown_px)
    row, margin = round(font * 1.55), font
    strip = np.empty((round(row * (3.3 + len(lines))), width, 3), np.uint8)
    strip[...] = GROUND
    stamp(strip, plain_sprite(title, font, weight=700, colour=BRIGHT), margin, margin // 2)
    left, right, top = margin, width - margin, margin // 2 + row
    ramp = scale.top * np.linspace(0, 1, right - left) ** (1 / STEEPNESS)
    paper = np.full((1, right - left, 3), PAPER, np.float32)
    strip[top : top + row - font // 3, left:right] = scale.over(paper, ramp[None])
    free = width
    for share, text in reversed(scale.ticks):  # the last one says what is beyond it
        x = left + round(share * (right - left - 1))
        sprite = plain_sprite(text, round(font * 0.9), weight=500, colour=BRIGHT)
        begin = round(x - share * sprite.size[0])
        if begin + sprite.size[0] > free:
            continue
        free = begin - font // 2
        strip[top + row - font // 3 : top + row, x : x + 2] = BRIGHT
        stamp(strip, sprite, begin, top + row + font // 4)
    for number, text in enumerate(lines):
        sprite = plain_sprite(text, round(font * 0.85), weight=400, colour=MUTED)
        stamp(strip, sprite, margin, top + round(row * (2.1 + number)))
    return strip
