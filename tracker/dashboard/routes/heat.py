"""Routes of heatmaps: figures, and the picture over a masked still."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from tracker.dashboard import measure_shapes as shapes
from tracker.dashboard.answers import Question, context_of, stream_of
from tracker.dashboard.bins import zone_of
from tracker.dashboard.heat import WIDTH_PX, HeatLook, heat_facts, heat_picture
from tracker.dashboard.problems import ApiError
from tracker.dashboard.rights import Right, needs
from tracker.dashboard.routes.questions import Moment, Names
from tracker.dashboard.shapes import gives, gives_file

__all__ = ["HeatQuestion", "router"]

router = APIRouter(prefix="/api/streams/{stream}/heatmap", tags=["measures"])


class HeatQuestion(Question):
    """Presence in whole hours that touch a time."""

    from_ms: Moment = None
    to_ms: Moment = None
    class_: Names = Field(default=(), alias="class")
    measure: Literal["seconds", "visits"] = "seconds"
    moving: Annotated[bool, Field(description="Without seconds of what stands still for a minute.")] = False
    ground: Annotated[bool, Field(description="The ground from above, per square metre.")] = False
    shown_px: Annotated[
        int | None,
        Field(ge=160, le=8192, description="Width at which the picture is shown: its text is that large."),
    ] = None


@router.get("", responses=gives(shapes.HeatShape))
@needs(Right.VIEW)
def facts(request: Request, stream: str, asked: Annotated[HeatQuestion, Query()]) -> JSONResponse:
    """Figures of a heatmap: which hours, how long, by class; null where no store keeps one."""
    context, name = context_of(request), stream_of(request, stream)
    found = context.ledgers.presence(name, asked.from_ms, asked.to_ms)
    return JSONResponse(heat_facts(found, _look(asked), context.sites.of(name)))


@router.get("/picture", response_class=Response, responses=gives_file("image/png"))
@needs(Right.VIEW)
async def picture(request: Request, stream: str, asked: Annotated[HeatQuestion, Query()]) -> Response:
    """The heatmap with its legend, over the newest masked picture of a camera, of recordings over a plain ground."""
    context, name = context_of(request), stream_of(request, stream)
    found = await run_in_threadpool(context.ledgers.presence, name, asked.from_ms, asked.to_ms)
    if found is None:
        raise ApiError(404, "heatmap", "one of this stream and time", "none", "track with heatmap, or ask another time")
    site, still = context.sites.of(name), None
    if name in context.engine.cameras() and not asked.ground:
        still = await context.engine.picture(name, variant="masked", width=WIDTH_PX)
    zone = zone_of("UTC" if site is None else site.timezone)
    made = await run_in_threadpool(heat_picture, found, _look(asked), still=still, site=site, zone=zone)
    return Response(made, media_type="image/png", headers={"cache-control": "no-store"})


def _look(asked: HeatQuestion) -> HeatLook:
    return HeatLook(
        visits=asked.measure == "visits",
        moving=asked.moving,
        classes=asked.class_,
        ground=asked.ground,
        shown_px=asked.shown_px,
    )
