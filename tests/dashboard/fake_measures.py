"""Answers of a fake dashboard about measures: speeds, queues, footfall, and heatmaps of its scenes."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
from starlette.responses import JSONResponse, Response

from tests.dashboard.fake_answers import refusal
from tests.dashboard.fake_questions import FakeQuestions
from tracker.dashboard.heat import HeatLook, heat_facts, heat_picture
from tracker.dashboard.speeds import UNITS
from tracker.heat import TILE_MS, HeatSteps, HeatSum, Presence, grid_shape

if TYPE_CHECKING:
    from starlette.requests import Request

    from tests.dashboard.fake_world import Camera

WALKED = 8
PAIRED = (("time_to_collision", ""), ("post_encroachment", "crossing"))


class FakeMeasures(FakeQuestions):
    """Routes of measures."""

    async def speeds(self, request: Request) -> Response:
        streams = [one for one in self.chosen(request) if one.id == "junction"]
        unit = request.query_params.get("unit", "km/h")
        factor = UNITS[unit] / UNITS["km/h"]
        lines = [{"stream": one.id, "place": line["name"]} for one in streams for line in one.site["lines"]]
        groups = [
            line | {"direction": direction, "class": name} | _figures(n, mean * factor)
            for line in lines[:3]
            for direction, name, n, mean in (
                ("towards", "car", 214, 47.0),
                ("away", "car", 198, 44.0),
                ("away", "truck", 17, 38.0),
            )
        ]
        shape = [round(420 * math.exp(-(((slot - 4.6) / 2.2) ** 2))) for slot in range(11)]
        histogram = [{"from": 20 + 5 * slot, "to": 25 + 5 * slot, "count": count} for slot, count in enumerate(shape)]
        return JSONResponse(
            {
                "unit": unit,
                "least_n": 30,
                "all": _figures(sum(one["n"] for one in groups), 45.2 * factor) | {"unknown": 31} if groups else None,
                "groups": groups,
                "histogram": histogram if groups else [],
                "lines": lines,
            }
        )

    @staticmethod
    def bins(request: Request) -> dict[str, Any]:
        """The time that is asked for, with an outage of an hour in its middle."""
        query, now_ms = request.query_params, time.time() * 1000
        from_ms, to_ms = float(query.get("from_ms", now_ms - 86_400_000)), float(query.get("to_ms", now_ms))
        bin_s = int(query.get("bin_s", 900))
        starts = [round(from_ms) + step * bin_s * 1000 for step in range(round((to_ms - from_ms) / bin_s / 1000))]
        middle = round((from_ms + to_ms) / 2)
        out = {"stream": "entrance", "kind": "gap", "from_ms": middle, "to_ms": middle + 3_600_000}
        known = {"bin_s": bin_s, "utc": True, "starts_ms": starts, "timezone": "Europe/Berlin"}
        return known | {"outages": [out], "left_out": []}

    async def queues(self, request: Request) -> Response:
        bins = self.bins(request)
        rows = [
            {"stream": "checkout", "place": place, "known": True, "above": 7, "reach_m": 6.2, "lost": 2, "waiting": 3}
            | {
                "served": 180 * size,
                "abandoned": 7 * size,
                "found_waiting": 1,
                "partly_seen": 6,
                "longest": 4 + 3 * size,
            }
            | {"mean_wait_s": 71.4, "median_wait_s": 62.0 * size, "p90_wait_s": 181.0, "longest_wait_s": 402.5}
            | {"mean_length": 1.8 * size, "share_above": 0.031 * size}
            | {"mean": _day(bins, 2.0 * size), "most": [one and round(one + 2) for one in _day(bins, 2.0 * size)]}
            for place, size in (("till 1", 2), ("till 2", 1))
            if any(one.id == "checkout" for one in self.chosen(request))
        ]
        return JSONResponse({"above": int(request.query_params.get("above", 7)), **bins, "queues": rows})

    async def footfall(self, request: Request) -> Response:
        bins = self.bins(request)
        row = {"stream": "entrance", "place": "shop", "known": True, "visitors": 412, "entries": 455, "exits": 431}
        row |= {"staff": 18, "re_entries": 25, "groups": 61, "grouped": 140, "parties": 333, "passers_by": 2190}
        row |= {"capture_of_passing": 0.188, "capture_of_all": 0.158}
        series = {"visitors": _day(bins, 14, whole=True), "passers_by": _day(bins, 61, whole=True)}
        there = any(one.id == "entrance" for one in self.chosen(request))
        return JSONResponse({**bins, "footfall": [row | {"bins": series}] if there else []})

    async def conflicts(self, request: Request) -> Response:
        there = any(one.id == "junction" for one in self.chosen(request))
        below_s, now_ms = float(request.query_params.get("below_s", 3)), round(time.time() * 1000)
        at = {"stream": "junction", "utc": True, "class": "car"}
        pairs = [
            at
            | {"kind": kind, "place": place, "at_ms": now_ms - 700_000 * (number + 1), "identity": 31 + 4 * number}
            | {"other_identity": 34 + 4 * number, "value_s": 0.6 + 0.17 * number}
            for number in range(12 if there else 0)
            for kind, place in [PAIRED[number % 2]]
        ]
        shape = [2, 5, 14, 22, 31, 38][: round(2 * below_s)]
        kinds = [
            {"kind": kind, "n": sum(shape), "least_s": 0.6, "median_s": 2.1, "histogram": _half_seconds(shape)}
            if there
            else {"kind": kind, "n": 0, "least_s": None, "median_s": None, "histogram": []}
            for kind, _ in PAIRED
        ]
        lasting = [
            at | {"kind": "stopped", "place": "box", "at_ms": now_ms - 300_000, "identity": 88, "lasted_s": None},
            at | {"kind": "wrong_way", "place": "north", "at_ms": now_ms - 900_000, "identity": 71, "lasted_s": 4.2},
        ]
        return JSONResponse(
            {
                "below_s": below_s,
                "kinds": kinds,
                "pairs": pairs,
                "lasting": lasting if there else [],
                "lasting_n": {"stopped": int(there), "wrong_way": int(there)},
                "streams": ["junction"] if there else [],
            }
        )

    async def groups(self, request: Request) -> Response:
        bins, day_ms = self.bins(request), 86_400_000
        known = {"entrance", "checkout"} <= {one.id for one in self.chosen(request)}
        values = [value for value in _day(bins | {"outages": []}, 160, whole=True) if value is not None]
        starts = bins["starts_ms"][: len(values)]
        quiet_ms = bins["starts_ms"][0] + 4 * 3_600_000 if starts else 0
        group = {"name": "market hall", "cameras": ["entrance", "checkout"], "timezone": "Europe/Berlin"}
        group |= {"reset_at": "04:00", "doors": 3, "known": bool(starts), "starts_ms": starts, "inside": values}
        group |= {
            "corrected": [value * 0.97 if at < quiet_ms else None for at, value in zip(starts, values, strict=True)]
        }
        group |= {"open": [True] * len(starts), "entries": 812, "exits": 774, "most": 151, "inside_last": 38}
        group |= {"lost_last": 1, "outages": []}
        group["periods"] = [
            {"from_ms": quiet_ms - day_ms, "to_ms": quiet_ms, "entries": 1840, "exits": 1829, "drift": 11}
            | {"spread": "exits"},
            {"from_ms": quiet_ms, "to_ms": None, "entries": 812, "exits": 774, "drift": None, "spread": ""},
        ]
        answer = {"bin_s": bins["bin_s"], "configured": known, "groups": [group] if known else []}
        return JSONResponse(answer)

    def walk(self) -> None:
        """Render all moments of the loops now, which takes some seconds for each."""
        for one in self.cameras.values():
            _walked(one)

    async def heat(self, request: Request) -> Response:
        one, look = self.cameras[request.path_params["stream"]], _look(request)
        return JSONResponse(heat_facts(await asyncio.to_thread(_walked, one), look, None))

    async def heat_picture(self, request: Request) -> Response:
        one = self.cameras[request.path_params["stream"]]
        found = await asyncio.to_thread(_walked, one)
        if found is None:
            return refusal(404, "heatmap", "one of this stream and time", "none", "ask another time")
        still = one.frame(one.now()[0])[0]
        look = _look(request)
        made = await asyncio.to_thread(heat_picture, found, look, still=still, site=None, zone=ZoneInfo(one.timezone))
        return Response(made, media_type="image/png")


def _half_seconds(shape: list[int]) -> list[dict[str, float]]:
    return [{"from_s": slot / 2, "to_s": slot / 2 + 0.5, "count": count} for slot, count in enumerate(shape)]


def _look(request: Request) -> HeatLook:
    query = request.query_params
    shown_px = int(query["shown_px"]) if "shown_px" in query else None
    visits = query.get("measure") == "visits"
    return HeatLook(visits=visits, classes=query.getlist("class"), shown_px=shown_px)


def _walked(one: Camera) -> Presence | None:
    """Contacts of a camera's loop, as if it had gone on for two hours; two of the cameras keep none.

    Of every :data:`WALKED`-th frame: each is rendered, and all of them take minutes where other programs work.
    """
    if one.id in {"car park", "back yard"}:
        return None
    total, rows, columns = HeatSum(), *grid_shape((640, 360))
    for index in range(0, one.frames, WALKED):
        for track in one.frame(index)[2]:
            x, y = (min(max(value, 0.0), 0.999) for value in track["contact"][:2])
            cell = int(y * rows) * columns + int(x * columns)
            steps = HeatSteps(
                shape=(rows, columns),
                time_ms=index,
                utc=True,
                keys=np.array([[0, cell]]),
                values=WALKED * np.array([[90.0, 20.0, 4.0]]),
                unplaced_s=WALKED * 6.0,
            )
            total.add_steps(steps, [track["class"]])
    hour_ms = round(time.time() * 1000) // TILE_MS * TILE_MS
    return Presence(stream=one.id, total=total, from_ms=hour_ms - TILE_MS, to_ms=hour_ms + TILE_MS)


def _day(bins: dict[str, Any], most: float, *, whole: bool = False) -> list[float | None]:
    """A busy noon, nothing known in the outage and after now."""
    found: list[float | None] = []
    for at in bins["starts_ms"]:
        hour = (at / 3_600_000 + 1) % 24
        value = most * math.exp(-(((hour - 12) / 4) ** 2)) * (0.7 + 0.3 * math.sin(hour * 9))
        dark = any(one["from_ms"] <= at < one["to_ms"] for one in bins["outages"]) or at > time.time() * 1000
        found.append(None if dark else round(value) if whole else round(value, 2))
    return found


def _figures(n: int, mean: float) -> dict[str, Any]:
    told = n >= 30
    return {
        "n": n,
        "unknown": n // 20,
        "v15": round(mean - 7.1, 2) if told else None,
        "v50": round(mean - 0.4, 2) if told else None,
        "v85": round(mean + 7.8, 2) if told else None,
        "time_mean": round(mean, 2),
        "space_mean": round(mean - 1.3, 2),
    }
