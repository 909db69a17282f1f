"""Rate limits by sliding windows: attempts per second, minute and hour, of bounded memory."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["LOGIN", "RateLimit"]

LOGIN = ((1, 1.0), (5, 60.0), (20, 3600.0))
"""Attempts to log in within so many seconds, per address and per name."""

MOST_KEYS = 10_000


class RateLimit:
    """Attempts by key, of which the oldest are forgotten.

    Args:
        windows: Attempts that are allowed, and in how many seconds.
        clock: Monotonic seconds.
    """

    def __init__(self, windows: Sequence[tuple[int, float]], clock: Callable[[], float] = time.monotonic) -> None:
        self._windows, self._clock = tuple(windows), clock
        self._attempts: OrderedDict[str, deque[float]] = OrderedDict()
        self._most = max(count for count, _ in self._windows)
        self._lock = threading.Lock()

    def wait_s(self, *keys: str) -> float:
        """Seconds until all keys may try again; 0 = now, and then this is an attempt of each."""
        at = self._clock()
        with self._lock:
            wait = max((self._wait(key, at) for key in keys), default=0.0)
            if wait <= 0:
                for key in keys:
                    self._attempts.setdefault(key, deque(maxlen=self._most)).append(at)
                    self._attempts.move_to_end(key)
                while len(self._attempts) > MOST_KEYS:
                    self._attempts.popitem(last=False)
            return max(wait, 0.0)

    def forget(self, key: str) -> None:
        """A key's attempts count no more: it has shown that it knew the password."""
        with self._lock:
            self._attempts.pop(key, None)

    def _wait(self, key: str, at: float) -> float:
        made = self._attempts.get(key)
        if not made:
            return 0.0
        wait = 0.0
        for count, within_s in self._windows:
            if len(made) >= count:
                wait = max(wait, made[-count] + within_s - at)
        return wait
