"""Progress line of a training run on the terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from rich.console import Console

PLAIN_INTERVAL_S = 15.0  # between lines where the output is no terminal
MEMORY = 0.95  # of the speed, by step
SHOWN = (
    ("loss", "loss"),
    ("mask", "mask"),
    ("box", "box"),
    ("objectness", "obj"),
    ("classes", "cls"),
    ("mask_iou", "IoU"),
)


class TrainProgress:
    """Epoch, images a second, time left, loss terms, last and best validation AP.

    Args:
        console: where to.
        steps: of the whole run; they may change on the way.
        epoch_steps: of an epoch.
    """

    def __init__(self, *, console: Console, steps: int, epoch_steps: int) -> None:
        self.console, self.steps, self.epoch_steps = console, steps, epoch_steps
        self.last = self.printed = time.monotonic()
        self.step_s = self.images_s = 0.0
        self.left_s: float | None = None  # where the run has an end in time; else told from the speed
        self.validation = ""
        self.bar: Progress | None = None
        if console.is_terminal:
            columns = (SpinnerColumn(), BarColumn(bar_width=20), TextColumn("{task.description}"))
            self.bar = Progress(*columns, console=console, auto_refresh=False, transient=True)
            self.task = self.bar.add_task("starting", total=steps)

    def __enter__(self) -> Self:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def show(self, step: int, images: int, terms: Mapping[str, float], best: Mapping[str, Any]) -> None:
        """After a step."""
        now = time.monotonic()
        took, self.last = max(now - self.last, 1e-6), now
        share = MEMORY if self.step_s else 0.0
        self.step_s = share * self.step_s + (1 - share) * took
        self.images_s = share * self.images_s + (1 - share) * images / took
        if self.bar is None and now - self.printed < PLAIN_INTERVAL_S and step < self.steps:
            return
        self.printed = now
        left_s = int((self.steps - step) * self.step_s if self.left_s is None else self.left_s)
        parts = [
            f"epoch {step / self.epoch_steps:.1f}/{self.steps / self.epoch_steps:.0f}",
            f"step {step}/{self.steps}",
            f"{self.images_s:.1f} images/s",
            f"{left_s // 3600}:{left_s // 60 % 60:02d}:{left_s % 60:02d} left",
            *(f"{name} {terms[key]:.3g}" for key, name in SHOWN if key in terms),
        ]
        if best and not self.validation:
            self.validation = f"best val AP {best['AP']:.3f}"
        self.say("  ".join([*parts, self.validation]).rstrip(), done=step)

    def say(self, text: str, *, done: int | None = None) -> None:
        """Show a text as the line."""
        if self.bar is not None:
            self.bar.update(self.task, completed=done, total=self.steps, description=text, refresh=True)
        elif done is not None:
            self.console.print(text, highlight=False, soft_wrap=True)

    def validated(self, figures: Mapping[str, Any], best: Mapping[str, Any]) -> None:
        """After a validation: a line that stays."""
        self.validation = f"val AP {figures['AP']:.3f} (best {best['AP']:.3f})"
        mark = ", the best so far" if figures["AP"] == best["AP"] else f", best {best['AP']:.3f} at step {best['step']}"
        text = f"validation: mask AP {figures['AP']:.3f}, AP50 {figures['AP50']:.3f}{mark}"
        self.console.print(text, highlight=False, soft_wrap=True)
        self.last = time.monotonic()

    def validated_before(self, figures: Mapping[str, Any]) -> None:
        """Before the first step: a line that stays."""
        text = f"before the first step: mask AP {figures['AP']:.3f}, AP50 {figures['AP50']:.3f}"
        self.console.print(text, highlight=False, soft_wrap=True)
        self.last = time.monotonic()
