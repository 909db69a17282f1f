"""Counts of a group of cameras: its doors over all of them as entries and exits, in its opening hours."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from tracker.analytics.counts import BIN_S

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tracker.analytics.counts import BinCount, Sums
    from tracker.groups import SiteGroup

__all__ = ["COLUMNS", "DOORS", "group_sums", "hours_s", "in_hours", "open_sums", "regrouped"]

COLUMNS = ("stream", "kind", "place", "direction", "class")
"""By which sums must be apart to be put together anew."""
DOORS, ENTRY, EXIT = "doors", "entry", "exit"
MINUTE_S = 60

Values = dict[str, str]


def group_sums(sums: Sums, group: SiteGroup) -> Sums:
    """Sums of a group's cameras under its name; crossings are those of its doors, as entries and exits.

    Args:
        sums: By :data:`COLUMNS`.
        group: With doors, else lines, zones and flows of its cameras keep their names.
    """

    def under(values: Values) -> Values | None:
        if values["stream"] not in group.cameras:
            return None
        changed = values | {"stream": group.name}
        if not group.doors or values["kind"] != "crossing":
            return changed
        door = group.door(values["stream"], values["place"])
        if door is None or values["direction"] not in {door.entry, door.exit}:
            return None
        if group.classes and values["class"] not in group.classes:
            return None
        return changed | {"place": DOORS, "direction": ENTRY if values["direction"] == door.entry else EXIT}

    found = regrouped(sums, COLUMNS, under)
    found.outages = [replace(out, stream=group.name) for out in sums.outages if out.stream in group.cameras]
    found.streams = {}
    for (stream, utc), span in sums.streams.items():
        if stream in group.cameras:
            found.extend(group.name, *span, utc=utc)
    return found


def regrouped(
    sums: Sums, by: Sequence[str], change: Callable[[Values], Values | None], into: Sequence[str] | None = None
) -> Sums:
    """Sums whose groups are other ones; those that become the same are added up.

    Args:
        sums: By ``by``.
        by: Names of the values of a group.
        change: From the values of a group to others; ``None`` leaves it out.
        into: Names of the values that are kept; ``None`` = all.
    """
    kept, found = by if into is None else into, Counter[tuple[bool, int, tuple[str, ...]]]()
    known: dict[tuple[str, ...], tuple[str, ...] | None] = {}
    for (utc, slot, group), count in sums.counts.items():
        if group not in known:
            values = change(dict(zip(by, group, strict=True)))
            known[group] = None if values is None else tuple(values[name] for name in kept)
        if (other := known[group]) is not None:
            found[utc, slot, other] += count
    return replace(sums, counts=found, outages=list(sums.outages), streams=dict(sums.streams))


def hours_s(group: SiteGroup) -> int:
    """Seconds of bins into which the opening hours of a group fit: a quarter of an hour, or else a minute.

    Counts of deleted events are known by quarters of an hour only.
    """
    ends = (end for one in group.opening for end in (one.from_min, one.to_min))
    return MINUTE_S if any(end * MINUTE_S % BIN_S for end in ends) else BIN_S


def open_sums(sums: Sums, group: SiteGroup) -> Sums:
    """What was counted while the place was open.

    Args:
        sums: Of bins of :func:`hours_s`, or that divide it; media time, which has no hours, is left out.
        group: With opening hours.
    """
    hours: dict[int, bool] = {}
    found = Counter[tuple[bool, int, tuple[str, ...]]]()
    for (utc, slot, key), count in sums.counts.items():
        if utc and hours.setdefault(slot, group.is_open(slot * sums.bin_s * 1000)):
            found[utc, slot, key] += count
    return replace(sums, counts=found)


def in_hours(row: BinCount, group: SiteGroup) -> bool:
    """Whether a bin has a minute in which the place is open."""
    return row.utc and any(group.is_open(at_ms) for at_ms in range(row.start_ms, row.end_ms, MINUTE_S * 1000))
