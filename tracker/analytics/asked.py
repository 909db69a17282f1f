"""The time that a question is about: its limits, and what of it is not known any more since its rows were deleted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracker.analytics.spans import Clock, Span

__all__ = ["Asked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A time; without limits all that is known.

    Attributes:
        from_ms, to_ms: Its ends in milliseconds, the second one exclusive; ``None`` = open.
        utc: Their clock; of streams with the other one nothing is told where there are limits.
        deleted_ms: By stream: what was before this time was deleted because of its age.
    """

    from_ms: int | None = None
    to_ms: int | None = None
    utc: bool = True
    deleted_ms: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_limited(self) -> bool:
        """Whether there are limits."""
        return self.from_ms is not None or self.to_ms is not None

    def holds(self, stream: str, at_ms: int, *, utc: bool) -> bool:
        """Whether something that happened then is told.

        >>> Asked(from_ms=10, deleted_ms={"gate": 20}).holds("gate", 15, utc=True)
        False
        """
        if utc != self.utc and self.is_limited:
            return False
        low_ms = self.low_ms(stream, utc=utc)
        return (low_ms is None or at_ms >= low_ms) and (self.to_ms is None or at_ms < self.to_ms)

    def low_ms(self, stream: str, *, utc: bool) -> int | None:
        """From when on a stream is told; ``None`` = from its begin. Only what has a wall clock is deleted by age."""
        lows = [low for low in (self.from_ms, self.deleted_ms.get(stream) if utc else None) if low is not None]
        return max(lows, default=None)

    def spans(self, spans: Mapping[Clock, Span]) -> dict[Clock, Span]:
        """What is known of each stream, as far as it is asked for.

        Args:
            spans: Of ledgers, see :func:`tracker.analytics.spans.spans_of`.
        """
        found = {}
        for (stream, utc), (first_ms, last_ms) in spans.items():
            if utc != self.utc and self.is_limited:
                continue
            low_ms = self.low_ms(stream, utc=utc)
            low = first_ms if low_ms is None else max(first_ms, low_ms)
            high = last_ms if self.to_ms is None else min(last_ms, self.to_ms - 1)
            if low <= high:
                found[stream, utc] = low, high
        return found

    def hides(self, stream: str) -> int | None:
        """Up to when a stream was deleted, of the time that is asked for; ``None`` = nothing of it was."""
        before_ms = self.deleted_ms.get(stream)
        if before_ms is None or (self.from_ms is not None and self.from_ms >= before_ms):
            return None
        return before_ms
