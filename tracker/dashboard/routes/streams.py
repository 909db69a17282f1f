"""Routes of streams: cameras and recordings with their state, pictures, videos and identities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse, Response

from tracker.dashboard import shapes
from tracker.dashboard.accounts import now_ms
from tracker.dashboard.answers import allowed_of, context_of, principal_of, stream_of
from tracker.dashboard.context import Context
from tracker.dashboard.cut_outs import CutOut, cut_out, cut_outs_of, live_cut_out
from tracker.dashboard.events_list import newest
from tracker.dashboard.filters import Filter
from tracker.dashboard.problems import ApiError, no_such, refused
from tracker.dashboard.queries import outage_now, spans
from tracker.dashboard.recordings import VIDEOS, ResultFile
from tracker.dashboard.rights import Right, needs
from tracker.dashboard.shapes import gives, gives_file

__all__ = ["router", "streams_json", "video_of"]

router = APIRouter(prefix="/api/streams", tags=["streams"])

MOST_OF_IDENTITY = 1000
LIVE_WIDTH = 1920
NOW_MS = 5_000
"""An identity of which nothing was heard for longer is somewhere else, or gone."""


@router.get("", responses=gives(shapes.Streams))
@needs(Right.VIEW)
def streams(request: Request) -> JSONResponse:
    """Every stream that may be seen, with its state and the counts of today."""
    return JSONResponse({"streams": streams_json(context_of(request), allowed_of(request))})


@router.get("/{stream}", responses=gives(shapes.OneStream))
@needs(Right.VIEW)
def one_stream(request: Request, stream: str) -> JSONResponse:
    """One stream with its classes, and what its site has."""
    context, name = context_of(request), stream_of(request, stream)
    facts = context.engine.cameras().get(name)
    site = context.sites.of(name)
    summary = None
    if site is not None:
        summary = {
            "lines": [{"name": line.name, "directions": list(line.directions)} for line in site.lines],
            "zones": [zone.name for zone in site.zones],
            "flows": [{"name": flow.name, "start": flow.start, "end": flow.end} for flow in site.flows],
            "doors": [doors.name for doors in site.doors],
            "timezone": site.timezone,
            "revision": site.revision,
        }
    classes = [] if facts is None else list(facts.classes)
    editable = context.sites.editable(name) and principal_of(request).may(Right.OPERATE)
    return JSONResponse(streams_json(context, [name])[0] | {"classes": classes, "site": summary, "editable": editable})


@router.get("/{stream}/picture", response_class=Response, responses=gives_file("image/jpeg"))
@needs(Right.VIEW)
async def picture(
    request: Request,
    stream: str,
    variant: Literal["masked", "clear"] = "masked",
    width: Annotated[int, Query(ge=16, le=3840)] = 640,
) -> Response:
    """The newest picture as JPEG; `clear` needs the right to see people."""
    context, principal = context_of(request), principal_of(request)
    if variant == "clear" and not principal.may(Right.PEOPLE):
        raise refused("the right to see people", "a right to masked pictures")
    if stream not in context.engine.cameras():
        raise no_such("camera", stream)
    found = await context.engine.picture(stream, variant=variant, width=width)
    if found is None:
        raise ApiError(404, "picture", "one of this stream", "none", "try again when the camera runs")
    return Response(found, media_type="image/jpeg")


@router.get(
    "/{stream}/video", response_class=Response, responses=gives_file("video/mp4", "video/webm", "video/quicktime")
)
@needs(Right.PEOPLE)
def video(request: Request, stream: str) -> Response:
    """The video of a recording, in ranges as players ask for them."""
    context, name = context_of(request), stream_of(request, stream)
    file = video_of(context, name)
    if file is None or not file.path.is_file():
        raise no_such("video", name)
    return FileResponse(
        file.path, media_type=VIDEOS[file.path.suffix.lower()], headers={"cache-control": "private, no-cache"}
    )


@router.get("/{stream}/identities/{identity}", responses=gives(shapes.Identity))
@needs(Right.VIEW)
def identity(request: Request, stream: str, identity: Annotated[int, Path(ge=1, le=2**62)]) -> JSONResponse:
    """What the ledger has of one identity, and its path of the last minutes."""
    context, name = context_of(request), stream_of(request, stream)
    asked = Filter(streams=[name], identity=identity)
    events, _ = newest(context.ledgers, asked, limit=MOST_OF_IDENTITY)
    path = context.engine.path(name, identity)
    if not events and not path:
        raise no_such("identity", identity)
    events.reverse()
    began = next((event for event in events if event["kind"] == "identity_start"), None)
    ended = next((event for event in reversed(events) if event["kind"] == "identity_end"), None)
    times = [event["at_ms"] for event in events] + [entry[0] for entry in path]
    return JSONResponse(
        {
            "identity": identity,
            "class": events[-1]["class"] if events else "",
            "started_ms": began["at_ms"] if began else ended["since_ms"] if ended else min(times),
            "ended_ms": ended["at_ms"] if ended else None,
            "path": [list(entry) for entry in path],
            "events": events,
            "live_cut_out": f"/api/streams/{quote(name, safe='')}/identities/{identity}/live-cut-out"
            if _is_there(path)
            else None,
            "cut_outs": [
                f"/api/streams/{quote(name, safe='')}/identities/{identity}/cut-outs/{number}"
                for number, _ in enumerate(_cut_outs(context, name, events))
            ],
        }
    )


@router.get(
    "/{stream}/identities/{identity}/cut-outs/{number}", response_class=Response, responses=gives_file("image/jpeg")
)
@needs(Right.PEOPLE)
def one_cut_out(
    request: Request,
    stream: str,
    identity: Annotated[int, Path(ge=1, le=2**62)],
    number: Annotated[int, Path(ge=0, le=100)],
) -> Response:
    """One picture of an identity, cut out of a recording's video."""
    context, name = context_of(request), stream_of(request, stream)
    events, _ = newest(context.ledgers, Filter(streams=[name], identity=identity), limit=MOST_OF_IDENTITY)
    places = _cut_outs(context, name, events[::-1])
    file = video_of(context, name)
    site = context.sites.of(name)
    zones = () if site is None else site.never_shown
    picture = cut_out(file.path, places[number], zones) if file is not None and number < len(places) else None
    if picture is None:
        raise no_such("cut-out", number)
    return Response(picture, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})


