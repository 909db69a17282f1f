"""Completion behind static occluders: truncated tracks become whole objects, all other tracks stay unchanged."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from demos.scenes import script
from demos.scenes.detector import detect
from tests.associate.pillars import passages
from tests.associate.test_warp import similarity
from tests.associate.worlds import Box, Story, corners, cut, line, play
from tracker.associate import completion
from tracker.associate.completion import Completion
from tracker.associate.parameters import TrackerSettings
from tracker.associate.tracker import Tracker
from tracker.types import Instances, Tracks

FPS = 20.0
SPEED_PX_S, WIDTH, HEIGHT = 80.0, 40.0, 100.0
PILLAR = (260.0, 330.0)
"""One and three quarters of a width: nothing is seen for 0.375 s, less than 30 % for 0.675 s."""
HIDDEN_S = (PILLAR[0] + WIDTH / 2 - 100) / SPEED_PX_S
"""When an object that starts at x = 100 is wholly occluded."""
walker = line((100, 200), (SPEED_PX_S, 0), (WIDTH, HEIGHT))


def frames(start_s: float, end_s: float, fps: float = FPS) -> list[float]:
    return (np.arange(round(start_s * fps), round(end_s * fps)) / fps).tolist()


def seen(box: Box, least: float = 0.3) -> Instances:
    """What a detector reports of one object beside the pillar."""
    part = cut(box, [PILLAR])
    if part[2] - part[0] < least * (box[2] - box[0]):
        return Instances.empty()
    return Instances(
        boxes=np.array([part], np.float32), scores=np.array([0.9], np.float32), class_ids=np.zeros(1, np.int64)
    )


def shown(instances: Instances, matrix: np.ndarray) -> Instances:
    """The same through a camera that maps the scene by ``matrix (2, 3)``; no roll."""
    points = instances.boxes.reshape(-1, 2) @ matrix[:, :2].T + matrix[:, 2]
    return Instances(
        boxes=points.reshape(-1, 4).astype(np.float32), scores=instances.scores, class_ids=instances.class_ids
    )


def walk(
    tracker: Tracker, times_s: list[float], change: Callable[[Instances, float], Instances] = lambda i, t: i
) -> list[Tracks]:
    return [tracker.update(change(seen(corners(*walker(t))), t), t) for t in times_s]


def identities(tracks: list[Tracks]) -> set[int]:
    return {int(identity) for one in tracks for identity in one.ids}


def test_a_hidden_walker_is_expected_whole_and_where_he_is() -> None:
    tracker = Tracker(settings=TrackerSettings(coast_s=1.0, coast_log_odds=-100))
    before = walk(tracker, frames(0, HIDDEN_S - 0.2))
    assert before[-1].boxes[0, 2] - before[-1].boxes[0, 0] < 0.6 * WIDTH, "truncated in its last box"
    for time_s in frames(HIDDEN_S, HIDDEN_S + 0.3):
        tracks = walk(tracker, [time_s])[0]
        assert tracks.detection_rows.tolist() == [-1]
        np.testing.assert_allclose(tracks.boxes[0], corners(*walker(time_s)), atol=0.1 * WIDTH)
        np.testing.assert_allclose(tracks.velocities[0], (SPEED_PX_S, 0), atol=0.1 * SPEED_PX_S)


def test_a_part_that_comes_back_keeps_the_velocity() -> None:
    # The centre of the first sliver lies a third of a width before the whole's: no sudden motion, it is not whole yet.
    tracker = Tracker()
    tracks = walk(tracker, frames(0, HIDDEN_S + 0.75))
    assert identities(tracks) == {1}
    back = next(one for one in tracks[-10:] if (one.detection_rows >= 0).any())
    assert back.boxes[0, 2] - back.boxes[0, 0] < 0.6 * WIDTH
    np.testing.assert_allclose(back.velocities[0], (SPEED_PX_S, 0), atol=0.2 * SPEED_PX_S)


@pytest.mark.slow
def test_nearly_every_passage_at_ten_frames_a_second_keeps_the_identity() -> None:
    for passage in passages(10):
        story = passage.play()
        assert (story.switches, story.shared) == (0, set()), passage
    for passage in passages(10, car=True):
        story = passage.play()
        assert (not story.switches) == (passage.unseen_s < 2), "after two seconds the track has ended"
    two = [passage.play() for passage in passages(10, crossing=True)]
    assert 3 * sum(bool(story.switches or story.shared) for story in two) <= len(two)


@pytest.mark.parametrize("fps", [5, 10])
def test_a_rendered_walker_behind_a_slab_keeps_the_identity(fps: float) -> None:
    # Perspective, legs that swing, boxes of what is visible, 3 % off; 3 % of the instances are missed.
    generator, tracker = np.random.default_rng(0), Tracker()
    ids, unseen_s = [], [0.0]
    for truth in script.full_occlusion().truths(fps):
        tracks = tracker.update(detect(truth, rng=generator, jitter=0.03, miss_rate=0.03), truth.time_s)
        ids += tracks.ids.tolist()
        unseen_s.append(0.0 if (tracks.detection_rows >= 0).any() else unseen_s[-1] + 1 / fps)
    assert set(ids) == {1}
    assert max(unseen_s) >= 0.8
    assert tracks.detection_rows.tolist() == [0]


def test_down_the_picture_as_along_it() -> None:
    # Seen from above, a person walks down the picture under a beam.
    def turned(instances: Instances, time_s: float) -> Instances:
        boxes = instances.boxes[:, [1, 0, 3, 2]]
        return Instances(boxes=boxes, scores=instances.scores, class_ids=instances.class_ids)

    tracks = walk(Tracker(), frames(0, 4.5), turned)
    assert identities(tracks) == {1}
    assert tracks[-1].detection_rows.tolist() == [0]


@pytest.fixture
def completed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Identities of the tracks that were completed."""
    numbers: list[int] = []
    write_whole = completion._write_whole
    monkeypatch.setattr(
        completion,
        "_write_whole",
        lambda table, row, *rest: (numbers.append(int(table.ids[row])), write_whole(table, row, *rest)),
    )
    return numbers


