"""The contract of the tracker: numbers, rows, independence, determinism, bounded memory, errors."""

from __future__ import annotations

import copy
import math
import pickle
import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.associate.worlds import check, line, play, random_instances
from tests.thorough import examples
from tracker.associate.parameters import TrackerSettings
from tracker.associate.tracker import Tracker
from tracker.errors import TrackerError
from tracker.types import Instances, Tracks

FIELDS = ("ids", "detection_rows", "boxes", "velocities", "class_ids", "scores", "ages_s", "ended_ids")


def run_in_steps(seed: int, *, masks: bool = False, frames: int = 40) -> Iterator[Tracks]:
    generator = np.random.default_rng(seed)
    tracker, time_s = Tracker(), 0.0
    for _ in range(frames):
        time_s += float(generator.choice([0.03, 0.04, 0.2, 1.5], p=[0.6, 0.3, 0.08, 0.02]))
        instances = random_instances(generator, int(generator.integers(0, 25)), masks=masks)
        tracks = tracker.update(instances, time_s)
        check(tracks, instances)
        yield tracks


def run(seed: int, *, masks: bool = False) -> list[Tracks]:
    return list(run_in_steps(seed, masks=masks))


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=examples(25), deadline=None)
def test_whatever_comes_rows_are_valid_and_ids_gapless(seed: int, masks: bool) -> None:
    story = run(seed, masks=masks)
    seen: set[int] = set()
    ended: list[int] = []
    for tracks in story:
        new = sorted(set(tracks.ids.tolist()) - seen)
        assert new == list(range(len(seen) + 1, len(seen) + 1 + len(new))), "gapless, in order of confirmation"
        seen |= set(new)
        assert not set(tracks.ids.tolist()) & set(ended), "an ended identity never returns"
        ended += tracks.ended_ids.tolist()
    assert len(ended) == len(set(ended))
    assert set(ended) <= seen


@pytest.mark.parametrize("masks", [False, True])
def test_same_input_same_bytes(masks: bool) -> None:
    for one, other in zip(run(5, masks=masks), run(5, masks=masks), strict=True):
        for name in FIELDS:
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=examples(15), deadline=None)
def test_the_order_of_instances_decides_nothing_but_numbers(seed: int, masks: bool) -> None:
    generator = np.random.default_rng(seed)
    straight, shuffled = Tracker(), Tracker()
    named: dict[int, int] = {}
    for frame in range(30):
        instances = random_instances(generator, int(generator.integers(0, 25)), masks=masks)
        order = generator.permutation(len(instances))
        one = straight.update(instances, frame / 10)
        other = shuffled.update(instances.take(order), frame / 10)
        # Tracks confirmed in the same frame are numbered in the order of rows: a number has one counterpart for ever.
        rows = dict(zip(one.detection_rows.tolist(), one.ids.tolist(), strict=True))
        for row, identity in zip(other.detection_rows.tolist(), other.ids.tolist(), strict=True):
            if row >= 0:
                assert named.setdefault(identity, rows[int(order[row])]) == rows[int(order[row])]
        assert sorted(named[identity] for identity in other.ids.tolist()) == one.ids.tolist()
        assert sorted(named.get(identity, 0) for identity in other.ended_ids.tolist()) == one.ended_ids.tolist()
        places = np.argsort([named[identity] for identity in other.ids.tolist()]) if len(other) else np.zeros(0, int)
        for name in ("boxes", "velocities", "class_ids", "scores", "ages_s"):
            assert getattr(other, name)[places].tobytes() == getattr(one, name).tobytes(), name
    assert len(set(named.values())) == len(named)


@pytest.mark.parametrize("masks", [False, True])
def test_two_interleaved_trackers_share_nothing(masks: bool) -> None:
    alone = [run(seed, masks=masks) for seed in (7, 8)]
    together = [run_in_steps(seed, masks=masks) for seed in (7, 8)]
    for (one, other), expected in zip(zip(*together, strict=True), zip(*alone, strict=True), strict=True):
        for got, want in zip((one, other), expected, strict=True):
            for name in FIELDS:
                assert getattr(got, name).tobytes() == getattr(want, name).tobytes(), name


