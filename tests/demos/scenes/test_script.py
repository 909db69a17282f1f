"""Each scripted scene shows the situation in its name."""

from __future__ import annotations

import numpy as np
import pytest

from demos.scenes import script

SIZE = (320, 180)


def series(scene, identity, field, fps=10):
    """``field`` of one identity over time, ``nan`` where it is not in the truth."""
    values = []
    for truth in scene.truths(fps):
        row = np.flatnonzero(truth.ids == identity)
        values.append(np.asarray(getattr(truth, field))[row[0]] if len(row) else np.nan)
    return values


def test_crossing_hides_the_farther_person_for_a_moment():
    near, far = (np.array(series(script.crossing(size=SIZE), identity, "visibility")) for identity in (1, 2))
    assert near[10:50].min() == 1
    assert far[27:34].min() < 0.5
    assert far[15] == far[45] == 1


def test_full_occlusion_lasts_about_a_second_and_keeps_the_amodal_box():
    scene = script.full_occlusion(size=SIZE)
    hidden = np.array(series(scene, 1, "visibility")) == 0
    assert 5 <= hidden.sum() <= 20
    truth = scene.truth(np.flatnonzero(hidden)[3] / 10)
    assert truth.areas_px[0] == 0
    assert truth.amodal_boxes[0, 3] - truth.amodal_boxes[0, 1] > 40


def test_exit_and_reentry_keeps_the_identity():
    present = [1 in truth.ids for truth in script.exit_and_reentry(size=SIZE, away_s=3.0).truths(10)]
    changes = np.flatnonzero(np.diff(np.array(present).astype(int)))
    assert present[0]
    assert present[-1]
    assert len(changes) == 2
    assert (changes[1] - changes[0]) / 10 >= 3.0


def test_empty_has_nobody():
    truth = script.empty(size=SIZE).truth(1.0)
    assert len(truth) == 0
    assert truth.masks().shape == (0, 180, 320)


def test_u_turn_comes_back():
    boxes = np.array(series(script.u_turn(size=SIZE), 1, "boxes"))
    centre = (boxes[:, 0] + boxes[:, 2]) / 2
    turn = int(np.argmax(centre))
    assert 20 < turn < 55
    assert centre[turn] - centre[0] > 60
    assert centre[turn] - centre[-1] > 60


def test_group_walk_overlaps_all_the_way():
    for truth in script.group_walk(size=SIZE).truths(2):
        assert len(truth) == 4
        assert truth.visibility[0] == 1
        assert (truth.visibility[1:] < 1).all()
    middle = script.group_walk(size=SIZE).truth(2.0)
    assert (middle.visibility[1:] < 0.6).all()


def test_overtaking_swaps_the_order():
    scene = script.overtaking(size=SIZE)
    early, late = scene.truth(2.0), scene.truth(3.5)
    assert early.class_ids.tolist() == [2, 2]
    ahead = [truth.boxes[1, 0] - truth.boxes[0, 0] for truth in (early, late)]
    assert ahead[0] < 0 < ahead[1]
    assert np.nanmin(series(scene, 1, "visibility")) < 0.85


def test_stop_and_go_stops():
    speeds = np.array(series(script.stop_and_go(size=SIZE), 1, "speeds_m_s"))
    assert (speeds < 0.05).sum() >= 15
    assert np.nanmax(speeds[:15]) > 1.0
    assert np.nanmax(speeds[-20:]) > 1.0


@pytest.mark.parametrize("count", [1, 40])
def test_dense_shows_all_of_them_inside_the_picture(count):
    scene = script.dense(count, rng=np.random.default_rng(1), size=(640, 360), duration_s=3.0)
    truth = scene.truth(1.5)
    assert truth.ids.tolist() == list(range(1, count + 1))
    assert (truth.amodal_boxes[:, 0] > -5).all()
    assert (truth.amodal_boxes[:, 2] < 645).all()
    assert (truth.areas_px > 0).mean() > 0.9
