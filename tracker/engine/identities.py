"""Identities of finished records: what is doubtful about them, and new revisions with identities joined and split."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracker.errors import ConfigError, SourceError
from tracker.formats.renumber import Renumbering, next_revision, renumber
from tracker.formats.row_files import read_rows
from tracker.refine.doubts import joins, renumbered, splits, tracks_of
from tracker.sinks.part_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tracker.events import Event
    from tracker.refine.doubts import Join, Split, Track

__all__ = ["Doubts", "Revision", "doubts", "rekeyed_events", "revise"]


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
    """

    path: Path
    numbers: dict[int, list[tuple[float, int]]]
    before: int
    after: int


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
    for track in tracks:
        renumbering = Renumbering(numbers, {}, {})
        for time_s, name in zip(track.times_s.tolist(), track.classes, strict=True):
            number = renumbering.number(track.identity, time_s)
            votes.setdefault(number, Counter())[name] += 1
            last_s[number] = max(last_s.get(number, time_s), time_s)
    touched = {number for parts in numbers.values() if len(parts) > 1 for _, number in parts}
    touched |= {parts[0][1] for identity, parts in numbers.items() if parts[0][1] != identity}
    classes = {number: votes[number].most_common(1)[0][0] for number in touched if number in votes}
    target = next_revision(path)
    write_whole(target, renumber(path, Renumbering(numbers, classes, last_s)))
    return Revision(path=target, numbers=numbers, before=len(tracks), after=len(votes))


def rekeyed_events(revision: Revision, events: Sequence[Event]) -> list[Event]:
    """Rows that say in a ledger which number each joined identity has now.

    Args:
        revision: Without splits: what one number counted cannot be divided afterwards.
        events: Of the ledger, for the times of the identities.

    Raises:
        ConfigError: There are splits.
    """
    from tracker.events import Event

    if any(len(parts) > 1 for parts in revision.numbers.values()):
        problem = "expected joined identities only, found a split"
        remedy = f"count again: masktrail analyse {revision.path} --site SITE --out LEDGER --revise"
        raise ConfigError("--events", problem, remedy)
    found = []
    for identity, [(_, number)] in sorted(revision.numbers.items()):
        rows = [event for event in events if event.identity == identity]
        if number != identity and rows:
            last = max(rows, key=lambda event: event.time_s)
            found.append(
                Event(
                    kind="rekeyed",
                    stream=last.stream,
                    time_s=last.time_s,
                    utc_ms=last.utc_ms,
                    identity=number,
                    was_identity=identity,
                    class_name=last.class_name,
                    revision=last.revision,
                )
            )
    return found


def _tracks(path: Path) -> list[Track]:
    rows = []
    for frame in read_rows(path):
        if frame.time_s is None:
            problem = "expected records with times, found frame numbers only"
            raise SourceError(path, problem, "write JSON Lines, CSV or Parquet with track --records")
        rows.append((frame.time_s, frame.ids, frame.boxes, frame.classes))
    if not rows:
        raise SourceError(path, "expected rows of identities, found none", "name what track --records wrote")
    return tracks_of(rows)
