"""Simulated detector on exact truth: perfect by default, degraded on request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from tracker.masks.grid_masks import GridMasks
from tracker.types import Instances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from demos.scenes.world import SceneTruth

__all__ = ["clean_scores", "detect", "grid_masks"]


def detect(
    truth: SceneTruth,
    *,
    rng: np.random.Generator,
    miss_rate: float = 0.0,
    jitter: float = 0.0,
    score_noise: float = 0.0,
    false_positives: float = 0.0,
    merge_rate: float = 0.0,
    class_noise: float = 0.0,
    min_visibility: float = 0.1,
    min_area_px: int = 20,
    stride_px: int = 4,
    embedding_size: int = 0,
    embedding_noise: float = 0.3,
) -> Instances:
    """What a segmenter might report for one frame, best score first.

    Args:
        truth: The frame's truth.
        rng: Source of every imperfection; a perfect detector draws from it only for embeddings.
        miss_rate: Chance that a plainly visible object is missed; up to three times as often where little of it
            shows.
        jitter: Standard deviation of each box edge as a fraction of the box' size; the mask moves with the box.
        score_noise: Standard deviation of the scores, which fall with visibility from 0.95 to 0.45.
        false_positives: Mean number of detections of nothing (Poisson), scores 0.05 to 0.55.
        merge_rate: Chance that two touching objects of one class come out as one.
        class_noise: Chance that car, bus and truck are taken for one another.
        min_visibility: Objects that show less are not detected.
        min_area_px: Objects with fewer visible pixels are not detected.
        stride_px: Image pixels per cell of the mask grid.
        embedding_size: Length of the appearance vectors, the same direction per identity; 0 = none.
        embedding_noise: Length of the noise that is added to the unit vector before it is normalised again.

    Returns:
        Instances with grid masks: each cell holds the share of its pixels that belong to the object.
    """
    seen = np.flatnonzero((truth.visibility >= min_visibility) & (truth.areas_px >= min_area_px))
    if miss_rate > 0 and len(seen):
        chance = miss_rate * (1 + 2 * (1 - truth.visibility[seen]))
        seen = seen[rng.random(len(seen)) >= chance]
    groups = _merged(truth, seen, rng, merge_rate) if merge_rate > 0 else [[int(row)] for row in seen]
    leaders = np.array([group[0] for group in groups], dtype=np.int64)
    probabilities = grid_masks(truth.labels, [np.array(group) + 1 for group in groups], stride_px)
    boxes = np.array([_hull(truth.boxes[group]) for group in groups], np.float32).reshape(-1, 4)
    scores = clean_scores(truth, leaders)
    if score_noise > 0:
        scores = scores + rng.normal(0, score_noise, len(scores))
    class_ids = truth.class_ids[leaders].copy()
    if class_noise > 0:
        vehicles = np.isin(class_ids, (2, 4, 5)) & (rng.random(len(class_ids)) < class_noise)
        class_ids[vehicles] = rng.choice((2, 4, 5), int(vehicles.sum()))
    if jitter > 0:
        boxes, probabilities = _jittered(
            boxes=boxes, probabilities=probabilities, rng=rng, jitter=jitter, stride_px=stride_px, size=truth.size
        )
    embeddings = _embeddings(truth.ids[leaders], rng, embedding_size, embedding_noise) if embedding_size else None
    if false_positives > 0 and (extra := int(rng.poisson(false_positives))):
        ghosts, shapes = _ghosts(extra, rng, truth.size, stride_px)
        boxes, probabilities = np.concatenate([boxes, ghosts]), np.concatenate([probabilities, shapes])
        scores = np.concatenate([scores, rng.uniform(0.05, 0.55, extra)])
        known = truth.class_ids if len(truth) else np.array([0, 2])
        class_ids = np.concatenate([class_ids, rng.choice(known, extra)])
        if embeddings is not None:
            noise = rng.normal(size=(extra, embedding_size))
            noise /= np.linalg.norm(noise, axis=1, keepdims=True)
            embeddings = np.concatenate([embeddings, noise.astype(np.float32)])
    masks = GridMasks(probabilities=probabilities, step_px=(float(stride_px), float(stride_px)), image_size=truth.size)
    found = Instances(
        boxes=boxes,
        scores=np.clip(scores, 0.01, 0.99).astype(np.float32),
        class_ids=class_ids.astype(np.int64),
        masks=masks,
        embeddings=embeddings,
    )
    return found.take(np.argsort(-found.scores, kind="stable"))


def clean_scores(truth: SceneTruth, rows: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """What a perfect detector is sure of: 0.95 for what shows as a whole, 0.45 for what hardly does."""
    return np.asarray(0.45 + 0.5 * truth.visibility[rows].astype(np.float64))


def grid_masks(labels: NDArray[np.uint16], values: list[NDArray[np.integer[Any]]], stride_px: int) -> NDArray[np.uint8]:
    """Grid masks ``(N, h, w)`` of groups of label values by area averaging; the grid covers the whole image."""
    height, width = labels.shape
    rows, columns = -(-height // stride_px), -(-width // stride_px)
    grids = np.zeros((len(values), rows, columns), np.uint8)
    for number, group in enumerate(values):
        mask = np.isin(labels, group) if len(group) > 1 else labels == group[0]
        across, down = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        if not len(across):
            continue
        x0, y0 = across[0] // stride_px, down[0] // stride_px
        x1, y1 = across[-1] // stride_px + 1, down[-1] // stride_px + 1
        crop = np.zeros(((y1 - y0) * stride_px, (x1 - x0) * stride_px), np.uint8)
        inside = mask[y0 * stride_px : y1 * stride_px, x0 * stride_px : x1 * stride_px]
        crop[: inside.shape[0], : inside.shape[1]] = inside * np.uint8(255)
        grids[number, y0:y1, x0:x1] = cv2.resize(crop, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    return grids


def _hull(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """One box ``(4,)`` about several."""
    return np.asarray(np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)]))


def _merged(truth: SceneTruth, seen: NDArray[np.intp], rng: np.random.Generator, merge_rate: float) -> list[list[int]]:
    """Rows in groups that come out as one; the largest leads its group."""
    groups: list[list[int]] = []
    for row in seen[np.argsort(-truth.areas_px[seen], kind="stable")]:
        box = truth.boxes[row]
        host = None
        for group in groups:
            other = _hull(truth.boxes[group])
            touches = bool((box[:2] < other[2:]).all() and (other[:2] < box[2:]).all())
            if touches and truth.class_ids[row] == truth.class_ids[group[0]] and rng.random() < merge_rate:
                host = group
                break
        if host is None:
            groups.append([int(row)])
        else:
            host.append(int(row))
    return groups


def _jittered(
    *,
    boxes: NDArray[np.float32],
    probabilities: NDArray[np.uint8],
    rng: np.random.Generator,
    jitter: float,
    stride_px: int,
    size: tuple[int, int],
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Boxes with noisy edges inside the image, masks stretched to them."""
    moved, shapes = boxes.copy(), np.zeros_like(probabilities)
    rows, columns = probabilities.shape[1:]
    for row, box in enumerate(boxes):
        extent = np.array([box[2] - box[0], box[3] - box[1]] * 2)
        edges = np.clip(box + rng.normal(0, jitter, 4) * extent, 0, [*size, *size])
        if edges[2] - edges[0] < 2 or edges[3] - edges[1] < 2:
            edges = box
        moved[row] = edges
        stretch = (edges[2:] - edges[:2]) / np.maximum(box[2:] - box[:2], 1e-6)
        shift = (edges[:2] - box[:2] * stretch) / stride_px
        # Cell edges map by stretch and shift; OpenCV counts cell centres.
        offset = shift + 0.5 * stretch - 0.5
        matrix = np.array([[stretch[0], 0, offset[0]], [0, stretch[1], offset[1]]], np.float64)
        shapes[row] = cv2.warpAffine(probabilities[row], matrix, (columns, rows), flags=cv2.INTER_LINEAR)
    return moved, shapes


