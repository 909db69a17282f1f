"""Annotated boxes and the rows of records: which belong together, and which number a track gets."""

from __future__ import annotations

import numpy as np

from tracker.refine.corrected import Owners, assign, is_whole, numbers_of


def boxes(*lefts: float) -> np.ndarray:
    return np.array([[left, 0, left + 10, 20] for left in lefts], np.float64).reshape(-1, 4)


def test_a_box_takes_the_row_where_it_lies_whatever_it_was() -> None:
    found = assign(np.array([1, 2]), boxes(0, 5), np.array([1, 2]), boxes(5, 0))
    assert found.rows.tolist() == [1, 0]
    assert not found.moved.any()


def test_of_equal_boxes_each_takes_the_row_that_it_went_out_as() -> None:
    found = assign(np.array([1, 2]), boxes(3, 3), np.array([2, 1]), boxes(3, 3))
    assert found.rows.tolist() == [1, 0]


def test_a_moved_box_takes_the_row_of_its_identity_or_of_its_place() -> None:
    found = assign(np.array([1, 2, 3]), boxes(0, 50, 90), np.array([0, 1]), boxes(52, 200))
    assert found.rows.tolist() == [1, 0, -1]
    assert found.moved.tolist() == [True, True, False]


def test_no_boxes_and_no_rows() -> None:
    nothing = np.zeros(0, np.int64)
    assert assign(np.array([1]), boxes(0), nothing, boxes()).rows.tolist() == [-1]
    assert assign(nothing, boxes(), np.array([1]), boxes(0)).rows.tolist() == []


def test_numbers_are_those_of_joins_and_splits_by_name() -> None:
    owners = Owners()
    for time_s, identity, track in (
        (0.0, 1, 10),
        (0.0, 2, 11),
        (1.0, 1, 11),
        (1.0, 2, 10),
        (2.0, 3, 11),
        (3.0, 3, None),
    ):
        owners.own(identity, time_s, track)
    owners.add(12, 0.5)
    assert numbers_of(owners, 3) == {10: 1, 11: 2, 12: 4}
    assert owners.last_s == {10: 1.0, 11: 2.0, 12: 0.5}
    assert owners.extended == {12}
    assert [is_whole(owners.parts[identity]) for identity in (1, 2, 3)] == [False, False, False]


def test_a_track_whose_first_rows_were_deleted_keeps_its_number() -> None:
    owners = Owners()
    owners.own(5, 0.0, None)
    owners.own(5, 1.0, 2)
    assert numbers_of(owners, 5) == {2: 5}
