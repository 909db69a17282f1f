"""Flows between lines and zones: each identity once, on the flow of longest duration.

An identity's passages are its crossings, its entries and its exits. A flow fits where a passage of its start comes
before a passage of its end: a zone starts a flow when it is left and ends one when it is entered. Of all pairs that fit
the one with the most time between them is the identity's way (OTAnalytics' rule).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracker.events import Sighting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tracker.events import Event
    from tracker.site import Flow

__all__ = ["FlowFinder", "Way", "ways"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What an identity came by and went by.

    Attributes:
        flow: Which of the flows.
        start_s, end_s: Media time of both passages.
        start, end: The identity's contact there.
    """

    flow: Flow
    start_s: float
    end_s: float
    start: Sighting | None
    end: Sighting | None


@dataclass(frozen=True, slots=True)
class _Passage:
    """A passage of a line in one direction, or of a zone's boundary."""

    time_s: float
    contact: Sighting | None


class FlowFinder:
    """The passages of every living identity, from which its way is found when it ends.

    Only the first and the last passage of each line, direction and zone are kept: the longest way begins and ends
    with one of them.

    Args:
        flows: Of the site.
    """

    def __init__(self, flows: Sequence[Flow]) -> None:
        self._flows = tuple(flows)
        self._passages: dict[int, dict[tuple[str, str], tuple[_Passage, _Passage]]] = {}

    def note(self, event: Event) -> None:
        """Take an identity's crossing, entry or exit; other events are ignored."""
        if not self._flows or event.kind not in {"crossing", "enter", "leave"}:
            return
        if event.stay is not None and (
            (event.kind == "enter" and event.stay.began != "entered")
            or (event.kind == "leave" and event.stay.end != "left")
        ):
            return  # not a passage: it was there before, or it vanished inside
        direction = f"{event.kind}:{event.direction}"
        passage = _Passage(event.time_s, event.after or event.before)
        known = self._passages.setdefault(event.identity, {})
        first, last = known.get((event.place, direction), (passage, passage))
        first = passage if passage.time_s < first.time_s else first
        last = passage if passage.time_s > last.time_s else last
        known[event.place, direction] = first, last

    def end(self, identity: int) -> Way | None:
        """The way of an identity that is gone; ``None`` where no flow fits."""
        known = self._passages.pop(identity, {})
        best: Way | None = None
        for flow in self._flows:
            starts = _matching(known, flow.start, flow.start_direction, "leave")
            ends = _matching(known, flow.end, flow.end_direction, "enter")
            if not (starts and ends):
                continue
            start = min((first for first, _ in starts), key=lambda passage: passage.time_s)
            end = max((last for _, last in ends), key=lambda passage: passage.time_s)
            longer = best is None or end.time_s - start.time_s > best.end_s - best.start_s
            if end.time_s > start.time_s and longer:
                best = Way(flow=flow, start_s=start.time_s, end_s=end.time_s, start=start.contact, end=end.contact)
        return best

    def state(self) -> list[list[Any]]:
        """Plain values to continue from."""
        return [
            [identity, place, direction, *(_plain(passage) for passage in pair)]
            for identity, known in self._passages.items()
            for (place, direction), pair in known.items()
        ]

    def restore(self, rows: list[list[Any]], shift_s: float) -> None:
        """Continue from :meth:`state` with ``shift_s`` added to all times."""
        for identity, place, direction, first, last in rows:
            pair = _from_plain(first, shift_s), _from_plain(last, shift_s)
            self._passages.setdefault(identity, {})[place, direction] = pair


def ways(events: Iterable[Event], flows: Sequence[Flow]) -> dict[tuple[str, int], Way]:
    """Every identity's way from the events of a ledger, by stream and identity."""
    finders: dict[str, FlowFinder] = {}
    identities: dict[tuple[str, int], None] = {}
    for event in events:
        if event.identity:
            finders.setdefault(event.stream, FlowFinder(flows)).note(event)
            identities[event.stream, event.identity] = None
    found = {(stream, identity): finders[stream].end(identity) for stream, identity in identities}
    return {who: way for who, way in found.items() if way is not None}


def _matching(
    known: Mapping[tuple[str, str], tuple[_Passage, _Passage]], place: str, direction: str, zone_kind: str
) -> list[tuple[_Passage, _Passage]]:
    """The passages of a line in the wanted directions, or of a zone in the one that counts."""
    wanted = {f"{zone_kind}:", f"crossing:{direction}"}
    return [
        pair
        for (at, way), pair in known.items()
        if at == place and (way in wanted or (not direction and way.startswith("crossing:")))
    ]


def _plain(passage: _Passage) -> list[Any]:
    contact = passage.contact
    return [passage.time_s, None if contact is None else [contact.time_s, contact.x, contact.y]]


def _from_plain(values: list[Any], shift_s: float) -> _Passage:
    time_s, contact = values
    if contact is None:
        return _Passage(time_s + shift_s, None)
    return _Passage(time_s + shift_s, Sighting(time_s=contact[0] + shift_s, x=contact[1], y=contact[2]))