def test_the_fixture_sees_completed_tracks(completed: list[int]) -> None:
    walk(Tracker(), frames(0, HIDDEN_S + 0.2))
    assert completed == [1]


@pytest.mark.parametrize("side", [-1, 1])
def test_a_person_in_plain_view_that_lowers_an_arm_is_not_completed(side: int, completed: list[int]) -> None:
    # One edge comes in by half of the width within half a second, then the detector misses the person, swaying a
    # little.
    def person(time_s: float):
        width = WIDTH * (1 - np.clip(time_s - 2, 0, 0.5))
        return 200 + side * ((WIDTH - width) / 2 - WIDTH / 8 * time_s), 200, width, HEIGHT

    story = play([person], frames(0, 4), seen=lambda n, t, g: not 2.5 < t < 3)
    assert story.holds()
    assert not completed


def test_walkers_in_plain_view_are_not_completed(completed: list[int]) -> None:
    # Legs make them a fifth wider and narrower, one instance in ten is missed, edges are off by a twentieth.
    def strolling(number: int):
        def path(time_s: float):
            width = WIDTH * (1 + 0.2 * np.sin(11 * time_s + number))
            return 60 + 50 * number + (8 * number - 30) * time_s, 100 + 40 * number, width, HEIGHT

        return path

    story = play([strolling(k) for k in range(8)], frames(0, 12), jitter_px=2, seen=lambda n, t, g: g.random() > 0.1)
    assert story.switches == 0
    assert not completed


