"""Run folder of a training: checkpoints, log, curves and pictures.

`last.pt` is the state from which the run is resumed, `best.pt` the averaged weights that validated best (the last where
there is nothing to validate on), `log.jsonl` a line every few steps, `curves.png` that log, `batch-*.png` what the
network was shown, `predictions.png` what it finds on validation pictures.
"""

from __future__ import annotations

import copy
import json
import signal
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from export.data.pictures import draw_batch, draw_curves, draw_predictions
from export.networks.weights import load_checkpoint
from export.training.train import idle_threads
from export.training.validate import validate

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from export.data.archive import Archive, Sample
    from export.data.batches import Sampler
    from export.networks.yolact_nano import YolactNano
    from export.training.progress import TrainProgress
    from export.training.train import Trainer

LOG_LINES, LOG_EVERY = 200, 20  # so many lines in a short run; in a long one a line every so many steps
THREADS_EVERY = 2
PICTURED_STEPS = (0, 1, 2)
CURVES_EVERY_S = 60.0


@dataclass(kw_only=True)
class Run:
    """One training in its folder.

    Attributes:
        trainer: network, optimiser and step.
        sampler: the batch of each step.
        out: the run folder.
        validation: pictures to judge the averaged weights by, or None.
        epoch_steps: steps of an epoch.
        val_every: steps between two validations; there is one at the end as well.
        threads: of PyTorch on the processor, fewer while other programs need them.
        workers: threads that prepare batches.
        save_every_s: seconds between two checkpoints; there is one at the end of each epoch as well.
        hours: of training, over all starts, with as many steps as that gives. None: as many as the trainer has.
        trained_s: seconds trained so far, over all starts.
        progress: where to show how it goes.
        before: AP and AP50 of the network before the first step.
    """

    trainer: Trainer
    sampler: Sampler
    out: Path
    validation: Archive | None
    epoch_steps: int
    val_every: int
    threads: int = 2
    workers: int = 1
    save_every_s: float = 240.0
    hours: float | None = None
    trained_s: float = 0.0
    progress: TrainProgress | None = None
    best: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    stopped: bool = False

    def save(self) -> None:
        """Write `last.pt`; it appears whole or not at all."""
        state = {"best": self.best, "before": self.before, "size": list(self.sampler.recipe.size)}
        self.write({**self.trainer.state(), **state, "trained_s": self.trained_s}, "last.pt")

    def write(self, state: dict[str, Any], name: str) -> None:
        """Write a checkpoint so that no half of it is ever found under its name."""
        partial = self.out / f"{name}.partial"
        torch.save(state, partial)
        partial.replace(self.out / name)

    def resume(self) -> bool:
        """Resume from `last.pt`, if it is there; later lines of the log are dropped."""
        if not (self.out / "last.pt").exists():
            return False
        state = load_checkpoint(self.out / "last.pt")
        self.trainer.load_state(state)
        self.best, self.before = state["best"], state.get("before", {})
        self.trained_s = state.get("trained_s", 0.0)
        self.plan()
        log = self.out / "log.jsonl"
        lines = log.read_text().splitlines(keepends=True) if log.exists() else []
        log.write_text(
            "".join(line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= self.trainer.step)
        )
        return True

    def train(self) -> bool:
        """Train to the last step; False when a signal stopped it before, with everything saved."""
        trainer = self.trainer
        before = {number: signal.signal(number, self.stop) for number in (signal.SIGINT, signal.SIGTERM)}
        tally = Tally()
        log_every = max(1, min(LOG_EVERY, trainer.steps // LOG_LINES))
        saved = drawn = time.monotonic()
        upcoming: deque[Future[list[Sample]]] = deque()
        self.use_idle_threads()  # a resumed run may begin at any step
        try:
            with ThreadPoolExecutor(self.workers) as pool, (self.out / "log.jsonl").open("a") as log:
                if trainer.step == 0:
                    self.judge_before(log)
                asked, since = trainer.step, time.monotonic()
                while trainer.step < trainer.steps and not self.stopped:
                    while asked < trainer.steps and len(upcoming) <= self.workers:
                        upcoming.append(pool.submit(self.sampler.batch, asked))
                        asked += 1
                    samples = upcoming.popleft().result()
                    self.one_step(samples, tally)
                    now = time.monotonic()
                    self.trained_s, since = self.trained_s + now - since, now
                    self.plan()
                    done, end = trainer.step, trainer.step == trainer.steps
                    if done % log_every == 0 or end:
                        log.write(json.dumps(tally.line(done, trainer.steps, now)) + "\n")
                        log.flush()
                    epoch_over = done % self.epoch_steps == 0
                    if done % self.val_every == 0 or end:
                        self.judge(log)
                    if epoch_over or end or self.stopped or now - saved > self.save_every_s:
                        self.save()
                        saved = now
                    if end or (epoch_over and now - drawn > CURVES_EVERY_S):
                        draw_curves(self.out / "log.jsonl", self.out / "curves.png")
                        drawn = now
                for future in upcoming:
                    future.cancel()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return trainer.step == trainer.steps

    def plan(self) -> None:
        """With an end in time: as many steps as there will be at the speed so far, for rates, sampler and progress."""
        if self.hours is None or self.trainer.step == 0:
            return
        self.trainer.plan(self.trained_s / (self.hours * 3600.0))
        self.sampler.steps = self.trainer.steps
        if self.progress:
            self.progress.steps = self.trainer.steps
            self.progress.left_s = max(0.0, self.hours * 3600.0 - self.trained_s)

    def use_idle_threads(self) -> None:
        """As many threads on the processor as other programs leave free."""
        if self.trainer.device.type == "cpu":
            torch.set_num_threads(idle_threads(self.threads))

    def one_step(self, samples: list[Sample], tally: Tally) -> None:
        """Train one batch and show it where it is one of the first."""
        trainer = self.trainer
        if trainer.step in PICTURED_STEPS:
            draw_batch(samples, trainer.network.classes, self.out / f"batch-{trainer.step}.png")
        if trainer.step % THREADS_EVERY == 0:
            self.use_idle_threads()
        tally.add(len(samples), trainer.train_step(samples))
        if self.progress:
            self.progress.show(trainer.step, len(samples), tally.means(), self.best)

    def judge_before(self, log: Any) -> None:
        """Validate what the run starts from: without it a gain cannot be told from a loss."""
        if self.validation is None:
            return
        if self.progress:
            self.progress.say("validating before the first step")
        figures, _ = validate(
            self.averaged(), self.validation, size=self.sampler.recipe.size, device=self.trainer.device
        )
        self.before = {"AP": figures["AP"], "AP50": figures["AP50"]}
        log.write(json.dumps({"step": 0, "val": figures}) + "\n")
        log.flush()
        if self.progress:
            self.progress.validated_before(figures)

    def judge(self, log: Any) -> None:
        """Validate the averaged weights; keep them as `best.pt` where they are the best so far."""
        trainer = self.trainer
        if self.validation is None:
            if trainer.step == trainer.steps:
                self.keep({})
            return
        if self.progress:
            self.progress.say("validating")
        figures, shown = validate(
            self.averaged(), self.validation, size=self.sampler.recipe.size, device=trainer.device
        )
        draw_predictions(shown, trainer.network.classes, self.out / "predictions.png")
        log.write(json.dumps({"step": trainer.step, "val": figures}) + "\n")
        log.flush()
        if not self.best or figures["AP"] > self.best["AP"]:
            self.best = {"step": trainer.step, "AP": figures["AP"], "AP50": figures["AP50"]}
            self.keep(figures)
        if self.progress:
            self.progress.validated(figures, self.best)

    def averaged(self) -> YolactNano:
        """A network of the averaged weights."""
        network = copy.deepcopy(self.trainer.network)
        network.load_state_dict(self.trainer.average)
        return network

    def keep(self, figures: dict[str, Any]) -> None:
        """Write `best.pt`: the averaged weights, and what is known of them."""
        trainer = self.trainer
        state = {
            "average": trainer.average,
            "classes": list(trainer.network.classes),
            "activation": trainer.network.activation,
            "mask_growth": trainer.network.mask_growth,
            "size": list(self.sampler.recipe.size),
            "step": trainer.step,
            "val": figures,
        }
        self.write(state, "best.pt")

    def stop(self, *_: object) -> None:
        """On a signal: finish the step, save, and end."""
        self.stopped = True


class Tally:
    """Loss terms since the last line of the log, averaged."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.steps = self.images = 0
        self.since = time.monotonic()

    def add(self, images: int, terms: dict[str, float]) -> None:
        """One step's."""
        self.steps, self.images = self.steps + 1, self.images + images
        for key, value in terms.items():
            self.sums[key] = self.sums.get(key, 0.0) + value

    def means(self) -> dict[str, float]:
        """So far."""
        return {key: round(value / max(1, self.steps), 4) for key, value in self.sums.items()}

    def line(self, step: int, steps: int, now: float) -> dict[str, Any]:
        """The log's line; a new count begins."""
        images_s = self.images / max(now - self.since, 1e-9)
        line = {"step": step, "of": steps, **self.means(), "images_s": round(images_s, 2)}
        self.sums, self.steps, self.images, self.since = {}, 0, 0, now
        return line
