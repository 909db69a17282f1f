"""The second pass on scripted recordings: what it must join, fill, drop and leave alone, and its smoother's oracle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from filterpy.common import Q_continuous_white_noise
from filterpy.kalman import KalmanFilter

from tracker.refine.evidence import chances_of, convincing
from tracker.refine.morph import between, signed_distance
from tracker.refine.recording import Recording, tracklets_of
from tracker.refine.recover import extend_backward
from tracker.refine.refine import Refined, refine
from tracker.refine.smooth import ACCELERATION, DRIFT, MEASUREMENT, smooth
from tracker.refine.stitch import stitch

Place = tuple[float, float]


def recording(
    objects: list[Callable[[float], Place]],
    *,
    frames: int = 60,
    fps: float = 10.0,
    seen: Callable[[int, int], bool] = lambda number, frame: True,
    score: Callable[[int], float] = lambda number: 0.9,
    jitter_px: float = 0.0,
    size: Place = (40.0, 100.0),
) -> tuple[Recording, list[np.ndarray]]:
    """A recording and which flat rows belong to each object."""
    generator = np.random.default_rng(0)
    boxes, scores, owners, starts = [], [], [], [0]
    for frame in range(frames):
        for number, place in enumerate(objects):
            if seen(number, frame):
                x, y = np.array(place(frame / fps)) + generator.normal(0, jitter_px, 2)
                boxes.append((x - size[0] / 2, y - size[1] / 2, x + size[0] / 2, y + size[1] / 2))
                scores.append(score(number))
                owners.append(number)
        starts.append(len(boxes))
    found = Recording(
        times_s=np.arange(frames) / fps,
        starts=np.array(starts),
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        scores=np.array(scores, np.float64),
        class_ids=np.zeros(len(boxes), np.int64),
    )
    return found, [np.flatnonzero(np.array(owners) == number) for number in range(len(objects))]


def walk(x: float, y: float, speed: float) -> Callable[[float], Place]:
    return lambda time_s: (x + speed * time_s, y)


def check(refined: Refined, made_of: Recording) -> None:
    """What holds for every result."""
    keys = list(zip(refined.frames.tolist(), refined.ids.tolist(), strict=True))
    assert keys == sorted(set(keys)), "by frame, then identity, each once"
    assert set(refined.ids.tolist()) == set(range(1, int(refined.ids.max(initial=0)) + 1)), "gapless from 1"
    taken = refined.detections[refined.detections >= 0]
    assert len(np.unique(taken)) == len(taken), "no instance twice"
    np.testing.assert_array_equal(made_of.frames[taken], refined.frames[refined.detections >= 0])
    assert (refined.boxes[:, 2:] > refined.boxes[:, :2]).all()


def test_gaps_are_filled_on_the_way_and_name_no_instance() -> None:
    found, owners = recording([walk(100, 200, 60)], seen=lambda number, frame: not 20 <= frame < 35)
    refined = refine(found, owners)
    check(refined, found)
    assert refined.frames.tolist() == list(range(60))
    filled = refined.detections < 0
    assert np.flatnonzero(filled).tolist() == list(range(20, 35))
    centres = (refined.boxes[:, :2] + refined.boxes[:, 2:]) / 2
    np.testing.assert_allclose(centres[filled, 0], 100 + 60 * np.arange(20, 35) / 10, atol=1.5)
    np.testing.assert_allclose(refined.velocities[filled, 0], 60, atol=3)
    np.testing.assert_allclose(refined.shares[filled], np.arange(1, 16) / 16)
    assert (refined.befores[filled] == owners[0][19]).all()
    assert (refined.afters[filled] == owners[0][20]).all()


def test_time_comes_from_stamps_not_from_frames() -> None:
    found, owners = recording([walk(100, 200, 60)], seen=lambda number, frame: frame not in {30, 31})
    times_s = found.times_s.copy()
    times_s[31:] += 1.5  # the camera paused: two missing frames span 1.8 s
    moved = np.array(found.boxes)
    moved[owners[0][30:], ::2] += 60 * 1.5
    late = Recording(times_s=times_s, starts=found.starts, boxes=moved, scores=found.scores, class_ids=found.class_ids)
    refined = refine(late, owners)
    place = refined.boxes[refined.detections < 0]
    np.testing.assert_allclose(place[:, 0] + 20, 100 + 60 * times_s[[30, 31]], atol=1.5)
    times_s[31:] += 1.0
    refined = refine(late, owners)
    assert (refined.detections >= 0).all(), "longer than the tracker would have waited"


def test_long_gaps_are_joined_where_both_predictions_agree() -> None:
    found, owners = recording([walk(100, 200, 40)], frames=90, seen=lambda number, frame: not 30 <= frame < 60)
    halves = [owners[0][:30], owners[0][30:]]
    joined = stitch(found, halves)
    assert len(joined) == 1
    np.testing.assert_array_equal(joined[0], owners[0])
    refined = refine(found, halves)
    check(refined, found)
    assert refined.ids.max() == 1


def test_tracklets_that_do_not_lead_to_each_other_stay_apart() -> None:
    paths = [walk(100, 200, 40), walk(600, 200, 40)]
    found, owners = recording(paths, seen=lambda number, frame: frame < 25 if number == 0 else frame >= 30)
    assert len(stitch(found, owners)) == 2
    other_size, owners = recording([walk(100, 200, 0)], seen=lambda number, frame: not 25 <= frame < 35)
    boxes = other_size.boxes.copy()
    boxes[25:] += np.array([-60, -150, 60, 150])
    grown = Recording(
        times_s=other_size.times_s,
        starts=other_size.starts,
        boxes=boxes,
        scores=other_size.scores,
        class_ids=other_size.class_ids,
    )
    assert len(stitch(grown, [owners[0][:25], owners[0][25:]])) == 2


def test_looks_join_what_motion_doubts_and_part_what_it_would_join() -> None:
    generator = np.random.default_rng(1)
    # A turn in hiding: forward and backward prediction miss by one and a half object sizes.
    turn = lambda time_s: (200 + 120 * min(time_s, 3) - 120 * max(time_s - 3.5, 0), 200)  # noqa: E731
    crowd = [walk(100 + 150 * n, 500, 0) for n in range(8)]
    found, owners = recording([turn, *crowd], seen=lambda number, frame: number > 0 or not 30 <= frame < 35)
    tracklets = [owners[0][:30], owners[0][30:], *owners[1:]]
    embeddings = generator.normal(size=(len(tracklets), 64))
    assert len(stitch(found, tracklets)) == 10
    embeddings[1] = embeddings[0] + 0.1 * generator.normal(size=64)
    assert len(stitch(found, tracklets, embeddings)) == 9
    straight, owners = recording(
        [walk(100, 200, 30), *crowd], seen=lambda number, frame: number > 0 or not 30 <= frame < 35
    )
    tracklets = [owners[0][:30], owners[0][30:], *owners[1:]]
    assert len(stitch(straight, tracklets)) == 9
    embeddings[1] = -embeddings[0]
    assert len(stitch(straight, tracklets, embeddings)) == 10


def test_instances_before_the_first_are_found_on_the_way_back() -> None:
    found, owners = recording([walk(100, 200, 60), walk(300, 600, 0)], seen=lambda number, frame: frame % 4 != 1)
    late = [owners[0][12:], owners[1]]
    chances = chances_of(found, late)
    np.testing.assert_array_equal(extend_backward(found, late, chances)[0], owners[0])
    refined = refine(found, late)
    check(refined, found)
    assert (refined.ids == 1).sum() == 60, "from the first sight, the gaps filled"


def test_weak_and_short_tracks_are_dropped_and_strong_ones_kept() -> None:
    paths = [walk(100, 200, 20), walk(100, 500, 20), walk(600, 300, 0)]
    found, owners = recording(
        paths, seen=lambda number, frame: number < 2 or frame % 20 < 2, score=lambda number: 0.9 if number < 2 else 0.2
    )
    tracklets = [owners[0], owners[1], owners[2][:2], owners[2][2:4]]
    chances = chances_of(found, tracklets)
    assert [convincing(rows, chances) for rows in tracklets] == [True, True, False, False]
    refined = refine(found, tracklets)
    check(refined, found)
    assert refined.ids.max() == 2


def test_smoothing_brings_boxes_closer_to_the_truth() -> None:
    found, owners = recording([walk(100, 200, 50)], jitter_px=4.0, frames=100)
    refined = refine(found, owners)
    truth = 100 + 50 * found.times_s
    measured = (found.boxes[:, 0] + found.boxes[:, 2]) / 2 - truth
    smoothed = (refined.boxes[:, 0] + refined.boxes[:, 2]) / 2 - truth
    assert smoothed.std() < 0.7 * measured.std()


@pytest.mark.parametrize("seed", range(3))
def test_the_smoother_is_filterpys_with_steps_from_the_timestamps(seed: int) -> None:
    generator = np.random.default_rng(seed)
    count = 25
    times_s = np.cumsum(generator.uniform(0.02, 0.5, count))
    measured = np.array([400, 300, 60, 120]) + np.cumsum(generator.normal(0, 3, (count, 4)), axis=0)
    filtered = KalmanFilter(dim_x=2, dim_z=1)
    filtered.H = np.array([[1.0, 0.0]])
    values, rates = smooth(measured, times_s)
    # The x axis alone: noise follows the filtered width and height, which are taken from a run of their own.
    sides = _filtered_sides(measured, times_s)
    means, covariances, transitions, noises = [], [], [], []
    square = measured[0, 2] * measured[0, 3]
    filtered.x, filtered.P = np.array([[measured[0, 0]], [0.0]]), np.diag([MEASUREMENT**2 * square, square])
    for step in range(count):
        if step:
            dt_s, square = times_s[step] - times_s[step - 1], sides[step - 1]
            noise = Q_continuous_white_noise(2, dt=dt_s, spectral_density=ACCELERATION**2 * square)
            noise[0, 0] += DRIFT**2 * square * dt_s
            transition = np.array([[1.0, dt_s], [0.0, 1.0]])
            filtered.predict(F=transition, Q=noise)
            filtered.update(measured[step, :1], R=MEASUREMENT**2 * measured[step, 2] * measured[step, 3])
            transitions.append(transition)
            noises.append(noise)
        means.append(filtered.x.copy())
        covariances.append(filtered.P.copy())
    last = np.eye(2)
    from filterpy.kalman import rts_smoother

    expected = rts_smoother(np.array(means), np.array(covariances), [*transitions, last], [*noises, last])[0]
    np.testing.assert_allclose(values[:, 0], expected[:, 0, 0], rtol=1e-9)
    np.testing.assert_allclose(rates[:, 0], expected[:, 1, 0], rtol=1e-6, atol=1e-6)


def _filtered_sides(measured: np.ndarray, times_s: np.ndarray) -> list[float]:
    """Filtered area after each step."""
    from tracker.refine.smooth import correct, move, start

    state = start(measured[0][:, None])
    areas = [float(state[0][2, 0] * state[0][3, 0])]
    for values, dt_s in zip(measured[1:], np.diff(times_s), strict=True):
        state = correct(move(state, float(dt_s)), values[:, None])
        areas.append(float(state[0][2, 0] * state[0][3, 0]))
    return areas


def test_shapes_are_exact_at_the_ends_and_lie_between_them() -> None:
    tall, wide = np.zeros((20, 20), np.bool_), np.zeros((20, 20), np.bool_)
    tall[:, 6:14] = True
    wide[6:14, :] = True
    np.testing.assert_array_equal(between(tall, wide, 0.0, (20, 20)) >= 0, tall)
    np.testing.assert_array_equal(between(tall, wide, 1.0, (20, 20)) >= 0, wide)
    middle = between(tall, wide, 0.5, (20, 20)) >= 0
    assert middle[6:14, 6:14].all()
    assert (middle <= (tall | wide)).all()
    np.testing.assert_array_equal(middle, middle.T)
    larger = between(tall, tall, 0.3, (40, 60)) >= 0
    assert larger.shape == (60, 40)
    assert abs(larger.mean() - tall.mean()) < 0.03
    assert (signed_distance(tall) > 0).sum() == tall.sum()


def test_same_input_same_result_and_an_empty_one_is_empty() -> None:
    paths = [walk(100, 200, 60), walk(500, 220, -50), walk(300, 400, 5)]
    found, owners = recording(paths, jitter_px=2.0, seen=lambda number, frame: (frame * 7 + number) % 5 > 0)
    first, second = refine(found, owners), refine(found, owners)
    check(first, found)
    np.testing.assert_array_equal(first.boxes, second.boxes)
    np.testing.assert_array_equal(first.ids, second.ids)
    nothing, _ = recording([], frames=5)
    assert len(refine(nothing, [])) == 0
    assert tracklets_of(np.zeros(0, np.int64), np.zeros(0, np.int64)) == []
    told: list[tuple[int, int]] = []
    refine(found, owners, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (63, 63)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
