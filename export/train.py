"""A packed archive and initial weights come in; a run folder with checkpoints, a log and its own settings leaves.

Stage `masks` keeps the detector frozen and trains prototypes and coefficients. Stage `all` trains every layer, the
detector at a lower rate, with a frozen copy of the initial detector as teacher where the data does not say what is
there. Each step draws its random numbers from (seed, step), so that a resumed run takes the steps that the
uninterrupted one would have taken.
"""

from __future__ import annotations

import json
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from export.augment import FULL, batch_rows, load_pair, load_sample, step_size
from export.losses import Target, Teacher, assign, detection_loss, mask_loss
from export.teacher import FrozenTeacher
from export.yolact_nano import Outputs, YolactNano, locations

if TYPE_CHECKING:
    from export.data import Archive, Sample

EMA_DECAY = 0.998
BOX_GAIN, MASK_GAIN = 5.0, 4.0
# Gradient norms are clipped by part: the first convolution sees 0..255, and its gradient alone is in the thousands.
MASK_CLIP, DETECTOR_CLIP = 5.0, 5000.0
PAIR_SHARE = 0.5  # of the wide canvases
LOG_EVERY = 20
THREADS_EVERY = 2


class Trainer:
    """State of one run: network, its averaged copy, optimiser and step."""

    def __init__(
        self,
        *,
        network: YolactNano,
        teacher: YolactNano,
        archive: Archive,
        out: Path,
        seed: int,
        batch: int,
        mask_steps: int,
        all_steps: int,
        mask_rate: float = 2e-3,
        detector_rate: float = 6e-4,
        bfloat16: bool = False,
    ) -> None:
        self.network = network.to(memory_format=torch.channels_last)
        self.teacher = FrozenTeacher(teacher)
        self.average = {key: value.clone() for key, value in network.state_dict().items()}
        self.archive, self.out, self.seed, self.batch = archive, out, seed, batch
        self.mask_steps, self.all_steps = mask_steps, all_steps
        self.rates = (mask_rate, detector_rate)
        self.bfloat16 = bfloat16
        self.step = 0
        self.sampling = archive.sampling_weights()
        self.optimiser = torch.optim.AdamW(
            [
                {"params": list(network.mask_head.parameters()), "lr": mask_rate, "scale": 1.0},
                *detector_groups(network),
            ],
            weight_decay=1e-3,
            betas=(0.9, 0.99),
        )

    def samples(self, step: int) -> list[Sample]:
        """The batch of a step, the same whenever it is asked for."""
        rng = np.random.default_rng((self.seed, step))
        size = step_size(step)
        count = max(1, round(self.batch * FULL[0] * FULL[1] / (size[0] * size[1])))
        samples = []
        for row in batch_rows(self.sampling, count, rng):
            paired = size == FULL and rng.random() < PAIR_SHARE
            samples.append((load_pair if paired else load_sample)(self.archive, row, size, rng))
        return samples

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
        """One optimiser step; returns the mean loss terms."""
        mask_rate, detector_rate = self.learning_rates(self.step)
        mask_group, *groups = self.optimiser.param_groups
        mask_group["lr"] = mask_rate
        for group in groups:
            group["lr"] = detector_rate * group["scale"]
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.step)
        images = to_tensor(samples)
        targets = [to_target(sample) for sample in samples]
        train_all = self.step >= self.mask_steps
        with torch.set_grad_enabled(train_all), torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            boxes, objectness, classes, features = self.network.detect(images)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            coefficients, prototypes = self.network.mask_head(*features)
        outputs = Outputs(*(value.float() for value in (boxes, objectness, classes, coefficients, prototypes)))
        loss, logged = self.loss(images, outputs, targets, generator, train_all=train_all)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        logged["mask_gradient"] = float(torch.nn.utils.clip_grad_norm_(mask_group["params"], MASK_CLIP))
        detector = [value for group in groups for value in group["params"]]
        logged["detector_gradient"] = float(torch.nn.utils.clip_grad_norm_(detector, DETECTOR_CLIP))
        self.optimiser.step()
        self.step += 1
        decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for key, value in self.network.state_dict().items():
                self.average[key].lerp_(value, 1 - decay)
        return logged

    def loss(
        self, images: Tensor, outputs: Outputs, targets: list[Target], generator: torch.Generator, *, train_all: bool
    ) -> tuple[Tensor, dict[str, float]]:
        """The batch's loss, normalised by its objects, and its terms for the log."""
        corners, strides = locations(images.shape[2], images.shape[3], like=outputs.boxes)
        masks, stats = torch.zeros(()), torch.zeros(2)
        terms: dict[str, Tensor] = {}
        taught = self.teacher(images) if train_all else None
        for index, target in enumerate(targets):
            pairs = assign(
                outputs.boxes[index], outputs.objectness[index], outputs.classes[index], target, corners, strides
            )
            if not train_all:  # the frozen detector must see the object, or its mask will never be asked for
                seen = pairs.iou > 0.35
                pairs = type(pairs)(*(values[seen] for values in pairs))
            value, counted = mask_loss(outputs, index, target, pairs, generator)
            masks, stats = masks + value, stats + counted
            if taught is not None:
                teacher = Teacher(taught[0][index], taught[1][index], taught[2][index])
                if target.masks_only:
                    pairs = type(pairs)(*(values[:0] for values in pairs))
                for key, term in detection_loss(outputs, index, target, pairs, teacher, corners, strides).items():
                    terms[key] = terms.get(key, torch.zeros(())) + term
        mask = masks / stats[0].clamp(min=1.0)
        logged = {"mask": float(mask.detach()), "mask_iou": float(stats[1] / stats[0].clamp(min=1e-6))}
        total = mask
        if taught is not None:
            count = terms.pop("count").clamp(min=1.0).detach()
            terms = {key: term / count for key, term in terms.items()}
            logged |= {key: float(term.detach()) for key, term in terms.items()}
            total = MASK_GAIN * mask + BOX_GAIN * terms["box"] + terms["objectness"] + terms["classes"]
        return total, logged

    def save(self, path: Path) -> None:
        """Write all state; the file appears whole or not at all."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Go on from `save`d state."""
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]

    def run(self, *, save_every_s: float = 240.0, threads: int = 2) -> None:
        """Train to the last step, the next batch prepared in a thread; takes fewer `threads` while others need them."""
        last_save = started = time.monotonic()
        sums: dict[str, float] = {}
        counts: dict[str, int] = {}
        seen = 0
        end = self.mask_steps + self.all_steps
        with ThreadPoolExecutor(1) as pool, (self.out / "log.jsonl").open("a") as log:
            upcoming = pool.submit(self.samples, self.step)
            while self.step < end:
                samples = upcoming.result()
                upcoming = pool.submit(self.samples, self.step + 1)
                if self.step % THREADS_EVERY == 0:
                    torch.set_num_threads(idle_threads(threads))
                seen += len(samples)
                for key, value in self.train_step(samples).items():
                    sums[key] = sums.get(key, 0.0) + value
                    counts[key] = counts.get(key, 0) + 1
                if self.step % LOG_EVERY == 0 or self.step == end:
                    now = time.monotonic()
                    line: dict[str, Any] = {key: round(value / counts[key], 4) for key, value in sums.items()}
                    line |= {
                        "step": self.step,
                        "of": end,
                        "images_s": round(seen / (now - started), 2),
                    }
                    log.write(json.dumps(line) + "\n")
                    log.flush()
                    started = now
                    sums, counts, seen = {}, {}, 0
                if time.monotonic() - last_save > save_every_s or self.step in (self.mask_steps, end):
                    self.save(self.out / "last.pt")
                    if self.step == self.mask_steps:
                        self.save(self.out / "masks.pt")
                    last_save = time.monotonic()


