"""HTTP server with bounds on its clients: how many, and for how long.

Uvicorn waits for ever for the end of a request's head and takes every connection. Here a connection is cut five seconds
after it was made, whatever it has sent or read by then, and while sixteen are open a new one takes the place of the
oldest that has not asked yet: slow clients keep no other away, and leave the files of the process to its outputs. Where
these run out all the same, asyncio pauses for a second before it accepts again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, cast

from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import socket

    from starlette.types import ASGIApp

__all__ = ["BACKLOG", "CLIENTS", "CLIENT_S", "bounded_server", "serve"]

CLIENTS = 16
"""Connections at the same time."""

CLIENT_S = 5.0
"""Longest life of a connection: the request's head, the answer and its way to the client, all together."""

BACKLOG = 16
"""Connections that the system may hold for us, and that asyncio accepts at once."""

SAID_EVERY_S = 60.0

logger = logging.getLogger("tracker.live")


class _BoundedProtocol(H11Protocol):
    """One connection, of at most :data:`CLIENTS`, for at most :data:`CLIENT_S`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._made_s = self.loop.time()
        super().connection_made(transport)
        self._end = self.loop.call_later(CLIENT_S, transport.abort)
        # After the loop's next poll for data to read: in a burst of connections the oldest may be one whose
        # request lies there already.
        self.loop.call_soon(self.loop.call_soon, self._make_room)

    def _make_room(self) -> None:
        open_ones = cast("set[_BoundedProtocol]", self.connections)
        if len(open_ones) > CLIENTS:
            # Until its head is whole a connection has no cycle of request and answer.
            silent = [one for one in open_ones if one.cycle is None]
            leaving = min(silent, key=lambda one: one._made_s, default=self)  # noqa: SLF001
            open_ones.discard(leaving)
            leaving.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end.cancel()
        super().connection_lost(exc)


def bounded_server(application: ASGIApp) -> Server:
    """A server that answers one request per connection, within bounds, and does not say what it is made of."""
    return Server(
        Config(
            application,
            http=_BoundedProtocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            backlog=BACKLOG,
            headers=[("connection", "close")],
            server_header=False,
            access_log=False,
            log_config=None,
            log_level="critical",
            timeout_graceful_shutdown=1,
        )
    )


def serve(server: Server, listener: socket.socket) -> None:
    """Serve the connections of a listening socket until ``server.should_exit``, in this thread."""
    said_s = -SAID_EVERY_S

    def report(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log a fault of the loop, most often that no file is left for a connection; once a minute at most."""
        nonlocal said_s
        if time.monotonic() - said_s >= SAID_EVERY_S:
            said_s = time.monotonic()
            problem = f"{context['message']}: {context.get('exception')}"
            logger.error("status not served", extra={"problem": problem})

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(report)
        await server.serve(sockets=[listener])

    asyncio.run(run())
