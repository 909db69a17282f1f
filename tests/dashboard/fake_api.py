"""A fake of the dashboard's server over rendered scenes: the contract of the page without engine, store and accounts.

Browser tests and screenshots use it to reach every state of the page (conflict, outage, refusal, no data). Run it by
hand with ``python -m tests.dashboard.fake_api --port 8600``; log in as ``ada`` or ``val`` with :data:`PASSWORD`.
"""

from __future__ import annotations

import asyncio
import mimetypes
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from tests.dashboard.fake_accounts import FakeAccounts
from tests.dashboard.fake_answers import COOKIE, refusal
from tests.dashboard.fake_live import FakeLive
from tests.dashboard.fake_measures import FakeMeasures
from tests.dashboard.fake_runs import FakeRuns
from tests.dashboard.fake_sites import FakeSites
from tests.dashboard.fake_validation import FakeValidation
from tests.dashboard.fake_world import Camera
from tracker.dashboard.guard import csp

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

STATIC = Path(__file__).resolve().parents[2] / "tracker" / "dashboard" / "static"
PASSWORD = "correct horse battery"
TOKEN = "one-time-token-of-the-fake"


class Fake(FakeMeasures, FakeSites, FakeValidation, FakeAccounts, FakeLive, FakeRuns):
    """The whole state of a fake server.

    Args:
        setup_needed: Whether there is no account yet.
        video: A file that the recording ``morning`` plays; without one it has none.
        empty: No stream at all, for the empty states.
    """

    def __init__(self, *, setup_needed: bool = False, video: Path | None = None, empty: bool = False) -> None:
        FakeRuns.__init__(self)
        self.empty = empty
        self.users: dict[str, dict[str, Any]] = {}
        if not setup_needed:
            self.users["ada"] = {"name": "ada", "role": "admin", "streams": "*", "see_people": True}
            self.users["oli"] = {"name": "oli", "role": "operator", "streams": "*", "see_people": False}
            self.users["val"] = {"name": "val", "role": "viewer", "streams": ["checkout"], "see_people": False}
        self.passwords = dict.fromkeys(self.users, PASSWORD)
        self.sessions: dict[str, str] = {}
        self.tokens = [
            {
                "id": 1,
                "label": "grafana",
                "role": "viewer",
                "streams": "*",
                "see_people": False,
                "created_by": "ada",
                "created_ms": 1795000000000,
                "expires_ms": None,
                "used_ms": 1795860000000,
            }
        ]
        self.video = video
        cameras = (
            []
            if empty
            else [
                Camera("entrance", "door", loop_s=20.0),
                Camera("junction", "junction", loop_s=16.0),
                Camera("checkout", "checkout", loop_s=16.0, lost_share=0.38),
                Camera("car park", "bays", loop_s=8.0),
                Camera("back yard", "road", loop_s=4.0, lost="no picture for 48 s"),
                Camera("morning", "shop", loop_s=20.0, kind="recording", began_s=1795849200.0),
            ]
        )
        self.cameras = {one.id: one for one in cameras}
        self.hand_counts = []
        self.alerts_seen = {}
        self.left_out: list[str] = []
        self.fail: set[str] = set()
        """Paths that answer 500, for error states."""

    # ---- who asks ---------------------------------------------------------------------------------------------------

    def guarded(self, handler: Callable[..., Any], least: str = "viewer") -> Callable[..., Any]:
        """Session, role, camera and CSRF as the server checks them."""

        async def endpoint(request: Request) -> Response:
            if request.url.path in self.fail:
                return refusal(500, "internal error", remedy="look at the log")
            user = self.user(request)
            if user is None:
                return refusal(401, "session", "a session", "none", "log in")
            ranks = ["viewer", "operator", "admin"]
            if ranks.index(user["role"]) < ranks.index(least):
                return refusal(403, "right", f"the right to {least}", f"a {user['role']}", "ask an administrator")
            stream = request.path_params.get("stream")
            if stream is not None and stream not in [one.id for one in self.allowed(user)]:
                return refusal(404, "stream", "one that you may see", stream, "choose another one")
            if request.method != "GET" and request.headers.get("x-masktrail-csrf") != "fake-csrf":
                return refusal(403, "x-masktrail-csrf", "the session's token", "none", "load the page again")
            return await handler(request)

        return endpoint

    def begin(self, name: str) -> Response:
        secret = f"session-{len(self.sessions)}-{name}"
        self.sessions[secret] = name
        response = JSONResponse({"user": self.users[name], "csrf": "fake-csrf"})
        response.set_cookie(COOKIE, secret, httponly=True, samesite="strict")
        return response

    async def session(self, request: Request) -> Response:
        if request.method == "GET":
            user = self.user(request)
            known = {
                "user": user,
                "csrf": "fake-csrf" if user else "anonymous",
                "title": "Market Hall",
                "version": "0.0.0",
            }
            return JSONResponse({"setup_needed": not self.users, **known})
        if request.method == "DELETE":
            self.sessions.pop(request.cookies.get(COOKIE, ""), None)
            return Response(status_code=204)
        body = await request.json()
        if self.passwords.get(body["name"]) != body["password"]:
            return refusal(401, "name or password", "those of an account", "others", "try again")
        return self.begin(body["name"])

    async def setup(self, request: Request) -> Response:
        body = await request.json()
        if body["token"] != TOKEN:
            return refusal(
                403, "set-up link", "the link that is still good", "one that is over", "start the dashboard again"
            )
        self.users[body["name"]] = {
            "name": body["name"],
            "role": "admin",
            "streams": "*",
            "see_people": body.get("see_people", False),
        }
        self.passwords[body["name"]] = body["password"]
        return self.begin(body["name"])

    async def password(self, request: Request) -> Response:
        return Response(status_code=204) if (await request.json())["password"] == PASSWORD else refusal(403, "password")

    # ---- streams ----------------------------------------------------------------------------------------------------

    def summary(self, one: Camera) -> dict[str, Any]:
        now = time.time()
        index = one.now()[0]
        today: dict[tuple[str, str], int] = {}
        if one.kind == "camera":
            for line in one.site["lines"]:
                for direction in (line["to_left"], line["to_right"]):
                    today[line["name"], direction] = 120 + (len(line["name"]) * 37 + len(direction) * 11) % 90
            for event in [] if one.lost else one.events_between(one.began_s, now):
                if (event["place"], event["direction"]) in today:
                    today[event["place"], event["direction"]] += 1
        recording = one.kind == "recording"
        return {
            "id": one.id,
            "kind": one.kind,
            "state": "lost" if one.lost else "done" if recording else "live",
            "problem": one.lost or None,
            "fps": 0.0 if one.lost else 24.8,
            "age_s": 48.0 if one.lost else 0.21,
            "lost_share": one.lost_share,
            "size": [640, 360],
            "living": len(one.frame(index)[2]),
            "identities": one.most_id,
            "outage": "gap" if one.lost else one.outage or None,
            "site_revision": one.site["revision"],
            "today": [
                {"place": place, "direction": direction, "count": count} for (place, direction), count in today.items()
            ],
            "has_video": recording and self.video is not None,
            "began_ms": round(one.began_s * 1000),
            "duration_s": one.loop_s if recording else None,
            "timezone": one.timezone,
            "classes": ["person", "bicycle", "car", "motorcycle", "bus", "truck"],
        }

    async def streams(self, request: Request) -> Response:
        found = [self.summary(one) for one in self.allowed(self.user(request) or {})]
        return JSONResponse(
            {"streams": [one for one in found if one["kind"] == "camera" or request.query_params.get("all") != "0"]}
        )

    async def stream(self, request: Request) -> Response:
        return JSONResponse(self.summary(self.cameras[request.path_params["stream"]]))

    async def picture(self, request: Request) -> Response:
        one, clear = self.cameras[request.path_params["stream"]], request.query_params.get("variant") == "clear"
        if one.kind == "recording":
            return refusal(404, "camera", "one that is there and may be seen", one.id, "choose one of the list")
        if clear and not (self.user(request) or {}).get("see_people"):
            return refusal(403, "picture", "the right to see people", "a masked picture only")
        return Response(one.frame(one.now()[0])[1 if clear else 0], media_type="image/jpeg")

    async def video_file(self, request: Request) -> Response:
        return refusal(404, "video") if self.video is None else FileResponse(self.video, media_type="video/mp4")

    async def identity(self, request: Request) -> Response:
        one, number = self.cameras[request.path_params["stream"]], int(request.path_params["number"])
        path = await asyncio.to_thread(one.path, number)
        if not path:
            return refusal(404, "identity", "one of this stream", str(number), "choose another one")
        loop = (number - 1) // one.most_id
        start = one.began_s + loop * one.loop_s
        events = [event for event in one.events_between(start, start + one.loop_s) if event["identity"] == number]
        kind = next(
            t["class"] for i in range(one.frames) for t in one.frame(i)[2] if t["id"] == (number - 1) % one.most_id + 1
        )
        return JSONResponse(
            {
                "identity": number,
                "class": kind,
                "started_ms": path[0][0],
                "ended_ms": path[-1][0],
                "path": path,
                "events": events,
                "cut_outs": [],
                "live_cut_out": None,
            }
        )


