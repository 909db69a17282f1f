"""SOLOv2 (Wang et al. 2020), whole: normalised images (B, 3, H, W) to class scores, kernels and mask features.

As mmdetection's code behaves (https://github.com/open-mmlab/mmdetection, Apache-2.0; written anew here), under its
parameter names, so that its checkpoints load strictly. Shape letters: B images, S cells of square grids over all
levels, C classes without a background, E channels of a kernel, h x w the mask grid at stride 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS, MASK_CHANNELS, GROUPS = 256, 128, 32
GRIDS = (40, 36, 24, 16, 12)


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One published configuration.

    Attributes:
        depth: of the ResNet.
        head_channels: of the class and kernel branches.
        stacked: their convolutions.
        kernel: E.
        classes: C.
        channels: colour order.
        mean: subtracted from 0..255.
        std: divided by afterwards.
        stride_first: the stride is on the first 1 x 1 of a bottleneck, as in the Caffe models.
    """

    depth: int
    head_channels: int = 512
    stacked: int = 4
    kernel: int = 256
    classes: int = 80
    channels: str = "RGB"
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    stride_first: bool = False


LIGHT = {"head_channels": 256, "stacked": 2, "kernel": 128}
CONFIGURATIONS = {
    "solov2-light_r18": Configuration(depth=18, **LIGHT),
    "solov2-light_r34": Configuration(depth=34, **LIGHT),
    "solov2-light_r50": Configuration(depth=50, **LIGHT),
    "solov2_r50": Configuration(depth=50),
    "solov2_r101": Configuration(depth=101),
}
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class Heads(NamedTuple):
    """Raw heads, cells from the finest grid to the coarsest, row by row."""

    cate: Tensor  # (B, S, C) probabilities after point NMS
    kernels: Tensor  # (B, S, E)
    features: Tensor  # (B, E, h, w)


class BasicBlock(nn.Module):
    """Two 3 x 3 with a residual (He et al. 2016)."""

    growth = 1

    def __init__(self, channels_in: int, channels: int, stride: int, *, stride_first: bool) -> None:
        super().__init__()
        del stride_first  # there is one place for it
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = shortcut(channels_in, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, h, w) -> (B, channels, h / stride, w / stride)."""
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 with a residual (He et al. 2016)."""

    growth = 4

    def __init__(self, channels_in: int, channels: int, stride: int, *, stride_first: bool) -> None:
        super().__init__()
        first, second = (stride, 1) if stride_first else (1, stride)
        self.conv1 = nn.Conv2d(channels_in, channels, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, second, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels * 4, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels * 4)
        self.downsample = shortcut(channels_in, channels * 4, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, h, w) -> (B, 4 * channels, h / stride, w / stride)."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(functional.relu(self.bn2(self.conv2(y)))))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


def shortcut(channels_in: int, channels: int, stride: int) -> nn.Sequential | None:
    """1 x 1 on the residual where sizes change."""
    if stride == 1 and channels_in == channels:
        return None
    return nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))


