"""Sections of values: speeds, times between vehicles, sizes, queues and footfall, each with its n."""

from __future__ import annotations

from array import array
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tracker.report.axes import duration_text
from tracker.report.document import Fact, Facts, Note, Section, Table
from tracker.report.spreads import FEWEST, spread_chart, spread_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tracker.report.counted import Counted
    from tracker.report.document import Part
    from tracker.report.questions import Valued
    from tracker.report.spreads import Spread
    from tracker.site import Site

__all__ = [
    "INTERVALS",
    "Values",
    "footfall_section",
    "interval_section",
    "queue_section",
    "size_section",
    "speed_section",
    "values_of",
]

KM_H = 3.6
MOST_ROWS = 40
MOST_ROWS_OF_TABLE = 200

INTERVALS = {
    "headway": "Headway",
    "time_gap": "Time gap",
    "time_to_collision": "Time to collision",
    "post_encroachment": "Post-encroachment time",
}
CRITICAL_S = {"time_to_collision": 1.5, "post_encroachment": 5.0}
"""Customary limits of conflicts (FHWA-HRT-08-051)."""
SIZES = {"width": ("Width", "m"), "height": ("Height", "m"), "ground_area": ("Ground area", "m²")}

Group = tuple[str, str, str, str]
"""Stream, place, direction and class."""


@dataclass(slots=True, kw_only=True)
class Values:
    """Values of one group with their standard errors, NaN where there is none."""

    values: array[float] = field(default_factory=lambda: array("d"))
    errors: array[float] = field(default_factory=lambda: array("d"))


def values_of(rows: Iterable[Valued]) -> dict[Group, Values]:
    """Values by stream, place, direction and class."""
    found: dict[Group, Values] = defaultdict(Values)
    for row in rows:
        group = found[row[:4]]
        group.values.append(row.value)
        group.errors.append(float("nan") if row.error is None else row.error)
    return dict(found)


def _spread(name: str, values: Values, scale: float = 1.0) -> Spread:
    return spread_of(name, np.array(values.values) * scale, np.array(values.errors) * scale)


def _named(groups: Mapping[Group, Values], *, several: bool) -> list[tuple[str, Values]]:
    """Groups with a name to show, the largest first."""
    found = []
    for (stream, place, direction, class_name), values in groups.items():
        parts = [place, direction, class_name, *([stream] if several else [])]
        found.append((" · ".join(part for part in parts if part), values))
    return sorted(found, key=lambda pair: (-len(pair[1].values), pair[0]))


def speed_section(speeds: Mapping[Group, Values]) -> tuple[Section | None, list[Fact]]:
    """Speeds of vehicles at sections: v15, v50 and v85 of one value per passage, and the fact for the top."""
    if not speeds:
        return None, []
    several = len({group[0] for group in speeds}) > 1
    named = _named(speeds, several=several)
    spreads = [_spread(name, values, KM_H) for name, values in named]
    rows = [
        [one.name, f"{one.n:,}", *(_one(value) for value in (one.low, one.middle, one.high, one.error))]
        for one in spreads[:MOST_ROWS_OF_TABLE]
    ]
    columns = ["section", "#n", "#v15 km/h", "#v50 km/h", "#v85 km/h", "#error of one, km/h"]
    caption = f"Of one value per vehicle and passage; no percentile below n = {FEWEST}"
    parts: list[Part] = [
        spread_chart("Speeds by section, direction and class", spreads[:MOST_ROWS], "km/h"),
        Table(columns=columns, rows=rows, caption=caption),
    ]
    facts = []
    if spreads[0].high is not None:
        facts = [Fact(name="v85, busiest section", value=f"{spreads[0].high:.0f} km/h", note=named[0][0])]
    lead = (
        "Speeds at a section on calibrated ground. Passages whose standard error is above 10 % have none and are not "
        "in n. Screening, not enforcement."
    )
    return Section(key="speeds", title="Speeds", lead=lead, parts=parts), facts


