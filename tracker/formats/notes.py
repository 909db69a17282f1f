"""Notes of a frame as values of a row, and back: what counting rows again needs beside them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, get_args

from tracker.events import EventKind
from tracker.formats.event_rows import plain_text
from tracker.recount import CameraNote, FrameNotes, Quiet, Sight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tracker.types import Frame

__all__ = ["CONTACT_STATES", "NOTES_VERSION", "camera_notes", "captured_at", "packed", "unpacked"]

CONTACT_STATES = ("seen", "hidden", "predicted")
"""By :class:`tracker.contacts.ContactState`."""
NOTES_VERSION = 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KINDS = frozenset(get_args(EventKind))


def packed(notes: FrameNotes, frame: Frame, *, coasting: bool = True) -> dict[int | None, dict[str, Any]]:
    """Plain values under ``None`` for the first row of the frame, and by identity for the first row of that.

    Args:
        notes: Of the frame.
        frame: Its size and wall clock go with them.
        coasting: Rows of identities that are predicted but not seen are written.
    """
    head: dict[str, Any] = {"v": NOTES_VERSION, "stream": plain_text(notes.stream), "size": list(frame.size)}
    if frame.captured_at is not None:
        head["captured_us"] = (frame.captured_at - EPOCH) // timedelta(microseconds=1)
    if notes.start_ms is not None:
        head["start_ms"] = notes.start_ms
    told = {
        "ended": list(notes.ended),
        "quiet": [list(one) for one in notes.quiet],
        "camera": [list(one) for one in notes.camera],
        "occluders": notes.occluders,
        "skipped": notes.skipped,
        "interpolated": notes.interpolated,
        "seen_only": not coasting,
    }
    head |= {name: value for name, value in told.items() if value}
    found: dict[int | None, dict[str, Any]] = {None: head}
    for identity, sights in notes.earlier.items():
        found[identity] = {"earlier": [list(sight) for sight in sights]}
    return found


def unpacked(head: Mapping[str, Any], earlier: Mapping[int, Any]) -> FrameNotes:
    """The reverse.

    Args:
        head: Of the frame's first row.
        earlier: What rows have under ``earlier``, by identity.

    Raises:
        ValueError: A value is missing or of the wrong kind, or from a newer version; says what was expected and found.
    """
    version = head.get("v")
    if not isinstance(version, int):
        raise ValueError(f"expected notes with the version v, found {version!r}")  # noqa: TRY004 - the file is wrong
    if version > NOTES_VERSION:
        raise ValueError(f"expected notes up to version {NOTES_VERSION}, found {version}: a newer masktrail")
    try:
        camera = camera_notes(head.get("camera", ()))
        return FrameNotes(
            stream=str(head["stream"]),
            start_ms=_maybe(int, head.get("start_ms")),
            earlier={
                identity: tuple(Sight(float(t), float(x), float(y)) for t, x, y in sights)
                for identity, sights in earlier.items()
            },
            ended=tuple(int(identity) for identity in head.get("ended", ())),
            quiet=tuple(Quiet(float(first), float(last), int(count)) for first, last, count in head.get("quiet", ())),
            camera=camera,
            occluders=str(head.get("occluders", "")),
            skipped=int(head.get("skipped", 0)),
            interpolated=bool(head.get("interpolated", False)),
        )
    except (KeyError, TypeError, ValueError) as failure:
        raise ValueError(f"expected notes as masktrail writes them, found {failure}") from failure


def camera_notes(values: Iterable[Sequence[Any]]) -> tuple[CameraNote, ...]:
    """States of the camera from plain values.

    Raises:
        ValueError: A value is missing or of the wrong kind; so does TypeError.
    """
    camera = tuple(
        CameraNote(float(frame_s), kind, float(time_s), _maybe(float, since_s), _maybe(int, utc_ms))
        for frame_s, kind, time_s, since_s, utc_ms in values
    )
    if unknown := {note.kind for note in camera} - KINDS:
        raise ValueError(f"a state of the camera {sorted(unknown)}")
    return camera


def captured_at(head: Mapping[str, Any]) -> datetime | None:
    """When the frame was captured, where its notes say so."""
    found = head.get("captured_us")
    return None if found is None else EPOCH + timedelta(microseconds=int(found))


def _maybe(make: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else make(value)
