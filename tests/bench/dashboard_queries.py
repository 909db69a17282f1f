"""Time of the dashboard's answers with a million events in the store, over HTTP through the whole application.

``python -m tests.bench.dashboard_queries [EVENTS] [WORDS]`` makes a store in a temporary folder (or takes
MASKTRAIL_BENCH_STORE, and makes it there once), reads it, and prints the median and the longest of five answers per
question, and the median of the CPU time; the bar is 300 ms. Questions are those whose names have the words.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.bench.busy_store import END_MS, HEAT_STREAM, SHOPS, make_store, write_groups, write_sites

BAR_MS = 300.0
RUNS = 5
WEEK = f"from_ms={END_MS - 604_800_000}&to_ms={END_MS}"
DAY = f"from_ms={END_MS - 86_400_000}&to_ms={END_MS}"

QUESTIONS = {
    "wall": "/api/streams",
    "places of the filters": "/api/places",
    "counts, today by 15 min": f"/api/counts?{DAY}&bin_s=900",
    "counts, a week by hour and class, compared": (
        f"/api/counts?{WEEK}&bin_s=3600&by=stream,place,direction,class&compare_s=604800&timezone=Europe/Berlin"
    ),
    "counts, 90 days by day": "/api/counts?bin_s=86400&by=place,direction&timezone=Europe/Berlin",
    "counts, 90 days by hour, all kinds": "/api/counts?bin_s=3600&by=kind,place&kind=crossing&kind=enter&kind=leave",
    "events, newest": "/api/events?limit=100",
    "events of a class and line": "/api/events?class=truck&place=north&limit=100",
    "events of one identity": "/api/events?stream=camera-03&identity={identity}&limit=100",
    "dwell, 90 days": "/api/dwell",
    "dwell, a day": f"/api/dwell?{DAY}",
    "flows, 90 days": "/api/flows",
    "occupancy": "/api/occupancy",
    "identity": "/api/streams/camera-03/identities/{identity}",
    "speeds, a week": f"/api/speeds?{WEEK}",
    "speeds, 90 days": "/api/speeds",
    "speeds, 90 days, free flow": "/api/speeds?free_flow=true",
    "conflicts, a week": f"/api/conflicts?{WEEK}",
    "conflicts, 90 days": "/api/conflicts?below_s=10",
    "queues, a day by 5 min": f"/api/queues?{DAY}&bin_s=300",
    "queues, a week by 15 min": f"/api/queues?{WEEK}&bin_s=900",
    "queues, 90 days by hour": "/api/queues?bin_s=3600",
    "footfall, a week by hour": f"/api/footfall?{WEEK}&bin_s=3600",
    "footfall, 90 days by hour": "/api/footfall?bin_s=3600",
    "groups, a week by 15 min": f"/api/groups?{WEEK}&bin_s=900",
    "groups, 90 days by hour": "/api/groups?bin_s=3600",
    "heatmap, a week": f"/api/streams/{HEAT_STREAM}/heatmap?{WEEK}",
    "heatmap, 90 days": f"/api/streams/{HEAT_STREAM}/heatmap",
    "heatmap, picture of 90 days": f"/api/streams/{HEAT_STREAM}/heatmap/picture",
    "alerts": "/api/alerts",
}


def main() -> int:
    """Print the table; 1 where an answer took longer than the bar."""
    from tests.dashboard.clients import Desk, PlayedEngine

    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    words = sys.argv[2:]
    with tempfile.TemporaryDirectory() as folder:
        store = Path(os.environ.get("MASKTRAIL_BENCH_STORE", f"{folder}/events.sqlite"))
        if not store.exists():
            make_store(store, count)
        write_sites(Path(folder))
        groups = Path(folder) / "groups.yaml"
        write_groups(groups)
        before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started_s, cpu_s = time.perf_counter(), time.process_time()
        engine = PlayedEngine(Path(folder), *SHOPS)
        desk = Desk(Path(folder) / "dashboard", engine=engine, ledgers=[store], groups=str(groups))
        events = len(desk.context.ledgers.history.events)
        grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024
        spent_s, cpu_s = time.perf_counter() - started_s, time.process_time() - cpu_s
        print(f"{events:,} events read in {spent_s:.1f} s, {cpu_s:.1f} s of CPU, {grown_mb:.0f} MB more memory")  # noqa: T201
        worst, history = 0.0, desk.context.ledgers.history
        of_camera = history.events["stream"] == history.names.number("camera-03")
        identity = int(np.median(history.events["identity"][of_camera])) // 2 * 2
        with desk.logged_in() as client:
            for name, address in QUESTIONS.items():
                if not all(word in name for word in words):
                    continue
                spent, cpu = [], []
                for _ in range(RUNS):
                    started_s, cpu_s = time.perf_counter(), time.process_time()
                    answer = client.get(address.format(identity=identity))
                    spent.append(1000 * (time.perf_counter() - started_s))
                    cpu.append(1000 * (time.process_time() - cpu_s))
                    assert answer.status_code == 200, answer.text
                worst = max(worst, float(min(spent)))
                times = f"{np.median(spent):7.0f} ms {max(spent):7.0f} ms {np.median(cpu):7.0f} ms of CPU"
                print(f"{name:45} {times} {len(answer.content):10,} bytes")  # noqa: T201
        desk.close()
    return int(worst > BAR_MS)


if __name__ == "__main__":
    raise SystemExit(main())
