"""Training targets (SimOTA) and loss terms.

Detection follows YOLOX (SimOTA, Ge et al. 2021), masks YOLACT (Bolya et al. 2019, section 3.3) with dice added. Where
a data set says nothing about a class or a region, the frozen original network answers instead of "background".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from export.networks.yolact_nano import MASK_STRIDE, Outputs, mask_logits

if TYPE_CHECKING:
    from collections.abc import Sequence

CENTRE_RADIUS = 2.0  # in strides, around an object's middle (YOLOX: 2.5)
MASKS_PER_OBJECT = 3
MASKS_PER_IMAGE = 48
TEACHER_FLOOR = 0.15  # teacher detections scored below this teach no class and no box


class Target(NamedTuple):
    """The labels of one image as tensors; see `export.data.archive.Sample`."""

    boxes: Tensor
    class_ids: Tensor
    weights: Tensor
    masks: Tensor
    ignore: Tensor
    labelled: Tensor
    complete: bool
    masks_only: bool = False


class Assignment(NamedTuple):
    """Which location (index into A) learns which object (row of the target); Q pairs, and each pair's box IoU."""

    location: Tensor  # (Q,)
    row: Tensor  # (Q,)
    iou: Tensor  # (Q,)


def box_iou(first: Tensor, second: Tensor) -> Tensor:
    """Pairwise IoU of xyxy boxes, (N, 4) and (M, 4) -> (N, M)."""
    low = torch.maximum(first[:, None, :2], second[None, :, :2])
    high = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    overlap = (high - low).clamp(min=0).prod(dim=2)
    areas = (first[:, 2:] - first[:, :2]).prod(dim=1)[:, None] + (second[:, 2:] - second[:, :2]).prod(dim=1)[None]
    return overlap / (areas - overlap).clamp(min=1e-6)


@torch.no_grad()
def assign(  # noqa: PLR0917 - a function of six tensors
    boxes: Tensor, objectness: Tensor, classes: Tensor, target: Target, corners: Tensor, strides: Tensor
) -> Assignment:
    """SimOTA for one image: every object takes its cheapest locations, as many as its ten best IoUs sum up to.

    Args:
        boxes: (A, 4) predicted, input pixels.
        objectness: (A,) logits.
        classes: (A, C) logits.
        target: labels, N objects.
        corners: (A, 2) grid corners, input pixels.
        strides: (A, 1).
    """
    device = boxes.device
    empty = torch.zeros(0, dtype=torch.long, device=device)
    nothing = Assignment(empty, empty, torch.zeros(0, device=device))
    if not len(target.boxes):
        return nothing
    centres = corners + strides * 0.5  # (A, 2)
    middle = (target.boxes[:, :2] + target.boxes[:, 2:]) * 0.5
    near = ((centres[None] - middle[:, None]).abs() < CENTRE_RADIUS * strides[None]).all(dim=2)  # (N, A)
    within = ((centres[None] > target.boxes[:, None, :2]) & (centres[None] < target.boxes[:, None, 2:])).all(dim=2)
    open_ = torch.nonzero((near | within).any(dim=0)).squeeze(1)  # (O,)
    if not len(open_):
        return nothing
    iou = box_iou(target.boxes, boxes[open_])  # (N, O)
    score = (objectness[open_].sigmoid()[:, None] * classes[open_].sigmoid()).sqrt()[:, target.class_ids].T  # (N, O)
    cost = -torch.log(score.clamp(min=1e-6)) - 3.0 * torch.log(iou.clamp(min=1e-6))
    cost = cost + 1e5 * ~(near & within)[:, open_]
    wanted = iou.topk(min(10, len(open_)), dim=1).values.sum(dim=1).long().clamp(min=1)  # (N,)
    order = cost.argsort(dim=1)
    places = torch.arange(len(open_), device=device).expand_as(order).contiguous()
    rank = torch.empty_like(order).scatter_(1, order, places)
    taken = rank < wanted[:, None]  # (N, O)
    cheapest = torch.where(taken, cost, torch.inf).argmin(
        dim=0
    )  # where two objects want a location, the cheaper gets it
    column = torch.nonzero(taken.any(dim=0)).squeeze(1)
    row = cheapest[column]
    return Assignment(open_[column], row, iou[row, column])


