"""A model's names, shapes and metadata enter, the decoder that understands its outputs leaves.

Metadata and manifest speak first, then shapes; the order of the outputs never matters.
"""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracker import plugins
from tracker.errors import ModelError
from tracker.segment import end2end, yolact, yolo
from tracker.segment.manifest import InputSpec, parse_input

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tracker.segment.decoder import Decoder, ModelInfo, TensorInfo
    from tracker.segment.manifest import Dtype

__all__ = ["Contract", "declared_input", "network_size", "recognise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """One model family.

    Attributes:
        name: As in ``masktrail.contract`` of a file's metadata and in a manifest.
        form: The outputs in words and shapes, for errors.
        match: Output names by role if the outputs have the contract's shapes, else ``None``; order does not matter.
        decoder: Builds the decoder of a model with these names.
    """

    name: str
    form: str
    match: Callable[[ModelInfo], Mapping[str, str] | None]
    decoder: Callable[[ModelInfo, Mapping[str, str]], Decoder]


END2END = Contract(
    name=end2end.CONTRACT,
    form="boxes (B, K, 4), scores (B, K), class_ids (B, K), masks (B, K, h, w) uint8",
    match=end2end.match,
    decoder=end2end.End2EndDecoder,
)
YOLACT = Contract(
    name=yolact.CONTRACT,
    form="loc (B, P, 4), conf (B, P, C + 1), mask (B, P, M), proto (B, h, w, M), optional priors (P, 4)",
    match=yolact.match,
    decoder=yolact.YolactDecoder,
)
YOLO = Contract(
    name=yolo.CONTRACT,
    form="predictions (B, 4 + C + M, A), prototypes (B, M, h, w)",
    match=yolo.match,
    decoder=yolo.YoloDecoder,
)

DEFAULT_LONG_SIDE_PX = 640
DEFAULT_STRIDE = 32


def recognise(info: ModelInfo) -> Decoder:
    """The decoder for a model's outputs.

    Raises:
        ModelError: No known contract fits; the message lists the outputs found and the contracts known.
    """
    known = plugins.CONTRACTS.names
    asked = info.metadata.get("masktrail.contract") or (info.manifest.contract if info.manifest else None)
    if asked is not None and asked not in known:
        raise ModelError(
            info.label,
            f"contract {asked!r}; this version knows {', '.join(known)}",
            "export the file again with this version, or update masktrail",
        )
    tried: list[Contract] = []
    for name in [asked] if asked else known:
        tried.append(plugins.CONTRACTS.load(name))
        names = tried[-1].match(info)
        if names is not None:
            return tried[-1].decoder(info, names)
    found = "; ".join(str(output) for output in info.outputs) or "no outputs"
    forms = "; ".join(f"{contract.name} = {contract.form}" for contract in tried)
    raise ModelError(
        info.label,
        f"outputs of no known instance segmentation contract: {found}. Known: {forms}",
        "export a segmentation model (YOLACT, YOLOv8-seg or `python -m export`), or name the contract in manifest.toml",
    )


def declared_input(info: ModelInfo) -> InputSpec:
    """What the file's metadata, its manifest and its input tensor say about the input, in this order.

    Raises:
        ModelError: Not exactly one input of four axes with three channels, or metadata that does not parse.
    """
    spec = InputSpec()
    text = info.metadata.get("masktrail.input")
    if text is not None:
        try:
            table = json.loads(text)
        except json.JSONDecodeError as error:
            raise ModelError(
                info.label, f"metadata masktrail.input is not JSON ({error})", "export the file again"
            ) from error
        if not isinstance(table, dict):
            raise ModelError(
                info.label, f"metadata masktrail.input: expected an object, found {text}", "export the file again"
            )
        spec = parse_input(info.label, "masktrail.input", table)
    if info.manifest is not None:
        spec = spec.over(info.manifest.input)
    return _tensor_input(info, spec).over(spec)


def _tensor_input(info: ModelInfo, spec: InputSpec) -> InputSpec:
    """Layout, element type and size as the input tensor itself has them."""
    tensor = _single_input(info)
    dtypes: dict[str, Dtype] = {"uint8": "uint8", "float32": "float32", "float16": "float16"}
    if len(tensor.shape) == 4 and tensor.dtype in dtypes:
        last, second = tensor.shape[3], tensor.shape[1]
        layout = spec.layout if second == last == 3 or (last is None and second is None) else None
        if layout is None:
            layout = "NHWC" if last == 3 else ("NCHW" if second == 3 else None)
        if layout is not None:
            height, width = tensor.shape[1:3] if layout == "NHWC" else tensor.shape[2:4]
            return InputSpec(layout=layout, dtype=dtypes[tensor.dtype], height=height, width=width)
    raise ModelError(
        info.label,
        f"expected one image input (B, H, W, 3) or (B, 3, H, W) of {', '.join(dtypes)}, found {tensor}",
        "export the model with an image input",
    )


def _single_input(info: ModelInfo) -> TensorInfo:
    if len(info.inputs) != 1:
        found = "; ".join(str(tensor) for tensor in info.inputs) or "none"
        raise ModelError(
            info.label,
            f"expected one input, found {len(info.inputs)}: {found}",
            "export the model with an image input only",
        )
    return info.inputs[0]


def network_size(
    info: ModelInfo, spec: InputSpec, *, asked: tuple[int, int] | None, source_size: tuple[int, int] | None
) -> tuple[int, int]:
    """``(width, height)`` to run the network at.

    A fixed size is what it is. An open one follows ``asked``, else the manifest, else the size the exporter noted
    (Ultralytics' ``imgsz``) brought to the source's aspect, as that exporter's own ``rect`` inference does.

    Raises:
        ModelError: ``asked`` differs from a fixed size.
    """
    tensor = _single_input(info)
    fixed_height, fixed_width = tensor.shape[1:3] if spec.layout == "NHWC" else tensor.shape[2:4]
    if fixed_height is not None and fixed_width is not None:
        if asked not in {None, (fixed_width, fixed_height)}:
            raise ModelError(
                info.label,
                f"the input is fixed at {fixed_width} x {fixed_height} pixels, asked was {asked[0]} x {asked[1]}"
                if asked
                else "",
                "leave the size out, choose another variant, or export with open height and width",
            )
        return fixed_width, fixed_height
    if asked is not None:
        return asked
    noted = _noted_size(info)
    if spec.width is not None and spec.height is not None:
        return spec.width, spec.height
    long_side = max(noted or (DEFAULT_LONG_SIDE_PX, DEFAULT_LONG_SIDE_PX))
    if source_size is None or spec.resize == "stretch":
        return noted or (long_side, long_side)
    scale = long_side / max(source_size)
    width, height = (max(-(-round(side * scale) // DEFAULT_STRIDE), 1) * DEFAULT_STRIDE for side in source_size)
    return (fixed_width or width), (fixed_height or height)


def _noted_size(info: ModelInfo) -> tuple[int, int] | None:
    """Ultralytics' ``imgsz`` ``[height, width]`` as ``(width, height)``."""
    try:
        value = ast.literal_eval(info.metadata.get("imgsz", ""))
    except (ValueError, SyntaxError):
        return None
    if isinstance(value, int):
        return value, value
    if isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(side, int) for side in value):
        return int(value[1]), int(value[0])
    return None
