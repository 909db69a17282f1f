"""Colours of identities and classes: stable, of even lightness, distinct from their neighbours'.

Hues step by the golden angle through OKLCH (Ottosson 2020, "A perceptual color space for image processing"), where
equal steps look equally different; lightness and chroma take turns so that numbers whose hues come close differ
in tone.
"""

from __future__ import annotations

import math
from functools import lru_cache

__all__ = ["Bgr", "class_colour", "identity_colour", "ink_for"]

Bgr = tuple[int, int, int]

GOLDEN_ANGLE_DEG = 180 * (3 - math.sqrt(5))
FIRST_HUE_DEG = 250.0
"""Identity 1 is blue: the colour that street and shop footage has least of."""

TIERS = ((0.77, 0.18), (0.65, 0.21), (0.74, 0.19), (0.62, 0.21))
"""Lightness and chroma by turns, light enough for dark asphalt and strong enough for white shop floors. Found by random
search: two identities less than 8 apart differ by at least 25 in CIELAB, less than 24 apart by at least 12."""


@lru_cache(maxsize=4096)
def identity_colour(identity: int) -> Bgr:
    """The colour of an identity as ``(blue, green, red)`` in 0..255, the same in every run.

    >>> identity_colour(1) == identity_colour(1)
    True
    >>> identity_colour(1) == identity_colour(2)
    False
    """
    lightness, chroma = TIERS[identity % len(TIERS)]
    hue = math.radians((FIRST_HUE_DEG + GOLDEN_ANGLE_DEG * (identity - 1)) % 360)
    # Colours out of gamut are brought inside by lowering the chroma: hue and lightness stay.
    for step in range(20):
        red_green_blue = _srgb(lightness, chroma * (1 - step / 20), hue)
        if all(-0.001 <= channel <= 1.001 for channel in red_green_blue):
            break
    red, green, blue = (round(min(max(channel, 0.0), 1.0) * 255) for channel in red_green_blue)
    return blue, green, red


def class_colour(class_id: int) -> Bgr:
    """The colour of a class, for pictures without identities."""
    return identity_colour(class_id + 1)


def ink_for(colour: Bgr) -> Bgr:
    """Near black or white, whichever reads better on ``colour`` (WCAG 2 contrast ratio).

    >>> ink_for((255, 255, 255)), ink_for((90, 0, 0))
    ((24, 20, 18), (255, 255, 255))
    """
    dark: Bgr = (24, 20, 18)
    light: Bgr = (255, 255, 255)
    surface = luminance(colour)
    return (
        dark if (surface + 0.05) / (luminance(dark) + 0.05) >= (luminance(light) + 0.05) / (surface + 0.05) else light
    )


def luminance(colour: Bgr) -> float:
    """Relative luminance in 0..1 (WCAG 2, after IEC 61966-2-1)."""
    blue, green, red = (_linear(channel / 255) for channel in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def _srgb(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    """OKLCH to gamma-coded sRGB; channels outside 0..1 are out of gamut."""
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    return _gamma(linear[0]), _gamma(linear[1]), _gamma(linear[2])


def _gamma(channel: float) -> float:
    return 12.92 * channel if channel <= 0.0031308 else 1.055 * channel ** (1 / 2.4) - 0.055
