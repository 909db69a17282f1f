"""A hundred thousand identities through one tracker: seconds and memory by 20,000. Run it with ``python -m``."""

from __future__ import annotations

import sys
import time
import tracemalloc

import numpy as np

from tests.associate.test_tracker import soak
from tracker.associate.tracker import Tracker


def main() -> None:
    """One line per 20,000 identities."""
    tracker, generator = Tracker(), np.random.default_rng(0)
    soak(tracker, generator, start=0, batches=5)
    tracemalloc.start()
    started = time.monotonic()
    for block in range(5):
        identities = soak(tracker, generator, start=5 + 100 * block, batches=100)
        current, peak = (size / 1e6 for size in tracemalloc.get_traced_memory())
        seconds = time.monotonic() - started
        sys.stdout.write(f"{identities} identities, {seconds:.0f} s, {current:.2f} MB, peak {peak:.2f} MB\n")


if __name__ == "__main__":
    main()
