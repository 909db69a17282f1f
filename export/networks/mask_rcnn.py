"""Mask R-CNN (He et al. 2017) with ResNet-50-FPN, whole: normalised images (1, 3, H, W) to K instances.

As torchvision's code behaves at test time (https://github.com/pytorch/vision, BSD-3; written anew here), under its
parameter names, and as detectron2's does (https://github.com/facebookresearch/detectron2, Apache-2.0) where a
configuration says so. All sizes are fixed, so that CUDA graphs and TensorRT take the graph: proposals and instances are
slots, of which unused ones score 0, and greedy NMS is a fixed point that some rounds of one matrix product reach.
Shape letters: A anchors of a level, R proposals, C classes with the background first, K instances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.networks.roi_align import RoiAlign

CHANNELS = 256
SIZES_PX = (32, 64, 128, 256, 512)
RATIOS = (0.5, 1.0, 2.0)  # height by width
LONGEST_LOG = math.log(1000 / 16)  # of a box's growth
BOX_WEIGHTS, RPN_WEIGHTS = (10.0, 10.0, 5.0, 5.0), (1.0, 1.0, 1.0, 1.0)
CANDIDATES = 1000  # boxes of a class that enter the last NMS; published code has no limit
NMS_ROUNDS = 24
"""Greedy NMS decides box n after as many rounds as the longest chain of suppressions that ends in it; 7 in a crowd."""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One published configuration.

    Attributes:
        norm: batch norm in pyramid, box head and mask head too, two RPN convolutions, four of the box head (v2).
        channels: colour order.
        mean: subtracted from 0..255.
        std: divided by afterwards.
        classes: with the background.
        coco_ids: labels are COCO's category numbers.
        stride_first: the stride is on the first 1 x 1 of a bottleneck, as in the Caffe models.
        whole_anchors: rounded to whole pixels.
        half_pixel: RoIAlign with its half pixel and as many samples as cells (detectron2), else two.
        eps: of the batch norms.
    """

    norm: bool = False
    channels: str = "RGB"
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    classes: int = 91
    coco_ids: bool = True
    stride_first: bool = False
    whole_anchors: bool = True
    half_pixel: bool = False
    eps: float = 1e-5


