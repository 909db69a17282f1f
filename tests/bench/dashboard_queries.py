"""Time of the dashboard's answers with a million events in the store, over HTTP through the whole application.

``python -m tests.bench.dashboard_queries [EVENTS]`` makes a store in a temporary folder (or takes
MASKTRAIL_BENCH_STORE), reads it, and prints the median and the longest of five answers per question, and the median
of the CPU time; the bar is 300 ms.
"""

from __future__ import annotations

import os
import resource
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np

from tracker.formats.event_store import COLUMNS, create, insertion

DAYS, CAMERAS = 90, 20
LINES, ZONES = ("door", "gate", "ramp", "street"), ("hall", "till", "yard")
CLASSES = ("person", "car", "truck")
END_MS = 1_790_000_000_000
BAR_MS = 300.0
RUNS = 5


def rows(count: int, seed: int = 7):
    """Crossings, stays, flows and corrections of some cameras over 90 days, busier by day, as columns of the ledger."""
    random = np.random.default_rng(seed)
    step = DAYS * 86_400_000 / count
    identity = [0] * CAMERAS
    for number in range(count):
        at = END_MS - DAYS * 86_400_000 + round(number * step)
        camera = int(random.integers(CAMERAS))
        kind = random.choice(
            ["crossing", "enter", "leave", "flow", "identity_end", "reclassified"], p=[0.42, 0.2, 0.2, 0.05, 0.08, 0.05]
        )
        if kind in {"crossing", "enter"}:
            identity[camera] += 1
        time_s = at / 1000 - 1_782_000_000
        row = dict.fromkeys(COLUMNS) | {
            "key": f"{camera}|{number}",
            "kind": str(kind),
            "stream": f"camera-{camera:02d}",
            "time_s": time_s,
            "utc_ms": at,
            "place": "",
            "direction": "",
            "identity": max(identity[camera] - int(random.integers(3)), 1),
            "class": CLASSES[int(random.choice(3, p=[0.6, 0.3, 0.1]))],
            "bridged": False,
            "was_class": "",
            "was_identity": 0,
            "other_identity": 0,
            "revision": 1,
            "semantics": 1,
            "edition": 1,
        }
        if kind == "crossing":
            row |= {"place": LINES[int(random.integers(4))], "direction": ("in", "out")[int(random.integers(2))]}
            row |= {"before_time_s": time_s - 0.1, "before_x": 0.5, "before_y": 0.4}
        elif kind in {"enter", "leave"}:
            dwell_s = float(random.lognormal(3.5, 1.0))
            left = kind == "leave"
            row |= {"place": ZONES[int(random.integers(3))], "stay_began": "entered", "stay_hidden_s": 0.0}
            row |= {"stay_entered_s": time_s - dwell_s * left, "stay_left_s": time_s if left else None}
            row |= {"stay_end": "left" if left else "open", "identity": row["identity"] if left else identity[camera]}
        elif kind == "flow":
            row |= {"place": "door to till", "since_s": time_s - 20}
        yield row


def make_store(path: Path, count: int) -> None:
    """A store of that many events."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        create(connection)
        connection.executemany(insertion(), rows(count))
        connection.execute("COMMIT")


QUESTIONS = {
    "wall": "/api/streams",
    "counts, today by 15 min": f"/api/counts?from_ms={END_MS - 86_400_000}&to_ms={END_MS}&bin_s=900",
    "counts, a week by hour and class, compared": (
        f"/api/counts?from_ms={END_MS - 604_800_000}&to_ms={END_MS}&bin_s=3600&by=stream,place,direction,class"
        "&compare_s=604800&timezone=Europe/Berlin"
    ),
    "counts, 90 days by day": "/api/counts?bin_s=86400&by=place,direction&timezone=Europe/Berlin",
    "counts, 90 days by hour, all kinds": "/api/counts?bin_s=3600&by=kind,place&kind=crossing&kind=enter&kind=leave",
    "events, newest": "/api/events?limit=100",
    "events of a class and line": "/api/events?class=truck&place=door&limit=100",
    "events of one identity": "/api/events?stream=camera-03&identity={identity}&limit=100",
    "dwell, 90 days": "/api/dwell",
    "dwell, a day": f"/api/dwell?from_ms={END_MS - 86_400_000}&to_ms={END_MS}",
    "flows, 90 days": "/api/flows",
    "occupancy": "/api/occupancy",
    "identity": "/api/streams/camera-03/identities/{identity}",
}


def main() -> int:
    """Print the table; 1 where an answer took longer than the bar."""
    from tests.dashboard.clients import Desk

    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        store = Path(os.environ.get("MASKTRAIL_BENCH_STORE", f"{folder}/events.sqlite"))
        if not store.exists():
            make_store(store, count)
        before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started_s, cpu_s = time.perf_counter(), time.process_time()
        desk = Desk(Path(folder) / "dashboard", ledgers=[store])
        events = len(desk.context.ledgers.history.events)
        grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024
        spent_s, cpu_s = time.perf_counter() - started_s, time.process_time() - cpu_s
        print(f"{events:,} events read in {spent_s:.1f} s, {cpu_s:.1f} s of CPU, {grown_mb:.0f} MB more memory")  # noqa: T201
        worst, history = 0.0, desk.context.ledgers.history
        of_camera = history.events["stream"] == history.names.number("camera-03")
        identity = int(np.median(history.events["identity"][of_camera]))
        with desk.logged_in() as client:
            for name, address in QUESTIONS.items():
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
