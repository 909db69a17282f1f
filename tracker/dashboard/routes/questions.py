"""Routes of questions to the ledger: events, counts, dwell, flows, occupancy."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import JSONResponse

from tracker.analytics.bins import DAY_S
from tracker.dashboard import shapes
from tracker.dashboard.answers import Question, allowed_of, context_of
from tracker.dashboard.bins import zone_of
from tracker.dashboard.context import Context
from tracker.dashboard.dwell import dwell
from tracker.dashboard.events_list import newest
from tracker.dashboard.filters import Filter
from tracker.dashboard.problems import ApiError
from tracker.dashboard.queries import BY, CountQuery, balances, counts, flows, places, present
from tracker.dashboard.rights import Right, needs
from tracker.dashboard.shapes import gives
from tracker.events import EventKind

__all__ = [
    "CountQuestion",
    "EventQuestion",
    "Moment",
    "Names",
    "StayQuestion",
    "check_read",
    "count_query",
    "filter_of",
    "router",
]

router = APIRouter(prefix="/api", tags=["ledger"])

READ_S = 2.0
"""Longest wait of a question for ledgers that are being read at the start."""
YEAR_S = 366 * DAY_S
Moment = Annotated[int | None, Field(ge=-(10**13), le=10**13)]
Names = Annotated[tuple[str, ...], Field(max_length=200)]
Counted = Literal["crossing", "enter", "leave", "loitering", "flow"]
By = Literal["stream", "kind", "place", "direction", "class"]


class StayQuestion(Question):
    """Stays by the time of their entry."""

    stream: Names = ()
    place: Names = ()
    class_: Names = Field(default=(), alias="class")
    from_ms: Moment = None
    to_ms: Moment = None


class EventQuestion(Question):
    """Events by their own time."""

    stream: Names = ()
    kind: Annotated[tuple[EventKind, ...], Field(max_length=50)] = ()
    place: Names = ()
    direction: Names = ()
    class_: Names = Field(default=(), alias="class")
    identity: Annotated[int | None, Field(ge=0, le=2**62)] = None
    after_ms: Moment = None
    before_ms: Moment = None


class EventPage(EventQuestion):
    """A page of events."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: Annotated[str | None, Field(max_length=50)] = None


class CountQuestion(StayQuestion):
    """Counts in bins."""

    kind: Annotated[tuple[Counted, ...], Field(max_length=5)] = ("crossing",)
    direction: Names = ()
    bin_s: Annotated[int, Field(ge=1, le=YEAR_S)] = 900
    by: Annotated[str, Field(max_length=100, description="Columns, separated by commas.")] = "place,direction"
    compare_s: Annotated[int | None, Field(ge=1, le=10 * YEAR_S)] = None
    timezone: Annotated[str | None, Field(max_length=64)] = None
    utc: bool | None = None


class FlowQuestion(Question):
    """Flows by the time of their start."""

    stream: Names = ()
    class_: Names = Field(default=(), alias="class")
    from_ms: Moment = None
    to_ms: Moment = None


class StreamQuestion(Question):
    """Some streams, or all."""

    stream: Names = ()


@router.get("/events", responses=gives(shapes.Events))
@needs(Right.VIEW)
def events(request: Request, asked: Annotated[EventPage, Query()]) -> JSONResponse:
    """Events, the newest first, a page at a time: `cursor` is `next` of the page before."""
    found, after = newest(
        context_of(request).ledgers, filter_of(request, asked), limit=asked.limit, cursor=asked.cursor
    )
    return JSONResponse({"events": found, "next": after})


@router.get("/places", responses=gives(shapes.Places))
@needs(Right.VIEW)
def known_places(request: Request, asked: Annotated[StreamQuestion, Query()]) -> JSONResponse:
    """Kinds, places, directions and classes of which there are events: what filters can be set to."""
    asked_of = Filter(streams=allowed_of(request, asked.stream))
    return JSONResponse(places(context_of(request).ledgers.history, asked_of))


@router.get("/counts", responses=gives(shapes.Counts))
@needs(Right.VIEW)
def counts_in_bins(request: Request, asked: Annotated[CountQuestion, Query()]) -> JSONResponse:
    """Counts in bins; bins in which a camera was out and nothing was counted are null, never 0."""
    return JSONResponse(counts(context_of(request).ledgers.history, count_query(request, asked)))


@router.get("/dwell", responses=gives(shapes.Dwell))
@needs(Right.VIEW)
def dwell_of_stays(request: Request, asked: Annotated[StayQuestion, Query()]) -> JSONResponse:
    """How long stays were: means over closed ones, median and 90th percentile over censored ones too."""
    return JSONResponse(dwell(context_of(request).ledgers.history, filter_of(request, asked)))


