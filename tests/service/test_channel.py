"""The local channel never holds the engine up, and a slow reader costs bounded memory."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from tests.sources.cameras import wait_until
from tracker.dashboard.wire import MOST_BODY, MessageReader, packed
from tracker.service.channel import MOST_BYTES, Channel


class Other:
    """The other end, which reads when it is told to."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.reader = MessageReader()
        self.messages: list[tuple[dict, bytes]] = []

    def read(self, seconds: float = 0.3) -> list[dict]:
        self.connection.settimeout(seconds)
        try:
            while data := self.connection.recv(1 << 20):
                self.messages += self.reader.feed(data)
        except TimeoutError:
            pass
        return [header for header, _ in self.messages]


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    heard: list[tuple[dict, bytes]] = []
    ended = threading.Event()
    channel = Channel(ours, on_message=lambda header, body: heard.append((header, body)), on_end=ended.set)
    yield channel, Other(theirs), heard, ended
    channel.close()
    theirs.close()


def test_messages_go_out_in_order_and_come_in_whole(ends) -> None:
    channel, other, heard, _ = ends
    channel.start()
    for number in range(5):
        channel.put(packed("event", b"x" * number, number=number))
    assert [header["number"] for header in other.read()] == [0, 1, 2, 3, 4]
    assert [len(body) for _, body in other.messages] == [0, 1, 2, 3, 4]
    message = packed("watch", b"abc", streams={"a": []})
    for place in range(len(message)):  # a byte at a time
        other.connection.sendall(message[place : place + 1])
    assert wait_until(lambda: heard)
    assert heard == [({"kind": "watch", "streams": {"a": []}}, b"abc")]


def test_the_newest_of_a_kind_replaces_what_has_not_gone_out(ends) -> None:
    channel, other, _, _ = ends
    for number in range(100):
        channel.put(packed("state", number=number), newest_of="a")
        channel.put(packed("state", number=-number), newest_of="b")
    channel.start()
    assert [header["number"] for header in other.read()] == [99, -99]


def test_putting_never_waits_for_a_reader_that_has_stopped(ends) -> None:
    channel, _, _, _ = ends
    channel.start()
    picture = b"x" * 100_000
    started_s = time.monotonic()
    slowest_s = 0.0
    for number in range(500):
        before_s = time.monotonic()
        channel.put(packed("picture", picture), newest_of=number % 25)
        channel.put(packed("contacts", picture))
        slowest_s = max(slowest_s, time.monotonic() - before_s)
    assert time.monotonic() - started_s < 30
    assert slowest_s < 1
    assert channel._all_bytes <= MOST_BYTES
    assert channel.dropped > 300
    assert sum(map(len, channel._newest.values())) < 25 * 101_000


def test_the_other_end_is_gone(ends) -> None:
    channel, other, _, ended = ends
    channel.start()
    other.connection.close()
    assert ended.wait(60)
    assert channel.ended
    channel.put(packed("event"))  # nothing happens
    channel.close()
    channel.close()


def test_nonsense_ends_the_channel_and_nothing_else(ends, caplog) -> None:
    channel, other, heard, ended = ends
    channel.start()
    other.connection.sendall((0).to_bytes(4, "big") + (MOST_BODY + 1).to_bytes(4, "big"))
    assert ended.wait(60)
    assert not heard
    assert "dashboard's message not understood" in caplog.text


def test_closing_ourselves_is_no_news(ends) -> None:
    channel, _, _, ended = ends
    channel.start()
    channel.close()
    assert not ended.is_set()
