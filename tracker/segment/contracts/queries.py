"""Decoder of one mask per query: class scores and mask values of a set transformer or an instance activation map.

Contract ``queries``, two or three outputs whose second axis is the query, recognised by shape and, among several, by
name:

- ``logits``: class logits ``(B, Q, C + 1)``, no object last, mask logits ``(B, Q, h, w)`` at a stride of the input:
  Mask2Former (Cheng et al. 2022), OneFormer, EoMT, FastInst. ``p = softmax``; score = p * mean of sigmoid inside the
  mask (``MaskFormer.instance_inference``); a query may have several classes;
- ``boxes``: boxes ``(B, Q, 4)`` centre and size as fractions of the input, class logits ``(B, Q, C)``, mask logits
  ``(B, Q, h, w)``: RF-DETR-Seg. ``p = sigmoid``;
- ``scores``: scores ``(B, Q, C)`` and probabilities ``(B, Q, H, W)`` at the input's size: SparseInst (Cheng et al.
  2022). One class per query; score * mean probability where it is above 0.45.

Boxes are the masks' outlines where there are none. The papers suppress nothing; here a query keeps its best class, and
of two masks that overlap by more than 0.7 the weaker goes. ``--iou 1`` switches both off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.boxes import xyxy_from_cxcywh
from tracker.errors import ModelError
from tracker.segment.contracts.box_maps import crops, outline, sigmoid
from tracker.segment.contracts.contract import Contract
from tracker.segment.contracts.decoder import Decoded, Decoder
from tracker.segment.contracts.families import IMAGENET, PLAIN, STRETCHED, Family, Labels, chosen_family
from tracker.segment.contracts.suppress import mask_nms, top_rows
from tracker.segment.manifest import InputSpec
from tracker.segment.output_settings import ScoreSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tracker.inference.tensors import TensorInfo
    from tracker.segment.contracts.box_maps import Window
    from tracker.segment.contracts.decoder import Limits, ModelInfo

__all__ = ["CONTRACT", "QueriesDecoder"]

IOU_THRESHOLD = 0.7
CANDIDATES = 100
"""Pairs of query and class that are looked at (``test_topk_per_image`` of the published configurations)."""
SPARSE_THRESHOLD = 0.45
"""SparseInst's ``MASK_THRESHOLD``."""
NAMES = {
    "classes": ("class_queries_logits", "pred_logits", "logits", "labels", "scores", "cls"),
    "masks": ("masks_queries_logits", "pred_masks", "masks"),
    "boxes": ("dets", "pred_boxes", "boxes"),
}
FAMILIES = {
    "logits": Family(
        name="mask2former",
        title="Mask2Former, or a relative with its outputs (OneFormer, EoMT, FastInst)",
        input=IMAGENET,
        tried="exported here from transformers' Mask2Former on random weights",
    ),
    "boxes": Family(name="rf-detr-seg", title="RF-DETR-Seg", input=STRETCHED, coco_ids=True),
    "scores": Family(name="sparseinst", title="SparseInst", input=InputSpec(channels="RGB").over(PLAIN)),
}


