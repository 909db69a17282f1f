"""Recordings of the fake in the editor: stills of the rendered scene, trails on exact paths, facts of their site."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from tests.dashboard.fake_answers import FakeState, refusal
from tests.dashboard.fake_world import FPS, SIZE

if TYPE_CHECKING:
    from starlette.requests import Request

    from tests.dashboard.fake_world import Camera


class FakeRecorded(FakeState):
    """Routes under ``/api/recordings/ID`` that the editor asks."""

    def recorded(self, request: Request, one: Camera) -> dict[str, Any] | None:
        """What the site of a recording has beside it."""
        if one.kind != "recording":
            return None
        user = self.user(request) or {}
        return {
            "name": one.id,
            "scope": "recording",
            "scopes": ["recording", "folder"],
            "files": {"recording": f"{one.id}.site.yaml", "folder": "site.yaml"},
            "sharing": [],
            "apart": [one.id],
            "has_rows": True,
            "has_picture": bool(user.get("see_people")),
            "duration_s": one.loop_s,
            "runs_allowed": True,
            "commands": [],
            "count_problem": None,
            "counted_revision": one.history[-1]["revision"],
        }

    async def still(self, request: Request) -> Response:
        one = self.cameras[request.path_params["stream"]]
        if not (self.user(request) or {}).get("see_people"):
            return refusal(403, "picture", "the right to see people", "a masked picture only")
        index = min(int(float(request.query_params.get("at_s", "0")) * FPS), one.frames - 1)
        return Response((await asyncio.to_thread(one.frame, index))[1], media_type="image/jpeg")

    async def trails(self, request: Request) -> Response:
        one = self.cameras[request.path_params["stream"]]
        low, high = (float(request.query_params.get(name, default)) for name, default in (("from_s", 0), ("to_s", 1e6)))
        return JSONResponse(await asyncio.to_thread(self._trails, one, low, high))

    @staticmethod
    def _trails(one: Camera, low: float, high: float) -> dict[str, Any]:
        trails = []
        for number in range(1, one.most_id + 1):
            path = [[t_ms / 1000 - one.began_s, x, y] for t_ms, x, y in one.path(number, step=4)]
            if points := [point for point in path if low <= point[0] <= high]:
                trails.append({"identity": number, "class": "person", "points": points})
        return {"size": list(SIZE), "from_s": 0.0, "to_s": one.loop_s, "trails": trails}
