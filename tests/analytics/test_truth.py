"""Every rendered scene and every edge script, true masks, three frame rates: counts, stays and ways are exact.

Counts are those of the actors' centres on the ground. Times are compared with the true contact in the picture, shown
or not (:mod:`tests.analytics.plans`), because that is what a line in the picture is passed by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from demos.scenes.catalogue import SCRIPTS, WORLDS, names
from demos.scenes.edges import EDGES
from demos.scenes.truth import Crossing
from tests.analytics.plans import RATES, Watched, on_line_s, passed_line, spells_in, watch
from tests.analytics.walks import of
from tracker.events import Event
from tracker.site import Line, Zone

pytestmark = pytest.mark.timeout(600)  # a scene of a minute is measured once for all its tests

SIZE = (320, 180)
PIXEL = 1.0
"""Of the small picture: what a mask can say about a contact."""
LATE_S = {("bays", "aisle", 11): 0.3}
"""A car that turns beside the line: its lowest band goes from one wheel to the other."""
LEAVE_S = {"zone_hole": 0.8}
"""Its hole takes exactly the default second, on which nothing can be said."""
LONG = {"loiter_on_line", "dst_night"}
UNSEEN = {"outage": 1}
"""Persons whom no frame shows: one walks from edge to edge while the camera is out."""


def watched(name: str) -> Watched:
    return watch(name, SIZE, leave_s=LEAVE_S.get(name, 1.0))


def way(crossing: Crossing) -> str:
    return "in" if crossing.direction > 0 else "out"


def counted(seen: Watched, fps: float, line: str) -> tuple[int, int]:
    found = Counter(event.direction for event in of(seen.events[fps], "crossing") if event.place == line)
    return found["in"], found["out"]


def passage_s(seen: Watched, fps: float, line: Line, truth: Crossing) -> float | None:
    """When the actor's contact passed; ``None`` where no frame shows it on both sides."""
    path = seen.paths.get(truth.identity)
    if path is None or truth.contact == "outside":
        return None
    times = [time_s for time_s, sign in passed_line(path, line, SIZE) if sign == truth.direction]
    near = min(times, key=lambda time_s: abs(time_s - truth.time_s), default=None)
    return None if near is None or near > seen.last_s[fps] else near


# ---- worlds and flat scenes: identity by identity --------------------------------------------------------------------


def each_world(names: Iterable[str]) -> list[Any]:
    """Parameters; worlds take 10 to 40 s to render and are left to `make test-slow`."""
    return [pytest.param(name, marks=pytest.mark.slow) for name in names]


def each_edge(names: Iterable[str]) -> list[Any]:
    """Parameters; the scripts of a minute are left to `make test-slow`."""
    return [pytest.param(name, marks=pytest.mark.slow if name in LONG else ()) for name in sorted(names)]


@pytest.mark.parametrize("name", [*each_world(WORLDS), *SCRIPTS])
@pytest.mark.parametrize("fps", RATES)
def test_who_crosses_which_line_and_when(name: str, fps: float) -> None:
    seen = watched(name)
    scene = seen.recording.scene
    for line in seen.site.lines:
        truths = scene.crossings(scene.plan.lines_m[line.name], contacts=True)
        found = [event for event in of(seen.events[fps], "crossing") if event.place == line.name]
        must = Counter((t.identity, way(t)) for t in truths if passage_s(seen, fps, line, t) is not None)
        may = Counter((t.identity, way(t)) for t in truths)
        have = Counter((event.identity, event.direction) for event in found)
        assert must <= have <= may, f"{line.name}: missed {must - have}, counted besides {have - may}"
        for event in found:
            check_time(seen, fps, line, event, [t for t in truths if (t.identity, way(t)) == key(event)])


def key(event: Event) -> tuple[int, str]:
    return event.identity, event.direction


def check_time(seen: Watched, fps: float, line: Line, event: Event, truths: list[Crossing]) -> None:
    """Within one frame, or one pixel of the line; between its two sights where the contact is hidden."""
    truth = min(truths, key=lambda one: abs(one.time_s - event.time_s))
    path = seen.paths[event.identity]
    exact_s = [time_s for time_s, sign in passed_line(path, line, SIZE) if sign == truth.direction]
    if truth.contact != "seen" or event.bridged:
        assert event.before.time_s - 1 / fps <= event.time_s <= event.after.time_s + 1 / fps
        return
    moments = np.concatenate([exact_s, on_line_s(path, line, SIZE, within_px=PIXEL)])
    late_s = float(np.abs(moments - event.time_s).min(initial=np.inf))
    assert late_s <= LATE_S.get((seen.recording.name, line.name, event.identity), 1 / fps), (line.name, event, exact_s)