async def _static(request: Request) -> Response:
    path = (STATIC / request.path_params["name"]).resolve()
    if STATIC not in path.parents or not path.is_file():
        return refusal(404, "file")
    return FileResponse(
        path, media_type="text/javascript" if path.suffix == ".js" else mimetypes.guess_type(path.name)[0]
    )


async def _page(request: Request) -> Response:
    return FileResponse(STATIC / "index.html")


def application(fake: Fake) -> Any:
    """The ASGI application of a fake."""
    g, s = fake.guarded, "/api/streams/{stream}"
    api = [
        Route("/api/session", fake.session, methods=["GET", "POST", "DELETE"]),
        Route("/api/setup", fake.setup, methods=["POST"]),
        Route("/api/session/password", g(fake.password), methods=["POST"]),
        Route("/api/streams", g(fake.streams)),
        Route("/api/alerts", g(fake.alerts)),
        Route("/api/alerts/rules", g(fake.rules)),
        Route("/api/alerts/acknowledge", g(fake.acknowledge, "operator"), methods=["POST"]),
        Route(s, g(fake.stream)),
        Route(s + "/picture", g(fake.picture)),
        Route(s + "/video", g(fake.video_file)),
        Route(s + "/identities/{number:int}", g(fake.identity)),
        Route(s + "/site", g(fake.site), methods=["GET"]),
        Route(s + "/site", g(fake.site, "operator"), methods=["PUT"]),
        Route(s + "/site/alerts", g(fake.save_rules, "operator"), methods=["PUT"]),
        Route(s + "/site/check", g(fake.check, "operator"), methods=["POST"]),
        Route(s + "/site/ground", g(fake.ground, "operator"), methods=["POST"]),
        Route(s + "/site/dry-run", g(fake.dry_run, "operator"), methods=["POST"]),
        Route(s + "/site/import", g(fake.take, "operator"), methods=["POST"]),
        Route(s + "/site/export", g(fake.give)),
        Route(s + "/site/{revision:int}", g(fake.old_site)),
        Route("/api/events", g(fake.events)),
        Route("/api/places", g(fake.places)),
        Route("/api/counts", g(fake.counts)),
        Route("/api/dwell", g(fake.dwell)),
        Route("/api/flows", g(fake.flows)),
        Route("/api/speeds", g(fake.speeds)),
        Route("/api/conflicts", g(fake.conflicts)),
        Route("/api/groups", g(fake.groups)),
        Route("/api/queues", g(fake.queues)),
        Route("/api/footfall", g(fake.footfall)),
        Route(s + "/heatmap", g(fake.heat)),
        Route(s + "/heatmap/picture", g(fake.heat_picture)),
        Route("/api/occupancy", g(fake.occupancy)),
        Route("/api/export/{name}", g(fake.export)),
        Route("/api/recordings", g(fake.recordings)),
        Route("/api/recordings/{stream}/frame", g(fake.still)),
        Route("/api/recordings/{stream}/trails", g(fake.trails)),
        Route("/api/runs", g(fake.all_runs)),
        Route("/api/runs/{name}", g(fake.one_run, "operator"), methods=["POST", "DELETE"]),
        Route("/api/audit", g(fake.audit, "operator")),
        Route("/api/validation/sheets", g(fake.sheets, "operator"), methods=["GET", "POST"]),
        Route("/api/validation/sheets/{number:int}", g(fake.sheet, "operator"), methods=["GET", "DELETE"]),
        Route("/api/validation/sheets/{number:int}/report", g(fake.report, "operator")),
        Route(
            "/api/validation/sheets/{number:int}/intervals/{interval:int}",
            g(fake.count_interval, "operator"),
            methods=["PUT"],
        ),
        Route("/api/validation", g(fake.validation, "operator"), methods=["GET", "POST"]),
        Route("/api/health", g(fake.health)),
        Route("/api/users", g(fake.accounts, "admin"), methods=["GET", "POST"]),
        Route("/api/users/{name}", g(fake.account, "admin"), methods=["PATCH", "DELETE"]),
        Route("/api/tokens", g(fake.machine_tokens, "admin"), methods=["GET", "POST"]),
        Route("/api/tokens/{number:int}", g(fake.machine_token, "admin"), methods=["DELETE"]),
        Route("/api/log", g(fake.log, "admin")),
        WebSocketRoute("/api/live", fake.live),
        Route("/static/{name:path}", _static),
        Route("/{view:path}", _page),
    ]
    app = Starlette(routes=api)

    async def with_headers(scope: Any, receive: Any, send: Any) -> None:
        async def sender(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"content-security-policy", csp.encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        await app(scope, receive, sender if scope["type"] == "http" else send)

    return with_headers


class Server:
    """A fake that is served from a thread, for tests: ``with Server(Fake()) as address``."""

    def __init__(self, fake: Fake, port: int = 0) -> None:
        import uvicorn

        self.config = uvicorn.Config(
            application(fake), host="127.0.0.1", port=port, log_level="warning", ws="websockets-sansio", lifespan="off"
        )
        self.server = uvicorn.Server(self.config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self) -> str:
        self.thread.start()
        while not self.server.started:
            time.sleep(0.02)
        return f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"

    def __exit__(self, *problem: object) -> None:
        self.server.should_exit = True
        self.thread.join(5)


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8600)
    parser.add_argument("--video", type=Path)
    chosen = parser.parse_args()
    with Server(Fake(video=chosen.video), chosen.port) as served:
        print(f"{served} (ada or val, {PASSWORD!r})")  # noqa: T201
        threading.Event().wait()
