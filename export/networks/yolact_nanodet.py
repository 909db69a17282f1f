"""yolact-nanodet: NanoDet-Plus-m with YOLACT's branches, images (B, 3, H, W) to boxes, class scores and masks' parts.

NanoDet-Plus-m (RangiLyu 2021: ShuffleNetV2 1.0x of Ma et al. 2018, a path aggregation network of ghost blocks after
Han et al. 2020, one convolutional head a level) gives class scores that rate the box too, and for each side a
distribution over eight distances (Generalized Focal Loss, Li et al. 2020). Protonet and coefficients are those of
`export.networks.yolact_nano`. Shape letters: B images, A locations over the strides 8, 16, 32, 64, C classes, P
prototypes, h x w the prototype grid (stride 4).

All activations are LeakyReLU, which ONNX Runtime computes inside the convolution before it. Batch norms are folded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.networks.yolact_nano import CLASSES, PROTOTYPES, MaskBranches, Outputs, flatten, locations

if TYPE_CHECKING:
    from collections.abc import Sequence

STRIDES = (8, 16, 32, 64)
BINS = 8  # distances of each side, 0 to 7 strides
MEAN = (103.53, 116.28, 123.675)  # of BGR
DEVIATION = (57.375, 57.12, 58.395)
SLOPE, LEAKY = 0.1, "leakyrelu"
WIDTH = 96  # channels of neck and heads
SURE = 20.0  # logit of the objectness that NanoDet does not have
STAGES = ((24, 116, 4), (116, 232, 8), (232, 464, 4))  # channels in and out, units


class Conv(nn.Module):
    """Convolution with bias, then LeakyReLU where asked for."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        *,
        act: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H / stride, W / stride)."""
        if self.conv.kernel_size == (1, 1) and not x.is_cuda and not torch.jit.is_tracing():
            # a product, which trains faster; see `export.networks.yolact_nano.Conv`
            y = functional.linear(x.permute(0, 2, 3, 1), self.conv.weight[:, :, 0, 0], self.conv.bias)
            y = y.permute(0, 3, 1, 2)
        else:
            y = self.conv(x)
        return functional.leaky_relu(y, SLOPE) if self.act else y


def depthwise(channels: int, kernel: int, stride: int = 1, *, act: bool = True) -> Conv:
    """Every channel by itself."""
    return Conv(channels, channels, kernel, stride, channels, act=act)


def separable(
    channels_in: int, channels_out: int, kernel: int = 5, stride: int = 1, *, act: bool = True
) -> nn.Sequential:
    """Depthwise convolution, then a pointwise one."""
    return nn.Sequential(depthwise(channels_in, kernel, stride, act=act), Conv(channels_in, channels_out, act=act))


class Unit(nn.Module):
    """ShuffleNetV2 unit: half of the channels pass, the others go through; with stride 2 all go both ways."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        half = channels_out // 2
        self.stride = stride
        if stride == 2:
            self.short = nn.Sequential(depthwise(channels_in, 3, 2, act=False), Conv(channels_in, half))
        inner = channels_in if stride == 2 else half
        self.main = nn.Sequential(Conv(inner, half), depthwise(half, 3, stride, act=False), Conv(half, half))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H / stride, W / stride), channels of both halves in turn."""
        passed, through = (self.short(x), x) if self.stride == 2 else x.chunk(2, dim=1)
        return torch.stack((passed, self.main(through)), dim=2).flatten(1, 2)


class Backbone(nn.Module):
    """ShuffleNetV2 1.0x without its last convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(3, 24, 3, 2)
        self.stages = nn.ModuleList(
            nn.Sequential(Unit(before, after, 2), *(Unit(after, after, 1) for _ in range(units - 1)))
            for before, after, units in STAGES
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, 3, H, W) -> maps at the strides 4 (24 channels), 8 (116), 16 (232), 32 (464)."""
        maps = [functional.max_pool2d(self.stem(x), 3, 2, 1)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return tuple(maps)


class Ghost(nn.Module):
    """Half of the channels by a 1 x 1 convolution, the other half of those by a depthwise one."""

    def __init__(self, channels_in: int, channels_out: int, *, act: bool) -> None:
        super().__init__()
        self.primary = Conv(channels_in, channels_out // 2, act=act)
        self.cheap = depthwise(channels_out // 2, 3, act=act)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H, W)."""
        x = self.primary(x)
        return torch.cat((x, self.cheap(x)), dim=1)


class GhostBlock(nn.Module):
    """Two ghosts beside a separable shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.ghosts = nn.Sequential(Ghost(2 * WIDTH, WIDTH, act=True), Ghost(WIDTH, WIDTH, act=False))
        self.short = separable(2 * WIDTH, WIDTH, act=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2 x 96, H, W) -> (B, 96, H, W)."""
        return self.ghosts(x) + self.short(x)


class Neck(nn.Module):
    """GhostPAN: top-down, bottom-up, and a level more."""

    def __init__(self) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(Conv(after, WIDTH) for _, after, _ in STAGES)
        self.top_down = nn.ModuleList(GhostBlock() for _ in range(2))
        self.down3 = separable(WIDTH, WIDTH, stride=2)
        self.bottom_up4 = GhostBlock()
        self.down4 = separable(WIDTH, WIDTH, stride=2)
        self.bottom_up5 = GhostBlock()
        self.more_in = separable(WIDTH, WIDTH, stride=2)
        self.more_out = separable(WIDTH, WIDTH, stride=2)

    def forward(self, c3: Tensor, c4: Tensor, c5: Tensor) -> list[Tensor]:
        """Backbone maps -> maps at the strides 8, 16, 32, 64, 96 channels each."""
        f3, f4, f5 = (lateral(x) for lateral, x in zip(self.laterals, (c3, c4, c5), strict=True))
        f4 = self.top_down[0](torch.cat((upsample(f5), f4), dim=1))
        p3 = self.top_down[1](torch.cat((upsample(f4), f3), dim=1))
        p4 = self.bottom_up4(torch.cat((self.down3(p3), f4), dim=1))
        p5 = self.bottom_up5(torch.cat((self.down4(p4), f5), dim=1))
        return [p3, p4, p5, self.more_in(f5) + self.more_out(p5)]


