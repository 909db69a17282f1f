"""Official YOLACT (Bolya et al. 2019), whole: normalised RGB (B, 3, S, S) to boxes, classes, coefficients, prototypes.

Bolya, Zhou, Xiao, Lee: "YOLACT: Real-time Instance Segmentation", ICCV 2019, as their published code behaves
(https://github.com/dbolya/yolact at 57b8f2d, MIT; written anew here). Modules carry that code's parameter names, so
that its checkpoints load strictly, and keep its slips: anchors are square whatever their aspect ratio. Shape letters:
B images, P anchors over the strides 8 to 128, C classes without the background, M prototypes, h x w their grid (twice
the stride-8 map). `semantic_seg_conv` serves training only and is kept for its name.

Relatives under the same names: YOLACT++ (Bolya et al., "YOLACT++: Better Real-time Instance Segmentation", PAMI 2020;
same code), and YolactEdge's MobileNetV2 network for still images (Liu et al., "YolactEdge", ICRA 2021;
https://github.com/haotian-liu/yolact_edge, MIT).
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
PLUS_SCALES_PX = tuple(tuple(side * 2 ** (step / 3) for step in range(3)) for (side,) in SCALES_PX)
IMAGENET_MEAN, IMAGENET_STD = (123.68, 116.78, 103.94), (58.40, 57.12, 57.38)  # RGB, 0..255


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One published configuration (`data/config.py` there).

    Attributes:
        backbone: `resnet50`, `resnet101`, `darknet53` or `mobilenetv2`.
        size_px: side of the square input.
        scales_px: anchor sides by level, in input pixels whatever the input size.
        square_anchors: height = width, the slip that the 550-pixel models were trained with.
        mean: subtracted from RGB 0..255.
        std: divided by afterwards.
        classes: without the background.
        deformable: every n-th block of the last three ResNet stages has a deformable convolution; 0 = none.
        mask_iou: whether a small network rescores masks.
    """

    backbone: str
    size_px: int = 550
    scales_px: tuple[tuple[float, ...], ...] = SCALES_PX
    square_anchors: bool = True
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    classes: int = 80
    deformable: int = 0
    mask_iou: bool = False

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
    "yolact_edge_mobilenetv2": Configuration(backbone="mobilenetv2"),
    "yolact_plus_base": Configuration(
        backbone="resnet101", scales_px=PLUS_SCALES_PX, square_anchors=False, deformable=3, mask_iou=True
    ),
    "yolact_plus_resnet50": Configuration(
        backbone="resnet50", scales_px=PLUS_SCALES_PX, square_anchors=False, deformable=1, mask_iou=True
    ),
}


class Outputs(NamedTuple):
    """Raw heads; anchors from the finest level to the coarsest, row by row, those of a cell beside one another."""

    loc: Tensor  # (B, P, 4) box code
    conf: Tensor  # (B, P, C + 1) probabilities, background first
    mask: Tensor  # (B, P, M) coefficients, -1..1
    proto: Tensor  # (B, h, w, M), from 0


class DeformableConv(nn.Module):
    """3 x 3 modulated deformable convolution (DCNv2, Zhu et al. 2019) from gathers, which every ONNX runtime has."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.conv_offset_mask = nn.Conv2d(channels, 27, 3, stride, padding=1)
        self.stride = stride
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(B, M, H, W) -> (B, M, h, w), h = H / stride rounded up."""
        terms = self.conv_offset_mask(x).float()  # (B, 27, h, w); half precision cannot hold coordinates
        height, width = terms.shape[2:]
        offsets = terms[:, :18].reshape(-1, 9, 2, height, width)  # dy, dx of each kernel cell, row by row
        weights = terms[:, 18:].sigmoid()  # (B, 9, h, w)
        cell = torch.arange(9, dtype=terms.dtype)[:, None, None]
        down = torch.arange(height, dtype=terms.dtype)[:, None] * self.stride + cell.div(3).floor() - 1.0
        across = torch.arange(width, dtype=terms.dtype) * self.stride + cell.remainder(3) - 1.0  # (9, 1, w)
        flat, samples = x.reshape(-1, x.shape[1], x.shape[2] * x.shape[3]), 0.0  # (B, M, H W)
        for row, row_share in taps(offsets[:, :, 0] + down, x.shape[2]):
            for column, column_share in taps(offsets[:, :, 1] + across, x.shape[3]):
                place = (row * x.shape[3] + column).long().reshape(-1, 1, 9 * height * width)
                share = (row_share * column_share * weights).reshape(-1, 1, 9 * height * width).to(x.dtype)
                samples = samples + flat.gather(2, place.expand(-1, x.shape[1], -1)) * share  # (B, M, 9 h w)
        samples = samples.reshape(-1, x.shape[1] * 9, height * width)  # as the kernel's weights lie
        y = torch.matmul(self.weight.flatten(1), samples) + self.bias[:, None]
        return y.reshape(-1, self.weight.shape[0], height, width)


