"""Layers calibrated after a change of activation: their weights fitted by least squares, in one forward pass.

After `with_activation` each layer's maps are a little off, and the next layer adds to it. Here, layer by layer in the
order in which they run, the weights are fitted so that the layer gives what the original network has in that place,
from the maps that the layers before it, fitted already, give. After layer-wise reconstruction of compressed networks
(Nagel et al. 2020, "Up or down?", section 3.2), without rounding. It takes a minute, training as far takes hours.

A layer minimises the squared error of `f(w . x)` over sampled places `x`, by gradient steps that are preconditioned
with the inverse of the inputs' second moments: were `f` linear, one step would be the least squares' solution.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.networks.activation import MAP_SCALES, Activation
from export.networks.yolact_nano import Conv

if TYPE_CHECKING:
    from collections.abc import Mapping

    from export.networks.yolact_nano import YolactNano

PLACES = 20_000  # of a map, on which its layer is fitted
ROUNDS = 14
RIDGE = 3e-3  # of the mean second moment: how much a weight's change costs
SCALES = (0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.7, 2.0)
# Layers whose maps are added to others, or are those that the embeddings and `match_loss` know.
FIXED = re.compile(
    r"backbone\.dark[234]\.1\.(conv1|blocks\.\d+\.conv2\.1)$|dark2\.1\.conv3$|top_down3\.conv3$|heads\.\d\.stem$"
    r"|mask_head\.(coarse\.1|fine\.)"
)
BACKGROUND = 0.02  # weight of a place of the heads where nothing is; that of an object is 1


class Layer(NamedTuple):
    """What a convolution of the original network reads and gives, at sampled places."""

    conv: nn.Conv2d
    inputs: Tensor  # (N', C)
    results: Tensor  # (N, D), before the activation


@torch.no_grad()
def calibrate(network: YolactNano, original: YolactNano, images: Tensor) -> None:
    """Fit a network of another activation to the one that it was made of.

    Args:
        network: of `with_activation`; changed in place.
        original: of the same layers.
        images: (B, 3, H, W) float, BGR 0..255.
    """
    layers = observed(original, images)
    before, after = Activation(original.activation), Activation(network.activation)
    factor = MAP_SCALES[network.activation] / MAP_SCALES[original.activation]

    def fit_layer(module: nn.Module, inputs: tuple[Tensor], *, name: str) -> None:
        layer = layers[name]
        if not isinstance(module, Conv):
            scale = torch.ones(layer.results.shape[1])
            fit(module, layer, inputs[0], scale, layer.results, nn.Identity(), object_weights(name, layers))
            return
        scale = torch.full((layer.results.shape[1],), factor)
        if not FIXED.search(name):
            scale = best_scales(layer.results, before, after)
        fit(module.conv, layer, inputs[0], scale, before(layer.results) * scale, after, None)

    hooks = [
        module.register_forward_pre_hook(lambda module, inputs, name=name: fit_layer(module, inputs, name=name))
        for name, module in fitted_layers(network)
    ]
    try:
        network(images)
    finally:
        for hook in hooks:
            hook.remove()


class Observing(Activation):
    """An activation that notes what it is given, sampled."""

    def __init__(self, name: str, axis: int) -> None:
        super().__init__(name)
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        self.found = sampled(x, self.axis)
        return super().forward(x)


def observed(network: YolactNano, images: Tensor) -> dict[str, Layer]:
    """All layers of `fitted_layers` in one forward pass, by name."""
    found: dict[str, Layer] = {}

    def note(module: nn.Module, inputs: tuple[Tensor], y: Tensor, *, name: str) -> None:
        if isinstance(module, Conv):
            found[name] = Layer(module.conv, sampled(inputs[0], 1), module.activation.found)
        else:
            found[name] = Layer(module, sampled(inputs[0], 1), sampled(y, 1))

    layers, before = fitted_layers(network), network.mask_head.activation
    for _, module in layers:
        if isinstance(module, Conv):  # 1 x 1 convolutions are products with the channels last
            module.activation = Observing(network.activation, -1 if module.conv.kernel_size == (1, 1) else 1)
    hooks = [
        module.register_forward_hook(lambda module, x, y, name=name: note(module, x, y, name=name))
        for name, module in layers
    ]
    try:
        network(images)
    finally:
        for hook in hooks:
            hook.remove()
        for _, module in layers:
            if isinstance(module, Conv):
                module.activation = before
    return found


def fitted_layers(network: YolactNano) -> list[tuple[str, nn.Module]]:
    """The convolutions that an activation follows, and those whose results are outputs, by name."""
    modules = list(network.named_modules())
    outputs = [
        (name, module)
        for name, module in modules
        if isinstance(module, nn.Conv2d) and not name.endswith((".conv", ".skip"))
    ]
    return [*((name, module) for name, module in modules if isinstance(module, Conv)), *outputs]


def object_weights(name: str, layers: Mapping[str, Layer]) -> Tensor | None:
    """Weights (N,) of the places of an output layer of a head: what it says where nothing is does not matter."""
    if name.endswith("objectness_out"):
        return None
    level = name.replace("mask_head.coefficients_out", "heads") if "coefficients" in name else name.rpartition(".")[0]
    seen = layers.get(f"{level}.objectness_out")
    return None if seen is None else seen.results[:, 0].sigmoid() + BACKGROUND


def best_scales(values: Tensor, before: nn.Module, function: nn.Module) -> Tensor:
    """For each channel of (N, C) the `s` by which `function(s x) / s` is nearest to `before(x)`."""
    goal = before(values)
    errors = [(function(values * scale) / scale - goal).square().mean(dim=0) for scale in SCALES]
    return torch.tensor(SCALES)[torch.stack(errors).argmin(dim=0)]


def fit(  # noqa: PLR0917 - tensors of one layer
    conv: nn.Conv2d,
    layer: Layer,
    x: Tensor,
    scale: Tensor,
    wanted: Tensor,
    function: nn.Module,
    weights: Tensor | None,
) -> None:
    """Fit a layer's weights in place.

    Args:
        conv: the layer.
        layer: of the original network.
        x: (B, C, H, W) what it is given.
        scale: (D,) how many times as large its results are to be as those of the original layer.
        wanted: (N, D) what `function` of its results is to be at the sampled places.
        function: after it.
        weights: (N,) of the places; None = all the same.
    """
    depthwise = conv.groups > 1
    rows = patches(conv, x)  # (N, C, k * k)
    rows = rows.transpose(0, 1) if depthwise else rows.flatten(1)[None]  # (groups, N, F)
    rows = functional.pad(rows, (0, 1), value=1.0)  # the bias
    share = 1.0 if weights is None else (weights / weights.mean())[None, :, None]

    def by_group(values: Tensor) -> Tensor:
        return values.T[:, :, None] if depthwise else values[None]  # (groups, N, outputs)

    moments = rows.transpose(1, 2) @ (rows * share) / rows.shape[1]
    ridge = RIDGE * moments.diagonal(dim1=1, dim2=2).mean(dim=1).clamp(min=1e-9)
    inverse = torch.linalg.inv(moments + ridge[:, None, None] * torch.eye(rows.shape[2]))
    # To begin with: the original layer, its inputs by what they are now; and what linear least squares has to add.
    now = sampled(x, 1)
    ratio = (now * layer.inputs).mean(dim=0) / now.square().mean(dim=0).clamp(min=1e-9)  # (C,)
    weight = layer.conv.weight * (ratio[:, None, None, None] if depthwise else ratio[None, :, None, None])
    flat, bias = weight.flatten(1) * scale[:, None], layer.conv.bias * scale
    theta = torch.cat((flat, bias[:, None]), dim=1)  # (D, F)
    theta = theta[:, :, None] if depthwise else theta.T[None]  # (groups, F, outputs)
    missing = by_group(layer.results * scale) - rows @ theta
    theta = theta + inverse @ (rows.transpose(1, 2) @ (missing * share) / rows.shape[1])
    theta = descend(theta, rows, by_group(wanted), inverse, function, share)
    flat, bias = theta[:, :-1], theta[:, -1]
    conv.weight.copy_((flat[:, :, 0] if depthwise else flat[0].T).reshape(conv.weight.shape))
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
