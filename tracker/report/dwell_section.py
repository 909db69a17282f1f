"""Section of dwell: histogram and figures by zone, censored stays apart, medians by Kaplan-Meier."""

from __future__ import annotations

from array import array
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tracker.analytics.dwell import quantiles
from tracker.report.axes import duration_text
from tracker.report.document import Fact, Note, Section, Table
from tracker.report.spreads import dwell_chart

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from tracker.report.document import Part
    from tracker.report.questions import StayRow

__all__ = ["DwellFigures", "Stays", "dwell_section", "stays_of"]

MOST_CHARTS = 8
MOST_ROWS = 100

Group = tuple[str, str, str]
"""Stream, zone and class."""


@dataclass(slots=True, kw_only=True)
class Stays:
    """Stays of one zone and class, a few bytes each.

    Attributes:
        length: Seconds that each was seen.
        hidden: Seconds of it in which the ground contact was not seen.
        entered: 1 = its entry was seen.
        closed: 1 = it began and ended in view.
        lost: Those that ended inside.
    """

    length: array[float] = field(default_factory=lambda: array("d"))
    hidden: array[float] = field(default_factory=lambda: array("f"))
    entered: array[int] = field(default_factory=lambda: array("b"))
    closed: array[int] = field(default_factory=lambda: array("b"))
    lost: int = 0

    def add(self, row: StayRow) -> None:
        """Take one."""
        self.length.append(row.length_s)
        self.hidden.append(row.hidden_s)
        self.entered.append(row.entered)
        self.closed.append(row.closed)
        self.lost += row.end == "lost"

    def merged(self, other: Stays) -> Stays:
        """Both."""
        return Stays(
            length=self.length + other.length,
            hidden=self.hidden + other.hidden,
            entered=self.entered + other.entered,
            closed=self.closed + other.closed,
            lost=self.lost + other.lost,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DwellFigures:
    """Figures of one group of stays.

    Attributes:
        n: All of them.
        closed: Those that began and ended in view; the others are censored.
        mean_s: Of closed ones.
        median_s, p90_s: By Kaplan-Meier over those whose entry was seen.
        hidden_share: Of all their seconds.
    """

    n: int
    closed: int
    mean_s: float | None
    median_s: float | None
    p90_s: float | None
    hidden_share: float | None

    @classmethod
    def of(cls, stays: Stays) -> DwellFigures:
        """Of some stays."""
        length, closed, entered = _arrays(stays)
        middle, late = quantiles(length[entered], closed[entered], (0.5, 0.9))
        seconds = float(length.sum())
        return cls(
            n=len(length),
            closed=int(closed.sum()),
            mean_s=float(length[closed].mean()) if closed.any() else None,
            median_s=middle,
            p90_s=late,
            hidden_share=float(np.sum(stays.hidden)) / seconds if seconds else None,
        )


def stays_of(rows: Iterable[StayRow]) -> dict[Group, Stays]:
    """Stays by stream, zone and class."""
    found: dict[Group, Stays] = defaultdict(Stays)
    for row in rows:
        found[row.stream, row.place, row.class_name].add(row)
    return dict(found)


def dwell_section(stays: Mapping[Group, Stays]) -> tuple[Section | None, list[Fact]]:
    """Dwell of all zones, those with most stays first, and the fact for the top of the report."""
    if not stays:
        return None, []
    zones: dict[tuple[str, str], Stays] = {}
    for (stream, place, _), found in stays.items():
        zones[stream, place] = zones[stream, place].merged(found) if (stream, place) in zones else found
    several = len({stream for stream, _ in zones}) > 1
    ordered = sorted(zones.items(), key=lambda pair: (-len(pair[1].length), pair[0]))
    parts: list[Part] = [_table(stays, several=several)]
    if len(ordered) > MOST_CHARTS:
        parts.append(Note(text=f"Charts are of the {MOST_CHARTS} zones with most stays; all are in the CSV."))
    facts: list[Fact] = []
    for (stream, place), found in ordered[:MOST_CHARTS]:
        length, closed, _ = _arrays(found)
        figures = DwellFigures.of(found)
        parts.append(dwell_chart(f"{place} · {stream}" if several else place, length, closed, figures.median_s))
        if not facts:
            facts = [
                Fact(name=f"Median dwell, {place}", value=duration_text(figures.median_s), note=f"n {figures.n:,}")
            ]
    lead = (
        "Stays that began in the period. Means are of stays seen from entry to exit; the median takes those whose exit "
        "was not seen (lost or lasting) for as long as they were seen. Those found inside are in no figure."
    )
    return Section(key="dwell", title="Dwell", lead=lead, parts=parts), facts


def _arrays(stays: Stays) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    flags = [np.array(values, np.bool_) for values in (stays.closed, stays.entered)]
    return np.array(stays.length, np.float64), flags[0], flags[1]


def _table(stays: Mapping[Group, Stays], *, several: bool) -> Table:
    rows: list[Sequence[str]] = []
    for (stream, place, class_name), found in sorted(stays.items(), key=lambda pair: (-len(pair[1].length), pair[0])):
        one = DwellFigures.of(found)
        hidden = "-" if one.hidden_share is None else f"{one.hidden_share:.0%}".replace("%", " %")
        counts = [f"{one.n:,}", f"{one.n - one.closed:,}"]
        figures = [duration_text(value) for value in (one.median_s, one.mean_s, one.p90_s)]
        rows.append([f"{place} · {stream}" if several else place, class_name, *counts, *figures, hidden])
    columns = ["zone", "class", "#stays", "#censored", "#median", "#mean", "#90 %", "#hidden"]
    return Table(columns=columns, rows=rows[:MOST_ROWS], caption="By zone and class")
