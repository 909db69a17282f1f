"""Speeds of a ledger by line, direction and class: percentiles of passages, and both means by their names.

Every passage counts once, so that slow vehicles, which are seen in more frames, weigh no more than fast ones. The
time-mean is the arithmetic mean of what passed the line; the space-mean, the harmonic one, is that of what is on the
road at one time (Wardrop 1952). Percentiles of fewer than 30 passages are not told.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tracker.analytics.corrections import Corrections
from tracker.analytics.counts import booked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from tracker.events import Event

__all__ = ["BY", "FREE_FLOW_S", "KINDS", "LEAST_N", "PassageSpeed", "Speeds", "figures", "passages", "speeds"]

BY = ("stream", "place", "direction", "class")
KINDS = frozenset({"speed", "crossing", "headway", "reclassified", "rekeyed"})
"""Of the rows that are needed."""
LEAST_N = 30
"""Passages below which no percentile is told."""
FREE_FLOW_S = 4.0
"""A longer headway is free flow: nothing ahead says how fast to go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassageSpeed:
    """One passage over a line that measures speeds.

    Attributes:
        stream, place, direction, identity, class_name: Of which camera, line and identity, under its final class.
        at_ms: When, UTC in milliseconds, or media time of streams without a wall clock.
        utc: Which clock.
        speed_m_s: ``None`` where it was not known well enough.
        error_m_s: Its standard error.
        headway_s: To the one before on its lane; ``None`` where there was none.
    """

    stream: str
    place: str
    direction: str
    identity: int
    class_name: str
    at_ms: int
    utc: bool
    speed_m_s: float | None
    error_m_s: float | None
    headway_s: float | None

    @property
    def is_free(self) -> bool:
        """Whether nothing was close ahead."""
        return self.headway_s is None or self.headway_s > FREE_FLOW_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Speeds:
    """Speeds of one group of passages in m/s; figures that too few tell are ``None``.

    Attributes:
        group: What it is of, in the order of ``by``.
        n: Passages with a speed.
        unknown: Passages whose speed was not known well enough.
        v15, v50, v85: Percentiles, of :data:`LEAST_N` passages or more.
        time_mean: Arithmetic mean.
        space_mean: Harmonic mean.
    """

    group: tuple[str, ...]
    n: int
    unknown: int
    v15: float | None
    v50: float | None
    v85: float | None
    time_mean: float | None
    space_mean: float | None


def passages(events: Sequence[Event]) -> list[PassageSpeed]:
    """Passages over the lines that measured any speed, in order of time.

    Args:
        events: Of a ledger, in the order in which they were written; see :data:`KINDS`.
    """
    corrections = Corrections.of(events)
    measuring = {(event.stream, event.place) for event in events if event.kind == "speed"}
    rows: dict[tuple[str, str, str, int, int], dict[str, Event]] = defaultdict(dict)
    for event in events:
        if event.kind in {"speed", "crossing", "headway"} and (event.stream, event.place) in measuring:
            key = event.stream, event.place, event.direction, event.identity, booked(event)[0]
            rows[key][event.kind] = event
    found = [_passage(held, corrections) for held in rows.values() if "speed" in held or "crossing" in held]
    return sorted(found, key=lambda one: (one.at_ms, one.stream, one.place, one.identity))


def speeds(found: Iterable[PassageSpeed], *, by: Sequence[str] = BY) -> list[Speeds]:
    """Speeds by group, in the order of their names.

    Args:
        found: See :func:`passages`.
        by: What is taken apart, of :data:`BY`.
    """
    groups: dict[tuple[str, ...], list[PassageSpeed]] = defaultdict(list)
    for one in found:
        values = {"stream": one.stream, "place": one.place, "direction": one.direction, "class": one.class_name}
        groups[tuple(values[name] for name in by)].append(one)
    return [_speeds(group, groups[group]) for group in sorted(groups)]


def _passage(held: dict[str, Event], corrections: Corrections) -> PassageSpeed:
    event = held.get("speed") or held["crossing"]
    corrected = corrections.apply(event)
    at_ms, utc = booked(event)
    speed, headway = held.get("speed"), held.get("headway")
    return PassageSpeed(
        stream=event.stream,
        place=event.place,
        direction=event.direction,
        identity=corrected.identity,
        class_name=corrected.class_name,
        at_ms=at_ms,
        utc=utc,
        speed_m_s=None if speed is None else speed.value,
        error_m_s=None if speed is None else speed.error,
        headway_s=None if headway is None else headway.value,
    )


def _speeds(group: tuple[str, ...], found: Sequence[PassageSpeed]) -> Speeds:
    known = np.array([one.speed_m_s for one in found if one.speed_m_s is not None])  # (n,)
    return figures(group, known, unknown=len(found) - len(known))


def figures(group: tuple[str, ...], known: NDArray[np.float64], *, unknown: int) -> Speeds:
    """Speeds of one group.

    Args:
        group: Its name.
        known: ``(n,)`` speeds in m/s.
        unknown: Passages without one.
    """
    low = middle = high = None
    if len(known) >= LEAST_N:
        low, middle, high = np.percentile(known, (15, 50, 85)).tolist()
    return Speeds(
        group=group,
        n=len(known),
        unknown=unknown,
        v15=low,
        v50=middle,
        v85=high,
        time_mean=float(known.mean()) if len(known) else None,
        space_mean=float(len(known) / (1 / known).sum()) if len(known) else None,
    )