def detector_groups(network: YolactNano) -> list[dict[str, Any]]:
    """One parameter group a tensor, with the root mean square of its values as `scale` of its rate.

    With batch norms folded in, sizes differ a thousandfold (first convolution 0.013, some biases 20), and Adam's
    steps do not depend on the gradient's size: one rate for all wrecked the first layer (box loss 0.29 -> 0.37 in 100
    steps at 1.3e-4).
    """
    groups = []
    for key, value in network.named_parameters():
        if not key.startswith("mask_head"):
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
    """Linear warm-up to 1, then half a cosine down to `floor` at the last step."""
    if step < warm_up:
        return (step + 1) / warm_up
    progress = min(1.0, (step - warm_up) / max(1, steps - warm_up))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def to_tensor(samples: list[Sample]) -> Tensor:
    """Pictures -> (B, 3, H, W) float32, BGR 0..255, channels last in memory."""
    return torch.from_numpy(np.stack([sample.image for sample in samples])).permute(0, 3, 1, 2).float()


def to_target(sample: Sample) -> Target:
    """Labels as tensors."""
    return Target(
        boxes=torch.from_numpy(sample.boxes),
        class_ids=torch.from_numpy(sample.class_ids),
        weights=torch.from_numpy(sample.weights),
        masks=torch.from_numpy(sample.masks),
        ignore=torch.from_numpy(sample.ignore),
        labelled=torch.from_numpy(sample.labelled),
        complete=sample.complete,
        masks_only=sample.masks_only,
    )
