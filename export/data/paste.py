"""Copy-paste augmentation (Ghiasi et al. 2021) with cut-out objects of other pictures.

Copy-paste after Ghiasi et al. 2021. Objects of rare classes are pasted more often, with whatever sits on or before them
(a rider stays on the motorcycle); what they cover is taken from the masks and boxes below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from export.data.archive import IGNORE, Item, Picture
from export.data.augment import MIN_VISIBLE_SHARE

if TYPE_CHECKING:
    from export.data.archive import Archive

MIN_DONOR_SIDE_PX = 24  # smaller cut-outs carry too much of their old surroundings
MIN_PASTED_SIDE_PX = 12
MIN_DONOR_WEIGHT = 0.35  # below, a mask made by a machine may well be of something else
SCALES = (0.5, 1.25)
MOST_OF_CANVAS = 0.8
COMPANION_SHARE = 0.5  # of another object's box inside the donor's
COUNTS = (0.6, 0.3, 0.1)  # how often one, two, three objects are pasted


class Patch(NamedTuple):
    """Objects cut out together, at the size in which they are pasted."""

    image: np.ndarray  # (h, w, 3) uint8 BGR
    objects: list[tuple[int, float, np.ndarray]]  # class id, weight, mask (h, w) bool


class Donors:
    """The objects of an archive that may be pasted, by class.

    Only masks made by people, or by a machine that was sure; not of pictures whose labels teach masks only, since their
    classes are not sure.
    """

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.by_class: dict[int, list[tuple[int, int]]] = {}
        for row, items in enumerate(archive.objects):
            if archive.images[row]["masks_only"]:
                continue
            for place, item in enumerate(items):
                x0, y0, x1, y1 = item["box"]
                large = min(x1 - x0, y1 - y0) >= MIN_DONOR_SIDE_PX
                if item["class_id"] != IGNORE and item["weight"] >= MIN_DONOR_WEIGHT and large:
                    self.by_class.setdefault(item["class_id"], []).append((row, place))

    def paste(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """One to three objects more, of classes that the picture labels, the rare ones more often (1 / sqrt(count))."""
        classes = [number for number in sorted(self.by_class) if picture.labelled[number]]
        if picture.masks_only or not classes:
            return picture
        rarity = np.array([len(self.by_class[number]) ** -0.5 for number in classes])
        for _ in range(1 + int(rng.choice(len(COUNTS), p=COUNTS))):
            found = self.by_class[classes[int(rng.choice(len(classes), p=rarity / rarity.sum()))]]
            row, place = found[int(rng.integers(len(found)))]
            patch = self.cut(row, place, picture.image.shape[:2], rng)
            if patch is not None:
                picture = put(picture, patch, rng)
        return picture

    def cut(self, row: int, place: int, canvas: tuple[int, int], rng: np.random.Generator) -> Patch | None:
        """Cut an object out of its picture, with its companions, for a canvas (height, width); None if too small."""
        items = self.archive.objects[row]
        box = np.asarray(items[place]["box"], float)
        chosen = [item for item in items if item is items[place] or inside(item, box)]
        boxes = np.array([item["box"] for item in chosen], int)
        x0, y0, x1, y1 = (*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0))
        scale = np.exp(rng.uniform(*np.log(SCALES)))
        scale = min(scale, MOST_OF_CANVAS * canvas[0] / (y1 - y0), MOST_OF_CANVAS * canvas[1] / (x1 - x0))
        size = (max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale)))
        if min(size) < MIN_PASTED_SIDE_PX:
            return None
        image = self.archive.image(row)[y0:y1, x0:x1]
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        step = -1 if rng.random() < 0.5 else 1
        objects = []
        for item, (left, top, right, bottom) in zip(chosen, boxes, strict=True):
            mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
            mask[top - y0 : bottom - y0, left - x0 : right - x0] = self.archive.mask(item)
            resized = cv2.resize(mask, size, interpolation=interpolation) > 127
            objects.append((item["class_id"], item["weight"], resized[:, ::step]))
        colour = np.exp(rng.uniform(-0.2, 0.2)) * np.exp(rng.uniform(-0.05, 0.05, 3))
        resized = cv2.resize(image, size, interpolation=interpolation)[:, ::step]
        return Patch((resized * colour).clip(0, 255).astype(np.uint8), objects)


def inside(item: dict[str, object], box: np.ndarray) -> bool:
    """Does most of another object's box lie in this one?"""
    if item["class_id"] == IGNORE:
        return False
    other = np.asarray(item["box"], float)
    overlap = np.prod((np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])).clip(0))
    return bool(overlap > COMPANION_SHARE * np.prod(other[2:] - other[:2]))


def put(picture: Picture, patch: Patch, rng: np.random.Generator) -> Picture:
    """Paste a patch at a random place, at most a fifth of it outside."""
    height, width = picture.image.shape[:2]
    tall, wide = patch.image.shape[:2]
    left = int(rng.integers(-(wide // 5), max(-(wide // 5) + 1, width - wide + wide // 5)))
    top = int(rng.integers(-(tall // 5), max(-(tall // 5) + 1, height - tall + tall // 5)))
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + wide, width), min(top + tall, height)
    seen = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    whole = np.logical_or.reduce([mask for _, _, mask in patch.objects])
    alpha = cv2.GaussianBlur(whole.astype(np.float32), (0, 0), 0.7)[seen][..., None]
    image = picture.image.copy()
    image[y0:y1, x0:x1] = patch.image[seen] * alpha + image[y0:y1, x0:x1] * (1 - alpha) + 0.5
    items = [left_over for item in picture.items if (left_over := cover(item, whole[seen], x0, y0)) is not None]
    for class_id, weight, mask in patch.objects:
        visible = mask[seen]
        if visible.any():
            whole_enough = visible.sum() >= MIN_VISIBLE_SHARE * mask.sum()
            items.append(tighten(class_id if whole_enough else IGNORE, visible, x0, y0, weight))
    return picture._replace(image=image, items=items)


def cover(item: Item, covering: np.ndarray, left: int, top: int) -> Item | None:
    """What is left of an object below a bool mask at (left, top): itself, less of it, an ignore region, or nothing."""
    if item.mask is None:
        return item
    x0, y0, x1, y1 = (int(value) for value in item.box)
    tall, wide = covering.shape
    low_x, low_y, high_x, high_y = max(x0, left), max(y0, top), min(x1, left + wide), min(y1, top + tall)
    if low_x >= high_x or low_y >= high_y:
        return item
    mask = item.mask > 0
    before = mask.sum()
    mask[low_y - y0 : high_y - y0, low_x - x0 : high_x - x0] &= ~covering[
        low_y - top : high_y - top, low_x - left : high_x - left
    ]
    after = mask.sum()
    if after == before:
        return item
    if not after:
        return None
    kept = after >= MIN_VISIBLE_SHARE * before
    return tighten(item.class_id if kept else IGNORE, mask, x0, y0, item.weight)


def tighten(class_id: int, mask: np.ndarray, left: int, top: int, weight: float) -> Item:
    """An object from a bool mask (h, w) at (left, top), its box as small as it can be."""
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x0, y0, x1, y1 = xs[0], ys[0], xs[-1] + 1, ys[-1] + 1
    box = np.array([left + x0, top + y0, left + x1, top + y1], float)
    return Item(class_id, box, mask[y0:y1, x0:x1].astype(np.uint8) * 255, weight)
