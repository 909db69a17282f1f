"""Sections of counts: passages over lines, entries into zones, flows as a matrix of origins and destinations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tracker.report.count_charts import class_tones, count_chart
from tracker.report.document import Fact, Matrix, Note, Section, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.report.counted import Counted, PlaceCounts
    from tracker.report.document import Part
    from tracker.report.period import Period
    from tracker.site import Site

__all__ = ["MOST_CHARTS", "change_text", "count_facts", "flow_section", "place_name", "place_section"]

MOST_CHARTS = 12
"""Charts of a section; more are a wall. All places are in the table and in the CSV."""
MOST_ROWS = 200
MOST_CLASSES = 5
"""Columns of classes in a table; the others are summed up."""
MOST_ENDS = 24
"""Rows and columns of a matrix."""

TITLES = {"crossing": "Counts over time", "enter": "Entries into zones"}
NAMES = {"crossing": "line", "enter": "zone"}


def count_facts(counted: Counted) -> list[Fact]:
    """Passages and entries with the week before."""
    found = []
    for kind, name in (("crossing", "Passages over lines"), ("enter", "Entries into zones")):
        places = counted.of(kind)
        if places:
            total = sum(place.total for place in places)
            changes = [change for place in places if (change := place.change()) is not None]
            note = change_text(sum(now for now, _ in changes), sum(was for _, was in changes)) if changes else ""
            found.append(Fact(name=name, value=f"{total:,}", note=note))
    return found


def change_text(now: int, before: int) -> str:
    """How counts differ from the week before, over the bins that both know.

    >>> change_text(110, 100), change_text(90, 100), change_text(3, 0), change_text(0, 0)
    ('+10 % on the week before', '−10 % on the week before', '3 more than the week before', 'as the week before')
    """
    if now == before:
        return "as the week before"
    if not before:
        return f"{now:,} more than the week before"
    share = round((now - before) / before * 100)
    sign = "+" if now > before else "−"
    return f"{sign}{abs(share):,} % on the week before"


def place_section(counted: Counted, period: Period, kind: str) -> Section | None:
    """Lines or zones: a table of sums, then a chart each; ``None`` without any."""
    places = counted.of(kind)
    if not places:
        return None
    several = len({place.stream for place in places}) > 1
    tones = class_tones(counted.classes)
    parts: list[Part] = [_sums(places, counted.classes, kind, several=several)]
    if len(places) > MOST_CHARTS:
        parts.append(Note(text=f"Charts are of the {MOST_CHARTS} busiest; all {len(places):,} are in the CSV."))
    parts += [
        count_chart(place, period, tones, title=place_name(place, several=several)) for place in places[:MOST_CHARTS]
    ]
    lead = (
        f"Identities by direction and final class in bins of {bin_text(period.bin_s)}. Where the camera was out, a "
        "count is a lower limit, and no count is not a zero."
    )
    return Section(key="counts" if kind == "crossing" else "entries", title=TITLES[kind], lead=lead, parts=parts)


def bin_text(seconds: int) -> str:
    """Length of a bin in words.

    >>> bin_text(900), bin_text(3600), bin_text(86_400), bin_text(5)
    ('15 minutes', 'an hour', 'a day', '5 seconds')
    """
    for unit, name, one in ((86_400, "days", "a day"), (3600, "hours", "an hour"), (60, "minutes", "a minute")):
        if seconds % unit == 0:
            return one if seconds == unit else f"{seconds // unit} {name}"
    return "a second" if seconds == 1 else f"{seconds} seconds"


def place_name(place: PlaceCounts, *, several: bool) -> str:
    """A line or zone, with its camera where there are several."""
    return f"{place.place} · {place.stream}" if several else place.place


def _sums(places: Sequence[PlaceCounts], classes: Sequence[str], kind: str, *, several: bool) -> Table:
    used = [name for name in classes if any(name in ways for place in places for ways in place.ways.values())]
    named, others = used[:MOST_CLASSES], used[MOST_CLASSES:]
    compared = any(place.before for place in places)
    ways = kind == "crossing"
    columns = [NAMES[kind], *(["direction"] if ways else []), "#all", *(f"#{name}" for name in named)]
    columns += ["#others"] * bool(others) + ["#a week before"] * compared
    rows = []
    for place in places:
        for way in sorted(place.ways):
            sums = {name: int(values.sum()) for name, values in place.ways[way].items()}
            row = [place_name(place, several=several), *([way] if ways else []), f"{sum(sums.values()):,}"]
            row += [f"{sums.get(name, 0):,}" for name in named]
            row += [f"{sum(sums.get(name, 0) for name in others):,}"] * bool(others)
            if compared:
                row.append(_before(place, way))
            rows.append(row)
    left = len(rows) - MOST_ROWS
    caption = f"Sums of the period{f'; {left:,} more rows are in the CSV' if left > 0 else ''}"
    return Table(columns=columns, rows=rows[:MOST_ROWS], caption=caption)


def _before(place: PlaceCounts, way: str) -> str:
    """Sum of the week before; a lower limit where it is not known throughout."""
    before = place.before.get(way)
    if before is None:
        return "not known"
    at_least = "≥ " if np.isnan(before).any() else ""
    return f"{at_least}{np.nansum(before):,.0f}"


def flow_section(counted: Counted, sites: Sequence[tuple[str, Site]]) -> Section | None:
    """From where to where: a matrix for each site with flows, and a list of flows of which no site tells the ends."""
    flows = counted.of("flow")
    if not flows:
        return None
    parts: list[Part] = []
    told: set[tuple[str, str]] = set()
    taken = {(place.stream, place.place): place.total for place in flows}
    for stream, site in sites:
        mine = [flow for flow in site.flows if (stream, flow.name) in taken]
        if not mine:
            continue
        told |= {(stream, flow.name) for flow in mine}
        starts = sorted({flow.start for flow in mine})[:MOST_ENDS]
        ends = sorted({flow.end for flow in mine})[:MOST_ENDS]
        sums: dict[tuple[str, str], int] = {}
        for flow in mine:
            key = flow.start, flow.end
            sums[key] = sums.get(key, 0) + taken[stream, flow.name]
        values = [[sums.get((start, end)) for end in ends] for start in starts]
        total = sum(value or 0 for row in values for value in row)
        caption = f"{stream}: {total:,} identities; rows are where they came by, columns where they went"
        parts.append(Matrix(rows=starts, columns=ends, values=values, caption=caption))
    rows = [
        [place.place, place.stream, f"{place.total:,}"] for place in flows if (place.stream, place.place) not in told
    ]
    if rows:
        parts.append(Table(columns=["flow", "camera", "#identities"], rows=rows[:MOST_ROWS], caption="Flows"))
    lead = (
        "How many identities took each way; a flow counts when it begins. A dash is a way that the site does not name."
    )
    return Section(key="flows", title="From where to where", lead=lead, parts=parts)
