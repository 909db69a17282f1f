"""Parity of an exported promptable segmenter: ONNX Runtime against PyTorch, raw outputs and masks as sets of cells."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from export.networks.sam import MEAN, STD
from export.onnx.families import trial_frames
from export.onnx.sessions import cpu_session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from export.networks.sam import Promptable

BOXES = np.array(
    [[0.05, 0.1, 0.45, 0.5], [0.3, 0.05, 0.95, 0.5], [0.5, 0.3, 0.6, 0.42], [0.02, 0.02, 0.98, 0.55]], np.float32
)
"""Shares of the input's side."""
SCORE, OVERLAP = 2e-3, 0.97
"""Expected IoUs and masks of a box that agree."""


def trial_pictures(side_px: int, folders: Sequence[Path]) -> dict[str, np.ndarray]:
    """Inputs (N, 3, S, S) by kind: smooth noise, and validation pictures where they are; zeros below."""
    height = side_px * 9 // 16
    found = {}
    for kind, frames in trial_frames((height, side_px), folders).items():
        inputs = np.zeros((len(frames), 3, side_px, side_px), np.float32)
        values = (frames[..., ::-1] - np.float32(MEAN)) / np.float32(STD)
        inputs[:, :, :height] = values.transpose(0, 3, 1, 2)
        found[kind] = inputs
    return found


def parity(network: Promptable, folder: Path, pictures: np.ndarray, *, boxes: int) -> dict[str, Any]:
    """Compare the two on pictures (N, 3, S, S), with boxes alone and with their masks as prompts.

    Args:
        network: the one in PyTorch.
        folder: of the two files.
        pictures: normalised.
        boxes: prompts of a run of the decoder.

    Returns:
        `..._max_error` of every output; `masks` compared, the share that agrees, `agreement` (expected IoU within 2e-3,
        cells inside at IoU 0.97), `mask_iou`, their mean; `encode_ms`, `decode_ms` (median CPU time of one core).
    """
    encoder, decoder = cpu_session(folder / "encoder.onnx"), cpu_session(folder / "decoder.onnx")
    corners = np.resize(BOXES, (max(len(BOXES), boxes), 4)).reshape(-1, 2, 2) * np.float32(network.side_px)
    worst: dict[str, float] = {}
    overlaps, apart, encode_ms, decode_ms = [], [], [], []
    for picture in pictures:
        found, taken_ms = timed(encoder, network.features, {"images": picture[None]})
        encode_ms.append(taken_ms)
        with torch.no_grad():
            wanted = network.encode(torch.from_numpy(picture[None]))
        for name, value in zip(network.features, wanted, strict=True):
            note(worst, name, found[name], value.numpy())
        for start in range(0, len(corners) - boxes + 1, boxes):
            before: np.ndarray | None = None
            for _ in range(2):  # the second time with the first answer as a prompt
                prompt = prompts(corners[start : start + boxes], 4 * wanted[0].shape[2], before)
                masks, taken_ms = timed(decoder, ("low_res_masks", "iou_predictions"), found | prompt)
                decode_ms.append(taken_ms)
                with torch.no_grad():
                    values = network.decode(wanted, *(torch.from_numpy(value) for value in prompt.values()))
                ours, theirs = masks["low_res_masks"], values[0].numpy()
                note(worst, "low_res_masks", ours, theirs)
                note(worst, "iou_predictions", masks["iou_predictions"], values[1].numpy())
                apart += np.abs(masks["iou_predictions"] - values[1].numpy())[:, 0].tolist()
                overlaps += overlap(ours[:, 0] > 0, theirs[:, 0] > 0)
                before = theirs
    agree = (np.array(apart) <= SCORE) & (np.array(overlaps) >= OVERLAP)
    return worst | {
        "masks": len(agree),
        "agreement": float(agree.mean()),
        "mask_iou": float(np.mean(overlaps)),
        "encode_ms": float(np.median(encode_ms)),
        "decode_ms": float(np.median(decode_ms)),
    }


def prompts(corners: np.ndarray, cells: int, before: np.ndarray | None) -> dict[str, np.ndarray]:
    """The decoder's inputs beside the features, for boxes (B, 2, 2) and their mask logits of a run before."""
    count = len(corners)
    mask = np.zeros((count, 1, cells, cells), np.float32) if before is None else before
    labels = np.tile(np.array([2, 3], np.float32), (count, 1))
    given = np.full(count, before is not None, np.float32)
    return {"point_coords": corners, "point_labels": labels, "mask_input": mask, "has_mask_input": given}


def timed(session: Any, names: Sequence[str], given: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], float]:
    """Outputs by name, and milliseconds of CPU time."""
    started_s = time.thread_time()
    found = session.run(list(names), dict(given))
    return dict(zip(names, found, strict=True)), (time.thread_time() - started_s) * 1e3


def note(worst: dict[str, float], name: str, found: np.ndarray, wanted: np.ndarray) -> None:
    """Remember the largest difference of an output."""
    key, error = f"{name}_max_error", float(np.abs(found - wanted).max())
    worst[key] = max(worst.get(key, 0.0), error)


def overlap(ones: np.ndarray, others: np.ndarray) -> list[float]:
    """IoU of masks (B, h, w), pair by pair; 1 of two empty ones."""
    both, either = (ones & others).sum(axis=(1, 2)), (ones | others).sum(axis=(1, 2))
    return np.where(either > 0, both / np.maximum(either, 1), 1.0).tolist()
