"""Candidate pairs and affinities against the plain all-pairs functions."""

from __future__ import annotations

import numpy as np
import pytest

from tracker import boxes as box_math
from tracker.associate import affinity, occlusion, silhouettes
from tracker.types import GridMasks


def some_boxes(generator: np.random.Generator, count: int) -> np.ndarray:
    corners = generator.uniform(0, 500, (count, 2))
    return np.concatenate([corners, corners + generator.uniform(1, 80, (count, 2))], axis=1).T


@pytest.mark.parametrize("dense_pairs", [0, 10**9], ids=["sorted", "dense"])
@pytest.mark.parametrize(("count", "other"), [(0, 5), (5, 0), (1, 1), (40, 60)])
def test_candidates_are_exactly_the_overlapping_pairs(
    monkeypatch: pytest.MonkeyPatch, dense_pairs: int, count: int, other: int
) -> None:
    monkeypatch.setattr(affinity, "DENSE_PAIRS", dense_pairs if count * other else 10**9)
    generator = np.random.default_rng(count + other)
    a, b = some_boxes(generator, count), some_boxes(generator, other)
    rows, columns = affinity.overlapping_pairs(a, b)
    expected = np.nonzero(box_math.intersections(a.T, b.T) > 0)
    np.testing.assert_array_equal(rows, expected[0])
    np.testing.assert_array_equal(columns, expected[1])
    np.testing.assert_allclose(affinity.buffered_iou(a[:, rows], b[:, columns]), box_math.iou(a.T, b.T)[rows, columns])


def test_boxes_around_centres_equal_the_public_function() -> None:
    boxes = some_boxes(np.random.default_rng(0), 9)
    x, y, width, height = box_math.cxcywh(boxes.T).T
    enlarged = affinity.around(np.stack([x, y]), np.stack([width, height]) * 0.8)
    np.testing.assert_allclose(enlarged.T, box_math.expand(boxes.T, 0.3))


def test_a_box_is_hidden_only_by_what_stands_nearer() -> None:
    behind = np.array([[0.0], [0.0], [10.0], [20.0]])
    nearer = np.array([[0.0], [0.0], [10.0], [30.0]])
    assert occlusion.hidden_share(behind, nearer) == pytest.approx([1.0])
    assert occlusion.hidden_share(nearer, behind) == pytest.approx([0.0])
    assert occlusion.hidden_share(behind, np.zeros((4, 0))) == pytest.approx([0.0])


def ellipse_masks(boxes: np.ndarray, step: float = 4.0) -> GridMasks:
    x = (np.arange(160) + 0.5) * step
    y = (np.arange(120) + 0.5) * step
    grids = [
        255.0 * (((x - (a + c) / 2) / (c - a) * 2) ** 2 + ((y[:, None] - (b + d) / 2) / (d - b) * 2) ** 2 <= 1)
        for a, b, c, d in boxes.T
    ]
    return GridMasks(probabilities=np.array(grids, np.uint8), step_px=(step, step), image_size=(640, 480))


def full_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two ellipses in their boxes, on a fine grid."""
    x, y = np.arange(0, 640, 0.5), np.arange(0, 480, 0.5)[:, None]
    inside = [
        ((x - (p + r) / 2) / (r - p) * 2) ** 2 + ((y - (q + s) / 2) / (s - q) * 2) ** 2 <= 1 for p, q, r, s in (a, b)
    ]
    return float((inside[0] & inside[1]).sum() / (inside[0] | inside[1]).sum())


def test_overlap_of_moved_silhouettes_is_that_of_the_shapes() -> None:
    start = np.array([[100.0, 100, 200, 300]]).T
    crops = silhouettes.crop(ellipse_masks(start), start, np.array([0]))
    moved = np.array([[130.0, 120, 230, 320], [300.0, 100, 400, 300], [150.0, 100, 210, 220]]).T
    other = silhouettes.crop(ellipse_masks(moved), moved, np.arange(3))
    rows, columns = np.zeros(3, np.int64), np.arange(3)
    for place in (start, start + 20):
        got = silhouettes.mask_iou(crops, place, other, moved, rows=rows, columns=columns)
        expected = [full_iou(place[:, 0], moved[:, k]) for k in range(3)]
        np.testing.assert_allclose(got, expected, atol=0.06)
    same = silhouettes.mask_iou(crops, start, crops, start, rows=rows[:1], columns=rows[:1])
    assert same[0] == pytest.approx(1.0)


def test_a_track_without_silhouette_overlaps_nothing() -> None:
    box = np.array([[100.0, 100, 200, 300]]).T
    crops = silhouettes.crop(ellipse_masks(box), box, np.array([0]))
    none = np.zeros_like(crops)
    got = silhouettes.mask_iou(none, box, crops, box, rows=np.array([0]), columns=np.array([0]))
    assert got[0] == 0


def test_boxes_past_the_image_are_sampled_at_its_edge() -> None:
    box = np.array([[-50.0, -50, 700, 600]]).T
    masks = ellipse_masks(np.array([[0.0, 0, 640, 480]]).T)
    assert silhouettes.crop(masks, box, np.array([0])).shape == (1, silhouettes.CELLS**2)
