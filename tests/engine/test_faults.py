"""Every kind of output on a full disk, in a folder that goes away, at a pipe that nobody reads: the rest goes on."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.engine.fakes import SIZE, CountingTracker, FakeSource, ListSink, frame, stream
from tests.sinks.full_disk import small_files
from tests.sinks.streams import disk_masks
from tests.sources.cameras import wait_until
from tracker.engine.outputs import Outputs
from tracker.engine.plan import StreamPlan
from tracker.engine.scheduler import Engine
from tracker.engine.steady import SteadyTracker
from tracker.engine.stream import Stream
from tracker.plugins import SINKS, sink_class
from tracker.settings.stream import StreamSettings
from tracker.sources.address import Address
from tracker.types import Instances

FRAMES = 120
BROKEN_FROM = 40

# A table of identities is one line here, which no full disk cuts; it is written at the end. Nothing is counted here, so
# ledgers have no rows: tests/sinks/test_ledger.py has their faults.
RECORDS = [
    name
    for name in SINKS.names
    if name.startswith(".")
    and not (sink_class(f"x{name}").needs_images or sink_class(f"x{name}").takes_events())
    and name != ".ndjson"
    and not name.startswith(".identities")
]
SUFFIXES = [*RECORDS, ".mp4", ".mkv", ".ts", ".avi"]
LINES = [name for name in RECORDS if name not in {".parquet", ".instances"}]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX limits, pipes and folders")


class Walker:
    """Sees one person with a mask, who walks on a pixel a frame."""

    class_names = ("person", "car")
    network_size = SIZE
    keep_aspect = True
    confirmation_score = 0.5
    digest = "walker"

    def segment(self, frames) -> list[Instances]:
        found = []
        for one in frames:
            boxes = np.array([[one.index % 30, 8, one.index % 30 + 24, 44]], np.float32)
            seen = Instances(boxes=boxes, scores=np.full(1, 0.9, np.float32), class_ids=np.zeros(1, np.int64))
            found.append(replace(seen, masks=disk_masks(boxes, SIZE)))
        return found


class Scene:
    """Two cameras of one engine: the outputs of one are about to fail, the other has a sink in memory.

    Args:
        paths: Outputs of the camera in trouble.
    """

    def __init__(self, paths: list[Path]) -> None:
        plan = StreamPlan(
            name="trouble",
            address=Address(kind="video", name="trouble", target="trouble.mp4"),
            settings=StreamSettings(rotate_s=3600.0),
            outputs=tuple(map(str, paths)),
        )
        self.engine = Engine(segmenter=Walker(), workers=2)
        self.kept = ListSink()
        self.sources = [FakeSource("trouble"), FakeSource("well")]
        self.trouble = Stream(
            name="trouble",
            open_source=self.sources[0].open,
            stages=[SteadyTracker(CountingTracker())],
            open_sink=lambda source: Outputs(plan, source.info, Walker()).open(strict=False),
        )
        self.well = stream(self.sources[1], sink=self.kept)
        self.engine.add(self.trouble)
        self.engine.add(self.well)
        self._random = np.random.default_rng(0)

    def feed(self, start: int, stop: int) -> None:
        """Frames of noise, which no encoder makes small."""
        for index in range(start, stop):
            image = self._random.integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
            for source in self.sources:
                source.handoff.put(replace(frame(index, source=source.name), image=image))

    def end(self) -> None:
        for source in self.sources:
            source.handoff.finish()
        assert self.engine.wait(60)
        self.engine.close()

    def check_the_rest(self) -> None:
        """Both are tracked to the end, and nobody else's output misses a frame."""
        assert [one.state for one in (self.trouble, self.well)] == ["ended", "ended"]
        assert [one.meter.figures().frames for one in (self.trouble, self.well)] == [FRAMES, FRAMES]
        assert [written.frame.index for written in self.kept.frames] == list(range(FRAMES))
        assert not self.well.failures


def reported(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says of outputs that failed, each with its camera."""
    records = [record for record in caplog.records if record.message == "output failed"]
    assert all(record.camera == "trouble" for record in records)
    return [record.problem for record in records]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk(tmp_path, monkeypatch, caplog, suffix: str) -> None:
    monkeypatch.setattr("tracker.sinks.text.FLUSH_BYTES", 200)
    caplog.set_level(logging.ERROR)
    path = tmp_path / f"a{suffix}"
    with small_files(60_000 if sink_class(path).needs_images else 1500):
        scene = Scene([path])
        scene.feed(0, FRAMES)
        scene.end()
    scene.check_the_rest()
    assert any("File too large" in problem for problem in reported(caplog))
    assert str(path) in str(scene.trouble.failures[0])


@pytest.fixture
def little_disk():
    """Mounts a disk of so many bytes, where this user may mount anything.

    Not in pytest's own folders: one that a killed run left there would end the next runs with an error.
    """
    folder = Path(tempfile.mkdtemp(prefix="little-disk-"))
    mounted = False

    def mount(size: int) -> Path:
        nonlocal mounted
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("no mount command")
        if done.returncode:
            pytest.skip(f"no right to mount a small disk: {done.stderr.strip()}")
        mounted = True
        return folder

    yield mount
    if mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_real_disk_that_is_full(little_disk, monkeypatch, caplog, suffix: str) -> None:
    """The system's own refusal; when there is room again the camera writes a new part."""
    monkeypatch.setattr("tracker.sinks.text.FLUSH_BYTES", 200)
    monkeypatch.setattr("tracker.sinks.rotate.RETRY_S", 0.0)
    caplog.set_level(logging.ERROR)
    disk = little_disk(1 << 17)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(1 << 17))
    scene = Scene([disk / f"a-{{time}}{suffix}"])
    scene.feed(0, 100)
    if suffix == ".parquet":  # holds its rows until there are many
        assert wait_until(lambda: scene.trouble.meter.figures().frames == 100)
    else:
        assert wait_until(lambda: reported(caplog))
        assert "No space left" in reported(caplog)[0]
    assert not list(disk.glob("a-*"))  # nothing that looks like a part and is empty
    ballast.unlink()
    scene.feed(100, FRAMES)
    scene.end()
    scene.check_the_rest()
    assert all(part.stat().st_size for part in disk.glob("a-*"))
    assert list(disk.glob(f"a-*{suffix}"))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("when", ["before the first frame", "while it is written"])
