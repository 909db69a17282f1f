"""Every edge script is what it says: counts, moments and stays by hand, and the fault where it was put."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import numpy as np
import pytest

from demos.scenes.edges import EDGES, edge, raw_counts

near = pytest.approx


def passages(name: str) -> list[tuple[float, int, int]]:
    """``(time, identity, direction)`` of the script's line."""
    scene = edge(name).scene
    return [(one.time_s, one.identity, one.direction) for one in scene.crossings(scene.plan.lines_m["line"])]


def stays(name: str) -> list[tuple[str, int, float, float, str, str]]:
    scene = edge(name).scene
    return [
        (one.zone, one.identity, one.entered_s, one.left_s, one.began, one.end)
        for one in scene.stays(scene.plan.zones_m)
    ]


@pytest.mark.parametrize("name", sorted(EDGES))
def test_counts_follow_from_the_geometry(name):
    recording = edge(name)
    assert recording.name == name
    assert recording.scene.plan.lines_m.keys() == recording.counts.keys()
    if name != "sway_on_line":
        assert raw_counts(recording) == recording.counts


@pytest.mark.parametrize("name", sorted(EDGES))
def test_someone_shows_and_every_frame_is_fast(name):
    recording = edge(name)
    begin = time.process_time()
    shown = [int((recording.observe(t).areas_px > 20).sum()) for t in recording.times(5.0)]
    assert max(shown) >= 1
    assert (time.process_time() - begin) / len(shown) < 0.02


def test_an_unknown_script_is_named_with_the_list():
    with pytest.raises(ValueError, match=r"'nothing': expected one of along_line, already_inside"):
        edge("nothing")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lands_on_line", [(2.0, 1, 1)]),
        ("u_turn_on_line", [(1.0, 1, 1), (3.0, 1, -1)]),
        ("line_end", [(2.0, 1, 1)]),
        ("on_vertex", [(2.0, 1, 1)]),
        ("cut_corner", [(1.0, 1, 1), (1.4, 1, -1)]),
        ("simultaneous", [(2.0, n, 1) for n in (1, 2, 3, 4, 5)]),
        ("fast", [(0.8, 1, -1)]),
        ("outage", [(2.0, 1, 1), (4.5, 2, 1), (8.5, 3, 1)]),
        ("dst_night", [(2.0, 1, 1), (22.0, 2, 1)]),
        ("occluded_feet", [(2.5, 1, 1)]),
    ],
)
def test_moments_of_passages(name, expected):
    assert passages(name) == [(near(moment, abs=1e-9), who, direction) for moment, who, direction in expected]


@pytest.mark.parametrize(("name", "low", "high"), [("loiter_on_line", 2.0, 62.0), ("along_line", 2.0, 6.0)])
def test_a_stop_on_the_line_is_one_passage_that_lasts(name, low, high):
    scene = edge(name).scene
    (one,) = scene.crossings(scene.plan.lines_m["line"])
    assert (one.time_s, one.left_s, one.direction) == (near(low, abs=1e-3), near(high, abs=1e-3), 1)


def test_a_sway_changes_sides_eleven_times():
    # At rest 5 cm left at 2 s, then right, left, ... eleven times in all, left at last: 11 changes.
    assert [direction for _, _, direction in passages("sway_on_line")] == [1, -1] * 5 + [1]
    assert edge("sway_on_line").counts == {"line": (1, 0)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "appears_inside",
            [("zone", 2, 1.5, 3.0, "entered", "lost"), ("zone", 1, 1.0, 2.0, "appeared", "left")],
        ),
        (
            "already_inside",
            [("zone", 1, 0.0, 1.0, "already_inside", "left"), ("zone", 2, 0.0, 3.0, "already_inside", "open")],
        ),
        ("cut_zone_corner", [("zone", 1, 1.0, 1.2, "entered", "left")]),
        ("zone_hole", [("zone", 1, 1.0, 1.5, "entered", "left"), ("zone", 1, 2.5, 3.0, "entered", "left")]),
        ("shared_edge", [("left", 1, 0.0, 6.0, "already_inside", "open")]),
        (
            "steps_out_briefly",
            [("zone", 1, 1.0, 3.0, "entered", "left"), ("zone", 1, 3.5, 5.5, "entered", "left")],
        ),
        ("uneven_frames", [("zone", 1, 1.0, 3.0, "entered", "left")]),
        # 1 m at 50 m/s, from y = -4 on: 20 ms.
        ("fast", [("thin", 1, 0.88, 0.9, "entered", "left")]),
        ("parked_renamed", [("zone", 1, 0.0, 20.0, "already_inside", "open")]),
    ],
)
def test_stays_in_zones(name, expected):
    found = sorted(stays(name))
    assert found == [
        (zone, who, near(low, abs=1e-9), near(high, abs=1e-9), began, end)
        for zone, who, low, high, began, end in sorted(expected)
    ]


