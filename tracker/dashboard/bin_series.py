"""Values of measures in bins of time: a bin of which nothing is known has none, which is not 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tracker.dashboard.bins import edges_of
from tracker.dashboard.known import known_spans
from tracker.dashboard.queries import other_clock, outages_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from tracker.analytics.spans import Clock, Span
    from tracker.dashboard.filters import Filter
    from tracker.dashboard.history import History

__all__ = ["BinSeries", "bin_series"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BinSeries:
    """Bins of an answer.

    Attributes:
        bin_s: Their length.
        utc: Which clock; UTC where anything has it.
        starts_ms: Their begins.
        spans: What is known of each stream in that time.
        outages: Stream, kind, from and to of the times in which a camera saw nothing that counts.
        left_out: Streams that have times of the other clock alone; empty where limits of the time leave them out.
    """

    bin_s: int
    utc: bool
    starts_ms: Sequence[int]
    spans: Mapping[Clock, Span]
    outages: Sequence[tuple[str, str, int, int]]
    left_out: Sequence[str]

    def fill(self, stream: str, values: Mapping[int, float]) -> list[float | None]:
        """A value for each bin: 0 where none is given, ``None`` where nothing is known or an outage may be why.

        Args:
            stream: Whose.
            values: By the begins of bins.
        """
        known = [values.get(start, 0) for start in self.starts_ms]
        unknown = self._unknown(stream, np.array(known) == 0)
        return [None if gone else value for value, gone in zip(known, unknown.tolist(), strict=True)]

    def _unknown(self, stream: str, zero: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Bins without a value: outside of what is known, or 0 while an outage lasted."""
        span, starts = self.spans.get((stream, self.utc)), np.array(self.starts_ms, np.int64)
        if span is None:
            return np.ones(len(starts), np.bool_)
        ends = starts + self.bin_s * 1000
        out = np.zeros(len(starts), np.bool_)
        for name, _, begin_ms, end_ms in self.outages:
            if name == stream:
                out[np.searchsorted(ends, begin_ms, side="right") : np.searchsorted(starts, end_ms, side="right")] = (
                    True
                )
        return np.asarray((starts > span[1]) | (ends <= span[0]) | (out & zero))

    def as_json(self, timezone: str) -> dict[str, Any]:
        """What every answer in bins says of them."""
        out = [{"stream": s, "kind": kind, "from_ms": begun, "to_ms": end} for s, kind, begun, end in self.outages]
        return {
            "bin_s": self.bin_s,
            "utc": self.utc,
            "starts_ms": list(self.starts_ms),
            "outages": out,
            "timezone": timezone,
            "left_out": list(self.left_out),
        }


def bin_series(history: History, asked: Filter, bin_s: int) -> BinSeries:
    """Bins of the time that is asked for, or else of that of which the ledgers know.

    Raises:
        ApiError: There would be too many.
    """
    spans = known_spans(history, asked)
    utc = any(one for _, one in spans) or not spans
    known = [span for (_, clock), span in spans.items() if clock == utc]
    low = asked.from_ms if asked.from_ms is not None else min((span[0] for span in known), default=0)
    high = asked.to_ms if asked.to_ms is not None else max((span[1] + 1 for span in known), default=low)
    starts = edges_of(low, max(low, high), bin_s, None)[:-1].tolist() if known else []
    with history.lock:
        out = outages_in(history, asked.streams, utc=utc)
        other = other_clock(history, asked, utc=utc)
    inside = [one for one in out if starts and one[3] >= starts[0] and one[2] < starts[-1] + bin_s * 1000]
    return BinSeries(bin_s=bin_s, utc=utc, starts_ms=starts, spans=spans, outages=inside, left_out=other)
