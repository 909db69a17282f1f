"""Routes of sites: read, check, save with a revision, dry run, import and export; nothing but lines and zones."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from tracker.dashboard import site_shapes
from tracker.dashboard.answers import Body, context_of, note, principal_of, stream_of
from tracker.dashboard.ground_view import ground_view
from tracker.dashboard.problems import ApiError, of_tracker_error, refused
from tracker.dashboard.rights import Right, needs
from tracker.dashboard.routes.recorded_sites import recorded_dry_run, recorded_site, size_of
from tracker.dashboard.rule_list import site_rules, with_rules
from tracker.dashboard.shapes import gives, gives_file
from tracker.dashboard.sites import difference, problem_of, site_json, site_of_json
from tracker.errors import ConfigError
from tracker.formats.sites.known import export_site, import_site, recognised
from tracker.settings.site_file import site_text
from tracker.settings.site_words import doubts

__all__ = ["router"]

router = APIRouter(prefix="/api/streams", tags=["sites"])

Format = Annotated[str | None, Query(max_length=40, pattern="^[a-z-]+$")]


class SiteBody(Body):
    """A site with the keys of its file; see docs/reference/site.md."""

    site: dict[str, Any]


Scope = Literal["recording", "folder"]


class SiteSave(SiteBody):
    """A changed site, and the revision that it was made from; of recordings also for what it is."""

    revision: int = Field(ge=0, le=2**31 - 2)
    scope: Scope | None = Field(
        default=None,
        description="Of recordings: save for this one alone, or for all of its folder without a site of their own; "
        "left out: for what the present one is.",
    )
    of: Scope | None = Field(default=None, description="Scope of the revision that it was made from, likewise.")


class RulesSave(Body):
    """All alert rules of a site, with the keys of `alerts` of its file, and the revision that they were made from."""

    revision: int = Field(ge=0, le=2**31 - 2)
    rules: list[dict[str, Any]] = Field(max_length=1_000)


class GroundBody(Body):
    """The `ground` of a site: points with their metres, or a rectangle."""

    ground: dict[str, Any]


class DryRun(SiteBody):
    """A changed site, and how far back it is tried; of recordings always over the whole."""

    seconds: float = Field(default=600.0, gt=0, le=600, strict=False)


@router.get("/{stream}/site", responses=gives(site_shapes.Site))
@needs(Right.VIEW)
def site(request: Request, stream: str) -> JSONResponse:
    """The site with its revision, the picture's size, and earlier revisions."""
    context, name = context_of(request), stream_of(request, stream)
    found = context.sites.load(name)
    return JSONResponse(
        {
            "revision": found.revision,
            "site": site_json(found),
            "size": list(size_of(context, name) or found.reference_size or ()) or None,
            "history": context.sites.history(name),
            "recording": recorded_site(request, name),
        }
    )


@router.get("/{stream}/site/export", response_class=Response, responses=gives_file("text/plain"))
@needs(Right.VIEW)
def export(request: Request, stream: str, format: Format = None) -> Response:  # noqa: A002 - the API's word
    """The site as a file: its own, or another tool's."""
    context, name = context_of(request), stream_of(request, stream)
    found = context.sites.load(name)
    try:
        if format is None:
            text, suffix = site_text(found), "yaml"
        else:
            text = export_site(found, format, size=size_of(context, name)).text
            suffix = f"{format}.txt"
    except ConfigError as failure:
        raise of_tracker_error(failure, 422) from None
    return _attachment(text, f"site.{suffix}")


@router.get("/{stream}/site/{revision}", responses=gives(site_shapes.SiteRevision))
@needs(Right.VIEW)
def revision(request: Request, stream: str, revision: Annotated[int, Path(ge=0, le=2**31)]) -> JSONResponse:
    """An earlier revision, and how the present one differs from it."""
    context, name = context_of(request), stream_of(request, stream)
    found, present = context.sites.revision(name, revision), context.sites.load(name)
    return JSONResponse({"revision": revision, "site": site_json(found), "diff": difference(found, present)})


