"""Colours of reports, those of the dashboard: names of tones with their light and dark values."""

from __future__ import annotations

__all__ = ["DARK", "LIGHT", "SERIES", "bgr"]

SERIES = 8
"""Colours that are told apart, also in colour-blind sight; what comes after them is grey."""

_NAMES = (
    *("ground", "surface", "raised", "border", "ink", "soft", "grid", "hatch", "accent", "warn", "warn-soft"),
    *(f"series-{number}" for number in range(1, SERIES + 1)),
)
_LIGHT = (
    *("#f3f5f7", "#ffffff", "#eef1f4", "#d5dbe1", "#14191e", "#4d5964", "#e3e8ec", "#b9c2ca", "#00689e", "#8a5a00"),
    *("#fdf0d2", "#0c3899", "#b98d01", "#559e76", "#7b0f2b", "#5c9bb8", "#7872fc", "#8f3c00", "#5f2a5f"),
)
_DARK = (
    *("#0f1418", "#171e23", "#202930", "#2c373f", "#e8edf1", "#a5b2bc", "#263038", "#46535c", "#58b9ea", "#f0b849"),
    *("#3a2e12", "#5aaffb", "#f1e07e", "#93d6ac", "#be3b4a", "#8bebfe", "#5258de", "#c26a07", "#96558c"),
)
LIGHT = dict(zip(_NAMES, _LIGHT, strict=True))
DARK = dict(zip(_NAMES, _DARK, strict=True))


def bgr(tone: str) -> tuple[int, int, int]:
    """A light tone as OpenCV has colours.

    >>> bgr("series-1")
    (153, 56, 12)
    """
    text = LIGHT[tone]
    return int(text[5:7], 16), int(text[3:5], 16), int(text[1:3], 16)
