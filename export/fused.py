"""A detector and a picture come in; boxes that several looks at the picture agree on leave, with class probabilities.

A small network sees more when it looks at several sizes and in the mirror. What the looks find is fused by weighted
boxes fusion (Solovyev et al. 2021): boxes of one object become their mean, weighted by score, and an object that only
some looks see scores less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import torch

from export.evaluate import letterbox
from export.teacher import FrozenTeacher
from export.to_onnx import NMS_GROUPS, group_numbers
from export.yolact_nano import YolactNano
from tracker.boxes import iou as box_iou
from tracker.boxes import xywh

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.nanodet import NanoDet

SIZES = (448, 640, 832)  # longer sides, in pixels
CELL = 64  # pixels that the shorter side is padded to a multiple of: few input sizes, few sessions
LOOK_FLOOR = 0.05  # of a score in one look
NMS_IOU = 0.6
FUSE_IOU = 0.55


class Looks(NamedTuple):
    """What is found in a picture, best first; N objects, C classes."""

    boxes: np.ndarray  # (N, 4) xyxy, picture pixels
    scores: np.ndarray  # (N, C)

    @property
    def best(self) -> np.ndarray:
        """The score of each object's likeliest class, (N,)."""
        return np.asarray(self.scores.max(axis=1)) if len(self.scores) else np.zeros(0)


class FusedDetector:
    """A detector that looks at a picture in several sizes, plain and mirrored.

    Args:
        network: of `load_network`, or NanoDet-Plus; it brings the class names.
        sizes: longer sides of the pictures it sees, in pixels.
    """

    def __init__(self, network: YolactNano | NanoDet, sizes: Sequence[int] = SIZES) -> None:
        self.classes = network.classes
        self.sizes = tuple(sizes)
        self.groups = np.array(group_numbers(network.classes, NMS_GROUPS))
        self.detections = (
            FrozenTeacher(network, network.classes, torch.device("cpu")) if isinstance(network, YolactNano) else network
        )

    def __call__(self, picture: np.ndarray) -> Looks:
        """Picture (H, W, 3) uint8 BGR -> what all looks together find."""
        looks = []
        for size in self.sizes:
            frame, scale = self.frame(picture, size)
            for image, mirrored in ((frame, False), (np.ascontiguousarray(frame[:, ::-1]), True)):
                found = self.look(image)
                if mirrored:
                    found.boxes[:, [0, 2]] = frame.shape[1] - found.boxes[:, [2, 0]]
                looks.append(Looks(found.boxes / scale, found.scores))
        fused = fuse(looks, self.groups)
        high = np.array([picture.shape[1], picture.shape[0]] * 2, float)
        return Looks(fused.boxes.clip(0, high), fused.scores)

    @staticmethod
    def frame(picture: np.ndarray, size: int) -> tuple[np.ndarray, float]:
        """The picture with its longer side at `size`, padded to whole cells; and its scale."""
        scale = size / max(picture.shape[:2])
        height, width = (int(np.ceil(round(length * scale) / CELL)) * CELL for length in picture.shape[:2])
        return letterbox(picture, (height, width))

    def look(self, frame: np.ndarray) -> Looks:
        """One run of the network, without doubles; boxes in pixels of the frame."""
        image = torch.from_numpy(frame.transpose(2, 0, 1)[None].astype(np.float32))
        boxes, objectness, classes = (output[0].numpy() for output in self.detections(image))
        scores = objectness[:, None] * classes
        kept = scores.max(axis=1) >= LOOK_FLOOR
        boxes, scores = boxes[kept], scores[kept]
        rows = np.zeros(0, int)
        if len(boxes):
            groups = self.groups[scores.argmax(axis=1)]
            rows = np.array(
                cv2.dnn.NMSBoxesBatched(
                    xywh(boxes).tolist(), scores.max(axis=1).tolist(), groups.tolist(), LOOK_FLOOR, NMS_IOU
                ),
                int,
            )
        return Looks(boxes[rows].astype(float), scores[rows].astype(float))


def fuse(looks: Sequence[Looks], groups: np.ndarray, *, iou: float = FUSE_IOU) -> Looks:
    """Weighted boxes fusion of several looks; classes of one group are taken for one another.

    A look counts once for an object: of two boxes that it has left there, the surer.

    Args:
        looks: of one picture, boxes in its pixels.
        groups: (C,) a number for each class.
        iou: from which on two boxes are of one object.

    Returns:
        Boxes that are means weighted by score; class scores that are sums over the looks, divided by their number.
    """
    boxes = np.concatenate([item.boxes for item in looks])
    scores = np.concatenate([item.scores for item in looks])
    look_of = np.repeat(np.arange(len(looks)), [len(item.boxes) for item in looks])
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
        if look_of[row] in look_of[clusters[place]]:
            continue
        clusters[place].append(int(row))
        means[place] = np.average(boxes[clusters[place]], axis=0, weights=best[clusters[place]])
    summed = np.array([scores[rows].sum(axis=0) for rows in clusters]).reshape(-1, len(groups))
    summed = (summed / len(looks)).clip(0.0, 1.0)
    order = np.argsort(-summed.max(axis=1), kind="stable") if len(summed) else np.zeros(0, int)
    return Looks(np.array(means).reshape(-1, 4)[order], summed[order])
