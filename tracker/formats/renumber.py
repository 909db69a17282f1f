"""Renumbering of records: rows under other numbers and classes, or left out, with the notes of their frames."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from tracker.formats.whole_rows import WholeRow

    Numbers = Mapping[int, Sequence[tuple[float, int | None]]]
    """For each identity ``(from_s, number)`` in order of time; ``None`` = its rows are left out."""

__all__ = ["Renumbering", "next_revision"]

GAP_S = 2.0
"""Seconds between two frames without rows from which the camera was out, as where notes are made."""
HEAD = ("v", "stream", "size", "captured_us", "start_ms", "ended", "quiet", "camera", "occluders", "seen_only")
ORDER = defaultdict(lambda: len(HEAD), {name: place for place, name in enumerate(HEAD)})
TOLD_BEHIND = ("ended", "quiet", "camera")
"""What notes tell of the time since the last frame with rows."""


class Renumbering:
    """New numbers and classes of rows, frame by frame in order of time.

    Args:
        numbers: For each identity ``(from_s, number)`` in order of time; before the first the first holds. Negative
            identities stand for rows that were added.
        classes: Final class by new number, where it changes; the vote at a row's time stays beside it.
        last_s: Last time of each new number.
        extended: New numbers of which rows that were added are the last.
    """

    def __init__(
        self,
        numbers: Numbers,
        classes: Mapping[int, str],
        last_s: Mapping[int, float],
        extended: Collection[int] = (),
    ) -> None:
        self._numbers, self._classes, self._last_s = numbers, classes, last_s
        self._starts = {one: [from_s for from_s, _ in parts] for one, parts in numbers.items() if len(parts) > 1}
        lasting = {parts[-1][1] for identity, parts in numbers.items() if identity > 0}
        cut = {number for parts in numbers.values() for _, number in parts} - lasting | {*extended}
        # Notes tell the end of an identity, and so that of its last number, but not of those before it.
        self._untold = sorted((last_s.get(number, math.inf), number) for number in cut if number is not None)
        self._left_out: dict[str, list[Any]] = {name: [] for name in TOLD_BEHIND}

    def number(self, identity: int, time_s: float) -> int | None:
        """The new number of an identity's row; ``None`` = it is left out."""
        parts = self._numbers.get(identity)
        if parts is None:
            return identity
        if len(parts) == 1:
            return parts[0][1]
        return parts[max(bisect_right(self._starts[identity], time_s) - 1, 0)][1]

    def edit(self, rows: list[WholeRow]) -> list[WholeRow]:
        """The rows of a frame that stay, under their new numbers and classes."""
        time_s = float(rows[0].get("time_s"))
        head, sights = _parted(rows)
        kept = []
        for row, earlier in zip(rows, sights, strict=True):
            number = self.number(row.get("id"), time_s)
            if number is None:
                continue
            row.set("id", number)
            self._name(row, number)
            kept.append((row, {} if earlier is None else {"earlier": earlier}))
        if head is not None:
            told = self._told(head, time_s)
            if kept:
                kept[0] = (kept[0][0], told | kept[0][1])
                self._left_out = {name: [] for name in TOLD_BEHIND}
            else:
                self._left_out = {name: told.get(name, []) for name in TOLD_BEHIND}
                self._left_out["quiet"] = _added(self._left_out["quiet"], [[time_s, time_s, 1]])
        for row, notes in kept:
            row.set("notes", notes or None)
        return [row for row, _ in kept]

    def _name(self, row: WholeRow, number: int) -> None:
        if number in self._classes:
            final, voted = self._classes[number], row.get("class_then") or row.get("class")
            row.set("class", final)
            row.set("class_then", voted if voted != final else None)

    def _told(self, head: dict[str, Any], time_s: float) -> dict[str, Any]:
        """Notes of a frame: what goes on under its new number has not ended, what was left out is told later."""
        ended = {self.number(identity, time_s) for identity in head.get("ended", [])} - {None}
        left = {number for number in ended if number is not None and self._last_s.get(number, time_s) <= time_s}
        while self._untold and self._untold[0][0] < time_s:
            left.add(self._untold.pop(0)[1])
        found = head | {
            "ended": sorted({*self._left_out["ended"], *left}),
            "quiet": _added(self._left_out["quiet"], head.get("quiet", [])),
            "camera": self._left_out["camera"] + head.get("camera", []),
        }
        spoken = [name for name in found if found[name] or name not in TOLD_BEHIND]
        return {name: found[name] for name in sorted(spoken, key=ORDER.__getitem__)}


def next_revision(path: Path) -> Path:
    """The first name beside a file that is free: ``x.r2.jsonl`` of ``x.jsonl``, ``x.r3.jsonl`` after that."""
    stem = path.stem
    head, dot, number = stem.rpartition(".r")
    count = int(number) if dot and number.isdigit() else 1
    base = head if dot and number.isdigit() else stem
    while True:
        count += 1
        found = path.with_name(f"{base}.r{count}{path.suffix}")
        if not found.exists():
            return found


def _parted(rows: Sequence[WholeRow]) -> tuple[dict[str, Any] | None, list[Any]]:
    """Notes of the frame, ``None`` where there are none, and the earlier sights of each row."""
    notes = [row.get("notes") for row in rows]
    sights = [None if one is None else one.get("earlier") for one in notes]
    if notes[0] is None or "v" not in notes[0]:
        return None, sights
    return {name: value for name, value in notes[0].items() if name != "earlier"}, sights


def _added(quiet: Sequence[Sequence[float]], more: Sequence[Sequence[float]]) -> list[list[float]]:
    """Runs of frames without rows, and those behind them."""
    if not quiet or not more or more[0][0] - quiet[-1][1] >= GAP_S:
        return [list(run) for run in (*quiet, *more)]
    between = [quiet[-1][0], more[0][1], quiet[-1][2] + more[0][2]]
    return [list(run) for run in (*quiet[:-1], between, *more[1:])]
