"""Answers of a fake dashboard about measures: speeds over the lines of its road."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from tests.dashboard.fake_questions import FakeQuestions
from tracker.dashboard.speeds import UNITS

if TYPE_CHECKING:
    from starlette.requests import Request


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
