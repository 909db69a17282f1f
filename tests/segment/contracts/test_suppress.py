"""Non-maximum suppression of random boxes and masks equals its definition, one pair at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.boxes import iou
from tracker.segment.contracts.box_maps import box_maps
from tracker.segment.contracts.suppress import fast_nms, greedy_nms, mask_overlaps, top_rows


@st.composite
def some_boxes(draw: st.DrawFn) -> np.ndarray:
    """Up to 25 boxes on a small grid of halves, so that equal and touching ones are common."""
    count = draw(st.integers(0, 25))
    values = draw(st.lists(st.integers(0, 12), min_size=4 * count, max_size=4 * count))
    corners = np.array(values, np.float32).reshape(count, 4) / 2
    return np.concatenate([corners[:, :2], corners[:, :2] + corners[:, 2:]], axis=1)


@settings(deadline=None)
@given(some_boxes(), st.sampled_from([0.3, 0.5, 0.7]))
def test_fast_nms_is_suppressed_by_any_better_box(boxes: np.ndarray, threshold: float) -> None:
    overlaps = iou(boxes, boxes)
    expected = [all(overlaps[better, row] <= threshold for better in range(row)) for row in range(len(boxes))]
    assert fast_nms(boxes, threshold).tolist() == expected


@settings(deadline=None)
@given(some_boxes(), st.sampled_from([0.3, 0.5, 0.7]), st.integers(1, 25), st.data())
def test_greedy_nms_is_suppressed_by_kept_boxes_of_its_class(
    boxes: np.ndarray, threshold: float, most: int, data: st.DataObject
) -> None:
    ids = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(boxes), max_size=len(boxes))), np.int64)
    for class_ids in (ids, None):
        overlaps = iou(boxes, boxes)
        kept: list[int] = []
        for row in range(len(boxes)):
            rivals = [other for other in kept if class_ids is None or class_ids[other] == class_ids[row]]
            if len(kept) < most and all(overlaps[other, row] <= threshold for other in rivals):
                kept.append(row)
        empty = boxes[:, 2:] <= boxes[:, :2]
        if empty.any():  # boxes without area are undefined in the reference (0 / 0) and dropped by the segmenter
            return
        assert greedy_nms(boxes, class_ids, threshold, most).tolist() == kept


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=40), st.integers(1, 50))
def test_top_rows_are_the_best_in_order(values: list[int], count: int) -> None:
    scores = np.array(values, np.float32)
    rows = top_rows(scores, count)
    assert scores[rows].tolist() == sorted(values, reverse=True)[:count]
    assert len(set(rows.tolist())) == len(rows)


@settings(deadline=None)
@given(st.integers(0, 12), st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_overlaps_of_masks_are_shares_of_their_unions(count: int, cells: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks, class_ids = rng.random((count, cells)) < rng.random((count, 1)), rng.integers(0, 2, count)
    for ids in (None, class_ids):
        found = mask_overlaps(masks, ids)
        for row in range(count):
            for other in range(count):
                counted = row < other and (ids is None or ids[row] == ids[other])
                union = (masks[row] | masks[other]).sum()
                expected = (masks[row] & masks[other]).sum() / max(union, 1) if counted else 0
                assert found[row, other] == np.float32(expected)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_maps_of_boxes_are_bilinear_at_the_middles_of_their_parts(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    field = rng.random((height, width), np.float32)
    (left, right), (top, bottom) = np.sort(rng.uniform(0, width, 2)), np.sort(rng.uniform(0, height, 2))
    cells = 48
    found = box_maps(field, np.array([left, top, right, bottom]), (cells, cells))
    x = np.clip(left + (np.arange(cells) + 0.5) * (right - left) / cells - 0.5, 0, width - 1)
    y = np.clip(top + (np.arange(cells) + 0.5) * (bottom - top) / cells - 0.5, 0, height - 1)
    rows = np.array([np.interp(x, np.arange(width), row) for row in field])
    expected = np.array([np.interp(y, np.arange(height), column) for column in rows.T]).T
    np.testing.assert_allclose(found, expected, atol=1e-5)
