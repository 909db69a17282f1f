"""Time to number against false numbers, by the score that confirms a track, on video with identity truth.

``python -m tests.bench.time_to_number adl6_a.instances=DATA/e2e/adl6_a [--scores 0.3 0.4 0.5]``, with the file of
``masktrail segment VIDEO --records adl6_a.instances`` and the folder of ``gt.txt`` (MOT15 rows). The wait of an object
is the time from the first frame in which some instance covers it (IoU of 0.5) to the first in which an identity does.
A number is false if fewer than half of its rows cover any object.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracker.associate.tracker import Tracker
from tracker.boxes import iou
from tracker.formats.instances import open_saved

COVERS = 0.5
Truth = dict[int, tuple[NDArray[np.int64], NDArray[np.float32]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Figures of one run.

    Attributes:
        seconds: Wait of every object that was given a number.
        never: Objects that an instance covers and no identity ever does.
        numbers: Identities.
        false: Those of them that are false.
    """

    seconds: NDArray[np.float64]
    never: int
    numbers: int
    false: int


def truth_of(folder: Path) -> Truth:
    """Ids and boxes ``(N, 4)`` by frame, from 1, of rows that count."""
    rows = np.loadtxt(folder / "gt.txt", delimiter=",", ndmin=2)
    rows = rows[rows[:, 6] != 0]
    found: Truth = {}
    for frame in np.unique(rows[:, 0]).astype(int):
        of_frame = rows[rows[:, 0] == frame]
        boxes = np.concatenate([of_frame[:, 2:4], of_frame[:, 2:4] + of_frame[:, 4:6]], axis=1)
        found[int(frame)] = of_frame[:, 1].astype(np.int64), boxes.astype(np.float32)
    return found


def waits(instances: Path, truth: Truth, score: float) -> Waits:
    """Track the saved instances with one confirmation score and compare with the truth."""
    detected: dict[int, float] = {}
    numbered: dict[int, float] = {}
    rows: dict[int, list[bool]] = defaultdict(list)
    with instances.open("rb") as file:
        model, frames = open_saved(instances, file)
        tracker = Tracker(class_count=len(model.class_names), confirmation_score=score)
        for number, saved in enumerate(frames, 1):
            time_s = saved.frame.time_s
            tracks = tracker.update(saved.instances, time_s, warp=saved.warp)
            ids, boxes = truth.get(number, (np.zeros(0, np.int64), np.zeros((0, 4), np.float32)))
            for known, found in ((detected, saved.instances.boxes), (numbered, tracks.boxes)):
                covered = (iou(boxes, found) >= COVERS).any(axis=1)
                for identity in ids[covered].tolist():
                    known.setdefault(identity, time_s)
            covers = (iou(boxes, tracks.boxes) >= COVERS).any(axis=0)
            for identity, right in zip(tracks.ids.tolist(), covers.tolist(), strict=True):
                rows[identity].append(right)
    return Waits(
        seconds=np.array([max(numbered[one] - detected.get(one, numbered[one]), 0.0) for one in numbered]),
        never=len(set(detected) - set(numbered)),
        numbers=len(rows),
        false=sum(2 * sum(right) < len(right) for right in rows.values()),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", metavar="FILE.instances=TRUTH")
    parser.add_argument("--scores", nargs="+", type=float, default=[0.3, 0.4, 0.5, 0.6])
    chosen = parser.parse_args()
    sys.stdout.write(
        "| video | score | numbers | false | never | mean wait | 90 % | longest |\n|---|---|---|---|---|---|---|---|\n"
    )
    for video in chosen.videos:
        instances, _, folder = video.partition("=")
        truth = truth_of(Path(folder))
        for score in chosen.scores:
            found = waits(Path(instances), truth, score)
            times = (
                f"{found.seconds.mean():.2f} s | {np.percentile(found.seconds, 90):.2f} s | {found.seconds.max():.2f} s"
            )
            sys.stdout.write(
                f"| {Path(folder).name} | {score} | {found.numbers} | {found.false} | {found.never} | {times} |" + "\n"
            )


if __name__ == "__main__":
    main()
