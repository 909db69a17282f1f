"""SIGINT and SIGTERM as orderly ends of a running stream."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING

from tracker.service import signals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = ["interruptible"]


@contextlib.contextmanager
def interruptible(*stops: Callable[[], None]) -> Iterator[threading.Event]:
    """The first SIGINT or SIGTERM calls ``stops`` and sets the event; a later SIGINT is Python's usual interrupt.

    A SIGINT within :data:`tracker.service.signals.REPEAT_S` is the same wish again and does nothing: outputs
    are being completed.

    They are called in a thread of their own: a signal may come while the main thread holds the lock of what it waits
    for. Outside the main thread, which alone receives signals, nothing happens.
    """
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return

    def stop_all() -> None:
        for stop in stops:
            stop()

    first_s: float | None = None

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal first_s
        if first_s is None:
            first_s = time.monotonic()
            interrupted.set()
            threading.Thread(target=stop_all, name="interrupt", daemon=True).start()
        elif number == signal.SIGINT and time.monotonic() - first_s > signals.REPEAT_S:
            signal.default_int_handler(number, frame)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        signals.hand_back(before, first_s)
