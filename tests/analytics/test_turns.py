"""Turning counts: movements from the compass and from the picture, quarters of an hour, peak hour and its factor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analytics.plans import site_of
from tracker.analytics.corrections import Corrections
from tracker.analytics.counts import BIN_S, sums_of
from tracker.analytics.turns import COLUMNS, MOVEMENTS, TurnBin, legs_of, movements_of, peak_of, turn_bins
from tracker.errors import ConfigError
from tracker.events import Event
from tracker.site import Flow, Line, Site

SEVEN = 1_774_764_000_000 + 900_000  # 2026-03-29T06:15Z
QUARTER_MS = BIN_S * 1000


def junction(places: Mapping[str, tuple[float, float]], *extra: str, size=(1600, 900)) -> Site:
    """Short lines at places of the picture, and the flows between all of them."""
    lines = [Line(name=name, points=((x, y), (x + 0.02, y))) for name, (x, y) in places.items()]
    lines += [Line(name=name, points=((0.1, 0.1), (0.2, 0.2))) for name in extra]
    flows = tuple(Flow(name=f"{a} > {b}", start=a, end=b) for a in places for b in places)
    return Site(lines=tuple(lines), flows=flows, reference_size=size)


FOUR = {"north": (0.5, 0.3), "east": (0.8, 0.5), "south": (0.5, 0.8), "west": (0.2, 0.5)}
EXPECTED = {
    "south > north": ("south", "through"),
    "south > west": ("south", "left"),
    "south > east": ("south", "right"),
    "south > south": ("south", "u_turn"),
    "north > east": ("north", "left"),
    "north > west": ("north", "right"),
    "east > south": ("east", "left"),
    "east > north": ("east", "right"),
    "west > north": ("west", "left"),
    "west > east": ("west", "through"),
}


def test_names_of_the_compass_say_what_is_left_and_right():
    shuffled = dict(zip(FOUR, reversed(FOUR.values()), strict=True))  # wherever they lie in the picture
    site = junction(shuffled)
    legs = legs_of(site)
    assert [(leg.name, leg.heading) for leg in legs] == [
        ("north", "SB"),
        ("east", "WB"),
        ("south", "NB"),
        ("west", "EB"),
    ]
    found = movements_of(site, legs)
    assert len(found) == 16
    assert {name: found[name] for name in EXPECTED} == EXPECTED


def test_streets_without_a_compass_are_taken_from_the_picture():
    site = junction({f"street {number}": place for number, place in enumerate(FOUR.values())})
    found = movements_of(site, legs_of(site))
    names = dict(zip(FOUR, (f"street {number}" for number in range(4)), strict=True))
    for way, (leg, movement) in EXPECTED.items():
        a, b = way.split(" > ")
        assert found[f"{names[a]} > {names[b]}"] == (names[leg], movement)
    assert all(leg.heading == "" for leg in legs_of(site))


def test_streets_may_be_laid_on_the_compass():
    site = junction({"mill lane": (0.1, 0.1), "high street": (0.5, 0.2), "low road": (0.9, 0.9)})
    legs = legs_of(site, bearings={"mill lane": 90.0, "high street": 180.0, "low road": 270.0})
    found = movements_of(site, legs)
    assert found["high street > low road"] == ("high street", "left")
    assert found["high street > mill lane"] == ("high street", "right")
    assert found["low road > mill lane"] == ("low road", "through")
    assert found["low road > high street"] == ("low road", "right")


@given(turn=st.floats(0, 360), squash=st.floats(0.3, 1.0))
def test_a_crossing_seen_from_any_side_has_the_same_movements(turn, squash):
    angles = np.radians(turn + np.array([0, 90, 180, 270]))  # clockwise, as seen from above
    places = {
        name: (0.5 + 0.2 * float(np.sin(angle)), 0.5 - 0.2 * squash * float(np.cos(angle)))
        for name, angle in zip("abcd", angles, strict=True)
    }
    site = junction(places, size=(1000, 1000))
    found = movements_of(site, legs_of(site))
    for number, name in enumerate("abcd"):
        left, ahead, right = ("abcd"[(number + step) % 4] for step in (1, 2, 3))
        assert [found[f"{name} > {to}"][1] for to in (left, ahead, right, name)] == list(MOVEMENTS)


@pytest.mark.slow
def test_the_rendered_junction_turns_as_its_drivers_do():
    from demos.scenes.catalogue import open_recording

    site = site_of(open_recording("junction", size=(320, 180)))
    legs = legs_of(site)
    found = movements_of(site, legs)
    assert {name: found[name] for name in EXPECTED} == EXPECTED
    assert {leg.name: leg.crossings for leg in legs} == {name: (f"{name} zebra",) for name in FOUR}


def event(kind: str, place: str, at_ms: int, class_name: str = "car", **values) -> Event:
    return Event(
        kind=kind, stream="cam", time_s=at_ms / 1000, utc_ms=at_ms, place=place, class_name=class_name, **values
    )


def rows_of(events: list[Event], site: Site, **limits: int) -> list[TurnBin]:
    sums = sums_of(events, corrections=Corrections.of(events), kinds=["flow", "crossing"], by=COLUMNS, **limits)
    return turn_bins(sums, site, legs_of(site), **limits)


def test_every_approach_has_a_row_in_every_quarter():
    site = junction(FOUR, "north zebra")
    events = [
        event("flow", "south > west", SEVEN),
        event("flow", "south > north", SEVEN + 1, "truck"),
        event("flow", "south > north", SEVEN + 2, "bicycle"),
        event("flow", "south > north", SEVEN + 3, "person"),  # beside the road
        event("crossing", "north zebra", SEVEN + 4, "person", direction="in"),
        event("crossing", "north zebra", SEVEN + 5, "bicycle", direction="out"),
        event("crossing", "north zebra", SEVEN + 6, "car", direction="out"),
        event("crossing", "north", SEVEN + 7, "person", direction="out"),  # the leg itself is no crossing
        event("flow", "north > north", SEVEN + QUARTER_MS),
    ]
    rows = rows_of(events, site)
    assert len(rows) == 8
    by = {(row.start_ms, row.leg): row for row in rows}
    south, north = by[SEVEN, "south"], by[SEVEN, "north"]
    assert (south.turns, south.bicycles, south.volume) == ((1, 1, 0, 0), 1, 2)
    assert (north.pedestrians_across, north.bicycles_across, north.volume) == (1, 1, 0)
    assert by[SEVEN + QUARTER_MS, "north"].turns == (0, 0, 0, 1)
    assert not any(row.outage for row in rows)


def test_an_outage_marks_the_quarter():
    site = junction(FOUR)
    gap = event("gap", "", SEVEN + QUARTER_MS + 60_000, since_s=(SEVEN + QUARTER_MS) / 1000)
    rows = rows_of([event("flow", "south > west", SEVEN), gap], site)
    assert {row.start_ms: row.outage for row in rows} == {SEVEN: False, SEVEN + QUARTER_MS: True}


def row(quarter: int, volume: int, leg: str = "south") -> TurnBin:
    return TurnBin(
        start_ms=SEVEN + quarter * QUARTER_MS,
        utc=True,
        leg=leg,
        turns=(0, volume, 0, 0),
        bicycles=0,
        pedestrians_across=0,
        bicycles_across=0,
        outage=False,
    )


def test_the_peak_hour_is_the_busiest_four_quarters():
    volumes = [10, 20, 80, 100, 90, 70, 5]
    peak = peak_of([row(number, volume) for number, volume in enumerate(volumes)])
    assert (peak.start_ms, peak.volume, peak.busiest) == (SEVEN + 2 * QUARTER_MS, 340, 100)
    assert peak.factor == pytest.approx(340 / 400)


def test_the_peak_of_an_approach_may_be_that_of_the_junction():
    rows = [row(number, volume) for number, volume in enumerate([9, 1, 1, 1, 1])]
    rows += [row(number, 50, "north") for number in range(1, 5)]
    whole = peak_of(rows)
    assert whole.start_ms == SEVEN + QUARTER_MS
    own = peak_of([one for one in rows if one.leg == "south"], start_ms=whole.start_ms)
    assert (own.volume, own.factor) == (4, 1.0)


def test_less_than_an_hour_has_no_peak_and_an_empty_one_no_factor():
    assert peak_of([row(number, 5) for number in range(3)]) is None
    assert peak_of([row(number, 0) for number in range(4)]).factor is None


@given(volumes=st.lists(st.integers(0, 500), min_size=4, max_size=12))
def test_the_factor_lies_between_a_quarter_and_one(volumes):
    peak = peak_of([row(number, volume) for number, volume in enumerate(volumes)])
    assert peak.volume == max(sum(volumes[number : number + 4]) for number in range(len(volumes) - 3))
    assert peak.factor is None or 0.25 <= peak.factor <= 1


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"bearings": {"nort": 0.0}}, "expected legs north, east, south, west, found 'nort'"),
        ({"crossings": {"zebra": "north"}}, "expected lines of the site, found 'zebra'"),
        ({"crossings": {"north": "up"}}, "expected legs north, east, south, west, found 'up'"),
    ],
)
def test_names_that_are_not_there(facts, problem):
    with pytest.raises(ConfigError, match=problem):
        legs_of(junction(FOUR), **facts)
    with pytest.raises(ConfigError, match="expected flows between the legs of a junction, found none"):
        legs_of(Site())
