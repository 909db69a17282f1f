"""Routes of runs: recordings of the folder that are run from the page, where the administrator allows it."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from tracker.dashboard import shapes
from tracker.dashboard.answers import allowed_of, context_of, note, principal_of, stream_of
from tracker.dashboard.problems import ApiError, no_such
from tracker.dashboard.rights import Right, needs
from tracker.dashboard.runs import Run
from tracker.dashboard.shapes import gives

__all__ = ["router"]

router = APIRouter(prefix="/api/runs", tags=["recordings"])


@router.get("", responses=gives(shapes.Runs))
@needs(Right.VIEW)
def runs(request: Request) -> JSONResponse:
    """Runs of recordings that may be seen, interrupted ones too, and recordings without results, which can be run."""
    context, allowed = context_of(request), allowed_of(request)
    seen = [one for one in context.runs.all() if _stream(request, one.name) or principal_of(request).sees(one.name)]
    runnable = [name for name in allowed if name not in context.engine.cameras() and _may_run(request, name)]
    shown = {"allowed": context.runs.allowed, "runs": [_shown(request, one) for one in seen], "runnable": runnable}
    return JSONResponse(shown)


@router.post("/{stream}", status_code=202, responses=gives(shapes.RunShape, 202))
@needs(Right.OPERATE)
def start(request: Request, stream: str) -> JSONResponse:
    """Run a recording with the folder's settings, after those that wait; its id is that without results."""
    context, name = context_of(request), stream_of(request, stream)
    if not context.runs.allowed:
        remedy = "start the dashboard with --allow-runs"
        raise ApiError(409, "run", "runs from the page, which the administrator allows", "none allowed", remedy)
    found = None if name in context.engine.cameras() else context.recordings.of(name)
    if found is None or found.base != name:
        raise ApiError(409, "run", "a recording without results", "one that has some", "choose another one")
    made = context.runs.start(found, principal_of(request).name)
    note(request, "run", name)
    return JSONResponse(_shown(request, made), 202)


@router.post("/{stream}/count", status_code=202, responses=gives(shapes.RunShape, 202))
@needs(Right.OPERATE)
def count(request: Request, stream: str) -> JSONResponse:
    """Count a recording with its site, after those that wait: its ledgers get what `masktrail analyse` writes."""
    context, name = context_of(request), stream_of(request, stream)
    plan = context.count_plan(name)
    if not context.runs.allowed:
        remedy = "start the dashboard with --allow-runs, or run the commands in the folder of results"
        more = {"commands": plan.commands()}
        expected = "runs from the page, which the administrator allows"
        raise ApiError(409, "run", expected, "none allowed", remedy, more=more)
    found = context.recordings.of(name)
    if found is None:
        raise no_such("recording", name)
    made = context.runs.count(found, plan, principal_of(request).name)
    note(request, "count", name)
    return JSONResponse(_shown(request, made), 202)


@router.delete("/{stream}", status_code=204)
@needs(Right.OPERATE)
def cancel(request: Request, stream: str) -> Response:
    """End a run, of which nothing stays; of one that is over its entry goes, and results stay."""
    context = context_of(request)
    seen = _stream(request, stream) is not None or principal_of(request).sees(stream)
    if not seen or not context.runs.cancel(stream):
        raise no_such("stream", stream)
    note(request, "run cancelled", stream)
    return Response(status_code=204)


def _may_run(request: Request, name: str) -> bool:
    context = context_of(request)
    found = context.recordings.of(name)
    return found is not None and found.base == name and context.runs.may_run(found)


def _stream(request: Request, name: str) -> str | None:
    """The stream of a recording's results, if it may be seen."""
    return next((one for one in allowed_of(request) if name in {one, PurePath(one).stem}), None)


def _shown(request: Request, run: Run) -> dict[str, Any]:
    return {
        "recording": run.name,
        "kind": run.kind,
        "stream": _stream(request, run.name),
        "state": run.state,
        "by": run.by,
        "asked_ms": run.asked_ms,
        "frames": run.frames,
        "total": run.total,
        "left_s": None if run.left_s is None else round(run.left_s, 1),
        "refined": None if run.refined is None else round(run.refined, 3),
        "problem": run.problem,
    }
