"""yolact-nano, the default network: images (B, 3, H, W) to boxes, class scores, mask coefficients and prototypes.

YOLOX-nano (Ge et al. 2021: CSPDarknet, PAFPN, decoupled head; width 0.25, depth 0.33, depthwise) carries two new
branches after YOLACT (Bolya et al. 2019): a protonet at stride 4 and per-location mask coefficients. A mask is
`sigmoid(prototypes x coefficients + shape prior of the box)`, cropped to the box. Shape letters: B images, A
locations over the strides 8, 16, 32, C classes, P prototypes, h x w the prototype grid (stride 4).

There is no batch norm: the published weights come with it folded into the convolutions, and they are trained further as
they are, at a low rate and with an averaged copy (`export.training.train`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.networks.activation import SILU, Activation
from export.networks.embedding import EmbeddingHead

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CLASSES = ("person", "bicycle", "car", "motorcycle", "bus", "truck")
STRIDES = (8, 16, 32)
MASK_STRIDE = 4
PROTOTYPES = 24
FOCUS_ORDER = ((0, 0), (1, 0), (0, 1), (1, 1))  # (dy, dx) of the pixels of a 2 x 2 block in YOLOX's focus
SHAPE_TERMS = 5  # 1, u, u^2, v, v^2 with (u, v) the position in the box, -1..1 from edge to edge


class Outputs(NamedTuple):
    """What one forward pass gives, locations in the order stride 8, 16, 32, row by row."""

    boxes: Tensor  # (B, A, 4) xyxy, input pixels
    objectness: Tensor  # (B, A) logits
    classes: Tensor  # (B, A, C) logits
    coefficients: Tensor  # (B, A, P + SHAPE_TERMS)
    prototypes: Tensor  # (B, P, h, w)


class Conv(nn.Module):
    """Convolution with bias, then the network's activation; `groups=channels_in` makes it depthwise."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups)
        self.activation = Activation()

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H / stride, W / stride)."""
        if self.conv.kernel_size == (1, 1) and not x.is_cuda and not torch.jit.is_tracing():
            # PyTorch 2.13 runs small 1 x 1 convolutions on one thread through im2col; the product alone trains a
            # third faster there (20 windows: 2.1 s a step instead of 3.1).
            y = functional.linear(x.permute(0, 2, 3, 1), self.conv.weight[:, :, 0, 0], self.conv.bias)
            return self.activation(y).permute(0, 3, 1, 2)
        return self.activation(self.conv(x))


def separable(channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Depthwise convolution, then a pointwise one (YOLOX `DWConv`)."""
    return nn.Sequential(
        Conv(channels_in, channels_in, kernel, stride, groups=channels_in), Conv(channels_in, channels_out)
    )


class Bottleneck(nn.Module):
    """1 x 1, then separable 3 x 3, with an optional residual."""

    def __init__(self, channels: int, *, shortcut: bool) -> None:
        super().__init__()
        self.conv1 = Conv(channels, channels)
        self.conv2 = separable(channels, channels)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        y = self.conv2(self.conv1(x))
        return x + y if self.shortcut else y


