"""Journal of a stream: the events that were found since its state was saved, so that a kill neither loses nor doubles.

The state on disk is some seconds old when a process is killed. What was found since stands in the journal. After a
restart these events are given again as they were (their keys are the same, so a ledger keeps one row), and what is
found for the second time, with other times, because the state is from before, is left out.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tracker.errors import SinkError
from tracker.events import Event, Sighting, Stay
from tracker.sinks.part_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = ["Delivery", "Expected", "Journal"]

logger = logging.getLogger("tracker.live")

Expectation = tuple[int, str, str, str, bool]
"""Identity, kind, place, direction, and whether it is the end of something."""


class Journal:
    """A file of numbered events beside a stream's state.

    Args:
        path: The file; made with the first event.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._lines: dict[int, str] = {}
        self._refused = False

    def add(self, events: Iterable[Event], number: int) -> None:
        """Note events, of which the last has this number; a refusal of the system is logged once."""
        found = list(events)
        with self._lock:
            new = {
                one: json.dumps({"number": one, "event": asdict(event)}) + "\n"
                for one, event in enumerate(found, number - len(found) + 1)
            }
            self._lines |= new
            self._write(self._add, "".join(new.values()))

    def forget(self, number: int) -> None:
        """The state on disk has the events up to this one."""
        with self._lock:
            kept = {one: line for one, line in self._lines.items() if one > number}
            if len(kept) < len(self._lines):
                self._lines = kept
                self._write(self._replace, "".join(kept.values()))

    def load(self, number: int) -> list[Event]:
        """The events after this one; what is damaged is left out."""
        with contextlib.suppress(OSError):
            lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
            for line in lines:
                with contextlib.suppress(ValueError, TypeError, KeyError):
                    self._lines[int(json.loads(line)["number"])] = line
            if len(self._lines) < len(lines):  # cut off by a kill: what is added next must not stand in the same line
                self._write(self._replace, "".join(self._lines.values()))
        found = []
        for one in sorted(self._lines):
            with contextlib.suppress(TypeError, KeyError):
                event = _event_from(json.loads(self._lines[one])["event"])
                found += [event] if one > number else []
        return found

    @property
    def last(self) -> int:
        """The highest number in it; 0 where there is none."""
        return max(self._lines, default=0)

    def _add(self, text: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(text)

    def _replace(self, text: str) -> None:
        write_whole(self._path, text.encode())

    def _write(self, write: Callable[[str], None], text: str) -> None:
        try:
            write(text)
        except (OSError, SinkError) as failure:
            if not self._refused:
                problem = f"{self._path.name}: {failure}; after a kill, events of the last seconds may be missing"
                logger.error("journal not written", extra={"camera": self._path.stem, "problem": problem})  # noqa: TRY400
            self._refused = True


class Expected:
    """What a stage will find for the second time, since its state is from before the events of a journal.

    What was undone before the kill (over the line and back, in and out) will not be found again: only what is left of
    each sequence is expected.

    Args:
        events: Of the journal, in order.
    """

    def __init__(self, events: Sequence[Event] = ()) -> None:
        sequences: dict[tuple[int, str], list[Event]] = {}
        self._counts: Counter[Expectation] = Counter()
        for event in events:
            if not event.identity and event.kind != "alert":
                continue  # about the camera: its time since is another one's
            if event.kind in {"crossing", "enter", "leave", "alert"}:
                sequences.setdefault((event.identity, event.place), []).append(event)
            else:
                self._counts[_expectation(event)] += 1
        for sequence in sequences.values():
            if _expectation(sequence[0]) == _expectation(sequence[-1]):
                self._counts[_expectation(sequence[-1])] += 1

    def without(self, found: Sequence[Event]) -> tuple[Event, ...]:
        """The events that were not expected; expectations end with their identity."""
        if not self._counts:
            return tuple(found)
        new = []
        for event in found:
            expectation = _expectation(event)
            if self._counts[expectation] > 0:
                self._counts[expectation] -= 1
            else:
                new.append(event)
                if event.kind == "alert":  # it goes on the other way: what was told before the kill is done
                    self._counts.pop((*expectation[:4], not expectation[4]), None)
            if event.kind == "identity_end":
                ended = [one for one in self._counts if one[0] == event.identity]
                for one in ended:
                    del self._counts[one]
        self._counts = +self._counts
        return tuple(new)


class Delivery:
    """The events of one stream on their way from its stages to its outputs, numbered.

    Args:
        number: Of the last event that is in the state with which the stream begins; ``None`` = it begins anew, so that
            nothing is found for the second time.
        journal: Where events are noted before they are written, if anywhere.
    """

    def __init__(self, number: int | None = None, journal: Journal | None = None) -> None:
        self._journal = journal
        self._again = () if journal is None else tuple(journal.load(number or 0))
        self._expected = Expected(() if number is None else self._again)
        self.number = max(number or 0, 0 if journal is None else journal.last)

    def take(self, found: Sequence[Event]) -> tuple[Event, ...]:
        """What is new of the events that were found next."""
        if not found:
            return ()
        new = self._expected.without(found)
        self.number += len(new)
        if self._journal is not None and new:
            self._journal.add(new, self.number)
        return new

    def again(self) -> tuple[Event, ...]:
        """What an earlier process may not have written: once, before anything new."""
        again, self._again = self._again, ()
        return again


def _event_from(values: Mapping[str, Any]) -> Event:
    """The event of :func:`dataclasses.asdict`'s values.

    Raises:
        TypeError: They are no event's.
    """
    parts = dict(values)
    for name, kind in (("before", Sighting), ("after", Sighting), ("stay", Stay)):
        if parts.get(name) is not None:
            parts[name] = kind(**parts[name])
    return Event(**parts)


def _expectation(event: Event) -> Expectation:
    return event.identity, event.kind, event.place, event.direction, event.since_s is not None
