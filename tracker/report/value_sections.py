"""Sections of values: speeds, times between vehicles and sizes, each with its n."""

from __future__ import annotations

from array import array
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tracker.report.document import Fact, Section, Table
from tracker.report.spreads import FEWEST, spread_chart, spread_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tracker.report.document import Part
    from tracker.report.questions import Valued
    from tracker.report.spreads import Spread

__all__ = [
    "INTERVALS",
    "Values",
    "interval_section",
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
        [
            one.name,
            f"{one.n:,}",
            *map(_one, (one.mean, one.harmonic, one.low, one.middle, one.high, one.error)),
        ]
        for one in spreads[:MOST_ROWS_OF_TABLE]
    ]
    columns = ["section", "#n", "#mean", "#space mean", "#v15", "#v50", "#v85", "#error of one"]
    caption = f"km/h, of one value per vehicle and passage; no percentile below n = {FEWEST}"
    parts: list[Part] = [Table(columns=columns, rows=rows, caption=caption)]
    if any(one.middle is not None for one in spreads[:MOST_ROWS]):
        parts.insert(0, spread_chart("Speeds by section, direction and class", spreads[:MOST_ROWS], "km/h"))
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
            figures = map(_one, (one.mean, one.low, one.middle, one.high))
            rows.append([title, name, f"{one.n:,}", *figures, critical])
    if not rows:
        return None
    columns = ["measure", "place", "#n", "#mean s", "#15 % s", "#50 % s", "#85 % s", "#conflicts"]
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
        known = (one.mean, one.low, one.middle, one.high, one.error)
        figures = ("-" if value is None else f"{value:.2f}" for value in known)
        rows.append([class_name, f"{title}, {unit}", f"{one.n:,}", *figures])
    columns = ["class", "size", "#n", "#mean", "#15 %", "#50 %", "#85 %", "#error of one"]
    table = Table(columns=columns, rows=rows, caption=f"By class; no percentile below n = {FEWEST}")
    lead = "Sizes on calibrated ground, from silhouettes."
    return Section(key="sizes", title="Sizes", lead=lead, parts=[table])
