"""ASGI guard in front of all routes, for http and sockets: who asks, what the route needs, and nothing else gets by.

A request is refused unless its route declares a right and the session or token behind the request has it. State is
changed only by requests with the page's own Origin, the session's CSRF token and a bounded body. Every answer carries
the headers that keep a browser from doing more than the page needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse
from starlette.routing import Match

from tracker.dashboard.problems import ApiError, error_body, no_such, refused
from tracker.dashboard.rights import LOCAL, Right, right_of
from tracker.dashboard.sessions import csrf_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from tracker.dashboard.context import Context
    from tracker.dashboard.proxies import Client
    from tracker.dashboard.rights import Principal

__all__ = [
    "ANONYMOUS_CSRF",
    "CSRF_HEADER",
    "LARGEST_BODY",
    "LARGEST_MESSAGE",
    "REQUESTS",
    "Guard",
    "cookie_name",
    "csp",
]

logger = logging.getLogger("tracker.dashboard")

LARGEST_BODY = 1_000_000
"""Bytes of a request."""
LARGEST_MESSAGE = 4096
"""Bytes of a message from a browser over a socket."""
LARGEST_TARGET = 8_000
"""Bytes of a path with its query."""
REQUESTS = 32
"""Requests of one session, token or, without these, address at the same time; a browser has six."""
SOCKETS = 8
"""Sockets of one session or token at the same time."""

CSRF_HEADER = "x-masktrail-csrf"
ANONYMOUS_CSRF = "anonymous"
"""Of requests without a session: they log in, and still need a header that no form can send."""

UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})

OTHER_SITES = frozenset({"cross-site", "same-site"})
"""Values of ``Sec-Fetch-Site`` (W3C Fetch Metadata) that are refused. Without the header, as from programs and over
plain http, ``Origin`` and the CSRF token decide."""

POLICY_VIOLATION, TRY_LATER, TOO_LARGE, SESSION_OVER = 1008, 1013, 1009, 4401
"""Codes with which sockets are closed; the last one is ours: log in again."""

csp = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self'; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)

_HEADERS = {
    "content-security-policy": csp,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


def cookie_name(scheme: str, host: str) -> str:
    """Name of the session's cookie; with the prefix browsers take it from https and this host only.

    Browsers keep one cookie of a name for all ports of a host, and two dashboards may run on one machine.

    >>> cookie_name("https", "shop.example"), cookie_name("http", "localhost:8600")
    ('__Host-masktrail', 'masktrail-8600')
    """
    port = host.rpartition(":")[2]
    name = f"masktrail-{port}" if ":" in host and port.isdigit() else "masktrail"
    return f"__Host-{name}" if scheme == "https" else name


class Guard:
    """In front of the application.

    Args:
        application: What answers.
        routes: All its routes.
        context: Sessions, tokens and settings.

    Attributes:
        application, routes: As they were given.
    """

    def __init__(self, application: ASGIApp, routes: Sequence[BaseRoute], context: Context) -> None:
        self.application, self.routes, self._context = application, routes, context
        self._sockets: dict[str, set[_Socket]] = {}
        self._requests: Counter[str] = Counter()
        context.sessions.on_end = self._end_sessions
        context.tokens.on_end = lambda number: self._end_sessions({f"token:{number}"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] == "lifespan":
            await self.application(scope, receive, send)
            return
        if scope["type"] not in {"http", "websocket"}:
            return
        try:
            client, principal, secret = self._checked(scope)
        except ApiError as refusal:
            await _refuse(scope, receive, send, refusal)
            return
        scope.setdefault("state", {})
        scope["state"] |= {"client": client, "principal": principal, "secret": secret}
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send, principal)
            return
        await self._request(scope, receive, send, client, principal)

    async def _request(
        self, scope: Scope, receive: Receive, send: Send, client: Client, principal: Principal | None
    ) -> None:
        sender = _with_headers(send, secure=client.scheme == "https", path=scope["path"])
        key = client.address if principal is None else principal.session or principal.name
        if self._requests[key] >= REQUESTS:
            remedy = "wait for the others"
            busy = ApiError(429, "requests", f"at most {REQUESTS} at the same time", "more", remedy)
            await busy.response()(scope, receive, sender)
            return
        self._requests[key] += 1
        try:
            await self.application(scope, _bounded(receive), sender)
        except ApiError as refusal:  # of a body that grew too large while it was read
            await refusal.response()(scope, receive, sender)
        finally:
            self._requests[key] -= 1
            if not self._requests[key]:
                del self._requests[key]

    # ---- who asks, and may they -----------------------------------------------------------------------------------

    def _checked(self, scope: Scope) -> tuple[Client, Principal | None, str]:
        headers = Headers(scope=scope)
        client = self._context.proxies.client(scope, headers)
        if client is None:
            raise ApiError(
                421, "this address", "a request to the dashboard's own address", "another Host or way", "see address"
            )
        _check_target(scope)
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length[:12]) > LARGEST_BODY:
            raise _too_large()
        route, match, found = self._route(scope)
        right = right_of(route)
        principal, secret = self._principal(client, headers)
        if route is None or right is None:
            if principal is None and scope["path"].startswith("/api"):
                raise _not_logged_in()
            raise no_such("path", scope["path"])
        self._check_origin(scope, client, headers, principal, secret)
        if right is not Right.PUBLIC:
            if principal is None:
                raise _not_logged_in()
            if not principal.may(right):
                raise refused(f"the right to {right}", f"a {principal.role} without it")
            stream = found.get("path_params", {}).get("stream")
            if stream is not None and not principal.sees(stream):
                raise no_such("stream", stream)
        if match is Match.PARTIAL:
            raise ApiError(405, "method", "another method", scope["method"], "see /api/openapi.json")
        return client, principal, secret

    def _route(self, scope: Scope) -> tuple[BaseRoute | None, Match, dict[str, Any]]:
        """The route that will answer, as Starlette's router finds it."""
        partial: tuple[BaseRoute | None, Match, dict[str, Any]] = (None, Match.NONE, {})
        for route in self.routes:
            match, found = route.matches(scope)
            if match is Match.FULL:
                return route, match, dict(found)
            if match is Match.PARTIAL and partial[0] is None:
                partial = route, match, dict(found)
        return partial

    def _principal(self, client: Client, headers: Headers) -> tuple[Principal | None, str]:
        """Whose request it is, and the identifier of the session."""
        if not self._context.settings.login:
            return LOCAL, self._context.local_secret
        bearer = headers.get("authorization", "")
        if bearer:
            kind, _, secret = bearer.partition(" ")
            found = self._context.tokens.principal(secret.strip()) if kind.lower() == "bearer" else None
            if found is None:
                raise ApiError(401, "token", "one that is valid", "another one", "make a new token")
            return found, ""
        secret = cookie_parser(headers.get("cookie", "")).get(cookie_name(client.scheme, client.host), "")
        if not secret or len(secret) > 100:
            return None, ""
        principal = self._context.sessions.principal(secret)
        return principal, secret if principal is not None else ""

    def _check_origin(
        self, scope: Scope, client: Client, headers: Headers, principal: Principal | None, secret: str
    ) -> None:
        """Only the page itself may use a browser's cookie: for changes, for sockets, and for reading."""
        socket = scope["type"] == "websocket"
        if principal is not None and principal.token:
            return  # no browser sends a token by itself
        changes = socket or scope["method"] in UNSAFE
        if (changes or scope["path"].startswith("/api")) and headers.get("sec-fetch-site") in OTHER_SITES:
            raise ApiError(403, "request", "one of this page", "one of another site", "open the page itself")
        if not changes:
            return
        if headers.get("origin", "").lower() != client.origin:
            found = headers.get("origin", "none")[:80]
            raise ApiError(403, "Origin", client.origin, found, "open the page by the address that it is served at")
        if socket:
            return
        expected = csrf_of(secret) if principal is not None else ANONYMOUS_CSRF
        if not hmac.compare_digest(headers.get(CSRF_HEADER, "").encode(), expected.encode()):
            raise ApiError(
                403, CSRF_HEADER, "the token of GET /api/session", "another one or none", "load the page again"
            )

    # ---- sockets --------------------------------------------------------------------------------------------------

    async def _socket(self, scope: Scope, receive: Receive, send: Send, principal: Principal | None) -> None:
        key = "" if principal is None else principal.session or principal.name
        held = self._sockets.setdefault(key, set())
        if len(held) >= SOCKETS:
            await _close(scope, receive, send, TRY_LATER, "too many sockets")
            return
        socket = _Socket(asyncio.get_running_loop())
        held.add(socket)
        try:
            await socket.serve(self.application, scope, receive, send)
        finally:
            held.discard(socket)
            if not held:
                self._sockets.pop(key, None)

    def _end_sessions(self, keys: set[str]) -> None:
        """Close the sockets of sessions and tokens that are over; from any thread."""
        for key in keys:
            for socket in list(self._sockets.get(key, ())):
                socket.end()


