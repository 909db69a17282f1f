"""Corrections of a ledger: the final class of each identity, and the number that it goes by in the end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tracker.events import Event

__all__ = ["Corrections"]

LONGEST_CHAIN = 64
"""Numbers that follow each other; as in the views of a store. It ends circles, which no correct ledger has."""


@dataclass(frozen=True, slots=True)
class Corrections:
    """What rows of a ledger say about earlier ones.

    Attributes:
        numbers: The number by which an identity goes, by stream and the number under which rows of it stand.
        classes: The class of an identity, by stream and the number it goes by.
    """

    numbers: Mapping[tuple[str, int], int] = field(default_factory=dict)
    classes: Mapping[tuple[str, int], str] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[Event]) -> Corrections:
        """Those of a ledger; of several about one identity the last holds.

        Args:
            events: In the order in which they were written; only ``reclassified`` and ``rekeyed`` ones matter.
        """
        last: dict[tuple[str, int], int] = {}
        named: list[tuple[str, int, str]] = []
        for event in events:
            if event.kind == "rekeyed":
                last[event.stream, event.was_identity] = event.identity
            if event.kind in {"rekeyed", "reclassified"}:
                named.append((event.stream, event.identity, event.class_name))
        numbers = {(stream, was): _followed(last, stream, was) for stream, was in last}
        classes = {(stream, numbers.get((stream, number), number)): name for stream, number, name in named}
        return cls(numbers, classes)

    def apply(self, event: Event) -> Event:
        """The event under its identity's present number and final class."""
        number = self.numbers.get((event.stream, event.identity), event.identity)
        name = self.classes.get((event.stream, number), event.class_name)
        if number == event.identity and name == event.class_name:
            return event
        return replace(event, identity=number, class_name=name)


def _followed(last: Mapping[tuple[str, int], int], stream: str, number: int) -> int:
    for _ in range(LONGEST_CHAIN):
        if (stream, number) not in last:
            break
        number = last[stream, number]
    return number
