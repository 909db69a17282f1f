"""Clean-up rules of each benchmark, applied before metrics are counted.

Each benchmark forgives certain results. The rules kept here, by ``[Bench] protocol`` of ``seqinfo.ini``:

==============  =====================================================================================================
``mot17``       results on static persons, persons on vehicles, distractors and reflections are removed; only class 1
                with conf 1 counts (MOTChallenge, Dendorfer et al. 2020, section 4.1); ``mot16`` is the same, ``mot20``
                forgives results on vehicles without motors too
``kitti``       per class; results on the neighbouring class, on truncated or heavily occluded truth, of 25 px height or
                less, or more than half inside a DontCare region are removed (KITTI tracking, Geiger et al. 2012)
``kittimots``   per class; unmatched masks more than half inside an ignore region are removed (MOTS, section 5)
``plain``       per class of the truth; truth with conf 0 is dropped (``mot15`` is the same)
==============  =====================================================================================================

A result without a class (-1) is of the class that is scored. Where the truth says no class, every result counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker import boxes as box_math
from tracker.formats.mots import MOTS_IGNORE
from tracker.measure.truth import CLASS, CONF, ID, MOT_DISTRACTORS, X1, Y1, Y2

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracker.formats.mots import MaskRow
    from tracker.measure.truth import Table, Truth

__all__ = ["OVERLAP", "Similarities", "disjoint", "similarities"]

KITTI_NEIGHBOURS = {3: 21, 1: 7}  # car: van; pedestrian: person sitting
KITTI_DONT_CARE = 13
OVERLAP = 0.5
EPSILON = float(np.finfo(float).eps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarities:
    """What counts in one frame: identities and their overlaps ``(G, T)``, after the benchmark's clean-up."""

    true_ids: NDArray[np.int64]
    ids: NDArray[np.int64]
    overlaps: NDArray[np.float64]


def similarities(truth: Truth, frame: int, rows: Table, code: int) -> Similarities:
    """One frame of one class after the benchmark's clean-up."""
    if truth.masks:
        return _mask_frame(truth.table[frame], rows, code)
    return _box_frame(truth.table[frame], rows, code, truth.protocol)


def _box_frame(truth: NDArray[np.float64], rows: NDArray[np.float64], code: int, protocol: str) -> Similarities:
    classes, row_classes = truth[:, CLASS].astype(int), rows[:, CLASS].astype(int)
    ignored = truth[classes == KITTI_DONT_CARE]
    if protocol == "kitti":
        rows = rows[row_classes == code]
        truth = truth[(classes == code) | (classes == KITTI_NEIGHBOURS[code])]
        classes = truth[:, CLASS].astype(int)
    elif code >= 0:
        rows = rows[(row_classes == code) | (row_classes < 0)]
    if protocol not in MOT_DISTRACTORS and protocol != "kitti":
        truth = truth[(classes == code) | ((classes < 0) & (code < 0))]
        classes = truth[:, CLASS].astype(int)
    overlaps = np.asarray(box_math.iou(truth[:, X1 : Y2 + 1], rows[:, X1 : Y2 + 1]), np.float64)
    removed = np.zeros(len(rows), np.bool_)
    kept = truth[:, CONF] != 0
    if protocol == "kitti":
        kept &= classes == code
        matched_truth, matched = _matched(overlaps)
        removed[matched[~kept[matched_truth]]] = True
        unmatched = np.ones(len(rows), np.bool_)
        unmatched[matched] = False
        removed |= unmatched & _forgiven_by_kitti(rows, ignored)
    elif protocol in MOT_DISTRACTORS:
        kept &= classes == 1
        matched_truth, matched = _matched(overlaps)
        removed[matched[np.isin(classes[matched_truth], MOT_DISTRACTORS[protocol])]] = True
    return Similarities(
        true_ids=truth[kept, ID].astype(np.int64),
        ids=rows[~removed, ID].astype(np.int64),
        overlaps=overlaps[kept][:, ~removed],
    )


def _forgiven_by_kitti(rows: NDArray[np.float64], ignored: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Rows of 25 px height or less, or more than half inside one DontCare region."""
    small = rows[:, Y2] - rows[:, Y1] <= 25 + EPSILON
    if not len(ignored):
        return np.asarray(small)
    shares = box_math.intersections(rows[:, X1 : Y2 + 1], ignored[:, X1 : Y2 + 1])
    inside = shares / np.maximum(box_math.areas(rows[:, X1 : Y2 + 1]), EPSILON)[:, None] > OVERLAP + EPSILON
    return np.asarray(small | inside.any(axis=1))


def _mask_frame(truth: list[MaskRow], rows: list[MaskRow], code: int) -> Similarities:
    from pycocotools import mask as coco_mask

    truth_class = [row for row in truth if row[2] == code]
    rows = [row for row in rows if row[2] == code]
    overlaps = np.zeros((len(truth_class), len(rows)))
    if truth_class and rows:
        overlaps = np.asarray(
            coco_mask.iou([_code(r) for r in rows], [_code(r) for r in truth_class], [0] * len(truth_class))
        ).T
    kept = np.ones(len(rows), np.bool_)
    ignored = [_code(row) for row in truth if row[2] == MOTS_IGNORE]
    unmatched = np.ones(len(rows), np.bool_)
    unmatched[_matched(overlaps)[1]] = False
    places = np.flatnonzero(unmatched)
    if ignored and len(places):
        region = ignored[0] if len(ignored) == 1 else coco_mask.merge(ignored, intersect=False)
        inside = np.asarray(coco_mask.iou([_code(rows[place]) for place in places], [region], [1])).reshape(-1)
        kept[places[inside > OVERLAP + EPSILON]] = False
    return Similarities(
        true_ids=np.array([row[1] for row in truth_class], np.int64),
        ids=np.array([row[1] for row in rows], np.int64)[kept],
        overlaps=overlaps[:, kept],
    )


def _code(row: MaskRow) -> dict[str, Any]:
    return {"size": [row[3], row[4]], "counts": row[5].encode("ascii")}


def disjoint(rows: list[MaskRow]) -> list[MaskRow]:
    """MOTS refuses overlapping masks: each pixel stays with the first row of the file that claims it."""
    from pycocotools import mask as coco_mask

    codes = [_code(row) for row in rows]
    if len(rows) < 2 or int(coco_mask.area(coco_mask.merge(codes))) == int(np.sum(coco_mask.area(codes))):
        return rows
    taken = np.zeros((rows[0][3], rows[0][4]), np.bool_)
    result = []
    for row, code in zip(rows, codes, strict=True):
        mask = coco_mask.decode(code).astype(np.bool_) & ~taken
        taken |= mask
        if mask.any():
            result.append((*row[:5], coco_mask.encode(np.asfortranarray(mask, np.uint8))["counts"].decode("ascii")))
    return result


def _matched(overlaps: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The matching of greatest total overlap among pairs that overlap by half, as all these benchmarks define it."""
    from scipy.optimize import linear_sum_assignment

    if not overlaps.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    close = np.where(overlaps < OVERLAP - EPSILON, 0.0, overlaps)
    rows, columns = linear_sum_assignment(-close)
    good = close[rows, columns] > EPSILON
    return rows[good], columns[good]
