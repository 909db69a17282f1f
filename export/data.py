"""COCO-format folders come in; one packed archive of pixels and masks, and augmented training batches, leave.

An archive is a folder of three files: `images.bin` (raw BGR pixels, memory-mapped, so that an epoch decodes nothing),
`masks.bin` (one bit per pixel of each object's box) and `index.json` (what lies where, classes, weights, what a set
labels).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from export.yolact_nano import CLASSES

if TYPE_CHECKING:
    from pathlib import Path

IGNORE = -1
PAD_VALUE = 114
# Sets that label only some of the objects of their own classes (each set's SOURCE.md): background is not known there.
INCOMPLETE_SETS = ("davis_single", "pennfudan", "via_martinezger", "via_firetruck_dctisdal", "coco_person_")
# The teacher says more about classes than machine-made labels and sets of one narrow kind do: these teach masks only.
MASKS_ONLY_SETS = ("via_firetruck_dctisdal", "via_martinezger")
# Sets of one narrow kind are drawn less often: at full weight fire trucks taught that buses are trucks.
SET_WEIGHTS = {"via_firetruck_dctisdal": 0.3, "via_martinezger": 0.5, "davis_single": 0.5}
MIN_PSEUDO_MASK_SCORE = 0.5


class Sample(NamedTuple):
    """One training picture at network size. N objects; regions that nobody labelled are in `ignore`."""

    image: np.ndarray  # (H, W, 3) uint8 BGR
    boxes: np.ndarray  # (N, 4) float32 xyxy, network pixels
    class_ids: np.ndarray  # (N,) int64
    weights: np.ndarray  # (N,) float32
    masks: np.ndarray  # (N, H / 4, W / 4) uint8, share of each cell that the object covers, 0..255
    ignore: np.ndarray  # (M, 4) float32 xyxy, network pixels
    labelled: np.ndarray  # (C,) bool: is a class without an object here known to be absent?
    complete: bool  # does the picture label all objects of its labelled classes?
    masks_only: bool  # are its boxes and classes worth less than the teacher's?


def pack(folders: list[Path], out: Path, *, longest_side: int = 640) -> dict[str, int]:
    """Write the archive of some COCO folders (`annotations.json` beside `images/`); returns counts by class and set."""
    out.mkdir(parents=True, exist_ok=True)
    images: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    with (out / "images.bin").open("wb") as pixels, (out / "masks.bin").open("wb") as bits:
        for folder in folders:
            data = json.loads((folder / "annotations.json").read_text())
            by_image: dict[int, list[dict[str, Any]]] = {}
            for annotation in data["annotations"]:
                by_image.setdefault(annotation["image_id"], []).append(annotation)
            names = {category["id"]: category["name"] for category in data["categories"]}
            pseudo = folder.parent.name == "pseudo"
            labelled = data.get("info", {}).get("labelled_categories", list(CLASSES))
            for record in data["images"]:
                picture = cv2.imread(str(folder / "images" / record["file_name"]), cv2.IMREAD_COLOR)
                if picture is None:
                    message = (
                        f"{folder / 'images' / record['file_name']}: not readable as an image; fetch the set again"
                    )
                    raise ValueError(message)
                scale = min(1.0, longest_side / max(picture.shape[:2]))
                if scale < 1.0:
                    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
                    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
                images.append(
                    {
                        "set": folder.name,
                        "offset": pixels.tell(),
                        "height": picture.shape[0],
                        "width": picture.shape[1],
                        "labelled": [name in labelled for name in CLASSES],
                        "complete": not pseudo and not folder.name.startswith(INCOMPLETE_SETS),
                        "pseudo": pseudo,
                    }
                )
                pixels.write(picture.tobytes())
                for annotation in by_image.get(record["id"], []):
                    item = pack_object(annotation, record, picture.shape[:2], names, bits)
                    if item is not None:
                        objects.append({**item, "image": len(images) - 1})
                        key = f"{folder.name}/{CLASSES[item['class_id']] if item['class_id'] >= 0 else 'ignore'}"
                        counts[key] = counts.get(key, 0) + 1
    (out / "index.json").write_text(json.dumps({"classes": CLASSES, "images": images, "objects": objects}))
    return counts


def pack_object(
    annotation: dict[str, Any], record: dict[str, Any], size: tuple[int, int], names: dict[int, str], bits: Any
) -> dict[str, Any] | None:
    """Append one annotation's mask bits; returns its index entry, or None where nothing is left of it."""
    name = names[annotation["category_id"]]
    ignore = bool(annotation.get("iscrowd") or annotation.get("ignore"))
    weight = 1.0
    if "score" in annotation:  # machine-made: the mask score is about the expected IoU, and weighs as its square
        quality = annotation.get("mask_score", annotation["score"])
        ignore = ignore or quality < MIN_PSEUDO_MASK_SCORE
        weight = 0.6 * quality * quality
    if name not in CLASSES:
        return None
    mask = annotation_mask(annotation, record["height"], record["width"])
    if mask.shape != size:
        mask = cv2.resize(mask * 255, (size[1], size[0]), interpolation=cv2.INTER_AREA) // 128
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(ys) and not ignore:
        return None
    if not len(ys):  # ignore regions may be boxes without a mask
        scale = size[1] / record["width"]
        left, top, width, height = (value * scale for value in annotation["bbox"])
        return {"class_id": IGNORE, "box": [left, top, left + width, top + height], "offset": 0, "weight": 0.0}
    x0, x1, y0, y1 = int(xs[0]), int(xs[-1]) + 1, int(ys[0]), int(ys[-1]) + 1
    entry = {
        "class_id": IGNORE if ignore else CLASSES.index(name),
        "box": [x0, y0, x1, y1],
        "offset": bits.tell(),
        "weight": weight,
    }
    bits.write(np.packbits(mask[y0:y1, x0:x1]).tobytes())
    return entry