class ResNet(nn.Module):
    """ResNet without its classifier."""

    def __init__(self, depth: int, *, stride_first: bool) -> None:
        super().__init__()
        kind = Bottleneck if depth >= 50 else BasicBlock
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        channels_in = 64
        for stage, count in enumerate(BLOCKS[depth]):
            channels, blocks = 64 << stage, []
            for block in range(count):
                stride = 2 if stage and not block else 1
                blocks.append(kind(channels_in, channels, stride, stride_first=stride_first))
                channels_in = channels * kind.growth
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.channels = tuple((64 << stage) * kind.growth for stage in range(4))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> maps at the strides 4, 8, 16, 32."""
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        maps = []
        for stage in range(4):
            x = self.get_submodule(f"layer{stage + 1}")(x)
            maps.append(x)
        return maps


class Conv(nn.Module):
    """A convolution alone, or without bias before group norm and ReLU, as mmcv's ConvModule names them."""

    def __init__(self, channels_in: int, channels: int, kernel: int, *, norm: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, kernel, padding=kernel // 2, bias=not norm)
        self.gn = nn.GroupNorm(GROUPS, channels) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, h, w) -> (B, channels, h, w)."""
        x = self.conv(x)
        return x if self.gn is None else functional.relu(self.gn(x))


class Pyramid(nn.Module):
    """FPN (Lin et al. 2017), nearest upsampling, a fifth level by taking every other cell of the fourth."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(Conv(count, CHANNELS, 1, norm=False) for count in channels)
        self.fpn_convs = nn.ModuleList(Conv(CHANNELS, CHANNELS, 3, norm=False) for _ in channels)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Backbone maps -> maps (B, 256, h, w) at the strides 4, 8, 16, 32, 64."""
        levels = [lateral(features) for lateral, features in zip(self.lateral_convs, maps, strict=True)]
        for stage in (2, 1, 0):
            above = functional.interpolate(levels[stage + 1], levels[stage].shape[2:], mode="nearest")
            levels[stage] = levels[stage] + above
        levels = [out(level) for out, level in zip(self.fpn_convs, levels, strict=True)]
        return [*levels, functional.max_pool2d(levels[3], 1, 2)]


class MaskFeatures(nn.Module):
    """Mask branch (section 3.2.1): the first four levels, each brought to stride 4, added; coordinates on the last."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.convs_all_levels = nn.ModuleList()
        for level in range(4):
            count, first = max(level, 1), CHANNELS + (2 if level == 3 else 0)
            convs = {
                f"conv{step}": Conv(first if step == 0 else MASK_CHANNELS, MASK_CHANNELS, 3) for step in range(count)
            }
            self.convs_all_levels.append(nn.ModuleDict(convs))
        self.conv_pred = Conv(MASK_CHANNELS, kernel, 1)

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Maps (B, 256, h, w) of four levels -> (B, E, H / 4, W / 4)."""
        total: Tensor | None = None
        for number, (x, convs) in enumerate(zip(levels, self.convs_all_levels, strict=True)):
            y = torch.cat([x, coordinates(x)], dim=1) if number == 3 else x
            for layer in convs.values():
                y = layer(y)
                if number:
                    y = functional.interpolate(y, scale_factor=2.0, mode="bilinear", align_corners=False)
            total = y if total is None else total + y
        return self.conv_pred(total)


class MaskHead(nn.Module):
    """Class and kernel branches on square grids (section 3.1), and the mask branch, under mmdetection's names."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        channels, stacked = configuration.head_channels, configuration.stacked
        self.cls_convs = nn.ModuleList(Conv(CHANNELS if n == 0 else channels, channels, 3) for n in range(stacked))
        self.kernel_convs = nn.ModuleList(
            Conv(CHANNELS + 2 if n == 0 else channels, channels, 3) for n in range(stacked)
        )
        self.conv_cls = nn.Conv2d(channels, configuration.classes, 3, padding=1)
        self.conv_kernel = nn.Conv2d(channels, configuration.kernel, 3, padding=1)
        self.mask_feature_head = MaskFeatures(configuration.kernel)

    def forward(self, levels: list[Tensor]) -> Heads:
        """Maps (B, 256, h, w) of five levels -> heads."""
        finest = functional.interpolate(levels[0], scale_factor=0.5, mode="bilinear", align_corners=False)
        coarsest = functional.interpolate(levels[4], levels[3].shape[2:], mode="bilinear", align_corners=False)
        scores, kernels = [], []
        for x, side in zip((finest, *levels[1:4], coarsest), GRIDS, strict=True):
            y = torch.cat([x, coordinates(x)], dim=1)
            y = functional.interpolate(y, (side, side), mode="bilinear", align_corners=False)  # (B, 258, side, side)
            cate, kernel = y[:, :-2], y
            for layer in self.cls_convs:
                cate = layer(cate)
            for layer in self.kernel_convs:
                kernel = layer(kernel)
            scores.append(point_nms(self.conv_cls(cate).sigmoid()).flatten(2))
            kernels.append(self.conv_kernel(kernel).flatten(2))
        return Heads(
            cate=torch.cat(scores, dim=2).transpose(1, 2),
            kernels=torch.cat(kernels, dim=2).transpose(1, 2),
            features=self.mask_feature_head(levels[:4]),
        )


class SoloV2(nn.Module):
    """Images (B, 3, H, W), normalised, H and W multiples of 32 -> `Heads`."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        self.configuration = configuration
        self.backbone = ResNet(configuration.depth, stride_first=configuration.stride_first)
        self.neck = Pyramid(self.backbone.channels)
        self.mask_head = MaskHead(configuration)

    def forward(self, images: Tensor) -> Heads:
        """See the class."""
        return self.mask_head(self.neck(self.backbone(images)))


def coordinates(x: Tensor) -> Tensor:
    """Column and row of every cell in -1..1, (1, 2, h, w) for maps (B, C, h, w) (CoordConv, Liu et al. 2018)."""
    height, width = x.shape[2:]
    down, across = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    grid = torch.stack([across.expand(height, width), down[:, None].expand(height, width)])
    return grid.expand(x.shape[0], 2, height, width)


def point_nms(scores: Tensor) -> Tensor:
    """Scores (B, C, side, side) that are the greatest among themselves, left, above and above left; others 0."""
    greatest = functional.max_pool2d(scores, 2, stride=1, padding=1)[:, :, :-1, :-1]
    return scores * (greatest == scores).to(scores.dtype)
