"""Questions to the fake dashboard's ledger, and what its engine reports."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from tests.dashboard import fake_numbers
from tests.dashboard.fake_answers import FakeState
from tracker.engine.losses import LOST_SHARE

if TYPE_CHECKING:
    from starlette.requests import Request

    from tests.dashboard.fake_world import Camera


class FakeQuestions(FakeState):
    """Routes of numbers."""

    def chosen(self, request: Request) -> list[Camera]:
        wanted = request.query_params.getlist("stream")
        return [one for one in self.allowed(self.user(request) or {}) if not wanted or one.id in wanted]

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
        return JSONResponse(
            {
                "kinds": ["crossing"],
                "places": sorted({line["name"] for line in lines}),
                "directions": directions,
                "classes": ["car", "person", "truck"],
            }
        )

    async def counts(self, request: Request) -> Response:
        query, streams = request.query_params, self.chosen(request)
        now = time.time()
        from_s, to_s = (
            float(query.get("from_ms", (now - 86400) * 1000)) / 1000,
            float(query.get("to_ms", now * 1000)) / 1000,
        )
        bin_s = int(query.get("bin_s") or 3600)
        starts = [from_s + step * bin_s for step in range(max(0, min(2000, int((to_s - from_s) / bin_s + 0.999))))]
        out = fake_numbers.outages([one.id for one in streams])
        dark = [any(gap["from_ms"] < (at + bin_s) * 1000 and gap["to_ms"] > at * 1000 for gap in out) for at in starts]
        whole = [
            any(gap["from_ms"] <= at * 1000 and gap["to_ms"] >= (at + bin_s) * 1000 for gap in out) for at in starts
        ]
        by = (query.get("by") or "direction").split(",")
        groups: list[dict[str, str]] = []
        for one in streams:
            for line in one.site["lines"]:
                for direction in (line["to_left"], line["to_right"]):
                    for name in ("person",) if one.id in {"entrance", "checkout"} else ("car", "truck", "bicycle"):
                        full = {"stream": one.id, "place": line["name"], "direction": direction, "class": name}
                        if all(
                            full[key] in query.getlist(key)
                            for key in ("place", "direction", "class")
                            if query.getlist(key)
                        ):
                            group = {key: full[key] for key in by if key in full}
                            if group not in groups:
                                groups.append(group)
        series = fake_numbers.counts(groups, starts, bin_s, whole, now) if len(streams) else []
        compared = None
        if shift := float(query.get("compare_s") or 0):
            compared = fake_numbers.counts(groups, [at - shift for at in starts], bin_s, [False] * len(starts), now)
        return JSONResponse(
            {
                "bin_s": bin_s,
                "utc": True,
                "starts_ms": [round(at * 1000) for at in starts],
                "series": series,
                "compared": compared,
                "outages": out,
                "left_out": self.left_out,
                "outage_bins": dark,
                "timezone": "Europe/Berlin",
            }
        )

    async def dwell(self, request: Request) -> Response:
        return JSONResponse(fake_numbers.dwell([one.id for one in self.chosen(request)]))

    async def flows(self, request: Request) -> Response:
        return JSONResponse(fake_numbers.flows(self.chosen(request)))

    async def occupancy(self, request: Request) -> Response:
        zones = []
        for one in self.chosen(request):
            if one.kind == "camera" and not one.lost:
                state = one.state(*one.now())
                zones += [
                    {"stream": one.id, "place": zone, "class": name, "present": n}
                    for zone, row in state["present"].items()
                    for name, n in row.items()
                ]
        balances = (
            [{"stream": "entrance", "name": "shop", "balance": 37, "drift": 2}]
            if "entrance" in [one.id for one in self.chosen(request)]
            else []
        )
        return JSONResponse({"zones": zones, "balances": balances})

    async def export(self, request: Request) -> Response:
        rows = ["start,stream,direction,count", f"{fake_numbers.utc(1795860000000)},entrance,in,12"]
        name = request.url.path.rsplit("/", 1)[-1]
        return Response(
            "\n".join(rows) + "\n",
            media_type="text/csv",
            headers={"content-disposition": f'attachment; filename="{name}"'},
        )

    async def recordings(self, request: Request) -> Response:
        user = self.user(request) or {}
        found = [self.summary(one) for one in self.allowed(user) if one.kind == "recording"]
        unrun = self.unrun() if user.get("streams") == "*" and not self.empty else []
        return JSONResponse({"recordings": [*found, *unrun]})

    async def audit(self, request: Request) -> Response:
        streams = self.chosen(request)
        found = fake_numbers.near_misses("entrance") if any(one.id == "entrance" for one in streams) else {"audits": []}
        return JSONResponse(found)

    async def validation(self, request: Request) -> Response:
        """Counts by hand: a list, and a new one."""
        if request.method == "POST":
            self.hand_counts.insert(0, {"id": len(self.hand_counts) + 1, **await request.json()})
            return JSONResponse({"id": len(self.hand_counts)}, 201)
        streams = [one.id for one in self.chosen(request)]
        rows = [one for one in self.hand_counts if one["stream"] in streams]
        return JSONResponse({"validations": [one | {"counted": one["truth"] + 1, "by": "ada"} for one in rows]})

    async def alerts(self, request: Request) -> Response:
        """One under way and one that is over, of the checkout."""
        rows = [
            {"key": "a", "rule": "long queue", "began_ms": 1795859000000, "ended_ms": None, "value": 8.0},
            {"key": "b", "rule": "long queue", "began_ms": 1795850000000, "ended_ms": 1795850600000, "value": 11.0},
        ]
        found = [
            row
            | {"stream": "checkout", "utc": True, "under_way": row["ended_ms"] is None}
            | {"acknowledged": self.alerts_seen.get(str(row["key"]))}
            for row in rows
            if any(one.id == "checkout" for one in self.chosen(request))
        ]
        waiting = sum(one["under_way"] and one["acknowledged"] is None for one in found)
        return JSONResponse({"alerts": found, "waiting": waiting})

    async def acknowledge(self, request: Request) -> Response:
        by = (self.user(request) or {})["name"]
        self.alerts_seen[(await request.json())["key"]] = {"by": by, "at_ms": 1795860000000}
        return Response(status_code=204)

    async def health(self, request: Request) -> Response:
        cameras = {
            one.id: {
                "state": "lost" if one.lost else "live",
                "problem": one.lost,
                "output_failures": 0,
                "output_problem": "",
                "frames": 184_220,
                "fps": 0.0 if one.lost else 24.8,
                "age_p50_s": 0.19,
                "age_p99_s": 0.44,
                "silence_s": 48.0 if one.lost else 0.04,
                "living": 4,
                "identities": 1822,
                "model": "yolact-nano",
                "model_share": 0.24,
                "stage_ms": {"decode": 2.1, "segment": 11.4, "associate": 0.4, "analytics": 0.2, "render": 0.0},
                "size": [1920, 1080],
                "codec": "h264",
                "decoder": "cpu",
                "reconnects": 7 if one.lost else 0,
                "dropped": 71_604 if one.lost_share else 12,
                "late": 318 if one.lost_share else 0,
                "lost_share": one.lost_share,
                "lost_share_s": 300,
                "broken": 0,
            }
            for one in self.chosen(request)
            if one.kind == "camera"
        }
        return JSONResponse(
            {
                "version": "0.0.0",
                "engine": {
                    "attached": True,
                    "status": "degraded" if any(one["problem"] for one in cameras.values()) else "ok",
                    "not_well": ["back yard"],
                    "losing_frames": [name for name, values in cameras.items() if values["lost_share"] >= LOST_SHARE],
                    "cameras": cameras,
                    "models": {
                        "yolact-nano": {
                            "device": "cuda",
                            "gpu_share": 0.41,
                            "cameras": 5,
                            "batches": 40_211,
                            "frames_per_batch": 3.4,
                            "batch_ms": 9.8,
                        }
                    },
                },
                "store": {"ledgers": 5, "events": 412_882, "bytes": 48_230_400, "problems": []},
                "disk": {"free_bytes": 81_604_378_624, "total_bytes": 250_790_436_864},
            }
        )
