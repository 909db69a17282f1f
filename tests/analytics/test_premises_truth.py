"""Queues, footfall and bays of rendered scenes with true masks and identities, beside what is exactly true."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from demos.scenes.bays import occupied_bays
from demos.scenes.waiting import TrueWait, true_lengths, true_waits
from tests.analytics.premises import SIZE, Measured, measured, whole_bays
from tracker.analytics.geometry import Edges, polygon_edges
from tracker.analytics.spans import spans_of
from tracker.analytics.turnover import parkings
from tracker.analytics.visitors import visitors
from tracker.analytics.waits import Wait, length_bins, queue_figures, waits

WITHIN_S = 0.5
"""Of every wait."""
CHANGE_S = 0.6
"""Around each change of the length: a foot stands before its person does."""
QUICK = 6.25
SLOW = (pytest.mark.slow, pytest.mark.timeout(600))
CASES = pytest.mark.parametrize(
    ("seed", "fps"),
    [(0, QUICK), *(pytest.param(seed, fps, marks=SLOW) for seed, fps in ((0, 25.0), (0, 4.2), (3, 12.5), (7, 12.5)))],
)
GROUND = pytest.mark.parametrize("ground", [False, True], ids=["heights", "ground"])


def told(found: list[Wait]) -> list[tuple[int, str, bool]]:
    return [(one.identity, one.end or "none", one.seen) for one in found]


def foot_leaves_s(seen: Measured, identity: int, centre_s: float) -> float:
    """When the true contact leaves the queue's zone."""
    scene, [drawn] = seen.recording.scene, [one for one in seen.site.zones if one.name == "queue"]
    edges = Edges(*polygon_edges(drawn.polygons[0]))
    inside = []
    for time_s in np.arange(centre_s - 1.0, min(centre_s + 1.0, scene.duration_s), 0.08).tolist():
        truth = scene.truth(time_s)
        points = truth.contact_px[truth.ids == identity] / scene.size
        if len(points) and np.count_nonzero(edges.below(points, edges.sides(points))) % 2:
            inside.append(time_s)
    return inside[-1] + 0.04


# ---- queue -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@GROUND
@CASES
def test_who_waits_how_long_and_how_it_ends(seed: int, fps: float, ground: bool) -> None:
    seen = measured("checkout", seed=seed, fps=fps, ground=ground)
    truth = true_waits(seen.recording.scene, "queue", "service")
    found = waits(seen.events)
    assert sorted(told(found)) == sorted((one.identity, one.end, one.seen) for one in truth)
    by_identity = {one.identity: one for one in truth}
    for one in found:
        true = by_identity[one.identity]
        # One that walks away towards the camera has a foot over the edge before its centre is.
        ends = {true.left_s} if true.end == "served" else {true.left_s, foot_leaves_s(seen, one.identity, true.left_s)}
        assert min(abs(one.wait_s - (left_s - true.joined_s)) for left_s in ends) <= WITHIN_S, (one, true)


@GROUND
@CASES
def test_the_length_is_exact_but_while_somebody_comes_or_goes(seed: int, fps: float, ground: bool) -> None:
    seen = measured("checkout", seed=seed, fps=fps, ground=ground)
    truth = true_waits(seen.recording.scene, "queue", "service")
    times_s = np.arange(0.0, seen.recording.scene.duration_s - 1, 0.05)
    lengths = true_lengths(as_true(waits(seen.events)), times_s)
    expected = true_lengths(truth, times_s)
    changes = np.array([moment for one in truth for moment in (one.joined_s, one.left_s)])
    settled = np.abs(times_s[:, None] - changes).min(axis=1) > CHANGE_S
    assert settled.mean() > 0.6
    assert expected.max() >= 3
    np.testing.assert_array_equal(lengths[settled], expected[settled])
    off = np.flatnonzero(lengths != expected)
    assert np.abs(times_s[off, None] - changes).min(axis=1).max(initial=0) <= CHANGE_S


def as_true(found: list[Wait]) -> list[TrueWait]:
    return [
        TrueWait(
            identity=one.identity,
            joined_s=one.joined_ms / 1000,
            left_s=one.left_ms / 1000,
            end="served",
            seen=one.seen,
        )
        for one in found
    ]


def test_the_reach_of_a_queue_is_in_metres_where_the_site_has_ground() -> None:
    seen = measured("checkout", fps=QUICK, ground=True)
    scene = seen.recording.scene
    paths = {actor.identity: actor.trajectories[0] for actor in scene.actors}
    edge_m = max(y for _, y in scene.plan.zones_m["service"])
    found = [one for one in waits(seen.events) if one.seen]
    assert len(found) >= 5
    for one in found:
        stands = paths[one.identity].position(one.joined_ms / 1000 + 0.3)
        assert one.reach_m == pytest.approx(float(stands[1]) - edge_m, abs=0.4)
    [figures] = queue_figures(waits(seen.events), spans_of(seen.events))
    assert figures.reach_m == max(one.reach_m for one in found)
    assert all(one.reach_m is None for one in waits(measured("checkout", fps=QUICK).events))


