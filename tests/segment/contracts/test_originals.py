"""Instances against recorded ones of the original implementations (see ``tests/export/record_originals.py``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.segment.models import constant_model
from tracker.segment.contracts import queries, solo
from tracker.segment.session import OnnxSegmenter
from tracker.types import Frame

if TYPE_CHECKING:
    from tracker.types import Instances

FOLDER = Path(__file__).resolve().parents[2] / "export" / "originals"
SIZE = (160, 128)
"""Width and height of the recorded frames."""


def recorded(name: str) -> dict[str, Any]:
    with np.load(FOLDER / f"{name}.npz") as arrays:
        return dict(arrays)


def unpacked(masks: np.ndarray) -> np.ndarray:
    """``(N, H, W)`` bool."""
    return np.unpackbits(masks, axis=-1, count=SIZE[0]).astype(np.bool_)


def segmented(tmp_path: Path, outputs: dict[str, np.ndarray], **options: Any) -> Instances:
    path = constant_model(tmp_path / "m.onnx", outputs, input_shape=(1, 3, SIZE[1], SIZE[0]))
    segmenter = OnnxSegmenter(path, device="cpu", score_threshold=0.05, **options)
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    frame = Frame(index=0, time_s=0.0, arrived_s=0.0, source="t", size=SIZE, image=image)
    return segmenter.segment([frame])[0]


def apart(found: Instances, scores: np.ndarray, labels: np.ndarray, masks: np.ndarray) -> tuple[float, float, float]:
    """Share of instances without their like, largest difference of scores, mean mask IoU of those over 400 pixels."""
    assert found.masks is not None
    lifted = [found.masks.full(row, found.boxes[row]) for row in range(len(found))]
    free, missing, worst, ious = np.ones(len(found), np.bool_), 0, 0.0, []
    for score, label, mask in zip(scores, labels, masks, strict=True):
        near = np.flatnonzero(free & (found.class_ids == label) & (np.abs(found.scores - score) < 0.02))
        if not len(near):
            missing += 1
            continue
        overlap = [(lifted[one] & mask).sum() / max((lifted[one] | mask).sum(), 1) for one in near]
        best = int(near[int(np.argmax(overlap))])
        free[best] = False
        worst = max(worst, abs(float(found.scores[best] - score)))
        if mask.sum() > 400:
            ious.append(max(overlap))
    return missing / len(scores), worst, float(np.mean(ious))


@pytest.fixture(autouse=True)
def _without_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKTRAIL_TRIAL", "off")


def solov2(tmp_path: Path) -> tuple[float, float, float, int, int]:
    """mmdetection's instances against ours, both from the same float16 heads, undecoded."""
    held = recorded("solov2_light_r18")
    (tmp_path / "m.toml").write_text('[scores]\nactivation = "sigmoid"\n')
    found = segmented(tmp_path, {name: held[name].astype(np.float32) for name in ("cate", "kernels", "features")})
    truth = held["scores"] > 0.06  # at the threshold either side may drop one
    masks = unpacked(held["masks"])[truth]
    return *apart(found, held["scores"][truth], held["labels"][truth], masks), len(found), len(truth)


def test_solov2_gives_what_mmdetection_gives(tmp_path: Path) -> None:
    missing, score, iou, found, expected = solov2(tmp_path)
    assert (missing, found - expected) == (0, pytest.approx(0, abs=1))
    assert score < 2e-3
    assert iou > 0.97


def mask2former(tmp_path: Path, **options: Any) -> tuple[float, float, float]:
    held = recorded("mask2former_fusion")
    outputs = {name: held[name].astype(np.float32) for name in ("classes", "mask_logits")}
    found = segmented(tmp_path, outputs, **{"iou_threshold": 1.0, **options})
    truth = held["scores"] > 0.06
    return apart(found, held["scores"][truth], held["labels"][truth], unpacked(held["masks"])[truth])


def test_mask2former_gives_what_the_published_inference_gives(tmp_path: Path) -> None:
    missing, score, iou = mask2former(tmp_path)
    assert missing == 0
    assert score < 4e-3
    assert iou > 0.97


