"""Occupancy of a place with several doors: sums, drift at the quiet hour, correction over the short flow."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.analytics.corrections import Corrections
from tracker.analytics.group_occupancy import Passage, occupancy_bins, passages, periods
from tracker.events import Event
from tracker.groups import GroupDoor, SiteGroup

GROUP = SiteGroup(
    name="store",
    cameras=("north", "south"),
    doors=(GroupDoor(camera="north", line="door"), GroupDoor(camera="south", line="gate", entry="out", exit="in")),
    classes=("person",),
    timezone="Europe/Berlin",
    reset_at="04:00",
)
NINE = round(datetime.fromisoformat("2026-11-30T09:00+01:00").timestamp() * 1000)
HOUR_MS = 3_600_000
NEXT_DAY = NINE + 24 * HOUR_MS


def crossing(stream: str, line: str, direction: str, at_ms: int | None, **values) -> Event:
    facts = {"kind": "crossing", "stream": stream, "time_s": 0.0, "utc_ms": at_ms, "place": line, "identity": 1}
    return Event(**(facts | {"direction": direction, "class_name": "person"} | values))


def day(entries: int, exits: int, *, hours: int = 8) -> list[Passage]:
    """Entries in the first half of every hour, exits in the second."""
    found = [Passage(NINE + number * hours * HOUR_MS // entries, True) for number in range(entries)]
    found += [Passage(NINE + HOUR_MS + number * hours * HOUR_MS // exits, False) for number in range(exits)]
    return sorted(found)


def test_doors_of_all_cameras_count_with_their_own_directions():
    events = [
        crossing("north", "door", "in", NINE),
        crossing("south", "gate", "out", NINE - 5),
        crossing("south", "gate", "in", NINE + 9),
        crossing("north", "gate", "in", NINE),  # another line of that name
        crossing("till", "door", "in", NINE),  # another camera
        crossing("north", "door", "in", None),  # nothing says when
        crossing("north", "door", "in", NINE, class_name="car"),
        crossing("north", "door", "sideways", NINE),
        replace(crossing("north", "door", "in", NINE), kind="flow"),
    ]
    assert passages(events, GROUP, Corrections.of(events)) == [
        Passage(NINE - 5, True),
        Passage(NINE, True),
        Passage(NINE + 9, False),
    ]


def test_the_class_is_the_final_one():
    late = Event(
        kind="reclassified", stream="north", time_s=9.0, identity=1, class_name="person", was_class="dog", utc_ms=NINE
    )
    events = [crossing("north", "door", "in", NINE, class_name="dog"), late]
    assert passages(events, GROUP, Corrections.of(events)) == [Passage(NINE, True)]


def test_what_is_left_at_the_quiet_hour_is_drift_spread_over_the_short_flow():
    found = day(100, 96)
    [span] = periods(found, GROUP, now_ms=NEXT_DAY)
    assert (span.entries, span.exits, span.drift, span.spread) == (100, 96, 4, "exits")
    assert span.to_ms - span.from_ms == 24 * HOUR_MS
    rows = occupancy_bins(found, GROUP, bin_s=900, start_ms=NINE, end_ms=NEXT_DAY - 6 * HOUR_MS, now_ms=NEXT_DAY)
    last = rows[-1]
    assert (last.balance, last.lost) == (4, 0)
    assert last.corrected == 0.0
    assert sum(row.entries for row in rows) == 100
    assert sum(row.exits for row in rows) == 96


def test_entries_that_were_missed_are_spread_too_and_lost_exits_shown():
    found = day(90, 100)
    [span] = periods(found, GROUP, now_ms=NEXT_DAY)
    assert (span.drift, span.spread) == (-10, "entries")
    rows = occupancy_bins(found, GROUP, bin_s=900, start_ms=NINE, end_ms=NEXT_DAY - 6 * HOUR_MS, now_ms=NEXT_DAY)
    assert rows[-1].balance - rows[-1].lost == -10
    assert rows[-1].corrected == pytest.approx(0.0, abs=1e-6)
    middle = rows[len(rows) // 4]
    assert middle.corrected > middle.balance


def test_a_day_that_lasts_has_no_drift_and_no_correction():
    found = day(10, 4)
    [span] = periods(found, GROUP, now_ms=NINE + 9 * HOUR_MS)
    assert (span.to_ms, span.drift, span.spread) == (None, 0, "")
    rows = occupancy_bins(found, GROUP, bin_s=3600, start_ms=NINE, end_ms=NINE + 9 * HOUR_MS, now_ms=NINE + 9 * HOUR_MS)
    assert {row.corrected for row in rows} == {None}
    assert rows[-1].balance == 6


def test_the_balance_begins_anew_at_the_quiet_hour():
    found = [*day(5, 3), Passage(NEXT_DAY, True)]
    rows = occupancy_bins(found, GROUP, bin_s=3600, start_ms=NINE, end_ms=NEXT_DAY + HOUR_MS, now_ms=NEXT_DAY + HOUR_MS)
    by_start = {row.start_ms: row for row in rows}
    assert by_start[NINE + 18 * HOUR_MS].balance == 2  # from 03:00 on
    assert by_start[NINE + 19 * HOUR_MS].balance == 0
    assert by_start[NEXT_DAY].balance == 1
    assert [span.drift for span in periods(found, GROUP, now_ms=NEXT_DAY + HOUR_MS)] == [2, 0]


def test_the_night_of_the_clock_change_is_one_period():
    before = round(datetime.fromisoformat("2026-10-25T01:00+02:00").timestamp() * 1000)
    found = [Passage(before, True), Passage(before + 3 * HOUR_MS, False)]  # 03:00, the hour came twice
    [span] = periods(found, GROUP, now_ms=before + 24 * HOUR_MS)
    assert (span.to_ms - span.from_ms) / HOUR_MS == 25
    assert span.drift == 0


def test_without_a_quiet_hour_nothing_is_known_to_be_empty():
    group = replace(GROUP, reset_at="")
    [span] = periods(day(9, 2), group, now_ms=NEXT_DAY)
    assert (span.to_ms, span.drift) == (None, 0)


def test_a_window_begins_with_who_was_inside_before():
    found = day(10, 1)
    rows = occupancy_bins(
        found, GROUP, bin_s=900, start_ms=NINE + 5 * HOUR_MS, end_ms=NINE + 6 * HOUR_MS, now_ms=NEXT_DAY
    )
    assert rows[0].balance > 4
    assert len(rows) == 4


@given(
    steps=st.lists(st.tuples(st.integers(0, 18 * 3600), st.booleans()), min_size=1, max_size=60),
    bin_s=st.sampled_from([60, 900, 3600, 86_400]),
)
def test_bins_add_up_and_a_day_that_is_over_ends_empty(steps, bin_s):
    found = sorted(Passage(NINE + second * 1000, entry) for second, entry in steps)
    rows = occupancy_bins(found, GROUP, bin_s=bin_s, start_ms=NINE, end_ms=NEXT_DAY, now_ms=NEXT_DAY)
    assert sum(row.entries for row in rows) == sum(entry for _, entry in steps)
    assert sum(row.exits for row in rows) == sum(not entry for _, entry in steps)
    for row in rows:
        assert row.peak >= row.balance >= 0
        assert row.corrected is None or row.corrected >= 0
    [span] = periods(found, GROUP, now_ms=NEXT_DAY)
    if span.spread:
        entry, out = span.weights
        assert entry * span.entries == pytest.approx(out * span.exits)
        assert min(entry, out) == 1
