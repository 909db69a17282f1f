"""Recordings that are killed and gone on with: the same bytes as without interruption, and nothing done twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from tests.engine.fakes import FakeSource, SlowSegmenter, box, frame, stream
from tests.segment.models import end2end_model
from tests.sources.cameras import wait_until
from tests.sources.videos import write_video
from tracker.associate.tracker import Tracker
from tracker.engine.resume import ChunkedSink, Resumption
from tracker.engine.scheduler import Engine
from tracker.engine.stream import Stream
from tracker.errors import ConfigError, SinkError
from tracker.plugins import open_sink, sink_class
from tracker.segment.manifest import FREE_TABLES
from tracker.sinks.base import Checkpoint, Sink
from tracker.sinks.parquet import ParquetSink
from tracker.types import Instances, TrackedFrame

FILES = ("a.jsonl", "a.csv", "a.txt", "a.mots.txt", "a.parquet", "a.coco.json")


def tracked(index: int) -> TrackedFrame:
    """One person, nobody in every fifth frame; the picture says the frame's number, and times are not even."""
    image = np.full((48, 64, 3), 255 * (index % 2), np.uint8)
    seen = box(10 + index % 30) if index % 5 else Instances.empty()
    shown = replace(frame(index, time_s=2 + index / 25 + 0.01 * (index % 3)), image=image)
    return TrackedFrame(frame=shown, instances=seen, tracks=None, class_names=("person",))


def opener(path: Path, *, kind: str | None = None):
    return open_sink(path, class_names=("person",), frame_rate=25.0, kind=kind)


def run(
    folder: Path,
    out: Path,
    start: int,
    stop: int,
    *,
    every: int = 10,
    complete: bool = False,
    chunks: int = 0,
    names: tuple[str, ...] = FILES,
):
    """Frames ``start`` to ``stop`` through a chunked sink, which is given up unless complete."""
    resumption = Resumption(folder, "a", {"model": 1})
    sink = ChunkedSink([out / name for name in names], opener, resumption, chunks=chunks)
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
def test_chunks_put_together_are_the_whole(tmp_path, monkeypatch, killed_at: int) -> None:
    monkeypatch.setattr("tracker.sinks.table.GROUP_ROWS", 7)
    monkeypatch.setattr(ParquetSink.__init__, "__kwdefaults__", ParquetSink.__init__.__kwdefaults__ | {"group_rows": 7})
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    for folder in (whole, pieces):
        folder.mkdir()
    for name in FILES:  # what a recording without chunks writes
        with opener(whole / name) as sink:
            for index in range(35):
                sink.write(tracked(index))
    resumption = run(tmp_path / "s2", pieces, 0, killed_at)
    assert not (pieces / "a.jsonl").exists()
    kept = resumption.load()
    start, chunks = (0, 0) if kept is None else (kept[0].next_index, kept[1])
    assert start == killed_at // 10 * 10
    if kept is not None:
        assert kept[0].state["tracks"].tolist() == [start - 1]
    resumption = run(tmp_path / "s2", pieces, start, 35, chunks=chunks, complete=True)
    for name in FILES:
        assert (pieces / name).read_bytes() == (whole / name).read_bytes(), name
    assert resumption.done
    assert not resumption.chunks.exists()


def pictures(path: Path) -> list[tuple[float, bool]]:
    """Time and brightness of every picture of a video."""
    with av.open(str(path)) as video:
        return [
            (float(picture.pts * picture.time_base), picture.to_ndarray(format="gray")[-6:, -4:].mean() > 128)
            for picture in video.decode(video=0)
        ]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".ts", ".webm"])
def test_chunks_of_a_video_are_one_video(tmp_path, suffix: str) -> None:
    names = (f"a{suffix}",)
    resumption = run(tmp_path / "s", tmp_path, 0, 27, names=names)
    kept = resumption.load()
    assert kept is not None
    run(tmp_path / "s", tmp_path, 20, 35, chunks=kept[1], complete=True, names=names)
    found = pictures(tmp_path / names[0])
    assert [bright for _, bright in found] == [index % 2 == 1 for index in range(35)]
    times_s = [tracked(index).frame.time_s for index in range(35)]
    begun_s = found[0][0]
    assert begun_s == 0 or suffix == ".ts"  # a transport stream begins later
    np.testing.assert_allclose([time_s - begun_s for time_s, _ in found], np.array(times_s) - times_s[0], atol=2e-3)


