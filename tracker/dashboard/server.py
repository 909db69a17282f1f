"""Server of the dashboard: uvicorn on one bounded socket, TLS, and the one-time set-up link."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.errors import ConfigError, install_command
from tracker.settings.dashboard import split_address

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from uvicorn import Server

    from tracker.dashboard.context import Context
    from tracker.dashboard.engine_view import EngineView
    from tracker.settings.dashboard import DashboardSettings

__all__ = ["NEEDED", "check_packages", "run", "serve"]

logger = logging.getLogger("tracker.dashboard")

NEEDED = {"fastapi": "fastapi", "uvicorn": "uvicorn", "websockets": "websockets", "argon2": "argon2-cffi"}
"""Modules and the packages that they are of."""

PING_S = 20.0
GRACE_S = 3
TICK_S = 5.0
TIDY_S = 60.0


def check_packages() -> None:
    """Refuse at once where a package is missing.

    Raises:
        ConfigError: One is.
    """
    absent = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if absent:
        problem = f"expected {', '.join(NEEDED.values())}, found no {', '.join(absent)}"
        raise ConfigError("dashboard", problem, install_command("dashboard"))


def run(
    settings: DashboardSettings,
    engine: EngineView | None = None,
    *,
    recordings: Path | None = None,
    allow_runs: bool = False,
    announce: Callable[[str], None] | None = None,
    stopped: asyncio.Event | None = None,
    bound: socket.socket | None = None,
    tidy: Callable[[], object] | None = None,
) -> None:
    """Serve the dashboard until SIGTERM or SIGINT, in this thread.

    Args:
        settings: Checked; with ``folder``.
        engine: The link to a running engine: :mod:`tracker.dashboard.link`. It is closed at the end.
        recordings: Folder of results to show.
        allow_runs: Its recordings may be run from the page.
        announce: Told the page's address, with the one-time secret while there is no account; it is logged by default.
        stopped: Ends the server when it is set; for callers in the same loop.
        bound: A listening socket to serve on, whose address the settings have; ``None`` = one is made.
        tidy: Called once a minute in a thread of its own, to give free memory back.

    Raises:
        ConfigError: A package is missing, or the address, the folder or a TLS file cannot be used.
    """
    check_packages()
    from tracker.dashboard.context import Context

    context = Context(settings, engine=engine, recordings=recordings, allow_runs=allow_runs)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(context, announce=announce, stopped=stopped, bound=bound, tidy=tidy))
    finally:
        context.close()


async def serve(
    context: Context,
    *,
    announce: Callable[[str], None] | None = None,
    stopped: asyncio.Event | None = None,
    bound: socket.socket | None = None,
    tidy: Callable[[], object] | None = None,
) -> None:
    """Serve in a loop that is there; arguments and errors as for :func:`run`."""
    from tracker.dashboard.app import make_app
    from tracker.dashboard.connections import listener

    settings = context.settings
    host, port = split_address(settings.address)
    server = _server(make_app(context), settings)
    try:
        bound = bound or listener(host, port)
    except OSError as failure:
        problem = f"expected a free address of this machine, found: {failure.strerror or failure}"
        raise ConfigError(f"dashboard {settings.address}", problem, "choose another port") from failure
    address = _page(settings, host, bound.getsockname()[1])
    if settings.login and context.accounts.empty:
        address += f"/setup#token={context.set_up.secret}"  # a fragment: no server or proxy on the way logs it
    (announce or _log)(address)
    context.ledgers.start()
    tasks = [asyncio.create_task(_tick(context, tidy))]
    if stopped is not None:
        tasks.append(asyncio.create_task(_until(stopped, server)))
    try:
        await server.serve(sockets=[bound])
    finally:
        bound.close()
        for task in tasks:
            task.cancel()


def _server(application: Any, settings: DashboardSettings) -> Server:
    from uvicorn import Config, Server

    from tracker.dashboard.connections import BACKLOG, BoundedProtocol
    from tracker.dashboard.guard import LARGEST_MESSAGE

    config = Config(
        application,
        http=BoundedProtocol,
        ws="websockets-sansio",
        ws_max_size=LARGEST_MESSAGE,
        ws_max_queue=8,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
        ws_per_message_deflate=False,
        loop="asyncio",
        lifespan="off",
        backlog=BACKLOG,
        proxy_headers=False,  # the guard believes a proxy only if it shows its secret
        server_header=False,
        access_log=False,
        log_config=None,
        log_level="critical",
        timeout_keep_alive=15,
        timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=16 * 1024,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as failure:
        problem = f"expected a certificate and its key as PEM, found: {failure}"
        raise ConfigError(settings.tls_certificate, problem, "check both files") from failure
    return Server(config)


def _page(settings: DashboardSettings, host: str, port: int) -> str:
    """The address for people."""
    shown = f"[{host}]" if ":" in host else host
    return f"{'http' if settings.tls_certificate is None else 'https'}://{shown}:{port}"


def _log(address: str) -> None:
    logger.info("dashboard", extra={"open": address})


async def _tick(context: Context, tidy: Callable[[], object] | None) -> None:
    tidied_s = time.monotonic()
    while True:
        await asyncio.sleep(TICK_S)
        try:
            await asyncio.to_thread(context.tick)
            if tidy is not None and time.monotonic() - tidied_s >= TIDY_S:
                tidied_s = time.monotonic()
                await asyncio.to_thread(tidy)
        except Exception:
            logger.exception("dashboard not looked after")


async def _until(stopped: asyncio.Event, server: Server) -> None:
    await stopped.wait()
    server.should_exit = True