# ---- mutations: the tests above would notice -----------------------------------------------------------------------
def test_greedy_suppression_in_the_place_of_matrix_nms_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(masks: np.ndarray, class_ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
        flat = masks.astype(np.float32)
        shared = flat @ flat.T
        areas = np.diagonal(shared)
        clash = np.triu(shared / (areas[:, None] + areas - shared) > 0.5, 1) & (class_ids[:, None] == class_ids)
        kept = scores.copy()
        for row in range(len(scores)):
            if kept[row]:
                kept[clash[row]] = 0
        return kept

    monkeypatch.setattr(solo, "matrix_nms", greedy)
    missing, score, _, found, expected = solov2(tmp_path)
    assert missing > 0 or score > 2e-3 or abs(found - expected) > 1


@pytest.mark.parametrize("contract", ["solov2", "mask2former"])
def test_scores_without_maskness_are_noticed(tmp_path: Path, contract: str) -> None:
    held = recorded("solov2_light_r18" if contract == "solov2" else "mask2former_fusion")
    activation = 'activation = "sigmoid"\n' if contract == "solov2" else ""
    (tmp_path / "m.toml").write_text(f'[scores]\n{activation}quality = "none"\n')
    names = ("cate", "kernels", "features") if contract == "solov2" else ("classes", "mask_logits")
    found = segmented(tmp_path, {name: held[name].astype(np.float32) for name in names}, iou_threshold=1.0)
    truth = held["scores"] > 0.06
    missing, score, _ = apart(found, held["scores"][truth], held["labels"][truth], unpacked(held["masks"])[truth])
    assert missing > 0 or score > 4e-3


def test_masks_a_pixel_off_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = queries.box_maps

    def shifted(field: np.ndarray, box: np.ndarray, cells: int) -> np.ndarray:
        return moved(field, box + np.array([0.5, 0, 0.5, 0], np.float32), cells)  # two pixels of the input

    monkeypatch.setattr(queries, "box_maps", shifted)
    assert mask2former(tmp_path)[2] < 0.97


# ---- Mask R-CNN's paste ---------------------------------------------------------------------------------------------
def pasted(field: np.ndarray, box: np.ndarray) -> np.ndarray:
    """``grid_sample`` of a map over its box at every pixel's centre, zeros outside (detectron2's paste), > 0.5."""
    left, top, right, bottom = box
    values = []
    for low, high, size in ((left, right, SIZE[0]), (top, bottom, SIZE[1])):
        place = (np.arange(size) + 0.5 - low) / (high - low) * 28 - 0.5
        values.append(np.maximum(1 - np.abs(place[:, None] - np.arange(28)), 0))
    across, down = values
    return down @ field @ across.T > 0.5


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_masks_kept_by_box_are_those_of_the_full_paste(tmp_path: Path, shift: float) -> None:
    """torchvision's recorded boxes and maps; with masks pasted a pixel off the test fails."""
    held = recorded("maskrcnn_resnet50_fpn")
    count = len(held["scores"])
    masks = held["masks"].astype(np.float32)
    masks = 1 / (1 + ((1 - masks) / masks) ** (3 / np.std(np.log(masks / (1 - masks)))))  # as certain as trained ones
    outputs = {
        "boxes": held["boxes"],
        "labels": np.ones(count, np.int64),
        "scores": held["scores"],
        "masks": masks[:, None],
    }
    (tmp_path / "m.toml").write_text('family = "mask-rcnn-torchvision"\n')
    found = segmented(tmp_path, outputs)
    assert found.masks is not None
    assert len(found) == count
    ious = []
    for row, (box, field) in enumerate(zip(held["boxes"], masks, strict=True)):
        if (box[2:] - box[:2]).prod() > 400:
            expected = pasted(field, box + shift)
            lifted = found.masks.full(row, found.masks.extent(row))
            ious.append((lifted & expected).sum() / max((lifted | expected).sum(), 1))
    assert len(ious) >= 5
    assert bool(np.mean(ious) > 0.99) is (shift == 0)
