"""Thread CPU that drawing a site adds to a frame: 4 lines and 4 zones, 20 objects.

Usage: python -m tests.bench.site_drawing
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import numpy as np

from demos.scenes import script
from tests.analytics.worlds import tracked_truth
from tests.bench.analytics import busy_site
from tracker.analytics.measures import SiteMeasures
from tracker.engine.marks import site_marks
from tracker.render.annotate import Annotator
from tracker.types import TrackedFrame

SIZES = ((640, 360), (1920, 1080), (3840, 2160))
RUNS = 5


def frames(size: tuple[int, int], *, seconds: float) -> list[TrackedFrame]:
    """Tracked frames with the events of the site and grey pictures."""
    scene = script.dense(20, rng=np.random.default_rng(7), size=size, duration_s=seconds)
    picture = np.full((size[1], size[0], 3), 128, np.uint8)
    measures = SiteMeasures(busy_site(), stream="bench")
    found = []
    for tracked in tracked_truth(scene, fps=12.5, masks=False):
        events = measures.process(tracked)
        found.append(replace(tracked, events=events, frame=replace(tracked.frame, image=picture)))
    return found


def cpu_ms(stream: list[TrackedFrame], annotator: Annotator) -> list[float]:
    """Of each frame."""
    times_ms = []
    for tracked in stream:
        begun_s = time.thread_time()
        annotator.draw(tracked)
        times_ms.append((time.thread_time() - begun_s) * 1000)
    return times_ms


def main() -> None:
    import cv2

    cv2.setNumThreads(1)  # else OpenCV's own threads escape the clock of this one
    marks = site_marks(busy_site())
    for size in SIZES:
        stream = frames(size, seconds=4.0)
        with_site, without = (
            np.min([cpu_ms(stream, Annotator(marks=chosen)) for _ in range(RUNS)], axis=0) for chosen in (marks, None)
        )
        added = (with_site - without)[1:]
        sys.stdout.write(
            f"{size[0]} x {size[1]}, {len(stream)} frames, {sum(len(one.events) for one in stream)} events: added CPU "
            f"per frame median {np.median(added):.2f} ms, 95 % {np.percentile(added, 95):.2f} ms; first frame "
            f"{with_site[0] - without[0]:.1f} ms; without a site {np.median(without):.2f} ms\n"
        )


if __name__ == "__main__":
    main()
