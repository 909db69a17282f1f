"""A fake of the dashboard's server over rendered scenes: the contract of the page without engine, store and accounts.

Browser tests and screenshots use it to reach every state of the page (conflict, outage, refusal, no data).
Run it by hand with ``python -m tests.dashboard.fake_api --port 8600``; log in as ``ada`` or ``val`` with :data:`PASSWORD`.
"""

from __future__ import annotations

import asyncio
import json
import mimetypes
import struct
import threading
import time
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from tests.dashboard import fake_numbers
from tests.dashboard.fake_world import Camera, passes

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.websockets import WebSocket

STATIC = Path(__file__).resolve().parents[2] / "tracker" / "dashboard" / "static"
PASSWORD = "correct horse battery"
TOKEN = "one-time-token-of-the-fake"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self'; connect-src 'self'; "
    "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
COOKIE = "masktrail"


def refusal(status: int, what: str, expected: str = "", found: str = "", remedy: str = "", **more: Any) -> JSONResponse:
    """An error of the contract."""
    return JSONResponse({"error": {"what": what, "expected": expected, "found": found, "remedy": remedy}, **more}, status)


class Fake:
    """The whole state of a fake server.

    Args:
        setup_needed: Whether there is no account yet.
        video: A file that the recording ``morning`` plays; without one it has none.
        empty: No stream at all, for the empty states.
    """

    def __init__(self, *, setup_needed: bool = False, video: Path | None = None, empty: bool = False) -> None:
        self.users: dict[str, dict[str, Any]] = {}
        if not setup_needed:
            self.users["ada"] = {"name": "ada", "role": "admin", "streams": "*", "see_people": True}
            self.users["oli"] = {"name": "oli", "role": "operator", "streams": "*", "see_people": False}
            self.users["val"] = {"name": "val", "role": "viewer", "streams": ["checkout"], "see_people": False}
        self.passwords = dict.fromkeys(self.users, PASSWORD)
        self.sessions: dict[str, str] = {}
        self.tokens = [{"id": 1, "label": "grafana", "role": "viewer", "streams": "*", "see_people": False, "created_by": "ada", "created_ms": 1795000000000, "expires_ms": None, "used_ms": 1795860000000}]
        self.video = video
        cameras = [] if empty else [
            Camera("entrance", "door", loop_s=20.0), Camera("junction", "junction", loop_s=16.0), Camera("checkout", "checkout", loop_s=16.0),
            Camera("car park", "bays", loop_s=8.0), Camera("back yard", "road", loop_s=4.0, lost="no picture for 48 s"),
            Camera("morning", "shop", loop_s=20.0, kind="recording", began_s=1795849200.0),
        ]  # fmt: skip
        self.cameras = {one.id: one for one in cameras}
        self.fail: set[str] = set()
        """Paths that answer 500, for error states."""

    # ---- who asks ---------------------------------------------------------------------------------------------------

    def user(self, request: Any) -> dict[str, Any] | None:
        name = self.sessions.get(request.cookies.get(COOKIE, ""))
        return self.users.get(name) if name else None

    def allowed(self, user: dict[str, Any]) -> list[Camera]:
        return [one for one in self.cameras.values() if user["streams"] == "*" or one.id in user["streams"]]

    def chosen(self, request: Request) -> list[Camera]:
        wanted = request.query_params.getlist("stream")
        return [one for one in self.allowed(self.user(request) or {}) if not wanted or one.id in wanted]

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
            known = {"user": user, "csrf": "fake-csrf" if user else "anonymous", "title": "Market Hall", "version": "0.0.0"}
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
            return refusal(403, "set-up link", "the link that is still good", "one that is over", "start the dashboard again")
        self.users[body["name"]] = {"name": body["name"], "role": "admin", "streams": "*", "see_people": body.get("see_people", False)}
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
            "id": one.id, "kind": one.kind, "state": "lost" if one.lost else "done" if recording else "live", "problem": one.lost or None,
            "fps": 0.0 if one.lost else 24.8, "age_s": 48.0 if one.lost else 0.21, "size": [640, 360], "living": len(one.frame(index)[2]),
            "identities": one.most_id, "outage": "gap" if one.lost else None, "site_revision": one.site["revision"],
            "today": [{"place": place, "direction": direction, "count": count} for (place, direction), count in today.items()],
            "has_video": recording and self.video is not None, "began_ms": round(one.began_s * 1000), "duration_s": one.loop_s if recording else None,
            "timezone": one.timezone, "classes": ["person", "bicycle", "car", "motorcycle", "bus", "truck"],
        }  # fmt: skip

    async def streams(self, request: Request) -> Response:
        found = [self.summary(one) for one in self.allowed(self.user(request) or {})]
        return JSONResponse({"streams": [one for one in found if one["kind"] == "camera" or request.query_params.get("all") != "0"]})

    async def stream(self, request: Request) -> Response:
        return JSONResponse(self.summary(self.cameras[request.path_params["stream"]]))

    async def picture(self, request: Request) -> Response:
        one, clear = self.cameras[request.path_params["stream"]], request.query_params.get("variant") == "clear"
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
        kind = next(t["class"] for i in range(one.frames) for t in one.frame(i)[2] if t["id"] == (number - 1) % one.most_id + 1)
        return JSONResponse({"identity": number, "class": kind, "started_ms": path[0][0], "ended_ms": path[-1][0], "path": path, "events": events, "cut_outs": []})

    # ---- sites ------------------------------------------------------------------------------------------------------

    async def site(self, request: Request) -> Response:
        one = self.cameras[request.path_params["stream"]]
        if request.method == "GET":
            return JSONResponse({"revision": one.site["revision"], "site": one.site, "size": [640, 360], "history": one.history})
        body = await request.json()
        if body["revision"] != one.site["revision"]:
            error = ("site", f"revision {body['revision']}", f"revision {one.site['revision']}", "look at the differences")
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
        found = [{"at": name, "message": f"expected different names, found {name!r} twice"} for name in set(names) if names.count(name) > 1]
        found += [{"at": line["name"], "message": "expected two points or more"} for line in site["lines"] if len(line["points"]) < 2]
        return found

    async def old_site(self, request: Request) -> Response:
        one, revision = self.cameras[request.path_params["stream"]], int(request.path_params["revision"])
        return JSONResponse({"revision": revision, "site": one.old_sites[revision]}) if revision in one.old_sites else refusal(404, "revision")

    async def check(self, request: Request) -> Response:
        return JSONResponse({"problems": self.problems((await request.json())["site"]), "warnings": []})

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
            {"place": line["name"], "kind": "line", "rows": [
                {"what": line["to_left"], "class": "", "was": count(before.get(line["name"]), 1), "would": count(line, 1)},
                {"what": line["to_right"], "class": "", "was": count(before.get(line["name"]), -1), "would": count(line, -1)}]}
            for line in site["lines"]
        ]  # fmt: skip
        places += [{"place": zone["name"], "kind": "zone", "rows": [{"what": "stays", "class": "", "was": 4, "would": 4}]} for zone in site["zones"]]
        now = round(time.time() * 1000)
        return {"from_ms": now - 600_000, "to_ms": now, "seconds": 600, "places": places}

    async def take(self, request: Request) -> Response:
        one = self.cameras[request.path_params["stream"]]
        try:
            found = json.loads(await request.body())
        except ValueError:
            return refusal(422, "file", "JSON of the chosen format", "something else", "choose the format that the file has")
        lines = [{**one.site["lines"][0], "name": name, "points": points} for name, points in found.items()]
        return JSONResponse({"site": one.site | {"lines": lines, "zones": [], "occluders": []}, "warnings": ["colours are left out"]})

    async def give(self, request: Request) -> Response:
        one = self.cameras[request.path_params["stream"]]
        return Response(json.dumps(one.site), headers={"content-disposition": 'attachment; filename="site.json"'}, media_type="application/json")

    # ---- numbers ----------------------------------------------------------------------------------------------------

    @staticmethod
    def events_of(one: Camera, now_s: float) -> list[dict[str, Any]]:
        """The last quarter of an hour of a camera, the whole of a recording."""
        if one.kind == "recording":
            return one.events_between(one.began_s, one.began_s + one.loop_s - 0.001)
        return one.events_between(now_s - 900, now_s)

    async def events(self, request: Request) -> Response:
        query, now = request.query_params, time.time()
        found = [event for one in self.chosen(request) if not one.lost for event in self.events_of(one, now)]
        for key in ("place", "direction", "class", "kind"):
            if wanted := query.getlist(key):
                found = [event for event in found if event[key] in wanted]
        if before := query.get("before_ms"):
            found = [event for event in found if event["at_ms"] < float(before)]
        found = sorted(found, key=lambda event: -event["at_ms"])
        limit, start = int(query.get("limit", 100)), int(query.get("cursor", 0))
        rest = str(start + limit) if start + limit < len(found) else None
        return JSONResponse({"events": found[start : start + limit], "next": rest})

    async def places(self, request: Request) -> Response:
        lines = [line for one in self.chosen(request) for line in one.site["lines"]]
        directions = sorted({line[key] for line in lines for key in ("to_left", "to_right")})
        return JSONResponse({"kinds": ["crossing"], "places": sorted({line["name"] for line in lines}), "directions": directions, "classes": ["car", "person", "truck"]})

    async def counts(self, request: Request) -> Response:
        query, streams = request.query_params, self.chosen(request)
        now = time.time()
        from_s, to_s = float(query.get("from_ms", (now - 86400) * 1000)) / 1000, float(query.get("to_ms", now * 1000)) / 1000
        bin_s = int(query.get("bin_s") or 3600)
        starts = [from_s + step * bin_s for step in range(max(0, min(2000, int((to_s - from_s) / bin_s + 0.999))))]
        out = fake_numbers.outages([one.id for one in streams])
        dark = [any(gap["from_ms"] < (at + bin_s) * 1000 and gap["to_ms"] > at * 1000 for gap in out) for at in starts]
        whole = [any(gap["from_ms"] <= at * 1000 and gap["to_ms"] >= (at + bin_s) * 1000 for gap in out) for at in starts]
        by = (query.get("by") or "direction").split(",")
        groups: list[dict[str, str]] = []
        for one in streams:
            for line in one.site["lines"]:
                for direction in (line["to_left"], line["to_right"]):
                    for name in ("person",) if one.id in {"entrance", "checkout"} else ("car", "truck", "bicycle"):
                        full = {"stream": one.id, "place": line["name"], "direction": direction, "class": name}
                        if all(full[key] in query.getlist(key) for key in ("place", "direction", "class") if query.getlist(key)):
                            group = {key: full[key] for key in by if key in full}
                            if group not in groups:
                                groups.append(group)
        series = fake_numbers.counts(groups, starts, bin_s, whole, now) if len(streams) else []
        compared = None
        if shift := float(query.get("compare_s") or 0):
            compared = fake_numbers.counts(groups, [at - shift for at in starts], bin_s, [False] * len(starts), now)
        return JSONResponse({"bin_s": bin_s, "utc": True, "starts_ms": [round(at * 1000) for at in starts], "series": series, "compared": compared,
                             "outages": out, "outage_bins": dark, "timezone": "Europe/Berlin"})  # fmt: skip

    async def dwell(self, request: Request) -> Response:
        return JSONResponse(fake_numbers.dwell([one.id for one in self.chosen(request)]))

    async def flows(self, request: Request) -> Response:
        return JSONResponse(fake_numbers.flows(self.chosen(request)))

    async def occupancy(self, request: Request) -> Response:
        zones = []
        for one in self.chosen(request):
            if one.kind == "camera" and not one.lost:
                state = one.state(*one.now())
                zones += [{"stream": one.id, "place": zone, "class": name, "present": n} for zone, row in state["present"].items() for name, n in row.items()]
        balances = [{"stream": "entrance", "name": "shop", "balance": 37, "drift": 2}] if "entrance" in [one.id for one in self.chosen(request)] else []
        return JSONResponse({"zones": zones, "balances": balances})

    async def export(self, request: Request) -> Response:
        rows = ["start,stream,direction,count", f"{fake_numbers.utc(1795860000000)},entrance,in,12"]
        name = request.url.path.rsplit("/", 1)[-1]
        return Response("\n".join(rows) + "\n", media_type="text/csv", headers={"content-disposition": f'attachment; filename="{name}"'})

    async def recordings(self, request: Request) -> Response:
        return JSONResponse({"recordings": [self.summary(one) for one in self.allowed(self.user(request) or {}) if one.kind == "recording"]})

    async def audit(self, request: Request) -> Response:
        streams = self.chosen(request)
        found = fake_numbers.near_misses("entrance") if any(one.id == "entrance" for one in streams) else {"audits": []}
        return JSONResponse(found)

    async def health(self, request: Request) -> Response:
        cameras = {
            one.id: {
                "state": "lost" if one.lost else "live", "problem": one.lost, "output_failures": 0, "output_problem": "", "frames": 184_220, "fps": 0.0 if one.lost else 24.8,
                "age_p50_s": 0.19, "age_p99_s": 0.44, "silence_s": 48.0 if one.lost else 0.04, "living": 4, "identities": 1822, "model": "yolact-nano", "model_share": 0.24,
                "stage_ms": {"decode": 2.1, "segment": 11.4, "associate": 0.4, "analytics": 0.2, "render": 0.0}, "size": [1920, 1080], "codec": "h264", "decoder": "cpu",
                "reconnects": 7 if one.lost else 0, "dropped": 12, "broken": 0,
            } for one in self.chosen(request) if one.kind == "camera"
        }  # fmt: skip
        return JSONResponse({
            "version": "0.0.0", "engine": {"attached": True, "status": "degraded", "not_well": ["back yard"], "cameras": cameras,
            "models": {"yolact-nano": {"device": "cuda", "gpu_share": 0.41, "cameras": 5, "batches": 40_211, "frames_per_batch": 3.4, "batch_ms": 9.8}}},
            "store": {"ledgers": 5, "events": 412_882, "bytes": 48_230_400, "problems": []}, "disk": {"free_bytes": 81_604_378_624, "total_bytes": 250_790_436_864},
        })  # fmt: skip

    # ---- accounts ---------------------------------------------------------------------------------------------------

    async def accounts(self, request: Request) -> Response:
        if request.method == "GET":
            return JSONResponse({"users": [one | {"created_ms": 1795860000000} for one in self.users.values()]})
        body = await request.json()
        if body["name"] in self.users:
            return refusal(409, "name", "a new one", "one that is taken", "choose another one")
        self.passwords[body["name"]] = body.pop("password")
        self.users[body["name"]] = body
        return JSONResponse(body, 201)

    async def account(self, request: Request) -> Response:
        name = request.path_params["name"]
        if request.method == "DELETE":
            self.users.pop(name, None)
            return Response(status_code=204)
        body = await request.json()
        self.passwords[name] = body.pop("password", self.passwords[name])
        self.users[name] |= body
        return JSONResponse(self.users[name])

    async def machine_tokens(self, request: Request) -> Response:
        if request.method == "GET":
            return JSONResponse({"tokens": self.tokens})
        made = {"id": len(self.tokens) + 1, "created_ms": round(time.time() * 1000), "expires_ms": None, "used_ms": None, **await request.json()}
        self.tokens.append(made)
        return JSONResponse({"id": made["id"], "token": "mt_3fV0aexample"}, 201)

    async def machine_token(self, request: Request) -> Response:
        self.tokens = [one for one in self.tokens if one["id"] != int(request.path_params["number"])]
        return Response(status_code=204)

    async def log(self, request: Request) -> Response:
        rows = [("ada", "log in", ""), ("ada", "site saved", "entrance revision 3"), ("val", "log in refused", ""), ("ada", "user added", "val")]
        return JSONResponse({"log": [{"at_ms": 1795860000000 - 600_000 * n, "row": n, "name": who, "what": what, "detail": more, "address": "192.168.1.20"} for n, (who, what, more) in enumerate(rows)]})

    # ---- live -------------------------------------------------------------------------------------------------------

    async def live(self, socket: WebSocket) -> None:
        user = self.user(socket)
        if user is None:
            await socket.close(1008)
            return
        await socket.accept()
        watched: list[dict[str, Any]] = []
        credit: dict[str, int] = {}

        async def listen() -> None:
            while True:
                message = json.loads(await socket.receive_text())
                if "watch" in message:
                    may = [one.id for one in self.allowed(user)]
                    watched[:] = [one for one in message["watch"] if one["stream"] in may]
                    credit.update({one["stream"]: 2 for one in watched})
                elif message.get("ack") in credit:
                    credit[message["ack"]] = min(2, credit[message["ack"]] + 1)

        listener = asyncio.create_task(listen())
        seen_s = time.time()
        sent: dict[str, int] = {}
        try:
            while not listener.done():
                now_s = time.time()
                for wish in list(watched):
                    await self._send(socket, self.cameras[wish["stream"]], wish, credit, sent)
                    for event in self.cameras[wish["stream"]].events_between(seen_s, now_s):
                        await socket.send_text(json.dumps({"type": "event", "event": event}))
                    await socket.send_text(json.dumps({"type": "counts", "stream": wish["stream"], "places": self.summary(self.cameras[wish["stream"]])["today"]}))
                seen_s = now_s
                await asyncio.sleep(1 / 5)
        except Exception:  # noqa: BLE001 - the page went away
            pass
        finally:
            listener.cancel()

    async def _send(self, socket: WebSocket, one: Camera, wish: dict[str, Any], credit: dict[str, int], sent: dict[str, int]) -> None:
        index, loop, at_s = one.now()
        t_ms = round(at_s * 1000)
        if sent.get(one.id) == t_ms:
            return
        sent[one.id] = t_ms
        await socket.send_text(json.dumps(one.state(index, loop, at_s)))
        if wish.get("pictures", True) and credit.get(one.id, 0) > 0:
            credit[one.id] -= 1
            head = json.dumps({"stream": one.id, "t_ms": t_ms, "variant": wish["variant"], "width": 640, "height": 360}).encode()
            await socket.send_bytes(struct.pack(">I", len(head)) + head + one.frame(index)[1 if wish["variant"] == "clear" else 0])


