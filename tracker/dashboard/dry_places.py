"""Answer of a dry run: what each line and zone would have counted, beside what was counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tracker.analytics.tally import Tally
    from tracker.site import Site

__all__ = ["dry_places"]


def dry_places(site: Site, would: Tally, was: Tally | None) -> list[dict[str, Any]]:
    """A place per line and zone, with a row per direction, entries or stays, and class where there are several.

    Args:
        site: Which would count.
        would: What it counts.
        was: What was counted; places that it does not know are ``None``, and so are all without it.
    """
    return [*_lines(site, would, was), *_zones(site, would, was)]


def _lines(site: Site, would: Tally, was: Tally | None) -> Iterator[dict[str, Any]]:
    for line in site.lines:
        rows = []
        for direction in line.directions:
            key = line.name, direction
            before = None if was is None else was.crossings.get(key)
            rows += _rows(direction, would.crossings[key], before)
        yield {"place": line.name, "kind": "line", "rows": rows}


def _zones(site: Site, would: Tally, was: Tally | None) -> Iterator[dict[str, Any]]:
    for zone in site.zones:
        now = would.zones[zone.name]
        before = None if was is None else was.zones.get(zone.name)
        rows = _rows("entered", now.entries, None if before is None else before.entries)
        rows += _rows("already inside", now.found_inside, None if before is None else before.found_inside)
        dwells = [
            None if one is None or one.mean_dwell_s is None else round(one.mean_dwell_s, 1) for one in (before, now)
        ]
        rows.append({"what": "mean dwell, s", "class": "", "was": dwells[0], "would": dwells[1]})
        yield {"place": zone.name, "kind": "zone", "rows": rows}


def _rows(what: str, would: Mapping[str, int], was: Mapping[str, int] | None) -> list[dict[str, Any]]:
    """The sum, and where there are several classes each of them."""
    rows = [
        {"what": what, "class": "", "was": None if was is None else sum(was.values()), "would": sum(would.values())}
    ]
    names = sorted({*would, *(was or {})})
    if len(names) > 1:
        rows += [
            {"what": what, "class": name, "was": None if was is None else was.get(name, 0), "would": would.get(name, 0)}
            for name in names
        ]
    return rows
