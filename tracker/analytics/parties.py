"""Parties: persons that pass a line together, from their passages and the trails before it.

Two walk together if they pass the line in one direction within three seconds of each other and were near each other
for a time before the first of them did. Who walks together with one of a party belongs to it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from tracker.analytics.trails import Trails
    from tracker.events import Event

__all__ = ["Parties", "Party", "Passage"]

WITHIN_S = 3.0
"""Between the passages of two that walk together: 1.5 m behind each other at half a metre a second."""
SLACK_S = 3.0
"""Lines tell of a passage some time after it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One person over the line.

    Attributes:
        identity, class_name: Whose.
        time_s: When.
        line, direction: Which way.
        party: Number of the party, which is that of its last passage.
    """

    identity: int
    class_name: str
    time_s: float
    line: str
    direction: str
    party: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Two or more that walk together.

    Attributes:
        members: Their passages, the first one first.
    """

    members: tuple[Passage, ...]


class Parties:
    """Persons that pass some lines together.

    Args:
        trails: Of all identities.
        within_m: How near those are that walk together.
        seconds: For how long before the line.
    """

    def __init__(self, trails: Trails, *, within_m: float, seconds: float) -> None:
        self._trails, self._within_m, self._seconds = trails, within_m, seconds
        self._passages: list[Passage] = []
        self._made = 0

    def note(self, event: Event) -> None:
        """Take a crossing of one of the lines."""
        self._made += 1
        own, joined = self._made, set()
        for other in self._passages:
            same = (other.line, other.direction) == (event.place, event.direction)
            if same and other.identity != event.identity and abs(other.time_s - event.time_s) <= WITHIN_S:
                first_s = min(other.time_s, event.time_s)
                if self._trails.together(
                    other.identity, event.identity, until_s=first_s, seconds=self._seconds, within_m=self._within_m
                ):
                    joined.add(other.party)
        passage = Passage(
            identity=event.identity,
            class_name=event.class_name,
            time_s=event.time_s,
            line=event.place,
            direction=event.direction,
            party=own,
        )
        self._passages = [replace(one, party=own) if one.party in joined else one for one in (*self._passages, passage)]

    def over(self, now_s: float, *, without: Collection[int] = ()) -> Iterator[Party]:
        """Parties that are complete; those of one are not told.

        Args:
            now_s: Infinite at the end of the stream.
            without: Identities that belong to none.
        """
        last_s: dict[int, float] = {}
        for one in self._passages:
            last_s[one.party] = max(one.time_s, last_s.get(one.party, one.time_s))
        done = {party for party, time_s in last_s.items() if now_s >= time_s + WITHIN_S + SLACK_S}
        for party in sorted(done):
            members = [one for one in self._passages if one.party == party and one.identity not in without]
            if len(members) > 1:
                yield Party(members=tuple(sorted(members, key=lambda one: (one.time_s, one.identity))))
        self._passages = [one for one in self._passages if one.party not in done]

    def state(self) -> list[list[Any]]:
        """Plain values to continue from, one row per passage."""
        return [
            [one.identity, one.class_name, one.time_s, one.line, one.direction, one.party] for one in self._passages
        ]

    def restore(self, rows: Sequence[Sequence[Any]], shift_s: float) -> None:
        """Continue from :meth:`state` with ``shift_s`` added to all times."""
        for identity, class_name, time_s, line, direction, party in rows:
            self._made = max(self._made, party)
            self._passages.append(
                Passage(
                    identity=identity,
                    class_name=class_name,
                    time_s=time_s + shift_s,
                    line=line,
                    direction=direction,
                    party=party,
                )
            )