def _one(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def interval_section(found: Mapping[str, Mapping[Group, Values]]) -> Section | None:
    """Headways, gaps and conflicts; ``None`` where there are none."""
    rows = []
    for kind, title in INTERVALS.items():
        groups = found.get(kind, {})
        several = len({group[0] for group in groups}) > 1
        for name, values in _named(groups, several=several):
            one = _spread(name, values)
            limit = CRITICAL_S.get(kind)
            critical = "" if limit is None else f"{int((np.array(values.values) <= limit).sum()):,} ≤ {limit:g} s"
            figures = (_one(value) for value in (one.low, one.middle, one.high))
            rows.append([title, name, f"{one.n:,}", *figures, critical])
    if not rows:
        return None
    columns = ["measure", "place", "#n", "#15 % s", "#50 % s", "#85 % s", "#conflicts"]
    caption = f"Seconds; no percentile below n = {FEWEST}"
    lead = (
        "Headways are from front to front, gaps from rear to front; times to collision are the least of a pair. "
        "Conflicts are counted at the customary limits: a screening, not a proof."
    )
    table = Table(columns=columns, rows=rows[:MOST_ROWS_OF_TABLE], caption=caption)
    return Section(key="intervals", title="Times between vehicles", lead=lead, parts=[table])


def size_section(sizes: Mapping[Group, Values]) -> Section | None:
    """Widths, heights and ground areas by class."""
    if not sizes:
        return None
    merged: dict[tuple[str, str], Values] = defaultdict(Values)
    for (_, _, direction, class_name), values in sizes.items():
        merged[class_name, direction].values.extend(values.values)
        merged[class_name, direction].errors.extend(values.errors)
    rows = []
    for (class_name, direction), values in sorted(merged.items()):
        title, unit = SIZES.get(direction, (direction, ""))
        one = _spread(class_name, values)
        figures = ("-" if value is None else f"{value:.2f}" for value in (one.low, one.middle, one.high, one.error))
        rows.append([class_name, f"{title}, {unit}", f"{one.n:,}", *figures])
    columns = ["class", "size", "#n", "#15 %", "#50 %", "#85 %", "#error of one"]
    table = Table(columns=columns, rows=rows, caption=f"By class; no percentile below n = {FEWEST}")
    lead = "Sizes on calibrated ground, from silhouettes."
    return Section(key="sizes", title="Sizes", lead=lead, parts=[table])


def queue_section(waits: Mapping[Group, Values], joined: int) -> Section | None:
    """Waits of queues by how they ended; ``None`` without queues.

    Args:
        waits: Values of ``queue_leave``, whose direction is how it ended.
        joined: How many joined a queue.
    """
    if not waits and not joined:
        return None
    ends: dict[tuple[str, str], dict[str, Values]] = defaultdict(lambda: defaultdict(Values))
    for (stream, place, end, _), values in waits.items():
        ends[stream, place][end].values.extend(values.values)
    rows = []
    for (stream, place), by_end in sorted(ends.items()):
        served = np.array(by_end["served"].values) if "served" in by_end else np.zeros(0)
        counts = {end: len(values.values) for end, values in by_end.items()}
        left = counts.get("served", 0) + counts.get("abandoned", 0)
        share = f"{counts.get('abandoned', 0) / left:.0%}".replace("%", " %") if left else "-"
        figures = [duration_text(float(np.percentile(served, q)) if len(served) >= FEWEST else None) for q in (50, 90)]
        mean = duration_text(float(served.mean()) if len(served) else None)
        numbers = [f"{counts.get(end, 0):,}" for end in ("served", "abandoned", "lost", "open")]
        rows.append([f"{place} · {stream}", *numbers, share, mean, *figures])
    columns = ["queue", "#served", "#abandoned", "#lost", "#open", "#share abandoned", "#mean wait", "#50 %", "#90 %"]
    caption = f"Waits are of those served; no percentile below n = {FEWEST}"
    parts: list[Part] = [Table(columns=columns, rows=rows, caption=caption)] if rows else []
    if joined:
        parts.insert(0, Facts(facts=[Fact(name="Joined a queue", value=f"{joined:,}")]))
    return Section(key="queues", title="Queues", lead="", parts=parts)


def footfall_section(
    counted: Counted, sites: Sequence[tuple[str, Site]], groups: Mapping[Group, Values], kinds: Mapping[str, int]
) -> Section | None:
    """Entries beside passers-by, groups, staff and re-entries; ``None`` without rows of any of those kinds.

    Args:
        counted: With the entries.
        sites: Stream and site: entries are over its doors; without doors, all crossings in the direction ``in``.
        groups: Values of ``group``: how many persons.
        kinds: Rows of each kind.
    """
    if not any(kinds.get(kind) for kind in ("passing", "group", "staff", "re_entry")):
        return None
    doors = {(stream, line): one.entry for stream, site in sites for one in site.doors for line in one.lines}
    entries = sum(
        int(values.sum())
        for place in counted.of("crossing")
        for values in place.ways.get(doors.get((place.stream, place.place), "" if doors else "in"), {}).values()
    )
    sizes = [round(size) for values in groups.values() for size in values.values]
    facts = [
        Fact(name="Entries", value=f"{entries:,}", note="over the doors" if doors else "crossings in the direction in")
    ]
    passing = kinds.get("passing", 0)
    if passing:
        facts.append(Fact(name="Passers-by", value=f"{passing:,}", note="a sample: those that the camera sees"))
        capture = entries / passing
        of_all = entries / (entries + passing)
        facts.append(Fact(name="Capture of passing", value=_percent(capture), note="entries over passers-by"))
        facts.append(Fact(name="Capture of all", value=_percent(of_all), note="entries over entries and passers-by"))
    if sizes:
        note = f"{sum(sizes):,} persons, {sum(sizes) / len(sizes):.1f} in a group"
        facts.append(Fact(name="Groups", value=f"{len(sizes):,}", note=note))
    for kind, name in (("re_entry", "Re-entries"), ("staff", "Staff")):
        if kinds.get(kind):
            facts.append(Fact(name=name, value=f"{kinds[kind]:,}"))
    apart = Note(text="Staff and re-entries are named apart and are still among the entries.")
    return Section(key="footfall", title="Footfall", lead="", parts=[Facts(facts=facts), apart])


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"