def test_a_video_whose_pictures_change_their_size_keeps_its_chunks(tmp_path) -> None:
    sink = ChunkedSink([tmp_path / "a.mp4"], opener, Resumption(tmp_path, "a", {}))
    for index, shape in enumerate([(48, 64, 3), (96, 128, 3)]):
        picture = replace(tracked(index).frame, image=np.zeros(shape, np.uint8), size=(shape[1], shape[0]))
        sink.write(replace(tracked(index), frame=picture))
        sink.checkpoint(Checkpoint(next_index=index + 1, state={"n": 1}, complete=index == 1))
    with pytest.raises(SinkError, match="found 128 x 96 from"):
        sink.close()
    assert len(list((tmp_path / "a.chunks").glob("*.mp4"))) == 2


@pytest.mark.parametrize(("name", "why"), [("a.gif", "colours once"), ("a.avi", "knows no times"), ("a.mp4", "")])
def test_what_cannot_be_put_together_is_told(name: str, why: str) -> None:
    assert why in sink_class(name).why_not_joined(name)
    assert bool(why) == bool(sink_class(name).why_not_joined(name))


def test_other_settings_are_not_gone_on_with(tmp_path) -> None:
    (tmp_path / "out").mkdir()
    run(tmp_path, tmp_path / "out", 0, 15)
    assert Resumption(tmp_path, "a", {"model": 1}).load() is not None
    assert Resumption(tmp_path, "a", {"model": 2}).load() is None
    Resumption(tmp_path, "a", {"model": 1}).restart()
    assert Resumption(tmp_path, "a", {"model": 1}).load() is None


class Full(Sink):
    """A sink whose disk is full from the 26th frame on, unless there is room again."""

    def __init__(self, path: Path, room: threading.Event) -> None:
        self._sink, self._room, self.closed = opener(path), room, False

    def write(self, tracked_frame: TrackedFrame) -> None:
        if tracked_frame.frame.index > 25 and not self._room.is_set():
            raise SinkError("a.csv", "expected to write, found: No space left on device", "free space")
        self._sink.write(tracked_frame)

    def close(self) -> None:
        self.closed = True
        self._sink.close()


def test_a_disk_that_is_full_stops_a_recording_which_goes_on_when_there_is_room(tmp_path) -> None:
    """At once, not when all of it was looked at for nothing; and then as if nothing had happened."""
    room, out = threading.Event(), tmp_path / "out"
    out.mkdir()
    opened: list[Full] = []

    def open_part(path: Path, *, kind: str | None = None):
        opened.append(Full(path, room))
        return opened[-1]

    def attempt() -> Stream:
        resumption = Resumption(tmp_path / "st", "a", {})
        checkpoint, chunks = resumption.load() or (None, 0)
        source = FakeSource("a", capacity=2)
        paths = [out / "a.csv", out / "a.jsonl"]
        one = stream(
            source,
            checkpoint_frames=10,
            tracker=Tracker(class_count=1),
            sink=ChunkedSink(paths, open_part, resumption, chunks=chunks),
        )
        if checkpoint is not None:
            one.resume(checkpoint.next_index)
        engine = Engine(segmenter=SlowSegmenter())
        engine.add(one)
        filling = threading.Thread(target=source.fill, args=(400,), daemon=True)
        filling.start()
        assert engine.wait(60)
        engine.close()
        return one

    stopped = attempt()
    assert stopped.state == "failed"
    assert "No space left" in stopped.problem
    assert stopped.meter.figures().frames < 100
    assert all(sink.closed for sink in opened)
    room.set()
    assert attempt().state == "ended"
    lines = (out / "a.csv").read_text().splitlines()
    assert [int(line.partition(",")[0]) for line in lines[1:]] == list(range(int(lines[1].partition(",")[0]), 400))
    assert len((out / "a.jsonl").read_text().splitlines()) == len(lines) - 1


