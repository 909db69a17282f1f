"""Base class and shared values of the output decoders: network outputs to instances in network pixels."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from tracker.errors import ModelError, without_controls
from tracker.masks.prototypes import BILINEAR_MARGIN, Prototypes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from tracker.inference.tensors import TensorInfo
    from tracker.segment.manifest import InputSpec, Manifest

__all__ = ["COCO_CLASSES", "Decoded", "Decoder", "Limits", "ModelInfo", "default_class_names", "network_prototypes"]

COCO_CLASSES = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
    *("elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee"),
    *("skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard"),
    *("tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple"),
    *("sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch"),
    *("potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone"),
    *("microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear"),
    *("hair drier", "toothbrush"),
)
"""The 80 classes of COCO in their usual order, for files that do not name theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """Properties of a file that are known before a run.

    Attributes:
        label: How errors name the model: its path as the user gave it.
        inputs: Declared inputs, the image first.
        outputs: Outputs with the sizes that a trial run gave, so none is open.
        metadata: The file's ``metadata_props``.
        manifest: The ``manifest.toml`` that goes with the file, or ``None``.
        network_size: ``(width, height)`` of the input of the trial run.
    """

    label: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    manifest: Manifest | None = None
    network_size: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits on the decoded instances.

    Attributes:
        score_threshold: Instances below are dropped.
        iou_threshold: Overlap at which the weaker of two boxes is suppressed; ``None`` = the graph's own suppression
            only, where the graph has one.
        classes: ``(C,)`` bool, which classes are wanted, or ``None`` for all.
        max_instances: Most instances that are returned, best first.
        content: ``(width, height)`` of the input's pixels, from its top left, that hold the picture; beyond is padding.
            ``None`` = all of them hold it.
    """

    score_threshold: float
    iou_threshold: float | None
    classes: NDArray[np.bool_] | None
    max_instances: int
    content: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """Instances of one image in the network's own pixels, best score first.

    Attributes:
        boxes: ``(N, 4)`` float32 xyxy in pixels of the network's input; may reach outside.
        scores: ``(N,)`` float32 in 0..1.
        class_ids: ``(N,)`` int64.
        masks: ``(N, h, w)`` uint8 probabilities.
        embeddings: ``(N, E)`` float32 or ``None``.
        per_box: Whether each mask's grid spans its box (Mask R-CNN); else all grids span the whole network input.
        spans: With ``per_box``, ``(N, 4)`` float32 xyxy that the grids span instead, as pixels of ``boxes``.
        in_picture: Whether boxes are pixels of the picture as it was before it was scaled into the network's input.
        coefficients: ``(N, P)`` or ``(N, P + 5)`` float32 that made the masks, with ``prototypes``; else ``None``.
        prototypes: Of the image, in network pixels, on the grid of the masks.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    masks: NDArray[np.uint8]
    embeddings: NDArray[np.float32] | None = None
    per_box: bool = False
    spans: NDArray[np.float32] | None = None
    in_picture: bool = False
    coefficients: NDArray[np.float32] | None = None
    prototypes: Prototypes | None = None


class Decoder(ABC):
    """One output contract, bound to one file's output names.

    Attributes:
        contract: The contract's name.
        input_defaults: What the contract's usual exporter does with pictures.
        class_names: Names in ``class_ids`` order.
        output_names: Names of the outputs by role.
        iou_threshold: The contract's habit; ``None`` = the graph suppresses by itself.
        fixed_sizes: Whether the contract rules out operators whose output size or branch depends on values.
        family: Whose export the file is taken for, in words; empty where a contract has one family only.
        assumed: What neither file nor manifest told, for ``masktrail models check``.
    """

    contract: ClassVar[str]
    fixed_sizes: ClassVar[bool] = False
    input_defaults: InputSpec
    class_names: tuple[str, ...]
    output_names: dict[str, str]
    iou_threshold: float | None = None
    family: str = ""
    assumed: tuple[str, ...] = ()

    @abstractmethod
    def decode(self, outputs: Mapping[str, NDArray[Any]], row: int, limits: Limits) -> Decoded:
        """The instances of image ``row`` of the batch."""

    def problems(self, outputs: Mapping[str, NDArray[Any]]) -> list[str]:  # noqa: ARG002
        """Violations of the contract in undecoded outputs by name; for ``masktrail models check``."""
        return []


def network_prototypes(
    values: NDArray[np.float32],
    network_size: tuple[int, int],
    *,
    margin_cells: float = BILINEAR_MARGIN,
    growth: float = 0.0,
) -> Prototypes:
    """Prototypes ``(P, h, w)`` over the whole input of a network of ``(width, height)`` pixels."""
    rows, columns = values.shape[1:]
    step_px = (network_size[0] / columns, network_size[1] / rows)
    return Prototypes(values=values, step_px=step_px, image_size=network_size, margin_cells=margin_cells, growth=growth)


def default_class_names(info: ModelInfo, count: int | None, named: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Class names from the file, else the manifest, else COCO's when the number fits, else ``class 0``, ``class 1``.

    Args:
        info: The model.
        count: How many classes the outputs have, ``None`` where they do not tell.
        named: Names found in metadata of another exporter; ``masktrail.classes`` goes before.

    Raises:
        ModelError: The number of names differs from the number of classes in the outputs.
    """
    names = _metadata_classes(info) or named or (info.manifest.classes if info.manifest else None)
    if names:
        # They go into records, onto terminals and pictures, where an escape sequence or a line break does harm.
        names = tuple(without_controls(name).strip() or f"class {number}" for number, name in enumerate(names))
        if count is not None and len(names) != count:
            raise ModelError(
                info.label,
                f"expected {count} class names, one per score channel, found {len(names)}",
                "correct `classes` in manifest.toml (without the background class)",
            )
        return tuple(names)
    if count is None or count == len(COCO_CLASSES):
        return COCO_CLASSES
    return tuple(f"class {number}" for number in range(count))


def _metadata_classes(info: ModelInfo) -> tuple[str, ...] | None:
    text = info.metadata.get("masktrail.classes")
    if text is None:
        return None
    try:
        names = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(
            info.label, f"metadata masktrail.classes is not JSON ({error})", "export the file again"
        ) from error
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ModelError(
            info.label, f"metadata masktrail.classes: expected a list of names, found {text}", "export the file again"
        )
    return tuple(names)
