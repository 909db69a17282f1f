"""Routes of streams: cameras and recordings with their state, and pictures of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from tracker.dashboard.answers import context_of, principal_of
from tracker.dashboard.problems import ApiError, no_such, refused
from tracker.dashboard.rights import Right, needs

__all__ = ["router"]

router = APIRouter(prefix="/api/streams", tags=["streams"])


@router.get("")
@needs(Right.VIEW)
def streams(request: Request) -> JSONResponse:
    """Every stream that may be seen, with its state and the counts of today."""
    context, principal = context_of(request), principal_of(request)
    allowed = principal.allowed(context.stream_ids())
    return JSONResponse({"streams": [_stream(request, name) for name in allowed]})


@router.get("/{stream}")
@needs(Right.VIEW)
def stream(request: Request, stream: str) -> JSONResponse:
    """One stream with its classes."""
    context = context_of(request)
    if stream not in context.stream_ids():
        raise no_such("stream", stream)
    facts = context.engine.cameras().get(stream)
    return JSONResponse(_stream(request, stream) | {"classes": [] if facts is None else list(facts.classes)})


@router.get("/{stream}/picture")
@needs(Right.VIEW)
async def picture(
    request: Request,
    stream: str,
    variant: Literal["masked", "clear"] = "masked",
    width: Annotated[int, Query(ge=16, le=3840)] = 640,
) -> Response:
    """The newest picture as JPEG; `clear` needs the right to see people."""
    context, principal = context_of(request), principal_of(request)
    if variant == "clear" and not principal.may(Right.PEOPLE):
        raise refused("the right to see people", "a masked picture only")
    if stream not in context.stream_ids():
        raise no_such("stream", stream)
    found = await context.engine.picture(stream, variant=variant, width=width)
    if found is None:
        raise ApiError(404, "picture", "one of this stream", "none", "try again when the camera runs")
    return Response(found, media_type="image/jpeg")


def _stream(request: Request, name: str) -> dict[str, Any]:
    context = context_of(request)
    facts = context.engine.cameras().get(name)
    health = context.engine.health().get("cameras", {}).get(name, {})
    return {
        "id": name,
        "kind": "camera" if facts is not None else "recording",
        "state": health.get("state", "unknown"),
        "problem": health.get("problem"),
        "fps": health.get("fps"),
        "age_s": health.get("age_p50_s"),
        "size": None if facts is None or facts.size is None else list(facts.size),
        "living": health.get("living"),
        "identities": health.get("identities"),
        "outage": None,
        "site_revision": None,
        "today": [],
        "has_video": False,
        "began_ms": None,
        "duration_s": None,
    }
