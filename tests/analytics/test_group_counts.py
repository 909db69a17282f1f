"""Counts of a group: its doors as entries and exits, opening hours to the minute, classes of schemes, conversion."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analytics.test_group_occupancy import GROUP, HOUR_MS, NINE, crossing
from tracker.analytics.class_schemes import SCHEMES, scheme_class
from tracker.analytics.conversion import conversion_bins, conversion_of
from tracker.analytics.corrections import Corrections
from tracker.analytics.counts import BinCount, count_bins, filled, sums_of
from tracker.analytics.group_counts import COLUMNS, group_sums, hours_s, in_hours, open_sums, regrouped
from tracker.events import Event
from tracker.groups import Opening, SiteGroup, Transaction

SHOP = SiteGroup(
    name="store",
    cameras=GROUP.cameras,
    doors=GROUP.doors,
    timezone="Europe/Berlin",
    opening=(Opening(days=(0, 1, 2, 3, 4), from_min=9 * 60 + 30, to_min=20 * 60),),
)


def counted(events: list[Event], group: SiteGroup, bin_s: int = 900) -> dict[tuple[str, ...], int]:
    sums = sums_of(events, corrections=Corrections.of(events), by=COLUMNS, bin_s=bin_s)
    found: dict[tuple[str, ...], int] = {}
    for (_, _, key), count in group_sums(sums, group).counts.items():
        found[key] = found.get(key, 0) + count
    return found


def test_crossings_of_the_doors_are_entries_and_exits():
    events = [
        crossing("north", "door", "in", NINE),
        crossing("north", "door", "in", NINE + 1),
        crossing("south", "gate", "out", NINE + 2),
        crossing("south", "gate", "in", NINE + 3),
        crossing("south", "counter", "in", NINE + 4),
        crossing("elsewhere", "door", "in", NINE + 5),
        crossing("north", "door", "in", NINE + 6, class_name="dog"),
    ]
    assert counted(events, GROUP) == {
        ("store", "crossing", "doors", "entry", "person"): 3,
        ("store", "crossing", "doors", "exit", "person"): 1,
    }


def test_a_group_without_doors_adds_up_its_lines():
    group = SiteGroup(name="road", cameras=("north", "south"))
    events = [crossing("north", "lane", "in", NINE), crossing("south", "lane", "in", NINE)]
    assert counted(events, group) == {("road", "crossing", "lane", "in", "person"): 2}


def test_an_outage_of_any_camera_is_one_of_the_group():
    gap = Event(kind="gap", stream="south", time_s=NINE / 1000, utc_ms=NINE, since_s=NINE / 1000 - 60)
    other = Event(kind="gap", stream="elsewhere", time_s=NINE / 1000, utc_ms=NINE + HOUR_MS, since_s=NINE / 1000 - 60)
    events = [crossing("north", "door", "in", NINE + 3 * HOUR_MS), gap, other]
    sums = group_sums(sums_of(events, corrections=Corrections.of(events), by=COLUMNS, bin_s=3600), GROUP)
    by = ("stream", "direction")
    rows = list(filled(regrouped(sums, COLUMNS, dict, into=by), by=by, bin_s=3600, start_ms=NINE))
    assert [row.count for row in rows] == [None, 0, 0, 1]
    assert [row.outage for row in rows] == [True, False, False, False]


def test_opening_hours_hold_to_the_minute_in_bins_of_an_hour():
    moments = [NINE + minute * 60_000 for minute in range(60)]
    events = [crossing("north", "door", "in", at_ms) for at_ms in moments]
    sums = group_sums(sums_of(events, corrections=Corrections.of(events), by=COLUMNS, bin_s=60), SHOP)
    assert [row.count for row in filled(open_sums(sums, SHOP), by=COLUMNS, bin_s=3600)] == [30]
    assert (hours_s(SHOP), hours_s(replace(SHOP, opening=(Opening(days=(0,), from_min=9, to_min=600),)))) == (900, 60)
    assert [in_hours(hour(number, 0), SHOP) for number in (-1, 0, 11)] == [False, True, False]


@given(moments=st.lists(st.integers(0, 7 * 24 * 60 - 1), max_size=50), bin_s=st.sampled_from([60, 900, 3600, 86_400]))
def test_sums_of_open_bins_are_what_happened_in_open_minutes(moments, bin_s):
    events = [crossing("north", "door", "in", NINE + minute * 60_000) for minute in moments]
    sums = group_sums(sums_of(events, corrections=Corrections.of(events), by=COLUMNS, bin_s=60), SHOP)
    rows = filled(open_sums(sums, SHOP), by=COLUMNS, bin_s=bin_s, zone=SHOP.zone)
    assert sum(row.count or 0 for row in rows) == sum(SHOP.is_open(NINE + minute * 60_000) for minute in moments)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-30", 24)])
def test_days_are_local_ones(day, hours):
    begin = round(datetime.fromisoformat(day).replace(tzinfo=SHOP.zone).timestamp() * 1000)
    moments = [begin - 1, begin, begin + hours * HOUR_MS - 1, begin + hours * HOUR_MS]
    events = [crossing("north", "door", "in", at_ms) for at_ms in moments]
    rows = count_bins(events, by=[], bin_s=86_400, zone=SHOP.zone)
    assert [row.count for row in rows] == [1, 2, 1]
    assert (rows[1].start_ms, rows[1].end_ms) == (begin, begin + hours * HOUR_MS)


def test_no_scheme_is_finer_than_what_was_seen():
    assert scheme_class("fhwa", "car") == scheme_class("fhwa", "van") == "{2,3}"
    assert [scheme_class("fhwa", name) for name in ("motorcycle", "bus", "truck")] == ["{1}", "{4}", "{5-13}"]
    assert scheme_class("fhwa", "bicycle") == "bicycle (outside FHWA)"
    assert scheme_class("tls", "truck") == "Lkw/LkwA/Sattel-Kfz"
    assert scheme_class("tls", "tractor") == "nk Kfz"
    assert scheme_class("otc", "person") == "pedestrian"
    assert scheme_class("otc", "dog") == scheme_class("fhwa", "dog") == "other"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_keeps_the_sum(scheme):
    names = ["person", "bicycle", "car", "car", "bus", "truck", "motorcycle", "tram"]
    events = [crossing("north", "door", "in", NINE, class_name=name, identity=n) for n, name in enumerate(names)]
    sums = sums_of(events, corrections=Corrections.of([]), by=("class",))
    found = regrouped(sums, ("class",), lambda values: values | {"class": scheme_class(scheme, values["class"])})
    assert found.counts.total() == len(names)
    assert len(found.counts) <= len(sums.counts)


def bins(*counts: int | None) -> list[BinCount]:
    return [hour(number, count) for number, count in enumerate(counts)]


def hour(number: int, count: int | None) -> BinCount:
    begin = NINE + number * HOUR_MS
    times = {"start_ms": begin, "end_ms": begin + HOUR_MS, "utc": True}
    return BinCount(**times, group=("entry",), count=count, outage=count is None)


def test_conversion_is_transactions_for_each_entry_in_opening_hours():
    till = [
        Transaction(NINE + 10 * 60_000),  # before it opens
        Transaction(NINE + 40 * 60_000, 2),
        Transaction(NINE + HOUR_MS, 5),
        Transaction(NINE + 3 * HOUR_MS, 7),
        Transaction(NINE - 24 * HOUR_MS, 100),
    ]
    rows = conversion_bins(bins(8, 10, 0, None), till, SHOP)
    assert [(row.entries, row.transactions, row.conversion) for row in rows] == [
        (8, 2, 0.25),
        (10, 5, 0.5),
        (0, 0, None),
        (None, 7, None),  # a camera was out
    ]
    assert conversion_of(rows) == (18, 7, 7 / 18)
    assert conversion_of([]) == (0, 0, None)


def test_nine_is_nine_in_berlin():
    assert datetime.fromtimestamp(NINE / 1000, SHOP.zone).isoformat() == "2026-11-30T09:00:00+01:00"


def test_the_reference_has_the_tables():
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "class-schemes.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:2] == "| "]
    named = {row[0].replace("any other", "tractor"): row[1:] for row in rows[1:]}
    assert set(named) - {"tractor"} == {"person", "bicycle", *(name for table in SCHEMES.values() for name in table)}
    for name, groups in named.items():
        assert groups == [scheme_class(scheme, name) for scheme in SCHEMES], name
