"""Layers calibrated after a change of activation: their weights fitted by least squares, in one forward pass.

After `with_activation` each layer's maps are a little off, and the next layer adds to it. Here, layer by layer in the
order in which they run, the weights are fitted so that the layer gives what the original network has in that place,
from the maps that the layers before it, fitted already, give. After layer-wise reconstruction of compressed networks
(Nagel et al. 2020, "Up or down?", section 3.2), without rounding. It takes a minute, training as far takes hours.

A layer minimises the squared error of `f(w . x)` over sampled places `x`, by gradient steps that are preconditioned
with the inverse of the inputs' second moments: were `f` linear, one step would be the least squares' solution.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.networks.activation import MAP_SCALES, Activation
from export.networks.yolact_nano import Conv

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from export.networks.yolact_nano import YolactNano

PLACES = 20_000  # of a map, on which its layer is fitted
ROUNDS = 14
RIDGE = 1e-3  # of the mean second moment: how much a weight's change costs
BACKGROUND = 0.02  # weight of a place of the heads where nothing is; that of an object is 1


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


@contextlib.contextmanager
def observed(network: YolactNano, found: dict[str, Tensor]) -> Iterator[None]:
    """While it lasts, a forward pass notes what every layer gives."""
    hooks = [
        module.register_forward_hook(lambda _, __, y, name=name: found.update({name: sampled(y, 1)}))
        for name, module in output_layers(network)
    ]
    layers = conv_layers(network)
    before = [module.activation for _, module in layers]
    for name, module in layers:
        module.activation = Observing(network.activation, name, found, channel_axis(module))
    try:
        yield
    finally:
        for (_, module), activation in zip(layers, before, strict=True):
            module.activation = activation
        for hook in hooks:
            hook.remove()


@contextlib.contextmanager
def corrected(network: YolactNano, wanted: dict[str, Tensor], factor: float) -> Iterator[None]:
    """While it lasts, a forward pass fits every layer: maps to `factor` times those wanted, outputs to these."""
    function = Activation(network.activation)

    def fit_layer(module: Conv, inputs: tuple[Tensor], *, name: str) -> None:
        fit(module.conv, inputs[0], wanted[name] * factor, function, None)

    def fit_output(module: nn.Conv2d, inputs: tuple[Tensor], *, name: str) -> None:
        fit(module, inputs[0], wanted[name], nn.Identity(), object_weights(name, wanted))

    layers = [
        *((module, fit_layer, name) for name, module in conv_layers(network)),
        *((module, fit_output, name) for name, module in output_layers(network)),
    ]
    hooks = [
        module.register_forward_pre_hook(lambda module, inputs, call=call, name=name: call(module, inputs, name=name))
        for module, call, name in layers
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def object_weights(name: str, wanted: Mapping[str, Tensor]) -> Tensor | None:
    """Weights (N,) of the places of an output layer of a head: what it says where nothing is does not matter."""
    if name.endswith("objectness_out"):
        return None
    level = name.replace("mask_head.coefficients_out", "heads") if "coefficients" in name else name.rpartition(".")[0]
    seen = wanted.get(f"{level}.objectness_out")
    return None if seen is None else seen[:, 0].sigmoid() + BACKGROUND


def fit(conv: nn.Conv2d, x: Tensor, wanted: Tensor, function: nn.Module, weights: Tensor | None) -> None:
    """Fit a layer's weights in place.

    Args:
        conv: the layer.
        x: (B, C, H, W) what it is given.
        wanted: (N, D) what `function` of its results is to be at the sampled places.
        function: after it.
        weights: (N,) of the places; None = all the same.
    """
    depthwise = conv.groups > 1
    rows = patches(conv, x)  # (N, C, k * k)
    rows = rows.transpose(0, 1) if depthwise else rows.flatten(1)[None]  # (groups, N, F)
    rows = functional.pad(rows, (0, 1), value=1.0)  # the bias
    share = 1.0 if weights is None else (weights / weights.mean())[None, :, None]
    goal = wanted.T[:, :, None] if depthwise else wanted[None]  # (groups, N, outputs)
    flat = conv.weight.flatten(1)
    weight = flat[:, :, None] if depthwise else flat.T[None]  # (groups, F - 1, outputs)
    bias = conv.bias[:, None, None] if depthwise else conv.bias[None, None]
    theta = torch.cat((weight, bias), dim=1)  # (groups, F, outputs)
    moments = rows.transpose(1, 2) @ (rows * share) / rows.shape[1]
    ridge = RIDGE * moments.diagonal(dim1=1, dim2=2).mean(dim=1).clamp(min=1e-9)
    inverse = torch.linalg.inv(moments + ridge[:, None, None] * torch.eye(rows.shape[2]))
    theta = descend(theta, rows, goal, inverse, function, share)
    weight, bias = theta[:, :-1], theta[:, -1]
    conv.weight.copy_((weight[:, :, 0] if depthwise else weight[0].T).reshape(conv.weight.shape))
    conv.bias.copy_(bias.flatten())


def descend(  # noqa: PLR0917 - tensors of one layer
    theta: Tensor, rows: Tensor, goal: Tensor, inverse: Tensor, function: nn.Module, share: Tensor | float
) -> Tensor:
    """Preconditioned steps of all outputs at once, each with a step length of its own; arguments as in `fit`."""

    def errors(theta: Tensor) -> tuple[Tensor, Tensor]:
        """Mean squared error of every output, and minus half its gradient before the inputs' moments."""
        with torch.enable_grad():
            inside = (rows @ theta).requires_grad_()
            values = function(inside)
            (slope,) = torch.autograd.grad(values.sum(), inside)
        rest = goal - values.detach()
        return (rest.square() * share).mean(dim=1, keepdim=True), rest * share * slope

    best, (error, pull) = theta, errors(theta)
    length = torch.ones_like(error)
    for _ in range(ROUNDS):
        tried = best + length * (inverse @ (rows.transpose(1, 2) @ pull / rows.shape[1]))
        found, new_pull = errors(tried)
        better = found < error
        best, error, pull = (
            torch.where(better, new, old) for new, old in ((tried, best), (found, error), (new_pull, pull))
        )
        length = torch.where(better, (length * 1.2).clamp(max=1.5), length * 0.4)
    return best