@pytest.mark.parametrize("parts", [False, True])
def test_a_folder_that_goes_away(tmp_path, caplog, suffix: str, when: str, *, parts: bool) -> None:
    """What was in it is lost and reported; the other output of the same camera is complete."""
    caplog.set_level(logging.ERROR)
    gone, stays = tmp_path / "gone", tmp_path / "stays.csv"
    gone.mkdir()
    scene = Scene([gone / f"a{'-{time}' if parts else ''}{suffix}", stays])
    if when == "while it is written":
        scene.feed(0, BROKEN_FROM)
        assert wait_until(lambda: any(gone.iterdir()))
    shutil.rmtree(gone)
    scene.feed(BROKEN_FROM if when == "while it is written" else 0, FRAMES)
    scene.end()
    scene.check_the_rest()
    problems = reported(caplog)
    assert problems
    assert all(str(gone) in problem and "remedy" in problem for problem in problems)
    assert stays.read_text().count("\n") == FRAMES + 1
    assert not gone.exists()


@pytest.mark.parametrize("suffix", [*LINES, ".ts"])
def test_a_pipe_that_nobody_reads_any_more(tmp_path, monkeypatch, caplog, suffix: str) -> None:
    monkeypatch.setattr("tracker.sinks.text.FLUSH_BYTES", 1)
    caplog.set_level(logging.ERROR)
    pipe, stays = tmp_path / f"a{suffix}", tmp_path / "stays.csv"
    os.mkfifo(pipe)
    read: list[bytes] = []

    def reader() -> None:
        with pipe.open("rb", buffering=0) as lines:
            read.append(lines.read(20))

    listener = threading.Thread(target=reader, daemon=True)
    listener.start()
    scene = Scene([pipe, stays])
    scene.feed(0, BROKEN_FROM)
    listener.join(20)
    scene.feed(BROKEN_FROM, FRAMES)
    scene.end()
    scene.check_the_rest()
    assert read[0]
    assert any("Broken pipe" in problem for problem in reported(caplog))
    assert stays.read_text().count("\n") == FRAMES + 1


@pytest.mark.parametrize("suffix", [*LINES, ".ts"])
@pytest.mark.parametrize("reader", ["that never comes", "that takes nothing"])
def test_a_pipe_without_a_reader_holds_up_no_end(tmp_path, monkeypatch, caplog, suffix: str, reader: str) -> None:
    """Stopping a camera is a matter of seconds, its other output is whole, and the loss is a failure."""
    monkeypatch.setattr("tracker.sinks.text.FLUSH_BYTES", 1)
    monkeypatch.setattr("tracker.sinks.pipe_reader.LAST_S", 0.3)
    caplog.set_level(logging.ERROR)
    pipe, stays = tmp_path / f"a{suffix}", tmp_path / "stays.csv"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK) if reader == "that takes nothing" else None
    if end is not None:
        fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, 4096)
    scene = Scene([pipe, stays])
    feeder = threading.Thread(target=scene.feed, args=(0, 4 * FRAMES))
    feeder.start()
    feeder.join(1.0)
    assert feeder.is_alive(), "while the camera goes on, its reader is waited for"
    started_s = time.monotonic()
    scene.engine.close()
    assert time.monotonic() - started_s < 30
    if end is not None:
        os.close(end)
    feeder.join(20)
    assert any(pipe.name in problem for problem in reported(caplog))
    assert pipe.name in str(scene.trouble.failures[0])
    rows = stays.read_text().splitlines()[1:]
    assert rows
    assert [int(row.split(",")[0]) for row in rows] == list(range(len(rows)))


def test_what_is_not_completed_in_time_is_a_failure(tmp_path, caplog) -> None:
    scene = Scene([tmp_path / "a.csv"])
    scene.feed(0, 1)
    held = threading.Event()
    scene.trouble._writer._close = held.wait
    scene.engine.close(patience_s=0.2)
    held.set()
    [failure] = scene.trouble.failures
    assert "expected the outputs to be completed in time, found them unfinished" in str(failure)
    assert not scene.well.failures
