"""Decoder of masktrail's own networks that give coefficients and prototypes in the place of finished masks.

Contract ``end2end-2``, K slots per image, unused slots with score 0: ``boxes (B, K, 4)`` float xyxy as fractions of the
network's input, which may reach outside it, ``scores (B, K)``, ``class_ids (B, K)`` whole numbers, ``coefficients
(B, K, P)`` or ``(B, K, P + 5)`` with shape terms (:mod:`tracker.masks.prototypes`), ``prototypes (B, h, w, P)``, which
is the faster layout, or ``(B, P, h, w)``, and optionally ``embeddings (B, K, E)``, L2-normalised, and ``kept (B, K)``
uint8, 0 for candidates that the graph's own suppression dropped. Masks are assembled here, for instances above the
threshold only.

Metadata: ``masktrail.mask_margin``, cells beyond a box that belong to its mask (0.5 where it is not stated);
``masktrail.mask_growth``, the share of a box's sides by which its mask may reach past it (0), boxes then being moved
out to their masks; and ``masktrail.mask_certainty`` = N: scores are yet to be multiplied by :func:`certainty` in every
N-th row of the grid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import ModelError
from tracker.masks.prototypes import BILINEAR_MARGIN, SHAPE_TERMS
from tracker.segment.contracts.contract import Contract
from tracker.segment.contracts.decoder import Decoded, network_prototypes
from tracker.segment.contracts.end2end import End2EndDecoder, named_roles, slot_problems
from tracker.segment.contracts.suppress import greedy_nms, plausible_rows, top_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tracker.segment.contracts.decoder import Limits, ModelInfo

__all__ = ["CONTRACT", "End2End2Decoder", "certainty"]

FURTHEST_BOX = 1.0
"""Of its input's size, how far a box may reach outside it before ``masktrail models check`` complains."""


class End2End2Decoder(End2EndDecoder):
    """Decoder of ``end2end-2``.

    Args:
        info: The model.
        names: Output names by role: ``boxes``, ``scores``, ``class_ids``, ``coefficients``, ``prototypes``, optionally
            ``embeddings`` and ``kept``.

    Raises:
        ModelError: A number in the metadata is none.
    """

    contract = "end2end-2"

    def __init__(self, info: ModelInfo, names: Mapping[str, str]) -> None:
        super().__init__(info, names)
        self._network_size = info.network_size
        shapes = {output.name: output.shape for output in info.outputs}
        terms = shapes[names["coefficients"]][2] or 0
        # (B, 32, 32, 32) is read channels last, as raw heads of YOLACT are.
        self._cells_first = shapes[names["prototypes"]][3] in {terms, terms - SHAPE_TERMS}
        self._margin = _number(info, "masktrail.mask_margin", BILINEAR_MARGIN)
        self._growth = _number(info, "masktrail.mask_growth", 0.0)
        self._certainty_step = int(_number(info, "masktrail.mask_certainty", 0))

    def decode(self, outputs: Mapping[str, NDArray[Any]], row: int, limits: Limits) -> Decoded:
        """The instances of image ``row`` of the batch."""
        found = {role: outputs[name][row] for role, name in self.output_names.items()}
        rows = self._candidates(found, limits)
        boxes = found["boxes"][rows].astype(np.float32, copy=False) * self._size  # (N, 4)
        coefficients = found["coefficients"][rows].astype(np.float32, copy=False)  # (N, P [+ 5])
        values = found["prototypes"].astype(np.float32, copy=False)
        values = values.transpose(2, 0, 1) if self._cells_first else values  # (P, h, w)
        prototypes = network_prototypes(values, self._network_size, margin_cells=self._margin, growth=self._growth)
        scores = found["scores"][rows].astype(np.float32)
        parts = prototypes.crops(coefficients, boxes)
        if self._certainty_step:
            scores *= np.array([certainty(part, top, self._certainty_step) for top, _, part in parts], np.float32)
        kept = (scores >= limits.score_threshold).nonzero()[0]
        kept = kept[top_rows(scores[kept], limits.max_instances)]
        if limits.iou_threshold is not None:
            kept = kept[greedy_nms(boxes[kept], None, limits.iou_threshold, limits.max_instances)]
        masks = np.zeros((len(kept), *values.shape[1:]), np.uint8)
        for mask, place in zip(masks, kept.tolist(), strict=True):
            top, left, part = parts[place]
            mask[top : top + part.shape[0], left : left + part.shape[1]] = np.rint(part, out=part)
        return Decoded(
            boxes=prototypes.reached(boxes[kept], [parts[place] for place in kept.tolist()]),
            scores=scores[kept],
            class_ids=found["class_ids"][rows[kept]].astype(np.int64, copy=False),
            masks=masks,
            embeddings=found["embeddings"][rows[kept]].astype(np.float32, copy=False)
            if "embeddings" in found
            else None,
            coefficients=coefficients[kept],
            prototypes=prototypes,
        )

    def problems(self, outputs: Mapping[str, NDArray[Any]]) -> list[str]:
        """Scores, boxes, classes and embeddings out of range."""
        named = {role: outputs[name] for role, name in self.output_names.items()}
        return slot_problems(named, self.class_names, beyond=FURTHEST_BOX)

    def _candidates(self, found: Mapping[str, NDArray[Any]], limits: Limits) -> NDArray[np.int64]:
        """Slots whose score may pass the threshold; with a threshold of overlap of one's own, suppressed ones too."""
        scores, class_ids = found["scores"], found["class_ids"]
        wanted = (scores >= limits.score_threshold) & (scores > 0)
        if "kept" in found and limits.iou_threshold is None:
            wanted &= found["kept"] > 0
        rows = wanted.nonzero()[0]
        numbers = np.concatenate([found["boxes"][rows], found["coefficients"][rows]], axis=1)
        rows = rows[plausible_rows(numbers, class_ids[rows])]
        return rows if limits.classes is None else rows[limits.classes.take(class_ids[rows], mode="clip")]


