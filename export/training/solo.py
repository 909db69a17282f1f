"""Training of solov2-nano: cells of objects, focal loss of categories, dice loss of masks (SOLOv2, section 3).

Where a data set says nothing of a class, detections of the frozen yolact-nano take the place of labels: sure ones are
positive, doubtful ones teach nothing. While its trunk is frozen, the same run of it gives features and detections.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.data.teacher import FrozenTeacher
from export.networks.solov2_nano import GRIDS, SCALES_PX, SoloNano, SoloOutputs, Trunk, grid_shape
from export.networks.yolact_nano import MASK_STRIDE, YolactNano, focus, locations
from export.networks.yolact_nano import decode as decode_boxes
from export.training.losses import Target, box_iou
from export.training.train import Trainer, logged

if TYPE_CHECKING:
    from export.data.teacher import Answers

CENTRE = 0.2  # share of an object's sides about its middle whose cells are positive (section 3.1)
FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0
MASK_GAIN = 3.0  # of dice beside the focal loss, as published
BCE_GAIN = 0.5
PAIRS_PER_IMAGE = 32
DOUBT, SURE = 0.12, 0.4  # detections of the teacher: from the first on they are no background, from the second positive
MOST_DETECTIONS, SAME_IOU = 100, 0.6
SAME_OBJECT_IOU = 0.5  # of a detection and a labelled object of its class


class FrozenDetector(nn.Module):
    """yolact-nano's detections as `export.data.teacher.Detections`, and the features that the SOLO heads take."""

    def __init__(self, network: YolactNano) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, H, W) float, BGR 0..255 -> boxes, objectness, classes; `Trunk`."""
        network = self.network
        c2, c3, c4, c5 = network.backbone(focus(images))
        levels = network.neck(c3, c4, c5)
        towers, raw, classes = [], [], []
        for head, more, level in zip(network.heads, network.mask_head.coefficient_convs, levels, strict=True):
            stem = head.stem(level)
            class_features, box_features = head.class_convs(stem), head.box_convs(stem)
            towers.append(torch.cat((stem, class_features, box_features, more(stem)), dim=1))
            code = torch.cat((head.box_out(box_features), head.objectness_out(box_features)), dim=1)
            raw.append(code.flatten(2))
            classes.append(head.class_out(class_features).flatten(2))
        codes = torch.cat(raw, dim=2).transpose(1, 2)
        boxes = decode_boxes(codes[..., :4], *locations(images.shape[2], images.shape[3], like=codes))
        scores = torch.cat(classes, dim=2).transpose(1, 2).sigmoid()
        return boxes, codes[..., 4].sigmoid(), scores, network.mask_head.features(c2, levels[0]), *towers


class Cells(NamedTuple):
    """Targets of one image, cells of all levels in order."""

    wanted: Tensor  # (S, C) 0 or 1
    weights: Tensor  # (S, C)
    cell: Tensor  # (Q,) positive cells, of the masks to learn
    row: Tensor  # (Q,) the object of each


class SoloTrainer(Trainer):
    """`Trainer` with SOLOv2's targets and losses; see there.

    Args:
        network: to train.
        trunk: the yolact-nano that it was made from; its run gives features while the trunk is frozen.
        taught: do its detections stand in for labels?
        options: of `Trainer`.
    """

    network: SoloNano

    def __init__(self, *, network: SoloNano, trunk: YolactNano, taught: bool, **options: Any) -> None:
        super().__init__(network=network, teacher=None, **options)
        self.taught = taught
        self.teacher = FrozenTeacher(trunk, network.classes, self.device, module=FrozenDetector(trunk))

    def forward(self, images: Tensor, *, train_all: bool) -> tuple[SoloOutputs, Answers]:
        """Heads in float32, and what the teacher says."""
        answers = self.teacher(images)
        mixed = torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32)
        with mixed:
            trunk = self.network.trunk(images) if train_all else Trunk(answers.maps[0], answers.maps[1:])
            outputs = self.network.mask_head(trunk)
        categories = tuple(value.float() for value in outputs.categories)
        return SoloOutputs(categories, outputs.kernels.float(), outputs.features.float()), answers

    def loss(
        self,
        images: Tensor,
        outputs: SoloOutputs,
        maps: Answers,
        targets: list[Target],
        generator: torch.Generator,
        *,
        train_all: bool,
    ) -> tuple[Tensor, dict[str, float]]:
        """The batch's loss and its terms for the log."""
        del train_all
        logits = torch.cat([level.flatten(2) for level in outputs.categories], dim=2).transpose(1, 2)  # (B, S, C)
        size = (images.shape[2], images.shape[3])
        focal, masks, stats = images.new_zeros(()), images.new_zeros(()), images.new_zeros(3)
        for index, target in enumerate(targets):
            found = detections(maps, index, doubt=DOUBT if self.taught else 1.0)
            cells = Cells(*(values.to(images.device) for values in assign_cells(target, found, size)))
            focal = focal + focal_loss(logits[index], cells)
            stats[2] += (cells.wanted * cells.weights).sum()
            value, counted = mask_loss(outputs.kernels[index], outputs.features[index], target, cells, generator)
            masks = masks + value
            stats[:2] += counted
        terms = {
            "mask": masks / stats[0].clamp(min=1.0),
            "mask_iou": stats[1] / stats[0].clamp(min=1e-6),
            "category": focal / stats[2].clamp(min=1.0),
        }
        total = MASK_GAIN * terms["mask"] + terms["category"]
        return total, logged(terms | {"loss": total})