def test_interleaved_trackers_number_from_one_each() -> None:
    path = line((60, 150), (60, 0))
    first, second = Tracker(), Tracker()
    for step in range(3):
        times = step + np.arange(10) / 10
        assert play([path], times, tracker=first).all_ids == {1}
        assert play([path], times, tracker=second).all_ids == {1}


def test_state_continues_where_it_was_stored() -> None:
    generator = np.random.default_rng(11)
    frames = [random_instances(generator, 15, masks=True) for _ in range(40)]
    through, before = Tracker(), Tracker()
    for k in range(20):
        through.update(frames[k], k / 30)
        before.update(frames[k], k / 30)
    after = Tracker()
    after.restore(before.state())
    for k in range(20, 40):
        one, other = through.update(frames[k], k / 30), after.update(frames[k], k / 30)
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.class_ids, other.class_ids)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda tracker: pickle.loads(pickle.dumps(tracker))])
def test_a_copy_goes_on_as_the_original(copied: Callable[[Tracker], Tracker]) -> None:
    """With tentative tracks that die, which makes the table's columns anew."""
    generator = np.random.default_rng(12)

    def walkers_and_clutter(k: int) -> Instances:
        corners = np.concatenate([np.arange(5)[:, None] * (100, 0) + (2 * k, 50), generator.uniform(0, 400, (3, 2))])
        boxes = np.concatenate([corners, np.add(corners, (40, 90))], axis=1).astype(np.float32)
        return Instances(boxes=boxes, scores=np.full(8, 0.9, np.float32), class_ids=np.zeros(8, np.int64))

    frames = [*map(walkers_and_clutter, range(30)), *[Instances.empty()] * 10]
    original = Tracker()
    for k in range(20):
        original.update(frames[k], k / 30)
    other = copied(original)
    for k in range(20, 40):
        one, two = original.update(frames[k], k / 30), other.update(frames[k], k / 30)
        assert len(one.ids) >= 5 or k >= 30
        np.testing.assert_array_equal(one.ids, two.ids)
        np.testing.assert_array_equal(one.detection_rows, two.detection_rows)
        np.testing.assert_array_equal(one.boxes, two.boxes)


def test_time_going_backwards_is_refused_and_harmless() -> None:
    tracker = Tracker()
    path = line((60, 150), (60, 0))
    play([path], np.arange(30) / 30, tracker=tracker)
    with pytest.raises(TrackerError, match=r"at least 0\.966667"):
        tracker.update(Instances.empty(), 0.5)
    assert play([path], 1 + np.arange(10) / 30, tracker=tracker).all_ids == {1}


@pytest.mark.parametrize("time_s", [math.nan, math.inf])
def test_a_time_that_is_no_number_is_refused(time_s: float) -> None:
    with pytest.raises(TrackerError, match="time_s"):
        Tracker().update(Instances.empty(), time_s)


def test_the_same_time_twice_is_accepted() -> None:
    tracker = Tracker()
    path = line((60, 150), (60, 0))
    times = np.repeat(np.arange(30) / 30, 2)
    assert play([path], times, tracker=tracker).all_ids == {1}


def test_unusable_boxes_are_ignored() -> None:
    tracker = Tracker()
    good = [10.0, 10, 60, 110]
    bad = [[np.nan, 0, 5, 5], [5, 5, 5, 9], [20, 20, 10, 30], [0, 0, np.inf, 4], [np.inf, 0, np.inf, 4]]
    boxes = np.array([bad[0], bad[1], good, *bad[2:]], np.float32)
    instances = Instances(boxes=boxes, scores=np.full(6, 0.9, np.float32), class_ids=np.zeros(6, np.int64))
    for frame in range(5):
        tracks = tracker.update(instances, frame / 30)
    assert tracks.ids.tolist() == [1]
    assert tracks.detection_rows.tolist() == [2]