class MaskTerms(NamedTuple):
    """What `mask_loss` asks for beside YOLACT's terms.

    Attributes:
        growth: the box in which masks are learned, larger by this share of its sides on each side: feet and heads that
            the predicted box cuts are wanted, and what lies just outside the object is not.
        outside: weight of a cell of that margin, where 1 is that of a cell in the box.
        crossover: weight of the cells that belong to another object, see `crossover_loss`.
    """

    growth: float = 0.0
    outside: float = 1.0
    crossover: float = 0.0


YOLACT_TERMS = MaskTerms()


def mask_loss(  # noqa: PLR0917 - tensors of one image
    outputs: Outputs,
    image: int,
    target: Target,
    pairs: Assignment,
    generator: torch.Generator,
    terms: MaskTerms = YOLACT_TERMS,
) -> tuple[Tensor, Tensor]:
    """BCE and dice of a few locations per object, inside its box (YOLACT section 3.3), and the mean mask IoU reached.

    Returns:
        The loss summed over objects with weights, and (weight sum, weighted IoU sum) without gradient.
    """
    chosen = choose_masks(pairs, generator)
    if not len(chosen):
        return outputs.prototypes[image].sum() * 0.0, outputs.prototypes[image].new_zeros(2)
    location, row = pairs.location[chosen], pairs.row[chosen]
    predicted = outputs.boxes[image][location].detach()
    logits = mask_logits(outputs.prototypes[image], outputs.coefficients[image][location], predicted)  # (Q, h, w)
    truth = target.masks[row].float() / 255.0
    low = torch.minimum(predicted[:, :2], target.boxes[row, :2])
    high = torch.maximum(predicted[:, 2:], target.boxes[row, 2:])
    crop = box_cells(torch.cat((low, high), dim=1), logits.shape[1:])
    counted = crop
    if terms.growth:
        margin = terms.growth * (high - low)
        grown = box_cells(torch.cat((low - margin, high + margin), dim=1), logits.shape[1:])
        counted, crop = crop + terms.outside * (grown - crop), grown
    area = counted.sum(dim=(1, 2)).clamp(min=1.0)
    by_cell = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    bce = (by_cell * counted).sum(dim=(1, 2)) / area
    if terms.crossover:
        bce = bce + terms.crossover * crossover_loss(logits, crop, target, row)
    probability = logits.sigmoid() * crop
    both = (probability * truth).sum(dim=(1, 2))
    dice = 1 - (2 * both + 1) / ((probability**2).sum(dim=(1, 2)) + (truth**2).sum(dim=(1, 2)) + 1)
    shares = torch.bincount(row, minlength=len(target.boxes))[row].float()  # every object counts once
    weights = target.weights[row] / shares
    with torch.no_grad():
        hard, true = probability > 0.5, truth > 0.5
        iou = (hard & true).sum(dim=(1, 2)) / (hard | true).sum(dim=(1, 2)).clamp(min=1)
        stats = torch.stack((weights.sum(), (weights * iou).sum()))
    return (weights * (bce + dice)).sum(), stats


def crossover_loss(logits: Tensor, crop: Tensor, target: Target, row: Tensor) -> Tensor:
    """What masks take of cells that belong to other objects (after the crossover loss of CrossVIS, Yang et al. 2021).

    A cell of a neighbour is one among hundreds for the mean over the box, and mostly the one that is doubtful. Here the
    BCE of such cells alone is summed, by the area of the object or of these cells, whichever is larger, so that a small
    object before a large one is not asked for more than a large one before a small one.

    Args:
        logits: (Q, h, w).
        crop: (Q, h, w), 1.0 where the mask may be.
        target: the labels, N objects; another object counts by its weight, as its outline may be a machine's.
        row: (Q,) the object of each mask.

    Returns:
        (Q,).
    """
    truth = target.masks.float() / 255.0  # (N, h, w)
    if len(truth) < 2:
        return logits.new_zeros(len(logits))
    claims = truth * target.weights.clamp(max=1.0)[:, None, None]
    (first, second), owner = claims.topk(2, dim=0)[0], claims.argmax(dim=0)
    theirs = torch.where(owner[None] == row[:, None, None], second[None], first[None])  # (Q, h, w)
    theirs = theirs * (1.0 - truth[row]) * crop
    size = torch.maximum(truth[row].sum(dim=(1, 2)), theirs.sum(dim=(1, 2))).clamp(min=1.0)
    return (functional.softplus(logits) * theirs).sum(dim=(1, 2)) / size


