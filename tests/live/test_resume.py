"""Recordings that are killed and gone on with: the same bytes as without interruption, and nothing done twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.live.fakes import box, frame
from tests.segment.models import end2end_model
from tests.sources.cameras import wait_until
from tests.sources.videos import write_video
from tracker.live.resume import Checkpoint, ChunkedSink, Resumption
from tracker.sinks.open import open_records
from tracker.types import TrackedFrame

FILES = ("a.jsonl", "a.csv", "a.txt")


def tracked(index: int) -> TrackedFrame:
    return TrackedFrame(frame=frame(index), instances=box(10 + index % 30), tracks=None, class_names=("person",))


def opener(path: Path):
    return open_records(path, class_names=("person",))


def run(folder: Path, out: Path, start: int, stop: int, *, every: int = 10, complete: bool = False, chunks: int = 0):
    """Frames ``start`` to ``stop`` through a chunked sink, which is given up unless complete."""
    resumption = Resumption(folder, "a", {"model": 1})
    sink = ChunkedSink([out / "a.jsonl", out / "a.csv"], opener, resumption, chunks=chunks)
    for index in range(start, stop):
        sink.write(tracked(index))
        if (index + 1) % every == 0:
            sink.checkpoint(Checkpoint(next_index=index + 1, state={"tracks": np.array([index])}))
    if complete:
        sink.checkpoint(Checkpoint(next_index=stop, state=None, complete=True))
        sink.close()
    else:
        sink.abort()
    return resumption


@pytest.mark.parametrize("killed_at", [0, 1, 9, 10, 11, 27, 30])
def test_chunks_put_together_are_the_whole(tmp_path, killed_at: int) -> None:
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    for folder in (whole, pieces):
        folder.mkdir()
    run(tmp_path / "s1", whole, 0, 35, complete=True, every=1000)
    resumption = run(tmp_path / "s2", pieces, 0, killed_at)
    assert not (pieces / "a.jsonl").exists()
    kept = resumption.load()
    start, chunks = (0, 0) if kept is None else (kept[0].next_index, kept[1])
    assert start == killed_at // 10 * 10
    if kept is not None:
        assert kept[0].state["tracks"].tolist() == [start - 1]
    resumption = run(tmp_path / "s2", pieces, start, 35, chunks=chunks, complete=True)
    for name in ("a.jsonl", "a.csv"):
        assert (pieces / name).read_bytes() == (whole / name).read_bytes()
    assert resumption.done
    assert not resumption.chunks.exists()


def test_other_settings_are_not_gone_on_with(tmp_path) -> None:
    (tmp_path / "out").mkdir()
    run(tmp_path, tmp_path / "out", 0, 15)
    assert Resumption(tmp_path, "a", {"model": 1}).load() is not None
    assert Resumption(tmp_path, "a", {"model": 2}).load() is None
    Resumption(tmp_path, "a", {"model": 1}).restart()
    assert Resumption(tmp_path, "a", {"model": 1}).load() is None


def launch(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    with (folder / "log.jsonl").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tracker", "live", "cameras.yaml", "--log", "json", *options],
            stderr=log,
            stdout=log,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        )


def resumed_at(folder: Path) -> list[int]:
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [json.loads(line)["frame"] for line in lines if '"event": "resumed"' in line]


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_killed_again_and_again_the_bytes_are_the_same(tmp_path) -> None:
    """Real processes, real kills: when there is progress, a little later, and in the end left alone."""
    write_video(tmp_path / "a.mp4", count=3000, size=(32, 32))
    end2end_model(tmp_path / "constant.onnx")
    records = ", ".join(f"'{{}}/{name}'" for name in FILES)
    text = "{state}model: constant.onnx\nmetrics: off\ncameras:\n  - {{name: a, url: a.mp4, records: [{records}]}}\n"
    for folder in ("whole", "out"):
        (tmp_path / folder).mkdir()
    config = tmp_path / "cameras.yaml"
    config.write_text(text.format(state="", records=records.replace("{}", "whole")))
    assert launch(tmp_path).wait(100) == 0

    config.write_text(text.format(state="state: st\n", records=records.replace("{}", "out")))
    waits_s = np.random.default_rng(0).uniform(0, 0.3, 3)
    progress = -1
    for wait_s in waits_s.tolist():
        process = launch(tmp_path, "--resume")
        chunks = tmp_path / "st" / "a.chunks"

        def newest(chunks=chunks) -> int:
            names = [path.name for path in chunks.glob("0*")] if chunks.is_dir() else []
            return max((int(name.partition("-")[0]) for name in names), default=-1)

        assert wait_until(lambda process=process, seen=progress: newest() > seen or process.poll() is not None, 40)
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        progress = newest()
    assert launch(tmp_path, "--resume").wait(100) == 0
    starts = resumed_at(tmp_path)
    assert starts
    assert starts == sorted(starts)
    assert starts[-1] >= 100
    for name in FILES:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert launch(tmp_path, "--resume").wait(100) == 0
    assert '"event": "already done"' in (tmp_path / "log.jsonl").read_text()
