"""Comparison of a recording that is analysed again with what a store has of it, so that nothing counts twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracker.errors import SinkError
from tracker.events import Event, Stay
from tracker.formats.event_rows import plain_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["DivergedError", "Replay", "diverged", "ended_by_restart", "other_clock", "time_ms"]


class DivergedError(Exception):
    """The store has other events of the same time: from other settings, another site or another model."""


class Replay:
    """Comparison of a stream's events with those in the store.

    A process that was killed has left the first part of what is found now, so new events come after all known ones.
    They are held back until then.

    Args:
        known: Keys of the stream's rows in the store, with their times in milliseconds.
    """

    def __init__(self, known: Mapping[str, int]) -> None:
        self._expected = dict(known)
        self._known = frozenset(known)
        self._held: list[Event] = []
        self._first_ms = self._last_ms = 0
        self._begun = False

    def take(self, event: Event) -> list[Event]:
        """The events that may be written, now that this one was found.

        Raises:
            DivergedError: A known event comes after a new one.
        """
        at_ms, key = time_ms(event), plain_text(event.key)
        self._first_ms = min(self._first_ms, at_ms) if self._begun else at_ms
        self._last_ms = max(self._last_ms, at_ms) if self._begun else at_ms
        self._begun = True
        if key in self._known:
            if self._held and key in self._expected:
                self._held = []
                raise DivergedError
            self._expected.pop(key, None)
            return []
        if self._expected:
            self._held.append(event)
            return []
        return [event]

    def close(self) -> list[Event]:
        """The events that were held back, once the stream is over.

        Raises:
            DivergedError: The store has others between the first and the last of the stream.
        """
        held, self._held = self._held, []
        if (
            held
            and self._expected
            and any(self._first_ms <= at_ms <= self._last_ms for at_ms in self._expected.values())
        ):
            raise DivergedError
        return held


def diverged(place: object, stream: str) -> SinkError:
    """A recording that is refused, since it would count twice."""
    problem = f"expected the events that it has of {stream}, found others of the same time, which were not added"
    remedy = (
        "another site, model or setting, or a run that was stopped: name another store, or add them as a new "
        "edition with masktrail analyse --revise"
    )
    return SinkError(place, problem, remedy)


def other_clock(place: object, stream: str, *, utc: bool) -> SinkError:
    """A recording that is refused, since its wall clock is known now and was not before, or the reverse."""
    clocks = ("none", "a wall clock") if utc else ("a wall clock", "none")
    problem = f"expected events of {stream} with {clocks[0]} as it has them, found {clocks[1]}"
    return SinkError(place, problem, "declare the same start as before, or name another store")


def ended_by_restart(stream: str, entry: Sequence[Any], last_ms: int) -> Event:
    """End of a stay that an earlier process left open, at the last time that the store has of the stream.

    Args:
        stream: Which.
        entry: Of its ``enter``: place, identity, class, time in seconds and UTC, begin of the stay, how it began, and
            revision of the site.
        last_ms: UTC.
    """
    place, identity, class_name, time_s, entry_ms, entered_s, began, revision = entry
    left_s = time_s + (last_ms - entry_ms) / 1000
    return Event(
        kind="leave",
        stream=stream,
        time_s=left_s,
        utc_ms=last_ms,
        place=place,
        identity=identity,
        class_name=class_name,
        stay=Stay(entered_s=time_s if entered_s is None else entered_s, left_s=left_s, began=began, end="restart"),
        revision=revision,
    )


def time_ms(event: Event) -> int:
    """When, by the stream's clock: UTC or media time."""
    return round(event.time_s * 1000) if event.utc_ms is None else event.utc_ms