@router.get("/flows", responses=gives(shapes.Flows))
@needs(Right.VIEW)
def flows_of_streams(request: Request, asked: Annotated[FlowQuestion, Query()]) -> JSONResponse:
    """How many identities took each flow, also as a matrix of origins and destinations."""
    context, streams = context_of(request), allowed_of(request, asked.stream)
    found = flows(context.ledgers.history, filter_of(request, asked))
    ends = {
        (stream, flow.name): (flow.start, flow.end)
        for stream in streams
        if (site := context.sites.of(stream)) is not None
        for flow in site.flows
    }
    counted = {(one["stream"], one["name"]): one["count"] for one in found}
    rows = [
        {"stream": stream, "name": name, "start": start, "end": end, "count": counted.get((stream, name), 0)}
        for stream, name in dict.fromkeys((*ends, *counted))
        for start, end in [ends.get((stream, name), _ends_of_name(name))]
    ]
    origins = sorted({row["start"] for row in rows})
    destinations = sorted({row["end"] for row in rows})
    matrix = [
        [sum(row["count"] for row in rows if (row["start"], row["end"]) == (one, other)) for other in destinations]
        for one in origins
    ]
    return JSONResponse({"flows": rows, "origins": origins, "destinations": destinations, "matrix": matrix})


@router.get("/occupancy", responses=gives(shapes.Occupancy))
@needs(Right.VIEW)
def occupancy(request: Request, asked: Annotated[StreamQuestion, Query()]) -> JSONResponse:
    """Identities in each zone now, and entries less exits of each set of doors."""
    context, streams = context_of(request), allowed_of(request, asked.stream)
    cameras = context.engine.cameras()
    zones = [
        {"stream": stream, **one} for stream in streams if stream in cameras for one in context.engine.present(stream)
    ]
    if not context.engine.attached:
        zones = present(context.ledgers.history, streams)
    return JSONResponse({"zones": zones, "balances": [one for stream in streams for one in _balances(context, stream)]})


def filter_of(request: Request, asked: EventQuestion | StayQuestion | FlowQuestion) -> Filter:
    """What a question asks for, of streams that may be seen.

    Raises:
        ApiError: The ledgers are still being read.
    """
    check_read(request)
    return Filter(
        streams=allowed_of(request, asked.stream),
        kinds=getattr(asked, "kind", ()),
        places=getattr(asked, "place", ()),
        directions=getattr(asked, "direction", ()),
        classes=asked.class_,
        identity=getattr(asked, "identity", None),
        from_ms=getattr(asked, "from_ms", None) if not isinstance(asked, EventQuestion) else asked.after_ms,
        to_ms=getattr(asked, "to_ms", None) if not isinstance(asked, EventQuestion) else asked.before_ms,
    )


def check_read(request: Request) -> None:
    """Refuse questions while ledgers are still being read: numbers would be too small.

    Raises:
        ApiError: They are.
    """
    ledgers = context_of(request).ledgers
    if not ledgers.whole(READ_S):
        found = f"{len(ledgers.history.events):,} events so far"
        raise ApiError(
            503, "ledgers", "all of them read", found, "try again in some seconds", headers={"retry-after": "3"}
        )


def count_query(request: Request, asked: CountQuestion) -> CountQuery:
    """A question for counts, with its time zone: the one given, or that of all its sites, or UTC.

    Raises:
        ApiError: A column or the zone is unknown.
    """
    context, wanted = context_of(request), filter_of(request, asked)
    by = [name for name in asked.by.split(",") if name]
    if any(name not in BY for name in by) or len(set(by)) < len(by):
        raise ApiError(422, "by", f"some of {', '.join(BY)}, each once", "another text", "change it")
    zones = {site.timezone for stream in wanted.streams if (site := context.sites.of(stream)) is not None}
    name = asked.timezone or (zones.pop() if len(zones) == 1 else "UTC")
    return CountQuery(
        asked=wanted,
        by=by,
        bin_s=asked.bin_s,
        zone=zone_of(name),
        utc=asked.utc,
        compare_s=asked.compare_s,
        looking=context.looking(),
    )


def _ends_of_name(name: str) -> tuple[str, str]:
    """Start and end of a flow whose site is not known, from a name such as ``door to till``."""
    start, _, end = name.partition(" to ")
    return start, end


def _balances(context: Context, stream: str) -> list[dict[str, Any]]:
    site = context.sites.of(stream)
    if site is None or not site.doors:
        return []
    return [
        {"stream": stream, "name": name, "balance": one.balance, "drift": one.drift}
        | {"entries": one.entries, "exits": one.exits}
        for name, one in balances(context.ledgers.history, stream, site).items()
    ]
