"""solov2-nano: SOLOv2's heads (Wang et al. 2020) on yolact-nano's backbone, neck and towers.

Category and kernel branches run on square grids of three levels, the mask branch at stride 4. Coordinates enter as
features (CoordConv): the last five channels of the mask features are 1, x, x^2, y, y^2, and of every kernel the terms
for them are composed from an offset and an extent relative to its cell, so that the branches need no coordinates and
windows of a picture teach what whole pictures do. A mask is `sigmoid(kernel x features)` over the whole map, without
a box. Shape letters: B images, S cells over all levels, C classes, P learned mask features, E = P + 5.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.networks.activation import SILU, Activation
from export.networks.solov2 import Heads, point_nms
from export.networks.yolact_nano import CLASSES, STRIDES, Backbone, Conv, Neck, Protonet, focus, separable
from tracker.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.networks.yolact_nano import YolactNano

GRIDS = (40, 24, 12)
"""Cells along each side at 384 x 640, by level; other sizes have cells of the same size in pixels."""
GRID_SIZE = (384, 640)
SCALES_PX = ((0.0, 64.0), (40.0, 160.0), (112.0, float("inf")))
"""Square roots of the box areas that a level learns (section 3.1: they overlap)."""
EXTENTS_PX = (14.0, 40.0, 110.0)
"""Extent of a mask at the start, by level: where its logit has fallen by one."""
MASK_FEATURES = 32
PLACE_TERMS = 5
UNIT_PX = 64.0
TOWER = 256  # channels of stem, class, box and coefficient convolutions side by side
MEAN_SHARE, PRIOR = 0.5, -0.9
"""Category logits at the start: that share of the sum of class and objectness logits, plus a bias; near to the logit of
yolact-nano's product of both on 138 of its detections."""
INNER = 0.7
"""Extent of a mask at the start as a share of half its box's side: the logit of its middle is about 2."""


class Trunk(NamedTuple):
    """What the heads take."""

    fine: Tensor  # (B, 32, H / 4, W / 4) of the protonet
    towers: tuple[Tensor, ...]  # (B, 256, H / stride, W / stride) each


class SoloOutputs(NamedTuple):
    """Heads before sigmoid and point NMS."""

    categories: tuple[Tensor, ...]  # (B, C, rows, columns) logits by level
    kernels: Tensor  # (B, S, E)
    features: Tensor  # (B, E, H / 4, W / 4)