def test_tables_of_the_queue_say_what_the_rows_do() -> None:
    seen = measured("checkout", fps=QUICK)
    truth = true_waits(seen.recording.scene, "queue", "service")
    found, spans = waits(seen.events), spans_of(seen.events)
    [figures] = queue_figures(found, spans, above=2)
    served = [one for one in truth if one.end == "served"]
    assert (figures.served, figures.abandoned, figures.lost, figures.waiting) == (len(served), 1, 0, 0)
    assert figures.found_waiting == sum(not one.seen for one in truth) == figures.partly_seen
    means = [one.left_s - one.joined_s for one in served if one.seen]
    assert figures.mean_wait_s == pytest.approx(np.mean(means), abs=WITHIN_S)
    assert figures.longest_wait_s == pytest.approx(max(means), abs=WITHIN_S)
    times_s = np.arange(0.0, 60.0, 0.02)
    lengths = true_lengths(truth, times_s)
    assert figures.longest == lengths.max()
    assert figures.mean_length == pytest.approx(lengths.mean(), abs=0.15)
    assert figures.share_above == pytest.approx((lengths > 2).mean(), abs=0.1)
    bins = length_bins(found, spans, bin_s=20, above=2)
    assert [row.start_ms for row in bins] == [0, 20_000, 40_000]
    assert sum(row.served for row in bins) == figures.served
    assert sum(row.abandoned for row in bins) == 1
    for row in bins:
        inside = lengths[(times_s >= row.start_ms / 1000) & (times_s < row.start_ms / 1000 + 20)]
        assert row.mean == pytest.approx(inside.mean(), abs=0.2)
        assert row.longest == inside.max()


# ---- door ------------------------------------------------------------------------------------------------------------


def groups(seen: Measured) -> list[set[int]]:
    found: dict[int, set[int]] = {}
    for event in seen.of("group", "group_member"):
        found.setdefault(event.other_identity or event.identity, set()).add(event.identity)
    return sorted(found.values(), key=min)


@pytest.mark.slow
@GROUND
@CASES
def test_groups_staff_returns_and_passers_by_are_exact(seed: int, fps: float, ground: bool) -> None:
    seen = measured("door", seed=seed, fps=fps, ground=ground)
    plan = seen.recording.scene.plan
    roles = {role: {who for who, one in plan.roles.items() if one == role} for role in set(plan.roles.values())}
    assert groups(seen) == [set(group) for group in plan.groups]
    assert {event.place for event in seen.of("group", "group_member")} == {"door"}
    assert [event.value for event in seen.of("group")] == [len(group) for group in plan.groups]
    assert {event.identity for event in seen.of("staff")} == roles["staff"]
    assert len(seen.of("staff")) == 2
    assert {event.identity for event in seen.of("re_entry")} == roles["re-entry"]
    assert {event.identity for event in seen.of("passing")} == roles["passer-by"] | roles["hesitant"]
    assert len(seen.of("passing")) == 6


def test_moments_of_the_door_are_those_of_its_passages() -> None:
    seen = measured("door", fps=QUICK)
    scene = seen.recording.scene
    truth = {(one.identity, one.direction): one.time_s for one in scene.crossings(scene.plan.lines_m["passing"])}
    for event in seen.of("passing"):
        assert abs(event.time_s - truth[event.identity, 1 if event.direction == "in" else -1]) <= 0.3
    [back] = seen.of("re_entry")
    passed = [one for one in scene.crossings(scene.plan.lines_m["door"]) if one.identity == back.identity]
    assert [one.direction for one in passed] == [1, -1, 1]
    found = [one.time_s for one in seen.of("crossing") if (one.place, one.identity) == ("door", back.identity)]
    assert back.value == pytest.approx(found[2] - found[1])
    # The foot goes out before the centre does, and comes in after it; hidden between two sights at times.
    assert back.value == pytest.approx(passed[2].time_s - passed[1].time_s, abs=1.0)
    # At the desk from the beginning; a foot that is out of the zone for a second does not count.
    assert all(10.0 <= event.time_s <= 12.0 for event in seen.of("staff"))


def test_the_table_of_the_door_and_both_ratios() -> None:
    seen = measured("door", fps=QUICK)
    [row] = visitors(seen.events, seen.site)
    assert (row.entries, row.exits, row.staff, row.re_entries, row.visitors) == (10, 4, 1, 1, 8)
    assert (row.groups, row.grouped, row.parties, row.passers_by) == (2, 5, 5, 6)
    assert row.capture_of_passing == pytest.approx(8 / 6)
    assert row.capture_of_all == pytest.approx(8 / 14)
    bins = visitors(seen.events, seen.site, bin_s=15)
    assert [one.start_ms for one in bins] == [0, 15_000, 30_000]
    assert Counter({"in": sum(one.entries for one in bins), "by": sum(one.passers_by for one in bins)}) == {
        "in": 10,
        "by": 6,
    }
    assert bins[0].groups == bins[1].groups == 1


# ---- bays ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@CASES
def test_bays_are_taken_and_free_when_they_are(seed: int, fps: float) -> None:
    seen = measured("bays", seed=seed, fps=fps)
    scene = seen.recording.scene
    truth = occupied_bays(scene)
    found = parkings(seen.events)
    expected = [
        (name, low, high)
        for name in whole_bays(scene)
        for low, high in truth[name]
        if high - low >= 10 + 1.5  # the time that a vehicle needs to be in the bay as a whole
    ]
    assert len(expected) >= 5
    assert SIZE[0] == scene.size[0]
    assert sorted((one.place, one.seen) for one in found) == sorted((name, low > 0) for name, low, _ in expected)
    for name, low, high in expected:
        [one] = [one for one in found if one.place == name and abs(one.taken_ms / 1000 - low) < 5]
        assert one.taken_ms / 1000 == pytest.approx(low, abs=1.0)
        if one.free_ms is not None:
            assert one.free_ms / 1000 == pytest.approx(high, abs=1.0)
        else:
            assert high >= scene.duration_s - 10
