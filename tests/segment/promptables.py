"""Tiny promptable segmenters of every form: a box's mask is the ellipse inside it, whatever the picture shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SIDE, CELLS = 64, 256
EXPECTED_IOU = 0.95
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


class Graph:
    """A graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, kind: str, *inputs: str, to: str = "", **attributes: Any) -> str:
        to = to or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [to], **attributes))
        return to

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def save(self, path: Path, inputs: Sequence[Any], outputs: Sequence[Any]) -> Path:
        graph = helper.make_graph(self.nodes, "g", inputs, outputs, self.constants)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
        return path


def tensor(name: str, *shape: int | str, kind: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, list(shape))


def write_encoder(path: Path, form: str) -> Path:
    """Features are the pixels, coarser; of `sam2` also at two finer strides."""
    graph = Graph()
    if form == "sam-pixels":
        image = graph.node("Transpose", "input_image", perm=[2, 0, 1])
        image = graph.node("Unsqueeze", image, graph.constant([0], np.int64))
        pooled = graph.node("GlobalAveragePool", image)
        graph.node("Expand", pooled, graph.constant([1, 3, 4, 4], np.int64), to="image_embeddings")
        return graph.save(path, [tensor("input_image", "h", "w", 3)], [tensor("image_embeddings", 1, 3, 4, 4)])
    if form == "efficient-sam":
        pooled = graph.node("GlobalAveragePool", "batched_images")
        graph.node("Expand", pooled, graph.constant([1, 3, 4, 4], np.int64), to="image_embeddings")
        return graph.save(path, [tensor("batched_images", 1, 3, "h", "w")], [tensor("image_embeddings", 1, 3, 4, 4)])
    name = "image" if form == "sam2" else "input"
    outputs = {"output": 16} if form == "sam" else {"high_res_feats_0": 4, "high_res_feats_1": 8, "image_embed": 16}
    for output, stride in outputs.items():
        graph.node("AveragePool", name, to=output, kernel_shape=[stride] * 2, strides=[stride] * 2)
    sizes = [tensor(output, 1, 3, SIDE // stride, SIDE // stride) for output, stride in outputs.items()]
    return graph.save(path, [tensor(name, 1, 3, SIDE, SIDE)], sizes)


def ellipses(graph: Graph, coords: str, units: int) -> str:
    """Logits (B, 256, 256) of points (B, N, 2), the first two of which are corners, in `units` a side."""
    places = (np.arange(CELLS) + 0.5) * units / CELLS
    total = None
    for axis in (0, 1):
        picks = [graph.constant([corner], np.int64) for corner in (0, 1)]
        corners = [graph.node("Gather", coords, pick, axis=1) for pick in picks]  # (B, 1, 2)
        low, high = (graph.node("Gather", corner, graph.constant([axis], np.int64), axis=2) for corner in corners)
        half, two = graph.node("Sub", high, low), graph.constant(2.0)
        half, centre = graph.node("Div", half, two), graph.node("Div", graph.node("Add", low, high), two)
        line = graph.constant(places.reshape((1, 1, -1) if axis == 0 else (1, -1, 1)))
        share = graph.node("Div", graph.node("Sub", line, centre), half)
        square = graph.node("Mul", share, share)
        total = square if total is None else graph.node("Add", total, square)
    return graph.node("Mul", graph.node("Sub", graph.constant(1.0), total), graph.constant(20.0))


def write_decoder(
    path: Path, form: str, *, expected_iou: float = EXPECTED_IOU, leave_out: str = "", fixed: int = 0
) -> Path:
    """One mask of `sam`, three of the others: the second is the ellipse and the best; `fixed` boxes of two points."""
    graph, efficient = Graph(), form == "efficient-sam"
    coords, units, boxes = "point_coords", SIDE, 1 if form.startswith("sam") and form != "sam2" else "b"
    boxes, points = fixed or boxes, 2 if fixed else "n"
    if efficient:
        coords, units = graph.node("Squeeze", "batched_point_coords", graph.constant([0], np.int64)), CELLS
    mask = graph.node("Unsqueeze", ellipses(graph, coords, units), graph.constant([1], np.int64))  # (B, 1, 256, 256)
    scores = [expected_iou]
    if form in {"sam2", "efficient-sam"}:
        other = graph.node("Sub", graph.node("Mul", mask, graph.constant(0.0)), graph.constant(20.0))
        mask, scores = graph.node("Concat", other, mask, other, axis=1), [0.3, expected_iou, 0.2]
    flat = graph.node("ReduceMean", mask, axes=[2, 3], keepdims=0)  # (B, M)
    score = graph.node("Add", graph.node("Mul", flat, graph.constant(0.0)), graph.constant([scores]))
    features = {"sam2": {"image_embed": 16, "high_res_feats_0": 4, "high_res_feats_1": 8}}.get(
        form, {"image_embeddings": 16}
    )
    inputs = [tensor(name, 1, 3, SIDE // stride, SIDE // stride) for name, stride in features.items()]
    if efficient:
        inputs += [tensor("batched_point_coords", 1, "b", "n", 2), tensor("batched_point_labels", 1, "b", "n")]
        inputs += [tensor("orig_im_size", 2, kind=INT64)]
        for name, value in (("output_masks", mask), ("iou_predictions", score)):
            graph.node("Unsqueeze", value, graph.constant([0], np.int64), to=name)
        outputs = [tensor("output_masks", 1, "b", 3, "h", "w"), tensor("iou_predictions", 1, "b", 3)]
    else:
        inputs += [tensor("point_coords", boxes, points, 2), tensor("point_labels", boxes, points)]
        inputs += [tensor("mask_input", boxes, 1, CELLS, CELLS), tensor("has_mask_input", boxes)]
        if form != "sam2":
            inputs += [tensor("orig_im_size", 2)]
        name = "masks" if form == "sam2" else "low_res_masks"
        graph.node("Identity", mask, to=name)
        graph.node("Identity", score, to="iou_predictions")
        outputs = [tensor(name, boxes, len(scores), CELLS, CELLS), tensor("iou_predictions", boxes, len(scores))]
    inputs = [one for one in inputs if one.name != leave_out]
    return graph.save(path, inputs, [one for one in outputs if one.name != leave_out])


def write_folder(folder: Path, form: str = "sam", *, levels: str = "", **options: Any) -> Path:
    """A folder with both files and a manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    write_encoder(folder / "encoder.onnx", form)
    write_decoder(folder / "decoder.onnx", form, **options)
    side = f"side = {SIDE}\n" if form in {"sam-pixels", "efficient-sam"} else ""
    (folder / "manifest.toml").write_text(f'name = "tiny"\nlicence = "MIT"\n[promptable]\n{side}{levels}')
    return folder


def ellipse(box: Sequence[float], size: tuple[int, int]) -> np.ndarray:
    """The pixels (h, w) of the ellipse inside a box, of a picture of `size` (width, height)."""
    x0, y0, x1, y1 = box
    x = (np.arange(size[0]) + 0.5 - (x0 + x1) / 2) / ((x1 - x0) / 2)
    y = (np.arange(size[1]) + 0.5 - (y0 + y1) / 2) / ((y1 - y0) / 2)
    return np.asarray(x[None] ** 2 + y[:, None] ** 2 <= 1)
