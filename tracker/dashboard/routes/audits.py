"""Routes of audits and of counts by hand."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from starlette.responses import JSONResponse, Response

from tracker.dashboard import shapes
from tracker.dashboard.accounts import now_ms
from tracker.dashboard.answers import Body, Question, allowed_of, context_of, note, principal_of, stream_of
from tracker.dashboard.audits import add_validation, audits_of, remove_validation, validations
from tracker.dashboard.problems import ApiError, no_such
from tracker.dashboard.rights import Right, needs
from tracker.dashboard.shapes import gives

__all__ = ["router"]

router = APIRouter(prefix="/api", tags=["audit"])

LONGEST_MS = 7 * 86_400_000
Names = Annotated[tuple[str, ...], Field(max_length=200)]


class AuditQuestion(Question):
    """Some streams and places, or all."""

    stream: Names = ()
    place: Names = ()


class StreamQuestion(Question):
    """Some streams, or all."""

    stream: Names = ()


class HandCount(Body):
    """What a person counted at a line or zone within a time."""

    stream: str = Field(min_length=1, max_length=500)
    place: str = Field(min_length=1, max_length=200)
    direction: str = Field(default="", max_length=200)
    class_: str = Field(default="", max_length=200, alias="class")
    from_ms: int = Field(ge=-(10**13), le=10**13)
    to_ms: int = Field(ge=-(10**13), le=10**13)
    utc: bool = True
    truth: int = Field(ge=0, le=1_000_000)


@router.get("/audit", responses=gives(shapes.Audits))
@needs(Right.OPERATE)
def audit(request: Request, asked: Annotated[AuditQuestion, Query()]) -> JSONResponse:
    """Near misses by reason, of recordings beside which `masktrail audit --json` has left a file."""
    recordings = context_of(request).recordings
    return JSONResponse({"audits": audits_of(recordings, allowed_of(request, asked.stream), asked.place)})


@router.get("/validation", responses=gives(shapes.Validations))
@needs(Right.OPERATE)
def validation(request: Request, asked: Annotated[StreamQuestion, Query()]) -> JSONResponse:
    """Counts by hand beside those of the ledger."""
    context, streams = context_of(request), allowed_of(request, asked.stream)
    return JSONResponse({"validations": validations(context.accounts, context.ledgers.history, streams)})


@router.post("/validation", status_code=201, responses=gives(shapes.Made, 201))
@needs(Right.OPERATE)
def count_by_hand(request: Request, body: HandCount) -> JSONResponse:
    """Remember what a person counted."""
    name = stream_of(request, body.stream)
    if not body.from_ms < body.to_ms <= body.from_ms + LONGEST_MS:
        found = f"{body.from_ms} to {body.to_ms}"
        raise ApiError(422, "from_ms, to_ms", "a time of at most a week", found, "change it")
    values = (name, body.place, body.direction, body.class_, body.from_ms, body.to_ms, body.utc, body.truth)
    number = add_validation(context_of(request).accounts, (*values, principal_of(request).name, now_ms()))
    note(request, "counted by hand", f"{name} {body.place} {body.direction}: {body.truth}")
    return JSONResponse({"id": number}, 201)


@router.delete("/validation/{number}", status_code=204)
@needs(Right.OPERATE)
def forget(request: Request, number: Annotated[int, Path(ge=1, le=2**62)]) -> Response:
    """Forget a count by hand."""
    if not remove_validation(context_of(request).accounts, number, allowed_of(request)):
        raise no_such("count", number)
    note(request, "count by hand removed", str(number))
    return Response(status_code=204)
