"""Retry policy of connections: exponential back-off with reset."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tracker.errors import SourceError

__all__ = ["Ending", "Retries"]

SETTLED_S = 10.0
"""After a connection that lasted this long the delay starts from the shortest again."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a connection.

    Attributes:
        problem: Why, free of credentials.
        failure: The same as an error; ``None`` where the stream merely ended.
        stalled: No frame came for too long.
        refused: No server listened.
        silent: The server did not answer, or stopped answering.
    """

    problem: str
    failure: SourceError | None = None
    stalled: bool = False
    refused: bool = False
    silent: bool = False


class Retries:
    """Delays between attempts, doubled with each failure.

    Args:
        retry_s: Shortest and longest delay in seconds.
        generator: Where the jitter comes from: a quarter more or less, so that cameras of one switch do not
            reconnect at once.
    """

    def __init__(self, retry_s: tuple[float, float], generator: np.random.Generator) -> None:
        self._retry_s = retry_s
        self._generator = generator
        self._failures = 0
        self._retried_early = False

    def after(self, ending: Ending, begun_s: float | None, *, probe_failed: bool) -> tuple[float, bool]:
        """Count a connection that is over.

        Args:
            ending: How it ended.
            begun_s: When its first picture came, on the monotonic clock; ``None`` where none came.
            probe_failed: Whether a probe before it was not answered.

        Returns:
            Seconds to wait, and whether an answered probe may end the wait early. After a refusal it may. After silence
            it may too, since the line may have been restored meanwhile, but not twice: a server that answers and
            whose stream is dead would be asked without end.
        """
        settled = begun_s is not None and time.monotonic() - begun_s >= SETTLED_S
        self._failures = 0 if settled else self._failures + 1
        if probe_failed or begun_s is not None:
            self._retried_early = False
        end_early = ending.refused or (ending.silent and not self._retried_early)
        self._retried_early = self._retried_early or ending.silent
        return self._delay_s(), end_early

    def _delay_s(self) -> float:
        # Not tenacity's: its waits are asked with the state of a call that is made again, and draw from the global
        # random numbers; what is left of it, with this jitter, is one power of two.
        shortest_s, longest_s = self._retry_s
        wanted_s = shortest_s * 2.0 ** min(max(self._failures - 1, 0), 16) * self._generator.uniform(0.75, 1.25)
        return float(np.clip(wanted_s, shortest_s, longest_s))
