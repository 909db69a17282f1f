"""Soak test of one live stream: memory, files and threads over a hundred thousand frames of new identities.

``python -m tests.bench.soak_live`` takes a few minutes: a segmenter without a network, the real engine, tracker and
rotating files, and memory kept as the service keeps it (``--plain``: not so). ``--trace`` tells what is Python's own,
``--site`` counts everybody on four lines and four zones and writes the ledger.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from tests.bench.analytics import busy_site
from tests.engine.fakes import FakeSource, frame, stream
from tracker.associate.tracker import Tracker
from tracker.engine.counting import AnalyticsStage, ContactStage
from tracker.engine.scheduler import Engine
from tracker.engine.steady import SteadyTracker
from tracker.engine.stream import Stream
from tracker.plugins import open_sink
from tracker.service.memory import give_back, limit_pools
from tracker.service.status import StatusServer, health
from tracker.sinks.multi import MultiSink
from tracker.sinks.rotate import RotatingSink
from tracker.types import Instances

if TYPE_CHECKING:
    from collections.abc import Callable

VISIBLE_FRAMES = 8
LANES = 16
KINDS = (".jsonl", ".csv", ".txt", ".parquet")


class Passers:
    """People cross the picture one behind the other, each for 8 frames on a lane of its own: a new one every frame."""

    class_names = ("person",)
    network_size = (640, 360)
    keep_aspect = True

    def segment(self, frames: list) -> list[Instances]:
        found = []
        for one in frames:
            alive = np.arange(max(one.index - VISIBLE_FRAMES + 1, 0), one.index + 1)
            x = (alive % LANES) * 40.0
            y = (one.index - alive) * 20.0
            boxes = np.stack([x, y, x + 30, y + 60], axis=1).astype(np.float32)
            scores = np.full(len(alive), 0.9, np.float32)
            found.append(Instances(boxes=boxes, scores=scores, class_ids=np.zeros(len(alive), np.int64)))
        return found


def soak(
    count: int,
    *,
    kinds: tuple[str, ...] = KINDS,
    part_bytes: int = 3_000_000,
    steady: bool = True,
    counted: bool = False,
    marks: tuple[int, ...] = (),
    tell: Callable[[dict[str, Any]], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """What the process holds at each mark (frames done), asked for while the stream stands still.

    Health and metrics are asked for at every hundredth of the way, as a scraper does.
    """
    process = psutil.Process()
    if steady:
        limit_pools()
    engine = Engine(segmenter=Passers(), workers=2)  # type: ignore[arg-type]
    status = StatusServer(engine, "127.0.0.1:0")
    source = FakeSource("soak", capacity=8)
    reports: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        sinks = [
            RotatingSink(
                f"{folder}/a-{{time}}{suffix}",
                lambda path: open_sink(path, class_names=Passers.class_names),
                every_s=None,
                max_bytes=part_bytes,
            )
            for suffix in kinds
        ]
        one = stream(source, sink=MultiSink(sinks), tracker=Tracker(class_count=1))  # type: ignore[arg-type]
        if counted:
            site = busy_site()
            one = Stream(
                name="soak",
                open_source=source.open,
                stages=[
                    SteadyTracker(Tracker(class_count=1)),
                    ContactStage(site),
                    AnalyticsStage(site, stream="soak"),
                ],
                open_sink=lambda _: MultiSink(sinks),
            )
        engine.add(one)
        started_s = time.monotonic()
        for index in range(count):
            source.handoff.put(frame(index, source="soak", size=(640, 360), time_s=index / 5))
            done = index + 1
            if done % max(count // 100, 1) == 0:
                health(engine)
                if steady:
                    give_back()
                for part in Path(folder).glob("a-*"):
                    part.unlink()  # what has been looked at; a disk for all of it is no part of this
            if done in marks:
                while one.meter.figures().frames < done:
                    time.sleep(0.01)
                figures = one.meter.figures()
                report = {
                    "frames": figures.frames,
                    "identities": figures.identities,
                    "resident_mb": round(process.memory_info().rss / 1e6, 2),
                    "files": process.num_fds(),
                    "threads": process.num_threads(),
                    "parts": sum(sink.parts for sink in sinks),
                    "crossings": sum(counts.total() for counts in figures.tally.crossings.values()),
                    "seconds": round(time.monotonic() - started_s, 1),
                }
                if tracemalloc.is_tracing():
                    report["python_mb"] = round(tracemalloc.get_traced_memory()[0] / 1e6, 3)
                reports.append(report)
                tell(report)
        source.handoff.finish()
        engine.wait(30)
        engine.close()
        status.close()
    return reports


def main() -> None:
    """One line at every tenth of the way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--kinds", nargs="*", default=KINDS)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--site", action="store_true")
    arguments = parser.parse_args()
    if arguments.trace:
        tracemalloc.start()

    def tell(report: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()

    marks = tuple(arguments.frames * tenth // 10 for tenth in range(1, 11))
    kinds = tuple(arguments.kinds) + ((".events.jsonl",) if arguments.site else ())
    reports = soak(
        arguments.frames, kinds=kinds, steady=not arguments.plain, counted=arguments.site, marks=marks, tell=tell
    )
    tell({"last_to_first": round(reports[-1]["resident_mb"] / reports[0]["resident_mb"], 4)})


if __name__ == "__main__":
    main()
