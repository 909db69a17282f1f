"""Official YOLACT, whole: normalised RGB images (B, 3, S, S) in; boxes, classes, mask coefficients and prototypes out.

Bolya, Zhou, Xiao, Lee: "YOLACT: Real-time Instance Segmentation", ICCV 2019, as their published code behaves
(https://github.com/dbolya/yolact at 57b8f2d, MIT; written anew here). Modules carry that code's parameter names, so
that its checkpoints load strictly, and keep its slips: anchors are square whatever their aspect ratio. Shape letters:
B images, P anchors over the strides 8 to 128, C classes without the background, M prototypes, h x w their grid (twice
the stride-8 map). `semantic_seg_conv` serves training only and is kept for its name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 256
PROTOTYPES = 32
ASPECT_RATIOS = (1.0, 0.5, 2.0)
VARIANCES = (0.1, 0.2)  # of centre and size in the box code (SSD, Liu et al. 2016)
LEVELS = 5
DOWNSAMPLED = 2  # levels that strided convolutions add to the three of the backbone
SCALES_PX = ((24.0,), (48.0,), (96.0,), (192.0,), (384.0,))
IMAGENET_MEAN, IMAGENET_STD = (123.68, 116.78, 103.94), (58.40, 57.12, 57.38)  # RGB, 0..255


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One published configuration (`data/config.py` there).

    Attributes:
        backbone: `resnet50`, `resnet101` or `darknet53`.
        size_px: side of the square input.
        scales_px: anchor sides by level, in input pixels whatever the input size.
        square_anchors: height = width, the slip that the 550-pixel models were trained with.
        mean: subtracted from RGB 0..255.
        std: divided by afterwards.
        classes: without the background.
    """

    backbone: str
    size_px: int = 550
    scales_px: tuple[tuple[float, ...], ...] = SCALES_PX
    square_anchors: bool = True
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    classes: int = 80

    @property
    def anchors(self) -> int:
        """Per cell."""
        return len(ASPECT_RATIOS) * len(self.scales_px[0])


def scaled(size_px: int) -> tuple[tuple[float, ...], ...]:
    """Anchor sides for another input size, cut to whole pixels as the published 400 and 700 pixel models have them."""
    return tuple((float(int(side / 550 * size_px)),) for (side,) in SCALES_PX)


CONFIGURATIONS = {
    "yolact_base": Configuration(backbone="resnet101"),
    "yolact_resnet50": Configuration(backbone="resnet50"),
    "yolact_darknet53": Configuration(backbone="darknet53", mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0)),
    "yolact_im400": Configuration(backbone="resnet101", size_px=400, scales_px=scaled(400)),
    "yolact_im700": Configuration(backbone="resnet101", size_px=700, scales_px=scaled(700)),
}


class Outputs(NamedTuple):
    """Raw heads; anchors from the finest level to the coarsest, row by row, those of a cell beside one another."""

    loc: Tensor  # (B, P, 4) box code
    conf: Tensor  # (B, P, C + 1) probabilities, background first
    mask: Tensor  # (B, P, M) coefficients, -1..1
    proto: Tensor  # (B, h, w, M), from 0


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 with a residual (He et al. 2016); the stride is on the 3 x 3."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels * 4, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels * 4)
        self.downsample = None
        if stride != 1 or channels_in != channels * 4:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels * 4, 1, stride, bias=False), nn.BatchNorm2d(channels * 4)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels * 4, H / stride, W / stride)."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """ResNet-50 or -101 without its classifier."""

    channels = (512, 1024, 2048)

    def __init__(self, blocks: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layers = nn.ModuleList()
        channels_in = 64
        for stage, count in enumerate(blocks):
            channels = 64 << stage
            layer = []
            for block in range(count):
                layer.append(Bottleneck(channels_in, channels, 2 if stage and not block else 1))
                channels_in = channels * 4
            self.layers.append(nn.Sequential(*layer))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, S, S) -> maps at the strides 8 (512 channels), 16 (1024), 32 (2048)."""
        x = functional.relu(self.bn1(self.conv1(x)))  # (B, 64, S / 2, S / 2)
        x = functional.max_pool2d(x, 3, 2, 1)  # (B, 64, S / 4, S / 4); sizes round up all the way
        maps = []
        for layer in self.layers:
            x = layer(x)
            maps.append(x)
        return maps[1:]


def dark_conv(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm and the leaky ReLU of Darknet."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.LeakyReLU(0.1),
    )


class DarkBlock(nn.Module):
    """1 x 1 to half the channels, 3 x 3 back, residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = dark_conv(channels, channels // 2, 1)
        self.conv2 = dark_conv(channels // 2, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        return self.conv2(self.conv1(x)) + x


class DarkNet53(nn.Module):
    """Darknet-53 of YOLOv3 (Redmon, Farhadi 2018) without its classifier."""

    channels = (256, 512, 1024)

    def __init__(self) -> None:
        super().__init__()
        self._preconv = dark_conv(3, 32, 3)
        self.layers = nn.ModuleList()
        for stage, count in enumerate((1, 2, 8, 8, 4)):
            channels = 64 << stage
            blocks = [DarkBlock(channels) for _ in range(count)]
            self.layers.append(nn.Sequential(dark_conv(channels // 2, channels, 3, 2), *blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, S, S) -> maps at the strides 8 (256 channels), 16 (512), 32 (1024)."""
        x = self._preconv(x)
        maps = []
        for layer in self.layers:
            x = layer(x)
            maps.append(x)
        return maps[2:]


