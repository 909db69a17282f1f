"""Scripted scenes with exact truth: identities must hold through what cameras and detectors do."""

from __future__ import annotations

import numpy as np
import pytest

from tests.associate.pillars import PILLAR_X_PX, Passage
from tests.associate.worlds import ellipses, line, play
from tracker.associate.tracker import Tracker
from tracker.types import Instances


def frames(seconds: float, fps: float = 30.0) -> np.ndarray:
    return np.arange(round(seconds * fps)) / fps


def gap(number: int, start: float, end: float):
    """A ``seen`` that hides one object from ``start`` to ``end``."""
    return lambda n, time_s, generator: n != number or not start <= time_s < end


boxes_and_masks = pytest.mark.parametrize("masks", [False, True], ids=["boxes", "masks"])


@boxes_and_masks
@pytest.mark.parametrize("fps", [5, 10, 30, 60])
def test_crossing_keeps_both(fps: float, masks: bool) -> None:
    story = play([line((100, 200), (120, 0)), line((600, 230), (-120, 10))], frames(4, fps), masks=masks)
    assert story.holds(found=0.9)


@boxes_and_masks
@pytest.mark.parametrize("fps", [10, 30])
def test_crossing_while_one_hides_the_other(fps: float, masks: bool) -> None:
    paths = [line((100, 200), (120, 0)), line((600, 210), (-120, 0), (60, 130))]
    story = play(paths, frames(4, fps), solid=True, masks=masks)
    assert any(0 not in seen for seen in story.seen), "the far one must vanish"
    assert story.holds(found=0.9)


@boxes_and_masks
def test_full_occlusion_and_reappearance(masks: bool) -> None:
    story = play([line((60, 200), (90, 0)), line((640, 330), (-60, 0))], frames(5), seen=gap(0, 2, 3.2), masks=masks)
    assert story.holds()


def test_a_track_hidden_behind_another_one_is_still_reported() -> None:
    # The walker behind stops, is covered by the one in front (whose feet are lower) for 0.7 s and seen again.
    behind, front = line((300, 200), (0, 0), (40, 100)), line((100, 205), (100, 0), (60, 130))
    story = play([behind, front], frames(4), seen=gap(0, 1.8, 2.4))
    assert story.ids_of(0) == {story.owners[10][0]}
    identity = story.owners[10][0]
    hidden = [k for k, time_s in enumerate(frames(4)) if 1.8 <= time_s < 2.4]
    shown = [k for k in hidden if identity in story.tracks[k].ids]
    assert len(shown) > 0.8 * len(hidden)
    for k in shown:
        row = story.tracks[k].ids.tolist().index(identity)
        assert story.tracks[k].detection_rows[row] == -1
        assert abs(story.tracks[k].boxes[row, [0, 2]].mean() - 300) < 15


@boxes_and_masks
def test_group_walks_side_by_side(masks: bool) -> None:
    group = [line((100 + 45 * k, 200 + 4 * k), (70, 5)) for k in range(5)]
    story = play(group, frames(5), jitter_px=2, masks=masks)
    assert len(story.objects) == 5
    assert story.holds()


@boxes_and_masks
def test_two_groups_walk_through_each_other(masks: bool) -> None:
    paths = [line((80 + 50 * k, 180 + 5 * k), (80, 0)) for k in range(3)]
    paths += [line((500 + 50 * k, 200 + 5 * k), (-80, 0)) for k in range(3)]
    story = play(paths, frames(5), solid=True, masks=masks)
    assert story.holds()


@boxes_and_masks
@pytest.mark.parametrize("fps", [10, 30])
def test_overtaking(fps: float, masks: bool) -> None:
    story = play(
        [line((100, 200), (60, 0)), line((20, 215), (160, 0))], frames(3, fps), jitter_px=1.5, solid=True, masks=masks
    )
    assert any(0 not in seen for seen in story.seen), "the slow one is covered for a moment"
    assert story.holds(found=0.9)


def test_a_pillar_cuts_what_a_detector_would_see() -> None:
    # Two bodies broad at one body a second: hidden for a second; 30 % must be visible on either side.
    story = Passage(fps=30, speed=1, pillar=2).play()
    seen = [0 in numbers for numbers in story.seen]
    first, last = seen.index(False), len(seen) - seen[::-1].index(False)
    assert not any(seen[first:last])
    assert (last - first) / 30 == pytest.approx(2 - 1 + 2 * 0.3, abs=0.07)
    widths = [boxes[0, 2] - boxes[0, 0] for boxes in (tracks.boxes for tracks in story.tracks[first - 30 : first])]
    assert widths[0] > 30
    assert widths[-1] < 16
    assert story.tracks[first - 1].boxes[0, 2] == pytest.approx(PILLAR_X_PX - 40), "the edge at the pillar stands"


