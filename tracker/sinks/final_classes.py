"""Final classes in text records: the last class that a file gives an identity, written into all of its rows.

An identity's class is a vote over its life, so it is known when the recording ends. Rows are written with the vote so
far, which is what a killed process leaves; at the end the file is copied line by line with the last class of every
identity. In memory is one number and one class per identity.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable

    from tracker.sinks.part_file import PartFile
    from tracker.types import TrackedFrame

__all__ = ["ClassWatch", "write_final_classes"]


class ClassWatch:
    """Notes whether some identity's vote changed, so that most short files need no copy."""

    def __init__(self) -> None:
        self.changed = False
        self._first: dict[int, int] = {}

    def see(self, tracked_frame: TrackedFrame) -> None:
        """Look at the identities of the next frame."""
        tracks = tracked_frame.tracks
        if tracks is None or self.changed:
            return
        for identity, class_id in zip(tracks.ids.tolist(), tracks.class_ids.tolist(), strict=True):
            if self._first.setdefault(identity, class_id) != class_id:
                self.changed = True
                self._first = {}
                return


def write_final_classes(
    part: PartFile,
    pattern: re.Pattern[bytes],
    rows: Callable[[Iterable[bytes]], Iterable[bytes]] = iter,
    *,
    then_mark: bytes = b"",
    then_cell: bytes = b"",
) -> None:
    """Copy a finished part file with the last class of every identity in all of its rows.

    Args:
        part: Complete and not yet published; goes on with the copy.
        pattern: Matches a row at its beginning, with the groups ``id`` and ``class``; what it does not match is copied.
        rows: Puts the lines of a file together into rows.
        then_mark: Between the final class and the one that stood there, which is kept; empty = it is not.
        then_cell: The empty cell that the latter takes, behind the class.

    Raises:
        OSError: The system refuses; the part file is as it was.
    """
    last: dict[bytes, bytes] = {}
    changed = False
    with io.BufferedReader(part.open()) as file:
        for row in rows(file):
            if (match := pattern.match(row)) is not None:
                identity, name = match.group("id", "class")
                changed |= last.get(identity, name) != name
                last[identity] = name
    if not changed:
        return
    with part.rewriting() as (source, target):
        for row in rows(source):
            target.write(_finished(row, pattern, last, then_mark=then_mark, then_cell=then_cell))


def _finished(
    row: bytes, pattern: re.Pattern[bytes], last: dict[bytes, bytes], *, then_mark: bytes, then_cell: bytes
) -> bytes:
    match = pattern.match(row)
    if match is None or match["class"] == last[match["id"]]:
        return row
    start, end = match.span("class")
    rest = row[end:]
    if then_mark:
        rest = then_mark + match["class"] + rest.removeprefix(then_cell)
    return row[:start] + last[match["id"]] + rest
