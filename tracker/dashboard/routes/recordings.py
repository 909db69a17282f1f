"""Routes of recordings: the folder of results as a list, one recording, and its files by number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import FileResponse, JSONResponse, Response

from tracker.dashboard import shapes
from tracker.dashboard.answers import allowed_of, context_of, note, principal_of, stream_of
from tracker.dashboard.problems import no_such, refused
from tracker.dashboard.recordings import PICTURES, VIDEOS, Recording
from tracker.dashboard.rights import Right, needs
from tracker.dashboard.routes.streams import streams_json
from tracker.dashboard.shapes import gives, gives_file

__all__ = ["router"]

router = APIRouter(prefix="/api/recordings", tags=["recordings"])


@router.get("", responses=gives(shapes.Recordings))
@needs(Right.VIEW)
def recordings(request: Request) -> JSONResponse:
    """Every recording that may be seen, with its files."""
    context = context_of(request)
    names = [name for name in allowed_of(request) if name not in context.engine.cameras()]
    return JSONResponse({"recordings": _recordings(request, names)})


@router.get("/{stream}", responses=gives(shapes.RecordingShape))
@needs(Right.VIEW)
def recording(request: Request, stream: str) -> JSONResponse:
    """One recording with its files."""
    name = stream_of(request, stream)
    if name in context_of(request).engine.cameras():
        raise no_such("recording", name)
    return JSONResponse(_recordings(request, [name])[0])


@router.get("/{stream}/files/{number}", response_class=Response, responses=gives_file("application/octet-stream"))
@needs(Right.VIEW)
def file(request: Request, stream: str, number: Annotated[int, Path(ge=0, le=100_000)]) -> Response:
    """One file of a recording as a download; pictures and videos need the right to see people."""
    found = _results(request, stream_of(request, stream))
    if found is None or number >= len(found.files):
        raise no_such("file", number)
    chosen = found.files[number]
    # Silhouettes and pages may hold pictures of people as well as videos do.
    if chosen.kind != "events" and not principal_of(request).may(Right.PEOPLE):
        raise refused("the right to see people", "a right to numbers only")
    if not chosen.path.is_file():
        raise no_such("file", number)
    note(request, "file", f"{found.base}: {chosen.name}")
    suffix = chosen.path.suffix.lower()
    kind = VIDEOS.get(suffix) or PICTURES.get(suffix) or "application/octet-stream"
    return FileResponse(chosen.path, media_type=kind, filename=chosen.name, content_disposition_type="attachment")


def _results(request: Request, name: str) -> Recording | None:
    context = context_of(request)
    return None if name in context.engine.cameras() else context.recordings.of(name)


def _recordings(request: Request, names: Sequence[str]) -> list[dict[str, Any]]:
    return [shown | {"files": _files(request, shown["id"])} for shown in streams_json(context_of(request), names)]


def _files(request: Request, name: str) -> list[dict[str, Any]]:
    found = _results(request, name)
    return [
        {"number": number, "name": one.name, "kind": one.kind, "bytes": one.size}
        for number, one in enumerate([] if found is None else found.files)
    ]
