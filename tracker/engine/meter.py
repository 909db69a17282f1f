"""Figures of one stream: frames, rates, ages, seconds by stage, and how many identities there were by class."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.analytics.monitor import Monitor
from tracker.analytics.tally import Tally
from tracker.engine.losses import Losses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tracker.engine.losses import RecentLosses
    from tracker.errors import TrackerError
    from tracker.events import Event
    from tracker.types import TrackedFrame, Tracks

__all__ = ["BRIEF_FRAMES", "Census", "StreamFigures", "StreamMeter"]

WINDOW_S = 10.0
"""Rates are over the last ten seconds: long enough for slow cameras, short enough to see a fault."""

BRIEF_FRAMES = 3
"""An identity that was seen in no more frames than these is told apart in summaries: it may be a false one."""

AGES = 2048
"""Frame ages that percentiles are taken of: a minute and a half at 25 fps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFigures:
    """A stream's figures at one moment.

    Attributes:
        frames: Frames that went through since the start.
        instances: Instances in them.
        skipped: Frames, of these, that were not segmented because nothing moved and no track lived.
        interpolated: Frames, of these, that were not segmented and lie between two that were.
        fps: Frames per second over the last ten seconds.
        age_p50_s: Median seconds from a frame's arrival to its tracks; NaN before the first frame.
        age_p99_s: The 99th percentile of that.
        living: Identities that are visible or coasting.
        identities_by_class: Identities so far by class name, with those of the process before that was continued.
        brief: Of them, those that ended after at most :data:`BRIEF_FRAMES` frames in which they were seen.
        media_s: Media time of the latest frame.
        wall_s: Seconds since the start, until the outputs were complete.
        silence_s: Seconds since the latest frame, or since the start.
        stage_s: Seconds of work by stage since the start; stages overlap.
        losses: Frames lost in the last minutes; ``None`` where nothing came, or for too short a time.
        output_failures: Outputs, or parts of them, that could not be written since the start.
        output_problem: What the latest of them said; empty where there was none.
        tally: Of the site's events since the start.
        monitor: What they say to monitoring.
    """

    frames: int = 0
    instances: int = 0
    skipped: int = 0
    interpolated: int = 0
    fps: float = 0.0
    age_p50_s: float = float("nan")
    age_p99_s: float = float("nan")
    living: int = 0
    identities_by_class: Counter[str] = field(default_factory=Counter)
    brief: int = 0
    media_s: float = 0.0
    wall_s: float = 0.0
    silence_s: float = 0.0
    stage_s: dict[str, float] = field(default_factory=dict)
    losses: RecentLosses | None = None
    output_failures: int = 0
    output_problem: str = ""
    tally: Tally = field(default_factory=Tally)
    monitor: Monitor = field(default_factory=Monitor)

    @property
    def identities(self) -> int:
        """Identities so far."""
        return self.identities_by_class.total()

    @property
    def frames_per_s(self) -> float:
        """Throughput since the start."""
        return self.frames / self.wall_s if self.wall_s > 0 else 0.0


class Census:
    """Identities by class, with memory for the living ones only: a class is final when its identity ends."""

    def __init__(self) -> None:
        self._living: dict[int, int] = {}
        self._seen: Counter[int] = Counter()  # frames, of the living ones
        self._ended: Counter[str] = Counter()
        self._brief = 0
        self._class_names: Sequence[str] = ()

    def update(self, tracks: Tracks, class_names: Sequence[str]) -> None:
        """Count the identities of the next frame."""
        self._class_names = class_names
        self._living.update(zip(tracks.ids.tolist(), tracks.class_ids.tolist(), strict=True))
        self._seen.update(tracks.ids[tracks.detection_rows >= 0].tolist())
        for identity in tracks.ended_ids.tolist():
            class_id = self._living.pop(identity, None)
            seen = self._seen.pop(identity, 0)
            if class_id is not None:
                self._ended[class_names[class_id]] += 1
                self._brief += seen <= BRIEF_FRAMES

    def by_class(self) -> Counter[str]:
        """How many there were so far, those of the living by their present class."""
        return self._ended + Counter(self._class_names[class_id] for class_id in self._living.values())

    def brief(self) -> int:
        """How many identities ended after at most :data:`BRIEF_FRAMES` frames in which they were seen."""
        return self._brief

    def state(self) -> dict[str, Any]:
        """What :meth:`restore` needs, as plain values."""
        return {
            "brief": self._brief,
            "seen": np.array(list(self._seen.items()), np.int64).reshape(-1, 2),
            "ended": dict(self._ended),
            "living": np.array(list(self._living.items()), np.int64).reshape(-1, 2),
            "class_names": list(self._class_names),
        }

    def restore(self, state: Mapping[str, Any], *, living: bool = True) -> None:
        """Continue from what :meth:`state` returned.

        Args:
            state: Of an earlier census of the same stream.
            living: Whether its living identities live on; else they ended.
        """
        self._class_names = [str(name) for name in state["class_names"]]
        self._ended = Counter({str(name): int(count) for name, count in state["ended"].items()})
        self._brief = int(state.get("brief", 0))
        seen_ids, frames = np.asarray(state.get("seen", []), np.int64).reshape(-1, 2).T.tolist()
        self._seen = Counter(dict(zip(seen_ids, frames, strict=True)))
        living_ids, class_ids = np.asarray(state["living"], np.int64).reshape(-1, 2).T.tolist()
        self._living = dict(zip(living_ids, class_ids, strict=True))
        if not living:
            self._ended, self._living = self.by_class(), {}
            self._seen.clear()


