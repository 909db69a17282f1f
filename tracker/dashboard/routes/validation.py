"""Routes of validation: intervals are drawn, a person counts them, and the report says how good the ledger is."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from starlette.responses import JSONResponse, Response

from tracker.dashboard import shapes, validation_shapes
from tracker.dashboard.answers import Body, Question, allowed_of, context_of, note, principal_of, stream_of
from tracker.dashboard.bins import zone_of
from tracker.dashboard.count_sheets import CountSheets, passages_of, report_of
from tracker.dashboard.filters import Filter, chosen, texts_in
from tracker.dashboard.problems import ApiError, of_tracker_error
from tracker.dashboard.rights import Right, needs
from tracker.dashboard.routes.questions import Moment, Names, check_read
from tracker.dashboard.routes.streams import video_of
from tracker.dashboard.shapes import gives, gives_file
from tracker.dashboard.video_light import lights_of
from tracker.errors import ConfigError
from tracker.measure.validation import Interval, draw_intervals
from tracker.measure.validation_plan import Timeline, asked_of, strata_of
from tracker.measure.validation_sheet import LARGEST, sheet_text

if TYPE_CHECKING:
    from tracker.dashboard.context import Context
    from tracker.dashboard.recordings import ResultFile

__all__ = ["router"]

router = APIRouter(prefix="/api/validation/sheets", tags=["audit"])

MOST_SLOTS = 100_000
"""Intervals that a time may have, of which some are drawn."""
Number = Annotated[int, Path(ge=1, le=2**62)]
Count = Annotated[int, Field(ge=0, le=LARGEST)]


class SheetQuestion(Question):
    """Sheets of some streams, or of all."""

    stream: Names = ()


class Draw(Body):
    """What is drawn: how many intervals of what length, from all of the stream or from a time of it."""

    stream: str = Field(min_length=1, max_length=500)
    intervals: int = Field(default=20, ge=1, le=500)
    length_s: float = Field(default=60.0, ge=1, le=86_400, strict=False)
    from_ms: Moment = None
    to_ms: Moment = None
    timezone: str | None = Field(default=None, max_length=100)
    seed: int | None = Field(default=None, ge=0, le=2**31 - 1)


class Counted(Body):
    """Counts of an interval, one for each that its sheet asks for, and the revision that they were made from."""

    revision: int = Field(ge=0, le=2**31)
    counts: list[Count] | None = Field(max_length=10_000)


@router.get("", responses=gives(validation_shapes.CountSheetsShape))
@needs(Right.OPERATE)
def sheets(request: Request, asked: Annotated[SheetQuestion, Query()]) -> JSONResponse:
    """Sheets of intervals that were drawn, the newest first."""
    return JSONResponse({"sheets": _sheets(request).all(allowed_of(request, asked.stream))})


@router.post("", status_code=201, responses=gives(shapes.Made, 201))
@needs(Right.OPERATE)
def draw(request: Request, body: Draw) -> JSONResponse:
    """Draw intervals at random, from each hour and light in proportion; light is known of recordings with a video."""
    context, name = context_of(request), stream_of(request, body.stream)
    check_read(request)
    plan = _plan(context, name, body)
    length_ms, seed = round(body.length_s * 1000), secrets.randbelow(2**20) if body.seed is None else body.seed
    slots = (plan.timeline.to_ms - plan.timeline.from_ms) // length_ms
    if slots > MOST_SLOTS:
        raise ApiError(
            422, "from_ms, to_ms", f"at most {MOST_SLOTS:,} intervals", f"{slots:,}", "choose a shorter time"
        )
    lights = {}
    if plan.video is not None:
        lights = lights_of(plan.video.path, from_ms=plan.video_from_ms, length_ms=length_ms, count=slots)
    try:
        strata = strata_of(plan.timeline, length_ms, lights)
        rng = np.random.default_rng(seed)
        intervals = draw_intervals(
            strata, from_ms=plan.timeline.from_ms, length_ms=length_ms, count=body.intervals, rng=rng
        )
        asked = asked_of(plan.passed, plan.classes, context.sites.of(name))
    except ConfigError as failure:
        raise _refusal(failure) from None
    clock, by = plan.timeline.clock, principal_of(request).name
    number = _sheets(request).add(
        name, intervals, asked, clock=clock, utc_from_ms=plan.timeline.utc_from_ms, seed=seed, by=by
    )
    note(request, "intervals drawn", f"{name}: {len(intervals)} of {body.length_s:g} s")
    return JSONResponse({"id": number}, 201)


@router.get("/{number}", responses=gives(validation_shapes.CountSheetShape))
@needs(Right.OPERATE)
def sheet(request: Request, number: Number) -> JSONResponse:
    """A sheet with its intervals and what was counted so far; nothing of what the ledger counted."""
    return JSONResponse(_sheets(request).one(number, allowed_of(request)))


@router.delete("/{number}", status_code=204)
@needs(Right.OPERATE)
def forget(request: Request, number: Number) -> Response:
    """Forget a sheet with its counts."""
    found = _sheets(request).one(number, allowed_of(request))
    _sheets(request).remove(number)
    note(request, "sheet of counts removed", f"{found['stream']} {number}")
    return Response(status_code=204)


@router.put("/{number}/intervals/{interval}", responses=gives(validation_shapes.CountedShape))
@needs(Right.OPERATE)
def count(request: Request, number: Number, interval: Number, body: Counted) -> JSONResponse:
    """Write what a person counted in an interval; 409 with what stands there where another person did meanwhile."""
    found = _sheets(request).one(number, allowed_of(request))
    by = principal_of(request).name
    revision = _sheets(request).count(found, interval, body.revision, body.counts, by=by)
    return JSONResponse({"revision": revision})


@router.get("/{number}/report", responses=gives(validation_shapes.ReportShape))
@needs(Right.OPERATE)
def report(request: Request, number: Number) -> JSONResponse:
    """Bias, GEH and a 95 % interval per line, direction and class, of the intervals that were counted."""
    found = _sheets(request).one(number, allowed_of(request))
    check_read(request)
    return JSONResponse(report_of(context_of(request).ledgers.history, found))


@router.get("/{number}/export", response_class=Response, responses=gives_file("text/csv"))
@needs(Right.OPERATE)
def export(request: Request, number: Number) -> Response:
    """The sheet as CSV, as `masktrail validate report` reads it."""
    found = _sheets(request).one(number, allowed_of(request))
    intervals = [
        Interval(number=one["number"], from_ms=one["from_ms"], to_ms=one["to_ms"], stratum=one["stratum"])
        for one in found["intervals"]
    ]
    text = sheet_text(
        intervals,
        [(place, direction, name) for place, direction, name in found["asked"]],
        stream=found["stream"],
        clock=found["clock"],
        times=[_time_text(one.from_ms, found["clock"]) for one in intervals],
        counts={one["number"]: one["counts"] for one in found["intervals"] if one["counts"] is not None},
    )
    headers = {"content-disposition": 'attachment; filename="count.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


class _Plan(NamedTuple):
    """What is drawn from, and what is asked of each interval."""

    timeline: Timeline
    video: ResultFile | None
    video_from_ms: int
    passed: list[tuple[str, str]]
    classes: list[str]


def _plan(context: Context, name: str, body: Draw) -> _Plan:
    """Times, places and classes of a stream: of a recording as long as its video is, else of its events."""
    history, site = context.ledgers.history, context.sites.of(name)
    with history.lock:
        events = history.events
        rows = chosen(history, Filter(streams=[name]))
        utc = bool(events["utc"][rows].any())
        mine = rows[events["utc"][rows] == utc]
        if not len(mine):
            raise ApiError(422, "stream", "one with events", "none", "choose another one")
        first_ms, last_ms = int(events["at"][mine].min()), int(events["at"][mine].max()) + 1
        classes = texts_in(history, "class", mine[events["identity"][mine] != 0])
    passed = [(place, direction) for place, direction, _ in passages_of(history, name, utc=utc)]
    video, began_ms = video_of(context, name), None
    if name not in context.engine.cameras():
        began_ms = context.ledgers.began_ms(name) if utc else 0
    if video is not None and began_ms is not None:
        duration_s = context.recordings.video_facts(video).get("duration_s")
        first_ms, last_ms = began_ms, last_ms if duration_s is None else began_ms + round(duration_s * 1000)
    from_ms = first_ms if body.from_ms is None else max(first_ms, body.from_ms)
    to_ms = last_ms if body.to_ms is None else min(last_ms, body.to_ms)
    if from_ms >= to_ms:
        raise ApiError(
            422, "from_ms, to_ms", f"a time within {first_ms} to {last_ms}", "another", "choose another time"
        )
    timeline = Timeline(
        clock="utc" if utc else "media",
        from_ms=from_ms,
        to_ms=to_ms,
        utc_from_ms=began_ms if utc else None,
        zone=zone_of(body.timezone or ("UTC" if site is None else site.timezone)),
    )
    return _Plan(timeline, video, from_ms - (began_ms or 0), passed, classes)


def _refusal(failure: ConfigError) -> ApiError:
    """An error of the command as the page's: options are fields, and the ledger is no file."""
    found = of_tracker_error(failure, 422)
    found.error["what"] = found.error["what"].removeprefix("--")
    if found.error["what"] == "the ledger":
        found.error["remedy"] = "draw a line or zone first"
    return found


def _sheets(request: Request) -> CountSheets:
    return CountSheets(context_of(request).accounts)


def _time_text(at_ms: int, clock: str) -> str:
    return (
        f"{at_ms / 1000:g} s"
        if clock == "media"
        else datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(" ", "seconds")
    )
