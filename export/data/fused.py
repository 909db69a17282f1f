"""Fused detections over several sizes and mirrored views of one picture, with class probabilities.

Test-time augmentation: a small network finds more at several sizes and in mirrored pictures. The detections of all
views are fused by weighted boxes fusion (Solovyev et al. 2021): boxes of one object become their mean, weighted by
score, and an object that only some views contain gets a lower score.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import torch

from export.data.teacher import FrozenTeacher
from export.networks.yolact_nano import YolactNano
from export.onnx.to_onnx import NMS_GROUPS, group_numbers
from export.training.evaluate import letterbox
from tracker.boxes import iou as box_iou
from tracker.boxes import xywh

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.data.nanodet import NanoDet

SIZES = (448, 640, 832)  # longer sides, in pixels
CELL = 64  # pixels that the shorter side is padded to a multiple of: few input sizes, few sessions
VIEW_FLOOR = 0.05  # lowest score in one view
NMS_IOU = 0.6
FUSE_IOU = 0.55


class Detections(NamedTuple):
    """Detections in a picture, best first; N objects, C classes."""

    boxes: np.ndarray  # (N, 4) xyxy, picture pixels
    scores: np.ndarray  # (N, C)

    @property
    def best(self) -> np.ndarray:
        """The score of each object's likeliest class, (N,)."""
        return np.asarray(self.scores.max(axis=1)) if len(self.scores) else np.zeros(0)


class FusedDetector:
    """A detector on several sizes of a picture, plain and mirrored.

    Args:
        network: of `load_network`, or NanoDet-Plus; it brings the class names.
        sizes: longer sides of its input pictures, in pixels.
    """

    def __init__(self, network: YolactNano | NanoDet, sizes: Sequence[int] = SIZES) -> None:
        self.classes = network.classes
        self.sizes = tuple(sizes)
        self.groups = np.array(group_numbers(network.classes, NMS_GROUPS))
        self.detections = (
            FrozenTeacher(network, network.classes, torch.device("cpu")) if isinstance(network, YolactNano) else network
        )

    def __call__(self, picture: np.ndarray) -> Detections:
        """Picture (H, W, 3) uint8 BGR -> the fused detections of all views."""
        views = []
        for size in self.sizes:
            frame, scale = self.frame(picture, size)
            for image, mirrored in ((frame, False), (np.ascontiguousarray(frame[:, ::-1]), True)):
                found = self.detect(image)
                if mirrored:
                    found.boxes[:, [0, 2]] = frame.shape[1] - found.boxes[:, [2, 0]]
                views.append(Detections(found.boxes / scale, found.scores))
        fused = fuse(views, self.groups)
        high = np.array([picture.shape[1], picture.shape[0]] * 2, float)
        return Detections(fused.boxes.clip(0, high), fused.scores)

    @staticmethod
    def frame(picture: np.ndarray, size: int) -> tuple[np.ndarray, float]:
        """The picture with its longer side at `size`, padded to whole cells; and its scale."""
        scale = size / max(picture.shape[:2])
        height, width = (int(np.ceil(round(length * scale) / CELL)) * CELL for length in picture.shape[:2])
        return letterbox(picture, (height, width))

    def detect(self, frame: np.ndarray) -> Detections:
        """One run of the network, after NMS; boxes in pixels of the frame."""
        image = torch.from_numpy(frame.transpose(2, 0, 1)[None].astype(np.float32))
        boxes, objectness, classes = (output[0].numpy() for output in self.detections(image)[:3])
        scores = objectness[:, None] * classes
        kept = scores.max(axis=1) >= VIEW_FLOOR
        boxes, scores = boxes[kept], scores[kept]
        rows = np.zeros(0, int)
        if len(boxes):
            groups = self.groups[scores.argmax(axis=1)]
            rows = np.array(
                cv2.dnn.NMSBoxesBatched(
                    xywh(boxes).tolist(), scores.max(axis=1).tolist(), groups.tolist(), VIEW_FLOOR, NMS_IOU
                ),
                int,
            )
        return Detections(boxes[rows].astype(float), scores[rows].astype(float))


def fuse(views: Sequence[Detections], groups: np.ndarray, *, iou: float = FUSE_IOU) -> Detections:
    """Weighted boxes fusion of several views; classes of one group count as the same.

    A view counts once for an object: of two boxes of one view, the one with the higher score.

    Args:
        views: detections of each view of one picture, boxes in its pixels.
        groups: (C,) a number for each class.
        iou: from which on two boxes are of one object.

    Returns:
        Boxes that are means weighted by score; class scores that are sums over the views, divided by their number.
    """
    boxes = np.concatenate([item.boxes for item in views])
    scores = np.concatenate([item.scores for item in views])
    view_of = np.repeat(np.arange(len(views)), [len(item.boxes) for item in views])
    best = scores.max(axis=1) if len(scores) else np.zeros(0)
    clusters: list[list[int]] = []
    means: list[np.ndarray] = []
    kinds: list[int] = []
    for row in np.argsort(-best, kind="stable"):
        kind = int(groups[scores[row].argmax()])
        overlaps = box_iou(boxes[row : row + 1], np.array(means).reshape(-1, 4))[0] * (np.array(kinds) == kind)
        place = int(overlaps.argmax()) if len(overlaps) else -1
        if place < 0 or overlaps[place] < iou:
            clusters.append([int(row)])
            means.append(boxes[row])
            kinds.append(kind)
            continue
        if view_of[row] in view_of[clusters[place]]:
            continue
        clusters[place].append(int(row))
        means[place] = np.average(boxes[clusters[place]], axis=0, weights=best[clusters[place]])
    summed = np.array([scores[rows].sum(axis=0) for rows in clusters]).reshape(-1, len(groups))
    summed = (summed / len(views)).clip(0.0, 1.0)
    order = np.argsort(-summed.max(axis=1), kind="stable") if len(summed) else np.zeros(0, int)
    return Detections(np.array(means).reshape(-1, 4)[order], summed[order])
