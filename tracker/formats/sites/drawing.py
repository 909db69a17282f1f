"""Parts of a site out of another tool's numbers, and back: names, pixels, limits, and warnings for what has no place.

The side of a line onto which a movement goes is named as in :class:`tracker.site.Line`.
"""

from __future__ import annotations

import math
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any

from tracker.errors import ConfigError, without_controls
from tracker.formats.sites.plain import kind_of, mapping_of, number_of, sequence_of, text_of
from tracker.polygons import polygon_area
from tracker.site import MOST_POINTS, Flow, Line, Site, Zone

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tracker.polygons import Point

__all__ = [
    "Drawing",
    "Exported",
    "Imported",
    "flat_points",
    "line_pieces",
    "lost",
    "needed_size",
    "outlines",
    "pieces",
    "pixels",
    "points_of",
    "unique",
    "zone_polygons",
]

Size = tuple[int, int]

MOST_PARTS = 500
MOST_CLASSES = 100
CIRCLE_CORNERS = 32
OVER_THE_EDGE = 0.02
"""Share of the picture by which a point may lie outside: tools let people draw a little over the edge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A site, and a warning for everything that it does not hold."""

    site: Site
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Text of a format, and a warning for everything that it does not hold."""

    text: str
    warnings: tuple[str, ...] = ()


class Drawing:
    """A site as it is read, part by part.

    Args:
        size: ``(width, height)`` by which coordinates are divided; ``None``: they are shares of the picture.
        reference: Size of the picture, where it is known in another way.
    """

    def __init__(self, size: Size | None, *, reference: Size | None = None) -> None:
        self._scale = size or (1, 1)
        self._normalised = size is None
        self._reference = size or reference
        self._lines: list[Line] = []
        self._zones: list[Zone] = []
        self._names: set[str] = set()
        self._points = 0
        self._warnings: dict[str, None] = {}

    def warn(self, text: str) -> None:
        """Something has no place in a site; each text once."""
        if len(self._warnings) < MOST_PARTS:
            self._warnings[without_controls(text)] = None

    def unused(self, what: str, held: Mapping[str, Any], known: Iterable[str]) -> None:
        """Warn of the keys of a mapping that are not carried over."""
        if left := [key for key in held if key not in set(known)]:
            shown = ", ".join(left[:10]) + (", ..." if len(left) > 10 else "")
            self.warn(f"{what}: {shown} {'is' if len(left) == 1 else 'are'} not carried over")

    def line(self, name: Any, points: Sequence[Point], **chosen: Any) -> str:
        """Add a line; its name in the site."""
        known = self._name("line", name)
        placed = self._placed(f"line {known!r}", points)
        self._lines.append(Line(name=known, points=placed, **chosen))
        return known

    def zone(self, name: Any, polygon: Sequence[Point], **chosen: Any) -> str:
        """Add a zone of one polygon; its name in the site."""
        known = self._name("zone", name)
        placed = self._placed(f"zone {known!r}", polygon)
        if len(placed) > 1 and placed[0] == placed[-1]:
            placed = placed[:-1]  # some tools repeat the first corner at the end
        self._zones.append(Zone(name=known, polygons=(placed,), **chosen))
        return known

    def circle(self, name: Any, centre: Point, radius: float, **chosen: Any) -> str:
        """Add a zone of 32 corners with the circle's area; its name in the site."""
        if not radius > 0:
            raise ConfigError(
                f"zone {name!r}", f"expected a radius above 0, found {radius:g}", "is it the right format?"
            )
        turn = 2 * math.pi / CIRCLE_CORNERS
        reach = radius * math.sqrt(turn / math.sin(turn))
        width, height = self._scale
        corners = [
            (centre[0] + reach * math.cos(number * turn), centre[1] + reach * math.sin(number * turn))
            for number in range(CIRCLE_CORNERS)
        ]
        inside = [(min(max(x, 0.0), float(width)), min(max(y, 0.0), float(height))) for x, y in corners]
        if inside != corners:
            self.warn(f"zone {name!r}: the circle is cut off at the edge of the picture")
        return self.zone(name, inside, **chosen)

    def imported(self, flows: Sequence[Flow] = ()) -> Imported:
        """All that was added."""
        if not self._lines and not self._zones:
            raise ConfigError(
                "the file", "expected lines or zones, found none", "is it the right format, camera or stream?"
            )
        site = Site(
            lines=tuple(self._lines), zones=tuple(self._zones), flows=tuple(flows), reference_size=self._reference
        )
        return Imported(site=site, warnings=tuple(self._warnings))

    def classes(self, value: Any, what: str) -> tuple[str, ...]:
        """Names of classes from a text or a list of texts."""
        listed = value if isinstance(value, list) else [value]
        if len(listed) > MOST_CLASSES:
            raise ConfigError(what, f"expected at most {MOST_CLASSES} classes, found more", "is it the right file?")
        names = (_printable(text_of(entry, what)) for entry in listed if entry is not None)
        return tuple(dict.fromkeys(name for name in names if name))

    def _name(self, kind: str, name: Any) -> str:
        """A name that a site takes, different from all others."""
        if len(self._names) >= MOST_PARTS:
            raise ConfigError("the file", f"expected at most {MOST_PARTS} lines and zones, found more", "divide it")
        given = "" if name is None else text_of(name, kind)
        count = len(self._lines if kind == "line" else self._zones) + 1
        usable = _printable(given) or f"{kind} {count}"
        known = unique(usable, self._names)
        if given and known != given:
            self.warn(f"{kind} {known!r}: it was called {given!r} there")
        return known

    def _placed(self, what: str, points: Sequence[Point]) -> tuple[Point, ...]:
        """Coordinates as shares of the picture."""
        self._points += len(points)
        if self._points > MOST_POINTS:
            raise ConfigError(what, f"expected at most {MOST_POINTS:,} points in all, found more", "draw fewer corners")
        placed: list[Point] = []
        for number, (x, y) in enumerate(points, start=1):
            share = x / self._scale[0], y / self._scale[1]
            inside = min(max(share[0], 0.0), 1.0), min(max(share[1], 0.0), 1.0)
            if max(abs(share[0] - inside[0]), abs(share[1] - inside[1])) > OVER_THE_EDGE:
                problem = f"expected points inside {self._picture()}, found ({x:g}, {y:g}) as point {number}"
                raise ConfigError(what, problem, "was it drawn on a picture of another size? say so with --size")
            if inside != share:
                self.warn(f"{what}: point {number} lay outside the picture and was moved to its edge")
            if placed and placed[-1] == inside:
                self.warn(f"{what}: points {number - 1} and {number} are one")
            else:
                placed.append(inside)
        return tuple(placed)

    def _picture(self) -> str:
        return "0 to 1" if self._normalised else f"the picture of {self._scale[0]} x {self._scale[1]} pixels"


