"""Mask AP of an end-to-end ONNX file on COCO-format validation folders, by class, set and size."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tracker.errors import ConfigError
from tracker.segment.contracts.end2end import End2EndDecoder
from tracker.segment.manifest import InputSpec
from tracker.segment.preprocess import Preprocessor
from tracker.segment.session import OnnxSegmenter
from tracker.sources.open import open_source
from tracker.types import Frame

if TYPE_CHECKING:
    from pathlib import Path

SCORE_FLOOR = 0.005
INPUT = InputSpec(layout="NHWC", dtype="uint8").over(End2EndDecoder.input_defaults)  # of this project's own exports


def letterbox(image: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, float]:
    """An image in (height, width) as the product's own preprocessing lays it; returns the frame and the scale."""
    network_size = (size[1], size[0])
    preprocessor = Preprocessor(spec=INPUT, network_size=network_size, batch=1)
    picture = Frame(index=0, time_s=0.0, arrived_s=0.0, source="", size=(image.shape[1], image.shape[0]), image=image)
    batch, (laid,) = preprocessor.pack([picture])
    return np.array(batch[0]), min(network_size[0] / laid.image_size[0], network_size[1] / laid.image_size[1])


def evaluate(model: Path, folder: Path, *, device: str = "cpu", threads: int = 1) -> dict[str, Any]:
    """Mask AP over one COCO folder (`annotations.json` beside `images/`), with pycocotools.

    Pictures are opened, segmented and lifted as `masktrail segment` does it.

    Returns:
        `AP`, `AP50`, `AP_small|medium|large`, `box_AP`, `box_AP50`, `classes` (name -> AP and AP50) and
        `mean_best_iou`.
    """
    segmenter = OnnxSegmenter(model, device=device, score_threshold=SCORE_FLOOR, threads=threads)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "annotations.json"))
    names = {item["name"]: item["id"] for item in truth.loadCats(truth.getCatIds())}
    if not set(names) & set(segmenter.class_names):
        raise ConfigError(
            folder,
            f"has {', '.join(names)}, and the model knows {', '.join(segmenter.class_names)}",
            "evaluate on pictures with classes of the model",
        )
    results: list[dict[str, Any]] = []
    for record in truth.loadImgs(truth.getImgIds()):
        with open_source(folder / "images" / record["file_name"], like=segmenter, want_image=False) as source:
            (found,) = segmenter.segment(list(source))
        for row, (box, score, class_id) in enumerate(zip(found.boxes, found.scores, found.class_ids, strict=True)):
            name = segmenter.class_names[class_id]
            if name not in names:  # the folder knows nothing of it
                continue
            results.append(
                {
                    "image_id": record["id"],
                    "category_id": names[name],
                    "score": float(score),
                    "segmentation": coco_mask.encode(np.asfortranarray(found.masks.full(row, box).astype(np.uint8))),
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
