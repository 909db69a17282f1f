"""Activations of yolact-nano's layers: SiLU, as published, and HardSwish, which runtimes fuse with the convolution.

HardSwish (Howard et al. 2019, "Searching for MobileNetV3", section 5.2) is `x * clip(x + 3, 0, 6) / 6`; SiLU is
`x * sigmoid(x)`, whose gate is steeper. `x * hardsigmoid(s * x)` with `s` above 1 is nearer to it. As all layers
between two activations are linear or maxima, that is HardSwish in a network whose maps are all `s` times as large:
biases and the first layer's weights times `s`, the last layers' weights divided by it.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from tracker.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from export.networks.yolact_nano import YolactNano

SILU, HARDSWISH = "silu", "hardswish"
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {SILU: functional.silu, HARDSWISH: functional.hardswish}
MAP_SCALES = {SILU: 1.0, HARDSWISH: 1.2}
"""How much larger a network's maps are than those of the SiLU network that it is made of; docs/experiments/training.md
has the figures by which it was chosen."""


class Activation(nn.Module):
    """The activation of all layers of one network; it has no parameters.

    Args:
        name: `silu` or `hardswish`.

    Raises:
        ModelError: another name.
    """

    def __init__(self, name: str = SILU) -> None:
        super().__init__()
        if name not in FUNCTIONS:
            raise ModelError("activation", f"expected {' or '.join(FUNCTIONS)}, found {name!r}", "take one of these")
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        return FUNCTIONS[self.name](x)


def with_activation(network: YolactNano, name: str) -> YolactNano:
    """A network of another activation whose outputs are as near as they can be without training; the same if it has it.

    Raises:
        ModelError: no such activation.
    """
    if name == network.activation:
        return network
    changed = copy.deepcopy(network)
    changed.set_activation(name)
    factor = MAP_SCALES[name] / MAP_SCALES[network.activation]
    with torch.no_grad():
        for key, value in changed.named_parameters():
            if is_output(key):
                if key.endswith("weight"):
                    value.div_(factor)
            elif key.endswith("bias") or key == "backbone.stem.conv.weight":
                value.mul_(factor)
    return changed


def is_output(key: str) -> bool:
    """Is a parameter of a layer whose results are outputs, after which there is no activation?

    >>> is_output("heads.0.class_out.bias"), is_output("mask_head.skip.bias")
    (True, False)
    """
    return any(
        part in {"out", "class_out", "box_out", "objectness_out", "prototypes_out", "coefficients_out"}
        for part in key.split(".")
    )
