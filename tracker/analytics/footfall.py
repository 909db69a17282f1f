"""Footfall: staff, visitors that come back, groups and passers-by, from passages of doors and lines and stays of zones.

Entries themselves are the crossings of the doors' lines. What is found here says what each of them was: one of the
staff, by the time it stays in a staff zone; the same visitor again, where the identity went out before; one of a group.
Passers-by are identities that pass one of the lines before the doors and no door.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.analytics.findings import Finding
from tracker.analytics.lines import EPSILON_S
from tracker.analytics.parties import Parties
from tracker.events import Sighting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tracker.analytics.findings import Moment
    from tracker.analytics.parties import Party
    from tracker.analytics.trails import Trails
    from tracker.events import Event
    from tracker.premises import Footfall
    from tracker.site import Doors, Site

__all__ = ["FootfallFinder"]

MOST_KNOWN = 50_000
"""Identities that are remembered after they went out, and of the staff; beyond them the oldest are forgotten."""


@dataclass(slots=True, kw_only=True)
class _Space:
    """What is known of the identities at one set of doors.

    Attributes:
        rule, doors: Of the site.
        parties: Those that pass the doors now.
        out_s: When each identity went out last.
        staff_s: When each of the staff was known to be it.
        inside_s: Since when identities are in staff zones, by identity and zone.
        served_s: Seconds that they were there before.
        passed_door: Living identities that passed a door.
        passed: The first passage of the others over a line before the doors.
    """

    rule: Footfall
    doors: Doors
    parties: Parties
    out_s: dict[int, float] = field(default_factory=dict)
    staff_s: dict[int, float] = field(default_factory=dict)
    inside_s: dict[tuple[int, str], tuple[float, str]] = field(default_factory=dict)
    served_s: dict[int, float] = field(default_factory=dict)
    passed_door: set[int] = field(default_factory=set)
    passed: dict[int, Finding] = field(default_factory=dict)


class FootfallFinder:
    """Footfall of a site.

    Args:
        site: Whose.
        trails: Of the identities.
    """

    def __init__(self, site: Site, trails: Trails) -> None:
        by_name = {one.name: one for one in site.doors}
        # An exit of a zone is certain so much later than it was.
        self._leave_s = {zone.name: zone.leave_s for zone in site.zones}
        self._spaces = [
            _Space(
                rule=rule,
                doors=by_name[rule.doors],
                parties=Parties(trails, within_m=rule.group_m, seconds=rule.group_s),
            )
            for rule in site.footfall
        ]

    def process(self, moment: Moment) -> Iterator[Finding]:
        """Take the next frame."""
        for space in self._spaces:
            yield from self._take(space, moment.events, moment.time_s)
            for known in (space.out_s, space.staff_s):
                _forget(known, moment.time_s - space.rule.re_entry_s)

    def close(self, events: Iterable[Event]) -> Iterator[Finding]:
        """The stream is over."""
        found = list(events)
        for space in self._spaces:
            yield from self._take(space, found, np.inf)

    def _take(self, space: _Space, events: Iterable[Event], now_s: float) -> Iterator[Finding]:
        for event in events:
            if event.kind in {"enter", "leave"} and event.place in space.rule.staff_zones:
                yield from _stay(space, event)
            elif event.kind == "crossing" and event.place in space.doors.lines:
                yield from _door(space, event)
            elif event.kind == "crossing" and event.place in space.rule.passing:
                space.passed.setdefault(event.identity, _passing(event))
            elif event.kind == "identity_end":
                yield from _end(space, event.identity)
        if np.isfinite(now_s):
            for key in list(space.inside_s):
                yield from _recognised(space, key, now_s - self._leave_s[key[1]])
        for party in space.parties.over(now_s, without=space.staff_s):
            yield from _told(party)

    def state(self) -> list[dict[str, Any]]:
        """Plain values to continue from."""
        return [
            {
                "footfall": space.rule.name,
                "parties": space.parties.state(),
                "out": [list(one) for one in space.out_s.items()],
                "staff": [list(one) for one in space.staff_s.items()],
                "inside": [[*key, *value] for key, value in space.inside_s.items()],
                "served": [list(one) for one in space.served_s.items()],
                "passed_door": sorted(space.passed_door),
                "passed": [_plain(one) for one in space.passed.values()],
            }
            for space in self._spaces
        ]

    def restore(self, kept: Sequence[Mapping[str, Any]], shift_s: float) -> None:
        """Continue from :meth:`state` with ``shift_s`` added to all times; footfall that is new begins anew."""
        by_name = {entry["footfall"]: entry for entry in kept}
        for space in self._spaces:
            entry = by_name.get(space.rule.name)
            if entry is None:
                continue
            space.parties.restore(entry["parties"], shift_s)
            space.out_s = {identity: time_s + shift_s for identity, time_s in entry["out"]}
            space.staff_s = {identity: time_s + shift_s for identity, time_s in entry["staff"]}
            space.inside_s = {
                (who, zone): (time_s + shift_s, name)
                for who, zone, time_s, name in entry["inside"]
                if zone in space.rule.staff_zones
            }
            space.served_s = dict(entry["served"])
            space.passed_door = set(entry["passed_door"])
            space.passed = {row[0]: _from_plain(row, shift_s) for row in entry["passed"]}


def _stay(space: _Space, event: Event) -> Iterator[Finding]:
    """An entry of a staff zone, or an exit."""
    key = event.identity, event.place
    if event.kind == "enter":
        space.inside_s[key] = event.time_s, event.class_name
        return
    yield from _recognised(space, key, event.time_s)
    since_s, _ = space.inside_s.pop(key, (event.time_s, ""))
    space.served_s[event.identity] = space.served_s.get(event.identity, 0.0) + event.time_s - since_s


def _recognised(space: _Space, key: tuple[int, str], until_s: float) -> Iterator[Finding]:
    """One of the staff, if its time in the zone until then says so and it is not known yet."""
    identity, zone = key
    if identity in space.staff_s or key not in space.inside_s:
        return
    since_s, class_name = space.inside_s[key]
    known_s = since_s + max(space.rule.staff_s - space.served_s.get(identity, 0.0), 0.0)
    if until_s < known_s - EPSILON_S:
        return
    space.staff_s[identity] = known_s
    yield Finding(kind="staff", time_s=known_s, place=zone, identity=identity, class_name=class_name)


def _door(space: _Space, event: Event) -> Iterator[Finding]:
    """A passage of a door: somebody of a group perhaps, or one that comes back."""
    space.passed_door.add(event.identity)
    space.parties.note(event)
    if event.direction == space.doors.exit:
        space.out_s.pop(event.identity, None)
        space.out_s[event.identity] = event.time_s
        return
    left_s = space.out_s.get(event.identity)
    if left_s is None or event.identity in space.staff_s or event.time_s - left_s > space.rule.re_entry_s:
        return
    yield Finding(
        kind="re_entry",
        time_s=event.time_s,
        place=space.doors.name,
        identity=event.identity,
        class_name=event.class_name,
        since_s=left_s,
        value=event.time_s - left_s,
        before=event.before,
        after=event.after,
    )


def _end(space: _Space, identity: int) -> Iterator[Finding]:
    """An identity is gone: it passed by, if it passed no door and was none of the staff."""
    passed = space.passed.pop(identity, None)
    if passed is not None and not (identity in space.passed_door or identity in space.staff_s):
        yield passed
    space.passed_door.discard(identity)
    space.served_s.pop(identity, None)
    for key in [key for key in space.inside_s if key[0] == identity]:
        del space.inside_s[key]


def _passing(event: Event) -> Finding:
    return Finding(
        kind="passing",
        time_s=event.time_s,
        place=event.place,
        direction=event.direction,
        identity=event.identity,
        class_name=event.class_name,
        before=event.before,
        after=event.after,
    )


def _told(party: Party) -> Iterator[Finding]:
    """One row for a group, and one for each that belongs to its first."""
    first, *others = party.members
    yield Finding(
        kind="group",
        time_s=first.time_s,
        identity=first.identity,
        class_name=first.class_name,
        value=float(len(party.members)),
        place=first.line,
        direction=first.direction,
    )
    for one in others:
        yield Finding(
            kind="group_member",
            time_s=one.time_s,
            identity=one.identity,
            class_name=one.class_name,
            other_identity=first.identity,
            place=first.line,
            direction=first.direction,
        )


def _forget(known: dict[int, float], before_s: float) -> None:
    """Drop what is too old; the oldest stand first."""
    while known:
        identity = next(iter(known))
        if known[identity] >= before_s and len(known) <= MOST_KNOWN:
            return
        del known[identity]


def _plain(finding: Finding) -> list[Any]:
    sights = [None if one is None else [one.time_s, one.x, one.y] for one in (finding.before, finding.after)]
    return [finding.identity, finding.class_name, finding.time_s, finding.place, finding.direction, *sights]


def _from_plain(row: Sequence[Any], shift_s: float) -> Finding:
    identity, class_name, time_s, place, direction, *sights = row
    before, after = (None if one is None else Sighting(time_s=one[0] + shift_s, x=one[1], y=one[2]) for one in sights)
    return Finding(
        kind="passing",
        time_s=time_s + shift_s,
        place=place,
        direction=direction,
        identity=identity,
        class_name=class_name,
        before=before,
        after=after,
    )
