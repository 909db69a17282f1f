"""Routes of measures: speeds, queues, footfall, conflicts."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import JSONResponse

from tracker.dashboard import measure_shapes as shapes
from tracker.dashboard.answers import context_of
from tracker.dashboard.rights import Right, needs
from tracker.dashboard.routes.questions import Names, StayQuestion, filter_of
from tracker.dashboard.shapes import gives
from tracker.dashboard.speeds import speeds_of

__all__ = ["router"]

router = APIRouter(prefix="/api", tags=["measures"])


class SpeedQuestion(StayQuestion):
    """Passages over lines that measure speeds."""

    direction: Names = ()
    unit: Literal["km/h", "mph", "m/s"] = "km/h"
    free_flow: Annotated[bool, Field(description="Only passages more than 4 s behind the one before.")] = False


@router.get("/speeds", responses=gives(shapes.SpeedsShape))
@needs(Right.VIEW)
def speeds(request: Request, asked: Annotated[SpeedQuestion, Query()]) -> JSONResponse:
    """Speeds over lines; percentiles of fewer than 30 passages are null."""
    context, wanted = context_of(request), filter_of(request, asked)
    lines = {
        (stream, line.name)
        for stream in wanted.streams
        if (site := context.sites.of(stream)) is not None
        for line in site.lines
        if "speed" in line.measures
    }
    found = speeds_of(context.ledgers.history, wanted, unit=asked.unit, free_flow=asked.free_flow, lines=lines)
    return JSONResponse(found)
