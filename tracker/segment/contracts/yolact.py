"""Decoder of the raw heads of an official YOLACT: anchors, box decode, Fast NMS and mask assembly in NumPy.

Outputs as dbolya's code names them: ``loc (B, P, 4)`` box code, ``conf (B, P, C + 1)`` after softmax with the
background at index 0, ``mask (B, P, M)`` coefficients after tanh, ``proto (B, h, w, M)`` or ``(B, M, h, w)`` after
ReLU, and ``priors (P, 4)`` centre x, centre y, width, height as fractions of the input, which are built from the
manifest or the published configurations where the file has none (Bolya et al. 2019; https://github.com/dbolya/yolact at
57b8f2d, MIT).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import ModelError
from tracker.segment.contracts.contract import Contract
from tracker.segment.contracts.decoder import Decoded, Decoder, default_class_names, network_prototypes
from tracker.segment.contracts.suppress import fast_nms, plausible_rows, top_rows
from tracker.segment.manifest import InputSpec, YolactSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tracker.inference.tensors import TensorInfo
    from tracker.segment.contracts.decoder import Limits, ModelInfo

__all__ = ["CONTRACT", "YolactDecoder", "make_priors"]

TOP_K = 200
"""Candidates that enter Fast NMS, per class or over all (``nms_top_k`` of the published configurations)."""
IOU_THRESHOLD = 0.5
STRIDES = (8, 16, 32, 64, 128)
BASE_SIZE_PX = 550
BASE_SCALES_PX = (24, 48, 96, 192, 384)
BASE_LEVELS_PX = tuple((scale,) for scale in BASE_SCALES_PX)
ASPECT_RATIOS = (1.0, 0.5, 2.0)
NAMES = {
    "loc": ("loc", "box", "bbox", "boxes"),
    "conf": ("conf", "class", "classes", "scores"),
    "coefficients": ("mask", "masks", "coef", "coeff", "coefs", "coefficients"),
    "proto": ("proto", "protos", "prototypes"),
    "priors": ("priors", "prior", "anchors"),
}


class YolactDecoder(Decoder):
    """Decoder of raw YOLACT heads.

    Args:
        info: The model.
        names: Output names by role: ``loc``, ``conf``, ``coefficients``, ``proto``, optionally ``priors``.

    Raises:
        ModelError: No priors in the file and none of the known anchor styles gives as many as ``loc`` has rows.
    """

    contract = "yolact"
    # ImageNet statistics in network order RGB; the Darknet-53 configuration divides by 255 instead and says so in its
    # manifest.
    input_defaults = InputSpec(
        channels="RGB", resize="stretch", pad_value=114, mean=(123.68, 116.78, 103.94), std=(58.40, 57.12, 57.38)
    )
    iou_threshold: float | None = IOU_THRESHOLD

    def __init__(self, info: ModelInfo, names: Mapping[str, str]) -> None:
        self._label = info.label
        self.output_names = dict(names)
        self._settings = info.manifest.yolact if info.manifest else YolactSettings()
        self._network_size = info.network_size
        shapes = {output.name: output.shape for output in info.outputs}
        self._activation = self._settings.conf_activation
        channels = shapes[names["conf"]][-1] or 0
        if self._settings.background_index >= channels:
            raise ModelError(
                info.label,
                f"yolact.background_index {self._settings.background_index}, but conf has {channels} channels",
                "correct it in manifest.toml",
            )
        foreground = channels - (self._settings.background_index >= 0)
        self._background = self._settings.background_index if self._settings.background_index >= 0 else None
        self.class_names = default_class_names(info, foreground)
        # (B, 32, 32, 32) is read as dbolya's code writes it, channels last.
        self._proto_last = shapes[names["proto"]][-1] == shapes[names["coefficients"]][-1]
        self._sums_to_one: bool | None = None
        self._priors: NDArray[np.float32] | None = None
        if "priors" not in names:
            count = shapes[names["loc"]][1] or 0
            self._priors = self._find_priors(count)

    def decode(self, outputs: Mapping[str, NDArray[Any]], row: int, limits: Limits) -> Decoded:
        """The instances of image ``row`` of the batch."""
        names = self.output_names
        rows, scores, class_ids = self._candidates(outputs[names["conf"]][row], limits)  # (P, C + 1) ->
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is dropped below
            boxes = self._boxes(outputs, row, rows)  # (R, 4)
        possible = plausible_rows(boxes, class_ids)
        rows, boxes, scores, class_ids = rows[possible], boxes[possible], scores[possible], class_ids[possible]
        iou_threshold = IOU_THRESHOLD if limits.iou_threshold is None else limits.iou_threshold
        if self._settings.cross_class_nms:
            kept = fast_nms(boxes, iou_threshold).nonzero()[0]
        else:
            kept = _per_class(boxes, class_ids, iou_threshold)
        kept = kept[: limits.max_instances]
        proto = outputs[names["proto"]][row]
        if self._proto_last:
            proto = proto.transpose(2, 0, 1)  # (M, h, w)
        coefficients = outputs[names["coefficients"]][row, rows[kept]].astype(np.float32, copy=False)  # (N, M)
        prototypes = network_prototypes(proto.astype(np.float32, copy=False), self._network_size)
        return Decoded(
            boxes=boxes[kept],
            scores=scores[kept],
            class_ids=class_ids[kept],
            masks=prototypes.probabilities(coefficients, boxes[kept]),
            coefficients=coefficients,
            prototypes=prototypes,
        )

    def problems(self, outputs: Mapping[str, NDArray[Any]]) -> list[str]:
        """Anchors that are not centre and size as fractions of the input, but corners or pixels."""
        if "priors" not in self.output_names:
            return []
        priors = outputs[self.output_names["priors"]]
        centres, sides = priors[..., :2], priors[..., 2:]
        if centres.min() < 0 or centres.max() > 1 or sides.min() <= 0:
            found = f"centres from {centres.min():g} to {centres.max():g}, sides from {sides.min():g}"
            return [f"priors: expected centre x, centre y, width, height as fractions of 0 to 1, found {found}"]
        return []

    def _candidates(
        self, conf: NDArray[Any], limits: Limits
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
        """Rows above the threshold, best first, with score and class; without cross-class NMS once per class."""
        threshold = limits.score_threshold
        if self._sums_to_one is None:
            self._look_at(conf)
        if self._sums_to_one and self._background is not None:
            # After a softmax the best foreground is at most 1 - background: one column instead of C rules out nearly
            # all rows.
            rows = (conf[:, self._background] <= 1 - threshold + 1e-4).nonzero()[0]
            conf = conf[rows]
        else:
            conf = _activate(conf, self._activation or "none")
            rows = np.arange(len(conf))
        if self._background is not None:
            conf = np.delete(conf, self._background, axis=1)  # (R, C)
        if limits.classes is not None:
            conf = np.where(limits.classes, conf, 0)
        if self._settings.cross_class_nms:
            scores = conf.max(axis=1, initial=0)
            passed = (scores >= threshold).nonzero()[0]
            passed = passed[top_rows(scores[passed], TOP_K)]
            class_ids = conf[passed].argmax(axis=1) if len(passed) else np.zeros(0, np.int64)
            return rows[passed], scores[passed].astype(np.float32), class_ids.astype(np.int64)
        passed, class_ids = (conf >= threshold).nonzero()
        scores = conf[passed, class_ids]
        order = np.argsort(-scores, kind="stable")
        return rows[passed[order]], scores[order].astype(np.float32), class_ids[order].astype(np.int64)

    def _look_at(self, conf: NDArray[Any]) -> None:
        """Decide once, on the first image, whether ``conf`` holds probabilities, and whether of a softmax."""
        in_range = bool(conf.min(initial=0) >= 0 and conf.max(initial=0) <= 1 + 1e-3)
        if self._activation is None:
            self._activation = "none" if in_range else "softmax"
        self._sums_to_one = self._activation == "none" and bool(
            np.allclose(conf.sum(axis=1, dtype=np.float32), 1, atol=1e-2)
        )

    def _boxes(self, outputs: Mapping[str, NDArray[Any]], row: int, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Box code to xyxy in network pixels (SSD, Liu et al. 2016; dbolya's ``box_utils.decode``)."""
        code = outputs[self.output_names["loc"]][row, rows].astype(np.float32, copy=False)  # (R, 4)
        if self._priors is None:
            priors = outputs[self.output_names["priors"]]
            priors = (priors[min(row, len(priors) - 1)] if priors.ndim == 3 else priors)[rows].astype(
                np.float32, copy=False
            )
        else:
            priors = self._priors[rows]
        centre_variance, size_variance = self._settings.variances
        centre = priors[:, :2] + code[:, :2] * np.float32(centre_variance) * priors[:, 2:]
        half = priors[:, 2:] * np.exp(code[:, 2:] * np.float32(size_variance)) / 2
        scale = np.tile(np.array(self._network_size, np.float32), 2)
        return np.concatenate([centre - half, centre + half], axis=1) * scale

    def _find_priors(self, count: int) -> NDArray[np.float32]:
        """Anchors from the manifest, else of the published configuration that gives ``count`` of them."""
        settings, size = self._settings, self._network_size
        strides = settings.strides or STRIDES
        ratios = settings.aspect_ratios or ASPECT_RATIOS
        base = tuple((int(scale * size[0] / BASE_SIZE_PX),) for scale in BASE_SCALES_PX)
        plus = tuple(tuple(scale * 2 ** (step / 3) for step in range(3)) for scale in BASE_SCALES_PX)
        square = settings.square_anchors
        styles = (
            [(settings.scales_px, square is not False)]
            if settings.scales_px
            else [(base, square is not False), (plus, bool(square))]  # YOLACT, YOLACT++
        )
        tried = []
        for scales_px, is_square in styles:
            if len(scales_px) != len(strides):
                continue
            priors = make_priors(size, strides=strides, scales_px=scales_px, aspect_ratios=ratios, square=is_square)
            if len(priors) == count:
                return priors
            tried.append(str(len(priors)))
        if not tried:
            raise ModelError(
                self._label,
                "yolact.scales_px and yolact.strides differ in their number of levels",
                "correct manifest.toml",
            )
        raise ModelError(
            self._label,
            f"no priors among the outputs, loc has {count} rows, but the known anchors give {' or '.join(tried)}",
            "give [yolact] aspect_ratios, scales_px, strides and square_anchors in manifest.toml, or export the priors",
        )