def upsample(x: Tensor) -> Tensor:
    """Twice the height and width, bilinear between cells' centres."""
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class LevelHead(nn.Module):
    """Class scores and distances of one level."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = separable(WIDTH, WIDTH)
        self.convs = separable(WIDTH, WIDTH)
        self.class_out = nn.Conv2d(WIDTH, classes, 1)
        self.box_out = nn.Conv2d(WIDTH, 4 * BINS, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 96, H, W) -> stem (B, 96, H, W), distances (B, 32, H, W), classes (B, C, H, W)."""
        stem = self.stem(x)
        x = self.convs(stem)
        return stem, self.box_out(x), self.class_out(x)


class MaskHead(MaskBranches):
    """The YOLACT part: prototypes at stride 4, and coefficients for every location; see `yolact_nano.MaskHead`."""

    def __init__(self, prototypes: int = PROTOTYPES) -> None:
        super().__init__()
        self.coarse = separable(WIDTH, 32)
        self.skip = nn.Conv2d(24, 32, 1)
        self.fine = nn.Sequential(separable(32, 32, 5), separable(32, 32, 3))
        self.add_branches(prototypes, (separable(WIDTH, 64, 3) for _ in STRIDES))

    def features(self, c2: Tensor, p3: Tensor) -> Tensor:
        """Stride-4 backbone map and stride-8 neck map -> (B, 32, h, w)."""
        return self.fine(functional.leaky_relu(upsample(self.coarse(p3)) + self.skip(c2), SLOPE))


class YolactNanoDet(nn.Module):
    """The whole network; H and W must be multiples of 32.

    Args:
        classes: names, in the order of the class scores.
        prototypes: how many.

    Attributes:
        mask_growth: share of a box's sides by which its mask may reach past it, as it was trained.
    """

    name = "yolact-nanodet"
    strides = STRIDES
    activation = LEAKY
    embedding_head = None  # not trained yet

    def __init__(self, classes: Sequence[str] = CLASSES, prototypes: int = PROTOTYPES) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.backbone = Backbone()
        self.neck = Neck()
        self.heads = nn.ModuleList(LevelHead(len(self.classes)) for _ in STRIDES)
        self.mask_head = MaskHead(prototypes)
        self.mask_growth = 0.0
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)

    def raw_heads(self, images: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, list[Tensor]]]:
        """Images (B, 3, H, W) -> logits of distances (B, A, 32) and classes (B, A, C), the mask head's input."""
        c2, c3, c4, c5 = self.backbone(images - self.mean)
        levels = self.neck(c3, c4, c5)
        outputs = [head(level) for head, level in zip(self.heads, levels, strict=True)]
        raw = flatten([box for _, box, _ in outputs]).float()  # half precision cannot hold coordinates
        classes = flatten([scores for _, _, scores in outputs])
        return raw, classes, (c2, levels[0], [stem for stem, _, _ in outputs])

    def detect(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor, list[Tensor]]]:
        """Images (B, 3, H, W), BGR 0..255 -> boxes, objectness, classes as in `Outputs`; the mask head's input."""
        raw, classes, features = self.raw_heads(images)
        boxes = self.decode(raw, *self.locations(images.shape[2], images.shape[3], like=raw))
        return boxes, torch.full_like(boxes[..., 0], SURE), classes, features

    def forward(self, images: Tensor) -> Outputs:
        """Images (B, 3, H, W) float, BGR 0..255."""
        boxes, objectness, classes, features = self.detect(images)
        return Outputs(boxes, objectness, classes, *self.mask_head(*features))

    @staticmethod
    def scores(raw: Tensor, classes: Tensor) -> Tensor:
        """The best class's logits (B, N) as scores; there is no objectness."""
        del raw
        return classes.sigmoid()

    @staticmethod
    def decode(raw: Tensor, corners: Tensor, strides: Tensor) -> Tensor:
        """Logits of distances (B, N, 4 x bins) -> boxes xyxy in input pixels, see `distances`."""
        points = corners + strides * 0.5
        left_top, right_bottom = (distances(raw) * strides).split(2, dim=-1)  # (B, N, 2)
        return torch.cat((points - left_top, points + right_bottom), dim=-1)

    @staticmethod
    def locations(height: int, width: int, *, like: Tensor) -> tuple[Tensor, Tensor]:
        """As `yolact_nano.locations`; half a stride less, as a cell measures from its corner and not its middle."""
        corners, strides = locations(height, width, like=like, levels=STRIDES)
        return corners - strides * 0.5, strides


def distances(raw: Tensor) -> Tensor:
    """Logits (..., 4 x bins) -> distances left, top, right, bottom (..., 4) in strides, the means of distributions."""
    shares = raw.unflatten(-1, (4, BINS)).softmax(dim=-1)
    return shares @ torch.arange(BINS, dtype=raw.dtype, device=raw.device)
