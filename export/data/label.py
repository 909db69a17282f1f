"""Labels by machine beside labels by people, merged into COCO annotations.

What people drew stays as it is. Objects that they did not label are added where the detector is sure, outlined by the
promptable segmenter, and weigh less; where it is in doubt, the box becomes a region that teaches nothing.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - a field of a NamedTuple
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from export.data.coco import annotation_mask
from export.data.pack import MIN_PSEUDO_MASK_SCORE, PSEUDO_WEIGHT
from export.onnx.to_onnx import NMS_GROUPS
from tracker.boxes import areas, intersections, iou, xywh, xyxy_from_xywh
from tracker.formats.run_length import decode_rle, encode_rle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.data.coco import Collection
    from export.data.fused import Detections, FusedDetector
    from export.data.promptable import Embedded, PromptableSegmenter

ACCEPT, DOUBT = 0.40, 0.15  # scores from which on a find is an object, and a region that teaches nothing
STRICTER = {"bus": 0.45, "truck": 0.50}  # taken for one another, and for cars
SAME_IOU, SAME_COVER = 0.5, 0.8  # box IoU, and share of a found box, from which on it is a labelled object
TOUCHING_IOU = 0.1  # from which on it may be a part or a double of it
LEAST_AREA_PX, LEAST_FILL = 100, 0.15  # of a mask in pixels, and as a share of its box
FULL_SCORE = 0.6  # of the detector, from which on it does not lower a weight
LEAST_CHECKS = 20  # masks that tell what others of their kind are worth
CHECK_IOU = 0.6  # of the boxes of a find and of a labelled object that are taken for the same


class Find(NamedTuple):
    """An object that the detector found."""

    name: str
    score: float
    box: list[float]  # xyxy, picture pixels
    mask: dict[str, Any] | None  # run-length code; None: not outlined, or nothing came of it
    certain: float  # the decoder's expected IoU


class Check(NamedTuple):
    """A machine-made mask of an object that a person drew too."""

    name: str
    iou: float
    certain: float


class Worth(NamedTuple):
    """What a mask is worth, of what the decoder expects of it: IoU with a person's mask by expected IoU."""

    overall: float
    classes: Mapping[str, float]  # of some classes

    def of(self, name: str) -> float:
        """Of a class."""
        return self.classes.get(name, self.overall)


class Labelled(NamedTuple):
    """The annotations of one picture: N rows."""

    annotations: list[dict[str, Any]]
    names: list[str]
    boxes: np.ndarray  # (N, 4) xyxy, picture pixels
    crowd: np.ndarray  # (N,) bool


class Rules(NamedTuple):
    """Which finds count as objects."""

    classes: tuple[str, ...]  # to look for
    accept: Mapping[str, float]  # by class, `ACCEPT` where there is none
    doubt: float = DOUBT


def labelled_in(collection: Collection, picture_id: int) -> Labelled:
    """The annotations of one picture."""
    found = collection.annotations[picture_id]
    sides = np.array([item["bbox"] for item in found], float).reshape(-1, 4)
    return Labelled(
        found,
        [collection.names[item["category_id"]] for item in found],
        xyxy_from_xywh(sides),
        np.array([bool(item.get("iscrowd")) for item in found], bool),
    )


def is_machine_made(annotation: dict[str, Any]) -> bool:
    """Was it found or outlined by a network?"""
    return "score" in annotation or "detector_score" in annotation


def group_of(name: str) -> str:
    """The first of the classes that a class is taken for one another with."""
    return next((group[0] for group in NMS_GROUPS if name in group), name)


def verdict(name: str, score: float, box: np.ndarray, there: Labelled, rules: Rules) -> str:
    """Is a find an `object`, is it in `doubt`, or is it `nothing` that is not labelled already?

    Args:
        name: its class.
        score: of the detector.
        box: (4,) xyxy, picture pixels.
        there: what is labelled in the picture.
        rules: what is taken for an object.
    """
    if name not in rules.classes or score < rules.doubt:
        return "nothing"
    rows = [row for row, other in enumerate(there.names) if there.crowd[row] or group_of(other) == group_of(name)]
    touching = False
    if rows:
        own, others = box[None], there.boxes[rows]
        overlaps = iou(own, others)[0]
        covered = intersections(own, others)[0] / max(float(areas(own)[0]), 1.0)
        if (overlaps >= SAME_IOU).any() or (covered >= SAME_COVER).any():
            return "nothing"
        touching = bool((overlaps >= TOUCHING_IOU).any())
    return "object" if score >= rules.accept.get(name, ACCEPT) and not touching else "doubt"


def find(
    picture: np.ndarray,
    there: Labelled,
    detector: FusedDetector,
    segmenter: PromptableSegmenter,
    rules: Rules,
    *,
    check: bool,
) -> tuple[list[Find], list[Check]]:
    """What of a picture (H, W, 3) is not labelled, and, with `check`, how well labelled objects are outlined."""
    detected = detector(picture)
    names = [detector.classes[row] for row in detected.scores.argmax(axis=1)]
    embedded: Embedded | None = None
    finds, checks = [], []
    for name, score, box in zip(names, detected.best.tolist(), detected.boxes, strict=True):
        kind = verdict(name, score, box, there, rules)
        if kind == "nothing":
            continue
        code, certain = None, 0.0
        if kind == "object":
            embedded = embedded or segmenter.embed(picture)
            outline = segmenter.outline(embedded, box)
            code, certain = encode(outline.mask), outline.score
        finds.append(Find(name, score, box.round(1).tolist(), code, certain))
    for row, column in same_objects(detected, names, there) if check else ():
        embedded = embedded or segmenter.embed(picture)
        outline = segmenter.outline(embedded, detected.boxes[row])
        truth = annotation_mask(there.annotations[column], *picture.shape[:2]) > 0
        overlap = float((outline.mask & truth).sum() / max((outline.mask | truth).sum(), 1))
        checks.append(Check(names[row], overlap, outline.score))
    return finds, checks


