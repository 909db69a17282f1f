"""Does a change of the tracker hold on scenes that it was not chosen on? Leave-one-group-out over groups of scenes.

``python -m tests.bench.leave_group_out SETS [--instances adl6_a.instances=adl6_a/] [--only NAME ...]``, where SETS is a
folder of the tracking benchmark's sets (``$MASKTRAIL_DATA/tracking/dev``). Sets belong to groups of scenes, since those
of one kind rise and fall together. Every candidate is scored on every set. For each group the candidate is chosen that
gains most in the mean over the other groups, and judged on the group itself; a change may land if that mean is positive
and no group loses more than its bootstrap noise (sequences drawn with replacement).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.associate.parameters import TrackerSettings
from tracker.associate.tracker import Tracker
from tracker.formats.instances import open_saved
from tracker.measure.associate import associate
from tracker.measure.evaluate import Evaluation, evaluate
from tracker.plugins import open_sink
from tracker.types import TrackedFrame

ROOT = Path(__file__).resolve().parents[2]
GROUPS = ("TUD", "MOT17", "KITTI", "DanceTrack", "e2e")
DRAWS = 1000
SHAKEN, SHAKE = 9, 0.005
"""Runs over one video, and the standard deviation of the edges of its boxes in object sizes."""

CANDIDATES: dict[str, dict[str, Any]] = {
    "as it ships": {},
    "gate does not rise with doubt": {"doubt": 0.0},
    "gate rises by 0.2": {"doubt": 0.2},
    "gate rises by 0.6": {"doubt": 0.6},
    "tentative tracks worth 0.2": {"tentative_weight": 0.2},
    "tentative tracks worth 0.8": {"tentative_weight": 0.8},
    "very doubtful instances may return": {"return_chance": 0.05},
    "only probable ones return": {"return_chance": 0.55},
    "lost tracks kept 1 s": {"lost_s": 1.0},
    "lost tracks kept 3 s": {"lost_s": 3.0},
    "unseen tracks are not reported": {"coast_s": -1.0, "hidden_s": -1.0},
    "hidden tracks reported 0.5 s": {"hidden_s": 0.5},
}


def group_of(name: str) -> str:
    """The group of a set by its name; what is no benchmark of the others is end-to-end video."""
    return next((group for group in GROUPS[:-1] if name.startswith(group)), "e2e")


def score_set(root: Path, settings: dict[str, Any]) -> Evaluation:
    """The figures of one set with given detections."""
    with tempfile.TemporaryDirectory() as folder:
        associate(root, folder, tracker=partial(Tracker, settings=TrackerSettings(**settings)))
        return evaluate(root, folder)


def score_video(instances: Path, truth: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The mean figures of one video with the instances that the shipped model found in it, predicted rows included.

    One video has few identities: which of two persons a number follows may hang on a pixel. So the boxes are shaken.
    """
    draws = [figures(_score_shaken(instances, truth, settings, seed)) for seed in range(SHAKEN)]
    means = {key: float(np.mean([draw[key] for draw in draws])) for key in draws[0] if key != "sequences"}
    return {"sequences": {f"{truth.name} {seed}": draw["HOTA"] for seed, draw in enumerate(draws)}} | means


def _score_shaken(instances: Path, truth: Path, settings: dict[str, Any], seed: int) -> Evaluation:
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder, instances.open("rb") as file:
        model, frames = open_saved(instances, file)
        tracker = Tracker(
            class_count=len(model.class_names),
            confirmation_score=model.confirmation_score,
            settings=TrackerSettings(**settings),
        )
        target = Path(folder) / f"{truth.name}.txt"
        with open_sink(target, class_names=model.class_names, coasting=True) as sink:
            for saved in frames:
                shaken = replace(
                    saved.instances, boxes=shake(saved.instances.boxes, rng) if seed else saved.instances.boxes
                )
                tracks = tracker.update(shaken, saved.frame.time_s, warp=saved.warp)
                sink.write(
                    TrackedFrame(frame=saved.frame, instances=shaken, tracks=tracks, class_names=model.class_names)
                )
        return evaluate(truth, folder, protocol="mot17")