class _Socket:
    """One open socket, which its session's end closes whatever it is doing."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._task: asyncio.Task[None] | None = None
        self._accepted = self._ended = False

    def end(self) -> None:
        """Close it; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is over, and so is the socket
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        self._ended = True
        if self._task is not None:
            self._task.cancel()

    async def serve(self, application: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Until the browser or the application closes it, or the session ends."""

        async def bounded() -> Message:
            message = await receive()
            text = message.get("text") or ""
            if len(message.get("bytes") or b"") + len(text.encode(errors="replace")) > LARGEST_MESSAGE:
                return {"type": "websocket.disconnect", "code": TOO_LARGE}
            return message

        async def sender(message: Message) -> None:
            self._accepted = self._accepted or message["type"] == "websocket.accept"
            await send(message)

        self._task = asyncio.current_task()
        try:
            await application(scope, bounded, sender)
        except asyncio.CancelledError:
            if not self._ended or self._task is None:
                raise  # the server stops
            self._task.uncancel()
            with contextlib.suppress(Exception):
                await send({"type": "websocket.close", "code": SESSION_OVER, "reason": "the session is over"})


def _check_target(scope: Scope) -> None:
    """Paths are ids: nothing in them may climb, and nothing hides behind a second encoding."""
    raw = scope.get("raw_path") or scope["path"].encode()
    if len(raw) + len(scope.get("query_string", b"")) > LARGEST_TARGET:
        raise ApiError(414, "address", f"at most {LARGEST_TARGET} bytes", "more", "ask for less at once")
    path = scope["path"]
    parts = path.split("/")
    if "\0" in path or any(part in {".", ".."} for part in (*parts, *unquote(path).replace("\\", "/").split("/"))):
        raise no_such("path", "a path that climbs")


def _not_logged_in() -> ApiError:
    return ApiError(
        401, "session", "somebody who is logged in", "nobody", "log in", headers={"www-authenticate": "Bearer"}
    )


def _too_large() -> ApiError:
    return ApiError(413, "body", f"at most {LARGEST_BODY:,} bytes", "more", "send less at once")


def _bounded(receive: Receive) -> Receive:
    """The body as it comes, until it is too large."""
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > LARGEST_BODY:
            raise _too_large()
        return message

    return bounded


def _with_headers(send: Send, *, secure: bool, path: str) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if secure:
                headers.setdefault("strict-transport-security", "max-age=31536000")
            if path.startswith("/api"):
                headers.setdefault("cache-control", "no-store")
        await send(message)

    return sender


async def _refuse(scope: Scope, receive: Receive, send: Send, refusal: ApiError) -> None:
    if scope["type"] == "websocket":
        await _close(scope, receive, send, POLICY_VIOLATION, refusal.error["expected"])
        return
    sender = _with_headers(send, secure=False, path="/api")
    await JSONResponse(error_body(refusal.error), refusal.status, headers=refusal.headers)(scope, receive, sender)


async def _close(scope: Scope, receive: Receive, send: Send, code: int, reason: str) -> None:  # noqa: ARG001
    """Refuse a socket before it is accepted: the browser sees 403."""
    message = await receive()
    if message["type"] == "websocket.connect":
        await send({"type": "websocket.close", "code": code, "reason": reason[:100]})