CONFIGURATIONS = {
    "resnet50_fpn": Configuration(),
    "resnet50_fpn_v2": Configuration(norm=True),
    "detectron2_resnet50_fpn": Configuration(
        channels="BGR",
        mean=(103.53, 116.28, 123.675),
        std=(1.0, 1.0, 1.0),
        classes=81,
        coco_ids=False,
        stride_first=True,
        whole_anchors=False,
        half_pixel=True,
    ),
}


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 with a residual (He et al. 2016)."""

    def __init__(self, channels_in: int, channels: int, stride: int, configuration: Configuration) -> None:
        super().__init__()
        first, second = (stride, 1) if configuration.stride_first else (1, stride)
        eps = configuration.eps
        self.conv1 = nn.Conv2d(channels_in, channels, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(channels, eps)
        self.conv2 = nn.Conv2d(channels, channels, 3, second, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels, eps)
        self.conv3 = nn.Conv2d(channels, channels * 4, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels * 4, eps)
        self.downsample = None
        if stride != 1 or channels_in != channels * 4:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels * 4, 1, stride, bias=False), nn.BatchNorm2d(channels * 4, eps)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(1, channels_in, h, w) -> (1, channels * 4, h / stride, w / stride)."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """ResNet-50 without its classifier."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64, configuration.eps)
        channels_in = 64
        for stage, count in enumerate((3, 4, 6, 3)):
            channels, blocks = 64 << stage, []
            for block in range(count):
                stride = 2 if stage and not block else 1
                blocks.append(Bottleneck(channels_in, channels, stride, configuration))
                channels_in = channels * 4
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(1, 3, H, W) -> maps at the strides 4 (256 channels), 8 (512), 16 (1024), 32 (2048)."""
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.max_pool2d(x, 3, 2, 1)
        maps = []
        for stage in range(4):
            x = self.get_submodule(f"layer{stage + 1}")(x)
            maps.append(x)
        return maps


def conv(channels_in: int, channels: int, kernel: int, *, norm: bool, eps: float = 1e-5) -> nn.Sequential:
    """A convolution in a list of its own, or one without bias and its batch norm, as torchvision names them."""
    layer = nn.Conv2d(channels_in, channels, kernel, padding=kernel // 2, bias=not norm)
    return nn.Sequential(layer, nn.BatchNorm2d(channels, eps)) if norm else nn.Sequential(layer)


class Pyramid(nn.Module):
    """FPN (Lin et al. 2017), nearest upsampling, a fifth level by taking every other cell of the fourth."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        norm = configuration.norm
        self.inner_blocks = nn.ModuleList(conv(256 << stage, CHANNELS, 1, norm=norm) for stage in range(4))
        self.layer_blocks = nn.ModuleList(conv(CHANNELS, CHANNELS, 3, norm=norm) for _ in range(4))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Backbone maps -> maps (1, 256, h, w) at the strides 4, 8, 16, 32, 64."""
        x = self.inner_blocks[3](maps[3])
        levels = [self.layer_blocks[3](x)]
        for stage in (2, 1, 0):
            y = self.inner_blocks[stage](maps[stage])
            x = y + functional.interpolate(x, y.shape[2:], mode="nearest")
            levels.insert(0, self.layer_blocks[stage](x))
        return [*levels, functional.max_pool2d(levels[3], 1, 2)]


class ProposalHead(nn.Module):
    """Objectness and box code of three anchors per cell (Ren et al. 2015)."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        depth = 2 if configuration.norm else 1
        self.conv = nn.Sequential(*(conv(CHANNELS, CHANNELS, 3, norm=False) for _ in range(depth)))
        self.cls_logits = nn.Conv2d(CHANNELS, len(RATIOS), 1)
        self.bbox_pred = nn.Conv2d(CHANNELS, len(RATIOS) * 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(1, 256, h, w) -> logits (A,) and box code (A, 4), row by row, the anchors of a cell beside one another."""
        for layer in self.conv:
            x = functional.relu(layer(x))
        return self.cls_logits(x).permute(0, 2, 3, 1).reshape(-1), self.bbox_pred(x).permute(0, 2, 3, 1).reshape(-1, 4)


class ProposalNetwork(nn.Module):
    """The `rpn` of the names."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        self.head = ProposalHead(configuration)


class BoxHead(nn.Module):
    """Two linear layers (v1)."""

    def __init__(self) -> None:
        super().__init__()
        self.fc6, self.fc7 = nn.Linear(CHANNELS * 49, 1024), nn.Linear(1024, 1024)

    def forward(self, x: Tensor) -> Tensor:
        """(R, 256, 7, 7) -> (R, 1024)."""
        return functional.relu(self.fc7(functional.relu(self.fc6(x.flatten(1)))))


class RoiHeads(nn.Module):
    """Box and mask branches."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        norm, classes = configuration.norm, configuration.classes

        def block() -> nn.Sequential:
            return nn.Sequential(*conv(CHANNELS, CHANNELS, 3, norm=norm), nn.ReLU())

        linear = nn.Linear(CHANNELS * 49, 1024)
        self.box_head: nn.Module = (
            nn.Sequential(*(block() for _ in range(4)), nn.Flatten(), linear, nn.ReLU()) if norm else BoxHead()
        )
        self.box_predictor = nn.ModuleDict(
            {"cls_score": nn.Linear(1024, classes), "bbox_pred": nn.Linear(1024, classes * 4)}
        )
        self.mask_head = nn.Sequential(*(block() for _ in range(4)))
        self.mask_predictor = nn.ModuleDict(
            {
                "conv5_mask": nn.ConvTranspose2d(CHANNELS, CHANNELS, 2, 2),
                "mask_fcn_logits": nn.Conv2d(CHANNELS, classes, 1),
            }
        )

    def classify(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """(R, 256, 7, 7) -> class logits (R, C), box code (R, C, 4)."""
        x = self.box_head(pooled)
        return self.box_predictor["cls_score"](x), self.box_predictor["bbox_pred"](x).reshape(len(x), -1, 4)

    def masks(self, pooled: Tensor, labels: Tensor) -> Tensor:
        """(K, 256, 14, 14), labels (K,) -> probabilities (K, 28, 28) of each one's own class."""
        x = functional.relu(self.mask_predictor["conv5_mask"](self.mask_head(pooled)))
        logits = self.mask_predictor["mask_fcn_logits"](x)  # (K, C, 28, 28)
        own = labels[:, None, None, None].expand(-1, 1, *logits.shape[2:])
        return logits.gather(1, own)[:, 0].sigmoid()


class MaskRcnn(nn.Module):
    """Images (1, 3, H, W), normalised, H and W multiples of 32 -> boxes (K, 4) px, scores, labels (K,), masks.

    Args:
        configuration: which published network.
        proposals: R, per level before NMS and over all levels after it.
        instances: K.
        score_threshold: instances below are unused slots.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        proposals: int = 1000,
        instances: int = 100,
        score_threshold: float = 0.05,
    ) -> None:
        super().__init__()
        self.configuration = configuration
        self.proposals, self.instances, self.score_threshold = proposals, instances, score_threshold
        self.backbone = nn.ModuleDict({"body": ResNet(configuration), "fpn": Pyramid(configuration)})
        self.rpn = ProposalNetwork(configuration)
        self.roi_heads = RoiHeads(configuration)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See the class; masks (K, 28, 28) are probabilities on grids over the boxes."""
        height, width = images.shape[2:]
        levels = self.backbone["fpn"](self.backbone["body"](images))
        proposals, valid = self.propose(levels, height, width)  # (R, 4), (R,)
        stack = stacked(levels[:4])
        logits, code = self.roi_heads.classify(self.pool(stack, proposals, 7))
        scores = logits.softmax(dim=1)[:, 1:] * valid[:, None]  # (R, C - 1)
        boxes, scores, labels = self.best(proposals, code[:, 1:], scores, height, width)
        return boxes, scores, labels, self.roi_heads.masks(self.pool(stack, boxes, 14), labels)

    def propose(self, levels: list[Tensor], height: int, width: int) -> tuple[Tensor, Tensor]:
        """Maps -> the best proposals (R, 4) after NMS within each level, and which slots hold one (R,), 1 or 0."""
        all_boxes, all_scores = [], []
        for features, size_px in zip(levels, SIZES_PX, strict=True):
            logits, code = self.rpn.head(features)
            logits, rows = logits.topk(min(self.proposals, len(logits)))
            anchors = self.anchors(size_px, features.shape[2], features.shape[3], height, width)
            boxes = clipped(decode(anchors[rows], code[rows], RPN_WEIGHTS), height, width)
            least = 1e-3 if self.configuration.whole_anchors else 1e-9
            there = ((boxes[:, 2:] - boxes[:, :2]) >= least).all(dim=1).float()
            all_boxes.append(boxes)
            all_scores.append(logits.sigmoid() * kept(boxes, there, 0.7))
        scores, boxes = torch.cat(all_scores), torch.cat(all_boxes)
        scores, rows = scores.topk(min(self.proposals, len(scores)))
        return boxes[rows], (scores > 0).float()

    def anchors(self, size_px: int, rows: int, columns: int, height: int, width: int) -> Tensor:
        """Anchors (A, 4) of a level of rows x columns cells, in pixels of the input."""
        ratios = torch.tensor(RATIOS).sqrt()
        sides = torch.stack([size_px / ratios, size_px * ratios], dim=1) / 2
        base = torch.cat([-sides, sides], dim=1)  # (3, 4)
        base = base.round() if self.configuration.whole_anchors else base
        down, across = torch.arange(rows) * (height // rows), torch.arange(columns) * (width // columns)
        y, x = (grid.flatten() for grid in torch.meshgrid(down, across, indexing="ij"))
        return (torch.stack([x, y, x, y], dim=1)[:, None] + base).reshape(-1, 4)

    def pool(self, stack: Tensor, boxes: Tensor, parts: int) -> Tensor:
        """RoIAlign on the level of each box (Lin et al. 2017, equation 1): (4, 256, h, w), (N, 4) -> (N, 256, P, P)."""
        sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0)
        size = (sides[:, 0] * sides[:, 1]).sqrt()
        tiny = 1e-6 if self.configuration.whole_anchors else 1e-8
        levels = (4 + (size / 224 + tiny).log2()).floor().clamp(2, 5) - 2  # (N,)
        cells = boxes / (4 * 2**levels)[:, None]
        half_pixel = self.configuration.half_pixel
        return RoiAlign.apply(stack, cells, levels.long(), parts, 0 if half_pixel else 2, half_pixel)

    def best(
        self, proposals: Tensor, code: Tensor, scores: Tensor, height: int, width: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Code and scores (R, C - 1, ...) -> boxes (K, 4), scores (K,), labels (K,) after NMS within each class."""
        classes = scores.shape[1]
        scores, rows = scores.flatten().topk(min(CANDIDATES, scores.numel()))
        owners, labels = torch.div(rows, classes, rounding_mode="floor"), rows % classes
        code = code.flatten(0, 1)[rows]  # (N, 4)
        boxes = clipped(decode(proposals[owners], code, BOX_WEIGHTS), height, width)
        there = ((boxes[:, 2:] - boxes[:, :2]) >= 1e-2).all(dim=1) & (scores > self.score_threshold)
        there = there.float()
        scores, best = (scores * kept(boxes, there, 0.5, labels)).topk(self.instances)
        return boxes[best], scores, labels[best] + 1


def decode(boxes: Tensor, code: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Box code (N, 4) relative to boxes (N, 4) -> boxes (N, 4) (Girshick et al. 2014)."""
    sides = boxes[:, 2:] - boxes[:, :2]
    centres = boxes[:, :2] + sides / 2
    code = code / torch.tensor(weights)
    centres = centres + code[:, :2] * sides
    half = sides * code[:, 2:].clamp(max=LONGEST_LOG).exp() / 2
    return torch.cat([centres - half, centres + half], dim=1)


def clipped(boxes: Tensor, height: int, width: int) -> Tensor:
    """Boxes (N, 4) cut to the image."""
    x, y = boxes[:, 0::2].clamp(0, width), boxes[:, 1::2].clamp(0, height)
    return torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], dim=1)