def certainty(part: NDArray[np.float32], top: int, step: int) -> float:
    """How sure a mask is of its cells: sum of squares over sum, after the maskness of SOLO (Wang et al. 2020).

    Args:
        part: Probabilities ``(rows, columns)`` of its box on a scale of 255.
        top: The first of these rows on the grid.
        step: Every ``step``-th row of the grid is looked at, from row 1 on.

    >>> sure, unsure = np.full((8, 4), 255, np.float32), np.full((8, 4), 127.5, np.float32)
    >>> round(certainty(sure, 0, 4), 3), round(certainty(unsure, 0, 4), 3), certainty(sure[:1], 0, 4)
    (1.0, 0.512, 1.0)
    """
    rows = part[(1 - top) % step :: step].ravel()
    return (float(rows @ rows) / 255**2 + 0.1) / (float(np.add.reduce(rows)) / 255 + 0.1)


def match(info: ModelInfo) -> dict[str, str] | None:
    """Output names by role if the outputs have this contract's shapes, else ``None``; order does not matter."""
    grids = [output for output in info.outputs if output.dtype.startswith("float") and len(output.shape) == 4]
    if len(grids) != 1 or any(len(output.shape) not in {2, 3, 4} for output in info.outputs):
        return None
    counts = {count for count in (grids[0].shape[1], grids[0].shape[3]) if count}
    coefficients = [
        output
        for output in info.outputs
        if output.dtype.startswith("float")
        and len(output.shape) == 3
        and output.shape[2] in counts | {count + SHAPE_TERMS for count in counts}
        and (output.shape[2] != 4 or output.name == "coefficients")
    ]
    named = [output for output in coefficients if output.name == "coefficients"]
    if not coefficients or (len(coefficients) > 1 and not named):
        return None
    chosen = (named or coefficients)[0]
    names = named_roles(info, chosen, role="coefficients")
    if names is None:
        return None
    names["prototypes"] = grids[0].name
    flags = [o for o in info.outputs if o.dtype == "uint8" and o.shape == chosen.shape[:2] and o.name == "kept"]
    return names | ({"kept": flags[0].name} if flags else {})


def _number(info: ModelInfo, key: str, default: float) -> float:
    text = info.metadata.get(key)
    try:
        number = default if text is None else float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1000:
        raise ModelError(info.label, f"metadata {key}: expected a number from 0, found {text!r}", "export it again")
    return number


CONTRACT = Contract(
    name=End2End2Decoder.contract,
    form="boxes (B, K, 4), scores (B, K), class_ids (B, K), coefficients (B, K, P), prototypes (B, h, w, P)",
    match=match,
    decoder=End2End2Decoder,
)
