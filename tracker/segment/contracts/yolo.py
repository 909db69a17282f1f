"""Decoder of the YOLOv5/v8/v9/11-seg kind: box decode, NMS and mask assembly in NumPy.

Two outputs: predictions and prototypes ``(B, M, h, w)`` or ``(B, h, w, M)``. Predictions have one of
three forms, recognised by shape:

- ``(B, 4 + C + M, A)`` or transposed: centre x, centre y, width, height in input pixels, class scores, coefficients (v8
  and later);
- ``(B, 3 A, 5 + C + M)``: the same with an objectness after the box (v5);
- ``(B, N, 6 + M)``: xyxy, score, class, coefficients, already suppressed (exports with NMS inside).

A is the number of cells at strides 8, 16 and 32 (or with 4 or 64 added). Names come from the metadata key ``names``.
"""

from __future__ import annotations

import ast
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.boxes import xyxy_from_cxcywh
from tracker.errors import ModelError
from tracker.segment.contracts.contract import Contract
from tracker.segment.contracts.decoder import Decoded, Decoder, default_class_names, network_prototypes
from tracker.segment.contracts.suppress import greedy_nms, plausible_rows, top_rows
from tracker.segment.manifest import InputSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tracker.segment.contracts.decoder import Limits, ModelInfo

__all__ = ["CONTRACT", "YoloDecoder"]

IOU_THRESHOLD = 0.7
MOST_CLASSES = 100_000
"""Larger values are no class numbers."""
MAX_CANDIDATES = 1000
"""Boxes that enter NMS; a crowd at score 0.1 gives some hundreds."""
STRIDE_SETS = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32))


class YoloDecoder(Decoder):
    """Decoder of prototype-and-coefficient YOLO heads.

    Args:
        info: The model.
        names: Output names by role ``predictions`` and ``proto``, and under ``form`` one of ``rows-first`` (channels
            are the rows), ``rows-last``, ``objectness``, ``suppressed``.
    """

    contract = "yolo"
    input_defaults = InputSpec(
        channels="RGB", resize="letterbox-top-left", pad_value=114, mean=(0.0,) * 3, std=(255.0,) * 3
    )

    def __init__(self, info: ModelInfo, names: Mapping[str, str]) -> None:
        self._predictions, self._proto, self._form = names["predictions"], names["proto"], names["form"]
        self.output_names = {"predictions": self._predictions, "proto": self._proto}
        self._network_size = info.network_size
        shapes = {output.name: output.shape for output in info.outputs}
        self._proto_last = _channel_axis(shapes[self._proto], info.network_size) == 3
        self._coefficients = shapes[self._proto][3 if self._proto_last else 1] or 0
        channels = shapes[self._predictions][1 if self._form == "rows-first" else 2] or 0
        self.iou_threshold = None if self._form == "suppressed" else IOU_THRESHOLD
        self._objectness = self._form == "objectness"
        self._class_count = channels - 4 - self._objectness - self._coefficients
        count = None if self._form == "suppressed" else self._class_count
        self.class_names = default_class_names(info, count, _names_of(info, count))

    def decode(self, outputs: Mapping[str, NDArray[Any]], row: int, limits: Limits) -> Decoded:
        """The instances of image ``row`` of the batch."""
        predictions, proto = outputs[self._predictions][row], outputs[self._proto][row]
        if self._form == "suppressed":
            boxes, scores, class_ids, coefficients = self._suppressed(predictions, limits)
        else:
            channels_first = predictions if self._form == "rows-first" else predictions.T
            boxes, scores, class_ids, coefficients = self._dense(channels_first, limits)
        possible = plausible_rows(np.concatenate([boxes, coefficients], axis=1), class_ids)
        boxes, scores = boxes[possible], scores[possible]
        class_ids, coefficients = class_ids[possible], coefficients[possible]
        if limits.iou_threshold is not None:
            kept = greedy_nms(boxes, class_ids, limits.iou_threshold, limits.max_instances)
            boxes, scores, class_ids, coefficients = boxes[kept], scores[kept], class_ids[kept], coefficients[kept]
        boxes, scores = boxes[: limits.max_instances], scores[: limits.max_instances]
        class_ids, coefficients = class_ids[: limits.max_instances], coefficients[: limits.max_instances]
        if self._proto_last:
            proto = proto.transpose(2, 0, 1)  # (M, h, w)
        prototypes = network_prototypes(proto.astype(np.float32, copy=False), self._network_size)
        return Decoded(
            boxes=boxes,
            scores=scores,
            class_ids=class_ids,
            masks=prototypes.probabilities(coefficients, boxes),
            coefficients=coefficients,
            prototypes=prototypes,
        )

    def _dense(self, predictions: NDArray[Any], limits: Limits) -> tuple[NDArray[Any], ...]:
        """Best candidates of ``predictions (4 [+ 1] + C + M, A)``: boxes, scores, classes, coefficients."""
        first = 4 + self._objectness
        classes = predictions[first : first + self._class_count]  # (C, A)
        scores = classes.max(axis=0)  # (A,)
        if self._objectness:
            scores = scores * predictions[4]
        cells = (scores >= limits.score_threshold).nonzero()[0]
        class_ids = classes[:, cells].argmax(axis=0) if len(cells) else np.zeros(0, np.int64)
        if limits.classes is not None:
            wanted = limits.classes[class_ids]
            cells, class_ids = cells[wanted], class_ids[wanted]
        best = top_rows(scores[cells], MAX_CANDIDATES)
        cells, class_ids = cells[best], class_ids[best]
        chosen = predictions[:, cells].T.astype(np.float32)  # (R, 4 [+ 1] + C + M)
        finite = np.isfinite(chosen).all(axis=1)
        cells, class_ids, chosen = cells[finite], class_ids[finite], chosen[finite]
        return (
            xyxy_from_cxcywh(chosen[:, :4]),
            scores[cells].astype(np.float32),
            class_ids.astype(np.int64),
            chosen[:, first + self._class_count :],
        )

    @staticmethod
    def _suppressed(predictions: NDArray[Any], limits: Limits) -> tuple[NDArray[Any], ...]:
        """Rows of ``predictions (N, 6 + M)`` above the threshold, best first."""
        rows = (predictions[:, 4] >= limits.score_threshold).nonzero()[0]
        chosen = predictions[rows].astype(np.float32)
        chosen = chosen[np.isfinite(chosen[:, 5])]
        class_ids = chosen[:, 5].astype(np.int64)
        if limits.classes is not None:
            wanted = limits.classes.take(class_ids, mode="clip") & (class_ids >= 0)
            chosen, class_ids = chosen[wanted], class_ids[wanted]
        best = top_rows(chosen[:, 4], MAX_CANDIDATES)
        chosen = chosen[best]
        return chosen[:, :4], chosen[:, 4], class_ids[best], chosen[:, 6:]


