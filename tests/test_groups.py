"""Groups of cameras: the file with lines in errors, opening hours over changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.errors import ConfigError
from tracker.groups import Opening, SiteGroup, days_of, group_named, minutes_of
from tracker.settings.groups_file import parse_groups, read_groups
from tracker.settings.groups_reference import groups_page

FILE = """\
version: 1
groups:
  - name: store
    timezone: Europe/Berlin
    reset_at: 04:00
    cameras: [north, south, till]
    classes: person
    doors:
      - {camera: north, line: door}
      - {camera: south, line: gate, entry: out, exit: in}
    opening:
      - {days: mon-fri, opens: 09:00, closes: "20:00"}
      - {days: sat, opens: 10:00, closes: 24:00}
    closed: [2026-12-25]
  - {name: car park, cameras: barrier}
"""


ROOT = Path(__file__).resolve().parent.parent


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def test_a_file_says_what_a_place_is():
    store, park = parse_groups(FILE)
    assert (store.name, store.cameras, store.classes, store.reset_at) == (
        "store",
        ("north", "south", "till"),
        ("person",),
        "04:00",
    )
    assert [(door.camera, door.line, door.entry) for door in store.doors] == [
        ("north", "door", "in"),
        ("south", "gate", "out"),
    ]
    assert store.door("south", "gate") is store.doors[1]
    assert store.door("north", "gate") is None
    assert (park.cameras, park.doors, park.timezone) == (("barrier",), (), "UTC")
    assert group_named([store, park], "car park") is park


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-30T09:00+01:00", True),  # a Monday
        ("2026-11-30T08:59:59+01:00", False),
        ("2026-11-30T19:59:59+01:00", True),
        ("2026-11-30T20:00+01:00", False),
        ("2026-12-05T23:59:59+01:00", True),
        ("2026-12-06T00:00+01:00", False),  # Sunday
        ("2026-12-25T12:00+01:00", False),
        ("2026-07-01T09:00+02:00", True),
        ("2026-07-01T07:00Z", True),
    ],
)
def test_opening_hours_are_local(moment, is_open):
    [store, _] = parse_groups(FILE)
    assert store.is_open(at(moment)) is is_open


def test_without_hours_a_place_is_always_open():
    group = SiteGroup(name="a", cameras=("a",))
    assert all(group.is_open(at(f"2026-03-29T{hour:02d}:30Z")) for hour in range(24))


@given(hours=st.integers(0, 24 * 366))
def test_a_day_has_as_many_open_hours_as_were_written(hours):
    """At the full hour of a day that has 23, 24 or 25 of them."""
    hours_of_shop = Opening(days=(0, 1, 2, 3, 4, 5, 6), from_min=540, to_min=1200)
    group = SiteGroup(name="a", cameras=("a",), timezone="Europe/Berlin", opening=(hours_of_shop,))
    day = (datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(hours=hours)).astimezone(group.zone)
    begin = day.replace(hour=0, minute=0, fold=0).astimezone(UTC)
    local = [begin + timedelta(hours=number) for number in range(25)]
    same = [one for one in local if one.astimezone(group.zone).date() == day.date()]
    assert sum(group.is_open(round(one.timestamp() * 1000)) for one in same) == 11


@pytest.mark.parametrize(
    ("was", "now", "problem"),
    [
        ("camera: north, line", "camera: nort, line", "groups.yaml:3: group 'store': expected doors of its cameras"),
        ("closes: 24:00", "closes: 09:00", "groups.yaml:13: opening: expected an end after the begin, up to 24:00"),
        ("days: sat", "days: someday", "groups.yaml:13: days: expected days such as mon-fri or sat,sun"),
        ("04:00", "4 o'clock", 'groups.yaml:5: expected a time of the day as HH:MM, found "4 o\'clock"'),
        ("2026-12-25", "Christmas", "groups.yaml:14: closed: expected a day such as 2026-12-25, found 'Christmas'"),
        ("Europe/Berlin", "Europe/Bonn", "expected an IANA time zone, found 'Europe/Bonn'"),
        ("entry: out, exit: in", "entry: in", "expected two different directions, found"),
        ("entry: out, exit: in", "enter: out", "groups.yaml:10: expected a known key, found the unknown key 'enter'"),
        ("car park", "store", "groups.yaml:15: expected each group once, found 'store' twice"),
        ("{camera: south, line: gate, entry: out, exit: in}", "{camera: north, line: door}", "expected each door once"),
        ("[north, south, till]", "[north, south, north]", "expected cameras, each once"),
        ("version: 1", "version: 9", "groups.yaml:1: expected"),
    ],
)
def test_mistakes_are_named_with_their_line(was, now, problem):
    if problem.startswith("expected two"):
        now = "entry: out, exit: out"
    assert was in FILE
    with pytest.raises(ConfigError) as caught:
        parse_groups(FILE.replace(was, now, 1))
    assert problem in str(caught.value)


@given(text=st.text(max_size=60))
def test_any_text_is_groups_or_one_clear_line(text):
    problem = ""
    try:
        parse_groups(text)
    except ConfigError as error:
        problem = str(error)
    assert not problem or "groups.yaml" in problem


def test_a_file_that_is_missing_or_empty(tmp_path):
    with pytest.raises(ConfigError, match="expected a YAML file of groups of cameras, found"):
        read_groups(tmp_path / "groups.yaml")
    with pytest.raises(ConfigError, match="expected groups, found an empty file"):
        parse_groups("")
    with pytest.raises(ConfigError, match="expected one of the groups none, found 'x'"):
        group_named([], "x")


@pytest.mark.parametrize("text", ["9", "24:01", "09:60", "", "9:5"])
def test_no_time_of_the_day(text):
    with pytest.raises(ConfigError, match="expected a time of the day as HH:MM"):
        minutes_of(text, "opens")


def test_days_may_go_round_the_week():
    assert days_of("fri-mon", "days") == (0, 4, 5, 6)
    assert days_of("Saturday, sun", "days") == (5, 6)


def test_the_reference_is_made_of_the_settings():
    page = (ROOT / "docs" / "reference" / "groups.md").read_text("utf-8")
    assert page == groups_page(), "run: masktrail settings groups --out docs/reference/groups.md"


def test_the_example_is_a_file_of_groups():
    [shop] = read_groups(ROOT / "examples" / "groups.yaml")
    assert {door.camera for door in shop.doors} == set(shop.cameras)