def test_settings_that_may_be_secret_are_not_kept_on_disk(tmp_path) -> None:
    (tmp_path / "out").mkdir()
    key = {"camera": {"options": [["decryption_key", "c4n4ry"]]}}
    sink = ChunkedSink([tmp_path / "out" / "a.jsonl"], opener, Resumption(tmp_path / "st", "a", key))
    for index in range(4):
        sink.write(tracked(index))
        sink.checkpoint(Checkpoint(next_index=index + 1, state={"tracks": np.array([index])}, complete=index == 3))
        assert b"c4n4ry" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    sink.close()
    assert Resumption(tmp_path / "st", "a", key).done
    assert b"c4n4ry" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_what_an_earlier_run_left_must_go_before_a_new_one(tmp_path) -> None:
    (tmp_path / "a.done").mkdir()  # what cannot be unlinked
    with pytest.raises(ConfigError, match="expected to remove what an earlier run left of a"):
        Resumption(tmp_path, "a", {}).restart()


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


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_killed_again_and_again_the_bytes_are_the_same(tmp_path) -> None:
    """Real processes, real kills: when there is progress, a little later, and in the end left alone."""
    write_video(tmp_path / "a.mp4", count=900, size=(32, 32))
    end2end_model(tmp_path / "constant.onnx")
    # Each process has an order of its own for sets: none may reach what a recording is resumed by
    (tmp_path / "constant.toml").write_text("".join(f"[{table}]\nsaid = 1\n" for table in sorted(FREE_TABLES)))
    records = ", ".join(f"'{{}}/{name}'" for name in FILES)
    text = (
        "{state}model: constant.onnx\nmetrics: off\ncameras:\n"
        "  - {{name: a, url: a.mp4, records: [{records}], save: {video}, site: site.yaml, events: {events}}}\n"
    )
    everywhere = "[[0, 0], [1, 0], [1, 1], [0, 1]]"
    (tmp_path / "site.yaml").write_text(f"zones:\n  - {{name: all, loiter_s: 9, polygon: {everywhere}}}\n")
    for folder in ("whole", "out"):
        (tmp_path / folder).mkdir()
    config = tmp_path / "cameras.yaml"
    config.write_text(
        text.format(state="", records=records.replace("{}", "whole"), video="whole/a.mp4", events="whole/e.jsonl")
    )
    assert launch(tmp_path).wait(100) == 0

    config.write_text(
        text.format(state="state: st\n", records=records.replace("{}", "out"), video="out/a.mp4", events="out/e.jsonl")
    )
    waits_s = np.random.default_rng(0).uniform(0, 0.3, 2)
    progress = -1
    for wait_s in waits_s.tolist():
        process = launch(tmp_path, "--resume")
        chunks = tmp_path / "st" / "a.chunks"

        def newest(chunks=chunks) -> int:
            names = [path.name for path in chunks.glob("0*")] if chunks.is_dir() else []
            return max((int(name.partition("-")[0]) for name in names), default=-1)

        assert wait_until(lambda process=process, seen=progress: newest() > seen or process.poll() is not None)
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        progress = newest()
    assert launch(tmp_path, "--resume").wait(100) == 0
    starts = resumed_at(tmp_path)
    assert starts
    assert starts == sorted(starts)
    assert starts[-1] >= 100
    for name in (*FILES, "e.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "out" / "e.jsonl").read_text().splitlines()]
    assert kinds[-1] == "identity_end"  # found after the last frame, which ended a chunk
    assert {"enter", "loitering", "leave"} < set(kinds)
    shown, expected = pictures(tmp_path / "out" / "a.mp4"), pictures(tmp_path / "whole" / "a.mp4")
    assert len(shown) == 900
    np.testing.assert_allclose([at for at, _ in shown], [at for at, _ in expected], atol=1e-4)
    assert launch(tmp_path, "--resume").wait(100) == 0
    assert '"event": "already done"' in (tmp_path / "log.jsonl").read_text()