def test_the_silhouette_beside_a_pillar_is_cut_and_not_squeezed() -> None:
    whole, part = np.array([[80, 80, 240, 400]], np.float32), np.array([[80, 80, 128, 400]], np.float32)
    grid = ellipses(whole, part).probabilities[0] > 0
    columns = np.flatnonzero(grid.any(axis=0))
    assert (columns.min(), columns.max()) == (10, 15)
    assert grid[:, 10].sum() < grid[:, 15].sum() == grid.sum(axis=0).max(), "widest where the pillar begins"


@boxes_and_masks
@pytest.mark.parametrize(
    "passage",
    [
        Passage(fps=10, speed=2, pillar=2),
        Passage(fps=30, speed=2, pillar=1 / 3, least=0.15),
        Passage(fps=30, speed=1, pillar=1.5, crossing=True),
        Passage(fps=10, speed=1, pillar=1, size=(100, 50)),
    ],
    ids=["walker", "thin", "two", "car"],
)
def test_a_track_behind_a_pillar_keeps_its_identity(passage: Passage, masks: bool) -> None:
    story = passage.play(masks=masks)
    assert (story.switches, story.shared) == (0, set())


def test_stop_and_go() -> None:
    def path(time_s: float):
        x = 100 + 100 * min(time_s, 2) + 100 * max(time_s - 4, 0)
        return x, 200, 80, 60

    assert play([path], frames(6)).holds()


def test_u_turn() -> None:
    def path(time_s: float):
        angle = np.pi * np.clip((time_s - 1.5) / 1.5, 0, 1)
        x = 100 + 120 * min(time_s, 1.5) + 60 * np.sin(angle) - 120 * max(time_s - 3, 0)
        return x, 200 + 60 * (1 - np.cos(angle)), 60, 60

    assert play([path], frames(5)).holds()


def test_a_u_turn_while_unseen() -> None:
    # Seen on the way there and on the way back, 0.8 s in between not: the prediction goes on straight ahead.
    def path(time_s: float):
        return 100 + 80 * (time_s if time_s < 2 else 4 - time_s), 200, 60, 60

    assert play([path], frames(4), seen=gap(0, 1.6, 2.4)).holds()


def test_exit_ends_an_identity_and_reentry_after_seconds_is_a_new_one() -> None:
    paths = [line((100, 200), (100, 0), until_s=3), line((-300, 200), (100, 0), from_s=6.5)]
    story = play(paths, frames(9))
    assert story.holds()
    assert story.ids_of(0) == {1}
    assert story.ids_of(1) == {2}
    ended = [(k, i) for k, tracks in enumerate(story.tracks) for i in tracks.ended_ids.tolist()]
    assert ended == [(pytest.approx(150, abs=2), 1)]


def test_the_rate_drops_from_30_to_5() -> None:
    times = np.concatenate([frames(2), 2 + frames(4, 5)])
    assert play([line((50, 200), (80, 0)), line((600, 300), (-60, 0))], times).holds()


def test_the_rate_rises_from_5_to_30() -> None:
    times = np.concatenate([frames(3, 5), 3 + frames(2)])
    assert play([line((50, 200), (80, 0)), line((600, 300), (-60, 0))], times).holds(found=0.9)


def test_leaving_for_a_moment_keeps_the_identity() -> None:
    # Out of view at the edge for a second, back at the same edge.
    def path(time_s: float):
        return None if 2 <= time_s < 3 else (30 + 60 * abs(time_s - 2.5), 200, 50, 60)

    assert play([path], frames(5)).holds()


def test_seconds_are_dropped() -> None:
    times = frames(6)
    times = times[(times < 2) | (times >= 3.5)]
    assert play([line((50, 200), (80, 0)), line((600, 330), (0, 0))], times).holds()


def test_single_frames_are_dropped_at_random() -> None:
    times = frames(5)
    times = times[np.random.default_rng(0).random(len(times)) > 0.4]
    assert play([line((50, 200), (80, 0))], times).holds()


def test_empty_frames() -> None:
    empty = play([], frames(1))
    assert all(len(tracks) == 0 for tracks in empty.tracks)
    blink = play([line((50, 200), (80, 0))], frames(4), seen=lambda n, time_s, g: round(time_s * 30) % 4 != 3)
    assert blink.holds()


@pytest.mark.parametrize("miss", [0.2, 0.4])
def test_detector_flicker(miss: float) -> None:
    paths = [line((60, 150 + 130 * k), (60 + 10 * k, 0)) for k in range(3)]
    assert play(paths, frames(6), seen=lambda n, t, g: g.random() > miss, jitter_px=2).holds()


def test_class_flips_keep_the_identity_and_the_vote() -> None:
    story = play([line((60, 150), (60, 0))], frames(5), class_of=lambda n, t, g: 2 if g.random() < 0.8 else 7)
    assert story.holds()
    assert set(np.concatenate([tracks.class_ids for tracks in story.tracks[20:]]).tolist()) == {2}