async def _static(request: Request) -> Response:
    path = (STATIC / request.path_params["name"]).resolve()
    if STATIC not in path.parents or not path.is_file():
        return refusal(404, "file")
    return FileResponse(path, media_type="text/javascript" if path.suffix == ".js" else mimetypes.guess_type(path.name)[0])


async def _page(request: Request) -> Response:
    return FileResponse(STATIC / "index.html")


def application(fake: Fake) -> Any:
    """The ASGI application of a fake."""
    g, s = fake.guarded, "/api/streams/{stream}"
    api = [
        Route("/api/session", fake.session, methods=["GET", "POST", "DELETE"]), Route("/api/setup", fake.setup, methods=["POST"]),
        Route("/api/session/password", g(fake.password), methods=["POST"]), Route("/api/streams", g(fake.streams)), Route(s, g(fake.stream)),
        Route(s + "/picture", g(fake.picture)), Route(s + "/video", g(fake.video_file)), Route(s + "/identities/{number:int}", g(fake.identity)),
        Route(s + "/site", g(fake.site), methods=["GET"]), Route(s + "/site", g(fake.site, "operator"), methods=["PUT"]),
        Route(s + "/site/check", g(fake.check, "operator"), methods=["POST"]), Route(s + "/site/dry-run", g(fake.dry_run, "operator"), methods=["POST"]),
        Route(s + "/site/import", g(fake.take, "operator"), methods=["POST"]), Route(s + "/site/export", g(fake.give)), Route(s + "/site/{revision:int}", g(fake.old_site)),
        Route("/api/events", g(fake.events)), Route("/api/places", g(fake.places)), Route("/api/counts", g(fake.counts)), Route("/api/dwell", g(fake.dwell)), Route("/api/flows", g(fake.flows)),
        Route("/api/occupancy", g(fake.occupancy)), Route("/api/export/{name}", g(fake.export)), Route("/api/recordings", g(fake.recordings)),
        Route("/api/audit", g(fake.audit, "operator")), Route("/api/health", g(fake.health)),
        Route("/api/users", g(fake.accounts, "admin"), methods=["GET", "POST"]), Route("/api/users/{name}", g(fake.account, "admin"), methods=["PATCH", "DELETE"]),
        Route("/api/tokens", g(fake.machine_tokens, "admin"), methods=["GET", "POST"]), Route("/api/tokens/{number:int}", g(fake.machine_token, "admin"), methods=["DELETE"]),
        Route("/api/log", g(fake.log, "admin")), WebSocketRoute("/api/live", fake.live),
        Route("/static/{name:path}", _static), Route("/{view:path}", _page),
    ]  # fmt: skip
    app = Starlette(routes=api)

    async def with_headers(scope: Any, receive: Any, send: Any) -> None:
        async def sender(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", CSP.encode()), (b"x-content-type-options", b"nosniff")]
            await send(message)

        await app(scope, receive, sender if scope["type"] == "http" else send)

    return with_headers


class Server:
    """A fake that is served from a thread, for tests: ``with Server(Fake()) as address``."""

    def __init__(self, fake: Fake, port: int = 0) -> None:
        import uvicorn

        self.config = uvicorn.Config(application(fake), host="127.0.0.1", port=port, log_level="warning", ws="websockets-sansio", lifespan="off")
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
