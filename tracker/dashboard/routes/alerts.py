"""Routes of alerts: those under way and over, their acknowledgement, and the rules of all sites."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import JSONResponse, Response

from tracker.dashboard import shapes, site_shapes
from tracker.dashboard.alert_list import acknowledge, alerts_of
from tracker.dashboard.answers import Body, Question, allowed_of, context_of, note, principal_of, stream_of
from tracker.dashboard.problems import no_such
from tracker.dashboard.rights import Right, needs
from tracker.dashboard.rule_list import rules_of
from tracker.dashboard.shapes import gives

__all__ = ["AlertQuestion", "alerts_found", "router"]

router = APIRouter(prefix="/api/alerts", tags=["alerts"])

Names = Annotated[tuple[str, ...], Field(max_length=200)]


class AlertQuestion(Question):
    """Alerts of some streams, or of all."""

    stream: Names = ()


class Seen(Body):
    """An alert that a person has seen."""

    stream: str = Field(min_length=1, max_length=500)
    key: str = Field(min_length=1, max_length=2_000)


@router.get("", responses=gives(shapes.Alerts))
@needs(Right.VIEW)
def alerts(request: Request, asked: Annotated[AlertQuestion, Query()]) -> JSONResponse:
    """The latest alerts, those under way first; `waiting` counts those of them that nothing acknowledges."""
    found = alerts_found(request, allowed_of(request, asked.stream))
    waiting = sum(one["under_way"] and one["acknowledged"] is None for one in found)
    return JSONResponse({"alerts": found, "waiting": waiting})


@router.get("/rules", responses=gives(site_shapes.AlertRules))
@needs(Right.VIEW)
def rules(request: Request, asked: Annotated[AlertQuestion, Query()]) -> JSONResponse:
    """Alert rules of the sites of some streams, or of all, with what can be watched where."""
    return JSONResponse({"sites": rules_of(context_of(request).sites, allowed_of(request, asked.stream))})


@router.post("/acknowledge", status_code=204)
@needs(Right.OPERATE)
def seen(request: Request, body: Seen) -> Response:
    """Acknowledge an alert; the first acknowledgement stays."""
    name = stream_of(request, body.stream)
    found = next((one for one in alerts_found(request, [name]) if one["key"] == body.key), None)
    if found is None:
        raise no_such("alert", body.key)
    if acknowledge(context_of(request).accounts, body.key, principal_of(request).name):
        note(request, "alert acknowledged", f"{name} {found['rule']}")
    return Response(status_code=204)


def alerts_found(request: Request, streams: list[str]) -> list[dict[str, Any]]:
    """The latest alerts of some streams."""
    context = context_of(request)
    cameras = context.engine.cameras()

    def is_running(stream: str) -> bool:
        return stream in cameras or not context.engine.attached

    return alerts_of(context.ledgers, context.accounts, streams, is_running=is_running)
