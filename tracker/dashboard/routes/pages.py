"""Routes of the page itself: its files, and one document for every view; they hold no data and need no right."""

from __future__ import annotations

from functools import cache

from fastapi import APIRouter, Request
from starlette.responses import Response

from tracker.dashboard.problems import no_such
from tracker.dashboard.rights import Right, needs
from tracker.dashboard.static_files import StaticFile, static_files

__all__ = ["VIEWS", "router"]

router = APIRouter(include_in_schema=False)

VIEWS = (
    "/",
    "/streams/{name}",
    "/streams/{name}/site",
    "/counts",
    "/dwell",
    "/flows",
    "/speeds",
    "/conflicts",
    "/queues",
    "/footfall",
    "/groups",
    "/heatmap",
    "/events",
    "/alerts",
    "/audit",
    "/validation",
    "/validation/{name}",
    "/recordings",
    "/recordings/{name}",
    "/health",
    "/users",
    "/login",
    "/setup",
)
"""Addresses that the page draws; the filters are in their queries."""


@cache
def _files() -> dict[str, StaticFile]:
    return static_files()


def _give(request: Request, name: str) -> Response:
    file = _files().get(name)
    if file is None:
        raise no_such("file", name)
    headers = {"etag": file.etag, "cache-control": "no-cache", "vary": "accept-encoding"}
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    if file.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.compressed, headers=headers | {"content-encoding": "gzip"}, media_type=file.media_type)
    return Response(file.body, headers=headers, media_type=file.media_type)


@router.get("/static/{name:path}")
@needs(Right.PUBLIC)
def static(request: Request, name: str) -> Response:
    """A file of the page."""
    return _give(request, name)


@router.get("/favicon.ico")
@needs(Right.PUBLIC)
def favicon(request: Request) -> Response:
    """The page's symbol, which browsers ask for by themselves."""
    return _give(request, "favicon.svg")


@needs(Right.PUBLIC)
def view(request: Request) -> Response:
    """The document of every view."""
    return _give(request, "index.html")


for address in VIEWS:
    router.add_api_route(address, view, methods=["GET"])
