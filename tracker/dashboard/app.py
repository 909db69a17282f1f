"""Application of the dashboard: all routes in one flat list, behind one guard, with one form of errors."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tracker.dashboard.guard import Guard
from tracker.dashboard.problems import ApiError, is_full, of_tracker_error
from tracker.dashboard.routes import (
    account,
    alerts,
    audits,
    exports,
    groups,
    heat,
    live,
    measure_exports,
    measures,
    pages,
    people,
    questions,
    recorded_sites,
    recordings,
    runs,
    sites,
    state,
    streams,
    validation,
)
from tracker.errors import TrackerError
from tracker.version import __version__

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from tracker.dashboard.context import Context

__all__ = ["ROUTERS", "make_app"]

logger = logging.getLogger("tracker.dashboard")

ROUTERS = (
    account.router,
    streams.router,
    sites.router,
    questions.router,
    measures.router,
    heat.router,
    groups.router,
    exports.router,
    measure_exports.router,
    audits.router,
    validation.router,
    alerts.router,
    recordings.router,
    recorded_sites.router,
    runs.router,
    people.router,
    state.router,
    live.router,
    pages.router,
)
"""Every topic; `pages` is last, since its paths are those that the page itself knows."""


def make_app(context: Context) -> ASGIApp:
    """The guarded application.

    Args:
        context: What the routes share.
    """
    application = FastAPI(
        title="masktrail dashboard",
        version=__version__,
        description="Counts, stays, sites and recordings. Log in, or send `Authorization: Bearer` with a token.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    application.state.context = context
    # Not by include_router: the guard and its test walk this list, which must hold every route itself.
    for router in ROUTERS:
        application.router.routes.extend(router.routes)
    application.add_exception_handler(HTTPException, _http)
    application.add_exception_handler(RequestValidationError, _invalid)
    application.add_exception_handler(TrackerError, _told)
    application.add_exception_handler(Exception, _fault)
    return Guard(application, application.router.routes, context)


def _http(_: Request, error: Exception) -> Response:
    if isinstance(error, ApiError):
        return error.response()
    known = cast("HTTPException", error)
    found = ApiError(known.status_code, "request", "one that /api/openapi.json describes", str(known.detail))
    return found.response()


def _invalid(_: Request, error: Exception) -> Response:
    """The first thing that is wrong; what was sent is not quoted, it may be a password."""
    first = cast("RequestValidationError", error).errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part not in {"body", "query", "path"}) or "body"
    return ApiError(422, place[:200], str(first["msg"])[:200], "another value", "see /api/openapi.json").response()


def _told(_: Request, error: Exception) -> Response:
    return of_tracker_error(cast("TrackerError", error)).response()


def _fault(request: Request, error: Exception) -> Response:
    """A full disk, or a fault of ours: said in the log, without what was sent, and nothing of it in the answer."""
    problem = f"{type(error).__name__}: {error}"
    logger.error("request failed", extra={"path": request.scope.get("path", ""), "problem": problem})
    if is_full(error):
        return ApiError(
            507, "disk", "room for what is kept", "none", "free some space there, then try again"
        ).response()
    return ApiError(500, "dashboard", "an answer", "a fault, which its log has", "try again").response()