def detections(answers: Answers, image: int, *, doubt: float = DOUBT) -> tuple[Tensor, Tensor, Tensor]:
    """The teacher's boxes (N, 4), class ids and scores above `doubt` of one image, greedy NMS within classes."""
    scores = answers.objectness[image][:, None] * answers.classes[image]  # (A, C)
    flat = scores.flatten()
    best, order = flat.topk(min(4 * MOST_DETECTIONS, len(flat)))
    order = order[best > doubt]
    location, class_ids = order // scores.shape[1], order % scores.shape[1]
    boxes, kept = answers.boxes[image][location], []
    same = (box_iou(boxes, boxes) > SAME_IOU) & (class_ids[:, None] == class_ids[None])
    free = torch.ones(len(order), dtype=torch.bool, device=flat.device)
    for one in range(len(order)):
        if free[one] and len(kept) < MOST_DETECTIONS:
            kept.append(one)
            free &= ~same[one]
    return boxes[kept], class_ids[kept], flat[order][kept]


@torch.no_grad()
def assign_cells(target: Target, found: tuple[Tensor, Tensor, Tensor], size: tuple[int, int]) -> Cells:
    """Which cells learn which object, and how much each class of a cell counts; on the processor.

    Args:
        target: labels of one image.
        found: the teacher's boxes (N, 4), class ids (N,) and scores (N,).
        size: (height, width) of the input.
    """
    target = Target(*(value.cpu() if isinstance(value, Tensor) else value for value in target))
    boxes, class_ids, scores = (values.cpu() for values in found)
    shapes = [grid_shape(level, *size) for level in range(len(GRIDS))]
    classes = len(target.labelled)
    count = sum(rows * columns for rows, columns in shapes)
    wanted, weights = torch.zeros(count, classes), torch.ones(count, classes)
    middles = cell_middles(shapes, size)
    silent = torch.ones_like(target.labelled) if target.masks_only or not target.complete else ~target.labelled
    if len(boxes):
        chosen = silent[class_ids]
        if len(target.boxes) and not target.masks_only:
            same = (box_iou(boxes, target.boxes) > SAME_OBJECT_IOU) & (class_ids[:, None] == target.class_ids[None])
            chosen &= ~same.any(dim=1)
        boxes, class_ids, scores = boxes[chosen], class_ids[chosen], scores[chosen]
    for box, class_id in zip(boxes, class_ids, strict=True):
        weights[inside(middles, box), class_id] = 0.0
    for box in target.ignore:
        weights[inside(middles, box)] = 0.0
    for box, class_id, score in zip(boxes, class_ids, scores, strict=True):
        if score >= SURE:
            cells = centre_cells(box, (box[:2] + box[2:]) / 2, shapes, size)
            wanted[cells, class_id], weights[cells, class_id] = 1.0, float(score)
    owner = torch.full((count,), -1)
    order = (target.boxes[:, 2:] - target.boxes[:, :2]).prod(dim=1).argsort(descending=True)
    for row in order.tolist():  # where two objects want a cell, the smaller gets it
        cells = centre_cells(target.boxes[row], mass_centre(target.masks[row]), shapes, size)
        owner[cells] = row
        if not target.masks_only:
            class_id = int(target.class_ids[row])
            wanted[cells, class_id], weights[cells, class_id] = 1.0, float(target.weights[row])
    cell = torch.nonzero(owner >= 0).squeeze(1)
    return Cells(wanted, weights, cell, owner[cell])


