"""Doubtful identities: joins and splits of tracks that are known, and new numbers for them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tracker.refine.doubts import Track, joins, renumbered, splits, tracks_of


def track(
    identity: int, times_s, x, *, y: float = 200.0, size: float = 60.0, name: str = "person", classes=None
) -> Track:
    times = np.asarray(times_s, np.float64)
    centres = np.broadcast_to(np.asarray(x(times), np.float64), times.shape)
    boxes = np.stack(
        [centres - size / 4, np.full(len(times), y - size / 2), centres + size / 4, np.full(len(times), y + size / 2)],
        axis=1,
    )
    return Track(identity=identity, times_s=times, boxes=boxes, class_name=name, classes=classes or [name] * len(times))


def seconds(begin: float, end: float) -> np.ndarray:
    return np.arange(begin, end, 0.04)


OTHERS = [
    track(90, seconds(0, 12), lambda t: 20 + 0 * t, y=30),
    track(91, seconds(0, 12), lambda t: 900 + 0 * t, y=460),
]
"""At the edges of the picture, all the time."""


def test_who_walks_on_behind_a_pillar_may_be_one() -> None:
    first = track(1, seconds(0, 3), lambda t: 300 + 40 * t)
    second = track(7, seconds(4, 6), lambda t: 300 + 40 * t)
    found = joins([first, second, *OTHERS])
    assert [(one.first, one.second) for one in found] == [(1, 7)]
    assert found[0].gap_s == pytest.approx(1.04)
    assert found[0].plausibility > 0.7
    assert found[0].distance < 0.2


def test_who_stands_still_may_be_one_after_long() -> None:
    found = joins(
        [track(1, seconds(0, 3), lambda t: 300 + 0 * t), track(2, seconds(9, 11), lambda t: 310 + 0 * t), *OTHERS]
    )
    assert [(one.first, one.second) for one in found] == [(1, 2)]


@pytest.mark.parametrize(
    "second",
    [
        track(7, seconds(2, 6), lambda t: 300 + 40 * t),  # in view together
        track(7, seconds(3.5, 6), lambda t: 700 + 0 * t),  # far away
        track(7, seconds(3.5, 6), lambda t: 430 + 0 * t, size=150),  # another size
        track(7, seconds(80, 82), lambda t: 430 + 0 * t),  # too late
    ],
)
def test_what_cannot_be_one_is_not_proposed(second: Track) -> None:
    first = track(1, seconds(0, 3), lambda t: 300 + 40 * t)
    assert [one for one in joins([first, second, *OTHERS]) if one.first == 1] == []


def test_leaving_the_picture_makes_a_join_less_plausible() -> None:
    inside = joins(
        [track(1, seconds(0, 3), lambda t: 300 + 0 * t), track(2, seconds(4, 6), lambda t: 300 + 0 * t), *OTHERS]
    )
    outside = joins(
        [track(1, seconds(0, 3), lambda t: 6 + 0 * t), track(2, seconds(4, 6), lambda t: 6 + 0 * t), *OTHERS]
    )
    assert outside[0].plausibility == pytest.approx(0.4 * inside[0].plausibility)


def test_each_identity_is_joined_with_one_other() -> None:
    first = track(1, seconds(0, 3), lambda t: 300 + 0 * t)
    near, nearer = track(2, seconds(4, 6), lambda t: 340 + 0 * t), track(3, seconds(4, 6), lambda t: 305 + 0 * t)
    found = joins([first, near, nearer, *OTHERS])
    assert [(one.first, one.second) for one in found] == [(1, 3)]


def test_a_swap_is_proposed_as_a_split_and_a_walk_is_not() -> None:
    walk = track(1, seconds(0, 6), lambda t: 300 + 40 * t)
    turn = track(2, seconds(0, 6), lambda t: 300 + 40 * np.abs(t - 3), y=300)
    swap = track(3, seconds(0, 6), lambda t: np.where(t < 3, 300 + 40 * t, 500 - 40 * (t - 3)), y=400)
    found = splits([walk, turn, swap])
    assert [one.identity for one in found] == [3]
    assert found[0].at_s == pytest.approx(3.0, abs=0.05)
    assert "of its size" in found[0].why


def test_a_class_that_changes_for_good_is_proposed() -> None:
    names = ["car"] * 75 + ["truck"] * 75
    found = splits([track(4, seconds(0, 6), lambda t: 300 + 10 * t, classes=names)])
    assert [(one.identity, one.why) for one in found] == [(4, "was car, then truck")]
    flickers = ["car", "truck"] * 75
    assert splits([track(4, seconds(0, 6), lambda t: 300 + 10 * t, classes=flickers)]) == []


def test_new_numbers() -> None:
    tracks = [
        track(1, seconds(0, 3), lambda t: t),
        track(5, seconds(4, 6), lambda t: t),
        track(7, seconds(7, 9), lambda t: t),
    ]
    found = renumbered(tracks, joined=[(7, 1)], split=[(5, 5.0)])
    assert found[1] == [(-math.inf, 1)]
    assert found[7] == [(-math.inf, 1)]
    assert found[5] == [(-math.inf, 5), (5.0, 8)]


def test_chains_of_joins_get_the_lowest_number() -> None:
    tracks = [track(number, seconds(2 * number, 2 * number + 1), lambda t: t) for number in (2, 3, 4)]
    assert {one[0][1] for one in renumbered(tracks, joined=[(4, 3), (3, 2)], split=[]).values()} == {2}


@pytest.mark.parametrize(
    ("joined", "split", "said"),
    [
        ([(1, 9)], [], "found no 9"),
        ([(1, 2)], [], "both in view at 2.00 s"),
        ([], [(1, 99.0)], "a split within identity 1"),
        ([], [(9, 1.0)], "a split within identity 9"),
    ],
)
def test_what_does_not_fit_is_refused(joined, split, said: str) -> None:
    tracks = [track(1, seconds(0, 3), lambda t: t), track(2, seconds(2, 4), lambda t: t)]
    with pytest.raises(ValueError, match=said):
        renumbered(tracks, joined=joined, split=split)


def test_tracks_from_frames() -> None:
    frames = [
        (0.0, np.array([2, 1]), np.arange(8.0).reshape(2, 4), ["car", "person"]),
        (0.1, np.array([2]), np.arange(4.0).reshape(1, 4), ["truck"]),
        (0.2, np.array([2]), np.arange(4.0).reshape(1, 4), ["truck"]),
    ]
    first, second = tracks_of(frames)
    assert (first.identity, first.class_name, len(first.times_s)) == (1, "person", 1)
    assert (second.class_name, second.classes) == ("truck", ["car", "truck", "truck"])
