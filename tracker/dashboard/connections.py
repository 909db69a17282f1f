"""HTTP connections with bounds on slow clients: a request in time, small buffers, no endless waiting."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from uvicorn import Config

__all__ = ["BACKLOG", "BUFFER_BYTES", "HEAD_S", "STALL_S", "BoundedProtocol", "listener"]

HEAD_S = 10.0
"""Longest time from the connection, or the end of the last answer, to the end of a request's head and body."""
STALL_S = 30.0
"""Longest time in which a client takes nothing of what is sent to it."""
CLIENTS = 256
"""Connections at the same time, sockets included."""
BUFFER_BYTES = 64 * 1024
"""The system's buffer per connection: more would be old pictures by the time that a slow viewer has them."""
BACKLOG = 128


class BoundedProtocol(H11Protocol):
    """One connection that is cut when its client is slow."""

    def __init__(self, config: Config, *arguments: Any, **named: Any) -> None:
        super().__init__(config, *arguments, **named)
        self._watch: asyncio.TimerHandle | None = None
        self._stalled_since_s: float | None = None
        self._asked_s = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # noqa: D102
        self._asked_s = self.loop.time()
        super().connection_made(transport)
        if len(self.connections) > CLIENTS:
            transport.abort()
            return
        self._watch = self.loop.call_later(1.0, self._look)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:  # noqa: D102
        self._stalled_since_s = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:  # noqa: D102
        self._stalled_since_s = None
        super().resume_writing()

    def _look(self) -> None:
        """Once a second: cut what has taken too long."""
        if self.transport is None or self.transport.is_closing() or self.transport.get_protocol() is not self:
            return  # over, or a socket of the page now, which has its own credits
        at = self.loop.time()
        cycle = self.cycle
        if cycle is not None and not cycle.more_body and not cycle.response_complete:
            self._asked_s = at  # the request is whole: the time from here on is ours
        stalled = self._stalled_since_s is not None and at - self._stalled_since_s > STALL_S
        waiting = cycle is not None and cycle.response_complete  # kept alive; uvicorn closes these itself
        if stalled or (not waiting and at - self._asked_s > HEAD_S):
            self.transport.abort()
            return
        if waiting:
            self._asked_s = at
        self._watch = self.loop.call_later(1.0, self._look)


def listener(host: str, port: int) -> socket.socket:
    """A listening socket whose connections have small buffers.

    Raises:
        OSError: The address is not free, or not one of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.create_server((host, port), family=family, backlog=BACKLOG)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    return made