@router.put("/{stream}/site", responses=gives(site_shapes.SiteSaved))
@needs(Right.OPERATE)
def save(request: Request, stream: str, body: SiteSave) -> JSONResponse:
    """Save a site; 409 with what stands there now, and the differences, where somebody else has saved meanwhile."""
    context, name = context_of(request), stream_of(request, stream)
    wanted, principal = site_of_json(body.site), principal_of(request)
    target = context.sites.place(name, body.scope)
    if target.scope == "folder" and principal.streams is not None:
        remedy = "save it for this recording, or ask an administrator"
        raise refused("the right to see all streams", "a change of lines and zones that others share", remedy)
    standing = {context.sites.load(name).privacy}
    if target.path.exists():
        standing.add(context.sites.load(name, target.scope).privacy)
    if not principal.see_people and standing != {wanted.privacy}:
        raise refused("the right to see people", "a change of privacy zones without it")
    written = context.sites.save(name, body.revision, wanted, by=principal.name, scope=body.scope, of=body.of)
    shared = ", for all of its folder" if target.scope == "folder" else ""
    note(request, "site saved", f"{name} revision {written.revision}{shared}")
    context.engine.site_saved(name)
    return JSONResponse({"revision": written.revision, "site": site_json(written)})


@router.put("/{stream}/site/alerts", responses=gives(site_shapes.SiteRules))
@needs(Right.OPERATE)
def save_rules(request: Request, stream: str, body: RulesSave) -> JSONResponse:
    """Save a site with other alert rules; 409 as where a whole site is saved."""
    context, name = context_of(request), stream_of(request, stream)
    if not context.sites.of_camera(name):
        raise ApiError(404, "site", "a camera with a site file", "none", "add `site:` to the camera's settings")
    wanted = site_of_json(with_rules(context.sites.load(name), body.rules))
    written = context.sites.save(name, body.revision, wanted, by=principal_of(request).name)
    note(request, "alert rules saved", f"{name} revision {written.revision}")
    context.engine.site_saved(name)
    return JSONResponse(site_rules(name, written))


@router.post("/{stream}/site/check", responses=gives(site_shapes.SiteCheck))
@needs(Right.OPERATE)
def check(request: Request, stream: str, body: SiteBody) -> JSONResponse:
    """What is wrong with a site, and what in it may not be meant; nothing is saved."""
    stream_of(request, stream)
    try:
        found = site_of_json(body.site)
    except ApiError as refusal:
        return JSONResponse({"problems": [problem_of(refusal)], "warnings": []})
    return JSONResponse({"problems": [], "warnings": list(doubts(found))})


@router.post("/{stream}/site/ground", responses=gives(site_shapes.SiteGround))
@needs(Right.OPERATE)
def ground(request: Request, stream: str, body: GroundBody) -> JSONResponse:
    """A ground that is being calibrated: its metric grid in the picture and each point's residual; nothing is saved."""
    context, name = context_of(request), stream_of(request, stream)
    return JSONResponse(ground_view(body.ground, size_of(context, name)))


@router.post("/{stream}/site/dry-run", responses=gives(site_shapes.DryRunShape))
@needs(Right.OPERATE)
async def dry_run(request: Request, stream: str, body: DryRun) -> JSONResponse:
    """What a changed site would have counted, beside what was counted: in the last minutes, or in a recording."""
    context, name = context_of(request), await run_in_threadpool(stream_of, request, stream)
    wanted = site_of_json(body.site)
    if name not in context.engine.cameras():
        return await recorded_dry_run(request, name, wanted)
    found = await run_in_threadpool(context.engine.dry_run, name, wanted, seconds=body.seconds)
    if found is None:
        raise ApiError(409, "dry run", "a camera that has run for a while", "none", "wait until it has seen something")
    return JSONResponse(found)


@router.post("/{stream}/site/import", responses=gives(site_shapes.SiteImport))
@needs(Right.OPERATE)
async def take_over(request: Request, stream: str, format: Format = None) -> JSONResponse:  # noqa: A002
    """A site from another tool's file, sent as the body; nothing is saved."""
    context, name = context_of(request), await run_in_threadpool(stream_of, request, stream)
    try:
        text = (await request.body()).decode("utf-8")
    except UnicodeDecodeError:
        raise ApiError(422, "body", "text in UTF-8", "other bytes", "save it as UTF-8") from None
    size = await run_in_threadpool(size_of, context, name)

    def imported() -> JSONResponse:
        try:
            found = import_site(text, format or recognised(text), size=size, stream="")
        except ConfigError as failure:
            raise of_tracker_error(failure, 422) from None
        return JSONResponse({"site": site_json(found.site), "warnings": list(found.warnings)})

    return await run_in_threadpool(imported)


def _attachment(text: str, name: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(text, media_type="text/plain; charset=utf-8", headers=headers)
