"""COCO folders of made pictures, for the tests of packing and training."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the PyTorch side needs torch: pip install torch")

from export.networks.yolact_nano import CLASSES

if TYPE_CHECKING:
    from pathlib import Path


def write_coco(folder: Path, *, labelled: list[str], images: int = 2, name: str = "made") -> Path:
    """A COCO folder of pictures with one bright rectangle (a car) and one dark ellipse (a person) each."""
    folder = folder / name
    (folder / "images").mkdir(parents=True)
    records, annotations = [], []
    for index in range(images):
        picture = np.full((96, 128, 3), 120, np.uint8)
        cv2.rectangle(picture, (10 + index, 30), (57 + index, 61), (230, 230, 230), -1)
        ellipse = np.zeros((96, 128), np.uint8)
        cv2.ellipse(ellipse, (90, 48), (14, 30), 0, 0, 360, 1, -1)
        picture[ellipse > 0] = (20, 40, 20)
        cv2.imwrite(str(folder / "images" / f"{index}.png"), picture)
        records.append({"id": index, "file_name": f"{index}.png", "width": 128, "height": 96})
        points = cv2.findContours(ellipse, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0][0].reshape(-1).tolist()
        left = 10 + index
        square = [left, 30, left + 48, 30, left + 48, 62, left, 62]
        if "car" in labelled:
            annotations.append({"category_id": 3, "bbox": [left, 30, 48, 32], "segmentation": [square]})
        if "person" in labelled:
            annotations.append({"category_id": 1, "bbox": [76, 18, 29, 61], "segmentation": [points]})
        for item in annotations:
            item.setdefault("image_id", index)
    for number, item in enumerate(annotations):
        item |= {"id": number + 1, "iscrowd": 0, "area": item["bbox"][2] * item["bbox"][3]}
    document = {
        "info": {"labelled_categories": labelled},
        "images": records,
        "annotations": annotations,
        "categories": [{"id": number + 1, "name": label} for number, label in enumerate(CLASSES)],
    }
    (folder / "annotations.json").write_text(json.dumps(document))
    return folder
