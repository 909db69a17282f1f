"""Training of yolact-nanodet: quality focal loss, distribution focal loss, and masks that begin as yolact-nano's.

NanoDet has no objectness: a class score says how well the box fits too (Generalized Focal Loss, Li et al. 2020,
equations 4 and 6). Where a data set says nothing of a class, the frozen initial detector's score is wanted. While the
detector is frozen, ONNX Runtime computes it, and a trained yolact-nano may show its prototypes and coefficients, of the
same strides and the same places, for as long as masks of one's own are none (FitNets, Romero et al. 2015).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.data.teacher import FrozenTeacher
from export.networks.yolact_nano import Outputs
from export.networks.yolact_nanodet import BINS, SURE, YolactNanoDet
from export.training.losses import TEACHER_FLOOR, Assignment, Target, ignored, paired_iou
from export.training.train import MASK_GAIN, Trainer, logged

if TYPE_CHECKING:
    from export.data.teacher import Answers
    from export.networks.yolact_nano import YolactNano

BOX_GAIN, DISTANCE_GAIN = 2.0, 0.25  # as published, beside 1 for classes
SHOWN_GAIN = 2.0  # of the teacher's masks, at the first step


class FrozenTrunk(nn.Module):
    """Logits of distances and classes, and the mask head's input."""

    def __init__(self, network: YolactNanoDet) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, H, W) float -> boxes, objectness, class probabilities; c2, p3, stems."""
        boxes, objectness, classes, (c2, p3, stems) = self.network.detect(images)
        return boxes, objectness.sigmoid(), classes.sigmoid(), c2, p3, *stems


class ShownMasks(nn.Module):
    """yolact-nano's detections, coefficients (B, A, P + 5) and prototypes (B, P, h, w)."""

    def __init__(self, network: YolactNano) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, H, W) float, BGR 0..255."""
        boxes, objectness, classes, features = self.network.detect(images)
        return boxes, objectness.sigmoid(), classes.sigmoid(), *self.network.mask_head(*features)


class NanoDetTrainer(Trainer):
    """`Trainer` with Generalized Focal Loss; see there.

    Args:
        network: to train.
        trunk: its initial weights; their run gives features while the detector is frozen, and class scores where
            labels are silent.
        taught: do they?
        shown: a yolact-nano whose masks are followed at first, or None.
        options: of `Trainer`.
    """

    network: YolactNanoDet

    def __init__(
        self, *, network: YolactNanoDet, trunk: YolactNanoDet, taught: bool, shown: YolactNano | None, **options: Any
    ) -> None:
        super().__init__(network=network, teacher=None, **options)
        self.taught = taught
        self.trunk = FrozenTeacher(trunk, network.classes, self.device, module=FrozenTrunk(trunk))
        self.shown = None
        if shown is not None:
            self.shown = FrozenTeacher(shown, network.classes, self.device, module=ShownMasks(shown))

    def forward(self, images: Tensor, *, train_all: bool) -> tuple[Outputs, tuple[Answers | None, Tensor | None]]:
        """Outputs in float32, split by image; what the frozen detector says, and logits of distances (B, A, 32)."""
        answers = self.trunk(images) if self.taught or not train_all else None
        mixed = torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32)
        raw = None
        with mixed:
            if train_all:
                raw, classes, features = self.network.raw_heads(images)
                places = self.network.locations(images.shape[2], images.shape[3], like=raw)
                boxes = self.network.decode(raw, *places)
            else:
                boxes, classes = answers.boxes, torch.logit(answers.classes, eps=1e-6)
                features = (answers.maps[0], answers.maps[1], list(answers.maps[2:]))
            coefficients, prototypes = self.network.mask_head(*features)
        values = boxes, torch.full_like(boxes[..., 0], SURE), classes, coefficients, prototypes
        return Outputs(*(value.float().unbind(0) for value in values)), (answers, raw)

    def loss(
        self,
        images: Tensor,
        outputs: Outputs,
        maps: tuple[Answers | None, Tensor | None],
        targets: list[Target],
        generator: torch.Generator,
        *,
        train_all: bool,
    ) -> tuple[Tensor, dict[str, float]]:
        """The batch's loss, normalised by its objects, and its terms for the log."""
        answers, raw = maps
        places = self.network.locations(images.shape[2], images.shape[3], like=outputs.boxes[0])

        def detection(index: int, target: Target, pairs: Assignment) -> dict[str, Tensor]:
            taught = (answers.boxes[index], answers.classes[index], self.trunk.known) if answers else None
            return focal_terms(outputs, index, raw[index], target, pairs, taught, places)

        keys = ("classes", "box", "distance")
        terms = self.batch_terms(outputs, targets, places, generator, detection if train_all else None, keys)
        mask = total = terms["mask"]
        if train_all:
            total = MASK_GAIN * mask + BOX_GAIN * terms["box"] + DISTANCE_GAIN * terms["distance"] + terms["classes"]
        elif self.shown is not None:
            terms["shown"] = shown_loss(outputs, self.shown(images))
            total = total + SHOWN_GAIN * max(0.0, 1.0 - self.step / max(1, self.mask_steps)) * terms["shown"]
        return total, logged(terms | {"loss": total})


