"""Sketches as SVG: a site over a still of its scene, and single paths over the part of it where they are."""

from __future__ import annotations

import base64
import itertools
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.render.colour import Bgr
    from tracker.render.site_marks import SiteMarks

__all__ = ["Sketcher"]

HEIGHT = 1000.0
"""Of the picture, in units of the drawings."""
LEAST_VIEW = 260.0
"""Height of the smallest part of the picture that is shown, in these units."""
MARGIN = 1.25
ROOM = 80.0
"""Around the place of the event, in these units."""
SHAPE = 4 / 3
"""Width over height of a sketch."""
SKETCH_PX = 180
"""Height of a sketch on the page, for which widths of strokes are meant."""
SCENE_PX = 460

Sample = tuple[float, float, bool]
View = tuple[float, float, float, float]


class Sketcher:
    """Draws the parts of one site.

    Args:
        marks: Lines and zones.
        size: ``(width, height)`` of the picture in pixels.
        still: JPEG of the scene; without it the ground is plain.
    """

    def __init__(self, marks: SiteMarks, size: tuple[int, int], *, still: bytes | None = None) -> None:
        self._marks, self._still = marks, still
        self._width = HEIGHT * size[0] / size[1]
        self._colours = [_css(colour) for colour in (*marks.line_colours, *marks.zone_colours)]

    def colour(self, number: int) -> str:
        """Of the line or zone with this number, as CSS."""
        return self._colours[number]

    def definitions(self) -> str:
        """The still, once for all sketches of the page."""
        if self._still is None:
            return ""
        data = base64.b64encode(self._still).decode()
        image = (
            f'<image id=still width="{self._width:.0f}" height="{HEIGHT:.0f}" preserveAspectRatio="none" '
            f'href="data:image/jpeg;base64,{data}"/>'
        )
        return f"<svg class=defs width=0 height=0 aria-hidden=true><defs>{image}</defs></svg>"

    def scene(self, dots: Sequence[tuple[str, tuple[float, float] | None, str]]) -> str:
        """The whole picture with all marks, and dots that are links.

        Args:
            dots: Key of a row, its place in shares of the picture, and its kind.
        """
        unit = HEIGHT / SCENE_PX
        marks = [self._mark(number, unit, tagged=True) for number in range(len(self._colours))]
        shown = [
            f'<a href="#{key}"><circle class="dot {kind}" cx="{at[0] * self._width:.1f}" cy="{at[1] * HEIGHT:.1f}" '
            f'r="{4.5 * unit:.1f}" stroke-width="{1.5 * unit:.1f}"/></a>'
            for key, at, kind in dots
            if at is not None
        ]
        return self._svg((0.0, 0.0, self._width, HEIGHT), [*marks, *shown], "The site on a picture of its scene")

    def sketch(self, number: int, path: Sequence[Sample], at: tuple[float, float] | None, kind: str) -> str:
        """One path near one line or zone.

        Args:
            number: Of the line or zone.
            path: Shares of the picture, and whether the contact was seen.
            at: Where it was passed or nearly was.
            kind: Class of the marks.
        """
        points = [(x * self._width, y * HEIGHT, seen) for x, y, seen in path]
        centre = None if at is None else (at[0] * self._width, at[1] * HEIGHT)
        view = self._view([(x, y) for x, y, _ in points], centre)
        unit = view[3] / SKETCH_PX
        parts = [self._mark(number, unit), *_path(points, unit, kind)]
        if centre is not None:
            ring = f'cx="{centre[0]:.1f}" cy="{centre[1]:.1f}" r="{7 * unit:.2f}"'
            parts.append(f'<circle class="halo" {ring} stroke-width="{4.5 * unit:.2f}"/>')
            parts.append(f'<circle class="ring {kind}" {ring} stroke-width="{2.2 * unit:.2f}"/>')
        return self._svg(view, parts, "Sketch of the path")

    def _svg(self, view: View, parts: Sequence[str], label: str) -> str:
        ground = '<use href="#still"/>' if self._still is not None else ""
        frame = f'<rect class=ground width="{self._width:.0f}" height="{HEIGHT:.0f}"/>'
        box = " ".join(f"{value:.1f}" for value in view)
        return f'<svg role=img aria-label="{label}" viewBox="{box}">{frame}{ground}{"".join(parts)}</svg>'

    def _view(self, points: Sequence[tuple[float, float]], centre: tuple[float, float] | None) -> View:
        """The part of the picture that shows a path, in the shape of a sketch."""
        if centre is not None:  # with room for the line that was not reached
            x, y = centre
            points = [*points, (x - ROOM, max(y - ROOM, 0.0)), (x + ROOM, min(y + ROOM, HEIGHT))]
        if not points:
            return 0.0, 0.0, self._width, HEIGHT
        left, right = min(x for x, _ in points), max(x for x, _ in points)
        top, bottom = min(y for _, y in points), max(y for _, y in points)
        high = max((bottom - top) * MARGIN, (right - left) * MARGIN / SHAPE, LEAST_VIEW)
        wide = high * SHAPE
        x, y = (left + right - wide) / 2, (top + bottom - high) / 2
        # Within the picture where the view is smaller than it.
        x = min(max(x, 0.0), self._width - wide) if wide <= self._width else (self._width - wide) / 2
        y = min(max(y, 0.0), HEIGHT - high) if high <= HEIGHT else (HEIGHT - high) / 2
        return x, y, wide, high

    def _mark(self, number: int, unit: float, *, tagged: bool = False) -> str:
        """A line with its arrow to the left, or a zone."""
        colour, lines = self._colours[number], len(self._marks.lines)
        if number >= lines:
            zone = self._marks.zones[number - lines]
            shape = " ".join(f"M{self._corners(polygon)}Z" for polygon in zone.polygons)
            drawn = (
                f'<path class=zone fill-rule=evenodd d="{shape}" fill="{colour}" stroke="{colour}" '
                f'stroke-width="{2 * unit:.2f}"/>'
            )
            return drawn + (self._tag(number, zone.polygons[0][0], unit) if tagged else "")
        line = self._marks.lines[number]
        shape = f"M{self._corners(line.points)}{self._arrow(line.points, unit)}"
        drawn = (
            f'<path class=under d="{shape}" stroke-width="{6 * unit:.2f}"/>'
            f'<path class=line d="{shape}" stroke="{colour}" stroke-width="{3 * unit:.2f}"/>'
        )
        return drawn + (self._tag(number, line.points[0], unit) if tagged else "")

    def _arrow(self, points: Sequence[tuple[float, float]], unit: float) -> str:
        """From the middle of a line's middle piece to its left."""
        piece = (len(points) - 1) // 2
        (x0, y0), (x1, y1) = [(x * self._width, y * HEIGHT) for x, y in points[piece : piece + 2]]
        length = math.hypot(x1 - x0, y1 - y0) or 1.0
        across = ((y1 - y0) / length, -(x1 - x0) / length)
        along = ((x1 - x0) / length, (y1 - y0) / length)
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        tip = x + across[0] * 16 * unit, y + across[1] * 16 * unit
        barbs = [
            (tip[0] - across[0] * 6 * unit + sign * along[0] * 5 * unit,
             tip[1] - across[1] * 6 * unit + sign * along[1] * 5 * unit)
            for sign in (-1, 1)
        ]  # fmt: skip
        return f"M{x:.1f} {y:.1f}L{_at(tip)}M{_at(barbs[0])}L{_at(tip)}L{_at(barbs[1])}"

    def _tag(self, number: int, at: tuple[float, float], unit: float) -> str:
        """The number of the place in the table."""
        x = min(max(at[0] * self._width, 14 * unit), self._width - 14 * unit)
        y = min(max(at[1] * HEIGHT, 14 * unit), HEIGHT - 14 * unit)
        return (
            f'<a href="#place-{number}"><circle class=tag cx="{x:.1f}" cy="{y:.1f}" r="{11 * unit:.1f}" '
            f'fill="{self._colours[number]}"/><text class=number x="{x:.1f}" y="{y:.1f}" '
            f'font-size="{13 * unit:.1f}">{number + 1}</text></a>'
        )

    def _corners(self, points: Sequence[tuple[float, float]]) -> str:
        return "L".join(f"{x * self._width:.1f} {y * HEIGHT:.1f}" for x, y in points)


