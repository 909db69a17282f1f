"""Near misses: each reason on a path made for it, none where all was counted, memory that ends with identities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from demos.scenes.edges import edge
from tests.analytics.walks import SIZE, frames, through, tracked
from tests.analytics.worlds import on_screen
from tracker.analytics.measures import SiteMeasures
from tracker.analytics.near_misses import NearMiss, NearMisses
from tracker.contacts import Contacts, ContactState
from tracker.errors import ConfigError
from tracker.events import Event
from tracker.site import Line, Site, Zone
from tracker.types import Instances

LINE = Line(name="line", points=((0.2, 0.5), (0.8, 0.5)))
SITE = Site(lines=(LINE,))
ZONE = Zone(name="zone", polygons=(((0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6)),))


def audited(site: Site, stream, **options) -> tuple[list[NearMiss], list[Event]]:
    measures, near = SiteMeasures(site, stream="cam"), NearMisses(site, stream="cam", **options)
    missed, events = [], []
    for frame in stream:
        found = measures.process(frame)
        events += found
        missed += near.process(frame, found)
    last = measures.close()
    missed += near.close(last)
    assert len(near) == 0
    return missed, [event for event in (*events, *last) if event.kind in {"crossing", "enter"}]


def one(site: Site, path, **options) -> NearMiss:
    missed, counted = audited(site, frames({1: path}, fps=25, duration_s=8), **options)
    assert not counted
    assert len(missed) == 1, missed
    assert missed[0].identity == 1
    return missed[0]


def test_what_is_counted_is_no_near_miss() -> None:
    paths = {1: through((0, 0.5, 0.9), (4, 0.5, 0.1)), 2: through((0, 0.3, 0.2), (2, 0.3, 0.6), (4, 0.3, 0.2))}
    missed, counted = audited(SITE, frames(paths, fps=25, duration_s=8))
    assert len(counted) == 3
    assert missed == []


def test_what_stays_away_is_no_near_miss() -> None:
    missed, _ = audited(SITE, frames({1: through((0, 0.1, 0.7), (4, 0.9, 0.7))}, fps=25, duration_s=8))
    assert missed == []


def test_over_the_line_and_back_at_once() -> None:
    miss = one(SITE, through((0, 0.5, 0.7), (2, 0.5, 0.495), (4, 0.5, 0.7)))
    assert (miss.place, miss.reason, miss.direction, miss.class_name) == ("line", "unsettled", "in", "person")
    assert miss.time_s == pytest.approx(2 * 0.2 / 0.205)  # the first passage
    assert miss.point == pytest.approx((0.5, 0.5))
    assert miss.distance == pytest.approx(0, abs=1e-6)
    assert miss.near_s == pytest.approx(2 * 0.055 / 0.1025, abs=0.1)
    assert miss.path[0].time_s <= 0.1
    assert miss.path[-1].time_s >= 3.9
    assert (miss.from_s, miss.to_s) == pytest.approx((0, 4))


def test_within_the_dead_band_and_back() -> None:
    miss = one(SITE, through((0, 0.5, 0.7), (2, 0.5, 0.503), (4, 0.5, 0.7)))
    assert (miss.reason, miss.direction) == ("unsettled", "")
    assert miss.distance == pytest.approx(0.003, abs=1e-6)


def test_close_and_away() -> None:
    miss = one(SITE, through((0, 0.5, 0.7), (2, 0.5, 0.52), (4, 0.5, 0.7)))
    assert miss.reason == "not_reached"
    assert miss.distance == pytest.approx(0.02, abs=1e-6)
    assert miss.time_s == pytest.approx(2.0)


@pytest.mark.parametrize("fps", [25, 5])
def test_past_the_end(fps: int) -> None:
    paths = {1: through((0, 0.81, 0.8), (4, 0.81, 0.2)), 2: through((0, 0.9, 0.8), (4, 0.9, 0.2))}
    missed, counted = audited(SITE, frames(paths, fps=fps, duration_s=8))
    assert not counted
    [miss] = missed  # 2 passes too far away
    assert (miss.identity, miss.reason, miss.direction) == (1, "beyond_end", "in")
    assert miss.distance == pytest.approx(0.01 * 16 / 9, abs=1e-6)
    assert miss.time_s == pytest.approx(2.0)


def test_a_class_that_does_not_count() -> None:
    site = Site(lines=(replace(LINE, classes=("car",)),), zones=(replace(ZONE, classes=("car",)),))
    missed, counted = audited(site, frames({1: through((0, 0.5, 0.9), (4, 0.5, 0.1))}, fps=25, duration_s=8))
    assert not counted
    assert [(miss.place, miss.reason) for miss in missed] == [
        ("zone", "class_not_counted"),
        ("line", "class_not_counted"),
    ]
    # That it came close to what does not count it is nothing to tell.
    path = through((0, 0.5, 0.7), (2, 0.5, 0.62), (4, 0.5, 0.7))
    assert audited(site, frames({1: path}, fps=25, duration_s=8)) == ([], [])


def hide(stream, from_s: float, to_s: float, state: ContactState):
    for frame in stream:
        points = np.stack([frame.instances.boxes[:, [0, 2]].mean(axis=1), frame.instances.boxes[:, 3]], axis=1)
        hidden = from_s <= frame.frame.time_s < to_s
        states = np.full(len(points), state if hidden else ContactState.SEEN, np.int8)
        yield replace(frame, contacts=Contacts(points=points.astype(np.float64), states=states))


def test_hidden_from_the_line_on() -> None:
    stream = frames({1: through((0, 0.5, 0.9), (4, 0.5, 0.1))}, fps=25, duration_s=8)
    missed, counted = audited(SITE, hide(stream, 1.5, 9.0, ContactState.HIDDEN))
    assert not counted
    [miss] = missed
    assert (miss.reason, miss.direction) == ("hidden", "in")
    assert miss.time_s == pytest.approx(2.0)
    assert not all(point.seen for point in miss.path)


def test_hidden_over_the_line_and_seen_beyond_is_counted() -> None:
    stream = frames({1: through((0, 0.5, 0.9), (4, 0.5, 0.1))}, fps=25, duration_s=8)
    missed, counted = audited(SITE, hide(stream, 1.5, 2.5, ContactState.HIDDEN))
    assert len(counted) == 1
    assert missed == []


def test_a_visit_too_short() -> None:
    miss = one(Site(zones=(ZONE,)), through((0, 0.5, 0.9), (1.0, 0.5, 0.59), (1.1, 0.5, 0.61), (3, 0.5, 0.9)))
    assert (miss.place, miss.reason) == ("zone", "too_short")
    assert miss.distance == pytest.approx(0, abs=1e-9)


def test_a_life_too_short_before_the_line() -> None:
    miss = one(SITE, through((0, 0.5, 0.503), (0.08, 0.5, 0.499), (1, 0.5, 0.2)))
    assert (miss.reason, miss.direction) == ("too_short", "in")
    assert miss.from_s == pytest.approx(0.0)


def test_what_never_became_an_identity() -> None:
    def stream():
        for index in range(60):
            time_s = index / 25
            frame = tracked(index, time_s, {})
            y = (0.8 - 0.3 * time_s) * SIZE[1]
            boxes = np.array([[600, y - 60, 640, y]], np.float32)
            found = Instances(boxes=boxes, scores=np.full(1, 0.3, np.float32), class_ids=np.array([2]))
            yield replace(frame, instances=found, contacts=None)

    missed, counted = audited(SITE, stream())
    assert not counted
    [miss] = missed
    assert (miss.identity, miss.class_name, miss.reason, miss.direction) == (0, "car", "unconfirmed", "in")
    assert miss.time_s == pytest.approx(1.0)
    assert miss.distance == pytest.approx(0, abs=1e-6)


def test_a_second_detection_of_an_identity_is_none() -> None:
    def stream():
        for frame in frames({1: through((0, 0.5, 0.9), (4, 0.5, 0.1))}, fps=25, duration_s=5):
            twice = np.repeat(np.arange(len(frame.instances)), 2)
            yield replace(
                frame,
                contacts=None,
                instances=Instances(
                    boxes=frame.instances.boxes[twice],
                    scores=frame.instances.scores[twice],
                    class_ids=frame.instances.class_ids[twice],
                ),
            )

    missed, counted = audited(SITE, stream())
    assert len(counted) == 1
    assert missed == []


def test_before_it_is_confirmed_is_no_near_miss() -> None:
    """What an identity takes over at its confirmation is not unconfirmed."""

    def stream():
        path = through((0, 0.5, 0.9), (4, 0.5, 0.1))
        late = 55  # past the line
        for index, frame in enumerate(frames({1: path}, fps=25, duration_s=5)):
            if index < late:
                yield replace(frame, tracks=tracked(index, frame.frame.time_s, {}).tracks)
                continue
            earlier = [[1, ago, 0] for ago in range(1, 11)] if index == late else []
            rows = np.array(earlier, np.int64).reshape(-1, 3)
            yield replace(frame, tracks=replace(frame.tracks, earlier_rows=rows))

    missed, counted = audited(SITE, stream())
    assert [event.identity for event in counted] == [1]
    assert missed == []


EDGES = {
    "touch_and_return": [(1, "unsettled")],
    "stops_short": [(1, "not_reached")],
    "line_end": [(2, "beyond_end")],
    "lands_on_line": [],
    "u_turn_on_line": [],
    "on_vertex": [],
    "cut_corner": [],
    "occluded_feet": [],
    "feet_behind_neighbour": [],
    "gap": [],
    "cut_zone_corner": [(1, "too_short")],
}


@pytest.mark.parametrize("fps", [pytest.param(25.0, marks=pytest.mark.slow), 5.0])
@pytest.mark.parametrize("name", EDGES)
def test_edge_scripts(name: str, fps: float) -> None:
    recording = edge(name)
    plan = recording.scene.plan
    site = Site(
        lines=tuple(Line(name=key, points=on_screen(recording.scene, *line)) for key, line in plan.lines_m.items()),
        zones=tuple(
            Zone(name=key, polygons=(on_screen(recording.scene, *polygon),)) for key, polygon in plan.zones_m.items()
        ),
    )
    missed, _ = audited(site, recording.tracked(fps))
    assert [(miss.identity, miss.reason) for miss in missed] == EDGES[name]


def test_an_identity_cut_at_the_line_counts_and_its_old_number_is_a_near_miss() -> None:
    recording = edge("id_switch")
    line = on_screen(recording.scene, *recording.scene.plan.lines_m["line"])
    missed, counted = audited(Site(lines=(Line(name="line", points=line),)), recording.tracked(25.0))
    assert [event.identity for event in counted] == [2]
    [first] = missed
    assert first.identity == 1
    assert first.to_s == pytest.approx(first.time_s)  # lost there


@pytest.mark.slow
def test_an_hour_beside_the_line_is_one_near_miss_of_little_memory() -> None:
    def stream():
        for index in range(2000):
            yield tracked(index, index * 1.8, {1: (0.5, 0.51 + 0.004 * (index % 2))})

    [miss] = audited(SITE, stream())[0]
    assert miss.reason == "not_reached"
    assert miss.near_s == pytest.approx(1999 * 1.8)
    assert len(miss.path) <= 66


def test_an_approach_is_decided_while_the_identity_lives() -> None:
    path = through((0, 0.5, 0.7), (2, 0.5, 0.52), (4, 0.5, 0.9), (60, 0.9, 0.9))
    near, measures = NearMisses(SITE, stream="cam"), SiteMeasures(SITE, stream="cam")
    for frame in frames({1: path}, fps=10, duration_s=59):
        if near.process(frame, measures.process(frame)):
            break
    assert frame.frame.time_s < 20


def test_memory_ends_with_the_identities() -> None:
    near, measures = NearMisses(SITE, stream="cam"), SiteMeasures(SITE, stream="cam")
    for index in range(300):
        ended = [index - 2] if index > 2 else []
        frame = tracked(index, index / 10, {index + 1: (0.5, 0.51)}, ended=ended)
        near.process(frame, measures.process(frame))
        assert len(near) <= 4


def test_the_wall_clock_is_that_of_the_recording() -> None:
    path = through((0, 0.5, 0.7), (2, 0.5, 0.52), (4, 0.5, 0.7))
    assert one(SITE, path, start_utc_ms=1_000_000).utc_ms == 1_002_000
    assert one(SITE, path).utc_ms is None


@pytest.mark.parametrize("near", [0.0, -1.0, 0.6])
def test_what_is_close_is_checked(near: float) -> None:
    with pytest.raises(ConfigError, match="near: expected picture heights above 0"):
        NearMisses(SITE, stream="cam", near=near)


def test_segmented_frames_are_refused() -> None:
    frame = replace(tracked(0, 0.0, {}), tracks=None)
    with pytest.raises(ConfigError, match="expected tracked frames"):
        NearMisses(SITE, stream="cam").process(frame, ())
