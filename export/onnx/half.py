"""float16 conversion of a finished float32 ONNX file, for GPUs.

The network is what the convolutions are made of and reach: their weights, and every layer up to the last of them.
Decoding, NMS, masks and embeddings stay in float32: half precision counts in steps of 0.5 above 512, and boxes are
pixels. The finished file is rewritten rather than a half network traced (as `yolact --half` does): constants are folded
in it already, which a processor without half precision can only do in single.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.onnx.parity import overlap
from export.onnx.to_onnx import drop_unused
from tracker.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PICKS = frozenset({"TopK", "NonMaxSuppression"})  # what depends on these works on instances, not on pictures
SUFFIX = "half"
LARGEST = 65504.0  # of float16
ALIKE_SCORE, ALIKE_IOU = 0.02, 0.9


def write_half(path: Path) -> Path:
    """Write `NAME-fp16.onnx` beside `NAME.onnx`; returns where.

    Raises:
        ModelError: The file has no convolution in float32, or a weight beyond what half precision holds.
    """
    target = path.with_name(f"{path.stem}-fp16.onnx")
    model = onnx.load(str(path))
    halve(model, label=path)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(target))
    return target


def halve(model: onnx.ModelProto, *, label: object = "model") -> None:
    """Turn the network's tensors into float16, in place; casts stand where the rest of the graph reads them.

    Raises:
        ModelError: As `write_half`; `label` names the file.
    """
    graph, kinds = model.graph, element_types(model)
    network = network_nodes(graph)
    if not any(kinds.get(node.input[1]) == TensorProto.FLOAT for node in network if node.op_type == "Conv"):
        raise ModelError(label, "no convolution in float32", "give a float32 file, as `python -m export nano` writes")
    constants = {item.name: item for item in graph.initializer}
    made = {name for node in network for name in node.output if kinds.get(name) == TensorProto.FLOAT}
    inside = {node.output[0] for node in network}
    read_outside = {name for node in graph.node if node.output[0] not in inside for name in node.input}
    shared = made & (read_outside | {item.name for item in graph.output})
    halves: dict[str, str] = {name: f"{name}_{SUFFIX}" for name in shared}  # names inside the network
    nodes = []
    for node in graph.node:
        if node.output[0] not in inside:
            nodes.append(node)
            continue
        for place in float_inputs(node, kinds):
            name = node.input[place]
            if name not in made and name not in halves:
                halves[name] = f"{name}_{SUFFIX}"
                if name in constants:
                    graph.initializer.append(half_constant(constants[name], halves[name], label))
                else:
                    nodes.append(helper.make_node("Cast", [name], [halves[name]], to=TensorProto.FLOAT16))
            node.input[place] = halves.get(name, name)
        if node.op_type == "Cast" and node.output[0] in made:
            node.attribute[0].i = TensorProto.FLOAT16
        wide = [name for name in node.output if name in shared]
        node.output[:] = [halves[name] if name in shared else name for name in node.output]
        nodes.append(node)
        nodes += [helper.make_node("Cast", [halves[name]], [name], to=TensorProto.FLOAT) for name in wide]
    nodes = [copy.deepcopy(node) for node in nodes]  # those of the graph end with its list
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    drop_unused(graph)


def network_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Convolutions over pictures and all that these are computed from, in the graph's order.

    Convolutions over chosen instances (embeddings, YOLACT++'s rating of masks) are not among them.
    """
    late: set[str] = set()
    for node in graph.node:
        if node.op_type in PICKS or late.intersection(node.input):
            late.update(node.output)
    needed: set[str] = set()
    network = []
    for node in reversed(graph.node):
        picture_layer = node.op_type == "Conv" and not late.intersection(node.output)
        if picture_layer or needed.intersection(node.output):
            needed.update(node.input)
            network.append(node)
    return network[::-1]


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    """Element type of every tensor by name."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.input, *graph.output, *graph.value_info)
    kinds = {value.name: value.type.tensor_type.elem_type for value in values}
    return kinds | {item.name: item.data_type for item in graph.initializer}


def float_inputs(node: onnx.NodeProto, kinds: Mapping[str, int]) -> list[int]:
    """Which inputs of a node take the network's precision; scales of Resize are float32 always."""
    places = range(1) if node.op_type == "Resize" else range(len(node.input))
    return [place for place in places if node.op_type != "Cast" and kinds.get(node.input[place]) == TensorProto.FLOAT]


def half_constant(item: TensorProto, name: str, label: object) -> TensorProto:
    """A constant in float16, as `name`."""
    values = numpy_helper.to_array(item)
    largest = float(np.abs(values).max(initial=0.0))
    if largest > LARGEST:
        raise ModelError(label, f"{item.name} reaches {largest:g}, half precision {LARGEST:g}", "export it in float32")
    return numpy_helper.from_array(values.astype(np.float16), name)


def agreement(
    found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], *, score_threshold: float = 0.05
) -> dict[str, float]:
    """How many instances of a full-precision run have their like in one of reduced precision.

    Args:
        found: boxes (B, K, 4), scores (B, K), class_ids (B, K) and masks (B, K, h, w) of reduced precision.
        wanted: the same in full precision.
        score_threshold: instances of `wanted` above it count.

    Returns:
        `instances`, the share `agreement` with class equal, score within 0.02, box IoU >= 0.9 and mask IoU >= 0.9, and
        over these `scores_max_error`, `boxes_min_iou` and `masks_min_iou`.
    """
    count, pairs = 0, []
    for image, scores in enumerate(wanted["scores"]):
        for row in np.flatnonzero(scores > score_threshold):
            count += 1
            apart = np.abs(found["scores"][image] - scores[row])
            boxes = overlap(found["boxes"][image], wanted["boxes"][image, row])
            near = (apart <= ALIKE_SCORE) & (boxes >= ALIKE_IOU)
            near &= found["class_ids"][image] == wanted["class_ids"][image, row]
            ours, theirs = found["masks"][image, near] > 127, wanted["masks"][image, row] > 127
            union = (ours | theirs).sum(axis=(1, 2))
            masks = np.where(union > 0, (ours & theirs).sum(axis=(1, 2)) / np.maximum(union, 1), 1.0)
            if masks.max(initial=0.0) >= ALIKE_IOU:
                best = int(masks.argmax())
                pairs.append((apart[near][best], boxes[near][best], masks[best]))
    errors, boxes, masks = np.array(pairs or [(0.0, 1.0, 1.0)]).T
    return {
        "scores_max_error": float(errors.max()),
        "boxes_min_iou": float(boxes.min()),
        "masks_min_iou": float(masks.min()),
        "instances": count,
        "agreement": len(pairs) / count if count else 1.0,
    }
