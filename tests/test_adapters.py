"""Other libraries' detections as instances, and tracks as theirs, checked against those libraries."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import supervision as sv
from pycocotools import mask as coco_mask

from tracker.associate.tracker import Tracker
from tracker.errors import ConfigError
from tracker.formats.run_length import encode_rle
from tracker.types import Instances

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = (128, 96)
BOXES = np.array([[20, 10, 60, 50], [70, 30, 110, 90]], np.float32)


def discs(size: tuple[int, int] = SIZE, boxes: NDArray[np.float32] = BOXES) -> NDArray[np.bool_]:
    """The ellipse in each box, ``(N, H, W)``."""
    y, x = np.mgrid[: size[1], : size[0]] + 0.5
    left, top, right, bottom = (boxes[:, column, None, None] for column in range(4))
    return ((2 * x - left - right) / (right - left)) ** 2 + ((2 * y - top - bottom) / (bottom - top)) ** 2 <= 1


def overlap(instances: Instances, silhouettes: NDArray[np.bool_]) -> list[float]:
    """IoU of each lifted mask with what it was made of."""
    lifted = [instances.masks.full(row, box) for row, box in enumerate(instances.boxes)]
    return [float((a & b).sum() / (a | b).sum()) for a, b in zip(lifted, silhouettes, strict=True)]


class Tensor:
    """An array that has to be fetched from a device first, as torch's are."""

    def __init__(self, values) -> None:
        self.values = np.asarray(values)
        self.shape = self.values.shape
        self.fetched = False

    def __len__(self) -> int:
        return len(self.values)

    def cpu(self) -> Tensor:
        here = Tensor(self.values)
        here.fetched = True
        return here

    def numpy(self) -> NDArray:
        assert self.fetched, "can't convert a tensor on a device to numpy"
        return self.values

    def __array__(self, *_, **__) -> NDArray:
        raise TypeError


def result(masks: NDArray | None, *, size: tuple[int, int] = SIZE, boxes: NDArray | None = BOXES) -> SimpleNamespace:
    """What Ultralytics' ``model(image)[0]`` looks like."""
    found = None
    if boxes is not None:
        found = SimpleNamespace(
            xyxy=Tensor(boxes),
            conf=Tensor(np.linspace(0.9, 0.6, len(boxes), dtype=np.float32)),
            cls=Tensor(np.arange(len(boxes), dtype=np.float32)),
            id=None,
        )
    return SimpleNamespace(
        boxes=found,
        obb=None,
        masks=None if masks is None else SimpleNamespace(data=Tensor(masks)),
        orig_shape=(size[1], size[0]),
        names={0: "person", 1: "car"},
    )


# ---- supervision ----------------------------------------------------------------------------------------------------


def test_detections_of_supervision() -> None:
    detections = sv.Detections(
        xyxy=BOXES.astype(np.float64),
        mask=discs(),
        confidence=np.array([0.9, 0.4]),
        class_id=np.array([2, 0]),
        tracker_id=np.array([7, 8]),
    )
    instances = Instances.from_supervision(detections)
    assert np.array_equal(instances.boxes, BOXES)
    assert instances.scores.tolist() == [np.float32(0.9), np.float32(0.4)]
    assert instances.class_ids.tolist() == [2, 0]
    assert (instances.masks.step_px, instances.masks.image_size) == ((4.0, 4.0), SIZE)
    assert instances.masks.probabilities.shape == (2, 24, 32)
    assert min(overlap(instances, discs())) > 0.96


def test_masks_that_supervision_keeps_as_run_lengths() -> None:
    compact = sv.CompactMask.from_dense(discs(), BOXES.astype(np.int64), SIZE[::-1])
    dense = Instances.from_supervision(sv.Detections(xyxy=BOXES, mask=discs()))
    instances = Instances.from_supervision(sv.Detections(xyxy=BOXES, mask=compact))
    assert np.array_equal(instances.masks.probabilities, dense.masks.probabilities)


