"""Rows of JSON Lines read back, frame by frame.

Lines are decoded into typed rows without the values that counting does not look at. Where a line of a chunk is none of
these (blank, damaged, of another program), the chunk is parsed value by value, which is slower and says what is wrong.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from tracker.errors import DetectionsError
from tracker.formats.frame_rows import STATES, FrameRows, RowColumns, checked_note, no_rows
from tracker.formats.row_faults import fault_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["read_json_rows"]

CHUNK_BYTES = 1 << 18
NAMES = (
    "frame",
    "time_s",
    "id",
    "class",
    "class_then",
    "box",
    "age_s",
    "coasting",
    "contact",
    "contact_state",
    "notes",
)
VALUES = itemgetter(*NAMES)
DEFAULTS: dict[str, Any] = {
    "class_then": None, "age_s": None, "coasting": False, "contact": None, "contact_state": None, "notes": None,
}  # fmt: skip
NO_CONTACT = (np.nan, np.nan)
MASK = b',"mask":'


class _Row(msgspec.Struct, gc=False):
    """What counting looks at in a row."""

    frame: int
    time_s: float
    id: int
    class_name: str = msgspec.field(name="class")
    box: tuple[float, float, float, float]
    class_then: str | None = None
    age_s: float | None = None
    coasting: bool = False
    contact: tuple[float, float] | None = None
    contact_state: Literal["seen", "hidden", "predicted"] | None = None
    notes: dict[str, Any] | None = None


TYPED_VALUES = attrgetter(*("class_name" if name == "class" else name for name in NAMES))
DECODER = msgspec.json.Decoder(_Row)


@dataclass(slots=True, kw_only=True)
class _Chunk:
    """Rows of some lines that follow each other.

    Attributes:
        numbers: Of their lines.
        frames: Their frame numbers, as they are written.
        columns: Of the rows; ``None`` where a value is missing or of another kind.
        objects: The same where columns are not known, so that a frame says which row it is.
    """

    numbers: Sequence[int]
    frames: Sequence[Any]
    columns: RowColumns | None
    objects: Sequence[dict[str, Any]] = ()

    def last_frame(self) -> int:
        """Where the rows of the last frame begin."""
        last = self.frames[-1] if self.frames else None
        return next((n for n in range(len(self.frames), 0, -1) if self.frames[n - 1] != last), 0)

    def read(self, path: Path, count: int) -> Iterator[FrameRows]:
        """The frames of the first ``count`` rows."""
        frames = self.frames
        cuts = [0, *(n for n in range(1, count) if frames[n] != frames[n - 1]), count] if count else []
        for low, high in itertools.pairwise(cuts):
            place = f"{path}:{self.numbers[low]}"
            if self.columns is None:
                for number, row in zip(self.numbers[low:high], self.objects[low:high], strict=True):
                    if fault := fault_of(row):
                        raise DetectionsError(f"{path}:{number}", fault, "check the file, or leave the row out")
                yield _frame_of_objects(place, self.objects[low:high])
            else:
                yield self.columns.frame(place, low, high)


def read_json_rows(path: Path) -> Iterator[FrameRows]:
    """The frames of a file of JSON Lines that have rows, in its order.

    Raises:
        DetectionsError: A row is damaged, has no identity, or is none of a record.
        OSError: The file cannot be read.
    """
    first, rest = 1, list[bytes]()
    with path.open("rb") as file:
        # As much again as is left over: a frame of any length is read in few steps.
        while more := file.readlines(max(CHUNK_BYTES, sum(map(len, rest)))):
            lines = [*rest, *more]
            chunk = _typed(first, lines) or _untyped(path, first, lines)
            whole = chunk.last_frame()  # which may go on
            yield from chunk.read(path, whole)
            done = chunk.numbers[whole] - first if chunk.frames else len(lines)
            first, rest = first + done, lines[done:]
    if rest:
        chunk = _typed(first, rest) or _untyped(path, first, rest)
        yield from chunk.read(path, len(chunk.frames))


def _typed(first: int, lines: list[bytes]) -> _Chunk | None:
    """Rows of lines from number ``first`` on, ``None`` where one is no row."""
    decode = DECODER.decode
    try:
        values = list(zip(*map(TYPED_VALUES, [decode(line) for line in lines]), strict=True))
        for line in lines:
            if not line.isascii():
                line.decode()  # values that are left out are checked too
        columns = RowColumns(_columns(values))
    except (msgspec.MsgspecError, KeyError, OverflowError, TypeError, ValueError):
        return None
    return _Chunk(numbers=range(first, first + len(lines)), frames=values[0], columns=columns)


def _untyped(path: Path, first: int, lines: list[bytes]) -> _Chunk:
    """The same of lines of any objects."""
    filled = [(number, line) for number, line in enumerate(lines, first) if not line.isspace()]
    objects = [_parsed(path, number, line) for number, line in filled]
    try:
        values = list(zip(*(VALUES(DEFAULTS | row) for row in objects), strict=True))
        columns = RowColumns(_columns(values)) if objects and not any(map(fault_of, objects)) else None
    except (KeyError, OverflowError, TypeError, ValueError):
        columns = None  # one of the frames says which row it is
    return _Chunk(
        numbers=[number for number, _ in filled],
        frames=[row.get("frame") for row in objects],
        columns=columns,
        objects=objects,
    )


def _parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    """The object of a line; of one that is cut in its mask, the part before it.

    What is no strict JSON is left to ``json``, which takes NaN and a byte order mark.
    """
    cut = line.find(MASK)
    row = None
    for parse, text in (
        (msgspec.json.decode, line),
        (json.loads, line[:cut] + b"}" if cut >= 0 else b""),
        (json.loads, line),
    ):
        with contextlib.suppress(ValueError):
            row = parse(text)
            break
    if not isinstance(row, dict):
        problem = f"expected a JSON object, found {line.decode('utf-8', 'replace').strip()[:60]!r}"
        raise DetectionsError(f"{path}:{number}", problem, "check the file, or leave the row out")
    return row


def _columns(values: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Columns of rows, from the ``values`` of :data:`NAMES`.

    Raises:
        KeyError, OverflowError, TypeError, ValueError: A value is missing, out of range or of another kind.
    """
    frames, times_s, ids, names, then, boxes, ages_s, coasting, contacts, states, notes = values
    count = len(frames)
    if None in times_s:
        raise TypeError("no time_s")
    if "" in names or min(ids, default=0) < 0 or min(frames, default=0) < 0:
        raise ValueError("out of range")
    unknown = [NO_CONTACT if contact is None else contact for contact in contacts] if None in contacts else contacts
    edges = np.array(boxes, np.float64).reshape(count, 4).T
    points = np.array(unknown, np.float64).reshape(count, 2).T
    known = [contact is None or state in STATES for contact, state in zip(contacts, states, strict=True)]
    if not all(known):
        raise KeyError("contact_state")
    return {
        "frame": np.array(frames, np.int64),
        "time_s": np.array(times_s, np.float64),
        "id": np.array(ids, np.int64),
        "class": np.array([one or name for one, name in zip(then, names, strict=True)], object),
        **dict(zip(("x1", "y1", "x2", "y2"), edges, strict=True)),
        "age_s": np.array([age_s or 0.0 for age_s in ages_s], np.float64),
        "coasting": np.array(coasting, np.bool_),
        "contact_x": points[0],
        "contact_y": points[1],
        "contact_state": np.array([STATES.get(state, 1) for state in states], np.int8),
        "notes": np.array(notes, object),
    }


