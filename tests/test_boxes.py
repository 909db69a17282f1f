"""Box algebra: laws that hold for every box, and hand-computed cases."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tracker import boxes

finite = st.floats(-2000, 2000, allow_nan=False, width=32).map(lambda x: round(x, 2))


@st.composite
def some_boxes(draw: st.DrawFn) -> np.ndarray:
    corners = draw(arrays(np.float64, (draw(st.integers(0, 6)), 4), elements=finite))
    return np.concatenate([np.minimum(corners[:, :2], corners[:, 2:]), np.maximum(corners[:, :2], corners[:, 2:])], 1)


@given(some_boxes(), some_boxes())
def test_iou_is_symmetric_and_bounded(a: np.ndarray, b: np.ndarray) -> None:
    overlap = boxes.iou(a, b)
    assert overlap.shape == (len(a), len(b))
    assert ((overlap >= 0) & (overlap <= 1 + 1e-9)).all()
    np.testing.assert_allclose(overlap, boxes.iou(b, a).T)


@given(some_boxes())
def test_iou_with_itself_is_one_unless_empty(a: np.ndarray) -> None:
    np.testing.assert_allclose(boxes.iou_paired(a, a), (boxes.areas(a) > 0).astype(float))
    np.testing.assert_allclose(np.diag(boxes.iou(a, a)), boxes.iou_paired(a, a))


@given(some_boxes())
def test_conversions_return(a: np.ndarray) -> None:
    np.testing.assert_allclose(boxes.xyxy_from_cxcywh(boxes.cxcywh(a)), a, atol=1e-9)
    np.testing.assert_allclose(boxes.xyxy_from_xywh(boxes.xywh(a)), a, atol=1e-9)


@given(some_boxes(), st.floats(0, 3))
def test_expanding_grows_area_by_the_square(a: np.ndarray, fraction: float) -> None:
    np.testing.assert_allclose(
        boxes.areas(boxes.expand(a, fraction)), boxes.areas(a) * (1 + 2 * fraction) ** 2, rtol=1e-6, atol=1e-6
    )


@given(some_boxes())
def test_clipping_stays_inside_and_is_idempotent(a: np.ndarray) -> None:
    clipped = boxes.clip(a, 640, 360)
    assert (clipped >= 0).all()
    assert (clipped[:, [0, 2]] <= 640).all()
    assert (clipped[:, [1, 3]] <= 360).all()
    np.testing.assert_array_equal(boxes.clip(clipped, 640, 360), clipped)


def test_known_overlap() -> None:
    a = np.array([[0, 0, 10, 10]], np.float32)
    b = np.array([[5, 5, 15, 15], [0, 0, 10, 10], [20, 20, 30, 30]], np.float32)
    np.testing.assert_allclose(boxes.iou(a, b), [[25 / 175, 1, 0]], rtol=1e-6)
    assert boxes.iou(a, b).dtype == np.float32


def test_zero_boxes_keep_their_shape() -> None:
    none = np.zeros((0, 4), np.float32)
    assert boxes.iou(none, none).shape == (0, 0)
    assert boxes.cxcywh(none).shape == (0, 4)
    assert boxes.expand(none, 0.3).shape == (0, 4)
