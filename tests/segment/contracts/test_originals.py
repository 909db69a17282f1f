"""Instances against recorded ones of the original implementations (see ``tests/export/record_originals.py``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
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
    right = queries.crops

    def shifted(*args: Any, **options: Any) -> Any:
        maps, spans = right(*args, **options)
        return maps, spans + np.array([0.5, 0, 0.5, 0], np.float32)  # two pixels of the input

    monkeypatch.setattr(queries, "crops", shifted)
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


def pasted_by_torchvision(field: np.ndarray, box: np.ndarray) -> np.ndarray:
    """``(H, W)`` probabilities as ``torchvision.models.detection.roi_heads.paste_masks_in_image`` makes them."""
    padded = np.zeros((30, 30), np.float32)
    padded[1:-1, 1:-1] = field
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * 30 / 28
    low, high = (centre - half).astype(int), (centre + half).astype(int)
    width, height = (int(side) for side in np.maximum(high - low + 1, 1))
    mask = cv2.resize(padded, (width, height), interpolation=cv2.INTER_LINEAR)
    (left, top), (right, bottom) = np.maximum(low, 0), np.minimum(high + 1, SIZE)
    whole = np.zeros((SIZE[1], SIZE[0]), np.float32)
    whole[top:bottom, left:right] = mask[top - low[1] : bottom - low[1], left - low[0] : right - low[0]]
    return whole


@pytest.mark.parametrize("shift", [0, 1])
def test_masks_that_torchvision_pasted_at_full_size_stay_as_they_are(tmp_path: Path, shift: int) -> None:
    """Its recorded boxes and maps, noise of random weights; with masks compared a pixel off the test fails."""
    held = recorded("maskrcnn_resnet50_fpn")
    masks = [
        pasted_by_torchvision(field.astype(np.float32), box)
        for field, box in zip(held["masks"], held["boxes"], strict=True)
    ]
    outputs = {
        "boxes": held["boxes"],
        "labels": np.ones(len(masks), np.int64),
        "scores": held["scores"],
        "masks": np.stack(masks)[:, None],
    }
    (tmp_path / "m.toml").write_text('family = "mask-rcnn-torchvision"\n')
    found = segmented(tmp_path, outputs)
    assert found.masks is not None
    ious = []
    for row, mask in enumerate(masks):
        lifted, expected = found.masks.full(row, found.boxes[row]), np.roll(mask > 0.5, shift, axis=1)
        if expected.sum() > 400:
            ious.append((lifted & expected).sum() / (lifted | expected).sum())
    assert len(ious) >= 5
    assert bool(np.mean(ious) > 0.99) is (shift == 0)


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


# ---- masks over the input or the picture -----------------------------------------------------------------------------
INPUT = (640, 384)


def blobs(seed: int, count: int = 8) -> np.ndarray:
    """Logits ``(N, h, w)`` at a stride of 4: noise in ellipses of 24 to 300 pixels, and all over."""
    rng = np.random.default_rng(seed)
    height, width = INPUT[1] // 4, INPUT[0] // 4
    y, x = np.mgrid[:height, :width]
    fields = []
    for number in range(count):
        noise = cv2.GaussianBlur(rng.normal(size=(height, width)).astype(np.float32), (0, 0), 1)
        noise *= 2 / noise.std()
        half = np.geomspace(3, 37, count)[number]  # cells
        centre = rng.uniform(half, np.array([width, height]) - half)
        far = np.hypot((x - centre[0]) / half, (y - centre[1]) / (0.8 * half)) > 1
        fields.append(noise if number == 0 else np.where(far, -4, noise + 2))
    return np.stack(fields).astype(np.float32)


def resized(fields: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """``interpolate(..., mode="bilinear", align_corners=False)`` of ``(N, h, w)``."""
    return np.stack([cv2.resize(field, size, interpolation=cv2.INTER_LINEAR) for field in fields])


def boxes_of(masks: np.ndarray) -> np.ndarray:
    """``(N, 4)`` of the pixels."""
    ends = [np.flatnonzero(mask.any(axis=axis)) for mask in masks for axis in (0, 1)]
    edges = [
        (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) for columns, rows in zip(*[iter(ends)] * 2, strict=True)
    ]
    return np.array(edges, np.float32)


def probabilities(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def queries_of(fields: np.ndarray, scores: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Mask2Former: logits are scaled; the score counts the mean of the mask at full size."""
    whole = resized(fields, INPUT)
    masks = whole > 0
    means = np.array([probabilities(one[mask]).mean() for one, mask in zip(whole, masks, strict=True)])
    classes = np.full((1, 20, 81), -9, np.float32)
    classes[..., 80] = 0
    classes[0, np.arange(8), np.arange(8)] = np.log(scores / (1 - scores))
    values = np.full((1, 20, *fields.shape[1:]), -8, np.float32)
    values[0, :8] = fields
    seen = np.exp(classes[0, :8])
    return {"classes": classes, "masks": values}, masks, means * (seen / seen.sum(axis=1, keepdims=True)).max(axis=1)


