"""Decoder of masktrail's own end-to-end networks, whose graph does everything but the threshold.

Contract ``end2end-1``, K slots per image, unused slots with score 0: ``boxes (B, K, 4)`` float xyxy as fractions of the
network's input, ``scores (B, K)``, ``class_ids (B, K)`` whole numbers, ``masks (B, K, h, w)`` uint8 probabilities, and
optionally ``embeddings (B, K, E)``, L2-normalised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.segment.contracts.contract import Contract
from tracker.segment.contracts.decoder import Decoded, Decoder, default_class_names
from tracker.segment.contracts.suppress import greedy_nms, plausible_rows, top_rows
from tracker.segment.manifest import InputSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tracker.inference.tensors import TensorInfo
    from tracker.segment.contracts.decoder import Limits, ModelInfo

__all__ = ["CONTRACT", "End2EndDecoder", "named_roles", "slot_problems"]


class End2EndDecoder(Decoder):
    """Decoder of ``end2end-1``.

    Args:
        info: The model.
        names: Output names by role: ``boxes``, ``scores``, ``class_ids``, ``masks``, optionally ``embeddings``.
    """

    contract = "end2end-1"
    fixed_sizes = True
    input_defaults = InputSpec(
        channels="BGR", resize="letterbox-top-left", pad_value=114, mean=(0.0,) * 3, std=(1.0,) * 3
    )

    def __init__(self, info: ModelInfo, names: Mapping[str, str]) -> None:
        self.output_names = dict(names)
        self._size = np.array([*info.network_size, *info.network_size], np.float32)
        self.class_names = default_class_names(info, None)

    def decode(self, outputs: Mapping[str, NDArray[Any]], row: int, limits: Limits) -> Decoded:
        """The instances of image ``row`` of the batch."""
        names = self.output_names
        scores = outputs[names["scores"]][row]  # (K,)
        class_ids = outputs[names["class_ids"]][row]  # (K,)
        wanted = (scores >= limits.score_threshold) & (scores > 0)  # 0 = an unused or suppressed slot
        rows = wanted.nonzero()[0]
        rows = rows[plausible_rows(outputs[names["boxes"]][row, rows], class_ids[rows])]
        if limits.classes is not None:
            rows = rows[limits.classes.take(class_ids[rows], mode="clip")]
        rows = rows[top_rows(scores[rows], limits.max_instances)]
        boxes = outputs[names["boxes"]][row, rows].astype(np.float32, copy=False) * self._size  # (N, 4)
        if limits.iou_threshold is not None:
            kept = greedy_nms(boxes, None, limits.iou_threshold, limits.max_instances)
            rows, boxes = rows[kept], boxes[kept]
        embeddings = names.get("embeddings")
        return Decoded(
            boxes=boxes,
            scores=scores[rows].astype(np.float32, copy=False),
            class_ids=class_ids[rows].astype(np.int64, copy=False),
            masks=outputs[names["masks"]][row, rows],
            embeddings=None if embeddings is None else outputs[embeddings][row, rows].astype(np.float32, copy=False),
        )

    def problems(self, outputs: Mapping[str, NDArray[Any]]) -> list[str]:
        """Scores, boxes, classes and embeddings out of range."""
        return slot_problems({role: outputs[name] for role, name in self.output_names.items()}, self.class_names)


def slot_problems(found: Mapping[str, NDArray[Any]], class_names: Sequence[str], *, beyond: float = 1e-3) -> list[str]:
    """Scores, boxes, classes and embeddings out of range, in outputs by role.

    Args:
        found: Undecoded outputs.
        class_names: Of the model.
        beyond: How far boxes may reach outside the input, as a share of its size.
    """
    boxes, scores, class_ids = found["boxes"], found["scores"], found["class_ids"]
    used = scores > 0
    problems = []
    if scores.min(initial=0) < 0 or scores.max(initial=0) > 1:
        problems.append(f"scores reach from {scores.min():g} to {scores.max():g}, expected 0 to 1")
    if boxes[used].min(initial=0) < -beyond or boxes[used].max(initial=0) > 1 + beyond:
        problems.append(
            f"boxes reach from {boxes[used].min():g} to {boxes[used].max():g}, expected fractions of 0 to 1"
        )
    if (boxes[used][:, 2:] < boxes[used][:, :2]).any():
        problems.append("boxes with x2 < x1 or y2 < y1")
    if class_ids.min(initial=0) < 0 or class_ids.max(initial=0) >= len(class_names):
        numbers = f"{class_ids.min()} to {class_ids.max()}"
        problems.append(f"class ids from {numbers}, but there are {len(class_names)} class names")
    if "embeddings" in found:
        lengths = np.linalg.norm(found["embeddings"][used].astype(np.float64), axis=-1)
        if lengths.size and not np.allclose(lengths, 1, atol=1e-2):
            problems.append(f"embeddings have lengths from {lengths.min():.3g} to {lengths.max():.3g}, expected 1")
    return problems


def match(info: ModelInfo) -> dict[str, str] | None:
    """Output names by role if the outputs have this contract's shapes, else ``None``; order does not matter."""
    masks = [output for output in info.outputs if output.dtype == "uint8" and len(output.shape) == 4]
    return named_roles(info, masks[0], role="masks") if len(masks) == 1 else None


def named_roles(info: ModelInfo, slots: TensorInfo, *, role: str) -> dict[str, str] | None:
    """Names of the outputs with a row per slot, by role; ``None`` where one is missing.

    Args:
        info: The model.
        slots: The output that is known already, ``(B, K, ...)``.
        role: Its role.
    """
    by_name = {output.name: output for output in info.outputs}

    def find(name: str, rank: int, kinds: tuple[str, ...], last: int | None = None) -> TensorInfo | None:
        """The output of this form; of several, the one that carries the contract's name."""
        fits = [
            output
            for output in info.outputs
            if output.name != slots.name
            and len(output.shape) == rank
            and output.shape[:2] == slots.shape[:2]
            and output.dtype.startswith(kinds)
            and (last is None or output.shape[-1] == last)
        ]
        named = by_name.get(name)
        return named if named in fits else (fits[0] if len(fits) == 1 else None)

    found = {
        role: slots,
        "boxes": find("boxes", 3, ("float",), 4),
        "scores": find("scores", 2, ("float",)),
        "class_ids": find("class_ids", 2, ("int", "uint")),
    }
    if any(output is None for output in found.values()):
        return None
    names = {key: output.name for key, output in found.items() if output is not None}
    rest = [
        output
        for output in info.outputs
        if output.name not in names.values()
        and len(output.shape) == 3
        and output.shape[:2] == slots.shape[:2]
        and output.dtype.startswith("float")
    ]
    if "embeddings" in by_name and by_name["embeddings"] not in rest:
        return None  # embeddings of other rows than the boxes': nothing says whose they are
    if len(rest) == 1:
        names["embeddings"] = rest[0].name
    return names


CONTRACT = Contract(
    name=End2EndDecoder.contract,
    form="boxes (B, K, 4), scores (B, K), class_ids (B, K), masks (B, K, h, w) uint8",
    match=match,
    decoder=End2EndDecoder,
)
