"""Routes of health and of the API's own description."""

from __future__ import annotations

import shutil
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from tracker.dashboard import shapes
from tracker.dashboard.answers import allowed_of, context_of, principal_of
from tracker.dashboard.rights import Right, needs
from tracker.dashboard.shapes import gives
from tracker.errors import mask_values
from tracker.version import __version__

__all__ = ["router"]

router = APIRouter(prefix="/api", tags=["state"])


@router.get("/health", responses=gives(shapes.Health))
@needs(Right.VIEW)
def health(request: Request) -> JSONResponse:
    """The engine by stages and cameras, the store and the disk."""
    context, allowed = context_of(request), set(allowed_of(request))
    found: dict[str, Any] = mask_values(context.engine.health())
    cameras = {name: values for name, values in found.get("cameras", {}).items() if name in allowed}
    named = {key: [name for name in found.get(key, ()) if name in allowed] for key in ("not_well", "losing_frames")}
    store = context.ledgers.facts()
    if not principal_of(request).may(Right.ADMIN):
        store = {key: value for key, value in store.items() if key != "problems"}
    disk = shutil.disk_usage(context.folder)
    return JSONResponse(
        {
            "version": __version__,
            "engine": found | {"attached": context.engine.attached, "cameras": cameras} | named,
            "store": store,
            "disk": {"free_bytes": disk.free, "total_bytes": disk.total},
        }
    )


@router.get("/openapi.json", include_in_schema=False)
@needs(Right.VIEW)
def openapi(request: Request) -> JSONResponse:
    """The description of this API."""
    return JSONResponse(request.app.openapi())
