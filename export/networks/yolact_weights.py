"""Strict loading of dbolya's YOLACT checkpoints, new and old, into `Yolact`."""

from __future__ import annotations

import dataclasses
import pickle
import re
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from export.networks.yolact import (
    CONFIGURATIONS,
    DOWNSAMPLED,
    Bottleneck,
    Configuration,
    DarkBlock,
    DeformableConv,
    InvertedResidual,
    Yolact,
)
from tracker.errors import ModelError
from tracker.segment.contracts.decoder import COCO_CLASSES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SHOWN = 4  # keys that an error names


def load_checkpoint(path: Path, configuration: Configuration) -> Yolact:
    """The network with the weights of a `.pth` file; the number of classes is the file's.

    Raises:
        ModelError: No such file, no state dict, or one that does not fit the configuration to the last key and shape.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(
            path, f"cannot be read ({error.strerror})", "check the path, or try --weights random:0"
        ) from error
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        problem = f"expected a PyTorch state dict, found something else ({str(error).splitlines()[0]})"
        raise ModelError(path, problem, "give the .pth file as the training script saved it") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        found = ", ".join(list(state)[:SHOWN]) if isinstance(state, dict) else type(state).__name__
        raise ModelError(
            path, f"expected a state dict (name -> tensor), found {found}", "save `net.state_dict()` alone"
        )
    return load_state(state, configuration, label=str(path))


def load_state(state: dict[str, Tensor], configuration: Configuration, *, label: str = "state dict") -> Yolact:
    """The network with the weights of a state dict under the published names; see `load_checkpoint`."""
    state = renamed(state)
    head = state.get("prediction_layers.0.conf_layer.weight")
    if head is not None and head.shape[0] % configuration.anchors == 0:
        classes = head.shape[0] // configuration.anchors - 1
        configuration = dataclasses.replace(configuration, classes=classes)
    with torch.device("meta"):
        network = Yolact(configuration)
    wanted = network.state_dict()
    for key in wanted.keys() - state.keys():
        if key.endswith("num_batches_tracked"):  # saved before PyTorch 0.4.1; not used outside training
            state[key] = torch.tensor(0)
    missing, unexpected = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    shapes = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in state and state[key].shape != value.shape
    ]
    if missing or unexpected or shapes:
        found = [("missing", missing), ("unexpected", unexpected), ("of another shape", shapes)]
        problem = "; ".join(f"{len(keys)} keys {kind}: {listed(keys)}" for kind, keys in found if keys)
        raise ModelError(label, problem, remedy(state, configuration))
    network.load_state_dict(state, strict=True, assign=True)
    return network.float().requires_grad_(requires_grad=False).eval()


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict with the names of older files brought to those of today.

    Version 1.0 held each ResNet stage twice, as `backbone.layer1` and `backbone.layers.0`, and more downsampling layers
    than it used; training on several GPUs puts `module.` in front.
    """
    if state and all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    kept: dict[str, Tensor] = {}
    for key, value in state.items():
        stage = re.match(r"backbone\.layer(\d)\.(.*)", key)
        extra = re.match(r"fpn\.downsample_layers\.(\d+)\.", key)
        if stage is not None:
            today = f"backbone.layers.{int(stage[1]) - 1}.{stage[2]}"
            if today not in state:
                kept[today] = value
        elif extra is None or int(extra[1]) < DOWNSAMPLED:
            kept[key] = value
    return kept


def listed(keys: Sequence[str]) -> str:
    """The first few."""
    return ", ".join(keys[:SHOWN]) + (", ..." if len(keys) > SHOWN else "")


def remedy(state: dict[str, Tensor], configuration: Configuration) -> str:
    """Which configuration the file is of, as far as its names tell."""
    if "backbone._preconv.0.weight" in state:
        backbone = "darknet53"
    elif "backbone.layers.8.0.weight" in state:
        backbone = "mobilenetv2"
    elif "backbone.layers.2.22.conv1.weight" in state:
        backbone = "resnet101"
    elif "backbone.layers.2.5.conv1.weight" in state:
        backbone = "resnet50"
    else:
        return "this is no YOLACT checkpoint of dbolya's code; save `net.state_dict()` of the whole network"
    plus = any("conv_offset_mask" in key for key in state)
    if backbone != configuration.backbone or plus != bool(configuration.deformable):
        held = [name for name, other in CONFIGURATIONS.items() if other.backbone == backbone]
        fitting = [name for name in held if bool(CONFIGURATIONS[name].deformable) == plus]
        kind = " with deformable convolutions" if plus else ""
        return f"the file has a {backbone} backbone{kind}: --config {' or '.join(fitting)}"
    return "take the file as the training script saved it, whole"


def class_names(configuration: Configuration, given: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the classes: those given, else COCO's where the number fits.

    Raises:
        ModelError: The number of names is not that of the checkpoint's classes.
    """
    names = tuple(given or COCO_CLASSES)
    if len(names) != configuration.classes:
        problem = f"expected {configuration.classes} names as the checkpoint has classes, found {len(names)}"
        raise ModelError("--classes", problem, "name all classes in training order, without the background")
    return names


def random_network(configuration: Configuration, seed: int) -> Yolact:
    """A network with random weights whose signals keep their size all the way, so that it finds (absurd) instances."""
    generator = torch.Generator().manual_seed(seed)
    network = Yolact(configuration).requires_grad_(requires_grad=False).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | DeformableConv):
            module.weight.normal_(0.0, (2.0 / module.weight[0].numel()) ** 0.5, generator=generator)
            if module.bias is not None:
                module.bias.normal_(0.0, 0.1, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0.0, 0.1, generator=generator)
            module.running_var.uniform_(0.8, 1.2, generator=generator)
            module.bias.normal_(0.0, 0.1, generator=generator)
    soften(network)
    if network.maskiou_net is not None:
        network.maskiou_net.maskiou_net[-2].bias.add_(0.6)
    for lateral in network.fpn.lat_layers:
        lateral.weight.mul_(0.2)
    head = network.prediction_layers[0]
    for layer, gain in ((head.bbox_layer, 0.5), (head.conf_layer, 1.5), (head.mask_layer, 0.5)):
        # After a ReLU the inputs' common part is their mean: without it every place would have the same answer.
        layer.weight.sub_(layer.weight.mean(dim=(1, 2, 3), keepdim=True)).mul_(gain)
    return network


def soften(network: Yolact) -> None:
    """Let residual branches add a little each, rather than double the signal."""
    for module in network.modules():
        if isinstance(module, Bottleneck):
            module.bn3.weight.fill_(0.2)
        elif isinstance(module, DarkBlock):
            module.conv2[1].weight.fill_(0.2)
        elif isinstance(module, InvertedResidual) and module.shortcut:
            module.conv[-1].weight.fill_(0.2)
