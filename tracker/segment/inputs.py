"""Inputs of a segmentation network: the image input, its format and size, and further named inputs."""

from __future__ import annotations

import ast
import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import ModelError
from tracker.inference.tensors import Inputs
from tracker.segment.contracts.decoder import ModelInfo
from tracker.segment.contracts.known import extra_inputs
from tracker.segment.manifest import InputSpec, parse_input
from tracker.types import Letterbox

if TYPE_CHECKING:
    from tracker.inference.tensors import FileInfo, TensorInfo
    from tracker.segment.manifest import Dtype, Layout
    from tracker.segment.zoo import ModelFile

__all__ = ["InputPlan", "check_input_size", "declared_input", "model_info", "plan_inputs"]

DTYPES: dict[str, Dtype] = {"uint8": "uint8", "float32": "float32", "float16": "float16"}
DEFAULT_LONG_SIDE_PX = 640
DEFAULT_STRIDE, MAX_STRIDE = 32, 256

IMAGE_FORMS = "(B, H, W, 3), (B, 3, H, W), (H, W, 3) or (3, H, W)"
MAX_SIDE_PX = 16_384
"""As in a manifest."""

MAX_INPUT_BYTES = 2_000_000_000
"""Of one batch: 64 pictures of 1280 x 1280 as float32 are 1.3 GB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPlan:
    """The inputs of one file at one size.

    Attributes:
        info: What the file says, the image input first, with the size that it is run at.
        spec: How pictures become the image input, as far as the file and its manifest tell.
    """

    info: ModelInfo
    spec: InputSpec

    def sample(self) -> Inputs:
        """A sample of every input: a black picture that fills the network's input, and what goes with it.

        Raises:
            ModelError: Inputs beside the image that no contract knows how to make.
        """
        width, height = self.info.network_size
        image = self.info.inputs[0]
        shape = (height, width, 3) if self.spec.channels_last else (3, height, width)
        batch = (1,) if self.spec.batched else ()
        sample: dict[str, Any] = {image.name: np.zeros((*batch, *shape), np.dtype(self.spec.dtype))}
        letterbox = Letterbox.fit((width, height), (width, height))
        sample |= {name: make([letterbox]) for name, make in extra_inputs(self.info).items()}
        return Inputs(sample=sample, fixed_batch=image.shape[0] if self.spec.batched else 1)


def plan_inputs(
    file: ModelFile,
    found: FileInfo,
    *,
    network_size: tuple[int, int] | None = None,
    source_size: tuple[int, int] | None = None,
) -> InputPlan:
    """Which inputs a file has and how they are filled.

    Args:
        file: The file with its manifest.
        found: What it declares.
        network_size: ``(width, height)`` for files with an open input size.
        source_size: ``(width, height)`` of the pictures to come, from which an open size is chosen.

    Raises:
        ModelError: No image input, or ``network_size`` differs from a fixed size.
    """
    info = model_info(file, found)
    spec = declared_input(info)
    size = _network_size(info, spec, asked=network_size, source_size=source_size)
    check_input_size(info, spec, size)
    return InputPlan(info=dataclasses.replace(info, network_size=size), spec=spec)


def check_input_size(info: ModelInfo, spec: InputSpec, size: tuple[int, int]) -> None:
    """Refuse an image input of no size, or of more memory than any picture needs.

    Args:
        info: The image input first; its batch counts where the file fixes it.
        spec: Its element type.
        size: ``(width, height)`` in pixels.

    Raises:
        ModelError: See above.
    """
    (width, height), batch = size, info.inputs[0].shape[0] if spec.batched else 1
    batch = 1 if batch is None else batch
    bytes_each = 3 * np.dtype(spec.dtype).itemsize
    sides = 1 <= width <= MAX_SIDE_PX and 1 <= height <= MAX_SIDE_PX
    if batch < 1 or not sides or batch * width * height * bytes_each > MAX_INPUT_BYTES:
        expected = f"sides of 1 to {MAX_SIDE_PX} pixels and a batch of at most {MAX_INPUT_BYTES / 1e9:.0f} GB"
        found = f"{batch} x {width} x {height} in {info.inputs[0]}"
        raise ModelError(info.label, f"expected an image input with {expected}, found {found}", "export the file again")


def model_info(file: ModelFile, found: FileInfo) -> ModelInfo:
    """The inputs from a file and its manifest, the image input first.

    Raises:
        ModelError: Not exactly one input of four axes, or else of three, with three channels.
    """
    images = [tensor for tensor in found.inputs if _is_image(tensor, 4)]
    images = images or [tensor for tensor in found.inputs if _is_image(tensor, 3)]
    if len(images) != 1:
        shown = "; ".join(str(tensor) for tensor in found.inputs) or "none"
        raise ModelError(
            file.label,
            f"expected one image input {IMAGE_FORMS} of {', '.join(DTYPES)}, found {shown}",
            "export the model with one image input",
        )
    return ModelInfo(
        label=file.label,
        inputs=(images[0], *(tensor for tensor in found.inputs if tensor is not images[0])),
        outputs=found.outputs,
        metadata=found.metadata,
        manifest=file.manifest,
    )


def _is_image(tensor: TensorInfo, rank: int) -> bool:
    """So many axes, of which the last or the third last may be the three channels."""
    shape = tensor.shape
    return len(shape) == rank and tensor.dtype in DTYPES and (shape[-3] in {3, None} or shape[-1] in {3, None})


def declared_input(info: ModelInfo) -> InputSpec:
    """The input specification from the file's metadata, its manifest and its image input, in this order.

    Raises:
        ModelError: An image input whose layout nothing tells, or metadata that does not parse.
    """
    spec = InputSpec()
    text = info.metadata.get("masktrail.input")
    if text is not None:
        try:
            table = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelError(
                info.label, f"metadata masktrail.input is not JSON ({error})", "export the file again"
            ) from error
        if not isinstance(table, dict):
            raise ModelError(
                info.label, f"metadata masktrail.input: expected an object, found {text[:60]}", "export the file again"
            )
        spec = parse_input(info.label, "masktrail.input", table)
    if info.manifest is not None:
        spec = spec.over(info.manifest.input)
    return _tensor_input(info, spec).over(spec)


def _tensor_input(info: ModelInfo, spec: InputSpec) -> InputSpec:
    """Layout, element type and size as the image input itself has them."""
    tensor = info.inputs[0]
    last, first = tensor.shape[-1], tensor.shape[-3]
    layouts: tuple[Layout, Layout] = ("NHWC", "NCHW") if len(tensor.shape) == 4 else ("HWC", "CHW")
    open_layout = first == last == 3 or (last is None and first is None)
    layout = spec.layout if open_layout and spec.layout in layouts else None
    if layout is None:
        layout = layouts[0] if last == 3 else (layouts[1] if first == 3 else None)
    if layout is None:
        raise ModelError(
            info.label,
            f"expected one image input {IMAGE_FORMS} of {', '.join(DTYPES)}, found {tensor}",
            f"export it with three channels fixed, or write [input] layout = {' or '.join(layouts)} in manifest.toml",
        )
    height, width = tensor.shape[-3:-1] if layout in {"NHWC", "HWC"} else tensor.shape[-2:]
    return InputSpec(layout=layout, dtype=DTYPES[tensor.dtype], height=height, width=width)


def _network_size(
    info: ModelInfo, spec: InputSpec, *, asked: tuple[int, int] | None, source_size: tuple[int, int] | None
) -> tuple[int, int]:
    """``(width, height)`` to run the network at.

    A fixed size is what it is. An open one follows ``asked``, else the manifest, else the size the exporter noted
    (Ultralytics' ``imgsz``) brought to the source's aspect, as that exporter's own ``rect`` inference does.

    Raises:
        ModelError: ``asked`` differs from a fixed size.
    """
    tensor = info.inputs[0]
    fixed_height, fixed_width = tensor.shape[-3:-1] if spec.channels_last else tensor.shape[-2:]
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
    if spec.resize == "shortest-longest":
        return _shortest_longest(spec, source_size or (DEFAULT_LONG_SIDE_PX, DEFAULT_LONG_SIDE_PX))
    long_side = max(noted or (DEFAULT_LONG_SIDE_PX, DEFAULT_LONG_SIDE_PX))
    if source_size is None or spec.resize == "stretch":
        return noted or (long_side, long_side)
    scale = long_side / max(source_size)
    stride = _noted_stride(info)
    width, height = (max(-(-round(side * scale) // stride), 1) * stride for side in source_size)
    return (fixed_width or width), (fixed_height or height)


def _shortest_longest(spec: InputSpec, source_size: tuple[int, int]) -> tuple[int, int]:
    """The shorter side as asked, unless the longer would pass its limit; both rounded up (Mask R-CNN's habit).

    >>> _shortest_longest(InputSpec(), (1280, 720))
    (1344, 768)
    """
    scale = min((spec.shortest or 800) / min(source_size), (spec.longest or 1333) / max(source_size))
    divisor = spec.divisor or DEFAULT_STRIDE
    width, height = (max(-(-round(side * scale) // divisor), 1) * divisor for side in source_size)
    return width, height


def _noted_stride(info: ModelInfo) -> int:
    """Ultralytics' ``stride``: sides of the input must be multiples of it, 64 for networks with a P6 level."""
    text = info.metadata.get("stride", "").strip().strip("[]")
    stride = int(text) if text.isdecimal() and len(text) <= 4 else DEFAULT_STRIDE
    return stride if 1 <= stride <= MAX_STRIDE else DEFAULT_STRIDE


def _noted_size(info: ModelInfo) -> tuple[int, int] | None:
    """Ultralytics' ``imgsz`` ``[height, width]`` as ``(width, height)``."""
    try:
        value = ast.literal_eval(info.metadata.get("imgsz", ""))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    sides = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(side, int) and not 1 <= side <= MAX_SIDE_PX for side in sides):
        problem = f"metadata imgsz: expected sides of 1 to {MAX_SIDE_PX} pixels, found {str(value)[:60]}"
        raise ModelError(info.label, problem, "export the file again")
    if isinstance(value, int):
        return value, value
    if isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(side, int) for side in value):
        return int(value[1]), int(value[0])
    return None
