"""Seconds in view of every identity of a recording.

Usage: python demos/one_file.py street.mp4
"""

import sys
from collections import defaultdict

from tracker import OnnxSegmenter, Tracker, open_source

if len(sys.argv) != 2:
    sys.exit(__doc__)

segmenter = OnnxSegmenter("yolact-nano")
tracker = Tracker.for_model(segmenter)
seen_s: dict[int, list[float]] = defaultdict(list)
names: dict[int, str] = {}

with open_source(sys.argv[1], like=segmenter, want_image=False) as source:
    for frame in source:
        tracks = tracker.update(segmenter.segment([frame])[0], frame.time_s)
        for identity, class_id in zip(tracks.ids.tolist(), tracks.class_ids.tolist(), strict=True):
            seen_s[identity].append(frame.time_s)
            names[identity] = segmenter.class_names[class_id]

for identity, times in sorted(seen_s.items()):
    print(f"{names[identity]:>10} {identity:<4} from {times[0]:6.2f} s to {times[-1]:6.2f} s")
