"""Training loop with averaged weights (EMA) and per-tensor learning rates.

Stage `masks` keeps the detector frozen and trains prototypes and coefficients. Stage `all` trains every layer, the
detector at a lower rate, with a frozen copy of the initial detector as teacher where the data does not say what is
there. Each step draws its random numbers from (seed, step), so that a resumed run takes the steps that the
uninterrupted one would have taken.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from export.data.teacher import FrozenTeacher, matched_maps
from export.networks.activation import MAP_SCALES
from export.networks.yolact_nano import Outputs, YolactNano
from export.training.losses import (
    YOLACT_TERMS,
    Assignment,
    MaskTerms,
    Target,
    Teacher,
    assign,
    detection_loss,
    mask_loss,
    match_loss,
)
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from export.data.archive import Sample

EMA_DECAY = 0.998
BOX_GAIN, MASK_GAIN = 5.0, 4.0
SEEN_IOU = 0.35  # of a frozen detector's box and the object whose mask it learns
# Gradient norms are clipped by part: the first convolution sees 0..255, and its gradient alone is in the thousands.
MASK_CLIP, DETECTOR_CLIP = 5.0, 5000.0
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def logged(terms: dict[str, Tensor]) -> dict[str, float]:
    """Values of terms, with one wait for the device."""
    values = torch.stack([term.detach() for term in terms.values()]).tolist()
    return dict(zip(terms, values, strict=True))


class Trainer:
    """State of one run: network, its averaged copy, optimiser and step.

    Args:
        network: to train, from its initial weights.
        teacher: gives targets where there are no labels; None = no teacher.
        seed: of the run.
        mask_steps: steps with the detector frozen.
        all_steps: steps with every layer after these.
        mask_rate: of the mask head.
        detector_rate: of the rest, relative to the size of each tensor.
        device: where to compute.
        precision: `float32`, `bfloat16` or `float16` of the layers; weights, losses and averages are float32.
        match: weight of `match_loss`; 0 = the teacher's maps are not followed.
        terms: of the masks' loss; the network is told its growth.
    """

    def __init__(
        self,
        *,
        network: YolactNano,
        teacher: YolactNano | None,
        seed: int,
        mask_steps: int,
        all_steps: int,
        mask_rate: float = 2e-3,
        detector_rate: float = 6e-4,
        device: torch.device | None = None,
        precision: str = "float32",
        match: float = 0.0,
        terms: MaskTerms = YOLACT_TERMS,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.network = network.to(self.device, memory_format=torch.channels_last)
        self.match, self.terms = match, terms
        self.network.mask_growth = terms.growth
        self.teacher = None
        if teacher is not None:
            self.teacher = FrozenTeacher(teacher, network.classes, self.device, maps=match > 0.0)
        self.average = {key: value.clone() for key, value in network.state_dict().items()}
        self.seed, self.mask_steps, self.all_steps = seed, mask_steps, all_steps
        self.rates = (mask_rate, detector_rate)
        self.precision = PRECISIONS[precision]
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "float16")
        self.step = 0
        self.optimiser = torch.optim.AdamW(
            [
                {"params": mask_parameters(network), "lr": mask_rate, "scale": 1.0},
                *detector_groups(network),
            ],
            weight_decay=1e-3,
            betas=(0.9, 0.99),
        )

    @property
    def steps(self) -> int:
        """Of both stages."""
        return self.mask_steps + self.all_steps

    def plan(self, share: float) -> None:
        """Make the steps taken the given share of all, so that rates follow time where a run has an end in time."""
        self.all_steps = max(self.step, 1 if share <= 0.0 else round(self.step / min(share, 1.0))) - self.mask_steps

    def learning_rates(self, step: int) -> tuple[float, float]:
        """Mask head's and detector's rate: warm-up, then half a cosine in each stage."""
        if step < self.mask_steps:
            return self.rates[0] * cosine(step, self.mask_steps, floor=0.25, warm_up=50), 0.0
        done = step - self.mask_steps
        return (
            self.rates[0] * 0.5 * cosine(done, self.all_steps, floor=0.02, warm_up=100),
            self.rates[1] * cosine(done, self.all_steps, floor=0.02, warm_up=300),
        )

    def train_step(self, samples: list[Sample]) -> dict[str, float]:
        """One optimiser step; returns the mean loss terms.

        Raises:
            ConfigError: the loss is no longer a number.
        """
        mask_rate, detector_rate = self.learning_rates(self.step)
        mask_group, *groups = self.optimiser.param_groups
        mask_group["lr"] = mask_rate
        for group in groups:
            group["lr"] = detector_rate * group["scale"]
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.step)
        images = to_tensor(samples, self.device)
        targets = [to_target(sample, self.device) for sample in samples]
        train_all = self.step >= self.mask_steps
        outputs, maps = self.forward(images, train_all=train_all)
        loss, logged = self.loss(images, outputs, maps, targets, generator, train_all=train_all)
        if not math.isfinite(logged["loss"]):
            raise ConfigError(
                f"step {self.step}", "the loss is no longer a number", "lower --detector-rate and --mask-rate"
            )
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimiser)
        detector = [value for group in groups for value in group["params"]]
        norms = [
            torch.nn.utils.clip_grad_norm_(mask_group["params"], MASK_CLIP),
            torch.nn.utils.clip_grad_norm_(detector, DETECTOR_CLIP),
        ]
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.step += 1
        decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for key, value in self.network.state_dict().items():
                self.average[key].lerp_(value, 1 - decay)
        return logged | {"mask_gradient": float(norms[0]), "detector_gradient": float(norms[1])}

    def forward(self, images: Tensor, *, train_all: bool) -> tuple[Outputs, tuple[Tensor, ...]]:
        """The network's outputs in float32, each split by image: a gradient by one image then costs one image.

        Also the maps that may follow a teacher's, of the whole batch.
        """
        mixed = torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32)
        with torch.set_grad_enabled(train_all), mixed:
            boxes, objectness, classes, features = self.network.detect(images)
        with mixed:
            coefficients, prototypes = self.network.mask_head(*features)
        values = boxes, objectness, classes, coefficients, prototypes
        return Outputs(*(value.float().unbind(0) for value in values)), matched_maps(features, prototypes)

    def loss(
        self,
        images: Tensor,
        outputs: Outputs,
        maps: tuple[Tensor, ...],
        targets: list[Target],
        generator: torch.Generator,
        *,
        train_all: bool,
    ) -> tuple[Tensor, dict[str, float]]:
        """The batch's loss, normalised by its objects, and its terms for the log."""
        places = self.network.locations(images.shape[2], images.shape[3], like=outputs.boxes[0])
        taught = self.teacher(images) if train_all and self.teacher else None

        def detection(index: int, target: Target, pairs: Assignment) -> dict[str, Tensor]:
            teacher = Teacher(*(part[index] for part in taught[:3]), self.teacher.known) if taught else None
            return detection_loss(outputs, index, target, pairs, teacher, *places)

        keys = ("box", "objectness", "classes")
        terms = self.batch_terms(outputs, targets, places, generator, detection if train_all else None, keys)
        total = terms["mask"]
        if train_all:
            total = MASK_GAIN * terms["mask"] + BOX_GAIN * terms["box"] + terms["objectness"] + terms["classes"]
            if taught and taught.maps:
                scale = MAP_SCALES[self.network.activation] / MAP_SCALES[self.teacher.activation]
                terms["match"] = match_loss(maps, taught.maps, scale=scale)
                total = total + self.match * terms["match"]
        return total, logged(terms | {"loss": total})

    def batch_terms(  # noqa: PLR0917 - tensors of one batch
        self,
        outputs: Outputs,
        targets: list[Target],
        places: tuple[Tensor, Tensor],
        generator: torch.Generator,
        detection: Callable[[int, Target, Assignment], dict[str, Tensor]] | None,
        keys: Sequence[str],
    ) -> dict[str, Tensor]:
        """`mask`, `mask_iou` and the detector's terms of a batch, each normalised by its objects.

        Args:
            outputs: of the batch.
            targets: by image.
            places: corners and strides of the locations.
            generator: of the mask's samples.
            detection: sums of an image's terms, and `count`; None = the detector is frozen.
            keys: of these terms.
        """
        zero = outputs.boxes[0].new_zeros(())
        sums, masks, stats = dict.fromkeys((*keys, "count"), zero), zero, zero.repeat(2)
        for index, target in enumerate(targets):
            pairs = assign(outputs.boxes[index], outputs.objectness[index], outputs.classes[index], target, *places)
            if detection is None:  # the frozen detector must see the object, or its mask will never be asked for
                pairs = Assignment(*(values[pairs.iou > SEEN_IOU] for values in pairs))
            value, counted = mask_loss(outputs, index, target, pairs, generator, self.terms)
            masks, stats = masks + value, stats + counted
            if detection is not None:
                terms = detection(index, target, pairs)
                sums = {key: total + terms[key] for key, total in sums.items()}
        found = {"mask": masks / stats[0].clamp(min=1.0), "mask_iou": stats[1] / stats[0].clamp(min=1e-6)}
        if detection is None:
            return found
        count = sums.pop("count").clamp(min=1.0).detach()
        return found | {key: term / count for key, term in sums.items()}

    def state(self) -> dict[str, Any]:
        """The state from which a run is resumed."""
        return {
            "network": self.network.state_dict(),
            "average": self.average,
            "classes": list(self.network.classes),
            "activation": self.network.activation,
            "mask_growth": self.network.mask_growth,
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "step": self.step,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Resume from `state`."""
        self.network.load_state_dict(state["network"])
        self.average = {key: value.to(self.device) for key, value in state["average"].items()}
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.step = state["step"]


def choose_device(name: str) -> torch.device:
    """``auto``, ``cpu`` or ``cuda`` -> the device.

    Raises:
        ConfigError: CUDA is asked for and not there.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "--device cuda",
            f"expected a GPU that PyTorch can use, found none (torch {torch.__version__})",
            "install a CUDA build of torch (https://pytorch.org), or take --device cpu",
        )
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