def sparse_of(fields: np.ndarray, scores: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """SparseInst: probabilities at the input's size above 0.45; the score counts their mean."""
    whole = probabilities(resized(fields, INPUT))
    masks = whole > 0.45
    means = np.array([one[mask].mean() for one, mask in zip(whole, masks, strict=True)])
    classes = np.zeros((1, 8, 80), np.float32)
    classes[0, np.arange(8), np.arange(8)] = scores
    return {"scores": classes, "masks": whole[None]}, masks, means * scores


def solo_of(fields: np.ndarray, scores: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """SOLOv2: probabilities are scaled; the score counts their mean at a stride of 4."""
    shares = probabilities(fields)
    means = np.array([one[one > 0.5].mean() for one in shares])
    cate, kernels = np.zeros((1, 3872, 80), np.float32), np.zeros((1, 3872, 8), np.float32)
    cate[0, 7 * np.arange(8), np.arange(8)] = scores
    kernels[0, 7 * np.arange(8), np.arange(8)] = 1
    return {"cate": cate, "kernels": kernels, "features": fields[None]}, resized(shares, INPUT) > 0.5, means * scores


def dets_of(fields: np.ndarray, scores: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """SOLOv2 of mmdeploy at the input's size, with no boxes of its own."""
    whole = probabilities(resized(fields, INPUT))
    rows = np.concatenate([np.zeros((8, 4)), scores[:, None]], axis=1).astype(np.float32)
    return {"dets": rows[None], "labels": np.arange(8)[None], "masks": whole[None]}, whole > 0.5, scores


def slots_of(fields: np.ndarray, scores: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """D-FINE-seg: boxes, and probabilities at a stride of 4 that are scaled."""
    shares = probabilities(fields)
    masks = resized(shares, INPUT) > 0.5
    outputs = {"labels": np.arange(8)[None], "boxes": boxes_of(masks)[None], "scores": scores[None].astype(np.float32)}
    return {**outputs, "masks": shares[None]}, masks, scores


FORMS = {"queries": queries_of, "sparse": sparse_of, "solo": solo_of, "dets": dets_of, "slots": slots_of}


@pytest.mark.parametrize("form", FORMS)
def test_masks_of_every_size_are_those_of_the_published_code(tmp_path: Path, form: str) -> None:
    """Noisy masks of 24 to 640 pixels, scores with maskness, boxes of the mask's pixels."""
    outputs, masks, scores = FORMS[form](blobs(3), np.linspace(0.9, 0.6, 8))
    (tmp_path / "m.toml").write_text('family = "solov2-mmdeploy"\n' if form == "dets" else "")
    path = constant_model(tmp_path / "m.onnx", outputs, input_shape=(1, 3, INPUT[1], INPUT[0]))
    segmenter = OnnxSegmenter(path, device="cpu", score_threshold=0.05, iou_threshold=1.0)
    image = np.zeros((INPUT[1], INPUT[0], 3), np.uint8)
    (found,) = segmenter.segment([Frame(index=0, time_s=0.0, arrived_s=0.0, source="t", size=INPUT, image=image)])
    assert found.masks is not None
    assert sorted(found.class_ids.tolist()) == list(range(8))
    order = np.argsort(found.class_ids)
    assert np.abs(found.scores[order] - scores).max() < (4e-3 if form == "queries" else 2e-3)
    assert np.abs(found.boxes[order] - boxes_of(masks)).max() <= 2
    lifted = found.masks.full_size(found.boxes)[order]
    ious = (lifted & masks).sum(axis=(1, 2)) / (lifted | masks).sum(axis=(1, 2))
    assert ious.mean() > 0.97
    assert ious.min() > 0.95


def test_what_mask2former_says_of_the_padding_counts_in_no_score_and_no_box(tmp_path: Path) -> None:
    """A picture of 500 x 375 in 512 x 384 of the input: padding is cut off, then masks are scaled and scored."""
    fields, size, content = blobs(5), (500, 375), (512, 384)
    outputs, _, _ = queries_of(fields, np.linspace(0.9, 0.6, 8))
    whole = resized(resized(fields, INPUT)[:, : content[1], : content[0]], size)
    seen = [number for number, one in enumerate(whole) if (one > 0).sum() > 400]
    assert len(seen) >= 6
    reaches_out = (resized(fields, INPUT)[seen][:, :, content[0] :] > 0).any(axis=(1, 2))
    assert reaches_out.sum() >= 2
    masks = whole[seen] > 0
    shares = np.exp(outputs["classes"][0, seen])
    shares = (shares / shares.sum(axis=1, keepdims=True)).max(axis=1)
    means = np.array([probabilities(one[mask]).mean() for one, mask in zip(whole[seen], masks, strict=True)])
    path = constant_model(tmp_path / "m.onnx", outputs, input_shape=(1, 3, INPUT[1], INPUT[0]))
    segmenter = OnnxSegmenter(path, device="cpu", score_threshold=0.05, iou_threshold=1.0)
    image = np.zeros((size[1], size[0], 3), np.uint8)
    (found,) = segmenter.segment([Frame(index=0, time_s=0.0, arrived_s=0.0, source="t", size=size, image=image)])
    rows = [int(np.flatnonzero(found.class_ids == number)[0]) for number in seen]
    assert np.abs(found.scores[rows] - means * shares).max() < 4e-3
    assert np.abs(found.boxes[rows] - boxes_of(masks)).max() <= 2
