"""Speeds of a ledger: percentiles from 30 passages on, both means by hand, final classes, what was not known apart."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.analytics.speeds import LEAST_N, passages, speeds
from tracker.events import Event


def passed(number: int, speed: float | None, *, at_s: float, headway: float | None = None, **values) -> list[Event]:
    """The rows of one passage."""
    facts = {
        "stream": "gate",
        "time_s": at_s,
        "place": "cut",
        "direction": "in",
        "identity": number,
        "class_name": "car",
    } | values
    found = [Event(kind="crossing", **facts)]
    if speed is not None:
        found.append(Event(kind="speed", value=speed, error=0.1, **facts))
    if headway is not None:
        found.append(Event(kind="headway", value=headway, other_identity=number - 1, **facts))
    return found


def ledger(values: list[float]) -> list[Event]:
    return [event for number, value in enumerate(values, 1) for event in passed(number, value, at_s=3.0 * number)]


def test_figures_by_hand() -> None:
    values = np.linspace(8.0, 20.0, 41).tolist()
    [row] = speeds(passages(ledger(values)))
    assert row.group == ("gate", "cut", "in", "car")
    assert (row.n, row.unknown) == (41, 0)
    assert (row.v15, row.v50, row.v85) == pytest.approx((9.8, 14.0, 18.2))
    assert row.time_mean == pytest.approx(14.0)
    assert row.space_mean == pytest.approx(41 / sum(1 / value for value in values))
    assert row.space_mean < row.time_mean


def test_few_passages_have_no_percentiles() -> None:
    [row] = speeds(passages(ledger([10.0] * (LEAST_N - 1))))
    assert (row.v15, row.v50, row.v85, row.time_mean) == (None, None, None, 10.0)
    [row] = speeds(passages(ledger([10.0] * LEAST_N)))
    assert row.v85 == 10.0


def test_a_passage_without_a_known_speed_is_counted_apart() -> None:
    rows = [*passed(1, 10.0, at_s=1.0), *passed(2, None, at_s=2.0), *passed(3, None, at_s=3.0, place="door")]
    [row] = speeds(passages(rows))
    assert (row.n, row.unknown) == (1, 1)  # of the line that measures none, nothing


def test_the_final_class_and_number_hold() -> None:
    rows = [
        *passed(1, 10.0, at_s=1.0),
        *passed(2, 12.0, at_s=2.0),
        Event(kind="reclassified", stream="gate", time_s=9.0, identity=1, class_name="truck", was_class="car"),
        Event(kind="rekeyed", stream="gate", time_s=9.0, identity=7, class_name="bus", was_identity=2),
    ]
    assert [(one.identity, one.class_name) for one in passages(rows)] == [(1, "truck"), (7, "bus")]
    assert [row.group for row in speeds(passages(rows), by=("class",))] == [("bus",), ("truck",)]


def test_free_flow_is_what_has_nothing_close_ahead() -> None:
    rows = [
        *passed(1, 20.0, at_s=1.0),
        *passed(2, 10.0, at_s=2.0, headway=1.0),
        *passed(3, 22.0, at_s=9.0, headway=7.0),
    ]
    assert [one.identity for one in passages(rows) if one.is_free] == [1, 3]


def test_an_empty_ledger_has_none() -> None:
    assert speeds(passages([])) == []
