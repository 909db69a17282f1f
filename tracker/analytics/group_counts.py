"""Counts of a group of cameras: its doors over all of them as entries and exits, in its opening hours."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from tracker.analytics.counts import Sums

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tracker.analytics.counts import BinCount
    from tracker.groups import SiteGroup

__all__ = ["COLUMNS", "DOORS", "MINUTE_S", "group_sums", "in_hours", "open_sums", "regrouped"]

COLUMNS = ("stream", "kind", "place", "direction", "class")
"""By which sums must be apart to be put together anew."""
DOORS, ENTRY, EXIT = "doors", "entry", "exit"
MINUTE_S = 60
"""Bins into which opening hours fit."""

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
    return Sums(counts=found, outages=list(sums.outages), spans=dict(sums.spans), semantics=set(sums.semantics))


def open_sums(sums: Sums, group: SiteGroup, *, bin_s: int) -> Sums:
    """Sums of bins of a minute, in the minutes in which the place is open, as sums of longer bins.

    Args:
        sums: Of bins of :data:`MINUTE_S`; media time, which has no hours, is left out.
        group: With opening hours.
        bin_s: Seconds of the bins that are asked for, whole minutes.
    """
    many, found = bin_s // MINUTE_S, Counter[tuple[bool, int, tuple[str, ...]]]()
    hours: dict[int, bool] = {}
    for (utc, slot, key), count in sums.counts.items():
        if utc and hours.setdefault(slot, group.is_open(slot * MINUTE_S * 1000)):
            found[utc, slot // many, key] += count
    return Sums(counts=found, outages=list(sums.outages), spans=dict(sums.spans), semantics=set(sums.semantics))


def in_hours(row: BinCount, group: SiteGroup, *, bin_s: int) -> bool:
    """Whether a bin has a minute in which the place is open."""
    starts_ms = range(row.start_ms, row.start_ms + bin_s * 1000, MINUTE_S * 1000)
    return row.utc and any(group.is_open(start_ms) for start_ms in starts_ms)
