"""Tiny ONNX files with constant outputs: models of every contract whose instances are known beforehand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TYPES = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}


def constant_model(
    path: Path,
    outputs: Mapping[str, np.ndarray],
    *,
    input_shape: Sequence[int | str],
    input_dtype: str = "float32",
    input_name: str = "frames",
    metadata: Mapping[str, str] | None = None,
    open_batch: bool = False,
    extra_nodes: Sequence[Any] = (),
    opset: int = 17,
) -> Path:
    """A graph whose outputs are constants, in the order given.

    With ``open_batch`` each output's first axis, of size 1 here, is tiled to the batch of the input.
    """
    nodes, initializers, infos = list(extra_nodes), [], []
    image = helper.make_tensor_value_info(input_name, TYPES[input_dtype], list(input_shape))
    # The input takes part (times zero), so that ONNX Runtime keeps it.
    initializers += [
        numpy_helper.from_array(np.array([0], np.int64), "zero"),
        numpy_helper.from_array(np.array([1], np.int64), "one"),
    ]
    nodes.append(helper.make_node("Shape", [input_name], ["input_shape"]))
    nodes.append(helper.make_node("Slice", ["input_shape", "zero", "one"], ["batch"]))
    for name, value in outputs.items():
        initializers.append(numpy_helper.from_array(value, f"{name}_value"))
        shape: list[int | str] = list(value.shape)
        if open_batch:
            shape[0] = "batch"
            initializers.append(numpy_helper.from_array(np.array(value.shape[1:], np.int64), f"{name}_rest"))
            nodes.append(helper.make_node("Concat", ["batch", f"{name}_rest"], [f"{name}_shape"], axis=0))
            nodes.append(helper.make_node("Expand", [f"{name}_value", f"{name}_shape"], [name]))
        else:
            nodes.append(helper.make_node("Identity", [f"{name}_value"], [name]))
        infos.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), shape))
    graph = helper.make_graph(nodes, "constant", [image], infos, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    if metadata:
        helper.set_model_props(model, dict(metadata))
    onnx.save(model, path)
    return path


END2END_INPUT = {
    "layout": "NHWC",
    "dtype": "uint8",
    "channels": "BGR",
    "resize": "letterbox-top-left",
    "pad_value": 114,
    "height": 96,
    "width": 160,
}


def end2end_outputs(slots: int = 4, grid: tuple[int, int] = (24, 40), embeddings: int = 0) -> dict[str, np.ndarray]:
    """Two instances in four slots: a person on the left, a car on the right; the second slot scores higher."""
    rows, columns = grid
    boxes = np.zeros((1, slots, 4), np.float32)
    boxes[0, 0] = (0.10, 0.20, 0.30, 0.80)
    boxes[0, 1] = (0.50, 0.25, 0.90, 0.75)
    scores = np.zeros((1, slots), np.float32)
    scores[0, :2] = (0.6, 0.9)
    class_ids = np.zeros((1, slots), np.int64)
    class_ids[0, 1] = 1
    masks = np.zeros((1, slots, rows, columns), np.uint8)
    masks[0, 0, rows // 4 : rows * 3 // 4, columns // 10 : columns * 3 // 10] = 255
    masks[0, 1, rows // 4 : rows * 3 // 4, columns // 2 : columns * 9 // 10] = 255
    outputs: dict[str, np.ndarray] = {"boxes": boxes, "scores": scores, "class_ids": class_ids, "masks": masks}
    if embeddings:
        outputs["embeddings"] = np.eye(slots, embeddings, dtype=np.float32)[None]
    return outputs


def end2end_model(
    path: Path,
    *,
    order: Sequence[str] | None = None,
    metadata: bool = True,
    embeddings: int = 0,
    open_batch: bool = False,
) -> Path:
    """A file of our own contract, 160 x 96 pixels, classes person and car."""
    outputs = end2end_outputs(embeddings=embeddings)
    props = {
        "masktrail.contract": "end2end-1",
        "masktrail.classes": json.dumps(["person", "car"]),
        "masktrail.input": json.dumps(END2END_INPUT),
        "masktrail.name": "constant",
        "masktrail.version": "1",
        "masktrail.licence": "Apache-2.0",
    }
    return constant_model(
        path,
        {name: outputs[name] for name in order or outputs},
        input_shape=("batch" if open_batch else 1, 96, 160, 3),
        input_dtype="uint8",
        metadata=props if metadata else None,
        open_batch=open_batch,
    )


def brightness_model(path: Path, *, priors: int = 0) -> Path:
    """A file of our own contract, 160 x 96 pixels, whose every score is the picture's mean brightness / 255.

    With ``priors`` there is an output ``(priors, 4)`` that has no batch axis as well.
    """
    outputs = end2end_outputs()
    del outputs["scores"]
    nodes = [
        helper.make_node("Cast", ["frames"], ["pixels"], to=1),
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "one"], ["column"]),
    ]
    constant_model(
        path,
        {"scores_scale": np.full((1, 4), 1 / 255, np.float32), **outputs},
        input_shape=("batch", 96, 160, 3),
        input_dtype="uint8",
        extra_nodes=nodes,
        open_batch=True,
    )
    loaded = onnx.load(path)
    loaded.graph.node.append(helper.make_node("Mul", ["column", "scores_scale"], ["scores"]))
    loaded.graph.output[0].CopyFrom(helper.make_tensor_value_info("scores", 1, ["batch", 4]))
    if priors:
        value = np.full((priors, 4), 0.5, np.float32)
        loaded.graph.initializer.append(numpy_helper.from_array(value, "priors_value"))
        loaded.graph.node.append(helper.make_node("Identity", ["priors_value"], ["priors"]))
        loaded.graph.output.append(helper.make_tensor_value_info("priors", 1, [priors, 4]))
    onnx.save(loaded, path)
    return path
