"""Rows of records by frame, and the columns of many frames that they are slices of."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import DetectionsError
from tracker.formats.notes import CONTACT_STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["STATES", "FrameRows", "RowColumns", "checked_note", "no_rows"]

STATES = {name: number for number, name in enumerate(CONTACT_STATES)}
TRACK_AGAIN = "write the records again with masktrail track"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRows:
    """All rows of one frame.

    Attributes:
        place: Where they begin, for errors.
        index: Of the frame, from 0.
        time_s: Media time; ``None`` where the file has frame numbers only.
        ids: ``(N,)`` identities.
        classes: ``N`` names, by vote so far.
        boxes: ``(N, 4)`` xyxy in image pixels.
        ages_s: ``(N,)``; 0 where the file has none.
        coasting: ``(N,)`` predicted and not seen.
        points: ``(N, 2)`` ground contacts in image pixels; ``None`` where a row has none.
        states: ``(N,)`` :class:`tracker.contacts.ContactState`.
        head: Notes of the frame; ``None`` where there are none.
        earlier: Contacts before the confirmation, by identity.
    """

    place: str
    index: int
    time_s: float | None
    ids: NDArray[np.int64]
    classes: Sequence[str]
    boxes: NDArray[np.float32]
    ages_s: NDArray[np.float32]
    coasting: NDArray[np.bool_]
    points: NDArray[np.float64] | None = None
    states: NDArray[np.int8] | None = None
    head: dict[str, Any] | None = None
    earlier: dict[int, Any] = field(default_factory=dict)


class RowColumns:
    """Columns of many rows as arrays, of which frames are slices; absent ones are those of files of others.

    Args:
        columns: By name.
    """

    def __init__(self, columns: dict[str, Any]) -> None:
        count = len(columns["frame"])
        self.frames = columns["frame"]
        self.times_s = columns.get("time_s")
        ids = columns["id"]
        self.nameless = np.isnan(ids) if ids.dtype.kind == "f" else np.zeros(count, np.bool_)
        self.ids = np.where(self.nameless, 0, ids).astype(np.int64)
        self.classes = columns["class"]
        if "class_then" in columns:
            then = columns["class_then"]
            self.classes = np.where(then.astype(np.bool_), then, self.classes)
        self.names = self.classes.tolist()
        self.boxes = np.stack([columns[name] for name in ("x1", "y1", "x2", "y2")], axis=1).astype(np.float32)
        ages_s = columns.get("age_s", np.zeros(count))
        self.ages_s = np.nan_to_num(ages_s.astype(np.float64)).astype(np.float32)
        self.coasting = columns["coasting"].astype(np.bool_) if "coasting" in columns else np.zeros(count, np.bool_)
        self.points = np.full((count, 2), np.nan)
        self.states = np.zeros(count, np.int8)
        if "contact_x" in columns:
            self.points = np.stack([columns["contact_x"], columns["contact_y"]], axis=1).astype(np.float64)
            states = columns["contact_state"]
            if states.dtype != np.int8:
                states = np.array([STATES.get(name, 1) for name in states.tolist()], np.int8)
            self.states = states
        self.unknown = np.isnan(self.points).any(axis=1)
        self.notes = columns["notes"].tolist() if "notes" in columns else None
        self._parsed: dict[str, dict[str, Any]] = {}

    def frame(self, place: str, low: int, high: int) -> FrameRows:
        """The rows of one frame.

        Raises:
            DetectionsError: A row has no identity, or its notes are damaged.
        """
        rows = slice(low, high)
        if np.count_nonzero(self.nameless[rows]):
            raise no_rows(place, {"frame": 0, "id": None}, ValueError("no id"))
        known = not np.count_nonzero(self.unknown[rows])
        try:
            notes = [] if self.notes is None else [self._note(text) if text else None for text in self.notes[rows]]
        except ValueError as failure:
            raise DetectionsError(place, f"expected notes as an object, found {failure}", TRACK_AGAIN) from failure
        ids = self.ids[rows]
        return FrameRows(
            place=place,
            index=int(self.frames[low]),
            time_s=None if self.times_s is None else float(self.times_s[low]),
            ids=ids,
            classes=self.names[rows],
            boxes=self.boxes[rows],
            ages_s=self.ages_s[rows],
            coasting=self.coasting[rows],
            points=self.points[rows] if known else None,
            states=self.states[rows] if known else None,
            head=notes[0] if notes else None,
            earlier={int(ids[n]): own["earlier"] for n, own in enumerate(notes) if own and "earlier" in own},
        )

    def _note(self, text: str | dict[str, Any]) -> dict[str, Any]:
        """Notes of a row; as texts most are the same as those before."""
        if not isinstance(text, str):
            return checked_note(text)
        found = self._parsed.get(text)
        if found is None:
            found = checked_note(text)
            self._parsed = {text: found}
        return found


def checked_note(value: Any) -> dict[str, Any]:
    """Notes of a row as they stand there: an object, or JSON text of one, whose size is that of a picture.

    Raises:
        ValueError: They are not.
    """
    note = json.loads(value) if isinstance(value, str) else value
    if not isinstance(note, dict):
        message = f"{json.dumps(note)[:40]}, which is none"
        raise ValueError(message)  # noqa: TRY004 - like what json raises
    size = note.get("size", [1, 1])
    if not isinstance(size, list) or len(size) != 2 or not all(type(one) is int and one > 0 for one in size):
        message = f"the size {json.dumps(size)[:40]}, which is no width and height in pixels"
        raise ValueError(message)
    return note


def no_rows(place: str, row: dict[str, Any], failure: Exception) -> DetectionsError:
    """What is wrong with the rows of a frame."""
    if "key" in row and "kind" in row:
        return DetectionsError(place, "expected rows of tracks, found a ledger of events", "name the records")
    if "frame" in row and row.get("id", 0) is None:
        problem = "expected rows of identities, found rows without any (segmented, not tracked)"
        return DetectionsError(place, problem, "masktrail track the recording, or name the .instances")
    missing = f"no {failure}" if isinstance(failure, KeyError) else str(failure)
    problem = f"expected rows with frame, time_s, id, class and box, found {missing}"
    return DetectionsError(place, problem, "check the file, or leave the row out")
