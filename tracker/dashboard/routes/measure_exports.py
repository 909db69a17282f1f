"""Routes of exports of measures, with the questions of their pages."""

from __future__ import annotations

from itertools import chain
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from tracker.dashboard import measure_exports as exports
from tracker.dashboard.answers import allowed_of, context_of
from tracker.dashboard.exports import written
from tracker.dashboard.rights import Right, needs
from tracker.dashboard.routes.alerts import AlertQuestion, alerts_found
from tracker.dashboard.routes.exports import FILE, Form, file_answer
from tracker.dashboard.routes.groups import GroupQuestion, groups_found
from tracker.dashboard.routes.heat import HeatQuestion
from tracker.dashboard.routes.measures import (
    BinQuestion,
    ConflictQuestion,
    QueueQuestion,
    SpeedQuestion,
    conflicts_found,
    footfall_found,
    queues_found,
    speeds_found,
)
from tracker.dashboard.routes.questions import Names, check_read

__all__ = ["router"]

router = APIRouter(prefix="/api/export", tags=["exports"])


class HeatExport(HeatQuestion):
    """Presence of some streams, or of all."""

    stream: Names = ()


@router.get("/speeds.{form}", response_class=Response, responses=FILE)
@needs(Right.VIEW)
def speeds(request: Request, form: Form, asked: Annotated[SpeedQuestion, Query()]) -> StreamingResponse:
    """Speeds, a row for each line, direction and class."""
    rows = exports.speed_rows(speeds_found(request, asked))
    return file_answer(request, f"speeds.{form}", form, written(rows, exports.SPEED_COLUMNS, form))


@router.get("/conflicts.{form}", response_class=Response, responses=FILE)
@needs(Right.VIEW)
def conflicts(request: Request, form: Form, asked: Annotated[ConflictQuestion, Query()]) -> StreamingResponse:
    """All pairs that came close in time, and all that stopped or went the wrong way."""
    rows = exports.conflict_rows(conflicts_found(request, asked))
    return file_answer(request, f"conflicts.{form}", form, written(rows, exports.CONFLICT_COLUMNS, form))


@router.get("/queues.{form}", response_class=Response, responses=FILE)
@needs(Right.VIEW)
def queues(request: Request, form: Form, asked: Annotated[QueueQuestion, Query()]) -> StreamingResponse:
    """Lengths of queues, a row for each bin; empty where nothing is known."""
    rows = exports.queue_rows(queues_found(request, asked))
    return file_answer(request, f"queues.{form}", form, written(rows, exports.QUEUE_COLUMNS, form))


@router.get("/footfall.{form}", response_class=Response, responses=FILE)
@needs(Right.VIEW)
def footfall(request: Request, form: Form, asked: Annotated[BinQuestion, Query()]) -> StreamingResponse:
    """Footfall, a row for each bin; empty where nothing is known."""
    rows = exports.footfall_rows(footfall_found(request, asked, every_count=True))
    return file_answer(request, f"footfall.{form}", form, written(rows, exports.FOOTFALL_COLUMNS, form))


@router.get("/groups.{form}", response_class=Response, responses=FILE)
@needs(Right.VIEW)
def groups(request: Request, form: Form, asked: Annotated[GroupQuestion, Query()]) -> StreamingResponse:
    """How many are inside at the end of each bin, of groups all of whose cameras may be seen."""
    rows = exports.group_rows(groups_found(request, asked))
    return file_answer(request, f"groups.{form}", form, written(rows, exports.GROUP_COLUMNS, form))


@router.get("/heatmap.{form}", response_class=Response, responses=FILE)
@needs(Right.VIEW)
def heatmap(request: Request, form: Form, asked: Annotated[HeatExport, Query()]) -> StreamingResponse:
    """Seconds and visits, a row for each class and cell in which anything was."""
    check_read(request)
    context = context_of(request)
    kept = [context.ledgers.presence(name, asked.from_ms, asked.to_ms) for name in allowed_of(request, asked.stream)]
    rows = chain.from_iterable(exports.heat_rows(found, asked.class_) for found in kept if found is not None)
    return file_answer(request, f"heatmap.{form}", form, written(rows, exports.HEAT_COLUMNS, form))


@router.get("/alerts.{form}", response_class=Response, responses=FILE)
@needs(Right.VIEW)
def alerts(request: Request, form: Form, asked: Annotated[AlertQuestion, Query()]) -> StreamingResponse:
    """The latest alerts with their acknowledgements."""
    rows = exports.alert_rows(alerts_found(request, allowed_of(request, asked.stream)))
    return file_answer(request, f"alerts.{form}", form, written(rows, exports.ALERT_COLUMNS, form))