class Tower(nn.Module):
    """yolact-nano's head of a level without its last layers."""

    def __init__(self, channels_in: int) -> None:
        super().__init__()
        self.stem = Conv(channels_in, 64)
        self.class_convs = nn.Sequential(separable(64, 64), separable(64, 64))
        self.box_convs = nn.Sequential(separable(64, 64), separable(64, 64))
        self.coefficient_convs = separable(64, 64)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, h, w) -> (B, 256, h, w)."""
        x = self.stem(x)
        return torch.cat((x, self.class_convs(x), self.box_convs(x), self.coefficient_convs(x)), dim=1)


class Linear(nn.Conv2d):
    """1 x 1 convolution, as a product where that trains faster (see `export.networks.yolact_nano.Conv`)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, h, w) -> (B, channels_out, h, w)."""
        if x.is_cuda or torch.jit.is_tracing():
            return super().forward(x)
        return functional.linear(x.permute(0, 2, 3, 1), self.weight[:, :, 0, 0], self.bias).permute(0, 3, 1, 2)


class SoloHead(nn.Module):
    """Category, kernel and mask branch."""

    def __init__(self, classes: int, learned: int = MASK_FEATURES) -> None:
        super().__init__()
        self.learned = learned
        self.features_out = Linear(32, learned, 1)
        self.category_convs = nn.ModuleList(nn.Sequential(separable(TOWER, 64), separable(64, 64)) for _ in STRIDES)
        self.category_out = nn.ModuleList(Linear(64, classes, 1) for _ in STRIDES)
        self.kernel_convs = nn.ModuleList(nn.Sequential(separable(TOWER, 96), separable(96, 96)) for _ in STRIDES)
        self.kernel_out = nn.ModuleList(Linear(96, learned + PLACE_TERMS, 1) for _ in STRIDES)
        self.category_skip = nn.ModuleList(Linear(TOWER, classes, 1) for _ in STRIDES)
        self.kernel_skip = nn.ModuleList(Linear(TOWER, learned + PLACE_TERMS, 1) for _ in STRIDES)
        for out in (*self.category_out, *self.kernel_out):
            nn.init.normal_(out.weight, std=0.01)
            nn.init.zeros_(out.bias)

    def forward(self, trunk: Trunk) -> SoloOutputs:
        """Maps of the trunk -> heads."""
        features = self.mask_features(trunk.fine)
        height, width = (4 * int(side) for side in features.shape[2:])
        categories, kernels = [], []
        for level, tower in enumerate(trunk.towers):
            x = functional.interpolate(
                tower, grid_shape(level, height, width), mode="bilinear", align_corners=False
            )  # (B, 256, rows, columns)
            categories.append(self.category_out[level](self.category_convs[level](x)) + self.category_skip[level](x))
            raw = self.kernel_out[level](self.kernel_convs[level](x)) + self.kernel_skip[level](x)
            kernels.append(compose(raw, height, width, EXTENTS_PX[level]).flatten(2))
        return SoloOutputs(tuple(categories), torch.cat(kernels, dim=2).transpose(1, 2), features)

    def mask_features(self, fine: Tensor) -> Tensor:
        """(B, 32, h, w) -> (B, E, h, w): learned features, then 1, x, x^2, y, y^2."""
        learned = self.features_out(fine).float()  # (B, P, h, w)
        height, width = (int(side) for side in learned.shape[2:])
        x, y = (((torch.arange(side) + 0.5 - side / 2) * 4 / UNIT_PX).to(learned) for side in (width, height))
        across, down = x.expand(height, width), y[:, None].expand(height, width)
        places = torch.stack((torch.ones_like(across), across, across**2, down, down**2))
        return torch.cat((learned, places.expand(learned.shape[0], -1, -1, -1)), dim=1)


def compose(raw: Tensor, height: int, width: int, extent_px: float) -> Tensor:
    """Kernels of a level: the terms relative to a cell, written out for coordinates of the whole input.

    With (cx, cy) the middle that a cell predicts and (ax, ay) its extents, a logit gains
    `c - ((x - cx) / ax)^2 - ((y - cy) / ay)^2`, a linear function of 1, x, x^2, y, y^2.

    Args:
        raw: (B, P + 5, rows, columns): coefficients before tanh; c; offsets in cells; logarithms of extents.
        height: of the input, pixels.
        width: of it.
        extent_px: of a logarithm of zero.

    Returns:
        (B, P + 5, rows, columns).
    """
    raw = raw.float()
    rows, columns = (int(side) for side in raw.shape[2:])
    place, terms = raw[:, -PLACE_TERMS], []
    for axis, (cells, side) in enumerate(((columns, width), (rows, height))):
        middles = (torch.arange(cells, device=raw.device) + 0.5).to(raw)
        middles = middles if axis == 0 else middles[:, None]
        centre = ((middles + raw[:, axis - 4]) * (side / cells) - side / 2) / UNIT_PX
        sharp = torch.exp(-2.0 * raw[:, axis - 2].clamp(-4.0, 4.0)) * (UNIT_PX / extent_px) ** 2
        place = place - sharp * centre**2
        terms += [2.0 * sharp * centre, -sharp]
    return torch.cat((torch.tanh(raw[:, :-PLACE_TERMS]), torch.stack((place, *terms), dim=1)), dim=1)


def grid_shape(level: int, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of a level's grid over an input of that size; square at `GRID_SIZE`.

    >>> grid_shape(0, 384, 640), grid_shape(2, 256, 384)
    ((40, 40), (8, 7))
    """
    side = GRIDS[level]
    return max(1, round(side * height / GRID_SIZE[0])), max(1, round(side * width / GRID_SIZE[1]))


def solo_metadata(height: int, width: int) -> str:
    """Grids and strides of the levels, for `masktrail.solo`.

    Raises:
        ModelError: The grids over such an input are not square.
    """
    grids = [grid_shape(level, height, width) for level in range(len(GRIDS))]
    if any(rows != columns for rows, columns in grids):
        problem = f"expected three parts of height to five of width, found {height}x{width}"
        raise ModelError("--size", problem, "try 384x640 or 192x320")
    return json.dumps({"grids": [rows for rows, _ in grids], "strides": list(STRIDES)})


