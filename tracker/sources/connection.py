"""One camera connection in a thread of its own, which can be abandoned at any time."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracker.sources.cpu import WorkerClock
from tracker.sources.handoff import Handoff
from tracker.sources.limits import QUEUE_BYTES, bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracker.sources.decoder import Decoder, Picture

__all__ = ["Connection", "ConnectionsClock", "Door"]

KNOCK_S = 1.0
"""While nobody answers at the address, its door is tried this often between attempts: a server that comes back is met
within a second or two however long it was away, and a knock costs less than an attempt."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where a server listens.

    Attributes:
        host: Name or number.
        port: Of TCP.
        greeting: What a server that is well answers at once, whatever it thinks of it: the kernel of one that hangs
            still lets everybody in. Empty: being let in is answer enough.
    """

    host: str
    port: int
    greeting: bytes = b""

    def answers(self) -> bool:
        """Knock: whether somebody is there, within two seconds."""
        try:
            with socket.create_connection((self.host, self.port), timeout=KNOCK_S) as connection:
                if self.greeting:
                    connection.sendall(self.greeting)
                    connection.recv(1)  # nothing at all, and the line closed, is an answer as well
                return True
        except OSError:
            return False


class Connection:
    """One attempt in a thread of its own: wait, open, hand pictures over until told to stop.

    Args:
        opener: Makes the connection.
        delay_s: How long to wait before that.
        door: Where to knock in the meantime; ``None`` for nowhere.
        closed: Whether nobody answered the attempt before this one, so that an answer to a knock is news.

    Attributes:
        handoff: Its pictures.
        decoder: Once it is open.
        knocked_in_vain: Whether nobody answered a knock.
        cpu_s: CPU time of its thread and its decoder's.
    """

    def __init__(self, opener: Callable[[], Decoder], *, delay_s: float, door: Door | None, closed: bool) -> None:
        self.handoff: Handoff[Picture] = Handoff(capacity=2, drop_oldest=False, max_bytes=QUEUE_BYTES, size_of=bytes_of)
        self.decoder: Decoder | None = None
        self.knocked_in_vain = False
        self.cpu_s = 0.0
        self._opener = opener
        self._delay_s = delay_s
        self._door = door
        self._closed = closed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camera-connection", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether its thread is still somewhere."""
        return self._thread.is_alive()

    def abandon(self) -> None:
        """Use nothing more of it; its thread closes the decoder as soon as it comes back from FFmpeg."""
        self._stop.set()
        self.handoff.close()

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            if not self._wait():
                return
            self.decoder = self._opener()
            for picture in self.decoder.pictures():
                self.cpu_s = time.thread_time() + self.decoder.workers.spent_s()
                if self._stop.is_set() or not self.handoff.put(picture):
                    break
                del picture
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that uses the connection
            failure = error
        finally:
            if self.decoder is not None:
                self.decoder.close()
            self.handoff.finish(failure)

    def _wait(self) -> bool:
        """Sit out the delay, less where nobody answered and somebody does again; false when told to stop."""
        until_s = time.monotonic() + self._delay_s
        while (left_s := until_s - time.monotonic()) > 0:
            if self._stop.wait(min(left_s, KNOCK_S)):
                return False
            if self._door is None:
                continue
            # A door that was open all the time says nothing: it is the stream behind it that is gone.
            if not self._door.answers():
                self._closed = self.knocked_in_vain = True
            elif self._closed:
                break
        return not self._stop.is_set()


class ConnectionsClock(WorkerClock):
    """CPU time of all connections of one camera, decoding included since it happens in their threads."""

    def __init__(self) -> None:
        super().__init__()
        self._done_s = 0.0
        self._current: Connection | None = None

    def follow(self, connection: Connection) -> None:
        """Count this connection from now on, on top of those before."""
        self._done_s = self.spent_s()
        self._current = connection

    def spent_s(self) -> float:
        """CPU seconds so far, of all connections."""
        return self._done_s + (self._current.cpu_s if self._current is not None else 0.0)