def test_class_numbers_are_passed_through_whatever_they_are() -> None:
    tracker = Tracker(class_count=2)
    boxes = np.array([[10, 10, 60, 110], [300, 10, 360, 110]], np.float32)
    instances = Instances(boxes=boxes, scores=np.full(2, 0.9, np.float32), class_ids=np.array([-1, 4711]))
    for frame in range(5):
        tracks = tracker.update(instances, frame / 30)
    assert tracks.class_ids.tolist() == [-1, 4711]


def test_velocities_are_pixels_per_second_and_ages_seconds() -> None:
    story = play([line((100, 200), (120, -30))], np.arange(60) / 20, jitter_px=0)
    np.testing.assert_allclose(story.tracks[-1].velocities[0], [120, -30], rtol=0.05)
    assert story.tracks[-1].ages_s[0] == pytest.approx(59 / 20)


def test_masks_tell_two_objects_with_the_same_box_apart() -> None:
    from tracker.types import GridMasks

    # Two triangles share a box: upper left and lower right half. Rows are swapped in every other frame.
    x, y = np.meshgrid(np.arange(40), np.arange(30))
    inside = (x >= 10) & (x < 30) & (y >= 5) & (y < 25)
    upper = np.where(inside & (x - 10 + y - 5 < 20), 255, 0).astype(np.uint8)
    lower = np.where(inside & (x - 10 + y - 5 >= 20), 255, 0).astype(np.uint8)
    tracker = Tracker(settings=TrackerSettings(duplicate_iou=1.1))
    owners = []
    for frame in range(20):
        order = [0, 1] if frame % 2 else [1, 0]
        boxes = np.array([[80, 40, 240, 200], [80, 40, 240, 200]], np.float32)
        masks = GridMasks(probabilities=np.stack([upper, lower])[order], step_px=(8.0, 8.0), image_size=(320, 240))
        instances = Instances(
            boxes=boxes, scores=np.full(2, 0.9, np.float32), class_ids=np.zeros(2, np.int64), masks=masks
        )
        tracks = tracker.update(instances, frame / 30)
        owners.append(
            {order[row]: i for i, row in zip(tracks.ids.tolist(), tracks.detection_rows.tolist(), strict=True)}
        )
    assert len(owners[-1]) == 2
    assert all(owner == owners[-1] for owner in owners[2:])


@pytest.mark.slow
def test_soak_of_many_identities_with_flat_memory() -> None:
    tracker, generator = Tracker(), np.random.default_rng(0)
    soak(tracker, generator, start=0, batches=12)
    tracemalloc.start(8)  # frames: what NumPy allocates for the association is its own
    soak(tracker, generator, start=12, batches=3)
    before = allocated()
    identities = soak(tracker, generator, start=15, batches=35)
    after = allocated()
    tracemalloc.stop()
    assert identities == 50 * 200
    assert after - before < 350_000  # of 7,000 identities; up to 4,096 cached logarithms are among it


def allocated() -> int:
    """Bytes that calls from the association hold; threads that other tests left behind do not count."""
    snapshot = tracemalloc.take_snapshot().filter_traces(
        [tracemalloc.Filter(True, "*/tracker/associate/*", all_frames=True)]
    )
    return sum(trace.size for trace in snapshot.traces)


def soak(tracker: Tracker, generator: np.random.Generator, *, start: int, batches: int) -> int:
    """Batches of 200 objects that are seen for a third of a second and never again; returns the identities so far."""
    last = 0
    for batch in range(start, start + batches):
        places = np.array([(60 * (k % 20), 60 * (k // 20)) for k in range(200)], np.float32) + generator.uniform(
            0, 9, 2
        )
        boxes = np.concatenate([places, places + 40], axis=1).astype(np.float32)
        instances = Instances(boxes=boxes, scores=np.full(200, 0.95, np.float32), class_ids=np.full(200, batch % 4))
        for frame in range(5):
            tracks = tracker.update(instances, 10.0 * batch + frame / 12)
            last = max(last, int(tracks.ids.max(initial=0)))
        tracker.update(Instances.empty(), 10.0 * batch + 5)
    return last
