"""A stream that changes its size in mid-stream: the tracker sees one size, the user sees the picture's own."""

from __future__ import annotations

import numpy as np

from tests.live.fakes import CountingTracker
from tracker.associate.tracker import Tracker
from tracker.live.steady import SteadyTracker
from tracker.types import InstanceMasks, Instances


def seen(scale: float, x: float) -> Instances:
    """A walker 40 wide in a picture 640 wide, all of it times ``scale``, with a mask on a grid of 160 columns."""
    size = (round(640 * scale), round(360 * scale))
    masks = InstanceMasks(
        probabilities=np.zeros((1, 90, 160), np.uint8), step_px=(4 * scale, 4 * scale), image_size=size
    )
    boxes = np.array([[x, 100, x + 40, 200]], np.float32) * np.float32(scale)
    return Instances(boxes=boxes, scores=np.array([0.9], np.float32), class_ids=np.array([0]), masks=masks)


def test_an_identity_survives_the_change_and_boxes_stay_in_the_pictures_pixels() -> None:
    tracker = SteadyTracker(Tracker(class_count=2))
    ids: set[int] = set()
    for k in range(30):
        scale = 1.0 if k < 10 else 0.5 if k < 20 else 2.0
        instances = seen(scale, 100 + 4 * k)
        tracks = tracker.update(instances, k / 25, (round(640 * scale), round(360 * scale)))
        ids |= set(tracks.ids.tolist())
        if k >= 5:
            assert len(tracks) == 1
            np.testing.assert_allclose(tracks.boxes, instances.boxes, rtol=1e-5)
    assert ids == {1}
    np.testing.assert_allclose(tracks.velocities[0], (200, 0), atol=20)  # 4 px at 25 fps, doubled


def test_what_the_tracker_is_shown_is_scaled_masks_included() -> None:
    class Spy(CountingTracker):
        def update(self, instances, time_s):
            self.last = instances
            return super().update(instances, time_s)

    spy = Spy()
    tracker = SteadyTracker(spy)
    first = seen(1.0, 100)
    tracker.update(first, 0.0, (640, 360))
    assert spy.last is first
    tracker.update(seen(0.5, 100), 0.1, (320, 180))
    np.testing.assert_allclose(spy.last.boxes, first.boxes)
    assert spy.last.masks.step_px == (4.0, 4.0)
    assert spy.last.masks.image_size == (640, 360)
