"""Site of a camera: its lines, zones, occluders, doors, flows and ground, as validated values in shares of the picture.

Coordinates are ``(x, y)`` from 0 to 1, the origin at the top left, so that a site fits every size of the same picture.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tracker.errors import ConfigError
from tracker.polygons import Point, first_crossing, polygon_area, polygons_cross

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tracker.ground import Ground

__all__ = ["MOST_POINTS", "Doors", "Flow", "Line", "Occluder", "PrivacyZone", "Site", "Zone"]

ASPECT_TOLERANCE = 0.02
"""A picture whose width to height differs by more from the site's is another picture (1920 x 1088 is the same)."""
SMALLEST_AREA = 1e-6
"""Of a polygon, as a share of the picture; 2 pixels of 1080p."""
MOST_POINTS = 2_000
"""Of a whole site that comes from a file: whether edges cross is asked of every pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A polyline that is counted over, in two named directions.

    Attributes:
        name: Unique among the site's lines and zones.
        points: Two corners or more.
        to_left: Name of the direction onto the left-hand side of somebody who walks along the line as seen on the
            screen: upwards, for a line drawn from left to right.
        to_right: Name of the other direction.
        classes: Names of the classes that count; empty = all.
        dead_band: Half width, in picture heights, of the band about the line in which an identity is on neither side.
        sway_share: The same as a share of the object's own height, 0.05 = 9 cm of a person; the wider of both holds.
            Never more than half of the room that the picture leaves on that side of the line.
        settle_s: Seconds beyond the band after which an identity has changed sides.
        min_rearm_s: Seconds between two crossings of one identity; who comes back sooner has not changed sides.
    """

    name: str
    points: tuple[Point, ...]
    to_left: str = "in"
    to_right: str = "out"
    classes: tuple[str, ...] = ()
    dead_band: float = 0.004
    sway_share: float = 0.05
    settle_s: float = 0.2
    min_rearm_s: float = 1.0

    def __post_init__(self) -> None:
        offender = _named("line", self.name)
        _points(offender, self.points, least=2)
        if crossing := first_crossing(self.points, closed=False):
            raise _self_crossing(offender, crossing)
        names = self.directions
        if self.to_left == self.to_right or not all(name.strip() and name.isprintable() for name in names):
            problem = f"expected two different names of directions, found {self.to_left!r} and {self.to_right!r}"
            raise ConfigError(offender, problem, "name them, such as in and out")
        _positive(offender, "dead_band", self.dead_band, least=1e-6, most=0.5)
        _positive(offender, "sway_share", self.sway_share, most=1.0)
        _positive(offender, "settle_s", self.settle_s)
        _positive(offender, "min_rearm_s", self.min_rearm_s)

    @property
    def directions(self) -> tuple[str, str]:
        """Both names, that to the left first."""
        return self.to_left, self.to_right


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """One or several polygons; a polygon inside another one is a hole.

    Attributes:
        name: Unique among the site's lines and zones.
        polygons: Three corners or more each.
        classes: Names of the classes that count; empty = all.
        enter_s: Seconds inside after which an identity has entered, at the first of them.
        leave_s: Seconds outside, or out of sight for good, after which it has left.
        loiter_s: Seconds of a stay from which it is loitering; ``None`` = never.
        loiter_s_by_class: Other limits for some classes.
    """

    name: str
    polygons: tuple[tuple[Point, ...], ...]
    classes: tuple[str, ...] = ()
    enter_s: float = 0.3
    leave_s: float = 1.0
    loiter_s: float | None = None
    loiter_s_by_class: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        offender = _named("zone", self.name)
        if not self.polygons:
            raise ConfigError(offender, "expected a polygon, found none", "draw one")
        for polygon in self.polygons:
            _polygon(offender, polygon)
        for number, polygon in enumerate(self.polygons):
            for other in self.polygons[:number]:
                if edges := polygons_cross(polygon, other):
                    problem = f"expected polygons apart or one inside the other, found edges {_edges(edges)} that meet"
                    raise ConfigError(offender, problem, "draw them as one polygon, or as two zones")
        _positive(offender, "enter_s", self.enter_s)
        _positive(offender, "leave_s", self.leave_s)
        for limit in (self.loiter_s, *self.loiter_s_by_class.values()):
            if limit is not None:
                _positive(offender, "loiter_s", limit, least=1e-3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Occluder:
    """Something that stands still and hides ground contacts: a pillar, a counter, a shelf.

    Attributes:
        name: Unique among the site's occluders.
        polygon: Its outline in the picture.
    """

    name: str
    polygon: tuple[Point, ...]

    def __post_init__(self) -> None:
        _polygon(_named("occluder", self.name), self.polygon)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyZone:
    """A part of the picture that is never shown: filled in every picture that leaves the process.

    Attributes:
        name: Unique among the site's privacy zones.
        polygon: Its outline in the picture.
    """

    name: str
    polygon: tuple[Point, ...]

    def __post_init__(self) -> None:
        _polygon(_named("privacy zone", self.name), self.polygon)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """All lines by which a space is entered and left: their entries minus exits are its balance.

    Attributes:
        name: Of the space; unique among the site's doors.
        lines: Names of lines.
        entry: Name of the direction that enters, the same over all lines.
        exit: Name of the direction that leaves.
        reset_at: Quiet hour ``HH:MM`` in the site's time zone at which the balance is set to 0; empty = never.
    """

    name: str
    lines: tuple[str, ...]
    entry: str = "in"
    exit: str = "out"
    reset_at: str = ""

    def __post_init__(self) -> None:
        offender = _named("doors", self.name)
        if not self.lines or len(set(self.lines)) != len(self.lines):
            raise ConfigError(offender, f"expected lines, each once, found {list(self.lines)}", "list the door lines")
        if self.reset_at and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", self.reset_at):
            raise ConfigError(offender, f"expected reset_at as HH:MM, found {self.reset_at!r}", "such as 04:00")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A way from one line or zone to another.

    Attributes:
        name: Unique among the site's flows.
        start: Name of a line or zone.
        end: Name of a line or zone; the same one for a U-turn.
        start_direction: Direction over the line ``start``; empty = both.
        end_direction: Direction over the line ``end``; empty = both.
    """

    name: str
    start: str
    end: str
    start_direction: str = ""
    end_direction: str = ""

    def __post_init__(self) -> None:
        _named("flow", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What is measured in one camera's picture.

    Attributes:
        lines, zones, occluders, doors, flows, privacy: Its parts; names are unique within each, and
            among lines and zones.
        ground: How the picture lies on the ground in metres; ``None`` = not calibrated.
        reference_size: ``(width, height)`` of the picture on which it was drawn; ``None`` = not known.
        reference_picture: Name of that picture's file, which lies beside the site's; empty = none.
        revision: Counts the changes to the site; stands in every event.
        timezone: Of the place, as the IANA names it; for quiet hours.
    """

    lines: tuple[Line, ...] = ()
    zones: tuple[Zone, ...] = ()
    occluders: tuple[Occluder, ...] = ()
    doors: tuple[Doors, ...] = ()
    flows: tuple[Flow, ...] = ()
    privacy: tuple[PrivacyZone, ...] = ()
    ground: Ground | None = None
    reference_size: tuple[int, int] | None = None
    reference_picture: str = ""
    revision: int = 0
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        _unique("line or zone", [*(line.name for line in self.lines), *(zone.name for zone in self.zones)])
        _unique("occluder", [part.name for part in self.occluders])
        _unique("doors", [part.name for part in self.doors])
        _unique("flow", [part.name for part in self.flows])
        _unique("privacy zone", [part.name for part in self.privacy])
        self._check_reference()
        lines = {line.name: line for line in self.lines}
        for doors in self.doors:
            for name in doors.lines:
                for direction in (doors.entry, doors.exit):
                    _direction(f"doors {doors.name!r}", lines, name, direction)
        zones = {zone.name for zone in self.zones}
        for flow in self.flows:
            for name, direction in ((flow.start, flow.start_direction), (flow.end, flow.end_direction)):
                if not direction and name not in zones and name not in lines:
                    known = ", ".join((*lines, *sorted(zones))) or "none"
                    problem = f"expected one of the site's lines and zones ({known}), found {name!r}"
                    raise ConfigError(f"flow {flow.name!r}", problem, "name one of them")
                if direction:
                    _direction(f"flow {flow.name!r}", lines, name, direction)
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            problem = f"expected an IANA time zone, found {self.timezone!r}"
            raise ConfigError("site", problem, "such as Europe/Berlin") from None

    @property
    def never_shown(self) -> tuple[tuple[Point, ...], ...]:
        """Outlines of the privacy zones."""
        return tuple(zone.polygon for zone in self.privacy)

    def _check_reference(self) -> None:
        if self.reference_size is not None and min(self.reference_size) < 1:
            found = f"{self.reference_size[0]} x {self.reference_size[1]}"
            raise ConfigError("site", f"expected a reference size in pixels, found {found}", "give width and height")
        if self.reference_picture and not re.fullmatch(r"[^./\\][^/\\]*", self.reference_picture):
            problem = f"expected reference_picture as a file beside the site's, found {self.reference_picture!r}"
            raise ConfigError("site", problem, "put it there, and write its name without a folder")

    def check_size(self, size: tuple[int, int]) -> None:
        """Refuse a picture of another shape than that on which the site was drawn.

        Args:
            size: ``(width, height)`` of the stream's picture in pixels.

        Raises:
            ConfigError: The site's lines would lie elsewhere on this picture.
        """
        if self.reference_size is None:
            return
        width, height = self.reference_size
        stretch = (size[0] / size[1]) / (width / height)
        if not 1 - ASPECT_TOLERANCE <= stretch <= 1 + ASPECT_TOLERANCE:
            problem = f"expected a picture of the shape {width} x {height}, found {size[0]} x {size[1]}"
            raise ConfigError("site", problem, "draw the site on a picture of this camera")


def _named(kind: str, name: str) -> str:
    """``kind 'name'`` for errors; refuses names that cannot be told apart or written in one row."""
    if not name or name != name.strip() or not name.isprintable():
        raise ConfigError(kind, f"expected a name of printable characters, found {name!r}", "name it")
    return f"{kind} {name!r}"


def _unique(kind: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ConfigError(f"{kind} {name!r}", "expected each name once, found it twice", "rename one of the two")
        seen.add(name)


def _points(offender: str, points: Sequence[Point], *, least: int) -> None:
    if len(points) < least:
        raise ConfigError(offender, f"expected {least} points or more, found {len(points)}", "add points")
    for number, (x, y) in enumerate(points, start=1):
        if not (0 <= x <= 1 and 0 <= y <= 1):
            problem = f"expected x and y from 0 to 1, found ({x:g}, {y:g}) as point {number}, outside the picture"
            raise ConfigError(offender, problem, "divide pixels by the picture's width and height")
        if number > 1 and (x, y) == points[number - 2]:
            problem = f"expected points that differ, found points {number - 1} and {number} on one place"
            raise ConfigError(offender, problem, "remove one of them")


def _polygon(offender: str, points: Sequence[Point]) -> None:
    _points(offender, points, least=3)
    if points[0] == points[-1]:
        problem = "expected each corner once, found the first one again as the last"
        raise ConfigError(offender, problem, "remove the last point; polygons close by themselves")
    if crossing := first_crossing(points, closed=True):
        raise _self_crossing(offender, crossing)
    if polygon_area(points) < SMALLEST_AREA:
        raise ConfigError(offender, "expected a polygon with an area, found a line", "draw it larger")


def _self_crossing(offender: str, edges: tuple[int, int]) -> ConfigError:
    problem = f"expected edges that do not cross, found that edges {_edges(edges)} do"
    return ConfigError(offender, problem, "put the corners in order along the outline")


def _edges(edges: tuple[int, int]) -> str:
    """Edges as people count them.

    >>> _edges((0, 2))
    '1 and 3'
    """
    return f"{edges[0] + 1} and {edges[1] + 1}"


def _positive(offender: str, what: str, value: float, *, least: float = 0.0, most: float = math.inf) -> None:
    if not (math.isfinite(value) and least <= value <= most):
        limits = f"from {least:g}" + (f" to {most:g}" if math.isfinite(most) else "")
        raise ConfigError(offender, f"expected {what} {limits}, found {value:g}", f"change {what}")


def _direction(offender: str, lines: Mapping[str, Line], name: str, direction: str) -> None:
    """Refuse a line that is not there, or that has no such direction."""
    if name not in lines:
        known = ", ".join(lines) or "none"
        raise ConfigError(offender, f"expected one of the site's lines ({known}), found {name!r}", "name one of them")
    if direction and direction not in lines[name].directions:
        known = " and ".join(lines[name].directions)
        raise ConfigError(offender, f"expected a direction of line {name!r}, {known}, found {direction!r}", "rename it")
