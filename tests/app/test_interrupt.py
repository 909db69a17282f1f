"""Signals that end a run: repeated at once they are one wish, later a second SIGINT is Python's own."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tracker.app import interrupt


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0.05)


def test_signals_in_quick_succession_are_one() -> None:
    stopped: list[float] = []
    with interrupt.interruptible(lambda: stopped.append(time.monotonic())) as interrupted:
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            send(number)
        assert interrupted.is_set()
    assert len(stopped) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_later_sigint_interrupts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupt, "REPEAT_S", 0.0)

    def interrupted_twice() -> None:
        with interrupt.interruptible():
            send(signal.SIGINT)
            send(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupted_twice()
