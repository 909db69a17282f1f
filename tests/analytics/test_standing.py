"""Standing and wrong way: begun when it began, over when it is over, once each, and never for what is allowed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.analytics.grounds import FLAT, measured
from tests.analytics.walks import frames, of, through
from tracker.analytics.traffic_measures import TrafficMeasures
from tracker.events import Event
from tracker.site import Line, Site, Zone

ROAD = Zone(
    name="road",
    polygons=(((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8)),),
    stopped_s=5.0,
    towards=((0.3, 0.5), (0.7, 0.5)),
)
SITE = Site(zones=(ROAD,), ground=FLAT)
"""64 m by 36 m: a tenth of the width is 6.4 m."""


def seen(*ways, fps: float = 12.5, duration_s: float = 30.0, site: Site = SITE) -> list[Event]:
    return measured(site, frames(dict(enumerate(ways, start=1)), fps=fps, duration_s=duration_s))


@pytest.mark.parametrize("fps", [5.0, 25.0])
def test_what_stands_has_stopped_since_it_stood(fps: float) -> None:
    events = seen(through((0, 0.1, 0.5), (3, 0.5, 0.5), (15, 0.5, 0.5), (18, 0.9, 0.5)), fps=fps)
    began, over = of(events, "stopped")
    assert (began.place, began.identity, began.since_s) == ("road", 1, None)
    assert began.time_s == pytest.approx(3.0, abs=0.4)  # within the metre that standing may sway
    assert over.since_s == began.time_s
    assert over.time_s == pytest.approx(15.0, abs=0.5)
    assert began.key != over.key


def test_a_short_stop_and_one_elsewhere_are_none() -> None:
    events = seen(
        through((0, 0.1, 0.5), (3, 0.5, 0.5), (7, 0.5, 0.5), (10, 0.9, 0.5)),
        through((0, 0.1, 0.9), (3, 0.5, 0.9), (15, 0.5, 0.9), (18, 0.9, 0.9)),
    )
    assert of(events, "stopped") == []


def test_what_is_lost_while_it_stands_lasted_until_then() -> None:
    began, over = of(seen(through((0, 0.1, 0.5), (3, 0.5, 0.5), (15, 0.5, 0.5))), "stopped")
    assert over.since_s == began.time_s
    assert over.time_s == pytest.approx(15.0, abs=0.1)


def test_against_the_arrow_is_the_wrong_way() -> None:
    events = seen(through((0, 0.9, 0.5), (8, 0.1, 0.5)), through((0, 0.1, 0.4), (8, 0.9, 0.4)))
    began, over = of(events, "wrong_way")
    assert (began.place, began.identity, began.since_s) == ("road", 1, None)
    assert began.time_s == pytest.approx(1.0, abs=0.2)  # where it came into the zone
    assert over.since_s == began.time_s
    assert over.time_s == pytest.approx(7.0, abs=0.3)


def test_across_the_arrow_and_standing_are_not() -> None:
    assert of(seen(through((0, 0.5, 0.1), (8, 0.5, 0.9))), "wrong_way") == []
    assert of(seen(through((0, 0.5, 0.5), (8, 0.5, 0.5))), "wrong_way") == []


def test_a_line_has_a_wrong_way_without_any_ground() -> None:
    line = Line(name="exit", points=((0.5, 0.1), (0.5, 0.9)), to_left="out", to_right="in", wrong_way="in")
    events = seen(
        through((0, 0.9, 0.5), (8, 0.1, 0.5)), through((0, 0.1, 0.4), (8, 0.9, 0.4)), site=Site(lines=(line,))
    )
    by_way = {event.direction: event.identity for event in of(events, "crossing")}
    [found] = of(events, "wrong_way")
    assert (found.place, found.direction, found.identity) == ("exit", "in", by_way["in"])


def test_a_state_in_the_middle_changes_nothing() -> None:
    ways = {
        1: through((0, 0.1, 0.5), (3, 0.5, 0.5), (15, 0.5, 0.5), (18, 0.9, 0.5)),
        2: through((4, 0.9, 0.4), (14, 0.1, 0.4)),
    }
    whole = measured(SITE, frames(ways, fps=12.5, duration_s=25.0))
    wanted = [event for event in whole if event.kind in {"stopped", "wrong_way"}]
    first, second = TrafficMeasures(SITE, stream="cam"), TrafficMeasures(SITE, stream="cam")
    found = []
    for number, frame in enumerate(frames(ways, fps=12.5, duration_s=25.0)):
        if number == 130:
            second.restore(json.loads(json.dumps(first.state())))
            first = second
        found += first.process(frame)
    assert found + list(first.close()) == wanted
    assert len(wanted) == 4


def test_a_state_of_another_version_is_refused() -> None:
    measures = TrafficMeasures(SITE, stream="cam")
    for frame in frames({1: through((0, 0.1, 0.5), (3, 0.5, 0.5))}, fps=5, duration_s=1):
        measures.process(frame)
    state = measures.state()
    assert state is not None
    with pytest.raises(ValueError, match="expected a state of version"):
        TrafficMeasures(SITE, stream="cam").restore(state | {"version": 0})


def test_nothing_is_told_of_a_class_that_does_not_count() -> None:
    site = replace(SITE, zones=(replace(ROAD, classes=("car",)),))
    assert seen(through((0, 0.1, 0.5), (3, 0.5, 0.5), (15, 0.5, 0.5), (18, 0.9, 0.5)), site=site) == [
        event
        for event in seen(through((0, 0.1, 0.5), (3, 0.5, 0.5), (15, 0.5, 0.5), (18, 0.9, 0.5)), site=site)
        if event.kind not in {"stopped", "wrong_way"}
    ]