def choose_masks(pairs: Assignment, generator: torch.Generator) -> Tensor:
    """Rows of the pairs whose masks are trained: up to three an object at random, the best IoU first, (Q',)."""
    if not len(pairs.location):
        return pairs.location
    device = pairs.row.device  # random numbers come from the processor: the same on every device
    noise = torch.rand(len(pairs.row), generator=generator, device=generator.device).to(device)
    best = pairs.iou.new_zeros(int(pairs.row.max()) + 1).scatter_reduce(0, pairs.row, pairs.iou, "amax")
    noise[pairs.iou >= best[pairs.row]] = 2.0
    order = noise.argsort(descending=True)
    order = order[pairs.row[order].argsort(stable=True)]  # by object, then by noise
    rows = pairs.row[order]
    first = torch.ones(len(rows), dtype=torch.bool, device=device)
    first[1:] = rows[1:] != rows[:-1]
    starts = torch.nonzero(first).squeeze(1)
    position = torch.arange(len(rows), device=device) - starts[first.long().cumsum(0) - 1]
    kept = order[position < MASKS_PER_OBJECT]
    if len(kept) > MASKS_PER_IMAGE:
        drawn = torch.randperm(len(kept), generator=generator, device=generator.device)[:MASKS_PER_IMAGE]
        kept = kept[drawn.to(device)]
    return kept


def box_cells(boxes: Tensor, size: tuple[int, ...]) -> Tensor:
    """Boxes (N, 4) in input pixels -> 1.0 on the prototype cells they touch, (N, h, w)."""
    ys, xs = (torch.arange(side, device=boxes.device) + 0.5 for side in size)
    cells = boxes[:, :, None] / MASK_STRIDE
    across = (xs + 0.5 > cells[:, 0]) & (xs - 0.5 < cells[:, 2])  # (N, w)
    down = (ys + 0.5 > cells[:, 1]) & (ys - 0.5 < cells[:, 3])  # (N, h)
    return (down[:, :, None] & across[:, None, :]).float()


class Teacher(NamedTuple):
    """The frozen original network's answer for one image."""

    boxes: Tensor  # (A, 4)
    objectness: Tensor  # (A,) probabilities
    classes: Tensor  # (A, C) probabilities, 0 for classes that it does not know
    known: Tensor  # (C,) bool: the classes that it knows


def detection_loss(  # noqa: PLR0917 - tensors of one image
    outputs: Outputs,
    image: int,
    target: Target,
    pairs: Assignment,
    teacher: Teacher | None,
    corners: Tensor,
    strides: Tensor,
) -> dict[str, Tensor]:
    """Box, objectness and class terms of one image, each summed; classes and regions without labels follow the teacher.

    Where labels teach masks only, objects whose class the teacher knows are left to the teacher.

    Returns:
        `box`, `objectness`, `classes` (sums) and `count` (the weight of the positives, for normalising over the batch).
    """
    boxes, objectness, classes = outputs.boxes[image], outputs.objectness[image], outputs.classes[image]
    if target.masks_only and teacher is not None:
        pairs = Assignment(*(values[~teacher.known[target.class_ids[pairs.row]]] for values in pairs))
    weights = target.weights[pairs.row]
    if teacher is None:
        wanted, trust = untaught_background(target, objectness.detach(), corners, strides)
    else:
        wanted, trust = background(target, teacher, corners, strides)
    wanted[pairs.location], trust[pairs.location] = 1.0, weights
    terms = {
        "objectness": (functional.binary_cross_entropy_with_logits(objectness, wanted, reduction="none") * trust).sum(),
        "count": weights.sum(),
    }
    iou = paired_iou(boxes[pairs.location], target.boxes[pairs.row])
    label = functional.one_hot(target.class_ids[pairs.row], classes.shape[1]).float() * iou.detach()[:, None]
    if teacher is not None:
        label = torch.where(target.labelled[None], label, torch.maximum(label, teacher.classes[pairs.location]))
    class_loss = functional.binary_cross_entropy_with_logits(classes[pairs.location], label, reduction="none").sum(
        dim=1
    )
    terms["box"] = ((1 - iou**2) * weights).sum()
    terms["classes"] = (class_loss * weights).sum()
    if teacher is None:
        return terms
    # Where no label speaks, the teacher's classes and boxes, weighted by how sure it is that something is there.
    sure = wanted * trust
    sure[pairs.location] = 0.0
    taught = torch.nonzero(sure > TEACHER_FLOOR).squeeze(1)
    if len(taught):
        sure, known = sure[taught], teacher.classes[taught]
        follow = functional.binary_cross_entropy_with_logits(classes[taught], known, reduction="none")
        speaks = teacher.known | target.labelled if target.complete else teacher.known
        follow = (follow * speaks).sum(dim=1)
        ours = sure * known.max(dim=1).values  # of other things only "none of our classes" is to be kept, not the box
        iou = paired_iou(boxes[taught], teacher.boxes[taught])
        terms["classes"] = terms["classes"] + (follow * sure).sum()
        terms["box"] = terms["box"] + ((1 - iou**2) * ours).sum()
        terms["count"] = terms["count"] + ours.sum()
    return terms


