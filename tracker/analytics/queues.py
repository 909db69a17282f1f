"""Queues: who waits in a zone, since when, and whether it was served or gave up.

One is in the queue from the first moment at which it stands in the zone: slower than ``still_m_s``. That counts once
it has stood for ``still_s`` in all, or has reached the place of service. The wait ends there, with ``served``. Whoever
leaves the zone and does not reach that place within ``reach_s`` gave up when it left: ``abandoned``. One that is lost
in the zone has an end that nothing saw: ``lost``.

Where an identity is not seen any more and a new one begins near its last place, the wait goes on under the new number.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.analytics.findings import Finding
from tracker.analytics.lines import EPSILON_S
from tracker.contacts import ContactState
from tracker.events import Sighting, Stay

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Literal

    from tracker.analytics.findings import Moment
    from tracker.analytics.trails import Mark, Trails
    from tracker.events import Event
    from tracker.polygons import Point
    from tracker.premises import Queue
    from tracker.site import Site

    End = Literal["served", "abandoned", "lost", "open"]
    StayEnd = Literal["left", "lost", "open", "restart"]

__all__ = ["Queues"]

_ENDS: dict[End, StayEnd] = {"served": "left", "abandoned": "left", "lost": "lost", "open": "open"}

HEIR_S, HEIR_M = 3.0, 1.0
"""How long after, and how far from the last sight of an identity that waits a new one may continue it."""
SLACK_S = 2.0
"""Zones tell of a passage some time after it was: a new identity is confirmed, and stays for ``enter_s``."""


@dataclass(slots=True, kw_only=True)
class _Visit:
    """An identity in a queue's zone, or on its way from there.

    Attributes:
        identity, class_name: Whose.
        entered_s: When it entered the zone.
        began_inside: The entry was not seen.
        cursor_s: Up to when its sights were looked at.
        stood_s: Seconds that it has stood.
        joined_s: When it first stood; ``None`` = it has not.
        joined_as: The number under which that is in the ledger; 0 = it is not.
        left_s: When it left the zone; ``None`` = it is there.
        lost: It vanished there.
        place: Where it was then.
    """

    identity: int
    class_name: str
    entered_s: float
    began_inside: bool
    cursor_s: float
    stood_s: float = 0.0
    joined_s: float | None = None
    joined_as: int = 0
    left_s: float | None = None
    lost: bool = False
    place: Sighting | None = None


@dataclass(slots=True, kw_only=True)
class _Line:
    """One queue, the shape of the place where it is served, and those in it."""

    rule: Queue
    served: tuple[tuple[Point, ...], ...]
    closed: bool
    visits: dict[int, _Visit] = field(default_factory=dict)


class Queues:
    """All queues of a site.

    Args:
        site: Whose.
        trails: Of the identities.
    """

    def __init__(self, site: Site, trails: Trails) -> None:
        self._trails = trails
        lines = {line.name: [line.points] for line in site.lines}
        zones = {zone.name: zone.polygons for zone in site.zones}
        self._lines = [
            _Line(
                rule=rule,
                served=tuple(lines.get(rule.served_at) or zones[rule.served_at]),
                closed=rule.served_at in zones,
            )
            for rule in site.queues
        ]
        self._known_s = -np.inf

    def lengths(self) -> dict[str, int]:
        """How many stand in each queue as far as is certain now."""
        return {line.rule.name: sum(bool(one.joined_as) for one in line.visits.values()) for line in self._lines}

    def process(self, moment: Moment) -> Iterator[Finding]:
        """Take the next frame."""
        for line in self._lines:
            self._hand_over(line, moment)
            for event in moment.events:
                yield from self._note(line, event)
            for visit in list(line.visits.values()):
                self._walk(line.rule, visit)
                if (
                    not visit.joined_as
                    and visit.joined_s is not None
                    and visit.stood_s >= line.rule.still_s - EPSILON_S
                ):
                    yield self._join(line, visit)
            yield from self._late(line, moment.time_s)
        self._known_s = moment.time_s

    def close(self, events: Iterable[Event]) -> Iterator[Finding]:
        """The stream is over."""
        found = list(events)
        for line in self._lines:
            for event in found:
                yield from self._note(line, event)
            for visit in list(line.visits.values()):
                left_s = self._known_s if visit.left_s is None else visit.left_s
                given_up = visit.left_s is not None and self._known_s - left_s >= line.rule.reach_s
                end: End = "lost" if visit.lost else "abandoned" if given_up else "open"
                yield from self._leave(line, visit, end, left_s)

    def state(self) -> list[dict[str, Any]]:
        """Plain values to continue from."""
        return [
            {"queue": line.rule.name, "visits": [_plain(visit) for visit in line.visits.values()]}
            for line in self._lines
        ]

    def restore(self, kept: Sequence[Mapping[str, Any]], shift_s: float) -> None:
        """Continue from :meth:`state` with ``shift_s`` added to all times; queues that are new begin empty."""
        by_name = {entry["queue"]: entry["visits"] for entry in kept}
        for line in self._lines:
            visits = [_from_plain(row, shift_s) for row in by_name.get(line.rule.name, ())]
            line.visits = {visit.identity: visit for visit in visits}

    def _note(self, line: _Line, event: Event) -> Iterator[Finding]:
        """What an event of lines and zones means for one queue."""
        rule, visit = line.rule, line.visits.get(event.identity)
        if event.place == rule.served_at and visit is not None:
            crosses = event.kind == "crossing" and rule.served_direction in {"", event.direction}
            if crosses or event.kind == "enter":
                yield from self._serve(line, visit, event)
        if event.kind == "identity_end" and visit is not None and visit.left_s is None:
            visit.left_s, visit.lost = event.time_s, True
        if event.place != rule.zone:
            return
        if event.kind == "enter":
            self._enter(line, visit, event)
        elif event.kind == "leave" and visit is not None and visit.left_s is None:
            self._walk(rule, visit)
            if event.stay is not None and event.stay.end == "open":
                yield from self._leave(line, visit, "open", event.time_s)
                return
            visit.left_s, visit.lost = event.time_s, event.stay is not None and event.stay.end == "lost"
            visit.place = event.before

    def _enter(self, line: _Line, visit: _Visit | None, event: Event) -> None:
        if visit is not None:  # it stepped out, or continues another identity
            visit.left_s, visit.lost = None, False
            return
        line.visits[event.identity] = _Visit(
            identity=event.identity,
            class_name=event.class_name,
            entered_s=event.time_s,
            began_inside=event.stay is not None and event.stay.began == "already_inside",
            cursor_s=event.time_s - EPSILON_S,
        )

    def _walk(self, rule: Queue, visit: _Visit) -> None:
        """Add up the time for which an identity stands, from its sights in the zone since the last time."""
        if visit.left_s is not None or visit.joined_as:
            return
        marks = self._trails.of(visit.identity)
        for number in [number for number, mark in enumerate(marks) if mark.time_s > visit.cursor_s]:
            now_s = marks[number].time_s
            taken = self._trails.speed(visit.identity, number)
            if taken is None:  # it has only just begun: the time counts with the first speed
                continue
            speed_m_s, began_s = taken
            if speed_m_s < rule.still_m_s:
                since_s = max(visit.cursor_s, visit.entered_s)
                if visit.joined_s is None:
                    visit.joined_s = max(began_s, visit.entered_s)
                    since_s = min(since_s, visit.joined_s)
                visit.stood_s += now_s - since_s
            visit.cursor_s = now_s

    def _serve(self, line: _Line, visit: _Visit, event: Event) -> Iterator[Finding]:
        if visit.left_s is not None and event.time_s - visit.left_s > line.rule.reach_s:
            return
        self._walk(line.rule, visit)
        if visit.joined_s is None or visit.joined_s > event.time_s:  # it walked through without a stop
            visit.joined_s = event.time_s
        visit.place = event.before
        yield from self._leave(line, visit, "served", event.time_s)

    def _leave(self, line: _Line, visit: _Visit, end: End, time_s: float) -> Iterator[Finding]:
        """The wait is over; nothing to tell of one that was not in the queue."""
        del line.visits[visit.identity]
        if not visit.joined_as:
            if end != "served":
                return
            yield self._join(line, visit)
        joined_s = visit.joined_s if visit.joined_s is not None else time_s
        yield Finding(
            kind="queue_leave",
            time_s=time_s,
            place=line.rule.name,
            direction=end,
            identity=visit.identity,
            class_name=visit.class_name,
            since_s=joined_s,
            value=time_s - joined_s,
            other_identity=visit.joined_as if visit.joined_as != visit.identity else 0,
            before=visit.place,
            stay=Stay(
                entered_s=joined_s,
                left_s=None if end == "open" else time_s,
                began=_began(visit),
                end=_ENDS[end],
            ),
        )

    def _join(self, line: _Line, visit: _Visit) -> Finding:
        joined_s = visit.entered_s if visit.joined_s is None else visit.joined_s
        visit.joined_as = visit.identity
        return Finding(
            kind="queue_join",
            time_s=joined_s,
            place=line.rule.name,
            identity=visit.identity,
            class_name=visit.class_name,
            value=self._reach_m(line, visit.identity, joined_s),
            stay=Stay(entered_s=joined_s, began=_began(visit)),
        )

    def _reach_m(self, line: _Line, identity: int, joined_s: float) -> float | None:
        """Metres from the place of service to where one stood when it joined, on a site with ground."""
        marks = [mark for mark in self._trails.of(identity) if mark.time_s >= joined_s - EPSILON_S]
        if not marks:
            return None
        ways = [self._trails.floor.reach_m(marks[0][1:3], shape, closed=line.closed) for shape in line.served]
        return min((way for way in ways if way is not None), default=None)

    def _late(self, line: _Line, now_s: float) -> Iterator[Finding]:
        """Those that left and did not reach the place of service in time, and those that nothing continues."""
        for visit in list(line.visits.values()):
            if visit.left_s is None:
                continue
            wait_s = HEIR_S if visit.lost else line.rule.reach_s
            if now_s >= visit.left_s + wait_s + SLACK_S:
                yield from self._leave(line, visit, "lost" if visit.lost else "abandoned", visit.left_s)

    def _hand_over(self, line: _Line, moment: Moment) -> None:
        """Let new identities continue the waits of those that are not seen any more."""
        if not line.visits:
            return
        seen = set(moment.ids[moment.states != ContactState.PREDICTED].tolist())
        for event in moment.events:
            marks = self._trails.of(event.identity)
            if event.kind != "identity_start" or not marks or event.identity in line.visits:
                continue
            gone = [one for one in line.visits.values() if one.identity not in seen]
            near = [(self._apart_m(one, marks[0]), one.identity) for one in gone if one.class_name == event.class_name]
            apart_m, was = min(near, default=(np.inf, 0))
            if apart_m <= HEIR_M:
                visit = line.visits.pop(was)
                # Until the zone says that it is there, it is on its way.
                visit.identity, visit.left_s, visit.lost = event.identity, marks[0].time_s, False
                line.visits[event.identity] = visit

    def _apart_m(self, visit: _Visit, first: Mark) -> float:
        """How far a new identity's first sight is from the last one of a visit; infinite where it comes too late."""
        marks = self._trails.of(visit.identity)
        if not marks or not 0 < first.time_s - marks[-1].time_s <= HEIR_S:
            return np.inf
        return self._trails.distance_m(marks[-1], first)


def _began(visit: _Visit) -> Literal["entered", "already_inside"]:
    """Whether the beginning of the wait was seen."""
    return "already_inside" if visit.began_inside and visit.joined_s == visit.entered_s else "entered"


def _plain(visit: _Visit) -> list[Any]:
    place = visit.place
    rest = [getattr(visit, name) for name in _NAMES]
    return [*rest, None if place is None else [place.time_s, place.x, place.y]]


def _from_plain(row: Sequence[Any], shift_s: float) -> _Visit:
    values = dict(zip(_NAMES, row, strict=False))
    for name in ("entered_s", "cursor_s", "joined_s", "left_s"):
        values[name] = None if values[name] is None else values[name] + shift_s
    place = row[len(_NAMES)]
    return _Visit(
        **values, place=None if place is None else Sighting(time_s=place[0] + shift_s, x=place[1], y=place[2])
    )


_NAMES = tuple(one.name for one in fields(_Visit) if one.name != "place")
