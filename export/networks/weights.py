"""Weights of `YolactNano` from published, exported and training files."""

from __future__ import annotations

import copy
import json
import math
import pickle
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from torch import Tensor, nn

from export.networks import nanodet_weights
from export.networks.activation import SILU
from export.networks.compact import FORM, expand
from export.networks.solov2_nano import SoloNano
from export.networks.yolact_nano import CLASSES, FOCUS_ORDER, YolactNano
from tracker.errors import ModelError
from tracker.segment.contracts.decoder import COCO_CLASSES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from export.networks.yolact_nanodet import YolactNanoDet

START_WITH = "start from a file of models/yolact-nano, a checkpoint of `train`, or YOLOX-nano's published ONNX file"
SOLO_KEY = "mask_head.features_out.bias"
EMBEDDING_BIAS = "embedding_head.out.bias"
COCO_ROWS = (0, 1, 2, 3, 5, 7)  # person, bicycle, car, motorcycle, bus, truck among COCO's 80


def load_yolox(path: Path, rows: tuple[int, ...] | None = COCO_ROWS) -> YolactNano:
    """Build the network from a YOLOX-nano ONNX file whose batch norms are folded.

    The file keeps no module names for its folded convolutions, so that they are taken in the order in which they run,
    which `convolutions_in_order` repeats; every shape is checked.

    Args:
        path: the ONNX file.
        rows: class rows to keep, or None for all of the file's.

    Raises:
        ModelError: when the file holds another network.
    """
    graph = load_onnx(path).graph
    tensors = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    nodes = [node for node in graph.node if node.op_type == "Conv"]
    network = YolactNano(classes=[COCO_CLASSES[row] for row in rows or range(len(COCO_CLASSES))])
    modules = convolutions_in_order(network)
    if len(nodes) != len(modules):
        raise ModelError(path, f"{len(nodes)} convolutions, expected the {len(modules)} of YOLOX-nano", START_WITH)
    with torch.no_grad():
        for node, module in zip(nodes, modules, strict=True):
            weight, bias = tensors[node.input[1]], tensors[node.input[2]]
            if "cls_preds" in node.input[1] and rows:
                weight, bias = weight[list(rows)], bias[list(rows)]
            if weight.shape != tuple(module.weight.shape):
                shapes = f"{node.input[1]} has shape {weight.shape}, expected {tuple(module.weight.shape)}"
                raise ModelError(path, shapes, START_WITH)
            module.weight.copy_(torch.from_numpy(np.array(weight)))
            module.bias.copy_(torch.from_numpy(np.array(bias)))
    return network


def convolutions_in_order(network: YolactNano) -> list[nn.Conv2d]:
    """The detector's convolutions in the order of the published graph's nodes."""
    blocks: list[nn.Module] = [network.backbone, network.neck, *network.heads]
    return [module for block in blocks for module in block.modules() if isinstance(module, nn.Conv2d)]


def load_exported(path: Path) -> YolactNano:
    """The network inside an exported `yolact-nano` file: the file is enough to train it further.

    The graph keeps every parameter under its own name; only the first convolution was folded with `focus`, and is
    taken apart again.

    Raises:
        ModelError: when the file holds another network.
    """
    model = load_onnx(path)
    tensors = exported_tensors(path, model)
    if SOLO_KEY in tensors:
        raise ModelError(path, "expected weights of yolact-nano, found those of solov2-nano", START_WITH)
    classes, prototypes = (len(tensors[key]) for key in ("heads.0.class_out.bias", "mask_head.prototypes_out.bias"))
    written = [item.value for item in model.metadata_props if item.key == "masktrail.classes"]
    names = json.loads(written[0]) if written else CLASSES
    if len(names) != classes:
        raise ModelError(path, f"names {len(names)} classes and scores {classes}", START_WITH)
    said = {item.key: item.value for item in model.metadata_props}
    network = YolactNano(
        classes=names,
        prototypes=prototypes,
        embedding=len(tensors.get(EMBEDDING_BIAS, ())),
        activation=said.get("masktrail.activation", SILU),
    )
    network.mask_growth = float(said.get("masktrail.mask_growth", 0.0))
    load_all(network, tensors, path)
    return network


def exported_tensors(path: Path, model: onnx.ModelProto) -> dict[str, Tensor]:
    """Parameters of an exported file by name, its first convolution over the blocks of `focus` again.

    Raises:
        ModelError: when the file holds another network.
    """
    prefix = "network."
    tensors = {
        item.name.removeprefix(prefix): torch.from_numpy(np.array(numpy_helper.to_array(item)))
        for item in model.graph.initializer
        if item.name.startswith(prefix)
    }
    stem = "backbone.stem.conv.weight"
    if tensors.get(stem, torch.zeros(0)).shape[-2:] != (6, 6):
        raise ModelError(path, "no folded first convolution, expected a file of `python -m export nano`", START_WITH)
    pixels = tensors[stem]
    tensors[stem] = torch.cat([pixels[:, :, dy::2, dx::2] for dy, dx in FOCUS_ORDER], dim=1)
    return tensors