@pytest.mark.parametrize("name", each_world(name for name in WORLDS if name not in {"road", "shop"}))
@pytest.mark.parametrize("fps", RATES)
def test_who_stays_where_and_how_long(name: str, fps: float) -> None:
    seen = watched(name)
    errors: list[float] = []
    for zone in seen.site.zones:
        if zone.name == "desk":
            continue  # see test_staff_behind_a_crowd_is_at_the_desk_nine_tenths_of_its_time
        leaves = [event for event in of(seen.events[fps], "leave") if event.place == zone.name]
        for identity, path in seen.paths.items():
            found = [event for event in leaves if event.identity == identity]
            spells = spells_in(path, zone, SIZE, until_s=seen.last_s[fps])
            assert len(found) == len(spells), (zone.name, identity, spells, found)
            for event, spell in zip(found, spells, strict=True):
                errors += check_stay(seen, fps, zone, event, spell)
        assert {event.identity for event in leaves} <= set(seen.paths)
    # Of all that could be seen from end to end; a foot on the boundary for half a second is the tail of it.
    assert len(errors) >= 4
    assert float(np.median(errors)) <= 0.1


def check_stay(seen: Watched, fps: float, zone: Zone, event: Event, spell: tuple[float, float]) -> list[float]:
    """Both ends lie where the true contact passes the boundary; returns the error of the dwell in seconds."""
    stay, path = event.stay, seen.paths[event.identity]
    shown = path[(path[:, 0] >= spell[0] - 0.5) & (path[:, 0] <= spell[1] + 0.5), 3]
    if stay.hidden_s > 0 or not shown.all():
        return []
    moments = edge_moments(path, zone)
    for time_s, seen_end in ((stay.entered_s, stay.began == "entered"), (event.time_s, stay.end == "left")):
        if seen_end:
            assert np.abs(moments - time_s).min(initial=np.inf) <= max(0.1, 1 / fps), (zone.name, event, spell)
    return [abs((event.time_s - stay.entered_s) - (spell[1] - spell[0]))]


def edge_moments(path: np.ndarray, zone: Zone) -> np.ndarray:
    """Moments at which a true contact passes a zone's boundary, or is within a pixel of it."""
    found = []
    for ring in zone.polygons:
        for a, b in zip(ring, (*ring[1:], ring[0]), strict=True):
            edge = Line(name="edge", points=(a, b))
            found += [time_s for time_s, _ in passed_line(path, edge, SIZE)]
            found += on_line_s(path, edge, SIZE, within_px=PIXEL).tolist()
    return np.array(found)


@pytest.mark.slow
@pytest.mark.parametrize("fps", RATES)
def test_staff_behind_a_crowd_is_at_the_desk_nine_tenths_of_its_time(fps: float) -> None:
    """What shows of it between others ends at its waist for a frame or two, which is taken for its foot."""
    seen = watched("door")
    [desk] = [zone for zone in seen.site.zones if zone.name == "desk"]
    true_s = sum(
        end - start
        for path in seen.paths.values()
        for start, end in spells_in(path, desk, SIZE, until_s=seen.last_s[fps])
    )
    stays = [event.stay for event in of(seen.events[fps], "leave") if event.place == "desk"]
    assert {event.identity for event in of(seen.events[fps], "enter") if event.place == "desk"} == {9, 10}
    found_s = sum((stay.left_s or seen.last_s[fps]) - stay.entered_s for stay in stays)
    assert 0.9 * true_s <= found_s <= true_s + 1.0


@pytest.mark.parametrize("name", each_world(["checkout", "junction"]))
@pytest.mark.parametrize("fps", RATES)
def test_who_goes_from_where_to_where(name: str, fps: float) -> None:
    seen = watched(name)
    scene = seen.recording.scene
    # A vehicle whose near end is past the section in the first frame has no origin.
    unseen = {
        truth.identity
        for line in seen.site.lines
        for truth in scene.crossings(scene.plan.lines_m[line.name], contacts=True)
        if passage_s(seen, fps, line, truth) is None
    }
    truth = Counter((one.identity, f"{one.origin} > {one.destination}") for one in scene.od(scene.plan.sections_m))
    found = Counter((event.identity, event.place) for event in of(seen.events[fps], "flow"))
    assert len(unseen) <= 1
    assert found <= truth
    assert {who for who, _ in truth - found} <= unseen


# ---- edge scripts: what each is about --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", each_edge(EDGES))
@pytest.mark.parametrize("fps", RATES)
def test_edge_scripts_are_counted_as_an_honest_counter_would(name: str, fps: float) -> None:
    seen = watched(name)
    for line, (left, right) in seen.recording.counts.items():
        found = counted(seen, fps, line)
        if name == "id_swap":  # two that meet on the line and have each other's number: the balance is right
            assert found == (0, 0)
            assert found[0] - found[1] == left - right
        elif name == "split_line":  # who passes where the halves meet is over either
            continue
        else:
            assert found == (left - UNSEEN.get(name, 0), right), line


