"""Packed training archive (written by `export.data.pack`) and the sampling weights of its pictures."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from tracker.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

INDEX_VERSION = 2
IGNORE = -1
PAD_VALUE = 114
TRAIN, VAL = "train", "val"


class Item(NamedTuple):
    """One object of a picture; class `IGNORE` is a region that teaches nothing."""

    class_id: int
    box: np.ndarray  # (4,) float xyxy, picture pixels
    mask: np.ndarray | None  # inside the box, (h, w) uint8 0/255; None where a region has only a box
    weight: float


class Picture(NamedTuple):
    """One labelled picture at its own size."""

    image: np.ndarray  # (H, W, 3) uint8 BGR
    items: list[Item]
    labelled: np.ndarray  # (C,) bool: is a class without an object here known to be absent?
    complete: bool  # does the picture label all objects of its labelled classes?
    masks_only: bool  # are its boxes and classes worth less than a teacher's?


class Sample(NamedTuple):
    """One training picture at network size. N objects; regions without labels are in `ignore`."""

    image: np.ndarray  # (H, W, 3) uint8 BGR
    boxes: np.ndarray  # (N, 4) float32 xyxy, network pixels
    class_ids: np.ndarray  # (N,) int64
    weights: np.ndarray  # (N,) float32
    masks: np.ndarray  # (N, H / 4, W / 4) uint8, share of each cell that the object covers, 0..255
    ignore: np.ndarray  # (M, 4) float32 xyxy, network pixels
    labelled: np.ndarray  # (C,) bool, as in `Picture`
    complete: bool
    masks_only: bool


class Archive:
    """Random access to one split of a packed archive.

    Args:
        path: its folder.
        split: `TRAIN` or `VAL`.
        classes: some of the archive's classes, in the order wanted; default all.

    Raises:
        SourceError: no archive there, or one of another version.
        ConfigError: a class that the archive does not have.
    """

    def __init__(self, path: Path, *, split: str = TRAIN, classes: Sequence[str] | None = None) -> None:
        index = read_index(path)
        known: list[str] = index["classes"]
        for name in classes or ():
            if name not in known:
                raise ConfigError(
                    f"--classes {','.join(classes or ())}",
                    f"{path} has no class {name!r}; it has {', '.join(known)}",
                    "correct the name, or prepare the archive with it",
                )
        self.path, self.classes = path, tuple(classes or known)
        column = [known.index(name) for name in self.classes]
        place = {old: new for new, old in enumerate(column)} | {IGNORE: IGNORE}
        rows = [row for row, item in enumerate(index["images"]) if item["split"] == split]
        renumbered = {old: new for new, old in enumerate(rows)}
        self.images: list[dict[str, Any]] = [
            {**index["images"][row], "labelled": [index["images"][row]["labelled"][old] for old in column]}
            for row in rows
        ]
        self.objects: list[list[dict[str, Any]]] = [[] for _ in rows]
        for item in index["objects"]:
            if item["image"] in renumbered and item["class_id"] in place:
                self.objects[renumbered[item["image"]]].append({**item, "class_id": place[item["class_id"]]})
        self._groups: dict[tuple[Any, ...], list[int]] = {}
        for row in range(len(self.images)):
            self._groups.setdefault(self._group(row), []).append(row)
        self._encoded = index["encoding"] == "jpeg"
        self._pixels = np.memmap(path / "images.bin", np.uint8, "r")
        bits = path / "masks.bin"
        self._bits = np.memmap(bits, np.uint8, "r") if bits.stat().st_size else np.zeros(0, np.uint8)

    def __len__(self) -> int:
        return len(self.images)

    def alike(self, row: int) -> list[int]:
        """The images that label the same classes, equally completely: those which may share a canvas."""
        return self._groups[self._group(row)]

    def _group(self, row: int) -> tuple[Any, ...]:
        item = self.images[row]
        return (*item["labelled"], item["complete"], item["masks_only"])

    def image(self, row: int) -> np.ndarray:
        """(H, W, 3) uint8 BGR."""
        item = self.images[row]
        data = self._pixels[item["offset"] : item["offset"] + item["bytes"]]
        if self._encoded:
            return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
        return data.reshape(item["height"], item["width"], 3)

    def mask(self, item: dict[str, Any]) -> np.ndarray:
        """The object's mask inside its box, (h, w) uint8 0/255."""
        x0, y0, x1, y1 = item["box"]
        count = (y1 - y0) * (x1 - x0)
        packed = self._bits[item["offset"] : item["offset"] + (count + 7) // 8]
        return np.unpackbits(packed, count=count).reshape(y1 - y0, x1 - x0) * 255

    def picture(self, row: int) -> Picture:
        """The picture with its labels."""
        entry = self.images[row]
        return Picture(
            image=self.image(row),
            items=[self.item(item) for item in self.objects[row]],
            labelled=np.asarray(entry["labelled"], bool),
            complete=bool(entry["complete"]),
            masks_only=bool(entry["masks_only"]),
        )

    def item(self, item: dict[str, Any]) -> Item:
        """An object with its mask."""
        mask = self.mask(item) if item["offset"] >= 0 else None
        return Item(item["class_id"], np.asarray(item["box"], float), mask, item["weight"])

    def class_counts(self) -> np.ndarray:
        """Objects by class, (C,)."""
        found = [item["class_id"] for items in self.objects for item in items if item["class_id"] != IGNORE]
        return np.bincount(np.asarray(found, int), minlength=len(self.classes))

    def sampling_weights(self, *, machine_share: float = 0.15, rare_below: float = 0.25) -> np.ndarray:
        """How often each image is drawn, (images,), sum 1: repeat-factor sampling (Gupta et al. 2019) for rare classes.

        An image counts sqrt(rare_below / share) times, share being that of the images which show its rarest class.
        Machine-made labels together get `machine_share` where there are others.
        """
        machine = np.array([item["machine_made"] for item in self.images])
        present = np.zeros((len(self.images), len(self.classes)), bool)
        for row, items in enumerate(self.objects):
            for item in items:
                if item["class_id"] >= 0:
                    present[row, item["class_id"]] = True
        share = present[~machine].mean(axis=0).clip(min=1e-3) if (~machine).any() else np.ones(len(self.classes))
        factors = np.maximum(1.0, np.sqrt(rare_below / share))
        weights = np.where(present, factors, 1.0).max(axis=1)
        weights[~present.any(axis=1)] = 0.5  # pictures of nothing are worth less
        weights *= np.array([item["sampling"] for item in self.images])
        if machine.any() and (~machine).any():
            weights[machine] *= machine_share / (1 - machine_share) * weights[~machine].sum() / weights[machine].sum()
        return weights / weights.sum()


def read_index(path: Path) -> dict[str, Any]:
    """An archive's index.

    Raises:
        SourceError: there is none, or of another version.
    """
    file = path / "index.json"
    if not file.is_file():
        raise SourceError(path, "expected an archive with index.json, found none", "make one: python -m export prepare")
    index: dict[str, Any] = json.loads(file.read_text())
    if index.get("version") != INDEX_VERSION:
        raise SourceError(
            path, f"expected an archive of version {INDEX_VERSION}, found {index.get('version', 1)}", "prepare it again"
        )
    return index


def archive_hash(path: Path) -> str:
    """SHA-256 of the index, which holds the hash of every picture and annotation file."""
    return hashlib.sha256((path / "index.json").read_bytes()).hexdigest()