def load_all(network: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Load every parameter.

    Raises:
        ModelError: some are missing, unknown or of another shape.
    """
    expected = network.state_dict()
    wrong = [key for key in expected if key not in tensors or tensors[key].shape != expected[key].shape]
    wrong += [key for key in tensors if key not in expected]
    if wrong:
        found = f"{len(wrong)} parameters missing, unknown or of another shape, the first {wrong[0]}"
        raise ModelError(path, found, START_WITH)
    network.load_state_dict(tensors)


def load_onnx(path: Path) -> onnx.ModelProto:
    """An ONNX file; one that is none is a `ModelError`."""
    try:
        return onnx.load(str(path), load_external_data=False)
    except (OSError, DecodeError) as error:
        raise ModelError(path, f"expected an ONNX file, found: {error}", START_WITH) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What `Run.save` or `compact` wrote; checkpoints without class names or activation are of the first versions.

    Raises:
        ModelError: no such file, or no checkpoint.
    """
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ModelError(path, f"expected a checkpoint, found: {str(error).splitlines()[0]}", START_WITH) from error
    if isinstance(state, dict) and FORM in state:
        state = expand(state)
    if not isinstance(state, dict) or "average" not in state:
        raise ModelError(path, "expected a checkpoint of `python -m export train`, found other contents", START_WITH)
    return {"classes": list(CLASSES), "activation": SILU, "mask_growth": 0.0, **state}


def load_network(path: Path) -> YolactNano | YolactNanoDet:
    """The network of any file to start from: an export, a checkpoint (its averages), YOLOX-nano or NanoDet-Plus-m.

    Raises:
        ModelError: none of these.
    """
    if not path.is_file():
        raise ModelError(path, "no such file", START_WITH)
    if path.suffix == ".param":
        return nanodet_weights.load_ncnn(path, COCO_ROWS)
    if path.suffix == ".onnx":
        model = load_onnx(path)
        if any(item.name == f"network.{nanodet_weights.KEY}" for item in model.graph.initializer):
            return nanodet_weights.from_exported(path, model)
        ours = any(item.key == "masktrail.contract" for item in model.metadata_props)
        return load_exported(path) if ours else load_yolox(path)
    state = load_checkpoint(path)
    average = state["average"]
    if nanodet_weights.KEY in average:
        return nanodet_weights.from_state(average, state["classes"], mask_growth=state["mask_growth"])
    if SOLO_KEY in average:
        raise ModelError(path, "expected weights of yolact-nano, found those of solov2-nano", START_WITH)
    prototypes, embedding = (len(average.get(key, ())) for key in ("mask_head.prototypes_out.bias", EMBEDDING_BIAS))
    network = YolactNano(
        classes=state["classes"], prototypes=prototypes, embedding=embedding, activation=state["activation"]
    )
    network.mask_growth = state["mask_growth"]
    network.load_state_dict(average)
    return network


def load_solov2_nano(path: Path) -> SoloNano:
    """The network of a checkpoint of `train --model solov2-nano` (its averaged weights), or of its exported file.

    Raises:
        ModelError: another file.
    """
    if path.suffix == ".onnx":
        model = load_onnx(path)
        said = {item.key: item.value for item in model.metadata_props}
        tensors = exported_tensors(path, model)
        classes = json.loads(said.get("masktrail.classes", "[]"))
        activation = said.get("masktrail.activation", SILU)
    else:
        state = load_checkpoint(path)
        tensors, classes, activation = state["average"], state["classes"], state["activation"]
    if SOLO_KEY not in tensors:
        remedy = "take a checkpoint of `python -m export train --model solov2-nano`"
        raise ModelError(path, "expected weights of solov2-nano, found others", remedy)
    network = SoloNano(classes, len(tensors[SOLO_KEY]), activation=activation)
    for key in network.state_dict():  # the exporter stores equal tensors once: biases that are still zero at all levels
        first = re.sub(r"(category_out)\.\d\.bias", r"\1.0.bias", key)
        if key not in tensors and first in tensors:
            tensors[key] = tensors[first]
    load_all(network, tensors, path)
    return network


def training_facts(path: Path) -> dict[str, Any]:
    """Facts of a checkpoint's training, for the manifest: steps, network size, validation figures."""
    if path.suffix == ".onnx":
        return {}
    state = load_checkpoint(path)
    facts = {"size": state.get("size"), "steps": state.get("step"), "validation": state.get("val")}
    return {key: value for key, value in facts.items() if value}


def masks_are_trained(path: Path) -> bool:
    """Has a file to start from a trained mask head? YOLOX-nano's has none."""
    if path.suffix != ".onnx":
        return path.suffix != ".param"
    return any(item.key == "masktrail.contract" for item in load_onnx(path).metadata_props)


def with_classes(network: YolactNano, classes: Sequence[str]) -> YolactNano:
    """The network with other classes: rows of the same name keep what they know.

    A new class starts as the mean of the rows there were, with a bias by which an object is as likely of it as of any
    other class. (With the mean of the biases too, a new class alone scored below 0.05 everywhere after 23 steps.)
    """
    if tuple(classes) == network.classes:
        return network
    changed = copy.deepcopy(network)
    changed.classes = tuple(classes)
    prior = -math.log(max(1, len(classes) - 1))
    for head in changed.heads:
        before, after = head.class_out, nn.Conv2d(head.class_out.in_channels, len(classes), 1)
        new = before.weight.data.mean(dim=0)
        after.weight = nn.Parameter(take_rows(before.weight.data, network.classes, classes, new=new))
        after.bias = nn.Parameter(take_rows(before.bias.data, network.classes, classes, new=torch.tensor(prior)))
        head.class_out = after
    return changed


def take_rows(values: Tensor, before: Sequence[str], after: Sequence[str], *, new: Tensor) -> Tensor:
    """Rows (C, ...) of a class layer in another order, `new` for names that it does not have."""
    return torch.stack([values[list(before).index(name)] if name in before else new.to(values) for name in after])