def same_objects(
    detected: Detections, names: Sequence[str], there: Labelled, *, most: int = 4
) -> list[tuple[int, int]]:
    """Finds and annotations with masks that are of the same object, the surest first."""
    drawn = [column for column, item in enumerate(there.annotations) if item.get("segmentation")]
    usable = [column for column in drawn if not there.crowd[column] and "score" not in there.annotations[column]]
    if not usable or not len(detected.boxes):
        return []
    overlaps = iou(detected.boxes, there.boxes[usable])
    pairs = []
    for row in np.flatnonzero(detected.best >= ACCEPT)[:most]:
        column = int(overlaps[row].argmax())
        if overlaps[row, column] >= CHECK_IOU and there.names[usable[column]] == names[row]:
            pairs.append((int(row), usable[column]))
    return pairs


def outline_again(
    picture: np.ndarray, there: Labelled, segmenter: PromptableSegmenter
) -> list[tuple[dict[str, Any] | None, float]]:
    """New masks of machine-made annotations, in their order: run-length code and the decoder's expected IoU.

    None for what is drawn by a person, or teaches nothing.
    """
    made = ["score" in item and not (item.get("iscrowd") or item.get("ignore")) for item in there.annotations]
    if not any(made):
        return [(None, 0.0)] * len(made)
    embedded = segmenter.embed(picture)
    outlines = []
    for item, box, wanted in zip(there.annotations, there.boxes, made, strict=True):
        if not wanted:
            outlines.append((None, 0.0))
            continue
        prompt = xyxy_from_xywh(np.array([item["det_box"]], float))[0] if "det_box" in item else box
        outline = segmenter.outline(embedded, prompt)
        outlines.append((encode(outline.mask), outline.score))
    return outlines


def redrawn(
    there: Labelled, outlines: Sequence[tuple[dict[str, Any] | None, float]], ratio: float
) -> list[dict[str, Any]]:
    """The annotations of a picture with the masks that `outline_again` made; the others as they are."""
    rows = []
    for item, (code, certain) in zip(there.annotations, outlines, strict=True):
        if code is None:
            rows.append(item)
            continue
        area = float(decode_rle(code).sum())
        quality = round(min(1.0, certain * ratio), 3)
        rows.append({**item, "segmentation": code, "area": area, "mask_score": quality})
    return rows


def encode(mask: np.ndarray) -> dict[str, Any] | None:
    """A bool mask (H, W) -> COCO's compressed run-length code, None where it is empty."""
    return encode_rle(mask) if mask.any() else None


def annotate(
    finds: Sequence[Find], there: Labelled, size: tuple[int, int], ratio: float, *, machine_made: bool
) -> list[dict[str, Any]]:
    """Finds -> annotations with `name` for a category.

    Args:
        finds: of one picture.
        there: what is labelled in it: what a person drew is taken out of the masks.
        size: (height, width) of the picture.
        ratio: what the masks are worth, by comparison with people's, of what the decoder expects.
        machine_made: the set has no labels of people: write `score`, so that the teacher decides about classes.
    """
    taken = np.zeros(size, bool)
    for item, crowd in zip(there.annotations, there.crowd, strict=True):
        if not crowd and "score" not in item:
            taken |= annotation_mask(item, *size) > 0
    rows = []
    for item in finds:
        box = xywh(np.array([item.box]))[0].round(1).tolist()
        row: dict[str, Any] = {"name": item.name, "bbox": box, "iscrowd": 1, "area": 0.0, "segmentation": []}
        row["score" if machine_made else "detector_score"] = round(item.score, 3)
        mask = decode_rle(item.mask) & ~taken if item.mask else np.zeros(size, bool)
        quality = min(1.0, item.certain * ratio)
        area = int(mask.sum())
        if quality >= MIN_PSEUDO_MASK_SCORE and area >= max(LEAST_AREA_PX, LEAST_FILL * box[2] * box[3]):
            weight = PSEUDO_WEIGHT * quality**2 * min(1.0, item.score / FULL_SCORE) ** 0.5
            row |= {"iscrowd": 0, "area": float(area), "segmentation": encode(mask)}
            row |= {"mask_score": round(quality, 3), "weight": round(weight, 3)}
        rows.append(row)
    return rows


def worth(checks: Sequence[Check], *, least: int = LEAST_CHECKS) -> float:
    """Mean IoU with people's masks by the mean that the decoder expected; 1 where too few tell."""
    if len(checks) < least:
        return 1.0
    return float(np.mean([item.iou for item in checks]) / np.mean([item.certain for item in checks]))


def worth_by_class(checks: Sequence[Check], given: Mapping[str, float]) -> Worth:
    """`worth` of each class of which enough were compared, and of all together; what is `given` goes first."""
    apart: dict[str, list[Check]] = {}
    for item in checks:
        apart.setdefault(item.name, []).append(item)
    measured = {name: worth(rows) for name, rows in apart.items() if len(rows) >= LEAST_CHECKS}
    return Worth(worth(checks), {**measured, **given})
