"""Routes of sites of recordings: stills at any time, trails, and what the routes of sites ask of recordings."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from tracker.dashboard import site_shapes
from tracker.dashboard.answers import allowed_of, context_of, principal_of, stream_of
from tracker.dashboard.counted import counted_revision, tally_of
from tracker.dashboard.problems import ApiError, no_such
from tracker.dashboard.recorded_rows import StoppedError
from tracker.dashboard.rights import Right, needs
from tracker.dashboard.shapes import gives, gives_file
from tracker.dashboard.stills import still

if TYPE_CHECKING:
    from tracker.analytics.tally import Tally
    from tracker.dashboard.context import Context
    from tracker.dashboard.recordings import Recording
    from tracker.site import Site

__all__ = ["recorded_dry_run", "recorded_site", "router", "size_of"]

router = APIRouter(prefix="/api/recordings", tags=["sites"])

LOOK_S = 0.2
"""Between looks whether a browser still waits for a dry run."""
LONGEST_S = 1e6

Seconds = Annotated[float, Query(ge=0, le=LONGEST_S)]


@router.get("/{stream}/frame", response_class=Response, responses=gives_file("image/jpeg"))
@needs(Right.PEOPLE)
def frame(
    request: Request, stream: str, at_s: Seconds = 0.0, width: Annotated[int, Query(ge=16, le=3840)] = 960
) -> Response:
    """A still of a recording's video as JPEG, at any media time; privacy zones of its site are filled."""
    context, name = context_of(request), stream_of(request, stream)
    found = _recording(context, name)
    source, site = found.picture_source, context.sites.of(name)
    picture = None if source is None else still(source.path, at_s, width=width, zones=_never_shown(site))
    if picture is None:
        raise no_such("picture", name)
    return Response(picture, media_type="image/jpeg", headers={"cache-control": "private, max-age=60"})


@router.get("/{stream}/trails", responses=gives(site_shapes.Trails))
@needs(Right.VIEW)
def trails(request: Request, stream: str, from_s: Seconds = 0.0, to_s: Seconds = LONGEST_S) -> JSONResponse:
    """Ground contacts of a recording's identities in a time: 200 of them at most, spread evenly."""
    context, name = context_of(request), stream_of(request, stream)
    return JSONResponse(context.rows.trails(_recording(context, name), from_s=from_s, to_s=to_s))


def _recording(context: Context, name: str) -> Recording:
    found = context.recording(name)
    if found is None:
        raise no_such("recording", name)
    return found


def _never_shown(site: Site | None) -> Any:
    return () if site is None else site.never_shown


# ---- what the routes of sites ask -----------------------------------------------------------------------------------


def size_of(context: Context, name: str) -> tuple[int, int] | None:
    """``(width, height)`` of a stream's pictures in pixels, where it is known."""
    facts = context.engine.cameras().get(name)
    if facts is not None:
        return facts.size
    found = context.recordings.of(name)
    source = None if found is None else found.picture_source
    size = None if source is None else context.recordings.video_facts(source).get("size")
    if size is None and found is not None:
        with contextlib.suppress(ApiError):  # no records, or none that can be read: it is not known
            size = context.rows.size(found)
    return None if size is None else (int(size[0]), int(size[1]))


def recorded_site(request: Request, name: str) -> dict[str, Any] | None:
    """What else there is to a recording's site; ``None`` of cameras."""
    context, principal = context_of(request), principal_of(request)
    found = context.recording(name)
    if found is None:
        return None
    places, source = context.sites.places(name), found.picture_source
    near = [
        stream
        for stream in allowed_of(request)
        if (other := context.recording(stream)) is not None and other.home == found.home
    ]
    apart = [stream for stream in near if context.sites.places(stream)[0].path.exists()]
    commands, problem = _commands(context, name)
    return {
        "name": found.base,
        "scope": context.sites.place(name).scope,
        "scopes": ["recording", *(["folder"] if principal.streams is None else [])],
        "files": {place.scope: place.key.removeprefix("./") for place in places},
        "sharing": sorted(set(near) - set(apart)),
        "apart": sorted(apart),
        "has_rows": bool(found.rows),
        "has_picture": source is not None and principal.see_people,
        "duration_s": None if source is None else context.recordings.video_facts(source).get("duration_s"),
        "runs_allowed": context.runs.allowed,
        "commands": commands,
        "count_problem": problem,
        "counted_revision": counted_revision(context.ledgers, name),
    }


def _commands(context: Context, name: str) -> tuple[list[str], dict[str, str] | None]:
    """What counts a recording, or why nothing can."""
    try:
        return context.count_plan(name).commands(), None
    except ApiError as refusal:
        return [], refusal.error


async def recorded_dry_run(request: Request, name: str, site: Site) -> JSONResponse:
    """What a site would have counted in a recording; given up when the browser waits no more."""
    context, gone = context_of(request), threading.Event()
    found = await run_in_threadpool(_recording, context, name)
    work = asyncio.ensure_future(
        run_in_threadpool(
            lambda: context.rows.dry_run(found, site, _was(context, name), stopped=gone.is_set),
        )
    )
    try:
        while not (await asyncio.wait({work}, timeout=LOOK_S))[0]:
            if await request.is_disconnected():
                gone.set()
        return JSONResponse(await work)
    except StoppedError:
        return JSONResponse({}, 499)
    finally:
        gone.set()


def _was(context: Context, name: str) -> Tally | None:
    """What the ledgers have of a recording; ``None`` where it was never counted."""
    revision = counted_revision(context.ledgers, name)
    if revision is None:
        return None
    site = None
    with contextlib.suppress(ApiError):  # not kept any more: places without events are not known then
        site = context.sites.revision(name, revision)
    return tally_of(context.ledgers.history, name, site)
