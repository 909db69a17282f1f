"""Charts of values: histogram of dwell with censored stays apart, and ranges from the 15th to the 85th percentile."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tracker.report.axes import count_ticks, duration_text
from tracker.report.count_charts import NARROW, WIDE, shortened
from tracker.report.document import Anchor, Box, Chart, Dot, Drawing, Key, Stroke, Table, Words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracker.report.count_charts import Layout
    from tracker.report.document import Mark

__all__ = ["FEWEST", "Spread", "dwell_chart", "spread_chart", "spread_of"]

FEWEST = 30
"""Values below which no percentile is given."""
COLUMNS = 24
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400)
HEAD = 22.0
AXIS = 22.0
ROW = 26.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Mean and percentiles of some values; percentiles are ``None`` of fewer than :data:`FEWEST`.

    Attributes:
        name: Of what, as shown.
        n: How many values.
        mean: Arithmetic mean.
        harmonic: Harmonic mean: of speeds at a section the space-mean; ``None`` where a value is 0 or less.
        low, middle, high: 15th, 50th and 85th percentile.
        error: Median standard error of one value; ``None`` where there is none.
    """

    name: str
    n: int
    mean: float
    harmonic: float | None
    low: float | None
    middle: float | None
    high: float | None
    error: float | None = None


def spread_of(name: str, values: NDArray[np.float64], errors: NDArray[np.float64] | None = None) -> Spread:
    """Percentiles of values, at least one, one per vehicle or stay.

    >>> spread_of("in", np.arange(29.0)).middle is None, spread_of("in", np.arange(101.0)).high
    (True, 85.0)
    >>> spread_of("in", np.array([10.0, 40.0])).mean, spread_of("in", np.array([10.0, 40.0])).harmonic
    (25.0, 16.0)
    """
    known = None if errors is None else errors[~np.isnan(errors)]
    error = None if known is None or not len(known) else float(np.median(known))
    low, middle, high = (None,) * 3 if len(values) < FEWEST else np.percentile(values, [15, 50, 85]).tolist()
    return Spread(
        name=name,
        n=len(values),
        mean=float(values.mean()),
        harmonic=float(len(values) / (1 / values).sum()) if (values > 0).all() else None,
        low=low,
        middle=middle,
        high=high,
        error=error,
    )


def dwell_chart(title: str, length: NDArray[np.float64], closed: NDArray[np.bool_], median_s: float | None) -> Chart:
    """Histogram of stays.

    Args:
        title: Of the chart.
        length: ``(N,)`` seconds that each was seen.
        closed: ``(N,)`` whether it began and ended in view; others were at least that long.
        median_s: By Kaplan-Meier; ``None`` where too few ends were seen.
    """
    longest = float(np.percentile(length, 98)) if len(length) else 1.0
    step = next((one for one in STEPS_S if longest / one <= COLUMNS), None) or math.ceil(longest / COLUMNS)
    slots = np.minimum((length / step).astype(np.int64), COLUMNS)
    columns = max(int(slots.max(initial=0)) + 1, 6)
    whole = np.bincount(slots[closed], minlength=columns)
    cut = np.bincount(slots[~closed], minlength=columns)
    legend = [Key(label="seen from entry to exit", tone="series-1")]
    if cut.any():
        legend.append(Key(label="censored: at least that long", tone="series-1", look="hollow"))
    if median_s is not None:
        legend.append(Key(label=f"median {duration_text(median_s)} (Kaplan-Meier)", tone="ink", look="dashed"))
    n = int(closed.sum())
    text = f"{n:,} stays seen from entry to exit and {len(length) - n:,} censored; median {duration_text(median_s)}."
    over = columns - 1 == COLUMNS
    names = [
        _range(number * step, None if over and number == COLUMNS else (number + 1) * step) for number in range(columns)
    ]
    return Chart(
        title=title,
        text=text,
        wide=_histogram(whole, cut, step, median_s, WIDE, over=over),
        narrow=_histogram(whole, cut, step, median_s, NARROW, over=over),
        legend=legend,
        table=Table(
            columns=["dwell", "#seen from entry to exit", "#censored"],
            rows=[
                [name, f"{one:,}", f"{other:,}"]
                for name, one, other in zip(names, whole.tolist(), cut.tolist(), strict=True)
                if one or other
            ],
            caption=title,
            folded=True,
        ),
    )


def _range(low: float, high: float | None) -> str:
    return f"{_short(low)} and more" if high is None else f"{_short(low)} to {_short(high)}"


def _short(seconds: float) -> str:
    """``45 s``, ``2 min``, ``1.5 h``."""
    if seconds < 60:
        return f"{seconds:g} s"
    return f"{seconds / 60:g} min" if seconds < 3600 else f"{seconds / 3600:g} h"


