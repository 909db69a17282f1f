"""Messages of the local channel and of the socket, and events as pages get them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.dashboard.wire import MOST_HEADER, MessageReader, event_message, packed, picture_message
from tracker.events import Event, Sighting, Stay


@given(st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=300)), max_size=6), st.integers(1, 50))
def test_messages_come_through_in_any_pieces(messages, piece: int) -> None:
    data = b"".join(packed("event", body, stream=text) for text, body in messages)
    reader = MessageReader()
    found = [one for start in range(0, len(data), piece) for one in reader.feed(data[start : start + piece])]
    assert [(header["stream"], body) for header, body in found] == messages


@pytest.mark.parametrize(
    "data",
    [
        (MOST_HEADER + 1).to_bytes(4, "big") + b"\0\0\0\0",
        b"\0\0\0\2\0\0\0\0{]",
        b"\0\0\0\2\0\0\0\0{}",
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"expected|Expecting"):
        list(MessageReader().feed(data))


def test_a_picture_is_its_header_with_its_length_and_the_jpeg() -> None:
    message = picture_message(b"JPEG", stream="gate", t_ms=5)
    length = int.from_bytes(message[:4], "big")
    assert json.loads(message[4 : 4 + length]) == {"stream": "gate", "t_ms": 5}
    assert message[4 + length :] == b"JPEG"


def test_an_event_of_a_camera_has_utc_times() -> None:
    event = Event(
        kind="crossing",
        stream="gate",
        time_s=10.0,
        utc_ms=1_000_010_000,
        place="door",
        direction="in",
        identity=7,
        class_name="person",
        before=Sighting(time_s=9.5, x=0.123456, y=0.5),
        revision=3,
    )
    message = event_message(event)
    assert (message["at_ms"], message["utc"], message["class"], message["key"]) == (
        1_000_010_000,
        True,
        "person",
        event.key,
    )
    assert message["before"] == {"t_ms": 1_000_009_500, "x": 0.1235, "y": 0.5}
    assert (message["after"], message["stay"], message["since_ms"], message["revision"]) == (None, None, None, 3)


def test_an_event_of_a_recording_has_media_times() -> None:
    stay = Stay(entered_s=2.0, left_s=6.0, hidden_s=1.0, end="left")
    message = event_message(Event(kind="leave", stream="a", time_s=6.0, place="hall", stay=stay))
    assert (message["at_ms"], message["utc"]) == (6000, False)
    assert message["stay"] == {
        "entered_ms": 2000,
        "left_ms": 6000,
        "dwell_s": 4.0,
        "seen_s": 3.0,
        "hidden_s": 1.0,
        "began": "entered",
        "end": "left",
    }


def test_the_number_of_an_event_goes_with_it() -> None:
    event = Event(kind="headway", stream="a", time_s=6.0, place="stop", identity=9, value=1.5, error=0.1)
    pair = replace(event, other_identity=8)
    message = event_message(pair)
    assert (message["value"], message["error"], message["other_identity"]) == (1.5, 0.1, 8)
    assert (event.key, pair.key) == ("a|headway|stop||9|t6000", "a|headway|stop||9|t6000|with8")
