"""Tags of lines and zones: name and counts on one dark ground, with an arrow where a direction points."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from tracker.render.label import render_text, rounded, set_letters, sprite_of
from tracker.render.site_marks import shown_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracker.render.colour import Bgr
    from tracker.render.label import Sprite
    from tracker.render.site_marks import LineMark, SiteMarks, ZoneMark
    from tracker.render.site_tally import LineCounts, SiteTally, ZoneCounts

__all__ = ["LegendEntry", "Part", "dwell_text", "legend", "line_parts", "tag_sprite", "zone_parts"]

GROUND, SHADE = (30, 25, 23), 0.78
BRIGHT, MUTED = (255, 253, 250), (205, 198, 190)
NAME, WORD, NUMBER, ARROW, DOT = "name", "word", "number", "arrow", "dot"


class Part(NamedTuple):
    """One piece of a tag.

    Attributes:
        kind: ``name``, ``word``, ``number``, ``arrow`` or ``dot``.
        text: What is written; empty for arrows and dots.
        angle: Where an arrow points, in radians, 0 to the right and growing downwards.
    """

    kind: str
    text: str = ""
    angle: float = 0.0


class LegendEntry(NamedTuple):
    """Name and counts of one line or zone.

    Attributes:
        parts: What is written.
        colour: Of the mark.
    """

    parts: tuple[Part, ...]
    colour: Bgr


def line_parts(line: LineMark, counts: LineCounts, angle_to_left: float | None) -> tuple[Part, ...]:
    """``door · in 14 · out 11``, with an arrow before each direction where its angle is known."""
    parts = [Part(NAME, shown_name(line.name))]
    for name, turn in ((line.to_left, 0.0), (line.to_right, math.pi)):
        if name:
            parts.append(Part(DOT))
            if angle_to_left is not None:
                parts.append(Part(ARROW, angle=round(angle_to_left + turn, 2)))
            parts += [Part(WORD, shown_name(name)), Part(NUMBER, str(counts.by_direction.get(name, 0)))]
    return tuple(parts)


def zone_parts(
    zone: ZoneMark, counts: ZoneCounts, *, form: Literal["full", "short", "final"] = "full"
) -> tuple[Part, ...]:
    """``till · 3 now · 0:42 mean``; short ``till · 3``; final, when it is over, ``till · 12 stays · 0:42 mean``."""
    parts = [Part(NAME, shown_name(zone.name)), Part(DOT)]
    if form == "short":
        return (*parts, Part(NUMBER, str(len(counts.present))))
    if form == "final":
        parts += [Part(NUMBER, str(counts.entered)), Part(WORD, "stay" if counts.entered == 1 else "stays")]
    else:
        parts += [Part(NUMBER, str(len(counts.present))), Part(WORD, "now")]
    if counts.mean_dwell_s is not None:
        parts += [Part(DOT), Part(NUMBER, dwell_text(counts.mean_dwell_s)), Part(WORD, "mean")]
    return tuple(parts)


def legend(marks: SiteMarks, tally: SiteTally) -> tuple[LegendEntry, ...]:
    """The counts of a recording that is over, lines first."""
    lines = [
        LegendEntry(line_parts(line, tally.lines[line.name], None), colour)
        for line, colour in zip(marks.lines, marks.line_colours, strict=True)
    ]
    zones = [
        LegendEntry(zone_parts(zone, tally.zones[zone.name], form="final"), colour)
        for zone, colour in zip(marks.zones, marks.zone_colours, strict=True)
    ]
    return (*lines, *zones)


def dwell_text(seconds: float) -> str:
    """Minutes and seconds, with hours where needed.

    >>> dwell_text(42.4), dwell_text(3725)
    ('0:42', '1:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@lru_cache(maxsize=128)
def tag_sprite(
    parts: tuple[Part, ...], font_px: int, colour: Bgr, *, ground: Bgr = GROUND, shade: float = SHADE
) -> Sprite:
    """The tag as a picture.

    Args:
        parts: From the left to the right.
        font_px: Font size in pixels, at least 6.
        colour: Of the mark: its name and its arrows have it.
        ground: Colour of the ground.
        shade: Opacity of the ground.
    """
    pad_x, pad_y = max(round(font_px * 0.5), 3), max(round(font_px * 0.28), 2)
    pieces: list[tuple[NDArray[np.float32], Bgr]] = []
    gaps: list[int] = []
    for number, part in enumerate(parts):
        letters = _piece(part, font_px, pad_y)
        pieces.append((letters, _colour(part, colour)))
        wide = DOT in {part.kind, parts[number - 1].kind}
        gaps.append(0 if number == 0 else round(font_px * (0.36 if wide else 0.3)))
    height = pieces[0][0].shape[0]
    width = sum(letters.shape[1] for letters, _ in pieces) + sum(gaps) + 2 * pad_x
    ink = np.zeros((height, width), np.float32)
    paint = np.empty((height, width, 3), np.float32)
    paint[:] = ground
    x = pad_x
    for (letters, tone), gap in zip(pieces, gaps, strict=True):
        x += gap
        cut = slice(x, x + letters.shape[1])
        ink[:, cut] = letters
        share = letters[..., None]
        paint[:, cut] = paint[:, cut] * (1 - share) + np.array(tone, np.float32) * share
        x += letters.shape[1]
    shape = rounded(width, height, radius=height / 3.2) * shade
    return sprite_of(paint, np.maximum(shape, ink))


def _colour(part: Part, colour: Bgr) -> Bgr:
    if part.kind in {NAME, ARROW}:
        return colour
    return BRIGHT if part.kind == NUMBER else MUTED


def _piece(part: Part, font_px: int, pad_y: int) -> NDArray[np.float32]:
    """Coverage of one part, all parts as high as the tag: accents reach into its margin."""
    height = round(font_px * 0.72) + round(font_px * 0.20) + 2 * pad_y
    middle = pad_y + round(font_px * 0.72) - font_px * 0.35
    if part.kind == DOT:
        size = max(round(font_px * 0.2), 2)
        return _disc(size, height, middle)
    if part.kind == ARROW:
        return _arrow(part.angle, font_px, height, middle)
    weight = {NAME: 650, WORD: 450, NUMBER: 700}[part.kind]
    coverage, baseline = render_text(part.text, font_px, weight)
    return set_letters(coverage, baseline, font_px, (0, pad_y))


def _disc(size: int, height: int, middle: float) -> NDArray[np.float32]:
    y, x = np.mgrid[:height, :size] + 0.5
    distance = np.hypot(x - size / 2, y - middle)
    return np.asarray(np.clip(size / 2 - distance + 0.5, 0, 1) * 0.7, dtype=np.float32)


def _arrow(angle: float, font_px: int, height: int, middle: float) -> NDArray[np.float32]:
    import cv2

    reach = font_px * 0.40
    width = math.ceil(2 * reach) + 1
    ahead = np.array([math.cos(angle), math.sin(angle)])
    across = np.array([-ahead[1], ahead[0]])
    centre = np.array([width / 2, middle])
    corners = reach * np.array([ahead, 0.78 * across - 0.66 * ahead, -0.78 * across - 0.66 * ahead])
    # Drawn four times too large, as OpenCV's own antialiasing is uneven at ten pixels.
    big = np.zeros((height * 4, width * 4), np.uint8)
    fixed = np.round((centre + corners) * 4 * 16).astype(np.int32).reshape(-1, 1, 2)
    cv2.fillPoly(big, [fixed], (255,), cv2.LINE_AA, 4)
    return np.asarray(cv2.resize(big, (width, height), interpolation=cv2.INTER_AREA) / 255, dtype=np.float32)
