"""The budget of previews: nothing while cameras keep up, a share of the machine while they drop frames."""

from __future__ import annotations

import time

import pytest

from tracker.service.budget import Budget


class Clock:
    """Wall and processor time that go as they are told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall_s = self.spent_s = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.wall_s)
        monkeypatch.setattr(time, "thread_time", lambda: self.spent_s)


def pictures(clock: Clock, budget: Budget, seconds: float, cost_s: float = 0.002) -> int:
    """How many that cost so much are made in a time, asked for a thousand times a second."""
    made = 0
    until_s = clock.wall_s + seconds
    while clock.wall_s < until_s:
        if budget.exhausted:
            clock.wall_s += 0.001
            continue
        made += 1
        clock.spent_s += cost_s
        clock.wall_s += cost_s
    return made


def test_while_cameras_keep_up_nothing_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    assert pictures(clock, Budget(0.02, 2), 10) == pytest.approx(5000, rel=0.01)


def test_while_frames_are_dropped_the_share_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    budget = Budget(0.02, 2)
    budget.limited = True
    pictures(clock, budget, 5)  # what was saved up
    assert pictures(clock, budget, 10) == pytest.approx(10 * 0.04 / 0.002, rel=0.05)
    budget.limited = False
    pictures(clock, budget, 10)
    budget.limited = True  # no debt of the time before
    assert pictures(clock, budget, 10) == pytest.approx(10 * 0.04 / 0.002, rel=0.05)
