"""Parity of a PyTorch module and its ONNX file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from export.onnx.sessions import cpu_session
from tracker.masks.prototypes import BILINEAR_MARGIN
from tracker.segment.contracts.decoder import network_prototypes
from tracker.segment.contracts.end2end_2 import certainty

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from export.onnx.to_onnx import EndToEnd


def parity(module: EndToEnd, path: Path, frames: np.ndarray, *, score_threshold: float = 0.05) -> dict[str, float]:
    """Compare the two on a batch of frames (B, H, W, 3) uint8.

    Equal scores may come in another order (TopK breaks ties differently), so that instances are compared as sets: an
    instance agrees when the other side has one of its class at box IoU >= 0.99, score within 1e-3 and mask within 2
    of 255 on 99.9 % of its cells.

    Returns:
        `scores_max_error`, `scores_relative_error` (sorted scores), `boxes_max_error_px` and `masks_max_error_of_255`
        over the agreeing instances, `instances` above the threshold and the share that agrees, `agreement`.
    """
    found = run_file(path, frames, threads=0)
    with torch.no_grad():
        outputs = module(torch.from_numpy(frames))
        arrays = {name: value.numpy() for name, value in zip(module.output_names, outputs, strict=True)}
        wanted = with_masks(arrays, module.mask_facts)
    difference = np.abs(found["scores"] - wanted["scores"])
    size = np.array([module.width, module.height] * 2, np.float32)
    count, agreeing, box_error, mask_error = 0, 0, 0.0, 0.0
    for image in range(len(frames)):
        for row in np.flatnonzero(wanted["scores"][image] > score_threshold):
            count += 1
            near = np.abs(found["scores"][image] - wanted["scores"][image, row]) < 1e-3
            near &= found["class_ids"][image] == wanted["class_ids"][image, row]
            near &= overlap(found["boxes"][image], wanted["boxes"][image, row]) >= 0.99
            for other in np.flatnonzero(near):
                apart = np.abs(found["masks"][image, other].astype(int) - wanted["masks"][image, row].astype(int))
                if (apart <= 2).mean() >= 0.999:
                    agreeing += 1
                    moved = np.abs(found["boxes"][image, other] - wanted["boxes"][image, row]) * size
                    box_error, mask_error = max(box_error, float(moved.max())), max(mask_error, float(apart.max()))
                    break
    return {
        "scores_max_error": float(difference.max()),
        "scores_relative_error": float((difference / np.maximum(np.abs(wanted["scores"]), 1e-3)).max()),
        "boxes_max_error_px": box_error,
        "masks_max_error_of_255": mask_error,
        "instances": count,
        "agreement": agreeing / count if count else 1.0,
    }


def run_file(path: Path, frames: np.ndarray, *, threads: int = 1) -> dict[str, np.ndarray]:
    """Outputs of an end-to-end file on the CPU for frames (B, H, W, 3) uint8, with masks."""
    session = cpu_session(path, threads=threads)
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, {"frames": frames}), strict=True))
    return with_masks(outputs, session.get_modelmeta().custom_metadata_map)


def with_masks(outputs: dict[str, np.ndarray], metadata: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Outputs with masks (B, K, h, w) uint8 and final scores, made as a reader makes them where the graph did not.

    Args:
        outputs: by name, of contract `end2end-1`, or `end2end-2` with prototypes (B, h, w, P).
        metadata: of the file; `EndToEnd.mask_facts` has what is needed of it.
    """
    if "masks" in outputs:
        return outputs
    margin = float(metadata.get("masktrail.mask_margin", BILINEAR_MARGIN))
    growth = float(metadata.get("masktrail.mask_growth", 0.0))
    step = int(metadata.get("masktrail.mask_certainty", 0))
    boxes, scores = outputs["boxes"], outputs["scores"].copy()
    prototypes = outputs["prototypes"].transpose(0, 3, 1, 2)  # (B, P, h, w)
    rows, columns = prototypes.shape[2:]
    masks = np.zeros((*scores.shape, rows, columns), np.uint8)
    for image in range(len(scores)):
        # Cells as pixels: the sizes that are shares of the network's input are shares of the grid too.
        grid = network_prototypes(prototypes[image], (columns, rows), margin_cells=margin, growth=growth)
        cells = boxes[image] * np.array([columns, rows, columns, rows], np.float32)
        for row, (top, left, part) in enumerate(grid.crops(outputs["coefficients"][image], cells)):
            masks[image, row, top : top + part.shape[0], left : left + part.shape[1]] = np.rint(part)
            scores[image, row] *= certainty(part, top, step) if step else 1.0
    return outputs | {"masks": masks, "scores": scores}


def parity_line(kind: str, figures: dict[str, float]) -> str:
    """The figures as a sentence: which share of the instances agrees, and how far apart those are.

    >>> parity_line("real", {"agreement": 1.0, "instances": 57, "boxes_max_error_px": 0.012,
    ...     "scores_max_error": 2e-6, "masks_max_error_of_255": 1.0})
    'real pictures: 100.0 % of 57 instances agree; boxes within 0.012 px, scores within 2e-06, masks within 1 of 255'
    """
    return (
        f"{kind} pictures: {100 * figures['agreement']:.1f} % of {figures['instances']:.0f} instances agree; "
        f"boxes within {figures['boxes_max_error_px']:.3g} px, scores within {figures['scores_max_error']:.2g}, "
        f"masks within {figures['masks_max_error_of_255']:.0f} of 255"
    )


def overlap(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """IoU of boxes (N, 4) with one box (4,), xyxy."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    inside = (high - low).clip(min=0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return inside / np.maximum(areas - inside, 1e-9)
