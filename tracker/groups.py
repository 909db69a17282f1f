"""Groups of cameras that see one place: its doors over all of them, opening hours, and the quiet hour."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DAYS", "GroupDoor", "Opening", "SiteGroup", "Transaction", "days_of", "group_named", "minutes_of"]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MIN = 1440


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDoor:
    """A line of one of the cameras by which the place is entered and left.

    Attributes:
        camera: Name of the stream, as in its events.
        line: Name of the line.
        entry: Name of the direction that enters.
        exit: Name of the direction that leaves.
    """

    camera: str
    line: str
    entry: str = "in"
    exit: str = "out"

    def __post_init__(self) -> None:
        if self.entry == self.exit:
            problem = f"expected two different directions, found {self.entry!r} for both"
            raise ConfigError(f"door {self.line!r} of {self.camera}", problem, "name them as the line does")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Hours of some days of the week in which the place is open.

    Attributes:
        days: Of the week, 0 = Monday.
        from_min, to_min: Minutes of the local day, ``to_min`` exclusive and up to 1440 = midnight.
    """

    days: tuple[int, ...]
    from_min: int
    to_min: int

    def __post_init__(self) -> None:
        if not 0 <= self.from_min < self.to_min <= DAY_MIN:
            found = f"{_clock(self.from_min)} to {_clock(self.to_min)}"
            problem = f"expected an end after the begin, up to 24:00, found {found}"
            raise ConfigError("opening", problem, "write hours past midnight as those of two days")


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteGroup:
    """One place that several cameras see.

    Attributes:
        name: Unique among the groups.
        cameras: Names of their streams.
        doors: All lines by which the place is entered and left.
        classes: That count at the doors; empty = all.
        timezone: IANA name, for opening hours and the quiet hour.
        reset_at: Quiet hour ``HH:MM`` at which the place is empty; empty = never.
        opening: When it is open; empty = always.
        closed: Days on which it is not.
    """

    name: str
    cameras: tuple[str, ...]
    doors: tuple[GroupDoor, ...] = ()
    classes: tuple[str, ...] = ()
    timezone: str = "UTC"
    reset_at: str = ""
    opening: tuple[Opening, ...] = ()
    closed: tuple[date, ...] = ()

    def __post_init__(self) -> None:
        offender = f"group {self.name!r}"
        if not self.cameras or len(set(self.cameras)) != len(self.cameras):
            raise ConfigError(offender, f"expected cameras, each once, found {list(self.cameras)}", "list its cameras")
        for door in self.doors:
            if door.camera not in self.cameras:
                problem = f"expected doors of its cameras ({', '.join(self.cameras)}), found one of {door.camera!r}"
                raise ConfigError(offender, problem, "add the camera, or correct the door")
        lines = [(door.camera, door.line) for door in self.doors]
        if len(set(lines)) != len(lines):
            raise ConfigError(offender, "expected each door once, found one twice", "remove one of them")
        if self.reset_at:
            minutes_of(self.reset_at, f"{offender} reset_at")
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            problem = f"expected an IANA time zone, found {self.timezone!r}"
            raise ConfigError(offender, problem, "such as Europe/Berlin") from None

    @property
    def zone(self) -> ZoneInfo:
        """Its time zone."""
        return ZoneInfo(self.timezone)

    def door(self, camera: str, line: str) -> GroupDoor | None:
        """The door that a line is."""
        return next((door for door in self.doors if (door.camera, door.line) == (camera, line)), None)

    def is_open(self, utc_ms: int) -> bool:
        """Whether the place is open at a time, UTC in milliseconds."""
        if not self.opening and not self.closed:
            return True
        local = datetime.fromtimestamp(utc_ms / 1000, UTC).astimezone(self.zone)
        if local.date() in self.closed:
            return False
        minute = local.hour * 60 + local.minute
        hours = [one for one in self.opening if local.weekday() in one.days]
        return not self.opening or any(one.from_min <= minute < one.to_min for one in hours)


class Transaction(NamedTuple):
    """A receipt, or a sum of receipts, of a till.

    Attributes:
        at_ms: UTC in milliseconds.
        receipts: How many.
    """

    at_ms: int
    receipts: int = 1


def group_named(groups: Sequence[SiteGroup], name: str, *, offender: str = "--group") -> SiteGroup:
    """The group of a name.

    Raises:
        ConfigError: There is none.
    """
    for group in groups:
        if group.name == name:
            return group
    known = ", ".join(group.name for group in groups) or "none"
    raise ConfigError(offender, f"expected one of the groups {known}, found {name!r}", "name one of them")


def minutes_of(text: str, offender: str) -> int:
    """Minutes of a day from ``HH:MM``, ``24:00`` included.

    Raises:
        ConfigError: It is none.

    >>> minutes_of("09:30", "opens"), minutes_of("24:00", "closes")
    (570, 1440)
    """
    found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)|(24):(00)", text)
    if found is None:
        raise ConfigError(offender, f"expected a time of the day as HH:MM, found {text!r}", "such as 09:30")
    hours, minutes = (found[1], found[2]) if found[1] else (found[3], found[4])
    return int(hours) * 60 + int(minutes)


def days_of(text: str, offender: str) -> tuple[int, ...]:
    """Days of the week from ``mon-fri``, ``sat``, ``fri-mon`` or a list with commas.

    Raises:
        ConfigError: It is none.

    >>> days_of("mon-wed, sun", "days"), days_of("sat-mon", "days")
    ((0, 1, 2, 6), (0, 5, 6))
    """
    found: set[int] = set()
    for part in text.lower().split(","):
        first, _, last = part.strip().partition("-")
        ends = [first.strip()[:3], (last or first).strip()[:3]]
        if not all(end in DAYS for end in ends):
            problem = f"expected days such as mon-fri or sat,sun, found {text!r}"
            raise ConfigError(offender, problem, f"write {', '.join(DAYS)}")
        begin, span = DAYS.index(ends[0]), (DAYS.index(ends[1]) - DAYS.index(ends[0])) % 7
        found |= {(begin + number) % 7 for number in range(span + 1)}
    return tuple(sorted(found))


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