def choose_precision(name: str, device: torch.device) -> str:
    """``auto``: half precision on GPUs, with float16 where bfloat16 is not built in; float32 on processors."""
    if name != "auto":
        return name
    if device.type == "cpu":
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"


def of_masks(key: str) -> bool:
    """Does a parameter learn masks? Categories of solov2-nano begin with what a detector knows, and are of the rest.

    >>> of_masks("mask_head.kernel_out.0.bias"), of_masks("mask_head.category_out.0.bias"), of_masks("neck.down3")
    (True, False, False)
    """
    return key.startswith("mask_head.") and not key.startswith("mask_head.category_")


def mask_parameters(network: YolactNano) -> list[torch.nn.Parameter]:
    """Those that learn masks, in the order of the module."""
    return [value for key, value in network.named_parameters() if of_masks(key)]


def detector_groups(network: YolactNano) -> list[dict[str, Any]]:
    """One parameter group a tensor, with the root mean square of its values as `scale` of its rate.

    With batch norms folded in, sizes differ a thousandfold (first convolution 0.013, some biases 20), and Adam's
    steps do not depend on the gradient's size: one rate for all wrecked the first layer (box loss 0.29 -> 0.37 in 100
    steps at 1.3e-4).
    """
    groups = []
    for key, value in network.named_parameters():
        if not of_masks(key) and not key.startswith("embedding_head"):  # embeddings have a training of their own
            scale = float(value.detach().square().mean().sqrt().clamp(1e-3, 1.0))
            groups.append({"params": [value], "lr": 0.0, "scale": scale})
    return groups


