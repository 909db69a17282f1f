"""Charts of counts over time: a panel per direction, classes on each other, the week before as a dashed line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tracker.report.axes import Tick, count_ticks, moment_text, time_ticks
from tracker.report.document import Anchor, Box, Chart, Drawing, Key, Stroke, Table, Words
from tracker.report.tones import SERIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tracker.report.counted import PlaceCounts
    from tracker.report.document import Mark
    from tracker.report.period import Period

__all__ = ["NARROW", "WIDE", "Layout", "class_tones", "count_chart"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Measures of a drawing in pixels.

    Attributes:
        width: Of all of it.
        panel: Height of the bars' room.
        ticks: Labels of the axis of time that have room.
        left, right: Margins, for the numbers and half a label.
    """

    width: float
    panel: float
    ticks: int
    left: float = 40.0
    right: float = 16.0


WIDE = Layout(width=760.0, panel=104.0, ticks=10)
NARROW = Layout(width=340.0, panel=92.0, ticks=4, left=34.0)
HEAD = 26.0
AXIS = 34.0
GAP = 12.0
DIGIT_PX = 6.5
"""Width of a letter of an axis, rounded up."""


def class_tones(classes: Sequence[str]) -> dict[str, str]:
    """A colour for each class, the same on the whole report; beyond the colours there are, grey.

    >>> class_tones(["person", "car"])
    {'person': 'series-1', 'car': 'series-2'}
    """
    return {name: f"series-{number + 1}" if number < SERIES else "soft" for number, name in enumerate(classes)}


def count_chart(place: PlaceCounts, period: Period, tones: Mapping[str, str], *, title: str) -> Chart:
    """The counts of one line, zone or flow.

    Args:
        place: Its counts.
        period: With the bins.
        tones: Of the classes.
        title: Of the chart.
    """
    ways = sorted(place.ways)
    highest = [float(place.sums(way).max(initial=0)) for way in ways]
    highest += [float(np.nanmax(values, initial=0)) for values in place.before.values()]
    scale = count_ticks(max(highest, default=0))
    shown = [name for name in tones if any(place.ways[way].get(name, np.zeros(1)).any() for way in ways)]
    legend = [Key(label=name, tone=tones[name]) for name in shown]
    if place.before:
        legend.append(Key(label="a week before, all classes", tone="soft", look="line"))
    if place.out.any():
        legend.append(Key(label="camera out or not recorded: not known", tone="hatch", look="hatched"))
    return Chart(
        title=title,
        text=_told(place, ways, period),
        wide=_drawing(place, period, tones, layout=WIDE, scale=scale),
        narrow=_drawing(place, period, tones, layout=NARROW, scale=scale),
        legend=legend,
        table=_table(place, ways, period, title),
    )


def _told(place: PlaceCounts, ways: Sequence[str], period: Period) -> str:
    """The chart in words: sums, the fullest bin, and outages."""
    parts = []
    for way in ways:
        sums = place.sums(way)
        text = f"{way or place.place}: {int(sums.sum()):,}"
        if sums.any():
            fullest = int(np.argmax(sums))
            text += (
                f", at most {int(sums[fullest]):,} in the bin from {moment_text(int(period.edges[fullest]), period)}"
            )
        parts.append(text)
    if place.out.any():
        parts.append(f"the camera was out or not recorded in {int(place.out.sum())} of {period.bins} bins")
    return "; ".join(parts) + "."


def _drawing(
    place: PlaceCounts, period: Period, tones: Mapping[str, str], *, layout: Layout, scale: Sequence[int]
) -> Drawing:
    marks: list[Mark] = []
    top = 0.0
    for way in sorted(place.ways):
        marks += _head(place, way, layout, top)
        marks += _panel(place, way, period, tones, layout=layout, top=top + HEAD, scale=scale)
        top += HEAD + layout.panel + GAP
    bottom = top - GAP
    marks += time_axis(period, time_ticks(period, layout.ticks), layout, bottom)
    return Drawing(width=layout.width, height=bottom + AXIS, marks=tuple(marks))


def _head(place: PlaceCounts, way: str, layout: Layout, top: float) -> list[Mark]:
    """Name of the direction and its sum."""
    total = f"{int(place.sums(way).sum()):,}"
    words = shortened(way, 22 if layout is NARROW else 60) or {"enter": "entries", "loitering": "loitering"}.get(
        place.kind, "passages"
    )
    return [
        Words(x=0, y=top + 15, text=words, tone="ink", size=12.5, bold=True),
        Words(x=layout.width - layout.right, y=top + 15, text=total, tone="ink", size=12.5, anchor="end", bold=True),
    ]


