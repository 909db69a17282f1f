"""Times as people write and read them: lengths of bins, their beginnings, durations, moments, time zones."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from tracker.errors import ConfigError

__all__ = [
    "Limits",
    "Since",
    "Until",
    "bin_label",
    "bin_seconds",
    "duration",
    "limits_of",
    "moment",
    "moment_of",
    "zone_of",
]

Limits = tuple[int | None, int | None]
"""Both ends of a time in UTC milliseconds, the second one exclusive; ``None`` = open."""

Since = Annotated[str | None, typer.Option("--from", metavar="TIME", help="From when: 2026-03-29T07:00.")]
Until = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Until when, exclusive.")]

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def bin_seconds(text: str) -> int:
    """Seconds of a bin as ``--bins`` gives it.

    >>> bin_seconds("15m")
    900

    Raises:
        ConfigError: It is no length.
    """
    found = re.fullmatch(r"([1-9]\d{0,6})([smhd])", text.strip())
    if found is None:
        raise ConfigError("--bins", f"expected a length such as 30s, 15m or 1h, found {text!r}", "change it")
    return int(found[1]) * UNITS[found[2]]


def bin_label(start_ms: int, zone: ZoneInfo, *, utc: bool) -> str:
    """Local time with its offset, since an hour may come twice; media time where there is no wall clock."""
    if not utc:
        minutes, seconds = divmod(start_ms // 1000, 60)
        return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
    start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=start_ms)
    return start.astimezone(zone).isoformat(timespec="seconds")


def duration(seconds: float | None) -> str:
    """``-``, ``12.3 s`` or ``4:05``.

    >>> duration(None), duration(12.34), duration(245.0)
    ('-', '12.3 s', '4:05')
    """
    if seconds is None:
        return "-"
    return f"{seconds:.1f} s" if seconds < 99.95 else f"{round(seconds) // 60}:{round(seconds) % 60:02d}"


def moment(at_ms: int | None, zone: ZoneInfo, *, utc: bool) -> str | float:
    """For cells of a file: ISO 8601 in the zone, seconds of media time, or nothing."""
    if at_ms is None:
        return ""
    if not utc:
        return at_ms / 1000
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone).isoformat(timespec="milliseconds")


def zone_of(name: str) -> ZoneInfo:
    """A time zone by the name that --timezone was given.

    Raises:
        ConfigError: There is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as failure:
        problem = f"expected the name of a time zone such as Europe/Berlin, found {name!r}"
        raise ConfigError("--timezone", problem, "see the tz database, or install the package tzdata") from failure


def moment_of(option: str, text: str | None, zone: ZoneInfo) -> int | None:
    """UTC in milliseconds of a time as people write it; without an offset it is in the zone that is shown.

    Raises:
        ConfigError: It is no time; the offender is the option.
    """
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as failure:
        problem = f"expected a time such as 2026-03-29T07:00 or 2026-03-29T07:00+02:00, found {text!r}"
        raise ConfigError(option, problem, "change it") from failure
    if found.tzinfo is None:
        found = found.replace(tzinfo=zone)
    return round(found.timestamp() * 1000)


def limits_of(since: str | None, until: str | None, zone: ZoneInfo) -> Limits:
    """Both ends of a time as ``--from`` and ``--to`` give it, UTC in milliseconds.

    Raises:
        ConfigError: One is no time, or it ends before it begins: that would count nothing and look like zeros.
    """
    start_ms, end_ms = moment_of("--from", since, zone), moment_of("--to", until, zone)
    if start_ms is not None and end_ms is not None and end_ms <= start_ms:
        raise ConfigError("--to", f"expected a time after --from {since}, found {until}", "change one of them")
    return start_ms, end_ms