def patches(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """What a layer reads at the places that `sampled` takes, (N, C, k * k)."""
    kernel, stride = conv.kernel_size[0], conv.stride[0]
    padded = functional.pad(x, (kernel // 2,) * 4)
    height, width = ((side - kernel) // stride + 1 for side in padded.shape[2:])
    places = torch.arange(0, len(x) * height * width, step_of(len(x) * height * width))
    image, y, x_ = places // (height * width), places // width % height * stride, places % width * stride
    padded = padded.permute(0, 2, 3, 1)
    cells = [padded[image, y + dy, x_ + dx] for dy in range(kernel) for dx in range(kernel)]
    return torch.stack(cells, dim=2).float()


def sampled(values: Tensor, axis: int) -> Tensor:
    """Some places of a map, the same ones each time, (N, C)."""
    rows = values.movedim(axis, -1).flatten(0, -2)
    return rows[:: step_of(len(rows))].detach().float()


def step_of(count: int) -> int:
    """From one sampled place to the next."""
    return max(1, count // PLACES)


def conv_layers(network: YolactNano) -> list[tuple[str, Conv]]:
    """The convolutions that an activation follows, by name."""
    return [(name, module) for name, module in network.named_modules() if isinstance(module, Conv)]


def output_layers(network: YolactNano) -> list[tuple[str, nn.Conv2d]]:
    """The convolutions whose results are outputs, by name."""
    layers = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    return [(name, module) for name, module in layers if not name.endswith((".conv", ".skip"))]


def channel_axis(module: Conv) -> int:
    """Where an activation of a layer finds the channels: 1 x 1 convolutions are products, channels last."""
    return -1 if module.conv.kernel_size == (1, 1) else 1
