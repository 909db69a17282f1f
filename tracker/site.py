"""Site of a camera: its lines, zones, occluders, doors, flows and ground, as validated values in shares of the picture.

Coordinates are ``(x, y)`` from 0 to 1, the origin at the top left, so that a site fits every size of the same picture.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tracker.alert_rules import check_alerts
from tracker.errors import ConfigError
from tracker.polygons import Point, first_crossing, polygons_cross
from tracker.premises import check_premises
from tracker.site_checks import (
    SMALLEST_AREA,
    check_direction,
    check_number,
    check_points,
    check_polygon,
    check_unique,
    edge_numbers,
    named,
    self_crossing,
)
from tracker.traffic import SECTION_MEASURES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tracker.alert_rules import AlertRule
    from tracker.ground import Ground
    from tracker.premises import Bay, Footfall, Queue
    from tracker.traffic import Traffic

__all__ = ["MOST_POINTS", "SMALLEST_AREA", "Doors", "Flow", "Line", "Occluder", "PrivacyZone", "Site", "Zone"]

ASPECT_TOLERANCE = 0.02
"""A picture whose width to height differs by more from the site's is another picture (1920 x 1088 is the same)."""
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
        measures: What is measured of each passage, of :data:`tracker.traffic.SECTION_MEASURES`; needs a ground.
        wrong_way: Name of the direction that is against the rules; empty = none.
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
    measures: tuple[str, ...] = ()
    wrong_way: str = ""

    def __post_init__(self) -> None:
        offender = named("line", self.name)
        check_points(offender, self.points, least=2)
        if crossing := first_crossing(self.points, closed=False):
            raise self_crossing(offender, crossing)
        names = self.directions
        if self.to_left == self.to_right or not all(name.strip() and name.isprintable() for name in names):
            problem = f"expected two different names of directions, found {self.to_left!r} and {self.to_right!r}"
            raise ConfigError(offender, problem, "name them, such as in and out")
        check_number(offender, "dead_band", self.dead_band, least=1e-6, most=0.5)
        check_number(offender, "sway_share", self.sway_share, most=1.0)
        check_number(offender, "settle_s", self.settle_s)
        check_number(offender, "min_rearm_s", self.min_rearm_s)
        if unknown := set(self.measures) - set(SECTION_MEASURES):
            problem = f"expected measures of {', '.join(SECTION_MEASURES)}, found {', '.join(sorted(unknown))}"
            raise ConfigError(offender, problem, "change measures")
        if self.wrong_way and self.wrong_way not in names:
            problem = f"expected wrong_way as one of its directions, {' or '.join(names)}, found {self.wrong_way!r}"
            raise ConfigError(offender, problem, "name one of them")

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
        stopped_s: Seconds of standing still from which an identity is stopped; ``None`` = never. Needs a ground.
        towards: An arrow in the picture, from its first point to its second: the way that traffic goes. What goes
            against it is on the wrong way; empty = any way is right. Needs a ground.
        conflict_area: Post-encroachment times are taken here only, and in other zones of this kind.
    """

    name: str
    polygons: tuple[tuple[Point, ...], ...]
    classes: tuple[str, ...] = ()
    enter_s: float = 0.3
    leave_s: float = 1.0
    loiter_s: float | None = None
    loiter_s_by_class: Mapping[str, float] = field(default_factory=dict)
    stopped_s: float | None = None
    towards: tuple[Point, ...] = ()
    conflict_area: bool = False

    def __post_init__(self) -> None:
        offender = named("zone", self.name)
        if not self.polygons:
            raise ConfigError(offender, "expected a polygon, found none", "draw one")
        for polygon in self.polygons:
            check_polygon(offender, polygon)
        for number, polygon in enumerate(self.polygons):
            for other in self.polygons[:number]:
                if edges := polygons_cross(polygon, other):
                    problem = (
                        f"expected polygons apart or one inside the other, found edges {edge_numbers(edges)} that meet"
                    )
                    raise ConfigError(offender, problem, "draw them as one polygon, or as two zones")
        check_number(offender, "enter_s", self.enter_s)
        check_number(offender, "leave_s", self.leave_s)
        for limit in (self.loiter_s, *self.loiter_s_by_class.values()):
            if limit is not None:
                check_number(offender, "loiter_s", limit, least=1e-3)
        if self.stopped_s is not None:
            check_number(offender, "stopped_s", self.stopped_s, least=0.5)
        if self.towards:
            _arrow(offender, self.towards)


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
        check_polygon(named("occluder", self.name), self.polygon)


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
        check_polygon(named("privacy zone", self.name), self.polygon)


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
        offender = named("doors", self.name)
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
        named("flow", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What is measured in one camera's picture.

    Attributes:
        lines, zones, occluders, doors, flows, privacy: Its parts; names are unique within each, and
            among lines and zones.
        queues, footfall, bays: What is measured of them; names are unique among all three.
        alerts: Rules by which a number of the site is an alert.
        ground: How the picture lies on the ground in metres; ``None`` = not calibrated.
        traffic: What is written of pairs of road users; ``None`` = nothing.
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
    queues: tuple[Queue, ...] = ()
    footfall: tuple[Footfall, ...] = ()
    bays: tuple[Bay, ...] = ()
    alerts: tuple[AlertRule, ...] = ()
    ground: Ground | None = None
    traffic: Traffic | None = None
    reference_size: tuple[int, int] | None = None
    reference_picture: str = ""
    revision: int = 0
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        check_unique("line or zone", [*(line.name for line in self.lines), *(zone.name for zone in self.zones)])
        check_unique("occluder", [part.name for part in self.occluders])
        check_unique("doors", [part.name for part in self.doors])
        check_unique("flow", [part.name for part in self.flows])
        check_unique("privacy zone", [part.name for part in self.privacy])
        self._check_reference()
        if self.ground is None:
            self._check_needs_no_ground()
        lines = {line.name: line.directions for line in self.lines}
        for doors in self.doors:
            for name in doors.lines:
                for direction in (doors.entry, doors.exit):
                    check_direction(f"doors {doors.name!r}", lines, name, direction)
        zones = {zone.name for zone in self.zones}
        for flow in self.flows:
            for name, direction in ((flow.start, flow.start_direction), (flow.end, flow.end_direction)):
                if not direction and name not in zones and name not in lines:
                    known = ", ".join((*lines, *sorted(zones))) or "none"
                    problem = f"expected one of the site's lines and zones ({known}), found {name!r}"
                    raise ConfigError(f"flow {flow.name!r}", problem, "name one of them")
                if direction:
                    check_direction(f"flow {flow.name!r}", lines, name, direction)
        check_premises(
            self.queues, self.footfall, self.bays, lines=lines, zones=zones, doors={part.name for part in self.doors}
        )
        check_alerts(self.alerts, self.alert_places)
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            problem = f"expected an IANA time zone, found {self.timezone!r}"
            raise ConfigError("site", problem, "such as Europe/Berlin") from None

    @property
    def never_shown(self) -> tuple[tuple[Point, ...], ...]:
        """Outlines of the privacy zones."""
        return tuple(zone.polygon for zone in self.privacy)

    @property
    def alert_places(self) -> dict[str, list[str]]:
        """Names that an alert rule's place may be, by kind."""
        parts: dict[str, Iterable[Queue | Doors | Zone | Line]] = {
            "queues": self.queues,
            "doors": self.doors,
            "zones": self.zones,
            "lines": self.lines,
        }
        return {kind: [part.name for part in held] for kind, held in parts.items()}

    def _check_needs_no_ground(self) -> None:
        """Refuse what is in metres where nothing says what a metre is."""
        wanted = [(f"line {line.name!r}", ", ".join(line.measures)) for line in self.lines if line.measures]
        wanted += [(f"zone {zone.name!r}", "stopped_s") for zone in self.zones if zone.stopped_s is not None]
        wanted += [(f"zone {zone.name!r}", "towards") for zone in self.zones if zone.towards]
        wanted += [("traffic", "conflicts")] if self.traffic is not None else []
        for offender, what in wanted:
            problem = f"expected `ground` in the site, which {what} needs, found none"
            raise ConfigError(offender, problem, "add ground: with 4 points that are known in metres")

    def _check_reference(self) -> None:
        if self.reference_size is not None and min(self.reference_size) < 1:
            found = f"{self.reference_size[0]} x {self.reference_size[1]}"
            raise ConfigError("site", f"expected a reference size in pixels, found {found}", "give width and height")
        if self.reference_picture and not re.fullmatch(r"[^./\\][^/\\]*", self.reference_picture):
            problem = f"expected reference_picture as a file beside the site's, found {self.reference_picture!r}"
            raise ConfigError("site", problem, "put it there, and write its name without a folder")

    def check_size(self, size: tuple[int, int], offender: str = "site") -> None:
        """Refuse a picture of another shape than that on which the site was drawn.

        Args:
            size: ``(width, height)`` of the stream's picture in pixels.
            offender: How the error names the site: its file.

        Raises:
            ConfigError: The site's lines would lie elsewhere on this picture.
        """
        if self.reference_size is None:
            return
        width, height = self.reference_size
        stretch = (size[0] / size[1]) / (width / height)
        if not 1 - ASPECT_TOLERANCE <= stretch <= 1 + ASPECT_TOLERANCE:
            problem = f"expected a picture of the shape {width} x {height}, found {size[0]} x {size[1]}"
            raise ConfigError(offender, problem, "draw the site on a picture of this camera")


def _arrow(offender: str, points: Sequence[Point]) -> None:
    check_points(offender, points, least=2)
    if len(points) != 2:
        problem = f"expected towards as two points, from and to, found {len(points)}"
        raise ConfigError(offender, problem, "draw an arrow the way that traffic goes")
