"""Signals of a process: in the order in which they come; repeated ones of one wish to end, which have no effect."""

from __future__ import annotations

import atexit
import contextlib
import queue
import signal
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

__all__ = ["REPEAT_S", "arriving", "hand_back"]

REPEAT_S = 2.0
"""Seconds after a signal in which another one is the same wish again: a key that is held, a signal to the whole
process group."""

ENDS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def arriving() -> Iterator[queue.SimpleQueue[int]]:
    """SIGINT, SIGTERM and SIGHUP as they come; the handler does little else, since it interrupts anything."""
    numbers = [*ENDS, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    arrived: queue.SimpleQueue[int] = queue.SimpleQueue()
    last_s: float | None = None

    def on_signal(number: int, _frame: FrameType | None) -> None:
        nonlocal last_s
        arrived.put(number)
        if number in ENDS:
            last_s = time.monotonic()

    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield arrived
    finally:
        hand_back(before, last_s)


def hand_back(before: Mapping[signal.Signals, Any], last_s: float | None) -> None:
    """Restore the handlers of signals, those that end a process only once the wish to end is :data:`REPEAT_S` old.

    From the first instant of the interpreter's exit on both are ignored: it would restore the system's own handlers,
    and the process would be killed when all its work is done.

    Args:
        before: Handlers by signal, as :func:`signal.signal` returned them.
        last_s: When the latest signal came, :func:`time.monotonic`; ``None`` where there was none.
    """
    for number, handler in before.items():
        repeated = last_s is not None and number in ENDS
        signal.signal(number, _Late(handler, last_s + REPEAT_S) if repeated and last_s is not None else handler)
    if last_s is not None:
        atexit.unregister(_ignore)  # once is enough
        atexit.register(_ignore)


class _Late:
    """A handler that lets a signal pass to the one before it from a time on."""

    def __init__(self, handler: Any, from_s: float) -> None:
        self._handler, self._from_s = handler, from_s

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if time.monotonic() < self._from_s:
            return
        signal.signal(number, self._handler)
        if callable(self._handler):
            self._handler(number, frame)
        elif self._handler == signal.SIG_DFL:
            signal.raise_signal(number)


def _ignore() -> None:
    for number in ENDS:
        signal.signal(number, signal.SIG_IGN)
