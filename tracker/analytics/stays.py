"""Stays of a ledger, one row each, and how many identities were in a zone over time."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tracker.analytics.corrections import Corrections
from tracker.analytics.counts import BIN_S, booked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tracker.events import Event

__all__ = ["Presence", "ZoneStay", "presence", "stays"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneStay:
    """One identity's time in one zone.

    Attributes:
        stream, place, identity, class_name: Of which camera, zone and identity, under its final class.
        entered_ms: When, UTC in milliseconds, or media time of streams without a wall clock.
        left_ms: When; the last time that is known where ``end`` is ``restart``; ``None`` while it lasts.
        utc: Which clock.
        hidden_s: Seconds of it with the ground contact not seen.
        began: As in :class:`tracker.events.Stay`.
        end: Likewise; ``None`` = the ledger has no end of it.
    """

    stream: str
    place: str
    identity: int
    class_name: str
    entered_ms: int
    left_ms: int | None
    utc: bool
    hidden_s: float
    began: Literal["entered", "already_inside"]
    end: Literal["left", "lost", "open", "restart"] | None

    @property
    def dwell_s(self) -> float | None:
        """Seconds from the entry to the end."""
        return None if self.left_ms is None else (self.left_ms - self.entered_ms) / 1000

    @property
    def closed(self) -> bool:
        """Whether it began and ended in view; all others are censored: averages are over closed ones only."""
        return self.began == "entered" and self.end == "left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """Identities in a zone during one bin.

    Attributes:
        start_ms: Begin of the bin.
        stream, place: Of which camera and zone.
        mean: Identity seconds over the seconds of the bin.
        most: At one time.
    """

    start_ms: int
    stream: str
    place: str
    mean: float
    most: int


def stays(events: Sequence[Event]) -> list[ZoneStay]:
    """One row per stay, ordered by entry.

    The rows of one stay are those of its stream, zone and identity from one entry to the next. Of several ends ``left``
    and ``lost`` hold, whatever comes before or after: ``restart`` was written when nothing better was known.

    Args:
        events: Of a ledger.
    """
    corrections = Corrections.of(events)
    visits: dict[tuple[str, str, int], list[list[Event]]] = defaultdict(list)
    for event in sorted((one for one in events if one.kind in {"enter", "leave"}), key=lambda one: booked(one)[0]):
        corrected = corrections.apply(event)
        rows = visits[corrected.stream, corrected.place, corrected.identity]
        if event.kind == "enter" or not rows:
            rows.append([])
        rows[-1].append(corrected)
    found = [_stay(max(visit, key=_weight)) for rows in visits.values() for visit in rows]
    return sorted(found, key=lambda one: (one.entered_ms, one.stream, one.place, one.identity))


def presence(found: Iterable[ZoneStay], *, until_ms: int, bin_s: int = BIN_S) -> list[Presence]:
    """How many identities were in each zone in each bin between the first entry and the last exit.

    Args:
        found: Stays by one clock.
        until_ms: How long those last that have no end: the last time of which the ledger knows.
        bin_s: Seconds per bin.
    """
    width_ms = bin_s * 1000
    edges: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for one in found:
        left_ms = max(one.entered_ms, until_ms if one.left_ms is None else one.left_ms)
        edges[one.stream, one.place] += [(one.entered_ms, 1), (left_ms, -1)]
    rows = []
    for (stream, place), changes in sorted(edges.items()):
        changes.sort()  # exits first where both are at one time
        sums: dict[int, int] = defaultdict(int)
        most: dict[int, int] = defaultdict(int)
        inside, since_ms = 0, changes[0][0]
        for at_ms, change in changes:
            for slot in range(since_ms // width_ms, at_ms // width_ms + 1):
                begin, end = max(slot * width_ms, since_ms), min((slot + 1) * width_ms, at_ms)
                sums[slot] += inside * max(end - begin, 0)
                most[slot] = max(most[slot], inside if end > begin else 0)
            inside, since_ms = inside + change, at_ms
        rows += [
            Presence(start_ms=slot * width_ms, stream=stream, place=place, mean=sums[slot] / width_ms, most=most[slot])
            for slot in sorted(sums)
        ]
    return rows


def _weight(event: Event) -> tuple[int, int]:
    """The row of a stay that says most about its end."""
    if event.kind != "leave" or event.stay is None:
        return 0, booked(event)[0]
    return 2 if event.stay.end in {"left", "lost"} else 1, booked(event)[0]


def _stay(event: Event) -> ZoneStay:
    at_ms, utc = booked(event)
    stay = event.stay
    entered_s = event.time_s if stay is None else stay.entered_s
    lasts = stay is None or stay.left_s is None
    return ZoneStay(
        stream=event.stream,
        place=event.place,
        identity=event.identity,
        class_name=event.class_name,
        entered_ms=at_ms - round((event.time_s - entered_s) * 1000),
        left_ms=None if lasts else at_ms,
        utc=utc,
        hidden_s=0.0 if stay is None else stay.hidden_s,
        began="entered" if stay is None else stay.began,
        end=stay.end if stay is not None and event.kind == "leave" else None,
    )