def background(target: Target, teacher: Teacher, corners: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Objectness wanted where no object is assigned, and how much it is trusted, (A,) each.

    The teacher's opinion, except where it claims a class that the set would have labelled: that is background.
    Untrusted inside ignore regions. The teacher's objectness speaks of 80 classes, and stays so: pushing it to zero on
    dogs and chairs, which the class scores rule out anyway, cost 4 points of box AP in 200 steps.
    """
    would_label = target.labelled if target.complete else torch.zeros_like(target.labelled)
    refuted = (teacher.classes * would_label).max(dim=1).values.mul(2.0).clamp(max=1.0)
    wanted = teacher.objectness * (1.0 - refuted)
    trust = torch.ones_like(wanted)
    trust[ignored(target, corners, strides)] = 0.0
    return wanted, trust


def untaught_background(target: Target, objectness: Tensor, corners: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """`background` without a teacher: nothing is there, trusted less the surer the network is where labels may miss it.

    A picture whose labels are known to be incomplete has unlabelled objects; the network's own prediction stands
    in (after the bootstrapping of Reed et al. 2015).
    """
    wanted = torch.zeros_like(objectness)
    sure = target.complete and bool(target.labelled.all())
    trust = torch.ones_like(objectness) if sure else 1.0 - objectness.sigmoid()
    trust[ignored(target, corners, strides)] = 0.0
    return wanted, trust


def ignored(target: Target, corners: Tensor, strides: Tensor) -> Tensor:
    """Locations inside the regions that teach nothing, (A,) bool."""
    if not len(target.ignore):
        return torch.zeros(len(corners), dtype=torch.bool, device=corners.device)
    centres = corners + strides * 0.5
    within = (centres[:, None] > target.ignore[None, :, :2]) & (centres[:, None] < target.ignore[None, :, 2:])
    return within.all(dim=2).any(dim=1)


def paired_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU of xyxy boxes row by row, (N, 4) and (N, 4) -> (N,)."""
    low, high = torch.maximum(first[:, :2], second[:, :2]), torch.minimum(first[:, 2:], second[:, 2:])
    overlap = (high - low).clamp(min=0).prod(dim=1)
    areas = (first[:, 2:] - first[:, :2]).prod(dim=1) + (second[:, 2:] - second[:, :2]).prod(dim=1)
    return overlap / (areas - overlap).clamp(min=1e-6)


def match_loss(maps: Sequence[Tensor], wanted: Sequence[Tensor], *, scale: float) -> Tensor:
    """How far maps are from a teacher's, as a share of those maps' variance (FitNets, Romero et al. 2015).

    A network that was the teacher before its activation changed comes back by this in a few hundred steps: every cell
    of every picture teaches, not only those that are labelled.

    Args:
        maps: (B, C, h, w) each, prototypes last.
        wanted: the teacher's.
        scale: how many times as large maps are than the teacher's; prototypes, which are outputs, are not.
    """
    shares = []
    for number, (ours, theirs) in enumerate(zip(maps, wanted, strict=True)):
        factor = 1.0 if number == len(maps) - 1 else scale
        shares.append((ours.float() / factor - theirs).square().mean() / theirs.var().clamp(min=1e-6))
    return torch.stack(shares).mean()