def test_what_supervision_does_not_know() -> None:
    instances = Instances.from_supervision(sv.Detections(xyxy=BOXES))
    assert (instances.scores.tolist(), instances.class_ids.tolist(), instances.masks) == ([1.0, 1.0], [0, 0], None)
    empty = sv.Detections.empty()
    assert len(Instances.from_supervision(empty)) == 0
    empty.mask = np.zeros((0, 96, 128), np.bool_)
    assert Instances.from_supervision(empty).masks is None


def test_tracks_for_supervision() -> None:
    tracker = Tracker(confirmation_score=0.0)
    instances = Instances.from_supervision(
        sv.Detections(xyxy=BOXES, mask=discs(), confidence=np.array([0.9, 0.8]), class_id=np.array([1, 0]))
    )
    for number in range(5):
        tracks = tracker.update(instances, number / 10)
    detections = tracks.to_supervision(instances)
    assert isinstance(detections, sv.Detections)
    order = tracks.detection_rows
    assert sorted(order.tolist()) == [0, 1]
    assert detections.tracker_id.tolist() == [1, 2]
    assert np.array_equal(detections.xyxy, BOXES[order])
    assert np.array_equal(detections.confidence, instances.scores[order])
    assert detections.class_id.tolist() == np.array([1, 0])[order].tolist()
    assert detections.data["visible"].tolist() == [True, True]
    assert np.array_equal(detections.data["velocity"], tracks.velocities)
    for place, row in enumerate(order):
        assert np.array_equal(detections.mask[place], instances.masks.full(row, BOXES[row]))
    one = replace(tracks, detection_rows=np.array([order[0], -1]))
    gone = one.to_supervision(instances)
    assert gone.data["visible"].tolist() == [True, False]
    assert gone.mask.any(axis=(1, 2)).tolist() == [True, False]
    assert one.to_supervision().mask is None
    assert len(Tracker().update(Instances.empty(), 0.0).to_supervision()) == 0
    # Theirs can select and count them: the arrays are as long as the rows
    assert gone[gone.data["visible"]].data["age_s"].shape == (1,)


def test_without_supervision_there_is_one_line(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ConfigError, match="pip install supervision"):
        Tracker().update(Instances.empty(), 0.0).to_supervision()


# ---- Ultralytics ----------------------------------------------------------------------------------------------------


def test_results_of_ultralytics_at_the_size_of_the_image() -> None:
    instances = Instances.from_ultralytics(result(discs().astype(np.float32)))
    expected = Instances.from_supervision(sv.Detections(xyxy=BOXES, mask=discs()))
    assert np.array_equal(instances.boxes, BOXES)
    assert instances.scores.tolist() == [np.float32(0.9), np.float32(0.6)]
    assert instances.class_ids.tolist() == [0, 1]
    assert np.array_equal(instances.masks.probabilities, expected.masks.probabilities)


@pytest.mark.parametrize(
    ("size", "network"), [((1280, 720), (640, 384)), ((500, 375), (640, 640)), ((90, 161), (96, 160))]
)
def test_the_padding_of_the_network_is_taken_off(size: tuple[int, int], network: tuple[int, int]) -> None:
    boxes = BOXES / np.tile(SIZE, 2).astype(np.float32) * np.tile(size, 2).astype(np.float32)
    gain = min(network[0] / size[0], network[1] / size[1])
    inner = round(size[0] * gain), round(size[1] * gain)
    left, top = (network[0] - inner[0]) // 2, (network[1] - inner[1]) // 2
    pictures = np.zeros((2, network[1], network[0]), np.float32)
    scale = np.tile(inner, 2) / np.tile(size, 2)
    pictures[:, top : top + inner[1], left : left + inner[0]] = discs(inner, boxes * scale)
    given = result(pictures, size=size, boxes=boxes)
    instances = Instances.from_ultralytics(given)
    assert instances.masks.image_size == size
    assert min(overlap(instances, discs(size, boxes))) > 0.93
    given.boxes.xyxy, given.boxes.conf, given.boxes.cls = boxes, np.ones(2), np.zeros(2)
    given.masks.data = pictures
    theirs = sv.Detections.from_ultralytics(given)
    assert min(overlap(instances, theirs.mask)) > 0.93