def make_backbone(name: str) -> ResNet | DarkNet53:
    """The backbone of that name."""
    if name == "darknet53":
        return DarkNet53()
    return ResNet({"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}[name])


class Pyramid(nn.Module):
    """FPN (Lin et al. 2017) with ReLU after its output convolutions, none after the two strided ones.

    `lat_layers` and `pred_layers` are stored from the coarsest map to the finest.
    """

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.lat_layers = nn.ModuleList(nn.Conv2d(count, CHANNELS, 1) for count in reversed(channels))
        self.pred_layers = nn.ModuleList(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1) for _ in channels)
        self.downsample_layers = nn.ModuleList(
            nn.Conv2d(CHANNELS, CHANNELS, 3, 2, padding=1) for _ in range(DOWNSAMPLED)
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Backbone maps at the strides 8, 16, 32 -> maps (B, 256, h, w) at the strides 8, 16, 32, 64, 128."""
        levels: list[Tensor] = []
        x = None
        for lateral, prediction, features in zip(self.lat_layers, self.pred_layers, reversed(maps), strict=True):
            y = lateral(features)
            # Sizes round up (18 -> 35 -> 69), so that the factor is not always 2.
            x = y if x is None else y + functional.interpolate(x, y.shape[2:], mode="bilinear", align_corners=False)
            levels.insert(0, functional.relu(prediction(x)))
        for downsample in self.downsample_layers:
            levels.append(downsample(levels[-1]))
        return levels


class Double(nn.Module):
    """Twice the height and width, bilinear."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, M, h, w) -> (B, M, 2 h, 2 w)."""
        return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def make_protonet() -> nn.Sequential:
    """(B, 256, h, w) -> prototypes (B, 32, 2 h, 2 w) before their ReLU (section 3.1)."""
    layers: list[nn.Module] = []
    for _ in range(3):
        layers += [nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.ReLU()]
    layers += [Double(), nn.ReLU(), nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(CHANNELS, PROTOTYPES, 1))


class PredictionHead(nn.Module):
    """Box, class and coefficient branches, shared by all levels (section 3.2)."""

    def __init__(self, classes: int, anchors: int) -> None:
        super().__init__()
        self.upfeature = nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.ReLU())
        self.bbox_layer = nn.Conv2d(CHANNELS, anchors * 4, 3, padding=1)
        self.conf_layer = nn.Conv2d(CHANNELS, anchors * (classes + 1), 3, padding=1)
        self.mask_layer = nn.Conv2d(CHANNELS, anchors * PROTOTYPES, 3, padding=1)
        self.classes = classes

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 256, h, w) -> box code (B, h w A, 4), class logits (B, h w A, C + 1), coefficients (B, h w A, M)."""
        x = self.upfeature(x)
        return (
            rows(self.bbox_layer(x), 4),
            rows(self.conf_layer(x), self.classes + 1),
            rows(self.mask_layer(x), PROTOTYPES).tanh(),
        )


def rows(x: Tensor, width: int) -> Tensor:
    """(B, A x width, h, w) -> (B, h w A, width)."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, width)


class Yolact(nn.Module):
    """The whole network; S may be any size."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        self.configuration = configuration
        self.backbone = make_backbone(configuration.backbone)
        self.proto_net = make_protonet()
        self.fpn = Pyramid(self.backbone.channels)
        # The published code shares one head by giving levels 1 to 4 modules without parameters.
        self.prediction_layers = nn.ModuleList([PredictionHead(configuration.classes, configuration.anchors)])
        self.semantic_seg_conv = nn.Conv2d(CHANNELS, configuration.classes, 1)

    def heads(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`loc`, `conf` and `mask` of `Outputs`, and prototypes (B, M, h, w)."""
        levels = self.fpn(self.backbone(images))
        prototypes = functional.relu(self.proto_net(levels[0]))  # (B, M, h, w)
        head = self.prediction_layers[0]
        loc, logits, mask = (torch.cat(parts, dim=1) for parts in zip(*(head(level) for level in levels), strict=True))
        return loc, logits.float().softmax(dim=2), mask, prototypes

    def forward(self, images: Tensor) -> Outputs:
        """Images (B, 3, S, S) float32: RGB, (pixel - mean) / std of the configuration."""
        loc, conf, mask, prototypes = self.heads(images)
        return Outputs(loc, conf, mask, prototypes.permute(0, 2, 3, 1).contiguous())


def make_priors(configuration: Configuration, size_px: int | None = None) -> Tensor:
    """Anchors (P, 4): centre x, centre y, width, height as fractions of the input; P = 19248 at 550 pixels.

    Sides are `scale x sqrt(ratio)` and `scale / sqrt(ratio)`, both the first of them where anchors are square.
    """
    size_px = size_px or configuration.size_px
    priors = []
    for level, scales in enumerate(configuration.scales_px):
        cells = math.ceil(size_px / (8 << level))
        sides = []
        for scale in scales:
            for ratio in ASPECT_RATIOS:
                width, height = scale * math.sqrt(ratio) / size_px, scale / math.sqrt(ratio) / size_px
                sides.append((width, width if configuration.square_anchors else height))
        centres = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        centre = torch.stack((x, y), dim=-1)[:, :, None].expand(-1, -1, len(sides), -1)  # (cells, cells, A, 2)
        side = torch.tensor(sides, dtype=torch.float64).expand(cells, cells, -1, -1)
        priors.append(torch.cat((centre, side), dim=-1).reshape(-1, 4))
    return torch.cat(priors).float()


def decode(loc: Tensor, priors: Tensor) -> Tensor:
    """Box code (..., 4) and its anchors -> xyxy, fractions of the input."""
    centre = priors[..., :2] + loc[..., :2] * VARIANCES[0] * priors[..., 2:]
    half = priors[..., 2:] * torch.exp(loc[..., 2:] * VARIANCES[1]) * 0.5
    return torch.cat((centre - half, centre + half), dim=-1)
