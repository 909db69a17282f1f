"""Identity switches of walkers and cars behind pillars; ``python -m tests.associate.pillars`` counts them.

The part of an object that stands beside the pillar is its instance, as a detector would report it: the larger part,
and none where that is under the least visible share. Lengths are in widths of the object.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tests.associate.worlds import Story, line, play

PILLAR_X_PX = 360.0
LEAD_S = 1.5
"""Least time in view before and after."""


@dataclass(frozen=True, kw_only=True)
class Passage:
    """One object, or two that meet, behind one pillar.

    Attributes:
        fps: Frames per second.
        speed: Widths per second.
        pillar: Its width in widths of the object.
        least: Share of the width that must be visible.
        size: Width and height, px.
        crossing: A second one, a little larger and nearer, comes the other way and is hidden at the same time.
        seed: Of the phase and of the jitter.
    """

    fps: float
    speed: float
    pillar: float
    least: float = 0.3
    size: tuple[float, float] = (40.0, 100.0)
    crossing: bool = False
    seed: int = 0

    @property
    def hidden_s(self) -> float:
        """How long nothing at all is visible."""
        return max(self.pillar - 1, 0) / self.speed

    @property
    def unseen_s(self) -> float:
        """How long there is no instance, because less than the least share is visible."""
        return max(self.pillar - 1 + 2 * self.least, 0) / self.speed

    def play(self, *, masks: bool = False) -> Story:
        """Track it; boxes jitter by 1 px."""
        width, height = self.size
        lead_s = max(LEAD_S, 1.2 / self.speed)
        away = (self.pillar / 2 + 0.5 + self.speed * lead_s) * width
        pace = self.speed * width
        phase = pace * np.random.default_rng(self.seed).random() / self.fps
        paths = [line((PILLAR_X_PX - away + phase, 200), (pace, 0), self.size)]
        if self.crossing:
            paths.append(line((PILLAR_X_PX + away - phase, 208), (-pace, 0), (1.05 * width, 1.08 * height)))
        seconds = 2 * lead_s + (self.pillar + 1) / self.speed
        half = self.pillar * width / 2
        return play(
            paths,
            (np.arange(int(seconds * self.fps)) / self.fps).tolist(),
            seed=self.seed,
            pillars=[(PILLAR_X_PX - half, PILLAR_X_PX + half)],
            most_hidden=1 - self.least,
            masks=masks,
        )


def passages(fps: float, *, crossing: bool = False, car: bool = False) -> Iterator[Passage]:
    """Slow to fast, thin to broad pillars, up to 1 s of total occlusion."""
    speeds, size = ((0.5, 1, 2), (100.0, 50.0)) if car else ((1, 2, 4), (40.0, 100.0))
    for speed, pillar, least in itertools.product(speeds, (1 / 3, 2 / 3, 1, 1.5, 2, 3), (0.15, 0.3)):
        passage = Passage(fps=fps, speed=speed, pillar=pillar, least=least, size=size, crossing=crossing)
        if passage.hidden_s <= 1:
            yield passage


def main() -> None:
    """Scenes with a changed or shared identity, of all; one line per kind."""
    kinds = {
        "walker": ({}, False),
        "walker, masks": ({}, True),
        "two walkers": ({"crossing": True}, False),
        "two walkers, masks": ({"crossing": True}, True),
        "car": ({"car": True}, False),
    }
    for name, (kind, masks) in kinds.items():
        counts = []
        for fps in (5, 10, 30):
            stories = [passage.play(masks=masks) for passage in passages(fps, **kind)]
            failed = sum(bool(story.switches or story.shared) for story in stories)
            counts.append(f"{fps} fps {failed} of {len(stories)}")
        sys.stdout.write(f"{name}: {', '.join(counts)}\n")


if __name__ == "__main__":
    main()