def cell_middles(shapes: list[tuple[int, int]], size: tuple[int, int]) -> Tensor:
    """Middles (S, 2) of all cells, x and y in pixels."""
    points = []
    for rows, columns in shapes:
        y, x = torch.meshgrid(
            (torch.arange(rows) + 0.5) * size[0] / rows,
            (torch.arange(columns) + 0.5) * size[1] / columns,
            indexing="ij",
        )
        points.append(torch.stack((x, y), dim=-1).reshape(-1, 2))
    return torch.cat(points)


def inside(points: Tensor, box: Tensor) -> Tensor:
    """Which points (S, 2) lie in a box xyxy."""
    return ((points >= box[:2]) & (points <= box[2:])).all(dim=1)


def mass_centre(mask: Tensor) -> Tensor:
    """Centre (2,) of a coverage mask (h, w), x and y in input pixels."""
    mask = mask.float()
    total = mask.sum().clamp(min=1.0)
    across = (mask.sum(dim=0) * (torch.arange(mask.shape[1]) + 0.5)).sum() / total
    down = (mask.sum(dim=1) * (torch.arange(mask.shape[0]) + 0.5)).sum() / total
    return torch.stack((across, down)) * MASK_STRIDE


def centre_cells(box: Tensor, centre: Tensor, shapes: list[tuple[int, int]], size: tuple[int, int]) -> list[int]:
    """Positive cells of an object: those of the middle fifth of its box about its centre, 3 x 3 at most a level."""
    width, height = float(box[2] - box[0]), float(box[3] - box[1])
    scale, x, y = (width * height) ** 0.5, float(centre[0]), float(centre[1])
    cells, start = [], 0
    for (rows, columns), (low, high) in zip(shapes, SCALES_PX, strict=True):
        if low <= scale < high:
            across = span(x, width * CENTRE / 2, columns, size[1])
            cells += [
                start + row * columns + column
                for row in span(y, height * CENTRE / 2, rows, size[0])
                for column in across
            ]
        start += rows * columns
    return cells


def span(middle: float, reach: float, cells: int, side: int) -> range:
    """Cells along an axis from `middle - reach` to `middle + reach` pixels, one beside the middle's at most."""
    place, step = min(max(int(middle / side * cells), 0), cells - 1), side / cells
    first, last = int((middle - reach) / step), int((middle + reach) / step)
    return range(max(place - 1, first, 0), min(place + 1, last, cells - 1) + 1)


def focal_loss(logits: Tensor, cells: Cells) -> Tensor:
    """Focal loss (Lin et al. 2017) of category logits (S, C), summed with weights."""
    by_class = functional.binary_cross_entropy_with_logits(logits, cells.wanted, reduction="none")
    probability = logits.sigmoid()
    miss = cells.wanted * (1 - probability) + (1 - cells.wanted) * probability
    alpha = FOCAL_ALPHA * cells.wanted + (1 - FOCAL_ALPHA) * (1 - cells.wanted)
    return (alpha * miss**FOCAL_GAMMA * by_class * cells.weights).sum()


def mask_loss(
    kernels: Tensor, features: Tensor, target: Target, cells: Cells, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Dice (section 3.3) and cross entropy of the masks of positive cells, every object counting once.

    Args:
        kernels: (S, E).
        features: (E, h, w).
        target: labels of the image.
        cells: its positive cells.
        generator: draws among too many.

    Returns:
        The loss summed with weights; (weight sum, weighted IoU sum) without gradient.
    """
    cell, row = cells.cell, cells.row
    if not len(cell):
        return kernels.sum() * 0.0, kernels.new_zeros(2)
    if len(cell) > PAIRS_PER_IMAGE:
        chosen = torch.randperm(len(cell), generator=generator)[:PAIRS_PER_IMAGE]
        cell, row = cell[chosen], row[chosen]
    logits = kernels[cell] @ features.flatten(1)  # (Q, h w)
    truth = target.masks[row].flatten(1).float() / 255.0
    probability = logits.sigmoid()
    both = (probability * truth).sum(dim=1)
    dice = 1 - (2 * both + 1) / (probability.square().sum(dim=1) + truth.square().sum(dim=1) + 1)
    sides = target.boxes[row, 2:] - target.boxes[row, :2]
    area = (sides.prod(dim=1) / MASK_STRIDE**2).clamp(min=4.0)
    bce = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none").sum(dim=1) / area
    weights = target.weights[row] / torch.bincount(row, minlength=len(target.boxes))[row]
    with torch.no_grad():
        hard, true = logits > 0, truth > 0.5
        iou = (hard & true).sum(dim=1) / (hard | true).sum(dim=1).clamp(min=1)
        stats = torch.stack((weights.sum(), (weights * iou).sum()))
    return (weights * (dice + BCE_GAIN * bce)).sum(), stats
