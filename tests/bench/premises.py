"""Queues, footfall and bays of rendered scenes beside the truth, with true masks or with the whole chain.

``python -m tests.bench.premises`` measures true masks and identities; with ``--model`` the default model looks at the
rendered pictures and the tracker gives identities (``--cache DIR`` keeps what it saw). ``--ground`` gives the sites the
scenes' own ground; without it distances come from the heights of persons. The error of a length is its mean over the
scene, persons; that of waits the median and the largest of those that both have.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from demos.scenes.bays import occupied_bays
from demos.scenes.catalogue import open_recording
from demos.scenes.waiting import TrueWait, true_lengths, true_waits
from tests.analytics.premises import counted, premises_of, whole_bays
from tests.bench.counting_peers import model_frames, true_frames
from tracker.analytics.turnover import parkings
from tracker.analytics.visitors import Visitors, visitors
from tracker.analytics.waits import Wait, waits
from tracker.segment.session import OnnxSegmenter

if TYPE_CHECKING:
    from demos.scenes.world import Scene
    from tracker.events import Event
    from tracker.site import Site

SIZE, FPS = (640, 360), 12.5


def queue_row(scene: Scene, events: list[Event]) -> str:
    """Waits and lengths of the checkout."""
    truth, found = true_waits(scene, "queue", "service"), waits(events)
    times_s = np.arange(0.0, scene.duration_s - 1, 0.02)
    errors = np.abs(true_lengths(truth, times_s) - true_lengths([_as_true(one) for one in found], times_s))
    late = [late_s for one in truth if (late_s := _late_s(one, found)) is not None]
    ends = [Counter(str(one.end) for one in rows) for rows in (truth, found)]
    shown = [", ".join(f"{count} {end}" for end, count in sorted(one.items())) for one in ends]
    waited = f"median {np.median(late):.2f} s, largest {max(late):.2f} s of {len(late)}" if late else "none"
    return f"queue: true {shown[0]}; found {shown[1]}; length off by {errors.mean():.2f}; waits off by {waited}"


def _as_true(one: Wait) -> TrueWait:
    return TrueWait(
        identity=one.identity, joined_s=one.joined_ms / 1000, left_s=one.left_ms / 1000, end="served", seen=one.seen
    )


def _late_s(truth: TrueWait, found: list[Wait]) -> float | None:
    """Error of the wait that ends in the same way at the same time; ``None`` where there is none within 1.5 s."""
    same = [one for one in found if one.end == truth.end and abs(one.left_ms / 1000 - truth.left_s) <= 1.5]
    off = [abs(one.wait_s - (truth.left_s - truth.joined_s)) for one in same]
    return min(off, default=None)


def footfall_row(scene: Scene, events: list[Event], site: Site) -> str:
    """Every count of the door."""
    [row] = visitors(events, site)
    roles = Counter(scene.plan.roles.values())
    grouped = sum(map(len, scene.plan.groups))
    true = Visitors(
        stream="",
        place="",
        start_ms=None,
        utc=False,
        entries=10,
        exits=4,
        staff=1,
        re_entries=roles["re-entry"],
        groups=len(scene.plan.groups),
        grouped=grouped,
        passers_by=roles["passer-by"] + roles["hesitant"],
    )
    names = ("entries", "exits", "visitors", "staff", "re_entries", "groups", "grouped", "passers_by")
    cells = [f"{name} {getattr(row, name)} ({getattr(true, name)})" for name in names]
    staff = len({event.identity for event in events if event.kind == "staff"})
    return f"footfall, found (true): {', '.join(cells)}; known as staff {staff} ({roles['staff']})"


def bays_row(scene: Scene, events: list[Event]) -> str:
    """Every time that a bay was taken for ten seconds."""
    truth = [
        (name, low, high)
        for name in whole_bays(scene)
        for low, high in occupied_bays(scene)[name]
        if high - low >= 11.5
    ]
    found = parkings(events)
    off, missed = [], 0
    for name, low, _ in truth:
        begun = [abs(one.taken_ms / 1000 - low) for one in found if one.place == name]
        missed += min(begun, default=np.inf) > 5
        off += [min(begun)] if begun and min(begun) <= 5 else []
    return f"bays: true {len(truth)}, found {len(found)}, missed {missed}, begun {np.median(off):.2f} s off (median)"


def main() -> None:
    """One row per scene and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="store_true", help="the whole chain in place of true masks")
    parser.add_argument("--cache", type=Path, help="folder for what the model saw")
    parser.add_argument("--ground", action="store_true", help="sites have the scenes' ground")
    parser.add_argument("--fps", type=float, default=FPS)
    parser.add_argument("scenes", nargs="*", default=["checkout", "door", "bays"])
    chosen = parser.parse_args()
    segmenter = OnnxSegmenter("yolact-nano") if chosen.model else None
    for name in chosen.scenes:
        recording = open_recording(name, size=SIZE)
        scene, site = recording.scene, premises_of(recording, ground=chosen.ground)
        frames = (
            true_frames(recording, chosen.fps)
            if segmenter is None
            else model_frames(recording, chosen.fps, segmenter, chosen.cache)
        )
        events = list(counted(site, frames))
        row = {"checkout": queue_row, "bays": bays_row}.get(name)
        sys.stdout.write((row(scene, events) if row else footfall_row(scene, events, site)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
