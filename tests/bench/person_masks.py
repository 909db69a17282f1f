"""Masks of persons against people's polygons: contact points, heads, overlap of neighbours, IoU.

``python -m tests.bench.person_masks [--model FILE] [--outline FOLDER] [FOLDER ...]`` prints the figures for COCO
folders, by default the validation pictures of pedestrians under ``$MASKTRAIL_DATA``. A person is found where an
instance of score 0.3 has a mask IoU of 0.5 with it, each instance once. Contact points are those of the product, of
true silhouettes by the same rule; errors are distances as shares of the person's height, of persons upright whose true
contact nothing hides. Names of rendered scenes in the place of folders give pictures with exact silhouettes. Neighbours
are two found persons whose true boxes meet; the overlap of their masks is a share of the smaller one. Costs are CPU
time of a picture, with ``--outline`` that of the outlines beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from demos.scenes.catalogue import names, open_recording
from demos.scenes.truth import CLASS_NAMES
from tests.bench.outlined import add_outline, outline_stage
from tracker.analytics.contact import ContactFinder
from tracker.contacts import ContactState
from tracker.masks.grid_masks import GridMasks
from tracker.segment.session import OnnxSegmenter
from tracker.settings.stream import DISPLAY_SCORE
from tracker.sources.open import open_source
from tracker.types import Frame, Instances, TrackedFrame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from demos.scenes.world import Scene
    from tracker.engine.outline import OutlineStage

LEAST_IOU = 0.5
SCENE_PICTURES, SCENE_STEP_S = 12, 0.7
LEAST_AREA_PX = 400
NEAR = 0.03
"""Of a person's height: so near a contact point is right."""
UPRIGHT = 1.5
"""Height by width from which on a person stands."""


