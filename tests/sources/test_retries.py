"""Endings of connections, and when an answered probe may end the delay early."""

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
    delays_s = [retries.after(REFUSED, None, probe_failed=True)[0] for _ in range(8)]
    assert delays_s[-1] == 30.0
    assert retries.after(Ending("over"), time.monotonic() - 3, probe_failed=False)[0] == 30.0
    assert retries.after(Ending("over"), time.monotonic() - 11, probe_failed=False)[0] <= 1.25


def test_a_server_that_answers_and_sends_nothing_is_retried_early_once(retries) -> None:
    early = [retries.after(SILENT, None, probe_failed=False)[1] for _ in range(4)]
    assert early == [True, False, False, False]
    assert retries.after(SILENT, None, probe_failed=True)[1]  # a probe failed: an answer ends the delay early again
    assert not retries.after(SILENT, None, probe_failed=False)[1]
    assert retries.after(SILENT, time.monotonic(), probe_failed=False)[1]  # pictures came


def test_a_refusal_always_allows_an_early_retry_and_an_end_never(retries) -> None:
    assert all(retries.after(REFUSED, None, probe_failed=False)[1] for _ in range(3))
    assert not retries.after(Ending("over"), time.monotonic(), probe_failed=False)[1]