def shake(boxes: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Boxes ``(N, 4)`` whose edges moved by half a percent of the object's size (standard deviation)."""
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    size = np.sqrt(np.maximum(width * height, 1.0))
    return (boxes + rng.normal(0, SHAKE, boxes.shape) * size[:, None]).astype(np.float32)


def figures(result: Evaluation) -> dict[str, Any]:
    """HOTA of the set, the mean over its classes, and of every sequence, with the switches."""
    combined = result.combined.get("all") or next(iter(result.combined.values()))
    by_sequence = {
        name: float(np.mean([values["HOTA"] for key, values in classes.items() if key != "all"]))
        for name, classes in result.sequences.items()
    }
    kept = ("HOTA", "DetA", "AssA", "IDF1", "MOTA", "IDSW", "CLR_FP", "CLR_FN")
    return {"sequences": by_sequence} | {key: float(combined[key]) for key in kept if key in combined}


def noise(before: dict[str, float], after: dict[str, float], rng: np.random.Generator) -> float:
    """Standard deviation of the mean change of HOTA over sequences drawn with replacement; 0 for one sequence."""
    change = np.array([after[name] - before[name] for name in before])
    draws = rng.integers(0, len(change), (DRAWS, len(change)))
    return float(change[draws].mean(axis=1).std())


class Book:
    """Scores by candidate and set, kept in a file from run to run while the source of the association is the same."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        source = sorted((ROOT / "tracker" / "associate").glob("*.py"))
        self._source = hashlib.sha256(b"".join(file.read_bytes() for file in source)).hexdigest()[:16]
        self._kept: dict[str, Any] = json.loads(path.read_text()) if path is not None and path.exists() else {}

    def get(self, name: str, settings: dict[str, Any], score: Any) -> dict[str, Any]:
        """The figures of a set with these settings, computed where they are not known."""
        key = f"{self._source} {name} {json.dumps(settings, sort_keys=True)}"
        if key not in self._kept:
            found = score(settings)
            self._kept[key] = figures(found) if isinstance(found, Evaluation) else found
            if self._path is not None:
                self._path.write_text(json.dumps(self._kept))
        kept: dict[str, Any] = self._kept[key]
        return kept


def group_means(scores: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Mean HOTA over the sets of each group."""
    groups: dict[str, list[float]] = {}
    for name, values in scores.items():
        groups.setdefault(group_of(name), []).append(values["HOTA"])
    return {group: float(np.mean(values)) for group, values in groups.items()}


def by_sequence(scores: dict[str, dict[str, Any]], sets: list[str]) -> dict[str, float]:
    """HOTA of every sequence of some sets."""
    return {f"{one} {name}": value for one in sets for name, value in scores[one]["sequences"].items()}


def report(table: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Markdown: the change of every candidate by group, then what was chosen without each group and gains on it."""
    write = sys.stdout.write
    (first, base), *others = table.items()
    default = group_means(base)
    groups = [group for group in GROUPS if group in default]
    rng = np.random.default_rng(0)
    write(f"| candidate | {' | '.join(groups)} | mean over groups |\n|---|{'---|' * (len(groups) + 1)}\n")
    row = " | ".join(f"{default[group]:.2f}" for group in groups)
    write(f"| {first} (HOTA) | {row} | {np.mean(list(default.values())):.2f} |\n")
    changes: dict[str, dict[str, float]] = {first: dict.fromkeys(groups, 0.0)}
    for name, scores in others:
        means = group_means(scores)
        changes[name] = {group: means[group] - default[group] for group in groups}
        cells = []
        for group in groups:
            sets = [one for one in scores if group_of(one) == group]
            pairs = [
                {f"{one} {seq}": v for one in sets for seq, v in of[one]["sequences"].items()} for of in (base, scores)
            ]
            cells.append(f"{changes[name][group]:+.2f} ± {noise(*pairs, rng):.2f}")
        write(f"| {name} | {' | '.join(cells)} | {np.mean(list(changes[name].values())):+.2f} |\n")
    if len(table) < 2:
        return
    write("\n| left out | chosen on the others | gain there | gain left out |\n|---|---|---|---|\n")
    left = []
    for group in groups:
        rest = {name: float(np.mean([v for g, v in c.items() if g != group])) for name, c in changes.items()}
        best = max(rest, key=lambda name: rest[name])
        left.append(changes[best][group])
        write(f"| {group} | {best} | {rest[best]:+.2f} | {left[-1]:+.2f} |\n")
    write(f"\n{len(table) - 1} candidates; mean gain on the groups left out {np.mean(left):+.2f} HOTA\n")


def main() -> None:
    """The tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", type=Path)
    parser.add_argument("--instances", action="append", default=[], metavar="FILE.instances=TRUTH")
    parser.add_argument("--only", action="append", default=[], metavar="CANDIDATE")
    parser.add_argument("--try", dest="trials", action="append", default=[], metavar="NAME=JSON")
    parser.add_argument("--book", type=Path, help="keep scores in this file")
    arguments = parser.parse_args()
    roots = sorted(folder.resolve() for folder in arguments.sets.iterdir() if folder.is_dir())
    scorers: dict[str, Any] = {root.name: partial(score_set, root) for root in roots}
    for argument in arguments.instances:
        instances, _, truth = argument.partition("=")
        scorers[Path(truth).name] = partial(score_video, Path(instances), Path(truth).resolve())
    trials = {name: json.loads(text) for name, _, text in (one.partition("=") for one in arguments.trials)}
    candidates = {
        name: settings
        for name, settings in (CANDIDATES | trials).items()
        if not settings or not arguments.only or name in arguments.only or name in trials
    }
    book = Book(arguments.book)
    table = {
        name: {one: book.get(one, settings, score) for one, score in scorers.items()}
        for name, settings in candidates.items()
    }
    report(table)


if __name__ == "__main__":
    main()