@dataclass(kw_only=True)
class PersonFigures:
    """What is known of persons' masks.

    Attributes:
        persons: All true persons.
        standing: Those upright with a contact that is seen.
        ious: Of found persons.
        contacts: Errors of found standing persons, shares of the height.
        feet: The vertical part of these.
        heads: Distances between the upper edges of their masks, shares of the height.
        overlaps: Of neighbours' masks, shares of the smaller one.
        model_ms: CPU time of each picture's instances.
        outline_ms: Of its outlines.
    """

    persons: int = 0
    standing: int = 0
    ious: list[float] = field(default_factory=list)
    contacts: list[float] = field(default_factory=list)
    feet: list[float] = field(default_factory=list)
    heads: list[float] = field(default_factory=list)
    overlaps: list[float] = field(default_factory=list)
    model_ms: list[float] = field(default_factory=list)
    outline_ms: list[float] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For people."""
        met = [share for share in self.overlaps if share]
        parts = (("contact", self.contacts), ("its height alone", self.feet), ("head", self.heads))
        near = (
            f"{name} {share_of(errors, self.standing):.3f} (median error {median(errors):.4f})"
            for name, errors in parts
        )
        pairs = f"neighbours: {len(self.overlaps)} pairs, overlap {mean(self.overlaps):.3f}"
        costs = f"model {median(self.model_ms):.0f}, outlines {median(self.outline_ms):.0f}"
        return [
            f"found {len(self.ious)} of {self.persons} persons, IoU {mean(self.ious):.3f}",
            f"within {NEAR:.0%} of the height, of {self.standing} standing persons: " + ", ".join(near),
            f"{pairs}; {len(met)} pairs overlap at all, by {mean(met):.3f}",
            f"median CPU ms of {len(self.model_ms)} pictures: {costs}",
        ]


def share_of(errors: list[float], count: int) -> float:
    """Of so many persons, those with a small error; persons not found have none."""
    return sum(one <= NEAR for one in errors) / max(count, 1)


def mean(values: list[float]) -> float:
    """0 where there are none."""
    return float(np.mean(values)) if values else 0.0


def median(values: list[float]) -> float:
    """0 where there are none."""
    return float(np.median(values)) if values else 0.0


def add_picture(figures: PersonFigures, truths: NDArray[np.bool_], instances: Instances) -> None:
    """Add the persons of one picture.

    Args:
        figures: Added to.
        truths: ``(M, H, W)`` true silhouettes of persons.
        instances: Persons found, with masks.
    """
    figures.persons += len(truths)
    if not len(truths):
        return
    size = (truths.shape[2], truths.shape[1])
    found = instances.masks.full_size(instances.boxes) if instances.masks is not None else truths[:0]
    boxes = np.stack([box_of(one) for one in truths])
    pairs = matched(ious_of(truths, found))
    whole = GridMasks(probabilities=truths.astype(np.uint8) * 255, step_px=(1.0, 1.0), image_size=size)
    true = Instances(
        boxes=boxes, scores=np.ones(len(truths), np.float32), class_ids=np.zeros(len(truths), np.int64), masks=whole
    )
    wanted, given = ContactFinder().find(true, size), ContactFinder().find(instances, size)
    heights = boxes[:, 3] - boxes[:, 1]
    upright = (wanted.states == ContactState.SEEN) & (heights >= UPRIGHT * (boxes[:, 2] - boxes[:, 0]))
    figures.standing += int(upright.sum())
    for person, row in pairs.items():
        figures.ious.append(iou(truths[person], found[row]))
        if upright[person]:
            apart = (wanted.points[person] - given.points[row]) / float(heights[person])
            figures.contacts.append(float(np.linalg.norm(apart)))
            figures.feet.append(abs(float(apart[1])))
            top = abs(float(box_of(found[row])[1] - boxes[person, 1]))
            figures.heads.append(top / float(heights[person]))
    for one, other in itertools.combinations(pairs, 2):
        low, high = np.maximum(boxes[one, :2], boxes[other, :2]), np.minimum(boxes[one, 2:], boxes[other, 2:])
        if (high > low).all():
            first, second = found[pairs[one]], found[pairs[other]]
            figures.overlaps.append(float((first & second).sum() / min(first.sum(), second.sum())))


def box_of(silhouette: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Its box ``(4,)`` xyxy; empty where nothing is."""
    rows, columns = np.flatnonzero(silhouette.any(axis=1)), np.flatnonzero(silhouette.any(axis=0))
    if not len(rows):
        return np.zeros(4, np.float32)
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Of two silhouettes."""
    return float((one & other).sum() / max(int((one | other).sum()), 1))


def ious_of(truths: NDArray[np.bool_], found: NDArray[np.bool_]) -> NDArray[np.float64]:
    """All pairs, ``(M, N)``."""
    return np.array([[iou(one, other) for other in found] for one in truths], np.float64).reshape(
        len(truths), len(found)
    )


def matched(ious: NDArray[np.float64]) -> dict[int, int]:
    """Person -> instance, the best pairs first, each once."""
    pairs: dict[int, int] = {}
    for person, row in np.stack(np.unravel_index(np.argsort(-ious, axis=None), ious.shape), axis=1).tolist():
        if ious[person, row] >= LEAST_IOU and person not in pairs and row not in pairs.values():
            pairs[person] = row
    return pairs


def persons_in(
    folder: Path, segmenter: OnnxSegmenter, figures: PersonFigures, outline: OutlineStage | None = None
) -> None:
    """Add the pictures of a COCO folder."""
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "annotations.json"))
    persons: Any = truth.getCatIds(catNms=["person"])
    for record in truth.loadImgs(truth.getImgIds()):
        items = truth.loadAnns(truth.getAnnIds(imgIds=[record["id"]], catIds=persons, iscrowd=False))
        silhouettes = np.array([truth.annToMask(item) > 0 for item in items], np.bool_)
        silhouettes = silhouettes.reshape(-1, record["height"], record["width"])
        with open_source(
            folder / "images" / record["file_name"], like=segmenter, want_image=outline is not None
        ) as source:
            (frame,) = source
        add_picture(figures, silhouettes[silhouettes.any(axis=(1, 2))], _found(frame, segmenter, outline, figures))


def persons_of(scene: Scene, segmenter: OnnxSegmenter, figures: PersonFigures, outline: OutlineStage | None) -> None:
    """Add pictures of a rendered scene, one every `SCENE_STEP_S`; true silhouettes are what of persons shows."""
    for number in range(SCENE_PICTURES):
        rendered = scene.render(number * SCENE_STEP_S)
        truth, time_s = rendered.truth, number * SCENE_STEP_S
        frame = Frame(index=number, time_s=time_s, arrived_s=0.0, source="scene", size=truth.size, image=rendered.image)
        persons = np.flatnonzero(truth.class_ids == CLASS_NAMES.index("person"))
        silhouettes = truth.labels == (persons + 1)[:, None, None]
        shown = silhouettes[silhouettes.sum(axis=(1, 2)) >= LEAST_AREA_PX]
        add_picture(figures, shown, _found(frame, segmenter, outline, figures))


def _found(frame: Frame, segmenter: OnnxSegmenter, outline: OutlineStage | None, figures: PersonFigures) -> Instances:
    started_s = time.process_time()
    (found,) = segmenter.segment([frame])
    segmented_s = time.process_time()
    figures.model_ms.append((segmented_s - started_s) * 1e3)
    if outline is None:
        return found
    plain = TrackedFrame(frame=frame, instances=found, tracks=None, class_names=segmenter.class_names)
    outlined = outline.process(plain).instances
    figures.outline_ms.append((time.process_time() - segmented_s) * 1e3)
    return outlined


def main() -> None:
    """The figures of each folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="yolact-nano")
    parser.add_argument("folders", nargs="*", type=Path)
    add_outline(parser)
    options = parser.parse_args()
    data = Path(os.environ.get("MASKTRAIL_DATA", "../shared/data")) / "val"
    segmenter = OnnxSegmenter(options.model, device="cpu", threads=1, score_threshold=DISPLAY_SCORE, classes=["person"])
    for folder in options.folders or [data / "pennfudan", data / "rf_person_odhuman"]:
        figures = PersonFigures()
        outline = outline_stage(options.outline)
        if str(folder) in names():
            persons_of(open_recording(str(folder), size=(640, 360), seed=1).scene, segmenter, figures, outline)
        else:
            persons_in(folder, segmenter, figures, outline)
        sys.stdout.write("\n  ".join([folder.name, *figures.lines()]) + "\n")


if __name__ == "__main__":
    main()
