"""Parking bays: taken and free after their times, by the near end of one vehicle; hidden ones keep their state."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.analytics.walks import Path, frames, of, run, through, walk
from tracker.analytics.bays import Bays
from tracker.analytics.measures import SiteMeasures
from tracker.analytics.turnover import bay_figures, parkings
from tracker.contacts import Contacts, ContactState
from tracker.engine.counting import check_site
from tracker.errors import ConfigError
from tracker.events import Event
from tracker.premises import Bay
from tracker.site import Site

# Three bays beside each other, deep into the picture, and one behind the middle one.
NEAR = {
    name: ((x, 0.8), (x + 0.15, 0.8), (x + 0.14, 0.5), (x + 0.01, 0.5))
    for name, x in {"A1": 0.2, "A2": 0.35, "A3": 0.5}.items()
}
BEHIND = ((0.36, 0.49), (0.49, 0.49), (0.48, 0.3), (0.37, 0.3))
BAYS = tuple(Bay(name=name, polygon=polygon) for name, polygon in {**NEAR, "B2": BEHIND}.items())
SITE = Site(bays=BAYS)


def told(events: list[Event]) -> list[tuple[str, str, int]]:
    found = sorted((one for one in events if one.kind in {"bay_taken", "bay_free"}), key=lambda one: one.time_s)
    return [(one.kind, one.place, one.identity) for one in found]


PARKS = through((2, 0.425, 0.98), (4, 0.425, 0.78), (24, 0.425, 0.78), (26, 0.425, 0.98), (27, 0.9, 0.98))


@pytest.mark.parametrize("fps", [2, 10])
def test_a_bay_is_taken_from_arrival_to_departure(fps: float) -> None:
    events = walk(SITE, {7: PARKS}, fps=fps, duration_s=45)
    assert told(events) == [("bay_taken", "A2", 7), ("bay_free", "A2", 7)]
    taken, free = of(events, "bay_taken")[0], of(events, "bay_free")[0]
    assert taken.time_s == pytest.approx(2.8, abs=0.6)
    assert free.time_s == pytest.approx(25.2, abs=0.6)
    assert (free.since_s, free.value) == (taken.time_s, pytest.approx(free.time_s - taken.time_s))
    assert (taken.stay.began, free.stay.end) == ("entered", "left")


def test_a_visit_shorter_than_that_is_none_and_so_is_a_short_absence() -> None:
    brief = through((2, 0.425, 0.98), (4, 0.425, 0.78), (12, 0.425, 0.78), (14, 0.425, 0.98))
    assert not told(walk(SITE, {1: brief}, fps=5, duration_s=40))
    corrects = through(
        *((2, 0.425, 0.98), (4, 0.425, 0.78), (20, 0.425, 0.78), (22, 0.425, 1.0), (25, 0.425, 1.0)),
        *((27, 0.425, 0.78), (45, 0.425, 0.78)),
    )
    assert told(walk(SITE, {1: corrects}, fps=5, duration_s=45)) == [("bay_taken", "A2", 1)]


@pytest.mark.parametrize(("x", "y"), [(0.425, 0.84), (0.425, 0.68), (0.37, 0.78), (0.48, 0.74)])
def test_a_crooked_car_takes_one_bay_only(x: float, y: float) -> None:
    parks = through((0, x, 0.99), (3, x, y), (30, x, y))
    assert told(walk(SITE, {1: parks}, fps=5, duration_s=30)) == [("bay_taken", "A2", 1)]


def test_traffic_before_the_bays_takes_none() -> None:
    passes = through((0, 0.02, 0.86), (4, 0.98, 0.86))
    waits = through((0, 0.425, 0.9), (40, 0.425, 0.9))
    assert not told(walk(SITE, {1: passes, 2: waits}, fps=5, duration_s=40))


def test_its_classes_and_its_rules() -> None:
    cars = replace(SITE, bays=tuple(replace(bay, classes=("car",)) for bay in BAYS))
    assert not told(walk(cars, {1: PARKS}, fps=5, duration_s=40))  # a person stands there
    quick = replace(SITE, bays=tuple(replace(bay, taken_s=2, free_s=2) for bay in BAYS))
    brief = through((2, 0.425, 0.98), (4, 0.425, 0.78), (8, 0.425, 0.78), (10, 0.425, 0.98))
    assert told(walk(quick, {1: brief}, fps=5, duration_s=20)) == [("bay_taken", "A2", 1), ("bay_free", "A2", 1)]


def test_classes_that_never_come_are_refused() -> None:
    site = replace(SITE, bays=(replace(BAYS[0], classes=("lorry",)),))
    check_site(SITE, ("person", "car"), "site.yaml")
    with pytest.raises(ConfigError, match="found 'lorry' in bay 'A1'"):
        check_site(site, ("person", "car"), "site.yaml")


def test_one_that_stood_there_from_the_beginning_is_no_arrival() -> None:
    stands = through((0, 0.275, 0.78), (20, 0.275, 0.78), (22, 0.275, 0.99))
    events = walk(SITE, {1: stands, 2: PARKS}, fps=5, duration_s=45)
    assert [(one.place, one.seen) for one in parkings(events)] == [("A1", False), ("A2", True)]
    spans = {("cam", False): (0, 45_000)}
    rows = {row.place: row for row in bay_figures(parkings(events), spans, bays=[("cam", "A3")])}
    assert (rows["A1"].arrivals, rows["A1"].departures, rows["A1"].mean_s) == (0, 1, None)
    assert (rows["A2"].arrivals, rows["A2"].mean_s) == (1, pytest.approx(22.6, abs=1))
    assert rows["A2"].occupied_share == pytest.approx(22.6 / 45, abs=0.03)
    assert rows["A2"].arrivals_per_h == pytest.approx(80)
    assert (rows["A3"].occupied_share, rows["A3"].taken) == (0, False)


def test_a_hidden_car_keeps_its_bay() -> None:
    stands: dict[int, Path] = {1: through((0, 0.425, 0.78), (60, 0.425, 0.78))}
    hidden = []
    for frame in frames(stands, fps=5, duration_s=60):
        covered = 20 <= frame.frame.time_s < 45
        states = np.full(1, ContactState.HIDDEN if covered else ContactState.SEEN, np.int8)
        hidden.append(replace(frame, contacts=Contacts(points=frame.contacts.points, states=states)))
    assert told(run(SITE, iter(hidden))) == [("bay_taken", "A2", 1)]


def test_a_bay_that_others_stand_before_is_not_free() -> None:
    """Its car is lost behind a lorry, whose box covers the bay."""
    ways: dict[int, Path] = {1: through((0, 0.425, 0.48), (20, 0.425, 0.48))}
    stream = []
    for frame in frames(ways, fps=5, duration_s=50):
        if 19 <= frame.frame.time_s < 45:
            frame = next(frames({2: lambda _: (0.425, 0.6)}, fps=5, duration_s=0, first_s=frame.frame.time_s))  # noqa: PLW2901
            wide = np.array([[500, 180, 660, 432]], np.float32)
            frame = replace(frame, tracks=replace(frame.tracks, boxes=wide))  # noqa: PLW2901
        stream.append(frame)
    only_b2 = Site(bays=BAYS[3:])
    events = run(only_b2, iter(stream))
    assert told(events)[0] == ("bay_taken", "B2", 1)
    assert all(event.time_s < 45 for event in of(events, "bay_free"))
    assert len(of(run(only_b2, iter(stream[: 44 * 5])), "bay_free")) == 0


def test_an_outage_of_the_camera_frees_none() -> None:
    stands: dict[int, Path] = {1: through((0, 0.425, 0.78), (90, 0.425, 0.78))}
    stream = [frame for frame in frames(stands, fps=5, duration_s=90) if not 20 <= frame.frame.time_s < 60]
    assert told(run(SITE, iter(stream))) == [("bay_taken", "A2", 1)]


@pytest.mark.parametrize("cut_s", [3.0, 9.0, 20.0, 25.0, 30.0])
def test_a_restart_changes_nothing(cut_s: float) -> None:
    stream = list(frames({7: PARKS}, fps=5, duration_s=45))
    whole = run(SITE, iter(stream))
    first, second = SiteMeasures(SITE, stream="cam"), SiteMeasures(SITE, stream="cam")
    before = [frame for frame in stream if frame.frame.time_s < cut_s]
    events = [event for frame in before for event in first.process(frame)]
    second.restore(json.loads(json.dumps(first.state())))
    events += [event for frame in stream[len(before) :] for event in second.process(frame)] + list(second.close())
    assert events == whole
    assert len(told(whole)) == 2


def test_a_process_that_began_anew_does_not_double_what_stands() -> None:
    stands = through((0, 0.425, 0.78), (30, 0.425, 0.78))
    first = walk(SITE, {1: stands}, fps=5, duration_s=30)
    again = [replace(event, time_s=event.time_s + 40) for event in first if event.kind == "bay_taken"]
    assert len(parkings([*first, *again])) == 1


def test_corners_may_be_drawn_from_any_of_them_and_either_way() -> None:
    points = np.array([[0.425, 0.78], [0.425, 0.9]])
    covered = set()
    for turned in range(4):
        for way in (1, -1):
            corners = NEAR["A2"][turned:] + NEAR["A2"][:turned]
            bays = Bays([Bay(name="A2", polygon=corners[::way])], aspect=16 / 9, gap_s=2.0)
            shares = np.einsum("bij,nj->ibn", bays._planes, np.column_stack([points, np.ones(2)]))
            covered.add(tuple((shares[1] / shares[2]).round(6).ravel().tolist()))
    assert len(covered) == 1
    assert min(covered)[1] < 0 < min(covered)[0]