@pytest.mark.parametrize("fps", RATES)
def test_the_halves_of_a_line_count_what_the_whole_does(fps: float) -> None:
    seen = watched("split_line")
    whole, near, far = (counted(seen, fps, line) for line in ("line", "near", "far"))
    assert whole == (2, 1) == tuple(np.add(near, far).tolist())


@pytest.mark.parametrize(
    "name",
    # Numbers that change, and a line along the edge where half of the person is cut off, have no exact moment.
    each_edge(set(EDGES) - {"id_swap", "id_switch", "near_edge", "sway_on_line", "parked_renamed"}),
)
@pytest.mark.parametrize("fps", RATES)
def test_edge_scripts_are_counted_at_the_moment(name: str, fps: float) -> None:
    seen = watched(name)
    scene = seen.recording.scene
    for line, points in scene.plan.lines_m.items():
        whole = next(one for one in seen.site.lines if one.name == line)
        for event in of(seen.events[fps], "crossing"):
            if event.place != line:
                continue
            # Of a line in two halves either may have who passes where they meet.
            truths = scene.crossings(scene.plan.lines_m["line"] if name == "split_line" else points)
            spans = [(t.time_s, t.left_s) for t in truths if (t.identity, way(t)) == key(event)]
            late_s = min(max(low - event.time_s, event.time_s - high, 0.0) for low, high in spans)
            near_s = on_line_s(seen.paths[event.identity], whole, SIZE, within_px=PIXEL) - event.time_s
            assert min(late_s, np.abs(near_s).min(initial=np.inf)) <= 1 / fps, (line, event, spans)


def test_an_outage_is_a_gap_over_what_nobody_saw() -> None:
    seen = watched("outage")
    for fps in RATES:
        [gap] = of(seen.events[fps], "gap")
        assert gap.since_s <= 3.0 + 1e-6
        assert gap.time_s >= 6.0 - 1e-6


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # identity, entered, left, how it began, how it ended
        ("already_inside", [(1, 0.0, 1.0, "already_inside", "left"), (2, 0.0, 3.0, "already_inside", "open")]),
        ("appears_inside", [(1, 1.0, 2.0, "already_inside", "left"), (2, 1.5, 3.0, "entered", "open")]),
        ("cut_zone_corner", []),  # 0.2 s, less than enter_s
        ("steps_out_briefly", [(1, 1.0, 5.5, "entered", "left")]),  # outside for less than leave_s
        ("zone_hole", [(1, 1.0, 1.5, "entered", "left"), (1, 2.5, 3.0, "entered", "left")]),
        ("uneven_frames", [(1, 1.0, 3.0, "entered", "left")]),
        ("fast", []),  # 20 ms
    ],
)
@pytest.mark.parametrize("fps", RATES)
def test_stays_of_edge_scripts(name: str, expected: list[tuple[int, float, float, str, str]], fps: float) -> None:
    found = sorted(of(watched(name).events[fps], "leave"), key=lambda event: (event.identity, event.time_s))
    ends = [(event.identity, event.stay.began, event.stay.end) for event in found]
    assert ends == [(who, began, end) for who, _, _, began, end in expected]
    for event, (_, low, high, began, end) in zip(found, expected, strict=True):
        # What nobody saw begin or end does so with a frame.
        slack_s = [0.05 if kind in {"entered", "left"} else 1 / fps + 1e-6 for kind in (began, end)]
        assert abs(event.stay.entered_s - low) <= slack_s[0]
        assert abs(event.time_s - high) <= slack_s[1]
        if (began, end) == ("entered", "left"):
            assert abs(event.time_s - event.stay.entered_s - (high - low)) <= 0.1


@pytest.mark.parametrize("fps", RATES)
def test_no_step_is_too_long_for_a_thin_zone(fps: float) -> None:
    seen = watch("fast", SIZE, enter_s=0.0, leave_s=0.0)
    [stay] = of(seen.events[fps], "leave")
    assert (stay.stay.began, stay.stay.end) == ("entered", "left")
    assert stay.time_s - stay.stay.entered_s == pytest.approx(0.02, abs=0.02)


@pytest.mark.parametrize("fps", RATES)
def test_a_parked_car_of_many_numbers_never_enters_and_is_present_once(fps: float) -> None:
    events = watched("parked_renamed").events[fps]
    assert all(event.stay.began == "already_inside" for event in of(events, "enter"))
    spans = sorted((event.stay.entered_s, event.time_s) for event in of(events, "leave"))
    assert sum(high - low for low, high in spans) == pytest.approx(20.0, abs=4 / fps + 0.05)
    assert all(later[0] >= sooner[1] for sooner, later in pairwise(spans))


def test_all_scenes_are_asked() -> None:
    assert set(names()) == {*WORLDS, *SCRIPTS, *EDGES}
