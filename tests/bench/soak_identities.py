"""A hundred thousand identities through one tracker and one site: seconds and memory by 20,000, with ``python -m``."""

from __future__ import annotations

import sys
import time
import tracemalloc
from typing import Any

import numpy as np

from tests.associate.test_tracker import soak
from tests.bench.analytics import busy_site
from tracker.analytics.measures import SiteMeasures
from tracker.associate.tracker import Tracker
from tracker.types import Frame, Instances, TrackedFrame, Tracks

SIZE = (1280, 720)


class Counted(Tracker):
    """A tracker whose tracks are counted at once; of the events only their number is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.measures = SiteMeasures(busy_site(), stream="soak")
        self.events = 0
        self._frames = 0

    def update(self, instances: Instances, time_s: float, **options: Any) -> Tracks:
        """As the tracker's, counted."""
        tracks = super().update(instances, time_s, **options)
        frame = Frame(index=self._frames, time_s=time_s, arrived_s=time_s, source="soak", size=SIZE)
        self._frames += 1
        names = ("person", "bicycle", "car", "motorcycle")
        self.events += len(
            self.measures.process(TrackedFrame(frame=frame, instances=instances, tracks=tracks, class_names=names))
        )
        return tracks


def main() -> None:
    """One line per 20,000 identities."""
    tracker, generator = Counted(), np.random.default_rng(0)
    soak(tracker, generator, start=0, batches=5)
    tracemalloc.start()
    started = time.monotonic()
    for block in range(5):
        identities = soak(tracker, generator, start=5 + 100 * block, batches=100)
        current, peak = (size / 1e6 for size in tracemalloc.get_traced_memory())
        seconds = time.monotonic() - started
        sys.stdout.write(
            f"{identities} identities, {tracker.events} events, {seconds:.0f} s, {current:.2f} MB, peak {peak:.2f} MB\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