def kept(boxes: Tensor, there: Tensor, iou_threshold: float, labels: Tensor | None = None) -> Tensor:
    """Greedy NMS of boxes (N, 4), best first: 1 for those that stay, 0 for the others and for what is not there.

    With labels (N,) only boxes of one label suppress one another. A box stays when no better box that stays overlaps
    it: a fixed point, reached from the best box downwards.
    """
    left, top, right, bottom = boxes.unbind(dim=1)
    across = torch.minimum(right[:, None], right) - torch.maximum(left[:, None], left)
    down = torch.minimum(bottom[:, None], bottom) - torch.maximum(top[:, None], top)
    overlap = across.clamp(min=0) * down.clamp(min=0)  # (N, N)
    areas = (right - left) * (bottom - top)
    clash = (overlap > iou_threshold * (areas[:, None] + areas - overlap)).float().triu(1)  # [better, worse]
    if labels is not None:
        clash = clash * (labels[:, None] == labels).float()
    keep = there
    for _ in range(NMS_ROUNDS):
        keep = there * (torch.matmul(keep, clash) < 0.5).float()
    return keep


def stacked(levels: list[Tensor]) -> Tensor:
    """Maps (1, 256, h, w) of four levels as one (4, 256, h, w), the smaller continued by their last row and column.

    RoIAlign reads nothing beyond a level's border but what it would clamp to it, so each box can be pooled once.
    """
    height, width = levels[0].shape[2:]
    padded = [
        functional.pad(level, (0, width - level.shape[3], 0, height - level.shape[2]), mode="replicate")
        for level in levels
    ]
    return torch.cat(padded)
