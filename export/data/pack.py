"""Packing of COCO collections into one archive of pixels and masks: deduplicated and split.

An archive is a folder of three files: `images.bin` (raw BGR pixels, memory-mapped, so that an epoch decodes nothing; or
JPEG files one after the other, a tenth of the size), `masks.bin` (one bit per pixel of each object's box) and
`index.json` (what lies where, classes, weights, what a set labels, what everything was made from).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, BinaryIO

import cv2
import numpy as np

from export.data.archive import IGNORE, INDEX_VERSION, TRAIN, VAL
from export.data.coco import annotation_mask
from export.data.duplicates import Fingerprint, find_duplicates, fingerprint
from tracker.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from export.data.coco import Collection

# The teacher says more about classes than sets of one narrow kind do: these teach masks only.
MASKS_ONLY_SETS = ("via_firetruck_dctisdal", "via_martinezger")
# Sets of one narrow kind are drawn less often: at full weight fire trucks taught that buses are trucks.
SET_WEIGHTS = {
    "via_firetruck_dctisdal": 0.3,
    "via_martinezger": 0.5,
    "davis_single": 0.5,
    "oi_vehicles": 0.5,  # one vehicle a picture, as photographers see them, some a fifth too wide or narrow
    "rendered-": 0.35,
}
MIN_PSEUDO_MASK_SCORE = 0.5
PSEUDO_WEIGHT = 0.6  # of a perfect machine-made mask, where a person's weighs 1
LONGEST_SIDE_PX = 640


def pack(
    collections: Sequence[Collection],
    out: Path,
    *,
    classes: Sequence[str],
    validation: Sequence[Collection] = (),
    val_share: float = 0.0,
    longest_side: int = LONGEST_SIDE_PX,
    jpeg: int | None = None,
    deduplicate: bool = True,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """Write the archive; the index comes last, so that a half-written archive is none.

    Args:
        collections: to train on.
        out: folder of the archive.
        classes: names, in `class_id` order; objects of other classes are background.
        validation: to validate on; what of it is in `collections` too is left out there.
        val_share: share of `collections` that is set aside for validation, chosen by each file's hash: the same
            pictures whenever and wherever it is done, whatever is added later.
        longest_side: larger pictures are shrunk to that, in pixels.
        jpeg: quality 1 to 100, or None for raw pixels.
        deduplicate: leave pictures out that show what another shows.
        progress: called with a title, how many are done and how many there are.

    Returns:
        The report that the index holds too: pictures, objects by class, duplicates, bytes, sources.

    Raises:
        SourceError: an unreadable picture.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "index.json").unlink(missing_ok=True)
    entries = [(item, record) for item in (*collections, *validation) for record in item.records]
    held_back = sum(len(item.records) for item in collections)
    prints = []
    for row, (item, record) in enumerate(entries):
        prints.append(fingerprint(item.pictures / record["file_name"]))
        if progress:
            progress("reading", row + 1, len(entries))
    splits = [VAL if row >= held_back or draws(code.digest, val_share) else TRAIN for row, code in enumerate(prints)]
    dropped = drop_duplicates(entries, prints, splits) if deduplicate else {}
    images: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    with (out / "images.bin").open("wb") as pixels, (out / "masks.bin").open("wb") as bits:
        for row, (item, record) in enumerate(entries):
            if row in dropped:
                continue
            image, found = pack_picture(item, record, classes, pixels, bits, longest_side=longest_side, jpeg=jpeg)
            images.append({**image, "split": splits[row], "digest": prints[row].digest})
            objects += [{**entry, "image": len(images) - 1} for entry in found]
            if progress:
                progress("packing", row + 1, len(entries))
    report = {
        "sources": [
            *(describe_source(item, TRAIN) for item in collections),
            *(describe_source(item, VAL) for item in validation),
        ],
        "pictures": dict(Counter(item["split"] for item in images)),
        "objects": count_objects(images, objects, classes),
        "duplicates": count_duplicates(entries, prints, dropped),
        "bytes": {name: (out / name).stat().st_size for name in ("images.bin", "masks.bin")},
    }
    index = {"version": INDEX_VERSION, "classes": list(classes), "encoding": "jpeg" if jpeg else "raw"}
    text = json.dumps({**index, "report": report, "images": images, "objects": objects})
    partial = out / "index.partial"
    partial.write_text(text)
    partial.replace(out / "index.json")
    if not report["pictures"].get(TRAIN):
        raise ConfigError(out, "no picture is left to train on", "give more data, or a smaller --split")
    return report


def draws(digest: str, share: float) -> bool:
    """Is the picture in the share that is set aside?"""
    return int(digest[:16], 16) < share * 2.0**64


def drop_duplicates(
    entries: Sequence[tuple[Collection, dict[str, Any]]], prints: Sequence[Fingerprint], splits: Sequence[str]
) -> dict[int, int]:
    """Rows to leave out. Kept first: validation, complete labels, labels of more classes."""

    def worth(row: int) -> tuple[bool, bool, int, int]:
        item = entries[row][0]
        return (splits[row] != VAL, not item.complete, -len(item.labelled), row)

    sets = [str(item.source) for item, _ in entries]
    return find_duplicates(prints, sets, sorted(range(len(entries)), key=worth))


