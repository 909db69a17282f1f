"""Layers calibrated after a change of activation: each channel's scale and shift refitted, in one forward pass.

After `with_activation` each layer's maps are a little off, and the next layer adds to it. Here, layer by layer in the
order in which they run, every channel's scale `g` and shift `d` before the activation are fitted by least squares
(Levenberg-Marquardt) so that `f(g y + d)` is what the original network has in that place; both are folded into the
convolution, and the next layer already sees the corrected map. After the bias correction of networks in fewer bits
(Nagel et al. 2019, "Data-free quantization", section 4.2), with a scale, and on pictures.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from export.networks.activation import MAP_SCALES, Activation
from export.networks.yolact_nano import Conv

if TYPE_CHECKING:
    from collections.abc import Iterator

    from export.networks.yolact_nano import YolactNano

PLACES = 6000  # of a map, on which its channels are fitted
ROUNDS = 12
SCALE_LIMITS = (0.5, 2.0)


@torch.no_grad()
def calibrate(network: YolactNano, original: YolactNano, images: Tensor) -> None:
    """Fit a network of another activation to the one that it was made of.

    Args:
        network: of `with_activation`; changed in place.
        original: of the same layers.
        images: (B, 3, H, W) float, BGR 0..255.
    """
    wanted: dict[str, Tensor] = {}
    with observed(original, wanted):
        original(images)
    factor = MAP_SCALES[network.activation] / MAP_SCALES[original.activation]
    with corrected(network, wanted, factor):
        network(images)


class Observing(Activation):
    """An activation that notes what it gives, sampled, under the layer's name."""

    def __init__(self, name: str, layer: str, found: dict[str, Tensor], axis: int) -> None:
        super().__init__(name)
        self.layer, self.found, self.axis = layer, found, axis

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        y = super().forward(x)
        self.found[self.layer] = sampled(y, self.axis)
        return y


class Correcting(Activation):
    """An activation that fits its layer's channels first.

    Args:
        name: of the activation.
        conv: the layer before it.
        wanted: (N, C) what this activation is to give at the places that are sampled.
        axis: of the channels.
    """

    def __init__(self, name: str, conv: nn.Conv2d, wanted: Tensor, axis: int) -> None:
        super().__init__(name)
        self.conv, self.wanted, self.axis = [conv], wanted, axis  # in a list: it is the network's, not a part of this

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        scale, shift = self.fit(sampled(x, self.axis))
        fold(self.conv[0], scale, shift)
        shape = [1] * x.ndim
        shape[self.axis] = -1
        return super().forward(x * scale.view(shape) + shift.view(shape))

    def fit(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift (C,) each of values (N, C) by Levenberg-Marquardt, all channels at once."""
        scale, shift = torch.ones_like(values[0]), torch.zeros_like(values[0])
        damping = torch.full_like(scale, 1e-2)
        function = super().forward
        error = (function(values) - self.wanted).square().mean(dim=0)
        for _ in range(ROUNDS):
            with torch.enable_grad():
                inside = (values * scale + shift).requires_grad_()
                (slope,) = torch.autograd.grad(function(inside).sum(), inside)
            rest = self.wanted - function(inside.detach())
            by_scale = slope * values
            a, b, c = (term.mean(dim=0) for term in (by_scale * by_scale, by_scale * slope, slope * slope))
            a, c = a * (1 + damping) + 1e-9, c * (1 + damping) + 1e-9
            p, q = (by_scale * rest).mean(dim=0), (slope * rest).mean(dim=0)
            determinant = (a * c - b * b).clamp(min=1e-12)
            new_scale = (scale + (c * p - b * q) / determinant).clamp(*SCALE_LIMITS)
            new_shift = shift + (a * q - b * p) / determinant
            new_error = (function(values * new_scale + new_shift) - self.wanted).square().mean(dim=0)
            better = new_error < error
            scale, shift = torch.where(better, new_scale, scale), torch.where(better, new_shift, shift)
            error = torch.where(better, new_error, error)
            damping = torch.where(better, damping * 0.3, damping * 10.0)
        return scale, shift


@contextlib.contextmanager
def observed(network: YolactNano, found: dict[str, Tensor]) -> Iterator[None]:
    """While it lasts, a forward pass notes what every layer gives."""
    hooks = [
        module.register_forward_hook(lambda _, __, y, name=name: found.update({name: sampled(y, 1)}))
        for name, module in output_layers(network)
    ]
    layers = [(name, module) for name, module in network.named_modules() if isinstance(module, Conv)]
    with replaced(
        [(module, Observing(network.activation, name, found, channel_axis(module))) for name, module in layers], hooks
    ):
        yield


@contextlib.contextmanager
def corrected(network: YolactNano, wanted: dict[str, Tensor], factor: float) -> Iterator[None]:
    """While it lasts, a forward pass corrects every layer: maps to `factor` times those wanted, outputs to these."""

    def straighten(module: nn.Conv2d, _: object, y: Tensor, *, name: str) -> Tensor:
        found, goal = sampled(y, 1), wanted[name]
        centred = found - found.mean(dim=0)
        scale = (centred * goal).mean(dim=0) / centred.square().mean(dim=0).clamp(min=1e-9)
        scale = scale.clamp(*SCALE_LIMITS)
        shift = goal.mean(dim=0) - scale * found.mean(dim=0)
        fold(module, scale, shift)
        return y * scale[:, None, None] + shift[:, None, None]

    hooks = [
        module.register_forward_hook(lambda module, x, y, name=name: straighten(module, x, y, name=name))
        for name, module in output_layers(network)
    ]
    layers = [(name, module) for name, module in network.named_modules() if isinstance(module, Conv)]
    activations = [
        (module, Correcting(network.activation, module.conv, wanted[name] * factor, channel_axis(module)))
        for name, module in layers
    ]
    with replaced(activations, hooks):
        yield


@contextlib.contextmanager
def replaced(
    activations: list[tuple[Conv, Activation]], hooks: list[torch.utils.hooks.RemovableHandle]
) -> Iterator[None]:
    """While it lasts, layers have activations of their own; hooks end with it."""
    before = [module.activation for module, _ in activations]
    for module, activation in activations:
        module.activation = activation
    try:
        yield
    finally:
        for (module, _), activation in zip(activations, before, strict=True):
            module.activation = activation
        for hook in hooks:
            hook.remove()


def output_layers(network: YolactNano) -> list[tuple[str, nn.Conv2d]]:
    """The convolutions whose results are outputs, by name."""
    layers = {name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}
    return [(name, module) for name, module in layers.items() if not name.endswith((".conv", ".skip"))]


def channel_axis(module: Conv) -> int:
    """Where an activation of a layer finds the channels: 1 x 1 convolutions are products, channels last."""
    return -1 if module.conv.kernel_size == (1, 1) else 1


def sampled(values: Tensor, axis: int) -> Tensor:
    """Some places of a map, the same ones each time, (N, C)."""
    rows = values.movedim(axis, -1).flatten(0, -2)
    step = max(1, len(rows) // PLACES)
    return rows[::step].detach().float()


def fold(conv: nn.Conv2d, scale: Tensor, shift: Tensor) -> None:
    """Make a layer give `scale` times what it gave, and `shift` more, channel by channel."""
    conv.weight.mul_(scale[:, None, None, None])
    conv.bias.mul_(scale).add_(shift)
