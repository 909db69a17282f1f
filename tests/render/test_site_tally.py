"""Counts in pictures equal the events that they come from."""

from __future__ import annotations

import pytest

from tracker.events import Event, Stay
from tracker.render.site_marks import LineMark, SiteMarks, ZoneMark, shown_name
from tracker.render.site_tally import SiteTally
from tracker.render.site_text import legend, line_parts, zone_parts

DOOR = LineMark(name="door", points=((0.0, 0.5), (1.0, 0.5)), to_left="up", to_right="down")
TILL = ZoneMark(name="till", polygons=(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)),))
MARKS = SiteMarks(lines=(DOOR,), zones=(TILL,))


def event(kind, place="till", identity=1, **values):
    return Event(kind=kind, stream="s", time_s=values.pop("time_s", 1.0), place=place, identity=identity, **values)


def stay(seconds, began="entered", end="left"):
    return Stay(entered_s=10.0, left_s=10.0 + seconds, began=began, end=end)


def counted(*events):
    tally = SiteTally(MARKS)
    tally.take(events)
    return tally


def text(parts):
    return " ".join(part.text or "." for part in parts if part.kind != "arrow")


def test_crossings_by_direction():
    up, down = (event("crossing", "door", direction=way) for way in ("up", "down"))
    tally = counted(up, up, down, event("crossing", "elsewhere", direction="up"))
    assert tally.lines["door"].by_direction == {"up": 2, "down": 1}
    assert text(line_parts(DOOR, tally.lines["door"], 0.0)) == "door . up 2 . down 1"


def test_present_is_who_entered_and_has_not_left():
    tally = counted(event("enter", identity=1), event("enter", identity=2), event("leave", identity=1, stay=stay(42)))
    zone = tally.zones["till"]
    assert zone.present == {2}
    assert zone.entered == 2
    assert text(zone_parts(TILL, zone)) == "till . 1 now . 0:42 mean"
    assert text(zone_parts(TILL, zone, form="short")) == "till . 1"
    assert text(zone_parts(TILL, zone, form="final")) == "till . 2 stays . 0:42 mean"


@pytest.mark.parametrize(("began", "end"), [("already_inside", "left"), ("entered", "lost"), ("entered", "open")])
def test_stays_not_seen_whole_are_left_out_of_the_mean(began, end):
    partial = event("leave", identity=1, stay=stay(500, began, end))
    tally = counted(event("enter", identity=1), partial)
    assert tally.zones["till"].mean_dwell_s is None
    assert tally.zones["till"].present == ({1} if end == "open" else set())
    assert "mean" not in text(zone_parts(TILL, tally.zones["till"]))


def test_an_identity_under_a_new_number_is_present_once():
    tally = counted(event("enter", identity=1), event("rekeyed", "", identity=7, was_identity=1))
    assert tally.zones["till"].present == {7}
    tally.take([event("leave", identity=7, stay=stay(3))])
    assert tally.zones["till"].present == set()


def test_an_identity_that_is_gone_is_not_present():
    tally = counted(event("enter", identity=1), event("identity_end", "", identity=1))
    assert tally.zones["till"].present == set()


def test_other_events_count_nothing():
    kinds = ("loitering", "flow", "identity_start", "reclassified", "gap", "camera_moved", "frozen", "covered", "dark")
    tally = counted(*(event(kind) for kind in kinds))
    assert (tally.zones["till"].entered, tally.zones["till"].present) == (0, set())


def test_the_legend_has_lines_then_zones():
    entries = legend(MARKS, counted(event("crossing", "door", direction="up"), event("enter")))
    assert [text(entry.parts) for entry in entries] == ["door . up 1 . down 0", "till . 1 stay"]
    assert entries[0].colour != entries[1].colour


def test_names_are_one_line_of_bounded_length():
    assert shown_name("a\nb\x1b[31m") == "a b [31m"
    assert len(shown_name("x" * 1000)) == 28