def count_duplicates(
    entries: Sequence[tuple[Collection, dict[str, Any]]], prints: Sequence[Fingerprint], dropped: dict[int, int]
) -> dict[str, Any]:
    """How many were left out, and between which sets."""
    identical = sum(prints[row].digest == prints[kept].digest for row, kept in dropped.items())
    pairs = Counter(f"{entries[row][0].name} (kept in {entries[kept][0].name})" for row, kept in dropped.items())
    return {"identical": identical, "nearly": len(dropped) - identical, "of": dict(pairs)}


def describe_source(item: Collection, split: str) -> dict[str, Any]:
    """What a collection was, for the record."""
    return {
        "set": item.name,
        "file": item.source.name,
        "sha256": hashlib.sha256(item.source.read_bytes()).hexdigest(),
        "pictures": len(item.records),
        "labelled": sorted(item.labelled),
        "complete": item.complete,
        "for": split,
    }


def count_objects(
    images: Sequence[dict[str, Any]], objects: Sequence[dict[str, Any]], classes: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Objects by split and class; `ignore` for regions that teach nothing."""
    counts: dict[str, Counter[str]] = {}
    for item in objects:
        name = classes[item["class_id"]] if item["class_id"] != IGNORE else "ignore"
        counts.setdefault(images[item["image"]]["split"], Counter())[name] += 1
    return {split: dict(found) for split, found in counts.items()}


def pack_picture(
    item: Collection,
    record: dict[str, Any],
    classes: Sequence[str],
    pixels: BinaryIO,
    bits: BinaryIO,
    *,
    longest_side: int,
    jpeg: int | None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Append one picture and its masks; returns its index entry and those of its objects."""
    picture = read_picture(item.pictures / record["file_name"], record)
    scale = min(1.0, longest_side / max(picture.shape[:2]))
    if scale < 1.0:
        size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    code = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, jpeg])[1] if jpeg else picture
    entry = {
        "set": item.name,
        "file": record["file_name"],
        "offset": pixels.tell(),
        "bytes": int(code.nbytes),
        "height": picture.shape[0],
        "width": picture.shape[1],
        "labelled": [name in item.labelled for name in classes],
        "complete": item.complete,
        "machine_made": item.machine_made,
        "masks_only": item.machine_made or item.name in MASKS_ONLY_SETS,
        "sampling": next((weight for name, weight in SET_WEIGHTS.items() if item.name.startswith(name)), 1.0),
    }
    pixels.write(code.tobytes())
    objects = [
        pack_object(annotation, record, picture.shape[:2], classes.index(name), bits)
        for annotation in item.annotations[record["id"]]
        if (name := item.names[annotation["category_id"]]) in classes
    ]
    return entry, [found for found in objects if found is not None]


def read_picture(path: Path, record: dict[str, Any]) -> np.ndarray:
    """Pixels (H, W, 3) BGR, turned as the labels are.

    Labelling programs differ in whether they follow a camera's orientation mark: the recorded size tells.
    """
    for flags in (cv2.IMREAD_COLOR, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION):
        picture = decode(path, flags)
        height, width = picture.shape[:2]
        if abs(width / height - record["width"] / record["height"]) < 0.02 * width / height:
            return picture
    raise SourceError(
        path,
        f"expected the labels' proportions, {record['width']} x {record['height']}, found {width} x {height}",
        "these labels belong to another version of the picture",
    )


def decode(path: Path, flags: int = cv2.IMREAD_COLOR) -> np.ndarray:
    """Pixels of a picture file.

    Raises:
        SourceError: not readable as a picture.
    """
    picture = cv2.imread(str(path), flags)
    if picture is None:
        raise SourceError(path, "expected a picture, found a file that does not decode", "replace or remove it")
    return picture


def pack_object(
    annotation: dict[str, Any], record: dict[str, Any], size: tuple[int, int], class_id: int, bits: BinaryIO
) -> dict[str, Any] | None:
    """Append one annotation's mask bits; returns its index entry, or None where nothing is left of it.

    Its weight is `weight` where the file says one. Machine-made ones have scores: the mask score is about the expected
    IoU, and weighs as its square.
    """
    ignore = bool(annotation.get("iscrowd") or annotation.get("ignore"))
    weight = float(annotation.get("weight", 1.0))
    if "score" in annotation:
        quality = annotation.get("mask_score", annotation["score"])
        ignore = ignore or quality < MIN_PSEUDO_MASK_SCORE
        weight = float(annotation.get("weight", PSEUDO_WEIGHT * quality * quality))
    mask = annotation_mask(annotation, record["height"], record["width"])
    if mask.shape != size:
        mask = cv2.resize(mask * 255, (size[1], size[0]), interpolation=cv2.INTER_AREA) // 128
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(ys):  # a box without a mask says where not to look
        if not annotation.get("bbox") or (annotation.get("segmentation") and not ignore):
            return None
        scale = size[1] / record["width"]
        left, top, width, height = (value * scale for value in annotation["bbox"])
        return {"class_id": IGNORE, "box": [left, top, left + width, top + height], "offset": -1, "weight": 0.0}
    x0, y0, x1, y1 = int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1
    entry = {
        "class_id": IGNORE if ignore or weight <= 0.0 else class_id,
        "box": [x0, y0, x1, y1],
        "offset": bits.tell(),
        "weight": weight,
    }
    bits.write(np.packbits(mask[y0:y1, x0:x1]).tobytes())
    return entry
