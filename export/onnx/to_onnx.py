"""End-to-end ONNX export of `YolactNano` and `YolactNanoDet`: uint8 frames to instances, one file per input size.

Normalisation, top-k, decoding, NMS and embeddings are inside the graph, with plain matrix operations only, so that CUDA
graphs and TensorRT take all of it. Masks leave as coefficients and prototypes: the reader makes those that it keeps.
"""

from __future__ import annotations

import copy
import json
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import onnx
import onnxruntime
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from export.data.archive import PAD_VALUE
from export.networks.aligned import aligned
from export.networks.embedding import COLUMNS, ROWS, GatherRows, flat_places, points
from export.networks.yolact_nano import FOCUS_ORDER, MASK_STRIDE, YolactNano
from export.networks.yolact_nanodet import YolactNanoDet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.networks.solov2_nano import SoloNano

Network = TypeVar("Network", "YolactNano", "SoloNano")
OPSET = 17
CONTRACT = "end2end-2"
FORBIDDEN = frozenset({"NonMaxSuppression", "NonZero", "If", "Loop", "Scan", "SequenceAt"})
# Names for one another's objects, between which one suppresses the other; a rider does not suppress the motorcycle.
NMS_GROUPS = (("bicycle", "motorcycle"), ("car", "bus", "truck", "van"))
OUTSIDE = -1e4  # logit outside the box
MASK_MARGIN = 0.0  # a cell belongs to a box that overlaps it: so the masks were trained
CERTAINTY_STEP = (
    4  # of the mask's certainty, every fourth row; see `certainty` in tracker/segment/contracts/end2end_2.py
)