def annotation_mask(annotation: dict[str, Any], height: int, width: int) -> np.ndarray:
    """Polygons or RLE -> (height, width) uint8 0/1."""
    segmentation = annotation.get("segmentation")
    if not segmentation:
        return np.zeros((height, width), np.uint8)
    if isinstance(segmentation, list):
        code = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        code = coco_mask.frPyObjects(segmentation, height, width)
    else:
        code = segmentation
    return np.asarray(coco_mask.decode(code), np.uint8)


class Archive:
    """Random access to a packed archive."""

    def __init__(self, path: Path) -> None:
        index = json.loads((path / "index.json").read_text())
        self.images: list[dict[str, Any]] = index["images"]
        self.objects: list[list[dict[str, Any]]] = [[] for _ in self.images]
        for item in index["objects"]:
            self.objects[item["image"]].append(item)
        self._groups: dict[tuple[Any, ...], list[int]] = {}
        for row in range(len(self.images)):
            self._groups.setdefault(self._group(row), []).append(row)
        self._pixels = np.memmap(path / "images.bin", np.uint8, "r")
        bits = path / "masks.bin"
        self._bits = np.memmap(bits, np.uint8, "r") if bits.stat().st_size else np.zeros(0, np.uint8)

    def alike(self, row: int) -> list[int]:
        """The images that label the same classes, equally completely: those which may share a canvas."""
        return self._groups[self._group(row)]

    def _group(self, row: int) -> tuple[Any, ...]:
        item = self.images[row]
        return (*item["labelled"], item["complete"], item["pseudo"])

    def image(self, row: int) -> np.ndarray:
        """(H, W, 3) uint8 BGR."""
        item = self.images[row]
        count = item["height"] * item["width"] * 3
        return self._pixels[item["offset"] : item["offset"] + count].reshape(item["height"], item["width"], 3)

    def mask(self, item: dict[str, Any]) -> np.ndarray:
        """The object's mask inside its box, (h, w) uint8 0/255."""
        x0, y0, x1, y1 = item["box"]
        count = (y1 - y0) * (x1 - x0)
        packed = self._bits[item["offset"] : item["offset"] + (count + 7) // 8]
        return np.unpackbits(packed, count=count).reshape(y1 - y0, x1 - x0) * 255

    def sampling_weights(self, *, pseudo_share: float = 0.15, rare_below: float = 0.25) -> np.ndarray:
        """How often each image is drawn, (images,), sum 1: repeat-factor sampling (Gupta et al. 2019) for rare classes.

        An image counts sqrt(rare_below / share) times, share being that of the images which show its rarest class.
        """
        pseudo = np.array([item["pseudo"] for item in self.images])
        present = np.zeros((len(self.images), len(CLASSES)), bool)
        for row, items in enumerate(self.objects):
            for item in items:
                if item["class_id"] >= 0:
                    present[row, item["class_id"]] = True
        share = present[~pseudo].mean(axis=0).clip(min=1e-3) if (~pseudo).any() else np.ones(len(CLASSES))
        factors = np.maximum(1.0, np.sqrt(rare_below / share))
        weights = np.where(present, factors, 1.0).max(axis=1)
        weights[~present.any(axis=1)] = 0.5  # pictures of nothing are worth less
        weights *= np.array([SET_WEIGHTS.get(item["set"], 1.0) for item in self.images])
        if pseudo.any() and (~pseudo).any():
            weights[pseudo] *= pseudo_share / (1 - pseudo_share) * weights[~pseudo].sum() / weights[pseudo].sum()
        return weights / weights.sum()