def taps(positions: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    """The two cells that linear interpolation reads on an axis of that size, with their shares; 0 beyond its ends."""
    low = positions.floor()
    cells = [(cell, 1.0 - (positions - cell).abs()) for cell in (low, low + 1.0)]
    return [(cell.clamp(0, size - 1), share * ((cell >= 0) & (cell < size))) for cell, share in cells]


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 with a residual (He et al. 2016); the stride is on the 3 x 3."""

    def __init__(self, channels_in: int, channels: int, stride: int, *, deformable: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = (
            DeformableConv(channels, stride) if deformable else nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        )
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

    def __init__(self, blocks: tuple[int, int, int, int], *, deformable: int = 0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layers = nn.ModuleList()
        channels_in = 64
        for stage, count in enumerate(blocks):
            channels = 64 << stage
            layer = []
            for block in range(count):
                bent = bool(stage and deformable and block % deformable == 0)
                stride = 2 if stage and not block else 1
                layer.append(Bottleneck(channels_in, channels, stride, deformable=bent))
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


def mobile_conv(channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU6."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU6(),
    )


class InvertedResidual(nn.Module):
    """1 x 1 out, 3 x 3 depthwise, linear 1 x 1 back (Sandler et al. 2018)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels_in * expansion
        self.conv = nn.Sequential(
            *([mobile_conv(channels_in, hidden, 1)] if expansion != 1 else []),
            mobile_conv(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, channels_out, 1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.shortcut = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H / stride, W / stride)."""
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileNetV2(nn.Module):
    """MobileNetV2 as YolactEdge has it; its two last layers are held for their names and not run."""

    channels = (32, 64, 160)
    taken = (3, 4, 6)

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([mobile_conv(3, 32, 3, 2)])
        channels_in = 32
        for expansion, channels, count, stride in (
            *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
            *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
        ):
            blocks = []
            for block in range(count):
                blocks.append(InvertedResidual(channels_in, channels, 1 if block else stride, expansion))
                channels_in = channels
            self.layers.append(nn.Sequential(*blocks))
        self.layers.append(mobile_conv(320, 1280, 1))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, S, S) -> maps at the strides 8 (32 channels), 16 (64), 32 (160)."""
        maps = []
        for layer in self.layers[: self.taken[-1] + 1]:
            x = layer(x)
            maps.append(x)
        return [maps[position] for position in self.taken]


def make_backbone(configuration: Configuration) -> ResNet | DarkNet53 | MobileNetV2:
    """The backbone of a configuration."""
    if configuration.backbone == "darknet53":
        return DarkNet53()
    if configuration.backbone == "mobilenetv2":
        return MobileNetV2()
    blocks = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}[configuration.backbone]
    return ResNet(blocks, deformable=configuration.deformable)


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
    # Every size but the batch is named: that one is opened after the export has traced a single image.
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1] // width * x.shape[2] * x.shape[3], width)


class MaskIoU(nn.Module):
    """What IoU with the truth a mask may have, by class, from its shape alone (YOLACT++ section 6.1).

    The inner module has the outer one's name in the published checkpoints.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels_in, channels in ((1, 8), (8, 16), (16, 32), (32, 64), (64, 128)):
            layers += [nn.Conv2d(channels_in, channels, 3, 2), nn.ReLU()]
        self.maskiou_net = nn.Sequential(*layers, nn.Conv2d(128, classes, 1), nn.ReLU())

    def forward(self, masks: Tensor) -> Tensor:
        """Cropped probabilities (N, 1, h, w), at least 63 cells a side -> (N, C), 0..1."""
        return self.maskiou_net(masks).amax(dim=(2, 3)).clamp(max=1.0)


class Yolact(nn.Module):
    """The whole network; S may be any size."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        self.configuration = configuration
        self.backbone = make_backbone(configuration)
        self.proto_net = make_protonet()
        self.fpn = Pyramid(self.backbone.channels)
        # The published code shares one head by giving levels 1 to 4 modules without parameters.
        self.prediction_layers = nn.ModuleList([PredictionHead(configuration.classes, configuration.anchors)])
        self.semantic_seg_conv = nn.Conv2d(CHANNELS, configuration.classes, 1)
        self.maskiou_net = MaskIoU(configuration.classes) if configuration.mask_iou else None

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
