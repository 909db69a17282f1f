"""Decoder of finished instances: boxes, scores, labels and one mask each, from exports whose graph does the rest.

Contract ``boxes-masks``, in four forms, recognised by shape, whatever the outputs are called:

- ``dets``: dets ``(B, n, 5)`` xyxy in input pixels and score, labels ``(B, n)``, masks ``(B, n, h, w)``: mmdeploy's
  Mask R-CNN, RTMDet-Ins and SOLOv2 (its boxes are empty or the whole input: the masks' outlines are taken);
- ``slots``: boxes ``(B, K, 4)``, scores ``(B, K)``, labels ``(B, K)``, float masks ``(B, K, h, w)``: D-FINE-seg, and
  this project's Mask R-CNN;
- ``flat``, without a batch axis: boxes ``(n, 4)``, scores ``(n)``, labels ``(n)``, masks ``(n, 1, h, w)``, maybe the
  input's size ``(2)``: torchvision, onnx/models, detectron2;
- ``picture``: segm ``(n, H, W)`` uint8 at the picture's own size, bbox_num ``(1)``, cate_label ``(n)``, cate_score
  ``(n)``: PaddleDetection's SOLOv2.

Masks span their own box (Mask R-CNN, He et al. 2017, section 3.1: 28 x 28) or the network's input; both are kept as one
small grid each, pasted continuously: the value at a pixel's centre is bilinear between cell centres. Of masks over the
input or the picture it is the part around the box, cell by cell up to 352 a side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import ModelError
from tracker.segment.contracts.box_maps import as_bytes, crops, outline, sigmoid
from tracker.segment.contracts.contract import Contract
from tracker.segment.contracts.decoder import Decoded, Decoder
from tracker.segment.contracts.families import IMAGENET, PLAIN, Family, Labels, chosen_family
from tracker.segment.contracts.suppress import greedy_nms, plausible_rows, top_rows
from tracker.segment.manifest import InputSpec
from tracker.segment.output_settings import BoxSettings, MaskSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tracker.inference.tensors import TensorInfo
    from tracker.segment.contracts.decoder import Limits, ModelInfo

__all__ = ["CONTRACT", "BoxesMasksDecoder"]

MOST_BOX_CELLS = 56
"""Mask heads give 14, 28 or 56 cells a side."""
GRID_STRIDES = (1, 2, 4, 8)
"""Input pixels per cell of a mask over the whole input."""
RTMDET_SIZE = (640, 640)
MASK_THRESHOLD = 0.5
PASTE_MARGIN = 1 / 28
"""Of a box: a mask that the network pasted reaches past it; torchvision widens it by two parts of 28."""

RAW_BGR = InputSpec(channels="BGR").over(PLAIN)
FAMILIES = {
    family.name: family
    for family in (
        Family(
            name="mask-rcnn",
            title="Mask R-CNN of `python -m export maskrcnn`",
            input=RAW_BGR,
            first_label=1,
            coco_ids=True,
            tried="exported here, against torchvision's code on random weights",
        ),
        Family(
            name="mask-rcnn-torchvision",
            title="Mask R-CNN as torchvision exports it",
            input=InputSpec(channels="RGB", std=(255.0,) * 3).over(PLAIN),
            first_label=1,
            coco_ids=True,
            tried="torchvision's own export, with random weights",
        ),
        Family(
            name="mask-rcnn-onnx-models",
            title="Mask R-CNN of onnx/models",
            input=InputSpec(channels="BGR", mean=(102.9801, 115.9465, 122.7717)).over(PLAIN),
            first_label=1,
        ),
        Family(name="mask-rcnn-detectron2", title="Mask R-CNN as detectron2 traces it", input=RAW_BGR),
        Family(name="mask-rcnn-mmdeploy", title="Mask R-CNN as mmdeploy exports it", input=IMAGENET),
        Family(
            name="rtmdet-ins",
            title="RTMDet-Ins as mmdeploy exports it",
            input=InputSpec(
                channels="BGR",
                resize="letterbox-top-left",
                pad_value=114,
                mean=(103.53, 116.28, 123.675),
                std=(57.375, 57.12, 58.395),
            ),
        ),
        Family(name="solov2-mmdeploy", title="SOLOv2 as mmdeploy exports it", input=IMAGENET),
        Family(
            name="dfine-seg",
            title="D-FINE-seg",
            input=InputSpec(channels="RGB", resize="stretch", std=(255.0,) * 3).over(PLAIN),
        ),
        Family(name="solov2-paddle", title="SOLOv2 as PaddleDetection exports it", input=IMAGENET),
    )
}


class BoxesMasksDecoder(Decoder):
    """Decoder of ``boxes-masks``.

    Args:
        info: The model.
        names: Output names by role ``boxes`` or ``dets``, ``scores``, ``labels``, ``masks``, and under ``form`` one of
            ``dets``, ``slots``, ``flat``, ``picture``.

    Raises:
        ModelError: Several families write such outputs, and nothing tells which it is.
    """

    contract = "boxes-masks"

    def __init__(self, info: ModelInfo, names: Mapping[str, str]) -> None:
        self._label, self._form = info.label, names["form"]
        self._names = dict(names)
        self.output_names = {role: name for role, name in names.items() if role != "form"}
        self._size = info.network_size
        masks = info.manifest.masks if info.manifest else MaskSettings()
        shape = next(output.shape for output in info.outputs if output.name == names["masks"])
        self._kind = "picture" if self._form == "picture" else masks.kind or _kind(info, shape)
        self._box_form = (info.manifest.boxes if info.manifest else BoxSettings()).form
        self._logits: bool | None = None if masks.activation is None else masks.activation == "sigmoid"
        family = chosen_family(info, _options(info, self._form, self._kind, shape))
        self._labels = Labels(info, family)
        self.class_names = self._labels.names
        self.family, self.input_defaults = family.title, family.input
        self.assumed = _assumptions(info, family, self._kind)

    def decode(self, outputs: Mapping[str, NDArray[Any]], row: int, limits: Limits) -> Decoded:
        """The instances of image ``row`` of the batch."""
        boxes, scores, numbers, masks = self._arrays(outputs, row)
        class_ids = self._labels.class_ids(numbers)
        with np.errstate(invalid="ignore"):
            rows = ((scores >= limits.score_threshold) & (scores > 0)).nonzero()[0]
        if limits.classes is not None:
            rows = rows[limits.classes.take(class_ids[rows], mode="clip") & (class_ids[rows] >= 0)]
        rows = rows[plausible_rows(boxes[rows], class_ids[rows])]
        rows = rows[top_rows(scores[rows], limits.max_instances)]
        boxes, maps, spans = self._masks(boxes[rows], masks, rows)
        kept = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        boxes, maps, spans, rows = boxes[kept], maps[kept], spans[kept], rows[kept]
        if limits.iou_threshold is not None:
            chosen = greedy_nms(boxes, class_ids[rows], limits.iou_threshold, limits.max_instances)
            boxes, maps, spans, rows = boxes[chosen], maps[chosen], spans[chosen], rows[chosen]
        return Decoded(
            boxes=boxes,
            scores=scores[rows].astype(np.float32, copy=False),
            class_ids=class_ids[rows],
            masks=maps,
            per_box=True,
            spans=spans,
            in_picture=self._kind == "picture",
        )

    def problems(self, outputs: Mapping[str, NDArray[Any]]) -> list[str]:
        """Scores out of 0..1, and labels that are no classes."""
        _, scores, numbers, _ = self._arrays(outputs, 0)
        problems = []
        if scores.size and not (scores.min() >= 0 and scores.max() <= 1 + 1e-3):
            problems.append(f"scores reach from {scores.min():g} to {scores.max():g}, expected 0 to 1")
        class_ids = self._labels.class_ids(numbers[scores > 0])
        if class_ids.size and class_ids.max() >= len(self.class_names):
            problems.append(
                f"labels up to {numbers.max()}, but there are {len(self.class_names)} class names: "
                "list `classes` in manifest.toml"
            )
        return problems

    def _arrays(self, outputs: Mapping[str, NDArray[Any]], row: int) -> tuple[NDArray[Any], ...]:
        """Boxes ``(n, 4)``, scores ``(n,)``, class numbers ``(n,)`` and masks ``(n, h, w)`` of one image."""
        found = {role: outputs[name] for role, name in self.output_names.items()}
        if self._form in {"flat", "picture"} or found["labels"].ndim == 1:
            if row:
                problem = f"outputs without a batch axis for a batch of more than {row} pictures"
                raise ModelError(self._label, problem, "run it one picture at a time: max_batch=1")
        else:
            found = {role: value[row] for role, value in found.items()}
        masks = found["masks"]
        masks = masks[:, 0] if masks.ndim == 4 else masks
        if self._form == "dets":
            return found["dets"][:, :4].astype(np.float32), found["dets"][:, 4], found["labels"], masks
        if self._form == "picture":
            return np.zeros((len(masks), 4), np.float32), found["scores"], found["labels"], masks
        boxes = found["boxes"].astype(np.float32)
        if self._box_form == "cxcywh-unit":
            half = boxes[:, 2:] / 2
            unit = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
            boxes = unit * np.tile(np.array(self._size, np.float32), 2)
        return boxes, found["scores"], found["labels"], masks

    def _masks(
        self, boxes: NDArray[np.float32], masks: NDArray[Any], rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
        """Boxes ``(N, 4)``, outlines where the file has none; grids ``(N, h, w)`` and what they span ``(N, 4)``."""
        height, width = masks.shape[1:]
        if self._kind == "box":
            return boxes, as_bytes(self._activated(masks[rows])), boxes
        scale = np.tile(np.array([width, height], np.float32) / np.array(self._size, np.float32), 2)
        if self._kind == "picture":
            scale = np.ones(4, np.float32)
        fields = [self._field(masks[row]) for row in rows]
        if self._from_masks(boxes):
            level = 0.0 if self._logits else MASK_THRESHOLD
            found = np.array([outline(field, level) or (0,) * 4 for field in fields], np.float32)
            boxes = (found.reshape(-1, 4) / scale).astype(np.float32)
        maps, spans = crops(
            fields,
            (boxes * scale).astype(np.float32),
            step_px=float(1 / scale.min()),
            margin=PASTE_MARGIN,
            activate=(lambda _, values, __: sigmoid(values)) if self._logits else None,
        )
        return boxes, maps, (spans / scale).astype(np.float32)

    def _field(self, mask: NDArray[Any]) -> NDArray[np.float32]:
        """One mask as float32; decides whether masks are logits when the first is seen that is neither 0 nor 1."""
        field = mask.astype(np.float32)
        if mask.dtype == np.uint8 and self._kind != "picture":
            field /= 255
        self._look_at(field)
        return field

    def _activated(self, masks: NDArray[Any]) -> NDArray[Any]:
        self._look_at(masks)
        return sigmoid(masks.astype(np.float32)) if self._logits and masks.dtype.kind == "f" else masks

    def _look_at(self, values: NDArray[Any]) -> None:
        """Values outside 0..1 are logits; once seen, all are."""
        if not self._logits and self._logits is not False and values.dtype.kind == "f" and values.size:
            low, high = float(np.nanmin(values)), float(np.nanmax(values))
            if low < -1e-3 or high > 1 + 1e-3:
                self._logits = True

    def _from_masks(self, boxes: NDArray[np.float32]) -> bool:
        """Whether the file's boxes are none: mmdeploy's SOLOv2 writes zeros, or the whole input."""
        if self._form == "picture" or self._box_form == "from-masks":
            return True
        if self._form != "dets" or self._box_form is not None or not len(boxes):
            return False
        whole = np.array([0, 0, *self._size], np.float32)
        return bool((boxes == 0).all() or (boxes == whole).all())


def match(info: ModelInfo) -> dict[str, str] | None:
    """Output names by role and the form, or ``None``; the order of the outputs does not matter."""
    for form, find in (("dets", _dets), ("slots", _slots), ("flat", _flat), ("picture", _picture)):
        names = find(info.outputs)
        if names is not None:
            return {**names, "form": form}
    return None


def _of(
    outputs: Sequence[TensorInfo], rank: int, kinds: tuple[str, ...], *, lead: tuple[int | None, ...] = ()
) -> list[TensorInfo]:
    """Outputs of a rank and element type whose first axes are ``lead``."""
    return [
        one
        for one in outputs
        if len(one.shape) == rank and one.dtype.startswith(kinds) and one.shape[: len(lead)] == lead
    ]


MASK_TYPES = ("float", "uint8", "bool")


def _dets(outputs: Sequence[TensorInfo]) -> dict[str, str] | None:
    for rank in (3, 2):
        dets = [one for one in _of(outputs, rank, ("float",)) if one.shape[-1] == 5]
        if len(dets) == 1:
            lead = dets[0].shape[:-1]
            labels = _of(outputs, rank - 1, ("int", "uint"), lead=lead)
            masks = _of(outputs, rank + 1, MASK_TYPES, lead=lead)
            if _of(outputs, rank - 1, ("float",), lead=lead):
                return None  # scores of their own: these five columns are something else
            if len(labels) == len(masks) == 1:
                return {"dets": dets[0].name, "labels": labels[0].name, "masks": masks[0].name}
    return None


def _slots(outputs: Sequence[TensorInfo]) -> dict[str, str] | None:
    boxes = [one for one in _of(outputs, 3, ("float",)) if one.shape[-1] == 4]
    if len(boxes) != 1:
        return None
    lead = boxes[0].shape[:2]
    found = {
        "boxes": boxes,
        "scores": _of(outputs, 2, ("float",), lead=lead),
        "labels": _of(outputs, 2, ("int", "uint"), lead=lead),
        "masks": _of(outputs, 4, ("float", "bool"), lead=lead),  # uint8 is end2end-1's
    }
    return {role: one[0].name for role, one in found.items()} if all(len(one) == 1 for one in found.values()) else None


def _flat(outputs: Sequence[TensorInfo]) -> dict[str, str] | None:
    boxes = [one for one in _of(outputs, 2, ("float",)) if one.shape[1] == 4]
    if len(boxes) != 1:
        return None
    lead = boxes[0].shape[:1]
    masks = [one for one in _of(outputs, 4, MASK_TYPES, lead=lead) if one.shape[1] == 1]
    masks = masks or _of(outputs, 3, MASK_TYPES, lead=lead)
    scores, labels = _of(outputs, 1, ("float",), lead=lead), _of(outputs, 1, ("int", "uint"), lead=lead)
    if len(scores) != 1 or len(masks) != 1 or not labels:
        return None
    if len(labels) > 1:  # with two instances the input's size has the labels' shape: by name, else it comes last
        sizes = [one for one in labels if "size" in one.name.lower()] or labels[-1:]
        labels = [one for one in labels if one not in sizes]
    if len(labels) != 1:
        return None
    return {"boxes": boxes[0].name, "scores": scores[0].name, "labels": labels[0].name, "masks": masks[0].name}


def _picture(outputs: Sequence[TensorInfo]) -> dict[str, str] | None:
    masks = _of(outputs, 3, ("uint8", "bool", "int"))
    scores = _of(outputs, 1, ("float",))
    if len(masks) != 1 or len(scores) != 1:
        return None
    whole = [one for one in _of(outputs, 1, ("int", "uint")) if "num" not in one.name.lower()]
    labels = [one for one in whole if one.shape[0] == scores[0].shape[0]]
    if len(labels) != 1 or masks[0].shape[0] != scores[0].shape[0]:
        return None
    return {"scores": scores[0].name, "labels": labels[0].name, "masks": masks[0].name}


def _kind(info: ModelInfo, shape: tuple[int | None, ...]) -> str:
    """``box`` for small square maps, ``grid`` for what has the input's aspect at a stride of 1, 2, 4 or 8.

    Raises:
        ModelError: It may be either: a square input, and as many cells as a mask head gives.
    """
    (height, width), (input_width, input_height) = shape[-2:], info.network_size
    over_input = any(
        (height, width) == (-(-input_height // stride), -(-input_width // stride)) for stride in GRID_STRIDES
    )
    per_box = height == width and 0 < (height or 0) <= MOST_BOX_CELLS
    if over_input and per_box:
        raise ModelError(
            info.label,
            f"masks of {height} x {width} cells for an input of {input_height} x {input_width} pixels: "
            "one per box as Mask R-CNN's, or over the whole input as D-FINE-seg's",
            'write [masks] kind = "box" or kind = "grid" in manifest.toml',
        )
    return "box" if per_box else "grid"


def _options(info: ModelInfo, form: str, kind: str, shape: tuple[int | None, ...]) -> list[Family]:
    """Families that write this form with such masks."""
    if form == "flat" and kind == "box":
        names = _traced(info)
    elif form == "dets" and kind == "grid":
        names = _mmdeploy(info, shape)
    else:
        names = {
            "picture": ("solov2-paddle",),
            "slots": ("mask-rcnn",) if kind == "box" else ("dfine-seg",),
            "dets": ("mask-rcnn-mmdeploy",),
            "flat": ("mask-rcnn-torchvision",),
        }[form]
    return [FAMILIES[name] for name in names]


def _traced(info: ModelInfo) -> tuple[str, ...]:
    """Mask R-CNN with a map per box: detectron2 has the input's size beside it, onnx/models numbers for names."""
    if len(info.outputs) >= 5:
        return ("mask-rcnn-detectron2",)
    if {"6568", "6570", "6572", "6887"} <= {output.name for output in info.outputs}:
        return ("mask-rcnn-onnx-models",)
    return ("mask-rcnn-onnx-models", "mask-rcnn-torchvision", "mask-rcnn-detectron2")