def make_priors(
    network_size: tuple[int, int],
    *,
    strides: Sequence[int] = STRIDES,
    scales_px: Sequence[Sequence[float]] = BASE_LEVELS_PX,
    aspect_ratios: Sequence[float] = ASPECT_RATIOS,
    square: bool = True,
) -> NDArray[np.float32]:
    """Anchors of every level, row by row, in the order of dbolya's ``make_priors`` with ``use_pixel_scales``.

    Args:
        network_size: ``(width, height)`` of the input in pixels.
        strides: Per level; each level has ``ceil(size / stride)`` cells, as a chain of stride-2 convolutions gives.
        scales_px: Per level, anchor sides in pixels.
        aspect_ratios: Width is ``scale * sqrt(ratio)``, height ``scale / sqrt(ratio)``: the published configurations
            have ``preapply_sqrt = False``, which takes the root here.
        square: Height = width instead: the published configurations were trained with that slip.

    Returns:
        ``(P, 4)`` float32 centre x, centre y, width, height as fractions of the input; P = 19248 for the 550-pixel
        configurations.
    """
    levels = []
    for stride, scales in zip(strides, scales_px, strict=True):
        columns, rows = math.ceil(network_size[0] / stride), math.ceil(network_size[1] / stride)
        roots = [math.sqrt(ratio) for ratio in aspect_ratios]
        shapes = np.array([(scale * root, scale / root) for scale in scales for root in roots]) / np.array(network_size)
        if square:
            shapes[:, 1] = shapes[:, 0]
        y, x = np.meshgrid((np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns, indexing="ij")
        centres = np.stack([x, y], axis=-1)[:, :, None]  # (rows, columns, 1, 2)
        level = np.empty((rows, columns, len(shapes), 4))
        level[..., :2], level[..., 2:] = centres, shapes
        levels.append(level.reshape(-1, 4))
    return np.concatenate(levels).astype(np.float32)


def match(info: ModelInfo) -> dict[str, str] | None:
    """Output names by role if the outputs are raw YOLACT heads, else ``None``; order does not matter.

    Shapes decide; where two outputs have the same form (a model of three classes, priors with a batch axis) their names
    do. Raw heads are floating-point: class numbers among the outputs are of a model that decodes itself.
    """
    if not all(output.dtype.startswith("float") for output in info.outputs):
        return None
    for proto in (output for output in info.outputs if len(output.shape) == 4 and output.dtype.startswith("float")):
        heads = [output for output in info.outputs if len(output.shape) == 3 and output.dtype.startswith("float")]
        flat = [output for output in info.outputs if len(output.shape) == 2 and output.shape[1] == 4]
        for channels in {proto.shape[1], proto.shape[3]}:
            names = _assign(proto, channels, heads, flat)
            if names is not None:
                return names
    return None


def _assign(
    proto: TensorInfo, channels: int | None, heads: list[TensorInfo], flat: list[TensorInfo]
) -> dict[str, str] | None:
    """Roles of the rank-3 heads for a prototype count, or ``None`` where that count does not fit."""
    if len(heads) not in {3, 4} or len({head.shape[1] for head in heads}) != 1:
        return None
    forms = {"coefficients": channels, "loc": 4, "priors": 4, "conf": None}
    wanted = ["loc", "coefficients", "conf"] + (["priors"] if len(heads) == 4 else [])
    choices = {role: [head for head in heads if forms[role] is None or head.shape[2] == forms[role]] for role in wanted}
    found: dict[str, str] = {}
    while choices:
        # The role with the fewest candidates left is settled next; a tie among candidates is settled by name.
        options = {name: _by_name(heads, name) for name, heads in choices.items()}
        role = min(options, key=lambda name: len(options[name]))
        if len(options[role]) != 1:
            return None
        chosen = options[role][0]
        found[role] = chosen.name
        del choices[role]
        choices = {name: [head for head in rest if head.name != chosen.name] for name, rest in choices.items()}
    if flat and "priors" not in found:
        found["priors"] = flat[0].name
    found["proto"] = proto.name
    return found


def _by_name(candidates: list[TensorInfo], role: str) -> list[TensorInfo]:
    """The one candidate whose name says its role, as in ``head/loc`` or ``loc:0``, else all of them."""
    named = [head for head in candidates if head.name.rsplit("/", 1)[-1].split(":", 1)[0].lower() in NAMES[role]]
    return named if len(named) == 1 else candidates


def _activate(conf: NDArray[Any], activation: str) -> NDArray[np.float32]:
    values = conf.astype(np.float32)
    if activation == "softmax":
        values = np.exp(values - values.max(axis=1, keepdims=True))
        return np.asarray(values / values.sum(axis=1, keepdims=True))
    if activation == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-values)))
    return values


def _per_class(boxes: NDArray[np.float32], class_ids: NDArray[np.int64], iou_threshold: float) -> NDArray[np.int64]:
    """Fast NMS within each class on its best ``TOP_K`` rows; kept rows, best first over all classes."""
    kept = []
    for class_id in np.unique(class_ids):
        rows = (class_ids == class_id).nonzero()[0][:TOP_K]
        kept.append(rows[fast_nms(boxes[rows], iou_threshold)])
    return np.sort(np.concatenate(kept)) if kept else np.zeros(0, np.int64)


CONTRACT = Contract(
    name=YolactDecoder.contract,
    form="loc (B, P, 4), conf (B, P, C + 1), mask (B, P, M), proto (B, h, w, M), optional priors (P, 4)",
    match=match,
    decoder=YolactDecoder,
)
