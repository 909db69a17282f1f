"""Times as people write and read them: lengths of bins, their beginnings, durations, moments of a file."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tracker.errors import ConfigError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

__all__ = ["bin_label", "bin_seconds", "duration", "moment"]

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
