"""Decoder of raw SOLOv2 heads: dynamic convolution, maskness and matrix NMS in NumPy.

Contract ``solo`` (Wang et al. 2020; mmdetection's ``SOLOV2Head.predict``): ``cate (B, S, C)`` probabilities after point
NMS, ``kernels (B, S, E)`` of 1 x 1 convolutions, ``features (B, E, h, w)``; S cells of square grids, level by level.
Section 3.3: candidates are pairs of cell and class above the score threshold; a mask is ``sigmoid(features x kernel)``;
score = p * mean of it above one half, decayed by better masks of the class that overlap it (matrix NMS, equation 4).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import ModelError
from tracker.segment.contracts.box_maps import crops, outline, sigmoid
from tracker.segment.contracts.contract import Contract
from tracker.segment.contracts.decoder import Decoded, Decoder
from tracker.segment.contracts.families import IMAGENET, Family, Labels, chosen_family
from tracker.segment.contracts.suppress import mask_nms, matrix_nms, top_rows
from tracker.segment.manifest import parse_solo
from tracker.segment.output_settings import ScoreSettings, SoloSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tracker.segment.contracts.box_maps import Window
    from tracker.segment.contracts.decoder import Limits, ModelInfo

__all__ = ["CONTRACT", "SoloDecoder", "point_nms"]

CANDIDATES = 100
"""Best pairs of cell and class that are convolved. At 112 x 192 cells 100 take a third of the time of 500; matrix NMS
lets weaker candidates change nothing of better ones."""
CANDIDATE_THRESHOLD = 0.1
"""``score_thr`` of the published configurations, on p before maskness."""
LEAST_SCORE = 0.05
"""``filter_thr`` there, after matrix NMS; a lower threshold lets weaker candidates through too."""
FAMILY = Family(
    name="solov2",
    title="SOLOv2, raw heads (`python -m export solov2` or `solov2-nano`)",
    input=IMAGENET,
    tried="exported here, against mmdetection's code on random weights; solov2-nano's real weights on real clips",
)


class SoloDecoder(Decoder):
    """Decoder of ``solo``.

    Args:
        info: The model.
        names: Output names by role: ``cate``, ``kernels``, ``features``.

    Raises:
        ModelError: The grids of ``[solo]`` have another number of cells than the heads.
    """

    contract = "solo"

    def __init__(self, info: ModelInfo, names: Mapping[str, str]) -> None:
        self.output_names = dict(names)
        self._size = info.network_size
        shape = next(output.shape for output in info.outputs if output.name == names["cate"])
        settings = _settings(info)
        cells = sum(side * side for side in settings.grids)
        if cells != shape[1] or len(settings.strides) != len(settings.grids):
            listed = ", ".join(map(str, settings.grids))
            raise ModelError(
                info.label,
                f"expected {cells} cells of the grids {listed} with a stride each, found {shape[1]} rows and "
                f"{len(settings.strides)} strides",
                "write [solo] grids and strides in manifest.toml as the network was trained with",
            )
        self._grids = settings.grids
        self._least_cells = np.repeat(settings.strides, [side * side for side in settings.grids])  # (S,)
        scores = info.manifest.scores if info.manifest else ScoreSettings()
        self.iou_threshold = info.manifest.iou_threshold if info.manifest else None
        self._raw = scores.activation == "sigmoid"
        self._maskness = scores.quality != "none"
        self._labels = Labels(info, chosen_family(info, [FAMILY]), count=shape[2])
        self.class_names = self._labels.names
        self.family, self.input_defaults = FAMILY.title, FAMILY.input
        self.assumed = () if info.metadata.get("masktrail.contract") else ("cate after sigmoid and point NMS",)

    def decode(self, outputs: Mapping[str, NDArray[Any]], row: int, limits: Limits) -> Decoded:
        """The instances of image ``row`` of the batch."""
        names = self.output_names
        cells, class_ids, scores = self._candidates(outputs[names["cate"]][row], limits)
        features = outputs[names["features"]][row].astype(np.float32, copy=False)  # (E, h, w)
        depth, height, width = features.shape
        kernels = outputs[names["kernels"]][row, cells].astype(np.float32, copy=False)  # (N, E)
        with np.errstate(over="ignore", invalid="ignore"):  # of values that are not finite
            logits = kernels @ features.reshape(depth, -1)  # (N, h w)
        inside = logits > 0
        areas = np.count_nonzero(inside, axis=1)
        kept = (areas > self._least_cells[cells]).nonzero()[0]
        windows = bounds(inside[kept].reshape(-1, height, width))
        if self._maskness:
            fields = logits.reshape(-1, height, width)
            quality = [maskness(fields[one][window], areas[one]) for one, window in zip(kept, windows, strict=True)]
            scores[kept] *= np.array(quality, np.float32)
        best = top_rows(scores[kept], len(kept))
        kept, windows = kept[best], [windows[one] for one in best]
        scores, class_ids = scores[kept], class_ids[kept]
        scores = matrix_nms(inside[kept], class_ids, scores)
        order = (scores >= limits.score_threshold).nonzero()[0]
        order = order[top_rows(scores[order], limits.max_instances)]
        if limits.iou_threshold is not None and limits.iou_threshold < 1:  # on request
            silhouettes = inside[kept[order]].reshape(-1, height, width)
            order = order[mask_nms(list(silhouettes), limits.iou_threshold)]
        shown = [(logits[kept[one]].reshape(height, width), windows[one]) for one in order]
        boxes, maps, spans = self._masks(shown, (height, width))
        return Decoded(
            boxes=boxes, scores=scores[order], class_ids=class_ids[order], masks=maps, per_box=True, spans=spans
        )

    def problems(self, outputs: Mapping[str, NDArray[Any]]) -> list[str]:
        """Class scores that are no probabilities."""
        values = outputs[self.output_names["cate"]]
        if not self._raw and values.size and (values.min() < 0 or values.max() > 1 + 1e-3):
            found = f"{values.min():g} to {values.max():g}"
            return [f'cate: expected probabilities after point NMS, found {found}: [scores] activation = "sigmoid"?']
        return []

    def _candidates(
        self, cate: NDArray[Any], limits: Limits
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Cell, class id and p of the best pairs, best first."""
        if self._raw:
            cate = point_nms(sigmoid(cate.astype(np.float32)), self._grids)
        usual = limits.score_threshold >= LEAST_SCORE
        threshold = CANDIDATE_THRESHOLD if usual else 2 * limits.score_threshold
        cells, channels = (cate > threshold).nonzero()
        class_ids = self._labels.class_ids(channels)
        if limits.classes is not None:
            wanted = limits.classes.take(class_ids, mode="clip")
            cells, channels, class_ids = cells[wanted], channels[wanted], class_ids[wanted]
        scores = cate[cells, channels].astype(np.float32)
        best = top_rows(scores, CANDIDATES)
        return cells[best], class_ids[best], scores[best]

    def _masks(
        self, shown: Sequence[tuple[NDArray[np.float32], Window]], shape: tuple[int, int]
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
        """Outlines ``(N, 4)``, grids and what they span; probabilities are interpolated, as the published code does."""
        scale = np.tile(np.array(shape[::-1], np.float32) / np.array(self._size, np.float32), 2)
        fields, outlines, origins = [], [], []
        for field, (rows, columns) in shown:
            top, left = max(rows.start - 1, 0), max(columns.start - 1, 0)
            fields.append(sigmoid(field[top : rows.stop + 1, left : columns.stop + 1]))
            outlines.append(outline(fields[-1], 0.5) or (0.0,) * 4)
            origins.append((left, top, left, top))
        inner, origin = np.array(outlines, np.float32).reshape(-1, 4), np.array(origins, np.float32).reshape(-1, 4)
        maps, spans = crops(fields, inner)
        boxes = ((inner + origin) / scale).astype(np.float32)
        return boxes, maps, ((spans + origin) / scale).astype(np.float32)


def bounds(inside: NDArray[np.bool_]) -> list[Window]:
    """Rows and columns that silhouettes ``(N, h, w)`` reach over; none is empty.

    >>> bounds(np.array([[[0, 0, 0], [0, 1, 0]]], np.bool_))
    [(slice(1, 2, None), slice(1, 2, None))]
    """
    ends = []
    for axis in (2, 1):
        seen = np.asarray(inside.any(axis=axis))  # (N, h) or (N, w)
        ends.append((seen.argmax(axis=1).tolist(), (seen.shape[1] - seen[:, ::-1].argmax(axis=1)).tolist()))
    (tops, bottoms), (lefts, rights) = ends
    return [
        (slice(top, bottom), slice(left, right))
        for top, bottom, left, right in zip(tops, bottoms, lefts, rights, strict=True)
    ]


def maskness(field: NDArray[np.float32], area: int) -> float:
    """Mean probability of the cells above one half, from logits of a window that holds them all, ``area`` cells."""
    return float(sigmoid(np.where(field > 0, field, -np.inf)).sum() / area)


def _settings(info: ModelInfo) -> SoloSettings:
    """Grids from the file's metadata ``masktrail.solo``, else the manifest, else as published."""
    text = info.metadata.get("masktrail.solo")
    if text is None:
        return info.manifest.solo if info.manifest else SoloSettings()
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        problem = f"metadata masktrail.solo is not JSON ({error})"
        raise ModelError(info.label, problem, "export the file again") from error
    return parse_solo(info.label, "masktrail.solo", table)


def point_nms(cate: NDArray[np.float32], grids: tuple[int, ...]) -> NDArray[np.float32]:
    """Probabilities ``(S, C)`` of cells that are the greatest among themselves, left, above and above left; others 0.

    ``max_pool2d(p, 2, stride=1, padding=1)[:-1, :-1]`` of the published code, level by level.

    >>> point_nms(np.array([[0.2], [0.3], [0.1], [0.3]], np.float32), (2,)).ravel()
    array([0.2, 0.3, 0. , 0.3], dtype=float32)
    """
    kept, start = np.zeros_like(cate), 0
    for side in grids:
        level = cate[start : start + side * side].reshape(side, side, -1)
        padded = np.full((side + 1, side + 1, level.shape[2]), -np.inf, np.float32)
        padded[1:, 1:] = level
        around = np.maximum(np.maximum(padded[:-1, :-1], padded[:-1, 1:]), np.maximum(padded[1:, :-1], padded[1:, 1:]))
        kept[start : start + side * side] = np.where(level == around, level, 0).reshape(side * side, -1)
        start += side * side
    return kept


def match(info: ModelInfo) -> dict[str, str] | None:
    """Output names by role, or ``None``; of heads with one shape the names decide, else classes come first."""
    fields = [one for one in info.outputs if len(one.shape) == 4 and one.dtype.startswith("float")]
    rows = [one for one in info.outputs if len(one.shape) == 3 and one.dtype.startswith("float")]
    if len(fields) != 1 or len(rows) != 2 or len(info.outputs) != 3 or rows[0].shape[:2] != rows[1].shape[:2]:
        return None
    depth = fields[0].shape[1]
    kernels = [row for row in rows if row.shape[2] == depth]
    if len(kernels) == 2:
        kernels = [row for row in rows if "kernel" in row.name.lower()] or rows[1:]
    if len(kernels) != 1 or fields[0].shape[1] == rows[0].shape[1]:
        return None  # the second: one mask per query
    cate = next(row for row in rows if row.name != kernels[0].name)
    return {"cate": cate.name, "kernels": kernels[0].name, "features": fields[0].name}


CONTRACT = Contract(
    name=SoloDecoder.contract,
    form="cate (B, S, C), kernels (B, S, E), features (B, E, h, w)",
    match=match,
    decoder=SoloDecoder,
)
