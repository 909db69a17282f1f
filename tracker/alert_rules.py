"""Alert rules of a site: a number that is watched, its limits with hysteresis, and quiet times, as validated values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, get_args

from tracker.errors import ConfigError
from tracker.groups import days_of, minutes_of
from tracker.site_checks import check_number, check_unique, named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from zoneinfo import ZoneInfo

__all__ = ["INSTANTS", "WATCHED", "AlertRule", "QuietTime", "Watch", "check_alerts", "places_of", "quiet_until"]

Watch = Literal[
    "queue",
    "occupancy",
    "presence",
    "stopped",
    "wrong_way",
    "speed",
    "gap",
    "camera_moved",
    "frozen",
    "covered",
    "dark",
]
WATCHED: tuple[Watch, ...] = get_args(Watch)
INSTANTS: frozenset[Watch] = frozenset({"speed", "gap"})
"""Numbers that are there for an instant only."""

DAY_S = 86_400.0
MOST = 1e9
MOST_RULES = 100
_PLACES: dict[Watch, tuple[str, bool]] = {
    "queue": ("queues", True),
    "occupancy": ("doors", True),
    "presence": ("zones", True),
    "stopped": ("zones", False),
    "wrong_way": ("lines and zones", False),
    "speed": ("lines", False),
}
"""What a rule's place is the name of, and whether it must have one; the others have none."""
_QUIET = re.compile(r"(?:(?P<days>[a-z ,-]+?) +)?(?P<begin>[0-9:]+) *- *(?P<end>[0-9:]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietTime:
    """Hours of local time in which no alert begins.

    Attributes:
        days: Of the week on which it begins, 0 = Monday.
        from_min, to_min: Minutes of the day; an end that is not after the begin is on the next day.
    """

    days: tuple[int, ...]
    from_min: int
    to_min: int

    @classmethod
    def parse(cls, text: str, offender: str) -> QuietTime:
        """From ``22:00-06:00`` or ``mon-fri 22:00-06:00``.

        Raises:
            ConfigError: It is none.

        >>> QuietTime.parse("fri,sat 22:00-06:00", "quiet")
        QuietTime(days=(4, 5), from_min=1320, to_min=360)
        """
        found = _QUIET.fullmatch(text.strip().lower())
        if found is None:
            problem = f"expected quiet times as days and HH:MM-HH:MM, found {text!r}"
            raise ConfigError(offender, problem, "such as mon-fri 22:00-06:00")
        days = days_of(found["days"] or "mon-sun", offender)
        return cls(days=days, from_min=minutes_of(found["begin"], offender), to_min=minutes_of(found["end"], offender))

    def around(self, utc_ms: int, zone: ZoneInfo) -> list[tuple[int, int]]:
        """Its spans about a time, ``(begin, end)`` in UTC milliseconds, the end exclusive."""
        today = datetime.fromtimestamp(utc_ms / 1000, UTC).astimezone(zone).date()
        spans = []
        for back in (1, 0):
            day = today - timedelta(days=back)
            if day.weekday() in self.days:
                begin = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a local day
                end_min = self.to_min if self.to_min > self.from_min else self.to_min + 1440
                spans.append(
                    (_utc_ms(begin, self.from_min, zone, last=False), _utc_ms(begin, end_min, zone, last=True))
                )
        return spans


def _utc_ms(day: datetime, minutes: int, zone: ZoneInfo, *, last: bool) -> int:
    """A local time in UTC: of one that clocks show twice the first or last, of one that they skip as much later."""
    local = (day + timedelta(minutes=minutes)).replace(tzinfo=zone)
    first_ms, second_ms = (round(local.replace(fold=fold).timestamp() * 1000) for fold in (0, 1))
    return max(first_ms, second_ms) if last else first_ms


def quiet_until(quiet: Sequence[QuietTime], utc_ms: int, zone: ZoneInfo) -> int | None:
    """When the quiet time ends in which a moment lies, UTC in milliseconds; ``None`` = it lies in none.

    Args:
        quiet: Quiet times; those that meet are one.
        utc_ms: The moment.
        zone: Whose local clocks count.
    """
    until = utc_ms
    for _ in range(8 * len(quiet) + 1):  # seven days of a week without a gap never end
        ends = [end for one in quiet for begin, end in one.around(until, zone) if begin <= until < end]
        if not ends:
            break
        until = max(ends)
    return until if until > utc_ms else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """A number of the site that is watched.

    The alert begins once the number has been above ``over`` for ``for_s``, and is over once it has not been above
    ``until`` for ``clear_s``. The numbers of an instant (speed, gap) count as 0 right after it.

    Attributes:
        name: Unique among the site's rules.
        watch: What is watched, one of :data:`WATCHED`.
        place: Name of the queue, doors, zone or line; empty = any.
        over: Limit above which an alert begins, in the unit of the events' ``value``; of states, how many at a time.
        until: Limit up to which it is over; ``None`` = ``over``.
        for_s: Seconds above ``over`` without a break.
        clear_s: Seconds not above ``until`` without a break.
        quiet: Times in which none begins, as texts.
    """

    name: str
    watch: Watch
    place: str = ""
    over: float = 0.0
    until: float | None = None
    for_s: float = 0.0
    clear_s: float = 30.0
    quiet: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        offender = named("alert", self.name)
        if self.watch not in WATCHED:
            problem = f"expected watch as one of {', '.join(WATCHED)}, found {self.watch!r}"
            raise ConfigError(offender, problem, "choose among these")
        check_number(offender, "over", self.over, most=MOST)
        check_number(offender, "for_s", self.for_s, most=DAY_S)
        check_number(offender, "clear_s", self.clear_s, least=1.0, most=DAY_S)
        if self.until is not None:
            check_number(offender, "until", self.until, most=MOST)
            if self.until > self.over:
                problem = f"expected until at most over = {self.over:g}, found {self.until:g}"
                raise ConfigError(offender, problem, "an alert is over at a lower number than that at which it begins")
        if self.watch in INSTANTS and self.for_s:
            problem = f"expected no for_s for {self.watch}, which is a number of an instant, found {self.for_s:g}"
            raise ConfigError(offender, problem, "leave for_s out")
        needed = _PLACES.get(self.watch)
        if needed is None and self.place:
            problem = f"expected no place for {self.watch}, which is of the whole camera, found {self.place!r}"
            raise ConfigError(offender, problem, "leave place out")
        if needed is not None and needed[1] and not self.place:
            raise ConfigError(offender, f"expected one of the site's {needed[0]} as place, found none", "name one")
        _ = self.quiet_times  # refuses what is none

    @property
    def quiet_times(self) -> tuple[QuietTime, ...]:
        """The texts of ``quiet`` as spans of days and minutes."""
        return tuple(QuietTime.parse(text, f"alert {self.name!r} quiet") for text in self.quiet)

    @property
    def clear_at(self) -> float:
        """Number up to which the alert is over."""
        return self.over if self.until is None else self.until


def places_of(watch: Watch, known: Mapping[str, Sequence[str]]) -> tuple[list[str], bool]:
    """Places that may be watched, and whether a rule must name one.

    Args:
        watch: What is watched.
        known: Names of a site's ``queues``, ``doors``, ``zones`` and ``lines``.

    >>> places_of("wrong_way", {"lines": ["door"], "zones": ["hall"]}), places_of("gap", {"lines": ["door"]})
    ((['door', 'hall'], False), ([], False))
    """
    what, is_needed = _PLACES.get(watch, ("", False))
    return [name for kind in what.split(" and ") for name in known.get(kind, ())], is_needed


def check_alerts(rules: Sequence[AlertRule], known: Mapping[str, Sequence[str]]) -> None:
    """Refuse names that stand there twice, places that the site does not have, and too many rules.

    Args:
        rules: Of the site.
        known: Names of its ``queues``, ``doors``, ``zones`` and ``lines``.
    """
    check_unique("alert", [rule.name for rule in rules])
    if len(rules) > MOST_RULES:
        raise ConfigError("alerts", f"expected at most {MOST_RULES} rules, found {len(rules)}", "remove some")
    for rule in rules:
        what = _PLACES.get(rule.watch, ("", False))[0]
        names, _ = places_of(rule.watch, known)
        if rule.place and rule.place not in names:
            problem = f"expected one of the site's {what} ({', '.join(names) or 'none'}), found {rule.place!r}"
            raise ConfigError(f"alert {rule.name!r}", problem, "name one of them as place")
        if rule.watch == "wrong_way" and rule.for_s and rule.place in known.get("lines", ()):
            problem = f"expected no for_s for a line, over which it is an instant, found {rule.for_s:g}"
            raise ConfigError(f"alert {rule.name!r}", problem, "leave for_s out")