@router.get("/{stream}/identities/{identity}/live-cut-out", response_class=Response, responses=gives_file("image/jpeg"))
@needs(Right.VIEW)
async def one_live_cut_out(request: Request, stream: str, identity: Annotated[int, Path(ge=1, le=2**62)]) -> Response:
    """Where an identity is now, cut out of the camera's newest masked picture."""
    context = context_of(request)
    if stream not in context.engine.cameras():
        raise no_such("camera", stream)
    path = context.engine.path(stream, identity)
    found = None
    if _is_there(path):
        masked = await context.engine.picture(stream, variant="masked", width=LIVE_WIDTH)
        found = None if masked is None else await run_in_threadpool(live_cut_out, masked, path)
    if found is None:
        raise no_such("picture of the identity", identity)
    return Response(found, media_type="image/jpeg", headers={"cache-control": "no-store"})


def _is_there(path: Sequence[tuple[int, float, float]]) -> bool:
    """Whether an identity is in the picture now, by its path."""
    return bool(path) and now_ms() - path[-1][0] < NOW_MS


def _cut_outs(context: Context, name: str, events: Sequence[dict[str, Any]]) -> list[CutOut]:
    if video_of(context, name) is None:
        return []
    return cut_outs_of(events, context.ledgers.began_ms(name))


def video_of(context: Context, name: str) -> ResultFile | None:
    """The video of a recording; cameras have none."""
    recording = None if name in context.engine.cameras() else context.recordings.of(name)
    return None if recording is None else recording.video


def streams_json(context: Context, names: Sequence[str]) -> list[dict[str, Any]]:
    """Streams as the wall shows them: of cameras the counts of today, of recordings those of all time."""
    counted = context.today(names)
    return [_stream(context, name) | {"today": counted[name]} for name in names]


def _stream(context: Context, name: str) -> dict[str, Any]:
    facts = context.engine.cameras().get(name)
    health = context.engine.health().get("cameras", {}).get(name, {})
    site = context.sites.of(name)
    history = context.ledgers.history
    recording = None if facts is not None else context.recordings.of(name)
    found = None if recording is None else recording.video
    media = {} if recording is None or found is None else context.recordings.video_facts(found)
    known = spans(history, [name])
    clock = known.get(True) or known.get(False)
    size = facts.size if facts is not None else media.get("size") or (None if site is None else site.reference_size)
    return {
        "id": name,
        "kind": "camera" if facts is not None else "recording",
        "state": health.get("state") or ("unknown" if facts is not None else "done"),
        "problem": health.get("problem") or None,
        "fps": health.get("fps"),
        "age_s": health.get("age_p50_s"),
        "lost_share": health.get("lost_share"),
        "size": None if size is None else list(size),
        "living": health.get("living"),
        "identities": health.get("identities"),
        "outage": outage_now(history, name) if facts is not None else None,
        "site_revision": None if site is None else site.revision,
        "timezone": None if site is None else site.timezone,
        "has_video": found is not None,
        "began_ms": context.ledgers.began_ms(name) if facts is None and True in known else None,
        "duration_s": media.get("duration_s")
        or (None if facts is not None or clock is None else (clock[1] - clock[0]) / 1000),
    }
