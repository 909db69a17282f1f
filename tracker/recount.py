"""Notes of a tracked frame: what its rows do not say and what counting them again needs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tracker.events import OUTAGE_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tracker.events import Event, EventKind
    from tracker.site import Occluder

__all__ = ["CameraNote", "FrameNotes", "Quiet", "Sight", "notes_of_camera", "occluder_mark"]


class Sight(NamedTuple):
    """A ground contact that was seen.

    Attributes:
        time_s: Media time.
        x, y: In image pixels.
    """

    time_s: float
    x: float
    y: float


class Quiet(NamedTuple):
    """Frames without a row, one after another and without an outage between them.

    Attributes:
        first_s, last_s: Media time of the first and the last of them.
        frames: How many there were.
    """

    first_s: float
    last_s: float
    frames: int


class CameraNote(NamedTuple):
    """What the camera's own state became.

    Attributes:
        frame_s: Media time of the frame that brought it.
        kind, time_s, since_s, utc_ms: As in the event.
    """

    frame_s: float
    kind: EventKind
    time_s: float
    since_s: float | None
    utc_ms: int | None


def notes_of_camera(events: Iterable[Event], frame_s: float) -> tuple[CameraNote, ...]:
    """What events say of the camera itself, but for gaps, which the times of the frames tell.

    Args:
        events: Of any kind.
        frame_s: Media time of the frame that brought them.
    """
    return tuple(
        CameraNote(frame_s, event.kind, event.time_s, event.since_s, event.utc_ms)
        for event in events
        if event.kind in OUTAGE_KINDS and event.kind != "gap"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameNotes:
    """Of one frame with rows, and of the frames without any before it.

    Attributes:
        stream: Name of the camera or recording, as in its events.
        start_ms: UTC in milliseconds at media time 0, where that was declared.
        earlier: Contacts seen before the confirmation, of identities that were confirmed in this frame.
        ended: Identities that ended since the last frame with rows.
        quiet: Frames without rows since then.
        camera: States of the camera since then.
        occluders: :func:`occluder_mark` of those with which hidden contacts were told; empty = none.
        skipped: Frames, of those without rows, that were not segmented because nothing moved and no track lived.
        interpolated: The frame itself was not segmented; its rows lie between those of the frames before and after.
    """

    stream: str
    start_ms: int | None = None
    earlier: Mapping[int, tuple[Sight, ...]] = field(default_factory=dict)
    ended: tuple[int, ...] = ()
    quiet: tuple[Quiet, ...] = ()
    camera: tuple[CameraNote, ...] = ()
    occluders: str = ""
    skipped: int = 0
    interpolated: bool = False


def occluder_mark(occluders: Iterable[Occluder]) -> str:
    """Eight letters that are the same for the same outlines; empty where there are none."""
    outlines = sorted(tuple(occluder.polygon) for occluder in occluders)
    return hashlib.sha256(repr(outlines).encode()).hexdigest()[:8] if outlines else ""
