"""What limits a batch: CPU of decoding and tracking, bytes read and written, the store of events, the plan of many.

``python -m tests.bench.batch_limits VIDEO [--frames 100] [--recordings 10000] [--events 20000]``

CPU seconds of this process (all threads), so that other work on the machine matters little.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.batch.fakes import FakePool, manifest, plan
from tracker.batch.recordings import find_recordings
from tracker.batch.results import Results
from tracker.batch.run import Batch, plan_batch
from tracker.batch.task import Done, Worker
from tracker.events import Event, Sighting
from tracker.settings.stream import RunSettings
from tracker.sinks.sqlite import SqliteSink
from tracker.sources.open import open_source


def decoding(video: Path, frames: int) -> dict[str, float]:
    """Milliseconds of CPU per frame without a network, and what the video weighs."""
    began_s, count, media_s = time.process_time(), 0, 0.0
    with open_source(str(video), network_size=(544, 544), want_image=False, decode="cpu") as source:
        for frame in source:
            count, media_s = count + 1, frame.time_s
            if count == frames:
                break
        fps = source.info.fps
    spent_s = time.process_time() - began_s
    whole_s = (source.info.frame_count or count) / fps if fps else media_s
    return {"decode_ms": 1000 * spent_s / count, "video_mb_per_h": video.stat().st_size / 1e6 / whole_s * 3600}


def recording(video: Path, frames: int, folder: Path) -> dict[str, float]:
    """Milliseconds of CPU per frame of the whole task, and the bytes of its results."""
    settings = RunSettings(sources=(str(video),), limit=frames, device="cpu", workers=1)
    worker = Worker(settings)
    [task] = plan_batch(settings, str(folder / "warm")).tasks
    worker.run(task)  # opens the session
    [task] = plan_batch(settings, str(folder / "out")).tasks
    began_s = time.process_time()
    answer = worker.run(task)
    spent_s = time.process_time() - began_s
    if not isinstance(answer, Done):
        message = f"expected a recording that can be tracked, found {answer}"
        raise TypeError(message)
    written = sum(path.stat().st_size for path in (folder / "out").rglob("*") if path.is_file())
    done = answer.manifest
    return {
        "task_ms": 1000 * spent_s / done.frames,
        "results_mb_per_h": written / 1e6 / done.media_s * 3600,
        "rows_per_frame": _rows(folder / "out", done.files["records"]) / done.frames,
    }


def _rows(out: Path, name: str) -> int:
    from pyarrow import parquet

    return int(parquet.read_metadata(out / name).num_rows)


def store(count: int, folder: Path) -> dict[str, float]:
    """Events per second of CPU that one SQLite store takes, and their bytes."""

    def events() -> Iterator[Event]:
        for number in range(count):
            yield Event(
                kind="crossing",
                stream="gate",
                time_s=number / 10,
                utc_ms=1_700_000_000_000 + 100 * number,
                place="door",
                direction="in",
                identity=number,
                class_name="person",
                after=Sighting(time_s=number / 10, x=0.5, y=0.5),
            )

    began_s = time.process_time()
    with SqliteSink(folder / "a.sqlite") as sink:
        sink.write_events(tuple(events()))
    spent_s = time.process_time() - began_s
    return {
        "store_events_per_s": count / spent_s,
        "store_bytes_per_event": (folder / "a.sqlite").stat().st_size / count,
    }


def driver(count: int, folder: Path) -> dict[str, float]:
    """Milliseconds of CPU per recording of finding, ordering and asking what is done."""
    (folder / "in").mkdir()
    for number in range(count):
        (folder / "in" / f"{number}.mp4").write_bytes(b"x")
    began_s = time.process_time()
    found = find_recordings([str(folder / "in")])
    found_s = time.process_time()
    planned = plan(folder / "many", *(one.name for one in found))
    Batch(planned, FakePool(lambda key, _: Done(manifest=manifest(key)), workers=8)).run()
    ordered_s = time.process_time()
    results = Results.at(str(folder / "many"))
    for number in range(count):
        results.commit(manifest(f"k{number}"))
    committed_s = time.process_time()
    if len(results.done()) != count:
        message = "expected every manifest"
        raise RuntimeError(message)
    listed_s = time.process_time()
    spans = {
        "find_ms": found_s - began_s,
        "order_ms": ordered_s - found_s,
        "commit_ms": committed_s - ordered_s,
        "list_ms": listed_s - committed_s,
    }
    return {name: 1000 * seconds / count for name, seconds in spans.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--recordings", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=20_000)
    chosen = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found |= decoding(chosen.video, chosen.frames)
        found |= store(chosen.events, folder)
        found |= driver(chosen.recordings, folder)
        found |= recording(chosen.video, chosen.frames, folder)
    sys.stdout.write(json.dumps({key: round(value, 3) for key, value in found.items()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
