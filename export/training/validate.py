"""Validation of weights in training: mask AP by pycocotools on the archive's validation part."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from export.data.archive import IGNORE
from export.networks.yolact_nano import STRIDES
from export.onnx.to_onnx import CERTAINTY_STEP, MASK_MARGIN, EndToEnd
from export.training.evaluate import letterbox, summarise
from tracker.segment.contracts.decoder import network_prototypes
from tracker.segment.contracts.end2end_2 import certainty

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.data.archive import Archive, Picture
    from export.networks.yolact_nano import YolactNano

SCORE_FLOOR = 0.01
SHOWN = 12  # pictures whose predictions are kept for the overlay
BATCH = 8


class Found:
    """What a network finds on one picture: boxes (N, 4) in picture pixels, scores, class_ids, masks (N, H, W) bool."""

    def __init__(self, outputs: Sequence[np.ndarray], size: tuple[int, int], scale: float, network: EndToEnd) -> None:
        shares, scores, class_ids, terms, values = outputs  # (K, 4), (K,), (K,), (K, P + 5), (h, w, P)
        chosen = scores > SCORE_FLOOR
        shares, terms = shares[chosen], terms[chosen].astype(np.float32)
        boxes = shares * np.array([network.width, network.height] * 2, np.float32)  # network pixels
        prototypes = network_prototypes(
            values.astype(np.float32).transpose(2, 0, 1),
            (network.width, network.height),
            margin_cells=MASK_MARGIN,
            growth=network.network.mask_growth,
        )
        parts = prototypes.crops(terms, boxes)
        sure = np.array([certainty(part, top, CERTAINTY_STEP) for top, _, part in parts], np.float32)
        scores = scores[chosen] * sure
        kept = scores > SCORE_FLOOR
        tight = boxes[kept] / scale
        reached = prototypes.reached(boxes[kept], [part for part, one in zip(parts, kept, strict=True) if one])
        self.boxes = reached / scale
        self.scores, self.class_ids = scores[kept], class_ids[chosen][kept]
        whole = prototypes.scaled((1 / scale, 1 / scale), (size[1], size[0]))
        grids = whole.masks(terms[kept], tight)
        self.masks = [grids.full(row, box) for row, box in enumerate(self.boxes)]


def validate(
    network: YolactNano, archive: Archive, *, size: tuple[int, int], device: torch.device
) -> tuple[dict[str, Any], list[tuple[Picture, Found]]]:
    """Mask AP of a network, as it will be exported, over an archive.

    Args:
        network: with the weights to judge.
        archive: the validation part, at the size in which it was packed.
        size: (height, width) of the network input.
        device: where to compute.

    Returns:
        The figures of `export.training.evaluate.summarise`, and what was found on the first pictures.
    """
    locations = sum(size[0] // stride * (size[1] // stride) for stride in STRIDES)
    module = EndToEnd(
        network, height=size[0], width=size[1], candidates=min(200, locations), instances=min(100, locations)
    ).to(device)
    results: list[dict[str, Any]] = []
    shown: list[tuple[Picture, Found]] = []
    for start in range(0, len(archive), BATCH):
        rows = range(start, min(start + BATCH, len(archive)))
        frames, scales = zip(*(letterbox(archive.image(row), size) for row in rows), strict=True)
        with torch.no_grad():
            outputs = [value.cpu().numpy() for value in module(torch.from_numpy(np.stack(frames)).to(device))[:5]]
        for place, row in enumerate(rows):
            shape = (archive.images[row]["height"], archive.images[row]["width"])
            found = Found([value[place] for value in outputs], shape, scales[place], module)
            results += to_results(found, row, archive.images[row]["labelled"])
            if len(shown) < SHOWN:
                shown.append((archive.picture(row), found))
    return summarise(truth_of(archive), results), shown


def to_results(found: Found, row: int, labelled: Sequence[bool]) -> list[dict[str, Any]]:
    """COCO results of one picture; classes that it does not label can be neither right nor wrong."""
    results = []
    for box, score, class_id, mask in zip(found.boxes, found.scores, found.class_ids, found.masks, strict=True):
        if labelled[class_id]:
            x0, y0, x1, y1 = (float(value) for value in box)
            code = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
            results.append(
                {
                    "image_id": row,
                    "category_id": int(class_id) + 1,
                    "score": float(score),
                    "segmentation": code,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                }
            )
    return results


def truth_of(archive: Archive) -> COCO:
    """The archive's labels as COCO's object; regions to ignore are crowds of every class."""
    images, annotations = [], []
    for row, entry in enumerate(archive.images):
        images.append({"id": row, "width": entry["width"], "height": entry["height"]})
        for item in archive.picture(row).items:
            x0, y0, x1, y1 = (round(float(value)) for value in item.box)
            mask = np.zeros((entry["height"], entry["width"]), np.uint8)
            mask[y0:y1, x0:x1] = 1 if item.mask is None else item.mask > 0
            crowd = item.class_id == IGNORE
            annotation = {
                "image_id": row,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": int(cv2.countNonZero(mask)),
                "segmentation": coco_mask.encode(np.asfortranarray(mask)),
                "iscrowd": int(crowd),
            }
            for class_id in range(len(archive.classes)) if crowd else (item.class_id,):
                annotations.append({**annotation, "id": len(annotations) + 1, "category_id": class_id + 1})
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number + 1, "name": name} for number, name in enumerate(archive.classes)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
    return truth
