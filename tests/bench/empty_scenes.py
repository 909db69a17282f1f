"""False detections of the default model in stretches of clips without objects.

    python -m tests.bench.empty_scenes [MODEL]

The stretches were found by looking at the pictures. A parked car stands at the right edge of `street.mp4` all the time
and is not counted. Needs the clips under `$MASKTRAIL_DATA/clips`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from tracker.segment.session import OnnxSegmenter
from tracker.settings.stream import DISPLAY_SCORE
from tracker.sources.open import open_source

EMPTY = {
    "street.mp4": [(745, 904)],
    "corridor.mp4": [(0, 55), (202, 225), (452, 498), (702, 738), (872, 918), (1202, 1235), (1365, 1393)],
}
PARKED = {"street.mp4": (580, 130, 640, 215)}  # xyxy
SCORES = (0.1, 0.2, DISPLAY_SCORE, 0.5)


def main() -> None:
    """Print instances per frame of each clip's empty stretches, by score."""
    folder = Path(os.environ.get("MASKTRAIL_DATA", "../shared/data")) / "clips"
    segmenter = OnnxSegmenter(sys.argv[1] if len(sys.argv) > 1 else "yolact-nano", device="cpu", score_threshold=0.1)
    sys.stdout.write(f"{'instances a frame':14}" + "".join(f"  >= {score}" for score in SCORES) + "\n")
    for name, stretches in EMPTY.items():
        counts, frames = np.zeros(len(SCORES)), 0
        with open_source(folder / name, network_size=segmenter.network_size, want_image=False) as source:
            for frame in source:
                if not any(first <= frame.index <= last for first, last in stretches):
                    continue
                instances = segmenter.segment([frame])[0]
                parked = np.array(PARKED.get(name, (0, 0, 0, 0)), np.float32)
                middles = (instances.boxes[:, :2] + instances.boxes[:, 2:]) / 2
                stands_there = ((middles >= parked[:2]) & (middles <= parked[2:])).all(axis=1)
                scores = instances.scores[~stands_there]
                counts += [(scores >= score).sum() for score in SCORES]
                frames += 1
        sys.stdout.write(f"{name:14} {frames:4d}" + "".join(f"  {count / frames:6.3f}" for count in counts) + "\n")


if __name__ == "__main__":
    main()