class QueriesDecoder(Decoder):
    """Decoder of ``queries``.

    Args:
        info: The model.
        names: Output names by role ``classes``, ``masks``, optionally ``boxes``, and under ``form`` one of ``logits``,
            ``boxes``, ``scores``.

    Raises:
        ModelError: The class names are not as many as the class scores.
    """

    contract = "queries"
    iou_threshold: float | None = IOU_THRESHOLD

    def __init__(self, info: ModelInfo, names: Mapping[str, str]) -> None:
        self._label, self._form, self._size = info.label, names["form"], info.network_size
        self.output_names = {role: name for role, name in names.items() if role != "form"}
        shape = next(output.shape for output in info.outputs if output.name == names["classes"])
        family = chosen_family(info, [FAMILIES[self._form]])
        settings = info.manifest.scores if info.manifest else ScoreSettings()
        usual = {"logits": "softmax", "boxes": "sigmoid", "scores": "none"}[self._form]
        self._activation = settings.activation or usual
        self._quality = (settings.quality or ("none" if self._form == "boxes" else "mask-mean")) == "mask-mean"
        self._probabilities = self._form == "scores"
        self._channels = (shape[2] or 0) - (self._form == "logits")
        self._labels = Labels(info, family, count=self._counted(info))
        self.class_names = self._labels.names
        self.family, self.input_defaults = family.title, family.input
        self.assumed = _assumptions(info, family, self._form)

    def decode(self, outputs: Mapping[str, NDArray[Any]], row: int, limits: Limits) -> Decoded:
        """The instances of image ``row`` of the batch."""
        fields = outputs[self.output_names["masks"]][row]  # (Q, h, w)
        queries, class_ids, scores = self._candidates(outputs[self.output_names["classes"]][row], limits)
        merges = limits.iou_threshold is not None and limits.iou_threshold < 1
        if merges:
            _, firsts = np.unique(queries, return_index=True)  # candidates come best first
            best = np.sort(firsts)
            queries, class_ids, scores = queries[best], class_ids[best], scores[best]
        content = limits.content if self._form == "logits" else None
        boxes, maps, spans, scores = self._masks(outputs, row, fields, queries, scores, content=content)
        kept = (scores >= limits.score_threshold) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        order = kept.nonzero()[0]
        order = order[top_rows(scores[order], len(order))]
        if merges and limits.iou_threshold is not None:
            level = SPARSE_THRESHOLD if self._probabilities else 0.0
            order = order[mask_nms([fields[queries[one]] > level for one in order], limits.iou_threshold)]
        order = order[: limits.max_instances]
        return Decoded(
            boxes=boxes[order],
            scores=scores[order],
            class_ids=class_ids[order],
            masks=maps[order],
            per_box=True,
            spans=spans[order],
        )

    def problems(self, outputs: Mapping[str, NDArray[Any]]) -> list[str]:
        """Values that are no probabilities where they should be."""
        problems = []
        for role in ("classes", "masks") if self._form == "scores" else ():
            values = outputs[self.output_names[role]]
            if values.size and (values.min() < -1e-3 or values.max() > 1 + 1e-3):
                found = f"{values.min():g} to {values.max():g}"
                problems.append(f"{self.output_names[role]}: expected probabilities as of SparseInst, found {found}")
        return problems

    def _counted(self, info: ModelInfo) -> int | None:
        """Class numbers that the outputs tell; RF-DETR has a channel more than classes, the last or number 0."""
        named = info.metadata.get("masktrail.classes") or (info.manifest and info.manifest.classes)
        return None if self._form == "boxes" and (named or self._channels == 91) else self._channels

    def _candidates(
        self, values: NDArray[Any], limits: Limits
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Query, class id and class probability of the best pairs above the threshold, best first."""
        values = values.astype(np.float32)
        if self._activation == "softmax":
            with np.errstate(over="ignore", invalid="ignore"):  # of values that are not finite: below every threshold
                values = np.exp(values - values.max(axis=1, keepdims=True))
                values /= values.sum(axis=1, keepdims=True)
        elif self._activation == "sigmoid":
            values = sigmoid(values)
        values = values[:, : self._channels]  # (Q, C)
        if self._form == "scores":  # one class per query
            values = np.where(values == values.max(axis=1, keepdims=True), values, 0)
        class_ids = self._labels.class_ids(np.arange(self._channels))
        wanted = (class_ids >= 0) & (class_ids < len(self.class_names))
        if limits.classes is not None:
            wanted &= limits.classes.take(class_ids, mode="clip")
        queries, channels = ((values >= limits.score_threshold) & (values > 0) & wanted).nonzero()
        best = top_rows(values[queries, channels], max(CANDIDATES, limits.max_instances))
        queries, channels = queries[best], channels[best]
        return queries, class_ids[channels], values[queries, channels]

    def _masks(
        self,
        outputs: Mapping[str, NDArray[Any]],
        row: int,
        fields: NDArray[Any],
        queries: NDArray[np.int64],
        scores: NDArray[np.float32],
        *,
        content: tuple[float, float] | None,
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
        """Boxes ``(N, 4)``, grids, what they span and scores of candidates; each query's mask is looked at once.

        What lies in the padding is cut off before masks are scored, as Mask2Former's published inference does.
        """
        used, places = np.unique(queries, return_inverse=True)
        height, width = fields.shape[1:]
        scale = np.tile(np.array([width, height], np.float32) / np.array(self._size, np.float32), 2)
        level = SPARSE_THRESHOLD if self._probabilities else 0.0
        if self._form == "boxes":
            unit = outputs[self.output_names["boxes"]][row, used].astype(np.float32)
            boxes: NDArray[Any] = xyxy_from_cxcywh(unit) * np.tile(np.array(self._size, np.float32), 2)
        else:
            columns, rows = (width, height) if content is None else np.ceil(scale[:2] * content).astype(int).tolist()
            found = [outline(fields[query, :rows, :columns], level) or (0,) * 4 for query in used]
            boxes = np.array(found, np.float32).reshape(-1, 4) / scale
        boxes = np.where(np.isfinite(boxes), boxes, 0).astype(np.float32)
        if content is not None:
            boxes = np.minimum(boxes, np.tile(np.array(content, np.float32), 2))
        quality = np.ones(len(used), np.float32)

        def activate(number: int, values: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
            inside = values > level
            if self._probabilities:
                quality[number] = _mean_above(fields[used[number]], inner[number], level)
                return np.where(inside, 0.5 + (values - level) * 0.5 / (1 - level), values * 0.5 / level)  # one half
            probabilities = sigmoid(values)
            seen = np.where(inside, probabilities, 0)[window]
            quality[number] = seen.sum() / max(np.count_nonzero(inside[window]), 1)
            return probabilities

        inner = (boxes * scale).astype(np.float32)
        maps, spans = crops([fields[query] for query in used], inner, step_px=float(1 / scale.min()), activate=activate)
        scores = scores * quality[places] if self._quality else scores
        spans = (spans / scale).astype(np.float32)
        return boxes[places], maps[places], spans[places], scores.astype(np.float32)


def _mean_above(field: NDArray[Any], box: NDArray[np.float32], level: float) -> float:
    """Of the cells in a box, in cells, those above the level; 0 where there is none."""
    left, top, right, bottom = (max(int(edge), 0) for edge in np.concatenate([box[:2], np.ceil(box[2:])]))
    part = field[top:bottom, left:right].astype(np.float32, copy=False)
    inside = part > level
    return float(np.where(inside, part, 0).sum() / max(np.count_nonzero(inside), 1))


def match(info: ModelInfo) -> dict[str, str] | None:
    """Output names by role and the form, or ``None``; the order of the outputs does not matter.

    Raises:
        ModelError: Several outputs may be the class scores, and no name tells.
    """
    fields = [one for one in info.outputs if len(one.shape) == 4 and one.dtype.startswith("float")]
    rows = [one for one in info.outputs if len(one.shape) == 3 and one.dtype.startswith("float")]
    if any(len(one.shape) <= 2 and not one.dtype.startswith("float") for one in info.outputs):
        return None  # class numbers: finished instances
    fields = [one for one in fields if any(one.shape[:2] == row.shape[:2] for row in rows)]
    if len(fields) > 1:
        fields = _named(fields, "masks")
    if len(fields) != 1:
        return None
    rows = [row for row in rows if row.shape[:2] == fields[0].shape[:2]]
    boxes = [row for row in rows if row.shape[2] == 4]
    found = {"masks": fields[0].name}
    if boxes and len(rows) > 1:
        if len(boxes) > 1:
            boxes = _settled(info, _named(boxes, "boxes"), boxes, "boxes")
        found["boxes"] = boxes[0].name
        rows = [row for row in rows if row.name != found["boxes"]]
    if len(rows) > 1:
        rows = _settled(info, _named(rows, "classes"), rows, "class scores")
    found["classes"] = rows[0].name
    if "boxes" in found:
        return found | {"form": "boxes"}
    width, height = info.network_size
    return found | {"form": "scores" if fields[0].shape[2:] == (height, width) else "logits"}


def _named(outputs: list[TensorInfo], role: str) -> list[TensorInfo]:
    """Outputs whose name says the role, the first name of the list before the others."""
    for name in NAMES[role]:
        found = [one for one in outputs if one.name.rsplit("/", 1)[-1].split(":", 1)[0].lower() == name]
        if len(found) == 1:
            return found
    return []


def _settled(info: ModelInfo, named: list[TensorInfo], options: list[TensorInfo], what: str) -> list[TensorInfo]:
    if len(named) == 1:
        return named
    shown = " or ".join(str(one) for one in options)
    raise ModelError(
        info.label,
        f"expected one output that may be the {what} of the queries, found {shown}",
        f"name the {what} {NAMES['boxes' if what == 'boxes' else 'classes'][0]!r}, or export without the other outputs",
    )


def _assumptions(info: ModelInfo, family: Family, form: str) -> tuple[str, ...]:
    manifest, assumed = info.manifest, []
    if info.metadata.get("masktrail.family"):
        return ()  # the file says it all
    if info.metadata.get("masktrail.input") is None and (manifest is None or manifest.input.channels is None):
        mean, std = (" ".join(f"{value:g}" for value in one or ()) for one in (family.input.mean, family.input.std))
        assumed.append(f"input in {family.input.channels} order, mean {mean}, std {std}, {family.input.resize}")
    if form == "logits":
        assumed.append("the last class channel is no object, masks are logits")
    elif form == "boxes":
        assumed.append("class scores and masks are logits, boxes centre and size as fractions of the input")
    if not family.tried:
        assumed.append("recognised by shape; no file of the original exporter was run")
    return tuple(assumed)


CONTRACT = Contract(
    name=QueriesDecoder.contract,
    form="class logits (B, Q, C + 1), masks (B, Q, h, w), optional boxes (B, Q, 4)",
    match=match,
    decoder=QueriesDecoder,
)
