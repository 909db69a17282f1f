"""Route of the live socket: pictures, states, counts and events of what the page watches."""

from __future__ import annotations

import contextlib

from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from tracker.dashboard.answers import context_of, principal_of
from tracker.dashboard.hub import WatchError
from tracker.dashboard.rights import Right, needs
from tracker.dashboard.viewer import Viewer

__all__ = ["router"]

router = APIRouter(tags=["live"])

NOT_UNDERSTOOD, GOING = 1008, 1000


@router.websocket("/api/live")
@needs(Right.VIEW)
async def live(socket: WebSocket) -> None:
    """Serve one viewer; see docs/reference/live-socket.md for the messages."""
    hub, principal = context_of(socket).hub, principal_of(socket)
    await socket.accept()
    viewer = Viewer(principal, socket.send_text, socket.send_bytes)

    async def receive() -> str | None:
        try:
            return await socket.receive_text()
        except (WebSocketDisconnect, KeyError):  # KeyError: bytes, which no page sends
            return None

    code, reason = GOING, ""
    try:
        await hub.attend(viewer, receive)
    except WatchError as failure:
        code, reason = NOT_UNDERSTOOD, f"expected {failure}"[:120]
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # it is gone already
        await socket.close(code, reason)
