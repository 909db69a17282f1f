"""Training samples of identities: pooled features of tracked objects, by a frozen network.

Appearance embeddings are learned from these samples. In pictures, an object shown twice with other colours is one
identity. In videos, identities come from this project's own tracker: over short times, motion and silhouettes are
enough without appearance. Instances that touch another one are left out, and so are small and doubtful ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from export.data.archive import IGNORE
from export.data.augment import degrade, to_sample
from export.networks.embedding import pool
from export.networks.yolact_nano import MASK_STRIDE, focus
from tracker.associate.tracker import Tracker
from tracker.boxes import iou
from tracker.segment.session import OnnxSegmenter
from tracker.sources.open import open_source

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from export.data.archive import Archive
    from export.networks.yolact_nano import YolactNano
    from tracker.types import Frame, Instances

SAMPLE_SIZE = (384, 640)
LEAST_SCORE = 0.4
LEAST_SIDE_PX = 16.0  # of the box in network pixels
LARGEST_OVERLAP = 0.15  # box IoU with any other instance
JITTERED = 0.5  # of the frames, so that lighting and colour do not identify an object


class Sightings(NamedTuple):
    """N samples of objects; those of one clip and one track are the same object."""

    pooled: np.ndarray  # (N, 2 * F) float32, what `export.networks.embedding.pool` gives
    clips: np.ndarray  # (N,) int64
    tracks: np.ndarray  # (N,) int64, unique over all clips
    times_s: np.ndarray  # (N,) float64, media time within the clip
    class_ids: np.ndarray  # (N,) int64


def collect(videos: list[Path], model: Path, network: YolactNano, *, every_s: float = 0.25, seed: int = 1) -> Sightings:
    """Track every video with `model` and pool the features of `network` for each clean instance.

    Args:
        videos: recordings.
        model: the exported file of the same network.
        network: gives the feature maps.
        every_s: time between two samples.
        seed: of the colour changes.
    """
    rows: list[tuple[np.ndarray, int, int, float, int]] = []
    total = 0
    for clip, video in enumerate(videos):
        rng = np.random.default_rng((seed, clip))
        segmenter = OnnxSegmenter(model, device="cpu", threads=1)
        tracker = Tracker(class_count=len(segmenter.class_names))
        due_s, largest = 0.0, 0
        with open_source(video, like=segmenter, want_image=False) as source:
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
                pooled = pool_instances(network, frame, instances, taken[clean], rng)
                for feature, row in zip(pooled, seen[clean], strict=True):
                    identity = int(tracks.ids[row])
                    largest = max(largest, identity)
                    rows.append((feature, clip, total + identity, frame.time_s, int(tracks.class_ids[row])))
        total += largest + 1
    return gather(rows)


def clean_rows(instances: Instances, frame: Frame) -> np.ndarray:
    """Flags of the instances that show one object and enough of it, (N,) bool."""
    overlaps = iou(instances.boxes, instances.boxes) - np.eye(len(instances), dtype=np.float32)
    others = overlaps * (instances.scores[None] >= LEAST_SCORE / 2)
    assert frame.letterbox is not None
    sides = (instances.boxes[:, 2:] - instances.boxes[:, :2]).min(axis=1, initial=np.inf) * frame.letterbox.scale[0]
    clear = others.max(axis=1, initial=0.0) < LARGEST_OVERLAP
    return np.asarray(clear & (instances.scores >= LEAST_SCORE) & (sides >= LEAST_SIDE_PX))


def augmented_views(
    archive: Archive, network: YolactNano, *, views: int = 4, pictures: int = 800, seed: int = 1
) -> Sightings:
    """Objects of labelled pictures, each at several places, scales and colours: all of a picture are different.

    Args:
        archive: labelled pictures; machine-made labels are left out.
        network: gives the feature maps.
        views: how often each picture is shown.
        pictures: how many are drawn.
        seed: of the choice and the changes.
    """
    rng = np.random.default_rng(seed)
    trusted = [
        row
        for row, items in enumerate(archive.objects)
        if any(item["class_id"] != IGNORE and item["weight"] >= 1.0 for item in items)
    ]
    rows: list[tuple[np.ndarray, int, int, float, int]] = []
    total = 0
    for clip, chosen in enumerate(rng.permutation(trusted)[:pictures].tolist()):
        picture = archive.picture(chosen)
        # A sample keeps the weights of the items it shows: they carry the numbers here.
        numbered = picture._replace(
            items=[item._replace(weight=float(number)) for number, item in enumerate(picture.items)]
        )
        for _ in range(views):
            sample = to_sample(numbered, SAMPLE_SIZE, rng)
            sides = (sample.boxes[:, 2:] - sample.boxes[:, :2]).min(axis=1, initial=np.inf)
            shown = np.flatnonzero(sides >= LEAST_SIDE_PX)
            if not len(shown):
                continue
            masks = torch.from_numpy(sample.masks[shown]).float() / 255.0
            pooled = pool_maps(network, sample.image, masks, sample.boxes[shown])
            numbers = sample.weights[shown].astype(int) + total
            classes = sample.class_ids[shown]
            rows.extend(
                (feature, clip, int(number), 0.0, int(class_id))
                for feature, number, class_id in zip(pooled, numbers, classes, strict=True)
            )
        total += len(picture.items)
    return gather(rows)


def gather(rows: list[tuple[np.ndarray, int, int, float, int]]) -> Sightings:
    """One sample a row -> arrays."""
    features, clips, tracks, times_s, class_ids = zip(*rows, strict=True)
    return Sightings(np.stack(features), np.array(clips), np.array(tracks), np.array(times_s), np.array(class_ids))


def join(parts: list[Sightings]) -> Sightings:
    """Sightings of different clips and objects side by side."""
    clips = np.cumsum([0, *(part.clips.max() + 1 for part in parts[:-1])])
    tracks = np.cumsum([0, *(part.tracks.max() + 1 for part in parts[:-1])])
    moved = [
        part._replace(clips=part.clips + clip, tracks=part.tracks + track)
        for part, clip, track in zip(parts, clips, tracks, strict=True)
    ]
    return Sightings(*(np.concatenate(values) for values in zip(*moved, strict=True)))


def pool_instances(
    network: YolactNano, frame: Frame, instances: Instances, rows: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Pooled feature maps of some instances, (N, 2 * F)."""
    assert frame.network_image is not None
    assert frame.letterbox is not None
    assert instances.masks is not None
    picture = degrade(frame.network_image, rng) if rng.random() < JITTERED else frame.network_image
    masks = torch.from_numpy(np.stack([instances.masks.grid(row) for row in rows])).float() / 255.0
    scale = np.array([*frame.letterbox.scale, *frame.letterbox.scale], np.float32)
    return pool_maps(network, picture, masks, instances.boxes[rows] * scale)


def pool_maps(network: YolactNano, picture: np.ndarray, masks: Tensor, boxes: np.ndarray) -> np.ndarray:
    """Pooled features inside masks (N, h, w), 0..1, with boxes (N, 4) in network pixels, (N, 2 * F)."""
    with torch.no_grad():
        images = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))[None]).float()
        c2, c3, c4, c5 = network.backbone(focus(images))
        p3 = network.neck(c3, c4, c5)[0]
        full = torch.zeros(1, len(masks), *c2.shape[2:])
        height, width = min(full.shape[2], masks.shape[1]), min(full.shape[3], masks.shape[2])
        full[0, :, :height, :width] = masks[:, :height, :width]
        return np.asarray(pool(c2, p3, full, torch.from_numpy(boxes)[None] / MASK_STRIDE)[0].T.numpy())
