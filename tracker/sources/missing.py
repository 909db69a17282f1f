"""Frames of a recording that did not come, by what its container says: their number, their packets, their length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Received", "missing_frames"]

ONE_PICTURE_A_PACKET = frozenset(
    {"apng", "av1", "ffv1", "gif", "h264", "hevc", "mjpeg", "mpeg1video", "mpeg2video", "png", "rawvideo", "vp9"}
)
"""Codecs of which every packet that is to be shown gives a picture, fields apart. MPEG-4 packs two in one, and VP8 has
packets that are never shown."""

EXACT_LENGTHS = frozenset({"flv", "matroska,webm"})
"""Formats whose length is that of the pictures where there is no sound; elsewhere it may be rounded or the sound's."""

SLACK_S = 0.5
"""By so much the length of other formats may exceed the end of the last frame without anything missing."""
EXACT_SLACK_S = 0.1


@dataclass(slots=True, kw_only=True)
class Received:
    """What came of a stream.

    Attributes:
        packets: Packets with content that are to be shown.
        refused: Those of them that the decoder refused, which are counted elsewhere.
        decoded: Frames.
        interlaced: Whether a frame is made of two fields, which may be a packet each.
        end_s: When the last frame ends, on the clock of the first.
        stamped_end_s: The same on the container's clock.
    """

    packets: int = 0
    refused: int = 0
    decoded: int = 0
    interlaced: bool = False
    end_s: float = 0.0
    stamped_end_s: float = 0.0


def missing_frames(stream: Any, container: Any, received: Received, *, duration_s: float | None, fps: float) -> int:
    """How many of the frames that a container announces, and that are to be shown, did not come.

    Args:
        stream: The video stream, read to its end.
        container: Its container.
        received: What came of it.
        duration_s: Length of the recording, ``None`` where it is not known.
        fps: Frames per second.
    """
    undecoded = 0
    if stream.codec_context.codec.canonical_name in ONE_PICTURE_A_PACKET and not received.interlaced:
        undecoded = received.packets - received.refused - received.decoded
    if stream.frames:
        return max(_by_number(stream, container, received), undecoded, 0)
    return max(_by_length(stream, container, received, duration_s=duration_s, fps=fps), undecoded, 0)


def _by_number(stream: Any, container: Any, received: Received) -> int:
    """An edit list of an MP4 hides frames before a cut; an AVI counts intervals in which the picture before stays."""
    announced = int(stream.frames)
    if container.format.name.startswith("mov,") and len(stream.index_entries):
        announced = sum(not entry.is_discard for entry in stream.index_entries)
    missing = announced - received.decoded
    if container.format.name == "avi" and stream.average_rate:
        at_end = announced - round(received.stamped_end_s * float(stream.average_rate))
        missing = min(missing, max(at_end, received.packets - received.decoded))
    return missing


def _by_length(stream: Any, container: Any, received: Received, *, duration_s: float | None, fps: float) -> int:
    """By the length of this stream, or of the whole where no sound can be longer."""
    exact = container.format.name in EXACT_LENGTHS
    slack_s = max(EXACT_SLACK_S, 3 / fps) if exact else SLACK_S
    if len(container.streams) > 1:
        duration_s = _tagged_s(stream.metadata.get("DURATION", "")) if exact else None
    if duration_s is None:
        return 0
    # A length counts from the first frame in some files, from the clock's zero in others
    short_s = duration_s - max(received.end_s, received.stamped_end_s)
    return round(short_s * fps) if short_s > slack_s else 0


def _tagged_s(text: str) -> float | None:
    """Matroska's tag of a stream's length.

    >>> _tagged_s("00:01:03.343000000"), _tagged_s("")
    (63.343, None)
    """
    try:
        hours, minutes, seconds = text.split(":")
        return round(int(hours) * 3600 + int(minutes) * 60 + float(seconds), 6)
    except ValueError:
        return None