class SoloNano(nn.Module):
    """The whole network; H and W must be multiples of 32.

    Args:
        classes: names, in the order of the class scores.
        learned: mask features beside those of the place.
        activation: of all layers, see `export.networks.activation`.
    """

    mask_growth = 0.0  # there is no box to grow

    def __init__(
        self, classes: Sequence[str] = CLASSES, learned: int = MASK_FEATURES, *, activation: str = SILU
    ) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.backbone = Backbone()
        self.neck = Neck()
        self.heads = nn.ModuleList(Tower(channels) for channels in (64, 128, 256))
        self.protonet = Protonet()
        self.mask_head = SoloHead(len(self.classes), learned)
        self.activation = activation
        for module in self.modules():
            if isinstance(module, Conv | Protonet):
                module.activation = Activation(activation)

    def trunk(self, images: Tensor) -> Trunk:
        """Images (B, 3, H, W), BGR 0..255 -> the heads' input."""
        return self.trunk_of_blocks(focus(images))

    def trunk_of_blocks(self, x: Tensor) -> Trunk:
        """`trunk` from the (B, 12, H / 2, W / 2) blocks that `focus` gives."""
        c2, c3, c4, c5 = self.backbone(x)
        levels = self.neck(c3, c4, c5)
        towers = tuple(tower(level) for tower, level in zip(self.heads, levels, strict=True))
        return Trunk(self.protonet.features(c2, levels[0]), towers)

    def forward(self, images: Tensor) -> SoloOutputs:
        """Images (B, 3, H, W) float, BGR 0..255."""
        return self.mask_head(self.trunk(images))


def finished(outputs: SoloOutputs) -> Heads:
    """Class probabilities after point NMS, kernels and features, as the contract `solo` takes them."""
    scores = [point_nms(logits.sigmoid()).flatten(2) for logits in outputs.categories]
    return Heads(torch.cat(scores, dim=2).transpose(1, 2), outputs.kernels, outputs.features)


def from_yolact(network: YolactNano) -> SoloNano:
    """The heads on the trunk of a trained yolact-nano, which begin with what that one's last layers say.

    Those layers are linear, and so is what is wanted of a cell: the sum of class and objectness logits, coefficients,
    the middle of the box and the logarithms of its sides.
    """
    solo = SoloNano(network.classes, activation=network.activation)
    theirs, head = network.state_dict(), network.mask_head
    for key, value in solo.state_dict().items():
        name = key.replace("protonet.", "mask_head.")
        if ".coefficient_convs." in key:
            _, level, _, rest = key.split(".", 3)
            name = f"mask_head.coefficient_convs.{level}.{rest}"
        if not key.startswith("mask_head."):
            value.copy_(theirs[name])
    with torch.no_grad():
        out = solo.mask_head.features_out
        out.weight[: head.prototypes] = head.prototypes_out.weight
        out.bias[: head.prototypes] = head.prototypes_out.bias
        for level, (source, stride) in enumerate(zip(network.heads, STRIDES, strict=True)):
            category, kernel = solo.mask_head.category_skip[level], solo.mask_head.kernel_skip[level]
            for layer in (category, kernel):
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)
            category.weight[:, 64:128] = MEAN_SHARE * source.class_out.weight
            category.weight[:, 128:192] = MEAN_SHARE * source.objectness_out.weight
            category.bias.copy_(MEAN_SHARE * (source.class_out.bias + source.objectness_out.bias) + PRIOR)
            out = head.coefficients_out[level]
            kernel.weight[: head.prototypes, 192:] = out.weight[: head.prototypes]
            kernel.bias[: head.prototypes] = out.bias[: head.prototypes]
            kernel.weight[-5, 192:], kernel.bias[-5] = out.weight[head.prototypes], out.bias[head.prototypes] + 0.5
            for axis, side in enumerate(GRID_SIZE[::-1]):
                cells = stride * GRIDS[level] / side  # of the grid, in one of the level's map
                kernel.weight[axis - 4, 128:192] = source.box_out.weight[axis] * cells
                kernel.bias[axis - 4] = (source.box_out.bias[axis] - 0.5) * cells
                kernel.weight[axis - 2, 128:192] = source.box_out.weight[axis + 2]
                kernel.bias[axis - 2] = source.box_out.bias[axis + 2] + math.log(
                    stride * 0.5 * INNER / EXTENTS_PX[level]
                )
    return solo
