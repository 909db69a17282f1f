"""Routes of groups of cameras."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import JSONResponse

from tracker.dashboard import measure_shapes as shapes
from tracker.dashboard.answers import Question, context_of, principal_of
from tracker.dashboard.groups import group_of
from tracker.dashboard.rights import Right, needs
from tracker.dashboard.routes.questions import Moment, Names, check_read
from tracker.dashboard.shapes import gives

__all__ = ["GroupQuestion", "groups_found", "router"]

router = APIRouter(prefix="/api", tags=["measures"])


class GroupQuestion(Question):
    """Groups in a time."""

    group: Names = ()
    from_ms: Moment = None
    to_ms: Moment = None
    bin_s: Annotated[int, Field(ge=60, le=3600)] = 900


@router.get("/groups", responses=gives(shapes.GroupsShape))
@needs(Right.VIEW)
def groups(request: Request, asked: Annotated[GroupQuestion, Query()]) -> JSONResponse:
    """Entries, exits and how many are inside, of the groups all of whose cameras may be seen."""
    configured = context_of(request).settings.groups is not None
    return JSONResponse({"bin_s": asked.bin_s, "configured": configured, "groups": groups_found(request, asked)})


def groups_found(request: Request, asked: GroupQuestion) -> list[dict[str, Any]]:
    """The groups of the answer to a question for them."""
    check_read(request)
    context, principal = context_of(request), principal_of(request)
    seen = [one for one in context.groups.all() if all(principal.sees(camera) for camera in one.cameras)]
    history = context.ledgers.history
    return [
        group_of(history, one, from_ms=asked.from_ms, to_ms=asked.to_ms, bin_s=asked.bin_s)
        for one in seen
        if not asked.group or one.name in asked.group
    ]
