"""Outcome of one stream of a run: figures, identities, counts, outputs and failures as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tracker.analytics.tally import Tally
from tracker.engine.covered import privacy_notes
from tracker.engine.sound import sound_notes
from tracker.errors import TrackerError, mask, mask_values
from tracker.sinks.base import file_of

if TYPE_CHECKING:
    from collections import Counter

    from tracker.engine.meter import StreamFigures
    from tracker.engine.plan import StreamPlan
    from tracker.engine.stream import Stream
    from tracker.sinks.base import QueueFigures

__all__ = ["Outcome", "outcome_of", "tally_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one stream went; plain values that can be sent to another process.

    Attributes:
        name: The stream's name.
        figures: Frames, rates, times.
        identities: How many there were by class name, after the second pass where there was one.
        tally: What the site's lines, zones and flows counted; ``None`` without a site.
        stage_ms: Milliseconds per frame by stage; stages overlap, so they add up to more than the wall time.
        outputs: Files that were written, and addresses that were written to, free of credentials.
        failures: Errors that ended an output or the source early; empty when all went well.
        interrupted: Whether it was stopped before its end.
        notes: What the source had to skip or repair, in words.
        deliveries: Of the outputs whose receiver is another program: how much it confirmed, and what waits where.
    """

    name: str
    figures: StreamFigures
    identities: Counter[str]
    stage_ms: dict[str, float]
    outputs: list[str]
    failures: list[TrackerError]
    interrupted: bool = False
    notes: list[str] = field(default_factory=list)
    deliveries: list[QueueFigures] = field(default_factory=list)
    tally: Tally | None = None

    def as_json(self) -> dict[str, Any]:
        """Everything as plain values for ``--json``."""
        figures = self.figures
        return {
            "source": mask(self.name),
            "frames": figures.frames,
            "instances": figures.instances,
            **({"skipped": figures.skipped} if figures.skipped else {}),
            **({"interpolated": figures.interpolated} if figures.interpolated else {}),
            "identities": dict(self.identities),
            "media_s": round(figures.media_s, 3),
            "wall_s": round(figures.wall_s, 3),
            "fps": round(figures.frames_per_s, 2),
            "stage_ms": {name: round(ms, 3) for name, ms in self.stage_ms.items()},
            "outputs": self.outputs,
            **({"deliveries": [_delivery(one) for one in self.deliveries]} if self.deliveries else {}),
            "failures": [str(failure) for failure in self.failures],
            "interrupted": self.interrupted,
            "notes": mask_values(self.notes),
            **({} if self.tally is None else {"counts": self.tally.as_json()}),
        }


def outcome_of(plan: StreamPlan, stream: Stream, failures: list[TrackerError], *, interrupted: bool) -> Outcome:
    """How a stream went that is over."""
    from tracker.sources.notes import notes

    source, figures = stream.source, stream.figures()
    frames, times = max(figures.frames, 1), source.stage_times
    stage_s = {"decode": times.decode_s + times.convert_s, **figures.stage_s}
    return Outcome(
        name=plan.name,
        figures=figures,
        identities=figures.identities_by_class,
        stage_ms={name: seconds / frames * 1000 for name, seconds in stage_s.items()},
        outputs=[plan.shown(output) for output in plan.outputs if _is_there(output)],
        failures=failures,
        interrupted=interrupted,
        notes=[*notes(source.info, source.counters), *sound_notes(plan), *privacy_notes(plan), *stream.notes],
        deliveries=list(stream.queues),
        tally=tally_of(plan, figures.tally),
    )


def tally_of(plan: StreamPlan, counted: Tally) -> Tally | None:
    """What was counted, with zeros for what never happened; ``None`` without a site."""
    if plan.site is None:
        return None
    tally = Tally.of(plan.site)
    tally.merge(counted)
    return tally


def _delivery(one: QueueFigures) -> dict[str, Any]:
    """What became of the messages for a receiver, as plain values."""
    waiting = {"waiting": one.rows, "kept_in": one.kept_in} if one.rows else {"waiting": 0}
    return {"output": one.sink, "confirmed": one.confirmed, "refused": one.refused, "dropped": one.dropped, **waiting}


def _is_there(output: str) -> bool:
    """Whether something was written: a file that could not be opened or stayed empty is not there."""
    path = file_of(output)
    try:
        return path is None or path.exists()
    except OSError:  # a folder that may be looked into no more
        return False
