"""Economy of segmentation: CPU time, missed instances, identities and HOTA with ``--economy auto`` and without.

    python -m tests.bench.economy clips [--limit 300] [--rounds 2] [NAME ...]
    python -m tests.bench.economy sets [NAME ...]

``clips`` runs the whole product on the CPU, records without masks, on the clips and sequences under ``$MASKTRAIL_DATA``
(``clips/``, ``e2e/``), with both settings in turn. Missed: rows of seen identities of the run that segments every frame
without a row of the same class with a box IoU of at least 0.5 in the other; they are told apart by what became of their
frame. HOTA where there is truth. ``sets`` gives the detections of ``tracking/dev/NAME`` to the association, as if each
frame that is asked for were segmented: every frame, ``auto`` and every second one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker import run
from tracker.associate.tracker import Tracker
from tracker.boxes import iou
from tracker.engine import economy
from tracker.engine.economy import Economy, Found
from tracker.engine.steady import SteadyTracker
from tracker.formats.run_length import decode_rle
from tracker.formats.sequences import open_sequences
from tracker.measure.evaluate import evaluate
from tracker.types import Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tracker.engine.outcome import Outcome
    from tracker.types import Instances, TrackedFrame

DATA = Path(os.environ.get("MASKTRAIL_DATA", "../shared/data"))
CLIPS = {
    "corridor": "clips/corridor.mp4",
    "street": "clips/street.mp4",
    "traffic": "clips/traffic.mp4",
    "retail": "clips/retail.mp4",
    "crowd": "clips/crowd.mp4",
    "moving_pedestrians": "clips/moving_pedestrians.avi",
    "dashcam": "clips/dashcam.mp4",
    "mvi39031_a": "e2e/mvi39031_a/video.mp4",
    "adl6_a": "e2e/adl6_a/video.mp4",
}
SETS = ("DanceTrack", "MOT17", "MOT17sim", "TUD", "KITTI")
LEAST_IOU = 0.5
LARGE = (20_000, 20_000)
"""Size of pictures that have no pixels."""


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("clips", "sets"))
    parser.add_argument("names", nargs="*")
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--masks", action="store_true", help="also the IoU of interpolated masks with segmented ones")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.what == "sets":
            for name in asked.names or SETS:
                _print_set(name, Path(folder))
            return
        for name in asked.names or CLIPS:
            _print_clip(name, Path(folder), limit=asked.limit, rounds=asked.rounds, masks=asked.masks)


def _print_clip(name: str, folder: Path, *, limit: int, rounds: int, masks: bool) -> None:
    cpu_s: dict[str, list[float]] = defaultdict(list)
    outcomes: dict[str, Outcome] = {}
    for _ in range(rounds):
        for setting in ("off", "auto"):
            results = folder / setting
            results.mkdir(exist_ok=True)
            records = [str(results / f"{name}.jsonl"), str(results / f"{name}.txt")]
            started_s = time.process_time()
            [outcomes[setting]] = run(
                DATA / CLIPS[name],
                records=records,
                masks="rle" if masks else "none",
                device="cpu",
                limit=limit,
                economy=setting,
            )
            cpu_s[setting].append(time.process_time() - started_s)
    figures = outcomes["auto"].figures
    missed, total = _missed(*(folder / setting / f"{name}.jsonl" for setting in ("off", "auto")))
    ratio = min(cpu_s["auto"]) / min(cpu_s["off"])
    text = f"{name:18} {figures.frames:4} frames, {figures.skipped / figures.frames:.2f} skipped, "
    text += f"{figures.interpolated / figures.frames:.2f} interpolated; CPU {ratio:.2f} "
    text += (
        f"({min(cpu_s['off']):.1f} -> {min(cpu_s['auto']):.1f} s); missed {sum(missed.values()) / max(total, 1):.4f} "
    )
    text += f"of {total} ({', '.join(f'{count} {what}' for what, count in missed.items())}); identities "
    text += " -> ".join(str(outcomes[setting].identities.total()) for setting in ("off", "auto"))
    truth = DATA / "e2e" / name
    if (truth / "gt.txt").exists():
        text += "; HOTA " + " -> ".join(f"{_hota(truth, folder / setting):.1f}" for setting in ("off", "auto"))
    if masks:
        overlaps = list(_mask_overlaps(*(folder / setting / f"{name}.jsonl" for setting in ("off", "auto"))))
        text += f"; mask IoU of {len(overlaps)} interpolated rows {np.mean(overlaps):.3f}" if overlaps else ""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _mask_overlaps(full: Path, other: Path) -> Iterator[float]:
    """IoU of each interpolated mask with that of the same class that was segmented there, where the boxes agree."""
    rows = _rows(full)
    for frame, found in _rows(other).items():
        made = [row for row in found if row.get("mask_from") == "interpolated"]
        known = [row for row in rows.get(frame, []) if row.get("mask")]
        overlaps = iou(_boxes(made), _boxes(known))
        for row, near in zip(made, overlaps, strict=True):
            place = int(near.argmax()) if len(near) else -1
            if place >= 0 and near[place] >= LEAST_IOU and known[place]["class"] == row["class"]:
                one, two = (decode_rle(each["mask"]) for each in (row, known[place]))
                yield float((one & two).sum() / max((one | two).sum(), 1))


def _missed(full: Path, other: Path) -> tuple[dict[str, int], int]:
    """Rows without a partner by what became of their frame, and how many rows there are."""
    rows, others = _rows(full), _rows(other)
    known = {frame: {"interpolated": bool(found[0]["notes"].get("interpolated"))} for frame, found in others.items()}
    missed = {"interpolated": 0, "segmented or skipped": 0}
    for frame, found in rows.items():
        own = [row for row in found if not row["coasting"]]
        theirs = [row for row in others.get(frame, []) if not row["coasting"]]
        overlaps = iou(_boxes(own), _boxes(theirs))
        same = np.array([[one["class"] == two["class"] for two in theirs] for one in own], bool).reshape(overlaps.shape)
        without = int(((overlaps * same).max(axis=1, initial=0) < LEAST_IOU).sum())
        missed["interpolated" if known.get(frame, {}).get("interpolated") else "segmented or skipped"] += without
    return missed, sum(not row["coasting"] for found in rows.values() for row in found)


def _rows(path: Path) -> dict[int, list[dict[str, Any]]]:
    found = defaultdict(list)
    for line in path.read_text().splitlines():
        row = json.loads(line)
        found[row["frame"]].append(row)
    return found


def _boxes(rows: Sequence[dict[str, Any]]) -> Any:
    return np.array([row["box"] for row in rows], np.float32).reshape(-1, 4)


def _hota(truth: Path, results: Path) -> float:
    combined = evaluate(truth, results, protocol=None).combined
    return (combined.get("all") or next(iter(combined.values())))["HOTA"]


def _print_set(name: str, folder: Path) -> None:
    by_rule: dict[str, str] = {}
    for rule in ("every frame", "auto", "every second"):
        results = folder / rule
        shutil.rmtree(results, ignore_errors=True)
        results.mkdir()
        segmented = frames = 0
        for sequence in open_sequences(DATA / "tracking" / "dev" / name):
            lines, one_segmented, one_frames = _associated(sequence, rule)
            (results / f"{sequence.name}.txt").write_text("".join(lines))
            segmented, frames = segmented + one_segmented, frames + one_frames
        by_rule[rule] = (
            f"{rule} {segmented / frames:.2f} segmented, HOTA {_hota(DATA / 'tracking' / 'dev' / name, results):.1f}"
        )
    sys.stdout.write(f"{name:10} " + "; ".join(by_rule.values()) + "\n")
    sys.stdout.flush()


def _associated(sequence: Any, rule: str) -> tuple[list[str], int, int]:
    """Lines of MOTChallenge text, frames that were segmented and all frames."""
    tracker = SteadyTracker(Tracker())
    chosen = Economy([tracker], tracker, fills=rule != "every frame")
    rate, lines = sequence.fps or 30.0, []
    detections: dict[int, Instances] = {}
    segmented: list[int] = []
    names = [str(number) for number in range(100)]

    def segment(frame: Frame) -> Instances:
        segmented.append(frame.index)
        return detections[frame.index]

    kept: Callable[..., bool] = economy.explained
    if rule == "every second":
        economy.explained = lambda *_: True
    try:
        for number, instances in sequence.frames():
            detections[number] = instances
            frame = Frame(index=number, time_s=sequence.time_s(number, rate), arrived_s=0.0, source="", size=LARGE)
            found = Found(frame=frame, grey=None, instances=None, segment_s=0.0, class_names=names)
            for tracked in chosen.take(found, segment):
                lines += _lines(tracked)
        for tracked in chosen.flush(segment):
            lines += _lines(tracked)
    finally:
        economy.explained = kept
    return lines, len(segmented), len(detections)


def _lines(tracked: TrackedFrame) -> list[str]:
    tracks = tracked.tracks
    if tracks is None:
        return []
    sizes = tracks.boxes[:, 2:] - tracks.boxes[:, :2]
    columns = zip(tracks.ids, tracks.boxes, sizes, tracks.scores, tracks.class_ids, tracks.detection_rows, strict=True)
    return [
        f"{tracked.frame.index},{identity},{box[0]:.2f},{box[1]:.2f},{size[0]:.2f},{size[1]:.2f},{score:.4f},"
        f"{class_id},{int(row >= 0)}\n"
        for identity, box, size, score, class_id, row in columns
    ]


if __name__ == "__main__":
    main()
