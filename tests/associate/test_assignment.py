"""Assignment against brute force and scipy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from tests.thorough import examples
from tracker.associate.assignment import assign


def total(rows: np.ndarray, columns: np.ndarray, gains: np.ndarray) -> float:
    return float(gains[rows, columns].sum())


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5), st.floats(0.1, 1))
@settings(max_examples=examples(60), deadline=None)
def test_no_matching_is_worth_more(seed: int, rows: int, columns: int, density: float) -> None:
    generator = np.random.default_rng(seed)
    gains = generator.uniform(-0.5, 1, (rows, columns))
    r, c = np.nonzero(generator.random((rows, columns)) < density)
    dense = np.full((rows, columns), -1.0)
    dense[r, c] = gains[r, c]
    matched_rows, matched_columns = assign(r, c, gains[r, c], (rows, columns))
    best = 0.0
    small, large = sorted([rows, columns])
    for chosen in itertools.permutations(range(large), small):
        values = [dense[k, j] if rows <= columns else dense[j, k] for k, j in enumerate(chosen)]
        best = max(best, sum(v for v in values if v > 0))
    assert total(matched_rows, matched_columns, dense) == pytest.approx(best, abs=1e-5)
    assert len(set(matched_rows.tolist())) == len(matched_rows)
    assert len(set(matched_columns.tolist())) == len(matched_columns)
    assert (dense[matched_rows, matched_columns] > 0).all()


@pytest.mark.parametrize(("rows", "columns"), [(60, 60), (40, 90), (90, 40)])
def test_large_sparse_problems_equal_scipy(rows: int, columns: int) -> None:
    generator = np.random.default_rng(rows)
    gains = generator.uniform(0, 1, (rows, columns)) * (generator.random((rows, columns)) < 0.1)
    r, c = np.nonzero(gains)
    matched = assign(r, c, gains[r, c], gains.shape)
    expected = linear_sum_assignment(-gains)
    assert total(*matched, gains) == pytest.approx(total(*expected, gains), abs=1e-4)
    assert (np.diff(matched[0]) > 0).all()


def test_large_gains_are_told_apart() -> None:
    # The solver takes 1e6 for infinity: gains of about one, counted in steps of the resolution, were beyond it.
    gains = np.array([0.99946512, 0.19330967, 0.98185591])
    rows, columns = assign(np.zeros(3, np.int64), np.arange(3), gains, (1, 3))
    assert (rows.tolist(), columns.tolist()) == ([0], [0])


def test_gains_of_zero_or_less_match_nothing() -> None:
    rows, columns = assign(np.array([0, 1]), np.array([0, 1]), np.array([0.0, -3.0]), (2, 2))
    assert len(rows) == len(columns) == 0


def test_nothing_to_match() -> None:
    none = np.zeros(0, np.int64)
    assert len(assign(none, none, np.zeros(0), (3, 0))[0]) == 0


def test_two_small_gains_beat_one_large_one() -> None:
    # Greedy would take (0, 0) at 0.9 and leave row 1 alone: 0.9 < 0.6 + 0.8.
    matched = assign(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.9, 0.6, 0.8]), (2, 2))
    assert matched[0].tolist() == [0, 1]
    assert matched[1].tolist() == [1, 0]


def test_ties_break_the_same_way_when_gains_differ_in_the_last_bit() -> None:
    rows, columns = np.nonzero(np.ones((4, 4)))
    even = np.full(16, 0.5)
    shaken = even + np.random.default_rng(0).uniform(-1, 1, 16) * 1e-12
    np.testing.assert_array_equal(assign(rows, columns, even, (4, 4))[1], assign(rows, columns, shaken, (4, 4))[1])
