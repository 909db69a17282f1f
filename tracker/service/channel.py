"""The engine's end of the local channel to its dashboard: bounded, a newer message in the place of the last one.

Whoever puts a message never waits: a thread of the channel's own writes. What a slow reader has not taken is replaced
(states and pictures, by key) or, beyond :data:`MOST_BYTES`, dropped from the oldest on (contacts and events).
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from tracker.dashboard.wire import MessageReader

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["MOST_BYTES", "Channel"]

MOST_BYTES = 8_000_000
"""Of messages that each have to go out, while the reader does not take them."""
READ_BYTES = 1 << 16

logger = logging.getLogger("tracker.live")


class Channel:
    """A connected socket with a writing and a reading thread.

    Args:
        connection: One end of a stream socket; closed with the channel.
        on_message: Called in the reading thread with header and body of each message.
        on_end: Called once, from either thread, when the other end is gone or sends nonsense.

    Attributes:
        dropped: Messages that had to go out and were dropped.
    """

    def __init__(
        self,
        connection: socket.socket,
        *,
        on_message: Callable[[dict[str, Any], bytes], None],
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.dropped = 0
        self._connection = connection
        self._on_message, self._on_end = on_message, on_end
        self._changed = threading.Condition()
        self._newest: OrderedDict[Hashable, bytes] = OrderedDict()
        self._all: OrderedDict[int, bytes] = OrderedDict()
        self._all_bytes = self._number = 0
        self._ended = False
        self._threads = [
            threading.Thread(target=self._write, name="dashboard-write", daemon=True),
            threading.Thread(target=self._read, name="dashboard-read", daemon=True),
        ]

    def start(self) -> None:
        """Begin to write and read."""
        for thread in self._threads:
            thread.start()

    @property
    def ended(self) -> bool:
        """Whether nothing goes out any more."""
        return self._ended

    def put(self, message: bytes, *, newest_of: Hashable | None = None) -> None:
        """Send a message soon; never waits.

        Args:
            message: As :func:`tracker.dashboard.wire.packed` makes it.
            newest_of: It replaces the one of the same key that has not gone out; ``None`` = it goes out itself.
        """
        with self._changed:
            if self._ended:
                return
            if newest_of is not None:
                self._newest[newest_of] = message
            else:
                self._number += 1
                self._all[self._number] = message
                self._all_bytes += len(message)
                while self._all_bytes > MOST_BYTES:
                    _, oldest = self._all.popitem(last=False)
                    self._all_bytes -= len(oldest)
                    self.dropped += 1
            self._changed.notify()

    def close(self) -> None:
        """Close the socket, which ends both threads; safe to call twice."""
        self._end(told=False)
        for thread in self._threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(2)

    def _next(self) -> bytes | None:
        """The next message to go out: those that have to go out first."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._all or self._newest)
            if self._ended:
                return None
            if self._all:
                _, message = self._all.popitem(last=False)
                self._all_bytes -= len(message)
                return message
            return self._newest.popitem(last=False)[1]

    def _write(self) -> None:
        with contextlib.suppress(OSError):
            while (message := self._next()) is not None:
                self._connection.sendall(message)
        self._end()

    def _read(self) -> None:
        reader = MessageReader()
        try:
            while data := self._connection.recv(READ_BYTES):
                for header, body in reader.feed(data):
                    self._on_message(header, body)
        except OSError:
            pass
        except Exception as failure:  # noqa: BLE001 - whatever the other process sends, the cameras go on
            problem = f"{type(failure).__name__}: {failure}"
            logger.error("dashboard's message not understood", extra={"problem": problem})  # noqa: TRY400
        self._end()

    def _end(self, *, told: bool = True) -> None:
        with self._changed:
            if self._ended:
                return
            self._ended = True
            self._newest.clear()
            self._all.clear()
            self._changed.notify_all()
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        if told:
            self._on_end()