def match(info: ModelInfo) -> dict[str, str] | None:
    """Output names by role and the form of the predictions, or ``None``; order does not matter."""
    protos = [output for output in info.outputs if len(output.shape) == 4 and output.dtype.startswith("float")]
    heads = [output for output in info.outputs if len(output.shape) == 3 and output.dtype.startswith("float")]
    if len(protos) != 1 or len(heads) != 1:
        return None
    coefficients = protos[0].shape[_channel_axis(protos[0].shape, info.network_size)] or 0
    form = _form(heads[0].shape, coefficients, info.network_size)
    if form is None:
        return None
    return {"predictions": heads[0].name, "proto": protos[0].name, "form": form}


def _channel_axis(shape: tuple[int | None, ...], network_size: tuple[int, int]) -> int:
    """Which axis of the prototypes holds the M channels: the last one where only so the grid has the input's aspect."""
    width, height = network_size

    def fits(rows: int | None, columns: int | None) -> bool:
        # Sides may be rounded by a cell.
        return bool(rows and columns) and abs((rows or 0) * width - (columns or 0) * height) <= max(width, height)

    return 3 if fits(shape[1], shape[2]) and not fits(shape[2], shape[3]) else 1


def _form(shape: tuple[int | None, ...], coefficients: int, network_size: tuple[int, int]) -> str | None:
    """Which axis holds the cells, by how many cells the input has; else the longer axis does."""
    rows, columns = shape[1] or 0, shape[2] or 0
    cells = {
        sum(math.ceil(network_size[0] / stride) * math.ceil(network_size[1] / stride) for stride in strides)
        for strides in STRIDE_SETS
    }
    tripled = {3 * count for count in cells}
    if columns in cells and rows > 4 + coefficients:
        return "rows-first"
    if rows in cells and columns > 4 + coefficients:
        return "rows-last"
    if rows in tripled and columns > 5 + coefficients:
        return "objectness"
    if columns == 6 + coefficients:
        return "suppressed"
    if min(rows, columns) <= 4 + coefficients:
        return None
    return "rows-first" if columns > rows else "rows-last"


def _names_of(info: ModelInfo, count: int | None) -> tuple[str, ...] | None:
    """Class names from the metadata key ``names``; ``None`` where it is empty or another source of names has priority.

    Raises:
        ModelError: They cannot be read, and nothing else names the classes.
    """
    text = info.metadata.get("names", "")
    names = _metadata_names(text, count)
    elsewhere = info.metadata.get("masktrail.classes") or (info.manifest and info.manifest.classes)
    if names is None and text.strip() and not elsewhere:
        raise ModelError(
            info.label,
            f"metadata names: expected a list of names, or names by class number from 0, found {text[:60]!r}",
            "export the file again, or list the classes in a manifest.toml beside it",
        )
    return names


def _metadata_names(text: str, count: int | None = None) -> tuple[str, ...] | None:
    """Class names from JSON or the Python literal that Ultralytics writes, by class number or a list.

    Numbers without a name, up to ``count``, are called ``class 0``, ``class 1``, ...

    >>> _metadata_names("{1: 'bicycle', 0: 'person'}"), _metadata_names('{"0": "helmet", "1": "vest"}')
    (('person', 'bicycle'), ('helmet', 'vest'))
    >>> _metadata_names("{1: 'helmet', 2: 'vest'}"), _metadata_names('["vest"]', 2)
    (('class 0', 'helmet', 'vest'), ('vest',))
    """
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        try:
            names = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None
    if isinstance(names, dict):
        numbers = [int(key) if str(key).isdecimal() else -1 for key in names]
        if not numbers or min(numbers) < 0 or max(numbers) >= MOST_CLASSES or len(set(numbers)) != len(numbers):
            return None
        by_number = dict(zip(numbers, names.values(), strict=True))
        names = [by_number.get(n, f"class {n}") for n in range(max(max(numbers) + 1, count or 0))]
    return tuple(str(name) for name in names) if isinstance(names, list | tuple) and names else None


CONTRACT = Contract(
    name=YoloDecoder.contract,
    form="predictions (B, 4 + C + M, A), prototypes (B, M, h, w)",
    match=match,
    decoder=YoloDecoder,
)