def idle_threads(limit: int) -> int:
    """How many threads to use now, 1 to `limit`: one less for each that other programs run.

    A parallel loop waits for its slowest thread. With one core taken by others, two threads at low priority trained
    at 2 images a second and one thread at 13.
    """
    try:
        running = int(Path("/proc/stat").read_text().split("procs_running ")[1].split()[0])
        states = [
            (task / "stat").read_text().rpartition(")")[2].split()[0] for task in Path("/proc/self/task").iterdir()
        ]
    except (OSError, IndexError, ValueError):
        return limit
    return max(1, min(limit, (os.cpu_count() or 1) - (running - states.count("R"))))


def cosine(step: int, steps: int, *, floor: float, warm_up: int) -> float:
    """Linear warm-up to 1 in a fifth of the steps at most, then half a cosine down to `floor` at the last step."""
    warm_up = min(warm_up, max(1, steps // 5))
    if step < warm_up:
        return (step + 1) / warm_up
    progress = min(1.0, (step - warm_up) / max(1, steps - warm_up))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def to_tensor(samples: list[Sample], device: torch.device) -> Tensor:
    """Pictures -> (B, 3, H, W) float32, BGR 0..255, channels last in memory."""
    return torch.from_numpy(np.stack([sample.image for sample in samples])).to(device).permute(0, 3, 1, 2).float()


def to_target(sample: Sample, device: torch.device) -> Target:
    """Labels as tensors."""
    arrays = ("boxes", "class_ids", "weights", "masks", "ignore", "labelled")
    return Target(
        **{name: torch.from_numpy(getattr(sample, name)).to(device) for name in arrays},
        complete=sample.complete,
        masks_only=sample.masks_only,
    )
