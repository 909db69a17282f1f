"""Signals that end a run: repeated at once they are one wish, later a second SIGINT is Python's own."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tracker.app import interrupt
from tracker.service import signals


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0.05)


def test_signals_in_quick_succession_are_one() -> None:
    stopped: list[float] = []
    with interrupt.interruptible(lambda: stopped.append(time.monotonic())) as interrupted:
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            send(number)
        assert interrupted.is_set()
    send(signal.SIGINT)  # the same wish again, when all is done
    assert len(stopped) == 1
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_the_handlers_are_back_when_the_wish_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "REPEAT_S", 0.1)
    with interrupt.interruptible():
        send(signal.SIGINT)
    time.sleep(0.1)
    with pytest.raises(KeyboardInterrupt):
        send(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with interrupt.interruptible():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_later_sigint_interrupts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "REPEAT_S", 0.0)

    def interrupted_twice() -> None:
        with interrupt.interruptible():
            send(signal.SIGINT)
            send(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupted_twice()