def _mmdeploy(info: ModelInfo, shape: tuple[int | None, ...]) -> tuple[str, ...]:
    """mmdeploy's masks over the input: coarser ones are SOLOv2's; at full size 640 x 640 is RTMDet-Ins's own size."""
    width, height = info.network_size
    if shape[-2:] != (height, width):
        return ("solov2-mmdeploy",)
    names = ("rtmdet-ins", "solov2-mmdeploy", "mask-rcnn-mmdeploy")
    named = info.metadata.get("masktrail.family") or (info.manifest and info.manifest.family)
    if named or (info.manifest and info.manifest.input.channels):
        return names
    # Without a word about it mmdeploy leaves Mask R-CNN's masks at 28 x 28.
    return names[:1] if info.network_size == RTMDET_SIZE else names[:2]


def _assumptions(info: ModelInfo, family: Family, kind: str) -> tuple[str, ...]:
    manifest, assumed = info.manifest, []
    if info.metadata.get("masktrail.family"):
        return ()  # the file says it all
    if manifest is None or manifest.input.channels is None:
        assumed.append(f"input in {family.input.channels} order, as {family.title}")
    if manifest is None or manifest.input.mean is None:
        mean, std = (" ".join(f"{value:g}" for value in one or ()) for one in (family.input.mean, family.input.std))
        assumed.append(f"mean {mean}, std {std}")
    if manifest is None or manifest.masks.kind is None:
        assumed.append(
            {"box": "one mask grid per box", "grid": "masks over the input"}.get(kind, "masks over the picture")
        )
    if not family.tried:
        assumed.append("recognised by shape; no file of the original exporter was run")
    return tuple(assumed)


CONTRACT = Contract(
    name=BoxesMasksDecoder.contract,
    form="boxes (n, 4) and scores or dets (B, n, 5), labels (n), masks (n, 1, h, w) or (B, n, h, w)",
    match=match,
    decoder=BoxesMasksDecoder,
)
