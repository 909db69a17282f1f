"""Messages of the local channel between the engine and its dashboard: a JSON header and bytes, length first.

Engine to dashboard: ``hello`` (settings and cameras), ``state`` and ``picture`` (of what is watched), ``contacts`` (of
every frame, in batches), ``event``, ``health`` (once a second), ``site_loaded`` and ``site_failed``. Dashboard to
engine: ``watch`` (what to encode), ``reload`` (a site was saved), ``alive``.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

from tracker.formats.event_rows import plain_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracker.events import Event, Sighting

__all__ = ["MOST_BODY", "MOST_HEADER", "MessageReader", "compact", "event_message", "packed", "picture_message"]

MOST_HEADER = 1 << 20
MOST_BODY = 1 << 26
_LENGTHS = struct.Struct(">II")
_LENGTH = struct.Struct(">I")


def compact(value: Any) -> bytes:
    """JSON without spaces.

    >>> compact({"a": [1, 2]})
    b'{"a":[1,2]}'
    """
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def packed(kind: str, body: bytes = b"", **facts: Any) -> bytes:
    """One message as it goes over the channel."""
    header = compact({"kind": kind, **facts})
    return b"".join((_LENGTHS.pack(len(header), len(body)), header, body))


def picture_message(jpeg: bytes, **facts: Any) -> bytes:
    """A picture as browsers get it: the header's length in 4 bytes, big-endian, the header as JSON, the JPEG."""
    header = compact(facts)
    return b"".join((_LENGTH.pack(len(header)), header, jpeg))


class MessageReader:
    """Messages out of a stream of bytes, in whatever pieces it arrives."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[dict[str, Any], bytes]]:
        """The messages that are whole now, each as header and body.

        Raises:
            ValueError: What arrives is no such message.
        """
        self._bytes += data
        while len(self._bytes) >= _LENGTHS.size:
            of_header, of_body = _LENGTHS.unpack_from(self._bytes)
            if of_header > MOST_HEADER or of_body > MOST_BODY:
                message = f"expected a message of at most {MOST_BODY} bytes, found {of_header} and {of_body}"
                raise ValueError(message)
            end = _LENGTHS.size + of_header + of_body
            if len(self._bytes) < end:
                return
            header = json.loads(self._bytes[_LENGTHS.size : _LENGTHS.size + of_header])
            body = bytes(self._bytes[_LENGTHS.size + of_header : end])
            del self._bytes[:end]
            if "kind" not in header:
                message = f"expected an object with a kind, found {header!r}"
                raise ValueError(message)
            yield header, body


def event_message(event: Event) -> dict[str, Any]:
    """An event as pages get it; times are UTC where the stream's wall clock is known, else media time."""
    utc = event.utc_ms is not None
    shift_ms = event.utc_ms - event.time_s * 1000 if event.utc_ms is not None else 0.0

    def at_ms(time_s: float | None) -> int | None:
        return None if time_s is None else round(time_s * 1000 + shift_ms)

    def sight(one: Sighting | None) -> dict[str, Any] | None:
        return None if one is None else {"t_ms": at_ms(one.time_s), "x": round(one.x, 4), "y": round(one.y, 4)}

    stay = event.stay
    return {
        "key": plain_text(event.key),
        "kind": event.kind,
        "stream": plain_text(event.stream),
        "at_ms": at_ms(event.time_s),
        "utc": utc,
        "place": plain_text(event.place),
        "direction": plain_text(event.direction),
        "identity": event.identity,
        "class": plain_text(event.class_name),
        "was_class": plain_text(event.was_class),
        "since_ms": at_ms(event.since_s),
        "value": event.value,
        "error": event.error,
        "other_identity": event.other_identity,
        "before": sight(event.before),
        "after": sight(event.after),
        "stay": None
        if stay is None
        else {
            "entered_ms": at_ms(stay.entered_s),
            "left_ms": at_ms(stay.left_s),
            "dwell_s": stay.dwell_s,
            "seen_s": stay.seen_s,
            "hidden_s": stay.hidden_s,
            "began": stay.began,
            "end": stay.end,
        },
        "bridged": event.bridged,
        "revision": event.revision,
    }
