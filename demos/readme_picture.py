"""Picture of the README, docs/images/demo.jpg: the rendered road and shop floor, tracked by the shipped model.

Usage: python demos/readme_picture.py
"""

from pathlib import Path

import cv2
import numpy as np

from demos.scenes.road import road
from demos.scenes.shop import shop
from tracker import OnnxSegmenter, TrackedFrame, Tracker
from tracker.render.annotate import Annotator

FPS, SIZE = 10.0, (960, 540)
segmenter = OnnxSegmenter("yolact-nano")
pictures = []

for scene, moment_s in ((road(seed=1, size=SIZE), 9.0), (shop(seed=1, size=SIZE), 9.4)):
    tracker = Tracker.for_model(segmenter)
    annotator = Annotator(scale=1.25)
    for frame, _ in scene.frames(FPS, moment_s):
        instances = segmenter.segment([frame])[0]
        tracks = tracker.update(instances, frame.time_s)
        picture = annotator.draw(
            TrackedFrame(frame=frame, instances=instances, tracks=tracks, class_names=segmenter.class_names)
        )
    pictures.append(picture)

path = Path(__file__).parent.parent / "docs" / "images" / "demo.jpg"
path.parent.mkdir(parents=True, exist_ok=True)
gap = np.full((SIZE[1], 12, 3), 255, np.uint8)
cv2.imwrite(str(path), np.concatenate([pictures[0], gap, pictures[1]], axis=1), [cv2.IMWRITE_JPEG_QUALITY, 88])
print(path)
