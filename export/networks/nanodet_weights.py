"""Weights of `YolactNanoDet` from NanoDet-Plus's ncnn files and from exported files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from export.networks.aligned import aligned, restored
from export.networks.yolact_nanodet import DEVIATION, YolactNanoDet
from export.onnx.ncnn_to_onnx import build
from tracker.errors import ModelError
from tracker.segment.contracts.decoder import COCO_CLASSES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import onnx

START_WITH = "give the .param file of nanodet-plus-m with its .bin file beside it, or a file of yolact-nanodet"
KEY = "neck.more_in.0.conv.bias"
"""A parameter that yolact-nanodet alone has."""


def load_ncnn(param: Path, rows: Sequence[int]) -> YolactNanoDet:
    """The network of NanoDet-Plus-m's ncnn files, its masks' layers at their start.

    Layers are taken in the order in which they run, and every shape is checked; every layer and byte is used.

    Args:
        param: the `.param` file; the `.bin` file has its name.
        rows: class rows to keep of COCO's 80.

    Raises:
        ModelError: another network.
    """
    graph = build(param, param.with_suffix(".bin"))
    tensors = {item.name: numpy_helper.to_array(item) for item in graph.constants}
    layers = [name.removesuffix(".weight") for name in tensors if name.endswith(".weight")]
    network = YolactNanoDet([COCO_CLASSES[row] for row in rows])
    modules = convolutions_in_order(network)
    if len(layers) != len(modules):
        raise ModelError(
            param, f"{len(layers)} convolutions, expected the {len(modules)} of NanoDet-Plus-m", START_WITH
        )
    with torch.no_grad():
        for name, targets in zip(layers, modules, strict=True):
            weight, bias = (torch.from_numpy(np.array(tensors[f"{name}.{kind}"])) for kind in ("weight", "bias"))
            if len(targets) == 2:  # class scores and distances are one layer there
                kept = [*rows, *range(len(COCO_CLASSES), len(bias))]
                weight, bias = weight[kept], bias[kept]
            wanted = (sum(target.out_channels for target in targets), *targets[0].weight.shape[1:])
            if tuple(weight.shape) != wanted:
                raise ModelError(param, f"{name} has shape {tuple(weight.shape)}, expected {wanted}", START_WITH)
            sizes = [target.out_channels for target in targets]
            for target, values, shifts in zip(targets, weight.split(sizes), bias.split(sizes), strict=True):
                target.weight.copy_(values)
                target.bias.copy_(shifts)
        network.backbone.stem.conv.weight.div_(torch.tensor(DEVIATION).view(1, 3, 1, 1))
    return network


def convolutions_in_order(network: YolactNanoDet) -> list[list[nn.Conv2d]]:
    """The detector's convolutions in the order of the published files; those that are one layer there together."""
    neck = network.neck
    blocks = [network.backbone, neck.laterals, *neck.top_down, neck.down3, neck.bottom_up4, neck.down4, neck.bottom_up5]
    blocks += [neck.more_in, neck.more_out]
    found = [[layer] for block in blocks for layer in block.modules() if isinstance(layer, nn.Conv2d)]
    for head in network.heads:
        found += [[layer.conv] for part in (head.stem, head.convs) for layer in part]
        found.append([head.class_out, head.box_out])
    return found


def from_state(state: Mapping[str, Tensor], classes: Sequence[str], *, mask_growth: float = 0.0) -> YolactNanoDet:
    """The network of a checkpoint's weights."""
    network = YolactNanoDet(classes, len(state["mask_head.prototypes_out.bias"]))
    network.mask_growth = mask_growth
    network.load_state_dict(dict(state))
    return network


def from_exported(path: Path, model: onnx.ModelProto) -> YolactNanoDet:
    """The network inside an exported file: the file is enough to train it further.

    Raises:
        ModelError: the file holds another network.
    """
    said = {item.key: item.value for item in model.metadata_props}
    tensors = {
        item.name.removeprefix("network."): torch.from_numpy(np.array(numpy_helper.to_array(item)))
        for item in model.graph.initializer
        if item.name.startswith("network.")
    }
    classes = json.loads(said.get("masktrail.classes", "[]"))
    network = YolactNanoDet(classes, len(tensors.get("mask_head.prototypes_out.bias", ())))
    form = aligned(network)
    expected = form.state_dict()
    wrong = [key for key in expected if key not in tensors or tensors[key].shape != expected[key].shape]
    if wrong:
        found = f"{len(wrong)} parameters missing or of another shape, the first {wrong[0]}"
        raise ModelError(path, found, START_WITH)
    form.load_state_dict({key: tensors[key] for key in expected})
    network = restored(form, network)
    network.mask_growth = float(said.get("masktrail.mask_growth", 0.0))
    return network