class EndToEnd(nn.Module):
    """Frames (B, H, W, 3) uint8 BGR -> K instances and what makes their masks.

    boxes (B, K, 4) as shares of the input, scores and class ids (B, K), coefficients (B, K, P + 5), prototypes
    (B, h, w, P), with an embedding head embeddings (B, K, E), and with `before_nms` kept (B, K) uint8.

    Scores are objectness x class. The mask's certainty, by which they are to be multiplied, is left to the reader:
    rating all 100 masks, of which ten are wanted, takes 6 % of the whole (`masktrail.mask_certainty` asks for it).
    """

    def __init__(
        self,
        network: YolactNano | YolactNanoDet,
        *,
        height: int,
        width: int,
        candidates: int = 200,
        instances: int = 100,
        iou_threshold: float = 0.6,
        nms_rounds: int = 3,
        nms_groups: Sequence[Sequence[str]] = NMS_GROUPS,
        before_nms: bool = False,
    ) -> None:
        super().__init__()
        self.network = exported_form(network).eval()
        self.height, self.width = height, width
        self.candidates, self.instances = candidates, candidates if before_nms else instances
        self.iou_threshold, self.nms_rounds = iou_threshold, nms_rounds
        self.before_nms = before_nms
        corners, strides = network.locations(height, width, like=torch.zeros(0))
        self.register_buffer("corners", corners)
        self.register_buffer("strides", strides)
        self.register_buffer("groups", torch.tensor(group_numbers(network.classes, nms_groups), dtype=torch.float32))
        self.register_buffer("size", torch.tensor([width, height, width, height], dtype=torch.float32))

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        images = frames.permute(0, 3, 1, 2).float()  # (B, 3, H, W)
        raw, classes, features = self.network.raw_heads(images)  # (B, A, 5 or 32), (B, A, C)
        coefficients, prototypes = self.network.mask_head.raw(*features)
        best, class_ids = classes.max(dim=2)  # (B, A), logits
        scores, rows = self.network.scores(raw, best).topk(self.candidates, dim=1)  # (B, N)
        # Only candidates are decoded: 0.3 of 14 ms less than all 5,040 locations.
        code = raw.gather(1, rows[..., None].expand(-1, -1, raw.shape[2]))
        boxes = self.network.decode(code, self.corners[rows], self.strides[rows])  # (B, N, 4)
        class_ids = class_ids.gather(1, rows)
        kept = self.keep(boxes, class_ids)  # (B, N)
        if not self.before_nms:
            scores, best_kept = (scores * kept).topk(self.instances, dim=1)  # (B, K)
            boxes = boxes.gather(1, best_kept[..., None].expand(-1, -1, 4))
            rows, class_ids = rows.gather(1, best_kept), class_ids.gather(1, best_kept)
        terms = coefficients.gather(1, rows[..., None].expand(-1, -1, coefficients.shape[2]))  # (B, K, P + 5)
        terms = self.biased(self.network.mask_head.bounded(terms), boxes)
        prototypes = prototypes.permute(0, 2, 3, 1)  # (B, h, w, P): a box's cells are read in few pieces
        outputs = [boxes / self.size, scores, class_ids, terms, prototypes]
        if self.network.embedding_head is not None:
            xs, ys = points(boxes / MASK_STRIDE, *prototypes.shape[1:3])
            seen = self.probabilities_at(prototypes, terms, boxes / MASK_STRIDE, xs, ys)
            outputs.append(self.network.embedding_head(*features[:2], seen, xs, ys))
        return *outputs, *([kept.to(torch.uint8)] if self.before_nms else [])

    @property
    def output_names(self) -> list[str]:
        """Names of what `forward` gives, in its order."""
        names = ["boxes", "scores", "class_ids", "coefficients", "prototypes"]
        names += [] if self.network.embedding_head is None else ["embeddings"]
        return names + (["kept"] if self.before_nms else [])

    @property
    def mask_facts(self) -> dict[str, str]:
        """Metadata by which a reader makes masks."""
        facts = {"masktrail.mask_margin": str(MASK_MARGIN), "masktrail.mask_certainty": str(CERTAINTY_STEP)}
        growth = self.network.mask_growth
        return facts | ({"masktrail.mask_growth": str(growth)} if growth else {})

    def keep(self, boxes: Tensor, class_ids: Tensor) -> Tensor:
        """Fast NMS (YOLACT section 4.1) with a few rounds more (Cluster-NMS, Zheng et al. 2020), within class groups.

        In the first round every better box suppresses, in later rounds only those which survived the round before;
        some three rounds give what sequential NMS would.

        Returns:
            1.0 for what stays, (B, N).
        """
        shift = self.groups[class_ids][..., None] * 8192.0  # groups do not overlap when moved apart
        boxes = boxes + shift
        left, top, right, bottom = boxes.unbind(dim=2)  # axis by axis: ONNX Runtime broadcasts long rows far faster
        across = torch.minimum(right[:, :, None], right[:, None]) - torch.maximum(left[:, :, None], left[:, None])
        down = torch.minimum(bottom[:, :, None], bottom[:, None]) - torch.maximum(top[:, :, None], top[:, None])
        overlap = across.clamp(min=0.0) * down.clamp(min=0.0)  # (B, N, N)
        areas = (right - left) * (bottom - top)
        union = areas[:, :, None] + areas[:, None, :] - overlap
        clash = (overlap > self.iou_threshold * union).float()
        better = torch.ones(self.candidates, self.candidates, device=boxes.device).triu(1)
        clash = clash * better  # [i, j] = 1: the better box i covers box j
        keep = 1.0 - clash.amax(dim=1)
        for _ in range(self.nms_rounds - 1):
            keep = 1.0 - (clash * keep[:, :, None]).amax(dim=1)
        return keep

    def biased(self, terms: Tensor, boxes: Tensor) -> Tensor:
        """Coefficients (B, K, P + 5) of boxes (B, K, 4), in pixels, with `small_object_bias` in the shape's level."""
        count = self.network.mask_head.prototypes
        bias = small_object_bias(boxes.reshape(-1, 4) / MASK_STRIDE).view(-1, self.instances, 1)
        return torch.cat((terms[..., :count], terms[..., count : count + 1] + bias, terms[..., count + 1 :]), dim=2)

    def probabilities_at(self, prototypes: Tensor, terms: Tensor, cells: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
        """Masks at points of their boxes alone, (B, K, ROWS * COLUMNS), zero outside the box.

        Args:
            prototypes: (B, h, w, P).
            terms: (B, K, P + 5) coefficients.
            cells: (B, K, 4) boxes in cells.
            xs: (B, K, COLUMNS) and
            ys: (B, K, ROWS), see `points`.
        """
        count = prototypes.shape[3]
        places = flat_places(xs, ys, prototypes.shape[2])  # (B, K, points)
        rows = GatherRows.apply(prototypes.flatten(1, 2), places.flatten(1))  # (B, K points, P)
        rows = rows.reshape(-1, self.instances, ROWS * COLUMNS, count)
        logits = torch.matmul(rows, terms[..., :count, None])[..., 0]  # (B, K, points)
        across = shape_at(terms[..., count + 1 : count + 3], cells[..., 0::2], xs, level=terms[..., count : count + 1])
        down = shape_at(terms[..., count + 3 : count + 5], cells[..., 1::2], ys)
        return (logits + (down[..., None] + across[:, :, None]).flatten(2)).sigmoid()


def shape_at(terms: Tensor, edges: Tensor, places: Tensor, *, level: Tensor | None = None) -> Tensor:
    """One axis of the shape prior at grid places (B, K, N), far below zero outside the box.

    Args:
        terms: (B, K, 2), linear and quadratic.
        edges: (B, K, 2) of the box, in cells.
        places: whole numbers.
        level: (B, K, 1), added inside.
    """
    low, high = edges[..., :1], edges[..., 1:]
    u = (places + 0.5 - (low + high) * 0.5) / ((high - low) * 0.5).clamp(min=0.5)
    values = (terms[..., :1] + terms[..., 1:] * u) * u
    inside = (places + 1.0 > low) & (places < high)
    return torch.where(inside, values if level is None else values + level, OUTSIDE)


def group_numbers(classes: Sequence[str], groups: Sequence[Sequence[str]]) -> list[int]:
    """For each class the number of its NMS group; a class that no group names is one of its own.

    >>> group_numbers(["person", "car", "van", "forklift"], NMS_GROUPS)
    [0, 1, 1, 3]
    """
    first = {
        name: next((other for group in groups if name in group for other in classes if other in group), name)
        for name in classes
    }
    return [list(classes).index(first[name]) for name in classes]


def small_object_bias(cells: Tensor) -> Tensor:
    """What is added to the logits so that a cut at 0.5 gives the best IoU; boxes (N, 4) in cells -> (N, 1).

    A probability that is right in every cell is not best cut at 0.5 where the outline is uncertain. On objects of
    training pictures the IoU was best at 0.25 for persons up to 16 px (0.57 against 0.32), at 0.38 for persons of 16 to
    48 px, at 0.35 and 0.42 for vehicles up to 24 and 48 px, and at 0.47 for all above 100 px.
    """
    side = ((cells[:, 2] - cells[:, 0]) * (cells[:, 3] - cells[:, 1])).clamp(min=1.0).sqrt()
    return (2.5 / side).clamp(max=1.0)[:, None]


def exported_form(network: YolactNano | YolactNanoDet) -> YolactNano | YolactNanoDet:
    """A copy with the same results and the layers that runtimes compute fastest."""
    return aligned(network) if isinstance(network, YolactNanoDet) else fold_focus(network)


def fold_focus(network: Network) -> Network:
    """A copy whose first convolution reads pixels: 3 x 3 over `focus` blocks is 6 x 6 with stride 2 over the image."""
    copied = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    first = copied.backbone.stem.conv
    pixels = nn.Conv2d(3, first.out_channels, 6, 2, 2)
    with torch.no_grad():
        for block, (dy, dx) in enumerate(FOCUS_ORDER):
            pixels.weight[:, :, dy::2, dx::2] = first.weight[:, 3 * block : 3 * block + 3]
        pixels.bias.copy_(first.bias)
    copied.backbone.stem.conv = pixels
    return copied


def export_onnx(
    module: EndToEnd, path: Path, *, name: str, version: str, licence: str = "Apache-2.0"
) -> dict[str, Any]:
    """Write the file with its metadata; returns the metadata.

    Raises:
        ValueError: when the graph holds a forbidden operator or its input is not of the asked size.
    """
    frames = torch.zeros(1, module.height, module.width, 3, dtype=torch.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        # The older exporter: it keeps H and W as constants and needs no further package; it announces its age every
        # time.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            module,
            (frames,),
            str(path),
            input_names=["frames"],
            output_names=module.output_names,
            opset_version=OPSET,
            dynamo=False,
        )
    model = fold_constants(path)
    open_batch(model.graph)
    drop_unused(model.graph)
    metadata = {
        "masktrail.contract": CONTRACT,
        "masktrail.name": name,
        "masktrail.version": version,
        "masktrail.licence": licence,
        "masktrail.classes": json.dumps(list(module.network.classes)),
        "masktrail.input": json.dumps(
            {
                "layout": "NHWC",
                "dtype": "uint8",
                "channels": "BGR",
                "resize": "letterbox-top-left",
                "pad_value": PAD_VALUE,
                "height": module.height,
                "width": module.width,
            }
        ),
        "masktrail.activation": module.network.activation,
        "masktrail.mask_stride": str(MASK_STRIDE),
    } | module.mask_facts
    helper.set_model_props(model, metadata)
    check_graph(model, module.height, module.width)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return metadata


def trace(
    module: nn.Module,
    examples: tuple[Tensor, ...],
    path: Path,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    opset: int,
) -> None:
    """Write the graph of a module at the fixed sizes of its example inputs."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the older exporter announces its age
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # sizes are fixed, and meant to be
        warnings.filterwarnings("ignore", "Constant folding")
        torch.onnx.export(
            module.eval(),
            examples,
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=opset,
            dynamo=False,
        )


def fold_constants(path: Path, *, large: bool = False) -> onnx.ModelProto:
    """The file's graph with what does not depend on the input computed once, by ONNX Runtime; operators stay ONNX's.

    Args:
        path: the file.
        large: its weights do not fit into one file of 2 GB.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        if large:
            options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "folded.data")
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        model = onnx.load(options.optimized_model_filepath)
    foreign = {node.domain for node in model.graph.node} - {""}
    if foreign:
        message = f"folding brought operators of {sorted(foreign)}; expected ONNX's own"
        raise ValueError(message)
    opset = [item for item in model.opset_import if not item.domain]
    del model.opset_import[:]
    model.opset_import.extend(opset)
    return model


