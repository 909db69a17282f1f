"""Media time: faithful where stamps are usable, increasing in any case."""

from __future__ import annotations

import itertools
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tracker.sources.clock import MediaClock


def times(stamps: list[float | None], interval_s: float = 0.1) -> tuple[list[float], int]:
    clock = MediaClock(interval_s=interval_s)
    return [round(clock.time_s(stamp), 9) for stamp in stamps], clock.repairs


def test_variable_rate_is_kept_and_starts_at_zero() -> None:
    assert times([100.0, 100.04, 100.5, 107.0]) == ([0.0, 0.04, 0.5, 7.0], 0)


def test_fractions_stay_exact() -> None:
    clock = MediaClock(interval_s=0.04)
    assert [clock.time_s(Fraction(126000 + 3600 * k, 90000)) for k in range(3)] == [0.0, 0.04, 0.08]


def test_absent_stamps_follow_the_average_rate() -> None:
    assert times([None, None, None]) == ([0.0, 0.1, 0.2], 3)
    assert times([5.0, None, 5.2]) == ([0.0, 0.1, 0.2], 1)


def test_stamps_that_begin_late_carry_on() -> None:
    assert times([None, None, 7.0, 7.5]) == ([0.0, 0.1, 0.2, 0.7], 2)


def test_a_repeated_stamp_does_not_push_its_successor() -> None:
    assert times([0.0, 0.1, 0.1, 0.2]) == ([0.0, 0.1, 0.15, 0.2], 1)


def test_neighbours_in_disorder() -> None:
    assert times([0.0, 0.2, 0.1, 0.3]) == ([0.0, 0.2, 0.25, 0.3], 1)


def test_a_stuck_clock_runs_at_the_average_rate() -> None:
    assert times([3.0] * 5) == ([0.0, 0.05, 0.15, 0.25, 0.35], 4)


def test_a_clock_that_starts_anew_goes_on() -> None:
    assert times([50.0, 50.1, 0.0, 0.1, 0.3]) == ([0.0, 0.1, 0.2, 0.3, 0.5], 1)


def test_a_short_clip_repeated_goes_on_after_three_frames() -> None:
    clip = [0.0, 0.1, 0.2, 0.3]
    assert times(clip * 2 + [0.4, 0.9]) == ([0.0, 0.1, 0.2, 0.3, 0.35, 0.45, 0.55, 0.65, 0.75, 1.25], 3)


@given(st.lists(st.one_of(st.none(), st.integers(-(2**33), 2**33)), max_size=40), st.sampled_from([1, 1000, 90000]))
def test_time_always_increases(stamps: list[int | None], base: int) -> None:
    clock = MediaClock(interval_s=1 / 30)
    given_s = [clock.time_s(None if stamp is None else Fraction(stamp, base)) for stamp in stamps]
    assert all(later > earlier for earlier, later in itertools.pairwise(given_s))
    assert given_s[:1] in ([], [0.0])
