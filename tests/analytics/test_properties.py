"""Laws of counting: mirrors, reversals, pieces, partitions, balances, replays and frame rates."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.analytics.walks import Path, counts, frames, of, run, through
from tests.thorough import examples
from tracker.analytics.measures import SiteMeasures
from tracker.events import Event
from tracker.polygons import first_crossing
from tracker.site import Doors, Flow, Line, Site, Zone
from tracker.types import TrackedFrame

share = st.floats(0.02, 0.98).map(lambda value: round(value, 3))
place = st.tuples(share, share)
# Off the grid of the walkers: a path exactly through a line's end is on one side of it by convention, mirrored or not.
corner = st.tuples(share.map(lambda x: x + 0.000314), share.map(lambda y: y + 0.000272))


@st.composite
def paths(draw: st.DrawFn, most: int = 3) -> dict[int, Path]:
    """Identities that walk between random places, one a second."""
    found = {}
    for identity in range(1, draw(st.integers(1, most)) + 1):
        places = draw(st.lists(place, min_size=2, max_size=6))
        start_s = draw(st.integers(0, 3))
        found[identity] = through(*((start_s + second, x, y) for second, (x, y) in enumerate(places)))
    return found


@st.composite
def lines(draw: st.DrawFn, corners: int = 2) -> Line:
    points = tuple(draw(st.lists(corner, min_size=corners, max_size=corners, unique=True)))
    x, y = np.ptp(np.array(points), axis=0)
    assume(x + y > 0.1)
    assume(first_crossing(points, closed=False) is None)
    return Line(name="line", points=points)


def stream(walkers: dict[int, Path], fps: float = 10.0) -> list[TrackedFrame]:
    return list(frames(walkers, fps=fps, duration_s=10))


def mirrored(path: Path) -> Path:
    return lambda time_s: None if (at := path(time_s)) is None else (1 - at[0], at[1])


def crossings(events: list[Event]) -> list[tuple[int, str, float]]:
    return sorted((event.identity, event.direction, round(event.time_s, 4)) for event in of(events, "crossing"))


def swapped(found: list[tuple[int, str, float]]) -> list[tuple[int, str, float]]:
    return sorted((identity, {"in": "out", "out": "in"}[way], time_s) for identity, way, time_s in found)


@settings(max_examples=examples(60), deadline=None)
@given(paths(), lines())
def test_mirroring_swaps_in_and_out(walkers: dict[int, Path], line: Line) -> None:
    found = crossings(run(Site(lines=(line,)), iter(stream(walkers))))
    other = replace(line, points=tuple((1 - x, y) for x, y in line.points))
    mirror = stream({identity: mirrored(path) for identity, path in walkers.items()})
    assert crossings(run(Site(lines=(other,)), iter(mirror))) == swapped(found)


@settings(max_examples=examples(60), deadline=None)
@given(paths(), lines())
def test_reversing_a_line_swaps_directions(walkers: dict[int, Path], line: Line) -> None:
    seen = stream(walkers)
    found = crossings(run(Site(lines=(line,)), iter(seen)))
    back = replace(line, points=line.points[::-1])
    assert crossings(run(Site(lines=(back,)), iter(seen))) == swapped(found)


@settings(max_examples=examples(60), deadline=None)
@given(paths(), lines(), st.floats(0.1, 0.9))
def test_splitting_a_line_keeps_the_sum(walkers: dict[int, Path], line: Line, at: float) -> None:
    seen = stream(walkers)
    (a, b), name = line.points, line.name
    middle = (a[0] + at * (b[0] - a[0]), a[1] + at * (b[1] - a[1]))
    assume(middle not in (a, b))
    whole = counts(run(Site(lines=(line,)), iter(seen)), name)
    pieces = Site(lines=(Line(name="first", points=(a, middle)), Line(name="second", points=(middle, b))))
    events = run(pieces, iter(seen))
    # min_rearm_s is a rule of each line: two crossings within it, over different pieces, are two.
    times = sorted(event.time_s for event in of(events, "crossing"))
    assume(all(later - sooner > 1 for sooner, later in pairwise(times)))
    assert tuple(np.add(counts(events, "first"), counts(events, "second")).tolist()) == whole


@settings(max_examples=examples(60), deadline=None)
@given(paths(), share, share)
def test_a_partition_of_the_picture_has_everybody_in_exactly_one_zone(
    walkers: dict[int, Path], top: float, bottom: float
) -> None:
    left = Zone(name="left", polygons=(((0, 0), (top, 0), (bottom, 1), (0, 1)),), enter_s=0, leave_s=0)
    right = Zone(name="right", polygons=(((top, 0), (1, 0), (1, 1), (bottom, 1)),), enter_s=0, leave_s=0)
    measures = SiteMeasures(Site(zones=(left, right)), stream="cam")
    for frame in stream(walkers):
        measures.process(frame)
        present = measures.occupancy().present
        seen = len(frame.tracks.ids)
        assert present["left"].get("person", 0) + present["right"].get("person", 0) == seen


@settings(max_examples=examples(60), deadline=None)
@given(paths(), st.lists(place, min_size=3, max_size=3, unique=True))
def test_entries_less_exits_are_those_present(walkers: dict[int, Path], corners: list[tuple[float, float]]) -> None:
    (ax, ay), (bx, by), (cx, cy) = corners
    assume(abs((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)) > 0.02)
    measures, balance = SiteMeasures(Site(zones=(Zone(name="hall", polygons=(tuple(corners),)),)), stream="cam"), 0
    for frame in stream(walkers):
        events = measures.process(frame)
        balance += len(of(events, "enter")) - len(of(events, "leave"))
        assert balance == measures.occupancy().present["hall"].get("person", 0)
    balance -= len(of(measures.close(), "leave"))
    assert balance == 0


SITE = Site(
    lines=(Line(name="line", points=((0.1, 0.4), (0.5, 0.5), (0.9, 0.4))), Line(name="b", points=((0.5, 0), (0.5, 1)))),
    zones=(Zone(name="hall", polygons=(((0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7)),), loiter_s=1.5),),
    doors=(Doors(name="room", lines=("line",)),),
    flows=(Flow(name="through", start="line", end="b"), Flow(name="stay", start="b", end="hall")),
)


@settings(max_examples=examples(60), deadline=None)
@given(paths(), st.integers(0, 100))
def test_state_and_restore_equal_an_uninterrupted_run(walkers: dict[int, Path], cut: int) -> None:
    seen = stream(walkers)
    whole = SiteMeasures(SITE, stream="cam")
    expected = [event for frame in seen for event in whole.process(frame)] + list(whole.close())
    first = SiteMeasures(SITE, stream="cam")
    events = [event for frame in seen[:cut] for event in first.process(frame)]
    state = first.state()
    second = SiteMeasures(SITE, stream="cam")
    if state is not None:
        second.restore(json.loads(json.dumps(state, allow_nan=False)))
    events += [event for frame in seen[cut:] for event in second.process(frame)] + list(second.close())
    assert events == expected
    assert second.occupancy().balance == whole.occupancy().balance
    assert len({event.key for event in events}) == len(events)


@settings(max_examples=examples(30), deadline=None)
@given(place, place, lines(corners=3))
def test_30_15_and_5_frames_a_second_count_the_same(
    start: tuple[float, float], end: tuple[float, float], line: Line
) -> None:
    walker = {1: through((0, *start), (6, *end))}
    # An end in the dead band, or one that moves out of it in less than two frames of the lowest rate, is on no side.
    line = replace(line, dead_band=1e-5)
    found = [crossings(run(Site(lines=(line,)), iter(stream(walker, fps)))) for fps in (30.0, 15.0, 5.0)]
    # Between two corners of the line that are crossed within three frames of the lowest rate there may be no sight.
    assume(all(np.diff([one[2] for one in each]).min(initial=1.0) > 0.6 for each in found))
    for other in found[1:]:
        assert [one[:2] for one in other] == [one[:2] for one in found[0]]
        assert np.abs([a[2] - b[2] for a, b in zip(other, found[0], strict=True)]).max(initial=0) <= 0.2
