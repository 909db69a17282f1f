"""Routes of exports: the questions of the pages as files, streamed row by row."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from tracker.dashboard.answers import context_of, note
from tracker.dashboard.dwell import all_stays
from tracker.dashboard.events_list import all_events
from tracker.dashboard.exports import (
    COUNT_COLUMNS,
    EVENT_COLUMNS,
    FORMATS,
    STAY_COLUMNS,
    count_rows,
    flat_event,
    written,
)
from tracker.dashboard.queries import counts
from tracker.dashboard.rights import Right, needs
from tracker.dashboard.routes.questions import CountQuestion, EventQuestion, StayQuestion, count_query, filter_of
from tracker.dashboard.shapes import gives_file

__all__ = ["FILE", "Form", "file_answer", "router"]

router = APIRouter(prefix="/api/export", tags=["exports"])

Form = Literal["csv", "json", "parquet"]
FILE = gives_file("text/csv", "application/json", "application/vnd.apache.parquet")


@router.get("/events.{form}", response_class=Response, responses=FILE)
@needs(Right.VIEW)
def events(request: Request, form: Form, asked: Annotated[EventQuestion, Query()]) -> StreamingResponse:
    """All events that fit, by time."""
    rows = map(flat_event, all_events(context_of(request).ledgers, filter_of(request, asked)))
    return file_answer(request, f"events.{form}", form, written(rows, EVENT_COLUMNS, form))


@router.get("/counts.{form}", response_class=Response, responses=FILE)
@needs(Right.VIEW)
def counts_in_bins(request: Request, form: Form, asked: Annotated[CountQuestion, Query()]) -> StreamingResponse:
    """Counts in bins, a row for each bin and group; empty where the camera was out and nothing was counted."""
    query = count_query(request, asked)
    answer = counts(context_of(request).ledgers.history, query)
    first = {name: COUNT_COLUMNS[name] for name in ("from_ms", "from", "utc")}
    columns = first | dict.fromkeys(query.by, "text") | {"count": "whole", "outage": "flag"}
    return file_answer(request, f"counts.{form}", form, written(count_rows(answer, query.by), columns, form))


@router.get("/stays.{form}", response_class=Response, responses=FILE)
@needs(Right.VIEW)
def stays(request: Request, form: Form, asked: Annotated[StayQuestion, Query()]) -> StreamingResponse:
    """All stays that began in the time, censored ones marked by `closed`."""
    rows = all_stays(context_of(request).ledgers.history, filter_of(request, asked))
    return file_answer(request, f"stays.{form}", form, written(rows, STAY_COLUMNS, form))


def file_answer(request: Request, name: str, form: Form, pieces: object) -> StreamingResponse:
    """Pieces of a file as a download, which is noted in the log."""
    note(request, "export", f"{name} {request.url.query}"[:300])
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(pieces, media_type=FORMATS[form][0], headers=headers)  # type: ignore[arg-type]