class CrossStage(nn.Module):
    """CSP layer: half of the channels pass the bottlenecks, half go round them."""

    def __init__(self, channels_in: int, channels_out: int, depth: int, *, shortcut: bool = True) -> None:
        super().__init__()
        hidden = channels_out // 2
        self.conv1 = Conv(channels_in, hidden)
        self.conv2 = Conv(channels_in, hidden)
        self.blocks = nn.Sequential(*(Bottleneck(hidden, shortcut=shortcut) for _ in range(depth)))
        self.conv3 = Conv(channels_out, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H, W)."""
        main, side = self.conv1(x), self.conv2(x)
        return self.conv3(torch.cat((self.blocks(main), side), dim=1))


class PyramidPool(nn.Module):
    """SPP: the map beside its 5, 9 and 13 max pools; chained pools (5 after 5 is 9) give equal values sooner."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Conv(channels, channels // 2)
        self.conv2 = Conv(channels * 2, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays."""
        x = self.conv1(x)
        pool5 = functional.max_pool2d(x, 5, 1, 2)
        pool9 = functional.max_pool2d(pool5, 5, 1, 2)
        pool13 = functional.max_pool2d(pool9, 5, 1, 2)
        return self.conv2(torch.cat((x, pool5, pool9, pool13), dim=1))


def focus(x: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, 12, H / 2, W / 2): the four pixels of each 2 x 2 block beside one another, YOLOX's order."""
    return torch.cat([x[..., dy::2, dx::2] for dy, dx in FOCUS_ORDER], dim=1)


class Backbone(nn.Module):
    """CSPDarknet."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(12, 16, 3)
        self.dark2 = nn.Sequential(separable(16, 32, stride=2), CrossStage(32, 32, 1))
        self.dark3 = nn.Sequential(separable(32, 64, stride=2), CrossStage(64, 64, 3))
        self.dark4 = nn.Sequential(separable(64, 128, stride=2), CrossStage(128, 128, 3))
        self.dark5 = nn.Sequential(
            separable(128, 256, stride=2), PyramidPool(256), CrossStage(256, 256, 1, shortcut=False)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, 12, H / 2, W / 2) -> maps at the strides 4 (32 channels), 8 (64), 16 (128), 32 (256)."""
        c2 = self.dark2(self.stem(x))
        c3 = self.dark3(c2)
        c4 = self.dark4(c3)
        return c2, c3, c4, self.dark5(c4)


class Neck(nn.Module):
    """PAFPN: top-down, then bottom-up."""

    def __init__(self) -> None:
        super().__init__()
        self.lateral5 = Conv(256, 128)
        self.top_down4 = CrossStage(256, 128, 1, shortcut=False)
        self.lateral4 = Conv(128, 64)
        self.top_down3 = CrossStage(128, 64, 1, shortcut=False)
        self.down3 = separable(64, 64, stride=2)
        self.bottom_up4 = CrossStage(128, 128, 1, shortcut=False)
        self.down4 = separable(128, 128, stride=2)
        self.bottom_up5 = CrossStage(256, 256, 1, shortcut=False)

    def forward(self, c3: Tensor, c4: Tensor, c5: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Backbone maps -> maps at the strides 8 (64 channels), 16 (128), 32 (256)."""
        f5 = self.lateral5(c5)
        f4 = self.lateral4(self.top_down4(torch.cat((upsample(f5), c4), dim=1)))
        p3 = self.top_down3(torch.cat((upsample(f4), c3), dim=1))
        p4 = self.bottom_up4(torch.cat((self.down3(p3), f4), dim=1))
        return p3, p4, self.bottom_up5(torch.cat((self.down4(p4), f5), dim=1))


def upsample(x: Tensor) -> Tensor:
    """Twice the height and width, nearest."""
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


class LevelHead(nn.Module):
    """Decoupled class and box branches of one level (YOLOX)."""

    def __init__(self, channels_in: int, classes: int) -> None:
        super().__init__()
        self.stem = Conv(channels_in, 64)
        self.class_convs = nn.Sequential(separable(64, 64), separable(64, 64))
        self.class_out = nn.Conv2d(64, classes, 1)
        self.box_convs = nn.Sequential(separable(64, 64), separable(64, 64))
        self.box_out = nn.Conv2d(64, 4, 1)
        self.objectness_out = nn.Conv2d(64, 1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, channels_in, H, W) -> stem (B, 64, H, W), box and objectness (B, 5, H, W), classes (B, C, H, W)."""
        x = self.stem(x)
        box_features = self.box_convs(x)
        box = torch.cat((self.box_out(box_features), self.objectness_out(box_features)), dim=1)
        return x, box, self.class_out(self.class_convs(x))


class Protonet(nn.Module):
    """YOLACT's protonet at stride 4, without its last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.activation = Activation()
        self.coarse = nn.Sequential(separable(64, 64, 5), Conv(64, 32))
        self.skip = nn.Conv2d(32, 32, 1)
        self.fine = nn.Sequential(separable(32, 32, 5), separable(32, 32, 3))

    def features(self, c2: Tensor, p3: Tensor) -> Tensor:
        """Stride-4 backbone map and stride-8 neck map -> (B, 32, h, w)."""
        x = functional.interpolate(self.coarse(p3), scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.fine(self.activation(x + self.skip(c2)))


class MaskBranches(nn.Module):
    """Prototypes from 32 feature maps, which a subclass has as `features`, and coefficients for every location."""

    def add_branches(self, prototypes: int, coefficient_convs: Iterable[nn.Module]) -> None:
        """The layers behind the features; those of coefficients level by level, 64 channels each."""
        self.prototypes = prototypes
        self.prototypes_out = nn.Conv2d(32, prototypes, 1)
        self.coefficient_convs = nn.ModuleList(coefficient_convs)
        self.coefficients_out = nn.ModuleList(
            nn.Conv2d(64, prototypes + SHAPE_TERMS, 1) for _ in self.coefficient_convs
        )
        for out in self.coefficients_out:
            # Start from a soft ellipse in the box: 1.5 in its middle, falling to 0 at the edges' middles.
            nn.init.zeros_(out.weight[prototypes:])
            with torch.no_grad():
                out.bias[prototypes:] = torch.tensor([1.5, 0.0, -1.5, 0.0, -1.5])

    def forward(self, c2: Tensor, p3: Tensor, stems: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Stride-4 backbone map, stride-8 neck map, head stems -> coefficients, prototypes as in `Outputs`."""
        raw, prototypes = self.raw(c2, p3, stems)
        return self.bounded(raw), prototypes

    def raw(self, c2: Tensor, p3: Tensor, stems: list[Tensor]) -> tuple[Tensor, Tensor]:
        """`forward` with coefficients that are not `bounded` yet."""
        prototypes = self.prototypes_out(self.features(c2, p3))  # (B, P, h, w)
        raw = flatten(
            [
                out(convs(stem))
                for convs, out, stem in zip(self.coefficient_convs, self.coefficients_out, stems, strict=True)
            ]
        )  # (B, A, P + 5)
        return raw, prototypes

    def bounded(self, raw: Tensor) -> Tensor:
        """Coefficients (B, N, P + 5) with those of the prototypes in -1..1."""
        return torch.cat((torch.tanh(raw[..., : self.prototypes]), raw[..., self.prototypes :]), dim=2)


class MaskHead(MaskBranches, Protonet):
    """The YOLACT part: prototypes at stride 4, and coefficients for every location."""

    def __init__(self, prototypes: int = PROTOTYPES) -> None:
        super().__init__()
        self.add_branches(prototypes, (separable(64, 64) for _ in STRIDES))


class YolactNano(nn.Module):
    """The whole network; H and W must be multiples of 32.

    Args:
        classes: names, in the order of the class scores.
        prototypes: how many.
        embedding: numbers of an embedding; 0 = none.
        activation: of all layers, see `export.networks.activation`.

    Attributes:
        mask_growth: share of a box's sides by which its mask may reach past it, as it was trained.
    """

    name = "yolact-nano"
    strides = STRIDES

    def __init__(
        self,
        classes: Sequence[str] = CLASSES,
        prototypes: int = PROTOTYPES,
        *,
        embedding: int = 0,
        activation: str = SILU,
    ) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.backbone = Backbone()
        self.neck = Neck()
        self.heads = nn.ModuleList(LevelHead(channels, len(self.classes)) for channels in (64, 128, 256))
        self.mask_head = MaskHead(prototypes)
        self.embedding_head = EmbeddingHead(embedding) if embedding else None
        self.set_activation(activation)
        self.mask_growth = 0.0

    @staticmethod
    def scores(raw: Tensor, best: Tensor) -> Tensor:
        """Box code and objectness (B, A, 5), the best class's logits (B, A) -> scores (B, A)."""
        return best.sigmoid() * raw[..., 4].sigmoid()

    @staticmethod
    def decode(raw: Tensor, corners: Tensor, strides: Tensor) -> Tensor:
        """Box code (B, N, 4 or more) -> boxes xyxy in input pixels, see `decode`."""
        return decode(raw[..., :4], corners, strides)

    @staticmethod
    def locations(height: int, width: int, *, like: Tensor) -> tuple[Tensor, Tensor]:
        """Corners (A, 2) and strides (A, 1), see `locations`."""
        return locations(height, width, like=like)

    def set_activation(self, name: str) -> None:
        """Give all layers another activation; weights stay as they are."""
        activation = Activation(name)
        for module in self.modules():
            if isinstance(module, Conv | MaskHead):
                module.activation = activation
        self.activation = name

    def detect(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor, list[Tensor]]]:
        """Images (B, 3, H, W), BGR 0..255 -> boxes, objectness, classes as in `Outputs`; the mask head's input."""
        return self.detect_focused(focus(images))

    def detect_focused(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor, list[Tensor]]]:
        """`detect` from the (B, 12, H / 2, W / 2) blocks that `focus` gives."""
        raw, classes, features = self.raw_heads(x)
        height, width = (side * STRIDES[0] for side in features[1].shape[2:])
        boxes = self.decode(raw, *self.locations(height, width, like=raw))
        return boxes, raw[..., 4], classes, features

    def raw_heads(self, x: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, list[Tensor]]]:
        """Blocks of `focus` -> box code and objectness (B, A, 5), class logits (B, A, C), the mask head's input."""
        c2, c3, c4, c5 = self.backbone(x)
        levels = self.neck(c3, c4, c5)
        outputs = [head(level) for head, level in zip(self.heads, levels, strict=True)]
        raw = flatten([box for _, box, _ in outputs]).float()  # (B, A, 5); half precision cannot hold coordinates
        classes = flatten([scores for _, _, scores in outputs])  # (B, A, C)
        return raw, classes, (c2, levels[0], [stem for stem, _, _ in outputs])

    def forward(self, images: Tensor) -> Outputs:
        """Images (B, 3, H, W) float, BGR 0..255."""
        boxes, objectness, classes, features = self.detect(images)
        return Outputs(boxes, objectness, classes, *self.mask_head(*features))


