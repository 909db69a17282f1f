"""Presence in a store while it grows: beside the events, cut in chunks, killed, and written by two runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.analytics.walks import frames, through
from tests.heats import START_MS, heat_store
from tests.sinks.ledgers import crossing, frame_with
from tracker.analytics.heatmap import Heatmap
from tracker.formats.event_store import open_store
from tracker.formats.heat_tiles import heat_streams, heat_sum, read_tiles
from tracker.formats.ledger import read_events
from tracker.heat import TILE_MS, HeatSum
from tracker.plugins import open_sink
from tracker.sinks import heat_tiles
from tracker.sinks.sqlite import SqliteSink

ROOT = Path(__file__).resolve().parents[2]
WAY = {1: through((0, 0.1, 0.5), (40, 0.9, 0.5))}


def of(path: Path, stream: str = "gate", **limits: int) -> HeatSum:
    with open_store(path) as connection:
        return heat_sum(read_tiles(connection, stream, **limits))


def test_an_hour_that_ends_is_a_tile_of_its_own(tmp_path):
    start_ms = START_MS + TILE_MS - 10_000
    path = heat_store(tmp_path / "x.sqlite", WAY, duration_s=40, start_ms=start_ms)
    assert of(path).grid().sum() == pytest.approx(40.0)
    assert of(path, end_ms=START_MS + TILE_MS).grid().sum() == pytest.approx(10.0, abs=0.21)
    assert of(path, start_ms=START_MS + TILE_MS).grid().sum() == pytest.approx(30.0, abs=0.21)


def test_a_recording_without_a_start_has_its_media_time(tmp_path):
    path = heat_store(tmp_path / "x.sqlite", WAY, duration_s=40, start_ms=None)
    found = of(path)
    assert (found.utc, found.from_ms, found.to_ms) == (False, 0, 40_000)


def test_a_second_run_replaces_the_first(tmp_path):
    for _ in range(2):
        path = heat_store(tmp_path / "x.sqlite", WAY, duration_s=40, start_ms=START_MS)
    assert of(path).grid().sum() == pytest.approx(40.0)


def test_events_and_presence_share_the_store(tmp_path):
    path, heatmap = tmp_path / "x.sqlite", Heatmap(start_utc_ms=START_MS)
    with open_sink(path, stream="gate") as sink:
        for number, frame in enumerate(frames(WAY, fps=1, duration_s=40)):
            sink.write(replace(frame_with([crossing(number)]), heat=heatmap.process(frame), class_names=("person",)))
    assert len(list(read_events(path))) == 41
    assert of(path).grid().sum() == pytest.approx(40.0)


def test_chunks_of_a_recording_are_one_run(tmp_path):
    heatmap, chunks = Heatmap(start_utc_ms=START_MS), []
    stream = list(frames(WAY, fps=5, duration_s=40))
    for number in range(4):
        chunks.append(tmp_path / f"chunk{number}.sqlite")
        with open_sink(chunks[-1], stream="gate") as sink:
            for frame in stream[number * 51 : number * 51 + 51]:
                sink.write(replace(frame, heat=heatmap.process(frame)))
    whole = heat_store(tmp_path / "whole.sqlite", WAY, duration_s=40, start_ms=START_MS)
    for _ in range(2):
        SqliteSink.join(tmp_path / "joined.sqlite", chunks, [0.0, 10.0, 20.0, 30.0])
    for measure in ("seconds", "visits"):
        assert of(tmp_path / "joined.sqlite").grid(measure) == pytest.approx(of(whole).grid(measure))


WRITER = """
import sys, time
from dataclasses import replace
from tests.analytics.walks import frames, through
from tracker.analytics.heatmap import Heatmap
from tracker.plugins import open_sink
from tracker.sinks import heat_tiles, sqlite
heat_tiles.WRITE_S = sqlite.COMMIT_S = 0.2
heatmap, sink = Heatmap(start_utc_ms=1_774_746_000_000), open_sink(sys.argv[1], stream="gate")
for frame in frames({1: through((0, 0.1, 0.5), (4000, 0.9, 0.5))}, fps=100, duration_s=4000):
    sink.write(replace(frame, heat=heatmap.process(frame)))
    print(frame.frame.time_s, flush=True)
    time.sleep(0.002)
"""


def test_a_killed_process_loses_what_was_not_due(tmp_path):
    code = [sys.executable, "-c", WRITER, str(tmp_path / "x.sqlite")]
    with subprocess.Popen(code, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}) as one:
        assert one.stdout is not None
        sent = [(float(line), time.monotonic()) for line, _ in zip(one.stdout, range(400), strict=False)]
        os.kill(one.pid, signal.SIGKILL)
        one.communicate(timeout=60)
    kept_s = of(tmp_path / "x.sqlite").grid().sum()
    due = [time_s for time_s, at_s in sent if at_s < sent[-1][1] - 0.8]
    assert kept_s >= due[-1]
    assert heat_tiles.WRITE_S <= 5


def test_a_store_tells_whose_presence_it_has(tmp_path):
    for stream in ("gate", "yard"):
        heat_store(tmp_path / "x.sqlite", WAY, stream=stream, duration_s=40, start_ms=START_MS)
    with open_store(tmp_path / "x.sqlite") as connection:
        assert heat_streams(connection) == ["gate", "yard"]
