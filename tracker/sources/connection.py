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

    from tracker.sources.decoded import Decoder, Picture

__all__ = ["Connection", "ConnectionsClock", "Probe"]

PROBE_S = 1.0
"""Seconds between two probes of an unreachable server: a server that is up again is connected within a second or two
after any absence, and a probe costs less than an attempt."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Probe of a server: a TCP connection, with a greeting where the protocol has one.

    Attributes:
        host: Name or IP address.
        port: Of TCP.
        greeting: Request that a healthy server answers at once, if only with an error: for a server that hangs, the
            kernel still accepts connections. Empty = an accepted connection is enough.
    """

    host: str
    port: int
    greeting: bytes = b""

    def answers(self) -> bool:
        """Whether the server answers within two seconds."""
        try:
            with socket.create_connection((self.host, self.port), timeout=PROBE_S) as connection:
                if self.greeting:
                    connection.sendall(self.greeting)
                    connection.recv(1)  # a closed connection without data is an answer too
                return True
        except OSError:
            return False


class Connection:
    """One attempt in a thread of its own: wait, open, hand over pictures until told to stop.

    Args:
        opener: Makes the connection.
        delay_s: How long to wait before that.
        probe: Probe to run in the meantime; ``None`` = none.
        closed: Whether the server did not answer the attempt before, so that an answered probe ends the delay.

    Attributes:
        handoff: Its pictures.
        decoder: Once it is open.
        probe_failed: Whether a probe was not answered.
        cpu_s: CPU time of its thread and its decoder's.
    """

    def __init__(self, opener: Callable[[], Decoder], *, delay_s: float, probe: Probe | None, closed: bool) -> None:
        self.handoff: Handoff[Picture] = Handoff(capacity=2, drop_oldest=False, max_bytes=QUEUE_BYTES, size_of=bytes_of)
        self.decoder: Decoder | None = None
        self.probe_failed = False
        self.cpu_s = 0.0
        self._opener = opener
        self._delay_s = delay_s
        self._probe = probe
        self._closed = closed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camera-connection", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread.is_alive()

    def abandon(self) -> None:
        """Discard everything it still delivers; its thread closes the decoder when FFmpeg's call returns."""
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
        """Wait for the delay, or until a probe is answered after a failed one; false when told to stop."""
        until_s = time.monotonic() + self._delay_s
        while (left_s := until_s - time.monotonic()) > 0:
            if self._stop.wait(min(left_s, PROBE_S)):
                return False
            if self._probe is None:
                continue
            # A server that answers all the time says nothing: only its stream has ended.
            if not self._probe.answers():
                self._closed = self.probe_failed = True
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
