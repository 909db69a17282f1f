"""SIGINT and SIGTERM as orderly ends of a running stream."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["interruptible"]


@contextlib.contextmanager
def interruptible(*stops: Callable[[], None]) -> Iterator[threading.Event]:
    """The first SIGINT or SIGTERM calls ``stops`` and sets the event; a second SIGINT is Python's usual interrupt.

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

    def on_signal(_number: int, _frame: object) -> None:
        interrupted.set()
        threading.Thread(target=stop_all, name="interrupt", daemon=True).start()
        signal.signal(signal.SIGINT, before[signal.SIGINT])

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
