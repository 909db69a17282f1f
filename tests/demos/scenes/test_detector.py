"""A perfect detector agrees with the truth; each imperfection does what it says."""

from __future__ import annotations

import numpy as np
import pytest

from demos.scenes import script
from demos.scenes.detector import detect, grid_masks
from tracker import boxes as box_math


@pytest.fixture(scope="module")
def truth():
    return script.group_walk(size=(640, 360)).truth(0.8)


@pytest.fixture(scope="module")
def crowd():
    return script.dense(60, rng=np.random.default_rng(2), size=(640, 360), duration_s=2.0).truth(1.0)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_perfect_boxes_and_masks(truth):
    found = detect(truth, rng=rng())
    assert len(found) == 4
    assert (np.diff(found.scores) <= 0).all()
    overlap = box_math.iou(found.boxes, truth.boxes)
    assert (overlap.max(axis=1) == 1).all()
    for row in range(len(found)):
        own = int(overlap[row].argmax())
        lifted, exact = found.masks.full(row, found.boxes[row]), truth.mask(own)
        # Slivers two cells wide lose the most on a grid of four pixels.
        assert (lifted & exact).sum() / (lifted | exact).sum() > (0.9 if truth.visibility[own] == 1 else 0.8)
    assert found.masks.step_px == (4.0, 4.0)
    assert found.masks.probabilities.shape == (4, 90, 160)


def test_scores_fall_with_visibility(truth):
    found = detect(truth, rng=rng())
    best = truth.boxes[int(truth.visibility.argmax())]
    assert found.boxes[0].tolist() == best.tolist()
    assert found.scores[0] == pytest.approx(0.95, abs=0.01)
    assert found.scores[-1] < 0.8


def test_grid_cells_hold_the_covered_share():
    labels = np.zeros((6, 8), np.uint16)
    labels[1:3, 0:4] = 1
    labels[5, 7] = 2
    grids = grid_masks(labels, [np.array([1]), np.array([2]), np.array([1, 2])], 4)
    assert grids[0].tolist() == [[128, 0], [0, 0]]
    assert grids[1].tolist() == [[0, 0], [0, 16]]
    assert grids[2].tolist() == [[128, 0], [0, 16]]


def test_an_empty_frame_has_no_instance():
    found = detect(script.empty(size=(64, 36)).truth(0.5), rng=rng(), embedding_size=8)
    assert len(found) == 0
    assert found.masks.probabilities.shape == (0, 9, 16)
    assert found.embeddings.shape == (0, 8)


def test_misses_are_as_many_as_asked(crowd):
    seen = len(detect(crowd, rng=rng()))
    left = [len(detect(crowd, rng=rng(seed), miss_rate=0.3)) for seed in range(10)]
    assert 0.4 * seen < np.mean(left) < 0.75 * seen


def test_jitter_moves_boxes_a_little(truth):
    clean, noisy = detect(truth, rng=rng()), detect(truth, rng=rng(), jitter=0.04)
    overlap = box_math.iou_paired(clean.boxes, noisy.boxes)
    assert (overlap < 1).all()
    assert (overlap > 0.6).all()
    lifted, box = noisy.masks.full(0, noisy.boxes[0]), noisy.boxes[0]
    rows, columns = np.nonzero(lifted)
    assert columns.min() >= box[0] - 4
    assert columns.max() <= box[2] + 4
    assert rows.max() <= box[3] + 4


def test_ghosts_are_extra_and_weak(truth):
    found = detect(truth, rng=rng(3), false_positives=4.0, embedding_size=16)
    assert len(found) > 4
    overlap = box_math.iou(found.boxes, truth.boxes).max(axis=1)
    assert (found.scores[overlap < 0.3] < 0.56).all()
    assert found.embeddings.shape == (len(found), 16)
    np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1), 1, atol=1e-5)


def test_merged_objects_come_out_as_one(truth):
    found = detect(truth, rng=rng(), merge_rate=1.0)
    assert len(found) == 1
    hull = [*truth.boxes[:, :2].min(axis=0), *truth.boxes[:, 2:].max(axis=0)]
    assert found.boxes[0].tolist() == hull
    assert found.masks.areas_px()[0] == pytest.approx(truth.areas_px.sum(), rel=0.1)


def test_class_noise_touches_vehicles_only(crowd):
    assert (detect(crowd, rng=rng(), class_noise=1.0).class_ids == 0).all()
    cars = script.overtaking(size=(320, 180)).truth(3.0)
    classes = {int(c) for seed in range(10) for c in detect(cars, rng=rng(seed), class_noise=1.0).class_ids}
    assert classes == {2, 4, 5}


def test_embeddings_tell_identities_apart(truth):
    first = detect(truth, rng=rng(1), embedding_size=32)
    second = detect(truth, rng=rng(2), embedding_size=32)
    likeness = first.embeddings @ second.embeddings.T
    assert (likeness.argmax(axis=1) == np.arange(4)).all()
    assert np.diag(likeness).min() > 0.7


def test_the_same_generator_state_gives_the_same_instances(truth):
    options = {"miss_rate": 0.2, "jitter": 0.05, "score_noise": 0.1, "false_positives": 2.0, "merge_rate": 0.2}
    first, again = (detect(truth, rng=rng(7), **options) for _ in range(2))
    np.testing.assert_array_equal(first.boxes, again.boxes)
    np.testing.assert_array_equal(first.scores, again.scores)
    np.testing.assert_array_equal(first.masks.probabilities, again.masks.probabilities)
