"""Memory of the dashboard's process by what is asked of it: resident, and what Python holds of it (``tracemalloc``).

``python -m tests.bench.dashboard_memory FOLDER [--rounds 12] [--traced]`` opens a folder of results in a process of
its own, as ``masktrail dashboard`` does, and asks for one thing after another, then for all of them again and again by
eight threads, as browsers do. ``--traced`` has Python note every allocation, which takes memory and time itself.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import psutil

PASSWORD = "seven green bicycles"
CLIENTS = 8


def serve(folder: Path, accounts: str) -> None:
    """The dashboard, which writes what Python holds at SIGUSR1."""
    from tracker.dashboard.server import run
    from tracker.service.memory import give_back, limit_pools
    from tracker.settings.dashboard import DashboardSettings

    limit_pools()

    def held(*_: object) -> None:
        sys.stdout.write(json.dumps({"traced_mb": round(tracemalloc.get_traced_memory()[0] / 1e6, 1)}) + "\n")
        sys.stdout.flush()

    signal.signal(signal.SIGUSR1, held)

    def announce(address: str) -> None:
        sys.stdout.write(json.dumps({"open": address}) + "\n")
        sys.stdout.flush()

    settings = DashboardSettings(address="127.0.0.1:0", folder=accounts)
    run(settings, recordings=folder, announce=announce, tidy=give_back)


class Page:
    """A browser that is logged in."""

    def __init__(self, link: str) -> None:
        self.address, _, token = link.partition("/setup#token=")
        self._csrf, self._opener = (
            "anonymous",
            urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar())),
        )
        self.ask("/api/setup", {"token": token, "name": "ann", "password": PASSWORD, "see_people": True})
        self._csrf = json.loads(self.ask("/api/session"))["csrf"]

    def ask(self, path: str, body: Any = None) -> bytes:
        request = urllib.request.Request(self.address + path)
        request.add_header("origin", self.address)
        request.add_header("x-masktrail-csrf", self._csrf)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("content-type", "application/json")
        try:
            with self._opener.open(request, timeout=120) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as failure:
            with failure:
                return failure.read()

    def log_in(self) -> None:
        """Its hash is made whether the password fits or not."""
        self.ask("/api/session", {"name": "ann", "password": "another one of these"})


def asked(page: Page) -> dict[str, list[Any]]:
    """Groups of questions: addresses, or addresses with a body."""
    stream = json.loads(page.ask("/api/streams"))["streams"][0]["id"]
    site = json.loads(page.ask(f"/api/streams/{stream}/site"))["site"]
    return {
        "lists and counts": [
            *(
                "/api/streams",
                "/api/places",
                "/api/events?limit=1000",
                "/api/counts?bin_s=60",
                "/api/dwell",
                "/api/flows",
            ),
            *("/api/occupancy", "/api/speeds", "/api/conflicts", "/api/queues", "/api/footfall", "/api/health"),
        ],
        "the video": [f"/api/streams/{stream}/video"],
        "stills": [f"/api/recordings/{stream}/frame?at_s={at_s}" for at_s in (0, 1, 2)],
        "dry runs and ways": [
            (f"/api/streams/{stream}/site/dry-run", {"site": site}),
            f"/api/recordings/{stream}/trails",
        ],
        "heatmap": [f"/api/streams/{stream}/heatmap", f"/api/streams/{stream}/heatmap/picture"],
        "exports as CSV and JSON": [
            f"/api/export/{what}.{form}" for what in ("events", "counts", "stays") for form in ("csv", "json")
        ],
        "exports as Parquet": [f"/api/export/{what}.parquet" for what in ("events", "counts", "stays")],
    }


def main() -> None:
    """One line of JSON for each step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--traced", action="store_true")
    parser.add_argument("--accounts")
    arguments = parser.parse_args()
    if arguments.accounts:
        serve(arguments.folder, arguments.accounts)
        return
    with tempfile.TemporaryDirectory() as accounts:
        command = [sys.executable, "-m", "tests.bench.dashboard_memory", str(arguments.folder), "--accounts", accounts]
        environment = os.environ | ({"PYTHONTRACEMALLOC": "1"} if arguments.traced else {})
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
            try:
                assert process.stdout is not None
                page = Page(json.loads(process.stdout.readline())["open"])
                measure(page, process, arguments.rounds)
            finally:
                process.terminate()


def measure(page: Page, process: subprocess.Popen[str], rounds: int) -> None:
    """What each group of questions adds, and what all of them do again and again."""
    watched = psutil.Process(process.pid)

    def tell(after: str) -> None:
        time.sleep(0.5)
        traced: dict[str, Any] = {}
        if os.environ.get("PYTHONTRACEMALLOC") or "--traced" in sys.argv:
            process.send_signal(signal.SIGUSR1)
            assert process.stdout is not None
            traced = json.loads(process.stdout.readline())
        sizes = watched.memory_full_info()
        figures = {"after": after, "resident_mb": round(sizes.rss / 1e6, 1), "own_mb": round(sizes.uss / 1e6, 1)}
        sys.stdout.write(json.dumps(figures | traced | {"threads": watched.num_threads()}) + "\n")
        sys.stdout.flush()

    tell("set-up, with one hash")
    groups = asked(page)
    for name, questions in groups.items():
        for one in questions:
            page.ask(*one) if isinstance(one, tuple) else page.ask(one)
        tell(name)
    page.log_in()
    tell("a log in that is refused")
    everything = list(itertools.chain.from_iterable(groups.values()))
    for number in range(1, rounds + 1):
        with ThreadPoolExecutor(CLIENTS) as pool:
            for one in [*everything, *everything]:
                pool.submit(page.ask, *(one if isinstance(one, tuple) else (one,)))
        if number in {1, 2, 4} or number % 6 == 0:
            tell(f"all of it {2 * number} times, {CLIENTS} at once")
    time.sleep(65)
    tell("a minute without questions")
    assert threading.active_count() == 1


if __name__ == "__main__":
    main()