def flatten(levels: list[Tensor]) -> Tensor:
    """Per-level maps (B, N, H, W) -> (B, A, N)."""
    return torch.cat([level.flatten(2) for level in levels], dim=2).transpose(1, 2)


def locations(height: int, width: int, *, like: Tensor, levels: Sequence[int] = STRIDES) -> tuple[Tensor, Tensor]:
    """Grid corners (A, 2) in input pixels and strides (A, 1) of every location, for a network input of that size."""
    corners, strides = [], []
    for stride in levels:
        ys, xs = (torch.arange((side + stride - 1) // stride, device=like.device) for side in (height, width))
        ys, xs = torch.meshgrid(ys, xs, indexing="ij")
        corners.append(torch.stack((xs, ys), dim=-1).reshape(-1, 2) * stride)
        strides.append(torch.full((corners[-1].shape[0], 1), stride, device=like.device))
    return torch.cat(corners).to(like), torch.cat(strides).to(like)


def decode(raw: Tensor, corners: Tensor, strides: Tensor) -> Tensor:
    """Raw (B, A, 4) -> boxes xyxy in input pixels: centre = corner + xy x stride, size = exp(wh) x stride (YOLOX)."""
    centre = raw[..., :2] * strides + corners
    half = torch.exp(raw[..., 2:4]) * (strides * 0.5)
    return torch.cat((centre - half, centre + half), dim=-1)


def shape_rows(terms: Tensor, low: Tensor, high: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """One axis of the shape prior: linear and quadratic terms (N, 2), box edges (N,) -> values, inside (N, cells).

    Edges are in prototype cells; cell i covers i .. i + 1, so its centre is i + 0.5.
    """
    centres = torch.arange(cells, dtype=low.dtype, device=low.device) + 0.5
    half = ((high - low) * 0.5).clamp(min=0.5)
    u = ((centres - ((high + low) * 0.5)[:, None]) / half[:, None]).clamp(-2.0, 2.0)  # (N, cells)
    inside = (centres + 0.5 > low[:, None]) & (centres - 0.5 < high[:, None])
    return (terms[:, :1] + terms[:, 1:] * u) * u, inside


def mask_logits(prototypes: Tensor, coefficients: Tensor, boxes: Tensor) -> Tensor:
    """Uncropped mask logits of N instances of one image (YOLACT eq. 1, plus the shape prior).

    Args:
        prototypes: (P, h, w).
        coefficients: (N, P + 5).
        boxes: (N, 4) xyxy, input pixels.

    Returns:
        (N, h, w) logits.
    """
    count, height, width = prototypes.shape
    cells = boxes / MASK_STRIDE
    flat = coefficients[:, :count] @ prototypes.flatten(1)  # (N, h * w)
    across, _ = shape_rows(coefficients[:, count + 1 : count + 3], cells[:, 0], cells[:, 2], width)
    down, _ = shape_rows(coefficients[:, count + 3 : count + 5], cells[:, 1], cells[:, 3], height)
    across = across + coefficients[:, count : count + 1]
    return flat.view(-1, height, width) + across[:, None, :] + down[:, :, None]
