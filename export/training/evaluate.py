"""Mask AP of an end-to-end ONNX file on COCO-format validation folders, by class, set and size."""

from __future__ import annotations

import contextlib
import io
import json
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from export.data.archive import PAD_VALUE
from export.data.augment import letterbox_scale
from export.onnx.sessions import cpu_session
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

SCORE_FLOOR = 0.005


class Segmenter:
    """A minimal runner of an end-to-end file: one image at a time, masks at image resolution."""

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        self.session = cpu_session(path, threads=threads)
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.classes: list[str] = json.loads(metadata["masktrail.classes"])
        layout = json.loads(metadata["masktrail.input"])
        self.size: tuple[int, int] = (layout["height"], layout["width"])
        self.mask_stride = int(metadata["masktrail.mask_stride"])

    def __call__(self, image: np.ndarray, *, score_floor: float = SCORE_FLOOR) -> dict[str, np.ndarray]:
        """Image (H, W, 3) BGR -> boxes (N, 4) in image pixels, scores, class_ids, masks (N, H, W) bool."""
        frame, scale = letterbox(image, self.size)
        boxes, scores, class_ids, masks = (
            output[0] for output in self.session.run(["boxes", "scores", "class_ids", "masks"], {"frames": frame[None]})
        )
        kept = scores > score_floor
        size = np.array([self.size[1], self.size[0]] * 2, np.float32)
        return {
            "boxes": boxes[kept] * size / scale,
            "scores": scores[kept],
            "class_ids": class_ids[kept],
            "masks": np.stack([lift(mask, image.shape[:2], scale / self.mask_stride) for mask in masks[kept]])
            if kept.any()
            else np.zeros((0, *image.shape[:2]), bool),
        }


def letterbox(image: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, float]:
    """Fit the image into (height, width), top left, grey beside and below; returns the frame and the scale."""
    scale = letterbox_scale(image.shape[:2], size)
    shape = (min(size[1], round(image.shape[1] * scale)), min(size[0], round(image.shape[0] * scale)))
    resized = cv2.resize(image, shape, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    frame = np.full((*size, 3), PAD_VALUE, np.uint8)
    frame[: shape[1], : shape[0]] = resized
    return frame, scale


def lift(mask: np.ndarray, size: tuple[int, int], scale: float) -> np.ndarray:
    """Probabilities 0..255 on the grid -> bool at image size (height, width): bilinear, then a threshold at 0.5.

    `scale` is grid cells per image pixel.
    """
    half = 0.5 * (scale - 1.0)
    matrix = np.array([[scale, 0.0, half], [0.0, scale, half]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    lifted = cv2.warpAffine(mask, matrix, (size[1], size[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return lifted > 127


def evaluate(model: Path, folder: Path, *, threads: int = 1, segmenter: Segmenter | None = None) -> dict[str, Any]:
    """Mask AP over one COCO folder (`annotations.json` beside `images/`), with pycocotools.

    Returns:
        `AP`, `AP50`, `AP_small|medium|large`, `box_AP`, `box_AP50`, `classes` (name -> AP and AP50) and
        `mean_best_iou`.
    """
    segmenter = segmenter or Segmenter(model, threads=threads)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "annotations.json"))
    names = {item["name"]: item["id"] for item in truth.loadCats(truth.getCatIds())}
    if not set(names) & set(segmenter.classes):
        raise ConfigError(
            folder,
            f"has {', '.join(names)}, and the model knows {', '.join(segmenter.classes)}",
            "evaluate on pictures with classes of the model",
        )
    results: list[dict[str, Any]] = []
    for record in truth.loadImgs(truth.getImgIds()):
        image = cv2.imread(str(folder / "images" / record["file_name"]), cv2.IMREAD_COLOR)
        found = segmenter(image)
        for box, score, class_id, mask in zip(*found.values(), strict=True):
            if segmenter.classes[class_id] not in names:  # the folder knows nothing of it
                continue
            code = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
            results.append(
                {
                    "image_id": record["id"],
                    "category_id": names[segmenter.classes[class_id]],
                    "score": float(score),
                    "segmentation": code,
                    "bbox": [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])],
                }
            )
    return summarise(truth, results)


def summarise(truth: COCO, results: list[dict[str, Any]]) -> dict[str, Any]:
    """COCO results against their truth; classes without truth are left out."""
    present = sorted({item["category_id"] for item in truth.dataset["annotations"] if not item.get("iscrowd")})
    labels = {item["id"]: item["name"] for item in truth.loadCats(truth.getCatIds())}
    if not results:
        return {"AP": 0.0, "AP50": 0.0}
    with contextlib.redirect_stdout(io.StringIO()):
        detected = truth.loadRes([dict(item) for item in results])
        runs = {}
        for kind in ("segm", "bbox"):
            run = COCOeval(truth, detected, kind)
            run.params.catIds = present
            run.evaluate()
            run.accumulate()
            run.summarize()
            runs[kind] = run
    stats, box_stats = runs["segm"].stats, runs["bbox"].stats
    precision = runs["segm"].eval["precision"]  # (IoU, recall, class, area, detections)
    classes = {}
    for column, identity in enumerate(present):
        at = precision[:, :, column, 0, -1]
        classes[labels[identity]] = {"AP": round(mean_valid(at), 4), "AP50": round(mean_valid(at[0]), 4)}
    return {
        "AP": round(float(stats[0]), 4),
        "AP50": round(float(stats[1]), 4),
        "AP_small": round(float(stats[3]), 4),
        "AP_medium": round(float(stats[4]), 4),
        "AP_large": round(float(stats[5]), 4),
        "box_AP": round(float(box_stats[0]), 4),
        "box_AP50": round(float(box_stats[1]), 4),
        "mean_best_iou": round(mean_best_iou(truth, results), 4),
        "classes": classes,
    }


def mean_valid(values: np.ndarray) -> float:
    """Mean of the entries that COCOeval filled (-1 marks the others)."""
    valid = values[values > -1]
    return float(valid.mean()) if len(valid) else 0.0


def mean_best_iou(truth: COCO, results: list[dict[str, Any]], *, score_threshold: float = 0.05) -> float:
    """For every true object the best mask IoU that any detection of its class reaches, averaged."""
    codes: dict[tuple[int, int], list[Any]] = {}
    for result in results:
        if result["score"] >= score_threshold:
            codes.setdefault((result["image_id"], result["category_id"]), []).append(result["segmentation"])
    best = []
    for image_id in truth.getImgIds():
        for item in truth.loadAnns(truth.getAnnIds(imgIds=[image_id], iscrowd=False)):
            own = codes.get((image_id, item["category_id"]), [])
            best.append(float(coco_mask.iou(own, [truth.annToRLE(item)], [0]).max()) if own else 0.0)
    return float(np.mean(best)) if best else 0.0


def table(figures: dict[str, dict[str, Any]]) -> str:
    """Figures by set as aligned text."""
    columns = ("AP", "AP50", "AP_small", "AP_medium", "AP_large", "mean_best_iou", "box_AP", "box_AP50")
    lines = [f"{'set':20s}" + "".join(f"{name:>14s}" for name in columns)]
    for name, values in figures.items():
        lines.append(f"{name:20s}" + "".join(f"{values.get(column, 0.0):14.4f}" for column in columns))
        if len(values.get("classes", {})) > 1:
            lines.extend(
                f"  {label:18s}{item['AP']:14.4f}{item['AP50']:14.4f}" for label, item in values["classes"].items()
            )
    return "\n".join(lines)
