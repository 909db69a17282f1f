"""Sites of the fake dashboard: save with a revision, check, dry run on exact paths, import and export."""

from __future__ import annotations

import asyncio
import json
import time
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from tests.dashboard.fake_answers import refusal
from tests.dashboard.fake_recorded import FakeRecorded
from tests.dashboard.fake_world import passes
from tracker.dashboard.ground_view import ground_view
from tracker.dashboard.problems import ApiError
from tracker.dashboard.rule_list import site_rules
from tracker.dashboard.sites import site_of_json

if TYPE_CHECKING:
    from starlette.requests import Request

    from tests.dashboard.fake_world import Camera


class FakeSites(FakeRecorded):
    """Routes under ``/api/streams/ID/site``."""

    async def site(self, request: Request) -> Response:
        one = self.cameras[request.path_params["stream"]]
        if request.method == "GET":
            facts = {"revision": one.site["revision"], "site": one.site, "size": [640, 360], "history": one.history}
            return JSONResponse(facts | {"recording": self.recorded(request, one)})
        body = await request.json()
        if body["revision"] != one.site["revision"]:
            error = (
                "site",
                f"revision {body['revision']}",
                f"revision {one.site['revision']}",
                "look at the differences",
            )
            return refusal(409, *error, revision=one.site["revision"], site=one.site, diff=[])
        problems = self.problems(body["site"])
        if problems:
            return refusal(422, "site", "a site without problems", problems[0]["message"], "mend it")
        self.save(one, body["site"], (self.user(request) or {})["name"])
        return JSONResponse({"revision": one.site["revision"]})

    def save(self, one: Camera, site: dict[str, Any], by: str) -> None:
        """Store a site as the next revision."""
        one.site = deepcopy(site) | {"revision": one.site["revision"] + 1}
        one.history.insert(0, {"revision": one.site["revision"], "saved_ms": round(time.time() * 1000), "by": by})
        one.old_sites[one.site["revision"]] = one.site

    @staticmethod
    def problems(site: dict[str, Any]) -> list[dict[str, str]]:
        names = [one["name"] for one in (*site["lines"], *site["zones"])]
        found = [
            {"at": name, "message": f"expected different names, found {name!r} twice"}
            for name in set(names)
            if names.count(name) > 1
        ]
        found += [
            {"at": line["name"], "message": "expected two points or more"}
            for line in site["lines"]
            if len(line["points"]) < 2
        ]
        return found + (ground_view(site["ground"], None)["problems"] if site.get("ground") else [])

    async def old_site(self, request: Request) -> Response:
        one, revision = self.cameras[request.path_params["stream"]], int(request.path_params["revision"])
        return (
            JSONResponse({"revision": revision, "site": one.old_sites[revision]})
            if revision in one.old_sites
            else refusal(404, "revision")
        )

    async def check(self, request: Request) -> Response:
        return JSONResponse({"problems": self.problems((await request.json())["site"]), "warnings": []})

    async def rules(self, request: Request) -> Response:
        wanted = request.query_params.getlist("stream")
        found = [one for one in self.allowed(self.user(request) or {}) if not wanted or one.id in wanted]
        return JSONResponse({"sites": [self._rules_of(one) for one in found if one.kind == "camera"]})

    async def save_rules(self, request: Request) -> Response:
        one, body = self.cameras[request.path_params["stream"]], await request.json()
        site = one.site | {"alerts": body["rules"]}
        try:
            site_of_json(site)
        except ApiError as failure:
            return failure.response()
        if body["revision"] != one.site["revision"]:
            known = self._rules_of(one)
            return refusal(409, "site", revision=known["revision"], site={"alerts": known["rules"]}, diff=[])
        self.save(one, site, (self.user(request) or {})["name"])
        return JSONResponse(self._rules_of(one))

    @staticmethod
    def _rules_of(one: Camera) -> dict[str, Any]:
        return site_rules(one.id, site_of_json(one.site))

    async def ground(self, request: Request) -> Response:
        return JSONResponse(ground_view((await request.json())["ground"], (640, 360)))

    async def dry_run(self, request: Request) -> Response:
        one, site = self.cameras[request.path_params["stream"]], (await request.json())["site"]
        return JSONResponse(await asyncio.to_thread(self._dry_run, one, site))

    @staticmethod
    def _dry_run(one: Camera, site: dict[str, Any]) -> dict[str, Any]:
        paths = [path for number in range(1, one.most_id + 1) if (path := one.path(number))]
        before = {line["name"]: line for line in one.site["lines"]}

        def count(line: dict[str, Any] | None, sign: int) -> int:
            return 0 if line is None else sum(passes(path, line["points"]).count(sign) for path in paths)

        places = [
            {
                "place": line["name"],
                "kind": "line",
                "rows": [
                    {
                        "what": line["to_left"],
                        "class": "",
                        "was": count(before.get(line["name"]), 1),
                        "would": count(line, 1),
                    },
                    {
                        "what": line["to_right"],
                        "class": "",
                        "was": count(before.get(line["name"]), -1),
                        "would": count(line, -1),
                    },
                ],
            }
            for line in site["lines"]
        ]
        places += [
            {"place": zone["name"], "kind": "zone", "rows": [{"what": "entered", "class": "", "was": 4, "would": 4}]}
            for zone in site["zones"]
        ]
        now = round(time.time() * 1000)
        return {"from_ms": now - 600_000, "to_ms": now, "seconds": 600, "places": places}

    async def take(self, request: Request) -> Response:
        one = self.cameras[request.path_params["stream"]]
        try:
            found = json.loads(await request.body())
        except ValueError:
            return refusal(
                422, "file", "JSON of the chosen format", "something else", "choose the format that the file has"
            )
        lines = [{**one.site["lines"][0], "name": name, "points": points} for name, points in found.items()]
        return JSONResponse(
            {"site": one.site | {"lines": lines, "zones": [], "occluders": []}, "warnings": ["colours are left out"]}
        )

    async def give(self, request: Request) -> Response:
        one = self.cameras[request.path_params["stream"]]
        return Response(
            json.dumps(one.site),
            headers={"content-disposition": 'attachment; filename="site.json"'},
            media_type="application/json",
        )