def needed_size(size: Size | None, tool: str) -> Size:
    """The size, which a format does not hold itself."""
    if size is None:
        problem = f"expected the size of the picture in pixels, found none in {tool}"
        raise ConfigError("--size", problem, "say on which it was drawn: --size 1280x720")
    return size


def unique(name: str, taken: set[str], *, between: str = " ") -> str:
    """The name, or with a number where it is taken; it is taken then."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}{between}{number}"
    taken.add(found)
    return found


def points_of(value: Any, what: str) -> list[Point]:
    """Points as ``[x, y]`` or ``{"x": x, "y": y}``."""
    listed = sequence_of(value, what)
    if len(listed) > MOST_POINTS:
        raise ConfigError(what, f"expected at most {MOST_POINTS:,} points, found more", "draw fewer corners")
    return [_point(entry, f"{what}, point {number}") for number, entry in enumerate(listed, start=1)]


def flat_points(numbers: Sequence[float], what: str) -> list[Point]:
    """Points of ``x1, y1, x2, y2, ...``."""
    if len(numbers) % 2:
        raise ConfigError(what, f"expected pairs of x and y, found {len(numbers)} numbers", "add or remove one")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable()).strip()


def _point(value: Any, what: str) -> Point:
    if isinstance(value, dict):
        held = mapping_of(value, what)
        return number_of(held.get("x"), f"{what}, x"), number_of(held.get("y"), f"{what}, y")
    if not isinstance(value, list) or len(value) != 2:
        found = f"a list of {len(value)}" if isinstance(value, list) else kind_of(value)
        raise ConfigError(what, f"expected x and y, found {found}", "is it the right format?")
    return number_of(value[0], f"{what}, x"), number_of(value[1], f"{what}, y")


# ---- from a site ------------------------------------------------------------------------------------------------


def pixels(points: Sequence[Point], size: Size, decimals: int = 0) -> list[Point]:
    """Shares of the picture as pixels; whole numbers are whole."""
    scaled = [(round(x * size[0], decimals), round(y * size[1], decimals)) for x, y in points]
    return [(int(x) if x == int(x) else x, int(y) if y == int(y) else y) for x, y in scaled]


def pieces(line: Line) -> Iterator[tuple[str, tuple[Point, Point]]]:
    """A polyline as lines of two points, for tools that know no others: counts over it are those over its pieces."""
    straight = len(line.points) == 2
    for number in range(len(line.points) - 1):
        yield line.name if straight else f"{line.name} {number + 1}", (line.points[number], line.points[number + 1])


def outlines(zone: Zone) -> tuple[list[tuple[str, tuple[Point, ...]]], int]:
    """The polygons of a zone that are no holes, with a name for each, and the number of holes."""
    outer = [
        polygon
        for polygon in zone.polygons
        if not sum(_inside(polygon[0], other) for other in zone.polygons if other is not polygon) % 2
    ]
    outer.sort(key=polygon_area, reverse=True)
    names = [zone.name] if len(outer) == 1 else [f"{zone.name} {number}" for number in range(1, len(outer) + 1)]
    return list(zip(names, outer, strict=True)), len(zone.polygons) - len(outer)


def lost(
    site: Site, tool: str, *, parts: Iterable[str], line: Iterable[str] = (), zone: Iterable[str] = ()
) -> Iterator[str]:
    """A warning for everything in a site that a format does not hold.

    Args:
        site: What is exported.
        tool: Its name.
        parts: Which of lines, zones and flows it holds.
        line: Settings of lines that it holds, beside name and points.
        zone: Settings of zones that it holds, beside name and polygons.
    """
    held = set(parts)
    singular = {"lines": "line", "zones": "zone", "occluders": "occluder", "doors": "doors", "flows": "flow"}
    singular["privacy"] = "privacy zone"
    singular |= {"queues": "queue", "footfall": "footfall", "bays": "bay"}
    for key, what in singular.items():
        for part in getattr(site, key) if key not in held else ():
            yield f"{what} {part.name!r} is left out: {tool} knows no {key.replace('privacy', 'privacy zones')}"
    for key, kept in (("lines", set(line)), ("zones", set(zone))):
        for part in getattr(site, key) if key in held else ():
            changed = [name for name in _changed(part) if name not in kept | {"name", "points", "polygons"}]
            if changed:
                yield f"{singular[key]} {part.name!r}: {', '.join(changed)} left out: {tool} knows no such thing"
    if site.timezone != "UTC":
        yield f"timezone {site.timezone} is left out: {tool} knows none"


def zone_polygons(site: Site, tool: str, warnings: list[str]) -> Iterator[tuple[Zone, str, tuple[Point, ...]]]:
    """Zones of one polygon each, for tools that know no others."""
    for zone in site.zones:
        outer, holes = outlines(zone)
        if len(outer) > 1:
            warnings.append(f"zone {zone.name!r}: its {len(outer)} polygons become zones of their own in {tool}")
        if holes:
            warnings.append(f"zone {zone.name!r}: its holes, {holes}, are left out and belong to it in {tool}")
        for name, polygon in outer:
            yield zone, name, polygon


def line_pieces(site: Site, tool: str, warnings: list[str]) -> Iterator[tuple[Line, str, tuple[Point, Point]]]:
    """Lines of two points each, for tools that know no others."""
    for line in site.lines:
        if len(line.points) > 2:
            warnings.append(
                f"line {line.name!r}: its {len(line.points) - 1} pieces become lines of their own in {tool}"
            )
        for name, ends in pieces(line):
            yield line, name, ends


def _changed(part: Any) -> Iterator[str]:
    """Names of the settings that are not the default."""
    for field in fields(part):
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if getattr(part, field.name) != default:
            yield field.name


def _inside(point: Point, polygon: Sequence[Point]) -> bool:
    """Whether a polygon that does not touch the point holds it."""
    inside = False
    for (x1, y1), (x2, y2) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        if (y1 > point[1]) != (y2 > point[1]) and point[0] < x1 + (x2 - x1) * (point[1] - y1) / (y2 - y1):
            inside = not inside
    return inside