def focal_terms(  # noqa: PLR0917 - tensors of one image
    outputs: Outputs,
    image: int,
    raw: Tensor,
    target: Target,
    pairs: Assignment,
    taught: tuple[Tensor, Tensor, Tensor] | None,
    places: tuple[Tensor, Tensor],
) -> dict[str, Tensor]:
    """Class, box and distance terms of one image, each summed.

    Args:
        outputs: of the batch.
        image: which.
        raw: (A, 4 x bins) logits of distances.
        target: labels.
        pairs: locations and their objects.
        taught: the frozen detector's boxes (A, 4), class probabilities (A, C) and known classes (C,); None = none.
        places: corners (A, 2) and strides (A, 1).

    Returns:
        `classes`, `box`, `distance` (sums) and `count` (the weight of the positives).
    """
    boxes, classes = outputs.boxes[image], outputs.classes[image]
    if target.masks_only and taught is not None:
        pairs = Assignment(*(values[~taught[2][target.class_ids[pairs.row]]] for values in pairs))
    weights = target.weights[pairs.row]
    speaks = target.labelled & (target.complete and not target.masks_only)  # (C,): without a label it is background
    wanted = torch.zeros_like(classes) if taught is None else torch.where(speaks, 0.0, taught[1])
    trust = torch.ones_like(classes)
    if taught is None:
        trust[:, ~speaks] = 1.0 - classes.detach().sigmoid()[:, ~speaks]
    trust[ignored(target, *places)] = 0.0
    iou = paired_iou(boxes[pairs.location], target.boxes[pairs.row])
    label = functional.one_hot(target.class_ids[pairs.row], classes.shape[1]).float() * iou.detach()[:, None]
    wanted[pairs.location] = torch.where(target.labelled, label, torch.maximum(label, wanted[pairs.location]))
    trust[pairs.location] = weights[:, None].expand(-1, classes.shape[1])
    cross = functional.binary_cross_entropy_with_logits(classes, wanted, reduction="none")
    terms = {
        "classes": ((wanted - classes.sigmoid()).square() * cross * trust).sum(),
        "box": ((1 - iou) * weights).sum(),
        "distance": (distance_loss(raw, target, pairs, places) * weights).sum(),
        "count": weights.sum(),
    }
    if taught is None:
        return terms
    sure = (wanted * trust).max(dim=1).values
    sure[pairs.location] = 0.0
    followed = torch.nonzero(sure > TEACHER_FLOOR).squeeze(1)
    if len(followed):
        near = paired_iou(boxes[followed], taught[0][followed])
        terms["box"] = terms["box"] + ((1 - near) * sure[followed]).sum()
        terms["count"] = terms["count"] + sure[followed].sum()
    return terms


def distance_loss(raw: Tensor, target: Target, pairs: Assignment, places: tuple[Tensor, Tensor]) -> Tensor:
    """Distribution focal loss of positive locations, (Q,): cross entropy with the two bins beside a true distance."""
    corners, strides = (values[pairs.location] for values in places)
    points, truth = corners + strides * 0.5, target.boxes[pairs.row]
    true = torch.cat((points - truth[:, :2], truth[:, 2:] - points), dim=1) / strides  # (Q, 4)
    true = true.clamp(0.0, BINS - 1.01)
    low = true.floor()
    logs = raw[pairs.location].unflatten(1, (4, BINS)).log_softmax(dim=2)  # (Q, 4, bins)
    below, above = (logs.gather(2, bins.long()[..., None])[..., 0] for bins in (low, low + 1))
    return -((low + 1 - true) * below + (true - low) * above).mean(dim=1)


def shown_loss(outputs: Outputs, answers: Answers) -> Tensor:
    """How far prototypes and coefficients are from a yolact-nano's, shares of the variance; cells by its scores."""
    coefficients, prototypes = answers.maps  # (B, A', P + 5), (B, P, h, w)
    ours = torch.stack(outputs.prototypes)
    far = (ours - prototypes).square().mean(dim=(0, 2, 3)) / prototypes.var(dim=(0, 2, 3)).clamp(min=1e-4)
    count = coefficients.shape[1]  # strides 8, 16 and 32 come first
    weight = (answers.objectness[..., None] * answers.classes).amax(dim=2)  # (B, A')
    apart = (torch.stack(outputs.coefficients)[:, :count] - coefficients).abs().mean(dim=2)
    return far.mean() + (apart * weight).sum() / weight.sum().clamp(min=1.0)