def test_results_without_masks_without_objects_and_without_boxes() -> None:
    assert Instances.from_ultralytics(result(None)).masks is None
    nothing = Instances.from_ultralytics(result(np.zeros((0, 96, 128)), boxes=np.zeros((0, 4), np.float32)))
    assert (len(nothing), nothing.masks) == (0, None)
    oriented = result(None, boxes=None)
    with pytest.raises(ValueError, match="expected a result with boxes"):
        Instances.from_ultralytics(oriented)
    oriented.obb = result(None).boxes
    assert np.array_equal(Instances.from_ultralytics(oriented).boxes, BOXES)


# ---- COCO -----------------------------------------------------------------------------------------------------------


def annotation(row: int, segmentation: object, **more: object) -> dict[str, object]:
    x0, y0, x1, y1 = BOXES[row].tolist()
    return {"bbox": [x0, y0, x1 - x0, y1 - y0], "category_id": 3 + row, "segmentation": segmentation, **more}


def test_run_length_codes_of_every_kind() -> None:
    codes = [encode_rle(disc) for disc in discs()]
    as_bytes = [{**code, "counts": code["counts"].encode()} for code in codes]
    plain = []
    for disc in discs():
        flat = disc.reshape(-1, order="F").astype(np.int8)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], flat]))).tolist()
        plain.append({"size": [96, 128], "counts": np.diff([0, *edges, flat.size]).tolist()})
    expected = Instances.from_supervision(sv.Detections(xyxy=BOXES, mask=discs())).masks.probabilities
    for segmentations in (codes, as_bytes, plain):
        annotations = [annotation(row, segmentation) for row, segmentation in enumerate(segmentations)]
        instances = Instances.from_coco(annotations)
        assert np.array_equal(instances.masks.probabilities, expected)
        assert np.array_equal(instances.boxes, BOXES)
        assert (instances.scores.tolist(), instances.class_ids.tolist()) == ([1.0, 1.0], [3, 4])


def test_polygons_scores_and_categories() -> None:
    triangles = [[[20, 10, 60, 10, 40, 50]], [[70, 30, 110, 30, 110, 60], [70, 60, 110, 90, 70, 90]]]
    annotations = [annotation(row, triangles[row], score=0.25 + row / 2) for row in range(2)]
    instances = Instances.from_coco(annotations, image_size=SIZE, category_ids=[1, 4, 3])
    assert (instances.scores.tolist(), instances.class_ids.tolist()) == ([0.25, 0.75], [2, 1])
    parts = [coco_mask.merge(coco_mask.frPyObjects(triangle, 96, 128)) for triangle in triangles]
    assert min(overlap(instances, coco_mask.decode(parts).transpose(2, 0, 1).astype(bool))) > 0.93
    with pytest.raises(ValueError, match=r"expected image_size=\(width, height\) with polygons"):
        Instances.from_coco(annotations)
    with pytest.raises(ValueError, match=r"category_id: expected one of \[1, 2\], found \[3, 4\]"):
        Instances.from_coco(annotations, image_size=SIZE, category_ids=[1, 2])
    with pytest.raises(ValueError, match=r"expected a mask of \(64, 48\) pixels, found \(128, 96\)"):
        Instances.from_coco([annotation(0, encode_rle(discs()[0]))], image_size=(64, 48))


def test_annotations_without_masks() -> None:
    boxes_only = Instances.from_coco([annotation(0, None), annotation(1, encode_rle(discs()[1]))])
    assert boxes_only.masks is None
    assert np.array_equal(boxes_only.boxes, BOXES)
    assert len(Instances.from_coco([])) == 0
    assert len(Instances.from_coco([], image_size=SIZE, category_ids=[1])) == 0
