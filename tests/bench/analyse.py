"""Speed of counting afterwards: a minute of 20 objects on 4 lines and 4 zones at 25 fps, from every kind of records.

``python -m tests.bench.analyse [folder]`` prints how many times faster than real time each is, CPU time of the process.
"""

from __future__ import annotations

import cProfile
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from demos.scenes import script
from tests.analytics.worlds import tracked_truth
from tests.bench.analytics import busy_site
from tracker.analytics.dry_run import Recent, what_if
from tracker.engine.counting import counting_stages
from tracker.engine.recorded import Reading, open_input
from tracker.plugins import open_sink
from tracker.settings.stream import StreamSettings
from tracker.site import Site

SECONDS = 60.0
RUNS = 3
FILES = ("gate.parquet", "gate.csv", "gate.jsonl", "masks.parquet", "masks.jsonl", "gate.txt")


def write(folder: Path) -> None:
    """Records of the scene, with and without masks."""
    scene = script.dense(20, rng=np.random.default_rng(7), size=(1280, 720), duration_s=SECONDS)
    stages = counting_stages("gate.mp4", scene.class_names, contacts=True, site=None, settings=StreamSettings())
    sinks = [
        open_sink(folder / name, class_names=scene.class_names, masks="rle" if name.startswith("masks") else "none")
        for name in FILES
    ]
    for tracked in tracked_truth(scene, fps=25):
        for stage in stages:
            tracked = stage.process(tracked)  # noqa: PLW2901 - a frame on its way
        for sink in sinks:
            sink.write(tracked)
    for sink in sinks:
        sink.close()


def count(path: Path, site: Site) -> int:
    """Events of a site from a file."""
    boxes = Reading(fps=25.0, size=(1280, 720), by_boxes=path.suffix == ".txt")
    with open_input([path], site, StreamSettings(), boxes) as source:
        return sum(len(tracked.events) for tracked in source.counted(bare=True)) + len(source.closing())


def kept(path: Path) -> Recent:
    """Frames in memory, as a live view keeps them."""
    recent = Recent(seconds=600.0)
    with open_input([path], busy_site(), StreamSettings(), Reading()) as source:
        for tracked in source.frames:
            recent.add(tracked)
    return recent


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    if not (folder / FILES[0]).exists():
        write(folder)
    if os.environ.get("PROFILE"):
        cProfile.runctx("count(folder / FILES[0], busy_site())", globals(), locals(), sort="tottime")
        return
    for name in FILES:
        times_s = []
        for _ in range(RUNS):
            begun = time.process_time()
            events = count(folder / name, busy_site())
            times_s.append(time.process_time() - begun)
        rate = SECONDS / min(times_s)
        sys.stdout.write(f"{name}: {events} events, {min(times_s):.2f} s CPU, {rate:.0f} x real time\n")
    recent = kept(folder / FILES[0])
    site = busy_site()
    for title, part in (
        ("4 lines and 4 zones", site),
        ("one line", Site(lines=site.lines[:1])),
        ("one zone", Site(zones=site.zones[:1])),
    ):
        begun = time.process_time()
        events = len(what_if(recent, part))
        spent_s = time.process_time() - begun
        sys.stdout.write(f"what_if of {len(recent)} frames, {title}: {events} events, {spent_s * 1000:.0f} ms\n")


if __name__ == "__main__":
    main()
