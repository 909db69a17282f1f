"""Videos come in; who was seen where, with what the frozen network sees of them, leaves: data to learn likeness from.

Identities come from this project's own tracker: over short times, motion and silhouettes tell who is who without
looking at appearance. What touches somebody else is left out, and so are small and doubtful instances.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import torch

from export.augment import degrade
from export.embedding import EmbeddingHead
from export.yolact_nano import MASK_STRIDE, focus
from tracker.associate.tracker import Tracker
from tracker.boxes import iou
from tracker.segment.session import OnnxSegmenter
from tracker.sources.open import open_source

if TYPE_CHECKING:
    from pathlib import Path

    from export.yolact_nano import YolactNano
    from tracker.types import Frame, Instances

LEAST_SCORE = 0.4
LEAST_SIDE_PX = 16.0  # of the box in network pixels
LARGEST_OVERLAP = 0.15  # box IoU with anybody else
JITTERED = 0.5  # of the frames, so that light and colour of the day do not make the person


class Sightings(NamedTuple):
    """N looks at objects; those of one clip and one track are the same object."""

    pooled: np.ndarray  # (N, 2 * F) float32, what `EmbeddingHead.pool_features` gives
    clips: np.ndarray  # (N,) int64
    tracks: np.ndarray  # (N,) int64, unique over all clips
    times_s: np.ndarray  # (N,) float64, media time within the clip
    class_ids: np.ndarray  # (N,) int64


def collect(videos: list[Path], model: Path, network: YolactNano, *, every_s: float = 0.25, seed: int = 1) -> Sightings:
    """Track every video with `model` and pool what `network` sees of each clean instance.

    Args:
        videos: recordings.
        model: the exported file of the same network.
        network: gives the feature maps.
        every_s: time between two looks.
        seed: of the colour changes.
    """
    rows: list[tuple[np.ndarray, int, int, float, int]] = []
    total = 0
    for clip, video in enumerate(videos):
        rng = np.random.default_rng((seed, clip))
        segmenter = OnnxSegmenter(model, device="cpu", threads=1)
        tracker = Tracker(class_count=len(segmenter.class_names))
        due_s, largest = 0.0, 0
        with open_source(video, network_size=segmenter.network_size, want_image=False) as source:
            for frame in source:
                instances = segmenter.segment([frame])[0]
                tracks = tracker.update(instances, frame.time_s)
                if frame.time_s < due_s:
                    continue
                due_s = frame.time_s + every_s
                seen = np.flatnonzero(tracks.detection_rows >= 0)
                taken = tracks.detection_rows[seen]
                clean = clean_rows(instances, frame)[taken]
                if not clean.any():
                    continue
                pooled = pool(network, frame, instances, taken[clean], rng)
                for feature, row in zip(pooled, seen[clean], strict=True):
                    identity = int(tracks.ids[row])
                    largest = max(largest, identity)
                    rows.append((feature, clip, total + identity, frame.time_s, int(tracks.class_ids[row])))
        total += largest + 1
    features, clips, identities, times_s, class_ids = zip(*rows, strict=True)
    return Sightings(np.stack(features), np.array(clips), np.array(identities), np.array(times_s), np.array(class_ids))


def clean_rows(instances: Instances, frame: Frame) -> np.ndarray:
    """Which instances show one object and enough of it, (N,) bool."""
    overlaps = iou(instances.boxes, instances.boxes) - np.eye(len(instances), dtype=np.float32)
    others = overlaps * (instances.scores[None] >= LEAST_SCORE / 2)
    assert frame.letterbox is not None
    sides = (instances.boxes[:, 2:] - instances.boxes[:, :2]).min(axis=1, initial=np.inf) * frame.letterbox.scale[0]
    clear = others.max(axis=1, initial=0.0) < LARGEST_OVERLAP
    return np.asarray(clear & (instances.scores >= LEAST_SCORE) & (sides >= LEAST_SIDE_PX))


def pool(
    network: YolactNano, frame: Frame, instances: Instances, rows: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Pooled feature maps of some instances, (N, 2 * F)."""
    assert frame.network_image is not None
    assert frame.letterbox is not None
    assert instances.masks is not None
    picture = degrade(frame.network_image, rng) if rng.random() < JITTERED else frame.network_image
    masks = torch.from_numpy(np.array(instances.masks.probabilities[rows])).float() / 255.0
    scale = np.array([*frame.letterbox.scale, *frame.letterbox.scale], np.float32)
    boxes = torch.from_numpy(instances.boxes[rows] * scale)
    with torch.no_grad():
        images = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))[None]).float()
        c2, c3, c4, c5 = network.backbone(focus(images))
        p3 = network.neck(c3, c4, c5)[0]
        maps = EmbeddingHead.maps(c2, p3)
        size = (maps.shape[2] * 2, maps.shape[3] * 2)
        full = torch.zeros(1, len(rows), *size)
        height, width = min(size[0], masks.shape[1]), min(size[1], masks.shape[2])
        full[0, :, :height, :width] = masks[:, :height, :width]
        return EmbeddingHead.pool(maps, full, boxes[None] / MASK_STRIDE)[0].numpy()


def outlines(picture: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The picture with boxes drawn, to look at what was collected."""
    drawn = picture.copy()
    for left, top, right, bottom in boxes.astype(int).tolist():
        cv2.rectangle(drawn, (left, top), (right, bottom), (0, 255, 0), 1)
    return drawn