def _panel(
    place: PlaceCounts,
    way: str,
    period: Period,
    tones: Mapping[str, str],
    *,
    layout: Layout,
    top: float,
    scale: Sequence[int],
) -> list[Mark]:
    """Bars of one direction over their grid."""
    bottom, room = top + layout.panel, layout.width - layout.left - layout.right
    unit = layout.panel / scale[-1]
    x = layout.left + room * _shares(period)
    marks: list[Mark] = [
        Box(x=low, y=top, width=high - low, height=layout.panel, tone="hatch", look="hatched")
        for low, high in runs(place.out, x)
    ]
    for number in scale:
        y = bottom - number * unit
        marks.append(Stroke(points=((layout.left, y), (layout.width - layout.right, y)), tone="grid"))
        marks.append(Words(x=layout.left - 6, y=y + 4, text=f"{number:,}", anchor="end"))
    base = np.zeros(period.bins, np.int64)
    gap = min(1.5, room / period.bins * 0.2)
    for name, tone in tones.items():
        values = place.ways[way].get(name)
        if values is None:
            continue
        for slot in np.flatnonzero(values).tolist():
            height = float(values[slot]) * unit
            y = bottom - float(base[slot]) * unit - height
            marks.append(Box(x=x[slot] + gap / 2, y=y, width=x[slot + 1] - x[slot] - gap, height=height, tone=tone))
        base = base + values
    marks += _before(place.before.get(way), x, bottom, unit)
    marks.append(Stroke(points=((layout.left, bottom), (layout.width - layout.right, bottom)), tone="soft"))
    return marks


def _before(values: NDArray[np.float64] | None, x: NDArray[np.float64], bottom: float, unit: float) -> list[Mark]:
    """Steps of the week before, with gaps where it is not known."""
    if values is None:
        return []
    marks: list[Mark] = []
    known = ~np.isnan(values)
    cuts = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(np.int8)))
    for low, high in zip(cuts[::2].tolist(), cuts[1::2].tolist(), strict=True):
        points: list[tuple[float, float]] = []
        for slot in range(low, high):
            y = bottom - float(values[slot]) * unit
            points += [(float(x[slot]), y), (float(x[slot + 1]), y)]
        marks.append(Stroke(points=tuple(points), tone="soft", width=1.3))
    return marks


def time_axis(period: Period, ticks: Sequence[Tick], layout: Layout, y: float) -> list[Mark]:
    """Labels of an axis of time below ``y``; one that would touch the label before it is left out."""
    room = layout.width - layout.left - layout.right
    first, last = int(period.edges[0]), int(period.edges[-1])
    marks: list[Mark] = []
    taken = -math.inf
    for at_ms, upper, lower in ticks:
        x = layout.left + room * (at_ms - first) / (last - first)
        marks.append(Stroke(points=((x, y), (x, y + 4)), tone="soft"))
        anchor: Anchor = "middle"
        if x < layout.left + 8:
            anchor = "start"
        elif x > layout.width - 2 * layout.right:
            anchor = "end"
        wide = len(upper) * DIGIT_PX
        left = x - wide * {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
        if left > taken:
            marks.append(Words(x=x, y=y + 16, text=upper, anchor=anchor))
            taken = left + wide + DIGIT_PX
        if lower:
            marks.append(Words(x=x, y=y + 30, text=lower, anchor=anchor))
    return marks


def runs(flags: NDArray[np.bool_], x: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Places from and to which flags of bins hold, ``x`` being their edges."""
    cuts = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(float(x[low]), float(x[high])) for low, high in zip(cuts[::2], cuts[1::2], strict=True)]


def shortened(text: str, most: int) -> str:
    """A text that fits into a line.

    >>> shortened("towards the city centre", 12)
    'towards the…'
    """
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _shares(period: Period) -> NDArray[np.float64]:
    """Edges of bins as shares of the period: days of 23 hours are narrower."""
    edges = period.edges.astype(np.float64)
    return np.asarray((edges - edges[0]) / (edges[-1] - edges[0]))


def _table(place: PlaceCounts, ways: Sequence[str], period: Period, title: str) -> Table:
    """A row for each bin in which something was counted or the camera was out."""
    columns = ["from"]
    for way in ways:
        columns.append(f"#{way or 'count'}")
        if way in place.before:
            columns.append(f"#{way or 'count'}, a week before")
    rows = []
    sums = {way: place.sums(way) for way in ways}
    unknown = {way: place.unknown(way) for way in ways}
    for slot in range(period.bins):
        if not place.out[slot] and not any(sums[way][slot] for way in ways):
            continue
        cells = [moment_text(int(period.edges[slot]), period)]
        for way in ways:
            at_least = "≥ " if place.out[slot] else ""
            cells.append("not known" if unknown[way][slot] else f"{at_least}{int(sums[way][slot]):,}")
            if way in place.before:
                earlier = place.before[way][slot]
                cells.append("not known" if np.isnan(earlier) else f"{earlier:,.0f}")
        rows.append(cells)
    return Table(columns=columns, rows=rows, caption=f"{title}: bins with a count or an outage", folded=True)
