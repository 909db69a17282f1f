"""Axes of charts: round numbers, and round times on the local clock, also where it is changed between two of them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tracker.report.period import Period

__all__ = ["Tick", "clock_text", "count_ticks", "duration_text", "moment_text", "period_text", "time_ticks"]

QUARTER_S = 900
HOUR_S = 3600
DAY_S = 86_400
STEPS_S = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 900, 1800, HOUR_S, 2 * HOUR_S, 3 * HOUR_S, 6 * HOUR_S, 12 * HOUR_S),
    *(DAY_S, 2 * DAY_S, 7 * DAY_S, 14 * DAY_S, 28 * DAY_S),
)


class Tick(NamedTuple):
    """A place on an axis of time: when, and two lines of text, the lower one often empty."""

    at_ms: int
    upper: str
    lower: str


def count_ticks(most: float, *, about: int = 3) -> list[int]:
    """Round numbers from 0 to the first one that is not below ``most``.

    >>> count_ticks(37), count_ticks(3), count_ticks(0), count_ticks(1100)
    ([0, 20, 40], [0, 1, 2, 3], [0, 1], [0, 500, 1000, 1500])
    """
    wanted = max(most, 1) / about
    power = 10 ** math.floor(math.log10(max(wanted, 1)))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= wanted or step == 10 * power)
    return [step * number for number in range(math.ceil(max(most, 1) / step) + 1)]


def time_ticks(period: Period, most: int) -> list[Tick]:
    """Round times of a period, at most so many.

    Args:
        period: Whose edges span the axis.
        most: Ticks that have room.
    """
    first_ms, last_ms = int(period.edges[0]), int(period.edges[-1])
    span_s = (last_ms - first_ms) / 1000
    step_s = next((step for step in STEPS_S if span_s / step <= most and step >= min(period.bin_s, DAY_S)), STEPS_S[-1])
    if not period.utc:
        width = step_s * 1000
        return [Tick(at, clock_text(at), "") for at in range(-(-first_ms // width) * width, last_ms + 1, width)]
    if step_s >= DAY_S:
        return _days(period, step_s // DAY_S)
    found: list[Tick] = []
    day, offset = "", None
    stride = min(step_s, QUARTER_S) * 1000  # offsets of time zones are whole quarters of an hour
    for at in range(-(-first_ms // stride) * stride, last_ms + 1, stride):
        local = _local(at, period.zone)
        if (local.hour * HOUR_S + local.minute * 60 + local.second) % step_s:
            continue
        today = f"{local:%a} {local.day} {local:%b}"
        lower = today if today != day else ""
        if offset is not None and local.utcoffset() != offset:
            lower = offset_text(local)
        day, offset = today, local.utcoffset()
        found.append(Tick(at, f"{local:%H:%M}" if step_s >= 60 else f"{local:%H:%M:%S}", lower))
    return found


def _days(period: Period, step: int) -> list[Tick]:
    """Local days, every so many; weeks begin on Mondays. Bars of days have their names below their middles."""
    middle = 12 if period.bin_s == DAY_S else 0
    local = _local(int(period.edges[0]), period.zone)
    day = local.date()
    found: list[Tick] = []
    month = ""
    while True:
        moment = datetime(day.year, day.month, day.day, tzinfo=period.zone)
        at = round(moment.timestamp() * 1000)
        if at >= period.edges[-1]:
            return found
        fits = (day.toordinal() - 1) % 7 == 0 if step >= 7 else (day.toordinal() - local.date().toordinal()) % step == 0
        if at >= period.edges[0] and fits and (step < 14 or (day.toordinal() - 1) // 7 % (step // 7) == 0):
            upper = f"{moment:%a} {day.day}" if step == 1 else f"{day.day} {moment:%b}"
            lower = f"{moment:%b %Y}"
            place = round(datetime(day.year, day.month, day.day, middle, tzinfo=period.zone).timestamp() * 1000)
            found.append(Tick(place, upper, lower if lower != month else ""))
            month = lower
        day += timedelta(days=1)


def moment_text(at_ms: int, period: Period, *, seconds: bool = False) -> str:
    """A time as tables show it: local time with its offset, or media time."""
    if not period.utc:
        return clock_text(at_ms)
    local = _local(at_ms, period.zone)
    if period.bin_s >= DAY_S and not seconds:
        return f"{local:%a} {local.day} {local:%b %Y}"
    clock = f"{local:%H:%M:%S}" if seconds or period.bin_s < 60 else f"{local:%H:%M}"
    return f"{local:%Y-%m-%d} {clock} {offset_text(local)}"


def period_text(period: Period) -> str:
    """From when until when, in words."""
    if not period.utc:
        return f"{clock_text(period.from_ms)} to {clock_text(period.to_ms)} of media time"
    first, last = _local(period.from_ms, period.zone), _local(period.to_ms, period.zone)
    midnights = all(not (one.hour or one.minute or one.second) for one in (first, last))
    if midnights and last - first > timedelta(0):
        until = last - timedelta(days=1)
        if until.date() == first.date():
            return f"{first:%A} {first.day} {first:%B %Y} ({period.zone.key})"
        return f"{first:%a} {first.day} {first:%B %Y} to {until:%a} {until.day} {until:%B %Y} ({period.zone.key})"
    clocks = [f"{one:%H:%M:%S}" if period.bin_s < 60 else f"{one:%H:%M}" for one in (first, last)]
    shown = [f"{one:%a} {one.day} {one:%B %Y}, {clock}" for one, clock in zip((first, last), clocks, strict=True)]
    if first.date() == last.date():
        shown[1] = clocks[1]
    return f"{shown[0]} to {shown[1]} ({period.zone.key})"


def clock_text(at_ms: float) -> str:
    """Media time.

    >>> clock_text(5_025_000), clock_text(61_500)
    ('1:23:45', '1:01')
    """
    seconds = int(at_ms // 1000)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours}:{minutes:02d}:{seconds % 60:02d}" if hours else f"{minutes}:{seconds % 60:02d}"


def duration_text(seconds: float | None) -> str:
    """A length of time, as short as it can be said.

    >>> duration_text(12.34), duration_text(245.0), duration_text(7_380.0), duration_text(None), duration_text(60)
    ('12.3 s', '4 min 05 s', '2 h 03 min', '-', '1 min 00 s')
    """
    if seconds is None:
        return "-"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < HOUR_S:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // HOUR_S} h {whole // 60 % 60:02d} min"


def offset_text(local: datetime) -> str:
    """Offset of a local time from UTC.

    >>> offset_text(datetime(2026, 1, 1, tzinfo=UTC))
    'UTC+00:00'
    """
    text = f"{local:%z}"
    return f"UTC{text[:3]}:{text[3:5]}"


def _local(at_ms: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
