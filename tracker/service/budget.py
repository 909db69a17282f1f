"""Budget of processor time for previews: a share of the machine while cameras drop frames, else none."""

from __future__ import annotations

import os
import time

__all__ = ["SHARE", "Budget"]

SHARE = 0.012
"""Of all processors, while frames are dropped for want of them."""
SAVED_S = 0.1
"""Of processor time that may be saved up."""


class Budget:
    """Processor time of one thread, which spends it and asks before.

    Args:
        share: Of all processors.
        processors: How many there are; ``None`` = those that this process may use.
    """

    def __init__(self, share: float = SHARE, processors: int | None = None) -> None:
        self._rate = share * (processors or _processors())
        self._saved_s = SAVED_S
        self._at_s = time.monotonic()
        self._spent_s = time.thread_time()
        self.limited = False

    @property
    def exhausted(self) -> bool:
        """Whether nothing more may be spent now; never while it is not limited. Asked by the thread that spends."""
        now_s, spent_s = time.monotonic(), time.thread_time()
        self._saved_s = min(self._saved_s + (now_s - self._at_s) * self._rate - (spent_s - self._spent_s), SAVED_S)
        self._at_s, self._spent_s = now_s, spent_s
        if not self.limited:
            self._saved_s = max(self._saved_s, 0.0)
        return self.limited and self._saved_s <= 0

    def skip(self) -> None:
        """What was spent since the last question is not charged."""
        self._spent_s = time.thread_time()


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
