"""Periods and their bins, also where the clock is changed, and what axes write below them."""

from __future__ import annotations

import itertools
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tracker.errors import ConfigError
from tracker.report.axes import moment_text, period_text, time_ticks
from tracker.report.count_charts import NARROW, WIDE, time_axis
from tracker.report.document import Words
from tracker.report.paint import text_width
from tracker.report.period import Period, period_of

BERLIN = ZoneInfo("Europe/Berlin")


def ms(*when: int) -> int:
    return round(datetime(*when, tzinfo=BERLIN).timestamp() * 1000)


def berlin(first: int, last: int, **how: object) -> Period:
    return period_of((first, last), **({"limited": True, "utc": True, "zone": BERLIN} | how))


def test_a_day_has_quarters_a_week_hours_and_a_month_days():
    widths = [berlin(ms(2026, 5, 4), ms(2026, month, day)).bin_s for month, day in ((5, 5), (5, 11), (6, 8))]
    assert widths == [900, 3600, 86_400]


def test_the_day_of_the_change_has_23_hours():
    period = berlin(ms(2026, 3, 29), ms(2026, 3, 30))
    assert period.bins == 23 * 4
    ticks = time_ticks(period, 10)
    assert [tick.upper for tick in ticks[:3]] == ["00:00", "03:00", "06:00"]
    assert ticks[0].lower == "Sun 29 Mar"
    assert ticks[1].lower == "UTC+02:00"
    assert period_text(period) == "Sunday 29 March 2026 (Europe/Berlin)"


def test_the_week_before_has_the_same_hours_of_the_clock():
    before = berlin(ms(2026, 3, 30), ms(2026, 3, 31)).week_before()
    assert (before.from_ms, before.to_ms) == (ms(2026, 3, 23), ms(2026, 3, 24))
    assert before.edges[32] == ms(2026, 3, 23, 8)


def test_days_of_a_month_begin_at_local_midnight():
    period = berlin(ms(2026, 3, 1), ms(2026, 4, 1), bin_s=86_400)
    lengths = np.diff(period.edges) / 3_600_000
    assert len(lengths) == 31
    assert sorted(set(lengths)) == [23, 24]
    assert time_ticks(period, 10)[0] == (ms(2026, 3, 2, 12), "2 Mar", "Mar 2026")  # a Monday


def test_media_time_counts_from_the_start():
    period = period_of((0, 20_500), limited=False, utc=False, zone=ZoneInfo("UTC"))
    assert (period.bin_s, period.bins, period.to_ms) == (1, 21, 21_000)
    assert [tick.upper for tick in time_ticks(period, 5)] == ["0:00", "0:05", "0:10", "0:15", "0:20"]
    assert moment_text(61_000, period) == "1:01"
    assert period_text(period) == "0:00 to 0:21 of media time"


@pytest.mark.parametrize(
    ("span", "bin_s", "message"),
    [((5, 5), None, "after --from"), ((0, 10**11), 1, "at most 2,000 bins")],
)
def test_what_is_no_period_is_refused(span, bin_s, message):
    with pytest.raises(ConfigError, match=message):
        period_of(span, limited=True, utc=True, zone=BERLIN, bin_s=bin_s)


@pytest.mark.parametrize("layout", [WIDE, NARROW])
@pytest.mark.parametrize("seconds", [40, 45, 60, 2700, 86_400])
def test_labels_of_an_axis_do_not_touch(layout, seconds):
    first = ms(2026, 11, 29, 8)
    period = period_of((first, first + seconds * 1000), limited=True, utc=True, zone=BERLIN)
    marks = time_axis(period, time_ticks(period, layout.ticks), layout, 0.0)
    words = [mark for mark in marks if isinstance(mark, Words) and mark.y == 16]
    spans = []
    for word in words:
        wide = text_width(word.text, word.size)
        left = word.x - wide * {"start": 0.0, "middle": 0.5, "end": 1.0}[word.anchor]
        spans.append((left, left + wide))
    assert len(spans) >= 3
    assert all(before[1] + 2 <= after[0] for before, after in itertools.pairwise(spans)), spans
