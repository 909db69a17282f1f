"""What happens to one stream's frames enters as it happens; rates, ages and sums leave for logs and metrics."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tracker.errors import TrackerError
    from tracker.types import TrackedFrame

__all__ = ["StreamFigures", "StreamMeter"]

WINDOW_S = 10.0
"""Rates are over the last ten seconds: long enough for slow cameras, short enough to see a fault."""

AGES = 2048
"""Frame ages that percentiles are taken of: a minute and a half at 25 fps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFigures:
    """A stream's figures at one moment.

    Attributes:
        frames: Frames tracked since the start.
        instances: Instances segmented since the start.
        fps: Frames tracked per second over the last ten seconds.
        age_p50_s: Median seconds from a frame's arrival to its tracks; NaN before the first frame.
        age_p99_s: The 99th percentile of that.
        living: Identities that are visible or coasting.
        identities: Identities confirmed since the start.
        media_s: Media time of the latest frame.
        silence_s: Seconds since the latest frame was tracked, or since the start.
        stage_s: Seconds spent by stage since the start.
        output_failures: Outputs, or parts of them, that could not be written since the start.
        output_problem: What the latest of them said; empty where there was none.
    """

    frames: int
    instances: int
    fps: float
    age_p50_s: float
    age_p99_s: float
    living: int
    identities: int
    media_s: float
    silence_s: float
    stage_s: dict[str, float] = field(default_factory=dict)
    output_failures: int = 0
    output_problem: str = ""


class StreamMeter:
    """Counts of one stream; written by the thread that tracks, read by any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun_s = time.monotonic()
        self._done_s: deque[float] = deque(maxlen=AGES)
        self._ages_s: deque[float] = deque(maxlen=AGES)
        self._stage_s: defaultdict[str, float] = defaultdict(float)
        self._frames = self._instances = self._living = self._identities = 0
        self._media_s = 0.0
        self._output_failures, self._output_problem = 0, ""

    def add(self, tracked_frame: TrackedFrame) -> None:
        """Count a frame whose tracks were just found."""
        now_s = time.monotonic()
        tracks = tracked_frame.tracks
        with self._lock:
            self._frames += 1
            self._instances += len(tracked_frame.instances)
            self._media_s = tracked_frame.frame.time_s
            self._done_s.append(now_s)
            self._ages_s.append(now_s - tracked_frame.frame.arrived_s)
            for stage, seconds in tracked_frame.stage_times_s.items():
                self._stage_s[stage] += seconds
            if tracks is not None:
                self._living = len(tracks)
                # Ids are gapless from 1 in order of confirmation: the highest is the number of identities.
                self._identities = max(self._identities, int(tracks.ids.max(initial=0)))

    def output_failed(self, failure: TrackerError) -> None:
        """Count an output, or a part of one, that could not be written."""
        with self._lock:
            self._output_failures += 1
            self._output_problem = f"{failure.offender}: {failure.problem}"

    def figures(self) -> StreamFigures:
        """The figures now."""
        now_s = time.monotonic()
        with self._lock:
            window_s = min(WINDOW_S, max(now_s - self._begun_s, 1e-3))
            recent = sum(done_s >= now_s - window_s for done_s in self._done_s)
            p50_s, p99_s = np.percentile(self._ages_s, (50, 99)).tolist() if self._ages_s else (float("nan"),) * 2
            return StreamFigures(
                frames=self._frames,
                instances=self._instances,
                fps=recent / window_s,
                age_p50_s=p50_s,
                age_p99_s=p99_s,
                living=self._living,
                identities=self._identities,
                media_s=self._media_s,
                silence_s=now_s - (self._done_s[-1] if self._done_s else self._begun_s),
                stage_s=dict(self._stage_s),
                output_failures=self._output_failures,
                output_problem=self._output_problem,
            )

    def reset_ages(self) -> None:
        """Forget the ages and rates so far: benchmarks leave the start out."""
        with self._lock:
            self._begun_s = time.monotonic()
            self._ages_s.clear()
            self._done_s.clear()
