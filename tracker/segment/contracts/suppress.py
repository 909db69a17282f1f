"""Non-maximum suppression, greedy, Fast, of masks and matrix NMS; top-k rows, plausible rows; pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tracker import boxes as box_algebra

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["fast_nms", "greedy_nms", "mask_nms", "mask_overlaps", "matrix_nms", "plausible_rows", "top_rows"]

WORD = 64


def top_rows(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Rows of the ``count`` best scores, best first; ties keep their order.

    >>> top_rows(np.array([0.2, 0.9, 0.5], np.float32), 2)
    array([1, 2])
    """
    if len(scores) > count:
        chosen = np.sort(np.argpartition(-scores, count - 1)[:count])
        return chosen[np.argsort(-scores[chosen], kind="stable")]
    return np.argsort(-scores, kind="stable")


def plausible_rows(boxes: NDArray[np.floating], class_ids: NDArray[np.integer]) -> NDArray[np.int64]:
    """Rows with a finite box and a class from 0; others would be cast to nonsense, or count from the last class.

    >>> plausible_rows(np.array([[0, 0, 1, 1], [0, np.nan, 1, 1], [0, 0, 1, 1]]), np.array([2, 0, -1]))
    array([0])
    """
    return np.asarray((np.isfinite(boxes).all(axis=1) & (class_ids >= 0)).nonzero()[0])


def fast_nms(boxes: NDArray[np.float32], iou_threshold: float) -> NDArray[np.bool_]:
    """Fast NMS (YOLACT, Bolya et al. 2019, section 3.3): a box is dropped when any better box overlaps it, kept or not.

    Args:
        boxes: ``(N, 4)`` xyxy, best first.
        iou_threshold: Overlap above which the weaker box goes.

    Returns:
        ``(N,)`` bool, which rows stay.

    >>> fast_nms(np.array([[0, 0, 4, 4], [0, 0, 4, 3], [9, 9, 10, 10]], np.float32), 0.5)
    array([ True, False,  True])
    """
    if not len(boxes):
        return np.zeros(0, np.bool_)
    overlaps = np.triu(box_algebra.iou(boxes, boxes), 1)  # (N, N), row = better box
    return np.asarray(overlaps.max(axis=0) <= iou_threshold)


def greedy_nms(
    boxes: NDArray[np.float32], class_ids: NDArray[np.int64] | None, iou_threshold: float, max_kept: int
) -> NDArray[np.int64]:
    """Greedy NMS: from the best box down, each kept box removes the weaker ones that it overlaps.

    Costs O(kept x N), so that a thousand candidates of a crowd stay cheap.

    Args:
        boxes: ``(N, 4)`` xyxy, best first.
        class_ids: ``(N,)``; boxes of different classes never suppress one another. ``None`` = across classes.
        iou_threshold: Overlap above which the weaker box goes.
        max_kept: Stop after this many.

    Returns:
        Kept row numbers, best first.

    >>> greedy_nms(np.array([[0, 0, 4, 4], [0, 0, 4, 3], [0, 0, 4, 3]], np.float32), np.array([0, 0, 1]), 0.5, 10)
    array([0, 2])
    """
    if not len(boxes):
        return np.zeros(0, np.int64)
    if class_ids is not None:
        # One far-away plane per class makes a single pass class-aware (torchvision's batched_nms trick).
        span = float(boxes.max() - boxes.min()) + 1.0
        boxes = boxes + (class_ids * span).astype(np.float32)[:, None]
    left, top, right, bottom = np.ascontiguousarray(boxes.T)  # (N,) each
    sizes = np.maximum(right - left, 0) * np.maximum(bottom - top, 0)
    alive = np.ones(len(boxes), np.bool_)
    kept: list[int] = []
    row = 0
    while len(kept) < max_kept:
        kept.append(row)
        alive[row] = False
        width = np.minimum(right, right[row]) - np.maximum(left, left[row])
        height = np.minimum(bottom, bottom[row]) - np.maximum(top, top[row])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        # shared / (a + b - shared) > t without the division, which an empty box would make 0 / 0.
        alive &= shared <= iou_threshold * (sizes + sizes[row] - shared)
        row = int(alive.argmax())
        if not alive[row]:
            break
    return np.asarray(kept, np.int64)


def mask_nms(masks: Sequence[NDArray[np.bool_]], iou_threshold: float) -> NDArray[np.int64]:
    """Greedy NMS by mask overlap, across classes.

    Args:
        masks: ``N`` silhouettes ``(h, w)``, best first.
        iou_threshold: Overlap above which the weaker mask goes.

    Returns:
        Kept row numbers, best first.

    >>> one, other = np.eye(4, dtype=np.bool_), np.ones((4, 4), np.bool_)
    >>> mask_nms([one, one, other], 0.5)
    array([0, 2])
    """
    if not len(masks):
        return np.zeros(0, np.int64)
    overlaps = np.maximum(upper := mask_overlaps(np.reshape(masks, (len(masks), -1))), upper.T)
    kept: list[int] = []
    for row in range(len(masks)):
        if not kept or overlaps[row, kept].max() <= iou_threshold:
            kept.append(row)
    return np.asarray(kept, np.int64)


def matrix_nms(
    masks: NDArray[np.bool_], class_ids: NDArray[np.int64], scores: NDArray[np.float32], *, sigma: float = 2.0
) -> NDArray[np.float32]:
    """Scores after matrix NMS with the Gaussian decay (SOLOv2, Wang et al. 2020, equation 4).

    ``s_j * min_i f(IoU_ij) / f(max_k IoU_ki)`` over better masks i of the class of j, k better than i; ``f(x) =
    exp(-sigma x^2)``.

    Args:
        masks: ``(N, cells)`` bool, best first.
        class_ids: ``(N,)``.
        scores: ``(N,)``.
        sigma: Of the decay.

    >>> masks = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], np.bool_)
    >>> matrix_nms(masks, np.zeros(3, np.int64), np.array([0.9, 0.8, 0.7], np.float32))
    array([0.9       , 0.10826822, 0.7       ], dtype=float32)
    """
    if not len(masks):
        return scores
    overlaps = mask_overlaps(masks, class_ids)  # (N, N), row = better mask
    compensation = overlaps.max(axis=0)[:, None]  # of the better mask
    decay = np.exp(sigma * (compensation**2 - overlaps**2)).min(axis=0)
    return np.asarray(scores * decay, np.float32)


def mask_overlaps(masks: NDArray[np.bool_], class_ids: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
    """IoU ``(N, N)`` of silhouettes ``(N, cells)``, above the diagonal; below it, and between classes, 0.

    Cells are counted 64 at a time: 100 silhouettes of 112 x 192 cells take 5 ms in one class, a product of floats 7.

    >>> mask_overlaps(np.array([[1, 1, 0], [0, 1, 1]], np.bool_)).tolist()
    [[0.0, 0.3333333432674408], [0.0, 0.0]]
    """
    bits = np.packbits(np.pad(masks, ((0, 0), (0, -masks.shape[1] % WORD))), axis=1).view(np.uint64)
    areas = np.bitwise_count(bits).sum(axis=1, dtype=np.int64)
    overlaps = np.zeros((len(masks), len(masks)), np.float32)
    for row in range(len(masks) - 1):
        others = np.arange(row + 1, len(masks))
        if class_ids is not None:
            others = others[class_ids[row + 1 :] == class_ids[row]]
        shared = np.bitwise_count(bits[others] & bits[row]).sum(axis=1, dtype=np.int64)
        overlaps[row, others] = shared / np.maximum(areas[row] + areas[others] - shared, 1)
    return overlaps