def _frame_of_objects(place: str, rows: Sequence[dict[str, Any]]) -> FrameRows:
    """The rows of one frame."""
    try:
        known = all(row.get("contact") is not None for row in rows)
        notes = [checked_note(row["notes"]) if row.get("notes") else None for row in rows]
        ids = [int(row["id"]) for row in rows]
        return FrameRows(
            place=place,
            index=int(rows[0]["frame"]),
            time_s=float(rows[0]["time_s"]),
            ids=np.array(ids, np.int64),
            classes=[row.get("class_then") or row["class"] for row in rows],
            boxes=np.array([row["box"] for row in rows], np.float32).reshape(-1, 4),
            ages_s=np.array([row.get("age_s") or 0.0 for row in rows], np.float32),
            coasting=np.array([row.get("coasting", False) for row in rows], np.bool_),
            points=np.array([row["contact"] for row in rows], np.float64).reshape(-1, 2) if known else None,
            states=np.array([STATES[row["contact_state"]] for row in rows], np.int8) if known else None,
            head=notes[0],
            earlier={ids[n]: own["earlier"] for n, own in enumerate(notes) if own and "earlier" in own},
        )
    except (KeyError, OverflowError, TypeError, ValueError) as failure:
        raise no_rows(place, rows[0], failure) from failure
