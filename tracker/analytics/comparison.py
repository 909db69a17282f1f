"""Comparison of two counts of one recording: by line and direction, zone and flow, matched by identity."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from tracker.analytics.counts import counts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tracker.events import Event
    from tracker.site import Site

__all__ = ["KINDS", "Compared", "compare", "places_of"]

Kind = Literal["crossing", "enter", "loitering", "flow"]
KINDS: tuple[Kind, ...] = ("crossing", "enter", "loitering", "flow")
Place = tuple[Kind, str, str]
"""Kind, name of the line, zone or flow, and direction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One row of the comparison.

    Attributes:
        kind: What is counted: crossings of a line, entries of a zone, loitering in it, or flows.
        place: Name of the line, zone or flow.
        direction: Over a line; else empty.
        before: How many there were; ``None`` where there was no such place.
        after: How many there are now; ``None`` where there is no such place any more.
        gone: Of those before, how many are not counted now: of the same identities, in the same direction.
        new: Of those now, how many were not counted before.
    """

    kind: Kind
    place: str
    direction: str
    before: int | None
    after: int | None
    gone: int
    new: int

    def plus(self, other: Compared) -> Compared:
        """The sum of the same place in two recordings."""
        return replace(
            self,
            before=_sum(self.before, other.before),
            after=_sum(self.after, other.after),
            gone=self.gone + other.gone,
            new=self.new + other.new,
        )


def places_of(site: Site) -> set[Place]:
    """Everything that a site counts; loitering where it has a limit."""
    places: set[Place] = {("crossing", line.name, way) for line in site.lines for way in line.directions}
    places |= {("enter", zone.name, "") for zone in site.zones}
    places |= {("loitering", zone.name, "") for zone in site.zones if zone.loiter_s or zone.loiter_s_by_class}
    return places | {("flow", flow.name, "") for flow in site.flows}


def compare(
    before: Iterable[Event],
    after: Iterable[Event],
    *,
    was: Site | None = None,
    now: Site | None = None,
) -> list[Compared]:
    """Counts of two ledgers of one recording side by side, in the order of kinds and names.

    Args:
        before: Events as they were counted.
        after: Events as they are counted now.
        was: The site of the first; places of which it has no events are 0 then, and not unknown.
        now: The same of the second.
    """
    one, other = _by_place(before), _by_place(after)
    known_before = set(one) | (set() if was is None else places_of(was))
    known_after = set(other) | (set() if now is None else places_of(now))
    rows = []
    for place in sorted(known_before | known_after, key=lambda place: (KINDS.index(place[0]), *place[1:])):
        counted, recounted = one.get(place, Counter()), other.get(place, Counter())
        rows.append(
            Compared(
                kind=place[0],
                place=place[1],
                direction=place[2],
                before=counted.total() if place in known_before else None,
                after=recounted.total() if place in known_after else None,
                gone=(counted - recounted).total(),
                new=(recounted - counted).total(),
            )
        )
    return rows


def _by_place(events: Iterable[Event]) -> dict[Place, Counter[int]]:
    """How often each identity is counted at each place."""
    found: dict[Place, Counter[int]] = {}
    for event in events:
        if event.kind in KINDS and counts(event):
            found.setdefault((event.kind, event.place, event.direction), Counter())[event.identity] += 1
    return found


def _sum(one: int | None, other: int | None) -> int | None:
    """What is known of both."""
    return other if one is None else one + (other or 0)
