"""Marks of a site in pictures: lines that are counted over, zones, occluders, each with a colour of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.render.colour import Bgr

__all__ = ["LineMark", "OccluderMark", "Point", "SiteMarks", "ZoneMark", "shown_name"]

Point = tuple[float, float]

COLOURS: tuple[Bgr, ...] = (
    (255, 221, 153),  # light cyan
    (136, 221, 238),  # light yellow
    (187, 170, 255),  # pink
    (153, 187, 68),  # mint
    (102, 136, 238),  # orange
    (221, 170, 119),  # light blue
    (51, 204, 187),  # pear
)
"""BGR, after the light scheme of Tol 2021, "Colour schemes" (SRON/EPS/TN/09-002), which is distinct in colour-blind
vision. All are paler than the colours of identities, so that a mark is never taken for an object."""

LONGEST_NAME = 28
"""Letters of a name that are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineMark:
    """A polyline that is counted over.

    Attributes:
        name: As events call the line.
        points: Two corners or more, in shares of the picture's width and height.
        to_left: Name of the direction onto the left-hand side of the line as seen on the screen; upwards, for a line
            from left to right. Empty: it is not shown.
        to_right: Name of the other direction.
    """

    name: str
    points: tuple[Point, ...]
    to_left: str = "in"
    to_right: str = "out"

    def __post_init__(self) -> None:
        _check(f"line {self.name!r}", self.points, least=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneMark:
    """One or several polygons; a polygon inside another one is a hole.

    Attributes:
        name: As events call the zone.
        polygons: Three corners or more each, in shares of the picture's width and height.
    """

    name: str
    polygons: tuple[tuple[Point, ...], ...]

    def __post_init__(self) -> None:
        for polygon in self.polygons:
            _check(f"zone {self.name!r}", polygon, least=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class OccluderMark:
    """Something that stands still and hides where objects stand.

    Attributes:
        name: For errors; it is not written.
        polygon: Three corners or more, in shares of the picture's width and height.
    """

    name: str
    polygon: tuple[Point, ...]

    def __post_init__(self) -> None:
        _check(f"occluder {self.name!r}", self.polygon, least=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteMarks:
    """Everything of a site that is drawn."""

    lines: tuple[LineMark, ...] = ()
    zones: tuple[ZoneMark, ...] = ()
    occluders: tuple[OccluderMark, ...] = ()

    @property
    def line_colours(self) -> tuple[Bgr, ...]:
        """One for each line, by its position in the site: the same in every run."""
        return tuple(COLOURS[n % len(COLOURS)] for n in range(len(self.lines)))

    @property
    def zone_colours(self) -> tuple[Bgr, ...]:
        """One for each zone; they begin where those of the lines end."""
        return tuple(COLOURS[(len(self.lines) + n) % len(COLOURS)] for n in range(len(self.zones)))


def shown_name(name: str) -> str:
    r"""A name as it is written in pictures: one line, of bounded length.

    >>> shown_name("till\n3"), shown_name("a" * 40)
    ('till 3', 'aaaaaaaaaaaaaaaaaaaaaaaaa...')
    """
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())
    return line if len(line) <= LONGEST_NAME else line[: LONGEST_NAME - 3].rstrip() + "..."


def _check(offender: str, points: Sequence[Point], *, least: int) -> None:
    if len(points) < least:
        raise ConfigError(offender, f"expected {least} points or more, found {len(points)}", "add points")
    for x, y in points:
        # Far beyond the picture OpenCV's fixed-point coordinates overflow.
        if not (math.isfinite(x) and math.isfinite(y) and abs(x) <= 4 and abs(y) <= 4):
            problem = f"expected points in shares of the picture, found ({x:g}, {y:g})"
            raise ConfigError(offender, problem, "divide pixels by the picture's width and height")
