"""NanoDet-Plus as a detector: its ONNX file out of an ncnn model, and boxes and class scores of pictures.

NanoDet-Plus (RangiLyu, Apache-2.0) answers at four strides with 80 class scores and, for each side of the box, a
distribution over eight distances (Generalized Focal Loss, Li et al. 2020) whose mean, times the stride, is the distance
from the cell's corner point to that side.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor

from export.networks.weights import COCO_ROWS, load_onnx
from export.networks.yolact_nanodet import BINS, DEVIATION, MEAN, STRIDES
from export.onnx.ncnn_to_onnx import OPSET, GraphBuilder, build
from export.onnx.sessions import cpu_session
from tracker.errors import ModelError
from tracker.segment.contracts.decoder import COCO_CLASSES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DECODER = "nanodet-plus"  # the value of `masktrail.detector` in a file
INPUT, OUTPUT = "data", "output"  # as NanoDet's own ncnn export names them
START_WITH = "give the ncnn files of NanoDet-Plus with 80 classes, for example nanodet-plus-m_416"


def convert(param: Path, weights: Path, out: Path) -> None:
    """Write an ONNX file of an ncnn NanoDet-Plus: raw BGR pictures in, its undecoded rows out, sides free.

    The file's input `images` is (B, 3, H, W) float32, BGR 0..255, H and W multiples of 64; its output `output`
    (B, A, 80 + 4 x 8), class probabilities and logits of distances, over the strides row by row.

    Raises:
        ModelError: the files hold another network, or are none.
    """
    graph = build(param, weights)
    if graph.inputs != [INPUT] or OUTPUT not in graph.names:
        found = f"input {', '.join(graph.inputs)} and {'an' if OUTPUT in graph.names else 'no'} output `{OUTPUT}`"
        raise ModelError(param, f"expected one input `{INPUT}` and an output `{OUTPUT}`, found {found}", START_WITH)
    model = helper.make_model(wrapped(graph), opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    facts = {
        "detector": DECODER,
        "classes": json.dumps(list(COCO_CLASSES)),
        "strides": json.dumps(STRIDES),
        "bins": str(BINS),
    }
    helper.set_model_props(model, {f"masktrail.{key}": value for key, value in facts.items()})
    onnx.checker.check_model(model)
    out.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(out))
    check(param, out)


def wrapped(graph: GraphBuilder) -> onnx.GraphProto:
    """The graph with the normalisation of pictures in front."""
    offset = graph.constant("mean", np.array(MEAN, np.float32).reshape(1, 3, 1, 1))
    scale = graph.constant("deviation", np.array(DEVIATION, np.float32).reshape(1, 3, 1, 1))
    before = [
        helper.make_node("Sub", ["images", offset], ["centred"]),
        helper.make_node("Div", ["centred", scale], [INPUT]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    rows = helper.make_tensor_value_info(graph.names[OUTPUT], TensorProto.FLOAT, ["batch", "locations", "values"])
    return helper.make_graph([*before, *graph.nodes], DECODER, [images], [rows], graph.constants)


def check(param: Path, out: Path) -> None:
    """Run the file once: the rows must be as many, and as wide, as NanoDet-Plus has them.

    Raises:
        ModelError: they are not, or it does not run.
    """
    height, width = 64, 128
    locations = sum(height // stride * (width // stride) for stride in STRIDES)
    try:
        found = cpu_session(out).run(None, {"images": np.zeros((1, 3, height, width), np.float32)})[0].shape
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        out.unlink()
        problem = f"the converted network does not run: {str(error).splitlines()[0]}"
        raise ModelError(param, problem, START_WITH) from error
    expected = (1, locations, len(COCO_CLASSES) + 4 * BINS)
    if found != expected:
        out.unlink()
        problem = f"expected an output of shape {expected} for a {height} x {width} picture, found {found}"
        raise ModelError(param, problem, START_WITH)


def is_nanodet(path: Path) -> bool:
    """Is it a file that `convert` wrote?"""
    if path.suffix != ".onnx" or not path.is_file():
        return False
    return any(item.key == "masktrail.detector" and item.value == DECODER for item in load_onnx(path).metadata_props)


class NanoDet:
    """A file that `convert` wrote, as a detector for `export.data.fused`.

    Args:
        path: the file.
        rows: of COCO's 80 classes, those to tell apart.
        threads: of ONNX Runtime.
    """

    def __init__(self, path: Path, rows: Sequence[int] = COCO_ROWS, *, threads: int = 1) -> None:
        self.rows = list(rows)
        self.classes = tuple(COCO_CLASSES[row] for row in rows)
        self.session = cpu_session(path, threads=threads)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images (B, 3, H, W), BGR 0..255 -> boxes (B, A, 4) xyxy, objectness (B, A), all ones, classes (B, A, C).

        H and W are multiples of 64.
        """
        rows = self.session.run(None, {"images": np.ascontiguousarray(images.numpy())})[0]
        boxes = decode(rows[..., len(COCO_CLASSES) :], (images.shape[2], images.shape[3]))
        classes = torch.from_numpy(rows[..., self.rows])
        return torch.from_numpy(boxes), torch.ones(rows.shape[:2]), classes


def decode(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Logits of distances (B, A, 4 x bins) of a picture of `size` (height, width) -> boxes (B, A, 4) xyxy, pixels."""
    bins = logits.reshape(*logits.shape[:2], 4, BINS)
    shares = np.exp(bins - bins.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    points, strides = corner_points(size)
    left, top, right, bottom = np.moveaxis(shares @ np.arange(BINS, dtype=np.float32) * strides[:, None], -1, 0)
    x, y = points.T
    return np.stack((x - left, y - top, x + right, y + bottom), axis=-1).astype(np.float32)


def corner_points(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The point (A, 2), xy in pixels, from which each location measures, and its stride (A,)."""
    points, strides = [], []
    for stride in STRIDES:
        ys, xs = np.mgrid[: size[0] // stride, : size[1] // stride]
        points.append(np.stack((xs, ys), axis=-1).reshape(-1, 2) * stride)
        strides.append(np.full(len(points[-1]), stride))
    return np.concatenate(points).astype(np.float32), np.concatenate(strides).astype(np.float32)