def _histogram(
    whole: NDArray[np.int64],
    cut: NDArray[np.int64],
    step: float,
    median_s: float | None,
    layout: Layout,
    *,
    over: bool,
) -> Drawing:
    columns, room = len(whole), layout.width - layout.left - layout.right
    scale = count_ticks(int((whole + cut).max(initial=0)))
    top, bottom = HEAD, HEAD + layout.panel
    unit, width = layout.panel / scale[-1], room / columns
    marks: list[Mark] = []
    for number in scale:
        y = bottom - number * unit
        marks.append(Stroke(points=((layout.left, y), (layout.width - layout.right, y)), tone="grid"))
        marks.append(Words(x=layout.left - 6, y=y + 4, text=f"{number:,}", anchor="end"))
    for slot, (one, other) in enumerate(zip(whole.tolist(), cut.tolist(), strict=True)):
        x = layout.left + slot * width + 1
        if one:
            marks.append(Box(x=x, y=bottom - one * unit, width=width - 2, height=one * unit, tone="series-1"))
        if other:
            y = bottom - (one + other) * unit
            marks.append(Box(x=x, y=y, width=width - 2, height=other * unit, tone="series-1", look="hollow"))
    every = max(1, math.ceil(columns / (12 if layout is WIDE else 5)))
    for slot in range(0, columns + 1, every):
        if over and slot >= columns - 1:
            break
        x = layout.left + slot * width
        marks.append(Words(x=x, y=bottom + 16, text=_short(slot * step), anchor="middle"))
    if over:
        marks.append(Words(x=layout.left + (columns - 0.5) * width, y=bottom + 16, text="more", anchor="middle"))
    marks.append(Stroke(points=((layout.left, bottom), (layout.width - layout.right, bottom)), tone="soft"))
    if median_s is not None and median_s < step * columns:
        x = layout.left + median_s / step * width
        marks.append(Stroke(points=((x, top - 6), (x, bottom)), tone="ink", width=1.4, dashed=True))
        anchor: Anchor = "end" if x > layout.width * 0.7 else "start"
        shift = -5 if anchor == "end" else 5
        words = f"median {duration_text(median_s)}"
        marks.append(Words(x=x + shift, y=top - 8, text=words, tone="ink", anchor=anchor, bold=True))
    return Drawing(width=layout.width, height=bottom + AXIS, marks=tuple(marks))


def spread_chart(title: str, spreads: Sequence[Spread], unit: str) -> Chart:
    """Ranges with their medians, one below the other; groups with too few values have their number only.

    Args:
        title: Of the chart.
        spreads: In order.
        unit: Of the values as shown.
    """
    told = [
        f"{one.name}: n {one.n}, median {one.middle:.1f} {unit}, 15 % {one.low:.1f}, 85 % {one.high:.1f}"
        for one in spreads
        if one.middle is not None and one.low is not None and one.high is not None
    ]
    return Chart(
        title=title,
        text="; ".join(told) + "." if told else f"No group has {FEWEST} values.",
        wide=_ranges(spreads, unit, WIDE),
        narrow=_ranges(spreads, unit, NARROW),
        legend=[Key(label="15th to 85th percentile", tone="series-5"), Key(label="median", tone="series-1")],
    )


def _ranges(spreads: Sequence[Spread], unit: str, layout: Layout) -> Drawing:
    narrow = layout is NARROW
    left = 0.0 if narrow else 250.0
    row = ROW + 14 if narrow else ROW
    highest = max((one.high for one in spreads if one.high is not None), default=1.0)
    scale = count_ticks(highest, about=4 if narrow else 6)
    room = layout.width - left - layout.right - 20
    bottom = row * len(spreads) + 6
    marks: list[Mark] = []
    for number in scale:
        x = left + 10 + room * number / scale[-1]
        marks.append(Stroke(points=((x, 0), (x, bottom)), tone="grid"))
        text = f"{number} {unit}" if number == scale[-1] else str(number)
        marks.append(Words(x=x, y=bottom + 16, text=text, anchor="end" if number == scale[-1] else "middle"))
    for place, one in enumerate(spreads):
        y = row * place + row / 2 + (7 if narrow else 0)
        name = f"{shortened(one.name, 40)} · n {one.n:,}"
        text_y, anchor_x = (y - 12, 0.0) if narrow else (y + 4, 0.0)
        marks.append(Words(x=anchor_x, y=text_y, text=name, tone="ink"))
        if one.low is None or one.middle is None or one.high is None:
            x = left + 10
            marks.append(Words(x=x, y=y + 4, text=f"below n = {FEWEST}: no percentiles"))
            continue
        low, middle, high = (left + 10 + room * value / scale[-1] for value in (one.low, one.middle, one.high))
        marks.append(Stroke(points=((low, y), (high, y)), tone="series-5", width=7))
        marks.append(Dot(x=middle, y=y, radius=5.5, tone="series-1"))
    return Drawing(width=layout.width, height=bottom + AXIS, marks=tuple(marks))