def test_class_flips_of_two_that_cross() -> None:
    paths = [line((100, 200), (120, 0)), line((600, 240), (-120, 0))]
    story = play(paths, frames(4), class_of=lambda n, t, g: n if g.random() < 0.8 else 1 - n)
    assert story.holds()
    for number in (0, 1):
        last = story.tracks[-1]
        assert last.class_ids[last.ids == story.owners[-1][number]].tolist() == [number]


def test_a_burst_of_false_positives_gets_no_lasting_identity() -> None:
    def false(time_s: float, generator: np.random.Generator):
        if not 2 <= time_s < 3:
            return []
        corners = generator.uniform(0, 600, (25, 2))
        return [(x, y, x + w, y + w) for (x, y), w in zip(corners, generator.uniform(20, 80, 25), strict=True)]

    story = play([line((60, 150), (60, 0)), line((500, 400), (-50, 0))], frames(5), false=false)
    assert (story.switches, story.shared) == (0, set())
    assert len(story.ids_of(0)) == len(story.ids_of(1)) == 1
    assert story.found() > 0.95
    assert len(story.strangers) < 0.03 * 30 * 25, "750 false instances"
    shown = [len(set(tracks.ids.tolist()) & story.strangers) for tracks in story.tracks]
    assert sum(shown) < 0.05 * 750, "nor do those that got one last"
    assert not any(shown[100:]), "all gone a third of a second after the burst"


def test_a_thousand_objects() -> None:
    columns = [(60 + 60 * (k % 40), 50 + 110 * (k // 40)) for k in range(1000)]
    generator = np.random.default_rng(3)
    paths = [line(start, tuple(generator.uniform(-12, 12, 2)), (30, 70)) for start in columns]
    story = play(paths, frames(0.7), jitter_px=0.5)
    assert len(story.owners[-1]) == 1000
    assert story.all_ids == set(range(1, 1001))
    assert story.holds(found=0.85)


def filmed(path, camera):
    """A path as seen by a camera that points at ``camera(time_s)``, px."""

    def moved(time_s: float):
        place = path(time_s)
        if place is None:
            return None
        x, y = camera(time_s)
        return place[0] - x, place[1] - y, *place[2:]

    return moved


def test_camera_pan_at_ten_frames_a_second() -> None:
    paths = [line((100 + 220 * k, 200), (-20 + 50 * k, 0)) for k in range(2)]
    story = play([filmed(path, lambda t: (150 * np.sin(1.5 * t), 8 * np.sin(9 * t))) for path in paths], frames(4, 10))
    assert story.holds(found=0.9)


def test_a_pan_that_starts_and_stops_at_once() -> None:
    # 300 px/s at 30 fps: from one frame to the next everything moves a quarter of its width more than before.
    paths = [line((200 + 150 * k, 180 + 40 * k), (30 - 40 * k, 0)) for k in range(3)]
    story = play([filmed(path, lambda t: (300 * np.clip(t - 1, 0, 1), 0)) for path in paths], frames(3))
    assert story.holds()


@pytest.mark.parametrize("shake_px", [3, 6])
def test_camera_shake(shake_px: float) -> None:
    # A pole in the wind: every frame is off by itself, the same for all.
    generator = np.random.default_rng(1)
    offsets = {time_s: generator.normal(0, shake_px, 2) for time_s in frames(4)}
    paths = [line((80 + 90 * k, 150 + 50 * k), (60 - 30 * k, 0)) for k in range(4)]
    assert play([filmed(path, offsets.__getitem__) for path in paths], frames(4)).holds()


def test_a_low_score_still_continues_a_track() -> None:
    tracker = Tracker()
    play([line((60, 150), (60, 0))], frames(2), tracker=tracker)
    story = play([line((60, 150), (60, 0))], 2 + frames(1), tracker=tracker, score=0.3)
    assert story.holds(found=1)
    assert story.ids_of(0) == {1}


def test_what_is_seen_for_two_seconds_gets_an_identity_whatever_was_learned() -> None:
    tracker = Tracker()
    generator = np.random.default_rng(0)
    for frame in range(300):  # ten seconds of flashes in the same class and score: nothing lives
        boxes = generator.uniform(0, 500, (5, 4)).astype(np.float32)
        boxes[:, 2:] = boxes[:, :2] + 40
        flashes = Instances(boxes=boxes, scores=np.full(5, 0.9, np.float32), class_ids=np.zeros(5, np.int64))
        tracker.update(flashes, frame / 30)
    story = play([line((60, 150), (60, 0))], 10 + frames(4), tracker=tracker)
    assert len(story.ids_of(0, first=60)) == 1
    assert all(0 in owner for owner in story.owners[60:])


def test_identical_detections_of_two_models_are_one_identity() -> None:
    # Every object is detected twice with almost the same box, as an ensemble without suppression would.
    path = line((60, 150), (60, 0))
    story = play([path, path], frames(3), jitter_px=1)
    assert len(story.all_ids) == 1
    assert story.switches == 0
