"""Overhead of ``masktrail batch`` against a shell loop of ``masktrail track``, the ways in turns.

``python -m tests.bench.batch_overhead VIDEO --copies 4 [--frames N] [--turns 3] [--ways loop pair local ray]``

``loop`` tracks one recording after another with all cores, ``pair`` two at a time with one core each, ``local`` and
``ray`` are the engines of a batch with two processes. All write the same tables. CPU seconds are those of all
processes, Ray's own included, as they were seen last: Ray's raylet waits for its children in a way that lets their time
go. On a busy machine CPU seconds hold better than wall times do.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
WAYS = ("loop", "pair", "local", "ray")
SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER: processes that outlive their parent become this one's, and their time is counted."""
SAMPLE_S = 0.1


def command(*words: object) -> None:
    """``masktrail`` in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MASKTRAIL_TRIAL": "off", "RAY_USAGE_STATS_ENABLED": "0"}
    subprocess.run(
        [sys.executable, "-m", "tracker", *map(str, words), "--quiet"],
        env=environment,
        cwd=ROOT,
        check=True,
        capture_output=True,
    )


def track(video: Path, out: Path, *words: object) -> None:
    """One recording, with the tables of a batch."""
    tables = (out / f"{video.stem}.parquet", out / f"{video.stem}.identities.parquet")
    command("track", video, *(word for table in tables for word in ("--records", table)), *words)


def go(way: str, videos: Sequence[Path], out: Path, words: Sequence[object]) -> None:
    """All recordings in one way."""
    if way == "loop":
        out.mkdir()
        for video in videos:
            track(video, out, *words)
    elif way == "pair":
        out.mkdir()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda video: track(video, out, "--workers", 1, *words), videos))
    else:
        command("batch", videos[0].parent, "--out", out, "--engine", way, "--processes", 2, *words)


@contextlib.contextmanager
def watched() -> Iterator[dict[int, float]]:
    """CPU seconds of every process below this one, by its number."""
    seen: dict[int, float] = {}
    over = threading.Event()

    def watch() -> None:
        here = psutil.Process()
        while not over.wait(SAMPLE_S):
            for one in here.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    times = one.cpu_times()
                    seen[one.pid] = times.user + times.system

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def measure(way: str, videos: Sequence[Path], out: Path, words: Sequence[object]) -> tuple[float, float]:
    """CPU and wall seconds of one way."""
    began_s = time.monotonic()
    with watched() as seen:
        go(way, videos, out, words)
        wall_s = time.monotonic() - began_s
        while True:  # what a cluster left behind ends now
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                break
    shutil.rmtree(out)
    return sum(seen.values()), wall_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--copies", type=int, default=4, help="recordings (4)")
    parser.add_argument("--frames", type=int, help="of each; all by default")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    chosen = parser.parse_args()
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    words = ["--device", "cpu", *([] if chosen.frames is None else ["--limit", chosen.frames])]
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in chosen.ways}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        videos = [folder / "in" / f"{number:03d}{chosen.video.suffix}" for number in range(chosen.copies)]
        for video in videos:
            shutil.copyfile(chosen.video, video)
        for turn in range(chosen.turns):
            first = turn % len(chosen.ways)
            for way in [*chosen.ways[first:], *chosen.ways[:first]]:
                found[way].append(measure(way, videos, folder / "out", words))
                sys.stderr.write(f"turn {turn} {way}: {found[way][-1][0]:.1f} s CPU, {found[way][-1][1]:.1f} s\n")
    base = found[chosen.ways[0]]
    told = {
        way: {
            "cpu_s": round(statistics.median(cpu for cpu, _ in turns), 2),
            "wall_s": round(statistics.median(wall for _, wall in turns), 2),
            "cpu_ratio": round(statistics.median(a[0] / b[0] for a, b in zip(turns, base, strict=True)), 3),
            "wall_ratio": round(statistics.median(a[1] / b[1] for a, b in zip(turns, base, strict=True)), 3),
        }
        for way, turns in found.items()
    }
    sys.stdout.write(json.dumps({"load": os.getloadavg(), "against": chosen.ways[0], **told}, indent=1) + "\n")


if __name__ == "__main__":
    main()
