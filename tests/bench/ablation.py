"""What is each idea of the association worth? Each is taken away in turn, everything else as it ships.

The argument is a folder of the tracking benchmark's sets (``$MASKTRAIL_DATA/tracking/dev``); run it with
``python -m tests.bench.ablation``. A Markdown table leaves: mean HOTA and IDF1 over the sets, the time of `update` as a
share of the default's (thread CPU, the sum over sequences of the least of three runs in turn with the default), and the
sets that move most.
"""

from __future__ import annotations

import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tracker.associate.parameters import TrackerSettings
from tracker.associate.tracker import Tracker
from tracker.measure.associate import associate
from tracker.measure.evaluate import evaluate

NEVER = 1e9
IDEAS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "chances learned while running (raw scores instead)": {"prior_weight": NEVER},
    "odds of a birth, learned per class": {"birth_share": 0.0},
    "confirmation by evidence (every instance is a track at once)": {"confirm_log_odds": -NEVER},
    "lost tracks kept 2 s (0.5 s instead)": {"lost_s": 0.5},
    "doubtful instances continue tracks": {"low_chance": 0.55, "return_chance": 0.55},
    "a gate that rises with doubt": {"doubt": 0.0},
    "tentative tracks at a part of their worth": {"tentative_weight": 1.0},
    "ratio of heights in the affinity": {"height_power": 0.0},
    "enlarged boxes (15 % a side)": {"buffer": 0.0},
    "margin by the prediction's uncertainty": {"uncertainty": 0.0},
    "chance in the affinity": {"chance_weight": 0.0},
    "other class costs half (no cost)": {"class_factor": 1.0},
    "other class costs half (a wall)": {"class_factor": 0.0},
    "silhouettes in the affinity": {"mask_bonus": 0.0},
    "hidden tracks reported (up to 1 s behind a nearer one)": {"hidden_s": 0.0},
    "nothing unseen reported at all": {"coast_s": -1.0, "hidden_s": -1.0},
    "certainty after 1.5 s": {"certain_s": NEVER},
}
TIMED, ROUNDS = ("KITTI", "KITTI_MOTS", "MOT17sim"), 3
SHOWN, LEAST_SHOWN = 3, 0.5


class Timed(Tracker):
    """Adds up the thread-CPU seconds of its updates in a list that it is given."""

    def __init__(self, clock: list[float], **settings: Any) -> None:
        super().__init__(**settings)
        self._clock = clock

    def update(self, *given: Any, **more: Any) -> Any:
        """As its parent's."""
        begun = time.thread_time()
        tracks = super().update(*given, **more)
        self._clock[0] += time.thread_time() - begun
        return tracks


def run(root: Path, **settings: Any) -> tuple[float, float]:
    """HOTA and IDF1 of one set, the mean over the classes."""
    with tempfile.TemporaryDirectory() as folder:
        associate(root, folder, tracker=partial(Tracker, settings=TrackerSettings(**settings)))
        figures = evaluate(root, folder).combined["all"]
    return figures["HOTA"], figures["IDF1"]


def seconds(root: Path, **settings: Any) -> float:
    """Of `update` over one set."""
    clock = [0.0]
    with tempfile.TemporaryDirectory() as folder:
        associate(root, folder, tracker=partial(Timed, clock, settings=TrackerSettings(**settings)))
    return clock[0]


def cost(sets: list[Path], **settings: Any) -> float:
    """Time as a share of the default's, both in turn."""
    ours, default = np.inf, np.inf
    for _ in range(ROUNDS):
        default = min(default, sum(seconds(root) for root in sets))
        ours = min(ours, sum(seconds(root, **settings) for root in sets))
    return float(ours / default)


def main() -> None:
    """One line an idea."""
    sets = sorted(folder for folder in Path(sys.argv[1]).resolve().iterdir() if folder.is_dir())
    timed = [root for root in sets if root.name in TIMED]
    print("| taken away | mean HOTA | mean IDF1 | time | where it shows (HOTA) |\n|---|---|---|---|---|")  # noqa: T201
    before: dict[str, float] = {}
    for idea, settings in IDEAS.items():
        figures = {root.name: run(root, **settings) for root in sets}
        hota = {name: values[0] for name, values in figures.items()}
        before = before or hota
        moved = sorted(sets, key=lambda root: -abs(hota[root.name] - before[root.name]))[:SHOWN]
        shown = [
            f"{root.name} {before[root.name]:.1f} -> {hota[root.name]:.1f}"
            for root in moved
            if abs(hota[root.name] - before[root.name]) >= LEAST_SHOWN
        ]
        means = [np.mean([values[k] for values in figures.values()]) for k in (0, 1)]
        line = [idea, f"{means[0]:.2f}", f"{means[1]:.2f}", f"{cost(timed, **settings):.2f}", ", ".join(shown)]
        print("| " + " | ".join(line) + " |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
