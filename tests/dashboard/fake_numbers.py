"""Numbers of a fake dashboard: bins with a daily profile, an outage and a week before, stays, flows and near misses."""

from __future__ import annotations

import hashlib
import math
import time
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/Berlin")
OUTAGE_H = (13.25, 15.5)
"""Hours of yesterday, local time, in which the camera ``entrance`` was away."""


def _noise(*parts: Any) -> float:
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def outages(streams: list[str]) -> list[dict[str, Any]]:
    """Yesterday's outage of ``entrance``."""
    if "entrance" not in streams:
        return []
    midnight = datetime.now(ZONE).replace(hour=0, minute=0, second=0, microsecond=0).timestamp() - 86400
    start, end = (round((midnight + hour * 3600) * 1000) for hour in OUTAGE_H)
    return [{"stream": "entrance", "kind": "gap", "from_ms": start, "to_ms": end}]


def expected(at_s: float, stream: str, direction: str, bin_s: int) -> float:
    """Mean count of a bin: shops from 8 to 20, roads with two peaks."""
    if bin_s > 3600:
        return sum(expected(at_s + 3600 * hour, stream, direction, 3600) for hour in range(bin_s // 3600))
    local = datetime.fromtimestamp(at_s, ZONE)
    hour = local.hour + local.minute / 60
    shape = math.exp(-(((hour - 12.5) / 3.2) ** 2)) + 0.9 * math.exp(-(((hour - 17.5) / 1.8) ** 2))
    if stream == "junction":
        shape = 0.15 + 1.4 * math.exp(-(((hour - 8) / 1.5) ** 2)) + 1.3 * math.exp(-(((hour - 17) / 2) ** 2))
    elif not 8 <= hour < 20.5:
        shape = 0.0
    shape *= 0.55 if local.weekday() == 6 else 1.0
    return shape * bin_s / 3600 * (46 if direction in {"in", "towards"} else 43) * (2.4 if stream == "junction" else 1)


def counts(
    groups: list[dict[str, str]], starts_s: list[float], bin_s: int, dark: list[bool], now_s: float
) -> list[dict[str, Any]]:
    """One series per group; bins in an outage or the future are ``None``."""
    series = []
    for group in groups:
        row: list[int | None] = []
        for at_s, out in zip(starts_s, dark, strict=True):
            if out or at_s > now_s:
                row.append(None)
                continue
            mean = expected(at_s, group.get("stream", "entrance"), group.get("direction", "in"), bin_s)
            mean *= {"person": 1, "car": 0.7, "truck": 0.12, "bus": 0.05, "bicycle": 0.1}.get(
                group.get("class", "person"), 0.2
            )
            spread = _noise(at_s, *group.values()) - 0.5
            row.append(max(0, round(mean + spread * 2 * math.sqrt(mean + 0.1))))
        series.append({"group": group, "counts": row, "total": sum(one or 0 for one in row)})
    return series


def dwell(streams: list[str]) -> dict[str, Any]:
    """Stays of two zones."""
    edges = [0, 5, 10, 20, 30, 60, 120, 300, 600, 1800]
    found = [12, 31, 64, 88, 102, 61, 34, 12, 4]
    by = [
        {
            "stream": "entrance",
            "place": "arcade",
            "class": "person",
            "n": 263,
            "closed": 241,
            "mean_s": 21.4,
            "median_s": 14.2,
            "p90_s": 48.0,
        },
        {
            "stream": "checkout",
            "place": "queue",
            "class": "person",
            "n": 96,
            "closed": 92,
            "mean_s": 74.9,
            "median_s": 66.1,
            "p90_s": 141.3,
        },
        {
            "stream": "checkout",
            "place": "service",
            "class": "person",
            "n": 88,
            "closed": 87,
            "mean_s": 41.8,
            "median_s": 38.8,
            "p90_s": 70.2,
        },
    ]
    by = [one for one in by if one["stream"] in streams]
    if not by:
        return {
            "n": 0,
            "closed": 0,
            "censored": 0,
            "mean_s": None,
            "median_s": None,
            "p90_s": None,
            "histogram": [],
            "by": [],
        }
    histogram = [{"from_s": a, "to_s": b, "count": n} for a, b, n in zip(edges, edges[1:], found, strict=False)]
    n, closed = sum(one["n"] for one in by), sum(one["closed"] for one in by)
    return {
        "n": n,
        "closed": closed,
        "censored": n - closed,
        "mean_s": 41.7,
        "median_s": 28.9,
        "p90_s": 104.0,
        "histogram": histogram,
        "by": by,
    }


def flows(cameras: list[Any]) -> dict[str, Any]:
    """Flows of the sites, with a matrix over their ends."""
    rows = [
        {
            "stream": one.id,
            "name": flow["name"],
            "start": flow["start"],
            "end": flow["end"],
            "count": int(_noise(flow["name"]) ** 2 * 160),
        }
        for one in cameras
        for flow in one.site["flows"]
    ]
    origins = sorted({row["start"] for row in rows})
    destinations = sorted({row["end"] for row in rows})
    table = {(row["start"], row["end"]): row["count"] for row in rows}
    return {
        "flows": rows,
        "origins": origins,
        "destinations": destinations,
        "matrix": [[table.get((a, b), 0) for b in destinations] for a in origins],
    }


def near_misses(stream: str) -> dict[str, Any]:
    """An audit of one camera, as of its last run."""
    now_ms = round(time.time() * 1000)
    titles = {
        "hidden": "Contact hidden",
        "unsettled": "Not settled",
        "beyond_end": "Past the end",
        "not_reached": "Came close",
    }
    places = [
        {
            "place": "door",
            "kind": "line",
            "counted": 214,
            "reasons": [
                {"reason": "hidden", "count": 3},
                {"reason": "unsettled", "count": 5},
                {"reason": "beyond_end", "count": 2},
                {"reason": "not_reached", "count": 11},
            ],
        },
        {"place": "passing", "kind": "line", "counted": 391, "reasons": [{"reason": "not_reached", "count": 4}]},
    ]
    misses = [
        {
            "place": "door",
            "reason": reason,
            "identity": 31 + 7 * number,
            "class": "person",
            "at_ms": now_ms - 3600_000 * (number + 1),
            "utc": True,
            "sentence": sentence,
            "x": 0.52,
            "y": 0.57,
        }
        for number, (reason, sentence) in enumerate(
            [
                ("hidden", "Crossed towards in while its ground contact was hidden or predicted."),
                ("unsettled", "Crossed towards out and was back before it had been beyond the dead band for 0.2 s."),
                ("beyond_end", "Passed 1.8 % of the picture's height beyond the end of the line, towards in."),
                ("not_reached", "Came within 0.9 % of the picture's height of the line and did not cross it."),
            ]
        )
    ]
    return {
        "audits": [
            {"stream": stream, "ran_ms": now_ms - 7_200_000, "places": places, "titles": titles, "near_misses": misses}
        ]
    }


def utc(at_ms: int) -> str:
    """ISO time for exports."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
