"""ONNX files in, YOLOX-nano's published one or this project's own; a `YolactNano` that computes the same leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from export.yolact_nano import FOCUS_ORDER, YolactNano

if TYPE_CHECKING:
    from pathlib import Path

COCO_ROWS = (0, 1, 2, 3, 5, 7)  # person, bicycle, car, motorcycle, bus, truck among COCO's 80


def load_yolox(path: Path, rows: tuple[int, ...] | None = COCO_ROWS) -> YolactNano:
    """Build the network from a YOLOX-nano ONNX file whose batch norms are folded.

    The file keeps no module names for its folded convolutions, so that they are taken in the order in which they run,
    which `convolutions_in_order` repeats; every shape is checked.

    Args:
        path: the ONNX file.
        rows: class rows to keep, or None for all of the file's.

    Raises:
        ValueError: when the file holds another network.
    """
    graph = onnx.load(str(path)).graph
    tensors = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    nodes = [node for node in graph.node if node.op_type == "Conv"]
    network = YolactNano(classes=len(rows) if rows else tensors["head.cls_preds.0.weight"].shape[0])
    modules = convolutions_in_order(network)
    if len(nodes) != len(modules):
        message = f"{path}: {len(nodes)} convolutions, expected the {len(modules)} of YOLOX-nano"
        raise ValueError(message)
    with torch.no_grad():
        for node, module in zip(nodes, modules, strict=True):
            weight, bias = tensors[node.input[1]], tensors[node.input[2]]
            if "cls_preds" in node.input[1] and rows:
                weight, bias = weight[list(rows)], bias[list(rows)]
            if weight.shape != tuple(module.weight.shape):
                message = f"{path}: {node.input[1]} has shape {weight.shape}, expected {tuple(module.weight.shape)}"
                raise ValueError(message)
            module.weight.copy_(torch.from_numpy(np.array(weight)))
            module.bias.copy_(torch.from_numpy(np.array(bias)))
    return network


def convolutions_in_order(network: YolactNano) -> list[nn.Conv2d]:
    """The detector's convolutions in the order of the published graph's nodes."""
    blocks: list[nn.Module] = [network.backbone, network.neck, *network.heads]
    return [module for block in blocks for module in block.modules() if isinstance(module, nn.Conv2d)]


def blend(trained: YolactNano, initial: YolactNano, share: float) -> YolactNano:
    """Detector weights part of the way from the initial to the trained ones (WiSE-FT, Wortsman et al. 2022).

    Fine-tuning on a few hundred pictures forgets some of what 118,000 taught; between the two lies a network that
    keeps most of both. The mask head stays as trained.

    Args:
        trained: after training.
        initial: what its detector began with.
        share: 1 for the trained weights, 0 for the initial ones.
    """
    before = initial.state_dict()
    mixed = {
        key: value if key.startswith("mask_head") else torch.lerp(before[key], value, share)
        for key, value in trained.state_dict().items()
    }
    trained.load_state_dict(mixed)
    return trained


def load_exported(path: Path) -> YolactNano:
    """The network inside an exported `yolact-nano` file: whoever has the file can train it further.

    The graph keeps every parameter under its own name; only the first convolution was folded with `focus`, and is
    taken apart again.

    Raises:
        ValueError: when the file holds another network.
    """
    prefix = "network."
    tensors = {
        item.name.removeprefix(prefix): torch.from_numpy(np.array(numpy_helper.to_array(item)))
        for item in onnx.load(str(path)).graph.initializer
        if item.name.startswith(prefix)
    }
    stem = "backbone.stem.conv.weight"
    if tensors.get(stem, torch.zeros(0)).shape[-2:] != (6, 6):
        message = f"{path}: no folded first convolution, expected a file of `python -m export nano`"
        raise ValueError(message)
    pixels = tensors[stem]
    tensors[stem] = torch.cat([pixels[:, :, dy::2, dx::2] for dy, dx in FOCUS_ORDER], dim=1)
    classes, prototypes = (len(tensors[key]) for key in ("heads.0.class_out.bias", "mask_head.prototypes_out.bias"))
    network = YolactNano(classes=classes, prototypes=prototypes)
    expected = network.state_dict()
    wrong = [key for key in expected if key not in tensors or tensors[key].shape != expected[key].shape]
    wrong += [key for key in tensors if key not in expected]
    if wrong:
        message = f"{path}: {len(wrong)} parameters missing, unknown or of another shape, the first {wrong[0]}"
        raise ValueError(message)
    network.load_state_dict(tensors)
    return network
