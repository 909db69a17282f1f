"""Identities of finished records: what is doubtful about them, and new revisions with identities joined and split."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tracker.errors import ConfigError, SourceError
from tracker.formats.renumber import Renumbering, next_revision
from tracker.formats.row_files import read_rows
from tracker.formats.whole_rows import rewrite
from tracker.refine.doubts import joins, renumbered, splits, tracks_of
from tracker.sinks.part_file import PartFile, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tracker.events import Event, EventKind
    from tracker.formats.whole_rows import WholeRow
    from tracker.refine.doubts import Join, Split, Track

__all__ = ["Doubts", "Revision", "correction_events", "doubts", "rekeyed_events", "revise", "write_revision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubts:
    """What is doubtful about a recording's identities.

    Attributes:
        tracks: All of them.
        joins, splits: The most plausible first.
    """

    tracks: list[Track]
    joins: list[Join]
    splits: list[Split]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A new file of records.

    Attributes:
        path: Of the file.
        numbers: For each identity ``(from_s, number)`` in order of time.
        before, after: Identities in the old file and in this one.
        stream: Whose identities they are; empty where the records do not say.
    """

    path: Path
    numbers: dict[int, list[tuple[float, int]]]
    before: int
    after: int
    stream: str = ""


def doubts(path: Path) -> Doubts:
    """Joins and splits that records suggest by motion, size and class.

    Raises:
        SourceError: The records cannot be read, or have no times.
        ConfigError: They are of no format with rows.
    """
    tracks = _tracks(path)
    return Doubts(tracks=tracks, joins=joins(tracks), splits=splits(tracks))


def revise(path: Path, *, joined: Sequence[tuple[int, int]], split: Sequence[tuple[int, float]]) -> Revision:
    """Write the records under new numbers, beside the old file, which stays as it is.

    Args:
        path: Of the records.
        joined: Pairs of identities that are one.
        split: Identities and the time from which each is another.

    Raises:
        SourceError: The records cannot be read.
        ConfigError: A number or time does not fit.
        SinkError: The new file cannot be written.
    """
    tracks = _tracks(path)
    try:
        numbers = dict(renumbered(tracks, joined=joined, split=split))
    except ValueError as failure:
        raise ConfigError(path, str(failure), "masktrail identities shows them, with their times") from failure
    votes: dict[int, Counter[str]] = {}
    last_s: dict[int, float] = {}
    renumbering = Renumbering(numbers, {}, {})
    for track in tracks:
        for time_s, name in zip(track.times_s.tolist(), track.classes, strict=True):
            number = renumbering.number(track.identity, time_s)
            assert number is not None  # noqa: S101 - nothing is left out here
            votes.setdefault(number, Counter())[name] += 1
            last_s[number] = max(last_s.get(number, time_s), time_s)
    touched = {number for parts in numbers.values() if len(parts) > 1 for _, number in parts}
    touched |= {parts[0][1] for identity, parts in numbers.items() if parts[0][1] != identity}
    classes = {number: votes[number].most_common(1)[0][0] for number in touched if number in votes}
    target = next_revision(path)
    write_revision(path, target, Renumbering(numbers, classes, last_s).edit)
    head = next(read_rows(path)).head or {}
    stream = str(head.get("stream", ""))
    return Revision(path=target, numbers=numbers, before=len(tracks), after=len(votes), stream=stream)


def write_revision(path: Path, target: Path, edit: Callable[[list[WholeRow]], list[WholeRow]]) -> None:
    """Write records anew as a whole or not at all; memory holds one frame, of Parquet one row group.

    Args:
        path: Of the records.
        target: Of the new file.
        edit: As for :func:`tracker.formats.whole_rows.rewrite`.

    Raises:
        SourceError: The records cannot be read.
        ConfigError: They are of no format that is rewritten.
        SinkError: The new file cannot be written.
    """
    with PartFile(target) as part, part.open() as file:
        try:
            rewrite(path, file, edit)
        except OSError as failure:
            raise refusal(part.path, failure, "write here") from failure


def rekeyed_events(revision: Revision, events: Sequence[Event]) -> list[Event]:
    """Rows that say in a ledger which number each joined identity has now.

    Args:
        revision: Without splits: what one number counted cannot be divided afterwards.
        events: Of the ledger, for the times of the identities.

    Raises:
        ConfigError: There are splits.
    """
    if any(len(parts) > 1 for parts in revision.numbers.values()):
        problem = "expected joined identities only, found a split"
        remedy = f"count again: masktrail analyse {revision.path} --site SITE --out LEDGER --revise"
        raise ConfigError("--events", problem, remedy)
    rekeyed = {identity: parts[0][1] for identity, parts in revision.numbers.items() if parts[0][1] != identity}
    return correction_events(events, rekeyed, stream=revision.stream)


def correction_events(
    events: Sequence[Event],
    rekeyed: Mapping[int, int],
    *,
    stream: str = "",
    named: Mapping[int, str] | None = None,
    reclassified: Mapping[int, tuple[str, str]] | None = None,
) -> list[Event]:
    """Rows that say in a ledger which number and class identities have now.

    Args:
        events: Of the ledger, for the times of the identities.
        rekeyed: New number of each joined identity.
        stream: Whose identities they are; empty where the records do not say, and the ledger has one stream.
        named: Class of the new numbers, where they are known.
        reclassified: Old and new class by number.
    """
    last: dict[int, Event] = {}
    for event in events:
        known = last.get(event.identity)
        if stream in {"", event.stream} and (known is None or event.time_s >= known.time_s):
            last[event.identity] = event
    taken = {event.key: event for event in events}
    found = []
    for identity, number in sorted(rekeyed.items()):
        if identity in last:
            name = (named or {}).get(number, last[identity].class_name)
            found.append(_told(last[identity], taken, "rekeyed", number, name, was_identity=identity))
    for number, (old, new) in sorted((reclassified or {}).items()):
        of_number = [one for one in (number, *rekeyed) if one in last and rekeyed.get(one, one) == number]
        if of_number:
            latest = max((last[one] for one in of_number), key=lambda event: event.time_s)
            found.append(_told(latest, taken, "reclassified", number, new, was_class=old))
    return found


def _told(
    last: Event,
    taken: dict[str, Event],
    kind: EventKind,
    number: int,
    name: str,
    *,
    was_identity: int = 0,
    was_class: str = "",
) -> Event:
    """A row behind the last one of an identity, a millisecond later where another correction has that key."""
    from tracker.events import Event

    event = Event(
        kind=kind,
        stream=last.stream,
        time_s=last.time_s,
        utc_ms=last.utc_ms,
        identity=number,
        was_identity=was_identity,
        class_name=name,
        was_class=was_class,
        revision=last.revision,
    )
    while event.key in taken:
        other = taken[event.key]
        if (other.was_identity, other.class_name) == (was_identity, name):
            return event  # it was told before
        utc_ms = None if event.utc_ms is None else event.utc_ms + 1
        event = replace(event, time_s=round(event.time_s + 0.001, 6), utc_ms=utc_ms)
    taken[event.key] = event
    return event


def _tracks(path: Path) -> list[Track]:
    rows = []
    for frame in read_rows(path):
        if frame.time_s is None:
            problem = "expected records with times, found frame numbers only"
            raise SourceError(path, problem, "write JSON Lines, CSV or Parquet with track --records")
        rows.append((frame.time_s, frame.ids, frame.boxes.astype(np.float64), frame.classes))
    if not rows:
        raise SourceError(path, "expected rows of identities, found none", "name what track --records wrote")
    return tracks_of(rows)
