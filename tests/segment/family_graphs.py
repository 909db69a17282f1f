"""Small graphs that emit exact outputs of model families for a rendered clip, and its truth.

The red channel of a picture's first pixels is the frame's number; a graph undoes the normalisation that its family
asks for, reads the number from the channel where red must be, and gathers that frame's outputs. Another channel order,
mean or size gives another frame's instances.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tracker.segment.contracts.families import COCO_IDS
from tracker.types import Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FRAMES, STEP = 8, 16
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
CLASSES = (0, 2, 2, 5)
"""COCO's person, car, car, bus."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """A clip: silhouettes ``(T, N, H, W)`` bool and their boxes ``(T, N, 4)``, in pixels of the network's input."""

    masks: np.ndarray
    boxes: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        return self.masks.shape[3], self.masks.shape[2]


@functools.cache
def truth(width: int = 320, height: int = 192) -> Truth:
    """Four objects that move apart from one another; the nearer hides what is behind it."""
    masks = np.zeros((FRAMES, 4, height, width), np.bool_)
    unit = width / 320
    for number in range(FRAMES):
        shapes = (
            ((60 + 6 * number, 70), (14, 38), 0),
            ((250 - 8 * number, 60), (44, 22), 10),
            ((90 + 9 * number, 140), (40, 20), -5),
            ((200 - 3 * number, 110), (60, 34), 0),
        )
        for row, (centre, axes, angle) in enumerate(shapes):
            picture = np.zeros((height, width), np.uint8)
            place = tuple(round(unit * value) for value in centre)
            cv2.ellipse(picture, place, tuple(round(unit * side) for side in axes), angle, 0, 360, 1, -1)
            masks[number, row] = picture > 0
            masks[number, :row] &= ~masks[number, row]
    boxes = np.zeros((FRAMES, 4, 4), np.float32)
    for number, row in np.ndindex(FRAMES, 4):
        rows, columns = masks[number, row].nonzero()
        boxes[number, row] = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return Truth(masks=masks, boxes=boxes)


def frames(size: tuple[int, int], scale: int = 1, count: int = FRAMES) -> Iterator[Frame]:
    """Pictures that carry their number, ``scale`` times as large as the network's input; green and blue mislead."""
    width, height = size[0] * scale, size[1] * scale
    for number in range(count):
        image = np.full((height, width, 3), (STEP * ((number + 5) % FRAMES), 40, STEP * number), np.uint8)  # BGR
        yield Frame(index=number, time_s=number / 10, arrived_s=0.0, source="t", size=(width, height), image=image)


Outputs = dict[str, np.ndarray]


def graph(
    path: Path,
    outputs: Outputs,
    *,
    size: tuple[int, int],
    red: int,
    mean: tuple[float, ...] = (0.0,) * 3,
    std: tuple[float, ...] = (1.0,) * 3,
    batched: bool = True,
    extras: dict[str, tuple[int, ...]] | None = None,
    opset: int = 17,
    metadata: dict[str, str] | None = None,
) -> Path:
    """A file with outputs ``(T, ...)``, of which a run gives those of the picture's frame.

    Args:
        path: Where it goes.
        outputs: By name, in the file's order; the frame's axis is dropped.
        size: ``(width, height)`` of the input.
        red: Which channel of the input is red.
        mean: Of the normalisation that is undone, in the network's channel order.
        std: The same.
        batched: Input ``(1, 3, H, W)``; else ``(3, H, W)``.
        extras: Further inputs by name; their sum times zero is added to the number.
        opset: Of the file.
        metadata: ``metadata_props``.
    """
    width, height = size
    constants = {
        "starts": np.array([red, 0, 0], np.int64),
        "ends": np.array([red + 1, 8, 8], np.int64),
        "axes": np.array([-3, -2, -1], np.int64),
        "std": np.array(std[red] / STEP, np.float32),
        "mean": np.array(mean[red] / STEP, np.float32),
        "last": np.array(len(next(iter(outputs.values()))) - 1, np.float32),
        "zero": np.array(0, np.float32),
    }
    nodes = [
        helper.make_node("Slice", ["image", "starts", "ends", "axes"], ["corner"]),
        helper.make_node("ReduceMean", ["corner"], ["level"], keepdims=0),
        helper.make_node("Mul", ["level", "std"], ["scaled"]),
        helper.make_node("Add", ["scaled", "mean"], ["number"]),
    ]
    number = "number"
    for name in extras or {}:
        nodes += [
            helper.make_node("ReduceSum", [name], [f"{name}_sum"], keepdims=0),
            helper.make_node("Mul", [f"{name}_sum", "zero"], [f"{name}_nothing"]),
            helper.make_node("Add", [number, f"{name}_nothing"], [f"{number}_{name}"]),
        ]
        number = f"{number}_{name}"
    nodes += [
        helper.make_node("Round", [number], ["whole"]),
        helper.make_node("Clip", ["whole", "zero", "last"], ["clipped"]),
        helper.make_node("Cast", ["clipped"], ["index"], to=TensorProto.INT64),
    ]
    infos = []
    for name, value in outputs.items():
        constants[f"{name}_all"] = value
        nodes.append(helper.make_node("Gather", [f"{name}_all", "index"], [name], axis=0))
        infos.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape[1:]))
    shape = [1, 3, height, width] if batched else [3, height, width]
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)]
    inputs += [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, list(one)) for name, one in (extras or {}).items()
    ]
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "clip", inputs, infos, initializers),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=9,
    )
    helper.set_model_props(model, metadata or {})
    onnx.save(model, path)
    return path


def scores(clip: Truth) -> np.ndarray:
    """``(T, N)``: steady, different, and the weakest first."""
    return np.tile(np.linspace(0.7, 0.95, clip.masks.shape[1], dtype=np.float32), (len(clip.masks), 1))


def per_box(clip: Truth, cells: int = 28) -> np.ndarray:
    """``(T, N, cells, cells)``: the share of every part of a box that is inside."""
    maps = np.zeros((*clip.masks.shape[:2], cells, cells), np.float32)
    for place in np.ndindex(*clip.masks.shape[:2]):
        left, top, right, bottom = (int(value) for value in clip.boxes[place])
        crop = clip.masks[place][top:bottom, left:right].astype(np.float32)
        fine = cv2.resize(crop, (cells * 8, cells * 8), interpolation=cv2.INTER_NEAREST)
        maps[place] = fine.reshape(cells, 8, cells, 8).mean(axis=(1, 3))
    return maps


def coarse(clip: Truth, stride: int = 4) -> np.ndarray:
    """``(T, N, H / stride, W / stride)``: the share of every cell that is inside."""
    count, number, height, width = clip.masks.shape
    return clip.masks.reshape(count, number, height // stride, stride, width // stride, stride).mean(
        axis=(3, 5), dtype=np.float32
    )


def logits(clip: Truth, stride: int = 4) -> np.ndarray:
    """Shares as logits that cross zero where half of a cell is inside."""
    return (16 * coarse(clip, stride) - 8).astype(np.float32)


def labels(clip: Truth, numbers: Callable[[int], int] = int, dtype: str = "int64") -> np.ndarray:
    """``(T, N)`` class numbers."""
    return np.tile(np.array([numbers(one) for one in CLASSES], dtype), (len(clip.masks), 1))


def coco_id(class_id: int) -> int:
    """COCO's category number."""
    return COCO_IDS[class_id]
