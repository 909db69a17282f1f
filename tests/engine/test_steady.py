"""A stream that changes its size in mid-stream: the tracker sees one size, the user sees the picture's own."""

from __future__ import annotations

import numpy as np
import pytest

from tests.associate.worlds import random_instances
from tests.engine.fakes import SIZE, CountingTracker, box
from tracker.associate.tracker import Tracker
from tracker.engine import opener
from tracker.engine.snapshot import Kept
from tracker.engine.steady import SteadyTracker
from tracker.types import GridMasks, Instances


def seen(scale: float, x: float) -> Instances:
    """A walker 40 wide in a picture 640 wide, all of it times ``scale``, with a mask on a grid of 160 columns."""
    size = (round(640 * scale), round(360 * scale))
    masks = GridMasks(probabilities=np.zeros((1, 90, 160), np.uint8), step_px=(4 * scale, 4 * scale), image_size=size)
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


def walk(tracker: SteadyTracker, start_s: float, count: int, *, rate: float = 25.0, x: float = 100) -> set[int]:
    """A walker who stays where he is; the identities seen."""
    ids: set[int] = set()
    for k in range(count):
        ids |= set(tracker.update(seen(1.0, x), start_s + k / rate, (640, 360)).ids.tolist())
    return ids


def test_nobody_takes_an_identity_over_an_outage_but_over_a_hiccup() -> None:
    tracker = SteadyTracker(Tracker(class_count=2))
    assert walk(tracker, 0.0, 20) == {1}
    assert walk(tracker, 2.0, 20) == {1}  # 1.2 s without a frame
    assert tracker.update(seen(1.0, 100), 12.0, (640, 360)).ended_ids.tolist() == [1]
    assert walk(tracker, 12.04, 20) == {2}


def test_a_camera_of_few_frames_has_no_outage_all_the_time() -> None:
    calls = []

    class Spy(CountingTracker):
        def update(self, instances, time_s):
            calls.append(len(instances))
            return super().update(instances, time_s)

    walk(SteadyTracker(Spy()), 0.0, 20, rate=1 / 3)
    assert calls == [1] * 20


def test_identities_go_on_in_another_process() -> None:
    first = SteadyTracker(Tracker(class_count=2))
    assert SteadyTracker(Tracker(class_count=2)).state() is None
    walk(first, 0.0, 20)
    quick, slow = SteadyTracker(Tracker(class_count=2)), SteadyTracker(Tracker(class_count=2))
    quick.restore(Kept(state=first.state(), elapsed_s=0.5))
    slow.restore(Kept(state=first.state(), elapsed_s=600.0))
    assert walk(quick, 0.0, 20) == {1}  # the walker has not moved in half a second
    crashed = SteadyTracker(Tracker(class_count=2))
    crashed.restore(Kept(state=first.state(), elapsed_s=600.0, skip_ids=50))
    assert walk(crashed, 0.0, 20) == {52}  # numbers that were given after the state was kept stay theirs
    elsewhere = SteadyTracker(Tracker(class_count=3))
    elsewhere.restore(Kept(state=first.state(), elapsed_s=0.1, numbers_only=True))
    assert walk(elsewhere, 0.0, 20) == {2}  # another model's classes: nobody is who he was, no number is given twice
    assert walk(slow, 0.0, 20) == {2}  # after ten minutes it is somebody else, and nobody is number 1 twice


def test_a_state_with_tracks_that_are_not_confirmed_yet_is_taken_over() -> None:
    """It is tried on a copy first, where they die."""
    generator = np.random.default_rng(3)
    frames = [random_instances(generator, 12, masks=True) for _ in range(40)]
    through, before, after = (SteadyTracker(Tracker()) for _ in range(3))
    for k in range(20):
        through.update(frames[k], k / 10, SIZE)
        before.update(frames[k], k / 10, SIZE)
    after.restore(Kept(state=before.state(), elapsed_s=None))
    for k in range(20, 40):
        one, other = through.update(frames[k], k / 10, SIZE), after.update(frames[k], k / 10, SIZE)
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_array_equal(one.boxes, other.boxes)


@pytest.mark.parametrize(("elapsed_s", "number", "said"), [(None, 1, "starting fresh"), (5.0, 7, "go on from 7")])
def test_a_state_of_another_tracker_leaves_a_camera_its_numbers(caplog, elapsed_s, number: int, said: str) -> None:
    """A recording begins anew, with the numbers of any first run."""
    kept = Kept(state={"stages": {"associate": {"tracker": {"next_id": 7}}}}, elapsed_s=elapsed_s)
    continued, [stage], _ = opener._continued("a", lambda: [SteadyTracker(Tracker())], kept)
    assert not continued
    assert caplog.records[-1].message == "state not used"
    assert said in caplog.records[-1].problem
    for k in range(20):
        tracks = stage.update(box(), k / 25, SIZE)
    assert tracks.ids.tolist() == [number]
