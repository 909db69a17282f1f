"""Ground contacts of a stream's frames, packed: all that lines and zones ask of a frame, some 200 bytes each.

The engine packs a second of frames at a time; the dashboard keeps the last minutes and unpacks them when a changed site
is tried on them. What is unpacked gives the same events as the frames themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.contacts import Contacts, box_contacts
from tracker.events import OUTAGE_KINDS, Event
from tracker.types import Frame, Instances, TrackedFrame, Tracks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["ContactNote", "ends_s", "note_of", "pack", "unpack", "utc_ends_ms"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactNote:
    """What is kept of a frame until it is packed: its small arrays, neither picture nor masks."""

    time_s: float
    captured_at: datetime | None
    size: tuple[int, int]
    contacts: Contacts
    tracks: Tracks
    outages: tuple[Event, ...]


def note_of(tracked: TrackedFrame) -> ContactNote | None:
    """The note of a frame; ``None`` without tracks or contacts."""
    if tracked.tracks is None or tracked.contacts is None:
        return None
    return ContactNote(
        time_s=tracked.frame.time_s,
        captured_at=tracked.frame.captured_at,
        size=tracked.frame.size,
        contacts=tracked.contacts,
        tracks=tracked.tracks,
        outages=tuple(event for event in tracked.events if event.kind in OUTAGE_KINDS),
    )


_COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("counts", "<i4", 4),  # of instances, tracks, ended and earlier rows
    ("time_s", "<f8", 1),
    ("utc_ms", "<i8", 1),  # -1 = not known
    ("points", "<f4", 2),  # of instances, as shares of the picture
    ("states", "<i1", 1),
    ("ids", "<i8", 1),
    ("rows", "<i2", 1),
    ("classes", "<i2", 1),
    ("ages_s", "<f4", 1),
    ("feet", "<f4", 2),  # middles of the tracks' lower edges, as shares
    ("ended", "<i8", 1),
    ("earlier", "<i8", 3),
)
"""Name, type and columns of each array, one after another; all frames of a batch stand together."""


def pack(notes: Sequence[ContactNote]) -> tuple[dict[str, Any], bytes]:
    """A batch of frames of one picture size, as header and bytes."""
    tracks = [note.tracks for note in notes]
    share = 1 / np.array(notes[0].size, np.float64)
    boxes = np.concatenate([one.boxes for one in tracks]).astype(np.float64)
    arrays: dict[str, Any] = {
        "counts": [[len(n.contacts.states), len(n.tracks), len(n.tracks.ended_ids), len(n.tracks.earlier_rows)]
                   for n in notes],
        "time_s": [note.time_s for note in notes],
        "utc_ms": [_utc_ms(note.captured_at) for note in notes],
        "points": np.concatenate([note.contacts.points for note in notes]) * share,
        "states": np.concatenate([note.contacts.states for note in notes]),
        "ids": np.concatenate([one.ids for one in tracks]),
        "rows": np.concatenate([one.detection_rows for one in tracks]),
        "classes": np.concatenate([one.class_ids for one in tracks]),
        "ages_s": np.concatenate([one.ages_s for one in tracks]),
        "feet": box_contacts(boxes) * share,
        "ended": np.concatenate([one.ended_ids for one in tracks]),
        "earlier": np.concatenate([one.earlier_rows for one in tracks]),
    }  # fmt: skip
    body = b"".join(np.asarray(arrays[name]).astype(kind).tobytes() for name, kind, _ in _COLUMNS)
    outages = [
        [number, event.kind, event.time_s, event.since_s] for number, note in enumerate(notes) for event in note.outages
    ]
    header = {"frames": len(notes), "size": list(notes[0].size), "outages": outages}
    return header, body


def ends_s(header: Mapping[str, Any], body: bytes) -> tuple[float, float] | None:
    """Media times of the first and the last frame of a batch; ``None`` where it has none.

    Raises:
        ValueError: The bytes are not those of the header's batch.
    """
    times_s = _arrays(body, int(header["frames"]))["time_s"]
    return (float(times_s[0, 0]), float(times_s[-1, 0])) if len(times_s) else None


def utc_ends_ms(header: Mapping[str, Any], body: bytes) -> tuple[int, int] | None:
    """Wall clock of the first and the last frame of a batch that has some; ``None`` where it is not known.

    Raises:
        ValueError: The bytes are not those of the header's batch.
    """
    first, last = _arrays(body, int(header["frames"]))["utc_ms"][[0, -1], 0].tolist()
    return None if min(first, last) < 0 else (first, last)


def unpack(
    header: Mapping[str, Any], body: bytes, *, stream: str, class_names: Sequence[str]
) -> Iterator[TrackedFrame]:
    """The frames of a batch, with contacts and tracks and with instances that are only counted.

    Raises:
        ValueError: The bytes are not those of the header's batch.
    """
    count = int(header["frames"])
    width, height = (int(side) for side in header["size"])
    arrays = _arrays(body, count)
    size_px = np.array([width, height], np.float64)
    outages: dict[int, list[Event]] = {}
    for number, kind, time_s, since_s in header["outages"]:
        outages.setdefault(number, []).append(Event(kind=kind, stream=stream, time_s=time_s, since_s=since_s))
    starts = np.concatenate([np.zeros((1, 4), np.int64), np.cumsum(arrays["counts"], axis=0)])
    for number in range(count):
        (i0, t0, d0, e0), (i1, t1, d1, e1) = starts[number].tolist(), starts[number + 1].tolist()
        utc_ms = int(arrays["utc_ms"][number, 0])
        feet = arrays["feet"][t0:t1] * size_px
        frame = Frame(
            index=number,
            time_s=float(arrays["time_s"][number, 0]),
            arrived_s=0.0,
            source=stream,
            size=(width, height),
            captured_at=None if utc_ms < 0 else datetime.fromtimestamp(utc_ms / 1000, UTC),
        )
        yield TrackedFrame(
            frame=frame,
            instances=_counted(i1 - i0),
            tracks=Tracks(
                ids=arrays["ids"][t0:t1, 0],
                detection_rows=arrays["rows"][t0:t1, 0].astype(np.int64),
                boxes=np.concatenate([feet, feet], axis=1).astype(np.float32),
                velocities=np.zeros((t1 - t0, 2), np.float32),
                class_ids=arrays["classes"][t0:t1, 0].astype(np.int64),
                scores=np.ones(t1 - t0, np.float32),
                ages_s=arrays["ages_s"][t0:t1, 0],
                ended_ids=arrays["ended"][d0:d1, 0],
                earlier_rows=arrays["earlier"][e0:e1],
            ),
            class_names=class_names,
            contacts=Contacts(
                points=arrays["points"][i0:i1] * size_px, states=arrays["states"][i0:i1, 0].astype(np.int8)
            ),
            events=tuple(outages.get(number, ())),
        )


def _arrays(body: bytes, count: int) -> dict[str, NDArray[Any]]:
    """The arrays of :data:`_COLUMNS`, each ``(rows, columns)``."""
    found: dict[str, NDArray[Any]] = {}
    place = 0
    totals = [0, 0, 0, 0]
    for number, (name, kind, columns) in enumerate(_COLUMNS):
        which = (-1, -1, -1, 0, 0, 1, 1, 1, 1, 1, 2, 3)[number]
        rows = count if which < 0 else totals[which]
        length = rows * columns * np.dtype(kind).itemsize
        if place + length > len(body):
            message = f"contacts: expected {place + length} bytes and more, found {len(body)}"
            raise ValueError(message)
        found[name] = np.frombuffer(body, kind, rows * columns, place).reshape(rows, columns)
        place += length
        if name == "counts":
            totals = found["counts"].sum(axis=0).tolist()
    if place != len(body):
        message = f"contacts: expected {place} bytes, found {len(body)}"
        raise ValueError(message)
    return found


def _counted(count: int) -> Instances:
    return Instances(
        boxes=np.zeros((count, 4), np.float32), scores=np.ones(count, np.float32), class_ids=np.zeros(count, np.int64)
    )


def _utc_ms(moment: datetime | None) -> int:
    return -1 if moment is None else round(moment.timestamp() * 1000)
