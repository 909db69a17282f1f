"""Premises: queues, footfall and parking bays that a site measures, as validated values.

They are measured with the site's lines and zones, which they name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracker.errors import ConfigError
from tracker.site_checks import check_direction, check_number, check_polygon, check_unique, named

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from tracker.polygons import Point

__all__ = ["Bay", "Footfall", "Queue", "check_premises"]

CORNERS = 4
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """Persons that stand in a zone and wait until they are served.

    Attributes:
        name: Unique among the site's queues, footfall and bays.
        zone: Name of the zone in which the queue stands.
        served_at: Name of the zone or line that is reached by those whose turn it is.
        served_direction: Direction over the line ``served_at``; empty = both.
        still_m_s: Slower than this is standing, in metres a second: exact on a site with ground, else by body heights.
        still_s: Seconds of standing, in all, from which one is in the queue.
        reach_s: Seconds from leaving the zone within which those that are served get there.
    """

    name: str
    zone: str
    served_at: str
    served_direction: str = ""
    still_m_s: float = 0.4
    still_s: float = 2.0
    reach_s: float = 10.0

    def __post_init__(self) -> None:
        offender = named("queue", self.name)
        if self.zone == self.served_at:
            problem = f"expected another place than its zone as served_at, found {self.zone!r} for both"
            raise ConfigError(offender, problem, "draw the place of the one who is served")
        check_number(offender, "still_m_s", self.still_m_s, least=0.01, most=10.0)
        check_number(offender, "still_s", self.still_s, most=DAY_S)
        check_number(offender, "reach_s", self.reach_s, most=DAY_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Footfall:
    """Visitors through a set of doors, beside those that pass by.

    Attributes:
        name: Unique among the site's queues, footfall and bays.
        doors: Name of the doors.
        passing: Names of lines across the way before the doors.
        staff_zones: Names of zones in which only staff stays.
        staff_s: Seconds in them, in all, from which one is staff.
        re_entry_s: Seconds since it went out within which one that enters is the same visitor.
        group_m: Largest distance of two that walk together, in metres: exact on a site with ground, else by body
            heights.
        group_s: Seconds before the door for which they do.
    """

    name: str
    doors: str
    passing: tuple[str, ...] = ()
    staff_zones: tuple[str, ...] = ()
    staff_s: float = 10.0
    re_entry_s: float = 10_800.0
    group_m: float = 1.5
    group_s: float = 2.0

    def __post_init__(self) -> None:
        offender = named("footfall", self.name)
        for key, names in (("passing", self.passing), ("staff_zones", self.staff_zones)):
            if len(set(names)) != len(names):
                raise ConfigError(offender, f"expected {key} each once, found {list(names)}", "remove the second one")
        check_number(offender, "staff_s", self.staff_s, most=DAY_S)
        check_number(offender, "re_entry_s", self.re_entry_s, most=7 * DAY_S)
        check_number(offender, "group_m", self.group_m, least=0.1, most=20.0)
        check_number(offender, "group_s", self.group_s, least=0.1, most=10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bay:
    """A place for one vehicle.

    Attributes:
        name: Unique among the site's queues, footfall and bays.
        polygon: Its four corners in the picture, in order around it.
        classes: Names of the classes that take it; empty = all.
        covered: Share of its ground that a vehicle covers which stands in it.
        taken_s: Seconds covered after which it is taken, from the first of them.
        free_s: Seconds uncovered and in view after which it is free, from the first of them.
    """

    name: str
    polygon: tuple[Point, ...]
    classes: tuple[str, ...] = ()
    covered: float = 0.3
    taken_s: float = 10.0
    free_s: float = 10.0

    def __post_init__(self) -> None:
        offender = named("bay", self.name)
        if len(self.polygon) != CORNERS:
            problem = f"expected the four corners of a polygon, found {len(self.polygon)} points"
            raise ConfigError(offender, problem, "draw the bay with one point at each corner")
        check_polygon(offender, self.polygon)
        if corner := _bent_in(self.polygon):
            problem = f"expected a polygon without a dent, found point {corner} bent inwards"
            raise ConfigError(offender, problem, "put the points on the corners of the bay")
        check_number(offender, "covered", self.covered, least=0.01, most=1.0)
        check_number(offender, "taken_s", self.taken_s, most=DAY_S)
        check_number(offender, "free_s", self.free_s, most=DAY_S)


def check_premises(
    queues: Sequence[Queue],
    footfall: Sequence[Footfall],
    bays: Sequence[Bay],
    *,
    lines: Mapping[str, tuple[str, str]],
    zones: Collection[str],
    doors: Collection[str],
) -> None:
    """Refuse names that stand there twice, and lines, zones and doors that the site does not have.

    Args:
        queues: Of the site.
        footfall: The same.
        bays: The same.
        lines: Both directions of each line of the site.
        zones: Names of its zones.
        doors: Names of its doors.
    """
    check_unique(
        "queue, footfall or bay",
        [*(one.name for one in queues), *(one.name for one in footfall), *(one.name for one in bays)],
    )
    for queue in queues:
        offender = f"queue {queue.name!r}"
        _known(offender, "zones", zones, queue.zone)
        if queue.served_direction:
            check_direction(offender, lines, queue.served_at, queue.served_direction)
        else:
            _known(offender, "lines and zones", [*lines, *zones], queue.served_at)
    for part in footfall:
        offender = f"footfall {part.name!r}"
        _known(offender, "doors", doors, part.doors)
        for name in part.passing:
            _known(offender, "lines", lines, name)
        for name in part.staff_zones:
            _known(offender, "zones", zones, name)


def _known(offender: str, what: str, names: Collection[str], name: str) -> None:
    if name not in names:
        known = ", ".join(names) or "none"
        raise ConfigError(offender, f"expected one of the site's {what} ({known}), found {name!r}", "name one of them")


def _bent_in(corners: Sequence[Point]) -> int:
    """Number of the corner of a simple quadrilateral at which it turns the other way; 0 = none.

    >>> _bent_in([(0, 0), (1, 0), (1, 1), (0, 1)]), _bent_in([(0, 0), (1, 0), (0.2, 0.2), (0, 1)])
    (0, 3)
    """
    turns = []
    for number, (x, y) in enumerate(corners):
        (ax, ay), (bx, by) = corners[number - 1], corners[(number + 1) % len(corners)]
        turns.append((x - ax) * (by - y) - (y - ay) * (bx - x))
    around = sum(turns)
    return next((number for number, turn in enumerate(turns, start=1) if turn * around <= 0), 0)
