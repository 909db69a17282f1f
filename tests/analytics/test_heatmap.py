"""Map of presence: its seconds are the time in which identities were there, its visits theirs, at any rate."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demos.scenes.catalogue import open_recording
from tests.analytics.walks import CLASS_NAMES, SIZE, frames, through, tracked
from tests.thorough import examples
from tracker.analytics.contact import ContactFinder
from tracker.analytics.heatmap import BRIDGE_S, STILL_S, Heatmap
from tracker.contacts import ContactState
from tracker.events import Event
from tracker.heat import CELLS, TILE_MS, HeatSum, grid_shape
from tracker.types import TrackedFrame

ROWS, COLUMNS = grid_shape(SIZE)


def summed(stream: Iterable[TrackedFrame], heatmap: Heatmap | None = None) -> HeatSum:
    heatmap, total = heatmap or Heatmap(), HeatSum()
    for frame in stream:
        total.add_steps(heatmap.process(frame), frame.class_names)
    return total


def cell(x: float, y: float) -> tuple[int, int]:
    return int(y * ROWS), int(x * COLUMNS)


@pytest.mark.parametrize("fps", [25.0, 5.0, 1.0])
def test_seconds_lie_where_the_identity_was(fps):
    found = summed(frames({1: through((0, 0.0, 0.5), (8, 0.999, 0.5))}, fps=fps, duration_s=8))
    row = found.grid()[cell(0.5, 0.5)[0]]
    assert found.grid().sum() == pytest.approx(8.0)
    assert row == pytest.approx(np.full(COLUMNS, 8 / COLUMNS), rel=0.35)
    assert found.unplaced_s == pytest.approx(0.0)


@pytest.mark.parametrize("fps", [25.0, 5.0, 2.0])
def test_an_identity_visits_each_cell_on_its_way_once(fps):
    there_and_back = through((0, 0.01, 0.5), (4, 0.99, 0.5), (8, 0.01, 0.5))
    visits = summed(frames({1: there_and_back, 2: there_and_back}, fps=fps, duration_s=8)).grid("visits")
    assert visits.max() == 2
    assert visits[cell(0.5, 0.5)[0]].tolist() == [2] * CELLS


def test_classes_are_apart():
    stream = (tracked(index, index / 10, {1: (0.1, 0.5), 2: (0.9, 0.5)}, classes={1: 0, 2: 2}) for index in range(31))
    found = summed(stream)
    assert found.grid(classes=["person"])[cell(0.1, 0.5)] == pytest.approx(3.0)
    assert found.grid(classes=["person"]).sum() == pytest.approx(3.0)
    assert found.grid(classes=["car"])[cell(0.9, 0.5)] == pytest.approx(3.0)
    assert found.grid().sum() == pytest.approx(6.0)
    assert found.grid(classes=["bus"]).sum() == 0


def test_what_stands_still_can_be_left_out_from_its_first_second_on():
    ways = {1: through((0, 0.3, 0.5), (200, 0.3, 0.5)), 2: through((0, 0.1, 0.7), (200, 0.9, 0.7))}
    found = summed(frames(ways, fps=2, duration_s=200))
    assert found.grid().sum() == pytest.approx(400.0)
    assert found.grid(moving=True).sum() == pytest.approx(200.0)
    assert found.grid(moving=True)[cell(0.3, 0.5)] == pytest.approx(0.0)
    brief = summed(frames({1: through((0, 0.3, 0.5), (STILL_S - 1, 0.3, 0.5))}, fps=2, duration_s=100))
    assert brief.grid(moving=True).sum() == pytest.approx(STILL_S - 1)


def test_hidden_contacts_lie_in_no_cell_until_the_way_is_known():
    def hidden(low_s: float, high_s: float) -> HeatSum:
        stream = []
        for frame in frames({1: through((0, 0.2, 0.5), (10, 0.8, 0.5))}, fps=10, duration_s=10):
            if low_s < frame.frame.time_s < high_s:
                frame.contacts.states[:] = ContactState.HIDDEN
            stream.append(frame)
        return summed(stream)

    short, long = hidden(4.0, 4.0 + BRIDGE_S), hidden(4.0, 8.0)
    assert (short.grid().sum(), short.unplaced_s) == (pytest.approx(10.0), pytest.approx(0.0))
    assert (long.grid().sum(), long.unplaced_s) == (pytest.approx(6.0), pytest.approx(4.0))


def test_who_coasts_for_long_is_not_known_to_be_there():
    coasting = [tracked(index, index / 10, {}, coasting={1: (0.5, 0.5)}) for index in range(10, 50)]
    seen = [tracked(index, index / 10, {1: (0.5, 0.5)}) for index in range(10)]
    for stream in ([*seen, *coasting], [*seen, *coasting, tracked(50, 5.0, {1: (0.5, 0.5)})]):
        found = summed(stream)
        assert (found.grid().sum(), found.unplaced_s) == (pytest.approx(0.9), pytest.approx(0.0))
    briefly = summed([*seen, *coasting[:15], tracked(25, 2.5, {1: (0.5, 0.5)})])
    assert briefly.grid().sum() == pytest.approx(2.5)


def test_nothing_is_present_while_the_camera_is_out():
    ways = {1: through((0, 0.2, 0.5), (20, 0.2, 0.5))}
    stream = [frame for frame in frames(ways, fps=5, duration_s=20) if not 5 < frame.frame.time_s < 15]
    found = summed(stream)
    assert (found.grid().sum(), found.unplaced_s) == (pytest.approx(10.0), 0)
    covered = {
        25: Event(kind="covered", stream="s", time_s=5.0),
        75: Event(kind="covered", stream="s", time_s=15.0, since_s=5.0),
    }
    stream = [
        replace(frame, events=(covered[index],)) if index in covered else frame
        for index, frame in enumerate(frames(ways, fps=5, duration_s=20))
    ]
    assert summed(stream).grid().sum() == pytest.approx(4.8 + 5.0)


def test_sights_from_before_the_confirmation_count():
    stream = list(frames({1: through((0, 0.2, 0.5), (4, 0.2, 0.5))}, fps=10, duration_s=4))
    late = [replace(frame, tracks=tracked(0, 0.0, {}).tracks) for frame in stream[:10]]
    first = stream[10]
    earlier = np.array([(1, 10 - index, 0) for index in range(10)], np.int64)
    confirmed = replace(first, tracks=replace(first.tracks, earlier_rows=earlier))
    assert summed([*late, confirmed, *stream[11:]]).grid().sum() == pytest.approx(4.0)
    assert summed([*late, *stream[10:]]).grid().sum() == pytest.approx(3.0)


def test_a_new_hour_has_visits_of_its_own():
    noon = datetime(2026, 3, 29, 11, 59, 58, tzinfo=UTC)
    start_ms = round(noon.timestamp() * 1000)
    heatmap, visits = Heatmap(start_utc_ms=start_ms), {}
    for frame in frames({1: through((0, 0.2, 0.5), (4, 0.2, 0.5))}, fps=5, duration_s=4):
        steps = heatmap.process(frame)
        assert steps.utc
        tile = steps.time_ms // TILE_MS
        visits[tile] = visits.get(tile, 0) + steps.values[:, 2].sum()
    assert list(visits.values()) == [1, 1]


def test_memory_follows_what_is_in_view():
    heatmap = Heatmap()
    for index in range(300):
        heatmap.process(tracked(index, index / 10, {index + 1: (0.5, 0.5)}, ended=[index] if index else []))
    assert len(heatmap.state()["paths"]) == 1


@settings(max_examples=examples(20), deadline=None)
@given(cut=st.integers(1, 79), fps=st.sampled_from([4.0, 10.0]))
def test_a_recording_that_is_continued_gives_the_same(cut, fps):
    ways = {1: through((0, 0.1, 0.5), (8, 0.9, 0.5)), 2: through((2, 0.5, 0.9), (6, 0.5, 0.4))}
    stream = list(frames(ways, fps=fps, duration_s=8))
    cut = min(cut, len(stream) - 1)
    whole, total, first, second = summed(stream), HeatSum(), Heatmap(), Heatmap()
    for frame in stream[:cut]:
        total.add_steps(first.process(frame), CLASS_NAMES)
    second.restore(json.loads(json.dumps(first.state())))
    for frame in stream[cut:]:
        total.add_steps(second.process(frame), CLASS_NAMES)
    for measure in ("seconds", "visits"):
        np.testing.assert_allclose(total.grid(measure), whole.grid(measure), atol=1e-9)


def test_a_camera_that_is_back_does_not_count_its_absence_nor_a_visit_twice():
    first, second = Heatmap(), Heatmap()
    way = through((0, 0.2, 0.5), (4, 0.2, 0.5))
    summed(frames({1: way}, fps=5, duration_s=4), first)
    second.restore(first.state(), elapsed_s=30.0)
    again = summed(frames({1: way}, fps=5, duration_s=4), second)
    assert again.grid().sum() == pytest.approx(4.0)
    assert again.grid("visits").sum() == 0


@pytest.mark.quick("crossing-12.5", "group_walk-4.2", "u_turn-4.2", "stop_and_go-4.2", "exit_and_reentry-4.2")
@pytest.mark.parametrize("fps", [25.0, 12.5, 4.2])
@pytest.mark.parametrize("name", ["crossing", "group_walk", "u_turn", "exit_and_reentry", "stop_and_go"])
def test_seconds_are_the_presence_of_rendered_truth(name, fps):
    recording, finder = open_recording(name, size=(320, 180)), ContactFinder()
    heatmap, total, sights = Heatmap(), HeatSum(), {}
    for frame in recording.tracked(fps):
        contacts = finder.find(frame.instances, frame.frame.size)
        for identity in recording.scene.truth(frame.frame.time_s).ids.tolist():
            sights.setdefault(identity, []).append(frame.frame.time_s)
        total.add_steps(heatmap.process(replace(frame, contacts=contacts)), frame.class_names)
    presence_s = sum(step for times in sights.values() for step in np.diff(times) if step <= BRIDGE_S)
    assert presence_s > 5
    assert total.grid().sum() + total.unplaced_s == pytest.approx(presence_s, abs=1e-6)
    assert total.unplaced_s <= 0.1 * presence_s
