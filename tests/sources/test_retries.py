"""Endings of connections, and when an answer at the door is worth an attempt before its time."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tracker.sources.retries import Ending, Retries

REFUSED, SILENT = Ending("refused", refused=True), Ending("silent", silent=True)


@pytest.fixture
def retries() -> Retries:
    return Retries((1.0, 30.0), np.random.default_rng(0))


def test_delays_begin_again_after_a_sound_connection(retries) -> None:
    delays_s = [retries.after(REFUSED, None, knocked_in_vain=True)[0] for _ in range(8)]
    assert delays_s[-1] == 30.0
    assert retries.after(Ending("over"), time.monotonic() - 3, knocked_in_vain=False)[0] == 30.0
    assert retries.after(Ending("over"), time.monotonic() - 11, knocked_in_vain=False)[0] <= 1.25


def test_who_answers_and_sends_nothing_is_indulged_once(retries) -> None:
    news = [retries.after(SILENT, None, knocked_in_vain=False)[1] for _ in range(4)]
    assert news == [True, False, False, False]
    assert retries.after(SILENT, None, knocked_in_vain=True)[1]  # nobody was there: now it is news again
    assert not retries.after(SILENT, None, knocked_in_vain=False)[1]
    assert retries.after(SILENT, time.monotonic(), knocked_in_vain=False)[1]  # pictures came


def test_a_refusal_is_news_every_time_and_an_end_never(retries) -> None:
    assert all(retries.after(REFUSED, None, knocked_in_vain=False)[1] for _ in range(3))
    assert not retries.after(Ending("over"), time.monotonic(), knocked_in_vain=False)[1]