def test_the_line_near_the_edge_lies_three_pixels_from_it():
    scene = edge("near_edge").scene
    line = scene.plan.lines_m["line"]
    assert scene.on_picture(line)[:, 0] == near([3.0, 3.0])
    assert [one.position_px[0] for one in scene.crossings(line)] == near([3.0, 3.0])
    assert {(one.identity, one.direction) for one in scene.crossings(line)} == {(1, 1), (2, -1)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("lands_on_line", ["seen"]), ("occluded_feet", ["hidden"]), ("feet_behind_neighbour", ["seen", "hidden"])],
)
def test_contacts_at_the_line(name, expected):
    scene = edge(name).scene
    assert [one.contact for one in scene.crossings(scene.plan.lines_m["line"], contacts=True)] == expected


def test_a_visible_contact_is_the_projected_ground_point():
    scene = edge("lands_on_line", (640, 360)).scene
    for truth in scene.truths(5):
        assert truth.contact_shown[0] == 1.0
        # Away from the middle one foot is lower in the picture: within the silhouette's half width of 0.24 m.
        foot = scene.on_ground(truth.contact_px)[0]
        assert np.linalg.norm(foot - truth.positions_m[0]) < 0.25
    middle = scene.truth(2.0)
    assert middle.contact_px[0] == near(middle.ground_px[0], abs=0.6)


def test_hidden_feet_keep_their_contact_point():
    truth = edge("occluded_feet", (640, 360)).scene.truth(2.5)
    assert 0.3 < truth.visibility[0] < 0.8
    assert truth.contact_shown[0] == 0.0
    assert truth.boxes[0, 3] < truth.contact_px[0, 1] - 20
    assert truth.contact_px[0] == near(truth.ground_px[0], abs=0.6)


def test_a_contact_past_the_picture_is_outside():
    scene = edge("near_edge", (640, 360)).scene
    assert scene.truth(4.7).contact(1) == "outside"
    assert scene.truth(4.7).contact_shown[0] < 0.01
    assert scene.truth(3.0).contact(1) == "seen"


def test_faults_change_what_is_observed_and_nothing_else():
    ids = [edge("id_switch").observe(t).ids.tolist() for t in (1.99, 2.0, 3.0)]
    assert ids == [[1], [2], [2]]
    before, after = edge("id_swap").observe(1.96), edge("id_swap").observe(2.04)
    assert before.positions_m[:, 1] == near([-0.04, 0.04])
    assert after.positions_m[:, 1] == near([-0.04, 0.04])
    np.testing.assert_array_equal(after.labels[after.labels > 0].min(), 1)
    missed = edge("gap")
    assert [len(missed.observe(t)) for t in (1.4, 1.5, 2.4, 2.5)] == [1, 0, 0, 1]
    assert not missed.observe(2.0).labels.any()
    assert [edge("class_flip").observe(t).class_ids.tolist() for t in (1.7, 1.8, 2.2)] == [[0], [1], [0]]
    assert [edge("parked_renamed").observe(t).ids.tolist() for t in (0, 4.9, 5, 12, 19)] == [[1], [1], [2], [3], [4]]


def test_frame_times_have_outages_and_wander():
    times = edge("outage").times(25.0)
    assert len(times) == 263 - 75
    assert not ((times >= 3.0) & (times < 6.0)).any()
    uneven = edge("uneven_frames").times(12.5)
    steps = np.diff(uneven)
    assert len(uneven) == 50
    assert (steps > 0).all()
    assert steps.max() > 1.3 * steps.min()
    np.testing.assert_array_equal(uneven, edge("uneven_frames").times(12.5))


def test_the_second_hour_of_the_autumn_night():
    recording = edge("dst_night")
    assert recording.captured_at(12.0) == datetime(2026, 10, 25, 1, 0, tzinfo=UTC)
    assert edge("gap").captured_at(1.0) is None


@pytest.mark.parametrize("fps", [25.0, 12.5, 4.2])
def test_tracked_frames_carry_the_true_masks_under_the_observed_numbers(fps):
    recording = edge("id_swap")
    frames = list(recording.tracked(fps))
    assert [one.frame.time_s for one in frames] == recording.times(fps).tolist()
    for one in frames:
        truth = recording.observe(one.frame.time_s)
        for identity, row in zip(one.tracks.ids, one.tracks.detection_rows, strict=True):
            mine = int(np.flatnonzero(truth.ids == identity)[0])
            np.testing.assert_array_equal(one.instances.boxes[row], truth.boxes[mine])
            np.testing.assert_array_equal(one.instances.masks.probabilities[row] > 127, truth.mask(mine))


def test_a_missed_identity_coasts_and_one_that_is_gone_ends_once():
    frames = list(edge("gap").tracked(10.0))
    rows = {round(one.frame.time_s, 1): one.tracks.detection_rows.tolist() for one in frames}
    assert (rows[1.4], rows[1.5], rows[2.4], rows[2.5]) == ([0], [-1], [-1], [0])
    assert not any(len(one.tracks.ended_ids) for one in frames)
    renamed = list(edge("parked_renamed").tracked(5.0))
    ended = [(one.frame.time_s, who) for one in renamed for who in one.tracks.ended_ids.tolist()]
    assert ended == [(7.0, 1), (12.0, 2), (17.0, 3)]
    assert renamed[-1].tracks.ids.tolist() == [4]