def test_a_miss_in_plain_view_changes_nothing(completed: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> Story:
        paths = [line((60 + 90 * k, 150 + 40 * k), (50 - 20 * k, 0)) for k in range(5)]
        return play(paths, frames(0, 8), jitter_px=1.5, seen=lambda n, t, g: g.random() > 0.2)

    story = run()
    assert not completed
    monkeypatch.setattr(Completion, "complete", lambda self, *rest: None)
    for one, other in zip(story.tracks, run().tracks, strict=True):
        assert one.boxes.tobytes() == other.boxes.tobytes()
        assert one.ids.tobytes() == other.ids.tobytes()


def test_a_child_that_comes_out_when_the_walker_should_is_somebody_else() -> None:
    # Half as tall and on the same ground; the walker himself stops behind the pillar and comes a second later.
    def late(time_s: float):
        return walker(time_s if time_s < HIDDEN_S else max(HIDDEN_S, time_s - 1))

    child = line((100, 200 + HEIGHT / 4), (SPEED_PX_S, 0), (WIDTH / 2, HEIGHT / 2), from_s=HIDDEN_S + 0.2)
    story = play([late, child], frames(0, 6), pillars=[PILLAR])
    assert not story.shared
    assert story.ids_of(1).isdisjoint(story.ids_of(0))
    assert len(story.ids_of(1)) == 1


@pytest.mark.parametrize("early_s", [0.6, 0.9])
def test_an_object_that_appears_too_early_is_another_one(early_s: float) -> None:
    # As tall as the walker and at the same height, ahead of it behind the pillar from the start.
    ahead = line((100 + early_s * SPEED_PX_S, 200), (SPEED_PX_S, 0), (WIDTH, HEIGHT), from_s=HIDDEN_S)
    story = play([walker, ahead], frames(0, 5), pillars=[PILLAR])
    assert (story.switches, story.shared) == (0, set())
    assert len(story.all_ids) == 2


def test_another_class_does_not_come_back_as_the_walker() -> None:
    story = play(
        [walker],
        frames(0, 4.5),
        pillars=[PILLAR],
        most_hidden=0.85,
        class_of=lambda n, time_s, g: 0 if time_s < HIDDEN_S else 7,
    )
    assert len(story.all_ids) == 2


@pytest.mark.parametrize("after_s", [HIDDEN_S - 0.4, HIDDEN_S + 0.1])
def test_a_snapshot_carries_the_history_and_the_truncated_tracks(after_s: float) -> None:
    before = Tracker()
    walk(before, frames(0, after_s))
    after = Tracker()
    after.restore(before.state())
    through = walk(before, frames(after_s, 4.5))
    for one, other in zip(through, walk(after, frames(after_s, 4.5)), strict=True):
        assert one.ids.tobytes() == other.ids.tobytes()
        assert one.boxes.tobytes() == other.boxes.tobytes()
    assert identities(through) == {1}


@pytest.mark.parametrize("foreign", [False, True])
def test_snapshots_of_other_versions_still_load(foreign: bool) -> None:
    before = Tracker()
    walk(before, frames(0, 1))
    state = before.state()
    if foreign:
        state["completion"] = {"times_s": np.zeros(0), "warps": np.zeros((0, 2, 3))}  # as an earlier version kept it
    else:
        del state["completion"]
    after = Tracker()
    walk(after, frames(0, HIDDEN_S))  # whatever it knew is forgotten
    after.restore(state)
    assert identities(walk(after, frames(1, 4.5))) == {1}


@pytest.mark.parametrize("zoom", [0.0, 0.1])
def test_the_past_moves_with_the_camera(zoom: float) -> None:
    # The camera pans to and fro faster than a person walks, and zooms in by a tenth a second.
    def view(time_s: float) -> np.ndarray:
        return similarity(1 + zoom * time_s, 0.0, (60 * np.sin(4 * time_s), -20 * time_s))

    tracker, previous, tracks = Tracker(), view(0), []
    for time_s in frames(0, 4.5):
        now = view(time_s)
        linear = now[:, :2] @ np.linalg.inv(previous[:, :2])
        warp = np.concatenate([linear, (now[:, 2] - linear @ previous[:, 2])[:, None]], axis=1)
        instances = shown(seen(corners(*walker(time_s))), now)
        tracks.append(tracker.update(instances, time_s, warp=warp))
        previous = now
    assert identities(tracks) == {1}
    assert tracks[-1].detection_rows.tolist() == [0]


def test_the_past_is_bounded() -> None:
    tracker = Tracker()
    for frame in range(600):
        tracker.update(seen((10, 10, 50, 110)), frame / 60)
    state = tracker.state()["completion"]
    assert state["boxes"].shape[1] == len(state["ids"]) == len(state["times_s"]) <= 31


def test_a_gap_before_the_last_box_is_no_trouble(completed: list[int]) -> None:
    # Seen for a second, a second without frames, seen once, cut: no velocity can be had from the last second.
    walk(Tracker(), [*frames(0, 1), HIDDEN_S - 0.2, HIDDEN_S])
    assert completed == [1]