def _ghosts(
    count: int, rng: np.random.Generator, size: tuple[int, int], stride_px: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Boxes and elliptic grid masks of things that are not there."""
    width, height = size
    extent = rng.uniform(0.03, 0.2, (count, 2)) * height
    centres = rng.uniform(0, 1, (count, 2)) * (width, height)
    boxes = np.concatenate([centres - extent / 2, centres + extent / 2], axis=1)
    boxes = np.clip(boxes, 0, [width, height, width, height]).astype(np.float32)
    rows, columns = -(-height // stride_px), -(-width // stride_px)
    y, x = (np.arange(rows) + 0.5)[None, :, None] * stride_px, (np.arange(columns) + 0.5)[None, None, :] * stride_px
    middle = ((boxes[:, :2] + boxes[:, 2:]) / 2)[:, :, None, None]
    radius = np.maximum((boxes[:, 2:] - boxes[:, :2]) / 2, 1)[:, :, None, None]
    inside = ((x - middle[:, 0]) / radius[:, 0]) ** 2 + ((y - middle[:, 1]) / radius[:, 1]) ** 2 <= 1
    return boxes, inside.astype(np.uint8) * np.uint8(220)


def _embeddings(ids: NDArray[np.int64], rng: np.random.Generator, length: int, noise: float) -> NDArray[np.float32]:
    """Unit vectors ``(N, length)``: one fixed random direction per identity, plus noise."""
    vectors = np.zeros((len(ids), length))
    for row, identity in enumerate(ids):
        own = np.random.default_rng(int(identity)).normal(size=length)
        other = rng.normal(size=length)
        vectors[row] = own / np.linalg.norm(own) + noise * other / np.linalg.norm(other)
    return np.asarray((vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)).astype(np.float32))
