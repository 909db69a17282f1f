"""Routes of measures: speeds, queues, footfall, conflicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import JSONResponse

from tracker.analytics.waits import ABOVE
from tracker.dashboard import measure_shapes as shapes
from tracker.dashboard.answers import Question, allowed_of, context_of
from tracker.dashboard.conflicts import SHOWN, conflicts_of
from tracker.dashboard.filters import Filter
from tracker.dashboard.premises import footfall_of, queues_of
from tracker.dashboard.rights import Right, needs
from tracker.dashboard.routes.questions import Moment, Names, StayQuestion, check_read, filter_of
from tracker.dashboard.shapes import gives
from tracker.dashboard.speeds import speeds_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracker.site import Site

__all__ = [
    "BinQuestion",
    "ConflictQuestion",
    "QueueQuestion",
    "SpeedQuestion",
    "conflicts_found",
    "footfall_found",
    "queues_found",
    "router",
    "speeds_found",
]

router = APIRouter(prefix="/api", tags=["measures"])


class SpeedQuestion(StayQuestion):
    """Passages over lines that measure speeds."""

    direction: Names = ()
    unit: Literal["km/h", "mph", "m/s"] = "km/h"
    free_flow: Annotated[bool, Field(description="Only passages more than 4 s behind the one before.")] = False


class ConflictQuestion(StayQuestion):
    """Near conflicts."""

    below_s: Annotated[float, Field(gt=0, le=60, description="Only pairs with less.")] = 3.0


class BinQuestion(Question):
    """Measures of premises in bins of an hour at most, which are the same in every time zone of whole hours."""

    stream: Names = ()
    place: Names = ()
    from_ms: Moment = None
    to_ms: Moment = None
    bin_s: Annotated[int, Field(ge=10, le=3600)] = 900


class QueueQuestion(BinQuestion):
    """Queues."""

    above: Annotated[int, Field(ge=0, le=1000, description="Persons; a longer queue is too long.")] = ABOVE


@router.get("/speeds", responses=gives(shapes.SpeedsShape))
@needs(Right.VIEW)
def speeds(request: Request, asked: Annotated[SpeedQuestion, Query()]) -> JSONResponse:
    """Speeds over lines; percentiles of fewer than 30 passages are null."""
    return JSONResponse(speeds_found(request, asked))


def speeds_found(request: Request, asked: SpeedQuestion) -> dict[str, Any]:
    """The answer to a question for speeds."""
    context, wanted = context_of(request), filter_of(request, asked)
    lines = {
        (stream, line.name)
        for stream in wanted.streams
        if (site := context.sites.of(stream)) is not None
        for line in site.lines
        if "speed" in line.measures
    }
    return speeds_of(context.ledgers.history, wanted, unit=asked.unit, free_flow=asked.free_flow, lines=lines)


@router.get("/queues", responses=gives(shapes.QueuesShape))
@needs(Right.VIEW)
def queues(request: Request, asked: Annotated[QueueQuestion, Query()]) -> JSONResponse:
    """Length and waits of queues; waits count in the time in which they began."""
    return JSONResponse(queues_found(request, asked))


def queues_found(request: Request, asked: QueueQuestion) -> dict[str, Any]:
    """The answer to a question for queues."""
    wanted, sites = _asked_of(request, asked)
    drawn = {(stream, queue.name) for stream, site in sites.items() for queue in site.queues}
    return queues_of(
        context_of(request).ledgers.history,
        wanted,
        above=asked.above,
        bin_s=asked.bin_s,
        timezone=_timezone(sites),
        queues=drawn,
    )


@router.get("/footfall", responses=gives(shapes.FootfallShape))
@needs(Right.VIEW)
def footfall(request: Request, asked: Annotated[BinQuestion, Query()]) -> JSONResponse:
    """Visitors, staff, groups and passers-by, with both capture rates; of streams whose sites have footfall."""
    return JSONResponse(footfall_found(request, asked))


def footfall_found(request: Request, asked: BinQuestion, *, every_count: bool = False) -> dict[str, Any]:
    """The answer to a question for footfall; see :func:`tracker.dashboard.premises.footfall_of`."""
    wanted, sites = _asked_of(request, asked)
    history, zone = context_of(request).ledgers.history, _timezone(sites)
    return footfall_of(history, wanted, bin_s=asked.bin_s, timezone=zone, sites=sites, every_count=every_count)


def _asked_of(request: Request, asked: BinQuestion) -> tuple[Filter, dict[str, Site]]:
    """What is asked for, and the sites of the streams that have one."""
    check_read(request)
    streams, known = allowed_of(request, asked.stream), context_of(request).sites
    wanted = Filter(streams=streams, places=asked.place, from_ms=asked.from_ms, to_ms=asked.to_ms)
    return wanted, {stream: site for stream in wanted.streams if (site := known.of(stream)) is not None}


def _timezone(sites: Mapping[str, Site]) -> str:
    """That of all the sites, or UTC."""
    zones = {site.timezone for site in sites.values()}
    return zones.pop() if len(zones) == 1 else "UTC"


@router.get("/conflicts", responses=gives(shapes.ConflictsShape))
@needs(Right.VIEW)
def conflicts(request: Request, asked: Annotated[ConflictQuestion, Query()]) -> JSONResponse:
    """Pairs that came close in time, the closest first; what stopped, and what went the wrong way."""
    return JSONResponse(conflicts_found(request, asked, most=SHOWN))


def conflicts_found(request: Request, asked: ConflictQuestion, *, most: int | None = None) -> dict[str, Any]:
    """The answer to a question for conflicts, with so many of each list."""
    context, wanted = context_of(request), filter_of(request, asked)
    measured = [
        stream for stream in wanted.streams if (site := context.sites.of(stream)) is not None and _has_conflicts(site)
    ]
    return conflicts_of(context.ledgers.history, wanted, below_s=asked.below_s, measured=measured, most=most)


def _has_conflicts(site: Site) -> bool:
    """Whether a site measures anything of it."""
    zones = any(zone.stopped_s is not None or zone.towards for zone in site.zones)
    return site.traffic is not None or zones or any(line.wrong_way for line in site.lines)
