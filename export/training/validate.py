"""Validation of weights in training: mask AP by pycocotools on the archive's validation part."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from export.data.archive import IGNORE
from export.networks.solov2_nano import SoloNano, solo_metadata
from export.networks.yolact_nano import STRIDES
from export.onnx.solov2_export import OUTPUTS
from export.onnx.solov2_nano_export import DOUBLES_IOU, SoloNanoFrames
from export.onnx.to_onnx import CERTAINTY_STEP, MASK_MARGIN, EndToEnd
from export.training.evaluate import letterbox, summarise
from tracker.boxes import Letterbox
from tracker.inference.tensors import TensorInfo
from tracker.segment.contracts.decoder import Limits, ModelInfo, network_prototypes
from tracker.segment.contracts.end2end_2 import certainty
from tracker.segment.contracts.solo import SoloDecoder
from tracker.segment.placing import place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.data.archive import Archive, Picture
    from export.networks.yolact_nano import YolactNano

SCORE_FLOOR = 0.01
SHOWN = 12  # pictures whose predictions are kept for the overlay
BATCH = 8
MOST_INSTANCES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a network finds on one picture.

    Attributes:
        boxes: (N, 4) in picture pixels.
        scores: (N,).
        class_ids: (N,).
        masks: N of (H, W) bool.
    """

    boxes: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    masks: list[np.ndarray]


class YolactFinder:
    """Instances of a yolact-nano, as it will be exported and read.

    Args:
        network: with the weights to judge.
        size: (height, width) of the network input.
        device: where to compute.
    """

    def __init__(self, network: YolactNano, size: tuple[int, int], device: torch.device) -> None:
        locations = sum(size[0] // stride * (size[1] // stride) for stride in STRIDES)
        self.module = EndToEnd(
            network, height=size[0], width=size[1], candidates=min(200, locations), instances=min(100, locations)
        ).to(device)

    def found(self, outputs: Sequence[np.ndarray], size: tuple[int, int], scale: float) -> Found:
        """Of one picture (height, width), from its rows of the outputs; `scale`: network pixels per picture pixel."""
        shares, scores, class_ids, terms, values = outputs[:5]  # (K, 4), (K,), (K,), (K, P + 5), (h, w, P)
        chosen = scores > SCORE_FLOOR
        shares, terms = shares[chosen], terms[chosen].astype(np.float32)
        network_size = self.module.width, self.module.height
        boxes = shares * np.array(network_size * 2, np.float32)  # network pixels
        prototypes = network_prototypes(
            values.astype(np.float32).transpose(2, 0, 1),
            network_size,
            margin_cells=MASK_MARGIN,
            growth=self.module.network.mask_growth,
        )
        parts = prototypes.crops(terms, boxes)
        sure = np.array([certainty(part, top, CERTAINTY_STEP) for top, _, part in parts], np.float32)
        scores = scores[chosen] * sure
        kept = scores > SCORE_FLOOR
        tight = boxes[kept] / scale
        reached = prototypes.reached(boxes[kept], [part for part, one in zip(parts, kept, strict=True) if one]) / scale
        whole = prototypes.scaled((1 / scale, 1 / scale), (size[1], size[0]))
        grids = whole.masks(terms[kept], tight)
        return Found(
            boxes=reached,
            scores=scores[kept],
            class_ids=class_ids[chosen][kept],
            masks=[grids.full(row, box) for row, box in enumerate(reached)],
        )


class SoloFinder:
    """Instances of a solov2-nano, as it will be exported and read; see `YolactFinder`."""

    def __init__(self, network: SoloNano, size: tuple[int, int], device: torch.device) -> None:
        self.module = SoloNanoFrames(network).eval().to(device)
        self.network_size = size[1], size[0]
        grids = json.loads(text := solo_metadata(*size))["grids"]
        shape = (1, sum(side * side for side in grids), len(network.classes))
        info = ModelInfo(
            label="the trained network",
            inputs=(),
            outputs=(TensorInfo(name="cate", dtype="float32", shape=shape),),
            metadata={"masktrail.solo": text, "masktrail.classes": json.dumps(list(network.classes))},
            network_size=self.network_size,
        )
        self.decoder = SoloDecoder(info, {name: name for name in OUTPUTS})
        self.limits = Limits(
            score_threshold=SCORE_FLOOR, iou_threshold=DOUBLES_IOU, classes=None, max_instances=MOST_INSTANCES
        )

    def found(self, outputs: Sequence[np.ndarray], size: tuple[int, int], scale: float) -> Found:
        """Of one picture (height, width), from its rows of the outputs."""
        del scale  # follows from the sizes
        named = {name: value[None] for name, value in zip(OUTPUTS, outputs, strict=True)}
        decoded = self.decoder.decode(named, 0, self.limits)
        instances = place(decoded, Letterbox.fit((size[1], size[0]), self.network_size))
        masks = [instances.masks.full(row, box) for row, box in enumerate(instances.boxes)]
        return Found(boxes=instances.boxes, scores=instances.scores, class_ids=instances.class_ids, masks=masks)


def validate(
    network: YolactNano | SoloNano, archive: Archive, *, size: tuple[int, int], device: torch.device
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
    finder = (SoloFinder if isinstance(network, SoloNano) else YolactFinder)(network, size, device)
    results: list[dict[str, Any]] = []
    shown: list[tuple[Picture, Found]] = []
    for start in range(0, len(archive), BATCH):
        rows = range(start, min(start + BATCH, len(archive)))
        frames, scales = zip(*(letterbox(archive.image(row), size) for row in rows), strict=True)
        with torch.no_grad():
            outputs = [value.cpu().numpy() for value in finder.module(torch.from_numpy(np.stack(frames)).to(device))]
        for number, row in enumerate(rows):
            shape = (archive.images[row]["height"], archive.images[row]["width"])
            found = finder.found([value[number] for value in outputs], shape, scales[number])
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