def _path(points: Sequence[tuple[float, float, bool]], unit: float, kind: str) -> list[str]:
    """A path with a halo: dashed where the contact was not seen, a hollow dot first and an arrow last."""
    if len(points) < 2:
        return []
    whole = "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in points)
    parts = [f'<path class=halo d="M{whole}" stroke-width="{5 * unit:.2f}"/>']
    seen: list[str] = []
    unseen: list[str] = []
    for (x0, y0, first), (x1, y1, second) in itertools.pairwise(points):
        (seen if first and second else unseen).append(f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}")
    width = f'stroke-width="{2.4 * unit:.2f}"'
    if seen:
        parts.append(f'<path class="path {kind}" d="{"".join(seen)}" {width}/>')
    if unseen:
        dashes = f'stroke-dasharray="{3 * unit:.2f} {3.5 * unit:.2f}"'
        joined = "".join(unseen)
        parts.append(f'<path class="path {kind}" d="{joined}" {width} {dashes}/>')
    x, y, _ = points[0]
    parts.append(
        f'<circle class="first {kind}" cx="{x:.1f}" cy="{y:.1f}" r="{3.5 * unit:.2f}" stroke-width="{2 * unit:.2f}"/>'
    )
    head = _head(points, unit)
    if head:
        parts.append(f'<path class="head {kind}" d="{head}" stroke-width="{1.2 * unit:.2f}"/>')
    return parts


def _head(points: Sequence[tuple[float, float, bool]], unit: float) -> str:
    """A triangle at the end of a path, along its last way that is long enough to have a direction."""
    x, y, _ = points[-1]
    for from_x, from_y, _ in reversed(points[:-1]):
        length = math.hypot(x - from_x, y - from_y)
        if length >= 4 * unit:
            along = (x - from_x) / length, (y - from_y) / length
            tip = x + along[0] * 6 * unit, y + along[1] * 6 * unit
            left = x - along[0] * 4 * unit - along[1] * 5 * unit, y - along[1] * 4 * unit + along[0] * 5 * unit
            right = x - along[0] * 4 * unit + along[1] * 5 * unit, y - along[1] * 4 * unit - along[0] * 5 * unit
            return f"M{_at(tip)}L{_at(left)}L{_at(right)}Z"
    return ""


def _at(point: tuple[float, float]) -> str:
    return f"{point[0]:.1f} {point[1]:.1f}"


def _css(colour: Bgr) -> str:
    blue, green, red = colour
    return f"#{red:02x}{green:02x}{blue:02x}"
