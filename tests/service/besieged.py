"""A service of one camera with few files left, in a process of its own: ``python -m tests.service.besieged FOLDER``.

It prints its address; then it takes commands from stdin, a line each: ``starve`` leaves no file at all, ``feed`` gives
them back and tells what starving cost, ``stop`` ends it. Figures are JSON, a line each.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
import time
from pathlib import Path

from tests.engine.fakes import FakeSource, SlowSegmenter, stream
from tracker.engine.scheduler import Engine
from tracker.plugins import open_sink
from tracker.service.status import StatusServer, health
from tracker.sinks.multi import MultiSink
from tracker.sinks.rotate import RotatingSink

FILES = 128
PART_S = 0.25


class Said(logging.Handler):
    """Lines of the log as pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.getMessage(), getattr(record, "problem", "")))


def tell(**figures: object) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


def main(folder: Path) -> None:
    said = Said()
    logging.getLogger("tracker.live").addHandler(said)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, most))
    engine = Engine(segmenter=SlowSegmenter(0.001), workers=1)
    server = StatusServer(engine, "127.0.0.1:0")
    camera = FakeSource("a", policy="latest")

    def open_part(path: Path):
        return open_sink(path, class_names=("person", "car"))

    def lost(failure: Exception) -> None:
        one.meter.output_failed(failure)

    rotating = RotatingSink(str(folder / "a-{time}.jsonl"), open_part, every_s=PART_S, on_error=lost)
    one = stream(camera, sink=MultiSink([rotating], on_error=lost))
    engine.add(one)
    feeding = camera.feed(25)
    tell(address=server.address)
    for command in sys.stdin:
        if command == "starve\n":
            # The lowest number that is free is what the next file would get
            free = os.dup(0)
            os.close(free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (free, most))
            cpu_s = time.process_time()
        elif command == "feed\n":
            cpu_s = time.process_time() - cpu_s
            resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, most))
            tell(cpu_s=cpu_s, log=[line for line in said.lines if line[0].startswith("status")])
        else:
            break
    camera.closed.set()
    feeding.join()
    engine.close()
    state = health(engine)  # a last frame may have been under way
    server.close()
    tell(log=said.lines, camera=state["cameras"]["a"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
