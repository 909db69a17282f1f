"""Embeddings: returning objects are re-identified, other objects never, and uninformative embeddings change nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tests.associate.worlds import Path, corners, line, random_instances
from tracker.associate.gallery import Gallery, Separation
from tracker.associate.occlusion import visible_share
from tracker.associate.parameters import TrackerSettings
from tracker.associate.tracker import Tracker
from tracker.engine.snapshot import Snapshots
from tracker.types import Instances, Tracks

LENGTH = 32
FIELDS = ("ids", "detection_rows", "boxes", "velocities", "class_ids", "scores", "ages_s")
Face = Callable[[int, np.random.Generator], np.ndarray]


def faces(noise: float = 0.5, count: int = 60, like: dict[int, int] | None = None) -> Face:
    """A direction per object, plus noise; ``like`` gives one object the direction of another."""
    own = np.random.default_rng(99).normal(size=(count, LENGTH))
    own /= np.linalg.norm(own, axis=1, keepdims=True)

    def face(number: int, generator: np.random.Generator) -> np.ndarray:
        spoilt = own[(like or {}).get(number, number)] + noise * generator.normal(size=LENGTH) / LENGTH**0.5
        return spoilt / np.linalg.norm(spoilt)

    return face


def pure_noise(number: int, generator: np.random.Generator) -> np.ndarray:
    return generator.normal(size=LENGTH)


def all_alike(number: int, generator: np.random.Generator) -> np.ndarray:
    return 1 + 0.3 * generator.normal(size=LENGTH)


def film(
    paths: Sequence[Path], times_s: np.ndarray, face: Face | None, *, jitter_px: float = 1.0
) -> list[tuple[Instances, list[int]]]:
    """Instances frame by frame with their owners; boxes do not depend on the embeddings."""
    generator, faces = np.random.default_rng(0), np.random.default_rng(1)
    frames = []
    for time_s in times_s:
        seen = [(n, place) for n, path in enumerate(paths) if (place := path(time_s)) is not None]
        boxes = np.array(
            [corners(*(np.array(place) + generator.normal(0, jitter_px, 4))) for _, place in seen], np.float32
        )
        embeddings = None
        if face is not None:
            embeddings = np.array([face(n, faces) for n, _ in seen], np.float32).reshape(-1, LENGTH)
        instances = Instances(
            boxes=boxes.reshape(-1, 4),
            scores=np.full(len(seen), 0.9, np.float32),
            class_ids=np.zeros(len(seen), np.int64),
            embeddings=embeddings,
        )
        frames.append((instances, [n for n, _ in seen]))
    return frames


def follow(
    frames: Sequence[tuple[Instances, list[int]]], times_s: np.ndarray, tracker: Tracker
) -> tuple[list[Tracks], dict[int, list[int]]]:
    """The tracks, and the identities that each owner had, in order and without repetition."""
    story, owners = [], {}
    for (instances, numbers), time_s in zip(frames, times_s, strict=True):
        tracks = tracker.update(instances, float(time_s))
        story.append(tracks)
        for identity, row in zip(tracks.ids.tolist(), tracks.detection_rows.tolist(), strict=True):
            if row >= 0 and (held := owners.setdefault(numbers[row], []))[-1:] != [identity]:
                held.append(identity)
    return story, owners


def times(seconds: float, fps: float = 5.0) -> np.ndarray:
    return np.arange(round(seconds * fps)) / fps


def presences(*spans: tuple[float, float], row: int = 0) -> Path:
    """An object that crosses the picture in every span and is away in between."""

    def path(time_s: float) -> tuple[float, float, float, float] | None:
        for start, end in spans:
            if start <= time_s < end:
                return 60 + 40 * (time_s - start), 100 + 130 * row, 40, 100
        return None

    return path


BYSTANDERS = [line((150 + 110 * k, 420), (3, 0)) for k in range(5)]
"""People who stay in view, from whom the tracker learns negative pairs; numbers from 0."""
FIRST = len(BYSTANDERS)


def ended(story: list[Tracks]) -> list[int]:
    return [identity for tracks in story for identity in tracks.ended_ids.tolist()]


@pytest.mark.parametrize("noise", [0.3, 0.8])
def test_an_object_back_after_half_a_minute_keeps_its_identity(noise: float) -> None:
    clock = times(50)
    paths = [*BYSTANDERS, presences((2, 9), (40, 47))]
    story, owners = follow(film(paths, clock, faces(noise)), clock, Tracker())
    assert {len(ids) for ids in owners.values()} == {1}
    assert sorted(ids[0] for ids in owners.values()) == list(range(1, 7))
    assert not ended(story)
    back = next(t for t in story[200:] if owners[FIRST][0] in t.ids)
    age_s = back.ages_s[back.ids.tolist().index(owners[FIRST][0])]
    assert age_s == pytest.approx(38, abs=1), "since it was first seen"


def test_without_embeddings_he_is_somebody_else() -> None:
    clock = times(50)
    story, owners = follow(film([*BYSTANDERS, presences((2, 9), (40, 47))], clock, None), clock, Tracker())
    assert len(owners[FIRST]) == 2
    assert ended(story) == owners[FIRST], "2 s after it was last seen, both times"


def test_different_objects_through_the_same_door_are_never_merged() -> None:
    clock = times(90)
    visitors = [presences((2 + 6 * k, 7 + 6 * k), row=k % 2) for k in range(14)]
    _, owners = follow(film([*BYSTANDERS, *visitors], clock, faces(0.8)), clock, Tracker())
    held = [identity for ids in owners.values() for identity in ids]
    assert len(held) == len(set(held)) == len(BYSTANDERS) + 14


def test_one_of_two_that_look_alike_is_not_taken_for_the_other() -> None:
    # Both were seen together, so the tracker knows that there are such pairs, and a third one gets a number of its own.
    clock = times(50)
    alike = [presences((2, 9)), presences((2, 9), row=1), presences((40, 47))]
    _, owners = follow(
        film([*BYSTANDERS, *alike], clock, faces(0.3, like={FIRST + 1: FIRST, FIRST + 2: FIRST})), clock, Tracker()
    )
    assert len({identity for ids in owners.values() for identity in ids}) == len(BYSTANDERS) + 3


def test_objects_in_view_together_are_two_even_with_equal_embeddings() -> None:
    # The second one comes before the first one leaves, and is still there when that one has left.
    clock = times(30)
    pair = [presences((2, 9)), presences((7, 14), row=1)]
    _, owners = follow(film([*BYSTANDERS, *pair], clock, faces(0.3, like={FIRST + 1: FIRST})), clock, Tracker())
    assert len(set(owners[FIRST] + owners[FIRST + 1])) == 2


@pytest.mark.parametrize("useless", [pure_noise, all_alike])
def test_embeddings_that_say_nothing_change_nothing(useless: Face) -> None:
    clock = times(40)
    paths = [*BYSTANDERS, *(presences((2 + 5 * k, 8 + 5 * k), row=k % 3) for k in range(6))]
    with_them, _ = follow(film(paths, clock, useless, jitter_px=4), clock, Tracker())
    without, _ = follow(film(paths, clock, None, jitter_px=4), clock, Tracker())
    for one, other in zip(with_them, without, strict=True):
        for name in FIELDS:
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


def test_without_embeddings_no_setting_of_appearance_matters() -> None:
    generator = np.random.default_rng(3)
    frames = [random_instances(generator, 15, masks=True) for _ in range(40)]
    one = Tracker(settings=TrackerSettings(appearance_weight=5.0, gallery_s=1e6, false_return=0.5))
    other = Tracker(settings=TrackerSettings(appearance_weight=0.0, gallery_s=0.0))
    for place, instances in enumerate(frames):
        a, b = one.update(instances, place / 5), other.update(instances, place / 5)
        for name in (*FIELDS, "ended_ids"):
            assert getattr(a, name).tobytes() == getattr(b, name).tobytes()


def meet_and_turn_back(time_s: float, side: int) -> tuple[float, float, float, float] | None:
    """Two meet in the middle, are unseen for a second, and each goes back to where it came from."""
    if 8 <= time_s < 9:
        return None
    way = min(time_s - 4, 4) if time_s < 8.5 else max(13 - time_s, 0)
    return 300 + side * (20 + 40 * (4 - max(way, 0))), 150, 40, 100


def test_embeddings_separate_objects_that_meet_and_turn_back() -> None:
    clock = times(14, 15)
    paths = [*BYSTANDERS, lambda t: meet_and_turn_back(t, -1), lambda t: meet_and_turn_back(t, 1)]
    _, blind = follow(film(paths, clock, None), clock, Tracker())
    _, owners = follow(film(paths, clock, faces(0.5)), clock, Tracker())
    assert len(blind[FIRST]) > 1, "motion alone takes them for having passed"
    assert len(owners[FIRST]) == len(owners[FIRST + 1]) == 1
    _, forgetful = follow(film(paths, clock, faces(0.5)), clock, Tracker(settings=TrackerSettings(gallery_s=0)))
    assert forgetful == owners, "matching needs no gallery"


def test_the_gallery_forgets_after_its_time_and_tells_so_once() -> None:
    clock = times(50)
    paths = [*BYSTANDERS, presences((2, 9), (40, 47))]
    story, owners = follow(film(paths, clock, faces(0.3)), clock, Tracker(settings=TrackerSettings(gallery_s=20)))
    assert len(owners[FIRST]) == 2
    when = [k for k, tracks in enumerate(story) if len(tracks.ended_ids)]
    assert ended(story) == [owners[FIRST][0]]
    assert when[0] / 5 == pytest.approx(29, abs=0.5), "20 s after it was last seen"


def test_the_gallery_is_bounded_and_forgets_the_oldest_first() -> None:
    clock = times(60)
    visitors = [presences((2 + 6 * k, 7 + 6 * k), row=k % 2) for k in range(8)]
    story, owners = follow(
        film([*BYSTANDERS, *visitors], clock, faces(0.3)), clock, Tracker(settings=TrackerSettings(gallery_size=3))
    )
    assert ended(story) == [owners[FIRST + k][0] for k in range(len(ended(story)))]
    assert len(ended(story)) == 8 - 3


def test_everything_is_kept_and_restored_through_a_file(tmp_path) -> None:
    clock = times(50)
    frames = film([*BYSTANDERS, presences((2, 9), (40, 47)), presences((5, 15), row=1)], clock, faces(0.5))
    through, _ = follow(frames, clock, Tracker())
    before = Tracker()
    follow(frames[:100], clock[:100], before)
    Snapshots(tmp_path).save("gate", before.state())
    loaded = Snapshots(tmp_path).load("gate")
    assert loaded is not None
    after = Tracker()
    after.restore(loaded.state)
    rest, _ = follow(frames[100:], clock[100:], after)
    for one, other in zip(through[100:], rest, strict=True):
        for name in (*FIELDS, "ended_ids"):
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


def test_a_state_from_before_there_was_appearance_is_taken_up() -> None:
    clock = times(3)
    tracker, other = Tracker(), Tracker()
    follow(film(BYSTANDERS, clock, None), clock, tracker)
    state = tracker.state()
    del state["appearance"]
    other.restore(state)
    _, owners = follow(film(BYSTANDERS, clock + 3, faces()), clock + 3, other)
    assert sorted(ids[0] for ids in owners.values()) == [1, 2, 3, 4, 5]


def test_embeddings_of_another_length_reset_and_end_the_gallery() -> None:
    clock = times(30)
    frames = film([*BYSTANDERS, presences((2, 9))], clock, faces(0.3))
    shorter = [
        (
            instances
            if k < 100
            else Instances(
                boxes=instances.boxes,
                scores=instances.scores,
                class_ids=instances.class_ids,
                embeddings=np.ascontiguousarray(instances.embeddings[:, :8]),
            ),
            numbers,
        )
        for k, (instances, numbers) in enumerate(frames)
    ]
    story, owners = follow(shorter, clock, Tracker())
    assert [(k, t.ended_ids.tolist()) for k, t in enumerate(story) if len(t.ended_ids)] == [(100, owners[FIRST])]
    assert all(len(ids) == 1 for ids in owners.values())


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_rows_without_a_usable_vector_count_for_nothing(bad: float) -> None:
    def face(number: int, generator: np.random.Generator) -> np.ndarray:
        return faces(0.3)(number, generator) if generator.random() < 0.7 else np.full(LENGTH, bad)

    clock = times(50)
    _, owners = follow(film([*BYSTANDERS, presences((2, 9), (40, 47))], clock, face), clock, Tracker())
    assert {len(ids) for ids in owners.values()} == {1}


def looks_after(*, score: float, cover: bool) -> np.ndarray:
    """The look of a still person after ten clear frames and five of another face, doubtful or covered."""
    tracker = Tracker()
    mine, wrong = np.eye(2, 8, dtype=np.float32)
    front = [[90, 60, 150, 205]] if cover else []
    for frame in range(15):
        late = frame >= 10
        boxes = np.array([[100, 100, 140, 200], *(front if late else [])], np.float32)
        vectors = np.stack([wrong if late else mine, *([np.ones(8)] * (len(boxes) - 1))]).astype(np.float32)
        scores = np.array([score if late else 0.95, 0.95][: len(boxes)], np.float32)
        instances = Instances(boxes=boxes, scores=scores, class_ids=np.zeros(len(boxes), np.int64), embeddings=vectors)
        tracker.update(instances, frame / 10)
    return tracker.state()["appearance"]["looks"][0]


def test_what_is_doubtful_or_covered_does_not_change_a_look() -> None:
    assert looks_after(score=0.95, cover=False)[1] > 0.4, "a clear one does"
    assert looks_after(score=0.95, cover=True)[0] == pytest.approx(1)
    assert looks_after(score=0.2, cover=False)[0] == pytest.approx(1)


def test_visible_share_is_what_nearer_boxes_leave() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [5, 0, 20, 12], [100, 0, 110, 10]]).T
    np.testing.assert_allclose(visible_share(boxes), [0.5, 1, 1])
    assert visible_share(np.zeros((4, 0))).shape == (0,)


def test_an_ended_identity_never_returns_and_new_ones_are_gapless() -> None:
    generator = np.random.default_rng(5)
    tracker, own = (
        Tracker(settings=TrackerSettings(gallery_s=6, gallery_size=4)),
        np.random.default_rng(0).normal(size=(12, LENGTH)),
    )
    seen, gone, time_s = set(), [], 0.0
    for _ in range(200):
        time_s += float(generator.choice([0.05, 0.3, 3.0], p=[0.9, 0.07, 0.03]))
        here = np.flatnonzero((np.arange(12) * 1.7 + time_s) % 9 < 4)
        x = 60 + 50 * here + generator.normal(0, 1, len(here))
        boxes = np.stack([x, 100 + 0 * x, x + 40, 200 + 0 * x], axis=1).astype(np.float32)
        vectors = own[here] + generator.normal(size=(len(here), LENGTH))
        instances = Instances(
            boxes=boxes,
            scores=generator.uniform(0.4, 0.95, len(here)).astype(np.float32),
            class_ids=generator.integers(0, 2, len(here)) * (here % 2),
            embeddings=vectors.astype(np.float32),
        )
        tracks = tracker.update(instances, time_s)
        new = set(tracks.ids.tolist()) - seen
        assert sorted(new) == list(range(len(seen) + 1, len(seen) + 1 + len(new)))
        seen |= new
        assert (np.diff(tracks.ids) > 0).all()
        assert not set(tracks.ids.tolist()) & set(gone)
        gone += tracks.ended_ids.tolist()
    assert len(gone) == len(set(gone))
    assert len(seen) - len(gone) <= 12 + 4


def test_the_threshold_waits_for_knowledge_and_rises_with_candidates_and_look_alikes() -> None:
    separation = Separation(false_chance=0.005)
    assert separation.threshold(1) == np.inf
    separation.learn_negatives(np.array([0.1, -0.1, 0.2, 0.0]))
    assert not separation.useful
    separation.learn_positives(np.array([0.9]))
    assert separation.useful
    one, many = separation.threshold(1), separation.threshold(200)
    assert 0.4 < one < many < 1
    separation.learn_negatives(np.array([0.95]))
    assert separation.threshold(1) > 0.9
    assert not separation.useful


def test_the_gallery_by_itself() -> None:
    gallery = Gallery(retention_s=10, size=2)
    assert not len(gallery.clear(3))
    vectors = np.eye(3, dtype=np.float32)
    times_s = np.array([[1.0, 0, 0, 5], [3, 0, 2, 5], [2, 0, 0, 5]])
    gallery.add(np.array([7, 8, 9]), times=times_s, embeddings=vectors, votes=np.ones((3, 1)))
    assert gallery.expire(4.0).tolist() == [7], "the one seen least recently"
    gallery.add(np.array([11]), times=np.array([[4.0, 4, 4, 5]]), embeddings=vectors[:1], votes=np.array([[0.0, 2.0]]))
    assert gallery.votes.shape == (3, 2)
    absent = gallery.joined_with(embeddings=vectors[:0], seen_s=np.zeros(0), born_s=np.zeros(0), votes=np.zeros((2, 0)))
    assert absent.classes.tolist() == [0, 0, 1]
    # 8 was there from 2 to 3, 9 from 0 to 2: not together.
    assert absent.concurrent(0).tolist() == [False, False, False]
    assert gallery.expire(12.5).tolist() == [9]
    assert gallery.expire(100.0).tolist() == [8, 11]
