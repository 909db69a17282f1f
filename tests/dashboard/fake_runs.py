"""Recordings without results and their runs in the fake: one that runs, one that waits, one that failed, one to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from tests.dashboard.fake_answers import refusal

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["FakeRuns"]

ASKED_MS = 1_795_860_000_000
PROBLEM = {
    "what": "night.avi",
    "expected": "a video that can be decoded",
    "found": "a damaged index",
    "remedy": "copy the file again",
}


def _run(name: str, state: str, **more: Any) -> dict[str, Any]:
    rest = dict.fromkeys(("total", "left_s", "refined", "problem"))
    facts = {"recording": name, "stream": name, "kind": "track", "state": state, "by": "ada"}
    facts |= {"asked_ms": ASKED_MS, "frames": 0}
    return facts | rest | more


class FakeRuns:
    """Runs of the fake, which get on by a tenth each time that they are looked at."""

    def __init__(self) -> None:
        self.runs = [
            _run("afternoon", "running", frames=2400, total=27_000, left_s=815.0),
            _run("evening", "queued"),
            _run("night", "failed", problem=PROBLEM),
        ]
        self.runnable = ["night", "noon"]

    def unrun(self) -> list[dict[str, Any]]:
        """Recordings without results, as the list has them."""
        facts = {"kind": "recording", "state": "done", "size": [1280, 720], "duration_s": 1080.0, "has_video": False}
        nothing = dict.fromkeys(("problem", "fps", "age_s", "living", "identities", "outage", "site_revision"))
        rest = nothing | {"timezone": None, "began_ms": None, "today": [], "files": []}
        return [{"id": name, **facts, **rest} for name in ("afternoon", "evening", "night", "noon")]

    async def all_runs(self, request: Request) -> Response:
        del request
        return JSONResponse({"allowed": True, "runs": self.runs, "runnable": self.runnable})

    async def one_run(self, request: Request) -> Response:
        name = request.path_params["name"]
        held = next((one for one in self.runs if one["recording"] == name), None)
        if request.method == "POST" and name in self.runnable:
            self.runnable.remove(name)
            self.runs = [*(one for one in self.runs if one is not held), _run(name, "queued")]
            return JSONResponse(self.runs[-1], 202)
        if request.method == "DELETE" and held is not None:
            self.runs.remove(held)
            self.runnable += [name] if name not in self.runnable else []
            return Response(status_code=204)
        return refusal(404, "stream")
