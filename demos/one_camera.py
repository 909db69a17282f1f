"""Identities in view of a webcam or network camera, every second.

Usage: python demos/one_camera.py 0
"""

import sys

from tracker import OnnxSegmenter, Tracker, open_source

if len(sys.argv) != 2:
    sys.exit(__doc__)

segmenter = OnnxSegmenter("yolact-nano")
tracker = Tracker.for_model(segmenter)
next_report_s = 0.0

with open_source(sys.argv[1], like=segmenter, want_image=False) as source:
    for frame in source:
        tracks = tracker.update(segmenter.segment([frame])[0], frame.time_s)
        if frame.time_s >= next_report_s:
            visible = [
                f"{segmenter.class_names[class_id]} {identity}"
                for identity, class_id in zip(tracks.ids.tolist(), tracks.class_ids.tolist(), strict=True)
            ]
            print(f"{frame.time_s:7.1f} s  {len(visible)} in view: {', '.join(visible)}", flush=True)
            next_report_s = frame.time_s + 1.0