def open_batch(graph: onnx.GraphProto) -> None:
    """Make the batch dynamic in a graph that was traced with one frame.

    Traced so, every size is a constant; traced with a dynamic batch, the same graph computes its constants from shapes
    at each run (964 nodes instead of 560), on the CPU even where the rest is on the GPU.
    """
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del graph.value_info[:]
    constants = {node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant"}
    constants |= {item.name: item for item in graph.initializer}
    for node in graph.node:
        if node.op_type == "Reshape":
            shape = numpy_helper.to_array(constants[node.input[1]]).copy()
            if shape[0] not in (1, -1):
                message = f"{node.name} reshapes to {shape.tolist()}, expected the batch, 1, first"
                raise ValueError(message)
            if shape[0] == 1:
                shape[0] = 0  # as it comes in
                own = f"{node.output[0]}_shape"  # other nodes may read the same constant
                graph.initializer.append(numpy_helper.from_array(shape, own))
                node.input[1] = own


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove constants that no node reads; ONNX Runtime warns of each."""
    read = {name for node in graph.node for name in node.input} | {item.name for item in graph.output}
    for item in [item for item in graph.initializer if item.name not in read]:
        graph.initializer.remove(item)
    for node in [node for node in graph.node if node.op_type == "Constant" and node.output[0] not in read]:
        graph.node.remove(node)


def check_graph(model: onnx.ModelProto, height: int, width: int) -> None:
    """Hold the contract: static H and W, a dynamic batch, no operator whose shapes depend on values."""
    dims = model.graph.input[0].type.tensor_type.shape.dim
    found = (dims[0].dim_param, dims[1].dim_value, dims[2].dim_value, dims[3].dim_value)
    if found != ("batch", height, width, 3):
        message = f"input frames is {found}, expected ('batch', {height}, {width}, 3)"
        raise ValueError(message)
    check_operators(model)


def check_operators(model: onnx.ModelProto) -> None:
    """Hold that no operator's shapes depend on values.

    Raises:
        ValueError: One does.
    """
    used = {node.op_type for node in model.graph.node} & FORBIDDEN
    if used:
        message = f"the graph uses {sorted(used)}; these keep it from CUDA graphs and TensorRT"
        raise ValueError(message)