class StreamMeter:
    """Counts of one stream; written by the thread that tracks, read by any."""

    def __init__(self) -> None:
        self.census = Census()
        self._tally = Tally()
        self._monitor = Monitor()
        self._losses = Losses()
        self._lock = threading.Lock()
        self._begun_s = self._window_from_s = time.monotonic()
        self._ended_s: float | None = None
        self._done_s: deque[float] = deque(maxlen=AGES)
        self._ages_s: deque[float] = deque(maxlen=AGES)
        self._stage_s: defaultdict[str, float] = defaultdict(float)
        self._frames = self._instances = self._living = self._skipped = self._interpolated = 0
        self._media_s = 0.0
        self._output_failures, self._output_problem = 0, ""

    def begin(self) -> None:
        """The stream starts now."""
        with self._lock:
            self._begun_s = self._window_from_s = time.monotonic()

    def end(self) -> None:
        """The stream is over and its outputs are complete."""
        with self._lock:
            self._ended_s = time.monotonic()

    def add(self, tracked: TrackedFrame, *, lost: Callable[[], int] = lambda: 0) -> None:
        """Count a frame that went through all stages.

        Args:
            tracked: The frame.
            lost: Frames that its source has dropped so far, or found too old; asked now and then.
        """
        now_s = time.monotonic()
        lost_now = lost() if self._losses.is_due(now_s) else None  # only this thread adds to them
        with self._lock:
            self._frames += 1
            self._instances += len(tracked.instances)
            self._skipped += tracked.skipped
            self._interpolated += tracked.interpolated
            self._media_s = tracked.frame.time_s
            self._done_s.append(now_s)
            self._ages_s.append(now_s - tracked.frame.arrived_s)
            for stage, seconds in tracked.stage_times_s.items():
                self._stage_s[stage] += seconds
            if tracked.tracks is not None:
                self._living = len(tracked.tracks)
                self.census.update(tracked.tracks, tracked.class_names)
            if lost_now is not None:
                self._losses.add(now_s, self._frames, lost_now)
            self._tally.add(tracked.events)
            self._monitor.add(tracked.events)

    def note_losses(self, lost: int) -> None:
        """Take the frames that the source has lost at its end."""
        with self._lock:
            self._losses.add(time.monotonic(), self._frames, lost)

    def add_events(self, events: Iterable[Event]) -> None:
        """Count what was found after the last frame."""
        with self._lock:
            self._tally.add(events)
            self._monitor.add(events)

    def output_failed(self, failure: TrackerError) -> None:
        """Count an output, or a part of one, that could not be written."""
        with self._lock:
            self._output_failures += 1
            self._output_problem = f"{failure.offender}: {failure.problem}"

    def rate(self) -> float:
        """Frames per second over the last ten seconds, without the rest of :meth:`figures`."""
        with self._lock:
            return self._rate(time.monotonic())

    def figures(self, *, write_s: float | None = None) -> StreamFigures:
        """The figures now.

        Args:
            write_s: Seconds in the outputs, which work in a thread of their own; ``None`` = there are none.
        """
        now_s = time.monotonic()
        with self._lock:
            p50_s, p99_s = np.percentile(self._ages_s, (50, 99)).tolist() if self._ages_s else (float("nan"),) * 2
            return StreamFigures(
                frames=self._frames,
                instances=self._instances,
                skipped=self._skipped,
                interpolated=self._interpolated,
                fps=self._rate(now_s),
                age_p50_s=p50_s,
                age_p99_s=p99_s,
                living=self._living,
                identities_by_class=self.census.by_class(),
                brief=self.census.brief(),
                media_s=self._media_s,
                wall_s=(now_s if self._ended_s is None else self._ended_s) - self._begun_s,
                silence_s=now_s - (self._done_s[-1] if self._done_s else self._window_from_s),
                stage_s=dict(self._stage_s) | ({} if write_s is None else {"write": write_s}),
                losses=self._losses.recent(now_s),
                output_failures=self._output_failures,
                output_problem=self._output_problem,
                tally=self._tally.copy(),
                monitor=self._monitor.copy(),
            )

    def _rate(self, now_s: float) -> float:
        window_s = min(WINDOW_S, max(now_s - self._window_from_s, 1e-3))
        return (len(self._done_s) - bisect_left(self._done_s, now_s - window_s)) / window_s

    def census_state(self) -> dict[str, Any]:
        """The state of :attr:`census` between two frames."""
        with self._lock:
            return self.census.state()

    def reset_ages(self) -> None:
        """Discard the ages and rates so far: benchmarks leave the start out."""
        with self._lock:
            self._window_from_s = time.monotonic()
            self._ages_s.clear()
            self._done_s.clear()
